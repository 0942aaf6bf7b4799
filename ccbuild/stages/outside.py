"""Stages that are not ours: a class named in a recipe, or a function given in Python.

What such a stage does is code of the user's, so a digest of its source stands with everything that it has judged: a
filter that was changed has not been run.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import inspect
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

import cloudpickle

from ccbuild.config import from_mapping
from ccbuild.errors import ConfigError
from ccbuild.records import Document, Dropped
from ccbuild.stages.contract import Stage, StageConfig, each

__all__ = ["ENTRY_POINTS", "FunctionStage", "open_stage", "source_digest", "stage"]

ENTRY_POINTS = "ccbuild.stages"
"""Group under which an installed package offers stages by a short name."""

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class FunctionStage:
    """A function of one document as the settings of a stage. Made by :func:`stage`; travels to workers by itself."""

    __slots__ = ("_pickled", "digest", "name", "needs", "reasons")

    def __init__(self, name: str, meaning: str, pickled: bytes, digest: str, needs: tuple[str, ...]) -> None:
        self.name, self.reasons, self.needs = name, {name: meaning}, needs
        self.digest, self._pickled = digest, pickled

    def setting(self) -> dict[str, Any]:
        """How it stands in a recipe and in manifests; its code stands there by its digest."""
        return {"function": self.name, "reasons": dict(self.reasons)}

    def build(self, models: Path) -> Stage:
        """The stage; needs no model."""
        try:
            keep = cloudpickle.loads(self._pickled)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"The stage {self.name} cannot be opened here: {error}. Install the module that it comes from wherever "
                "a worker runs, or define the function in the notebook or script itself: then it travels with the run."
            ) from error

        def judge(document: Document) -> Document | Dropped:
            answer = keep(document)
            if answer is True or answer is False:
                return document if answer else Dropped(self.name)
            if isinstance(answer, Document | Dropped):
                return answer
            raise ConfigError(
                f"The stage {self.name} answered {answer!r} to document {document.doc_id}. It returns True to keep a "
                "document, False to drop it, or a Document that takes its place."
            )

        return each(self.name, judge)


def stage(
    keep: Callable[[Document], Document | Dropped | bool], reason: str, meaning: str, needs: tuple[str, ...] = ()
) -> FunctionStage:
    """A stage from a function that says of a document whether it stays.

    `keep` returns True or False, or a changed `Document`. What it drops is counted under `reason`, a word of letters,
    digits and ``_``, which tables and the report explain by `meaning`. `needs` names fields of a document that must
    be known before, such as ``("lang",)``. The function travels to the workers with all that it refers to in the
    notebook or script; what it imports must be installed there. `ConfigError` for one that cannot travel.

    >>> def calm(document):
    ...     return document.text != document.text.upper()
    >>> stage(calm, "shouting", "text in capitals").build(Path()).run([Document(paragraphs=("STOP!",))])
    [Dropped(reason='shouting')]
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", reason):
        raise ConfigError(f"{reason!r} is no reason: write small letters, digits and _, such as too_many_links.")
    try:
        pickled = cloudpickle.dumps(keep)
    except Exception as error:  # whatever the user's objects raise
        raise ConfigError(
            f"The stage {reason} cannot travel to workers: {error}. Open files and models inside the function."
        ) from error
    return FunctionStage(reason, meaning, pickled, source_digest(keep), needs)


def open_stage(entry: str | Mapping[str, Any] | FunctionStage) -> StageConfig:
    """The settings of a stage that a recipe names: ``package.module:Class`` or the name of an entry point, by itself
    or as ``use`` in a mapping that holds its settings.

    `ConfigError` says what cannot be imported, is no stage, or has no such setting.
    """
    if isinstance(entry, FunctionStage):
        return entry
    settings = {"use": entry} if isinstance(entry, str) else dict(entry)
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
            ours = "length, language, snapshot, perplexity"
            raise ConfigError(
                f"refine.stages: there is no stage {use!r}. ccbuild has {ours}; installed packages offer "
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


def source_digest(of: StageConfig | Callable[..., Any]) -> str:
    """SHA-256 of the code behind a stage: of the module that a class or function comes from, and the values that a
    function was made with.

    Of what a notebook or a script itself defines, of the function, the functions that it calls there, and the values
    that it refers to, by their `repr`. Once a process for each class or function, as it was imported.
    """
    return (
        of.digest
        if isinstance(of, FunctionStage)
        else _digest(of if isinstance(of, Hashable) and callable(of) else type(of))
    )


@functools.lru_cache(maxsize=256)
def _digest(of: Hashable) -> str:
    return hashlib.sha256("\0".join(_top(of)).encode("utf-8", "surrogatepass")).hexdigest()


def _top(of: Any) -> Iterator[str]:
    """What a stage itself depends on: the whole module that it comes from, and what it was made with."""
    seen: set[int] = set()
    while isinstance(of, functools.partial):
        yield from (part for held in (of.args, of.keywords) for part in _parts(held, seen))
        of = of.func
    module = inspect.getmodule(of) if isinstance(of, type | FunctionType) else None
    source = inspect.getsourcefile(module) if module and module.__name__ != "__main__" else None
    if source is None:
        yield from _parts(of, seen)
        return
    yield hashlib.sha256(Path(source).read_bytes()).hexdigest()
    yield of.__qualname__
    if isinstance(of, FunctionType):
        yield from _held(of, seen)


def _parts(value: Any, seen: set[int]) -> Iterator[str]:
    """What the behaviour of a value of the user's depends on, as text that is the same in every process."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, functools.partial):
        yield from (part for held in (value.func, value.args, value.keywords) for part in _parts(held, seen))
    elif isinstance(value, ModuleType) or (callable(value) and getattr(value, "__module__", None) != "__main__"):
        yield getattr(value, "__qualname__", getattr(value, "__name__", type(value).__name__))
    elif isinstance(value, FunctionType):
        yield _source(value)
        names = sorted(set(_names(value.__code__)) & value.__globals__.keys())
        yield from (part for name in names for part in (name, *_parts(value.__globals__[name], seen)))
        yield from _held(value, seen)
    elif isinstance(value, type):
        yield _source(value)
    elif isinstance(value, set | frozenset):
        yield from sorted(map(repr, value))
    elif isinstance(value, re.Pattern):
        yield f"{value.pattern!r} {value.flags}"
    else:
        yield _ADDRESS.sub("", repr(value))


def _held(function: FunctionType, seen: set[int]) -> Iterator[str]:
    """The values that a function was made with."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    yield from (part for held in (*cells, *defaults) for part in _parts(held, seen))


def _names(code: CodeType) -> Iterator[str]:
    """Names that code refers to, functions inside it counted in."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _source(of: Any) -> str:
    try:
        return inspect.getsource(of)
    except (OSError, TypeError):  # typed at a prompt: there is no text, but there is the code
        code = getattr(of, "__code__", None)
        return _code(code) if code else repr(of)


def _code(code: CodeType) -> str:
    inner = [_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {inner} {code.co_names}"
