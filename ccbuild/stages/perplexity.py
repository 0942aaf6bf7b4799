"""Score documents under the language model of their language."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

from ccbuild.errors import ConfigError
from ccbuild.lm.score import Score, Scorer, perplexity, sample
from ccbuild.records import Document, Dropped
from ccbuild.stages.contract import Stage
from ccbuild.storage import digest_of, read_manifest

__all__ = ["PerplexityConfig", "Scorers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerplexityConfig:
    """How perplexity is defined. Nothing is dropped here: `publish` cuts by it."""

    definition: Literal["paragraph", "ccnet"] = "paragraph"
    """`paragraph`: paragraphs scored by themselves, joined by length. `ccnet`: as CCNet's code computes it."""
    model_megabytes: int = 1024
    """Size of the models that a worker keeps open, MiB; the least recently used is closed first. They are mapped: the
    workers of a machine share their memory, and only what is used is in it. Models of 108 languages from 8,000 to 3
    million characters of prose fit; where a shard's languages do not, each is opened once a shard."""

    share: float = 1.0
    """Share of a long document's paragraphs that is scored, 0.05 to 1. At 0.25 documents of 10,000 characters and more
    cost about a third; tests/bench/perplexity.py measures the error."""
    share_from_chars: int = 10_000
    """Shortest document, in characters, of which only a `share` is scored."""
    seed: int = 0
    """Which paragraphs these are: the same for the same text and seed."""

    needs: ClassVar[tuple[str, ...]] = ("lang",)
    """Fields of a document that a stage before must have filled in."""
    gives: ClassVar[tuple[str, ...]] = ("perplexity", "pieces")
    """Fields of a document that this stage fills in."""

    def __post_init__(self) -> None:
        """Refuse a pool without room and shares that are none."""
        if self.model_megabytes < 1:
            raise ConfigError(f"perplexity.model_megabytes is {self.model_megabytes}; it takes 1 or more.")
        if not 0.05 <= self.share <= 1:
            raise ConfigError(f"perplexity.share is {self.share}; it lies between 0.05 and 1.")
        if self.share_from_chars < 0 or not 0 <= self.seed < 1 << 32:
            raise ConfigError("perplexity.share_from_chars is 0 or more, perplexity.seed 0 to 2**32 - 1.")

    def build(self, models: Path) -> Stage:
        """The stage; opens the models of the folder `models` when a language first needs one."""
        digest = digest_of(*(read_manifest(path) for path in sorted(models.glob("*.json")))) or ""
        scorers = _scorers(models, self.definition, self.model_megabytes << 20, digest)

        def score(documents: Sequence[Document]) -> list[Document | Dropped]:
            result: list[Document | Dropped] = list(documents)
            by_language: dict[str, list[int]] = {}
            for index, document in enumerate(documents):
                by_language.setdefault(document.lang or "", []).append(index)
            for lang in sorted(by_language):
                scorer = scorers.get(lang)
                if scorer is None:
                    continue
                for index in by_language[lang]:
                    document = documents[index]
                    value = self._score(scorer, document.paragraphs)
                    if value.pieces:
                        result[index] = dataclasses.replace(
                            document, perplexity=perplexity(value.log10, value.pieces), pieces=value.pieces
                        )
            return result

        return Stage("perplexity", score)

    def _score(self, scorer: Scorer, paragraphs: Sequence[str]) -> Score:
        """The score of a document, or of its sample, with the length that the whole would have."""
        if self.share == 1.0:
            return scorer.score(paragraphs)
        scored = sample(paragraphs, self.share, self.share_from_chars, self.seed)
        value = scorer.score(scored)
        times = sum(map(len, paragraphs)) / max(sum(map(len, scored)), 1)
        return Score(value.log10 * times, round(value.pieces * times)) if len(scored) < len(paragraphs) else value


class Scorers:
    """The models of a folder by language, opened when asked for, verified, closed when memory is short."""

    def __init__(self, models: Path, definition: Literal["paragraph", "ccnet"], limit: int) -> None:
        self._models, self._definition, self._limit = models, definition, limit
        self._open: OrderedDict[str, tuple[Scorer, int]] = OrderedDict()

    def get(self, lang: str) -> Scorer | None:
        """The scorer of `lang`; None when it has no model."""
        if lang in self._open:
            self._open.move_to_end(lang)
            return self._open[lang][0]
        manifest = read_manifest(self._models / f"{lang}.json") if lang else None
        if manifest is None or not manifest.outputs:
            return None
        size = sum(facts["size"] for facts in manifest.outputs.values())
        while self._open and size + sum(s for _, s in self._open.values()) > self._limit:
            self._open.popitem(last=False)
        names = sorted(manifest.outputs)
        ngrams, pieces = (next(n for n in names if n.endswith(end)) for end in (".binary", ".sp.model"))
        scorer = Scorer(
            self._models / pieces,
            self._models / ngrams,
            definition=self._definition,
            sp_sha256=manifest.outputs[pieces]["sha256"],
            ngrams_sha256=manifest.outputs[ngrams]["sha256"],
        )
        self._open[lang] = scorer, size
        return scorer


@lru_cache(maxsize=1)
def _scorers(models: Path, definition: Literal["paragraph", "ccnet"], limit: int, digest: str) -> Scorers:
    """One pool of open models a process, as long as the models stay the same (`digest`)."""
    return Scorers(models, definition, limit)
