"""A set of documents as a file, a bit each: 3 billion documents are 375 MB, mapped into memory and not read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ccbuild.errors import DataError

__all__ = ["DocumentSet"]

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class DocumentSet:
    """Documents of shards, by address.

    The file is a row of little-endian int64, first their number, then where each shard's bits start and where the last
    one's end; then eight documents a byte, the first in the lowest bit.
    """

    first_bit: NDArray[np.int64]
    """[shards + 1] where each shard's bits start."""
    bits: NDArray[np.uint8]
    """[documents / 8, rounded up]"""

    @classmethod
    def create(
        cls, path: Path, rows: Sequence[int] | NDArray[np.int64], earlier: DocumentSet | None = None
    ) -> DocumentSet:
        """A set in a new file, of shards of ``rows[shard]`` documents each; has what `earlier` has, which is of the
        first of these shards."""
        first_bit = np.concatenate(([0], np.cumsum(rows))).astype("<i8")
        nbytes = (int(first_bit[-1]) + 7) // 8
        with path.open(
            "wb"
        ) as stream:  # written and not only made long: a full disk shows here, and not in the mapping
            stream.write(np.array([len(first_bit), *first_bit], "<i8").tobytes())
            for first in range(0, nbytes, _CHUNK):
                stream.write(bytes(min(_CHUNK, nbytes - first)))
        made = cls(first_bit, np.memmap(path, np.uint8, "r+")[8 + first_bit.nbytes :])
        if earlier is not None:
            if not np.array_equal(earlier.first_bit, first_bit[: len(earlier.first_bit)]):
                raise ValueError("the earlier set is of other shards")
            made.bits[: len(earlier.bits)] = earlier.bits
        return made

    @classmethod
    def read(cls, path: Path, again: str) -> DocumentSet:
        """The set in the file `path`; `again` names the command that writes it, for errors."""
        whole = np.memmap(path, np.uint8, "r") if path.is_file() and path.stat().st_size > 8 else np.zeros(8, np.uint8)
        end = 8 + 8 * int(whole[:8].view("<i8")[0])
        first_bit = whole[8:end].view("<i8") if 8 < end <= len(whole) else np.zeros(1, "<i8")
        if len(whole) != end + (int(first_bit[-1]) + 7) // 8 or end == 8:
            raise DataError(f"{path} is not a whole set of documents. Delete it and run {again} again.")
        return cls(np.array(first_bit), whole[end:])

    def add(self, doc: NDArray[np.uint64]) -> None:
        """Take `doc` in."""
        position = self.position(doc)
        np.bitwise_or.at(self.bits, position >> 3, np.left_shift(1, position & 7).astype(np.uint8))

    def remove(self, doc: NDArray[np.uint64]) -> None:
        """Take `doc` out."""
        position = self.position(doc)
        np.bitwise_and.at(self.bits, position >> 3, ~np.left_shift(1, position & 7).astype(np.uint8))

    def position(self, doc: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The number of each of `doc` among the documents of all shards."""
        shard, row = (doc >> np.uint64(32)).astype(np.int64), (doc & np.uint64(0xFFFFFFFF)).astype(np.int64)
        if np.any(shard >= len(self.first_bit) - 1) or np.any(row >= np.diff(self.first_bit)[shard]):
            raise ValueError("a doc_id lies outside the shards of this set")
        return np.asarray(self.first_bit[shard] + row, np.int64)

    def contains(self, doc: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Whether each of `doc` is in the set, bool[n]."""
        position = self.position(doc)
        return np.asarray((self.bits[position >> 3] >> (position & 7).astype(np.uint8)) & 1, np.bool_)
