"""Romanised Bengali, Hindi, Tamil, Telugu and Urdu, made from text in their own scripts.

uroman writes each letter in Latin; people write otherwise, and each in their own way. `romanise` gives the
spellings that are met on the Web: long vowels short or as ``ee`` and ``oo``, silent a's left out, ``w`` for ``v``,
``ch`` for ``c``, no marks of retroflexes. Urdu is written without its short vowels, which nobody leaves out in Latin:
a word that has the same consonants as a word of the Hindi text takes its vowels, others get an ``a`` between
consonants, half of the time.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import uroman

__all__ = ["ROMANISED", "informal", "romanise", "romanised_texts"]

ROMANISED = {"bn": "bn_rom", "hi": "hi_rom", "ta": "ta_rom", "te": "te_rom", "ur": "ur_rom"}
"""Code of the native text to the code of CC-100 for its romanised form."""

_CONSONANT = "[bcdfgjklmnprstvyz]|[bcdgjkpst]h"
_HABITS = [
    (re.compile(rf"(?<=[aeiou])({_CONSONANT})a(?=(?:{_CONSONANT})[aeiou])"), r"\1", 0.6),
    (re.compile("aa"), "a", 0.6),
    (re.compile("ii"), "i", 0.5),
    (re.compile("ii"), "ee", 0.5),
    (re.compile("uu"), "u", 0.5),
    (re.compile("uu"), "oo", 0.5),
    (re.compile("c(?!h)"), "ch", 0.8),
    (re.compile("ch(?=[aeiou])"), "chh", 0.15),
    (re.compile("(?:ss|sh)"), "sh", 0.5),
    (re.compile("v"), "w", 0.3),
    (re.compile("ph"), "f", 0.4),
    (re.compile("jny?"), "gy", 0.5),
    (re.compile(r"(?<=[aeiou])m\b"), "n", 0.5),
    (re.compile(r"(?<=[aeiou])m\b"), "", 0.4),
    (re.compile("mem"), "mein", 0.6),
    (re.compile(r"(?<=[^aeiou\s])a\b"), "", 0.8),
    (re.compile("([dtnlrk])\\1(h?)"), r"\1\2", 0.3),
    (re.compile("z"), "j", 0.3),
    (re.compile("ee"), "e", 0.3),
    (re.compile("oo"), "o", 0.3),
]
"""(what uroman writes, what people write, how often): each habit is one writer's, or not."""

_VOWELS = re.compile("[aeiou]+")
_WORD = re.compile("[a-z]+")


_INHERENT = re.compile(r"(?<=[b-z])a(?!a)")
"""The short a that no letter stands for."""


_PLAIN = {"bn": 0.25, "hi": 0.15}
"""Share of a language's texts without the short a, as some programs and hurried people write."""
_SPOKEN = 0.35
"""Share of the Bengali texts with an o for it."""
_FULL = 0.65
"""Share of the Urdu texts with the vowels that its script leaves out."""
_BENGALI = [(re.compile(r"\by"), "j", 0.5), (re.compile("b(?!h)"), "v", 0.15)]
"""(what uroman writes, what is written for Bengali, how often)."""


def informal(text: str, rng: random.Random, code: str = "") -> str:
    """`text` as uroman writes it, respelled by one writer's habits, in lower case; `code` is of the native text.

    The shares were chosen on 150 held-out sentences a language in anyascii's spelling: F1 0.87 to 0.96.
    """
    text = text.lower()
    short = rng.random()
    plain = _PLAIN.get(code, 0.0)
    if short < plain:
        text = _INHERENT.sub("", text)
    elif code == "bn" and short < plain + _SPOKEN:
        text = _INHERENT.sub("o", text)
    for pattern, spelling, often in _BENGALI if code == "bn" else ():
        if rng.random() < often:
            text = pattern.sub(spelling, text)
    for pattern, spelling, often in _HABITS:
        if rng.random() < often:
            text = pattern.sub(spelling, text)
    return text


@lru_cache(maxsize=1)
def _romaniser() -> Any:
    return uroman.Uroman()  # 1.6 s


def romanise(texts: Iterable[str]) -> list[str]:
    """Each text letter by letter, as uroman has it; 1.4 ms a sentence."""
    return [_romaniser().romanize_string(text) for text in texts]


def _skeleton(word: str) -> str:
    """The consonants, those alike that Urdu and Hindi spell apart."""
    word = word.translate(str.maketrans("wqzc", "vkjs")).replace("ss", "s").replace("kh", "k").replace("gh", "g")
    return re.sub(r"(.)\1", r"\1", _VOWELS.sub("", word.replace("y", "")))


def _vowels(lexicon: Mapping[str, str], word: str, rng: random.Random) -> str:
    """`word` of romanised Urdu with the vowels that Hindi gives to its consonants."""
    key = _skeleton(word)
    if len(key) > 1 and key in lexicon:
        return lexicon[key]
    if rng.random() < 0.5:
        return word
    return re.sub(r"(?<=[bcdfgjklmnpqrstvwz])(?=[bcdfgjklmnpqrstvwz])(?!h)", "a", word)


def _spoken(text: str, lexicon: Mapping[str, str], rng: random.Random) -> str:
    """Romanised Urdu with vowels."""
    return _WORD.sub(lambda m: _vowels(lexicon, m[0], rng), text.lower())


def _letters(text: str, rng: random.Random) -> str:
    """Romanised Urdu as a program writes it that knows letters and no words."""
    for letter, written in (("a", ""), ("i", "y")):
        if rng.random() < 0.4:
            text = text.replace(letter, written)
    return text


def romanised_texts(native: Mapping[str, Sequence[str]], seed: int = 0, variants: int = 4) -> dict[str, list[str]]:
    """Romanised code to sentences, `variants` spellings of each sentence of the native texts that are there."""
    plain = {code: romanise(native[code]) for code in ROMANISED if code in native}
    words = Counter(word for text in plain.get("hi", ()) for word in _WORD.findall(text.lower()))
    lexicon = {_skeleton(word): word for word, _ in reversed(words.most_common())}  # the commonest word wins
    result = {}
    for code, texts in sorted(plain.items()):
        rng = random.Random(f"{seed} {code}")
        spelled = []
        for text in texts:
            for _ in range(variants):
                if code == "ur" and rng.random() < _FULL:
                    spelled.append(informal(_spoken(text, lexicon, rng), rng))
                elif code == "ur":
                    spelled.append(informal(_letters(text.lower(), rng), rng))
                else:
                    spelled.append(informal(text, rng, code))
        result[ROMANISED[code]] = spelled
    return result
