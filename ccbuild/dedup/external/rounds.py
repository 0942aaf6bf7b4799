"""Which documents go with linkage ``chain``, for edges that do not fit in memory: what `decide_documents` gives,
through sorted files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ccbuild.dedup.decisions import (
    EQUAL,
    Decisions,
    DocumentPolicy,
    Edges,
    LengthOf,
    combine,
    decide_documents,
    decisions_of,
    judge,
)
from ccbuild.dedup.external.sorting import Lookup, Rows, Sorter, first_of_groups, groups_whole, read_rows, sort_rows
from ccbuild.dedup.external.stars import PAIR, clusters_by_rounds, pairs
from ccbuild.dedup.groups import distinct, group_starts
from ccbuild.dedup.signatures import SignatureConfig

__all__ = ["EDGE", "decide_by_rounds", "decide_edges"]

EDGE = np.dtype([("doc", "<u8"), ("partner", "<u8"), ("rank", "<i4")])
"""An edge, ranked as `ccbuild.dedup.decisions.EQUAL` has it."""
_JUDGED = np.dtype([("doc", "<u8"), ("partner", "<u8"), ("size", "<i8")])


def decide_by_rounds(
    edges: Iterable[Rows],
    config: SignatureConfig,
    policy: DocumentPolicy,
    folder: Path,
    nbytes: int,
    length_of: LengthOf | None = None,
) -> Iterator[Decisions]:
    """`decide_documents` of `edges` (blocks of `EDGE` sorted by (doc, partner)), in parts, in order of documents.

    A pair may occur more than once: its ranks are summed. Files go to `folder`; memory is about `nbytes`; under other
    policies than ``first`` the largest cluster must fit in it.
    """
    found = folder / "best.rows"
    if policy != "first":
        both = Sorter(EDGE, ("doc", "partner"), folder, nbytes // 3)
        for block in edges:
            both.add(block)
            both.add(_turned(block))
        edges = both.blocks()
    by_root = Sorter(PAIR, ("partner", "doc"), folder, nbytes // 3)
    for block in clusters_by_rounds(_note_best(edges, found, follow=policy == "first"), folder, nbytes // 2):
        by_root.add(block)
    judged = Sorter(_JUDGED, ("doc",), folder, nbytes // 3)
    members = by_root.blocks()
    for rows in _counted(members) if policy == "first" else _judged(members, policy, length_of):
        judged.add(rows)
    for block, best in _joined(judged.blocks(), read_rows(found, EDGE, 1 << 16)):
        partner = best["partner"] if policy == "none" else block["partner"]
        yield decisions_of(block["doc"], partner, block["size"], best["partner"], best["rank"], config)


def _counted(members: Iterable[Rows]) -> Iterator[Rows]:
    """What `judge` says by ``first`` of `members` (document, root; the roots themselves left out; sorted by root), a
    cluster of any size in little memory."""
    root, count = None, 0
    for block in members:
        starts = group_starts(block["partner"])
        sizes = np.diff(starts, append=len(block))
        rows = np.empty(len(block), _JUDGED)
        rows["doc"], rows["partner"] = block["doc"], block["partner"]
        rows["size"] = np.arange(len(block)) - np.repeat(starts, sizes) + 2  # the root is the first
        if block["partner"][0] == root:
            rows["size"][: sizes[0]] += count
        else:
            count = 0
        count = int(sizes[-1]) + (count if len(starts) == 1 else 0)
        root = block["partner"][-1]
        yield rows


def _judged(members: Iterable[Rows], policy: DocumentPolicy, length_of: LengthOf | None) -> Iterator[Rows]:
    """What `judge` says by another policy."""
    for block in groups_whole(members, "partner"):
        roots = distinct(block["partner"])
        whole = np.concatenate((roots, block["doc"])), np.concatenate((roots, block["partner"]))
        columns = judge(*whole, policy, length_of)
        rows = np.empty(len(columns[0]), _JUDGED)
        rows["doc"], rows["partner"], rows["size"] = columns
        yield rows


BYTES_PER_EDGE = 200
"""Memory of an edge while all are decided at once."""


def decide_edges(
    edges: Iterable[Rows],
    n_edges: int,
    config: SignatureConfig,
    policy: DocumentPolicy,
    folder: Path,
    nbytes: int,
    length_of: LengthOf | None = None,
) -> Iterator[Decisions]:
    """The decisions on `n_edges` edges (blocks of `EDGE` sorted by (doc, partner)): at once where they fit `nbytes`,
    by rounds over files in `folder` where not. Both give the same."""
    if n_edges * BYTES_PER_EDGE > nbytes:
        yield from decide_by_rounds(edges, config, policy, folder, nbytes, length_of)
        return
    rows = np.concatenate([*edges, np.empty(0, EDGE)])
    yield decide_documents(combine([Edges(rows["doc"], rows["partner"], rows["rank"])]), config, policy, length_of)


def _turned(block: Rows) -> Rows:
    """Each edge from its other end."""
    rows = block.copy()
    rows["doc"], rows["partner"] = block["partner"], block["doc"]
    return rows


def _note_best(edges: Iterable[Rows], path: Path, *, follow: bool) -> Iterator[Rows]:
    """Write the best edge of each document to `path`; yields the pairs to be clustered: the best edges, or all."""
    with path.open("wb") as stream:
        for block in groups_whole(edges, "doc"):
            starts = first_of_groups(block, ("doc", "partner"))
            rows = block[starts]
            rows["rank"] = np.minimum(np.add.reduceat(block["rank"].astype(np.int64), starts), EQUAL)
            order = rows.copy()
            order["rank"] = -rows["rank"]
            order = sort_rows(order, ("doc", "rank", "partner"))
            best = order[first_of_groups(order, ("doc",))]
            best["rank"] = -best["rank"]
            stream.write(best.tobytes())
            chosen = best if follow else rows[rows["partner"] < rows["doc"]]
            yield pairs(chosen["doc"], chosen["partner"])


def _joined(judged: Iterable[Rows], best: Iterator[Rows]) -> Iterator[tuple[Rows, Rows]]:
    """The rows of `judged`, each with its row of `best`; both are sorted by document."""
    lookup = Lookup(best, "doc")
    for block in judged:
        yield block, lookup.find(block["doc"])[1]
