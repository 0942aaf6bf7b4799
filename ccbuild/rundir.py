"""What lies where in the folder of a run, and a run opened for reading: no recipe is asked, whichever made it.

No other module knows these names. A folder of a run holds::

    run.json  inputs.jsonl          the settings and the table of inputs
    0-models … 8-model              a folder for each verb, as `FOLDERS` has them
    1-refused  4-dropped            what `extract` and `refine` leave out
    corpus.json                     the manifest of what the corpus says of itself
    summary.json  report.html       the accounts
    audits/  logs/                  what people judged; times and failures

The Parquet files of such a folder open as one dataset: what lies beside them stands in folders that readers pass over,
since their names begin with two underscores. A folder of many manifests has an index of them, as :mod:`ccbuild.index`
writes it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ccbuild.errors import DataError, InputError
from ccbuild.index import SHARD, Entry, entries, has_units, in_order, unit_names
from ccbuild.ledger import Ledger
from ccbuild.records import address
from ccbuild.storage import Manifest, read_manifest

__all__ = [
    "AUDITS",
    "FILES",
    "FOLDERS",
    "Input",
    "RunDir",
    "column_values",
    "files_beside",
    "folder_of",
    "open_run_dir",
    "shard_files",
    "shard_name",
    "shard_number",
]

FOLDERS = {
    "prepare": "0-models",
    "extract": "1-pages",
    "prints": "2-prints",
    "match": "3-duplicates",
    "refine": "4-documents",
    "publish": "5-corpus",
    "vocab": "6-vocabulary",
    "encode": "7-tokens",
    "train": "8-model",
}
"""Verb (or `prints`) to folder of a run."""

INNER = {
    "refused": "1-refused",
    "addresses": "1-pages/__addresses",
    "matching": "3-duplicates/__matching",
    "clusters": "3-duplicates/__sizes",
    "dropped": "4-dropped",
    "returned": "4-documents/__returned",
    "words": "6-vocabulary/words",
    "word parts": "6-vocabulary/words/parts",
    "token parts": "7-tokens/parts",
    "hf": "8-model/hf",
}
"""Other folders."""

_NOTES = "__manifests"
"""Folder of the manifests where they do not lie beside the files of their units."""
_NOTED_APART = ("extract", "match", "refine")

FILES = {
    "settings": "run.json",
    "inputs": "inputs.jsonl",
    "summary": "summary.json",
    "verdict": "verdict.json",
    "report": "report.html",
    "failures": "logs/failures.json",
    "crawl": "crawl/crawl.json",
    "metrics": "8-model/metrics.jsonl",
    "evaluation": "audits/evaluation.json",
}
"""Single files of a run."""

AUDITS = "audits"
"""Folder of what people judged."""

_MADE = {
    "vocab": (("word parts", ""), ("words", ""), ("vocab", "vocabulary")),
    "encode": (("token parts", ""), ("encode", "")),
}
"""Where the manifests with the settings of a verb stand, and how they begin, where it is more than its folder."""


def shard_name(shard: int) -> str:
    """Name of a shard's unit, and of its files.

    >>> shard_name(42)
    'part-00042'
    """
    return f"part-{shard:05d}"


def shard_number(name: str) -> int:
    """The shard that a unit or a file is named after.

    >>> shard_number("part-00042"), shard_number("part-00042.dropped.parquet")
    (42, 42)
    """
    found = SHARD.match(name)
    if found is None:
        raise InputError(f"{name!r} is not the name of a shard, such as {shard_name(42)}.")
    return int(found[1])


def folder_of(place: str | Path, verb: str) -> Path:
    """The folder of `verb` where `place` is a run, else `place`, which is then taken for that folder itself."""
    inside = Path(place) / FOLDERS[verb]
    return inside if inside.is_dir() or (Path(place) / FILES["settings"]).is_file() else Path(place)


def files_beside(manifest: Path) -> Path:
    """The folder of the files of the unit that has this manifest."""
    return manifest.parent.parent if manifest.parent.name == _NOTES else manifest.parent


def shard_files(folder: Path, kind: str = "") -> Iterator[Path]:
    """The Parquet files of shards in `folder`, by number: those without a kind, or those of `kind`."""
    suffix = f".{kind}.parquet" if kind else ".parquet"
    for path in _in_order(folder.glob(f"part-*{suffix}")):
        if SHARD.fullmatch(path.name.removesuffix(suffix)):
            yield path


def _in_order(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: in_order(path.name))


@dataclass(frozen=True, slots=True)
class Input:
    """A line of the table of inputs: a shard number is given once and never again."""

    shard: int
    archive: str
    size: int | None
    snapshot: str | None
    digest: str = ""
    lang: str | None = None
    """Of an imported file of text: nothing is extracted from it."""


@dataclass(frozen=True, slots=True)
class RunDir:
    """The folder of a run. What a verb has not made yet is None or empty, never an error; every read is bounded."""

    root: Path

    def folder(self, verb: str) -> Path:
        """The folder of a verb, of `prints`, or one of `INNER`."""
        return self.root / (FOLDERS.get(verb) or INNER[verb])

    def notes(self, place: str) -> Path:
        """The folder of the manifests of `place`, as :meth:`folder` knows them: beside its files in a run that an
        earlier release began."""
        folder = self.folder(place)
        apart = folder / _NOTES
        return folder if place not in _NOTED_APART or (not apart.is_dir() and has_units(folder)) else apart

    def path(self, name: str) -> Path:
        """A single file, by its name in `FILES`."""
        return self.root / FILES[name]

    def manifest(self, place: str, unit: str) -> Manifest | None:
        """The manifest of a unit in the folder `place` (as of :meth:`folder`); None when it is not done."""
        return read_manifest(self.notes(place) / f"{unit}.json")

    def manifests(self, place: str) -> dict[str, Manifest]:
        """Unit name to manifest of all that is done in the folder `place`, sorted by name; for a verb whose units are
        languages. Where they are shards, :meth:`entries` holds one at a time."""
        found = map(read_manifest, _in_order(self.notes(place).glob("*.json")))
        return {manifest.unit: manifest for manifest in found if manifest is not None}

    def entries(self, place: str, prefix: str = "") -> Iterator[Entry]:
        """All that is done in the folder `place`, sorted by name, shards by number; of names with `prefix`."""
        return entries(self.notes(place), prefix)

    def shards(self, verb: str) -> Iterator[tuple[int, Entry]]:
        """(number, entry) of the shards that `verb` has done, by number."""
        return ((shard_number(entry.unit), entry) for entry in self.entries(verb, "part-"))

    def numbers(self, verb: str) -> list[int]:
        """The numbers of the shards that `verb` has done."""
        return [shard_number(name) for name in unit_names(self.notes(verb), "part-")]

    def made(self, verb: str) -> Iterator[Path]:
        """The manifests of all that `verb` has made, wherever they stand; parts before what is made of them."""
        for place, name in _MADE.get(verb, ((verb, ""),)):
            folder = self.notes(place)
            yield from (folder / f"{unit}.json" for unit in unit_names(folder, name))

    def has(self, verb: str) -> bool:
        """Whether `verb` has made anything."""
        return any(has_units(self.notes(place), name) for place, name in _MADE.get(verb, ((verb, ""),)))

    def ledger(self, verb: str) -> Ledger:
        """The ledgers of all finished units of a verb, added up."""
        total = Ledger()
        for entry in self.entries(verb, "part-" if verb == "match" else ""):
            total.add(entry.accounts)
        return total

    def files(self, verb: str, kind: str = "") -> Iterator[Path]:
        """The Parquet file of each shard in the folder of `verb`, by number: of what it kept, or of `kind`:
        ``dropped`` documents of `refine`, ``refused`` pages of `extract`."""
        found = {shard_number(path.name): path for path in shard_files(self.folder(verb), kind)}
        found |= {shard_number(path.name): path for path in shard_files(self.folder(kind or verb))}
        return (found[number] for number in sorted(found))

    def file(self, verb: str, shard: int, kind: str = "") -> Path:
        """One of :meth:`files`; what an earlier release left out lies beside what it kept."""
        found = self.folder(kind or verb) / f"{shard_name(shard)}.parquet"
        before = self.folder(verb) / f"{shard_name(shard)}.{kind}.parquet"
        return before if kind and not found.is_file() and before.is_file() else found

    def published(self, code: str) -> list[Path]:
        """The Parquet files of a language of the corpus, in the order of their documents."""
        manifest = self.manifest("publish", code)
        return [self.folder("publish") / name for name in manifest.facts["shards"]] if manifest else []

    def decisions(self, shard: int) -> Path:
        """What a shard drops as duplicates: as `match` said, or as `refine` mended it where a copy came back."""
        mended = self.file("returned", shard)
        return mended if self.manifest("returned", shard_name(shard)) else self.file("match", shard)

    def inputs(self) -> list[Input]:
        """The table of inputs as it stands."""
        table = self.path("inputs")
        if not table.exists():
            return []
        try:
            entries = [Input(**json.loads(line)) for line in table.read_text(encoding="utf-8").splitlines()]
            shards = [-1, *(entry.shard for entry in entries)]
            if any(next_ - shard not in (0, 1) for shard, next_ in itertools.pairwise(shards)):
                raise ValueError("its shards are not numbered 0, 1, 2 and so on")
            return entries
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{table} is damaged: {error}. Without it no page has an address: restore it, or start a new --out."
            ) from error

    def settings(self) -> dict[str, Any]:
        """Dotted key to value of every setting that a verb of the run was made with; the trainer's under `train.`."""
        flat: dict[str, Any] = {}
        for verb in (self.mapping("settings") or {}).values():
            flat.update(verb if isinstance(verb, dict) else {})  # beside the verbs stands the format
        trained = self.manifest("train", "train")
        if trained is not None:
            flat.update({f"train.{key}": value for key, value in trained.settings.items()})
        return dict(sorted(flat.items()))

    def mapping(self, name: str) -> dict[str, Any] | None:
        """A JSON object of the run, by its name in `FILES` or its path; None when it is not there."""
        path = self.root / FILES.get(name, name)
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not JSON ({error}). Delete it and run the command again.") from error
        if not isinstance(value, dict):
            raise DataError(f"{path} holds a {type(value).__name__}, not an object. Delete it and run again.")
        return value

    def audits(self) -> list[dict[str, Any]]:
        """What the filled sheets of languages said."""
        found = (self.mapping(f"{AUDITS}/{path.name}") for path in sorted((self.root / AUDITS).glob("*.json")))
        return [audit for audit in found if audit and "lang" in audit]

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """Objects of a JSON lines file, without lines that are cut short, which a killed process leaves behind."""
        try:
            with open(self.root / FILES.get(name, name), encoding="utf-8") as stream:
                for line in stream:
                    try:
                        value = json.loads(line)
                    except json.JSONDecodeError:
                        continue
                    if isinstance(value, dict):
                        yield value
        except FileNotFoundError:
            return

    def rows(self, verb: str, identifiers: Iterable[int], columns: Iterable[str]) -> dict[int, dict[str, Any]]:
        """`doc_id` to its row in the folder of `verb`, of those `identifiers` that are there; reads their shards."""
        by_shard: dict[int, list[int]] = {}
        for identifier in sorted(set(identifiers)):
            by_shard.setdefault(address(identifier)[0], []).append(identifier)
        found: dict[int, dict[str, Any]] = {}
        for shard, wanted in by_shard.items():
            path = self.file(verb, shard)
            if path.is_file():
                filters = pq.filters_to_expression([("doc_id", "in", pa.array(wanted, pa.uint64()))])
                table = pq.read_table(path, columns=["doc_id", *columns], filters=filters)
                found |= {row["doc_id"]: row for row in table.to_pylist()}
        return found


def column_values(paths: Iterable[Path], column: str, most: int) -> NDArray[np.float64]:
    """A column of Parquet files as float64, without nulls and NaN; of more than `most` rows, those of row groups
    spread evenly."""
    groups = [
        (path, group, metadata.row_group(group).num_rows)
        for path in paths
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


def open_run_dir(folder: str | Path) -> RunDir:
    """The run in `folder`; `InputError` where there is none."""
    run = RunDir(Path(folder).resolve())
    if not run.path("settings").is_file():
        raise InputError(f"{folder} is not the folder of a run: it has no {FILES['settings']}. Name a run's --out.")
    return run
