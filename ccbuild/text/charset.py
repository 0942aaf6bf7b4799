"""Bytes of a page to text: the encoding that the WHATWG standard would choose, and the mis-declared ones caught."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

__all__ = ["decode"]

_HEADER = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:+-]+)", re.IGNORECASE)
_META = re.compile(rb"<meta[\s/][^>]{0,512}?charset\s*=\s*[\"']?\s*([\w.:+-]+)", re.IGNORECASE)
_XML = re.compile(rb"\s{0,64}<\?xml[^>]{0,256}?encoding\s*=\s*[\"']\s*([\w.:+-]+)")
_LANG = re.compile(rb"<html[^>]{0,512}?\slang\s*=\s*[\"']?\s*([A-Za-z]{2,3}(?:-[A-Za-z]+)?)", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_CONTROLS = re.compile("[\x80-\x9f]")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_PRESCAN = 4096
"""Bytes searched for `<meta>`. The standard says 1,024; pages with long scripts before it are common."""
_PASSING = frozenset({"iso2022_jp", "utf-16-le", "utf-16-be"})
"""Encodings whose bytes can pass for another's: they are believed only where the bytes bear it out."""
_CODECS = {
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gbk": "gb18030",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "shift_jis": "cp932",
}
"""The standard's decoder where a namesake of Python's reads less than it."""
_WINDOWS = {
    "iso8859-1": "cp1252",
    "iso8859-2": "cp1250",
    "iso8859-4": "cp1257",
    "iso8859-7": "cp1253",
    "iso8859-8": "cp1255",
    "iso8859-13": "cp1257",
}
"""Windows' relative of an ISO encoding: it has quotation marks where the other has controls, which no page holds."""
_LEGACY = {
    **dict.fromkeys("ba be bg kk ky mk ru sah sr tg tt uk".split(), "cp1251"),
    **dict.fromkeys("ar fa".split(), "cp1256"),
    **dict.fromkeys("et lt lv".split(), "cp1257"),
    **dict.fromkeys("cs hr sk".split(), "cp1250"),
    **dict.fromkeys("hu pl sl".split(), "iso8859-2"),
    **dict.fromkeys("ku tr".split(), "cp1254"),
    **dict.fromkeys("zh-tw zh-hk zh-hant".split(), "big5hkscs"),
    "el": "iso8859-7",
    "he": "cp1255",
    "ja": "cp932",
    "ko": "cp949",
    "th": "cp874",
    "vi": "cp1258",
    "zh": "gb18030",
}
"""What a browser of that language assumes where nothing is declared: HTML standard, 13.2.3.2, the table of locales."""


def decode(payload: bytes, content_type: str) -> tuple[str, str]:
    """(text, name of the encoding used, as Python's codecs have it).

    Order: byte order mark; valid UTF-8, whatever was declared; HTTP header; `<meta>` or the XML declaration;
    detection; the page's language. A declaration that the bytes contradict is passed over: its decoding holds
    replacement characters or controls in numbers. What no encoding explains is decoded with U+FFFD for the bad
    bytes, never refused. A page of 10 KB in UTF-8 takes 8 µs.
    """
    for mark, name in _BOMS:
        if payload.startswith(mark):
            return payload[len(mark) :].decode(name, "replace"), name
    if b"\x1b" not in payload and b"\0" not in payload:
        try:
            return payload.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            pass
    return _decode_legacy(payload, content_type)


def _decode_legacy(payload: bytes, content_type: str) -> tuple[str, str]:
    """The same for what is not plain UTF-8."""
    utf8 = payload.decode("utf-8", "replace")
    readable = utf8.count("\ufffd") * 10 <= _letters_beyond_ascii(utf8)
    tried: set[str] = set()
    for name, declared in _candidates(payload, content_type):
        if name in tried:
            continue
        tried.add(name)
        if name in _PASSING:
            if _contradicted(payload, name):
                continue
        elif readable:  # one broken ad does not make a page Latin-1
            return utf8, "utf-8"
        elif name == "utf-8":
            continue
        text, used = _decode_as(payload, name, declared=declared)
        if not _wrong(text):
            return text, used
    return (utf8, "utf-8") if readable else (payload.decode("cp1252", "replace"), "cp1252")


def _candidates(payload: bytes, content_type: str) -> Iterator[tuple[str, bool]]:
    """Encodings to try, as Python names them, the most trusted first, and whether the page declares them.

    Detection, which is dear, runs only when it is asked for.
    """
    header = _HEADER.search(content_type)
    if header and (name := _known(header[1])):
        yield name, True
    if b"\x1b$" in payload and payload.isascii():
        yield "iso2022_jp", False
    head = _COMMENT.sub(b"", payload[:_PRESCAN])
    if b"\0" in head:
        yield from (("utf-16-le", False), ("utf-16-be", False))
    declared = _META.search(head) or _XML.match(head)
    if declared and (name := _known(declared[1].decode("ascii", "replace"))):
        yield ("utf-8" if name in _PASSING - {"iso2022_jp"} else name), True  # what could be read is not UTF-16
    detected = _known(detect_encoding(payload) or "")
    if detected:
        yield detected, False
    lang = _LANG.search(head)
    code = lang[1].decode("ascii").lower() if lang else ""
    if legacy := _LEGACY.get(code) or _LEGACY.get(code.partition("-")[0]):
        yield legacy, False


def _known(label: str) -> str | None:
    """Python's name of the encoding that the standard gives to a label; None for a label that it does not know."""
    name: str | None = map_encoding_to_html5(label.lower(), False)
    if name is None:
        name = {"x-mac-cyrillic": "mac-cyrillic", "x-mac-ukrainian": "mac-cyrillic", "x-user-defined": "cp1252"}.get(
            label.lower()
        )
    return _CODECS.get(name, name) if name else None


def _decode_as(payload: bytes, name: str, *, declared: bool) -> tuple[str, str]:
    """(text, encoding that was used): the one named, or its relative that reads these bytes better."""
    if name == "cp949":
        try:  # the relative spells a few syllables letter by letter, which this one joins
            return payload.decode("euc_kr"), "euc_kr"
        except UnicodeDecodeError:
            pass
    text = payload.decode(name, "replace")
    controls = len(_CONTROLS.findall(text)) if name in _WINDOWS else 0
    if controls * 100 > (max(_letters_beyond_ascii(text), 200) if declared else 0):
        name = _WINDOWS[name]
        text = payload.decode(name, "replace")
    return text, name


def _letters_beyond_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


def _contradicted(payload: bytes, name: str) -> bool:
    """Whether the bytes cannot be in an encoding whose bytes can pass for another's."""
    if name == "iso2022_jp":
        return b"\x1b" not in payload or not payload.isascii()
    sign = b"<\0" if name == "utf-16-le" else b"\0<"
    even, odd = payload[::2].count(b"<"), payload[1::2].count(b"<")
    return payload.count(sign) * 2 <= max(even, odd) or (even > odd) != (name == "utf-16-le")


def _wrong(text: str) -> bool:
    """Whether decoding gave what no page holds: replacement characters, or C1 controls in numbers."""
    if text.isascii():
        return False
    bad = text.count("\ufffd") + sum(text.count(c) for c in "\x81\x8d\x8f\x90\x9d")
    return bad * 200 > len(text)
