"""What the n-gram tables do word by word and entry by entry, compiled.

In a file of their own, imported by the functions that need it: numba's cache on disk watches only the file that a
function stands in, and importing numba costs half a second. Integers only: every machine gives the same bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["murmur_hashes", "probe"]

_M = np.uint64(0xC6A4A7935BD1E995)
_R = np.uint64(47)
_BYTE = np.uint64(8)


@njit(cache=True, nogil=True)
def murmur_hashes(content: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    """uint64[n]: MurmurHash64A with seed 0 of the `n` strings that lie in `content` one after another."""
    hashes = np.empty(len(ends), np.uint64)
    start = 0
    for i in range(len(ends)):
        end = ends[i]
        h = np.uint64(end - start) * _M
        at = start
        while end - at >= 8:
            k = np.uint64(0)
            for j in range(7, -1, -1):
                k = (k << _BYTE) | np.uint64(content[at + j])
            at += 8
            k *= _M
            k ^= k >> _R
            h = (h ^ (k * _M)) * _M
        if at < end:
            k = np.uint64(0)
            for j in range(end - at - 1, -1, -1):
                k = (k << _BYTE) | np.uint64(content[at + j])
            h = (h ^ k) * _M
        h ^= h >> _R
        h *= _M
        h ^= h >> _R
        hashes[i] = h
        start = end
    return hashes


@njit(cache=True, nogil=True)
def probe(ideal: NDArray[np.int64], buckets: int) -> NDArray[np.int64]:
    """int64[n]: where entries land that are put one after another into the first free bucket from their `ideal` on."""
    free = np.ones(buckets, np.bool_)
    slots = np.empty(len(ideal), np.int64)
    for i in range(len(ideal)):
        slot = ideal[i]
        while not free[slot]:
            slot += 1
            if slot == buckets:
                slot = 0
        free[slot] = False
        slots[i] = slot
    return slots
