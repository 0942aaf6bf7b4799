"""What a run left on disk: JSON files, manifests, tables; every read bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ccbuild.errors import DataError, InputError
from ccbuild.storage import Manifest, read_manifest

__all__ = ["RunFolder"]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a run, read only. What a verb has not made yet is None or empty, never an error."""

    root: Path

    def summary(self) -> dict[str, Any]:
        """``summary.json``; `InputError` where the run has none."""
        summary = self.mapping("summary.json")
        if summary is None:
            raise InputError(
                f"{self.root / 'summary.json'} does not exist. Run the command that made {self.root} again, "
                "or give the folder of a run."
            )
        return summary

    def mapping(self, name: str) -> dict[str, Any] | None:
        """A JSON object of the run; None when it is not there."""
        path = self.root / name
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not JSON ({error}). Delete it and run the command again.") from error
        if not isinstance(value, dict):
            raise DataError(f"{path} holds a {type(value).__name__}, not an object. Delete it and run again.")
        return value

    def audit(self, name: str) -> dict[str, Any] | None:
        """What a filled sheet of a language said; None for another file of that folder."""
        found = self.mapping(f"audits/{name}")
        return found if found and "lang" in found else None

    def manifest(self, name: str) -> Manifest | None:
        """The manifest at that path of the run; None when the unit is not done."""
        return read_manifest(self.root / name)

    def manifests(self, folder: str) -> dict[str, Manifest]:
        """Unit to manifest of everything done in `folder`, sorted by unit. For folders with a file a language."""
        found = (read_manifest(path) for path in sorted((self.root / folder).glob("*.json")))
        return {manifest.unit: manifest for manifest in found if manifest is not None}

    def settings(self) -> dict[str, Any]:
        """Dotted key to value of every setting that a verb of the run was made with; the trainer's under `train.`."""
        flat: dict[str, Any] = {}
        for verb in (self.mapping("run.json") or {}).values():
            flat.update(verb)
        trained = self.manifest("8-model/train.json")
        if trained is not None:
            flat.update({f"train.{key}": value for key, value in trained.settings.items()})
        return dict(sorted(flat.items()))

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """Objects of a JSON lines file, without lines that are cut short, which a killed process leaves behind."""
        try:
            with open(self.root / name, encoding="utf-8") as stream:
                for line in stream:
                    try:
                        value = json.loads(line)
                    except json.JSONDecodeError:
                        continue
                    if isinstance(value, dict):
                        yield value
        except FileNotFoundError:
            return

    def shards(self, folder: str, suffix: str = ".parquet") -> Iterator[Path]:
        """The shards' files of that suffix, in their order (`part-00000.parquet`, not its `.refused.parquet`)."""
        for path in sorted((self.root / folder).glob(f"part-*{suffix}")):
            if path.name.count(".") == suffix.count("."):
                yield path

    def numbers(self, name: str, column: str, most: int) -> NDArray[np.float64]:
        """A column of the files that `name` (a glob) names as float64, without nulls and NaN.

        Of more than `most` rows, those of row groups spread evenly.
        """
        groups = [
            (path, group, metadata.row_group(group).num_rows)
            for path in sorted(self.root.glob(name))
            for metadata in [pq.read_metadata(path)]
            for group in range(metadata.num_row_groups)
        ]
        rows = sum(number for _, _, number in groups)
        wanted = max(1, min(len(groups), most * len(groups) // max(rows, 1)))
        chosen = sorted({int(i) for i in np.linspace(0, len(groups) - 1, wanted)}) if groups else []
        read = [np.empty(0)]
        for path, group, _ in (groups[i] for i in chosen):
            with pq.ParquetFile(path) as file:
                read.append(file.read_row_group(group, [column])[column].drop_null().to_numpy().astype(np.float64))
        values: NDArray[np.float64] = np.concatenate(read)[:most]
        return values[~np.isnan(values)]

    def rows(self, folder: str, shard: str, identifiers: set[int], columns: list[str]) -> dict[int, dict[str, Any]]:
        """`doc_id` to row, of those of `identifiers` that the shard's file holds."""
        path = self.root / folder / f"{shard}.parquet"
        if not identifiers or not path.is_file():
            return {}
        filters = pq.filters_to_expression([("doc_id", "in", pa.array(sorted(identifiers), pa.uint64()))])
        table = pq.read_table(path, columns=["doc_id", *columns], filters=filters)
        return {row["doc_id"]: row for row in table.to_pylist()}
