"""Decompressed pieces to WARC and ARC records: framed by their own headers, nothing lost silently.

Most members hold one record and nothing else; it is read from the member as it stands. Everything
else goes through a buffer in which records are found one after another, whatever members they begin
and end in. Records of types that nobody wants are skipped by their header alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.warc.framing import Frame, Framer, Lost, only_record, record_within
from ccbuild.warc.headers import ARC_START, CommonFields, Fields, begins_record
from ccbuild.warc.members import Damage, Limits, Padding, Piece, inflated_head, pieces
from ccbuild.warc.mime import is_html
from ccbuild.warc.pages import Place, Record, digest_holds, page_record, page_record_by_warcio

__all__ = ["PAGE_TYPES", "Reader", "Record", "check_archive"]

PAGE_TYPES = frozenset({"response", "conversion"})
"""Record types that hold a page: `response` in WARC and ARC files, `conversion` in WET files. A `revisit` has no
payload; a `resource` was not got by HTTP, and is a page by choice: what is no page is counted and dropped."""


@dataclass(slots=True)
class Reader:
    """Iterates over the pages of one archive and keeps the account of everything else.

    ``ledger["bytes"]`` balances to the size of the file: read bytes are kept, damaged ranges
    quarantined, zeros that pad the file dropped as ``zero_padding``. In ``ledger["records"]`` each
    record that is no page is dropped as ``record:<type>`` and each loss counts as one quarantined
    record. The records that come out are for the caller to count. `damage` names each range that was
    lost, and what was saved around it.

    `InputError` is raised for a file that is neither WARC nor ARC; nothing else but what `stream` raises.
    """

    stream: BinaryIO
    name: str
    ledger: Ledger
    limits: Limits = field(default_factory=Limits)
    max_payload_bytes: int = 16 << 20
    resources: bool = False
    """Whether `resource` records that hold HTML are pages too."""
    damage: list[Damage] = field(default_factory=list)
    _skipped: dict[bytes, int] = field(default_factory=dict)
    _read_bytes: int = 0
    _given: int = 0
    """Records that the member at hand has given so far."""

    def __iter__(self) -> Iterator[Record]:
        try:
            yield from self._pages()
        finally:
            self.ledger["bytes"].keep(self._read_bytes)
            for kind, count in self._skipped.items():
                self._drop(kind.decode("latin-1"), count)

    def _pages(self) -> Iterator[Record]:
        framer: Framer | None = None
        idle, max_bytes, skipped = False, self.limits.max_record_bytes, self._skipped
        kinds = {kind.encode(): kind for kind in self._kinds()}
        for event in pieces(self.stream, self.limits):
            if isinstance(event, Piece):
                offset, content, first, ended, plain, _ = event
                if ended is not None:
                    self._read_bytes += ended - offset
                if framer is None:
                    if not content or (event.doubtful and not begins_record(content)):
                        continue
                    framer, idle = self._framer(event), not plain
                alone = only_record(content, max_bytes) if idle and first else None
                if alone is None or ended is None:
                    yield from self._framed(framer, event)
                    idle = framer.idle and not plain
                elif alone[0] in kinds:
                    kind, end = alone
                    place = offset, ended - offset
                    fields = CommonFields(content, end)
                    record = self._record(kinds[kind], fields, content, end + 2, len(content) - 4, place)
                    if record is not None:
                        yield record
                else:
                    skipped[alone[0]] = skipped.get(alone[0], 0) + 1
            elif isinstance(event, Padding):
                self.ledger["bytes"].drop("zero_padding", event.length)
            else:
                self._damaged(framer, event)
                idle = framer is not None
        if framer is not None:
            yield from self._answers(framer.finish())

    def _kinds(self) -> frozenset[str]:
        """Types of the records that may hold a page."""
        return PAGE_TYPES | {"resource"} if self.resources else PAGE_TYPES

    def _framer(self, piece: Piece) -> Framer:
        """A framer for the kind of archive that begins with `piece`."""
        if not piece.doubtful and not self.damage:
            _refuse_other(self.name, piece.content)
        arc = _is_arc(piece.content)
        return Framer(self.limits.max_record_bytes, arc=arc, plain=piece.plain)

    def _framed(self, framer: Framer, piece: Piece) -> Iterator[Record]:
        if piece.first:
            self._given = 0
        if not piece.doubtful:
            yield from self._answers(framer.feed(piece))
            return
        for frame in framer.salvage(piece):
            # Bytes before a cut are as they were written; bytes before a fault may be wrong already.
            block = frame.content[frame.body : frame.stop]
            if piece.doubtful.startswith("truncated") or digest_holds(frame.fields, block):
                yield from self._answers([frame])

    def _answers(self, found: Iterable[Frame | Lost]) -> Iterator[Record]:
        """Records of the frames that hold a page; all else is counted."""
        for answer in found:
            if isinstance(answer, Lost):
                self._read_bytes -= answer.length
                self._lose(Damage(answer.offset, answer.length, answer.cause))
                continue
            self._given += 1
            if answer.mended:
                self.damage.append(Damage(answer.offset, 0, "wrong_length", 1))
            if answer.kind not in self._kinds():
                self._drop(answer.kind)
                continue
            kind, fields, content, body, stop, offset, length, _ = answer
            record = self._record(kind, fields, content, body, stop, (offset, length))
            if record is not None:
                yield record

    def _record(
        self, kind: str, fields: Fields | CommonFields, content: bytes, body: int, stop: int, place: Place
    ) -> Record | None:
        """The record; None when no parser can read it, or a `resource` is no HTML, which is counted."""
        try:
            record = page_record(kind, fields, content, body, stop, place, self.max_payload_bytes)
        except Exception:  # the border: whatever a parser says of hostile bytes, the record is quarantined
            try:
                record = page_record_by_warcio(kind, content, place, self.max_payload_bytes)
            except Exception:
                self._lose(Damage(place[0], 0, "unreadable_record"))
                return None
        if kind == "resource" and not is_html(record.content_type):
            self._drop(kind)
            return None
        return record

    def _damaged(self, framer: Framer | None, damage: Damage) -> None:
        """Report a range that could not be read, and what came out of it before."""
        saved, self._given = self._given if framer and framer.offset == damage.offset else 0, 0
        broken = False
        for lost in framer.drop(damage.cause) if framer else ():
            if lost.offset < damage.offset:
                self._lose(Damage(lost.offset, 0, lost.cause))
            else:
                broken = True
        self.damage.append(Damage(damage.offset, damage.length, damage.cause, saved))
        self.ledger["bytes"].quarantine(damage.cause, damage.length)
        if broken or not saved:
            self.ledger["records"].quarantine(damage.cause)

    def _drop(self, kind: str, count: int = 1) -> None:
        """Count records of a type that holds no page; hostile types become short and harmless."""
        self.ledger["records"].drop("record:" + (re.sub(r"[^a-z]", "", kind.lower())[:16] or "unknown"), count)

    def _lose(self, damage: Damage) -> None:
        self.damage.append(damage)
        self.ledger["records"].quarantine(damage.cause)
        if damage.length:
            self.ledger["bytes"].quarantine(damage.cause, damage.length)


def _is_arc(content: bytes) -> bool:
    """Whether an archive that begins with `content`, damaged or not, is ARC's."""
    begun = content.lstrip()
    return ARC_START.match(begun) is not None or (b"WARC/" not in begun and b"warc/" not in begun)


def check_archive(name: str, head: bytes) -> None:
    """Raise `InputError` for a file that begins with `head` (1 KiB will do) and is no archive, damaged or not."""
    content = inflated_head(head)
    if content:
        _refuse_other(name, content)


def _refuse_other(name: str, content: bytes) -> None:
    """Raise `InputError` for decompressed bytes that do not begin as an archive does."""
    content = content.lstrip()
    if content[:5].upper() != b"WARC/"[: len(content)] and not ARC_START.match(content) and not record_within(content):
        raise InputError(
            f"{name} is no WARC, WET or ARC: it begins with {content[:16]!r}, not b'WARC/'. "
            "Name *.warc.gz, *.wet.gz or *.arc.gz files."
        )
