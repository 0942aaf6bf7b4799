"""The token shard format: what `encode` writes and a trainer maps into memory.

A folder holds, for each language::

    sw-00000.bin       little-endian uint32: document after document, each closed by </s> (2)
    sw-00000.parquet   doc_id uint64, start uint64 (first token, counted in this shard), length uint32 (with </s>)
    sw-00001.bin …     the next shard; a document never crosses from one to the next
    sw.json            the manifest; its `facts` say what is there and which vocabulary made it

Ids are XLM-R's. A document is encoded paragraph by paragraph, as fairseq encodes the lines of a file; the paragraphs'
ids stand one after the other, and one </s> closes the document. So a paragraph's ids do not depend on its neighbours,
and </s> within a training block always means another document.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from ccbuild.errors import ConfigError, DataError, InputError, MismatchError
from ccbuild.lookup import document_rows
from ccbuild.rundir import folder_of
from ccbuild.storage import Manifest, Unit, read_manifest

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "SUMMED",
    "UNK",
    "LanguageTokens",
    "TokenSpan",
    "TokenWriter",
    "Tokens",
    "language_tokens",
    "open_tokens",
]

BOS, PAD, EOS, UNK = 0, 1, 2, 3
"""XLM-R's ids of <s>, <pad>, </s>, <unk>, in every vocabulary; <mask> is its last."""

_ID = np.dtype("<u4")
_SCHEMA = pa.schema([("doc_id", pa.uint64()), ("start", pa.uint64()), ("length", pa.uint32())])
_LONGEST = 2**32 - 1
SUMMED = ("tokens", "documents", "sentences", "characters", "nbytes")
"""Facts of a manifest of tokens that add up over parts of a language."""
_FACTS = (*SUMMED, "vocabulary_size", "vocabulary_sha256", "shards")


class TokenSpan(NamedTuple):
    """Where a document's tokens stand in its language: `start` counts through all shards, `length` has the </s>."""

    doc_id: int
    start: int
    length: int


