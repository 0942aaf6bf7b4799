"""Compiled loops over bytes: words, shingle hashes, permutations, paragraph hashes.

All of them stand in this one file because numba's cache on disk watches only the file that a function stands in. The
file is imported by the functions that need it, not at the top of their modules: numba costs half a second to import and
opens its cache folder. Integers only, so that every machine gives the same bytes. In numba uint64 with a signed integer
becomes a float, and uint32 with uint32 becomes uint64: hence a cast around every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, uint8, uint32, uint64
from numpy.typing import NDArray

__all__ = [
    "band_hashes",
    "ccnet_messages",
    "fast_paragraphs",
    "line_offsets",
    "settle",
    "shingle_hashes",
    "sign",
    "union",
    "xxh32",
    "xxh64",
]

_P32 = tuple(np.uint32(p) for p in (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1))
_A1, _A2, _A3, _A4, _A5 = _P32
_P64 = tuple(
    np.uint64(p)
    for p in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
)
_B1, _B2, _B3, _B4, _B5 = _P64

_PARTS, _WORD, _SINGLE, _MARK = range(4)  # as in words.py
_SPACE, _ZERO = 0x20, 0x30

POINT_MASK = 0x1FFFFF
"""Bits of a mapping table's entry that hold the code point written; 0: the character is left out."""
STRIPPED = 0x1000000
"""Flag of a mapping table's entry: white space, stripped at both ends of a paragraph."""


# --- hashes: XXH32 and XXH64 (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md), seed 0 ---


@njit(cache=True, nogil=True)
def _rotl32(x: Any, r: Any) -> Any:
    return uint32((uint32(x) << uint32(r)) | (uint32(x) >> uint32(32 - r)))


@njit(cache=True, nogil=True)
def _rotl64(x: Any, r: Any) -> Any:
    return uint64((uint64(x) << uint64(r)) | (uint64(x) >> uint64(64 - r)))


@njit(cache=True, nogil=True)
def _read32(b: Any, i: Any) -> Any:
    return uint32(
        uint32(b[i])
        | (uint32(b[i + 1]) << uint32(8))
        | (uint32(b[i + 2]) << uint32(16))
        | (uint32(b[i + 3]) << uint32(24))
    )


@njit(cache=True, nogil=True)
def _read64(b: Any, i: Any) -> Any:
    return uint64(uint64(_read32(b, i)) | (uint64(_read32(b, i + 4)) << uint64(32)))


@njit(cache=True, nogil=True)
def _round32(v: Any, x: Any) -> Any:
    return uint32(_rotl32(uint32(v + uint32(x * _A2)), 13) * _A1)


@njit(cache=True, nogil=True)
def _round64(v: Any, x: Any) -> Any:
    return uint64(_rotl64(uint64(v + uint64(x * _B2)), 31) * _B1)


@njit(cache=True, nogil=True)
def xxh32(b: NDArray[np.uint8], i: int, end: int) -> Any:
    """XXH32, seed 0, of ``b[i:end]``, uint32."""
    n = end - i
    h = uint32(_A5)
    if n >= 16:
        v1, v2, v3, v4 = uint32(_A1 + _A2), uint32(_A2), uint32(0), uint32(uint32(0) - _A1)
        while i + 16 <= end:
            v1, v2 = _round32(v1, _read32(b, i)), _round32(v2, _read32(b, i + 4))
            v3, v4 = _round32(v3, _read32(b, i + 8)), _round32(v4, _read32(b, i + 12))
            i += 16
        h = uint32(uint32(_rotl32(v1, 1) + _rotl32(v2, 7)) + uint32(_rotl32(v3, 12) + _rotl32(v4, 18)))
    h = uint32(h + uint32(n))
    while i + 4 <= end:
        h = uint32(_rotl32(uint32(h + uint32(_read32(b, i) * _A3)), 17) * _A4)
        i += 4
    while i < end:
        h = uint32(_rotl32(uint32(h + uint32(uint32(b[i]) * _A5)), 11) * _A1)
        i += 1
    h = uint32(uint32(h ^ (h >> uint32(15))) * _A2)
    h = uint32(uint32(h ^ (h >> uint32(13))) * _A3)
    return uint32(h ^ (h >> uint32(16)))


