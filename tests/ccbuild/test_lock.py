"""One driver a folder, also where the file system has no locks; who lost it takes nothing as done any more."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ccbuild import lock
from ccbuild.cli import main
from ccbuild.errors import InputError, StorageError
from ccbuild.ledger import Ledger
from ccbuild.lock import Lease, locked
from ccbuild.storage import Unit
from tests.folder import write_archive


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lustre without ``-o flock``."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)


def lease_of(folder: Path, *, silent: float = 0.0, **changes: Any) -> Path:
    """A lease that a process left in `folder`, last touched so many seconds ago."""
    (folder / ".lease").unlink(missing_ok=True)
    with locked(folder):
        held = json.loads((folder / ".lease").read_text())
    path = folder / ".lease"
    path.write_text(json.dumps({**held, "token": "another", **changes}))
    then = path.stat().st_mtime_ns - int(silent * 1e9)
    os.utime(path, ns=(then, then))
    return path


def ended_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def left_behind(folder: Path, token: str = "another") -> tuple[Path, Path]:
    """What a killed worker leaves."""
    scratch, temporary = folder / "1-x" / f".u.{token}.scratch", folder / "1-x" / f".u.{token}.tmp"
    scratch.mkdir(parents=True)
    (scratch / "half").write_text("half")
    temporary.write_text("half")
    return scratch, temporary


AWAY = {"machine": "another", "host": "node7", "pid": 4711, "since": "2026-07-28 10:00:00 UTC"}


def test_a_second_driver_is_told_who_works_there(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(InputError, match=rf"Another process works in .*: process {os.getpid()} on"):
        locked(tmp_path).__enter__()
    assert not (tmp_path / ".lease").exists()


@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_living_process_is_not_disturbed(tmp_path: Path) -> None:
    with locked(tmp_path) as lease:
        scratch, temporary = left_behind(tmp_path, lease.token)
        for take_over in (False, True):
            with pytest.raises(InputError, match=rf"process {os.getpid()} on .*, since 20..-..-"):
                locked(tmp_path, take_over=take_over).__enter__()
        assert (scratch / "half").exists()
        assert temporary.exists()
        lease.check()
    with locked(tmp_path):
        pass


@pytest.mark.usefixtures("without_locks")
@pytest.mark.parametrize("changes", [{"pid": 0}, {"started": 1}], ids=["gone", "another of its number"])
def test_what_a_dead_process_of_this_machine_held_is_taken(changes: dict[str, int], tmp_path: Path) -> None:
    if "pid" in changes:
        changes = {"pid": ended_process()}
    lease_of(tmp_path, **changes)
    left = left_behind(tmp_path)
    with locked(tmp_path) as lease:
        lease.check()
        assert not any(path.exists() for path in left)


@pytest.mark.usefixtures("without_locks")
def test_another_machine_is_taken_over_by_choice_once_it_is_silent(tmp_path: Path) -> None:
    lease_of(tmp_path, **AWAY)
    with pytest.raises(InputError, match="Another process works in .*: process 4711 on node7, since 2026-07-28"):
        locked(tmp_path).__enter__()
    inner = lease_of(tmp_path / "8-x", **AWAY)
    held = inner.read_text()
    lease_of(tmp_path, silent=90, **AWAY)
    inner.write_text(held)
    left = left_behind(tmp_path)
    with pytest.raises(InputError, match=r"process 4711 on node7.* nothing was heard for 1 min 3\d s.* --take-over"):
        locked(tmp_path).__enter__()
    assert all(path.exists() for path in left)
    with locked(tmp_path, take_over=True):
        assert not any(path.exists() for path in left)
        assert not inner.exists(), "the same process held it"


class Clock:
    """Time that passes as one sleeps; the other machine touches its lease, or does not."""

    def __init__(self, lease: Path, touches: bool) -> None:
        self.now, self._lease, self._touches = 0.0, lease, touches

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self._touches:
            later = self._lease.stat().st_mtime_ns + 1
            os.utime(self._lease, ns=(later, later))


@pytest.mark.parametrize("locks", [True, False])
def test_a_lease_of_another_machine_is_watched(locks: bool, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A lock may hold on one machine alone."""
    if not locks:
        request.getfixturevalue("without_locks")
    monkeypatch, told = request.getfixturevalue("monkeypatch"), list[str]()
    path = lease_of(tmp_path, **AWAY)
    monkeypatch.setattr(lock, "time", Clock(path, touches=True))
    with pytest.raises(InputError, match="process 4711 on node7"):
        locked(tmp_path, take_over=not locks, tell=told.append).__enter__()
    monkeypatch.setattr(lock, "time", clock := Clock(path, touches=False))
    with locked(tmp_path, take_over=not locks, tell=told.append) as lease:
        lease.check()
    assert 55 < clock.now < 65
    assert all("process 4711 on node7" in line and "Waiting" in line for line in told)
    assert len(told) == 2


