"""Downloads: right or refused, whatever the server does."""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ccbuild.crawl.body import Body, RangeFile, read_all
from ccbuild.crawl.fetch import fetch_all, fetch_file, open_archive
from ccbuild.crawl.http import Client
from ccbuild.errors import ChangedError, FailedUnitsError, InputError, NetworkError, StorageError
from tests.ccbuild.crawl.server import FakeClock, Site
from tests.fuzz.fetch_faults import campaign

Make = Callable[..., Client]
CONTENT = random.Random(3).randbytes(300_000)


def test_thirty_seeded_downloads_have_no_wrong_byte(tmp_path: Path) -> None:
    assert campaign(30, 7, tmp_path).total() == 30


@pytest.mark.full
def test_five_hundred_seeded_downloads_have_no_wrong_byte(tmp_path: Path) -> None:
    assert campaign(500, 7, tmp_path).total() == 500


@pytest.fixture
def file(site: Site) -> str:
    site.files["/f.bin"] = CONTENT
    return site.url + "/f.bin"


def slept(client: Client) -> list[float]:
    assert isinstance(client.clock, FakeClock)
    return client.clock.slept


def test_a_cut_file_is_continued_where_it_broke(site: Site, file: str, make_client: Make, tmp_path: Path) -> None:
    site.faults["/f.bin"] = ["short", "reset"]
    fetched = fetch_file(make_client(), file, tmp_path / "out" / "f.bin")
    assert fetched.path.read_bytes() == CONTENT
    ranges = [asked for method, _, asked in site.log if method == "GET"]
    assert ranges[0] is None
    assert ranges[1] == "bytes=150000-"
    assert ranges[2] is not None
    assert 150_000 < int(ranges[2].removeprefix("bytes=").rstrip("-")) < 300_000
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["f.bin"]


def test_what_an_earlier_call_left_is_continued(site: Site, file: str, make_client: Make, tmp_path: Path) -> None:
    site.faults["/f.bin"] = ["short", "404"]
    with pytest.raises(NetworkError, match="404"):
        fetch_file(make_client(), file, tmp_path / "f.bin")
    assert (tmp_path / "f.bin.part").stat().st_size == 150_000
    assert not (tmp_path / "f.bin").exists()
    assert fetch_file(make_client(), file, tmp_path / "f.bin").fresh
    assert site.log[-1][2] == "bytes=150000-"
    assert (tmp_path / "f.bin").read_bytes() == CONTENT
    asked = len(site.log)
    assert not fetch_file(make_client(), file, tmp_path / "f.bin").fresh
    assert len(site.log) == asked


def test_what_is_left_of_a_file_that_was_replaced_is_thrown_away(
    site: Site, file: str, make_client: Make, tmp_path: Path
) -> None:
    site.faults["/f.bin"] = ["short", "404"]
    with pytest.raises(NetworkError):
        fetch_file(make_client(), file, tmp_path / "f.bin")
    site.files["/f.bin"] = other = CONTENT[::-1]
    fetch_file(make_client(), file, tmp_path / "f.bin")
    assert (tmp_path / "f.bin").read_bytes() == other


@pytest.mark.parametrize("knows_if_range", [True, False])
def test_parts_of_two_files_are_never_joined(site: Site, file: str, make_client: Make, knows_if_range: bool) -> None:
    if not knows_if_range:
        site.no_condition.add("/f.bin")
    site.faults["/f.bin"], site.later["/f.bin"] = ["short", "changed"], CONTENT[::-1]
    with Body(make_client(), file) as body, pytest.raises(ChangedError, match=r"was replaced while .* ETag"):
        body.readall()
    with open_archive(make_client(), file) as spooled:
        assert spooled.read() == CONTENT[::-1]


def test_retry_after_is_waited_for_in_seconds_and_as_a_date(site: Site, file: str, make_client: Make) -> None:
    for fault, seconds in (("429", 7), ("503-date", 29)):
        client = make_client()
        site.faults["/f.bin"] = [fault]
        assert read_all(client, file) == CONTENT
        assert max(slept(client)) >= seconds


