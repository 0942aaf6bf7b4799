"""Lines of text in files: plain or compressed, or stdin. Whatever reads text by lines reads it here.

==================== ==================================================================================================
compression          gzip, xz, bzip2 or Zstandard, known by the first bytes; several members are one. A file whose name
                     alone says that it is compressed, an empty one among them, is a `DataError`
a line               ends at LF, or at CR and LF; a CR alone is white space within a line, and so are U+0085 and U+2028
the last line        needs no end; an empty file has no line
byte order mark      of UTF-8: no text, at the start of any line, for files are joined
not UTF-8            `DataError` names line and byte; UTF-16 is told
damaged, cut short   `DataError` names the line after which
missing, a folder    `InputError`
longest line         256 MiB; a longer one is a `DataError`
==================== ==================================================================================================

What stands before damage is given first: a command that prints as it reads may have printed of it, one that commits
its output commits nothing. Memory: the longest line, and 64 KiB.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from ccbuild.errors import DataError, InputError

__all__ = ["LONGEST", "PACKED", "STDIN", "bare_name", "called", "read_lines"]

STDIN = "-"
"""The path that means stdin; a file of that name is ``./-``."""
PACKED = (".gz", ".xz", ".zst", ".bz2")
"""What names of compressed files end with."""
LONGEST = 1 << 28
"""Bytes of a line, or of a document in lines, from which a file is no text of lines; it also bounds what a small
compressed file can become in memory."""
_BLOCK = 1 << 16
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")
_DAMAGE = (lzma.LZMAError, zlib.error, OSError, EOFError, pa.ArrowException)


def read_lines(path: str | Path) -> Iterator[str]:
    """The lines of a file of UTF-8 text, or of stdin (``-``), without their ends; see this module for what is one."""
    name = called(path)
    with _opened(path) as stream:
        head = stream.peek(16)[:16]
        unpacked = _unpacked(stream, head)
        if unpacked is stream and name.endswith(PACKED):
            raise DataError(f"{name} is not compressed, though its name says so. Get it again, or rename it.")
        with closing(unpacked) if unpacked is not stream else nullcontext():
            yield from _lines(unpacked, name)


def called(path: str | Path) -> str:
    """What messages call a file."""
    return "stdin" if str(path) == STDIN else str(path)


def bare_name(path: str | Path) -> str:
    """A file's name, without what says its compression.

    >>> bare_name("corpus/sw.jsonl.zst")
    'sw.jsonl'
    """
    name = Path(path).name
    return name.removesuffix(next((end for end in PACKED if name.endswith(end)), ""))


def _opened(path: str | Path) -> Any:
    if str(path) == STDIN:
        stream: Any = sys.stdin.buffer
        return nullcontext(stream if hasattr(stream, "peek") else io.BufferedReader(stream))
    try:
        return open(path, "rb")
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder. Name the files in it.") from error
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path.") from error
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error


def _unpacked(stream: BinaryIO, head: bytes) -> Any:
    """`stream`, or what is compressed in it, as a stream with `read1`."""
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream)
    if head.startswith(b"\xfd7zXZ\x00"):
        return _Members(stream, lzma.LZMADecompressor)
    if _BZIP2.match(head):
        return _Members(stream, bz2.BZ2Decompressor)
    if head.startswith(b"\x28\xb5\x2f\xfd") or (head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5):
        return pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")
    return stream


class _Members:
    """The members of an xz or bzip2 file behind each other. What follows the first and is none is damage, which
    `lzma.LZMAFile` and `bz2.BZ2File` pass over without a word, together with all text behind it."""

    def __init__(self, stream: BinaryIO, decoder: Callable[[], Any]) -> None:
        self._stream, self._decoder, self._now = stream, decoder, decoder()

    def read1(self, most: int) -> bytes:
        """Up to `most` bytes; none at the end."""
        while True:
            packed = b""
            if self._now.eof:
                packed = self._next()
                if not packed:
                    return b""
                self._now = self._decoder()
            elif self._now.needs_input:
                packed = self._stream.read1(_BLOCK)  # type: ignore[attr-defined]
                if not packed:
                    raise EOFError("it ends within compressed data")
            block: bytes = self._now.decompress(packed, most)
            if block:
                return block

    def _next(self) -> bytes:
        """What begins behind a member, without the zeros that may pad it; nothing at the end."""
        packed = self._now.unused_data.lstrip(b"\0")
        while not packed and (more := self._stream.read1(_BLOCK)):  # type: ignore[attr-defined]
            packed = more.lstrip(b"\0")
        return bytes(packed)

    def close(self) -> None:
        """The stream below is closed by whoever opened it."""


def _lines(stream: Any, name: str) -> Iterator[str]:
    number, held, size = 0, list[bytes](), 0  # lines that were given; what is read of the next one
    while True:
        try:
            block = stream.read1(_BLOCK)
        except _DAMAGE as error:
            raise DataError(f"{name} is damaged {_after(number)}: {_said(error)}. Get it again.") from error
        end = block.rfind(b"\n") + 1
        if end or not block:
            for line in _decoded(b"".join((*held, block[:end])), name, number):
                number += 1
                yield line
            held, size = [], 0
        if not block:
            return
        held.append(block[end:])
        size += len(held[-1])
        if size > LONGEST:
            raise DataError(f"{name}, line {number + 1} is longer than {LONGEST >> 20} MiB: it is no text of lines.")


def _decoded(content: bytes, name: str, before: int) -> Iterator[str]:
    """The lines of `content`, which begins after `before` lines, up to the first that is no UTF-8."""
    if not content:
        return
    whole = content.removesuffix(b"\n")
    try:
        lines = whole.decode().split("\n")
    except UnicodeDecodeError:
        for number, line in enumerate(whole.split(b"\n"), before + 1):
            try:
                yield _bare(line.decode())
            except UnicodeDecodeError as error:
                raise DataError(_not_utf8(name, number, line, error.start)) from error
        return
    yield from map(_bare, lines) if b"\r" in content or b"\xef\xbb\xbf" in content else lines


def _bare(line: str) -> str:
    return line.removesuffix("\r").lstrip("\ufeff")


def _not_utf8(name: str, number: int, line: bytes, at: int) -> str:
    if number == 1 and line.startswith(b"PAR1"):
        return f"{name} is Parquet, and no whole file of it: cut short, packed or in a pipe. Give the file that it was."
    utf16 = number == 1 and line[:2] in (b"\xff\xfe", b"\xfe\xff")
    encoding, looks = ("UTF-16", ", and it looks like UTF-16") if utf16 else ("ENCODING", "")
    return (
        f"{name}, line {number}, byte {at + 1} of the line: 0x{line[at]:02x} is no UTF-8{looks}. Convert the file: "
        f"iconv -f {encoding} -t UTF-8."
    )


def _after(number: int) -> str:
    return f"after line {number:,}" if number else "before the end of its first line"


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
