"""Text that is no language: a cheap test in front of the cascade, so that junk does not fall into small languages.

`noise` looks at one text, line or page, and counts: letters against digits and signs, repeated characters and words,
neighbours on the keyboard, the marks of broken encodings and of program code, and, where lines show it, whether there
are sentences at all. 30 µs for 1,000 characters: each character is looked up once, in numpy.

Each threshold was measured on 11,491 real pages whose language is known (the first 1,200 characters, as `votes` asks),
on 19,170 labelled sentences (ELD's of 59 languages, UDHR in 443) and on 300 made pages of each kind
(tests/ccbuild/langid/junk.py). All of them together take 0.23 % of the pages (17 as menus, 5 as code, 4 as keywords),
0.34 % of the sentences and 97.5 % of the junk, of code the least (90 %).
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOISE", "noise"]

NOISE = "zxx"
"""ISO 639-2: no linguistic content."""

_OTHER, _LETTER, _DIGIT, _SIGN, _END, _COMMA = range(6)
_SIGNS, _ENDS, _COMMAS = "{}<>=\\_$#@*^~[]", ".!?。！？।॥؟۔։።၊။៖…:;ฯ", ",|;/•·>»、،"
_ALSO_SIGNS = (";", "|", "()", "//", "::")
"""What counts as a sign of code besides, and a semicolon as an end, a bar as a comma too."""
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
"""Signs for each letter. 5 real pages, 89 % of made code; half of it takes 53 pages and all of the code."""
_MENU_LINE, _MENU_ENDS = 30, 0.1
"""Characters that three of four lines of a menu have at most, and ends of sentences that a line has less than. 17 real
pages, 99 % of made menus; 20 characters take 7 and 88 %, 45 take 27 and no more of the menus; 0.2 ends take 23."""
_KEYWORD_ENDS, _KEYWORDS = 1 / 8, 1 / 4
"""Ends of sentences for each comma that a list of keywords has less than, commas for each word that it has more than.
4 real pages, 56 sentences (53 of the UDHR, its article 2 above all), all of the made lists; half as many commas take 32
and 198, twice as many none and 41 % of the lists; twice the ends 13 and 73."""
_LEADS = "ÂÃâÐÑØÙàá\ufffdï"
_MOJIBAKE = re.compile(
    r"[ÂÃ][\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œžŸŽ€]|â€|[ÐÑØÙàá][\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œžŸŽ€]|"
    r"[ÐÑØÙ]\S[ÐÑØÙ]|�|ï¿½|Р[°-ѕ]С|[РС][‚ѓ„…†‡€‰љњќћџђ‘’“”•–—™°±ІіґµєЅѕ]"
)


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """(class of each character of the first plane; place of ASCII letters on a keyboard, negative for what is none)."""
    classes = np.zeros(0x10000, np.uint8)
    for code in range(0x10000):
        character = chr(code)
        if character.isalpha():
            classes[code] = _LETTER
        elif character.isdigit():
            classes[code] = _DIGIT
    for number, characters in ((_SIGN, _SIGNS), (_END, _ENDS), (_COMMA, _COMMAS)):
        classes[[ord(c) for c in characters]] = number
    places = np.full(128, -100, np.int16)
    for row, keys in enumerate(_ROWS):
        for column, key in enumerate(keys):
            places[[ord(key), ord(key.upper())]] = 100 * row + column
    return classes, places


def noise(text: str) -> str | None:
    """Why `text` is no language, a kind of noise (`ccbuild.reasons` explains them); None when it may be one.

    A short text is only refused for what a short text can show.

    >>> noise("aaaaaaaaaaaaaaaa"), noise("12 34 56 78 (90) x"), noise("asdfgh jkl sdfjkh qwerty"), noise("Habari")
    ('repeated', 'numbers', 'mash', None)
    """
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    classes, places = _tables()
    counts = np.bincount(classes[np.minimum(points, 0xFFFF)], minlength=6).tolist()
    letters = counts[_LETTER] + _letters_beyond(points)
    if not letters:
        return "no_letters"
    if counts[_DIGIT] > _DIGITS * letters:
        return "numbers"
    if len(text) > 12 and _repeated(points) > _RUNS * len(text):
        return "repeated"
    if not text.isascii() and _is_mojibake(text, letters):
        return "mojibake"
    signs = counts[_SIGN] + sum(map(text.count, _ALSO_SIGNS))
    if signs > _CODE * letters:
        return "code"
    if letters >= 12 and _is_mash(points, places, letters):
        return "mash"
    words = text.lower().split()
    if len(words) >= 12 and max(Counter(words).values()) > _SAME * len(words):
        return "repeated"
    return _lines(text, len(words), counts)


def _letters_beyond(points: NDArray[np.uint32]) -> int:
    """Letters outside the first plane: scripts below the signs and emoji, ideographs above them."""
    beyond = points[points > 0xFFFF]
    return int(np.count_nonzero((beyond < 0x1F000) | ((beyond >= 0x20000) & (beyond < 0x32000)))) if len(beyond) else 0


def _repeated(points: NDArray[np.uint32]) -> int:
    """Characters that stand in runs of six and more."""
    ends = np.flatnonzero(points[1:] != points[:-1])
    lengths = np.diff(ends, prepend=-1, append=len(points) - 1)
    return int(lengths[lengths >= 6].sum())


def _is_mojibake(text: str, letters: int) -> bool:
    most = _BROKEN * letters  # the letters that begin them are counted first, since few texts have as many
    return sum(map(text.count, _LEADS + "РС")) > most and len(_MOJIBAKE.findall(text)) > most


def _is_mash(points: NDArray[np.uint32], places: NDArray[Any], letters: int) -> bool:
    """Whether neighbours in the text are neighbours on the keyboard."""
    ascii_places = places[points[points < 128]]
    keys = ascii_places >= 0
    n = int(np.count_nonzero(keys))
    if n * 2 <= letters:
        return False
    steps = np.abs(np.diff(ascii_places))[keys[1:] & keys[:-1]]
    return len(steps) >= 10 and int(np.count_nonzero(steps <= 2)) > _NEIGHBOURS * len(steps)


def _lines(text: str, words: int, counts: list[int]) -> str | None:
    """Menus and lists of keywords: many short pieces, no sentence."""
    ends, commas = counts[_END], counts[_COMMA]
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) >= 6 and ends < _MENU_ENDS * len(lines):
        lengths = sorted(map(len, lines))
        if lengths[len(lengths) * 3 // 4] <= _MENU_LINE:
            return "menu"
    if len(text) > 20 * words:  # no spaces between words: two characters count as one
        words = len(text) // 2
    if commas >= 8 and ends < _KEYWORD_ENDS * commas and commas > _KEYWORDS * words:
        return "keywords"
    return None