class TokenWriter:
    """Writes one language's documents through a unit of work, which the caller commits with the facts of `close`.

    Memory: the offsets of one shard (20 bytes a document). A shard is closed before it passes `shard_tokens`; only a
    document that is itself longer makes a larger one.
    """

    def __init__(
        self, unit: Unit, code: str, *, vocabulary_size: int, vocabulary_sha256: str, shard_tokens: int = 1 << 28
    ) -> None:
        if shard_tokens < 1:
            raise ConfigError(
                f"shard_tokens is {shard_tokens}; it must be at least 1. The default is {1 << 28} (1 GiB)."
            )
        self._unit, self._code, self._shard_tokens = unit, code, shard_tokens
        self._size, self._sha256 = vocabulary_size, vocabulary_sha256
        self._sentences = self._characters = self._nbytes = 0
        self._shards: list[dict[str, Any]] = []
        self._stream: BinaryIO | None = None
        self._start_shard()

    def _start_shard(self) -> None:
        self._shard_length = 0
        self._ids, self._starts, self._lengths = array("Q"), array("Q"), array("I")

    def add(self, doc_id: int, ids: ArrayLike, sentences: int = 1, characters: int = 0, nbytes: int = 0) -> None:
        """Append a document's `ids` (without specials; the closing </s> is added here).

        `sentences`, `characters` and `nbytes` (of its text in UTF-8) are only summed, for whoever weighs languages by
        them or tells a loss in bits per byte.

        Raises `MismatchError` for an id that the vocabulary does not have.
        """
        tokens = np.asarray(ids).ravel()
        self.add_batch([doc_id], tokens, [tokens.size], sentences, characters, nbytes)

    def add_batch(
        self,
        doc_ids: ArrayLike,
        ids: NDArray[np.integer[Any]],
        lengths: ArrayLike,
        sentences: int,
        characters: int,
        nbytes: int,
    ) -> None:
        """Append documents as `add` does: `ids` of all in one run, `lengths` of each, sums over the batch."""
        numbers, sizes = np.asarray(doc_ids, np.uint64), np.asarray(lengths, np.int64)
        if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= self._size):
            ends = np.cumsum(sizes)
            wrong = numbers[np.searchsorted(ends, np.flatnonzero((ids < 0) | (ids >= self._size))[0], side="right")]
            raise MismatchError(
                f"{self._code}, document {wrong}: ids reach from {ids.min()} to {ids.max()}, the vocabulary has "
                f"{self._size}. Encode with the vocabulary that the writer was given."
            )
        sizes = sizes + 1
        if len(sizes) and int(sizes.max()) > _LONGEST:
            long = int(np.argmax(sizes))
            raise DataError(
                f"{self._code}, document {numbers[long]} has {sizes[long]} tokens, more than {_LONGEST}. Cut it."
            )
        ends = np.cumsum(sizes)
        closed = np.insert(ids.astype(_ID), ends - np.arange(1, len(ends) + 1), EOS)
        first = 0
        while first < len(sizes):
            before = int(ends[first] - sizes[first])
            room = max(self._shard_tokens - self._shard_length, 0)
            last = int(np.searchsorted(ends, before + room, side="right"))
            if last == first and self._shard_length:
                self._finish_shard()
                continue
            last = max(last, first + 1)
            self._write(numbers[first:last], sizes[first:last], closed[before : int(ends[last - 1])])
            first = last
        self._sentences += sentences
        self._characters += characters
        self._nbytes += nbytes

    def _write(self, numbers: NDArray[np.uint64], sizes: NDArray[np.int64], closed: NDArray[np.uint32]) -> None:
        if self._stream is None:
            self._stream = open(self._unit.path(self._name("bin")), "wb")  # noqa: SIM115 - lives until the shard is full
        self._stream.write(closed.tobytes())
        starts = self._shard_length + np.cumsum(sizes) - sizes
        self._ids.frombytes(numbers.tobytes())
        self._starts.frombytes(starts.astype(np.uint64).tobytes())
        self._lengths.frombytes(sizes.astype(np.uint32).tobytes())
        self._shard_length += int(sizes.sum())

    def close(self) -> dict[str, Any]:
        """Finish the last shard; the facts to commit the unit with."""
        if self._stream is not None:
            self._finish_shard()
        return {
            "tokens": sum(shard["tokens"] for shard in self._shards),
            "documents": sum(shard["documents"] for shard in self._shards),
            "sentences": self._sentences,
            "characters": self._characters,
            "nbytes": self._nbytes,
            "vocabulary_size": self._size,
            "vocabulary_sha256": self._sha256,
            "shards": list(self._shards),
        }

    def _name(self, suffix: str) -> str:
        return f"{self._code}-{len(self._shards):05d}.{suffix}"

    def _finish_shard(self) -> None:
        assert self._stream is not None
        self._stream.close()
        self._stream = None
        columns = (np.array(self._ids), np.array(self._starts), np.array(self._lengths))
        table = pa.Table.from_arrays([pa.array(column) for column in columns], schema=_SCHEMA)
        pq.write_table(table, self._unit.path(self._name("parquet")), compression="zstd")
        name = self._name("bin").removesuffix(".bin")
        self._shards.append({"name": name, "tokens": self._shard_length, "documents": len(self._ids)})
        self._start_shard()

    def __enter__(self) -> TokenWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the open shard; the unit removes what was not committed."""
        if self._stream is not None:
            self._stream.close()


class LanguageTokens:
    """The tokens of one language, memory-mapped when they are first read; can be pickled to another process."""

    def __init__(self, folder: Path, code: str, facts: dict[str, Any]) -> None:
        self.code = code
        self.tokens: int = facts["tokens"]
        self.documents: int = facts["documents"]
        self.sentences: int = facts["sentences"]
        self.characters: int = facts["characters"]
        self.nbytes: int = facts["nbytes"]
        self._folder = folder
        self._shards: list[str] = [shard["name"] for shard in facts["shards"]]
        self._bounds = np.cumsum([0] + [shard["tokens"] for shard in facts["shards"]], dtype=np.int64)
        self._mapped: dict[int, NDArray[np.uint32]] = {}
        self._index: tuple[int, pa.Table] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the maps, which the other process opens for itself (NumPy would copy them whole)."""
        return {**self.__dict__, "_mapped": {}, "_index": None}

    def __len__(self) -> int:
        return self.tokens

    def read(self, start: int, count: int) -> NDArray[np.uint32]:
        """`count` ids from token `start` on, through shard borders, as a fresh array.

        `IndexError` when the range does not lie within the language's tokens.
        """
        if start < 0 or count < 0 or start + count > self.tokens:
            raise IndexError(f"{self.code} has {self.tokens} tokens; {count} from {start} on are not all there.")
        result = np.empty(count, np.uint32)
        shard, done = self._shard_of(start), 0
        while done < count:
            inside = start + done - int(self._bounds[shard])
            part = self._map(shard)[inside : inside + count - done]
            result[done : done + len(part)] = part
            done, shard = done + len(part), shard + 1
        return result

    def span_at(self, token_index: int) -> TokenSpan:
        """The document that token `token_index` stands in; `IndexError` where there is no such token."""
        if not 0 <= token_index < self.tokens:
            raise IndexError(f"{self.code} has {self.tokens} tokens, numbered from 0; there is no token {token_index}.")
        shard = self._shard_of(token_index)
        table = self._offsets(shard)
        inside = token_index - int(self._bounds[shard])
        row = int(np.searchsorted(table.column("start").to_numpy(), inside, side="right")) - 1
        doc_id, start, length = (table.column(name)[row].as_py() for name in ("doc_id", "start", "length"))
        return TokenSpan(doc_id, int(self._bounds[shard]) + start, length)

    def span_of(self, doc_id: int) -> TokenSpan | None:
        """Where a document's tokens stand; None where it has none here."""
        for shard, name in enumerate(self._shards):
            for _, row in document_rows(self._folder / f"{name}.parquet", doc_id):
                return TokenSpan(doc_id, int(self._bounds[shard]) + row["start"], row["length"])
        return None

    def file_at(self, token_index: int) -> tuple[str, int]:
        """(name of the file that holds token `token_index`, its number there)."""
        shard = self._shard_of(token_index)
        return f"{self._shards[shard]}.bin", token_index - int(self._bounds[shard])

    def documents_iter(self) -> Iterator[TokenSpan]:
        """Every document in the order written, one shard's offsets in memory at a time."""
        for shard in range(len(self._shards)):
            base = int(self._bounds[shard])
            for batch in self._offsets(shard).to_batches():
                doc_ids, starts, lengths = (batch.column(i).to_pylist() for i in range(3))
                for doc_id, start, length in zip(doc_ids, starts, lengths, strict=True):
                    yield TokenSpan(doc_id, base + start, length)

    def bounds(self) -> NDArray[np.int64]:
        """(documents, 2): where each document's tokens begin and end, its </s> left out; 16 bytes a document."""
        parts = [np.empty((0, 2), np.int64)]
        for shard in range(len(self._shards)):
            table = self._offsets(shard)
            start = table.column("start").to_numpy().astype(np.int64) + self._bounds[shard]
            parts.append(np.stack([start, start + table.column("length").to_numpy() - 1], axis=1))
        return np.concatenate(parts)

    def _shard_of(self, token_index: int) -> int:
        return int(np.searchsorted(self._bounds, token_index, side="right")) - 1

    def _map(self, shard: int) -> NDArray[np.uint32]:
        if shard not in self._mapped:
            self._mapped[shard] = np.memmap(self._folder / f"{self._shards[shard]}.bin", dtype=_ID, mode="r")
        return self._mapped[shard]

    def _offsets(self, shard: int) -> pa.Table:
        """The offsets of one shard; the last one read is kept, since neighbours ask for neighbours."""
        if self._index is None or self._index[0] != shard:
            self._index = shard, pq.read_table(self._folder / f"{self._shards[shard]}.parquet", schema=_SCHEMA)
        return self._index[1]


