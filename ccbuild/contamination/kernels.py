"""Compiled loops that fold UTF-8 to letters and digits, and find the pieces of indexed texts in it.

In a file of their own: numba's cache on disk watches only the file that a function stands in, and numba costs half a
second to import. A folded character is a uint32: a code point in the low 21 bits, `START` at the first of a word,
`JOINED` in a script that does not part words, `WIDE` where a character says what two of Latin say. 0 parts texts.
In the table a character that is several (a ligature) has `SEVERAL`, and where they stand, a 0 behind them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = [
    "ASKED",
    "CHARACTER",
    "JOINED",
    "SEED",
    "SEVERAL",
    "SKIPPED",
    "START",
    "STEP",
    "WIDE",
    "fold",
    "mark",
    "search",
    "seeds",
]

_compiled = njit(cache=True, nogil=True, error_model="numpy")

SEED = 11
"""Folded characters of a seed."""
STEP = 4
"""An indexed text has a seed at each fourth character, a short one at each."""
ASKED = 3
"""Documents are asked at each third character. 4 and 3 have no common divisor: of any 12 places on both, one is asked
of a document and has a seed in the text, so that nothing of 22 characters is missed, and a third is looked up. Of a
text that has a seed at each, nothing of 13 is: 13 ideographs are the fewest characters of an item."""
START, JOINED, WIDE = np.uint32(1 << 31), np.uint32(1 << 30), np.uint32(1 << 29)
CHARACTER = np.uint32((1 << 21) - 1)
SKIPPED = np.uint32((1 << 22) - 1)
"""In the table: a mark that is passed over, and parts no word."""
SEVERAL = np.uint32(1 << 28)
_NONE = np.uint32(0)
_U1, _U2 = np.uintp(1), np.uintp(2)
_LEAD, _VOWEL, _TAIL, _END, _SYLLABLE = (np.uint32(p) for p in (0x1100, 0x1161, 0x11A7, 0x1200, 0xAC00))
"""Where Hangul's letters begin and end, and where their syllables begin (The Unicode Standard, 3.12)."""
_TIMES, _LAST = np.uint64(0x9E3779B97F4A7C15), np.uint64(pow(0x9E3779B97F4A7C15, SEED, 1 << 64))
_MIX, _HALF = np.uint64(0xD6E8FEB86659FD93), np.uint64(32)
_ONE, _BIT, _SIX, _TWELVE = np.uint64(1), np.uint64(63), np.uint64(6), np.uint64(12)


@_compiled
def fold(text: Any, table: Any, more: Any, points: Any, places: Any, n: int) -> Any:
    """Write what is left of UTF-8, and where each character stood (`_folded`), from `n` on; the end."""
    i, at, stop = np.uintp(0), np.uintp(n), np.uintp(len(text))  # no sign: no look for negative indexes
    open_word = np.uint32(0)  # START in a word: the table has it at every letter
    while i < stop:
        point, here = np.uint32(text[i]), i
        i += _U1
        if point >= 0x80:
            size = 1 if point < 0xE0 else 2 if point < 0xF0 else 3
            point &= np.uint32(0x3F >> size)
            while size and i < stop:
                point = (point << np.uint32(6)) | (np.uint32(text[i]) & np.uint32(0x3F))
                i += _U1
                size -= 1
        made = table[point] if point < len(table) else _NONE
        if made == _NONE:
            open_word = _NONE
            continue
        if made & (START | JOINED | SEVERAL) == START and (point < _LEAD or point >= _END):
            points[at] = made & ~open_word
            places[at] = np.uint32((here << _U2) + i - here - _U1)
            at += _U1
            open_word = START
            continue
        if made == SKIPPED:
            continue
        if _LEAD <= point < _END and open_word and _composed(points, at - _U1, point):
            continue
        k, several = made & CHARACTER, made & SEVERAL
        while True:
            if several:
                made = more[k]
                k += np.uint32(1)
            points[at] = made & ~open_word
            places[at] = np.uint32((here << _U2) + i - here - _U1)
            at += _U1
            if made & JOINED:
                open_word = _NONE
            elif made & START:
                open_word = START
            if not several or more[k] == _NONE:
                break
    return np.int64(at)


@_compiled
def _composed(points: Any, last: Any, point: Any) -> Any:
    """Whether a letter of Hangul became one syllable with what stands before it in its word."""
    before = points[last] & CHARACTER
    if before - _LEAD < np.uint32(19) and point - _VOWEL < np.uint32(21):
        syllable = _SYLLABLE + ((before - _LEAD) * np.uint32(21) + point - _VOWEL) * np.uint32(28)
    elif (
        before - _SYLLABLE < np.uint32(11172)
        and (before - _SYLLABLE) % np.uint32(28) == 0
        and np.uint32(0) < point - _TAIL < np.uint32(28)
    ):
        syllable = before + point - _TAIL
    else:
        return False
    points[last] = (points[last] & ~CHARACTER) | WIDE | syllable
    return True


