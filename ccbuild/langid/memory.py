"""What compiled loops remember of words: the sums of their vectors in one or two fastText models.

A text's vector is the mean of the vectors of its words and their n-grams, so that a word adds the same numbers wherever
it stands. Words come again and again: of the letters of running text in a hundred languages, mixed line by line, three
fifths stand in a word that is remembered; of one language alone, or of whole pages, more. A sum is made in the same
order whether it is remembered or made anew, so that no answer depends on what was asked before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ccbuild.langid.kernels import Memory

__all__ = ["PLACES", "memory_for"]

_KEY = 16
"""Values at the start of an entry that hold, as 64-bit numbers, its word (4), how many vectors are summed (one), how
sure it is of its place (one) and when it was last looked up (one): `kernels._place`."""
PLACES = 1 << 16
"""Words that are remembered, a power of two: 17 MB for the shipped models. Of lines in a hundred languages 61 % of the
letters stand in such a word; with half as many it is 54 %, with twice as many 66."""
_FOUND, _MISSED = 512, 128
"""Words that are looked up at once, and those of them whose sums are then made."""
_ROWS = 4096
"""Vectors that are found before they are added up: their numbers stay in the processor's nearest cache."""
_LINE = 64
"""Bytes of a line of the cache."""


def memory_for(*columns: int) -> Memory:
    """An empty memory of models with so many columns. Pages of it that no word needs are never touched."""
    from ccbuild.langid.kernels import Memory

    shape = PLACES + _MISSED, _KEY + sum(columns)
    space = np.zeros(shape[0] * shape[1] + _LINE // 4, np.float32)
    start = -space.ctypes.data % _LINE // 4
    entries = space[start : start + shape[0] * shape[1]].reshape(shape)
    return Memory(
        entries,
        entries.view(np.uint64),
        np.zeros((_FOUND, 2), np.int64),
        np.zeros((_MISSED, 3), np.int64),
        np.zeros(1, np.uint64),
        np.zeros(_ROWS, np.uint32),
        np.zeros(_ROWS, np.int64),
        np.zeros(sum(columns), np.float32),
    )
