"""Which documents and paragraphs go, and what each repeats: functions of arrays, whatever order their rows have.

Order of documents is order of doc_id, by snapshot and then by address. With policy ``first`` a document goes if it
matches an earlier one, whether or not that one stays; no clusters are asked, so that documents added later never change
what was decided. ``newest``, ``longest`` and ``none`` ask the cluster, all documents that edges connect. Every document
of a group of equal hashes is matched to the group's smallest, so that a page repeated a million times costs a million
rows and not their square.

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
    "Decisions",
    "DocumentPolicy",
    "Edges",
    "LengthOf",
    "ParagraphDecisions",
    "ParagraphPolicy",
    "combine",
    "decide_documents",
    "decide_paragraphs",
    "decisions_of",
    "judge",
    "matches",
]

ParagraphPolicy = Literal["first", "none"]
DocumentPolicy = Literal["first", "newest", "longest", "none"]

LengthOf = Callable[[NDArray[np.uint64]], NDArray[np.int64]]
"""Lengths of documents, for policy ``longest``."""

EQUAL = 1 << 30
"""Rank of an edge between equal documents; that of another edge is the number of bands that agree."""


@dataclass(frozen=True, slots=True)
class Edges:
    """n pairs of documents that share hashes, sorted by (doc, partner), each pair once."""

    doc: NDArray[np.uint64]
    partner: NDArray[np.uint64]
    """Always smaller than `doc`."""
    agreeing: NDArray[np.int32]
    """Number of hashes by which the two were matched: for bands, of bands."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """n documents that go, sorted by `doc`."""

    doc: NDArray[np.uint64]
    partner: NDArray[np.uint64]
    """A document that stays. ``first``: `match`, or what that one repeats, and so on; else the one that its cluster
    keeps. With ``none`` nothing stays, and it is the first of the cluster, for that one the second."""
    similarity: NDArray[np.float32]
    """To `match`: 1 for an equal document, else Jaccard estimated from the bands that agree."""
    match: NDArray[np.uint64]
    """The document with which it agrees best, with ``first`` among the earlier ones; it may have gone itself."""
    equal: NDArray[np.bool_]
    """True where `match` is an equal document, False where it is a near one."""
    cluster_size: NDArray[np.int64]
    """Documents of the cluster; with ``first`` those up to this one, so that it never changes when a run grows: the
    largest of a partner says for how many it stands, itself included."""


@dataclass(frozen=True, slots=True)
class ParagraphDecisions:
    """n paragraphs that go, sorted by (doc, paragraph)."""

    doc: NDArray[np.uint64]
    paragraph: NDArray[np.int32]
    partner_doc: NDArray[np.uint64]
    """Document of the paragraph that is repeated: the first of its kind; where that is the paragraph itself (policy
    ``none``), the second."""
    partner_paragraph: NDArray[np.int32]


def matches(hash: NDArray[np.uint64], doc_id: NDArray[np.uint64]) -> Edges:
    """An edge from every document to the smallest with which it shares a hash, for each hash.

    `hash` and `doc_id` are columns of prints of one kind; hash 0 matches nothing. Some 60 bytes of memory a row.
    """
    rows = np.argsort(hash)
    hash, doc_id = hash[rows], doc_id[rows]
    starts = group_starts(hash)
    if len(starts) == 0:
        return _edges(doc_id, doc_id, np.empty(0, np.int32))
    smallest = np.repeat(np.minimum.reduceat(doc_id, starts), np.diff(starts, append=len(hash)))
    later = (doc_id != smallest) & (hash != NO_PRINT)
    hash, doc_id, smallest = hash[later], doc_id[later], smallest[later]
    order = np.lexsort((hash, doc_id))  # a document that has a hash twice shares it once
    hash, doc_id, smallest = hash[order], doc_id[order], smallest[order]
    once = group_starts(hash, doc_id)
    return _edges(doc_id[once], smallest[once], np.ones(len(once), np.int32))


def combine(parts: Sequence[Edges]) -> Edges:
    """All of `parts` as one: pairs that occur in several have their counts summed."""
    return _edges(
        np.concatenate([p.doc for p in parts] or [np.empty(0, np.uint64)]),
        np.concatenate([p.partner for p in parts] or [np.empty(0, np.uint64)]),
        np.concatenate([p.agreeing for p in parts] or [np.empty(0, np.int32)]),
    )


def _edges(doc: NDArray[np.uint64], partner: NDArray[np.uint64], agreeing: NDArray[np.int32]) -> Edges:
    """Edges sorted, each pair once, its counts summed."""
    order = np.lexsort((partner, doc))
    doc, partner, agreeing = doc[order], partner[order], agreeing[order]
    starts = group_starts(doc, partner)
    summed = np.add.reduceat(agreeing, starts).astype(np.int32) if len(starts) else agreeing
    return Edges(doc[starts], partner[starts], summed)


def decide_documents(
    exact: Edges,
    bands: Edges,
    config: SignatureConfig,
    policy: DocumentPolicy = "first",
    length_of: LengthOf | None = None,
) -> Decisions:
    """The documents that go by `policy`, with the best match of each and a document that stays.

    `exact` are the matches of document hashes, `bands` those of bands (of all buckets, combined). An equal document
    comes before a near one; among near ones the one that agrees in most bands, then the smallest. A band is matched to
    the smallest document that has it, so a pair may agree in more bands than are counted: the similarity errs low.
    ``longest`` asks `length_of`; among equally long ones the first stays. Some 150 bytes of memory an edge:
    `ccbuild.dedup.external.rounds` gives the same where that is too much.
    """
    doc, match = np.concatenate((exact.doc, bands.doc)), np.concatenate((exact.partner, bands.partner))
    rank = np.concatenate((np.full(len(exact.doc), EQUAL, np.int32), bands.agreeing))
    if policy == "first":
        best_doc, best_match, best_rank = _best(doc, match, rank)
        nodes, root = clusters(best_doc, best_match)
    else:
        both = np.concatenate((doc, match)), np.concatenate((match, doc))
        best_doc, best_match, best_rank = _best(*both, np.concatenate((rank, rank)))
        nodes, root = clusters(doc, match)
    gone, partner, size = judge(nodes, root, policy, length_of)
    order = np.argsort(gone)
    gone, partner, size = gone[order], partner[order], size[order]
    at = np.searchsorted(best_doc, gone)
    return decisions_of(gone, partner, size, best_match[at], best_rank[at], config)


def decisions_of(
    doc: NDArray[np.uint64],
    partner: NDArray[np.uint64],
    size: NDArray[np.int64],
    match: NDArray[np.uint64],
    rank: NDArray[np.int32],
    config: SignatureConfig,
) -> Decisions:
    """`Decisions` from columns in which `rank` says how well `match` agrees."""
    equal = rank >= EQUAL
    similarity = np.where(equal, np.float32(1), similarity_from_bands(rank, config)).astype(np.float32)
    return Decisions(doc, partner, similarity, match, equal, size)


def _best(
    doc: NDArray[np.uint64], match: NDArray[np.uint64], rank: NDArray[np.int32]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int32]]:
    """Of each document the edge with the highest rank, then the smallest match; sorted by document."""
    best = np.lexsort((match, -rank, doc))
    best = best[group_starts(doc[best])]
    return doc[best], match[best], rank[best]


def judge(
    doc: NDArray[np.uint64], root: NDArray[np.uint64], policy: DocumentPolicy, length_of: LengthOf | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    """(documents that go, partner of each, size of its cluster as `Decisions` has it), by cluster; `doc` are whole
    clusters, each named by its smallest.

    >>> doc, root = np.array([1, 5, 9], np.uint64), np.array([1, 1, 1], np.uint64)
    >>> [column.tolist() for column in judge(doc, root, "newest")]
    [[1, 5], [9, 9], [3, 3]]
    """
    order = np.lexsort((doc, root))
    doc, root = doc[order], root[order]
    starts = group_starts(root)
    sizes = np.diff(starts, append=len(doc))
    size = np.repeat(sizes, sizes)
    if policy == "none":
        partner = root.copy()
        many = starts[sizes > 1]
        partner[many] = doc[many + 1]
        return doc, partner, size
    kept = root
    if policy == "first":
        size = np.arange(len(doc)) - np.repeat(starts, sizes) + 1
    elif policy == "newest":
        kept = np.repeat(doc[starts + sizes - 1], sizes)
    elif policy == "longest":
        if length_of is None:
            raise ValueError("policy longest needs length_of")
        longest = np.lexsort((doc, -length_of(doc), root))
        kept = np.repeat(doc[longest[starts]], sizes)
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
