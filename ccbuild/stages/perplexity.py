"""Score documents under the language model of their language."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from ccbuild.errors import ConfigError
from ccbuild.lm.score import Scorer, perplexity
from ccbuild.records import Document, Dropped
from ccbuild.stages.stage import Stage
from ccbuild.storage import digest_of, read_manifest

__all__ = ["PerplexityConfig", "Scorers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerplexityConfig:
    """How perplexity is defined. Nothing is dropped here: `publish` cuts by it."""

    definition: Literal["paragraph", "ccnet"] = "paragraph"
    """`paragraph`: paragraphs scored by themselves, joined by length. `ccnet`: as CCNet's code computes it."""
    model_megabytes: int = 1024
    """Memory for open models in each worker, MiB; the least recently used is closed first. Models of 108 languages from
    8,000 to 3 million characters of prose fit; where a shard's languages do not, each is opened once a shard."""

    def __post_init__(self) -> None:
        """Refuse a pool without room."""
        if self.model_megabytes < 1:
            raise ConfigError(f"perplexity.model_megabytes is {self.model_megabytes}; it takes 1 or more.")

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
                    value = scorer.score(document.paragraphs)
                    if value.pieces:
                        result[index] = dataclasses.replace(
                            document, perplexity=perplexity(value.log10, value.pieces), pieces=value.pieces
                        )
            return result

        return Stage("perplexity", score)


_ARPA_TO_MEMORY = 2
"""Bytes of an ARPA file to one byte of KenLM's probing tables: 69 MB of English make 35."""


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
        size = sum(facts["size"] for facts in manifest.outputs.values()) // _ARPA_TO_MEMORY
        while self._open and size + sum(s for _, s in self._open.values()) > self._limit:
            self._open.popitem(last=False)
        names = sorted(manifest.outputs)
        arpa, pieces = (next(n for n in names if n.endswith(end)) for end in (".arpa", ".sp.model"))
        scorer = Scorer(
            self._models / pieces,
            self._models / arpa,
            definition=self._definition,
            sp_sha256=manifest.outputs[pieces]["sha256"],
            ngrams_sha256=manifest.outputs[arpa]["sha256"],
        )
        self._open[lang] = scorer, size
        return scorer


@lru_cache(maxsize=1)
def _scorers(models: Path, definition: Literal["paragraph", "ccnet"], limit: int, digest: str) -> Scorers:
    """One pool of open models a process, as long as the models stay the same (`digest`)."""
    return Scorers(models, definition, limit)
