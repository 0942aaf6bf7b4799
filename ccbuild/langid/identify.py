"""Language identification in one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

from ccbuild import catalogue
from ccbuild.langid.cascade import Cascade, Identified, Identifier
from ccbuild.langid.model import LanguageModel
from ccbuild.langid.supplement import Supplement
from ccbuild.langid.training import supplement_for
from ccbuild.text.given import given

__all__ = ["answers", "cascade_of", "default_cascade", "identify", "open_model"]

_BATCH = 1024
"""Texts that are asked about in one call."""


def identify(texts: Iterable[str]) -> list[Identified]:
    """The language of each text: its code, score, second best, and which step decided.

    By rules of script and letters, lid.176 and the supplement, as a run of recipe ``cc100`` asks them. lid.176 is
    fetched at the first call (0.9 MB); models stay open. 0 letters give ``und``, menus and code ``zxx``.

    >>> [answer.code for answer in identify(["Habari ya dunia, rafiki yangu mpendwa", "Ελληνικά", "12"])]
    ['sw', 'el', 'und']
    """
    return default_cascade().identify(given(texts, "identify"))


@lru_cache(maxsize=1)
def default_cascade() -> Cascade:
    """The cascade of the catalogue's lid.176 and our supplement; opened once a process."""
    return cascade_of()


def cascade_of(model: str = "lid.176.ftz", supplement: str | Path | None = None) -> Cascade:
    """The cascade of a `model`, as of `open_model`, and a `supplement`; None: the catalogue's to that model."""
    first = open_model(model)
    return Cascade(first, Supplement(supplement or supplement_for(first.sha256, lambda: first)))


def open_model(name: str) -> LanguageModel:
    """A fastText model, by its name in the catalogue or its path."""
    known = catalogue.entries()
    return LanguageModel(catalogue.fetch(name), known[name].sha256) if name in known else LanguageModel(name)


def answers(identifier: Cascade | Identifier, texts: Iterable[str]) -> Iterator[Identified]:
    """The language of each text of a stream, some at a time."""
    rest = iter(texts)
    while batch := list(islice(rest, _BATCH)):
        yield from identifier.identify(batch)
