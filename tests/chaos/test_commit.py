"""A kill before every single thing that a commit does to the disk, and a disk that refuses the n-th write of a verb."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cc100.apart import GuardConfig
from cc100.build import Plan, planned
from cc100.engines import beside, in_process
from cc100.recipe import VERBS
from cc100.run import run_verb
from cc100.verbs.task import Result, execute
from ccbuild.errors import StorageError
from ccbuild.progress import silent
from ccbuild.rundir import FOLDERS
from tests.chaos.disk import Disk
from tests.chaos.runs import SETTINGS, Alone, pages, tree
from tests.conftest import cached
from tests.folder import write_archive

DISTURBED = tuple(verb for verb in VERBS if verb != "train")


COMMITS = """
import os, sys
from pathlib import Path
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit
from tests.chaos.disk import Disk

def commit(folder, version, shards):
    with Unit(folder, "count", "unit", settings={"n": 1}, inputs={"version": version}) as unit:
        for shard in range(shards):
            unit.path(f"unit/{shard}.txt").write_text(f"{version} of {shard}")
        unit.path("../9-beside/unit.txt").write_text(version)
        unit.commit(Ledger())

def whole(folder, version):
    with Unit(folder, "count", "unit", settings={"n": 1}, inputs={"version": version}) as unit:
        return unit.done() is not None

root, points = Path(sys.argv[1]), []
for nth in range(1, 200):
    folder = root / str(nth) / "8-unit"
    commit(folder, "old", 3)
    child = os.fork()
    if not child:
        disk = Disk(folder.parent, nth, lambda what: os._exit(9))
        with disk.armed():
            commit(folder, "new", 2)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    states = [version for version in ("old", "new") if whole(folder, version)]
    assert len(states) <= 1, (nth, states)
    points.append((states or ["none"])[0])
    if ended == 0:
        break
    commit(folder, "new", 2)
    assert whole(folder, "new")
    files = [path for path in folder.parent.rglob("*") if path.is_file() and path.name[0] != "."]
    left = sorted(str(path.relative_to(folder.parent)) for path in files)
    assert left == ["8-unit/unit.json", "8-unit/unit/0.txt", "8-unit/unit/1.txt", "9-beside/unit.txt"], (nth, left)
