"""The corpus on disk: what `publish` and `corpus import` write, and everything after them reads.

A folder holds, for each language::

    sw.txt.xz               CC-100's own form: a paragraph a line, an empty line after each document
    sw/sw-00000.parquet     the same documents, each with its address and what is known of it (`CORPUS_SCHEMA`)
    sw/sw-00001.parquet …   the next shard, when a shard is full
    sw.json                 the manifest; the language is there when this is
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ccbuild.errors import DataError, InputError
from ccbuild.records import DOCUMENT_SCHEMA
from ccbuild.rundir import folder_of
from ccbuild.storage import PARQUET, Manifest, Unit, open_parquet, read_manifest

__all__ = ["CORPUS_SCHEMA", "CorpusLanguage", "CorpusWriter", "corpus_language", "open_corpus"]

CORPUS_SCHEMA = DOCUMENT_SCHEMA.append(pa.field("bucket", pa.string())).append(pa.field("cluster_size", pa.int64()))
"""A document of the corpus: its text and address; `bucket` of its perplexity; how many documents it stands for, its
duplicates and itself."""

_ROW_GROUP_BYTES = 8 << 20
_SHARD_FACTS = ("documents", "paragraphs", "characters", "shards")


class CorpusWriter:
    """Writes one language through a unit of work, which the caller commits with the facts of `close`.

    Memory: a row group (8 MB of text, or one longer document); the text goes out as it comes. A shard is closed when it
    has `shard_bytes` of text. The same documents give the same bytes, however they are divided among calls.
    """

    def __init__(self, unit: Unit, code: str, *, shard_bytes: int, xz_preset: int) -> None:
        self._unit, self._code, self._shard_bytes = unit, code, shard_bytes
        self._text = lzma.open(unit.path(f"{code}.txt.xz"), "wb", preset=xz_preset)  # noqa: SIM115 - until close
        self._rows: pq.ParquetWriter | None = None
        self._shards: list[str] = []
        self._pending: list[pa.Table] = []
        self._pending_bytes = self._shard_filled = 0
        self._documents = self._paragraphs = self._characters = self._nbytes = 0
        self._first, self._last = "", ""

    def add(self, documents: pa.Table) -> None:
        """Append documents, rows of `CORPUS_SCHEMA`."""
        documents = documents.select(CORPUS_SCHEMA.names).cast(CORPUS_SCHEMA)
        sizes = pc.binary_length(documents["text"]).to_pylist()
        dates = [date for date in documents["date"].to_pylist() if date]
        if dates:
            self._first, self._last = min([*dates, self._first or dates[0]]), max([*dates, self._last])
        start = 0
        for row, (size, text) in enumerate(zip(sizes, documents["text"], strict=True)):
            self._write_text(text.as_py(), size)
            self._pending_bytes += size
            if self._pending_bytes >= min(_ROW_GROUP_BYTES, self._shard_bytes):
                self._pending.append(documents.slice(start, row + 1 - start))
                start = row + 1
                self._write_group()
        if start < len(documents):
            self._pending.append(documents.slice(start))

    def _write_text(self, text: str, size: int) -> None:
        self._text.write(text.encode() + b"\n\n")
        self._documents += 1
        self._paragraphs += text.count("\n") + 1
        self._characters += len(text)
        self._nbytes += size

    def _write_group(self) -> None:
        if not self._pending:
            return
        if self._rows is None:
            name = f"{self._code}/{self._code}-{len(self._shards):05d}.parquet"
            self._shards.append(name)
            self._rows = pq.ParquetWriter(self._unit.path(name), CORPUS_SCHEMA, **PARQUET)
        self._rows.write_table(pa.concat_tables(self._pending).combine_chunks())
        self._shard_filled += self._pending_bytes
        self._pending, self._pending_bytes = [], 0
        if self._shard_filled >= self._shard_bytes:
            self._close_shard()

    def _close_shard(self) -> None:
        if self._rows is not None:
            self._rows.close()
            self._rows, self._shard_filled = None, 0

    def close(self) -> dict[str, Any]:
        """Finish the files; the facts to commit the unit with. Sizes are of the text; `dates` its first and last."""
        self._write_group()
        self._close_shard()
        self._text.close()
        return {
            "documents": self._documents,
            "paragraphs": self._paragraphs,
            "characters": self._characters,
            "nbytes": self._nbytes,
            "dates": [self._first, self._last] if self._last else None,
            "shards": list(self._shards),
        }

    def __enter__(self) -> CorpusWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the open files; the unit removes what was not committed."""
        if kind is not None:
            self._pending = []
            self._close_shard()
            self._text.close()


@dataclass(frozen=True, slots=True)
class CorpusLanguage:
    """One language of a corpus, read from its Parquet files."""

    code: str
    folder: Path
    manifest: Manifest

    @property
    def facts(self) -> dict[str, Any]:
        """What the manifest says: documents, paragraphs, characters, shards…"""
        return self.manifest.facts

    @property
    def documents(self) -> int:
        """How many there are."""
        return int(self.facts["documents"])

    @property
    def paths(self) -> list[Path]:
        """The Parquet files, in the order of their documents."""
        return [self.folder / name for name in self.facts["shards"]]

    def batches(self, columns: Sequence[str], rows: int = 256, shards: Sequence[int] | None = None) -> Iterator[Any]:
        """Record batches of `columns`, at most `rows` documents each; of all shards or of those named."""
        for number, path in enumerate(self.paths):
            if shards is None or number in shards:
                with open_parquet(path) as file:
                    yield from file.iter_batches(rows, columns=list(columns))

    def texts(self, shards: Sequence[int] | None = None) -> Iterator[str]:
        """Every document's text."""
        for batch in self.batches(["text"], shards=shards):
            yield from batch["text"].to_pylist()

    def paragraphs(self, shards: Sequence[int] | None = None) -> Iterator[str]:
        """Every paragraph."""
        for text in self.texts(shards):
            yield from text.split("\n")


def corpus_language(folder: Path, manifest: Manifest) -> CorpusLanguage:
    """A language whose manifest is at hand, its files checked against it by name and size.

    `DataError` for a manifest that is none of a corpus, and for files that are missing or have another size.
    """
    code = manifest.unit
    missing = [fact for fact in _SHARD_FACTS if fact not in manifest.facts]
    if missing:
        raise DataError(f"{folder / code}.json has no {missing[0]}: it is no manifest of a corpus. Publish it again.")
    for name, stated in manifest.outputs.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path} is missing, though {code}.json says that it was written. Publish {code} again.")
        if path.stat().st_size != stated["size"]:
            raise DataError(
                f"{path} has {path.stat().st_size} bytes, {code}.json says {stated['size']}. Publish {code} again."
            )
    return CorpusLanguage(code, folder, manifest)


def open_corpus(folder: str | Path) -> dict[str, CorpusLanguage]:
    """The languages with documents in `folder` (a corpus, or a run), sorted by code.

    >>> next(open_corpus("runs/small")["sw"].texts())[:24] != ""
    True

    Raises `InputError` where there is no corpus, `DataError` for files that are not what a manifest states.
    """
    root = folder_of(folder, "publish")
    found = (read_manifest(path) for path in sorted(root.glob("*.json")))
    languages = [corpus_language(root, manifest) for manifest in found if manifest is not None]
    corpus = {language.code: language for language in languages if language.documents}
    if not corpus:
        raise InputError(f"{root} holds no corpus. Name the folder of a run, or make one: ccbuild corpus import.")
    return corpus