def test_a_wait_of_days_ends_the_fetch(site: Site, file: str, make_client: Make) -> None:
    site.faults["/f.bin"] = ["429"]
    with pytest.raises(NetworkError, match=r"429 .*\(SlowDown\)|come back in 7 seconds"):
        read_all(make_client(max_wait_seconds=5.0), file)


def test_whole_files_are_tried_often_ranges_ever_more_seldom(site: Site, file: str, make_client: Make) -> None:
    site.faults["/f.bin"] = ["500", "forever"]
    client = make_client(file_attempts=20)
    with pytest.raises(NetworkError, match="after 20 attempts"):
        read_all(client, file)
    assert 18 <= sum(slept(client)) <= 60
    client = make_client()
    with Body(client, file, 5, 9) as body, pytest.raises(NetworkError, match="after 12 attempts"):
        body.readall()
    waits = [s for s in slept(client) if s > 1.5]
    assert max(waits) > 150
    assert sum(waits) < 1600


def test_refusals_slow_the_whole_run_down(site: Site, file: str, make_client: Make) -> None:
    site.faults["/f.bin"] = ["503"]
    one, two = make_client(), make_client()
    read_all(one, file)
    assert two.budget.share() < 0.6


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("redirect-off", "redirects to another host"),
        ("404", "404"),
        ("no-length", "states no length"),
        ("xml", r"this answer is for 126 \(SlowDown\)"),
        ("403", r"403 .*\(SlowDown\)|403"),
        ("lying-length", "300,000 bytes, this answer is for 150,000"),
    ],
)
def test_what_cannot_be_mended_says_so(site: Site, file: str, make_client: Make, fault: str, said: str) -> None:
    site.faults["/f.bin"] = [fault, "forever"]
    with pytest.raises(NetworkError, match=said) as raised:
        read_all(make_client(), file)
    assert file in str(raised.value)


def test_an_ignored_range_is_read_up_to_the_place_or_refused(site: Site, file: str, make_client: Make) -> None:
    site.faults["/f.bin"] = ["short", "ignored"]
    assert read_all(make_client(), file) == CONTENT
    site.faults["/f.bin"] = ["ignored", "forever"]
    with Body(make_client(), file, 10, 20) as body, pytest.raises(NetworkError, match="ignores ranges"):
        body.readall()


def test_without_a_validator_a_cut_body_is_begun_anew_or_refused(
    site: Site, file: str, make_client: Make, tmp_path: Path
) -> None:
    site.no_validator.add("/f.bin")
    site.faults["/f.bin"] = ["short"]
    fetch_file(make_client(), file, tmp_path / "f.bin")
    assert (tmp_path / "f.bin").read_bytes() == CONTENT
    assert all(asked is None for _, _, asked in site.log)
    site.faults["/f.bin"] = ["short"]
    with Body(make_client(), file) as body, pytest.raises(ChangedError, match="neither ETag nor date"):
        body.readall()


def test_a_page_in_place_of_an_archive_is_seen_by_its_first_bytes(
    site: Site, make_client: Make, tmp_path: Path
) -> None:
    site.files["/a.warc.gz"] = b"Access is blocked by this network. Please log in." * 9
    with pytest.raises(NetworkError, match="not the file"):
        fetch_file(make_client(), site.url + "/a.warc.gz", tmp_path / "a.warc.gz")
    assert not (tmp_path / "a.warc.gz").exists()


def test_the_user_agent_says_who_and_where(site: Site, file: str, make_client: Make) -> None:
    read_all(make_client(contact="me@example.org"), file)
    assert len(site.agents) == 1
    agent = site.agents.pop()
    assert agent.startswith("ccbuild/")
    assert "me@example.org" in agent


def test_a_seekable_file_reads_what_is_asked_and_joins_neighbours(site: Site, file: str, make_client: Make) -> None:
    with RangeFile(make_client(), file) as remote:
        remote.seek(-10, 2)
        assert remote.read() == CONTENT[-10:]
        remote.prefetch([(100, 200), (260, 300), (5000, 5010)], gap=64)
        for start, stop in ((100, 200), (270, 280), (5000, 5010), (90, 110)):
            remote.seek(start)
            assert remote.read(stop - start) == CONTENT[start:stop]
        assert remote.read(0) == b""
    asked = [r for m, _, r in site.log if m == "GET"]
    assert asked == [f"bytes={300_000 - 65536}-299999", "bytes=100-299", "bytes=5000-5009", "bytes=90-109"]


