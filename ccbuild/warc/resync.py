"""What every form of archive shares: the pieces that come out, damage, and how reading goes on after it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ccbuild.warc.source import Source

__all__ = ["Damage", "Limits", "Padding", "Piece", "between", "held", "resynchronise"]

_PROBE = 1 << 12
_HOLD = 1 << 22
"""A member is held back until its checksum holds, up to this many decompressed bytes."""

Opens = Callable[[bytes], bool]
"""Whether a member that can be decompressed, as far as it is given, begins with these bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what hostile bytes may cost. All are counts, never seconds."""

    max_record_bytes: int = 32 << 20
    """Largest record that is read, in bytes after decompression; a larger one is quarantined. Common Crawl cuts
    payloads at 1 MiB (5 MiB since 2025), so 32 MiB only meets what is not a page."""
    max_member_bytes: int = 1 << 36
    """Largest gzip member, in bytes after decompression. A whole file in one member is legal, so it is large."""
    max_ratio: int = 1100
    """Largest expansion of one member; deflate cannot exceed 1,032, text under zstd stays under 100."""


class Piece(NamedTuple):
    """Decompressed bytes of one member (frame; in a plain file: of the file)."""

    offset: int
    """Where the member begins in the archive; in a plain file, where these bytes stand."""
    content: bytes
    first: bool
    """Whether `content` is the beginning of its member."""
    end: int | None
    """Where the member ended, well; None when more of it follows, or when it is damaged."""
    plain: bool = False
    """Whether the archive is not compressed."""
    doubtful: str = ""
    """Why these bytes cannot be trusted: they come from a damaged member, whose `Damage` follows."""


class Padding(NamedTuple):
    """Zeros between members, or after the last, as a tape, a block device or a crash leaves them."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Damage:
    """A range of the archive that could not be read, or a record in it that could not be used."""

    offset: int
    length: int
    """Bytes of the archive that are quarantined. 0: the bytes were read, but what they say is no usable record."""
    cause: str
    saved: int = 0
    """Records that were recovered whole from the damaged range, or whose stated length was mended."""

    def __str__(self) -> str:
        """Where, how much and why, as people read it.

        >>> print(Damage(1200, 80, "damaged_member"), Damage(9, 0, "wrong_length", 1), sep="; ")
        at byte 1,200, 80 bytes: damaged_member; at byte 9, in bytes that could be read: wrong_length; 1 record saved
        """
        size = f"{self.length:,} bytes" if self.length else "in bytes that could be read"
        saved = f"; {self.saved:,} record{'s' if self.saved > 1 else ''} saved" if self.saved else ""
        return f"at byte {self.offset:,}, {size}: {self.cause}{saved}"


def held(steps: Generator[bytes, None, tuple[str, int]], start: int) -> Generator[Piece, None, str]:
    """Pieces of a member, held back until it ended well or grew large; returns why it did not end well, or ``""``."""
    waiting: list[bytes] = []
    size, first, cause, end = 0, True, "", 0
    while True:
        try:
            content = next(steps)
        except StopIteration as stop:
            outcome: tuple[str, int] = stop.value
            cause, end = outcome
            break
        waiting.append(content)
        size += len(content)
        if size > _HOLD:
            yield Piece(start, b"".join(waiting), first, None)
            waiting, size, first = [], 0, False
    content = b"".join(waiting)
    if cause:
        yield Piece(start, content, first, None, doubtful=cause)
    else:
        yield Piece(start, content, first, end)
    return cause


def between(source: Source, magic: bytes, cause: str, opens: Opens) -> Iterator[Padding | Damage]:
    """What stands between members: zeros are padding, anything else is damage up to the next member."""
    start = source.offset
    while True:
        rest = source.window[source.position :]
        zeros = len(rest) - len(rest.lstrip(b"\0"))
        source.skip(zeros)
        if zeros < len(rest) or not source.more():
            break
    if source.offset > start:
        yield Padding(start, source.offset - start)
    elif source.ready:
        source.hold()
        yield from resynchronise(source, start, cause, magic, opens)


def resynchronise(source: Source, start: int, cause: str, magic: bytes, opens: Opens) -> Iterator[Damage]:
    """Skip to the next member that can be opened; report what was skipped since `start`."""
    source.rewind()
    source.skip(min(1, source.ready))
    while True:
        found = source.window.find(magic, source.position)
        if found < 0:
            source.skip(max(source.ready - len(magic) + 1, 0))
            if not source.more():
                source.skip(source.ready)
                break
            continue
        source.position = found
        if opens(source.peek(_PROBE)):
            break
        source.skip(1)
    yield Damage(start, source.offset - start, cause)
