"""Words of a language drawn from the n-gram tables of the language detector Lingua.

Its tables hold, for n = 1 to 5, how often a letter follows the n - 1 before it inside words, as exact fractions. From
them follow the counts of all n-grams, from these the words of up to three letters, how longer words begin, and with
what probability a word ends after four letters. `draw_words` draws from this model: the spelling and the short words
of a language, in no order. It stands in for prose of languages that have none in the catalogue.
"""

from __future__ import annotations

import json
import random
import zipfile
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate
from math import lcm
from pathlib import Path

import brotli

__all__ = ["draw_words", "lingua_texts"]

_NAMES = ("unigrams", "bigrams", "trigrams", "quadrigrams", "fivegrams")
_MEMBER = "lingua/language-models/{}/{}.json.br"
_END = ""


def _counts(chosen: zipfile.ZipFile, language: str) -> list[dict[str, float]]:
    """Counts of n-grams, n = 1 to 5, of the text that the tables were made from."""
    counts: list[dict[str, float]] = []
    for n, name in enumerate(_NAMES, 1):
        table = json.loads(brotli.decompress(chosen.read(_MEMBER.format(language, name))))["ngrams"]
        if n == 1:
            total = lcm(*(Fraction(share).denominator for share in table))
            counts.append({g: float(Fraction(n) * total) for n, grams in table.items() for g in grams.split(" ")})
            continue
        found = {}
        for share, grams in table.items():
            above, below = share.split("/")
            ratio = int(above) / int(below)
            for gram in grams.split(" "):
                found[gram] = ratio * counts[-1].get(gram[:-1], 0.0)
        counts.append(found)
    return counts


def _words(counts: list[dict[str, float]]) -> Iterator[tuple[str, float]]:
    """(word of up to three letters, or the first four of a longer one followed by a space, how often it stands)."""
    for n in (1, 2, 3, 4):
        alone = Counter(counts[n - 1])
        for gram, count in counts[n].items():
            alone[gram[1:]] -= count  # type: ignore[assignment]
            if n < 4:
                alone[gram[:-1]] -= count  # type: ignore[assignment]
        if n < 4:
            for gram, count in counts[n + 1].items():
                alone[gram[1:-1]] += count  # type: ignore[assignment]
        yield from ((gram + " " * (n == 4), count) for gram, count in sorted(alone.items()) if count > 0.5)


def draw_words(counts: list[dict[str, float]], number: int, rng: random.Random) -> list[str]:
    """`number` words, each independent of the others."""
    following: dict[str, tuple[list[str], list[float]]] = {}
    for gram, count in counts[4].items():
        letters, weights = following.setdefault(gram[:4], ([], []))
        letters.append(gram[4])
        weights.append(count)
    choices = {}
    for gram, (letters, weights) in following.items():
        weights.append(max(counts[3].get(gram, 0.0) - sum(weights), 0.0))
        choices[gram] = ([*letters, _END], list(accumulate(weights)))
    starts, often = zip(*_words(counts), strict=True)
    words = []
    for start in rng.choices(starts, cum_weights=list(accumulate(often)), k=number):
        word = start.rstrip()
        while start != word and word[-4:] in choices and len(word) < 40:
            letter = rng.choices(choices[word[-4:]][0], cum_weights=choices[word[-4:]][1])[0]
            if letter == _END:
                break
            word += letter
        words.append(word)
    return words


def lingua_texts(path: Path, words: int = 30_000, line: int = 25, seed: int = 0) -> dict[str, list[str]]:
    """Language (ISO 639-1) to lines of `line` words drawn from its tables in the zip at `path`."""
    texts = {}
    with zipfile.ZipFile(path) as chosen:
        for language in sorted({name.split("/")[2] for name in chosen.namelist()}):
            drawn = draw_words(_counts(chosen, language), words, random.Random(f"{seed} {language}"))
            texts[language] = [" ".join(drawn[i : i + line]) for i in range(0, len(drawn), line)]
    return texts
