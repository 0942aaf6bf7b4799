"""Rows of text in JSON lines, Parquet and plain text: read their texts, write the rows that stay."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ccbuild.dedup.corpora.texts import CorpusConfig, Overlap, duplicates, listed, overlap, reason_of, sketch
from ccbuild.dedup.decisions import Decisions
from ccbuild.errors import InputError
from ccbuild.lines import bare_name
from ccbuild.progress import counted, note, phase
from ccbuild.rows import LeftOut, Split, in_blocks, is_parquet, read_rows
from ccbuild.storage import PARQUET, open_parquet, write_bytes, write_json

__all__ = ["Corpus", "Dropped", "Result", "compare_files", "dedup_files", "overlap_record"]

_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that goes."""

    file: str
    row: int
    """From 0; blank lines of JSON lines are no rows, and of plain text a row is a document as ``split`` has it."""
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
    """Files of rows as one corpus: row n is row ``n - first[file]`` of a file.

    A row without a text has the empty one; of these `tell` hears a sentence a file.
    """

    def __init__(
        self,
        paths: Sequence[str],
        column: str = "text",
        split: Split = "auto",
        tell: Callable[[str], None] = note,
    ) -> None:
        self.paths, self._column, self._split, self._tell, self._first = list(paths), column, split, tell, [0]
        for path in self.paths:
            if not Path(path).is_file():
                raise InputError(f"{path} is not a file. Name JSON lines, Parquet or plain text.")

    def texts(self) -> Iterator[str]:
        """The text of every row, in order."""
        self._first = [0]
        for path in self.paths:
            left = LeftOut(path, self._column)
            yield from self._texts(path, left)
            self._first.append(self._first[-1] + left.seen)
            if left.number:
                self._tell(left.told("Such rows are compared with nothing, and stay."))

    def _texts(self, path: str, left: LeftOut) -> Iterator[str]:
        rows = read_rows(path, self._split, self._column, [self._column])
        return (left.text(row) or "" for row in rows)

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
                texts = itertools.islice(self._texts(path, LeftOut(path, self._column)), max(here) - first + 1)
                found.update((first + i, text) for i, text in enumerate(texts) if first + i in here)
        return found

    def write(self, gone: NDArray[np.uint64], folder: Path) -> None:
        """Every file without its rows in `gone`, under its own name (JSON lines without their compression)."""
        for path, first, last in zip(self.paths, self._first, self._first[1:], strict=False):
            keep = np.ones(last - first, np.bool_)
            keep[gone[(gone >= first) & (gone < last)].astype(np.int64) - first] = False
            target = folder / bare_name(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            if is_parquet(path):
                _write_parquet(path, target, keep)
            else:
                self._write_lines(path, target, keep)

    def _write_lines(self, path: str, target: Path, keep: NDArray[np.bool_]) -> None:
        """Documents of several lines end with a blank one, as they began."""
        rows = read_rows(path, self._split, self._column)
        with target.open("w", encoding="utf-8", newline="\n") as stream:
            end = "\n\n" if in_blocks(path, self._split) else "\n"
            stream.writelines(f"{row.raw}{end}" for row, stays in zip(rows, keep, strict=True) if stays)


def dedup_files(corpus: Corpus, config: CorpusConfig, out: Path | None = None) -> Result:
    """The duplicates among all rows of all files of `corpus`; rows without text stay.

    With `out` it holds the kept rows, each file under its name in ``kept/``, ``dropped.jsonl`` and ``summary.json``.
    """
    names = [bare_name(path) for path in corpus.paths]
    twice = next((name for name in names if names.count(name) > 1), None)
    if out is not None and twice:
        raise InputError(f"Two files would both become {out / 'kept' / twice}. Rename one, or take them one by one.")
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
        "without_text": int((rows.characters == 0).sum()),
        "characters": int(rows.characters.sum()),
        "kept_characters": int(rows.characters.sum()) - lost,
    }
    if out is not None:
        lines = (json.dumps(dataclasses.asdict(row), ensure_ascii=False) + "\n" for row in dropped)
        write_bytes(out / "dropped.jsonl", "".join(lines).encode())
        write_json(out / "summary.json", summary)
    return Result(summary, dropped)


def compare_files(first: Corpus, second: Corpus, config: CorpusConfig) -> Overlap:
    """How much of each of two corpora the other has."""
    texts = [counted(corpus.texts(), "rows") for corpus in (first, second)]
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


def _write_parquet(path: str, target: Path, keep: NDArray[np.bool_]) -> None:
    with open_parquet(path) as file, pq.ParquetWriter(target, file.schema_arrow, **PARQUET) as writer:
        first = 0
        for batch in file.iter_batches(_BATCH):
            writer.write_batch(batch.filter(pa.array(keep[first : first + len(batch)])))
            first += len(batch)
