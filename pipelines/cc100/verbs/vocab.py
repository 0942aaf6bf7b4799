"""`vocab`: words counted by language over the whole corpus, then one shared SentencePiece vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cc100.layout import Run
from cc100.verbs.task import Step
from ccbuild.corpus import CorpusLanguage, corpus_language
from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.runner import Timings
from ccbuild.storage import Manifest, Unit, digest_of, facts_of
from ccbuild.vocab.train import build_vocabulary
from ccbuild.vocab.words import count_words, write_counts

__all__ = ["corpus_of", "published", "steps"]


def published(run: Run) -> dict[str, Manifest]:
    """Languages of the corpus that hold documents, by code."""
    return {lang: m for lang, m in run.manifests("publish").items() if m.facts["documents"]}


def corpus_of(run: Run, lang: str) -> CorpusLanguage:
    """A language of the run's corpus, its files checked."""
    manifest = run.manifest("publish", lang)
    if manifest is None:
        raise InputError(f"{run.folder('publish')} holds no {lang}. Run the verb publish first.")
    return corpus_language(run.folder("publish"), manifest)


@dataclass(frozen=True, slots=True)
class CountWords:
    """Words of one language and how often they occur."""

    run: Run
    lang: str

    @property
    def name(self) -> str:
        return self.lang

    def unit(self) -> Unit:
        corpus = digest_of(self.run.manifest("publish", self.lang))
        return self.run.unit("vocab", self.lang, {"corpus": corpus}, "6-vocabulary/words")

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger = Ledger()

        def counted() -> Iterator[str]:
            for paragraph in corpus_of(self.run, self.lang).paragraphs():
                ledger["paragraphs"].keep()
                yield paragraph

        with timings.measure("count"):
            counts = count_words(counted(), self.run.recipe.vocab)
            write_counts(unit.path(f"{self.lang}.parquet"), counts)
        return unit.commit(ledger, facts={"words": len(counts.words)})


@dataclass(frozen=True, slots=True)
class TrainVocabulary:
    """One vocabulary from the counts of all languages."""

    run: Run
    name: str = "vocabulary"

    def _counts(self) -> dict[str, Manifest]:
        wanted = published(self.run)
        return {m.unit: m for m in self.run.manifests("vocab", "words/*.json").values() if m.unit in wanted}

    def unit(self) -> Unit:
        return self.run.unit("vocab", self.name, {lang: digest_of(m) for lang, m in self._counts().items()})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        folder = self.run.folder("vocab") / "words"
        counts = {lang: folder / f"{lang}.parquet" for lang in self._counts()}
        if not counts:
            raise InputError(f"{self.run.folder('publish')} holds no documents, so there is nothing to make words of.")
        with timings.measure("train"):
            made = build_vocabulary(counts, self.run.recipe.vocab)
        for name, content in made.files().items():
            unit.path(name).write_bytes(content)
        ledger = Ledger()
        ledger["languages"].keep(len(counts))
        return unit.commit(ledger, facts=facts_of(made))


def steps(run: Run) -> Iterator[Step]:
    """Counts by language, then the training."""
    yield Step("words", [CountWords(run, lang) for lang in published(run)])
    yield Step("train", [TrainVocabulary(run)])
