"""How a demo page's bytes are encoded, and what its server and its HTML say of that, which may be wrong."""

from __future__ import annotations

import html
import random
from dataclasses import dataclass

__all__ = ["LEGACY", "UTF8_HEADER", "UTF8_META", "Encoding", "carries", "choose_encoding", "encode"]

LEGACY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("be", "bg", "mk", "sr"), ("windows-1251", "iso-8859-5")),
    **dict.fromkeys(("cs", "hr", "hu", "pl", "ro", "sk", "sl"), ("iso-8859-2", "windows-1250")),
    **dict.fromkeys(
        ("ca", "da", "de", "es", "eu", "fi", "fr", "gl", "is", "it", "nl", "no", "pt", "sv"), ("iso-8859-1",)
    ),
    **dict.fromkeys(("et", "lt", "lv"), ("windows-1257",)),
    **dict.fromkeys(("ar", "fa", "ur"), ("windows-1256",)),
    "az": ("windows-1254",),
    "el": ("iso-8859-7", "windows-1253"),
    "en": ("windows-1252",),
    "he": ("windows-1255",),
    "ja": ("shift_jis", "euc-jp"),
    "ko": ("euc-kr",),
    "ru": ("windows-1251", "koi8-r"),
    "th": ("windows-874",),
    "tr": ("iso-8859-9", "windows-1254"),
    "uk": ("windows-1251", "koi8-u"),
    "zh-Hans": ("gb18030", "gbk"),
    "zh-Hant": ("big5",),
}
"""Code to the encodings that its sites used before UTF-8, by their WHATWG labels."""

_CODECS = {
    "windows-874": "cp874",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "iso-8859-1": "cp1252",
    "iso-8859-9": "cp1254",
}
"""Where browsers mean another table by a label than Python does. https://encoding.spec.whatwg.org/#names-and-labels"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """What a page is, and what it claims to be."""

    charset: str
    """The encoding of the bytes, by its WHATWG label."""
    case: str
    """What the claims are, as :func:`choose_encoding` lists them."""
    header: str | None = None
    """``charset=`` of the HTTP header; None: not given."""
    meta: str | None = None
    """``charset`` of the HTML; None: not given."""


UTF8_HEADER = Encoding(charset="utf-8", case="utf8_header", header="utf-8", meta="utf-8")
UTF8_META = Encoding(charset="utf-8", case="utf8_meta", meta="utf-8")


def choose_encoding(lang: str, rng: random.Random) -> Encoding:
    """An encoding and its declaration; about one page in seven is in a legacy charset where the language had one.

    Cases: ``utf8_header``, ``utf8_meta``, ``utf8_undeclared``, ``utf8_says_latin1`` (the header of an old server),
    ``legacy_header``, ``legacy_meta``, ``legacy_undeclared``, ``legacy_says_utf8``.
    """
    kind = rng.random()
    charset = rng.choice(LEGACY.get(lang, ("utf-8",)))
    if charset == "utf-8" or kind >= 0.15:
        if kind < 0.93:
            return UTF8_HEADER if rng.random() < 0.6 else UTF8_META
        if kind < 0.97:
            return Encoding(charset="utf-8", case="utf8_undeclared")
        return Encoding(charset="utf-8", case="utf8_says_latin1", header="iso-8859-1")
    if kind < 0.06:
        return Encoding(charset=charset, case="legacy_header", header=charset)
    if kind < 0.12:
        return Encoding(charset=charset, case="legacy_meta", meta=charset)
    if kind < 0.14:
        return Encoding(charset=charset, case="legacy_undeclared")
    return Encoding(charset=charset, case="legacy_says_utf8", header="utf-8", meta="utf-8")


def carries(charset: str, text: str) -> bool:
    """Whether `text` comes back unchanged: the wave dash of Japanese, for one, does not from Shift JIS."""
    return html.unescape(encode(html.escape(text), charset).decode(_CODECS.get(charset, charset))) == text


def encode(page: str, charset: str) -> bytes:
    """`page` in `charset`; what the charset lacks becomes a numeric character reference, as authors did."""
    return page.encode(_CODECS.get(charset, charset), errors="xmlcharrefreplace")
