"""A selection: which records of which archives, as Parquet; and the streams that fetch just those.

Any Parquet file with the columns `warc_filename`, `warc_record_offset` and `warc_record_length` is one:
those are the names of Common Crawl's own index, so the result of a query in Athena or DuckDB serves as well.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ccbuild.crawl.body import Body
from ccbuild.crawl.config import CrawlConfig
from ccbuild.crawl.http import Client, is_url
from ccbuild.crawl.snapshots import archive_name, located
from ccbuild.errors import InputError
from ccbuild.storage import open_input

__all__ = [
    "SelectedArchive",
    "SelectedStream",
    "best_gap",
    "is_selection",
    "open_selected",
    "records_by_archive",
    "records_of",
    "selected_archives",
]

COLUMNS = ("warc_filename", "warc_record_offset", "warc_record_length")
Records = npt.NDArray[np.int64]
"""(offset, length) rows, shape (n, 2), sorted by offset, none twice, none overlapping."""
_GAPS = (0, *(1 << bits for bits in range(12, 19)))
"""Bytes that nobody wants are read for the sake of a request up to 256 KiB: what a quarter of the line carries in the
twentieth of a second or so that an answer takes to begin."""
_LONGEST = 16 << 20
"""Longest span of one request, in bytes: it is held in memory, and begun anew when it breaks."""
_IN_MEMORY = 32 << 20


@dataclass(frozen=True, slots=True)
class SelectedArchive:
    """An archive of which some records are wanted."""

    name: str
    """How outputs name it (`crawl-data/` left out)."""
    location: str
    """Where the whole archive lies."""
    selection: str
    """Path of the selection."""
    path: str
    """`warc_filename` in the selection."""
    records: int
    size: int
    """Bytes of the wanted records together."""
    sha256: str
    """Of their offsets and lengths: it changes when the selection of this archive does."""
    gap: int
    """Neighbours no further apart than so many bytes are fetched by one request: `best_gap` over all archives."""


def is_selection(path: str) -> bool:
    """Whether an input is a selection: by its name."""
    return path.endswith(".parquet")


def selected_archives(client: Client, selection: str) -> list[SelectedArchive]:
    """The archives of a selection, sorted by name. Memory: about 100 bytes a record."""
    found = records_by_archive(selection)
    gap = best_gap([records for _, records in found], client.config)
    archives = [
        SelectedArchive(
            name=archive_name(path),
            location=located(client, path),
            selection=selection,
            path=path,
            records=len(records),
            size=int(records[:, 1].sum()),
            sha256=hashlib.sha256(records.astype("<i8").tobytes()).hexdigest(),
            gap=gap,
        )
        for path, records in found
    ]
    return sorted(archives, key=lambda archive: archive.name)


def records_by_archive(selection: str) -> list[tuple[str, Records]]:
    """(`warc_filename`, its records) for each archive of a selection, sorted by name."""
    names, first, records = _grouped(_read(selection, None))
    return [
        (path, _sound(records[first[index] : first[index + 1]], selection, path)) for index, path in enumerate(names)
    ]


def records_of(archive: SelectedArchive) -> Records:
    """The wanted records of one archive, read from its selection (only the row groups that hold it)."""
    table = _read(archive.selection, archive.path)
    _, _, records = _grouped(table)
    return _sound(records, archive.selection, archive.path)


def _read(selection: str, path: str | None) -> pa.Table:
    try:
        with open_input(selection) as stream:
            file = pq.ParquetFile(stream)
            missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
            if missing:
                raise InputError(
                    f"{selection} has no column {missing[0]}, so it is no selection. `ccbuild crawl select` makes one."
                )
            keep = [("warc_filename", "==", path)] if path is not None else None
            return pq.read_table(stream, columns=list(COLUMNS), filters=keep)
    except pa.ArrowInvalid as error:
        raise InputError(f"{selection} is no Parquet file: {error}. `ccbuild crawl select` makes one.") from error


def _grouped(table: pa.Table) -> tuple[list[str], list[int], Records]:
    """(archives, where each begins among the records, and the end; all records by archive)."""
    table = table.sort_by([(name, "ascending") for name in COLUMNS[:2]])
    column = table[COLUMNS[0]].combine_chunks()
    runs = pc.run_end_encode(column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks))
    ends = [int(end) for end in runs.run_ends.to_pylist()]
    numbers = [table[name].cast(pa.int64()).to_numpy() for name in COLUMNS[1:]]
    return [str(name) for name in runs.values.to_pylist()], [0, *ends], np.column_stack(numbers).astype(np.int64)


def _sound(records: Records, selection: str, path: str) -> Records:
    """`records` without repetitions; negative, empty or overlapping ones are an `InputError`."""
    records = np.unique(records, axis=0) if len(records) else records
    ends = records[:, 0] + records[:, 1]
    if (records[:, 0] < 0).any() or (records[:, 1] <= 0).any() or (ends[:-1] > records[1:, 0]).any():
        raise InputError(
            f"{selection}: records of {path} overlap or have no length. Make the selection again from one snapshot."
        )
    return records


def best_gap(archives: Sequence[Records], config: CrawlConfig) -> int:
    """The gap between records up to which one request for both is cheaper than two, in bytes.

    Cheaper is what takes less time at the polite budget: the longer of requests at `requests_per_second` and
    bytes at `bytes_per_second`; of equals the one with fewer bytes.
    """
    starts = np.concatenate([records[1:, 0] for records in archives] or [np.zeros(0, np.int64)])
    ends = np.concatenate([records[:-1].sum(axis=1) for records in archives] or [np.zeros(0, np.int64)])
    between = starts - ends
    total = sum(int(records[:, 1].sum()) for records in archives)

    def cost(gap: int) -> tuple[float, int]:
        apart = between > gap
        nbytes = total + int(between[~apart].sum())
        requests = len(archives) + int(apart.sum())
        return max(requests / config.requests_per_second, nbytes / config.bytes_per_second), nbytes

    return min(_GAPS, key=cost)


def spans_of(records: Records, gap: int) -> list[tuple[int, int]]:
    """[start, stop) spans, one a request: records no further apart than `gap` bytes together, up to 16 MiB."""
    spans: list[tuple[int, int]] = []
    for offset, length in records.tolist():
        if spans and offset - spans[-1][1] <= gap and offset + length - spans[-1][0] <= _LONGEST:
            spans[-1] = (spans[-1][0], offset + length)
        else:
            spans.append((offset, offset + length))
    return spans


class SelectedStream:
    """The wanted records of an archive one after the other, as if they were all there is of it.

    Read `stream` like an archive; `offset_of` tells where a place in it stands in the whole archive.
    `records` None: the stream is the whole archive.
    """

    def __init__(self, stream: BinaryIO, records: Records | None) -> None:
        self.stream = stream
        self._records = records
        self._places: list[int] = [] if records is None else [0, *np.cumsum(records[:, 1]).tolist()]

    def offset_of(self, position: int) -> int:
        """Offset in the whole archive of the byte at `position`.

        >>> SelectedStream(cast(BinaryIO, None), np.array([[100, 10], [500, 20]])).offset_of(12)
        502
        """
        if self._records is None:
            return position
        index = min(max(bisect.bisect_right(self._places, position) - 1, 0), len(self._records) - 1)
        return int(self._records[index, 0]) + position - self._places[index]


@contextlib.contextmanager
def open_selected(
    client: Client, location: str, records: Records, *, gap: int | None = None
) -> Iterator[SelectedStream]:
    """The wanted `records` of the archive at `location` (http(s), a path, an fsspec URL), fetched by ranges.

    The stream is seekable and its connections are free again: records go through memory, beyond 32 MiB
    through a temporary file. `gap`: see `best_gap`, which is the default. Raises `ChangedError` when the
    archive is replaced between two ranges, `NetworkError` when it ends before a record does.
    """
    spans = spans_of(records, best_gap([records], client.config) if gap is None else gap)
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
        pending = records.tolist()[::-1]
        for start, content in _contents(client, location, spans):
            while pending and pending[-1][0] < start + len(content):
                offset, length = pending.pop()
                spool.write(content[offset - start : offset - start + length])
        spool.seek(0)
        yield SelectedStream(cast(BinaryIO, spool), records)


def _contents(client: Client, location: str, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """(start, bytes) of each span."""
    if not is_url(location):
        with open_input(location) as stream:
            for start, stop in spans:
                stream.seek(start)
                content = stream.read(stop - start)
                if len(content) != stop - start:
                    raise InputError(f"{location} ends before byte {stop:,}. Is the selection of this file?")
                yield start, content
        return
    remote = None
    for start, stop in spans:
        with Body(client, location, start, stop, remote) as body:
            content = body.readall()
            remote = remote or body.remote
        yield start, content
