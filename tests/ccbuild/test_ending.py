"""A run that is ended from outside says so, ends its workers, leaves nothing half-written, and has its exit code."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ccbuild.cli import main
from tests.folder import ARTICLES, page_record, write_archive

RUN = ["run", "cc100", "--input", "a.warc.gz", "--out", "o", "--from", "extract", "--until", "extract"]


@pytest.fixture
def long_archive(in_folder: Path) -> Path:
    """What no machine has read before the signal comes."""
    (in_folder / "a.warc.gz").write_bytes(page_record(1, ARTICLES[0]) * 50_000)
    return in_folder


@contextlib.contextmanager
def at_work(workers: int, stderr: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """A run in a process group of its own, as under SLURM or in a terminal, that has begun to write."""
    command = [sys.executable, "-m", "ccbuild", *RUN, "--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True) as process:
        while not list(Path("o").glob("1-pages/.*.tmp")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        yield process


def left() -> list[str]:
    return [str(path) for path in Path("o").rglob(".*") if path.name != ".lock"]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.usefixtures("long_archive")
def test_a_signal_ends_a_run_with_a_word(name: str, workers: int) -> None:
    number = signal.Signals[name]
    with at_work(workers) as process:
        workers_of_it = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, number)
        said = process.communicate()[1]
    assert process.returncode == 128 + number, said
    assert said.splitlines()[-1] == (
        f"ccbuild: ended by {name}. What is done stays done; run the same command again to go on."
    )
    assert "Traceback" not in said
    assert left() == []
    assert not psutil.wait_procs(workers_of_it)[1]


@pytest.mark.usefixtures("long_archive")
def test_what_killed_workers_left_is_removed_at_the_end() -> None:
    with at_work(2) as process:
        killed = left()
        for worker in psutil.Process(process.pid).children(recursive=True):
            if "spawn_main" in " ".join(worker.cmdline()):
                worker.kill()
        process.terminate()
        process.communicate()
    assert process.returncode == 143
    assert any(path.endswith(".tmp") for path in killed)
    assert left() == []


@pytest.mark.usefixtures("long_archive")
def test_a_terminal_that_is_closed_ends_a_run() -> None:
    ours, theirs = pty.openpty()
    with at_work(0, stderr=theirs) as process:
        os.close(theirs)
        os.close(ours)  # from now on nothing can be said
        process.send_signal(signal.SIGHUP)
        process.communicate()
    assert process.returncode == 129
    assert left() == []


HURRIED = """
import signal, sys, time
from ccbuild import cli
from ccbuild.cli import ending

ending.GRACE_SECONDS = 0.01
def stuck(arguments):
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        time.sleep(3600)
cli._run = stuck
cli.main([])
"""


def test_cleaning_that_takes_too_long_is_left() -> None:
    done = subprocess.run([sys.executable, "-c", HURRIED], capture_output=True, text=True, check=False)
    assert done.returncode == 143
    assert done.stderr.startswith("ccbuild: ended by SIGTERM, without cleaning")


def test_signals_are_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    """nohup has SIGHUP ignored, and it stays so."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["catalogue", "list"]) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before[1])
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


def _pages() -> dict[Path, bytes]:
    """The files of the first step of the run in `o`, in all of its folders."""
    return {path: path.read_bytes() for path in Path("o/1-pages").rglob("*") if path.is_file()}


@pytest.mark.parametrize(("closed", "workers"), [(">&-", 0), ("2>&-", 0), (">&- 2>&- <&-", 2)])
def test_streams_that_are_closed(closed: str, workers: int, in_folder: Path) -> None:
    write_archive(in_folder / "a.warc.gz")
    assert main([*RUN, "--workers", "0"]) == 0
    made = _pages()
    assert made
    Path("o").rename("whole")
    command = f'exec "$0" -m ccbuild "$@" {closed}'
    again = subprocess.run(
        ["bash", "-c", command, sys.executable, *RUN, "--workers", str(workers)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "Error" not in again.stderr
    assert _pages() == made


@pytest.mark.parametrize("broken", ["| true", "2>&1 >/dev/null | true", "> /dev/full"])
def test_nobody_reads(broken: str, in_folder: Path) -> None:
    write_archive(in_folder / "a.warc.gz")
    command = f'"$0" -m ccbuild "$@" {broken}; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, *RUN, "--workers", "0"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.stdout.strip() == ("1" if "full" in broken else "0"), done.stderr
    assert Path("o/summary.json").exists(), "written after the last bar"
    assert left() == []
