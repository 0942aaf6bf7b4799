"""Which documents go with linkage ``kept``: each is asked in its turn, and goes for one that stays.

One pass over edges sorted by turn, with a bit a document, then two sorts: in a memory that is set beforehand, whatever
the number of edges. It is the greedy independent set of the near pairs: of two near ones at least one has gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ccbuild.dedup.decisions import EQUAL, Decisions, DocumentPolicy, LengthOf, similarities, turns
from ccbuild.dedup.external.bitmap import DocumentSet
from ccbuild.dedup.external.sorting import Lookup, Rows, Sorter, first_of_groups, groups_whole, merged
from ccbuild.dedup.groups import group_starts
from ccbuild.dedup.signatures import SignatureConfig

__all__ = ["WENT", "decide_kept", "summed"]

WENT = np.dtype([("doc", "<u8"), ("partner", "<u8"), ("rank", "<i4"), ("match", "<u8"), ("match_rank", "<i4")])
"""A document that goes, the one that stays for it, and the one that it was found equal to; ranks as of edges."""
_ASKED = np.dtype([("turn", "<u8"), ("doc", "<u8"), ("partner", "<u8"), ("rank", "<i4")])
_COUNTED = np.dtype([*WENT.descr, ("size", "<i8")])


def summed(edges: Iterable[Rows]) -> Iterator[Rows]:
    """Edges sorted by (doc, partner), each pair once, its ranks summed."""
    for block in groups_whole(edges, "doc"):
        starts = first_of_groups(block, ("doc", "partner"))
        rows = block[starts]
        rows["rank"] = np.add.reduceat(block["rank"], starts)
        yield rows


def decide_kept(
    edges: Iterable[Rows],
    earlier: Iterable[Rows],
    gone: DocumentSet,
    config: SignatureConfig,
    policy: DocumentPolicy,
    folder: Path,
    nbytes: int,
    length_of: LengthOf | None = None,
) -> Iterator[Decisions]:
    """The documents that go, in parts, in order of documents; each is added to `gone`.

    `edges` are blocks with `doc`, `partner` and `rank`, sorted by (doc, partner), of which `partner` comes first by
    `policy`, each pair once. A copy (rank `EQUAL`) has one edge, to a document that is nobody's copy, and goes for that
    one, or for what that one went for. `earlier` are blocks of `WENT`, sorted by document, of what went in generations
    before, which `gone` has. Files go to `folder`; memory is about `nbytes`.
    """
    part = nbytes // 7
    copies = Sorter(_ASKED, ("partner", "doc"), folder, part)
    went, known = ([Sorter(WENT, ("doc",), folder, part) for _ in range(2)] for _ in range(2))  # each is read twice
    for rows in _near(edges, copies, policy, folder, part, length_of):
        chosen = _settled(rows, gone)
        for sorter in went:
            sorter.add(chosen)
    for block in earlier:
        for sorter in known:
            sorter.add(block)
    by_partner = Sorter(_COUNTED, ("partner", "doc"), folder, part)
    for rows in _copied(copies.blocks(), Lookup(merged([went[0].blocks(), known[0].blocks()], ("doc",)), "doc")):
        gone.add(rows["doc"])
        by_partner.add(_counted(rows, 1))
    for sorters, new in ((went, 1), (known, 0)):
        for block in sorters[1].blocks():
            by_partner.add(_counted(block, new))
    found = Sorter(_COUNTED, ("doc",), folder, part)
    for block in _numbered(by_partner.blocks()):
        found.add(block)
    yield from (_decisions(block, config) for block in found.blocks())


def _decisions(rows: Rows, config: SignatureConfig) -> Decisions:
    doc, partner, match, size = (np.ascontiguousarray(rows[name]) for name in ("doc", "partner", "match", "size"))
    near, matched = (similarities(rows[name], config) for name in ("rank", "match_rank"))
    return Decisions(doc, partner, near, match, matched, rows["rank"] >= EQUAL, size)


def _near(
    edges: Iterable[Rows],
    copies: Sorter,
    policy: DocumentPolicy,
    folder: Path,
    nbytes: int,
    length_of: LengthOf | None,
) -> Iterator[Rows]:
    """The near edges by turn, those of a document together; the others go to `copies`."""
    in_turn = Sorter(_ASKED, ("turn", "doc", "partner"), folder, nbytes)

    def near() -> Iterator[Rows]:
        for block in edges:
            rows = np.empty(len(block), _ASKED)
            for name in ("doc", "partner", "rank"):
                rows[name] = block[name]
            rows["turn"] = turns(block["doc"], policy, length_of)
            copies.add(rows[rows["rank"] >= EQUAL])
            yield rows[rows["rank"] < EQUAL]

    if policy == "first":  # as they come
        yield from groups_whole((rows for rows in near() if len(rows)), "doc")
        return
    for rows in near():
        in_turn.add(rows)
    yield from _documents_whole(in_turn.blocks())


def _documents_whole(blocks: Iterable[Rows]) -> Iterator[Rows]:
    """The same rows in blocks that never part those of one document, which stand together though not in order."""
    waiting = np.empty(0, _ASKED)
    for block in blocks:
        rows = np.concatenate((waiting, block))
        cut = int(group_starts(rows["doc"])[-1])
        if cut:
            yield rows[:cut]
        waiting = rows[cut:]
    if len(waiting):
        yield waiting


def _settled(rows: Rows, gone: DocumentSet) -> Rows:
    """Of the edges of documents that go the best to one that stays; the documents are added to `gone`."""
    from ccbuild.dedup import kernels

    chosen = np.zeros(len(rows), np.bool_)
    doc, partner = gone.position(rows["doc"]), gone.position(rows["partner"])
    rank = np.ascontiguousarray(rows["rank"])
    kernels.settle(doc, partner, rank, np.asarray(gone.bits), chosen)
    found = rows[chosen]
    went = np.empty(len(found), WENT)
    for name, column in (("doc", "doc"), ("partner", "partner"), ("match", "partner")):
        went[name] = found[column]
    went["rank"] = went["match_rank"] = found["rank"]
    return went


def _copied(copies: Iterable[Rows], hubs: Lookup) -> Iterator[Rows]:
    """Copies with what stays for them; `hubs` are the documents that went for another."""
    for block in copies:
        rows = np.empty(len(block), WENT)
        rows["doc"], rows["partner"], rows["match"] = block["doc"], block["partner"], block["partner"]
        rows["rank"] = rows["match_rank"] = EQUAL
        present, found = hubs.find(np.ascontiguousarray(block["partner"]))
        if len(found):
            rows["partner"][present], rows["rank"][present] = found["partner"], found["rank"]
        yield rows


def _counted(rows: Rows, new: int) -> Rows:
    """`rows` with a place for their number: 0 for those that are known."""
    counted = np.empty(len(rows), _COUNTED)
    for name in WENT.names or ():
        counted[name] = rows[name]
    counted["size"] = new
    return counted


def _numbered(blocks: Iterable[Rows]) -> Iterator[Rows]:
    """The new ones of rows sorted by (partner, doc), each with the number of its partner's up to it, and one more."""
    partner, count = None, 0
    for block in blocks:
        starts = group_starts(block["partner"])
        sizes = np.diff(starts, append=len(block))
        number = np.arange(len(block)) - np.repeat(starts, sizes) + 2
        if block["partner"][0] == partner:
            number[: sizes[0]] += count
        else:
            count = 0
        count = int(sizes[-1]) + (count if len(starts) == 1 else 0)
        partner = block["partner"][-1]
        new = block["size"] > 0
        rows = block[new].copy()
        rows["size"] = number[new]
        yield rows
