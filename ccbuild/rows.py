"""Texts in files: lines and JSON lines, compressed or not, and Parquet. Every command that takes text reads it here.

A row is a document as its file has it, with whatever else the file says of it:

=========== ===========================================================================================================
Parquet     named ``.parquet``, or known by its bytes: a row a document, its columns of text and numbers
JSON lines  an object a line, blank lines skipped. A file is one where its name says so (it ends in ``.jsonl``,
            ``.ndjson`` or ``.json``, but for the compression), where the first line that is not blank is an object with
            the text's key, or where the first two are objects. Then every line must be an object: `InputError` names
            the one that is none
lines       everything else. ``line``: each line is a document, blank ones too. ``blank``: documents stand apart by
            blank lines, their paragraphs are lines. ``auto``: ``blank`` for what is called ``.txt.xz``, which is
            CC-100's form and that of `publish`, ``line`` otherwise
=========== ===========================================================================================================

What a line is, and what becomes of damaged bytes, says :mod:`ccbuild.lines`. A text that is null, and a record without
one, stop nothing: they are counted, and told in one sentence. A file of which no record has the text's key is refused.
Memory: a line or document, or 1,024 rows of Parquet.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from ccbuild.errors import DataError, InputError
from ccbuild.lines import LONGEST, STDIN, bare_name, called, read_lines
from ccbuild.progress import note
from ccbuild.storage import open_parquet

__all__ = [
    "SPLITS",
    "LeftOut",
    "Row",
    "Split",
    "in_blocks",
    "is_parquet",
    "read_documents",
    "read_paragraphs",
    "read_rows",
]

Split = Literal["auto", "line", "blank"]
SPLITS: tuple[Split, ...] = ("auto", "line", "blank")
_BATCH = 1 << 10
_TRIED = 1000
"""Rows of which one must have the text's key."""
_HEAD = 1 << 10
"""Blank lines at the start of a file, behind which no JSON is looked for."""
_LINES = "jq -c '.[]' makes them of a list"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Row(NamedTuple):
    """A document as its file has it."""

    number: int
    """Of its first line, or of its row in Parquet; from 1."""
    record: dict[str, Any]
    """All that the file says; a line of plain text is what stands under the text's key."""
    raw: str
    """Its lines as they are; empty for Parquet."""


@dataclass(slots=True)
class LeftOut:
    """Records of one file that have no text."""

    name: str
    column: str = "text"
    seen: int = 0
    null: int = 0
    missing: int = 0
    first: int = 0
    lines: bool = True
    """Whether its records stand in lines, and not in the rows of a table."""

    def text(self, row: Row) -> str | None:
        """The text of a row, or None for one that is counted here."""
        self.seen += 1
        value = row.record.get(self.column)
        if isinstance(value, str):
            return value
        self.first, self.lines = self.first or row.number, bool(row.raw)
        if value is None and self.column in row.record:
            self.null += 1
        else:
            self.missing += 1
        return None

    @property
    def number(self) -> int:
        """How many there are."""
        return self.null + self.missing

    def told(self, fate: str = "Such records are left out.") -> str:
        """A sentence of them, and what becomes of them.

        >>> print(LeftOut("a.jsonl", seen=120, null=2, missing=1, first=17).told("They stay."))
        a.jsonl: 3 of 120 records have no text (2 null, 1 without 'text'), the first in line 17. They stay.
        """
        kinds = [f"{self.null:,} null"] * bool(self.null)
        kinds += [f"{self.missing:,} without {self.column!r}"] * bool(self.missing)
        have = "has" if self.number == 1 else "have"
        place = "line" if self.lines else "row"
        return (
            f"{self.name}: {self.number:,} of {self.seen:,} records {have} no text ({', '.join(kinds)}), the first in "
            f"{place} {self.first:,}. {fate}"
        )


def read_documents(
    path: str | Path, split: Split = "auto", tell: Callable[[str], None] = note
) -> Iterator[dict[str, Any]]:
    """The records of a file (``-``: stdin) that have a ``text``; of the others `tell` hears a sentence at the end."""
    left = LeftOut(called(path))
    for row in read_rows(path, split):
        if left.text(row) is not None:
            yield row.record
    if left.number:
        tell(left.told())


def read_paragraphs(path: str | Path, tell: Callable[[str], None] = note) -> Iterator[str]:
    """The paragraphs of a file: the lines of its documents, blank ones too.

    Of Cirrussearch's dumps pages outside the article namespace are left out, and the lines between pages that say
    their number.
    """
    for record in read_documents(path, "line", tell):
        if record.get("namespace", 0) == 0:
            yield from record["text"].split("\n")


