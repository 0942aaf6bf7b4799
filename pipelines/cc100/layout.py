"""Where everything of a run lies, and the append-only table of its inputs."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cc100.recipe import VERBS, Recipe, verb_settings
from ccbuild.config import Settings
from ccbuild.crawl.config import CrawlConfig
from ccbuild.crawl.http import Client
from ccbuild.crawl.inputs import CrawlInput, inputs_of
from ccbuild.errors import ConfigError, DataError, InputError, MismatchError
from ccbuild.lock import Lease
from ccbuild.prose import find_prose
from ccbuild.rundir import Input, RunDir
from ccbuild.stages.snapshot import snapshot_of
from ccbuild.storage import (
    MANIFEST_FORMAT,
    Unit,
    check_format,
    check_same,
    expand,
    fingerprint_file,
    open_input,
    total_size,
    write_bytes,
    write_json,
)
from ccbuild.warc.records import check_archive

__all__ = ["Run", "Source", "check_sources", "sources_of", "text_sources"]


@dataclass(frozen=True, slots=True)
class Source:
    """An archive as the user names it: the name that every output uses, and where it lies now."""

    name: str
    path: str
    size: int | None
    """Bytes; None for archives of a server, which was not asked 90,000 times."""
    digest: str = ""
    """Of size, head and tail; empty for URLs."""
    crawl: CrawlInput | None = None
    """How to open it, when it is no file: an archive of a server, or chosen records of one."""
    lang: str | None = None
    """Of an imported file of text; None for archives."""

    @property
    def facts(self) -> dict[str, Any]:
        """What changes when the input does."""
        return self.crawl.facts if self.crawl else {"size": self.size, "digest": self.digest}


@dataclass(frozen=True, slots=True)
class Run(RunDir):
    """A run's folder and its recipe. Travels to workers; opens nothing by itself."""

    recipe: Recipe
    verify: bool = False
    """Hash what is found done before it is taken as done."""
    lease: Lease | None = None
    """That this process holds the folder; units are committed while it does."""
    retry_quarantined: bool = False
    """Do again the units in which records were set apart, since they ended a process, took too long, or broke off."""
    allow_missing: bool = False
    """Make a verb of the rest where a unit before it failed."""

    def unit(
        self,
        verb: str,
        name: str,
        inputs: Mapping[str, Any],
        place: str | None = None,
        archives: Mapping[str, str] | None = None,
    ) -> Unit:
        """A unit of work of `verb`, in its folder or in another `place`, as `folder` knows them.

        `archives` as of `Unit`.
        """
        return Unit(
            self.folder(place or verb),
            verb,
            name,
            settings=_settings(self.recipe, verb),
            inputs=inputs,
            verify=self.verify,
            retry=self.retry_quarantined,
            lease=self.lease,
            archives=archives,
            notes=self.notes(place or verb),
        )

    def refuse_other_settings(self, verbs: Iterable[str]) -> dict[str, Any]:
        """Raise `MismatchError` where something in this folder was made with other settings; returns all that is noted.

        What `verbs` read was made by the verbs before them, so these are asked too, but for imported text, which none
        of them made. A verb that has made nothing yet holds nobody to the settings of a run that failed.
        """
        made = self._note()
        asked = [verb for verb in verbs if verb != "train"]
        if asked and not any(entry.lang is not None for entry in self.inputs()):
            asked = [verb for verb in VERBS if VERBS.index(verb) <= max(map(VERBS.index, asked))]
        for verb in asked:
            if verb in made and self.has(verb):
                check_same(self.folder(verb), made[verb], verb_settings(self.recipe, verb))
        return made

    def note_settings(self, verbs: Iterable[str], kept: Mapping[str, Any] | None = None) -> None:
        """Note the settings of `verbs`, which :meth:`refuse_other_settings` lets pass; else nothing is written.

        `kept`: what :meth:`kept_settings` said.
        """
        made = {**self.refuse_other_settings(verbs), "kept": dict(kept or {})}
        made = {key: value for key, value in made.items() if value}
        asked = {verb: verb_settings(self.recipe, verb) for verb in verbs if verb != "train"}
        about = {"recipe.name": self.recipe.name, "recipe.description": self.recipe.description}
        write_json(self.path("settings"), {**made, **asked, "recipe": about})

    def kept_settings(self, chosen: Iterable[str] = ()) -> dict[str, Any]:
        """Key to value of what the earlier release that began this run did otherwise than this one does by default: the
        run goes on as it was begun, but for what is `chosen` (``key=value``) now."""
        note, kept = self._note(), dict[str, Any]()
        named = tuple(each.partition("=")[0] for each in chosen)
        for verb in note.keys() & set(VERBS):
            if not self.has(verb):
                continue
            asked = verb_settings(self.recipe, verb)
            later = {key: asked.before[key] for key in asked.keys() - note[verb].keys() if key in asked.before}
            later |= {
                key: note[verb][key] for key in asked.anew & note[verb].keys() if note[verb][key] == asked.before[key]
            }
            again = {key: value for key, value in note.get("kept", {}).items() if key in asked}
            kept |= {key: value for key, value in (later | again).items() if asked[key] != value}
        return {key: kept[key] for key in sorted(kept) if not f"{key}.".startswith(tuple(f"{name}." for name in named))}

    def _note(self) -> dict[str, Any]:
        note = self.path("settings")
        try:
            made: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
            check_format(note, made.pop("format", MANIFEST_FORMAT))
            if not all(isinstance(value, dict) for value in made.values()):
                raise ValueError("its values are no settings")
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (ValueError, AttributeError, TypeError) as error:
            raise DataError(f"{note} is damaged: {error}. Delete it: the manifests say the same.") from error
        return made

    def admit(self, sources: Iterable[Source]) -> list[Input]:
        """Append new archives to the table; refuse one whose size has changed. Returns the whole table."""
        known, sources = self.inputs(), list(sources)
        named = {source.name for source in sources}
        by_name = {entry.archive: entry for entry in known}
        by_digest = {entry.digest: entry.archive for entry in known if entry.digest}
        new = []
        for source in sources:
            entry = by_name.get(source.name)
            if entry is None:
                same = source.name
                if source.digest and source.lang is None:
                    same = by_digest.setdefault(source.digest, source.name)
                if same != source.name:
                    raise InputError(_twin(source, same, same in named))
                new.append(source)
            elif source.size is not None and (entry.size, entry.digest) != (source.size, source.digest):
                how = f"{entry.size} bytes then, {source.size} now"
                if entry.size == source.size:
                    how = f"{entry.size} bytes, but others than then"
                raise MismatchError(
                    f"{source.path} is not the archive that {self.root / 'inputs.jsonl'} calls {source.name} "
                    f"({how}). Put it back, or start a new --out."
                )
        first = max((entry.shard for entry in known), default=-1) + 1
        for index, source in enumerate(sorted(new, key=lambda s: s.name)):
            shard = first + (index // self.recipe.unit.files if source.lang is None else index)
            snapshot = None if source.lang else snapshot_of(source.name)
            known.append(Input(shard, source.name, source.size, snapshot, source.digest, source.lang))
        text = "".join(json.dumps(dataclasses.asdict(entry)) + "\n" for entry in known)
        write_bytes(self.path("inputs"), text.encode())
        return known


def _twin(source: Source, same: str, named: bool) -> str:
    """Why an archive is not admitted whose bytes the run has as `same`, which is `named` beside it, or is not."""
    if named:
        return (
            f"{source.path} holds the same bytes as {same}, which is named too. Leave one of them out: every page of "
            "it would be a duplicate."
        )
    return (
        f"{source.path} holds the same bytes as {same}, which this run has read and which is not named now: it looks "
        f"renamed from {same} to {source.name}. The names of a run are fixed, so put the name back. If it is a copy, "
        f"name {same} in its place."
    )


_asked: dict[str, tuple[Recipe, Settings]] = {}


def _settings(recipe: Recipe, verb: str) -> Settings:
    """`verb_settings`, once a recipe: the same object for each of 90,000 units."""
    if verb not in _asked or _asked[verb][0] is not recipe:
        _asked[verb] = recipe, verb_settings(recipe, verb)
    return _asked[verb][1]


def check_sources(sources: Iterable[Source]) -> None:
    """Refuse local files that are no archives, before anything starts; damage is for `extract` to name."""
    for source in sources:
        if source.size == 0:
            raise InputError(f"{source.path} is empty. Fetch it again, or leave it out.")
        if source.crawl is None and "://" not in source.path:
            with open_input(source.path) as stream:
                check_archive(source.path, stream.read(1 << 16))


def check_snapshots(recipe: Recipe, sources: Iterable[Source]) -> None:
    """Refuse archives of which the recipe would keep no page in any language, before days are spent on them."""
    config = recipe.refine.snapshot
    allowed = {name for names in (config.default, *config.languages.values()) for name in names}
    if not config.default or not allowed:
        return
    others = sorted({name for s in sources if (name := snapshot_of(s.name)) and name not in allowed})
    if others:
        raise ConfigError(
            f"The recipe takes no page from {', '.join(others)}: refine.snapshot names {', '.join(sorted(allowed))}. "
            "To take every snapshot: --set refine.snapshot.default=[] --set refine.snapshot.languages={}."
        )


def sources_of(patterns: Iterable[str], crawl: CrawlConfig | None = None) -> list[Source]:
    """The archives that inputs name: globs, ``SNAPSHOT/wet?sample=10&seed=1``, a selection (``*.parquet``), URLs.

    A file's name is its path below the fixed part of its glob, or Common Crawl's own name where the path has it.
    """
    client = Client(crawl or CrawlConfig())
    found: dict[str, Source] = {}
    places: dict[str, str] = {}
    for pattern in patterns:
        items = inputs_of(client, pattern)
        if items is not None:
            for item in items:
                if item.name in found:
                    raise InputError(f"{item.name} is named twice. Name it by one --input.")
                found[item.name] = Source(item.name, item.location, item.size, "", item)
            continue
        fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
        base = fixed.rsplit("/", 1)[0] + "/" if "/" in fixed else ""
        for path in expand(pattern):
            name = _name(path, base)
            place = path if "://" in path else os.path.realpath(path)
            if name in found and found[name].path != place:
                raise InputError(
                    f"{path} and {found[name].path} would both be called {name}. Use one --input glob above both."
                )
            if places.setdefault(place, name) != name:
                raise InputError(f"{path} is named twice, as {name} and as {places[place]}. Name it by one glob.")
            found[name] = Source(name, place, total_size([path]), fingerprint_file(path))
    return sorted(found.values(), key=lambda s: s.name)


def text_sources(patterns: Iterable[str], lang: str | None) -> list[Source]:
    """Files of text by language: patterns with `{lang}`, or globs whose files are all of the language `lang`.

    A file's name is its path below the fixed part of its pattern.
    """
    found: dict[str, Source] = {}
    for pattern in patterns:
        if lang is None and "{lang}" not in pattern:
            raise InputError(f"{pattern} tells no language. Write {{lang}} where its code stands, or give --lang.")
        fixed = re.split(r"[*?\[{]", pattern, maxsplit=1)[0]
        base = fixed.rsplit("/", 1)[0] + "/" if "/" in fixed else ""
        by_lang = {lang: expand(pattern)} if lang else {code: p.paths for code, p in find_prose(pattern).items()}
        for code, paths in by_lang.items():
            for path in paths:
                name = path.removeprefix(base)
                if name in found:
                    raise InputError(f"{path} and {found[name].path} would both be called {name}. Name them apart.")
                found[name] = Source(
                    name, os.path.realpath(path), total_size([path]), fingerprint_file(path), lang=code
                )
    return sorted(found.values(), key=lambda s: s.name)


def _name(path: str, base: str) -> str:
    """What every output calls an archive: Common Crawl's own name where the path has it, else the path below `base`."""
    if "crawl-data/" in path:
        return path.split("crawl-data/", 1)[1]
    snapshot = snapshot_of(path)
    if snapshot and f"/{snapshot}/" in f"/{path}":
        return f"{snapshot}/" + f"/{path}".split(f"/{snapshot}/", 1)[1]
    return path.removeprefix(base) if path.startswith(base) else path.rsplit("/", 1)[-1]
