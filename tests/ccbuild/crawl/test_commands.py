"""`ccbuild crawl …`: results on stdout, mistakes in one line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from ccbuild.cli import crawl as commands
from ccbuild.errors import CcbuildError, InputError
from tests.ccbuild.crawl.conftest import SNAPSHOT, Crawl


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CCBUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def ccbuild(crawl: Crawl, *arguments: str) -> int:
    top = argparse.ArgumentParser()
    commands.add(top.add_subparsers())
    settings = [f"base={crawl.site.url}", f"snapshots={crawl.site.url}/collinfo.json", "requests_per_second=500"]
    options: Any = top.parse_args(
        ["crawl", *arguments[:1], *(word for s in settings for word in ("--set", s)), *arguments[1:]]
    )
    return int(options.run(options))


def test_list_and_paths(crawl: Crawl, capsys: pytest.CaptureFixture[str]) -> None:
    ccbuild(crawl, "list")
    assert capsys.readouterr().out.splitlines()[1].split()[0] == SNAPSHOT
    ccbuild(crawl, "list", "--json")
    assert json.loads(capsys.readouterr().out.splitlines()[1])["name"] == "CC-MAIN-2018-30"
    ccbuild(crawl, "paths", SNAPSHOT, "--kind", "warc", "--sample", "2", "--seed", "1")
    paths = capsys.readouterr().out.splitlines()
    assert len(paths) == 2
    ccbuild(crawl, "paths", SNAPSHOT, "--kind", "warc", "--sample", "2", "--seed", "1", "--url")
    assert capsys.readouterr().out.splitlines() == [f"{crawl.site.url}/{path}" for path in paths]


def test_fetch(crawl: Crawl, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "archives"
    ccbuild(crawl, "fetch", SNAPSHOT, "--kind", "warc", "--out", str(out), "--json")
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(t["path"] for t in told) == sorted(crawl.contents)
    assert {path: (out / path).read_bytes() for path in crawl.contents} == crawl.contents
    (tmp_path / "list.txt").write_text("".join(f"{crawl.site.url}/{p}\n" for p in crawl.contents))
    asked = len(crawl.site.log)
    ccbuild(crawl, "fetch", "--paths", str(tmp_path / "list.txt"), "--out", str(out))
    assert len(crawl.site.log) == asked


def test_select(crawl: Crawl, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "s.parquet"
    ccbuild(crawl, "select", SNAPSHOT, "--language", "swa", "--language", "hau", "--out", str(out))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["index", "selection", "all", "Take"]
    capsys.readouterr()
    ccbuild(crawl, "fetch", "--selection", str(out), "--out", str(tmp_path / "kept"), "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["archives"] == len(list((tmp_path / "kept").rglob("*.warc.gz"))) == 3
    (tmp_path / "opted-out.txt").write_text("h1.test\n")
    options = ("--opt-out", str(tmp_path / "opted-out.txt"), "--json", "--sample", "1")
    ccbuild(crawl, "select", SNAPSHOT, "--language", "sw", "--out", str(out), *options)
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == 1
    assert told["index_files"] == 2
    assert told["advice"].startswith("Take ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["paths", "CC-MAIN-nonsense"], "no snapshot"),
        (["paths", "CC-MAIN-2031-01"], "404"),
        (["paths", SNAPSHOT, "--sample", "0"], "1 or more"),
        (["fetch", "--out", "o"], "Nothing to fetch"),
        (["fetch", SNAPSHOT, "--selection", "x", "--out", "o"], "names its archives itself"),
        (["fetch", SNAPSHOT, "--paths", "x", "--out", "o"], "two lists"),
        (["select", SNAPSHOT, "--language", "hi_rom", "--out", "o.parquet"], "WET"),
        (["select", SNAPSHOT, "--language", "sw", "--out", "o"], "Call it o.parquet"),
        (["select", "CC-MAIN-2018-30", "--language", "sw", "--out", "o.parquet"], "CC-MAIN-2018-30/wet"),
    ],
)
def test_mistakes(crawl: Crawl, in_folder: Path, arguments: list[str], said: str) -> None:
    with pytest.raises(CcbuildError, match=said):
        ccbuild(crawl, *arguments)


def test_a_list_of_places_outside_is_refused(crawl: Crawl, in_folder: Path) -> None:
    Path("list.txt").write_text("../../etc/passwd\n")
    with pytest.raises(CcbuildError, match="no relative path"):
        ccbuild(crawl, "fetch", "--paths", "list.txt", "--out", "o")


def test_a_folder_needs_no_fetching(crawl: Crawl, in_folder: Path) -> None:
    Path("list.txt").write_text("crawl-data/x.gz\n")
    with pytest.raises(InputError, match="needs no fetching"):
        ccbuild(crawl, "fetch", "--paths", "list.txt", "--out", "o", "--set", "base=.", "--set", "contact=x")
