"""Single rows of large Parquet files, by reading the row groups that can hold them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ccbuild.storage import open_parquet

__all__ = ["document_rows", "row_at"]

Row = dict[str, Any]


def row_at(path: Path, number: int, columns: list[str] | None = None) -> Row | None:
    """Row `number` of a file, counted from 0, or some of its columns; None beyond its end."""
    with open_parquet(path) as file:
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if number < rows:
                found: list[Row] = file.read_row_group(group, columns=columns).slice(number, 1).to_pylist()
                return found[0]
            number -= rows
    return None


def document_rows(path: Path, doc_id: int) -> Iterator[tuple[int, Row]]:
    """(number in the file, row) of each row of a document in a file whose first column is ``doc_id``; none where there
    is no such file. Row groups that cannot hold it, by their statistics, are not read."""
    if not path.is_file():
        return
    begin = 0
    with open_parquet(path) as file:
        for group in range(file.num_row_groups):
            facts = file.metadata.row_group(group)
            bounds = facts.column(0).statistics
            if bounds is None or not bounds.has_min_max or bounds.min <= doc_id <= bounds.max:
                ids = file.read_row_group(group, columns=["doc_id"])["doc_id"].to_numpy()
                at = np.flatnonzero(ids == np.uint64(doc_id))
                if len(at):
                    rows = file.read_row_group(group).take(pa.array(at)).to_pylist()
                    yield from zip((at + begin).tolist(), rows, strict=True)
            begin += facts.num_rows
