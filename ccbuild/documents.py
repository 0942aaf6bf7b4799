"""The two files of a refined shard, what stays and what goes, written while the shard is read, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ccbuild.records import DOCUMENT_SCHEMA, DROPPED_SCHEMA, Document, to_table
from ccbuild.storage import PARQUET, table_of

__all__ = ["DocumentSorter", "Drop", "DroppedFile"]

GROUP_CHARACTERS = 1 << 25
"""Text of a row group. A language of which a shard has more has several: their number depends on the text alone."""
_BATCH_ROWS = 1024
_DROPPED_ROWS = 1 << 16
"""Rows of a row group of drops."""

Drop = tuple[Document, str, int | None, float | None]
"""A document that goes, its reason; of a duplicate the partner and the similarity."""


class DocumentSorter:
    """Takes documents in the order of their addresses and writes them by language, in about `nbytes` of memory.

    What does not fit goes to runs, files that `scratch` names, each sorted by language; at the end a language is read
    out of one run after the other, so that its documents keep their order.
    """

    def __init__(self, scratch: Callable[[str], Path], nbytes: int) -> None:
        self._scratch, self._nbytes = scratch, nbytes
        self._waiting: dict[str, list[pa.Table]] = {}
        self._size = 0
        self._runs: list[_Run] = []
        self.counts: Counter[str] = Counter()
        """Language to documents; that of a document without one is empty."""

    def add(self, documents: Sequence[Document]) -> None:
        """Take `documents`, each after those before it."""
        ordered = sorted(documents, key=lambda document: document.lang or "")
        table = to_table(ordered, DOCUMENT_SCHEMA)
        start = 0
        for lang, count in Counter(document.lang or "" for document in ordered).items():
            self._waiting.setdefault(lang, []).append(table.slice(start, count))
            self.counts[lang] += count
            start += count
        self._size += table.nbytes
        if self._size > self._nbytes:
            self._runs.append(_Run(self._scratch(f"{len(self._runs):05d}.documents"), self._waiting))
            self._waiting, self._size = {}, 0

    def write(self, path: str | Path) -> None:
        """Write all documents to `path`, sorted by language and then by address, a row group ending where a language
        does or has `GROUP_CHARACTERS`."""
        with pq.ParquetWriter(path, DOCUMENT_SCHEMA, **PARQUET) as writer:
            for lang in sorted(self.counts):
                for group in _groups(self._tables(lang)):
                    writer.write_table(group)

    def _tables(self, lang: str) -> Iterator[pa.Table]:
        """The documents of a language, in their order."""
        for run in self._runs:
            yield from run.tables(lang)
        yield from self._waiting.pop(lang, ())


class _Run:
    """Documents by language on disk."""

    def __init__(self, path: Path, languages: dict[str, list[pa.Table]]) -> None:
        self._path, self._batches, end = path, dict[str, range](), 0
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, DOCUMENT_SCHEMA, options=options) as writer:
            for lang in sorted(languages):
                table, first = pa.concat_tables(languages[lang]), end
                for start in range(0, len(table), _BATCH_ROWS):
                    writer.write_table(table.slice(start, _BATCH_ROWS).combine_chunks())
                    end += 1
                self._batches[lang] = range(first, end)

    def tables(self, lang: str) -> Iterator[pa.Table]:
        """The documents of a language."""
        batches = self._batches.get(lang)
        if batches:
            with pa.OSFile(str(self._path)) as file:
                reader = pa.ipc.open_file(file)
                for number in batches:
                    yield pa.Table.from_batches([reader.get_batch(number)])


def _groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The rows in groups of at most `GROUP_CHARACTERS` of text, or of one document."""
    parts: list[pa.Table] = []
    characters = 0
    for table in tables:
        lengths = pc.utf8_length(table["text"]).to_numpy().astype(np.int64)
        start = 0
        while start < len(lengths):
            ends = characters + np.cumsum(lengths[start:])
            count = int(np.searchsorted(ends, GROUP_CHARACTERS, "right"))
            if not count and not parts:
                count = 1
            if count:
                parts.append(table.slice(start, count))
                characters = int(ends[count - 1])
                start += count
            if start < len(lengths):
                yield pa.concat_tables(parts).combine_chunks()
                parts, characters = [], 0
    if parts:
        yield pa.concat_tables(parts).combine_chunks()


class DroppedFile:
    """Writes documents that go, each block of them after those before it; of their text nothing is kept."""

    def __init__(self, path: str | Path) -> None:
        self._writer = pq.ParquetWriter(path, DROPPED_SCHEMA, **PARQUET)
        self._waiting = [DROPPED_SCHEMA.empty_table()]
        self._rows = 0

    def __enter__(self) -> DroppedFile:
        return self

    def __exit__(self, *error: object) -> None:
        """Write what waits, where no error came before; without drops there is no row group."""
        if error[0] is None and self._rows:
            self._write(self._rows)
        self._writer.close()

    def add(self, drops: Sequence[Drop]) -> None:
        """Take a block of drops, in any order."""
        if drops:
            self._waiting.append(_dropped_table(drops))
            self._rows += len(drops)
        if self._rows >= _DROPPED_ROWS:
            self._write(self._rows // _DROPPED_ROWS * _DROPPED_ROWS)

    def _write(self, rows: int) -> None:
        table = pa.concat_tables(self._waiting)
        self._writer.write_table(table.slice(0, rows), row_group_size=_DROPPED_ROWS)
        self._waiting, self._rows = [table.slice(rows)], len(table) - rows


def _dropped_table(drops: Sequence[Drop]) -> pa.Table:
    """Drops by address."""
    drops = sorted(drops, key=lambda drop: drop[0].doc_id or 0)
    found: dict[str, Any] = dict(
        zip(("document", "reason", "partner", "similarity"), zip(*drops, strict=True), strict=True)
    )
    documents = found.pop("document")
    columns = {n: found.get(n, [getattr(d, n, None) for d in documents]) for n in DROPPED_SCHEMA.names}
    return table_of(DROPPED_SCHEMA, columns)
