"""Shingle sets of documents on disk, found by document in one read: to measure pairs without reading pages again.

A file holds the sets one after the other (uint32, as `ccbuild.dedup.jaccard.shingle_set` gives them), then where each
document's set ends, in order of documents, then the number of documents (int64). 4,000 characters take 2.8 kB.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ccbuild.dedup.jaccard import similarity
from ccbuild.errors import DataError

__all__ = ["ShingleFile", "ShingleFiles", "write_shingles"]

_PLACE = np.dtype([("doc", "<u8"), ("end", "<i8")])


def write_shingles(path: Path, sets: Iterable[tuple[int, NDArray[np.uint32]]]) -> None:
    """The sets of documents, in order of documents, as one file."""
    places, end = list[tuple[int, int]](), 0
    with path.open("wb") as stream:
        for doc, values in sets:
            stream.write(values.astype("<u4").tobytes())
            end += len(values)
            places.append((doc, end))
        stream.write(np.array(places, _PLACE).tobytes())
        stream.write(np.array([len(places)], "<i8").tobytes())


class ShingleFile:
    """A file that `write_shingles` wrote, mapped into memory; its list of documents is read."""

    def __init__(self, path: Path, again: str) -> None:
        """`again` names the command that writes it, for errors."""
        whole = np.memmap(path, np.uint8, "r") if path.is_file() and path.stat().st_size >= 8 else np.zeros(8, np.uint8)
        n = int(whole[-8:].view("<i8")[0])
        begin = len(whole) - 8 - n * _PLACE.itemsize
        places = whole[max(begin, 0) : len(whole) - 8]
        ends = places.view(_PLACE) if n >= 0 and begin >= 0 else np.zeros(1, _PLACE)
        if not path.is_file() or begin != (4 * int(ends["end"][-1]) if n else 0):
            raise DataError(f"{path} is not a whole file of shingles. Delete it and run {again} again.")
        self._doc, self._end = np.array(ends["doc"]), np.array([0, *ends["end"]])
        self._sets = whole[:begin].view("<u4")

    def of(self, doc: int) -> NDArray[np.uint32] | None:
        """The set of `doc`; None where the file has none."""
        at = int(np.searchsorted(self._doc, np.uint64(doc)))
        if at == len(self._doc) or self._doc[at] != doc:
            return None
        return self._sets[self._end[at] : self._end[at + 1]]


class ShingleFiles:
    """Files of which each has documents from a shard on; each is opened when it is first asked."""

    def __init__(
        self, paths: Sequence[Path], first_shards: Sequence[int], again: str, earlier: ShingleFiles | None = None
    ) -> None:
        """`earlier` are asked for what these have not."""
        self._earlier = earlier
        self._paths, self._first, self._again = list(paths), list(first_shards), again
        self._open: dict[int, ShingleFile] = {}

    def of(self, doc: int) -> NDArray[np.uint32] | None:
        """The set of `doc`; None where no file has one."""
        found = self._here(doc)
        return self._earlier.of(doc) if found is None and self._earlier else found

    def _here(self, doc: int) -> NDArray[np.uint32] | None:
        number = bisect.bisect_right(self._first, doc >> 32) - 1
        if number < 0:
            return None
        if number not in self._open:
            if len(self._open) == _OPEN:
                self._open.clear()
            self._open[number] = ShingleFile(self._paths[number], self._again)
        return self._open[number].of(doc)

    def similarity(self, doc: int, partner: int) -> float:
        """Jaccard similarity of two documents of which the files have the sets."""
        sets = self.of(doc), self.of(partner)
        if sets[0] is None or sets[1] is None:
            raise DataError(f"No file has the shingles of {doc} and {partner}. Run {self._again} again.")
        return similarity(sets[0], sets[1])


_OPEN = 256
"""Files that are mapped at a time."""
