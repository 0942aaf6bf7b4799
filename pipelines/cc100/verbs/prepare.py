"""`prepare`: the language identifier, and a perplexity model for each language that has prose."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from cc100.layout import Run
from cc100.verbs.task import Step
from ccbuild import catalogue
from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.lm.estimate import estimate_files
from ccbuild.prose import Prose, find_prose
from ccbuild.runner import Timings
from ccbuild.storage import Manifest, Unit, facts_of

__all__ = ["steps"]


@dataclass(frozen=True, slots=True)
class TakeIdentifier:
    """Copy the identifier from the catalogue, so that the run's folder is whole by itself."""

    run: Run
    name: str = "identifier"

    def unit(self) -> Unit:
        entry = self.run.recipe.prepare.identifier
        known = catalogue.entries()
        if entry not in known:
            raise InputError(f"prepare.identifier is {entry!r}, which the catalogue does not have.")
        return self.run.unit("prepare", self.name, {entry: known[entry].sha256})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        entry = self.run.recipe.prepare.identifier
        shutil.copyfile(catalogue.fetch(entry), unit.path(entry))
        ledger = Ledger()
        ledger["models"].keep()
        return unit.commit(ledger, facts={"licence": catalogue.entries()[entry].licence})


@dataclass(frozen=True, slots=True)
class EstimateModel:
    """Pieces and a 5-gram model of one language."""

    run: Run
    prose: Prose

    @property
    def name(self) -> str:
        return self.prose.lang

    def unit(self) -> Unit:
        return self.run.unit("prepare", self.name, {"prose": self.prose.digest()})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger = Ledger()
        pieces, ngrams = (unit.path(f"{self.name}{end}") for end in (".sp.model", ".binary"))
        try:
            with timings.measure("estimate"):
                made = estimate_files(self.prose.lines(), pieces, ngrams, self.run.recipe.prepare.lm)
        except InputError as error:  # too little text for a model is a fact of the language, not a failure of the run
            ledger["models"].drop("too_little_prose")
            unit.discard()
            return unit.commit(ledger, facts={"why": str(error)})
        ledger["models"].keep()
        return unit.commit(ledger, facts=facts_of(made))


def steps(run: Run) -> Iterator[Step]:
    """One unit for the identifier, one a language."""
    wanted = run.recipe.prepare.languages
    prose = find_prose(run.recipe.prepare.prose)
    chosen = [p for lang, p in prose.items() if "all" in wanted or lang in wanted]
    yield Step("models", [TakeIdentifier(run), *(EstimateModel(run, p) for p in chosen)])
