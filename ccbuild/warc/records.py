"""Decompressed pieces to WARC records: framed by their own headers, parsed by warcio, nothing lost silently.

Records of types that nobody wants are skipped by their header alone, before they are parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO

from warcio.recordloader import ArcWarcRecordLoader

from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.warc.members import RECORD_START, Damage, Limits, MemberEnd, Piece, inflate, inflated_head

__all__ = ["PAGE_TYPES", "Reader", "Record", "check_archive"]

PAGE_TYPES = frozenset({b"response", b"conversion"})
"""Record types that hold a page: `response` in WARC files, `conversion` in WET files."""

_TYPE = re.compile(rb"\r?\nWARC-Type:[ \t]*([^\r\n;]+?)[ \t]*(?=\r?\n)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r?\nContent-Length:[ \t]*(\d{1,18})[ \t]*(?=\r?\n)", re.IGNORECASE)
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_MAX_HEADER = 1 << 20
_SLACK = 4
"""A record may miss this many bytes at the end of its member: the closing CRLFs that some writers count or forget."""
_EAGER = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record that holds a page."""

    kind: str
    """``response`` or ``conversion``."""
    offset: int
    length: int | None
    url: str
    date: str
    digest: str | None
    truncated: str | None
    status: int | None
    """HTTP status; None for a `conversion`."""
    content_type: str
    """``Content-Type`` of the HTTP header, or of the record for a `conversion`."""
    payload: bytes
    """The body, transfer and content codings undone."""


