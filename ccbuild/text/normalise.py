"""CCNet's two text normalisations, every quirk kept, at a fraction of their cost.

Both are those of ``cc_net`` 1.0.0, ``text_normalizer.py`` (https://github.com/facebookresearch/cc_net):
:func:`normalise_ccnet` is what its language models read, :func:`normalise_ccnet_dedup` what its
paragraph hashes are taken of. Models and hashes are only comparable on equal characters, so nothing
here is improved; what looks like a mistake is kept and listed.

Quirks kept
    * A line break inside a text is a control character: it goes, and the words on its two sides are glued.
      Normalising a whole document therefore makes one line of it (:mod:`ccbuild.lm.score` needs that).
    * Text is stripped before control characters go, never after: ``"\\x01 a"`` keeps its space.
    * Accents are stripped by NFD, and nothing composes again: Hangul stays in Jamo, and the vowel signs
      of Indic scripts that are non-spacing marks (category Mn) are lost with the accents.
    * The table maps the full-width digit one to a double quote. Digits were replaced before, so it never fires.
    * Only the punctuation of the table counts: ``‘`` and ``・`` stay, ``’`` and ``、`` do not.
    * For duplicates, table punctuation goes but ASCII punctuation stays.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["normalise_ccnet", "normalise_ccnet_dedup", "normalise_ccnet_lines"]

PUNCTUATION: dict[str, str] = dict(
    [
        *dict.fromkeys("„”“«»１」「《》", '"').items(),
        *dict.fromkeys("´’", "'").items(),
        *dict.fromkeys("–━►", "-").items(),
        *zip("，、∶：。？！（）；～％〈〉【】", ",,::.?!();~%<>[]", strict=True),
        *{"—": " - ", "．": ". ", "…": "..."}.items(),
    ]
)
"""cc_net's ``UNICODE_PUNCT``: one character to its replacement."""

_LONG = tuple((sign, put) for sign, put in PUNCTUATION.items() if len(put) > 1)
_GONE = 0x110000
"""In a code point table: the character is removed."""
_EXPANDS = 0x110001
"""In a code point table: the character becomes several, or its marks need sorting; the slow way knows how."""
_SHORT = 48
"""Below this many characters a dictionary is quicker than setting up arrays (measured: 3 µs either way)."""
_ASSIGNED = (range(0x20000), range(0x2F800, 0x2FA20), range(0xE0000, 0xE0200))
"""Where Unicode has digits, marks or canonical decompositions; a test looks at every other code point."""


def normalise_ccnet(line: str) -> str:
    """`line` as CCNet's language models read it.

    Stripped, lower case, no accents, digits as 0, typographic punctuation as ASCII, no control characters.
    Equal to cc_net's ``text_normalizer.normalize(line)`` to the character. About 10 to 30 ns a character
    (long to short texts) where cc_net takes 200.

    >>> normalise_ccnet(" Crème brûlée — 12 €\\n")
    'creme brulee  -  00 €'
    """
    return _for_model(line.strip())


def normalise_ccnet_dedup(line: str) -> str:
    """`line` as CCNet hashes it to find duplicate paragraphs.

    Stripped, lower case, digits as 0, typographic punctuation and control characters removed; accents stay.
    Equal to cc_net's ``text_normalizer.normalize_for_dedup(line)`` to the character.

    >>> normalise_ccnet_dedup("« Crème » no. 12…")
    ' crème  no. 00'
    """
    text = line.strip().lower()
    if text.isascii():
        return text.translate(_ascii())
    return _mapped(text, _codes_dedup()) or ""


def normalise_ccnet_lines(lines: Sequence[str]) -> list[str]:
    """:func:`normalise_ccnet` of each line, in one pass over all of them: several times quicker for short lines."""
    stripped = [line.strip() for line in lines]
    joined = "\n".join(stripped)
    if joined.count("\n") >= len(stripped):
        return [_for_model(line) for line in stripped]  # a line holds a break itself
    # A line break ends the context of the one contextual case rule (final sigma) as the end of a text does.
    return _for_model(joined, keep_breaks=True).split("\n") if stripped else []


