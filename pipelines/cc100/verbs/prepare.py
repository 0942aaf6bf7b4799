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
from ccbuild.lm.score import Scorer
from ccbuild.prose import Prose, find_prose, split_prose
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
    """Pieces and an n-gram model of one language, from each distinct line of its prose once."""

    run: Run
    prose: Prose

    @property
    def name(self) -> str:
        return self.prose.lang

    def unit(self) -> Unit:
        return self.run.unit("prepare", self.name, {"prose": self.prose.digest()})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger, config = Ledger(), self.run.recipe.prepare
        pieces, ngrams = (unit.path(f"{self.name}{end}") for end in (".sp.model", ".binary"))
        try:
            with timings.measure("estimate"):
                lines, heldout = split_prose(self.prose.lines(), config.heldout)
                made = estimate_files(lines, pieces, ngrams, config.lm)
        except InputError as error:  # too little text for a model is a fact of the language, not a failure of the run
            ledger["models"].drop("too_little_prose")
            unit.discard()
            return unit.commit(ledger, facts={"why": str(error)})
        ledger["models"].keep()
        with timings.measure("heldout"):
            score = Scorer(pieces, ngrams, ngrams_sha256=made.binary_sha256).score(heldout)
        facts = {
            "lines": len(heldout),
            "pieces": score.pieces,
            "perplexity": score.perplexity if score.pieces else None,
        }
        return unit.commit(ledger, facts={**facts_of(made), "heldout": facts})


def steps(run: Run) -> Iterator[Step]:
    """One unit for the identifier, one a language."""
    wanted = run.recipe.prepare.languages
    prose = find_prose(run.recipe.prepare.prose)
    chosen = [p for lang, p in prose.items() if "all" in wanted or lang in wanted]
    yield Step("models", [TakeIdentifier(run), *(EstimateModel(run, p) for p in chosen)])
