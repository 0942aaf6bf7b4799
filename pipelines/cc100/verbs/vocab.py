"""`vocab`: words counted by language over the whole corpus, then one shared SentencePiece vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cc100.layout import Run
from cc100.verbs.task import Step
from ccbuild.corpus import CorpusLanguage, corpus_language
from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.runner import Timings
from ccbuild.storage import Manifest, Unit, digest_of
from ccbuild.vocab.train import commit_vocabulary
from ccbuild.vocab.words import count_words, merge_counts

__all__ = ["corpus_of", "largest_first", "published", "shard_of", "shard_output", "steps"]


def published(run: Run) -> dict[str, Manifest]:
    """Languages of the corpus that hold documents, by code."""
    return {lang: m for lang, m in run.manifests("publish").items() if m.facts["documents"]}


def largest_first(languages: dict[str, Manifest]) -> list[str]:
    """The codes by the characters of their corpora."""
    return sorted(languages, key=lambda lang: (-languages[lang].facts["characters"], lang))


def corpus_of(run: Run, lang: str) -> CorpusLanguage:
    """A language of the run's corpus, its files checked."""
    manifest = run.manifest("publish", lang)
    if manifest is None:
        raise InputError(f"{run.folder('publish')} holds no {lang}. Run the verb publish first.")
    return corpus_language(run.folder("publish"), manifest)


def shard_of(lang: str, shard: int) -> str:
    """The unit of one shard of a language that has several."""
    return f"{lang}-{shard:05d}"


def shard_output(corpus: Manifest, shard: int) -> Mapping[str, Any] | None:
    """What the manifest of a language says of one shard."""
    return corpus.outputs.get(f"{corpus.unit}/{shard_of(corpus.unit, shard)}.parquet")


@dataclass(frozen=True, slots=True)
class CountShard:
    """Words of one shard of a language that has several."""

    run: Run
    lang: str
    shard: int
    by_record: ClassVar[bool] = True
    inputs: Mapping[str, Any]

    @property
    def name(self) -> str:
        return shard_of(self.lang, self.shard)

    def unit(self) -> Unit:
        return self.run.unit("vocab", self.name, self.inputs, "word parts")

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger = Ledger()
        with timings.measure("count"):
            lost = _count(self.run, self.lang, [self.shard], unit, self.name, ledger)
        return unit.commit(ledger, facts={"set_apart": lost} if lost else {})


@dataclass(frozen=True, slots=True)
class CountWords:
    """Words of one language and how often they occur: counted here, or merged from the counts of its shards."""

    run: Run
    lang: str
    by_record: ClassVar[bool] = True
    inputs: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.lang

    def unit(self) -> Unit:
        return self.run.unit("vocab", self.lang, self.inputs, "words")

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger, shards, lost = Ledger(), len(corpus_of(self.run, self.lang).paths), list[list[str]]()
        with timings.measure("count"):
            if shards == 1:
                lost = _count(self.run, self.lang, None, unit, self.lang, ledger)
            else:
                parts = [shard_of(self.lang, shard) for shard in range(shards)]
                for name in parts:
                    made = self.run.manifest("word parts", name)
                    if made is None:
                        raise InputError(f"{name} is not counted. Run the same command again.")
                    ledger["paragraphs"].keep(made.ledger["paragraphs"].seen)
                    lost += made.facts.get("set_apart", ())
                merge_counts(
                    [self.run.folder("word parts") / f"{name}.parquet" for name in parts],
                    unit.path(f"{self.lang}.parquet"),
                )
                for _, cause in lost:
                    ledger["paragraphs"].take_back(cause)
        return unit.commit(ledger, facts={"set_apart": lost} if lost else {})


def _count(run: Run, lang: str, shards: list[int] | None, unit: Unit, name: str, ledger: Ledger) -> list[list[str]]:
    """Number and cause of each paragraph that was set apart."""

    def counted() -> Iterator[str]:
        for paragraph in corpus_of(run, lang).paragraphs(shards):
            ledger["paragraphs"].keep()
            yield paragraph

    recipe = run.recipe
    lost = count_words(counted(), recipe.vocab, unit.path(f"{name}.parquet"), unit.scratch, recipe.run.spare_bytes)
    for _, cause in lost:
        ledger["paragraphs"].take_back(cause)
    return lost


@dataclass(frozen=True, slots=True)
class TrainVocabulary:
    """One vocabulary from the counts of all languages."""

    run: Run
    inputs: Mapping[str, Any]
    """Language to digest of its words."""
    name: str = "vocabulary"

    def unit(self) -> Unit:
        return self.run.unit("vocab", self.name, self.inputs)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        folder = self.run.folder("words")
        counts = {lang: folder / f"{lang}.parquet" for lang in self.inputs}
        failed = sorted(published(self.run).keys() - counts.keys())
        if failed and not self.run.allow_missing:
            raise InputError(f"The words of {', '.join(failed)} are not counted. Run the same command again.")
        if not counts:
            raise InputError(f"{self.run.folder('publish')} holds no documents, so there is nothing to make words of.")
        with timings.measure("train"):
            return commit_vocabulary(unit, counts, self.run.recipe.vocab)


def steps(run: Run) -> Iterator[Step]:
    """Counts of shards, where a language has several; counts by language, the largest first; the training."""
    languages = published(run)
    largest = largest_first(languages)
    shards = {lang: len(languages[lang].facts["shards"]) for lang in largest}
    several = [
        CountShard(run, lang, shard, {"corpus": shard_output(languages[lang], shard)})
        for lang, n in shards.items()
        if n > 1
        for shard in range(n)
    ]
    yield Step("shards", several)
    yield Step("words", [CountWords(run, lang, {"corpus": digest_of(languages[lang])}) for lang in largest])
    words = {unit: digest_of(m) for unit, m in run.manifests("words").items() if unit in languages}
    yield Step("train", [TrainVocabulary(run, words)])
