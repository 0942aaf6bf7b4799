"""Rows of text in JSON lines and Parquet: read a column, write the rows that stay."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ccbuild.dedup.corpora.texts import CorpusConfig, Overlap, duplicates, listed, overlap, reason_of, sketch
from ccbuild.dedup.decisions import Decisions
from ccbuild.errors import DataError, InputError
from ccbuild.progress import counted, phase
from ccbuild.prose import read_lines
from ccbuild.storage import PARQUET, write_bytes, write_json

__all__ = ["Corpus", "Dropped", "Result", "compare_files", "dedup_files", "overlap_record"]

_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that goes."""

    file: str
    row: int
    """From 0; in JSON lines the line, empty ones counted."""
    reason: str
    """`exact_duplicate`, the same text as the row that stays, or `near_duplicate`."""
    partner_file: str
    """File of the row that stays for it."""
    partner_row: int
    similarity: float
    """To the row that stays: Jaccard of their shingles, 1 for the same text."""
    match_file: str
    """File of the row that it was found to equal, or agrees with best."""
    match_row: int
    """Another than `partner_row` where that row went too."""
    match_similarity: float
    """To that row."""
    cluster_size: int
    """Rows that the partner stands for, itself included; with `none`, rows of the cluster."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a corpus."""

    summary: dict[str, Any]
    """Counts of rows, kept and dropped by reason, and of characters."""
    dropped: list[Dropped]


