"""The engines: what a record, a worker, a scheduler may do to a run, and what a person is told of it."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from unittest import mock

import psutil
import pytest
from distributed import Client, LocalCluster, Status, Worker

from cc100 import apart, crew, engines
from cc100.apart import GuardConfig, carefully
from cc100.engines import Engine, beside, local_cluster, on_dask, remote_cluster
from cc100.layout import Run
from cc100.program import Program, program
from cc100.recipe import load_recipe
from cc100.run import run_steps
from cc100.verbs.task import Step
from ccbuild.border import Journal, survivors
from ccbuild.errors import EngineError, MismatchError, StorageError
from ccbuild.progress import silent
from tests.chaos.poison import HARM, Busy, Deaf, Unit, harm, work

T = TypeVar("T")
SHORT = GuardConfig(record_seconds=2, memory_megabytes=2000, worker_seconds=6)


def poisoned() -> list[Unit]:
    """A unit for each kind of harm, among others."""
    return [Unit("first"), *(Unit(kind, kind) for kind in HARM), Unit("last")]


def answers(engine: Engine, units: list[Unit]) -> dict[str, object]:
    return {unit.name: answer for unit, answer in engine(work, units)}


EXPECTED = {"first": (20, []), "last": (20, []), **{kind: (19, [(7, cause)]) for kind, cause in HARM.items()}}


def test_a_record_costs_itself_in_a_process_beside() -> None:
    with beside(SHORT) as engine:
        assert answers(engine, poisoned()) == EXPECTED


def test_a_record_costs_itself_on_workers(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("first", "segfault", "exception", "last")  # the others differ in the process beside alone
    with local_cluster(2, SHORT, lambda line: None) as engine:
        found = answers(engine, [unit for unit in poisoned() if unit.name in names])
    assert found == {name: EXPECTED[name] for name in names}
    assert "Traceback" not in capsys.readouterr().err


def test_a_unit_that_stands_still_is_taken_from_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LOOK_SECONDS", 0.5)
    told: list[str] = []
    with local_cluster(1, SHORT, told.append) as engine:
        found = answers(engine, [Unit("native loop", "native loop"), Unit("last")])
    assert found == {name: EXPECTED[name] for name in ("native loop", "last")}
    assert "native loop has stood still for 2 s on tcp://" in told[0]


def test_a_process_that_ends_outside_of_a_record_fails_its_unit() -> None:
    with beside(SHORT) as engine:
        (found,) = (answer for _, answer in engine(_end, [Unit("x")]))
    assert isinstance(found, EngineError)
    assert "ended (exit 3) in work that belongs to no single record" in str(found)
    assert str(found).endswith("The last that it wrote was: no room for a thread")


def _end(unit: Unit) -> None:
    os.write(2, b"\nno room for a thread\n\n")
    os._exit(3)


def test_an_error_that_cannot_travel_fails_its_unit() -> None:
    with beside(SHORT) as engine:
        found = {unit.name: answer for unit, answer in engine(_harmed, [Unit("odd", "odd"), Unit("next")])}
    assert "OddError('1 and 2') cannot be sent back" in str(found["odd"])
    assert found["next"] is None


def _harmed(unit: Unit) -> None:
    harm(unit.kind)


def test_a_process_that_is_killed_by_chance_costs_no_record(tmp_path: Path) -> None:
    def once(unit: Unit) -> int:
        def judge(records: Sequence[int]) -> int:
            if 7 in records and not (tmp_path / "killed").exists():
                (tmp_path / "killed").touch()
                harm("kill")
            return len(records)

        return survivors("judge", range(20), str, judge)[0]

    assert carefully(once, Unit("x"), SHORT) == 20
    assert carefully(work, Unit("x", "kill"), SHORT) == (19, [(7, "killed:judge:SIGKILL")])


def test_a_unit_that_stands_still_between_records_ends(tmp_path: Path) -> None:
    def stuck(unit: Busy) -> None:
        while not unit.path.exists():
            time.sleep(0.1)

    found = carefully(stuck, Busy(tmp_path / "never"), replace(SHORT, record_seconds=0.3))
    assert "stood still in work that belongs to no single record" in str(found)


def test_no_module_of_the_folder_that_a_person_stands_in_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('not this one')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with beside(SHORT) as engine:
        assert answers(engine, [Unit("x")]) == {"x": (20, [])}


@pytest.mark.parametrize("name", ["a\nb.warc.gz", "a" * 5000 + ".warc.gz", "\udcff.warc.gz", "語" * 1300])
def test_a_record_of_an_archive_of_any_name_is_found(name: str) -> None:
    def judged(unit: Unit) -> object:
        def judge(records: Sequence[int]) -> int:
            if 7 in records:
                harm("exit")
            return len(records)

        return survivors("judge", range(20), lambda number: f"{name} at {number}", judge)

    assert carefully(judged, Unit("x"), SHORT) == (
        19,
        [n for n in range(20) if n != 7],
        [(7, "killed:judge:exit 139")],
    )


def test_a_full_disk_under_the_journal_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hole in the file of the journal would end the process that writes into it."""
    Journal(tmp_path / "journal")
    assert (tmp_path / "journal").stat().st_blocks > 0

    def full(path: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(apart, "Journal", full)
    with (
        pytest.raises(StorageError, match=r"No space left to write .*name another folder by TMPDIR"),
        beside(SHORT) as engine,
    ):
        answers(engine, [Unit("x")])


def test_the_process_beside_this_one_is_asked_what_it_has() -> None:
    with beside(SHORT) as engine:
        (pid,) = engine.everywhere(os.getpid).values()
    assert pid != os.getpid()


def test_records_that_go_on_ending_their_process_fail_the_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "MOST_SET_APART", 0)
    with beside(SHORT) as engine:
        (found,) = (answer for _, answer in engine(work, [Unit("x", "exit")]))
    assert isinstance(found, EngineError)


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys; from pathlib import Path; from cc100.engines import beside; from cc100.apart import GuardConfig\n"
        "from tests.chaos.poison import Deaf, work\n"
        "with beside(GuardConfig()) as engine:\n    list(engine(work, [Deaf(Path(sys.argv[1]))]))",
        encoding="utf-8",
    )
    parent = subprocess.Popen([sys.executable, script, tmp_path / "never"], env={**os.environ, **_path()})
    child = _wait_for(lambda: next(iter(psutil.Process(parent.pid).children()), None))
    parent.kill()
    parent.wait()
    _wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def _path() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}


