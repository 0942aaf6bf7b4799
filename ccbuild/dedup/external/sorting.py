"""Rows sorted in a memory that is set beforehand: runs on disk, merged block by block.

Rows are NumPy structured arrays of integers. What does not fit is sorted in parts, each part written to a file of a
scratch folder, and the parts merged as they are read (Knuth, *The Art of Computer Programming* 3, section 5.4).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ccbuild.dedup.groups import group_starts

__all__ = [
    "Lookup",
    "Rows",
    "Sorter",
    "first_of_groups",
    "groups_whole",
    "merged",
    "read_rows",
    "sort_rows",
    "write_rows",
]

Rows = NDArray[Any]
"""A structured array, one record a row."""

_SORT_COPIES = 4
"""Rows' bytes in memory while they are sorted: themselves, parted into columns, the order, the result."""
_FAN_IN = 64
"""Runs merged at a time; more are merged in rounds, so that a read stays long and open files stay few."""


def sort_rows(rows: Rows, keys: Sequence[str]) -> Rows:
    """`rows` sorted by `keys`, the first one first; rows equal in all of them keep their order."""
    columns = [np.ascontiguousarray(rows[key]) for key in reversed(keys)]
    return np.asarray(rows[np.lexsort(columns)])


def first_of_groups(rows: Rows, keys: Sequence[str]) -> NDArray[np.intp]:
    """Where runs of rows equal in `keys` start, in rows that are sorted by them."""
    return group_starts(*(rows[key] for key in keys))


def write_rows(path: Path, blocks: Iterable[Rows]) -> None:
    """The rows of `blocks`, one after the other, as they lie in memory."""
    with path.open("wb") as stream:
        for block in blocks:
            stream.write(np.ascontiguousarray(block).tobytes())


def read_rows(path: Path, dtype: np.dtype[Any], block_rows: int) -> Iterator[Rows]:
    """The rows that `write_rows` wrote, `block_rows` at a time."""
    with path.open("rb") as stream:
        while raw := stream.read(block_rows * dtype.itemsize):
            yield np.frombuffer(raw, dtype)


def merged(streams: Sequence[Iterator[Rows]], keys: Sequence[str]) -> Iterator[Rows]:
    """The rows of all `streams`, each sorted by `keys`, as blocks in that order.

    Holds a block of each stream. Rows equal in `keys` may lie in two blocks that follow each other: see `groups_whole`.
    """
    heads: list[Rows] = []
    open_streams: list[Iterator[Rows]] = []
    for stream in streams:
        for head in stream:
            if len(head):
                heads.append(head)
                open_streams.append(stream)
                break
    while heads:
        limit = min(tuple(head[key][-1] for key in keys) for head in heads)
        cuts = [_up_to(head, keys, limit) for head in heads]
        parts = [head[:cut] for head, cut in zip(heads, cuts, strict=True) if cut]
        yield parts[0] if len(parts) == 1 else sort_rows(np.concatenate(parts), keys)
        for i in reversed(range(len(heads))):
            heads[i] = heads[i][cuts[i] :]
            while len(heads[i]) == 0:
                following = next(open_streams[i], None)
                if following is None:
                    del heads[i], open_streams[i]
                    break
                heads[i] = following


def _up_to(rows: Rows, keys: Sequence[str], limit: tuple[Any, ...]) -> int:
    """Number of the first rows that are not after `limit`."""
    low, high = 0, len(rows)
    for key, value in zip(keys, limit, strict=True):
        column = rows[key][low:high]
        high = low + int(np.searchsorted(column, value, "right"))
        low = low + int(np.searchsorted(column, value, "left"))
        if low == high:
            break
    return high


def groups_whole(blocks: Iterable[Rows], key: str) -> Iterator[Rows]:
    """The same rows in blocks that never part rows equal in `key`, by which they are sorted.

    Cost of the choice: the largest group must fit in memory.
    """
    waiting: list[Rows] = []
    for block in blocks:
        if waiting and waiting[0][key][0] == block[key][-1]:
            waiting.append(block)
            continue
        cut = int(np.searchsorted(block[key], block[key][-1], "left"))
        whole = np.concatenate([*waiting, block[:cut]])
        if len(whole):
            yield whole
        waiting = [block[cut:].copy()]
    if waiting:
        yield np.concatenate(waiting)


