"""`prepare`: the language identifier, and a perplexity model for each language that there is something for.

A language takes the first of these that the recipe has for it: a model that exists (``prepare.models``), well-formed
prose (``prepare.prose``), the surest pages of an earlier run (``prepare.bootstrap``). Its manifest says which.
"""

from __future__ import annotations

import hashlib
import shutil
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from cc100.layout import Run
from cc100.verbs.extract import sketch
from cc100.verbs.task import Step
from ccbuild import catalogue
from ccbuild.errors import InputError
from ccbuild.langid.model import LanguageModel
from ccbuild.langid.supplement import Supplement
from ccbuild.langid.training import supplement_for
from ccbuild.langid.votes import vote
from ccbuild.ledger import Ledger
from ccbuild.lm.estimate import estimate_files
from ccbuild.lm.given import GivenModel, find_models
from ccbuild.lm.score import Scorer
from ccbuild.progress import phase
from ccbuild.prose import Prose, find_prose, split_prose
from ccbuild.records import Document
from ccbuild.rundir import RunDir
from ccbuild.runner import Timings
from ccbuild.stages.language import open_cascade
from ccbuild.storage import Manifest, Unit, facts_of, sha256_file
from ccbuild.text.page import page_text

__all__ = ["steps"]


@dataclass(frozen=True, slots=True)
class TakeIdentifier:
    """Copy the identifier and its supplement, so that the run's folder is whole by itself."""

    run: Run
    name: str = "identifier"

    def unit(self) -> Unit:
        return self.run.unit("prepare", self.name, {path.name: sha256_file(path) for path in self._files()})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger = Ledger()
        model, *supplement = self._files()
        for path in (model, *supplement):
            shutil.copyfile(path, unit.path(f"{self.name}/{path.name}"))
            ledger["models"].keep(path.suffix != ".json")
        entry = catalogue.entries().get(self.run.recipe.prepare.identifier)
        facts = {
            "model": f"{self.name}/{model.name}",
            "supplement": f"{self.name}/{supplement[0].name}" if supplement else None,
            "licence": entry.licence if entry else "",
        }
        made = unit.commit(ledger, facts=facts)
        with phase("compile"):
            _compile(self.run)
        return made

    def _files(self) -> list[Path]:
        """The model; with a supplement also that and what is known of it."""
        config = self.run.recipe.prepare
        entry = catalogue.entries().get(config.identifier)
        model = catalogue.fetch(entry) if entry else Path(config.identifier)
        if config.supplement is None:
            return [model]
        if config.supplement == "catalogue":
            sha256 = (entry and entry.sha256) or LanguageModel(model).sha256  # which refuses what is none
            supplement = supplement_for(sha256, partial(LanguageModel, model, sha256))
        else:
            supplement = Path(config.supplement)
            Supplement(supplement)  # refuses what is none
        return [model, supplement, supplement.with_suffix(".json")]


def _compile(run: Run) -> None:
    """Ask of one page what `extract` and `refine` ask of each: Numba compiles that once a machine, for half a minute,
    and now the other workers estimate models."""
    text = "a text of more words than a shingle has, as a page may hold it"
    page_text("response", 200, "text/html", f"<p>{text}".encode(), run.recipe.extract)
    sketch([Document(paragraphs=(text,))], np.zeros(1, np.uint64), run, Timings())
    vote(open_cascade(run.folder("prepare")), [[text]])


@dataclass(frozen=True, slots=True)
class TakeModel:
    """Copy a model that exists."""

    run: Run
    model: GivenModel

    @property
    def name(self) -> str:
        return self.model.lang

    def unit(self) -> Unit:
        return self.run.unit("prepare", self.name, self.model.digests())

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        found = self.model.files()
        order = Scorer(*found).order  # opened in a process of its own first: a damaged one is known now
        for source, end in zip(found, (".sp.model", ".binary"), strict=True):
            shutil.copyfile(source, unit.path(f"{self.name}{end}"))
        ledger = Ledger()
        ledger["models"].keep()
        return unit.commit(ledger, facts={"source": "given", "order": order, "given": self.model.origin})


@dataclass(frozen=True, slots=True)
class CrawlProse:
    """The upper half of a language's documents in an earlier run, by the score of their language."""

    earlier: RunDir
    lang: str
    documents: int
    made: str
    """Digest of the documents of all languages, as their manifests have it."""

    def nbytes(self) -> int:
        """Some two thousand a document."""
        return 2000 * self.documents

    def lines(self) -> Iterator[str]:
        """Their paragraphs."""
        scores = [score for score, _ in self._documents(["lang_score"])]
        least = statistics.median_low(scores) if scores else 0.0
        for score, text in self._documents(["lang_score", "text"]):
            if score >= least:
                yield from text.split("\n")

    def digest(self) -> str:
        """Of the documents of all languages."""
        return self.made

    def _documents(self, columns: list[str]) -> Iterator[tuple[float, str]]:
        for path in self.earlier.files("refine"):
            for row in pq.read_table(path, columns=columns, filters=[("lang", "=", self.lang)]).to_pylist():
                yield row["lang_score"] or 0.0, row.get("text", "")