@dataclass(frozen=True, slots=True)
class Tokens:
    """All languages of a folder of tokens, made with one vocabulary."""

    languages: dict[str, LanguageTokens]
    """By language code, sorted; a language of which nothing was kept has 0 tokens."""
    vocabulary_size: int
    """Ids that may occur, specials and <mask> included: the width of a model's embedding."""
    vocabulary_sha256: str
    """SHA-256 of the SentencePiece model."""


def open_tokens(folder: str | Path) -> Tokens:
    """The committed tokens in `folder` (of tokens, or of a run), with every shard's size checked against its manifest.

    >>> open_tokens("runs/small").languages["sw"].documents > 0
    True

    Raises `InputError` where there are no tokens, `DataError` for a shard that is missing or cut short or a manifest
    that is not one, `MismatchError` for languages that were made with different vocabularies.

    Cost: one stat a file; contents are not hashed (their SHA-256 stands in the manifest for whoever wants to).
    """
    root = folder_of(folder, "encode")
    manifests = {path.stem: read_manifest(path) for path in sorted(root.glob("*.json"))}
    facts = {code: _checked(root, code, manifest) for code, manifest in manifests.items() if manifest is not None}
    if not any(f["tokens"] for f in facts.values()):
        raise InputError(
            f"{root} holds no committed tokens. Write them with `ccbuild tokens encode`, or name their folder."
        )
    first, *others = facts
    for code in others:
        for key in ("vocabulary_sha256", "vocabulary_size"):
            if facts[code][key] != facts[first][key]:
                raise MismatchError(
                    f"{root / code}.json was made with {key}={facts[code][key]}, {first} with {facts[first][key]}. "
                    "Encode all languages with one vocabulary: start a new --out, or encode the others again."
                )
    languages = {code: LanguageTokens(root, code, facts[code]) for code in sorted(facts)}
    return Tokens(languages, facts[first]["vocabulary_size"], facts[first]["vocabulary_sha256"])


