"""Decompressed pieces to framed records: where each begins and ends, whatever members it lies in and its length claims.

A stated Content-Length is believed when a record, or the end, follows what it covers. When not, the
next record's start, or the end of a sound member, tells where the record ends: its length is then
mended, which is reported. What is no record at all is lost up to the next record's start, and reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ccbuild.warc.headers import ARC_START, WARC_START, Fields, Head, arc_head, begins_record, warc_head
from ccbuild.warc.resync import Piece

__all__ = ["Frame", "Framer", "Lost", "only_record", "record_within"]

_END = b"\r\n\r\n"
_SLACK = 4
"""A record may miss this many bytes at the end of its member: the closing CRLFs that some writers count or forget."""
_OFF_BY = 2
"""CC-MAIN-2018-34 wrote one CRLF too many after the HTTP header and did not count it in Content-Length."""
_LOOK = 96
"""Bytes that tell whether a record begins."""
_MAX_HEADER = 1 << 20
_MAX_LINE = 1 << 14
_STRICT = re.compile(rb"WARC/\d\.\d{1,2}[ \t]*\r?\n(?:warc|content)-[a-z-]{1,32}[ \t]*:", re.IGNORECASE)
"""A record's start among bytes that are none: the version alone may stand in any page about WARC."""
_ARC_LINE = re.compile(
    rb"(?:(?<=\n)[a-z]{2,8}:|https?://)[^\s]{1,4096} \d{1,3}(?:\.\d{1,3}){3} \d{12,18} [^\n]{0,512} -?\w{1,15}\r?\n"
)
_HTTP_LENGTH = re.compile(
    rb"HTTP/[^\n]{1,512}\n(?:[^\r\n][^\n]{0,8192}\n)*?content-length:[ \t]*(\d{1,15})[ \t]*\r?\n"
    rb"(?:[^\r\n][^\n]{0,8192}\n)*\r?\n",
    re.IGNORECASE,
)


class Frame(NamedTuple):
    """One record: its block is ``content[body:stop]``."""

    kind: str
    fields: Fields
    content: bytes
    body: int
    stop: int
    offset: int
    length: int | None
    mended: bool


class Lost(NamedTuple):
    """Bytes that are no usable record."""

    offset: int
    length: int
    """Bytes of a plain archive; 0 in a compressed one, whose members were read."""
    cause: str


def only_record(content: bytes, max_bytes: int) -> tuple[bytes, int] | None:
    """(type, end of the header's last line) when a member holds exactly one record, written the common way.

    None leaves the member to a :class:`Framer`, which gives the same for it, and costs three times as much.
    """
    end = content.find(_END)
    size = len(content) - end - 8
    stated = b"\r\nContent-Length: %d\r\n" % size
    if not content.endswith(stated, 0, end + 2) and content.find(stated, 0, end) < 0:  # last where warcio writes
        return None
    if size > max_bytes:
        return None
    kind = content.find(b"\r\nWARC-Type: ", 0, end) + 13
    if kind < 13 or not (content.startswith(b"WARC/1.") and content.endswith(_END)):
        return None
    return content[kind : content.find(b"\r", kind)], end + 2


def record_within(content: bytes) -> bool:
    """Whether a record surely begins somewhere in bytes that may be anything."""
    return _STRICT.search(content) is not None or _ARC_LINE.search(content) is not None


class _Ending(NamedTuple):
    """What is known of the end of the buffer."""

    last: bool = False
    """No more belongs to it."""
    sealed: bool = False
    """It ends as a sound member."""
    strict: bool = False
    """Lengths are taken at their word."""


