"""What the trainer wrote down: the loss as it fell, and the held-out loss of each language."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ccbuild.rundir import RunDir

__all__ = ["Training", "training"]

POINTS = 400
"""Most points of the curve; of a longer run, means of neighbouring lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A training run, as far as it has come. Losses are nats a masked token."""

    curve: tuple[tuple[float, float], ...]
    """(update, mean loss since the line before)."""
    first: float
    last: float
    steps: int
    tokens: int
    """Positions read."""
    parameters: int | None
    before: Mapping[str, float]
    after: Mapping[str, float]
    """Held-out loss by language, for languages that have both; empty until the run has ended."""

    @property
    def mean_before(self) -> float:
        """Mean over languages."""
        return math.fsum(self.before.values()) / len(self.before)

    @property
    def mean_after(self) -> float:
        """Mean over languages."""
        return math.fsum(self.after.values()) / len(self.after)


def training(run: RunDir) -> Training | None:
    """The training run; None where there is none. A step that was trained twice counts as the last time."""
    lines = {line["step"]: (line["loss"], line["tokens"]) for line in run.lines("metrics")}
    points = [(float(step), lines[step][0]) for step in sorted(lines)]
    points = [(step, loss) for step, loss in points if loss is not None and math.isfinite(loss)]
    if not points:
        return None
    manifest = run.manifest("train", "train")
    facts = manifest.facts if manifest else {}
    before, after = facts.get("validation_before") or {}, facts.get("validation_after") or {}
    both = sorted(before.keys() & after.keys())
    return Training(
        curve=_thinned(points),
        first=points[0][1],
        last=points[-1][1],
        steps=int(points[-1][0]),
        tokens=lines[max(lines)][1],
        parameters=facts.get("parameters"),
        before={code: before[code] for code in both},
        after={code: after[code] for code in both},
    )


def _thinned(points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """At most `POINTS` points: each the mean of as many neighbours, the first and the last as they are."""
    stride = -(-len(points) // POINTS)
    if stride == 1:
        return tuple(points)
    groups = [points[i : i + stride] for i in range(0, len(points), stride)]
    means = [tuple(math.fsum(axis) / len(group) for axis in zip(*group, strict=True)) for group in groups]
    return (points[0], *((x, y) for x, y in means[1:-1]), points[-1])
