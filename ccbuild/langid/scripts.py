"""What the script of a text says of its language, before any model is asked.

Scripts that one language of CC-100 alone is written in decide; so do a few letters that only one language of a
shared script has. Ranges: Unicode 16, Blocks.txt.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

__all__ = ["SHARED", "Scripts", "count_scripts", "decide"]

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


class Scripts:
    """How many letters of each script a text has."""

    __slots__ = ("counts", "letters", "name", "rare", "share")

    def __init__(self, counts: list[int], rare: int = 0) -> None:
        self.counts = counts
        self.rare = rare
        """Ideographs outside the first plane."""
        self.letters = sum(counts[1:])
        largest = max(range(1, len(counts)), key=counts.__getitem__)
        self.name = NAMES[largest] if self.letters else "Zyyy"
        """The script of most letters; Hani with a tenth of kana counts as Kana."""
        count = counts[largest]
        if self.name in ("Hani", "Kana"):
            count = counts[_HANI] + counts[_KANA]
            self.name = "Kana" if counts[_KANA] * 10 >= count else "Hani"
        self.share = count / self.letters if self.letters else 0.0


_KANA, _HANI = NAMES.index("Kana"), NAMES.index("Hani")


@lru_cache(maxsize=1)
def _table() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Code point of the first plane to script; letters and marks of no script known here are ``Zzzz``."""
    table = np.zeros(0x10000, np.uint8)
    for code in range(0x250, 0x10000):
        if chr(code).isalpha():
            table[code] = _OTHER
    for number, name in enumerate(NAMES[1:-1], 1):
        for first, last in _RANGES[name]:
            if last > 0xFFFF:
                continue
            table[first : last + 1] = number
    table[[0xD7, 0xF7]] = 0
    return table


def count_scripts(text: str) -> Scripts:
    """The letters of `text` by script; about 10 µs for 1,000 characters. Ideographs of other planes are Hani."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    low = points[points < 0x10000]
    counts = np.bincount(_table()[low], minlength=len(NAMES)).tolist()
    beyond = points[points >= 0x10000]
    rare = 0
    if len(beyond):
        rare = int(np.count_nonzero((beyond >= 0x20000) & (beyond < 0x32000)))
        counts[_HANI] += rare
        others = int(np.count_nonzero(beyond < 0x1F000))
        for name in ("Gran", "Adlm"):
            (first, last), number = _RANGES[name][0], NAMES.index(name)
            counts[number] = int(np.count_nonzero((beyond >= first) & (beyond <= last)))
            others -= counts[number]
        counts[_OTHER] += others
        counts[0] += len(beyond) - rare
    return Scripts(counts, rare)


def decide(text: str, scripts: Scripts) -> tuple[str, str] | None:
    """(code, rule) where script or letters decide; None where a model must be asked.

    Tibetan (Dzongkha as well as Tibetan) and scripts that no language of CC-100 uses are `und`.
    Chinese comes back as ``zh``, Burmese as ``my``: what encoding or character set it is, others say.
    """
    name = scripts.name
    if name in _ALONE:
        return _ALONE[name], f"script {name}"
    if name == "Beng":
        assamese, bengali = _count(text, ASSAMESE), _count(text, BENGALI)
        if assamese + bengali >= 3 and assamese > bengali:
            return "as", "letters of Assamese"
    elif name == "Cyrl":
        if _count(text, AZERBAIJANI):
            return "az", "letters of Azerbaijani"
        if "ў" in text and _count(text, UZBEK) >= 2 and not _count(text, NOT_UZBEK):
            return "uz", "letters of Uzbek"
    elif name == "Arab":
        if _count(text, JAWI) >= 3 and _count(text, JAWI[:4]):
            return "ms", "letters of Malay"
    elif name == "Hani":
        if _count(text, CANTONESE) * 50 > scripts.letters:
            return "yue", "characters of Cantonese"
        if scripts.rare * 20 > scripts.letters:
            return "vi", "ideographs of Vietnamese"
        return "zh", "script Hani"
    elif name == "Ethi":
        tigrinya = _count(text, TIGRINYA)
        if tigrinya >= 2 and tigrinya * 100 > scripts.letters:
            return "ti", "letters of Tigrinya"
        return "am", "script Ethi"
    elif name == "Mymr":
        if _count(text, SHAN_MON_KAREN) * 40 > scripts.letters:
            return None
        return "my", "script Mymr"
    elif name in ("Tibt", "Zzzz"):
        return "und", f"script {name}"
    return None


def _count(text: str, characters: str) -> int:
    return sum(map(text.count, characters))
