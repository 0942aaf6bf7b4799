"""Kills at random times, of drivers, workers and their successors: what comes out is what an undisturbed run gives.

`pytest tests/chaos --kills 200 --seed 7` is the long campaign.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ccbuild.rundir import FOLDERS, INNER
from tests.chaos.runs import SETTINGS, pages, tree
from tests.conftest import cached
from tests.folder import write_archive

TARGETS = ("driver", "worker", "worker", "successor")
"""What is killed, by its share: the scheduler lives in the driver."""


def archives(folder: Path) -> None:
    """Four archives of ten pages, some of which stand in two."""
    made = pages()
    for number in range(4):
        chosen = random.Random(number).sample(made, 8)
        write_archive(folder / f"{number}.warc.gz", (*chosen, (f"{chosen[0][0]} {number}", chosen[1][1])))


def command(folder: Path, out: Path) -> list[str]:
    settings = [f"--set={key}={'null' if value is None else value}" for key, value in SETTINGS.items()]
    run = [sys.executable, "-m", "ccbuild", "run", "cc100", "--input", f"{folder}/*.warc.gz", "--out", str(out)]
    return [*run, "--until", "encode", "--workers", "2", *settings]


def victim(driver: psutil.Process, target: str) -> psutil.Process | None:
    """The driver, the oldest worker, or the youngest; None where there is none."""
    if target == "driver":
        return driver
    found = []
    for child in driver.children(recursive=True):
        try:
            if "spawn_main" in " ".join(child.cmdline()) or "cc100.apart" in " ".join(child.cmdline()):
                found.append((child.create_time(), child.pid, child))
        except psutil.Error:
            continue
    found.sort()
    return found[0 if target == "worker" else -1][2] if found else None


def disturbed(run: list[str], rng: random.Random, most: int) -> tuple[int, int, str]:
    """(exit code, kills, stderr) of a run in which up to `most` processes are killed."""
    kills = 0
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    driver = psutil.Process(process.pid)
    while process.poll() is None and kills < most:
        time.sleep(rng.uniform(0.2, 4.0))
        try:
            chosen = victim(driver, rng.choice(TARGETS))
            if chosen is not None and process.poll() is None:
                chosen.send_signal(signal.SIGKILL)
                kills += 1
        except psutil.Error:
            continue
    _, err = process.communicate()
    return process.returncode, kills, err


def test_what_is_killed_comes_out_the_same(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    cached("lid.176.ftz")
    kills, seed = int(pytestconfig.getoption("--kills")), int(pytestconfig.getoption("--seed"))
    archives(tmp_path / "crawl")
    whole = subprocess.run(command(tmp_path / "crawl", tmp_path / "whole"), capture_output=True, text=True, check=False)
    assert whole.returncode == 0, whole.stderr
    expected, rng, done = tree(tmp_path / "whole"), random.Random(seed), 0
    assert any(name.endswith(".bin") for name in expected)
    out = tmp_path / "killed"
    while done < kills:
        code, killed, err = disturbed(command(tmp_path / "crawl", out), rng, kills - done)
        done += killed
        assert code in (0, -signal.SIGKILL), (code, err[-3000:])
        if code == 0:  # a worker whose driver is killed while it starts it has nobody left to say so but Python
            assert "Traceback" not in err, err[-3000:]
            assert tree(out) == expected
            shutil.rmtree(out / rng.choice([f for v, f in FOLDERS.items() if (out / f).exists() and v not in INNER]))
    last = subprocess.run(command(tmp_path / "crawl", out), capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert tree(out) == expected
    assert not [path for path in out.rglob(".*") if path.name.endswith((".tmp", ".scratch"))]
