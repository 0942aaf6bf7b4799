"""Text that is no language: a cheap test in front of the cascade, so that junk does not fall into small languages.

`noise` looks at one text, line or page, and counts: letters against digits and signs, repeated characters and words,
the marks of broken encodings and of program code, and, where lines show it, whether there are sentences at all. Each
limit stands beside what it was measured on: sentences of ELD (59 languages) and real pages, of which it may
take hardly any, and the made junk of tests/ccbuild/langid/junk.py. 10 to 40 µs for 1,000 characters.
"""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["NOISE", "REASONS", "noise"]

NOISE = "zxx"
"""ISO 639-2: no linguistic content."""

REASONS = ("no_letters", "repeated", "mojibake", "code", "numbers", "mash", "menu", "keywords")
"""Every answer of `noise`."""

_SIGNS = re.compile(r"[{}<>=;\\|_$#@*^~\[\]]|\(\)|//|::")
_DIGITS = re.compile(r"\d")
_RUN = re.compile(r"(.)\1{5,}", re.DOTALL)
_MOJIBAKE = re.compile(
    r"[ÂÃ][\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œžŸŽ€]|â€|[ÐÑØÙàá][\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œžŸŽ€]|[ÐÑØÙ]\S[ÐÑØÙ]|�|ï¿½|Р[°-ѕ]С|[РС][‚ѓ„…†‡€‰љњќћџђ‘’“”•–—™°±ІіґµєЅѕ]"
)
_WORD = re.compile(r"[^\W\d_]+")
_LATIN_WORD = re.compile(r"[a-z]{4,}")
_KEYS = "asdf|sdfg|dfgh|fghj|ghjk|hjkl|jkl|qwer|wert|rtyu|zxcv|xcvb|cvbn|vbnm|poiu|lkjh|kjhg|jhgf|fdsa"
_HARD = re.compile(rf"[bcdfghjklmnpqrstvwxz]{{6,}}|{_KEYS}")
_END = re.compile(r"[.!?。！？।॥؟۔։።၊။៖។…:;]|\u0e2f")
_COMMA = re.compile(r"[,|;/•·>»、،]")


def noise(text: str) -> str | None:
    """Why `text` is no language, one of `REASONS`; None when it may be one.

    A short text is only refused for what a short text can show.

    >>> noise("aaaaaaaaaaaaaaaa"), noise("12 34 56 78 (90) x"), noise("asdfgh jkl sdfjkh qwerty"), noise("Habari")
    ('repeated', 'numbers', 'mash', None)
    """
    letters = sum(map(len, _WORD.findall(text)))
    if not letters:
        return "no_letters"
    total = letters + len(_DIGITS.findall(text))
    if total - letters > letters:
        return "numbers"
    if len(text) > 12 and sum(m.end() - m.start() for m in _RUN.finditer(text)) * 3 > len(text):
        return "repeated"
    if not text.isascii() and len(_MOJIBAKE.findall(text)) * 12 > letters:
        return "mojibake"
    if len(_SIGNS.findall(text)) * 10 > letters:
        return "code"
    return _words(text) or _lines(text)


def _words(text: str) -> str | None:
    """Repeated words, and strings of keys that are no words."""
    words = text.lower().split()
    if len(words) >= 12 and Counter(words).most_common(1)[0][1] * 5 > 2 * len(words):
        return "repeated"
    latin = _LATIN_WORD.findall(text.lower())
    if len(latin) >= 2 and sum(1 for word in latin if _HARD.search(word)) * 3 > len(latin):
        return "mash"
    return None


def _lines(text: str) -> str | None:
    """Menus and lists of keywords: many short pieces, no sentence."""
    lines = [line for line in text.split("\n") if line.strip()]
    ends = len(_END.findall(text))
    if len(lines) >= 6 and ends * 10 < len(lines):
        lengths = sorted(len(line) for line in lines)
        if lengths[len(lengths) * 3 // 4] <= 30:
            return "menu"
    commas = len(_COMMA.findall(text))
    words = len(text.split())
    if len(text) > 20 * words:  # no spaces between words: two characters count as one
        words = len(text) // 2
    if commas >= 8 and ends * 8 < commas and commas * 4 > words:
        return "keywords"
    return None