print(" ".join(points))
"""


def test_a_kill_at_every_point_of_a_commit(tmp_path: Path) -> None:
    """The unit is what it was, or not done, or what it became: never a mixture; done again, it is what it becomes."""
    done = subprocess.run([sys.executable, "-c", COMMITS, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    states = done.stdout.split()
    assert states == sorted(states, key=("old", "none", "new").index)
    assert {state: states.count(state) > 1 for state in ("old", "none", "new")} == {
        "old": True,
        "none": True,
        "new": True,
    }
    assert len(states) > 20


@contextlib.contextmanager
def copy_without(verb: str, runs: dict[str, Path], folder: Path) -> Iterator[tuple[Plan, Path]]:
    """A plan of the whole run, of which all from `verb` on is still to be done."""
    shutil.copytree(runs["all"], folder / "it")
    out = folder / "it" / "run"
    for later in list(FOLDERS)[list(FOLDERS).index(verb) :]:
        shutil.rmtree(out / FOLDERS[later], ignore_errors=True)
    archive = runs["all"] / "crawl" / "a.warc.gz"
    yield planned("cc100", str(archive), out, first="prepare", until="encode", settings=SETTINGS), out
    shutil.rmtree(folder / "it")


def go_on(plan: Plan, verb: str) -> None:
    """All from `verb` on, undisturbed."""
    for each in DISTURBED[DISTURBED.index(verb) :]:
        assert run_verb(plan.run, each, in_process(), silent, plan.sources, plan.run.inputs()).failures == []


def refuse(what: str) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), what)


def chosen(events: int, pytestconfig: pytest.Config, verb: str, default: int) -> Sequence[int]:
    """Which of the events of a verb are disturbed: all with --full, else some by the seed."""
    every = range(1, events + 1)
    if pytestconfig.getoption("--full"):
        return every
    rng = random.Random(f"{pytestconfig.getoption('--seed')} {verb}")
    return sorted(rng.sample(every, min(default, events)))


@pytest.mark.parametrize("verb", DISTURBED)
def test_a_disk_that_refuses_the_nth_write(
    verb: str, runs: dict[str, Path], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """It is told as a full disk, nothing half-written is taken as done, and the same command later gives the same."""
    expected = tree(runs["all"] / "run")
    with copy_without(verb, runs, tmp_path) as (plan, out):
        disk = Disk(out, 0, refuse)
        with disk.armed():
            run_verb(plan.run, verb, in_process(), silent, plan.sources, plan.run.inputs())
        events = disk.count
        assert events > 0
        go_on(plan, verb)
        assert tree(out) == expected
    for nth in chosen(events, pytestconfig, verb, 2):
        with copy_without(verb, runs, tmp_path) as (plan, out):
            with contextlib.suppress(StorageError), Disk(out, nth, refuse).armed():
                done = run_verb(plan.run, verb, in_process(), silent, plan.sources, plan.run.inputs())
                assert done.failures == [], f"event {nth}: a full disk is no failure of a unit"
            go_on(plan, verb)
            assert tree(out) == expected, nth
            assert not [path for path in out.rglob(".*") if path.name.endswith((".tmp", ".scratch"))], nth


def killed(root: Path, nth: int, task: Any) -> Result:
    """The unit, in a process that is killed before its n-th event."""
    with Disk(root, nth, lambda what: os.kill(os.getpid(), 9)).armed():
        return execute(task)


class Killing(Alone):
    """An engine whose process is killed before the n-th thing that a unit does to the disk, whenever it tries."""

    def __init__(self, root: Path, nth: int) -> None:
        self._root, self._nth = root, nth

    def __call__(self, work: Callable[[Any], Any], tasks: Sequence[Any]) -> Generator[tuple[Any, Any], None, None]:
        with beside(GuardConfig()) as engine:
            yield from engine(partial(killed, self._root, self._nth), tasks)


@pytest.mark.full
@pytest.mark.parametrize("verb", DISTURBED)
def test_a_unit_that_is_killed_at_the_nth_write(
    verb: str, runs: dict[str, Path], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    expected = tree(runs["all"] / "run")
    for nth in chosen(4, pytestconfig, f"{verb} killed", 1):
        with copy_without(verb, runs, tmp_path) as (plan, out):
            done = run_verb(plan.run, verb, Killing(out, nth), silent, plan.sources, plan.run.inputs())
            assert done.failures, nth  # whenever it was tried, it was killed
            go_on(plan, verb)
            assert tree(out) == expected, nth


class Shuffled(Alone):
    """An engine that does the units of a step in a random order, and answers in another."""

    def __init__(self, seed: int) -> None:
        self._rng, self._engine = random.Random(seed), in_process()

    def __call__(self, work: Callable[[Any], Any], tasks: Sequence[Any]) -> Generator[tuple[Any, Any], None, None]:
        answers = list(self._engine(work, self._rng.sample(list(tasks), len(tasks))))
        yield from self._rng.sample(answers, len(answers))


def test_the_order_of_units_is_no_matter(tmp_path: Path) -> None:
    cached("lid.176.ftz")
    for number in range(4):
        write_archive(tmp_path / "crawl" / f"{number}.warc.gz", tuple(random.Random(number).sample(pages(), 8)))
    trees = []
    for name, engine in (("in order", in_process()), ("shuffled", Shuffled(1))):
        chosen = {"first": "prepare", "until": "encode", "settings": SETTINGS}
        plan = planned("cc100", str(tmp_path / "crawl" / "*.warc.gz"), tmp_path / name, **chosen)  # type: ignore[arg-type]
        inputs = plan.run.admit(plan.sources)
        for verb in DISTURBED:
            assert run_verb(plan.run, verb, engine, silent, plan.sources, inputs).failures == []
        trees.append(tree(tmp_path / name))
    assert trees[0] == trees[1]
