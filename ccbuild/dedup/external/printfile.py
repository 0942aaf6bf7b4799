"""The file of prints that a shard writes: sorted, so that a bucket of any shard is a contiguous read.

Rows are sorted by kind, hash, doc_id and paragraph; no row group holds two kinds; the row groups' statistics tell
which of them a range of hashes overlaps. The Parquet schema's metadata carries the scheme (hash forms, shingles, seed,
bands), and a reader that expects another one is refused: prints of two schemes never match and would pass for "no
duplicates".
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ccbuild.dedup.decisions import HUBS
from ccbuild.dedup.external.sorting import Rows, merged
from ccbuild.dedup.groups import distinct, group_starts
from ccbuild.dedup.prints import KINDS, Prints, bucket_bounds
from ccbuild.errors import DataError, InputError, MismatchError

__all__ = [
    "BYTES_PER_PRINT",
    "SCHEMA",
    "Keep",
    "PrintSorter",
    "merge_prints",
    "oldest",
    "pieces",
    "read_prints",
    "read_scheme",
    "write_prints",
]

SCHEMA = pa.schema(
    [
        pa.field("kind", pa.uint8(), nullable=False),
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("doc_id", pa.uint64(), nullable=False),
        pa.field("paragraph", pa.int32(), nullable=False),
    ]
)

_PREFIX = b"ccbuild."
_DAMAGED = "Delete it and its manifest, and run the verb that wrote it (ccbuild extract) again."


def write_prints(
    path: str | Path, prints: Prints, *, scheme: Mapping[str, str], row_group_rows: int = 1 << 17
) -> dict[str, int]:
    """Write `prints`, in any order, as one sorted file; the number of each kind.

    Equal prints give equal bytes (with one version of pyarrow, whose name the file carries). A row takes 8 to 10 bytes
    on disk; the sort needs about 50 bytes of memory a row besides the prints. A bucket read loads at least one row
    group, so `row_group_rows` (131,072: about 1 MB) is the least contiguous read.
    """
    ordered = prints.sorted()
    with _writer(path, scheme) as writer:
        for kind in range(len(KINDS)):
            low, high = np.searchsorted(ordered.kind, [kind, kind + 1])
            _write_rows(writer, ordered.take(slice(low, high)), row_group_rows)
    return dict(zip(KINDS, np.bincount(prints.kind, minlength=len(KINDS)).tolist(), strict=True))


def _writer(path: str | Path, scheme: Mapping[str, str]) -> pq.ParquetWriter:
    metadata = {_PREFIX + key.encode(): scheme[key].encode() for key in sorted(scheme)}
    return pq.ParquetWriter(
        path,
        SCHEMA.with_metadata(metadata),
        compression="zstd",
        compression_level=3,
        use_dictionary=["kind", "doc_id", "paragraph"],
        column_encoding={"hash": "DELTA_BINARY_PACKED"},  # sorted hashes lie close: a third less than plain
        write_statistics=["kind", "hash"],
    )


def _write_rows(writer: pq.ParquetWriter, prints: Prints, row_group_rows: int) -> None:
    columns = [pa.array(c) for c in (prints.kind, prints.hash, prints.doc_id, prints.paragraph)]
    table = pa.Table.from_arrays(columns, schema=writer.schema)
    for first in range(0, len(prints), row_group_rows):
        writer.write_table(table.slice(first, row_group_rows), row_group_size=row_group_rows)


def read_prints(
    path: str | Path, kind: int, low: int = 0, high: int = 2**64 - 1, *, scheme: Mapping[str, str] | None = None
) -> Prints:
    """The prints of `kind` with ``low <= hash <= high``, sorted; reads only the row groups that overlap.

    `MismatchError` names the first key in which the file differs from `scheme` (None: any scheme will do);
    `DataError` names a file that is cut short or damaged.
    """
    return Prints.concatenate(list(_stream(path, kind, low, high, scheme)))


def _stream(
    path: str | Path, kind: int, low: int, high: int, scheme: Mapping[str, str] | None = None
) -> Iterator[Prints]:
    """What `read_prints` gives, a row group at a time."""
    with _open(path) as file:
        _check_scheme(path, _scheme_of(file), scheme)
        for group in _overlapping(file.metadata, kind, low, high):
            try:
                table = file.read_row_group(group)
            except (OSError, pa.ArrowException) as error:
                raise DataError(f"{path} is damaged ({error}). {_DAMAGED}") from error
            yield _clip(table, low, high)


Keep = Callable[[Prints], NDArray[np.bool_]]
"""Which prints are to be looked at."""


def pieces(
    paths: Sequence[str | Path],
    kind: int,
    low: int,
    high: int,
    *,
    max_rows: int,
    scheme: Mapping[str, str] | None = None,
    keep: Keep | None = None,
) -> Iterator[Prints]:
    """The prints of `kind` with ``low <= hash <= high`` of all `paths`, in parts of about `max_rows` or fewer.

    A hash lies in one part, unless it alone has more rows than that: then its rows come in order of (doc_id, paragraph)
    in several parts, each of which starts with the first of all and the first of the next documents, `HUBS`
    in all, so that every part knows what its rows repeat. Rows that `keep` refuses are left out.
    """
    parts: list[Prints] = []
    rows = 0
    for path in paths:
        for part in _stream(path, kind, low, high, scheme):
            parts.append(part if keep is None else part.take(keep(part)))
            rows += len(parts[-1])
            if rows > max_rows:
                break
        if rows > max_rows:
            break
    if rows <= max_rows:
        yield Prints.concatenate(parts)
        return
    if low == high:
        yield from _one_hash(paths, kind, low, max_rows, keep)
        return
    sample = np.concatenate([part.hash for part in parts])
    parts.clear()
    middle = int(np.partition(sample, len(sample) // 2)[len(sample) // 2])  # a hash that fills a bucket is its median
    del sample
    for first, last in ((low, middle - 1), (middle, middle), (middle + 1, high)):
        if first <= last:
            yield from pieces(paths, kind, first, last, max_rows=max_rows, scheme=scheme, keep=keep)


_ROW = np.dtype([("doc_id", "<u8"), ("paragraph", "<i4")])


def _one_hash(paths: Sequence[str | Path], kind: int, hash: int, max_rows: int, keep: Keep | None) -> Iterator[Prints]:
    """The prints of one hash in order, each part behind the first print and the first of another document."""

    def rows(path: str | Path) -> Iterator[Rows]:
        for part in _stream(path, kind, hash, hash):
            kept = part if keep is None else part.take(keep(part))
            found = np.empty(len(kept), _ROW)
            found["doc_id"], found["paragraph"] = kept.doc_id, kept.paragraph
            yield from (found[i : i + max_rows] for i in range(0, len(found), max_rows))

    heads = np.empty(0, _ROW)
    for block in merged([rows(path) for path in paths], ("doc_id", "paragraph")):
        part = np.concatenate((heads, block))
        n = len(part)
        yield Prints(np.full(n, kind, np.uint8), np.full(n, hash, np.uint64), part["doc_id"], part["paragraph"])
        heads = part[group_starts(part["doc_id"])[:HUBS]]


def oldest(
    paths: Sequence[str | Path],
    hashes: NDArray[np.uint64],
    kind: int,
    *,
    most: int = 1,
    scheme: Mapping[str, str] | None = None,
    keep: Keep | None = None,
) -> Prints:
    """Of the prints of `kind` with one of `hashes` in all `paths` those of the first `most` documents of each hash by
    address: what a new print repeats. Reads the row groups between the lowest and the highest hash; holds twice `most`
    prints for each of `hashes` and two row groups. Prints that `keep` refuses are not looked at.
    """
    wanted = distinct(hashes) if paths else hashes[:0]
    first, waiting, rows = Prints.empty(), list[Prints](), 0
    for path in paths if len(wanted) else ():
        for part in _stream(path, kind, int(wanted[0]), int(wanted[-1]), scheme):
            found = part.take(_rows_of_hashes(part.hash, wanted))
            waiting.append(found if keep is None else found.take(keep(found)))
            rows += len(waiting[-1])
            if rows > most * len(wanted):
                first, waiting, rows = _first_documents([first, *waiting], most), [], 0
    return _first_documents([first, *waiting], most)


def _first_documents(parts: Sequence[Prints], most: int) -> Prints:
    """Of prints of one kind the first of each of the first `most` documents of each hash."""
    prints = Prints.concatenate(parts).sorted()
    prints = prints.take(group_starts(prints.hash, prints.doc_id))
    starts = group_starts(prints.hash)
    return prints.take(np.arange(len(prints)) - np.repeat(starts, np.diff(starts, append=len(prints))) < most)


def _rows_of_hashes(column: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Where `column` has one of `wanted`; both are sorted."""
    if len(column):
        wanted = wanted[np.searchsorted(wanted, column[0]) : np.searchsorted(wanted, column[-1], "right")]
    if len(wanted) > len(column):
        at = np.minimum(np.searchsorted(wanted, column), len(wanted) - 1)
        return np.flatnonzero(wanted[at] == column)
    first, last = (np.searchsorted(column, wanted, side) for side in ("left", "right"))
    counts = last - first
    return np.asarray(np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum()), np.intp)