def _wait_for(ask: Callable[[], T]) -> T:
    while not (found := ask()):
        time.sleep(0.02)
    return found


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """The workers below a process: they are spawned, and start as Python's spawn does."""
    found = []
    for child in process.children(recursive=True):
        try:
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


@contextmanager
def killing(age: float, most: int) -> Iterator[list[int]]:
    """While the block runs, kill every worker of this process that is `age` seconds old, `most` in all."""
    killed: list[int] = []
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(0.02) and len(killed) < most:
            for worker in workers_of(psutil.Process()):
                try:
                    if worker.pid not in killed and time.time() - worker.create_time() >= age and len(killed) < most:
                        worker.send_signal(signal.SIGKILL)
                        killed.append(worker.pid)
                except psutil.Error:
                    continue

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("age", [0.5, pytest.param(1.5, marks=pytest.mark.full), 2.5])
def test_workers_and_their_successors_are_killed(age: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "START_SECONDS", 6.0)
    monkeypatch.setattr(engines, "LOOK_SECONDS", 1.0)
    units = [Unit(f"u{n}") for n in range(12)]
    with local_cluster(2, GuardConfig(), lambda line: None) as engine, killing(age, 6) as killed:
        assert answers(engine, units) == {unit.name: (20, []) for unit in units}
        while len(killed) < 6:  # where the units were done before
            assert answers(engine, units) == {unit.name: (20, []) for unit in units}


def test_a_unit_that_waits_behind_a_long_one_does_not_stand_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "LOOK_SECONDS", 0.5)
    told: list[str] = []
    units: list[Busy | Unit] = [Busy(tmp_path / "enough"), *(Unit(f"u{n}") for n in range(3))]
    with local_cluster(1, SHORT, told.append) as engine:
        threading.Timer(10.0, (tmp_path / "enough").touch).start()
        found = [answer for _, answer in engine(work, units)]
    assert told == []
    assert sorted(found) == [(0, []), *[(20, [])] * 3]


def test_workers_of_a_client_may_come_once_there_are_units() -> None:
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", threads_per_worker=1) as cluster:
        cluster.adapt(minimum=0, maximum=1, interval="200ms")
        with Client(cluster) as client:
            patient = replace(SHORT, worker_seconds=30)
            assert [answer for _, answer in on_dask(client, patient)(work, [Unit("x")])] == [(20, [])]


