"""Clusters of documents by rounds over sorted files, for edges that do not fit in memory: what `clusters` gives.

The alternating large-star and small-star of Kiveris et al., "Connected Components in MapReduce and Beyond" (2014): each
sends every document to a smaller neighbour of a neighbour, until all stand around the smallest; two sorts a round, and
rounds that grow with the logarithm of the longest chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ccbuild.dedup.external.sorting import Rows, Sorter, first_of_groups, read_rows, write_rows

__all__ = ["PAIR", "clusters_by_rounds", "pairs"]

PAIR = np.dtype([("doc", "<u8"), ("partner", "<u8")])
"""A document and another one."""

_BLOCK_ROWS = 1 << 16


def pairs(doc: NDArray[np.uint64], partner: NDArray[np.uint64]) -> Rows:
    """Two columns as rows of `PAIR`."""
    rows = np.empty(len(doc), PAIR)
    rows["doc"], rows["partner"] = doc, partner
    return rows


def clusters_by_rounds(edges: Iterable[Rows], folder: Path, nbytes: int) -> Iterator[Rows]:
    """What `clusters` gives of blocks of `PAIR`, as blocks of `PAIR` (document, smallest) sorted by document, without
    the smallest themselves; files in `folder`, memory about `nbytes`."""
    both = Sorter(PAIR, ("doc", "partner"), folder, nbytes // 2)
    for block in edges:
        _add_both(both, block)
    found = folder / "clusters.rows"
    moved = True
    while moved:
        lower = Sorter(PAIR, ("doc", "partner"), folder, nbytes // 2)
        moved = _large_star(both.blocks(), lower)
        both = Sorter(PAIR, ("doc", "partner"), folder, nbytes // 2)
        moved |= _small_star(lower.blocks(), both, found)
    both.close()
    yield from read_rows(found, PAIR, _BLOCK_ROWS)


def _add_both(sorter: Sorter, block: Rows) -> None:
    sorter.add(pairs(block["doc"], block["partner"]))
    sorter.add(pairs(block["partner"], block["doc"]))


def _with_smallest(blocks: Iterable[Rows]) -> Iterator[tuple[Rows, NDArray[np.uint64], NDArray[np.bool_]]]:
    """(rows without repeats; the smallest neighbour of each row's document; whether it is that row) for each block.

    Blocks are sorted by (doc, partner), so a document's first neighbour is its smallest; a group may run over blocks.
    """
    last: Rows | None = None
    smallest_of_last = np.uint64(0)
    for block in blocks:
        rows = block[first_of_groups(block, ("doc", "partner"))]
        if last is not None and rows[0] == last[0]:
            rows = rows[1:]
        if len(rows) == 0:
            continue
        starts = first_of_groups(rows, ("doc",))
        smallest = np.repeat(rows["partner"][starts], np.diff(starts, append=len(rows)))
        first = np.zeros(len(rows), np.bool_)
        first[starts] = True
        if last is not None and rows["doc"][0] == last["doc"][0]:
            smallest[rows["doc"] == rows["doc"][0]] = smallest_of_last
            first[0] = False
        last, smallest_of_last = rows[-1:].copy(), smallest[-1]
        yield rows, smallest, first


def _large_star(blocks: Iterable[Rows], lower: Sorter) -> bool:
    """Send the larger neighbours of each document to the smallest of its neighbours and itself; whether one moved."""
    moved = False
    for rows, smallest, _ in _with_smallest(blocks):
        target = np.minimum(smallest, rows["doc"])
        larger = rows["partner"] > rows["doc"]
        moved |= bool(np.any(target[larger] != rows["doc"][larger]))
        lower.add(pairs(rows["partner"][larger], target[larger]))
    return moved


def _small_star(blocks: Iterable[Rows], both: Sorter, found: Path) -> bool:
    """Send each document and its neighbours, all smaller, to the smallest of them; writes (document, smallest)."""
    moved = False

    def firsts() -> Iterator[Rows]:
        nonlocal moved
        for rows, smallest, first in _with_smallest(blocks):
            moved |= not bool(first.all())
            _add_both(both, rows[first])
            _add_both(both, pairs(rows["partner"][~first], smallest[~first]))
            yield rows[first]

    write_rows(found, firsts())
    return moved