def _for_model(stripped: str, *, keep_breaks: bool = False) -> str:
    text = stripped.lower()
    if text.isascii():
        return text.translate(_ascii(keep_breaks=keep_breaks))
    if len(text) < _SHORT:
        return unicodedata.normalize("NFD", text).translate(_Characters.shared(keep_breaks=keep_breaks))
    for sign, put in _LONG:
        text = text.replace(sign, put)
    whole = _mapped(text, _codes_before_nfd(), keep_breaks=keep_breaks)
    if whole is None:
        whole = _mapped(unicodedata.normalize("NFD", text), _codes_after_nfd(), keep_breaks=keep_breaks)
    return whole or ""


def _mapped(text: str, codes: NDArray[np.uint32], *, keep_breaks: bool = False) -> str | None:
    """`text` with each code point looked up in `codes`; None when one of them expands."""
    read = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    mapped = codes[read]
    if keep_breaks:
        mapped[read == 10] = 10
    top = int(mapped.max()) if len(mapped) else 0
    if top == _EXPANDS:
        return None
    if top == _GONE:
        mapped = mapped[mapped != _GONE]
    result: str = mapped.astype("<u4", copy=False).tobytes().decode("utf-32-le", "surrogatepass")
    return result


def _is_control(code: int) -> bool:
    return code < 32 or 127 <= code < 160


class _Characters(dict[int, "str | int | None"]):
    """Character after NFD to what stands for it, filled as characters are met."""

    @staticmethod
    @cache
    def shared(*, keep_breaks: bool) -> _Characters:
        """The one table of this process."""
        return _Characters({10: 10} if keep_breaks else {})

    def __missing__(self, code: int) -> str | int | None:
        char = chr(code)
        category = unicodedata.category(char)
        if category == "Mn" or _is_control(code):
            put: str | int | None = None
        elif category == "Nd":
            put = "0"
        else:
            put = PUNCTUATION.get(char, code)
        self[code] = put
        return put


@cache
def _ascii(*, keep_breaks: bool = False) -> dict[int, int | None]:
    """Digits and control characters: all that is left to do for lower-case ASCII."""
    table: dict[int, int | None] = {code: None for code in range(128) if _is_control(code)}
    table.update(dict.fromkeys(range(0x30, 0x3A), 0x30))
    return table | {10: 10} if keep_breaks else table


@cache
def _codes_dedup() -> NDArray[np.uint32]:
    """uint32[0x110000]: code point to code point, or `_GONE`. 4.5 MB, made in about 20 ms on first use."""
    codes = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    codes[[code for span in _ASSIGNED for code in span if chr(code).isdecimal()]] = 0x30
    codes[[ord(sign) for sign in PUNCTUATION if not sign.isdecimal()]] = _GONE
    codes[[code for code in range(160) if _is_control(code)]] = _GONE
    return codes


@cache
def _codes_after_nfd() -> NDArray[np.uint32]:
    """uint32[0x110000]: code point of decomposed text to code point or `_GONE`."""
    codes = _codes_dedup().copy()
    for sign, put in PUNCTUATION.items():
        if not sign.isdecimal():
            codes[ord(sign)] = ord(put) if len(put) == 1 else _EXPANDS
    codes[[code for span in _ASSIGNED for code in span if unicodedata.category(chr(code)) == "Mn"]] = _GONE
    return codes


@cache
def _codes_before_nfd() -> NDArray[np.uint32]:
    """uint32[0x110000]: code point to the one that is left of it after NFD, `_GONE` or `_EXPANDS`.

    NFD also sorts marks by combining class. Nearly all marks are Mn and go, so the order matters only for the
    few that stay (Hangul tone marks, signs of music): those count as expanding.
    """
    after = _codes_after_nfd()
    codes = after.copy()
    for span in _ASSIGNED:
        for code in span:
            apart = unicodedata.normalize("NFD", chr(code))
            left = [c for c in apart if after[ord(c)] != _GONE]
            if apart != chr(code) or (left and unicodedata.combining(left[0])):
                sorts = any(unicodedata.combining(c) for c in left)
                codes[code] = _EXPANDS if sorts or len(left) > 1 else after[ord(left[0])] if left else _GONE
    return codes
