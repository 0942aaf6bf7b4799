"""Compiled loops that fold characters by the tables of `ccbuild.langid.letters`.

In a file of their own, imported where they are used: numba's cache on disk watches only the file that a function stands
in, and numba costs half a second to import. Apart from the other loops, since supplements are made with these. Texts
are code points behind each other; text t is ``points[starts[t]:starts[t + 1]]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["decomposed", "fold_points"]

_compiled = njit(cache=True, nogil=True, error_model="numpy")

_PLANES = 0x20000
_NONE = np.uint32((1 << 32) - 1)
_SECOND, _FIRST = np.uint32(1 << 31), np.uint32(1 << 30)  # as in letters.py
_MORE, _POINT = np.uint32(1 << 24), np.uint32((1 << 30) - 1)
_CAPITAL_I, _SMALL_I, _DOTTED_I, _DOTLESS_I = np.uint32(0x49), np.uint32(0x69), 0x130, np.uint32(0x131)


@_compiled
def decomposed(points: Any, starts: Any, table: Any) -> Any:
    """(whether each text has neighbours that may be one character, how many characters are folded to several)."""
    found, several = np.zeros(len(starts) - 1, np.bool_), 0
    for t in range(len(found)):
        before, apart = np.uint32(0), np.uint32(0)
        for i in range(starts[t], starts[t + 1]):
            entry = table[points[i]] if points[i] < _PLANES else np.uint32(0)
            apart |= (entry >> np.uint32(1)) & before
            several += int(entry & _POINT >= _MORE)
            before = entry
        found[t] = apart & _FIRST != 0
    return found, several


@_compiled
def fold_points(points: Any, starts: Any, table: Any, rows: Any, several: int) -> Any:
    """(the texts folded, where each starts in them and the end)."""
    n, longest = 0, rows.shape[1]
    folded, ends = np.empty(len(points) + several * longest, np.uint32), np.zeros(len(starts), np.int64)
    for t in range(len(starts) - 1):
        dotted, capital = False, _NONE
        if table[_DOTTED_I] == _SMALL_I:
            for i in range(starts[t], starts[t + 1]):
                dotted |= points[i] == _DOTTED_I
        if dotted:
            capital = _CAPITAL_I
        for i in range(starts[t], starts[t + 1]):
            p = points[i]
            made = table[p] & _POINT if p < _PLANES else p
            folded[n] = made
            n += made != 0
            if p == capital:
                folded[n - 1] = _DOTLESS_I
            elif made >= _MORE and p < _PLANES:
                n -= 1
                for k in range(longest):
                    folded[n] = rows[made - _MORE, k]
                    n += folded[n] != 0
        ends[t + 1] = n
    return folded[:n], ends
