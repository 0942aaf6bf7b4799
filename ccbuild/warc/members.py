"""Archive bytes to decompressed pieces: bounded, resynchronising after damage, every byte accounted for.

Common Crawl writes each record as its own gzip member. Readers that trust the stream lose the rest
of a file to one flipped byte, and take a cut record for a whole one, without a word. Here a member
is inflated by itself; when that fails, the damaged range is reported and reading goes on at the
next member that begins a record.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["Damage", "Limits", "MemberEnd", "Piece", "inflate", "inflated_head"]

GZIP_MAGIC = b"\x1f\x8b\x08"
RECORD_START = b"WARC/"
_READ = 1 << 16
_PROBE = 1 << 12
_INFLATE = 1 << 22
_REREAD = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what hostile bytes may cost. All are counts, never seconds."""

    max_record_bytes: int = 32 << 20
    """Largest record that is read, in bytes after decompression; a larger one is quarantined. Common Crawl cuts
    payloads at 1 MiB (5 MiB since 2025), so 32 MiB only meets what is not a page."""
    max_member_bytes: int = 1 << 36
    """Largest gzip member, in bytes after decompression. A whole file in one member is legal, so it is large."""
    max_ratio: int = 1100
    """Largest expansion of one member; deflate cannot exceed 1,032."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Decompressed bytes, and where in the archive their gzip member begins (uncompressed: where they stand)."""

    offset: int
    content: bytes
    plain: bool = False


@dataclass(frozen=True, slots=True)
class MemberEnd:
    """A gzip member ended well at `offset` + `length`."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Damage:
    """A range of the archive that could not be read."""

    offset: int
    length: int
    cause: str


class _Source:
    """Bytes of a stream with their offsets; what was read since `mark` can be read again, up to 64 MiB."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.buffer = b""
        self.offset = 0
        """Offset in the archive of buffer[0]."""
        self._kept: list[bytes] = []
        self._kept_bytes = 0

    def fill(self) -> bool:
        """Make the buffer non-empty; False at the end of the stream."""
        if not self.buffer:
            self.buffer = self._stream.read(_READ)
        return bool(self.buffer)

    def more(self) -> bool:
        """Append to the buffer; False at the end of the stream."""
        chunk = self._stream.read(_READ)
        self.buffer += chunk
        return bool(chunk)

    def mark(self) -> None:
        self._kept, self._kept_bytes = [], 0

    def take(self, rest: bytes) -> None:
        """The buffer was used up but for its end `rest`."""
        used = len(self.buffer) - len(rest)
        self._kept.append(self.buffer[:used] if rest else self.buffer)
        self._kept_bytes += used
        if self._kept_bytes > _REREAD:
            self.mark()
        self.offset += used
        self.buffer = rest

    def rewind(self) -> None:
        """Back to the mark, or as near to it as is kept."""
        self.buffer = b"".join(self._kept) + self.buffer
        self.offset -= self._kept_bytes
        self.mark()

    def skip(self, count: int) -> None:
        self.offset += count
        self.buffer = self.buffer[count:]


def inflate(stream: BinaryIO, limits: Limits) -> Iterator[Piece | MemberEnd | Damage]:
    """Decompressed pieces of a gzip or plain archive; damaged ranges come as `Damage`, in order.

    The lengths of all members, plain pieces and damaged ranges add up to the size of the archive.
    Memory is bounded by one compressed member, or by `limits.max_record_bytes` where that is less.
    """
    source = _Source(stream)
    if not source.fill():
        return
    if not source.buffer.startswith(GZIP_MAGIC[:2]):
        while source.fill():
            yield Piece(source.offset, source.buffer, plain=True)
            source.skip(len(source.buffer))
        return
    while source.fill():
        while len(source.buffer) < 3 and source.more():
            pass
        if source.buffer.startswith(GZIP_MAGIC):
            source.mark()
            start = source.offset
            cause = yield from _member(source, limits)
            if cause is not None:
                yield from _resynchronise(source, start, cause)
        elif source.buffer.strip(b"\0"):
            source.mark()
            yield from _resynchronise(source, source.offset, "not_gzip")
        else:  # zeros that a block device or a tape left behind
            yield MemberEnd(source.offset, len(source.buffer))
            source.skip(len(source.buffer))


def _member(source: _Source, limits: Limits) -> Generator[Piece | MemberEnd, None, str | None]:
    """The pieces of one member; returns None, or why it could not be read to its end."""
    start, expanded = source.offset, 0
    decompressor = zlib.decompressobj(wbits=31)
    while not decompressor.eof:
        if not source.fill():
            return "truncated_member"
        pending, content = source.buffer, b""
        while not decompressor.eof and (pending or len(content) == _INFLATE):
            try:
                content = decompressor.decompress(pending, _INFLATE)
            except zlib.error:
                return "damaged_member"
            pending = decompressor.unconsumed_tail
            expanded += len(content)
            if content:
                yield Piece(start, content)
            used = source.offset - start + len(source.buffer)
            if expanded > limits.max_member_bytes or expanded > limits.max_ratio * max(used, 1 << 16):
                return "expands_too_far"
        source.take(decompressor.unused_data)
    yield MemberEnd(start, source.offset - start)
    return None


def _resynchronise(source: _Source, start: int, cause: str) -> Iterator[Damage]:
    """Skip to the next member that begins a record; report what was skipped since `start`."""
    source.rewind()
    source.skip(1)
    while True:
        found = source.buffer.find(GZIP_MAGIC)
        if found < 0:
            source.skip(max(len(source.buffer) - 2, 0))
            if not source.more():
                source.skip(len(source.buffer))
                break
            continue
        source.skip(found)
        while len(source.buffer) < _PROBE and source.more():
            pass
        if begins_record(source.buffer[:_PROBE]):
            break
        source.skip(1)
    yield Damage(start, source.offset - start, cause)


def inflated_head(head: bytes) -> bytes:
    """The first decompressed bytes of a file that begins with `head`; empty when they cannot be had."""
    if not head.startswith(GZIP_MAGIC):
        return head[:64]
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 64)
    except zlib.error:
        return b""


def begins_record(compressed: bytes) -> bool:
    """Whether these bytes inflate to the beginning of a WARC record."""
    return inflated_head(compressed).startswith(RECORD_START)