def language_tokens(root: Path, code: str) -> LanguageTokens | None:
    """The committed tokens of one language in a folder of tokens, checked as :func:`open_tokens` does; None where there
    are none."""
    manifest = read_manifest(root / f"{code}.json")
    return None if manifest is None else LanguageTokens(root, code, _checked(root, code, manifest))


def _checked(root: Path, code: str, manifest: Manifest) -> dict[str, Any]:
    """The facts of a language, once its files are all there at the size stated."""
    missing = [key for key in _FACTS if key not in manifest.facts]
    if missing:
        raise DataError(
            f"{root / code}.json has no {missing[0]}: it is not a manifest of tokens. Take it out of the folder."
        )
    again = f"Delete {code}.json and run `ccbuild tokens encode` again for this language."
    for shard in manifest.facts["shards"]:
        for suffix in ("bin", "parquet"):
            path = root / f"{shard['name']}.{suffix}"
            stated = manifest.outputs.get(path.name, {}).get("size")
            if suffix == "bin" and stated != shard["tokens"] * _ID.itemsize:
                raise DataError(
                    f"{root / code}.json states {shard['tokens']} tokens and {stated} bytes of {path.name}. {again}"
                )
            if not path.is_file():
                raise DataError(f"{path} is missing, though {code}.json says that it was written. {again}")
            if path.stat().st_size != stated:
                raise DataError(f"{path} has {path.stat().st_size} bytes, {code}.json says {stated}. {again}")
    if manifest.facts["tokens"] != sum(shard["tokens"] for shard in manifest.facts["shards"]):
        raise DataError(f"{root / code}.json: its shards do not add up to {manifest.facts['tokens']} tokens. {again}")
    return manifest.facts
