r"""Characters that nobody sees go, and each letter is written in one way: Unicode's normalisation form C.

A soft hyphen says where a word may be broken, a zero-width space where a line may be: inside a word they make another
word of it for every counter, hash and model. What a script needs stays (Unicode 16, chapters 9.2, 12.1, 16.4, 23.2):

* ZWJ and ZWNJ beside letters of Arabic, of the scripts of India and what descends from them, beside Mongolian and
  emoji: they choose the form of a letter, or make one picture of several;
* zero-width spaces between letters of scripts that set no spaces between words (Thai, Lao, Khmer, Burmese …): they part
  the words.

Form C (UAX 15) is found by table: only a letter with marks that could be composed, or stand in another order, is
looked at by itself. More than `_MOST_MARKS` on one letter are left as they are: sorting them takes quadratic time.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["tidy"]

_SOFT_HYPHEN = "\xad"
_JOINED = (
    "\u0590-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u18af\u1900-\u1cff\ua800-\ua95f\ua980-\uabff\ufb1d-\ufdff"
    "\ufe70-\ufefc\U00010a00-\U00011fff\U0001e900-\U0001e95f"
    "\u2190-\u2bff\u3030\u303d\u3297\u3299\ufe0f\U0001f000-\U0001faff\U000e0020-\U000e007f"
)
"""Blocks whose letters have forms that a joiner chooses, and of emoji with their modifiers."""
_UNSPACED = (
    "\u0e01-\u0e4e\u0e81-\u0ece\u0edc-\u0edf\u0f00-\u0fff\u1000-\u109f\u1780-\u17dd\u1950-\u19df\u1a20-\u1aad"
    "\u1b00-\u1b4c\ua980-\ua9ff\uaa60-\uaadf"
)
"""Letters and marks of scripts that set no spaces between words, digits of Thai, Lao and Khmer left out."""
_UNSEEN = (_SOFT_HYPHEN, "\u200b", "\u200c", "\u200d", "\u2060")
_ZERO_WIDTH = re.compile(
    f"(?<![{_UNSPACED}\u200b])\u200b++|\u200b++(?![{_UNSPACED}])|(?<![{_JOINED}])[\u200c\u200d](?![{_JOINED}])|\u2060"
)
_AT_ONCE = 1 << 18
"""Characters of which the kinds are looked at together, most pages being plain."""
_MOST_MARKS = 30
"""Marks of one letter that are sorted and composed: UAX 15, section 13, stream-safe text."""
_ROUNDS = 3
"""Form C may put another mark beside a joiner, and where a joiner goes, marks may change places."""
_PLAIN, _MARK, _JOINS, _CHANGES = range(4)
_DOUBTFUL = re.compile(rb"\x03[\x01\x02]*|\x01[\x01\x02]+|\x02[\x01\x02]*")
"""Over kinds of characters: marks of a plain letter, or one that changes with its marks, that may not be in form C."""
_DECOMPOSED = (range(0x20000), range(0x2F800, 0x2FA20), range(0xE0000, 0xE0200))
"""Where Unicode has marks and canonical decompositions."""


def tidy(lines: Sequence[str]) -> tuple[list[str], Counter[str]]:
    r"""(`lines` without unseen characters and in form C; how many that took away or wrote otherwise, by kind).

    The kinds are `soft_hyphen`, `zero_width` and `composed`, of which one counts a letter with its marks. White space
    that comes to stand together is for the caller to collapse. Idempotent. Costs some 20 ns a character beyond ASCII.

    >>> tidy(["har\xadbour cafe\u0301", "می\u200cخواهم a\u200bb"])[0]
    ['harbour café', 'می\u200cخواهم ab']
    """
    text, counts = "\n".join(lines), Counter[str]()
    if text.isascii():
        return list(lines), counts
    if any(sign in text for sign in _UNSEEN):
        counts["soft_hyphen"] = text.count(_SOFT_HYPHEN)
        text = text.replace(_SOFT_HYPHEN, "")
        for _ in range(_ROUNDS):
            text, composed = _composed(text)
            text, gone = _ZERO_WIDTH.subn("", text)
            counts["composed"] += composed
            counts["zero_width"] += gone
            if not gone:
                break
    text, composed = _composed(text)
    counts["composed"] += composed
    return text.split("\n") if lines else [], +counts


def _composed(text: str) -> tuple[str, int]:
    """(text in form C, letters that were written otherwise)."""
    if not any(_kinds_of(text[start : start + _AT_ONCE]).any() for start in range(0, len(text), _AT_ONCE)):
        return text, 0
    kinds = _kinds_of(text)
    parts, done, changed, kinds_read = [], 0, 0, kinds.tobytes()
    for found in _DOUBTFUL.finditer(kinds_read):
        start, stop = found.span()
        if start and kinds_read[start] != _CHANGES and kinds_read[start - 1] == _PLAIN:
            start -= 1
        before = text[start:stop]
        if stop - start - 1 <= _MOST_MARKS and (after := _nfc(before)) != before:
            parts += [text[done:start], after]
            done, changed = stop, changed + 1
    return ("".join([*parts, text[done:]]), changed) if changed else (text, 0)


def _kinds_of(text: str) -> NDArray[np.uint8]:
    kinds: NDArray[np.uint8] = _kinds()[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")]
    return kinds


@lru_cache(maxsize=1 << 14)
def _nfc(letter: str) -> str:
    return unicodedata.normalize("NFC", letter)


@cache
def _kinds() -> NDArray[np.uint8]:
    """uint8[0x110000]: what form C asks of a code point; made in about 0.1 s on first use.

    `_MARK`: it may have to change places with its neighbours. `_JOINS`: it may be composed with what stands before it,
    or is a mark that is written otherwise. `_CHANGES`: a letter that is written otherwise.
    """
    kinds = np.zeros(0x110000, np.uint8)
    for span in _DECOMPOSED:
        for code in span:
            char = chr(code)
            if unicodedata.normalize("NFC", char) != char:
                first = unicodedata.normalize("NFD", char)[0]
                kinds[code] = _JOINS if unicodedata.combining(first) else _CHANGES
                continue
            if unicodedata.combining(char):
                kinds[code] = max(kinds[code], _MARK)
            apart = unicodedata.decomposition(char)
            if apart and not apart.startswith("<"):
                kinds[int(apart.split()[-1], 16)] = _JOINS
    kinds[0x1161:0x1176] = kinds[0x11A8:0x11C3] = _JOINS  # Hangul is composed by rule: vowels and finals
    return kinds
