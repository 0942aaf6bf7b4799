"""What a run lacks: units that failed and are not done since, archives that were admitted and never read.

The failed units of a verb are noted when it ends and stay noted until it is done again, by whichever command. What is
made after a hole is made of the rest, so whoever reads a run is told of it first.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from ccbuild.errors import DataError
from ccbuild.records import without_account
from ccbuild.rundir import FOLDERS, RunDir, shard_name
from ccbuild.storage import write_json

__all__ = ["Missing", "missing_units", "note_failures"]

_PLACES = {verb: place for place, verb in enumerate(FOLDERS)} | {"import": list(FOLDERS).index("publish")}
_BY_SHARD = ("extract", "match", "refine")
"""Verbs whose units are named after shards."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A unit that is not done."""

    verb: str
    unit: str
    error: str
    archives: tuple[str, ...] = ()
    """The archives that it holds, where it is of a shard."""

    @property
    def label(self) -> str:
        """The unit with its archives, without what it died of."""
        return f"{self.verb} {self.unit}" + (f" ({', '.join(self.archives)})" if self.archives else "")

    def __str__(self) -> str:
        return f"{self.label}: {self.error}"


def missing_units(run: RunDir, last: str | None = None) -> list[Missing]:
    """Everything that the run lacks up to the verb `last` (None: any), in the order of the verbs."""
    found, archives = _noted(run), _archives(run)
    known = {each.unit for each in found if each.verb == "extract"} | {path.stem for path in run.made("extract")}
    for unit, names in archives.items():
        if unit not in known:
            why = f"admitted before and never extracted: name {', '.join(names)} with --input again"
            found.append(Missing("extract", unit, why, names))
    found = [each for each in found if last is None or _PLACES[each.verb] <= _PLACES[last]]
    return sorted(found, key=lambda each: (_PLACES[each.verb], each.unit))


def note_failures(run: RunDir, verb: str, errors: Mapping[str, str], tried: Container[str] | None = None) -> None:
    """Note the failed units of a verb that has ended, unit to error, in place of those noted before.

    `tried` are the units that were tried now, where these are not all: what was noted of others stays.
    """
    kept = [m for m in _noted(run) if m.verb != verb or (tried is not None and m.unit not in tried)]
    archives = _archives(run) if errors and verb in _BY_SHARD else {}
    for unit, error in errors.items():
        told = " ".join(map(without_account, error.split(" ")))  # the report is shown to others
        kept.append(Missing(verb, unit, told, archives.get(unit, ())))
    write_json(run.path("failures"), [dataclasses.asdict(each) for each in kept])


def _noted(run: RunDir) -> list[Missing]:
    path = run.path("failures")
    try:
        lines: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return [Missing(**{**line, "archives": tuple(line.get("archives", ()))}) for line in lines]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {error}. Delete it and do every verb of the run again.") from error


def _archives(run: RunDir) -> dict[str, tuple[str, ...]]:
    """Shard, as its units are called, to its archives."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in run.inputs():
        if entry.lang is None:
            name = shard_name(entry.shard)
            found[name] = (*found.get(name, ()), entry.archive)
    return found
