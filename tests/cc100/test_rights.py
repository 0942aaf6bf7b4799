"""Opt-outs are applied before anything is stored; what a page asks of crawlers is recorded, and honoured by choice."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cc100.engines import in_process
from cc100.layout import Run, sources_of
from cc100.recipe import load_recipe
from cc100.run import run_verb
from ccbuild.progress import silent
from ccbuild.rundir import FOLDERS
from tests.ccbuild.warc.test_members import warc_record
from tests.ccbuild.warc.test_records import record

BODY = b"<meta name='robots' content='NoAI, nofollow'><p>A page that asks not to be trained on, of some length.</p>"


@pytest.fixture
def archive(in_folder: Path) -> Path:
    pages = [warc_record(0), warc_record(1, body=BODY), warc_record(2), warc_record(3)]
    (in_folder / "a.warc.gz").write_bytes(b"".join(gzip.compress(p, mtime=0) for p in pages))
    (in_folder / "out.txt").write_text("# those who asked\nhttp://example.org/2\n")
    return in_folder


def extract(root: Path, *overrides: str) -> Run:
    run = Run(root.absolute(), load_recipe("cc100", ["extract.text=all", *overrides]))
    sources = sources_of(["a.warc.gz"])
    run.note_settings(["extract"])
    table = run.admit(sources)
    summary = run_verb(run, "extract", in_process(), silent, sources, table)
    assert not summary.failures
    return run


def kept(run: Run) -> dict[str, list[str]]:
    rows = pq.read_table(run.folder("extract") / "part-00000.parquet").to_pylist()
    return {row["url"].rsplit("/", 1)[1]: row["robots"] for row in rows}


def test_what_a_page_asks_is_recorded(archive: Path) -> None:
    assert kept(extract(archive / "o")) == {"0": [], "1": ["noai", "nofollow"], "2": [], "3": []}


def test_directives_are_honoured_by_choice(archive: Path) -> None:
    run = extract(archive / "o", "rights.honour_robots=[noai]")
    assert set(kept(run)) == {"0", "2", "3"}
    assert run.ledger("extract")["records"].dropped["robots:noai"] == 1


def test_each_header_is_a_rule_and_reserved_rights_are_one(in_folder: Path) -> None:
    said = [
        b"X-Robots-Tag: googlebot: nosnippet\r\nX-Robots-Tag: noai",
        b"X-Robots-Tag: googlebot: noai",
        b"TDM-Reservation: 1",
        b"X-Robots-Tag: noml",
    ]
    pages = []
    for number, header in enumerate(said):
        http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + header + b"\r\n\r\n"
        page = record(http + b"<p>The har&shy;bour of town %d is closed to large ships.</p>" % number)
        pages.append(gzip.compress(page.replace(b"example.org/r", b"example.org/%d" % number)))
    (in_folder / "a.warc.gz").write_bytes(b"".join(pages))
    run = extract(in_folder / "o", "rights.honour_robots=[noai, noml, tdm-reservation]")
    assert kept(run) == {"1": []}
    dropped = {"robots:noai": 1, "robots:noml": 1, "robots:tdm-reservation": 1}
    assert +run.ledger("extract")["records"].dropped == dropped
    assert run.manifest("extract", "part-00000").facts["characters"] == {"soft_hyphen": 4}


def test_an_opt_out_leaves_nothing_behind(archive: Path) -> None:
    run = extract(archive / "o", f"rights.opt_out={archive}/out.txt")
    assert set(kept(run)) == {"0", "1", "3"}
    assert run.ledger("extract")["records"].dropped["opt_out:url"] == 1
    assert b"example.org/2" in run.file("extract", 0, "refused").read_bytes()
    stored = b"".join(p.read_bytes() for p in (archive / "o" / FOLDERS["prints"]).iterdir())
    assert b"page 2" not in stored


def test_a_longer_list_is_another_input(archive: Path) -> None:
    setting = f"rights.opt_out={archive}/out.txt"
    extract(archive / "o", setting)
    with (archive / "out.txt").open("a") as out:
        out.write("http://example.org/3\n")
    assert set(kept(extract(archive / "o", setting))) == {"0", "1"}
