"""Clusters of documents: a cluster is what edges connect, and is named by its smallest document."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ccbuild.dedup.groups import distinct

__all__ = ["clusters"]


def clusters(doc: NDArray[np.uint64], partner: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """(document, sorted; smallest of its cluster) of every document that stands in an edge, by union-find.

    64 bytes an edge; `ccbuild.dedup.external.stars` gives the same where that is too much.

    >>> nodes, smallest = clusters(np.array([3, 9, 5], np.uint64), np.array([1, 3, 4], np.uint64))
    >>> dict(zip(nodes.tolist(), smallest.tolist()))
    {1: 1, 3: 1, 4: 4, 5: 4, 9: 1}
    """
    from ccbuild.dedup import kernels

    nodes = distinct(np.concatenate((doc, partner)))
    parent = np.arange(len(nodes))
    kernels.union(np.searchsorted(nodes, doc), np.searchsorted(nodes, partner), parent)
    return nodes, nodes[parent]
