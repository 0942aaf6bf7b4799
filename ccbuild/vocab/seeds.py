"""Candidates for pieces, weighted by how often they occur.

SentencePiece seeks its candidates in the distinct words and counts each word once, however often it occurs, so that
frequent words get no piece. Here a candidate counts as often as the words that hold it.

A candidate is a substring of a word, of two characters or more, that no single character always follows and none
always stands before: what is always beside the same one is worth less than what is longer, and would only take the
place of another. Its score is SentencePiece's own, its count times its length, the count lowered by one occurrence
(`unigram.discounted`). They are found in the sorted suffixes of all words, a range of beginnings at a time, so that
memory is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ccbuild.progress import counted
from ccbuild.vocab.joints import spelled
from ccbuild.vocab.unigram import discounted

__all__ = ["weighted_seeds"]

_BITS = 21
"""Of a code point."""
_PER_KEY = 3
"""Characters in one sort key of 64 bits."""
_BYTES_PER_SUFFIX = 160
"""Memory that a suffix takes while its range is sorted, with the default length of a piece."""
_CHARACTERS_AT_ONCE = 1 << 22


def weighted_seeds(
    words: pa.Array, counts: NDArray[np.int64], times: NDArray[np.int64], *, most: int, longest: int, megabytes: int
) -> Iterator[tuple[str, int]]:
    """(candidate, score) of the `most` that score highest, with every character: the highest first, then by text.

    `words`: distinct, sorted; `counts`: how often each occurs, weighted; `times`: without weights. What occurs
    once is no candidate. `longest`: characters of the longest candidate. Memory: some `megabytes`, 10
    bytes a character of the words, and 40 for each candidate that is kept; the answer does not depend on it.

    >>> words, counts = pa.array(["ab", "abc"], pa.large_string()), np.array([5, 2])
    >>> list(weighted_seeds(words, counts, counts, most=9, longest=4, megabytes=1))
    [('ab', 12), ('a', 7), ('b', 7), ('abc', 6), ('c', 2)]
    """
    text = _Text.of(words, counts, times)
    found = _Best(most)
    ranges = _ranges(text, max(megabytes * 1_000_000 // _BYTES_PER_SUFFIX, 1))
    for low, high in counted(ranges, "ranges of beginnings", len(ranges)):
        found.add(*_candidates(text, _suffixes(text, low, high), longest))
    spelled = [(text.spell(start, length), score) for start, length, score in found.ranked()]
    spelled += text.characters()
    yield from sorted(spelled, key=lambda seed: (-seed[1], seed[0]))


@dataclass(frozen=True, slots=True)
class _Text:
    """All words as one run of characters."""

    points: NDArray[np.uint32]
    left: NDArray[np.uint16]
    """Characters from each to the end of its word, itself too."""
    word: NDArray[np.uint32]
    """The word of each, by number."""
    counts: NDArray[np.int64]
    times: NDArray[np.int64]

    @classmethod
    def of(cls, words: pa.Array, counts: NDArray[np.int64], times: NDArray[np.int64]) -> _Text:
        runs, lefts, numbers = [np.empty(0, np.uint32)], [np.empty(0, np.uint16)], [np.empty(0, np.uint32)]
        for rows, _, points, length in spelled(words):
            runs.append(points)
            ends = np.repeat(np.cumsum(length), length)
            lefts.append(np.minimum(ends - np.arange(len(ends)), 0xFFFF).astype(np.uint16))
            numbers.append(np.repeat(np.arange(rows.start, rows.stop, dtype=np.uint32), length))
        return cls(np.concatenate(runs), np.concatenate(lefts), np.concatenate(numbers), counts, times)

    def spell(self, start: int, length: int) -> str:
        return self.points[start : start + length].tobytes().decode("utf-32-le")

    def characters(self) -> list[tuple[str, int]]:
        """Every character and how often it occurs."""
        totals = np.zeros(0x110000, np.int64)
        for rows in self._parts():
            found, places = np.unique(self.points[rows], return_inverse=True)
            np.add.at(totals, found[places], self.counts[self.word[rows]])
        return [(chr(point), int(totals[point])) for point in np.flatnonzero(totals)]

    def begins(self) -> Iterator[tuple[int, NDArray[np.uint64]]]:
        """In parts (where they start, the first two characters of each suffix as a number); 0: it has no two."""
        for rows in self._parts():
            first = self.points[rows].astype(np.uint64) + np.uint64(1)
            second = np.append(self.points[rows.start + 1 : rows.stop + 1], 0)[: len(first)].astype(np.uint64)
            both = first << np.uint64(_BITS) | second
            yield rows.start, np.where(self.left[rows] > 1, both, np.uint64(0))

    def _parts(self) -> Iterator[slice]:
        for start in range(0, len(self.points), _CHARACTERS_AT_ONCE):
            yield slice(start, min(start + _CHARACTERS_AT_ONCE, len(self.points)))


def _ranges(text: _Text, most: int) -> list[tuple[int, int]]:
    """Ranges of beginnings, as `_Text.begins` numbers them, that have some `most` suffixes each; what begins with the
    same two characters is in one range."""
    known, sizes = np.empty(0, np.uint64), np.empty(0, np.int64)
    for _, part in text.begins():
        values, times = np.unique(part[part > 0], return_counts=True)
        known, places = np.unique(np.concatenate([known, values]), return_inverse=True)
        sizes = np.bincount(places, np.concatenate([sizes, times]), len(known)).astype(np.int64)
    ranges, first, total = [], 0, 0
    for number, size in enumerate(sizes.tolist()):
        if total and total + size > most:
            ranges.append((int(known[first]), int(known[number])))
            first, total = number, 0
        total += size
    return [*ranges, (int(known[first]), int(known[-1]) + 1)] if len(known) else []


def _suffixes(text: _Text, low: int, high: int) -> NDArray[np.int64]:
    """Where the suffixes of a range start, in the order of the text."""
    found = [start + np.flatnonzero((part >= low) & (part < high)) for start, part in text.begins()]
    return np.concatenate(found)


def _candidates(
    text: _Text, starts: NDArray[np.int64], longest: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    """(a place, the length, the score) of each candidate that begins as the suffixes at `starts` do."""
    length = np.minimum(text.left[starts], longest)
    keys = _keys(text.points, starts, length, longest)
    order = np.lexsort(keys[::-1])
    starts, length = starts[order], length[order]
    shared = _shared([key[order] for key in keys], length)
    words = text.word[starts]
    before = np.where((starts > 0) & (text.word[starts - 1] == words), text.points[starts - 1], 0)  # in its word
    turns = np.append(0, np.cumsum((before[1:] != before[:-1]) | (before[1:] == 0)))
    total = np.append(0, np.cumsum(text.counts[words]))
    seen = np.append(0, np.cumsum(text.times[words]))
    found: list[tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]] = []
    longer = np.full(len(starts), -1)  # where the candidate that is longer by one, and begins at this row, ends
    for size in range(longest, 1, -1):
        first = np.flatnonzero((shared < size) & (length >= size))
        borders = np.append(np.flatnonzero(shared < size), len(starts))
        end = borders[np.searchsorted(borders, first, side="right")]
        alone = longer[first] == end
        inside = (before[first] > 0) & (turns[end - 1] == turns[first]) & (size < longest)
        several = seen[end] - seen[first] > 1
        kept = ~alone & ~inside & several
        rows = first[kept], end[kept]
        score = np.rint(discounted(*(sums[rows[1]] - sums[rows[0]] for sums in (total, seen)))).astype(np.int64) * size
        found.append((starts[first[kept]], np.full(len(score), size, np.uint8), score))
        longer = np.full(len(starts), -1)
        longer[first] = end
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))  # type: ignore[return-value]


def _keys(
    points: NDArray[np.uint32], starts: NDArray[np.int64], length: NDArray[np.uint16], longest: int
) -> list[NDArray[np.uint64]]:
    """The first `longest` characters of each suffix, three a key; nothing after the end of its word."""
    keys = []
    for first in range(0, longest, _PER_KEY):
        key = np.zeros(len(starts), np.uint64)
        for place in range(first, first + _PER_KEY):
            key <<= np.uint64(_BITS)
            if place < longest:
                at = np.minimum(starts + place, len(points) - 1)
                key |= np.where(length > place, points[at].astype(np.uint64) + np.uint64(1), np.uint64(0))
        keys.append(key)
    return keys


def _shared(keys: list[NDArray[np.uint64]], length: NDArray[np.uint16]) -> NDArray[np.int64]:
    """How many characters each sorted suffix begins with as the one before it does; -1 for the first."""
    shared = np.full(len(length), -1)
    same = np.ones(max(len(length) - 1, 0), bool)
    count = np.zeros(len(same), np.int64)
    for key in keys:
        for place in range(_PER_KEY):
            shift = np.uint64(_BITS * (_PER_KEY - 1 - place))
            character = key >> shift
            same &= character[1:] == character[:-1]
            count += same
    shared[1:] = np.minimum(count, np.minimum(length[1:], length[:-1]))
    return shared


class _Best:
    """The candidates that score highest, of those seen; of equals the ones that are shorter, then that stand first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._columns = (np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.int64))

    def add(self, starts: NDArray[np.int64], lengths: NDArray[np.uint8], scores: NDArray[np.int64]) -> None:
        before = self._columns
        start, length = np.concatenate([before[0], starts]), np.concatenate([before[1], lengths])
        score = np.concatenate([before[2], scores])
        if len(score) > self._most:
            order = np.lexsort((start, length, -score))[: self._most]
            start, length, score = start[order], length[order], score[order]
        self._columns = start, length, score

    def ranked(self) -> Iterator[tuple[int, int, int]]:
        return zip(*(column.tolist() for column in self._columns), strict=True)