@njit(cache=True, nogil=True)
def xxh64(b: NDArray[np.uint8], i: int, end: int) -> Any:
    """XXH64, seed 0, of ``b[i:end]``, uint64."""
    n = end - i
    h = uint64(_B5)
    if n >= 32:
        v1, v2, v3, v4 = uint64(_B1 + _B2), uint64(_B2), uint64(0), uint64(uint64(0) - _B1)
        while i + 32 <= end:
            v1, v2 = _round64(v1, _read64(b, i)), _round64(v2, _read64(b, i + 8))
            v3, v4 = _round64(v3, _read64(b, i + 16)), _round64(v4, _read64(b, i + 24))
            i += 32
        h = uint64(uint64(_rotl64(v1, 1) + _rotl64(v2, 7)) + uint64(_rotl64(v3, 12) + _rotl64(v4, 18)))
        for v in (v1, v2, v3, v4):
            h = uint64(uint64(uint64(h ^ _round64(uint64(0), v)) * _B1) + _B4)
    h = uint64(h + uint64(n))
    while i + 8 <= end:
        h = uint64(uint64(_rotl64(uint64(h ^ _round64(uint64(0), _read64(b, i))), 27) * _B1) + _B4)
        i += 8
    if i + 4 <= end:
        h = uint64(uint64(_rotl64(uint64(h ^ uint64(uint64(_read32(b, i)) * _B1)), 23) * _B2) + _B3)
        i += 4
    while i < end:
        h = uint64(_rotl64(uint64(h ^ uint64(uint64(b[i]) * _B5)), 11) * _B1)
        i += 1
    h = uint64(uint64(h ^ (h >> uint64(33))) * _B2)
    h = uint64(uint64(h ^ (h >> uint64(29))) * _B3)
    return uint64(h ^ (h >> uint64(32)))


# --- UTF-8, which Python wrote and is therefore well formed (a lone surrogate is three bytes like any other) ---


@njit(cache=True, nogil=True)
def _width(lead: Any) -> Any:
    """Bytes of the character that starts with `lead`."""
    return 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


@njit(cache=True, nogil=True)
def _decode(b: Any, i: Any, width: Any) -> Any:
    """Code point of the `width` bytes at `i`."""
    if width == 1:
        return int(b[i])
    if width == 2:
        return ((int(b[i]) & 0x1F) << 6) | (int(b[i + 1]) & 0x3F)
    if width == 3:
        return ((int(b[i]) & 0x0F) << 12) | ((int(b[i + 1]) & 0x3F) << 6) | (int(b[i + 2]) & 0x3F)
    high = ((int(b[i]) & 0x07) << 18) | ((int(b[i + 1]) & 0x3F) << 12)
    return high | ((int(b[i + 2]) & 0x3F) << 6) | (int(b[i + 3]) & 0x3F)


@njit(cache=True, nogil=True)
def _encode(out: Any, k: Any, point: Any) -> Any:
    """Write `point` at ``out[k:]``; the place after it."""
    if point < 0x80:
        out[k] = uint8(point)
        return k + 1
    if point < 0x800:
        out[k] = uint8(0xC0 | (point >> 6))
        out[k + 1] = uint8(0x80 | (point & 0x3F))
        return k + 2
    if point < 0x10000:
        out[k] = uint8(0xE0 | (point >> 12))
        out[k + 1] = uint8(0x80 | ((point >> 6) & 0x3F))
        out[k + 2] = uint8(0x80 | (point & 0x3F))
        return k + 3
    out[k] = uint8(0xF0 | (point >> 18))
    out[k + 1] = uint8(0x80 | ((point >> 12) & 0x3F))
    out[k + 2] = uint8(0x80 | ((point >> 6) & 0x3F))
    out[k + 3] = uint8(0x80 | (point & 0x3F))
    return k + 4


# --- signatures ---

_PENDING = 256  # shingle hashes that wait for the permutations


