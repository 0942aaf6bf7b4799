"""What a run may name in place of a glob, and that it reads the same wherever the bytes lie."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from ccbuild.crawl.http import Client
from ccbuild.crawl.inputs import CrawlInput, fetch_selection, inputs_of, open_crawl_input
from ccbuild.crawl.select import select
from ccbuild.errors import FailedUnitsError, InputError, NetworkError
from ccbuild.ledger import Ledger
from ccbuild.warc.records import Reader
from tests.ccbuild.crawl.conftest import SNAPSHOT, Crawl

Make = Callable[..., Client]


def pages(client: Client, items: list[CrawlInput]) -> list[tuple[str, int, int | None, str]]:
    found = []
    for item in items:
        with open_crawl_input(client, pickle.loads(pickle.dumps(item))) as opened:
            records = list(Reader(opened.stream, item.name, Ledger()))
        found += [(item.name, opened.offset_of(r.offset), r.length, r.url) for r in records]
    return found


def test_a_snapshot_reads_as_its_files_do(crawl: Crawl, make_client: Make) -> None:
    client = make_client(base=crawl.site.url)
    items = inputs_of(client, f"{SNAPSHOT}/warc") or []
    assert client.requests == 2
    found = pages(client, items)
    assert len(found) == 120
    by_url = inputs_of(client, f"{crawl.site.url}/crawl-data/{items[0].name}") or []
    assert by_url[0].name == items[0].name
    assert by_url[0].facts == {"size": len(crawl.contents["crawl-data/" + items[0].name])}
    assert pages(client, by_url) == [f for f in found if f[0] == items[0].name]


def test_a_selection_reads_the_same_from_the_server_and_from_the_cache(
    crawl: Crawl, make_client: Make, tmp_path: Path
) -> None:
    client, out = make_client(base=crawl.site.url), str(tmp_path / "s.parquet")
    select(client, SNAPSHOT, ["sw"], out)
    items = inputs_of(client, out) or []
    found = pages(client, items)
    whole = pages(client, inputs_of(client, f"{SNAPSHOT}/warc") or [])
    assert found
    assert set(found) < set(whole)
    assert sum(item.size or 0 for item in items) == sum(length or 0 for _, _, length, _ in found)
    fetch_selection(client, out, tmp_path / "kept")
    asked = len(crawl.site.log)
    alone = make_client(base=crawl.site.url, cache=str(tmp_path / "kept"))
    assert pages(alone, inputs_of(alone, out) or []) == found
    assert len(crawl.site.log) == asked
    assert not list(tmp_path.rglob("*.tmp"))


def test_an_archive_that_fails_leaves_nothing_and_the_others_are_kept(
    crawl: Crawl, make_client: Make, tmp_path: Path
) -> None:
    client, out = make_client(base=crawl.site.url), str(tmp_path / "s.parquet")
    select(client, SNAPSHOT, ["sw"], out)
    broken = "/" + sorted(crawl.contents)[1]
    crawl.site.faults[broken] = ["404", "forever"]
    with pytest.raises(FailedUnitsError, match=r"1 of 3 archives .*a-1\.warc\.gz"):
        fetch_selection(client, out, tmp_path / "kept")
    assert len([p for p in (tmp_path / "kept").rglob("*") if p.is_file()]) == 2
    with pytest.raises(NetworkError, match="404"):
        pages(make_client(base=crawl.site.url, cache=str(tmp_path / "kept")), inputs_of(client, out) or [])


def test_another_selection_is_another_input(crawl: Crawl, make_client: Make, tmp_path: Path) -> None:
    client = make_client(base=crawl.site.url)
    facts = []
    for name, languages in (("a", ["sw"]), ("b", ["sw", "hau"])):
        select(client, SNAPSHOT, languages, tmp_path / f"{name}.parquet")
        facts.append([item.facts for item in inputs_of(client, str(tmp_path / f"{name}.parquet")) or []])
    assert facts[0] != facts[1]


def test_what_is_none_of_these_is_left_to_globs(make_client: Make) -> None:
    for text in ("crawl/*.warc.gz", "s3://bucket/x.warc.gz", "x.warc.gz"):
        assert inputs_of(make_client(), text) is None
    with pytest.raises(InputError, match="no URL"):
        inputs_of(make_client(), "https:///x")
