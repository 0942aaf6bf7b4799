"""How often each language is drawn: the exponent that lifts small languages (Conneau et al. 2020, section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ccbuild.errors import ConfigError, InputError

__all__ = ["WARN_REPETITION", "PlanRow", "alpha_plan", "plan_rows", "repetition"]

WARN_REPETITION = 100.0
"""Times that a language may be read before a plan says so: what is read more often is learnt by heart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """What a plan does to one language."""

    lang: str
    count: float
    before: float
    """Share of the text."""
    after: float
    """Share of what is drawn."""
    repeated: float
    """Times that its text is read."""
    capped: bool
    """Whether the cap on repetition holds it back."""


def alpha_plan(
    counts: Mapping[str, float],
    alpha: float,
    *,
    cap: float | None = None,
    total: float | None = None,
    sizes: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """The share of each language with text, sorted by code, adding up to 1: p is in proportion to count ** alpha.

    `counts` may be documents, sentences, characters or tokens. At `alpha` 1 the shares are those of the text, at 0 all
    languages are equal; XLM-R takes 0.3 over sentences. Languages without text are left out.

    With a `cap` no language is read more than `cap` times when `total` units are drawn (None: as many as there are);
    what that takes from some is shared out among the others in the same proportion, and so on until it fits. `total`
    is in the unit of `sizes`, which says how much there is to read of each language (None: `counts`).

    Raises `ConfigError` for an alpha outside 0–1 and a cap that does not allow `total`, `InputError` for a negative
    count or no language with text.

    Cost of the choice: what small languages win is repetition; :func:`plan_rows` tells how much.

    >>> alpha_plan({"sw": 1, "en": 16, "xx": 0}, 0.5)
    {'en': 0.8, 'sw': 0.2}
    >>> alpha_plan({"sw": 1, "en": 16}, 0.5, cap=2.125)
    {'en': 0.875, 'sw': 0.125}
    """
    if not 0 <= alpha <= 1:
        raise ConfigError(
            f"alpha is {alpha}; it lies between 0 (all languages equal) and 1 (as the text is). XLM-R: 0.3."
        )
    negative = sorted(code for code, count in counts.items() if count < 0)
    if negative:
        raise InputError(f"The count of {negative[0]} is {counts[negative[0]]}. Count its text again.")
    languages = sorted(code for code, count in counts.items() if count > 0)
    if not languages:
        raise InputError(f"None of {len(counts)} languages has any text. Give at least one language with text.")
    most = max(counts[code] for code in languages)
    weights = {code: (counts[code] / most) ** alpha for code in languages}
    if cap is not None:
        there = counts if sizes is None else sizes
        return _capped({code: there[code] for code in languages}, weights, cap, total)
    return _shared_out(weights, 1.0)


def _shared_out(weights: Mapping[str, float], share: float) -> dict[str, float]:
    """`share` in proportion to the weights."""
    total = math.fsum(weights.values())
    return {code: share * weight / total for code, weight in weights.items()}


def _capped(
    counts: Mapping[str, float], weights: Mapping[str, float], cap: float, total: float | None
) -> dict[str, float]:
    """Shares in proportion to `weights`, none above its part of `cap` readings."""
    there = sum(counts.values())
    drawn = float(there) if total is None else total
    if not cap > 0 or not drawn > 0 or cap * there < drawn * (1 - 1e-12):
        raise ConfigError(
            f"At most {cap:g} readings of {there:,} units are not the {drawn:,.6g} that are to be drawn. Draw fewer, "
            f"or let the cap be {drawn / there:g} or more."
        )
    limits = {code: cap * counts[code] / drawn for code in weights}
    full: dict[str, float] = {}
    while True:
        free = {code: weight for code, weight in weights.items() if code not in full}
        shares = _shared_out(free, 1.0 - math.fsum(full.values())) if free else {}
        over = {code: limits[code] for code, share in shares.items() if share > limits[code] * (1 + 1e-12)}
        if not over:
            return dict(sorted((shares | full).items()))
        full |= over


def plan_rows(
    counts: Mapping[str, float], alpha: float, *, cap: float | None = None, total: float | None = None
) -> list[PlanRow]:
    """:func:`alpha_plan` with what it does to each language, the largest first."""
    plan = alpha_plan(counts, alpha, cap=cap, total=total)
    times = repetition(counts, plan, total)
    there = sum(counts.values())
    rows = [
        PlanRow(
            lang=code,
            count=counts[code],
            before=counts[code] / there,
            after=share,
            repeated=times[code],
            capped=cap is not None and times[code] > cap * (1 - 1e-9),
        )
        for code, share in plan.items()
    ]
    return sorted(rows, key=lambda row: (-row.count, row.lang))


def repetition(counts: Mapping[str, float], plan: Mapping[str, float], total: float | None = None) -> dict[str, float]:
    """Times that each language of `plan` is read, when `total` units are drawn by it; below 1, not all of it is read.

    `total` is in the unit of `counts`; None draws as many as there are. 1.0 everywhere is the text as it stands.

    >>> repetition({"en": 16, "sw": 1}, {"en": 0.75, "sw": 0.25}, total=64)
    {'en': 3.0, 'sw': 16.0}
    """
    absent = sorted(code for code in plan if counts.get(code, 0) <= 0)
    if absent:
        raise InputError(f"The plan draws {absent[0]}, which has no text. Make the plan from these counts.")
    drawn = sum(counts.values()) if total is None else total
    return {code: share * drawn / counts[code] for code, share in sorted(plan.items())}
