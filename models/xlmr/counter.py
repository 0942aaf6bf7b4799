"""Random numbers without a state: hashes of a seed and counters, the same on every machine and in any order.

Everything random about a sample (its language, its block, its masks) is a function of the seed and the sample's number.
So a run can be resumed anywhere, and read by any number of ranks, at no cost and with nothing to save.

The hash is the finaliser of SplitMix64 (Steele, Lea, Flood 2014; constants: Stafford's Mix13) over the words in turn.
Cost of the choice: some 5 ns a number in NumPy; not for cryptography.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["mix", "permute", "uniform"]

Words = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ROUNDS = 6


def mix(*words: ArrayLike) -> Words:
    """One 64-bit hash for each combination of `words`, broadcast against each other; integers from 0 on."""
    state = np.zeros(1, np.uint64)
    for word in words:
        state = _finalise((state + _GOLDEN) ^ np.asarray(word, dtype=np.uint64))
    return state


def _finalise(z: Words) -> Words:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(words: Words) -> NDArray[np.float64]:
    """Hashes as numbers in [0, 1), from their upper 53 bits."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permute(index: ArrayLike, size: ArrayLike, key: ArrayLike) -> NDArray[np.int64]:
    """Where a keyed permutation of range(`size`) sends `index`, element by element; 0 ≤ index < size.

    A balanced Feistel network over the next power of four, walked on until it lands inside (Black and Rogaway 2002):
    no table, so a language of 100 million blocks costs as much as one of ten.
    """
    sizes, keys, values = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(a, dtype=np.uint64)) for a in (size, key, index))
    )
    # bits of size - 1, exactly: frexp's exponent is the bit length (sizes stay far below 2**53)
    half = ((np.frexp((sizes - np.uint64(1)).astype(np.float64))[1] + 1) // 2).astype(np.uint64)
    result = _feistel(values, half, keys)
    while (outside := result >= sizes).any():
        result[outside] = _feistel(result[outside], half[outside], keys[outside])
    return result.astype(np.int64)


def _feistel(values: Words, half: Words, keys: Words) -> Words:
    low = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & low
    for round_number in range(_ROUNDS):
        left, right = right, left ^ (mix(keys, round_number, right) & low)
    return (left << half) | right