@njit(cache=True, nogil=True)
def _fmix32(h: Any) -> Any:
    """MurmurHash3's 32-bit finaliser: the pre-mix of datasketch's scheme affine32."""
    h = uint32(uint32(h ^ (h >> uint32(16))) * uint32(0x85EBCA6B))
    h = uint32(uint32(h ^ (h >> uint32(13))) * uint32(0xC2B2AE35))
    return uint32(h ^ (h >> uint32(16)))


@njit(cache=True, nogil=True)
def _permute(pending: Any, n: Any, a: Any, b: Any, row: Any) -> None:
    """``row = min(row, a * h + b)`` over the first `n` of `pending`, four hashes a pass to spare loads and stores."""
    for k in range(n, (n + 3) // 4 * 4):
        pending[k] = pending[0]
    for k in range(0, n, 4):
        h0, h1, h2, h3 = pending[k], pending[k + 1], pending[k + 2], pending[k + 3]
        for p in range(len(row)):
            low = min(uint32(uint32(a[p] * h0) + b[p]), uint32(uint32(a[p] * h1) + b[p]))
            high = min(uint32(uint32(a[p] * h2) + b[p]), uint32(uint32(a[p] * h3) + b[p]))
            row[p] = min(row[p], min(low, high))


@njit(cache=True, nogil=True)
def _count_distinct(pending: Any, n: Any, seen: Any, n_seen: Any) -> Any:
    """Number of distinct hashes met, counted no further than `seen` is long."""
    for k in range(n):
        if n_seen == len(seen):
            break
        known = False
        for j in range(n_seen):
            known = known or seen[j] == pending[k]
        if not known:
            seen[n_seen] = pending[k]
            n_seen += 1
    return n_seen


@njit(cache=True, nogil=True)
def _sign_one(buffer: Any, i: Any, end: Any, classes: Any, a: Any, b: Any, work: Any, row: Any) -> Any:
    """Lower the signature `row` by every shingle of ``buffer[i:end]``; (the number of distinct shingles, to a limit;
    how many of the last hashes still stand in `pending`).

    `work` is (compact, starts, pending, seen): the words joined by single spaces, a ring of where the last `ngram` of
    them start, the hashes that wait (and four places more), the distinct ones met.
    """
    compact, starts, pending, seen = work
    ngram = len(starts)
    k, n_words, n_pending, n_seen = 0, 0, 0, 0
    before = _PARTS
    while i <= end:
        kind, width = _PARTS, 1
        if i < end:
            lead = buffer[i]
            if lead < 0x80:
                kind = int(classes[lead])
            else:
                width = _width(lead)
                point = _decode(buffer, i, width)
                kind = int(classes[point]) if point < len(classes) else _PARTS
        if kind == _MARK:
            kind = before  # of the word that is open, if one is
        elif before != _PARTS and (kind in (_PARTS, _SINGLE) or before == _SINGLE):  # a word ends here
            n_words += 1
            if n_words >= ngram:
                pending[n_pending] = _fmix32(xxh32(compact, starts[n_words % ngram], k))
                n_pending += 1
                if n_pending + 4 == len(pending):
                    n_seen = _count_distinct(pending, n_pending, seen, n_seen)
                    _permute(pending, n_pending, a, b, row)
                    n_pending = 0
            compact[k] = _SPACE
            k += 1
            starts[n_words % ngram] = k
        if kind != _PARTS:
            compact[k] = buffer[i]
            for j in range(1, width):
                compact[k + j] = buffer[i + j]
            k += width
        before = kind
        i += width
    n_seen = _count_distinct(pending, n_pending, seen, n_seen)
    if n_pending:
        _permute(pending, n_pending, a, b, row)
    return n_seen, n_pending


@njit(cache=True, nogil=True)
def sign(
    buffer: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    classes: NDArray[np.uint8],
    permutations: NDArray[np.uint32],
    ngram: int,
    min_shingles: int,
    values: NDArray[np.uint32],
    present: NDArray[np.bool_],
) -> None:
    """Fill `values` (uint32[n, num_perm]) and `present` (bool[n]) for texts ``buffer[offsets[d]:offsets[d + 1]]``."""
    longest = 0
    for d in range(len(offsets) - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    # a space is added after a SINGLE (3 bytes or 4) and after a run of WORDs: at most 2 for every 4 bytes
    compact = np.empty(longest + longest // 2 + 8, np.uint8)
    starts = np.zeros(ngram, np.int64)
    work = (compact, starts, np.empty(_PENDING + 4, np.uint32), np.empty(min_shingles, np.uint32))
    for d in range(len(offsets) - 1):
        starts[:] = 0
        values[d, :] = uint32(0xFFFFFFFF)
        n, _ = _sign_one(buffer, offsets[d], offsets[d + 1], classes, permutations[0], permutations[1], work, values[d])
        present[d] = n >= min_shingles
        if not present[d]:
            values[d, :] = uint32(0xFFFFFFFF)


@njit(cache=True, nogil=True)
def shingle_hashes(buffer: NDArray[np.uint8], classes: NDArray[np.uint8], ngram: int) -> Any:
    """A hash of each shingle of the text `buffer`, uint32, in order, repeats included: what `sign` permutes."""
    compact = np.empty(len(buffer) + len(buffer) // 2 + 8, np.uint8)
    work = (compact, np.zeros(ngram, np.int64), np.empty(len(buffer) + 5, np.uint32), np.empty(0, np.uint32))
    nothing = np.empty(0, np.uint32)
    _, n = _sign_one(buffer, 0, len(buffer), classes, nothing, nothing, work, nothing)
    return work[2][:n]


@njit(cache=True, nogil=True)
def settle(
    doc: NDArray[np.int64],
    partner: NDArray[np.int64],
    rank: NDArray[np.int32],
    gone: NDArray[np.uint8],
    chosen: NDArray[np.bool_],
) -> None:
    """Document by document: where one of its edges leads to a document that has not gone, it goes, and the edge with
    the highest rank, the first of equal ones, is `chosen`.

    The edges of a document stand together, and those of its partners before them. `gone` is a bit a document.
    """
    i = 0
    while i < len(doc):
        best, j = -1, i
        while j < len(doc) and doc[j] == doc[i]:
            stays = (gone[partner[j] >> 3] >> (partner[j] & 7)) & 1 == 0
            if stays and (best < 0 or rank[j] > rank[best]):
                best = j
            j += 1
        if best >= 0:
            chosen[best] = True
            gone[doc[i] >> 3] |= uint8(1 << (doc[i] & 7))
        i = j


@njit(cache=True, nogil=True)
def _fold64(h: Any, x: Any) -> Any:
    """`h` with `x` mixed in, both uint64: XXH64's step for eight bytes."""
    return uint64(uint64(_rotl64(uint64(h ^ _round64(uint64(0), uint64(x))), 27) * _B1) + _B4)


@njit(cache=True, nogil=True)
def band_hashes(values: NDArray[np.uint32], bands: int, rows: int, out: NDArray[np.uint64]) -> None:
    """Fill `out` (uint64[n, bands]) with a hash of each band's number and rows."""
    for d in range(len(values)):
        for band in range(bands):
            h = _fold64(uint64(_B5), uint64(band))
            for r in range(rows):
                h = _fold64(h, uint64(values[d, band * rows + r]))
            h = uint64(uint64(h ^ (h >> uint64(33))) * _B2)
            h = uint64(uint64(h ^ (h >> uint64(29))) * _B3)
            out[d, band] = uint64(h ^ (h >> uint64(32)))


# --- paragraphs, as code points (uint32), which need no decoding ---


@njit(cache=True, nogil=True)
def _longest(offsets: Any) -> Any:
    longest = 0
    for p in range(len(offsets) - 1):
        longest = max(longest, offsets[p + 1] - offsets[p])
    return longest


@njit(cache=True, nogil=True)
def line_offsets(points: NDArray[np.uint32], ends: NDArray[np.int64], counts: NDArray[np.int64]) -> Any:
    """Where the lines of the texts start in `points`, int64[lines + 1]; fills `counts` with each text's lines.

    Text t ends before ``ends[t]``; a line keeps its line feed.
    """
    n = len(ends)
    for i in range(len(points)):
        n += points[i] == 0x0A
    offsets = np.empty(n + 1, np.int64)
    offsets[0] = 0
    k, i = 0, 0
    for t in range(len(ends)):
        before = k
        while i < ends[t]:
            if points[i] == 0x0A:
                k += 1
                offsets[k] = i + 1
            i += 1
        k += 1
        offsets[k] = i
        counts[t] = k - before
    return offsets


@njit(cache=True, nogil=True)
def fast_paragraphs(
    points: NDArray[np.uint32],
    offsets: NDArray[np.int64],
    mapping: NDArray[np.uint32],
    digits: NDArray[np.uint32],
    out: NDArray[np.uint64],
) -> None:
    """XXH64 of each paragraph ``points[offsets[p]:offsets[p + 1]]``, mapped, in UTF-32-LE; 0 where nothing is left.

    A paragraph of which nothing but zeros are left is mapped by `digits`, unless this is empty.
    """
    scratch = np.empty(_longest(offsets) + 1, np.uint32)
    view = scratch.view(np.uint8)
    last = uint32(len(mapping) - 1)  # a code point that no character has: left out
    for p in range(len(out)):
        k, letters = 0, uint32(0)
        for i in range(offsets[p], offsets[p + 1]):
            mapped = mapping[min(points[i], last)]
            scratch[k] = mapped  # overwritten by the next one when left out: no branch to mispredict
            k += mapped != 0
            letters |= mapped ^ uint32(_ZERO) if mapped else uint32(0)
        if k and not letters and len(digits):
            k = 0
            for i in range(offsets[p], offsets[p + 1]):
                scratch[k] = digits[min(points[i], last)]
                k += scratch[k] != 0
        out[p] = uint64(0)
        if k:
            h = xxh64(view, 0, 4 * k)
            out[p] = h if h != uint64(0) else uint64(1)


@njit(cache=True, nogil=True)
def _entry(mapping: Any, point: Any) -> Any:
    """The mapping's entry for `point`; itself outside the table."""
    return mapping[point] if point < len(mapping) else point


@njit(cache=True, nogil=True)
def _write_message(points: Any, i: Any, end: Any, mapping: Any, out: Any, k: Any) -> Any:
    """Write ``points[i:end]``, stripped and mapped, in UTF-8 at ``out[k:]``; its end."""
    while i < end and _entry(mapping, points[i]) & uint32(STRIPPED):
        i += 1
    while end > i and _entry(mapping, points[end - 1]) & uint32(STRIPPED):
        end -= 1
    for j in range(i, end):
        point = _entry(mapping, points[j]) & uint32(POINT_MASK)
        if point:
            k = _encode(out, k, point)
    return k


@njit(cache=True, nogil=True)
def ccnet_messages(
    points: NDArray[np.uint32], offsets: NDArray[np.int64], mapping: NDArray[np.uint32], starts: NDArray[np.int64]
) -> Any:
    """The normalised paragraphs in UTF-8, end to end, uint8; fills `starts` (int64[n + 1])."""
    out = np.empty(4 * len(points), np.uint8)
    k = 0
    for p in range(len(offsets) - 1):
        starts[p] = k
        k = _write_message(points, offsets[p], offsets[p + 1], mapping, out, k)
    starts[len(offsets) - 1] = k
    return out[:k]


# --- clusters ---


@njit(cache=True, nogil=True)
def union(a: NDArray[np.int64], b: NDArray[np.int64], parent: NDArray[np.int64]) -> None:
    """Join ``a[i]`` with ``b[i]`` for all i; in the end ``parent`` (at first 0, 1, 2, …) names each one's smallest.

    Union-find with path halving (Tarjan and van Leeuwen 1984); the smaller root wins, so the order of pairs is nothing.
    """
    for i in range(len(a)):
        x, y = a[i], b[i]
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        while parent[y] != y:
            parent[y] = parent[parent[y]]
            y = parent[y]
        if x < y:
            parent[y] = x
        else:
            parent[x] = y
    for x in range(len(parent)):  # parents are smaller, so they are final before their children are reached
        parent[x] = parent[parent[x]]
