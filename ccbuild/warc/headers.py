"""Headers of WARC 0.17 to 1.1, ARC 1 and 2, and HTTP: by name, in any case, folded or not, CRLF or LF."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = [
    "ARC_START",
    "WARC_START",
    "CommonFields",
    "Fields",
    "Head",
    "Name",
    "arc_head",
    "begins_record",
    "http_fields",
    "warc_head",
]

WARC_START = re.compile(rb"(?:WARC|warc)/\d\.\d{1,2}[ \t]*\r?\n")
_IP = rb"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}:[0-9a-fA-F:.]{1,41})"
ARC_START = re.compile(
    rb"(?:filedesc://[^\n]*|[A-Za-z][A-Za-z0-9+.-]{1,15}:[^\n]{0,8192}? \S{1,45} "
    rb"(?:-|\d{4,18}) [^\n]{0,512}|[A-Za-z][A-Za-z0-9+.-]{1,15}:[^\n]{0,8192} \d{12,18} [^\n]{0,512}"
    rb"|[A-Za-z][A-Za-z0-9+.-]{1,15}:\S{0,8192} %b \S{0,32} [^\n]{0,512}) -?\w{1,20}\r?\n" % _IP
)
"""An ARC record line: URL, IP, date, type, (version 2: result, checksum, location, offset, file,) length. Writers put
spaces and carriage returns into URLs, spaces into types, 4 to 18 digits into dates, and swap fields; a date after an IP
address may be anything."""
_ARC_FIELDS = re.compile(rb"(?s)(\S+?:.*?) (\S{1,45}) (-|\d{4,18}) (.*?) ?(\S+)\s*")
_ARC_UNDATED = re.compile(rb"(\S+?:\S*) (%b) ((?![a-z]+/[a-z])\S{0,32}) (.*?) ?(\S+)\s*" % _IP)
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_LENGTH = re.compile(rb"\ncontent-length[ \t]*:[ \t]*(-?[0-9]{1,20})[ \t]*\r?\n")
_FOLDED = re.compile(rb"\n[ \t]")
_COMMON = re.compile(
    rb"\n(WARC-(?:Target-URI|Date|Payload-Digest|Truncated|Segment-Number|Identified-Content-Language|"
    rb"Identified-Payload-Type)|Content-Type): ([^\r]*)"
)
_HTTP = re.compile(
    rb"\n(content-type|content-encoding|transfer-encoding|x-robots-tag|tdm-reservation):([^\n]*)", re.IGNORECASE
)
_MAX_HEADER = 1 << 20


def begins_record(content: bytes | bytearray, position: int = 0) -> bool:
    """Whether a WARC or ARC record begins at `position`."""
    return bool(WARC_START.match(content, position) or ARC_START.match(content, position))


class Name:
    """A field's name, as it is looked for."""

    __slots__ = ("common", "low")

    def __init__(self, name: str) -> None:
        """`name` in the usual case, as ``WARC-Date``."""
        self.common = name.encode()
        self.low = f"\n{name.lower()}:".encode()


_TYPE = Name("WARC-Type")


class CommonFields:
    """The fields that a page needs of a header that is written the common way: the usual case, CRLF, nothing folded.

    One search of the record as it stands, at a third of the cost of :class:`Fields`.
    """

    __slots__ = ("_values",)

    def __init__(self, content: bytes, end: int) -> None:
        """The header is ``content[:end]``, with the line feed of its last line."""
        self._values: dict[bytes, bytes] = dict(reversed(_COMMON.findall(content, 0, end)))

    def get(self, name: Name) -> str | None:
        """The value of the field `name`; None where it is absent."""
        value = self._values.get(name.common)
        return value if value is None else value.decode() if value.isascii() else _text(value)


class Fields:
    """Named fields of a header; `get` gives the first of a name."""

    __slots__ = ("_low", "_raw")

    def __init__(self, raw: bytes) -> None:
        """`raw` begins with the version or status line, which is no field, and ends with a line feed."""
        self._raw = raw = _FOLD.sub(b" ", raw) if _FOLDED.search(raw) else raw
        self._low = raw.lower()

    def get(self, name: Name) -> str | None:
        """The value of the field `name`; None where it is absent."""
        at = self._low.find(name.low)
        if at < 0:
            return None
        value = self._raw[at + len(name.low) : self._raw.find(b"\n", at + 1)].strip()
        return value.decode() if value.isascii() else _text(value)

    @property
    def sane(self) -> bool:
        """Whether this is one header, as far as can be told: no NUL, no second type."""
        return b"\0" not in self._raw and self._low.count(_TYPE.low) < 2

    @property
    def length(self) -> int | None:
        """The stated Content-Length; None where it is missing, negative or no number."""
        found = _LENGTH.search(self._low)
        return int(found[1]) if found and not found[1].startswith(b"-") else None


