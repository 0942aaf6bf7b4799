"""The true Jaccard similarity of texts, to confirm what bands say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ccbuild.dedup.decisions import Edges
from ccbuild.dedup.groups import distinct
from ccbuild.dedup.words import shingles

__all__ = ["TextsOf", "confirmed", "true_jaccard"]

_BATCH = 4096

TextsOf = Callable[[NDArray[np.uint64]], dict[int, str]]
"""Texts of rows by number."""


def true_jaccard(a: str, b: str, ngram: int) -> float:
    """Jaccard similarity of the shingle sets of two texts; 0 where neither has a shingle.

    >>> round(true_jaccard("a b c d e f", "a b c d e g", 5), 3)
    0.333
    """
    first, second = set(shingles(a, ngram)), set(shingles(b, ngram))
    return len(first & second) / len(first | second) if first or second else 0.0


def confirmed(edges: Edges, min_jaccard: float, ngram: int, texts_of: TextsOf) -> Edges:
    """The edges whose true Jaccard similarity is `min_jaccard` or more; two texts in Python an edge, about 0.5 ms."""
    keep = np.zeros(len(edges.doc), np.bool_)
    for first in range(0, len(edges.doc), _BATCH):
        doc, partner = edges.doc[first : first + _BATCH], edges.partner[first : first + _BATCH]
        texts = texts_of(distinct(np.concatenate((doc, partner))))
        pairs = zip(doc.tolist(), partner.tolist(), strict=True)
        keep[first : first + _BATCH] = [true_jaccard(texts[d], texts[p], ngram) >= min_jaccard for d, p in pairs]
    return Edges(edges.doc[keep], edges.partner[keep], edges.agreeing[keep])
