"""What the script of a text says of its language, before any model is asked.

Scripts that one language of CC-100 alone is written in decide; so do a few letters that only one language of a
shared script has. Ranges: Unicode 16, Blocks.txt.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccbuild.langid.han import tell
from ccbuild.langid.letters import PLANES, fold

__all__ = ["MARKS", "NAMES", "NO_WORDS", "RULES", "SHARED", "Kinds", "Scripts", "count_scripts", "kinds"]

_RANGES = {
    "Latn": [(0x41, 0x5A), (0x61, 0x7A), (0xAA, 0xAA), (0xBA, 0xBA), (0xC0, 0x24F), (0x250, 0x2AF), (0x1E00, 0x1EFF)],
    "Grek": [(0x370, 0x3FF), (0x1F00, 0x1FFF)],
    "Cyrl": [(0x400, 0x52F)],
    "Armn": [(0x530, 0x58F)],
    "Hebr": [(0x590, 0x5FF), (0xFB1D, 0xFB4F)],
    "Arab": [(0x620, 0x64A), (0x66E, 0x6D3), (0x6FA, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF), (0xFB50, 0xFEFF)],
    "Deva": [(0x900, 0x963), (0x970, 0x97F)],
    "Beng": [(0x980, 0x9FF)],
    "Guru": [(0xA00, 0xA7F)],
    "Gujr": [(0xA80, 0xAFF)],
    "Orya": [(0xB00, 0xB7F)],
    "Taml": [(0xB80, 0xBFF)],
    "Telu": [(0xC00, 0xC7F)],
    "Knda": [(0xC80, 0xCFF)],
    "Mlym": [(0xD00, 0xD7F)],
    "Sinh": [(0xD80, 0xDFF)],
    "Thai": [(0xE00, 0xE7F)],
    "Laoo": [(0xE80, 0xEFF)],
    "Tibt": [(0xF00, 0xFFF)],
    "Mymr": [(0x1000, 0x109F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F)],
    "Geor": [(0x10A0, 0x10FF), (0x1C90, 0x1CBF)],
    "Hang": [(0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF)],
    "Ethi": [(0x1200, 0x135A), (0x1380, 0x139F), (0x2D80, 0x2DDF)],
    "Khmr": [(0x1780, 0x17DD)],
    "Kana": [(0x3041, 0x3096), (0x30A1, 0x30FA), (0x31F0, 0x31FF)],
    "Hani": [(0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF)],
    "Java": [(0xA984, 0xA9CF)],
    "Sund": [(0x1B83, 0x1BAF), (0x1BBA, 0x1BBF)],
    "Gran": [(0x11305, 0x11363)],
    "Adlm": [(0x1E900, 0x1E943)],
}
NAMES = ["Zyyy", *_RANGES, "Zzzz"]
"""Common (no letter), the scripts known here, and every other script."""
_OTHER = len(NAMES) - 1
SHARED = frozenset({"Latn", "Cyrl", "Arab", "Deva", "Hebr", "Beng", "Mymr"})
"""Scripts of many languages, in which a supplement is asked: others are decided before."""

_ALONE = {
    "Grek": "el",
    "Armn": "hy",
    "Guru": "pa",
    "Gujr": "gu",
    "Orya": "or",
    "Taml": "ta",
    "Telu": "te",
    "Knda": "kn",
    "Mlym": "ml",
    "Sinh": "si",
    "Thai": "th",
    "Laoo": "lo",
    "Geor": "ka",
    "Hang": "ko",
    "Kana": "ja",
    "Khmr": "km",
    "Java": "jv",
    "Sund": "su",
    "Gran": "sa",
    "Adlm": "ff",
}
"""Scripts of which CC-100 has one language, and in which hardly anything else is written on the Web."""

ASSAMESE, BENGALI = "ৰৱ", "র"
"""The letter r tells: Assamese and Bengali write it apart (Unicode 16, chapter 12.2)."""
CANTONESE = "嘅咗喺唔佢啲嚟嗰冇咁哋嘢"
"""Characters of written Cantonese that standard Chinese does without."""
TIGRINYA = "ኣቐቑቒቓቔቕቖ"
"""Letters that Tigrinya is full of and Amharic seldom has."""
AZERBAIJANI = "ҹҝҸҜ"
"""Cyrillic letters that Azerbaijani alone has."""
UZBEK, NOT_UZBEK = "қғҳҚҒҲ", "әөүңҗһәӘӨҮҢ"
"""With ``ў`` the first are Uzbek, where Karakalpak, which has them too, would have the others."""
JAWI = "ڠڽڬݢڤۏ"
"""Letters of Malay in Arabic script; ``ڤ`` also in Kurdish, so that one of the others must be there."""
SHAN_MON_KAREN = "ၵၶၷꧠၸꧡၹၺꧣၻၼၽၾၿꩀꩁꩂႀႁႂၚၛၜၝၞၟၠၡၥၦ"
"""Letters of Shan, Mon and Karen in the script of Burmese."""


RULES = [
    ("as", "letters of Assamese"),
    ("az", "letters of Azerbaijani"),
    ("uz", "letters of Uzbek"),
    ("ms", "letters of Malay"),
    ("yue", "characters of Cantonese"),
    ("vi", "ideographs of Vietnamese"),
    ("zh", "script Hani"),
    ("ti", "letters of Tigrinya"),
    ("am", "script Ethi"),
    ("my", "script Mymr"),
    ("und", "script Tibt"),
    ("und", "script Zzzz"),
    *((code, f"script {name}") for name, code in _ALONE.items()),
]
"""(code, rule) where script or letters decide. Tibetan (Dzongkha as well as Tibetan) and scripts that no language of
CC-100 uses are `und`; `zh` and `my` do not say yet which characters or encoding. `kernels._decide` applies them."""

MARKS = [ASSAMESE, BENGALI, AZERBAIJANI, "ў", UZBEK, NOT_UZBEK, JAWI[:4], JAWI[4:], CANTONESE, TIGRINYA, SHAN_MON_KAREN]
"""Letters that tell, in the order in which `kernels` counts them; after them characters that only simplified and that
only traditional Chinese has, and ideographs outside the first plane."""

NO_WORDS = {*map(chr, (*range(0x21, 0x41), *range(0x5B, 0x61), *range(0x7B, 0x7F))), *"«»“”„…–—‘’"}
"""Signs that are no part of a word for a supplement, as digits are none."""
_GAP, _NO_WORD = 1, 2
_GAPS = " \n\r\t\v\f\0"
"""What fastText ends a word at."""


class Kinds(NamedTuple):
    """Characters that count alike are of one kind; the first kind is no letter, the second a rare ideograph."""

    kinds: NDArray[np.uint8]
    """Code point to kind, of the first two planes."""
    script: NDArray[np.int64]
    """Kind to the number of its script in `NAMES`."""
    marks: NDArray[np.int64]
    """Kind to the `MARKS` that it is counted as, a bit each."""
    roles: NDArray[np.uint8]
    """Kind to its roles: 1 ends a word, 2 ends a word for a supplement."""
    alone: NDArray[np.int64]
    """Script to the number of the rule that it decides by, -1 for none."""
    shared: NDArray[np.bool_]
    """Whether a supplement is asked about a script."""


@lru_cache(maxsize=1)
def kinds() -> Kinds:
    """The tables, made once a process in 0.1 s."""
    script = _scripts()
    marks, roles = np.zeros(PLANES, np.int64), np.zeros(PLANES, np.int64)
    for number, letters in enumerate(MARKS):
        marks[[ord(c) for c in letters]] |= 1 << number
    for number, sign in ((len(MARKS), 1), (len(MARKS) + 1, -1)):
        marks[[code for code in range(0x4E00, 0xA000) if tell(chr(code)) == sign]] |= 1 << number
    roles[[ord(c) for c in _GAPS]] = _GAP
    roles[[ord(c) for c in NO_WORDS]] = _NO_WORD
    roles[[code for code in range(PLANES) if chr(code).isdecimal()]] = _NO_WORD
    rare = NAMES.index("Hani") | 1 << len(MARKS) + 2 << 8
    each = np.concatenate([[0, rare], script | marks << 8 | roles << 32])
    found, first, inverse = np.unique(each, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    numbers = np.empty(len(found), np.uint8)
    numbers[order] = np.arange(len(found))
    found = found[order]
    alone = {name: number for number, (_, rule) in enumerate(RULES) for name in [rule.removeprefix("script ")]}
    return Kinds(
        numbers[inverse[2:]],
        found & 0xFF,
        found >> 8 & 0xFFFFFF,
        (found >> 32).astype(np.uint8),
        np.array([alone[name] if name in _ALONE else -1 for name in NAMES]),
        np.array([name in SHARED for name in NAMES]),
    )


def _scripts() -> NDArray[np.int64]:
    """Code point to number of the script; letters and marks of no script known here are ``Zzzz``."""
    table = np.zeros(PLANES, np.int64)
    table[[code for code in range(0x250, 0x10000) if chr(code).isalpha()]] = _OTHER
    table[0x10000:0x1F000] = _OTHER
    for number, name in enumerate(NAMES[1:-1], 1):
        for first, last in _RANGES[name]:
            table[first : last + 1] = number
    table[[0xD7, 0xF7]] = 0
    return table


class Scripts(NamedTuple):
    """How many letters of each script a text has."""

    counts: list[int]
    """By the numbers of `NAMES`."""
    letters: int
    name: str
    """The script of most letters; Hani with a tenth of kana counts as Kana."""
    share: float
    """Share of the letters that are in it."""


def count_scripts(text: str) -> Scripts:
    """The letters of `text`, folded, by script. Ideographs of other planes are Hani."""
    from ccbuild.langid import kernels

    folded, letters = fold([text]), kinds()
    found = np.zeros(len(letters.script), np.int64)
    kernels.count_kinds(folded.points, 0, len(folded.points), letters.kinds, found)
    counts = np.bincount(letters.script, found, len(NAMES)).astype(int).tolist()
    han, kana = counts[_HANI], counts[_KANA]
    total, most = sum(counts[1:]), max(counts[1:])
    if not total:
        return Scripts(counts, 0, "Zyyy", 0.0)
    name = NAMES[counts.index(most, 1)]
    if name in ("Hani", "Kana"):
        name, most = "Kana" if kana * 10 >= han + kana else "Hani", han + kana
    return Scripts(counts, total, name, most / total)


_KANA, _HANI = NAMES.index("Kana"), NAMES.index("Hani")