def http_fields(raw: bytes) -> tuple[str | None, str | None, str | None, str | None]:
    r"""(Content-Type, Content-Encoding, Transfer-Encoding, X-Robots-Tag) of an HTTP header; None for what is absent.

    `raw` ends with a line feed. The first of a name counts; of X-Robots-Tag all do, a header a line, and what reserves
    the rights to text and data mining (`TDM-Reservation: 1`) is one of them.

    >>> http_fields(b"HTTP/1.1 200 OK\nContent-type: text/html\nX-Robots-Tag: noai\nx-robots-tag: noindex\n")
    ('text/html', None, None, 'noai\nnoindex')
    """
    found: dict[bytes, str] = {}
    robots: list[str] = []
    for name, value in _HTTP.findall(_FOLD.sub(b" ", raw) if _FOLDED.search(raw) else raw):
        low = name.lower()
        if low == b"x-robots-tag":
            robots.append(_text(value.strip()))
        elif low == b"tdm-reservation":
            robots += ["tdm-reservation"] * (value.strip() == b"1")
        elif low not in found:
            found[low] = _text(value.strip())
    get = found.get
    return get(b"content-type"), get(b"content-encoding"), get(b"transfer-encoding"), "\n".join(robots) or None


def _text(value: bytes) -> str:
    """A value as UTF-8 where it is that, else as Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


class Head(NamedTuple):
    """A record's header as framing needs it."""

    kind: str
    """Record type in lower case; ``filedesc`` for an ARC file's first record."""
    body: int
    """Where the block begins in the buffer."""
    length: int | None
    """Bytes of the block as stated; None where nothing usable is."""
    fields: Fields
    """All fields. ARC's are given WARC's names."""
    sane: bool = True
    """False where two headers were joined by damage: NULs, or two types."""


def warc_head(buffer: bytes | bytearray, position: int) -> Head | None:
    """The header that begins at `position`; None when its end is not within 1 MiB."""
    end = _HEADER_END.search(buffer, position, position + _MAX_HEADER)
    if end is None:
        return None
    fields = Fields(bytes(buffer[position : end.start()]) + b"\r\n")
    kind = re.sub(r"[^a-z]", "", (fields.get(_TYPE) or "").lower())[:16] or "unknown"
    return Head(kind, end.end(), fields.length, fields, fields.sane)


def arc_head(buffer: bytes | bytearray, position: int) -> Head | None:
    """The ARC record line at `position`; None when it has no end within 1 MiB."""
    end = buffer.find(b"\n", position, position + _MAX_HEADER)
    if end < 0:
        return None
    line = bytes(buffer[position:end]).strip()
    found = _ARC_FIELDS.fullmatch(line)
    if found is None or b" " in found[1]:
        found = _ARC_UNDATED.fullmatch(line) or found
    if found:
        url, _, date, mime, length = found.groups()
    else:  # fields transposed or missing: what can be told by its look
        url, _, rest = line.partition(b" ")
        dates = re.findall(rb"(?<!\S)\d{12,18}(?!\S)", rest)
        date, mime, length = dates[0] if dates else b"-", b"", line.rsplit(b" ", 1)[-1]
    kind = "filedesc" if line.startswith(b"filedesc:") else "dns" if line.startswith(b"dns:") else "response"
    as_warc = b"ARC\nWARC-Target-URI: %b\nWARC-Date: %b\nContent-Type: %b\n"
    fields = Fields(as_warc % (url.replace(b"\r", b""), _iso(date), mime))
    return Head(kind, end + 1, int(length) if length.isdigit() and len(length) < 20 else None, fields)


def _iso(date: bytes) -> bytes:
    """An ARC date as WARC writes it, as far as it goes; too many digits are cut. What is no date is given as it is.

    >>> _iso(b"20140216050221"), _iso(b"201601"), _iso(b"unknown")
    (b'2014-02-16T05:02:21Z', b'2016-01', b'unknown')
    """
    if not date.isdigit():
        return date
    parts = [date[:4], date[4:6], date[6:8], date[8:10], date[10:12], date[12:14]]
    if len(date) < 14:
        return b"-".join(p for p in parts[:3] if p)
    return b"%b-%b-%bT%b:%b:%bZ" % tuple(parts)