@pytest.mark.usefixtures("without_locks")
def test_a_lease_that_cannot_be_read_is_watched_too(tmp_path: Path) -> None:
    path = lease_of(tmp_path)
    path.write_text("")
    with pytest.raises(InputError, match="a machine that its lease does not name"):
        locked(tmp_path).__enter__()


def test_the_lease_is_touched_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.01)
    with locked(tmp_path) as lease:
        os.utime(lease.path, ns=(0, 0))
        while lease.path.stat().st_mtime_ns == 0:
            time.sleep(0.01)


def test_who_lost_the_folder_takes_nothing_as_done(tmp_path: Path) -> None:
    with locked(tmp_path) as lease:
        with pytest.raises(StorageError, match=r"was taken over by process 4711 on node7"), unit(tmp_path, lease) as u:
            u.path("x.txt").write_text("7")
            (path := tmp_path / ".lease").write_text(
                json.dumps({**json.loads(path.read_text()), "token": "new", **AWAY})
            )
            u.commit(Ledger())
        mine, theirs = left_behind(tmp_path, lease.token), left_behind(tmp_path, "new")
    assert not any(path.exists() for path in mine)
    assert all(path.exists() for path in theirs)
    assert not list(tmp_path.glob("1-x/x*"))
    assert json.loads((tmp_path / ".lease").read_text())["token"] == "new"


def unit(folder: Path, lease: Lease) -> Unit:
    return Unit(folder / "1-x", "count", "x", settings={}, lease=lease)


def test_a_worker_that_outlives_its_driver_commits_nothing(tmp_path: Path) -> None:
    with locked(tmp_path) as lease:
        late = unit(tmp_path, lease)
        assert unit(tmp_path, lease).path("y").name.startswith(f".y.{lease.token}")
    with pytest.raises(StorageError, match="is no longer held by the run that began this"), late:
        late.commit(Ledger())
    assert list((tmp_path / "1-x").iterdir()) == []


def test_what_killed_workers_left_goes_at_the_end(tmp_path: Path) -> None:
    with locked(tmp_path) as lease:
        left = left_behind(tmp_path, lease.token)
    assert not any(path.exists() for path in left)


@pytest.mark.usefixtures("without_locks")
def test_the_command_takes_over(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_archive(in_folder / "a.warc.gz")
    lease_of(in_folder / "o", silent=3600, **AWAY)
    command = ["run", "cc100", "--input", "a.warc.gz", "--out", "o", "--workers", "0"]
    command += ["--from", "extract", "--until", "extract"]
    assert main(command) == 2
    assert "held by process 4711 on node7" in capsys.readouterr().err
    assert main([*command, "--take-over"]) == 0
    assert sorted(str(path) for path in Path("o").glob("1-*/**/part-*")) == [
        "o/1-pages/__manifests/part-00000.json",
        "o/1-pages/part-00000.parquet",
        "o/1-refused/part-00000.parquet",
    ]
