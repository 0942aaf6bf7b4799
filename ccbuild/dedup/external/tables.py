"""Sorted Parquet tables of integers: written from blocks of rows, read by ranges of their first column, merged."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ccbuild.dedup.external.sorting import Rows, merged
from ccbuild.errors import DataError, InputError
from ccbuild.storage import PARQUET

__all__ = ["dtype_of", "merge_tables", "read_range", "stream_rows", "table_of_rows", "write_blocks"]

ROW_GROUP = 1 << 17
"""Rows of a row group, about a megabyte on disk: the least contiguous read."""


def dtype_of(schema: pa.Schema) -> np.dtype[Any]:
    """The rows of a schema of fixed-width columns, each stored once in the order of its names."""
    return np.dtype([(field.name, "?" if pa.types.is_boolean(field.type) else str(field.type)) for field in schema])


def _rows(table: pa.Table) -> Rows:
    """A table's rows as a structured array."""
    rows = np.empty(table.num_rows, dtype_of(table.schema))
    for name in table.schema.names:
        rows[name] = table[name].to_numpy()
    return rows


def write_blocks(
    path: str | Path, schema: pa.Schema, blocks: Iterable[Rows], *, row_group_rows: int = ROW_GROUP
) -> int:
    """Write `blocks` one after the other in row groups of `row_group_rows`; the number of rows.

    Equal rows give equal bytes, however they are cut into blocks.
    """
    waiting: list[Rows] = []
    waiting_rows = total = 0
    with pq.ParquetWriter(path, schema, **PARQUET) as writer:
        for block in blocks:
            waiting.append(block)
            waiting_rows += len(block)
            total += len(block)
            if waiting_rows >= row_group_rows:
                rows = np.concatenate(waiting)
                whole = len(rows) // row_group_rows * row_group_rows
                writer.write_table(table_of_rows(schema, rows[:whole]), row_group_size=row_group_rows)
                waiting, waiting_rows = [rows[whole:]], len(rows) - whole
        if waiting_rows:
            writer.write_table(table_of_rows(schema, np.concatenate(waiting)), row_group_size=row_group_rows)
    return total


def table_of_rows(schema: pa.Schema, rows: Rows) -> pa.Table:
    """Rows as a table of `schema`."""
    return pa.table([pa.array(np.ascontiguousarray(rows[field.name]), field.type) for field in schema], schema=schema)


def _open(path: Path, again: str) -> pq.ParquetFile:
    if not path.is_file():
        raise InputError(f"{path} is not a file. Run {again}, which writes it.")
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is not a whole table ({error}). Delete it and run {again} again.") from error


def _groups(path: Path, again: str, low: int, high: int) -> Iterator[pa.Table]:
    """The row groups that may hold rows with ``low <= first column <= high``."""
    with _open(path, again) as file:
        groups = range(file.metadata.num_row_groups)
        last = lambda g: file.metadata.row_group(g).column(0).statistics.max  # noqa: E731
        first = lambda g: file.metadata.row_group(g).column(0).statistics.min  # noqa: E731
        start = bisect.bisect_left(groups, low, key=last)
        for group in range(start, bisect.bisect_right(groups, high, lo=start, key=first)):
            try:
                yield file.read_row_group(group)
            except (OSError, pa.ArrowException) as error:
                raise DataError(f"{path} is damaged ({error}). Delete it and run {again} again.") from error


def stream_rows(path: Path, again: str) -> Iterator[Rows]:
    """The rows of a table, a row group at a time; `again` names the command that writes it, for errors."""
    for table in _groups(path, again, 0, 2**64 - 1):
        yield _rows(table)


def read_range(path: Path, schema: pa.Schema, again: str, low: int, high: int) -> Rows:
    """The rows with ``low <= first column <= high``: one contiguous read of the row groups that hold them."""
    parts = [np.empty(0, dtype_of(schema))]
    for table in _groups(path, again, low, high):
        rows = _rows(table)
        column = rows[schema.names[0]]
        parts.append(rows[np.searchsorted(column, np.uint64(low)) : np.searchsorted(column, np.uint64(high), "right")])
    return np.concatenate(parts)


def merge_tables(paths: Sequence[Path], again: str, keys: Sequence[str]) -> Iterator[Rows]:
    """The rows of all `paths`, each sorted by `keys`, in that order.

    Holds a row group of each: 32 paths take some 100 MB.
    """
    yield from merged([stream_rows(path, again) for path in paths], keys)