@dataclass(slots=True)
class Reader:
    """Iterates over the pages of one archive and keeps the account of everything else.

    ``ledger["bytes"]`` balances to the size of the file; in ``ledger["records"]`` each record that is
    no page is dropped as ``record:<type>`` and each damaged range counts as one quarantined record.
    The records that come out are for the caller to count. `damage` names each range that was lost.
    """

    stream: BinaryIO
    name: str
    ledger: Ledger
    limits: Limits = field(default_factory=Limits)
    max_payload_bytes: int = 16 << 20
    damage: list[Damage] = field(default_factory=list)
    _buffer: bytearray = field(default_factory=bytearray)
    _start: int = 0
    """Where in the archive buffer[0] stands: its member's offset, or in a plain file its own."""
    _member: int = 0
    _ended: int | None = None
    _skip: int = 0
    """Bytes still to come of a record that is too large."""
    _plain: bool = False
    _begun: bool = False

    def __iter__(self) -> Iterator[Record]:
        for event in inflate(self.stream, self.limits):
            if isinstance(event, Piece):
                if self._begins_anew(event):
                    yield from self._records(self._ended, slack=_SLACK)
                    self._forget()
                self._take(event)
                if len(self._buffer) > _EAGER:
                    yield from self._records()
            elif isinstance(event, MemberEnd):
                self.ledger["bytes"].keep(event.length)
                self._ended = event.offset + event.length
                yield from self._records(self._ended)
            else:
                yield from self._records()
                self._buffer.clear()
                self._skip = 0
                self._lose(event)
        yield from self._records(self._ended, slack=_SLACK)
        if self._buffer.strip() or self._skip:
            self._lose(Damage(self._start, 0, "truncated_record"))

    def _take(self, piece: Piece) -> None:
        """Append a piece to the buffer."""
        content = piece.content
        if piece.plain:
            self._plain = True
            self.ledger["bytes"].keep(len(content))
        if not self._begun:
            _refuse_other(self.name, content)
        self._begun = True
        if not self._buffer:
            self._start = piece.offset
        self._member = piece.offset
        used = min(self._skip, len(content))
        self._skip -= used
        if self._plain and used:
            self._start += used
        self._buffer += content[used:]

    def _begins_anew(self, piece: Piece) -> bool:
        """Whether a new member begins a record, so that what is left of the one before is all there is of it."""
        left = bool(self._buffer) or self._skip > 0
        return left and not self._plain and piece.offset != self._member and piece.content.startswith(RECORD_START)

    def _forget(self) -> None:
        """Give up what is left of a record that ended too soon."""
        if self._buffer.strip() or self._skip:
            self._lose(Damage(self._start, 0, "short_record"))
        self._buffer.clear()
        self._skip = 0

    def _records(self, end: int | None = None, *, slack: int = 0) -> Iterator[Record]:
        """The complete records in the buffer; `end` is where their member ended, `slack` bytes may miss at its end."""
        position, buffer = 0, self._buffer
        while True:
            while position < len(buffer) and buffer[position] in b"\r\n":
                position += 1
            if position >= len(buffer):
                break
            if not buffer.startswith(RECORD_START, position):
                position = self._between(position)
                continue
            header = _HEADER_END.search(buffer, position, position + _MAX_HEADER)
            if header is None and len(buffer) - position < _MAX_HEADER:
                break
            length = _LENGTH.search(buffer, position, header.end()) if header else None
            if header is None or length is None:
                self._lose(Damage(self._at(position), 0, "bad_header"))
                position = header.end() if header else position + len(RECORD_START)
                continue
            stop = header.end() + int(length[1])
            if stop - position > self.limits.max_record_bytes:
                self._lose(Damage(self._at(position), 0, "record_too_large"))
                self._skip = max(stop - len(buffer), 0)
                position = min(stop, len(buffer))
                continue
            if stop > len(buffer) + slack:
                break
            record = self._record(position, header.end(), stop, end)
            if record is not None:
                yield record
            position = min(stop, len(buffer))
        del buffer[:position]
        self._start = self._start + position if self._plain else self._start if buffer else self._member

    def _at(self, position: int) -> int:
        """Offset in the archive of buffer[position]."""
        return self._start + position if self._plain else self._start

    def _record(self, begin: int, body: int, stop: int, end: int | None) -> Record | None:
        """The framed record when it holds a page; None when it was counted instead."""
        kind = _TYPE.search(self._buffer, begin, body)
        name = bytes(kind[1]).lower() if kind else b"unknown"
        if name not in PAGE_TYPES:
            self.ledger["records"].drop("record:" + re.sub(r"[^a-z]", "", name.decode("ascii", "replace"))[:16])
            return None
        at = self._at(begin)
        length = stop - begin if self._plain else end - at if end is not None and end > at else None
        try:
            return self._parse(bytes(self._buffer[begin:stop]), name.decode(), at, length)
        except Exception:  # the border: whatever a parser says of hostile bytes, the record is quarantined
            self._lose(Damage(at, 0, "unreadable_record"))
            return None

    def _parse(self, frame: bytes, kind: str, offset: int, length: int | None) -> Record:
        record = ArcWarcRecordLoader().parse_record_stream(BytesIO(frame))
        header = record.rec_headers.get_header
        http = record.http_headers
        status = http.get_statuscode() if http else None
        content_type = (http.get_header("Content-Type") if http else record.content_type) or ""
        payload = record.content_stream().read(self.max_payload_bytes + 1)
        truncated = header("WARC-Truncated") or ("max_payload_bytes" if len(payload) > self.max_payload_bytes else None)
        return Record(
            kind=kind,
            offset=offset,
            length=length,
            url=(header("WARC-Target-URI") or "").strip("<> "),
            date=header("WARC-Date") or "",
            digest=header("WARC-Payload-Digest"),
            truncated=truncated,
            status=int(status) if status and status.isdigit() else None,
            content_type=content_type,
            payload=payload[: self.max_payload_bytes],
        )

    def _between(self, position: int) -> int:
        """Bytes between records that are no record: counted once, skipped to the next record or the end."""
        self._lose(Damage(self._at(position), 0, "not_a_record"))
        found = self._buffer.find(RECORD_START, position)
        return len(self._buffer) if found < 0 else found

    def _lose(self, damage: Damage) -> None:
        self.damage.append(damage)
        self.ledger["records"].quarantine(damage.cause)
        if damage.length:
            self.ledger["bytes"].quarantine(damage.cause, damage.length)


def check_archive(name: str, head: bytes) -> None:
    """Raise `InputError` for a file that begins with `head` (1 KiB will do) and is no WARC file, damaged or not."""
    content = inflated_head(head)
    if content:
        _refuse_other(name, content)


def _refuse_other(name: str, content: bytes) -> None:
    """Raise `InputError` for decompressed bytes that do not begin as WARC does."""
    if content.lstrip().startswith(RECORD_START):
        return
    if content.lstrip().startswith(b"filedesc://"):
        raise InputError(f"{name} is an ARC file; WARC and WET files are read. Convert it: warcio recompress.")
    raise InputError(
        f"{name} is no WARC: it begins with {content[:16]!r}, not b'WARC/'. Name *.warc.gz or *.wet.gz files."
    )
