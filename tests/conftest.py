"""What all tests share: no network, no clock, the catalogue's cache, one small run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from cc100.engines import in_process
from ccbuild import catalogue
from tests.command import SMALL, ccbuild

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command sets it, before torch is imported
# How long an example takes says how busy the machine is; what hangs, pytest's own timeout ends.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run long campaigns in full")
    parser.addoption("--kills", type=int, default=3, help="how many processes tests/chaos kills (default: 3)")
    parser.addoption("--seed", type=int, default=7, help="of the times and processes that tests/chaos chooses")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        for item in items:
            if "full" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="a long campaign: run with --full"))
    # The trainer's files are few and long: begun last, they would leave one of two processes without work.
    items.sort(key=lambda item: "tests/xlmr/" not in item.nodeid)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests are hermetic: a connection off this machine is a defect of the test, so it fails at once."""
    connect = socket.socket.connect

    def only_loopback(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise RuntimeError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_loopback)


def cached(name: str) -> Path:
    """A catalogue file from the cache; skips the test where `make test` has not filled it."""
    path = catalogue.cached(name)
    if path is None:
        pytest.skip(f"{name} is not in the cache: run ccbuild catalogue fetch {name}")
    return path


@pytest.fixture
def within(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `workers=0` units are done in this very process: a test of something else need not start one beside it."""
    monkeypatch.setattr("cc100.build.beside", lambda guard: contextlib.nullcontext(in_process()))


@pytest.fixture(scope="session")
def lid_model() -> Path:
    return cached("lid.176.ftz")


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo of 400 pages, all the way to the report: made once, read by many. Nobody writes into it."""
    for name in ("eld", "gflanguages", "lid.176.ftz"):
        cached(name)
    out, base = tmp_path_factory.mktemp("small") / "run", tmp_path_factory.getbasetemp()
    place = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = place / "small run"  # names the one that the first process of pytest made; the others copy it
    with (place / "small run lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            first = Path(made.read_text(encoding="utf-8"))
            shutil.copytree(first, out)
            said = (first.parent / "stdout.txt").read_text(encoding="utf-8").replace(str(first), str(out))
        else:
            done = ccbuild("demo", "--out", str(out), "--workers", "2", *SMALL)
            assert done.returncode == 0, done.stderr[-3000:]
            said = done.stdout
        (out.parent / "stdout.txt").write_text(said, encoding="utf-8")
        made.write_text(str(out), encoding="utf-8")
    return out
