"""What a unit of work is to the engines, and what comes back from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from ccbuild.progress import phase
from ccbuild.runner import Timings
from ccbuild.storage import Manifest, Unit

__all__ = ["Result", "Step", "Steps", "Task", "execute"]


class Task(Protocol):
    """One unit of work. Travels to a worker, so it holds settings and paths, never models or text.

    A class variable `by_record` that is true says: its work goes record by record, so that no single one may hold it up
    (`guard.record_seconds`), and says where it is (`ccbuild.progress.counted`).
    """

    @property
    def name(self) -> str:
        """Name of the unit, for logs and errors."""

    def unit(self) -> Unit:
        """The unit with its settings and inputs as they are now."""

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        """Do it and commit."""


@dataclass(frozen=True, slots=True)
class Step:
    """Tasks that may run at once; the next step begins when all of them have ended."""

    label: str
    tasks: list[Any]
    hashed: bool = False
    """Whether a task hashes files from outside the run to say what its unit is made of: that is work for a worker."""


Steps = Callable[..., Iterator[Step]]
"""A verb: yields its steps one after the other, each planned when the one before has ended."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a worker sends back: no text, only accounts."""

    name: str
    fresh: bool
    """False: it was done before, nothing was written."""
    seconds: float
    cpu: dict[str, float] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    """What it decided otherwise than the time before."""
    nbytes: int = 0
    """Bytes of its files."""


def execute(task: Task) -> Result:
    """Do a unit unless it is done."""
    start = time.monotonic()
    timings = Timings()
    with phase("check"):
        unit = task.unit()
        done = unit.done()
    manifest = done
    if manifest is None:
        with unit, phase("write"):
            manifest = task.work(unit, timings)
    nbytes = sum(output["size"] for output in manifest.outputs.values())
    seconds = time.monotonic() - start
    return Result(task.name, done is None, seconds, dict(timings.seconds), dict(timings.changes), nbytes)
