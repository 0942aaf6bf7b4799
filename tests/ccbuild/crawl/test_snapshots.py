"""Snapshots, their archives, samples of them, and inputs that name one."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.crawl.http import Client
from ccbuild.crawl.snapshots import SnapshotInput, archive_paths, list_snapshots, parse_paths, sample_paths
from ccbuild.errors import CcbuildError, DataError, InputError
from tests.ccbuild.crawl.conftest import SNAPSHOT, Crawl

Make = Callable[..., Client]


def test_snapshots_are_listed(crawl: Crawl, make_client: Make) -> None:
    found = list_snapshots(make_client(snapshots=crawl.site.url + "/collinfo.json"))
    assert [(s.name, s.title) for s in found][:1] == [(SNAPSHOT, "May 2024 Index")]


def test_a_list_that_is_none_is_refused(crawl: Crawl, make_client: Make) -> None:
    crawl.site.files["/collinfo.json"] = b'{"id": 1}'
    with pytest.raises(DataError, match="not Common Crawl's list"):
        list_snapshots(make_client(snapshots=crawl.site.url + "/collinfo.json"))


def test_an_input_names_archives_as_common_crawl_does(crawl: Crawl, make_client: Make) -> None:
    client = make_client(base=crawl.site.url)
    asked = SnapshotInput.parse(f"{SNAPSHOT}/warc?sample=2&seed=7")
    assert asked is not None
    found = asked.archives(client)
    assert len(found) == 2
    for name, location in found:
        assert name.startswith(f"{SNAPSHOT}/segments/")
        assert location == f"{crawl.site.url}/crawl-data/{name}"


@pytest.mark.parametrize(
    "text", ["crawl/*.warc.gz", "https://x.test/a", "x.parquet", "CC-MAIN-2018-30/*.gz", "/a/CC-MAIN-2018-30"]
)
def test_paths_and_globs_are_no_snapshots(text: str) -> None:
    assert SnapshotInput.parse(text) is None


@pytest.mark.parametrize(
    "text", ["CC-MAIN-2018-30/wat", "CC-MAIN-2018-30?sample=x", "CC-MAIN-2018-30?n=1", "CC-MAIN-2018-30?sample=0"]
)
def test_a_snapshot_misspelt_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(InputError, match="CC-MAIN-2018-30/wet"):
        SnapshotInput.parse(text)


@given(st.sets(st.text("abc/", min_size=1), max_size=30), st.integers(1, 30), st.integers(0, 5), st.randoms())
def test_samples_depend_on_the_seed_alone_and_larger_ones_hold_smaller(
    names: set[str], count: int, seed: int, rng: object
) -> None:
    paths = sorted(names)
    drawn = sample_paths(paths, count, seed)
    assert len(drawn) == min(count, len(paths))
    assert set(sample_paths(paths, count + 1, seed)) >= set(drawn)
    assert set(sample_paths(paths[::-1], count, seed)) == set(drawn)
    assert drawn == sorted(drawn)


def test_samples_of_different_seeds_differ() -> None:
    paths = [f"p{n}" for n in range(1000)]
    assert len(set(sample_paths(paths, 100, 1)) & set(sample_paths(paths, 100, 2))) < 40


@pytest.mark.parametrize(
    "listing", [b"../../etc/passwd", b"http://evil.test/x", b"a\xff", gzip.compress(b"a\nb", mtime=0)[:-9]]
)
def test_a_hostile_list_is_refused(listing: bytes) -> None:
    with pytest.raises(DataError, match="x.paths.gz"):
        parse_paths(listing, "x.paths.gz")


def test_a_mirror_in_a_folder_serves_as_well(crawl: Crawl, make_client: Make, tmp_path: Path) -> None:
    for path, content in crawl.site.files.items():
        place = tmp_path / "mirror" / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    assert len(archive_paths(make_client(base=str(tmp_path / "mirror")), SNAPSHOT, "wet")) == 3
    assert not crawl.site.log


def test_the_bucket_is_refused_before_the_first_request(make_client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CcbuildError, match=r"needs (s3fs|AWS credentials).*https://data\.commoncrawl\.org/"):
        archive_paths(make_client(base="s3://commoncrawl/"), SNAPSHOT, "wet")