@dataclass(frozen=True, slots=True)
class EstimateModel:
    """Pieces and an n-gram model of one language, from each distinct line of its text once."""

    run: Run
    text: Prose | CrawlProse

    @property
    def name(self) -> str:
        return self.text.lang

    @property
    def source(self) -> str:
        """What a manifest calls it."""
        return "bootstrap" if isinstance(self.text, CrawlProse) else "prose"

    def unit(self) -> Unit:
        return self.run.unit("prepare", self.name, {self.source: self.text.digest()})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger, config, memory = Ledger(), self.run.recipe.prepare, self.run.recipe.run.memory_megabytes
        pieces, ngrams = (unit.path(f"{self.name}{end}") for end in (".sp.model", ".binary"))
        source: dict[str, Any] = {"source": self.source}
        if isinstance(self.text, Prose) and self.text.files:
            source["licence"] = self.text.files[0].licence
        try:
            with timings.measure("estimate"):
                lines, heldout = split_prose(self.text.lines(), config.heldout)
                made = estimate_files(lines, pieces, ngrams, config.lm, memory_megabytes=memory)
        except InputError as error:  # too little text for a model is a fact of the language, not a failure of the run
            ledger["models"].drop("too_little_prose")
            unit.discard()
            return unit.commit(ledger, facts={**source, "why": str(error)})
        ledger["models"].keep()
        with timings.measure("heldout"):
            score = Scorer(pieces, ngrams, ngrams_sha256=made.binary_sha256).score(heldout)
        facts = {
            "lines": len(heldout),
            "pieces": score.pieces,
            "perplexity": score.perplexity if score.pieces else None,
        }
        return unit.commit(ledger, facts={**source, **facts_of(made), "heldout": facts})


@dataclass(frozen=True, slots=True)
class NoModel:
    """A language that the recipe names and has nothing for: its documents stay, in the bucket ``all``."""

    run: Run
    name: str

    def unit(self) -> Unit:
        return self.run.unit("prepare", self.name, {})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger = Ledger()
        ledger["models"].drop("no_source")
        why = "Neither prepare.models nor prepare.prose nor prepare.bootstrap has anything for it."
        return unit.commit(ledger, facts={"source": "none", "why": why})


def _earlier(root: str | None, run: Run) -> dict[str, CrawlProse]:
    """Code to documents of the run in `root`."""
    if root is None:
        return {}
    folder = Path(root)
    if folder.resolve() == run.root.resolve():
        raise InputError(f"prepare.bootstrap={root} is this run itself. Name an earlier run, and a new --out.")
    earlier = RunDir(folder)
    languages, digest, any_done = Counter[str](), hashlib.sha256(), False
    for entry in earlier.entries("refine"):
        any_done = True
        languages.update(entry.facts["languages"])
        digest.update(entry.stated())
    if not any_done:
        raise InputError(f"prepare.bootstrap={root} has no documents. Name the folder of a run that refine has ended.")
    return {lang: CrawlProse(earlier, lang, n, digest.hexdigest()) for lang, n in languages.items()}


def steps(run: Run) -> Iterator[Step]:
    """One unit for the identifier, one a language, the one with most text first: the last shall not wait for it."""
    config = run.recipe.prepare
    tasks: dict[str, Any] = {} if "all" in config.languages else {lang: NoModel(run, lang) for lang in config.languages}
    found: list[Mapping[str, Any]] = [
        {lang: EstimateModel(run, text) for lang, text in _earlier(config.bootstrap, run).items()},
        {lang: EstimateModel(run, text) for lang, text in find_prose(config.prose, config.languages).items()},
        {lang: TakeModel(run, model) for lang, model in find_models(config.models, config.languages).items()},
    ]
    for each in found:  # the last word is the best source's
        tasks |= {lang: task for lang, task in each.items() if lang and ("all" in config.languages or lang in tasks)}
    nbytes = {lang: task.text.nbytes() if isinstance(task, EstimateModel) else 0 for lang, task in tasks.items()}
    largest = sorted(tasks, key=lambda lang: (-nbytes[lang], lang))
    yield Step("models", [TakeIdentifier(run), *(tasks[lang] for lang in largest)], hashed=True)
