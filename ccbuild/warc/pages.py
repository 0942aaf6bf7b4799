"""A framed record that holds a page to what the rest of the toolkit needs of it."""

from __future__ import annotations

import base64
import hashlib
from io import BytesIO
from typing import NamedTuple

from warcio.recordloader import ArcWarcRecordLoader

from ccbuild.warc.headers import CommonFields, Fields, Name, http_fields
from ccbuild.warc.mime import true_type
from ccbuild.warc.payload import decode_payload

__all__ = ["Record", "digest_holds", "page_record", "page_record_by_warcio"]


_URL, _DATE, _TRUNCATED = Name("WARC-Target-URI"), Name("WARC-Date"), Name("WARC-Truncated")
_SEGMENT, _LANGUAGES = Name("WARC-Segment-Number"), Name("WARC-Identified-Content-Language")
_PAYLOAD_DIGEST, _BLOCK_DIGEST = Name("WARC-Payload-Digest"), Name("WARC-Block-Digest")
_CONTENT_TYPE, _IDENTIFIED = Name("Content-Type"), Name("WARC-Identified-Payload-Type")

Place = tuple[int, int | None]
"""(offset, length) of the member, or of the record in a plain archive."""


class Record(NamedTuple):
    """One record that holds a page."""

    kind: str
    """``response``, ``conversion`` or ``resource``."""
    offset: int
    """Where its member begins in the archive; in a plain file, where it begins itself."""
    length: int | None
    """Bytes of the archive that hold it; None when it shares its member, or spans several."""
    url: str
    date: str
    digest: str | None
    """``WARC-Payload-Digest`` as stated."""
    truncated: str | None
    """Why the payload is not the whole: ``WARC-Truncated`` as the crawler states it, ``segment`` (the rest is in
    continuation records), ``max_payload_bytes``, or ``content_coding`` (its coding breaks off)."""
    status: int | None
    """HTTP status; None for a `conversion`, and for a response that is not HTTP's."""
    content_type: str
    """``Content-Type`` of the HTTP header, or of the record where there is none; with another type in it where the
    payload is of another (:func:`ccbuild.warc.mime.true_type`)."""
    payload: bytes
    """The body, transfer and content codings undone."""
    robots: str | None = None
    """``X-Robots-Tag`` of the HTTP header, one a line, and ``tdm-reservation`` where it reserves these rights."""
    languages: str | None = None
    """``WARC-Identified-Content-Language`` as stated: CLD2's guess in Common Crawl's files from 2018-39 on."""


def page_record(
    kind: str, fields: Fields | CommonFields, block: bytes, body: int, stop: int, place: Place, limit: int
) -> Record:
    """The record whose block is ``block[body:stop]``; `place` is (offset, length), `limit` bounds the payload."""
    get = fields.get
    url, date = get(_URL), get(_DATE)
    if url is None or date is None:  # missing, or not written the common way
        get = Fields(block[: block.find(b"\n\r\n", 0, body) + 1]).get if type(fields) is CommonFields else get
        url, date = get(_URL) or "", get(_DATE) or ""
    status, content_type, robots, cut = None, None, None, None
    if kind != "conversion" and block.startswith(b"HTTP/", body):
        end, begin = _http_header(block, body, stop)
        status = _status(block, body)
        content_type, coding, transfer, robots = http_fields(block[body:end])
        payload = block[begin:stop]
        if transfer is not None or coding is not None or payload.startswith(b"\x1f\x8b"):
            payload, cut = decode_payload(payload, transfer, coding, limit)
    else:
        payload = block[body:stop]
        content_type = get(_CONTENT_TYPE)
        if content_type and content_type.startswith("application/http"):
            content_type = None
    if len(payload) > limit:
        payload, cut = payload[:limit], "max_payload_bytes"
    values = (
        kind,
        *place,
        url.strip("<> ") if url[:1] in "<" else url,
        date,
        get(_PAYLOAD_DIGEST),
        get(_TRUNCATED) or ("segment" if get(_SEGMENT) else cut),
        status,
        content_type or "" if kind == "conversion" else true_type(content_type or "", get(_IDENTIFIED), payload),
        payload,
        robots,
        get(_LANGUAGES) if kind == "conversion" else None,
    )
    return tuple.__new__(Record, values)  # half the time of Record(…)


def _status(block: bytes, begin: int) -> int | None:
    """The status in the line that begins with HTTP/.

    >>> _status(b"HTTP/1.1 200 OK", 0), _status(b"HTTP/2 404", 0), _status(b"HTTP/1.1 OK", 0)
    (200, 404, None)
    """
    code = block[begin + 9 : begin + 12]
    if not (code.isdigit() and len(code) == 3):
        words = block[begin : begin + 16].split(None, 2)
        code = words[1][:3] if len(words) > 1 else b""
    return int(code) if code.isdigit() else None


def _http_header(block: bytes, begin: int, stop: int) -> tuple[int, int]:
    """(end of the HTTP header with its last line feed, begin of the body), whichever line ends it uses."""
    crlf = block.find(b"\r\n\r\n", begin, stop)
    lf = block.find(b"\n\n", begin, crlf if crlf >= 0 else stop)
    if lf >= 0:
        return lf + 1, lf + 2
    return (crlf + 2, crlf + 4) if crlf >= 0 else (stop, stop)  # no blank line: a header alone


def page_record_by_warcio(kind: str, frame: bytes, place: Place, limit: int) -> Record:
    """What warcio makes of a WARC record: a second opinion, asked where :func:`page_record` fails.

    It decodes gzip, deflate, br and chunks as claimed, and costs several times as much.
    """
    record = ArcWarcRecordLoader().parse_record_stream(BytesIO(frame))
    header, http = record.rec_headers.get_header, record.http_headers
    status = http.get_statuscode() if http else None
    payload = record.content_stream().read(limit + 1)
    content_type = (http.get_header("Content-Type") if http else record.content_type) or ""
    return Record(
        kind,
        *place,
        (header("WARC-Target-URI") or "").strip("<> "),
        header("WARC-Date") or "",
        header("WARC-Payload-Digest"),
        header("WARC-Truncated") or ("max_payload_bytes" if len(payload) > limit else None),
        int(status) if status and status.isdigit() else None,
        content_type if kind == "conversion" else true_type(content_type, header(_IDENTIFIED.common.decode()), payload),
        payload[:limit],
        http_fields(http.to_ascii_bytes())[3] if http else None,
        header("WARC-Identified-Content-Language"),
    )


def digest_holds(fields: Fields, block: bytes) -> bool:
    """Whether the record states a SHA-1 of its block, or of its payload, and these bytes have it."""
    stated = fields.get(_BLOCK_DIGEST)
    if stated is None:
        stated = fields.get(_PAYLOAD_DIGEST)
        block = block[_http_header(block, 0, len(block))[1] :] if block.startswith(b"HTTP/") else block
    if stated is None or not stated.lower().startswith("sha1:"):
        return False
    found = hashlib.sha1(block, usedforsecurity=False)
    return stated[5:].strip() in (base64.b32encode(found.digest()).decode(), found.hexdigest())
