"""How clean a language of a run is, by a person's judgement of a sample of its documents."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ccbuild.errors import DataError, InputError
from ccbuild.langid.evaluate import wilson
from ccbuild.rundir import RunDir

__all__ = ["audit", "read_audit", "read_sheet", "write_sheet"]

_COLUMNS = ("right", "doc_id", "score", "url", "text")
_FORMULA, _ESCAPED = re.compile(r"'*[=+\-@\t\r\n]"), re.compile(r"'+[=+\-@\t\r\n]")
_SHOWN = 600
"""Characters of a document that a person sees; longer ones are shown from the middle, where menus are rare."""


def write_sheet(root: Path, lang: str, sheet: Path, n: int, seed: int = 0) -> int:
    """Write `n` documents of the language, drawn by `seed` from the run in `root`, to `sheet`; returns how many.

    Tab-separated: ``right`` (empty, for ``y`` or ``n``), ``doc_id``, ``score``, ``url``, ``text``. `InputError` where
    the run has no document in it, or where there is a sheet already.
    """
    if n < 1:
        raise InputError(f"A sheet of {n} documents says nothing. Take 50 or more.")
    filters = [("lang", "=", lang)]
    parts = list(RunDir(root).files("refine"))
    counts = [pq.read_table(path, columns=["lang"], filters=filters).num_rows for path in parts]
    total = sum(counts)
    if not total:
        raise InputError(f"{root} has no document in {lang!r}. Name a code that its report has, and a finished run.")
    chosen = set(random.Random(f"{seed} {lang}").sample(range(total), min(n, total)))
    rows, before = [], 0
    for path, count in zip(parts, counts, strict=True):
        wanted = sorted(index - before for index in chosen if before <= index < before + count)
        if wanted:
            table = pq.read_table(path, columns=["doc_id", "lang_score", "url", "text"], filters=filters).take(wanted)
            rows += table.to_pylist()
        before += count
    sheet.parent.mkdir(parents=True, exist_ok=True)
    with open(sheet, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter="\t")  # whose line ends quote a CR in a cell
        writer.writerow(_COLUMNS)
        for row in rows:
            text = " ¶ ".join(row["text"].replace("\t", " ").split("\n"))
            start = max((len(text) - _SHOWN) // 2, 0)
            score = round(row["lang_score"] or 0.0, 3)
            writer.writerow(["", row["doc_id"], score, *map(_cell, (row["url"], text[start : start + _SHOWN]))])
    return len(rows)


def _cell(text: str) -> str:
    """Text of others as a cell: what a spreadsheet would take for a formula begins with an apostrophe.

    >>> _cell("=cmd|' /C calc'!A0"), _cell("'=1"), _cell("'t is so")
    ("'=cmd|' /C calc'!A0", "''=1", "'t is so")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def read_sheet(sheet: Path) -> list[tuple[int, dict[str, str]]]:
    """(line, column to text as it was before it was a cell) of a sheet; `InputError` for what is none."""
    with open(sheet, encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines, delimiter="\t")
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise InputError(f"{sheet} is no sheet: its columns are not {', '.join(_COLUMNS)}. Make it again.")
        return [(reader.line_num, {name: _uncelled(row[name] or "") for name in _COLUMNS}) for row in reader]


def _uncelled(cell: str) -> str:
    return cell[1:] if _ESCAPED.match(cell) else cell


def audit(sheet: Path) -> dict[str, Any]:
    """Precision and its 95 % interval (Wilson) from a filled sheet; `InputError` names a line without y or n."""
    marks = [(line, row["right"].strip().lower()) for line, row in read_sheet(sheet)]
    for number, mark in marks:
        if mark not in ("y", "n"):
            raise InputError(f"{sheet}, line {number}: the first column is {mark!r}. Write y or n into each line.")
    right = sum(mark == "y" for _, mark in marks)
    low, high = wilson(right, len(marks))
    return {
        "lang": sheet.stem,
        "documents": len(marks),
        "right": right,
        "precision": round(right / len(marks), 4) if marks else None,
        "low": round(low, 4),
        "high": round(high, 4),
    }


def read_audit(path: str | Path) -> dict[str, float]:
    """Language code to precision, 0 to 1: of the ``audits`` of a run (a folder), or of a CSV or TSV file with the
    columns `lang` and `precision`.

    Kreutzer et al. 2022 (https://arxiv.org/abs/2103.12028) tell how such an audit is made, and what it found in others'
    corpora. Raises `InputError` where there is no such file or nothing in it, `DataError` for a row that is none.
    """
    found: dict[str, float] = {}
    for where, row in _rows(Path(path)):
        try:
            found[row["lang"]] = float(row["precision"])
            if not 0 <= found[row["lang"]] <= 1:
                raise ValueError("precision lies between 0 and 1")
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{where} is no row of lang and precision ({error}). Correct it.") from error
    if not found:
        raise InputError(
            f"{path} holds no audit. Give the folder audits of a run, or a table with the columns lang and precision."
        )
    return found


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """(where it stands, row) of each language that was judged."""
    where = str(path)
    try:
        for one in sorted(path.glob("*.json")):
            where = str(one)
            judged = json.loads(one.read_text(encoding="utf-8"))
            if judged.get("precision") is not None:
                yield where, judged
        if not path.is_file():
            return
        with open(path, encoding="utf-8", newline="") as stream:
            delimiter = "\t" if "\t" in stream.readline() else ","
            stream.seek(0)
            rows = csv.DictReader(stream, delimiter=delimiter)
            for row in rows:
                yield f"{path}, line {rows.line_num}", row
    except (ValueError, AttributeError, csv.Error) as error:
        raise DataError(f"{where} cannot be read: {error}. Correct it.") from error
