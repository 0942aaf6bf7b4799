"""The ARPA text form of a back-off n-gram model, as KenLM reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ccbuild.lm.kneser_ney import Floats, NGrams

__all__ = ["rounded", "write_arpa"]

_DECIMALS = 7
"""Of a log10: finer than the 32-bit floats that KenLM keeps, so that probabilities still sum to 1 within 1e-6."""
_ROWS = 1 << 18
"""N-grams written at a time: a Python string each."""


def rounded(values: Floats) -> Floats:
    """`values` as the ARPA form says them; a binary made of these equals one made of the ARPA file."""
    result: Floats = np.rint(values * 10**_DECIMALS) / 10**_DECIMALS
    return result


def write_arpa(path: str | Path, words: Sequence[str], ngrams: Sequence[NGrams]) -> tuple[int, ...]:
    """Write the model; the number of n-grams of each order written.

    Numbers have seven decimals at most, and a back-off of 0 is left out, as the form allows: about a third smaller
    than what ``lmplz`` writes. Order of lines: by prefix, then by word, both in the order of first appearance.
    """
    counts = tuple(grams.count() for grams in ngrams)
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        out.write("\\data\\\n")
        out.writelines(f"ngram {k}={count}\n" for k, count in enumerate(counts, 1))
        for k, grams in enumerate(ngrams, 1):
            out.write(f"\n\\{k}-grams:\n")
            rows = min(grams.rows, _ROWS)
            for start in range(0, len(grams), rows):
                stop = min(start + rows, len(grams))
                numbers = (_numbers(column[start:stop]) for column in (grams.log10, grams.backoff))
                columns = zip(*numbers, _texts(words, ngrams[:k], start, stop), grams.kept[start:stop], strict=True)
                out.writelines(
                    f"{log10}\t{text}\n" if backoff == "0" else f"{log10}\t{text}\t{backoff}\n"
                    for log10, backoff, text, kept in columns
                    if kept
                )
        out.write("\n\\end\\\n")
    return counts


def _texts(words: Sequence[str], ngrams: Sequence[NGrams], start: int, stop: int) -> list[str]:
    """The n-grams of the last order from `start` to `stop`, as words with spaces between."""
    last = [words[word] for word in ngrams[-1].word[start:stop].tolist()]
    if len(ngrams) == 1:
        return last
    prefix = ngrams[-1].prefix[start:stop]
    low = int(prefix[0])
    prefixes = _texts(words, ngrams[:-1], low, int(prefix[-1]) + 1)
    return [f"{prefixes[p]} {word}" for p, word in zip((prefix - low).tolist(), last, strict=True)]


def _numbers(values: Floats) -> list[str]:
    """Each value in as few characters as `_DECIMALS` allow; each distinct one is written once and looked up."""
    scaled, where = np.unique(np.rint(values * 10**_DECIMALS).astype(np.int64), return_inverse=True)
    table = [f"{value / 10**_DECIMALS:.{_DECIMALS}f}".rstrip("0").rstrip(".") for value in scaled.tolist()]
    return [table[i] for i in where.tolist()]
