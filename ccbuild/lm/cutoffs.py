"""Head, middle and tail: the thirds of a language's documents by perplexity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bucket", "Cutoffs", "bucket", "cutoffs"]

Bucket = Literal["head", "middle", "tail", "all"]


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """The perplexities that divide a language."""

    head: float
    """The head lies under this perplexity."""
    middle: float
    """The middle lies under this one; the tail at it or above."""
    n: int
    """Documents that they were taken from."""


def cutoffs(
    perplexities: NDArray[np.float64], head: float = 1 / 3, middle: float = 2 / 3, *, min_documents: int = 30
) -> Cutoffs | None:
    """The cutoffs that put a share `head` of the documents in the head and `middle` in head and middle together.

    Each is the perplexity of the document at that rank, none interpolated, so it does not depend on the order of
    `perplexities` or on rounding. None with fewer than `min_documents` (at 30, a third is uncertain by ±9 % of the
    documents, one standard error): such a language stays whole, bucket ``"all"``. NaN (no model) does not count;
    infinity (no text) does. The shares are CCNet's (LREC 2020, §3.3: three even parts; its code holds 30 and 60 %).

    >>> cutoffs(np.arange(300.0, 0.0, -1.0))
    Cutoffs(head=101.0, middle=201.0, n=300)
    """
    if not 0 < head < middle < 1:
        raise ValueError(f"head is {head}, middle {middle}: they are shares, 0 < head < middle < 1.")
    values = np.sort(perplexities[~np.isnan(perplexities)])
    n = len(values)
    if n < max(min_documents, 1):
        return None
    return Cutoffs(float(values[_rank(n, head)]), float(values[_rank(n, middle)]), n)


def _rank(n: int, share: float) -> int:
    """How many of `n` documents are a `share`, rounded down; 1/3 of 300 is 100 however floats multiply."""
    return min(int(n * share + 1e-9), n - 1)


def bucket(perplexity: float | None, cutoffs: Cutoffs | None) -> Bucket:
    """Where a document belongs. Ties with a cutoff fall to the worse side, as in CCNet's ``PerplexityBucket``.

    ``"all"`` without cutoffs or without a perplexity: CCNet's name for languages that have no model.

    >>> bucket(99.9, Cutoffs(100.0, 200.0, 300)), bucket(100.0, Cutoffs(100.0, 200.0, 300))
    ('head', 'middle')
    """
    if cutoffs is None or perplexity is None or np.isnan(perplexity):
        return "all"
    if perplexity < cutoffs.head:
        return "head"
    return "middle" if perplexity < cutoffs.middle else "tail"