class Corpus:
    """Files of rows as one corpus: row n is row ``n - first[file]`` of a file."""

    def __init__(self, paths: Sequence[str], column: str = "text") -> None:
        self.paths, self.column, self._first = list(paths), column, [0]
        for path in self.paths:
            if not Path(path).is_file():
                raise InputError(f"{path} is not a file. Name JSON lines (.jsonl, .jsonl.gz, .jsonl.xz) or Parquet.")

    def texts(self) -> Iterator[str]:
        """The text of every row, in order."""
        self._first = [0]
        for path in self.paths:
            n = 0
            for n, text in enumerate(_texts(path, self.column), 1):  # noqa: B007  the last number is used
                yield text
            self._first.append(self._first[-1] + n)

    def place(self, row: int) -> tuple[str, int]:
        """(file, row in it); known once `texts` has been read to its end."""
        file = int(np.searchsorted(self._first, row, "right")) - 1
        return self.paths[file], row - self._first[file]

    def texts_of(self, rows: NDArray[np.uint64]) -> dict[int, str]:
        """The texts of `rows`: one more pass over the files that hold them, up to the last of them."""
        wanted, found = rows.astype(np.int64), dict[int, str]()
        for path, first, last in zip(self.paths, self._first, self._first[1:], strict=False):
            here = set(wanted[(wanted >= first) & (wanted < last)].tolist())
            if here:
                texts = itertools.islice(_texts(path, self.column), max(here) - first + 1)
                found.update((first + i, text) for i, text in enumerate(texts) if first + i in here)
        return found

    def write(self, gone: NDArray[np.uint64], folder: Path) -> None:
        """Every file without its rows in `gone`, under its own name (JSON lines without their compression)."""
        for path, first, last in zip(self.paths, self._first, self._first[1:], strict=False):
            keep = np.ones(last - first, np.bool_)
            keep[gone[(gone >= first) & (gone < last)].astype(np.int64) - first] = False
            target = folder / _kept_name(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            if _is_parquet(path):
                _write_parquet(path, target, keep)
            else:
                with target.open("w", encoding="utf-8", newline="\n") as stream:
                    stream.writelines(f"{line}\n" for line, stays in zip(read_lines(path), keep, strict=True) if stays)


def dedup_files(paths: Sequence[str], config: CorpusConfig, column: str = "text", out: Path | None = None) -> Result:
    """The duplicates among all rows of all `paths`.

    With `out` it holds the kept rows, each file under its name in ``kept/``, ``dropped.jsonl`` and ``summary.json``.
    """
    names = [_kept_name(path) for path in paths]
    twice = next((name for name in names if names.count(name) > 1), None)
    if out is not None and twice:
        raise InputError(f"Two files would both become {out / 'kept' / twice}. Rename one, or take them one by one.")
    corpus = Corpus(paths, column)
    with phase("read"):
        rows = sketch(counted(corpus.texts(), "rows"), config)
    with phase("decide"):
        decided = duplicates(rows, config, corpus.texts_of)
    if out is not None:
        with phase("write"):
            corpus.write(decided.doc, out / "kept")
    dropped = list(_dropped(corpus, decided))
    exact = int(decided.equal.sum())
    lost = int(rows.characters[decided.doc].sum())
    summary: dict[str, Any] = {
        "rows": len(rows),
        "kept": len(rows) - len(decided.doc),
        "exact_duplicate": exact,
        "near_duplicate": len(decided.doc) - exact,
        "too_short_for_near": int((~rows.signed).sum()),
        "characters": int(rows.characters.sum()),
        "kept_characters": int(rows.characters.sum()) - lost,
    }
    if out is not None:
        lines = (json.dumps(dataclasses.asdict(row), ensure_ascii=False) + "\n" for row in dropped)
        write_bytes(out / "dropped.jsonl", "".join(lines).encode())
        write_json(out / "summary.json", summary)
    return Result(summary, dropped)


def compare_files(first: Sequence[str], second: Sequence[str], config: CorpusConfig, column: str = "text") -> Overlap:
    """How much of each of two corpora the other has."""
    texts = [counted(Corpus(paths, column).texts(), "rows") for paths in (first, second)]
    sides = [sketch(rows, config, paragraphs=True) for rows in counted(texts, "corpora", 2)]
    return overlap(*sides)


def overlap_record(found: Overlap) -> dict[str, Any]:
    """`Overlap` as a record for people: counts and shares, first corpus and second."""
    record: dict[str, Any] = dataclasses.asdict(found)
    for name in ("equal", "near"):
        record[f"{name}_share"] = [_share(n, of) for n, of in zip(getattr(found, name), found.rows, strict=True)]
    record["common_paragraphs_share"] = [_share(found.common_paragraphs, of) for of in found.paragraphs]
    return record


def _share(n: int, of: int) -> float:
    return round(n / of, 4) if of else 0.0


def _dropped(corpus: Corpus, decided: Decisions) -> Iterator[Dropped]:
    sizes: dict[int, int] = {}
    for partner, size in zip(decided.partner.tolist(), decided.cluster_size.tolist(), strict=True):
        sizes[partner] = max(size, sizes.get(partner, 0))
    for doc, partner, equal, near, match, matched in listed(decided):
        place, stays, found = map(corpus.place, (doc, partner, match))
        yield Dropped(*place, reason_of(equal), *stays, near, *found, matched, sizes[partner])


def _is_parquet(path: str) -> bool:
    return path.endswith(".parquet")


def _kept_name(path: str) -> str:
    return Path(path).name.removesuffix(".gz").removesuffix(".xz")


def _texts(path: str, column: str) -> Iterator[str]:
    return _parquet_texts(path, column) if _is_parquet(path) else _json_texts(path, column)


def _json_texts(path: str, column: str) -> Iterator[str]:
    for number, line in enumerate(read_lines(path), 1):
        try:
            record = json.loads(line) if line.strip() else {column: ""}
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number} is no JSON: {error}. Give JSON lines or Parquet.") from error
        text = record.get(column) if isinstance(record, dict) else None
        if not isinstance(text, str):
            have = ", ".join(map(str, record)) if isinstance(record, dict) else "no keys"
            raise InputError(f"{path}, line {number} has no text under {column!r}: {have}. Name it by --text-column.")
        yield text


def _parquet_texts(path: str, column: str) -> Iterator[str]:
    with _open_parquet(path) as file:
        names = file.schema_arrow.names
        if column not in names or not _is_text(file.schema_arrow.field(column).type):
            raise InputError(f"{path} has no text column {column!r}: {', '.join(names)}. Name it by --text-column.")
        for batch in file.iter_batches(_BATCH, columns=[column]):
            yield from (text or "" for text in batch[0].to_pylist())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _open_parquet(path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is not a whole Parquet file ({error}). Fetch or write it again.") from error


def _write_parquet(path: str, target: Path, keep: NDArray[np.bool_]) -> None:
    with _open_parquet(path) as file, pq.ParquetWriter(target, file.schema_arrow, **PARQUET) as writer:
        first = 0
        for batch in file.iter_batches(_BATCH):
            writer.write_batch(batch.filter(pa.array(keep[first : first + len(batch)])))
            first += len(batch)
