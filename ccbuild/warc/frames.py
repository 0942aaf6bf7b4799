"""Frames of zstd and lz4: their blocks are walked by their own headers, so that a frame's end is known without trust.

A frame's bytes are passed to FastWARC's decoder block by block, and to nothing else: what the decoder
says at the end of the frame is what counts. `zstandard`_ and `lz4`_ name the layouts.

.. _zstandard: https://www.rfc-editor.org/rfc/rfc8878
.. _lz4: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from io import BytesIO

from fastwarc.stream_io import Lz4Reader, ZstdReader

from ccbuild.warc.resync import Damage, Limits, Padding, Piece, between, held, resynchronise
from ccbuild.warc.source import Source

__all__ = ["LZ4_MAGIC", "ZSTD_MAGIC", "bounded_zstd", "frames", "is_skippable"]

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
LZ4_MAGIC = b"\x04\x22\x4d\x18"
_SKIPPABLE = b"\x2a\x4d\x18"
"""Bytes 2 to 4 of a skippable frame of zstd and lz4; the first is 0x50 to 0x5f."""
_DICTIONARY = b"\x37\xa4\x30\xec"
_MAX_DICTIONARY = 16 << 20
_MAX_WINDOW = 1 << 27
"""Largest window of a zstd frame, in bytes: what ``zstd --ultra -22`` and the decoder's own default allow."""
_READ = 1 << 17


def is_skippable(head: bytes) -> bool:
    """Whether a skippable frame begins here. WARC-zstd keeps its dictionary in the first one (0x184D2A5D)."""
    return head[1:4] == _SKIPPABLE and head[:1] >= b"\x50" and head[:1] <= b"\x5f"


class _CutError(Exception):
    """The frame's layout broke off or makes no sense; the message is the cause of the damage."""


class _Frame:
    """A readable stream of exactly one frame's bytes, walked block by block."""

    def __init__(self, source: Source, form: str) -> None:
        self._source, self._zstd = source, form == "zstd"
        self._pending = b""
        self._given = 0
        self._trailer = 0
        self.done = False
        self.cause = ""
        self._begun = False

    def read(self, count: int = -1) -> bytes:
        """Some of the frame's bytes; empty at its end, or where its layout breaks (`cause` says how)."""
        if not self._pending and not self.done and not self.cause:
            try:
                self._pending = self._block() if self._begun else self._header()
            except _CutError as cut:
                self.cause = str(cut)
        size = len(self._pending) if count < 0 else count
        chunk, self._pending = self._pending[:size], self._pending[size:]
        self._given += len(chunk)
        return chunk

    def tell(self) -> int:
        return self._given

    def seek(self, offset: int, whence: int = 0) -> int:
        raise OSError("a frame is read once, forwards")

    def close(self) -> None: ...

    def drain(self) -> None:
        """Walk to the end: a decoder may stop before the last bytes."""
        while self.read(_READ):
            pass

    def _exactly(self, nbytes: int) -> bytes:
        parts = []
        while nbytes:
            chunk = self._source.take(nbytes)
            if not chunk:
                raise _CutError("truncated_frame")
            parts.append(chunk)
            nbytes -= len(chunk)
        return b"".join(parts)

    def _header(self) -> bytes:
        self._begun = True
        return self._zstd_header() if self._zstd else self._lz4_header()

    def _zstd_header(self) -> bytes:
        head = self._exactly(5)
        flags = head[4]
        single, checksum, dictionary = flags >> 5 & 1, flags >> 2 & 1, flags & 3
        size_bytes = (0, 2, 4, 8)[flags >> 6] or single
        rest = self._exactly((1 - single) + (0, 1, 2, 4)[dictionary] + size_bytes)
        if single:
            window = int.from_bytes(rest[len(rest) - size_bytes :], "little")
        else:
            window = (1 << 10 + (rest[0] >> 3)) * (8 + (rest[0] & 7)) // 8
        if window > _MAX_WINDOW:
            raise _CutError("window_too_large")
        self._trailer = 4 * checksum
        return head + rest

    def _lz4_header(self) -> bytes:
        head = self._exactly(7)
        flags = head[4]
        if flags >> 6 != 1:
            raise _CutError("damaged_frame")
        self._trailer = 4 * (flags >> 2 & 1)
        self._block_trailer = 4 * (flags >> 4 & 1)
        return head + self._exactly(8 * (flags >> 3 & 1) + 4 * (flags & 1))

    def _block(self) -> bytes:
        if self._zstd:
            head = self._exactly(3)
            value = int.from_bytes(head, "little")
            kind, size = value >> 1 & 3, value >> 3
            if kind == 3 or size > 1 << 17:
                raise _CutError("damaged_frame")
            body, last = self._exactly(1 if kind == 1 else size), bool(value & 1)
        else:
            head = self._exactly(4)
            size = int.from_bytes(head, "little") & 0x7FFFFFFF
            if size > 4 << 20:
                raise _CutError("damaged_frame")
            last = not int.from_bytes(head, "little")
            body = b"" if last else self._exactly(size + self._block_trailer)
        if last:
            body += self._exactly(self._trailer)
            self.done = True
        return head + body


