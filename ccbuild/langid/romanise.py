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
    (re.compile(rf"(?<=[aeiou])({_CONSONANT})a(?=(?:{_CONSONANT})[aeiou])"), r"\1"),
    (re.compile("aa"), "a"),
    (re.compile("ii"), "i"),
    (re.compile("ii"), "ee"),
    (re.compile("uu"), "u"),
    (re.compile("uu"), "oo"),
    (re.compile("c(?!h)"), "ch"),
    (re.compile("ch(?=[aeiou])"), "chh"),
    (re.compile("(?:ss|sh)"), "sh"),
    (re.compile("v"), "w"),
    (re.compile("ph"), "f"),
    (re.compile("jny?"), "gy"),
    (re.compile(r"(?<=[aeiou])m\b"), "n"),
    (re.compile(r"(?<=[aeiou])m\b"), ""),
    (re.compile("mem"), "mein"),
    (re.compile(r"(?<=[^aeiou\s])a\b"), ""),
    (re.compile("([dtnlrk])\\1(h?)"), r"\1\2"),
    (re.compile("z"), "j"),
    (re.compile("ee"), "e"),
    (re.compile("oo"), "o"),
]
"""(what uroman writes, what people write): each habit is one writer's, or not."""

_VOWELS = re.compile("[aeiou]+")
_WORD = re.compile("[a-z]+")


def informal(text: str, rng: random.Random) -> str:
    """`text` as uroman writes it, respelled by one writer's habits, in lower case."""
    text = text.lower()
    for pattern, spelling in _HABITS:
        if rng.random() < 0.5:
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


def romanised_texts(native: Mapping[str, Sequence[str]], seed: int = 0, variants: int = 2) -> dict[str, list[str]]:
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
                if code == "ur":
                    spoken = _WORD.sub(lambda m, rng=rng: _vowels(lexicon, m[0], rng), text.lower())  # type: ignore[misc]
                    spelled.append(informal(spoken if rng.random() < 0.8 else text, rng))
                else:
                    spelled.append(informal(text, rng))
        result[ROMANISED[code]] = spelled
    return result
