"""Engines: the same answers in process and on Dask; a task that kills its worker takes nobody along."""

from __future__ import annotations

import os

from cc100.engines import Engine, in_process, local_cluster


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
    assert type(found[3]).__name__ == "KilledWorker"
