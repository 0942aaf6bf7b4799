"""Words as near-duplicate detection sees them, and shingles of them; the plain form that the compiled one equals.

A word is made by four classes of characters, after ``text.lower()``:

* ``WORD``: what :meth:`str.isalnum` accepts. A run of them is one word.
* ``SINGLE``: what :meth:`str.isalnum` accepts in a script that does not part words by spaces (Han, Bopomofo, kana,
  Thai, Lao, Khmer, Burmese, Tibetan). Each is a word by itself.
* ``MARK``: combining marks (categories Mn and Mc). A mark belongs to the word that stands before it, in every script;
  where none is open (after a space, in an emoji) it is no word.
* ``PARTS``: everything else (white space, punctuation, symbols, ``_``, format characters, planes 4 to 16) parts words.

Hangul is written with spaces and is ``WORD``. Which characters are alphanumeric is what the ``unicodedata`` of the
running Python says; a character assigned in a later Unicode version parts words under an earlier one.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["MARK", "PARTS", "SINGLE", "TABLE_SIZE", "WORD", "batches", "character_classes", "shingles", "words"]

PARTS, WORD, SINGLE, MARK = range(4)

TABLE_SIZE = 0x40000
"""Code points in a table: planes 0 to 3, which hold every letter that Unicode has assigned; the rest parts words."""

# Blocks (Unicode's Blocks.txt) of the scripts that do not part words; blocks never move once assigned.
_UNSPACED_BLOCKS = (
    (0x0E00, 0x0E7F),  # Thai
    (0x0E80, 0x0EFF),  # Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # CJK radicals
    (0x3005, 0x3007),  # iteration mark, closing mark, ideographic zero
    (0x3021, 0x3029),  # Hangzhou numerals
    (0x3031, 0x303C),  # kana repeat marks, Hangzhou tens, masu mark
    (0x3040, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x31A0, 0x31FF),  # Bopomofo extended, strokes, Katakana phonetic extensions
    (0x3400, 0x4DBF),  # CJK extension A
    (0x4E00, 0x9FFF),  # CJK unified ideographs
    (0xA9E0, 0xA9FF),  # Myanmar extended B
    (0xAA60, 0xAA7F),  # Myanmar extended A
    (0xF900, 0xFAFF),  # CJK compatibility ideographs
    (0xFF66, 0xFF9F),  # halfwidth Katakana
    (0x116D0, 0x116FF),  # Myanmar extended C
    (0x1AFF0, 0x1B16F),  # kana extended B, supplement, extended A, small kana
    (0x20000, 0x3FFFF),  # ideographic planes
)


@functools.cache
def character_classes() -> NDArray[np.uint8]:
    """Class of each code point, uint8[TABLE_SIZE], read-only; made in about 50 ms when first asked for."""
    characters = [chr(point) for point in range(TABLE_SIZE)]
    classes = np.fromiter(map(str.isalnum, characters), np.uint8, TABLE_SIZE)  # True is WORD
    for first, last in _UNSPACED_BLOCKS:
        classes[first : last + 1] *= SINGLE
    major = np.frombuffer("".join(map(unicodedata.category, characters)).encode(), "S2")
    classes[(major == b"Mn") | (major == b"Mc")] = MARK
    classes.setflags(write=False)
    return classes


def words(text: str) -> list[str]:
    """The words of `text`, lower-cased, in order.

    >>> words("Don't: Straße_2, 東京とไทย")
    ['don', 't', 'straße', '2', '東', '京', 'と', 'ไ', 'ท', 'ย']
    """
    classes = character_classes()
    found: list[str] = []
    before = PARTS
    for character in text.lower():
        kind = int(classes[ord(character)]) if ord(character) < TABLE_SIZE else PARTS
        if kind == MARK and before != PARTS:
            found[-1] += character
            continue
        if kind == WORD and before == WORD:
            found[-1] += character
        elif kind in (WORD, SINGLE):
            found.append(character)
        before = PARTS if kind == MARK else kind
    return found


def shingles(text: str, n: int = 5) -> list[bytes]:
    """Every run of `n` consecutive words joined by one space, in UTF-8, in order, repeats included.

    A text of fewer than `n` words has none. The same path as the compiled form takes, word by word in Python:
    some 30 times slower, for checking and for explaining a match.

    >>> shingles("To be, or not to be!", 5)
    [b'to be or not to', b'be or not to be']
    """
    found = words(text)
    return [" ".join(found[i : i + n]).encode("utf-8", "surrogatepass") for i in range(len(found) - n + 1)]


def batches(texts: Sequence[str], max_chars: int = 1 << 17) -> Iterator[tuple[int, int]]:
    """(first, last) of runs of `texts` that end with the text that brings them to `max_chars`.

    A compiled loop takes a run at a time. 2^17 characters are 512 KiB of code points: what one pass makes is still in
    the cache when the next reads it (twice as fast as runs of 8 million), and little beside the texts themselves.
    """
    first, chars = 0, 0
    for i, text in enumerate(texts):
        chars += len(text)
        if chars >= max_chars:
            yield first, i + 1
            first, chars = i + 1, 0
    if first < len(texts):
        yield first, len(texts)