def frames(source: Source, limits: Limits, form: str) -> Iterator[Piece | Padding | Damage]:
    """Decompressed pieces of a zstd or lz4 archive, as :func:`ccbuild.warc.members.pieces` gives them."""
    magic = ZSTD_MAGIC if form == "zstd" else LZ4_MAGIC
    dictionary: bytes | None = None

    def opens(head: bytes) -> bool:
        walk = _Frame(Source(BytesIO(head)), form)
        walk.drain()
        return walk.done or (walk.cause == "truncated_frame" and len(head) > 6)

    while head := source.peek(8):
        start = source.offset
        source.hold()
        if is_skippable(head):
            size = int.from_bytes(head[4:8], "little")
            whole = yield from _skippable(source, size, keep=head[0] == 0x5D and not start)
            if not whole:
                yield from resynchronise(source, start, "truncated_frame", magic, opens)
            elif isinstance(whole, bytes):
                dictionary = _dictionary(whole)
            continue
        if not head.startswith(magic):
            yield from between(source, magic, f"not_{form}", opens)
            continue
        cause = yield from held(_decode(source, limits, form, dictionary), start)
        if cause:
            yield from resynchronise(source, start, cause, magic, opens)


def _skippable(source: Source, size: int, *, keep: bool) -> Generator[Piece, None, bytes | bool]:
    """Skip a frame that holds no records: its content where it may be a dictionary, else whether it was all there."""
    start, parts, left = source.offset, [], size + 8
    while left:
        chunk = source.take(min(left, _READ))
        if not chunk:
            return False
        left -= len(chunk)
        if keep and size <= _MAX_DICTIONARY:
            parts.append(chunk)
    yield Piece(start, b"", True, source.offset)
    return b"".join(parts)[8:] or True


def _dictionary(content: bytes) -> bytes | None:
    """The dictionary of the WARC-zstd form: as it is, or itself a zstd frame."""
    if content.startswith(ZSTD_MAGIC):
        content = bounded_zstd(content, _MAX_DICTIONARY)
    return content if content.startswith(_DICTIONARY) else None


def bounded_zstd(content: bytes, limit: int) -> bytes:
    """Up to `limit` decompressed bytes; `OSError` for what is no zstd."""
    reader, parts, size = ZstdReader(BytesIO(content)), [], 0
    while size < limit and (chunk := reader.read(min(_READ, limit - size))):
        parts.append(chunk)
        size += len(chunk)
    return b"".join(parts)


def _decode(
    source: Source, limits: Limits, form: str, dictionary: bytes | None
) -> Generator[bytes, None, tuple[str, int]]:
    """Decompressed bytes of the frame that begins here; returns (cause, end)."""
    start, expanded = source.offset, 0
    frame = _Frame(source, form)
    reader = ZstdReader(frame, dictionary=dictionary) if form == "zstd" else Lz4Reader(frame)
    while True:
        try:
            content = reader.read(_READ)
        except OSError:
            if not frame.cause:
                frame.cause = "damaged_frame"
            break
        if not content:
            break
        yield content
        expanded += len(content)
        if expanded > limits.max_member_bytes or expanded > limits.max_ratio * max(source.offset - start, 1 << 16):
            return "expands_too_far", 0
    if not frame.cause:
        frame.drain()
    return frame.cause, source.offset