def test_connections_are_kept_and_the_budget_of_them_holds(site: Site, make_client: Make, tmp_path: Path) -> None:
    contents = {f"crawl-data/{n}.gz": gzip.compress(bytes([n]) * 50_000, mtime=0) for n in range(12)}
    site.files.update({"/" + path: content for path, content in contents.items()})
    client = make_client(connections=3)
    fetch_all(client, [(path, f"{site.url}/{path}") for path in contents], tmp_path)
    assert {path: (tmp_path / path).read_bytes() for path in contents} == contents
    assert site.most_under_way <= 3
    assert client.requests == len(site.log) == 24
    assert site.connections <= 3


def test_a_connection_that_went_stale_costs_no_failure(site: Site, file: str, make_client: Make) -> None:
    client = make_client(file_attempts=1)
    for opened in (1, 2):
        site.faults["/f.bin"] = ["hang-up"]
        assert read_all(client, file) == CONTENT
        while site.closed < opened:
            time.sleep(0.01)
        assert site.connections == opened
    assert client.requests == len(site.log) == 4


def test_one_file_that_fails_does_not_stop_the_others(site: Site, make_client: Make, tmp_path: Path) -> None:
    site.files.update({f"/{n}.bin": CONTENT[:n] for n in (10, 20)})
    files = [(f"{n}.bin", f"{site.url}/{n}.bin") for n in (10, 15, 20)]
    with pytest.raises(FailedUnitsError, match=r"1 of 3 files .*15\.bin"):
        fetch_all(make_client(), files, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if not p.name.endswith(".part")) == ["10.bin", "20.bin"]


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a//b", "a\\..\\b"])
def test_a_list_never_names_a_place_outside_the_folder(make_client: Make, tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match="no path below"):
        fetch_all(make_client(), [(path, "http://127.0.0.1:9/x")], tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error_of_storage(
    site: Site, file: str, make_client: Make, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StorageError, match="cannot be written"):
        fetch_file(make_client(), file, tmp_path / "out" / "f.bin")


def test_the_cache_keeps_archives_and_needs_no_server_afterwards(site: Site, make_client: Make, tmp_path: Path) -> None:
    site.files["/crawl-data/s/a.warc.gz"] = content = gzip.compress(b"x", mtime=0)
    for _ in range(2):
        with open_archive(
            make_client(cache=str(tmp_path)), f"{site.url}/crawl-data/s/a.warc.gz", "s/a.warc.gz"
        ) as stream:
            assert stream.read() == content
    assert len(site.log) == 2
    assert (tmp_path / "crawl-data/s/a.warc.gz").read_bytes() == content


def test_a_proxy_of_the_environment_is_used(site: Site, make_client: Make, tmp_path: Path) -> None:
    site.files["http://archive.test/f.bin"] = CONTENT
    config = make_client().config
    client = Client(config, clock=FakeClock(), proxies={"http": site.url})
    assert read_all(client, "http://archive.test/f.bin") == CONTENT
    with Body(client, "http://archive.test/f.bin", 5, 9) as body:
        assert body.readall() == CONTENT[5:9]


def test_two_who_want_the_same_archive_fetch_it_once(site: Site, file: str, make_client: Make, tmp_path: Path) -> None:
    site.faults["/f.bin"] = ["503", "short"]
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(fetch_file, make_client(), file, tmp_path / "f.bin") for _ in range(3)]
    assert sorted(task.result().fresh for task in asked) == [False, False, True]
    assert (tmp_path / "f.bin").read_bytes() == CONTENT


def test_a_server_that_is_not_there_is_a_clear_error(make_client: Make) -> None:
    with pytest.raises(NetworkError, match=r"no answer .*after 3 attempts"):
        read_all(make_client(file_attempts=3), "http://127.0.0.1:9/x")