def read_scheme(path: str | Path) -> dict[str, str]:
    """The scheme with which the file at `path` was made."""
    with _open(path) as file:
        return _scheme_of(file)


def _open(path: str | Path) -> pq.ParquetFile:
    if not Path(path).is_file():
        raise InputError(f"{path} is not a file. Run ccbuild extract, which writes the prints of a shard.")
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is not a whole file of prints ({error}). {_DAMAGED}") from error
    if file.schema_arrow.names != SCHEMA.names:
        raise InputError(f"{path} has the columns {', '.join(file.schema_arrow.names)}. Name a file of prints.")
    return file


def _scheme_of(file: pq.ParquetFile) -> dict[str, str]:
    metadata = file.metadata.metadata or {}
    return {
        key.removeprefix(_PREFIX).decode(): value.decode()
        for key, value in sorted(metadata.items())
        if key.startswith(_PREFIX)
    }


def _check_scheme(path: str | Path, made: Mapping[str, str], asked: Mapping[str, str] | None) -> None:
    if asked is None:
        return
    for key in sorted(made.keys() | asked.keys()):
        if made.get(key) != asked.get(key):
            raise MismatchError(
                f"{path} was made with {key}={made.get(key)}, the config says {asked.get(key)}. "
                f"Set {key} to {made.get(key)}, or start a new --out."
            )


