"""Words of a language drawn from the n-gram tables of the language detector Lingua.

Its tables hold, for n = 1 to 5, how often a letter follows the n - 1 before it inside words, as exact fractions. From
them follow the counts of all n-grams, from these the words of up to three letters, how longer words begin, and with
what probability a word ends after four letters. `draw_words` draws from this model: the spelling and the short words
of a language, in no order. It stands in for prose of languages that have none in the catalogue.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

__all__ = ["draw_words"]

_END = ""


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
