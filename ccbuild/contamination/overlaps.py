"""Which documents hold a test item of a benchmark: the items are indexed, the documents are read once.

Text is compared by its letters and digits alone: in small letters, compatible forms, ligatures and accents folded, so
that case, punctuation, spaces and marks make no difference (vowel signs and viramas stay). A document holds an item
where they share

* `CHARACTERS` letters and digits in a row, of which an ideograph, a kana or a Hangul syllable counts as two, or
* `WORDS` whole words in a row (thirteen: GPT-3, 2005.14165, appendix C), 25 characters or more, or
* all of an item that has at least `WHOLE`, counted in the same way.

Whatever has 25 characters of an item is found, by a seed of it, and then compared character by character: no hash
decides. An item shorter than `WHOLE` is not looked for, and counted. Memory: 8 bytes a character of items.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccbuild.contamination.benchmarks import Item, benchmark_files, read_items
from ccbuild.dedup.words import MARK, PARTS, SINGLE, TABLE_SIZE, WORD, batches, character_classes

__all__ = ["CHARACTERS", "WHOLE", "WORDS", "Benchmarks", "Overlap"]

CHARACTERS = 50
WORDS = 13
WHOLE = 25
SURE = 25
"""Characters, each counted once, of which a seed is met wherever they stand; of shorter items all seeds are kept."""
_AT_ONCE = 1 << 14
"""Characters of texts that are gone through at once: with what is made of them they stay in the cache."""
_FOUND = 1 << 12
"""Overlaps that one pass of the compiled loop has room for."""


class Overlap(NamedTuple):
    """What a document shares with an item."""

    document: int
    """Its place among the texts that were given."""
    item: int
    """Its place in :attr:`Benchmarks.items`."""
    start: int
    """The byte of the document, in UTF-8, at which what they share begins."""
    end: int

    def shared(self, document: str) -> str:
        """What they share, as the document has it."""
        return document.encode("utf-8", "surrogatepass")[self.start : self.end].decode("utf-8", "replace")


class Benchmarks:
    """Test items, indexed."""

    def __init__(self, items: Iterable[Item]) -> None:
        """Items that repeat, as the premises of XNLI do, are one."""
        from ccbuild.contamination.kernels import mark, seeds

        unique = list(dict.fromkeys(items))
        self.items = [(item.benchmark, item.lang) for item in unique]
        """(benchmark, language) of each; what they say is in the index, folded."""
        texts = [item.text for item in unique]
        parts: list[tuple[NDArray[Any], ...]] = []
        size = 0
        for first, end in batches(texts):
            points, _, starts, ends = _folded(texts[first:end])
            long, keys, at = seeds(points, starts, ends, SURE, WHOLE)
            parts.append((points.copy(), long, keys, at + np.uint32(size), starts[long] + size))
            size += len(points)
        columns = zip(*parts, strict=True) if parts else ((), (), (), (), ())
        dtypes = (np.uint32, np.bool_, np.uint64, np.uint32, np.int64)
        points, long, keys, at, starts = (
            np.concatenate([np.empty(0, dtype), *column]) for dtype, column in zip(dtypes, columns, strict=True)
        )
        del parts
        self.short = ~long
        """Whether each is too short to be looked for."""
        self._starts, self._numbers = starts, np.flatnonzero(long)
        order = np.argsort(keys, kind="stable")
        keys, at = keys[order], at[order]
        few = max(len(keys).bit_length() - 1, 8)
        many = max(few - 2, 1)  # 8 to 16 bits a seed
        marked = np.zeros(1 << many, np.uint64)
        mark(keys, marked, np.uint64(64 - many))
        firsts = np.arange(1 << few, dtype=np.uint64) << np.uint64(64 - few)
        buckets = np.append(np.searchsorted(keys, firsts), len(keys)).astype(np.uint32)
        self._index = points, keys, at, buckets, marked, np.uint64(64 - many), np.uint64(64 - few)

    @classmethod
    def read(cls, what: Iterable[str]) -> Benchmarks:
        """Of files, globs and folders in the forms of :mod:`ccbuild.contamination.benchmarks`."""
        return cls(item for path in benchmark_files(what) for item in read_items(path))

    def find(self, texts: Sequence[str]) -> Iterator[Overlap]:
        """Every item that each text holds, by text and place; an item that a text holds twice, or in parts, twice."""
        for first, end in batches(texts, _AT_ONCE):
            yield from self._find(texts[first:end], first)

    def _find(self, texts: Sequence[str], number: int) -> Iterator[Overlap]:
        from ccbuild.contamination.kernels import search

        points, places, starts, _ = _folded(texts)
        least, into, at, found = (CHARACTERS, WORDS, SURE, WHOLE), np.empty((_FOUND, 3), np.int64), 0, set[Any]()
        while at < len(points):
            count, after = search(points, len(points), at, self._index, least, into)
            found.update(map(tuple, into[:count].tolist()))
            if after <= at:  # more at one place than there is room for
                into = np.empty((2 * len(into), 3), np.int64)
            at = max(at, after)
        for first, end, q in sorted(found):
            document = int(np.searchsorted(starts, first, "right")) - 1
            item = int(self._numbers[np.searchsorted(self._starts, q, "right") - 1])
            yield Overlap(number + document, item, int(places[first]) >> 2, _after(int(places[end - 1])))


def _after(place: int) -> int:
    """The byte behind a character."""
    return (place >> 2) + (place & 3) + 1


def _folded(
    texts: Sequence[str],
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """(folded characters of all texts, with 0 before, between and behind them; four times the byte of its text at which
    each began, and how many bytes more it had; where each text begins in them; where it ends)."""
    from ccbuild.contamination.kernels import fold

    table, more = _table()
    contents = [text.encode("utf-8", "surrogatepass") for text in texts]
    most = sum(map(len, contents)) + len(contents) + 1
    points, places = np.zeros(most, np.uint32), np.zeros(most, np.uint32)
    starts, ends, n = np.empty(len(texts), np.int64), np.empty(len(texts), np.int64), 1
    for t, content in enumerate(contents):
        starts[t] = n
        ends[t] = n = fold(np.frombuffer(content, np.uint8), table, more, points, places, n)
        n += 1
    return points[:n], places[:n], starts, ends


@functools.cache
def _table() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """(code point to its folded character, as the compiled loops want it; those of code points that are several)."""
    from ccbuild.contamination.kernels import JOINED, SEVERAL, SKIPPED, START, WIDE

    classes = character_classes()
    flags = {PARTS: 0, WORD: int(START), SINGLE: int(JOINED), MARK: 0}
    table, more = np.zeros(TABLE_SIZE, np.uint32), list[int]()
    for point in np.flatnonzero(classes).tolist():
        made = []
        for letter in _letters(chr(point)):
            wide = "가" <= letter <= "힣" or "\u3041" <= letter <= "\u9fff" or letter >= "\U00020000"
            made.append(ord(letter) | flags[int(classes[ord(letter)])] | (int(WIDE) if wide else 0))
        if len(made) > 1:
            table[point] = len(more) | int(SEVERAL)
            more += [*made, 0]
        else:
            table[point] = made[0] if made else SKIPPED
    return table, np.array(more, np.uint32)


def _letters(character: str) -> str:
    """What is left of a letter or mark: none, one or several, at most as many as it has bytes."""
    if "가" <= character <= "힣":
        return character
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    plain = plain.replace("\u0131", "i")  # a capital of it is I
    classes = character_classes()
    kept = [c for c in plain if c not in _OTHERS and classes[ord(c)] != PARTS]
    kept = [c for c in kept if classes[ord(c)] != MARK or unicodedata.combining(c) not in _ACCENTS]
    return "".join(kept[: len(character.encode())])


_OTHERS = frozenset(map(chr, (0x034F, 0x0640, *range(0x02B9, 0x02C0), *range(0x180B, 0x1810), *range(0xFE00, 0xFE10))))
"""Letters and marks that are none: the apostrophes and primes that Unicode calls letters (Ukrainian, Uzbek), what makes
Arabic words longer, and what chooses among forms of a character."""
_ACCENTS = (7, 8, *range(10, 36), 202, 216, 220, 228, 230, 232, 233, 234, 240)
"""Canonical combining classes of marks that some write and others leave out: nukta, voicing of kana, points of Hebrew,
vowels of Arabic, accents. Virama, vowel signs and tones, which have others, stay."""
