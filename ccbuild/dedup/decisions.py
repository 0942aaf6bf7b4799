"""Which documents and paragraphs go, and what each repeats: functions of arrays, whatever order their rows have.

A policy says in which order documents are asked, and so which copy stays: ``first`` by doc_id, ``newest`` by doc_id
from the last on, ``longest`` by length; ``none`` keeps no copy. Linkage says whose copy a document must be to go.
``kept``: that of one that stays, so that each is asked after those before it (`ccbuild.dedup.external.kept`).
``chain``: that of any of its cluster, all documents that edges connect (`decide_documents`); with ``first``, of an
earlier one, whether or not that one stays. With ``first`` documents added later never change what was decided.

Of a group of equal hashes each document is matched to the group's first ones, so that a page repeated a million times
costs a million rows and not their square.

All of these give the same for the rows of any part of the hash space together as apart: `matches` and
`decide_paragraphs` may run bucket by bucket, with `combine` or concatenation after them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ccbuild.dedup.clusters import clusters
from ccbuild.dedup.groups import group_starts
from ccbuild.dedup.paragraphs import NO_PRINT
from ccbuild.dedup.signatures import SignatureConfig, similarity_from_bands

__all__ = [
    "EQUAL",
    "HUBS",
    "MEASURED",
    "Decisions",
    "DocumentPolicy",
    "Edges",
    "LengthOf",
    "Linkage",
    "ParagraphDecisions",
    "ParagraphPolicy",
    "combine",
    "decide_documents",
    "decide_paragraphs",
    "decisions_of",
    "judge",
    "matches",
    "ranks",
    "similarities",
    "turns",
]

ParagraphPolicy = Literal["first", "none"]
DocumentPolicy = Literal["first", "newest", "longest", "none"]
Linkage = Literal["kept", "chain"]

LengthOf = Callable[[NDArray[np.uint64]], NDArray[np.int64]]
"""Lengths of documents, for policy ``longest``."""

EQUAL = 1 << 30
"""Rank of an edge between equal documents. That of another edge is its similarity in millionths, added to `MEASURED`,
where the texts were asked, else the number of bands that agree."""
MEASURED = 1 << 24

HUBS = 4
"""Documents of a group of equal bands to which the others are matched with linkage ``kept``: where the first of the
group has gone for another, those that are near to each other still meet in the next ones."""


@dataclass(frozen=True, slots=True)
class Edges:
    """n pairs of documents that share hashes, sorted by (doc, partner), each pair once."""

    doc: NDArray[np.uint64]
    partner: NDArray[np.uint64]
    """Asked before `doc`; smaller than it, but by ``newest`` and ``longest``."""
    rank: NDArray[np.int32]
    """Number of hashes by which the two were matched (of bands), or how near they are, as `EQUAL` has it."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """n documents that go, sorted by `doc`."""

    doc: NDArray[np.uint64]
    partner: NDArray[np.uint64]
    """The document that stays for it; with ``none`` nothing stays, and it is `match`."""
    similarity: NDArray[np.float32]
    """To `partner`: Jaccard, 1 for an equal document; NaN with ``chain`` where the two were never compared."""
    match: NDArray[np.uint64]
    """The document to which it was found equal, or with which it agrees best: `partner` itself, but for a copy of a
    document that went, and with ``chain``."""
    match_similarity: NDArray[np.float32]
    """To `match`."""
    equal: NDArray[np.bool_]
    """Whether `partner` has the same text."""
    cluster_size: NDArray[np.int64]
    """For how many documents the partner stands, itself and those up to this one included, so that it never changes
    when a run grows: the largest of a partner says for how many it stands. With ``chain`` and another policy than
    ``first`` the documents of the cluster."""


@dataclass(frozen=True, slots=True)
class ParagraphDecisions:
    """n paragraphs that go, sorted by (doc, paragraph)."""

    doc: NDArray[np.uint64]
    paragraph: NDArray[np.int32]
    partner_doc: NDArray[np.uint64]
    """Document of the paragraph that is repeated: the first of its kind; where that is the paragraph itself (policy
    ``none``), the second."""
    partner_paragraph: NDArray[np.int32]


def turns(doc: NDArray[np.uint64], policy: DocumentPolicy, length_of: LengthOf | None = None) -> NDArray[np.uint64]:
    """When each of `doc` is asked by `policy`: a smaller number is earlier, and of equal ones the smaller document.

    >>> turns(np.array([1, 5], np.uint64), "longest", lambda doc: np.array([30, 70])).argsort().tolist()
    [1, 0]
    """
    if policy == "newest":
        return ~doc
    if policy == "longest":
        if length_of is None:
            raise ValueError("policy longest needs length_of")
        return ~length_of(doc).astype(np.uint64)
    return np.zeros(len(doc), np.uint64)


def matches(
    hash: NDArray[np.uint64], doc_id: NDArray[np.uint64], most: int = 1, turn: NDArray[np.uint64] | None = None
) -> Edges:
    """An edge from every document to each of the first `most` with which it shares a hash, for each hash.

    `hash` and `doc_id` are columns of prints of one kind; hash 0 matches nothing. `turn` is what `turns` says of
    `doc_id`; None: the smallest come first. Some 60 bytes of memory a row.
    """
    rows = np.argsort(hash)
    starts = group_starts(hash[rows])
    sizes = np.diff(starts, append=len(rows))
    rows = rows[np.repeat(sizes > 1, sizes)]
    rows = rows[hash[rows] != NO_PRINT]
    order = (doc_id[rows], hash[rows]) if turn is None else (doc_id[rows], turn[rows], hash[rows])
    rows = rows[np.lexsort(order)]
    rows = rows[group_starts(hash[rows], doc_id[rows])]  # a document that has a hash twice shares it once
    hash, doc_id = hash[rows], doc_id[rows]
    starts = group_starts(hash)
    sizes = np.diff(starts, append=len(hash))
    place = np.arange(len(hash)) - np.repeat(starts, sizes)
    found = [_no_edges()]
    for hub in range(most):
        later = np.flatnonzero(place > hub)
        first = later - place[later] + hub
        found.append(Edges(doc_id[later], doc_id[first], np.ones(len(later), np.int32)))
    return combine(found)


def _no_edges() -> Edges:
    return Edges(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int32))


def combine(parts: Sequence[Edges]) -> Edges:
    """All of `parts` as one: pairs that occur in several have their ranks summed, up to `EQUAL`."""
    parts = [_no_edges(), *parts]
    doc, partner, rank = (np.concatenate([getattr(p, name) for p in parts]) for name in Edges.__slots__)
    order = np.lexsort((partner, doc))
    doc, partner, rank = doc[order], partner[order], rank[order]
    starts = group_starts(doc, partner)
    summed = np.add.reduceat(rank.astype(np.int64), starts) if len(starts) else rank
    return Edges(doc[starts], partner[starts], np.minimum(summed, EQUAL).astype(np.int32))


def decide_documents(
    edges: Edges, config: SignatureConfig, policy: DocumentPolicy = "first", length_of: LengthOf | None = None
) -> Decisions:
    """The documents that go by `policy` and linkage ``chain``, with the best match of each and a document that stays.

    An equal document comes before a near one; among near ones the nearest, or the one that agrees in most bands, then
    the smallest. ``longest`` asks `length_of`; among equally long ones the first stays. Some 150 bytes of memory an
    edge: `ccbuild.dedup.external.rounds` gives the same where that is too much.
    """
    if policy == "first":
        best = _best(edges.doc, edges.partner, edges.rank)
        nodes, root = clusters(best.doc, best.partner)
    else:
        doc, match = np.concatenate((edges.doc, edges.partner)), np.concatenate((edges.partner, edges.doc))
        best = _best(doc, match, np.concatenate((edges.rank, edges.rank)))
        nodes, root = clusters(edges.doc, edges.partner)
    gone, partner, size = judge(nodes, root, policy, length_of)
    order = np.argsort(gone)
    gone, partner, size = gone[order], partner[order], size[order]
    at = np.searchsorted(best.doc, gone)
    match, rank = best.partner[at], best.rank[at]
    return decisions_of(gone, match if policy == "none" else partner, size, match, rank, config)


def similarities(rank: NDArray[np.int32], config: SignatureConfig) -> NDArray[np.float32]:
    """What the ranks of edges say of the similarity of their documents."""
    measured = (rank - MEASURED).astype(np.float32) / np.float32(1e6)
    by_bands = similarity_from_bands(np.minimum(rank, config.bands), config)
    near = np.where(rank >= MEASURED, measured, by_bands)
    return np.where(rank >= EQUAL, np.float32(1), near).astype(np.float32)


def ranks(
    similarity: NDArray[np.float32], equal: NDArray[np.bool_], config: SignatureConfig, measured: bool
) -> NDArray[np.int32]:
    """The ranks of which `similarities` made `similarity`, of equal documents or not, `measured` or by bands."""
    if measured:
        near = MEASURED + np.rint(similarity.astype(np.float64) * 1e6).astype(np.int32)
    else:
        by_bands = similarity_from_bands(np.arange(config.bands + 1), config)
        near = np.searchsorted(by_bands, similarity).astype(np.int32)
    return np.where(equal, EQUAL, near).astype(np.int32)


def decisions_of(
    doc: NDArray[np.uint64],
    partner: NDArray[np.uint64],
    size: NDArray[np.int64],
    match: NDArray[np.uint64],
    rank: NDArray[np.int32],
    config: SignatureConfig,
) -> Decisions:
    """`Decisions` of linkage ``chain`` from columns in which `rank` says how well `match` agrees."""
    near = similarities(rank, config)
    direct = partner == match
    similarity = np.where(direct, near, np.float32(np.nan)).astype(np.float32)
    return Decisions(doc, partner, similarity, match, near, direct & (rank >= EQUAL), size)


def _best(doc: NDArray[np.uint64], match: NDArray[np.uint64], rank: NDArray[np.int32]) -> Edges:
    """Of each document the edge with the highest rank, then the smallest match; sorted by document."""
    best = np.lexsort((match, -rank, doc))
    best = best[group_starts(doc[best])]
    return Edges(doc[best], match[best], rank[best])


def judge(
    doc: NDArray[np.uint64], root: NDArray[np.uint64], policy: DocumentPolicy, length_of: LengthOf | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    """(documents that go, the one that each's cluster keeps, size of the cluster as `Decisions` has it), by cluster;
    `doc` are whole clusters, each named by its smallest. With ``none`` all go, and the second column is that smallest.

    >>> doc, root = np.array([1, 5, 9], np.uint64), np.array([1, 1, 1], np.uint64)
    >>> [column.tolist() for column in judge(doc, root, "newest")]
    [[5, 1], [9, 9], [3, 3]]
    """
    order = np.lexsort((doc, turns(doc, policy, length_of), root))
    doc, root = doc[order], root[order]
    starts = group_starts(root)
    sizes = np.diff(starts, append=len(doc))
    size = np.repeat(sizes, sizes)
    if policy == "none":
        return doc, root, size
    if policy == "first":
        size = np.arange(len(doc)) - np.repeat(starts, sizes) + 1
    kept = np.repeat(doc[starts], sizes)
    goes = doc != kept
    return doc[goes], kept[goes], size[goes]


def decide_paragraphs(
    hash: NDArray[np.uint64],
    doc_id: NDArray[np.uint64],
    paragraph: NDArray[np.int32],
    policy: ParagraphPolicy = "first",
) -> ParagraphDecisions:
    """The paragraphs that go, of documents that stay.

    ``first``: of the paragraphs that share a hash the first by (doc_id, paragraph) stays.
    ``none``: cc_net 1.0.0 (`HashesCollector`, `DuplicatesRemover`, `finalize_doc`), within the documents given: a
    paragraph that occurs in two documents or more goes everywhere, the first too; one that repeats within one document
    only keeps its first place there. cc_net calls a hash of 0 a duplicate; here it matches nothing.
    """
    stays = hash != NO_PRINT
    hash, doc_id, paragraph = hash[stays], doc_id[stays], paragraph[stays]
    order = np.lexsort((paragraph, doc_id, hash))
    hash, doc_id, paragraph = hash[order], doc_id[order], paragraph[order]
    starts = group_starts(hash)
    sizes = np.diff(starts, append=len(hash))
    partner = np.repeat(starts, sizes)
    goes = np.ones(len(hash), np.bool_)
    goes[starts] = False
    if policy == "none":
        _drop_first_too(doc_id, starts, sizes, partner, goes)
    return _paragraph_decisions(doc_id, paragraph, partner, goes)


def _drop_first_too(
    doc_id: NDArray[np.uint64],
    starts: NDArray[np.intp],
    sizes: NDArray[np.intp],
    partner: NDArray[np.intp],
    goes: NDArray[np.bool_],
) -> None:
    """Mark the first of each group that spans documents as going, its partner the first in another document."""
    spans = doc_id[starts + sizes - 1] != doc_id[starts]
    first = starts[spans]
    others = np.flatnonzero(doc_id != np.repeat(doc_id[starts], sizes))  # rows of a group's later documents
    goes[first] = True
    partner[first] = others[np.searchsorted(others, first)]


def _paragraph_decisions(
    doc_id: NDArray[np.uint64], paragraph: NDArray[np.int32], partner: NDArray[np.intp], goes: NDArray[np.bool_]
) -> ParagraphDecisions:
    doc, place, other = doc_id[goes], paragraph[goes], partner[goes]
    order = np.lexsort((place, doc))
    return ParagraphDecisions(doc[order], place[order], doc_id[other[order]], paragraph[other[order]])
