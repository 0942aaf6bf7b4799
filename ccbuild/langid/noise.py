"""Text that is no language: a cheap test in front of the cascade, so that junk does not fall into small languages.

`noise` looks at one text, line or page, and counts: letters against digits and signs, repeated characters and words,
neighbours on the keyboard, the marks of broken encodings and of program code, and, where lines show it, whether there
are sentences at all. 5 µs for 1,000 characters (`kernels.find_noise`).

Each threshold was measured on 11,491 real pages whose language is known (the first 1,200 characters, as `votes` asks),
on 19,170 labelled sentences (ELD's of 59 languages, UDHR in 443) and on 300 made pages of each kind
(tests/ccbuild/langid/junk.py). All of them together take 0.10 % of the pages (8 as menus, 3 as repeated),
0.08 % of the sentences and 97.5 % of the junk, of code the least (90 %).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccbuild.langid.letters import PLANES, fold, small_table

__all__ = ["KINDS", "NOISE", "Signs", "noise", "signs"]

NOISE = "zxx"
"""ISO 639-2: no linguistic content."""

KINDS = ("", "no_letters", "numbers", "repeated", "mojibake", "code", "mash", "menu", "keywords")
"""The kinds of noise by the numbers that `kernels.find_noise` gives; none is the first."""

_OTHER, _LETTER, _DIGIT, _SIGN, _END, _COMMA, _SPACE = range(7)
_TAIL, _CYRILLIC_TAIL, _LEAD = 8, 16, 32
"""Added to the class of a character: what follows the first letter of broken UTF-8, read as Latin-1 or Windows-1251,
and that letter."""
_SIGNS, _ENDS, _COMMAS = "{}<>=\\_$#@*^~[]", ".!?。！？।॥؟۔։።၊။៖…:;ฯ", ",|;/•·>»、،"
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = 0.5
"""Share of the pairs of letters that are two keys apart or less. Of a thousand sentences one has 0.45 (ELD, 59
languages), of a thousand lines of mash each has 0.67 and more."""
_DIGITS = 1.0
"""Digits for each letter. It takes no real page and 7 sentences, half of it 23; made tables have 4 and more."""
_RUNS = 1 / 3
"""Share of the characters in runs of six and more. No real page and no sentence; a sixth takes 23 pages. With `_SAME`
it takes 95 % of made repetitions."""
_SAME = 0.4
"""Share of the words that the commonest has. No real page and no sentence; 0.3 takes 5 pages, 7 sentences."""
_BROKEN = 1 / 12
"""Broken characters for each letter. No real page, no sentence, 99 % of made mojibake; half of it 3 sentences."""
_CODE = 0.1
"""Signs for each letter, an ideograph counted as three. 89 % of made code; half of it
takes 53 pages and all of the code. Lines with such signs must hold half of the characters, or the page is prose with
a formula: that leaves no real page (5 without either) and as much of the code."""
_MENU_LINE, _MENU_ENDS = 30, 0.1
"""Characters that three of four lines of a menu have at most, and ends of sentences that a line has less than. 17 real
pages, 99 % of made menus; 20 characters take 7 and 88 %, 45 take 27 and no more of the menus; 0.2 ends take 23. These
lines must hold half of the characters, too, or the page is prose with a table: of the 17 that leaves 8, of the menus
all."""
_KEYWORD_ENDS, _KEYWORDS = 1 / 8, 1 / 4
"""Ends of sentences for each comma that a list of keywords has less than, commas for each word that it has more than.
4 real pages, 56 sentences (53 of the UDHR, its article 2 above all), all of the made lists; half as many commas take 32
and 198, twice as many none and 41 % of the lists; twice the ends 13 and 73."""
_KEYWORD_LETTERS = 16
"""Letters for each comma that such a list has less than. Made lists have 13 at most. Of the 56 sentences it leaves 7,
and all of the pages but those of characters drawn as boxes: where words are long, as in Zulu, four to a comma are
prose."""
_LEADS = "ÂÃâÐÑØÙàá\ufffdïРС"
_MARKS = "‘’“”•–—™"
_TAILS = "".join(map(chr, range(0x80, 0xC0))) + "‚ƒ„…†‡ˆ‰Š‹Œ˜š›œžŸŽ€" + _MARKS
_CYRILLIC_TAILS = f"‚ѓ„…†‡€‰љњќћџђ{_MARKS}°±ІіґµєЅѕ"


class Signs(NamedTuple):
    """What `kernels.find_noise` takes."""

    classes: NDArray[np.uint8]
    """Code point to class, of the first two planes."""
    places: NDArray[np.int16]
    """Place of ASCII letters on a keyboard, negative for what is none."""
    small: NDArray[np.uint32]
    """Code point to small letter."""
    limits: NDArray[np.float64]
    """The thresholds of this file."""


@lru_cache(maxsize=1)
def signs() -> Signs:
    """The tables, made once a process."""
    classes = np.zeros(PLANES, np.uint8)
    for number, test in ((_LETTER, str.isalpha), (_DIGIT, str.isdigit), (_SPACE, str.isspace)):
        classes[[code for code in range(0x10000) if test(chr(code))]] = number
    classes[0x10000:0x1F000] = _LETTER  # scripts lie below the signs and emoji
    for number, characters in ((_SIGN, _SIGNS), (_END, _ENDS), (_COMMA, _COMMAS)):
        classes[[ord(c) for c in characters]] = number
    for flag, leads in ((_TAIL, _TAILS), (_CYRILLIC_TAIL, _CYRILLIC_TAILS), (_LEAD, _LEADS)):
        classes[[ord(c) for c in leads]] |= flag
    places = np.full(128, -100, np.int16)
    for row, keys in enumerate(_ROWS):
        for column, key in enumerate(keys):
            places[[ord(key), ord(key.upper())]] = 100 * row + column
    limits = (_DIGITS, _RUNS, _BROKEN, _CODE, _NEIGHBOURS, _SAME, _MENU_LINE, _MENU_ENDS, _KEYWORD_ENDS, _KEYWORDS)
    return Signs(classes, places, small_table(), np.array([*limits, _KEYWORD_LETTERS]))


def noise(text: str) -> str | None:
    """Why `text` is no language, a kind of noise (`ccbuild.reasons` explains them); None when it may be one.

    A short text is only refused for what a short text can show.

    >>> noise("aaaaaaaaaaaaaaaa"), noise("12 34 56 78 (90) x"), noise("asdfgh jkl sdfjkh qwerty"), noise("Habari")
    ('repeated', 'numbers', 'mash', None)
    """
    from ccbuild.langid import kernels

    raw = fold([text]).raw
    return KINDS[kernels.find_noise(raw, 0, len(raw), signs())] or None
