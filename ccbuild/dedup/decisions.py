"""Which documents and paragraphs go, and what each repeats: functions of arrays, whatever order their rows have.

Order of documents is order of doc_id, by snapshot and then by address. Documents keep the first: a document goes if it
matches an earlier one, whether or not that one stays; no clusters are made, so that documents added later never change
what was decided. Every document of a group of equal hashes is matched to the group's smallest, so that a page repeated
a million times costs a million rows and not their square.

All of these give the same for the rows of any part of the hash space together as apart: `matches` and
`decide_paragraphs` may run bucket by bucket, with `combine` or concatenation after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ccbuild.dedup.paragraphs import NO_PRINT
from ccbuild.dedup.signatures import SignatureConfig, similarity_from_bands

__all__ = [
    "Decisions",
    "Edges",
    "GoneDocuments",
    "ParagraphDecisions",
    "ParagraphPolicy",
    "combine",
    "decide_documents",
    "decide_paragraphs",
    "matches",
]

ParagraphPolicy = Literal["first", "none"]


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
    """A document that stays: `match`, or what that one repeats, and so on."""
    similarity: NDArray[np.float32]
    """To `match`: 1 for an equal document, else Jaccard estimated from the bands that agree."""
    match: NDArray[np.uint64]
    """The earlier document that was matched; it may have gone itself."""
    equal: NDArray[np.bool_]
    """True where `match` is an equal document, False where it is a near one."""


@dataclass(frozen=True, slots=True)
class ParagraphDecisions:
    """n paragraphs that go, sorted by (doc, paragraph)."""

    doc: NDArray[np.uint64]
    paragraph: NDArray[np.int32]
    partner_doc: NDArray[np.uint64]
    """Document of the paragraph that is repeated: the first of its kind; where that is the paragraph itself (policy
    ``none``), the second."""
    partner_paragraph: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class GoneDocuments:
    """The documents that go, a bit each: 3 billion documents are 375 MB, which may be a memory-mapped file."""

    first_bit: NDArray[np.int64]
    """[shards + 1] where each shard's bits start."""
    bits: NDArray[np.uint8]
    """Eight documents a byte, the first in the lowest bit."""

    @classmethod
    def of(cls, doc: NDArray[np.uint64], rows: Sequence[int] | NDArray[np.int64]) -> GoneDocuments:
        """The bitmap of the documents `doc` in shards of ``rows[shard]`` documents each."""
        first_bit = np.concatenate(([0], np.cumsum(rows))).astype(np.int64)
        gone = cls(first_bit, np.zeros((int(first_bit[-1]) + 7) // 8, np.uint8))
        position = gone._position(doc)
        np.bitwise_or.at(gone.bits, position >> 3, np.left_shift(1, position & 7).astype(np.uint8))
        return gone

    def _position(self, doc: NDArray[np.uint64]) -> NDArray[np.int64]:
        shard, row = (doc >> np.uint64(32)).astype(np.int64), (doc & np.uint64(0xFFFFFFFF)).astype(np.int64)
        if np.any(shard >= len(self.first_bit) - 1) or np.any(row >= np.diff(self.first_bit)[shard]):
            raise ValueError("a doc_id lies outside the shards of this bitmap")
        return np.asarray(self.first_bit[shard] + row, np.int64)

    def contains(self, doc: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Whether each of `doc` goes, bool[n]."""
        position = self._position(doc)
        return np.asarray((self.bits[position >> 3] >> (position & 7).astype(np.uint8)) & 1, np.bool_)


def matches(hash: NDArray[np.uint64], doc_id: NDArray[np.uint64]) -> Edges:
    """An edge from every document to the smallest with which it shares a hash, for each hash.

    `hash` and `doc_id` are columns of prints of one kind; hash 0 matches nothing. Some 60 bytes of memory a row.
    """
    rows = np.argsort(hash)
    hash, doc_id = hash[rows], doc_id[rows]
    starts = _group_starts(hash)
    if len(starts) == 0:
        return _edges(doc_id, doc_id, np.empty(0, np.int32))
    smallest = np.repeat(np.minimum.reduceat(doc_id, starts), np.diff(starts, append=len(hash)))
    later = (doc_id != smallest) & (hash != NO_PRINT)
    hash, doc_id, smallest = hash[later], doc_id[later], smallest[later]
    order = np.lexsort((hash, doc_id))  # a document that has a hash twice shares it once
    hash, doc_id, smallest = hash[order], doc_id[order], smallest[order]
    once = _group_starts(hash, doc_id)
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
    starts = _group_starts(doc, partner)
    summed = np.add.reduceat(agreeing, starts).astype(np.int32) if len(starts) else agreeing
    return Edges(doc[starts], partner[starts], summed)


def _group_starts(*columns: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Where runs of rows equal in all `columns` start."""
    if len(columns[0]) == 0:
        return np.empty(0, np.intp)
    changes = np.zeros(len(columns[0]), np.bool_)
    changes[0] = True
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changes)


def decide_documents(exact: Edges, bands: Edges, config: SignatureConfig) -> Decisions:
    """The documents that match an earlier one, with the best match of each and a document that stays.

    `exact` are the matches of document hashes, `bands` those of bands (of all buckets, combined). An equal document
    comes before a near one; among near ones the one that agrees in most bands, then the smallest. A band is matched to
    the smallest document that has it, so a pair may agree in more bands than are counted: the similarity errs low.
    """
    similarity = similarity_from_bands(bands.agreeing, config)
    doc, match = np.concatenate((exact.doc, bands.doc)), np.concatenate((exact.partner, bands.partner))
    agreeing = np.concatenate((np.zeros(len(exact.doc), np.int32), bands.agreeing))
    similarity = np.concatenate((np.ones(len(exact.doc), np.float32), similarity))
    near = np.arange(len(doc)) >= len(exact.doc)
    best = np.lexsort((match, -agreeing, near, doc))
    best = best[_group_starts(doc[best])]
    doc, match = doc[best], match[best]
    return Decisions(doc, _follow(doc, match), similarity[best], match, ~near[best])


def _follow(doc: NDArray[np.uint64], match: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The end of each chain doc -> match -> …: a document that is not in `doc` (sorted). Matches are smaller than docs.

    Pointer jumping: the length of what is left of a chain halves in every round.
    """
    end = match.copy()
    position = np.searchsorted(doc, end)  # match < doc, so it is always inside
    open_rows = np.flatnonzero(doc[position] == end)
    while len(open_rows):
        end[open_rows] = end[np.searchsorted(doc, end[open_rows])]
        position = np.searchsorted(doc, end[open_rows])
        open_rows = open_rows[doc[position] == end[open_rows]]
    return end


def decide_paragraphs(
    hash: NDArray[np.uint64],
    doc_id: NDArray[np.uint64],
    paragraph: NDArray[np.int32],
    gone: NDArray[np.uint64] | GoneDocuments,
    policy: ParagraphPolicy = "first",
) -> ParagraphDecisions:
    """The paragraphs that go from the documents that stay; `gone` names the others (sorted doc_ids, or a bitmap).

    ``first``: of the paragraphs that share a hash the first by (doc_id, paragraph) stays.
    ``none``: cc_net 1.0.0 (`HashesCollector`, `DuplicatesRemover`, `finalize_doc`), within the documents given: a
    paragraph that occurs in two documents or more goes everywhere, the first too; one that repeats within one document
    only keeps its first place there. cc_net calls a hash of 0 a duplicate; here it matches nothing.
    """
    stays = hash != NO_PRINT
    stays &= ~gone.contains(doc_id) if isinstance(gone, GoneDocuments) else ~_among(doc_id, gone)
    hash, doc_id, paragraph = hash[stays], doc_id[stays], paragraph[stays]
    order = np.lexsort((paragraph, doc_id, hash))
    hash, doc_id, paragraph = hash[order], doc_id[order], paragraph[order]
    starts = _group_starts(hash)
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


def _among(doc_id: NDArray[np.uint64], members: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each of `doc_id` is in `members`, which is sorted."""
    if len(members) == 0:
        return np.zeros(len(doc_id), np.bool_)
    position = np.minimum(np.searchsorted(members, doc_id), len(members) - 1)
    return np.asarray(members[position] == doc_id, np.bool_)