@_compiled
def _mixed(h: Any) -> Any:
    h = (h ^ (h >> _HALF)) * _MIX
    return h ^ (h >> _HALF)


@_compiled
def seeds(points: Any, starts: Any, ends: Any, sure: int, whole: int) -> Any:
    """(whether each text is looked for, its seeds, where each stands): all seeds of texts under `sure` characters."""
    long = np.zeros(len(starts), np.bool_)
    n = 0
    for t in range(len(starts)):
        units = ends[t] - starts[t]
        for i in range(starts[t], ends[t]):
            units += points[i] & WIDE != 0
        long[t] = ends[t] - starts[t] >= SEED and units >= whole
        if long[t]:
            n += (ends[t] - starts[t] - SEED) // (STEP if ends[t] - starts[t] >= sure else 1) + 1
    keys, at, n = np.empty(n, np.uint64), np.empty(n, np.uint32), 0
    for t in range(len(starts)):
        if long[t]:
            for first in range(starts[t], ends[t] - SEED + 1, STEP if ends[t] - starts[t] >= sure else 1):
                h = np.uint64(0)
                for i in range(first, first + SEED):
                    h = h * _TIMES + np.uint64(points[i] & CHARACTER)
                keys[n], at[n] = _mixed(h), first
                n += 1
    return long, keys, at


@_compiled
def _marks(key: Any) -> Any:
    """The three bits of a key in its word: a Bloom filter that reads one word of memory."""
    return (_ONE << (key & _BIT)) | (_ONE << ((key >> _SIX) & _BIT)) | (_ONE << ((key >> _TWELVE) & _BIT))


@_compiled
def mark(keys: Any, words: Any, to_word: Any) -> Any:
    """Set the bits of each key."""
    for k in range(len(keys)):
        words[keys[k] >> to_word] |= _marks(keys[k])


@_compiled
def _goes_on(c: Any) -> Any:
    """Whether the word before a character goes on in it."""
    return c != 0 and c & (START | JOINED) == 0


@_compiled
def search(points: Any, n: int, i: int, index: Any, least: Any, into: Any) -> Any:
    """(how many overlaps are in `into`, where to go on): those of the first `n` folded characters, from `i` on.

    `least` are characters, words and the characters that they have, and the characters of a text that is there from its
    first to its last. An overlap is (first, end) in `points`, and its first in the indexed texts.
    """
    indexed, keys, at, buckets, marked, to_word, to_bucket = index
    characters, words, sure, whole = least
    found, have, h = 0, 0, np.uint64(0)
    while i < n:
        c = points[i] & CHARACTER
        i += 1
        if c == 0:
            have, h = 0, np.uint64(0)
            continue
        h = h * _TIMES + np.uint64(c)
        have += 1
        if have > SEED:
            h -= _LAST * np.uint64(points[i - 1 - SEED] & CHARACTER)
        if have < SEED or i % ASKED:
            continue
        key = _mixed(h)
        marks = _marks(key)
        if marked[key >> to_word] & marks != marks:
            continue
        bucket = key >> to_bucket
        for s in range(buckets[bucket], buckets[bucket + np.uint64(1)]):
            if keys[s] != key:
                continue
            p, q = i - SEED, np.int64(at[s])
            before = 0
            while before < STEP * ASKED and p > before and indexed[q - 1 - before] & CHARACTER != 0:
                if (points[p - 1 - before] ^ indexed[q - 1 - before]) & CHARACTER:
                    break
                before += 1
            if before == STEP * ASKED:
                continue  # a seed before it was here as well
            first, q = p - before, q - before
            end, units, begun = first, 0, 0
            while end < n:
                a = indexed[q + end - first]
                if a & CHARACTER == 0 or (points[end] ^ a) & CHARACTER:
                    break
                units += 2 if a & WIDE else 1
                begun += a & points[end] & START != 0
                end += 1
            if end - first < SEED:
                continue  # another text with the same hash
            after = indexed[q + end - first]
            begun -= _goes_on(after) or (end < n and _goes_on(points[end]))
            all_of_it = indexed[q - 1] == 0 and after == 0 and units >= whole
            if units >= characters or (begun >= words and end - first >= sure) or all_of_it:
                if found == len(into):
                    return found, i - SEED
                into[found, 0], into[found, 1], into[found, 2] = first, end, q
                found += 1
    return found, n
