"""One row a language: sizes, shares before and after alpha, pieces per word, cutoffs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from ccbuild.langid.codes import UNSPACED
from ccbuild.rundir import RunDir
from ccbuild.storage import Manifest
from ccbuild.vocab.alpha import alpha_plan
from ccbuild.vocab.words import SPACE

__all__ = ["Language", "languages", "word_count"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language of the corpus; what a verb has not counted yet is None."""

    code: str
    name: str
    documents: int
    paragraphs: int | None
    characters: int
    tokens: int | None
    """Pieces, without the </s> that ends each document."""
    words: int | None
    """Spans between white space, as the vocabulary counted them."""
    before: float | None
    """Share of the corpus, in the unit that alpha counts."""
    after: float | None
    """Share of what the vocabulary is trained on."""
    buckets: Mapping[str, int]
    head: float | None
    middle: float | None

    @property
    def pieces_per_word(self) -> float | None:
        """Fertility: how many pieces a word is cut into. None for scripts without spaces."""
        if not self.tokens or not self.words or self.code in UNSPACED:
            return None
        return self.tokens / self.words

    @property
    def characters_per_piece(self) -> float | None:
        """Comparable between all scripts."""
        return self.characters / self.tokens if self.tokens else None


def languages(run: RunDir, summary: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Language]:
    """Every language of the corpus, the largest first. Reads the manifests and one column of each word table."""
    published, encoded = run.manifests("publish"), run.manifests("encode")
    vocabulary = run.manifest("vocab", "vocabulary")
    before, after = _shares(published, vocabulary, settings)
    rows = []
    for row in summary["languages"]:
        code, cutoffs = row["code"], row["cutoffs"] or {}
        facts = published[code].facts if code in published else {}
        tokens = encoded[code].facts["tokens"] - encoded[code].facts["documents"] if code in encoded else None
        words = word_count(run.folder("words") / f"{code}.parquet") if tokens else None
        rows.append(
            Language(
                code=code,
                name=row["name"],
                documents=row["documents"],
                paragraphs=facts.get("paragraphs"),
                characters=row["characters"],
                tokens=tokens,
                words=words,
                before=before.get(code),
                after=after.get(code),
                buckets=row["buckets"],
                head=cutoffs.get("head"),
                middle=cutoffs.get("middle"),
            )
        )
    return sorted(rows, key=lambda language: (-language.characters, language.code))


def _shares(
    published: Mapping[str, Manifest], vocabulary: Manifest | None, settings: Mapping[str, Any]
) -> tuple[dict[str, float], dict[str, float]]:
    """(share of the corpus, share after alpha) by language; both empty where no alpha is set or there is no text.

    The second is the plan that the vocabulary recorded, where it is made already.
    """
    alpha = settings.get("vocab.alpha")
    unit = "characters" if settings.get("vocab.unit") == "characters" else "paragraphs"
    counts = {code: manifest.facts[unit] for code, manifest in published.items() if manifest.facts["documents"]}
    if alpha is None or not any(counts.values()):
        return {}, {}
    recorded = vocabulary.facts.get("plan") if vocabulary else None
    return alpha_plan(counts, 1.0), dict(recorded or alpha_plan(counts, alpha))


def word_count(path: Path) -> int | None:
    """Words of a table of word counts: those that start with SentencePiece's mark; parts of cut ones do not count."""
    if not path.is_file():
        return None
    total = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(1 << 16, columns=["word", "count"]):
            starts = pc.starts_with(batch["word"], SPACE)
            total += pc.sum(batch["count"].filter(starts)).as_py() or 0
    return total
