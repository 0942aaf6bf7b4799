"""Where everything of a run lies, and the append-only table of its inputs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cc100.recipe import Recipe, verb_settings
from ccbuild.errors import InputError, MismatchError, StorageError
from ccbuild.stages.snapshot import snapshot_of
from ccbuild.storage import (
    Manifest,
    Unit,
    check_same,
    expand,
    open_input,
    read_manifest,
    total_size,
    write_bytes,
    write_json,
)
from ccbuild.warc.records import check_archive

__all__ = ["FOLDERS", "Input", "Run", "Source", "check_sources", "sources_of"]

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


@dataclass(frozen=True, slots=True)
class Source:
    """An archive as the user names it: the name that every output uses, and where it lies now."""

    name: str
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Input:
    """A line of the table of inputs: a shard number is given once and never again."""

    shard: int
    archive: str
    size: int
    snapshot: str | None


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder and its recipe. Travels to workers; opens nothing by itself."""

    root: Path
    recipe: Recipe

    def folder(self, verb: str) -> Path:
        """The folder of a verb."""
        return self.root / FOLDERS[verb]

    def unit(self, verb: str, name: str, inputs: Mapping[str, Any], folder: str | None = None) -> Unit:
        """A unit of work of `verb`."""
        settings = verb_settings(self.recipe, verb)
        return Unit(self.root / folder if folder else self.folder(verb), verb, name, settings=settings, inputs=inputs)

    def manifest(self, verb: str, name: str) -> Manifest | None:
        """The manifest of a unit, when it is done."""
        return read_manifest(self.folder(verb) / f"{name}.json")

    def manifests(self, verb: str, pattern: str = "*.json") -> dict[str, Manifest]:
        """Unit name to manifest of all that is done, sorted by name."""
        found = {}
        for path in sorted(self.folder(verb).glob(pattern)):
            manifest = read_manifest(path)
            if manifest is not None:
                found[manifest.unit] = manifest
        return found

    def check(self, verbs: Iterable[str]) -> None:
        """Refuse settings that differ from those this folder was made with, before anything starts; note new ones."""
        note = self.root / "run.json"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise StorageError(
                f"{self.root} cannot be made a folder: {error.strerror}. Choose another --out."
            ) from error
        made: dict[str, Any] = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
        asked = {verb: verb_settings(self.recipe, verb) for verb in verbs if verb != "train"}
        for verb, settings in asked.items():
            if verb in made:
                check_same(self.folder(verb), made[verb], settings, "--set {key}={made}")
        about = {"recipe.name": self.recipe.name, "recipe.description": self.recipe.description}
        write_json(note, {**made, **asked, "recipe": about})

    def inputs(self) -> list[Input]:
        """The table of inputs as it stands."""
        table = self.root / "inputs.jsonl"
        if not table.exists():
            return []
        return [Input(**json.loads(line)) for line in table.read_text(encoding="utf-8").splitlines()]

    def admit(self, sources: Iterable[Source]) -> list[Input]:
        """Append new archives to the table; refuse one whose size has changed. Returns the whole table."""
        known = self.inputs()
        by_name = {entry.archive: entry for entry in known}
        new = []
        for source in sources:
            entry = by_name.get(source.name)
            if entry is None:
                new.append(source)
            elif entry.size != source.size:
                raise MismatchError(
                    f"{source.path} has {source.size} bytes, {self.root / 'inputs.jsonl'} says {entry.size}: "
                    "another file of that name was read before. Put it back, or start a new --out."
                )
        first = max((entry.shard for entry in known), default=-1) + 1
        for index, source in enumerate(sorted(new, key=lambda s: s.name)):
            shard = first + index // self.recipe.unit.files
            known.append(Input(shard, source.name, source.size, snapshot_of(source.name)))
        text = "".join(
            json.dumps({"shard": e.shard, "archive": e.archive, "size": e.size, "snapshot": e.snapshot}) + "\n"
            for e in known
        )
        write_bytes(self.root / "inputs.jsonl", text.encode())
        return known


def check_sources(sources: Iterable[Source]) -> None:
    """Refuse local files that are no archives, before anything starts; damage is for `extract` to name."""
    for source in sources:
        if "://" not in source.path:
            with open_input(source.path) as stream:
                check_archive(source.path, stream.read(1024))


def shard_name(shard: int) -> str:
    """Name of a shard's unit.

    >>> shard_name(42)
    'part-00042'
    """
    return f"part-{shard:05d}"


def sources_of(patterns: Iterable[str]) -> list[Source]:
    """The archives that globs name. An archive's name is its path below the fixed part of its glob."""
    found: dict[str, Source] = {}
    for pattern in patterns:
        fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
        base = fixed.rsplit("/", 1)[0] + "/" if "/" in fixed else ""
        for path in expand(pattern):
            name = path.removeprefix(base) if path.startswith(base) else path.rsplit("/", 1)[-1]
            if "crawl-data/" in path:  # Common Crawl's own name, wherever it is mirrored
                name = path.split("crawl-data/", 1)[1]
            if name in found and found[name].path != path:
                raise InputError(
                    f"{path} and {found[name].path} would both be called {name}. Use one --input glob above both."
                )
            found[name] = Source(name, path, total_size([path]))
    return sorted(found.values(), key=lambda s: s.name)
