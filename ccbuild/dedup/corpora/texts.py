"""Duplicates among rows of text that are not a crawl: one corpus by itself, or two against each other.

All prints stand in memory: with 14 bands some 400 bytes a row and 8 a paragraph, text not counted. A crawl goes through
`cc100`, which keeps them in files.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ccbuild.dedup.decisions import (
    EQUAL,
    HUBS,
    Decisions,
    DocumentPolicy,
    Edges,
    LengthOf,
    Linkage,
    combine,
    decide_documents,
    matches,
    turns,
)
from ccbuild.dedup.external.bitmap import DocumentSet
from ccbuild.dedup.external.kept import decide_kept
from ccbuild.dedup.external.rounds import EDGE
from ccbuild.dedup.groups import distinct
from ccbuild.dedup.jaccard import TextsOf, confirmed, shingle_set, similarity
from ccbuild.dedup.paragraphs import NO_PRINT, ParagraphForm, document_hash, text_paragraph_hashes
from ccbuild.dedup.prints import band_prints
from ccbuild.dedup.signatures import SignatureConfig, band_hashes, sign
from ccbuild.errors import ConfigError
from ccbuild.text.given import given

__all__ = [
    "CorpusConfig",
    "Duplicate",
    "Overlap",
    "Sketch",
    "deduplicate",
    "duplicates",
    "listed",
    "overlap",
    "reason_of",
    "sketch",
]

_BATCH = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusConfig:
    """What counts as a duplicate in a corpus of the user's own, and which copy stays."""

    signature: SignatureConfig = field(default_factory=SignatureConfig)
    """How near duplicates are found."""
    threshold: float | None = None
    """Similarity from which rows count as near duplicates, 0 to 1: bands and rows by datasketch's optimum. null: those
    of `signature`."""
    num_perm: int = 112
    """Most values of a signature from which `threshold` makes bands and rows."""
    near: bool = True
    """Find near duplicates too, not only equal rows."""
    keep: DocumentPolicy = "first"
    """Which copy stays: `first`, `newest` (the last row), `longest`, or `none`."""
    linkage: Linkage = "kept"
    """Whose copy a row must be to go: `kept`, that of a row that stays, each asked in the order of `keep`; `chain`,
    that of any row of its cluster, so that a row may go for one that it does not resemble. With `keep: none` both are
    one."""
    min_jaccard: float = 0.7
    """Least true Jaccard similarity of a near pair, which is asked of the texts before one goes; 0: the bands' word is
    enough, and the texts are not read once more."""
    paragraphs: ParagraphForm = "numbers"
    """Hash of a paragraph, for `compare`."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_jaccard <= 1:
            raise ConfigError(f"min_jaccard is {self.min_jaccard}; it takes 0 to 1.")
        object.__setattr__(self, "signature", self.signature.at(self.threshold, self.num_perm))


@dataclass(frozen=True, slots=True)
class Sketch:
    """The prints of n rows."""

    whole: NDArray[np.uint64]
    """[n] hash of the text; 0 for an empty one."""
    bands: NDArray[np.uint64]
    """[n, bands] hash of each band."""
    signed: NDArray[np.bool_]
    """[n] whether the row is long enough for bands."""
    characters: NDArray[np.int64]
    """[n] length of the text."""
    paragraphs: NDArray[np.uint64]
    """Sorted distinct hashes of all paragraphs."""

    def __len__(self) -> int:
        return len(self.whole)


def sketch(texts: Iterable[str], config: CorpusConfig, *, paragraphs: bool = False) -> Sketch:
    """The prints of `texts`, which are read once; those of paragraphs only when asked for."""
    stream = iter(texts)
    empty = Sketch(
        np.empty(0, np.uint64),
        np.empty((0, config.signature.bands), np.uint64),
        np.empty(0, np.bool_),
        np.empty(0, np.int64),
        np.empty(0, np.uint64),
    )
    parts = [empty]
    while batch := list(itertools.islice(stream, _BATCH)):
        whole = np.fromiter(map(document_hash, batch), np.uint64, len(batch))
        bands, signed = np.zeros((len(batch), config.signature.bands), np.uint64), np.zeros(len(batch), np.bool_)
        if config.near:
            signatures = sign(batch, config.signature)
            bands, signed = band_hashes(signatures.values, config.signature), signatures.present
        lines = distinct(text_paragraph_hashes(batch, config.paragraphs)[0]) if paragraphs else empty.paragraphs
        parts.append(Sketch(whole, bands, signed, np.fromiter(map(len, batch), np.int64, len(batch)), lines))
    columns = zip(*((p.whole, p.bands, p.signed, p.characters) for p in parts), strict=True)
    whole, bands, signed, characters = (np.concatenate(column) for column in columns)
    lines = distinct(np.concatenate([part.paragraphs for part in parts]))
    return Sketch(whole, bands, signed, characters, lines[lines != NO_PRINT])


def duplicates(rows: Sketch, config: CorpusConfig, texts_of: TextsOf) -> Decisions:
    """The rows that go by ``config.keep``; a row's number stands for its document.

    `texts_of` gives the texts of near pairs, a few thousand rows at a time, where ``config.min_jaccard`` is asked.
    """
    exact, near = _edges(rows, config)
    if config.min_jaccard > 0:
        near = confirmed(near, config.min_jaccard, config.signature.ngram, texts_of)
    edges = combine([exact, near])
    if config.linkage == "chain" or config.keep == "none":
        return _compared(decide_documents(edges, config.signature, config.keep, _lengths(rows)), config, texts_of)
    table = np.empty(len(edges.doc), EDGE)
    table["doc"], table["partner"], table["rank"] = edges.doc, edges.partner, edges.rank
    gone = DocumentSet(np.array([0, len(rows)]), np.zeros(len(rows) // 8 + 1, np.uint8))
    memory = table.nbytes * 100 + (1 << 20)  # nothing is spilled
    found = decide_kept([table], [], gone, config.signature, config.keep, Path(), memory, _lengths(rows))
    return _joined(list(found))


def _lengths(rows: Sketch) -> LengthOf:
    return lambda doc: rows.characters[doc]


def _joined(parts: Sequence[Decisions]) -> Decisions:
    """Decisions that come in parts, in one."""
    empty, near = np.empty(0, np.uint64), np.empty(0, np.float32)
    nothing = Decisions(empty, empty, near, empty, near, empty == 0, np.empty(0, np.int64))
    return Decisions(*(np.concatenate([getattr(p, name) for p in (nothing, *parts)]) for name in Decisions.__slots__))


def _compared(found: Decisions, config: CorpusConfig, texts_of: TextsOf) -> Decisions:
    """`found` with the similarity to each partner to which no band led."""
    unknown = np.flatnonzero(np.isnan(found.similarity))
    for first in range(0, len(unknown), _BATCH):
        at = unknown[first : first + _BATCH]
        texts = texts_of(distinct(np.concatenate((found.doc[at], found.partner[at]))))
        for i, doc, partner in zip(at.tolist(), found.doc[at].tolist(), found.partner[at].tolist(), strict=True):
            sets = (shingle_set(texts[row], config.signature.ngram) for row in (doc, partner))
            found.similarity[i] = similarity(*sets)
    return found


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A text that repeats another."""

    row: int
    """Its number, from 0."""
    partner: int
    """The text that stays for it."""
    reason: str
    """`exact_duplicate`, the same text as `partner`, or `near_duplicate`."""
    similarity: float
    """To `partner`: Jaccard of their shingles, 1 for the same text."""
    match: int
    """The text that it was found to equal, or agrees with best; another than `partner` where that one went too."""
    match_similarity: float
    """To `match`."""


