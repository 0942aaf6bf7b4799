"""A run takes a selection or a snapshot in place of a glob; its pages stand at their true addresses."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cc100.engines import in_process
from cc100.layout import Run, check_sources, sources_of
from cc100.recipe import load_recipe
from cc100.run import run_verb
from ccbuild.cli import main
from ccbuild.progress import silent
from tests.ccbuild.crawl.conftest import SNAPSHOT, Crawl
from tests.ccbuild.crawl.test_select import expected


def extract(root: Path, crawl: Crawl, given: str) -> tuple[Run, list[tuple[str, int, str]]]:
    overrides = [f"crawl.base={crawl.site.url}", f"crawl.budget={root}-budget", "crawl.requests_per_second=1000"]
    run = Run(root, load_recipe("ccnet", ["extract.min_chars=0", "unit.files=2", *overrides]))
    sources = sources_of([given], run.recipe.crawl)
    check_sources(sources)
    run.note_settings(["extract"])
    table = run.admit(sources)
    summary = run_verb(run, "extract", in_process(), silent, sources, table)
    assert not summary.failures, summary.failures
    assert run_verb(run, "extract", in_process(), silent, sources, table).fresh == 0
    tables = [pq.read_table(run.folder("extract") / f"{name}.parquet") for name in run.manifests("extract")]
    rows = [row for table in tables for row in table.to_pylist()]
    return run, sorted((row["archive"], row["offset"], row["url"]) for row in rows)


def test_a_selection_is_an_input(crawl: Crawl, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    selection = tmp_path / "selection.parquet"
    settings = ["--set", f"base={crawl.site.url}", "--set", f"snapshots={crawl.site.url}collinfo.json"]
    settings += ["--set", f"budget={tmp_path}/budget", "--set", "requests_per_second=1000"]
    code = main(
        ["crawl", "select", SNAPSHOT, "--language", "sw", "--language", "hau", "--out", str(selection), *settings]
    )
    said = capsys.readouterr()
    assert code == 0, said.err
    assert re.search(r"\d+ of 120 pages", said.out)
    wanted = expected(crawl, {"swa", "hau"})
    run, found = extract(tmp_path / "run", crawl, str(selection))
    assert found == wanted
    offsets = {(archive, offset) for archive, offset, _ in wanted}
    lengths = [
        row["warc_record_length"]
        for row in crawl.rows
        if (row["warc_filename"].removeprefix("crawl-data/"), row["warc_record_offset"]) in offsets
    ]
    assert run.ledger("extract")["bytes"].kept == sum(lengths) < sum(map(len, crawl.contents.values()))


def test_a_snapshot_is_an_input(crawl: Crawl, tmp_path: Path) -> None:
    run, found = extract(tmp_path / "run", crawl, f"{SNAPSHOT}/warc?sample=2&seed=1")
    assert len({archive for archive, _, _ in found}) == 2
    assert len(found) == 80
    assert all(entry.snapshot == SNAPSHOT for entry in run.inputs())