def test_nothing_goes_on_at_the_workers_of_a_client_after_a_run_that_ends(tmp_path: Path) -> None:
    """As on a full disk, also while a notebook holds the traceback."""
    from distributed import Client, LocalCluster

    def steps() -> Iterator[Step]:
        yield Step("units", [Unit("first"), Deaf(tmp_path / "never")])

    (tmp_path / "logs").mkdir()
    run = Run(tmp_path, load_recipe("demo"))
    with (
        LocalCluster(n_workers=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", threads_per_worker=1) as cluster,
        Client(cluster) as client,
        mock.patch("cc100.run.execute", _full_disk_first),
    ):
        with pytest.raises(StorageError) as held:
            run_steps(run, "x", steps(), on_dask(client, SHORT), silent)
        assert held.tb is not None
        assert not client.futures


def _full_disk_first(unit: Unit | Deaf) -> object:
    if isinstance(unit, Unit):
        return StorageError("No space left.")
    return work(unit)


@contextmanager
def scheduler() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Dask scheduler in a process of its own, and its address."""
    program = (
        "import asyncio\nfrom distributed import Scheduler\n"
        "async def go():\n async with Scheduler(host='127.0.0.1', port=0, dashboard=False) as s:\n"
        "  print(s.address, flush=True)\n  await s.finished()\nasyncio.run(go())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def worker(address: str, *options: str, without: str = "") -> Iterator[None]:
    """A worker of that scheduler, in which the package `without` cannot be imported."""
    block = f"import sys; sys.modules[{without!r}] = None; " if without else ""
    program = block + "from distributed.cli.dask_worker import main; main()"
    command = [sys.executable, "-c", program, address, "--no-dashboard", "--no-nanny", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **_path()}
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_scheduler_without_workers_is_told_and_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(crew, "FIRST_SECONDS", 1.0)
    told: list[str] = []
    with (
        scheduler() as (_, address),
        remote_cluster(address, SHORT, told.append) as engine,
        pytest.raises(EngineError, match=r"No worker has been at tcp://.* Start one: dask worker"),
    ):
        answers(engine, [Unit("x")])
    assert told[0].endswith("The run ends after 6 s without one.")


def pause(dask_worker: Worker) -> None:
    dask_worker.status = Status.paused


def test_workers_that_are_all_paused_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "REMIND_SECONDS", 0.0)
    told: list[str] = []
    here = {"processes": False, "protocol": "tcp", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (  # without a limit, as with it Dask looks ten times a second whether the pause may end
        LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, **here) as cluster,
        Client(cluster) as client,
    ):
        looked_at = crew.Crew(client, told.append)
        for n, address in enumerate(client.scheduler_info()["workers"], 1):
            assert told == []  # while one of them works
            client.run(pause, workers=[address])
            while [w["status"] for w in client.scheduler_info()["workers"].values()].count("paused") < n:
                time.sleep(0.01)
            looked_at.look(6)
    assert re.match(r"All workers at \S+ have been paused for 0 s: .* start them with more", told[0]), told


def test_a_scheduler_that_goes_ends_the_run_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(crew, "ANSWER_SECONDS", 2.0)
    with (
        scheduler() as (process, address),
        worker(address, "--nthreads", "1"),
        remote_cluster(address, SHORT, lambda line: None) as engine,
    ):
        threading.Timer(3.0, process.kill).start()
        with pytest.raises(EngineError, match="The Dask scheduler at .* (is gone|has not answered)"):
            list(engine(work, [Deaf(tmp_path / "never")]))
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "without", "why"),
    [
        (("--nthreads", "1"), "ccbuild", "it has no ccbuild"),
        (("--nthreads", "2"), "", r"it has 2 threads; start it with one \(--nthreads 1"),
    ],
)
def test_a_worker_that_cannot_do_it_is_named(options: tuple[str, ...], without: str, why: str) -> None:
    told: list[str] = []
    with (
        scheduler() as (_, address),
        worker(address, *options, without=without),
        remote_cluster(address, SHORT, told.append) as engine,
        pytest.raises(MismatchError, match=f"No worker can do this run: tcp://.*: {why}"),
    ):
        answers(engine, [Unit("x")])
    assert any(line.startswith("The worker tcp://") for line in told)


def test_a_unit_follows_the_workers_that_may_do_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one worker is refused, units are given to the others by name; one that starts anew has another name."""
    monkeypatch.setattr(engines, "LOOK_SECONDS", 0.5)
    told: list[str] = []
    with (
        scheduler() as (_, address),
        worker(address, "--nthreads", "2"),
        remote_cluster(address, SHORT, told.append) as engine,
    ):
        answers = engine(work, [Unit("first"), Deaf(tmp_path / "enough")])
        with worker(address, "--nthreads", "1"):
            _wait_for_workers(address, 2)
            assert next(answers)[1] == (20, [])
            _wait_for(engine.working)
        with worker(address, "--nthreads", "1"):
            (tmp_path / "enough").touch()
            assert [answer for _, answer in answers] == [(0, [])]
    assert any("it has 2 threads" in line for line in told)


def _wait_for_workers(address: str, count: int) -> None:
    from distributed import Client

    with Client(address) as client:
        client.wait_for_workers(count)


def test_another_program_on_a_worker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.getpid()

    def another_here() -> Program:
        return replace(program(), source="of another day") if os.getpid() == here else program()

    monkeypatch.setattr(crew, "program", another_here)
    told: list[str] = []
    with (
        local_cluster(1, SHORT, told.append) as engine,
        pytest.raises(MismatchError, match=r"No worker can do this run: .* another source of ccbuild"),
    ):
        answers(engine, [Unit("x")])
    assert told[0].endswith("is left out: it has another source of ccbuild; install the same version there.")
