"""Engines: the same answers in process and on Dask; a task that kills its worker takes nobody along."""

from __future__ import annotations

import os
import time
from pathlib import Path

from cc100 import engines
from cc100.engines import Engine, Working, in_process, local_cluster
from cc100.run import in_work
from ccbuild.errors import EngineError
from ccbuild.progress import asking, phase


def double(n: int) -> int:
    if n < 0:
        raise ValueError(f"{n} is negative")
    return 2 * n


def poison(n: int) -> int:
    if n == 3:
        os._exit(139)  # what a segfault in a native library looks like from outside
    return n


def answers(engine: Engine) -> dict[int, object]:
    return {task: repr(answer) for task, answer in engine(double, [1, -2, 3])}


def test_in_process_and_dask_agree() -> None:
    with local_cluster(2) as engine:
        assert answers(engine) == answers(in_process())
        assert (engine.workers, in_process().workers) == (2, 1)
    assert answers(in_process()) == {1: "2", -2: "ValueError('-2 is negative')", 3: "6"}


def test_a_task_that_kills_its_worker_takes_nobody_along() -> None:
    with local_cluster(2) as engine:
        found = dict(engine(poison, list(range(8))))
    assert {n for n, answer in found.items() if answer == n} == set(range(8)) - {3}
    assert isinstance(found[3], EngineError)
    assert "ended (exit 139) in work that belongs to no single record" in str(found[3])


def slow(path: Path) -> None:
    """Ends when the file is there."""
    with phase("train"):
        while not path.exists():
            time.sleep(0.01)


def heard_of(engine: Engine, path: Path, seconds: float) -> Working:
    """What is told of a unit that has been at work so long."""
    found: list[Working] = []

    def ask() -> None:
        for unit in engine.working():
            if unit.seconds >= seconds and not path.exists():
                found.append(unit)
                path.touch()

    with asking(ask, 0.02):
        assert list(engine(slow, [path])) == [(path, None)]
    assert engine.working() == []
    return found[0]


def test_a_unit_in_work_tells_what_it_is_at(tmp_path: Path) -> None:
    here = heard_of(in_process(), tmp_path / "in process", 0.1)
    assert (here.name, here.what, here.unheard) == ("in process", "train", 0.0)
    with local_cluster(1) as engine:
        there = heard_of(engine, tmp_path / "on dask", engines.FIRST_WORD)
    assert (there.name, there.what) == ("on dask", "train")
    assert 0 <= there.unheard < there.seconds


def test_the_longest_units_are_named() -> None:
    units = [Working(f"u{n}", n, "train" if n > 3 else "") for n in range(7)]
    assert in_work(units) == "u6 6 s (train), u5 5 s (train) and 3 more"
    assert in_work(units[:2]) == ""
    assert in_work([Working("sw", 90, "text", 45)]) == "sw 1 min 30 s (text, silent for 45 s)"
    assert in_work([Working("sw", 90, "", 45)]) == "sw 1 min 30 s (silent for 45 s)"
