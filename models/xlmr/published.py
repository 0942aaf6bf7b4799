"""What others published, and how far from it a result is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from statistics import mean, stdev
from typing import Any

import yaml

from ccbuild.errors import ConfigError

__all__ = ["Published", "compare", "interval", "published"]

_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t at 97.5 % for 1 to 9 degrees of freedom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One row of somebody's table."""

    task: str
    """xnli, ner, qa or glue."""
    setting: str
    """zero-shot, or translate-train-all."""
    model: str
    """For example xlm-r-base."""
    metric: str
    """What the scores are, in per cent."""
    source: str
    """Paper and version, and table; or who said so."""
    average: float
    """As printed."""
    scores: dict[str, float]
    """By language (GLUE: by its task); empty where only the average was found."""


def published(task: str | None = None, model: str | None = None, setting: str | None = None) -> list[Published]:
    """The rows of ``published.yaml`` that match.

    Raises `ConfigError` with the models that there are when none does.
    """
    text = (resources.files("xlmr") / "published.yaml").read_text(encoding="utf-8")
    rows = [Published(**row) for row in yaml.safe_load(text)]
    of_task = [row for row in rows if row.task in (task, row.task if task is None else task)]
    wanted = {"model": model, "setting": setting}
    found = [row for row in of_task if all(value in (None, getattr(row, key)) for key, value in wanted.items())]
    if not found:
        known = sorted({f"{row.model} ({row.setting})" for row in of_task})
        raise ConfigError(f"Nothing is published for {task} of {model}, {setting}. There is: {', '.join(known)}.")
    return found


def interval(values: Sequence[float]) -> float | None:
    """Half the 95 % confidence interval of the mean over seeds, by Student's t; None for a single one.

    >>> round(interval([80.0, 81.0, 82.0]), 2)
    2.48
    """
    if len(values) < 2:
        return None
    t = _STUDENT[len(values) - 2] if len(values) - 2 < len(_STUDENT) else 2.0
    return t * stdev(values) / math.sqrt(len(values))


def compare(ours: Sequence[Mapping[str, float]], theirs: Published) -> list[dict[str, Any]]:
    """A line for each language that both have, and one for the average over all of theirs where we have all.

    `ours` has a mapping of language to score for each seed.
    """
    both = [name for name in theirs.scores if all(name in seed for seed in ours)]
    lines = [_line(name, [seed[name] for seed in ours], theirs.scores[name]) for name in both]
    if theirs.scores and len(lines) == len(theirs.scores):
        lines.append(_line("average", [mean(seed[name] for name in theirs.scores) for seed in ours], theirs.average))
    elif not theirs.scores:
        lines.append(_line("average", [mean(seed.values()) for seed in ours], theirs.average))
    return lines


def _line(name: str, values: Sequence[float], theirs: float) -> dict[str, Any]:
    ours = mean(values)
    return {"language": name, "ours": ours, "theirs": theirs, "difference": ours - theirs, "interval": interval(values)}
