"""How perplexity is spread in a language, and where its cutoffs fall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ccbuild.report.languages import Language
from ccbuild.rundir import RunDir, column_values

__all__ = ["Spread", "spreads"]

BINS = 28
SAMPLE = 100_000
"""Most perplexities read of one language; row groups spread evenly over the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A histogram over the logarithm of perplexity, from its 2.5th to its 97.5th percentile."""

    language: Language
    scored: int
    """Documents read that have a perplexity."""
    median: float
    low: float
    high: float
    counts: tuple[int, ...]
    """Documents in each of `BINS` bins of equal width in the logarithm; what lies outside is in the first and last."""


def spreads(run: RunDir, languages: Sequence[Language]) -> list[Spread]:
    """One for every language with scored documents, in the order of `languages`."""
    return [spread for language in languages if (spread := _spread(run, language)) is not None]


def _spread(run: RunDir, language: Language) -> Spread | None:
    values = column_values(run.published(language.code), "perplexity", SAMPLE)
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return None
    low, median, high = (float(q) for q in np.quantile(values, [0.025, 0.5, 0.975], method="nearest"))
    cuts = [cut for cut in (language.head, language.middle) if cut is not None and cut > 0]
    low, high = min([low, *cuts]), max([high, *cuts])
    if high <= low * 1.05:  # a single document, or many alike: a bin needs some width
        low, high = low / 1.1, high * 1.1
    edges = np.linspace(math.log(low), math.log(high), BINS + 1)
    counts, _ = np.histogram(np.clip(np.log(values), edges[0], edges[-1]), edges)
    return Spread(
        language=language, scored=len(values), median=median, low=low, high=high, counts=tuple(map(int, counts))
    )
