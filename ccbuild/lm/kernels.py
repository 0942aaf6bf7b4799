"""What the n-gram tables do word by word and entry by entry, compiled.

In a file of their own, imported by the functions that need it: numba's cache on disk watches only the file that a
function stands in, and importing numba costs half a second. Integers only: every machine gives the same bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["enter", "murmur_hashes"]

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
def enter(table: NDArray[np.uint64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """int64[n]: where `keys` land that enter `table` one after another, each in the first free bucket from its own on.

    A bucket is free when its key is 0, as KenLM has it.
    """
    buckets = np.uint64(len(table))
    slots = np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        slot = np.int64(keys[i] % buckets)
        while table[slot] != 0:
            slot += 1
            if slot == len(table):
                slot = np.int64(0)
        table[slot] = keys[i]
        slots[i] = slot
    return slots