def _overlapping(metadata: pq.FileMetaData, kind: int, low: int, high: int) -> range:
    """Numbers of the row groups of `kind` that may hold a hash from `low` to `high`; found by halving, since a file of
    a thousand shards has ten thousand row groups."""

    def last(group: int) -> tuple[int, int]:
        return tuple(metadata.row_group(group).column(i).statistics.max for i in (0, 1))

    def first(group: int) -> tuple[int, int]:
        return tuple(metadata.row_group(group).column(i).statistics.min for i in (0, 1))

    groups = range(metadata.num_row_groups)
    start = bisect.bisect_left(groups, (kind, low), key=last)
    return range(start, bisect.bisect_right(groups, (kind, high), lo=start, key=first))


def _clip(table: pa.Table, low: int, high: int) -> Prints:
    """The rows of a row group (sorted, of one kind) with ``low <= hash <= high``."""
    columns = [table.column(name).combine_chunks().to_numpy() for name in SCHEMA.names]
    first = np.searchsorted(columns[1], np.uint64(low), side="left")
    last = np.searchsorted(columns[1], np.uint64(high), side="right")
    return Prints(*(column[first:last] for column in columns))


BYTES_PER_PRINT = 80
"""Memory of a print while its bucket is read and sorted: 21 for its columns, twice while they are joined, and 40 for
the order and the sorted columns."""


