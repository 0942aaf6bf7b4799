"""Compiled loops of the training of a unigram model, over words as arrays of code points.

All of them stand in this one file because numba's cache on disk watches only the file that a function stands in; it is
imported where it is used, as numba costs half a second to import.

Pieces stand in a trie, whose branches are the entries of a hash table: (node, character) to the node behind it.
"""

from __future__ import annotations

from math import exp, log, log1p
from typing import Any

import numpy as np
from numba import njit, uint64

__all__ = ["expect", "grow", "loss", "segment"]

_compiled = njit(cache=True, nogil=True)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_NEVER = -1e300
_FAR = 40.0
"""e^-40 is less than float64 tells apart from nothing."""


@_compiled
def _find(keys: Any, shift: Any, key: Any) -> Any:
    """The slot of `key`, or the empty one that it belongs into."""
    slot = (key * _GOLDEN) >> shift
    last = uint64(len(keys) - 1)
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + uint64(1)) & last
    return slot


@_compiled
def grow(points: Any, starts: Any, keys: Any, nodes: Any, pieces: Any, shift: Any) -> int:
    """Fill the empty table (`keys`, `nodes`) with the pieces, and `pieces`, node to piece or -1; the number of nodes.

    `points[starts[i]:starts[i + 1]]`: the characters of piece i.
    """
    count = 1
    pieces[0] = -1
    for piece in range(len(starts) - 1):
        node = uint64(0)
        for at in range(starts[piece], starts[piece + 1]):
            key = ((node << uint64(21)) | uint64(points[at])) + uint64(1)
            slot = _find(keys, shift, key)
            if keys[slot] == 0:
                keys[slot] = key
                nodes[slot] = count
                pieces[count] = -1
                count += 1
            node = uint64(nodes[slot])
        pieces[node] = piece
    return count


@_compiled
def _edges(points: Any, begin: int, end: int, trie: Any, froms: Any, ends: Any, found: Any) -> int:
    """The pieces in one word, by where they begin: `froms[i]` is the first of those at its character i; how many."""
    keys, nodes, pieces, shift = trie
    count = 0
    for start in range(begin, end):
        froms[start - begin] = count
        node = uint64(0)
        for at in range(start, end):
            key = ((node << uint64(21)) | uint64(points[at])) + uint64(1)
            slot = _find(keys, shift, key)
            if keys[slot] == 0:
                break
            node = uint64(nodes[slot])
            piece = pieces[node]
            if piece >= 0:
                found[count] = piece
                ends[count] = at + 1 - begin
                count += 1
    froms[end - begin] = count
    return count


@_compiled
def _plus(a: float, b: float) -> float:
    """log(e^a + e^b)"""
    if a < b:
        a, b = b, a
    return a if a - b > _FAR else a + log1p(exp(b - a))


@_compiled
def expect(
    points: Any, starts: Any, counts: Any, times: Any, trie: Any, scores: Any, longest: int, expected: Any
) -> None:
    """Add to `expected[0]` how often each piece is expected in the words by `counts`, with log probabilities `scores`,
    and to `expected[1]` by `times`."""
    room = 1
    for word in range(len(counts)):
        room = max(room, starts[word + 1] - starts[word])
    froms, ends = np.empty(room + 1, np.int64), np.empty(room * longest, np.int64)
    found = np.empty(room * longest, np.int64)
    before, after = np.empty(room + 1), np.empty(room + 1)
    for word in range(len(counts)):
        begin, end = starts[word], starts[word + 1]
        size = end - begin
        _edges(points, begin, end, trie, froms, ends, found)
        before[0] = 0.0
        before[1 : size + 1] = _NEVER
        for start in range(size):
            for edge in range(froms[start], froms[start + 1]):
                before[ends[edge]] = _plus(before[ends[edge]], before[start] + scores[found[edge]])
        whole = before[size]
        after[size] = 0.0
        for start in range(size - 1, -1, -1):
            sum_ = _NEVER
            for edge in range(froms[start], froms[start + 1]):
                path = scores[found[edge]] + after[ends[edge]]
                share = exp(before[start] + path - whole)
                expected[0, found[edge]] += counts[word] * share
                expected[1, found[edge]] += times[word] * share
                sum_ = _plus(sum_, path)
            after[start] = sum_


@_compiled
def _best(size: int, froms: Any, ends: Any, found: Any, scores: Any, but: int, best: Any, by: Any, back: Any) -> None:
    """The best segmentation of one word, without the piece `but`: `by` and `back`, from each end, the piece and where
    it begins."""
    best[0] = 0.0
    best[1 : size + 1] = _NEVER
    for start in range(size):
        for edge in range(froms[start], froms[start + 1]):
            score = best[start] + scores[found[edge]]
            if found[edge] != but and score > best[ends[edge]]:
                best[ends[edge]] = score
                by[ends[edge]] = found[edge]
                back[ends[edge]] = start


@_compiled
def segment(points: Any, starts: Any, counts: Any, times: Any, trie: Any, scores: Any, longest: int, used: Any) -> None:
    """Add to `used[0]` how often each piece stands in the best segmentations of the words by `counts`, and to
    `used[1]` by `times`."""
    room = 1
    for word in range(len(counts)):
        room = max(room, starts[word + 1] - starts[word])
    froms, ends = np.empty(room + 1, np.int64), np.empty(room * longest, np.int64)
    found = np.empty(room * longest, np.int64)
    best, by, back = np.empty(room + 1), np.empty(room + 1, np.int64), np.empty(room + 1, np.int64)
    for word in range(len(counts)):
        size = starts[word + 1] - starts[word]
        _edges(points, starts[word], starts[word + 1], trie, froms, ends, found)
        _best(size, froms, ends, found, scores, -1, best, by, back)
        at = size
        while at > 0:
            used[0, by[at]] += counts[word]
            used[1, by[at]] += times[word]
            at = back[at]


@_compiled
def loss(points: Any, starts: Any, trie: Any, scores: Any, used: Any, longest: int, lost: Any) -> None:
    """What each piece saves: the log likelihood that goes when all its uses are spelled with other pieces.

    `lost`: -1 for a piece that is in no best segmentation, or that others spell better; infinite for one that no
    others spell.
    """
    room = longest * (longest + 1)
    froms, ends, found = np.empty(longest + 1, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    best, by, back = np.empty(longest + 1), np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    all_ = used.sum()
    for piece in range(len(scores)):
        size = starts[piece + 1] - starts[piece]
        _edges(points, starts[piece], starts[piece + 1], trie, froms, ends, found)
        _best(size, froms, ends, found, scores, piece, best, by, back)
        if best[size] == _NEVER:
            lost[piece] = np.inf
            continue
        if used[piece] == 0.0 or best[size] > scores[piece]:
            lost[piece] = -1.0
            continue
        others, parts, at = 0.0, 0, size
        while at > 0:
            others += log(used[by[at]] + used[piece])
            parts += 1
            at = back[at]
        others -= parts * log(all_ + used[piece] * (parts - 1))
        lost[piece] = used[piece] * (log(used[piece]) - log(all_) - others)
