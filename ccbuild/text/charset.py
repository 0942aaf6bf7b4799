"""Bytes of a page to text: the encoding that the WHATWG standard would choose, and the mis-declared ones caught."""

from __future__ import annotations

import codecs
import re

from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

__all__ = ["decode"]

_HEADER = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_META = re.compile(rb"<meta[^>]{0,256}?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_PRESCAN = 4096
"""Bytes searched for `<meta>`. The standard says 1,024; pages with long scripts before it are common."""
_MENDED = {"iso8859-11": "cp874"}
"""The standard reads ISO 8859-11 as windows-874, which has quotation marks where the other has controls."""
_SEVEN_BIT = frozenset({"iso2022_jp", "utf-16-le", "utf-16-be"})
"""Encodings whose bytes can pass for UTF-8 without being it."""


def decode(payload: bytes, content_type: str) -> tuple[str, str]:
    """(text, name of the encoding used, as Python's codecs have it).

    Order: byte order mark; valid UTF-8 with non-ASCII bytes, whatever was declared; HTTP header;
    `<meta>`; detection. A declaration that the bytes contradict is passed over. What no encoding
    explains is decoded with U+FFFD for the bad bytes, never refused.
    """
    for mark, name in _BOMS:
        if payload.startswith(mark):
            return payload[len(mark) :].decode(name, "replace"), name
    declared = _declared(payload, content_type)
    if declared not in _SEVEN_BIT:
        try:
            return payload.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            pass
    if declared is not None and declared != "utf-8":
        text: str = bytes_to_str(payload, declared, "replace")
        if not _wrong(text):
            return text, declared
    detected = map_encoding_to_html5(detect_encoding(payload) or "windows-1252") or "cp1252"
    if declared == "utf-8" and _mostly_utf8(payload):
        detected = "utf-8"
    return bytes_to_str(payload, detected, "replace"), detected


def _declared(payload: bytes, content_type: str) -> str | None:
    """The encoding that the HTTP header or `<meta>` states; None when neither names a known one."""
    header = _HEADER.search(content_type)
    named = header[1] if header else None
    known = map_encoding_to_html5(named, False) if named else None
    if known is None:
        meta = _META.search(payload[:_PRESCAN])
        named = meta[1].decode("ascii", "replace") if meta else None
        known = map_encoding_to_html5(named, False) if named else None
        if known in ("utf-16-le", "utf-16-be"):  # a meta that could be read is not UTF-16
            known = "utf-8"
    return _MENDED.get(known, known) if known else None


def _wrong(text: str) -> bool:
    """Whether decoding gave what no page holds: replacement characters, or C1 controls in numbers."""
    if text.isascii():
        return False
    bad = text.count("\ufffd") + sum(text.count(c) for c in "\x81\x8d\x8f\x90\x9d")
    return bad * 200 > len(text)


def _mostly_utf8(payload: bytes) -> bool:
    """Whether all but a few sequences are valid UTF-8: one broken ad does not make a page Latin-1."""
    text = payload.decode("utf-8", "replace")
    beyond_ascii = sum(not c.isascii() for c in text)
    return text.count("\ufffd") * 10 < beyond_ascii
