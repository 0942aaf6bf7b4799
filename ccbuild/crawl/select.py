"""Which records hold a language: asked of Common Crawl's columnar index, reading only the columns that say so."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ccbuild.crawl.body import RangeFile
from ccbuild.crawl.config import CrawlConfig
from ccbuild.crawl.http import Client, is_url
from ccbuild.crawl.languages import cld2_labels
from ccbuild.crawl.selection import best_gap, records_by_archive, spans_of
from ccbuild.crawl.snapshots import archive_paths, located, parse_paths, read_location, sample_paths
from ccbuild.errors import DataError, InputError
from ccbuild.storage import PARQUET, expand, open_input, write_bytes

__all__ = ["Cost", "Selected", "cost_of_selection", "cost_of_wet", "index_files", "select"]

FIRST_WITH_LANGUAGES = "CC-MAIN-2018-39"
"""First snapshot whose index has `content_languages`. Source: the index's schema, cc-index-schema-flat.json."""
_LANGUAGES = "content_languages"
_WANTED = (_LANGUAGES, "warc_filename", "warc_record_offset", "warc_record_length")
SCHEMA = pa.schema(
    [
        pa.field("warc_filename", pa.string()),
        pa.field("warc_record_offset", pa.int64()),
        pa.field("warc_record_length", pa.int64()),
        pa.field(_LANGUAGES, pa.string()),
        pa.field("url", pa.string()),
    ]
)
_COLUMN_GAP = 1 << 18
_WET_SAMPLE = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """What a way to the text takes at the polite budget."""

    requests: int
    nbytes: int
    seconds: float

    @classmethod
    def of(cls, requests: int, nbytes: int, config: CrawlConfig) -> Cost:
        """Time: the longer of the requests at their rate and the bytes at the line's."""
        seconds = max(requests / config.requests_per_second, nbytes / config.bytes_per_second)
        return cls(requests, nbytes, seconds)

    def __str__(self) -> str:
        return f"{self.requests:,} requests, {self.nbytes / 1e9:,.3f} GB, {self.seconds / 3600:,.2f} hours"


@dataclass(frozen=True, slots=True)
class Selected:
    """What `select` did."""

    path: Path
    snapshot: str
    labels: tuple[str, ...]
    files: int
    """Files of the index that were read."""
    index_files: int
    """Files that it has; more than were read when a sample was asked for."""
    rows: int
    """Pages that the index names in them."""
    records: int
    """Pages selected."""
    archives: int
    requests: int
    nbytes: int
    """Requests sent and bytes read of the index."""
    index_nbytes: int
    """Size of those files as a whole."""


def index_files(client: Client, snapshot: str, index: str | None = None) -> list[str]:
    """Locations of the index's files for the pages of a snapshot.

    `index`: None for Common Crawl's own at `crawl.base`; a folder or glob of Parquet files; a list
    (`*.paths.gz`) at a path or URL; the URL of one Parquet file. A snapshot whose index has no languages
    is refused.
    """
    if index is None:
        _refuse_old(snapshot)
        paths = archive_paths(client, snapshot, "cc-index-table")
        files = [located(client, path) for path in paths if "/subset=warc/" in path]
    elif index.endswith((".paths.gz", ".paths")):
        paths = parse_paths(read_location(client, index), index)
        files = [located(client, path) for path in paths if "/subset=" not in path or "/subset=warc/" in path]
    elif is_url(index):
        files = [index]
    else:
        files = expand(f"{index.rstrip('/')}/**/*.parquet" if Path(index).is_dir() else index)
        files = [path for path in files if "subset=" not in path or "subset=warc" in path]
    if not files:
        raise InputError(f"{index or snapshot} names no file of an index with subset=warc. Check --index.")
    return files


def _refuse_old(snapshot: str) -> None:
    if re.fullmatch(r"CC-MAIN-\d{4}(-\d{2}|-\d{4})?", snapshot) and snapshot < FIRST_WITH_LANGUAGES:
        raise InputError(
            f"The index of {snapshot} names no languages; {FIRST_WITH_LANGUAGES} is the first that does. "
            f"Read its WET files, our own identifier decides there: --input {snapshot}/wet."
        )