def read_rows(
    path: str | Path,
    split: Split = "auto",
    column: str | None = "text",
    only: Iterable[str] | None = None,
    nested: bool = False,
) -> Iterator[Row]:
    """Every row of a file, or of stdin (``-``). `column` is the key of the text; None: rows need none.

    Of Parquet `only` names the columns to read, where not all are wanted; `nested`: columns of lists and of structures,
    of times and bytes are read too.
    """
    rows = _parquet_rows(path, column, only, nested) if is_parquet(path) else _line_rows(path, split, column)
    if column is None:
        yield from rows
        return
    known, keys, kinds, n = False, set[str](), set[str](), 0
    for n, row in enumerate(rows, 1):
        if not known:
            known = column in row.record and isinstance(row.record[column], str | None)
            keys.update(itertools.islice(row.record, 20))
            kinds.update([type(row.record[column]).__name__] if column in row.record else [])
            if n == _TRIED and not known:
                break
        yield row
    if n and not known:
        of = f"the first {n:,} records" if n > 1 else "the first record"
        has = f": what stands there is {', '.join(sorted(kinds))}" if kinds else ""
        has = has or f"; it has {', '.join(sorted(keys)[:20]) or 'no keys'}"
        raise InputError(
            f"{called(path)} has no text under {column!r} in {of}{has}. Each record needs its text under {column!r}."
        )


def in_blocks(path: str | Path, split: Split) -> bool:
    """Whether documents of a file of plain text stand apart by blank lines."""
    return split == "blank" or (split == "auto" and str(path).endswith(".txt.xz"))


def is_parquet(path: str | Path) -> bool:
    """Whether a file is Parquet, by its name or by its bytes."""
    if str(path) == STDIN or Path(path).suffix == ".parquet":
        return str(path) != STDIN
    if not Path(path).is_file():  # what is read of a pipe is gone
        return False
    try:
        with open(path, "rb") as stream:
            if stream.read(4) != b"PAR1":
                return False
            stream.seek(-4, 2)
            return stream.read() == b"PAR1"
    except OSError:  # said by whoever reads it
        return False


def _line_rows(path: str | Path, split: Split, column: str | None) -> Iterator[Row]:
    lines = read_lines(path)
    head, is_json = _head(lines, column)
    lines = itertools.chain(head, lines)
    if is_json or re.search(r"\.(json(l|lines)?|ndjson)$", bare_name(path)):
        yield from _json_rows(lines, path)
    elif in_blocks(path, split):
        yield from _blocks(lines, path, column or "text")
    else:
        yield from (Row(number, {column or "text": line}, line) for number, line in enumerate(lines, 1))


def _head(lines: Iterator[str], column: str | None) -> tuple[list[str], bool]:
    """(the lines that had to be read to know, whether they are those of JSON lines)."""
    head, objects = list[str](), 0
    for line in itertools.islice(lines, _HEAD):
        head.append(line)
        if not line.strip():
            continue
        record = _object(line)
        if record is None:
            return head, False
        objects += 1
        if objects == 2 or column is None or column in record:
            return head, True
    return head, objects > 0


def _object(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line) if line.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _json_rows(lines: Iterable[str], path: str | Path) -> Iterator[Row]:
    name = called(path)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError alone: a number of over 4,300 digits
            raise InputError(
                f"{name}, line {number} is no JSON: {error}. Give JSON lines (jq -c makes them), or plain text."
            ) from error
        if not isinstance(record, dict):
            kind = type(record).__name__
            raise InputError(f"{name}, line {number} is a JSON {kind}. Each line is an object with the text: {_LINES}.")
        if record.keys() == {"index"} and isinstance(record["index"], dict):  # Cirrussearch: says the next page's id
            continue
        if _SURROGATE.search(line):  # JSON can say lone surrogates, UTF-8 cannot
            record = json.loads(json.dumps(record, ensure_ascii=False).encode("utf-8", "ignore"))
        yield Row(number, record, line)


def _blocks(lines: Iterable[str], path: str | Path, column: str) -> Iterator[Row]:
    """Documents that stand apart by blank lines."""
    held, size = list[str](), 0
    for number, line in enumerate(itertools.chain(lines, [""]), 1):
        if line.strip():
            held.append(line)
            size += len(line)
            if size > LONGEST:
                raise DataError(
                    f"{called(path)}, line {number}: no blank line since line {number - len(held) + 1}, over "
                    f"{LONGEST >> 20} million characters. If each line is a document of its own, add --split line."
                )
        elif held:
            text = "\n".join(held)
            yield Row(number - len(held), {column: text}, text)
            held, size = [], 0


def _parquet_rows(
    path: str | Path, column: str | None, only: Iterable[str] | None, nested: bool = False
) -> Iterator[Row]:
    if not Path(path).is_file():
        raise InputError(f"{path} is not a file. Check the path.")
    number = 0
    try:
        with open_parquet(path) as file:
            schema = file.schema_arrow
            if column is not None and column not in schema.names:
                raise InputError(f"{path} has no text column {column!r}. It has {', '.join(schema.names)}.")
            if column is not None and not _is_text(kind := schema.field(column).type):
                raise InputError(f"The column {column!r} of {path} is {kind}, no text. Cast it to string.")
            plain = [f.name for f in schema if _is_text(f.type) or pa.types.is_primitive(f.type)]
            plain = [name for name in plain if not pa.types.is_temporal(schema.field(name).type)]
            plain = schema.names if nested else plain
            wanted = plain if only is None else [name for name in plain if name in set(only)]
            for batch in file.iter_batches(_BATCH, columns=wanted):
                for number, record in enumerate(batch.to_pylist(), number + 1):  # noqa: B020  goes on where it was
                    yield Row(number, record, "")
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        after = f" after row {number:,}" if number else ""
        said = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is no whole Parquet file{after} ({said}). Get it again.") from error


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
