"""How often each language is drawn: the exponent that lifts small languages (Conneau et al. 2020, section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ccbuild.errors import ConfigError, InputError

__all__ = ["alpha_plan", "repetition"]


def alpha_plan(counts: Mapping[str, int], alpha: float) -> dict[str, float]:
    """The share of each language with text, sorted by code, adding up to 1: p is in proportion to count ** alpha.

    `counts` may be documents, sentences, characters or tokens. At `alpha` 1 the shares are those of the text, at 0 all
    languages are equal; XLM-R takes 0.3 over sentences. Languages without text are left out.

    Raises `ConfigError` for an alpha outside 0–1, `InputError` for a negative count or no language with text.

    Cost of the choice: what small languages win is repetition; :func:`repetition` tells how much.

    >>> alpha_plan({"sw": 1, "en": 16, "xx": 0}, 0.5)
    {'en': 0.8, 'sw': 0.2}
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
    total = math.fsum(weights.values())
    return {code: weight / total for code, weight in weights.items()}


def repetition(counts: Mapping[str, int], plan: Mapping[str, float], total: float | None = None) -> dict[str, float]:
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
