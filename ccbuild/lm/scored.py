"""Perplexities of documents that were scored before, by language: what cutoffs are calibrated from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ccbuild.errors import DataError, InputError
from ccbuild.rows import is_parquet, read_rows
from ccbuild.rundir import folder_of, shard_files

__all__ = ["read_perplexities"]


def read_perplexities(source: str | Path, lang: str | None = None) -> dict[str, NDArray[np.float64]]:
    """Language to the perplexities of its documents, float64[n], sorted; without those that have none.

    `source` is a run's folder (the documents that it kept), a folder of Parquet files, or one file of scored documents:
    Parquet or JSON lines with ``perplexity`` and ``lang``. With `lang` only that language, and documents that do not
    say theirs count as `lang`. Memory: 8 bytes a document, twice while sorting.
    """
    root = folder_of(source, "refine")
    if root.is_dir():
        files = sorted({*root.glob("*.parquet")} - {*shard_files(root, "dropped")})
        if not files:
            raise InputError(f"{root} holds no Parquet files of scored documents. Name a run's folder, or a file.")
    elif root.is_file():
        files = [root]
    else:
        raise InputError(f"{root} is not a file. Name a run's folder, or scored documents.")
    found: dict[str, list[NDArray[np.float64]]] = {}
    for path in files:
        for code, values in (_of_parquet if is_parquet(path) else _of_lines)(path, lang).items():
            found.setdefault(code, []).append(values)
    kept = {code: np.sort(np.concatenate(parts)) for code, parts in sorted(found.items()) if lang in (None, code)}
    if not any(map(len, kept.values())):
        raise InputError(f"{source} holds no perplexities{f' of {lang}' if lang else ''}. Score the documents first.")
    return kept


def _of_parquet(path: Path, lang: str | None) -> dict[str, NDArray[np.float64]]:
    found: dict[str, list[NDArray[np.float64]]] = {}
    try:
        with pq.ParquetFile(path) as file:
            has_lang = "lang" in file.schema_arrow.names
            if "perplexity" not in file.schema_arrow.names or not (has_lang or lang):
                raise InputError(
                    f"{path} needs the columns perplexity and lang. Score the documents first, or add --lang."
                )
            for batch in file.iter_batches(1 << 16, columns=["perplexity", *(["lang"] if has_lang else [])]):
                values = batch["perplexity"].cast(pa.float64())
                codes = batch["lang"] if has_lang else pa.array([lang] * len(values), pa.string())
                for code in pc.unique(codes).drop_null().to_pylist():
                    chosen = values.filter(pc.equal(codes, code)).drop_null()
                    found.setdefault(code, []).append(chosen.to_numpy(zero_copy_only=False))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not Parquet ({' '.join(str(error).split())[:200]}). Get it again.") from error
    return {code: np.concatenate(parts) for code, parts in found.items()}


def _of_lines(path: Path, lang: str | None) -> dict[str, NDArray[np.float64]]:
    found: dict[str, list[float]] = {}
    for _, record, _ in read_rows(path, column=None):
        code, value = record.get("lang", lang), record.get("perplexity")
        if code is None and value is not None:
            raise InputError(f"{path} has documents without lang. Add --lang.")
        if isinstance(value, int | float):
            found.setdefault(str(code), []).append(float(value))
    return {code: np.array(values) for code, values in found.items()}
