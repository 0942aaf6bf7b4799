"""What people found when they looked at a language's documents: a table of precision by language."""

from __future__ import annotations

import csv
from pathlib import Path

from ccbuild.errors import DataError, InputError

__all__ = ["read_audit"]


def read_audit(path: str | Path) -> dict[str, float]:
    """Language code to precision, 0 to 1, of a CSV or TSV file with the columns `lang` and `precision`.

    Kreutzer et al. 2022 (https://arxiv.org/abs/2103.12028) tell how such an audit is made, and what it found in others'
    corpora. Raises `InputError` where there is no such file, `DataError` for a row that is none.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} is not a file. Give a table with the columns lang and precision.")
    found: dict[str, float] = {}
    with open(path, encoding="utf-8", newline="") as stream:
        head = stream.readline()
        stream.seek(0)
        rows = csv.DictReader(stream, delimiter="\t" if "\t" in head else ",")
        for row in rows:
            try:
                found[row["lang"]] = float(row["precision"])
                if not 0 <= found[row["lang"]] <= 1:
                    raise ValueError("precision lies between 0 and 1")
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"{path}, line {rows.line_num} is no row of lang and precision ({error}). Correct it."
                ) from error
    return found