def deduplicate(texts: Iterable[str], config: CorpusConfig | None = None) -> list[Duplicate]:
    """The texts that repeat another, equal or nearly (MinHash), by their numbers; all others stay.

    >>> text = " ".join(f"word{i}" for i in range(40))
    >>> gone = deduplicate([text, "another", text + " more", text])
    >>> [(each.row, each.partner, each.reason) for each in gone]
    [(2, 0, 'near_duplicate'), (3, 0, 'exact_duplicate')]
    """
    rows, config = given(texts, "deduplicate"), config or CorpusConfig()
    found = duplicates(sketch(rows, config), config, lambda asked: {int(row): rows[int(row)] for row in asked})
    return [
        Duplicate(doc, partner, reason_of(equal), near, match, matched)
        for doc, partner, equal, near, match, matched in listed(found)
    ]


def listed(found: Decisions) -> Iterator[tuple[int, int, bool, float, int, float]]:
    """(row, partner, whether it has the partner's text, similarity, match, its similarity) of rows that go."""
    near, matched = (np.round(column.astype(np.float64), 3) for column in (found.similarity, found.match_similarity))
    columns = (found.doc, found.partner, found.equal, near, found.match, matched)
    yield from zip(*(column.tolist() for column in columns), strict=True)


def reason_of(equal: bool) -> str:
    """Why a row goes."""
    return "exact_duplicate" if equal else "near_duplicate"


def _edges(rows: Sketch, config: CorpusConfig) -> tuple[Edges, Edges]:
    """(edges between equal rows, edges between near ones of which neither is a copy)."""
    numbers = np.arange(len(rows), dtype=np.uint64)
    turn = turns(numbers, config.keep, _lengths(rows))
    exact = matches(rows.whole, numbers, 1, turn)
    exact = Edges(exact.doc, exact.partner, np.full(len(exact.doc), EQUAL, np.int32))
    distinct = rows.signed.copy()
    distinct[exact.doc] = False  # a copy has its original's bands, which are enough
    bands = band_prints(rows.bands, distinct, numbers)
    if config.linkage == "chain":
        return exact, matches(bands.hash, bands.doc_id)
    return exact, matches(bands.hash, bands.doc_id, HUBS, turn[bands.doc_id])


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two corpora have in common."""

    rows: tuple[int, int]
    """Rows of each."""
    equal: tuple[int, int]
    """Rows of each that the other has, letter by letter."""
    near: tuple[int, int]
    """Rows of each that the other has nearly, and not letter by letter."""
    paragraphs: tuple[int, int]
    """Distinct paragraphs of each."""
    common_paragraphs: int
    """Distinct paragraphs that both have."""


def overlap(first: Sketch, second: Sketch) -> Overlap:
    """How much of each corpus the other has. Near by bands alone: no text is looked at again."""
    sides = [_found_in(first, second), _found_in(second, first)]
    common = np.intersect1d(first.paragraphs, second.paragraphs, assume_unique=True)
    return Overlap(
        (len(first), len(second)),
        (sides[0][0], sides[1][0]),
        (sides[0][1], sides[1][1]),
        (len(first.paragraphs), len(second.paragraphs)),
        len(common),
    )


def _found_in(rows: Sketch, others: Sketch) -> tuple[int, int]:
    """(rows that `others` has, rows that it has nearly)."""
    equal = np.isin(rows.whole, others.whole[others.whole != NO_PRINT])
    near = np.isin(rows.bands, others.bands[others.signed]).any(axis=1) & rows.signed & ~equal
    return int(equal.sum()), int(near.sum())
