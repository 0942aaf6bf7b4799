"""Stages that are not ours: a class named in a recipe, or a function given in Python.

What such a stage does is code of the user's, so a digest of its source stands with everything that it has judged: a
filter that was changed has not been run.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

import cloudpickle

from ccbuild.config import from_mapping
from ccbuild.errors import ConfigError
from ccbuild.records import Document, Dropped
from ccbuild.stages.contract import Stage, StageConfig, each
from ccbuild.stages.source import source_digest

__all__ = ["ENTRY_POINTS", "OWN", "FunctionStage", "GivenInPython", "open_stage", "stage"]

OWN = ("length", "language", "snapshot", "perplexity")
"""The stages of ccbuild itself."""
_MOST_BYTES = 1 << 20
"""Of a pickled function."""
ENTRY_POINTS = "ccbuild.stages"
"""Group under which an installed package offers stages by a short name."""


class FunctionStage:
    """A function of one document as the settings of a stage. Made by :func:`stage`; travels to workers by itself."""

    __slots__ = ("_digest", "_pickled", "name", "needs", "reasons")

    def __init__(self, name: str, meaning: str, keep: Callable[..., Any], needs: tuple[str, ...]) -> None:
        self.name, self.reasons, self.needs = name, {name: meaning}, needs
        if not callable(keep) or isinstance(keep, type):
            raise ConfigError(f"The stage {name} is {keep!r}. It takes a function of one document.")
        try:
            self._pickled = cloudpickle.dumps(keep)
        except Exception as error:  # whatever the user's objects raise
            raise ConfigError(
                f"The stage {name} cannot travel to workers: {error}. Open files and models inside the function."
            ) from error
        if len(self._pickled) > _MOST_BYTES:
            raise ConfigError(
                f"The stage {name} holds {len(self._pickled):,} bytes, which would travel with every unit of work. "
                "Open what it needs inside the function, and keep it open by functools.lru_cache."
            )
        self._digest = source_digest(keep)

    def setting(self) -> dict[str, str]:
        """How it stands in a recipe and in manifests; its code counts by its digest."""
        return {"function": self.name}

    def digest(self) -> str:
        """Of its source as this process has it; `ConfigError` where what it was imported from is not there."""
        keep = self._opened()
        module, name = sys.modules.get(getattr(keep, "__module__", None) or ""), getattr(keep, "__qualname__", "")
        by_name = module is not None and module.__name__ != "__main__" and getattr(module, name, None) is keep
        return source_digest(keep) if by_name else self._digest  # what travelled by value is the same everywhere

    def build(self, models: Path) -> Stage:
        """The stage; needs no model."""
        keep = self._opened()

        def judge(document: Document) -> Document | Dropped:
            answer = keep(document)
            if type(answer).__name__ in ("bool", "bool_"):  # Python's and NumPy's
                return document if answer else Dropped(self.name)
            if isinstance(answer, Document | Dropped):
                return answer
            raise ConfigError(
                f"The stage {self.name} answered {answer!r} to document {document.doc_id}. It returns True to keep a "
                "document, False to drop it, or a Document that takes its place."
            )

        return each(self.name, judge)

    def _opened(self) -> Callable[[Document], Any]:
        try:
            keep: Callable[[Document], Any] = cloudpickle.loads(self._pickled)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"The stage {self.name} cannot be opened here: {error}. Install the module that it comes from wherever "
                "a worker runs, or define the function in the notebook or script itself: then it travels with the run."
            ) from error
        return keep


@dataclasses.dataclass(frozen=True, slots=True)
class GivenInPython:
    """A stage of which a recipe knows the name alone: a run that Python made, continued by the command."""

    name: str

    def build(self, models: Path) -> Stage:
        """Nothing to build: `ConfigError`."""
        raise ConfigError(
            f"refine.stages: the function {self.name} was given in Python. Continue this run there, with stages=[…], "
            "or begin after it: --from publish."
        )


def stage(
    keep: Callable[[Document], Document | Dropped | bool],
    reason: str,
    meaning: str,
    needs: str | Sequence[str] = (),
) -> FunctionStage:
    """A stage from a function that says of a document whether it stays.

    `keep` returns True or False, or a changed `Document`. What it drops is counted under `reason`, a word of letters,
    digits and ``_``, which tables and the report explain by `meaning`. `needs` names fields of a document that must
    be known before, such as ``("lang",)``. The function travels to the workers with all that it refers to in the
    notebook or script; what it imports must be installed there. `ConfigError` for one that cannot travel.

    >>> def calm(document):
    ...     return not document.text.isupper()
    >>> stage(calm, "shouting", "text in capitals").build(Path()).run([Document(paragraphs=("STOP!",))])
    [Dropped(reason='shouting')]
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", reason) or reason in OWN:
        raise ConfigError(
            f"{reason!r} is no reason of yours: write small letters, digits and _, such as too_many_links; "
            f"{', '.join(OWN)} are stages of ccbuild."
        )
    return FunctionStage(reason, meaning, keep, (needs,) if isinstance(needs, str) else tuple(needs))


def open_stage(entry: str | Mapping[str, Any] | FunctionStage) -> StageConfig:
    """The settings of a stage that a recipe names: ``package.module:Class`` or the name of an entry point, by itself
    or as ``use`` in a mapping that holds its settings.

    `ConfigError` says what cannot be imported, is no stage, or has no such setting.
    """
    if isinstance(entry, FunctionStage):
        return entry
    if not isinstance(entry, str | Mapping):
        raise ConfigError(
            f"refine.stages has {entry!r}. Write a name, a mapping with use: package.module:Class, or in Python "
            "ccbuild.stage(function, reason, meaning)."
        )
    settings = {"use": entry} if isinstance(entry, str) else dict(entry)
    if list(settings) == ["function"]:
        return GivenInPython(str(settings["function"]))
    use = settings.pop("use", None)
    if not isinstance(use, str):
        raise ConfigError(f"refine.stages has {entry!r}. Write a name, or a mapping with use: package.module:Class.")
    found = _imported(use)
    if not dataclasses.is_dataclass(found) or not callable(getattr(found, "build", None)):
        raise ConfigError(f"refine.stages: {use} is no stage. A stage is a frozen dataclass with a method build.")
    made: StageConfig = from_mapping(cast(Any, found), settings, f"refine.stages[{use}]")
    return made


def _imported(use: str) -> Any:
    """The object behind ``package.module:Class``, or behind an entry point."""
    if ":" not in use:
        offered = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
        if use not in offered:
            raise ConfigError(
                f"refine.stages: there is no stage {use!r}. ccbuild has {', '.join(OWN)}; installed packages offer "
                f"{', '.join(sorted(offered)) or 'none'}. Name one of your own by package.module:Class."
            )
        use = offered[use].value
    module, _, name = use.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"refine.stages: {use} cannot be imported: {error}. Install its package wherever ccbuild and its workers "
            "run, or put its folder on PYTHONPATH."
        ) from error