def merge_prints(
    paths: Sequence[str | Path],
    target: str | Path,
    *,
    scheme: Mapping[str, str],
    nbytes: int = 1 << 30,
    row_group_rows: int = 1 << 17,
) -> None:
    """Write the prints of all `paths`, sorted, as one file: the bytes that `write_prints` of all of them would give.

    Works through ranges of hashes that take `nbytes` of memory, one after the other. A run of 90,000 shards merges 32
    at a time, and what comes of it again, so that a bucket is few reads.
    """
    for path in paths:
        _check_scheme(path, read_scheme(path), scheme)
    max_rows = max(1, nbytes // BYTES_PER_PRINT)
    with _writer(target, scheme) as writer:
        for kind in range(len(KINDS)):
            rows = sum(_rows_of(path, kind) for path in paths)
            waiting = Prints.empty()
            for low, high in bucket_bounds(max(1, -(-rows * 5 // (max_rows * 4)))):  # a fifth of room for uneven ranges
                parts = [read_prints(path, kind, low, high) for path in paths]
                ordered = Prints.concatenate([waiting, _merged(parts)])
                whole = len(ordered) // row_group_rows * row_group_rows
                _write_rows(writer, ordered.take(slice(0, whole)), row_group_rows)
                waiting = ordered.take(slice(whole, None))
            _write_rows(writer, waiting, row_group_rows)


def _merged(parts: Sequence[Prints]) -> Prints:
    """Sorted parts of one kind as one. Shards have each their own addresses, so that a stable sort by hash, which
    finds the parts' own order, is enough (a third of the time of a sort by all columns); it is checked."""
    together = Prints.concatenate(sorted((p for p in parts if len(p)), key=lambda p: int(p.doc_id.min())))
    ordered = together.take(np.argsort(together.hash, kind="stable"))
    hash, doc_id = ordered.hash, ordered.doc_id
    if np.any((hash[1:] == hash[:-1]) & (doc_id[1:] < doc_id[:-1])):
        return together.sorted()
    return ordered


def _rows_of(path: str | Path, kind: int) -> int:
    with _open(path) as file:
        groups = _overlapping(file.metadata, kind, 0, 2**64 - 1)
        return sum(file.metadata.row_group(group).num_rows for group in groups)


_RUN_GROUP = 1 << 15
"""Rows of a row group in a sorted run: each range of a merge reads two of them in part."""


class PrintSorter:
    """Takes prints in any order and writes the file that `write_prints` of all of them gives, in about `nbytes` of
    memory. What does not fit goes to sorted runs, files that `scratch` names, which are merged at the end."""

    def __init__(self, scheme: Mapping[str, str], scratch: Callable[[str], Path], nbytes: int) -> None:
        self._scheme, self._scratch, self._nbytes = scheme, scratch, nbytes
        self._most = max(1, nbytes // BYTES_PER_PRINT)
        self._waiting: list[Prints] = []
        self._rows = 0
        self._runs: list[Path] = []
        self._counts = dict.fromkeys(KINDS, 0)

    def add(self, parts: Iterable[Prints]) -> None:
        """Take `parts`, which are spilled where they do not fit."""
        for part in parts:
            if self._rows and self._rows + len(part) > self._most:
                self._spill()
            self._waiting.append(part)
            self._rows += len(part)

    def write(self, path: str | Path) -> dict[str, int]:
        """Write all prints to `path`, once; the number of each kind."""
        if not self._runs:
            return self._write(path)
        self._spill()
        merge_prints(self._runs, path, scheme=self._scheme, nbytes=self._nbytes * 3 // 4)  # Arrow's buffers beside it
        for run in self._runs:
            run.unlink()
        return self._counts

    def _spill(self) -> None:
        self._runs.append(self._scratch(f"{len(self._runs):05d}.prints"))
        self._write(self._runs[-1], row_group_rows=_RUN_GROUP)

    def _write(self, path: str | Path, **options: int) -> dict[str, int]:
        """The prints that wait, as one sorted file; they are forgotten."""
        prints = Prints.concatenate(self._waiting)
        self._waiting, self._rows = [], 0
        for kind, count in write_prints(path, prints, scheme=self._scheme, **options).items():
            self._counts[kind] += count
        return self._counts