class Framer:
    """Takes pieces, gives frames and losses; holds one record at most, of `max_bytes`."""

    def __init__(self, max_bytes: int, *, arc: bool, plain: bool) -> None:
        self._max, self._arc, self._plain = max_bytes, arc, plain
        self._start = ARC_START if arc else WARC_START
        self._buffer = bytearray()
        self._base = 0
        """Where buffer[0] stands in a plain archive."""
        self._marks: list[tuple[int, int]] = []
        """(index in the buffer, offset in the archive) of the members in the buffer."""
        self._member_end: int | None = None
        self._offset = -1
        self._before = 0x0A
        """The byte before buffer[0]."""
        self._lost: tuple[int, str] | None = None
        self._lost_bytes = 0
        self._searched = 0

    @property
    def offset(self) -> int:
        """Where the member that was fed last begins."""
        return self._offset

    @property
    def idle(self) -> bool:
        """Whether nothing is held: the next piece begins a record, or nothing."""
        return not self._buffer and self._lost is None

    def feed(self, piece: Piece) -> Iterator[Frame | Lost]:
        """What the next piece completes."""
        if piece.first and not self.idle and not self._plain and begins_record(piece.content):
            yield from self.finish()
        self._append(piece)
        yield from self._scan(_Ending(sealed=piece.end is not None and not self._plain))

    def salvage(self, piece: Piece) -> Iterator[Frame]:
        """The records that are whole in a piece of a damaged member; lengths are taken at their word."""
        self._append(piece)
        for found in self._scan(_Ending(last=True, strict=True)):
            if isinstance(found, Frame):
                yield found

    def finish(self) -> Iterator[Frame | Lost]:
        """What is left when no more belongs to it: a member begins anew, or the archive ends."""
        yield from self._scan(_Ending(last=True, sealed=not self._plain))
        yield from self.drop("truncated_record")

    def drop(self, cause: str) -> Iterator[Lost]:
        """Give up what is held; it is a loss when it is more than line ends."""
        if self._lost is None and self._buffer.strip(b"\r\n"):
            self._lose(0, cause)
        if self._lost is not None:
            self._lost_bytes += len(self._buffer)
            yield self._found()
        self._consume(len(self._buffer))

    def _append(self, piece: Piece) -> None:
        if not self._buffer:
            self._base = piece.offset
            self._before = 0x0A if piece.first else self._before
        if piece.first or not self._marks:
            self._marks.append((len(self._buffer), piece.offset))
        self._offset, self._member_end = piece.offset, piece.end
        self._buffer += piece.content

    def _consume(self, position: int) -> None:
        if position:
            self._before = self._buffer[position - 1]
        del self._buffer[:position]
        self._base += position
        self._searched = max(self._searched - position, 0)
        if not self._buffer:
            self._marks.clear()
            return
        last = max(i for i, (index, _) in enumerate(self._marks) if index <= position)
        self._marks = [(max(index - position, 0), offset) for index, offset in self._marks[last:]]

    def _at(self, position: int) -> int:
        """Where `position` stands in the archive: itself in a plain one, its member in others."""
        if self._plain:
            return self._base + position
        return next(offset for index, offset in reversed(self._marks) if index <= position)

    def _scan(self, ending: _Ending) -> Iterator[Frame | Lost]:
        """Frames and losses in the buffer."""
        position, buffer, last = 0, self._buffer, ending.last
        while True:
            sure = self._lost is not None
            if sure:
                found = self._next_start(position, len(buffer))
                if found < 0:
                    kept = len(buffer) if last else max(len(buffer) - self._look, position)
                    self._lost_bytes += kept - position
                    position = kept
                    break
                self._lost_bytes += found - position
                yield self._found()
                position = found
            while position < len(buffer) and buffer[position] in b"\r\n":
                position += 1
            if position >= len(buffer) or (not last and self._undecided(position)):
                break
            if not self._start.match(buffer, position) or not (sure or self._begins_line(position)):
                position = self._lose(position, "not_a_record")
                continue
            head = (arc_head if self._arc else warc_head)(buffer, position)
            if head is None:
                if not last and len(buffer) - position < _MAX_HEADER:
                    break
                position = self._lose(position, "bad_header", 5)
                continue
            if not head.sane:
                position = self._lose(position, "bad_header", head.body - position)
                continue
            verdict = self._stop(position, head, ending)
            if verdict is None:
                break
            if isinstance(verdict, str):
                position = self._lose(position, verdict, head.body - position)
                continue
            stop, mended = verdict
            yield self._frame(position, head, stop, mended=mended)
            position, self._searched = min(stop, len(buffer)), 0
        self._consume(position)

    def _begins_line(self, position: int) -> bool:
        """Whether `position` begins a line, or a member: an ARC record is known by little else."""
        if not self._arc:
            return True
        before = self._buffer[position - 1] if position else self._before
        return before == 0x0A or any(index == position for index, _ in self._marks[1:])

    @property
    def _look(self) -> int:
        return _MAX_LINE if self._arc else _LOOK

    def _undecided(self, position: int) -> bool:
        """Whether too few bytes stand there to tell if a record begins."""
        look = self._look
        return len(self._buffer) - position < look and self._buffer.find(b"\n", position, position + look) < 0

    def _frame(self, position: int, head: Head, stop: int, *, mended: bool) -> Frame:
        offset, end = self._at(position), self._member_end
        length = stop - position if self._plain else end - offset if end is not None and end > offset else None
        with memoryview(self._buffer) as view:
            content = bytes(view[position:stop])
        return Frame(head.kind, head.fields, content, head.body - position, len(content), offset, length, mended)

    def _stop(self, position: int, head: Head, ending: _Ending) -> tuple[int, bool] | str | None:
        """(where the record ends, whether against its own word); the cause to lose it; None: more bytes are needed."""
        buffer, size = self._buffer, len(self._buffer)
        last, sealed, strict = ending
        if head.length is None or head.length > self._max:
            return "bad_length" if strict else self._unstated(position, head, ending)
        stop = head.body + head.length
        if stop > size:
            if not last:
                return None
            if stop <= size + _SLACK and not strict:
                return stop, False
            cause = "short_record" if sealed else "truncated_record"
            return cause if strict else self._mended(head.body, sealed=sealed) or self._as_http_says(head.body) or cause
        tail = stop
        while tail < size and buffer[tail] in b"\r\n":
            tail += 1
        if strict:
            return stop, False
        if (tail == size and (last or sealed)) or (self._start.match(buffer, tail) and self._begins_line(tail)):
            return self._swallowed(head.body, stop) or (stop, False)
        if not last and size < tail + _LOOK:
            return None
        return self._beyond(head.body, stop, sealed=sealed)

    def _beyond(self, body: int, stop: int, *, sealed: bool) -> tuple[int, bool]:
        """The end of a record that no record follows where its length says."""
        found = self._next_start(body, stop)
        if found >= 0:
            return self._end_before(body, found), True
        after = stop + _OFF_BY + len(_END)
        if self._buffer.startswith(_END, stop + _OFF_BY) and (
            after == len(self._buffer) or self._start.match(self._buffer, after)
        ):
            return stop + _OFF_BY, False
        if sealed and self._buffer.endswith(_END) and self._next_start(stop, len(self._buffer)) < 0:
            return len(self._buffer) - len(_END), True
        return stop, False

    def _swallowed(self, body: int, stop: int) -> tuple[int, bool] | None:
        """The end of a record that lost bytes of its own, so that its length covers whole records after it.

        One that begins within it and ends just where it does tells; an archive as the payload of a record does not.
        """
        first = at = self._next_start(body, stop)
        opening = self._buffer.find(b"\n\r\n", body, first) if first >= 0 else -1
        if first < 0 or begins_record(self._buffer, body) or begins_record(self._buffer, opening + 3):
            return None
        while at >= 0:
            inner = (arc_head if self._arc else warc_head)(self._buffer, at)
            if inner is not None and inner.length is not None:
                end = inner.body + inner.length
                if end <= stop and not self._buffer[end:stop].strip(b"\r\n"):
                    return self._end_before(body, first), True
            at = self._next_start(at + 5, stop)
        return None

    def _unstated(self, position: int, head: Head, ending: _Ending) -> tuple[int, bool] | str | None:
        """The end of a record that states no length, or one that no record may have."""
        size = len(self._buffer)
        found = self._next_start(max(head.body, self._searched), size)
        if found >= 0:
            return self._end_before(head.body, found), True
        if size - position > self._max:
            return "record_too_large"
        if not ending.last:
            self._searched = max(size - self._look, 0)
            return None
        return self._mended(head.body, sealed=ending.sealed or head.length is None) or "bad_length"

    def _mended(self, body: int, *, sealed: bool) -> tuple[int, bool] | None:
        """The end of a record that says to be longer than all there is: the next start, or its member's sound end."""
        found = self._next_start(body, len(self._buffer))
        if found >= 0:
            return self._end_before(body, found), True
        if sealed and self._arc:
            return max(len(self._buffer) - self._buffer.endswith(b"\n"), body), True
        if sealed and self._buffer.endswith(_END):
            return max(len(self._buffer) - len(_END), body), True
        return None

    def _as_http_says(self, body: int) -> tuple[int, bool] | None:
        """The end of a cut record that holds all that its HTTP Content-Length asks for, and only line ends more."""
        block = bytes(self._buffer[body:])
        found = _HTTP_LENGTH.match(block)
        end = found.end() + int(found[1]) if found else len(block) + 1
        return (body + end, True) if end <= len(block) and not block[end:].strip(b"\r\n") else None

    def _end_before(self, body: int, start: int) -> int:
        """Where the record before `start` ends, without the line ends that close it."""
        for close in (b"\n",) if self._arc else (_END, b"\n\n", b"\r\n", b"\n"):
            if self._buffer.endswith(close, body, start):
                return start - len(close)
        return start

    def _next_start(self, begin: int, end: int) -> int:
        """Where the next record begins among bytes that may be anything; -1 where none does."""
        if self._arc:
            found = _ARC_LINE.search(self._buffer, begin)
            return found.start() if found and found.start() < end else -1
        starts = []
        for version in (b"WARC/", b"warc/"):
            at = self._buffer.find(version, begin, end)
            while at >= 0 and not _STRICT.match(self._buffer, at):
                at = self._buffer.find(version, at + 1, end)
            starts += [at] if at >= 0 else []
        return min(starts, default=-1)

    def _lose(self, position: int, cause: str, step: int = 0) -> int:
        """Begin to lose bytes at `position`, `step` of them already; returns where to look on."""
        self._lost = (self._at(position), cause)
        self._lost_bytes = step
        return min(position + step, len(self._buffer))

    def _found(self) -> Lost:
        """The loss that ends here."""
        assert self._lost is not None
        offset, cause = self._lost
        lost = Lost(offset, self._lost_bytes if self._plain else 0, cause)
        self._lost, self._lost_bytes = None, 0
        return lost
