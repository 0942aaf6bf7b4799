"""The ARPA text form of a back-off n-gram model, as KenLM reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ccbuild.lm.kneser_ney import Floats, NGrams

__all__ = ["rounded", "write_arpa"]

_DECIMALS = 7
"""Of a log10: finer than the 32-bit floats that KenLM keeps, so that probabilities still sum to 1 within 1e-6."""


def rounded(values: Floats) -> Floats:
    """`values` as the ARPA form says them; a binary made of these equals one made of the ARPA file."""
    result: Floats = np.rint(values * 10**_DECIMALS) / 10**_DECIMALS
    return result


def write_arpa(path: str | Path, words: Sequence[str], ngrams: Sequence[NGrams]) -> tuple[int, ...]:
    """Write the model; the number of n-grams of each order written.

    Numbers have seven decimals at most, and a back-off of 0 is left out, as the form allows: about a third smaller
    than what ``lmplz`` writes. Order of lines: by prefix, then by word, both in the order of first appearance.
    """
    counts = tuple(int(grams.kept.sum()) for grams in ngrams)
    texts: list[str] = []
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        out.write("\\data\\\n")
        out.writelines(f"ngram {k}={count}\n" for k, count in enumerate(counts, 1))
        for k, grams in enumerate(ngrams, 1):
            last = [words[word] for word in grams.word.tolist()]
            texts = (
                [f"{texts[p]} {word}" for p, word in zip(grams.prefix.tolist(), last, strict=True)] if k > 1 else last
            )
            out.write(f"\n\\{k}-grams:\n")
            columns = zip(_numbers(grams.log10), texts, _numbers(grams.backoff), grams.kept.tolist(), strict=True)
            out.writelines(
                f"{log10}\t{text}\n" if backoff == "0" else f"{log10}\t{text}\t{backoff}\n"
                for log10, text, backoff, kept in columns
                if kept
            )
        out.write("\n\\end\\\n")
    return counts


def _numbers(values: Floats) -> list[str]:
    """Each value in as few characters as `_DECIMALS` allow; each distinct one is written once and looked up."""
    scaled, where = np.unique(np.rint(values * 10**_DECIMALS).astype(np.int64), return_inverse=True)
    table = [f"{value / 10**_DECIMALS:.{_DECIMALS}f}".rstrip("0").rstrip(".") for value in scaled.tolist()]
    return [table[i] for i in where.tolist()]
