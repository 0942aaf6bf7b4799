"""One budget for a machine: paced, shared, halved when refused, back after a while."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ccbuild.crawl.budget import RECOVERY_SECONDS, Budget, Pace
from ccbuild.crawl.config import CrawlConfig
from ccbuild.errors import ConfigError
from tests.ccbuild.crawl.server import FakeClock


def starts(budget: Budget, clock: FakeClock, count: int, *, retry: bool = False) -> list[float]:
    found = []
    for _ in range(count):
        with budget.request(retry=retry):
            found.append(clock.now())
    return [at - found[0] for at in found]


def test_requests_start_no_faster_than_the_rate(tmp_path: Path) -> None:
    clock = FakeClock()
    budget = Budget(tmp_path, CrawlConfig(requests_per_second=5), clock)
    assert starts(budget, clock, 11) == pytest.approx([n / 5 for n in range(11)])


def test_two_budgets_in_one_folder_are_one(tmp_path: Path) -> None:
    clock = FakeClock()
    one, two = (Budget(tmp_path, CrawlConfig(), clock) for _ in range(2))
    begun = clock.now()
    for _ in range(10):
        starts(one, clock, 1)
        starts(two, clock, 1)
    assert clock.now() - begun == pytest.approx(19 / 5)


def test_a_share_for_each_of_several_machines(tmp_path: Path) -> None:
    clock = FakeClock()
    budget = Budget(tmp_path, CrawlConfig(requests_per_second=5, machines=10), clock)
    assert starts(budget, clock, 3) == pytest.approx([0, 2, 4])


def test_the_run_tries_whole_files_again_once_a_second_at_most(tmp_path: Path) -> None:
    clock = FakeClock()
    budget = Budget(tmp_path, CrawlConfig(requests_per_second=50), clock)
    assert starts(budget, clock, 4, retry=True) == pytest.approx([0, 1, 2, 3])


def test_a_refusal_halves_the_rate_for_everyone_and_it_comes_back(tmp_path: Path) -> None:
    clock = FakeClock()
    one, two = (Budget(tmp_path, CrawlConfig(), clock) for _ in range(2))
    one.refused()
    two.refused()  # at the same moment: the same refusal
    assert one.share() == two.share() == 0.5
    clock.sleep(10)
    two.refused()
    assert one.share() == pytest.approx((0.5 + 10 / RECOVERY_SECONDS) / 2)
    clock.sleep(RECOVERY_SECONDS)
    assert one.share() == 1.0


def test_nobody_asks_before_retry_after(tmp_path: Path) -> None:
    clock = FakeClock()
    one, two = (Budget(tmp_path, CrawlConfig(), clock) for _ in range(2))
    begun = clock.now()
    one.refused(120)
    starts(two, clock, 1)
    assert clock.now() - begun >= 120


def test_connections_are_held_by_those_who_use_them(tmp_path: Path) -> None:
    clock = FakeClock()
    budget = Budget(tmp_path, CrawlConfig(connections=2), clock)
    second, third = threading.Event(), threading.Event()

    def worker() -> None:
        with budget.request():
            third.set()

    with budget.request():
        with budget.request():
            second.set()
            thread = threading.Thread(target=worker, daemon=True)
            thread.start()
            assert not third.wait(0.2)
        thread.join()
        assert third.is_set()
    assert second.is_set()


def test_a_process_that_dies_gives_its_connection_back(tmp_path: Path) -> None:
    script = (
        "import os\nfrom ccbuild.crawl.budget import Budget, SystemClock\n"
        "from ccbuild.crawl.config import CrawlConfig\n"
        f"b = Budget({str(tmp_path)!r}, CrawlConfig(connections=1), SystemClock())\n"
        "b.request().__enter__()\nos._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    clock = FakeClock()
    clock.time = 4e9
    with Budget(tmp_path, CrawlConfig(connections=1), clock).request():
        pass


def test_processes_share_one_budget(tmp_path: Path) -> None:
    script = (
        "from ccbuild.crawl.budget import Budget\nfrom ccbuild.crawl.config import CrawlConfig\n"
        "from tests.ccbuild.crawl.server import FakeClock\nclock = FakeClock()\n"
        f"b = Budget({str(tmp_path)!r}, CrawlConfig(requests_per_second=40), clock)\n"
        "for _ in range(10):\n    with b.request():\n        print(clock.now())\n"
    )
    command = [sys.executable, "-c", script]
    root = Path(__file__).parents[3]
    three = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    at = sorted(float(line) for process in three for line in process.communicate()[0].split())
    assert [moment - at[0] for moment in at] == pytest.approx([n / 40 for n in range(30)], abs=1e-4)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"next_request": "x"}', b'{"next_request": 1e18}', b"\xff" * 99]
)
def test_a_damaged_state_is_a_fresh_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "budget.json").write_bytes(content)
    clock = FakeClock()
    assert starts(Budget(tmp_path, CrawlConfig(), clock), clock, 2) == pytest.approx([0, 0.2])
    assert max(clock.slept) < 1


def test_the_share_never_falls_to_nothing() -> None:
    pace = Pace()
    for second in range(0, 300, 3):
        pace = pace.refused(1e9 + second, 0)
    assert 0 < pace.share(1e9 + 300) < 0.1


@pytest.mark.parametrize("wrong", [{"connections": 0}, {"requests_per_second": 0.0}, {"contact": "a\r\nX: y"}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="it takes"):
        CrawlConfig(**wrong)  # type: ignore[arg-type]
