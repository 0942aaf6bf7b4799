"""Chosen pages of a shard, from the row groups that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

__all__ = ["chosen_pages"]

_BATCH = 256


def chosen_pages(pages: Path, wanted: NDArray[np.uint64], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of those documents of a shard that are `wanted` (sorted, each once), with such of `columns` as there
    are; row groups without any are not read."""
    rows, begin = (wanted & np.uint64(0xFFFFFFFF)).astype(np.int64), 0
    with pq.ParquetFile(pages) as file:
        known = [name for name in columns if name in file.schema_arrow.names]
        for group in range(file.num_row_groups):
            end = begin + file.metadata.row_group(group).num_rows
            if np.searchsorted(rows, begin) == np.searchsorted(rows, end):
                begin = end
                continue
            for batch in file.iter_batches(_BATCH, row_groups=[group], columns=known):
                first, last = np.searchsorted(rows, (begin, begin + len(batch)))
                yield batch.take(pa.array(rows[first:last] - begin))
                begin += len(batch)