class Lookup:
    """Finds rows of a stream that is sorted by `key` and has each key once, by keys asked for in ascending order.

    >>> stream = iter([np.array([(1, 7), (4, 8)], [("n", "<u8"), ("v", "<u8")])])
    >>> present, rows = Lookup(stream, "n").find(np.array([1, 1, 2, 4], np.uint64))
    >>> present.tolist(), rows["v"].tolist()
    ([True, True, False, True], [7, 7, 8])
    """

    def __init__(self, blocks: Iterator[Rows], key: str) -> None:
        self._blocks, self._key = blocks, key
        self._block: Rows | None = None

    def find(self, keys: NDArray[Any]) -> tuple[NDArray[np.bool_], Rows]:
        """(which of the sorted `keys` there are, a row for each of these). Holds a block of the stream beside them."""
        present, parts, done = np.zeros(len(keys), np.bool_), [], 0
        while done < len(keys):
            if self._block is None:
                self._block = next(self._blocks, None)
                if self._block is None:
                    break
            column = self._block[self._key]
            upto = done + int(np.searchsorted(keys[done:], column[-1], "right")) if len(column) else done
            at = np.searchsorted(column, keys[done:upto])
            found = column[at] == keys[done:upto]
            present[done:upto] = found
            parts.append(self._block[at[found]])
            done = upto
            if done < len(keys):
                self._block = None  # all of its keys have been passed
        return present, np.concatenate(parts) if parts else np.empty(0)


class Sorter:
    """Takes rows in any order and gives them back sorted by `keys`, in about `nbytes` of memory.

    >>> import tempfile
    >>> sorter = Sorter(np.dtype([("n", "<u8")]), ["n"], Path(tempfile.mkdtemp()), nbytes=1 << 16)
    >>> for start in (5000, 0, 2500):
    ...     sorter.add(np.arange(start, start + 2500).astype("<u8").view(sorter.dtype))
    >>> rows = np.concatenate(list(sorter.blocks()))
    >>> len(rows), bool(np.all(np.diff(rows["n"].astype(int)) == 1))
    (7500, True)
    """

    def __init__(self, dtype: np.dtype[Any], keys: Sequence[str], folder: Path, nbytes: int) -> None:
        self.dtype, self.keys, self.rows = dtype, list(keys), 0
        self._folder, self._capacity = folder, max(1024, nbytes // (dtype.itemsize * _SORT_COPIES))
        self._waiting: list[Rows] = []
        self._waiting_rows = 0
        self._runs: list[Path] = []

    def add(self, rows: Rows) -> None:
        """Take `rows`."""
        for first in range(0, len(rows), self._capacity):
            part = rows[first : first + self._capacity]
            if self._waiting_rows + len(part) > self._capacity:
                self._spill()
            self._waiting.append(part)
            self._waiting_rows += len(part)
            self.rows += len(part)

    def _sorted(self) -> Rows:
        rows = np.concatenate(self._waiting) if self._waiting else np.empty(0, self.dtype)
        self._waiting, self._waiting_rows = [], 0
        return sort_rows(rows, self.keys)

    def _spill(self) -> None:
        self._write([self._sorted()])

    def _write(self, blocks: Iterable[Rows]) -> None:
        path = self._folder / f"{uuid.uuid4().hex}.run"
        write_rows(path, blocks)
        self._runs.append(path)

    def _merge(self, paths: Sequence[Path]) -> Iterator[Rows]:
        block_rows = max(256, self._capacity // (len(paths) + 1))
        yield from merged([read_rows(path, self.dtype, block_rows) for path in paths], self.keys)
        for path in paths:
            path.unlink()

    def blocks(self) -> Iterator[Rows]:
        """All rows, sorted; can be asked for once."""
        if not self._runs:
            rows = self._sorted()
            if len(rows):
                yield rows
            return
        if self._waiting:
            self._spill()
        while len(self._runs) > _FAN_IN:
            paths, self._runs = self._runs[:_FAN_IN], self._runs[_FAN_IN:]
            self._write(self._merge(paths))
        yield from self._merge(self._runs)

    def close(self) -> None:
        """Forget the rows and remove the files."""
        for path in self._runs:
            path.unlink(missing_ok=True)
        self._runs, self._waiting, self._waiting_rows = [], [], 0
