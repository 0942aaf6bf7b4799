"""Characters as a language identifier is asked about them: small, composed, in their plain form.

Models have learned languages from running text, which is in small letters. Text in capitals, decomposed, full-width or
in mathematical letters is the same text to a reader, so it is folded for the question, never where it is kept.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["AS_IT_IS", "MOST_CHARS", "SMALL", "Folded", "composed", "fold", "small", "small_table"]

MOST_CHARS = 1 << 20
"""Characters of a text that are looked at: no longer text needs more, and a line of 100 MB costs no more memory."""

PLANES = 0x20000
"""Code points that tables hold: the first two planes. Beyond are ideographs and what is no letter."""

SMALL, AS_IT_IS = "small", "as it is"
"""How text is folded: for every question, and for CCNet's, which only leaves out newlines and lone surrogates."""

_FORMS = frozenset("<wide> <narrow> <font> <circle> <square> <initial> <medial> <final> <isolated>".split())
"""Kinds of compatibility characters that are letters in another dress (Unicode 16, UAX 44, table 14)."""
_LIGATURES = range(0xFB00, 0xFB18)
SECOND, FIRST, MORE = 1 << 31, 1 << 30, 1 << 24
"""Of an entry of a table: the character may be the second, the first half of a composed one; from `MORE` on, which row
of characters it is folded to."""
LONGEST = 4
"""Characters that one character is folded to at most."""


@lru_cache(maxsize=1)
def _plain_forms() -> dict[int, str]:
    found = {0xFF9E: "\u3099", 0xFF9F: "\u309a"}
    for code in range(PLANES):
        if unicodedata.decomposition(chr(code)).partition(" ")[0] in _FORMS or code in _LIGATURES:
            plain = unicodedata.normalize("NFKC", chr(code))
            if plain.isalpha() and len(plain) <= LONGEST:
                found[code] = plain
    return found


def composed(text: str) -> str:
    """`text` in plain forms of letters, marks joined with the letters before them.

    >>> composed("ＡＢＣ e\u0301 ﬁ 𝐛")
    'ABC é fi b'
    """
    return unicodedata.normalize("NFC", text.translate(_plain_forms()))


def small(text: str) -> str:
    """`text` as models are asked about it. Where a dotted capital I shows Turkish or Azerbaijani, I is a dotless i.

    >>> small("DIE REGIERUNG, e\u0301, 𝐛"), small("İSTANBUL'DA YAŞIYOR")
    ('die regierung, é, b', "istanbul'da yaşıyor")
    """
    return fold([text]).points.tobytes().decode("utf-32-le")


@lru_cache(maxsize=2)
def _table(form: str) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """(code point to code point, 0 for none; rows of characters for those that are folded to several)."""
    table = np.arange(PLANES, dtype=np.uint32)
    rows: list[list[int]] = [[0] * LONGEST]
    table[0xD800:0xE000] = 0
    table[0] = ord(" ")
    if form == AS_IT_IS:
        table[ord("\n")] = 0
        return table, np.array(rows, np.uint32)
    table[ord("İ")] = ord("i")
    for code in range(1, PLANES):
        plain = composed(chr(code)).lower()
        if table[code] != code or plain == chr(code):
            continue
        table[code] = ord(plain) if len(plain) == 1 else MORE + len(rows)
        if len(plain) > 1:
            rows.append([*map(ord, plain), *[0] * (LONGEST - len(plain))])
    firsts, seconds = _halves()
    table[firsts] |= np.uint32(FIRST)
    table[seconds] |= np.uint32(SECOND)
    return table, np.array(rows, np.uint32)


def _halves() -> tuple[list[int], list[int]]:
    """Characters that may be the first half of a composed one, or stand between its halves; those that may be the
    second: marks, vowel signs, jamo."""
    firsts, seconds = [*range(0x1100, 0x1113)], [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3), 0xFF9E, 0xFF9F]
    for code in range(PLANES):
        halves = unicodedata.decomposition(chr(code)).split()
        if unicodedata.combining(chr(code)) or 0xAC00 <= code < 0xD7A4:
            firsts.append(code)
        if len(halves) == 2 and "<" not in halves[0]:
            firsts.append(int(halves[0], 16))
            seconds.append(int(halves[1], 16))
    return firsts, seconds


def small_table() -> NDArray[np.uint32]:
    """Code point to what it is folded to, with marks, of the first two planes."""
    return _table(SMALL)[0]


class Folded(NamedTuple):
    """Texts behind each other, as they came and folded, as code points; text t is ``[starts[t]:starts[t + 1]]``."""

    raw: NDArray[np.uint32]
    raw_starts: NDArray[np.int64]
    points: NDArray[np.uint32]
    starts: NDArray[np.int64]


def fold(texts: Sequence[str], form: str = SMALL) -> Folded:
    """The first `MOST_CHARS` of each text, folded: what is decomposed is composed, then each character by a table."""
    from ccbuild.langid.folding import decomposed, fold_points

    table, rows = _table(form)
    texts = [text[:MOST_CHARS] for text in texts]
    raw, starts = _points(texts)
    apart, several = decomposed(raw, starts, table)
    if apart.any():
        texts = [composed(text) if is_apart else text for text, is_apart in zip(texts, apart.tolist(), strict=True)]
        raw, starts = _points(texts)
        several = decomposed(raw, starts, table)[1]
    points, ends = fold_points(raw, starts, table, rows, several)
    return Folded(raw, starts, points, ends)


def _points(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=starts[1:])
    return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32), starts