def select(
    client: Client,
    snapshot: str,
    languages: Sequence[str],
    out: str | Path,
    *,
    index: str | None = None,
    sample: int | None = None,
    seed: int = 1,
    primary: bool = False,
    urls: bool = False,
    skip: Callable[[str], str | None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Selected:
    """Write the selection of a snapshot's pages in `languages` (CC-100's codes or CLD2's labels) to `out`.

    `primary`: only pages whose first language, the one with most text, is wanted. `sample`: only so many files
    of the index. `urls`: keep the URLs; `skip` is called with each URL, and a page that gets a reason is left
    out (an opt-out list). Both read the `url` column, about as large as all the others together. Files that
    were read before a break are not read again. Rows are sorted by archive and offset: the same index, the
    same bytes.
    """
    labels = cld2_labels(languages)
    every = index_files(client, snapshot, index)
    files = every if sample is None else sample_paths(every, sample, seed)
    target = Path(out)
    folder = target.with_name(target.name + ".parts")
    about = {"snapshot": snapshot, "languages": list(labels), "primary": primary, "sample": sample, "seed": seed}
    write_bytes(folder / "about", json.dumps(about).encode())  # a folder that cannot be written is better known now
    reader = _Reader(client, labels, primary, urls, skip, folder)
    parts = _parts(reader, files, progress)
    table = pa.concat_tables([pq.read_table(part.path, schema=SCHEMA) for part in parts])
    table = table.sort_by([("warc_filename", "ascending"), ("warc_record_offset", "ascending")])
    _write(target, table, {"ccbuild.selection": json.dumps(about, sort_keys=True)})
    shutil.rmtree(folder, ignore_errors=True)
    return Selected(
        path=target,
        snapshot=snapshot,
        labels=labels,
        files=len(files),
        index_files=len(every),
        rows=sum(part.rows for part in parts),
        records=len(table),
        archives=pc.count_distinct(table["warc_filename"]).as_py(),
        requests=sum(part.requests for part in parts),
        nbytes=sum(part.nbytes for part in parts),
        index_nbytes=sum(part.size for part in parts),
    )


def _parts(reader: _Reader, files: Sequence[str], progress: Callable[[int, int], None] | None) -> list[_Part]:
    """What each file of the index holds, in the order of the files, as many at once as there are connections."""
    parts = []
    with ThreadPoolExecutor(reader.client.config.connections) as pool:
        try:
            for number, part in enumerate(pool.map(reader, files), 1):
                parts.append(part)
                if progress:
                    progress(number, len(files))
        except BaseException:  # what is left is not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return parts


@dataclass(frozen=True, slots=True)
class _Part:
    """The selected rows of one file of the index, on disk, and what they took."""

    path: str
    rows: int
    size: int
    requests: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one file of the index; called by several threads."""

    client: Client
    labels: tuple[str, ...]
    primary: bool
    urls: bool
    skip: Callable[[str], str | None] | None
    folder: Path

    def __call__(self, location: str) -> _Part:
        asked = json.dumps([location, self.labels, self.primary, self.urls, self.skip is not None])
        path = self.folder / f"{hashlib.sha256(asked.encode()).hexdigest()[:24]}.parquet"
        note = path.with_suffix(".json")
        if note.is_file() and path.is_file() and self.skip is None:  # a list of opt-outs may have changed meanwhile
            return _Part(str(path), *json.loads(note.read_text(encoding="utf-8")))
        with _opened(self.client, location) as (stream, counted):
            file = _parquet(stream, location)
            groups = [self._group(file, number, counted) for number in range(file.num_row_groups)]
            rows = file.metadata.num_rows
        table = pa.concat_tables([SCHEMA.empty_table(), *groups])
        _write(path, table)
        part = _Part(str(path), rows, counted.size, counted.requests(), counted.nbytes())
        write_bytes(note, json.dumps([part.rows, part.size, part.requests, part.nbytes]).encode())
        return part

    def _group(self, file: pq.ParquetFile, number: int, counted: _Counted) -> pa.Table:
        """The selected rows of one row group. The languages are read first, the rest only where one matches."""
        found = file.metadata.row_group(number)
        spans = {found.column(i).path_in_schema: _span(found.column(i)) for i in range(found.num_columns)}
        more = ("url",) if self.urls or self.skip is not None else ()
        first = _LANGUAGES if self._rare(spans) else None
        counted.prefetch([spans[name] for name in ((first,) if first else (*_WANTED, *more))])
        mask = self._mask(file.read_row_group(number, columns=[_LANGUAGES])[_LANGUAGES])
        if not pc.any(mask).as_py():
            counted.forget()
            return SCHEMA.empty_table()
        if first:
            counted.prefetch([spans[name] for name in (*_WANTED[1:], *more)])
        table = file.read_row_group(number, columns=[*_WANTED, *more]).filter(mask)
        counted.forget()
        if self.skip is not None:
            keep = [self.skip(url or "") is None for url in table["url"].to_pylist()]
            table = table.filter(pa.array(keep, pa.bool_()))
        columns = [
            table[field.name].cast(field.type)
            if field.name != "url" or self.urls
            else pa.nulls(len(table), pa.string())
            for field in SCHEMA
        ]
        return pa.table(columns, schema=SCHEMA)

    def _rare(self, spans: dict[str, tuple[int, int]]) -> bool:
        """Whether to look at the languages alone first: when the other columns cost more than a request."""
        rest = sum(stop - start for name, (start, stop) in spans.items() if name in _WANTED[1:])
        return rest > self.client.config.bytes_per_second / self.client.config.requests_per_second

    def _mask(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Which rows name a wanted language: among the first three of CLD2, or as the first alone."""
        pattern = f"^({'|'.join(self.labels)})(,|$)" if self.primary else f"(^|,)({'|'.join(self.labels)})(,|$)"
        return pc.fill_null(pc.match_substring_regex(column.cast(pa.string()), pattern), False)


class _Counted:
    """One file of the index: how much of it was read, and reading ahead where it is on a server."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream, self.size = stream, size

    def requests(self) -> int:
        return self._stream.requests if isinstance(self._stream, RangeFile) else 0

    def nbytes(self) -> int:
        return self._stream.nbytes if isinstance(self._stream, RangeFile) else 0

    def prefetch(self, spans: Sequence[tuple[int, int]]) -> None:
        if isinstance(self._stream, RangeFile):
            self._stream.prefetch(spans, _COLUMN_GAP)

    def forget(self) -> None:
        if isinstance(self._stream, RangeFile):
            self._stream.forget()


@contextmanager
def _opened(client: Client, location: str) -> Iterator[tuple[Any, _Counted]]:
    if is_url(location):
        with RangeFile(client, location) as remote:
            yield remote, _Counted(remote, remote.size)
        return
    with open_input(location) as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        yield stream, _Counted(stream, size)


def _parquet(stream: Any, location: str) -> pq.ParquetFile:
    """The open file; refused when it is no Parquet, or lacks what a selection needs."""
    try:
        file = pq.ParquetFile(stream)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{location} is no Parquet file: {error}. Check --index and crawl.base.") from error
    names = file.schema_arrow.names
    if _LANGUAGES not in names:
        raise InputError(
            f"{location} has no column {_LANGUAGES}: its snapshot is older than {FIRST_WITH_LANGUAGES}, or it is no "
            "index of Common Crawl. Read the WET files of that snapshot, our own identifier decides there."
        )
    missing = [name for name in _WANTED if name not in names]
    if missing:
        raise InputError(f"{location} has no column {missing[0]}, so it is no index of Common Crawl. Check --index.")
    return file


def _span(column: Any) -> tuple[int, int]:
    """[start, stop) of a column's bytes in the file."""
    start = column.data_page_offset
    if column.dictionary_page_offset is not None:
        start = min(start, column.dictionary_page_offset)
    return start, start + column.total_compressed_size


def _write(path: Path, table: pa.Table, about: dict[str, str] | None = None) -> None:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, SCHEMA, **PARQUET) as writer:
        writer.write_table(table, row_group_size=1 << 16)
        writer.add_key_value_metadata(about or {})
    write_bytes(path, sink.getvalue().to_pybytes())


def cost_of_selection(client: Client, selection: str | Path, times: float = 1.0) -> Cost:
    """What fetching the records of a selection takes, neighbours merged; `times` as much for a sample of the index."""
    archives = [records for _, records in records_by_archive(str(selection))]
    gap = best_gap(archives, client.config)
    spans = [span for records in archives for span in spans_of(records, gap)]
    nbytes = sum(stop - start for start, stop in spans)
    return Cost.of(round(len(spans) * times), round(nbytes * times), client.config)


def cost_of_wet(client: Client, snapshot: str, *, seed: int = 1) -> Cost:
    """What reading all WET files of a snapshot takes: their number from the list, their size from five of them."""
    paths = archive_paths(client, snapshot, "wet")
    sizes = [_size(client, located(client, path)) for path in sample_paths(paths, _WET_SAMPLE, seed)]
    return Cost.of(2 * len(paths), int(len(paths) * float(np.mean(sizes or [0]))), client.config)


def _size(client: Client, location: str) -> int:
    if is_url(location):
        return client.remote(location).size or 0
    with open_input(location) as stream:
        return stream.seek(0, 2)
