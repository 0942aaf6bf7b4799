"""What comes from outside and must not go further: accounts in URLs, steering characters, schedulers without TLS."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import ccbuild
from cc100.engines import refuse_insecure
from ccbuild.cli import main
from ccbuild.cli.terminal import print_facts, print_records, print_results, print_text
from ccbuild.errors import InputError
from ccbuild.missing import Missing, missing_units, note_failures
from ccbuild.progress import note, visible
from ccbuild.records import Document, without_account
from ccbuild.rundir import RunDir
from ccbuild.summary import Summary, table
from tests.cc100.test_filters import SETTINGS
from tests.conftest import cached
from tests.folder import ARTICLES, page_record

STEERING = "a\x1b[2J\x9b1m\u202egz.craw\u2066\n"
SEEN = r"a\u001b[2J\u009b1m\u202egz.craw\u2066"


@pytest.mark.parametrize(
    ("url", "published"),
    [
        ("http://ann:secret@example.com:80/a", "http://example.com:80/a"),
        ("https://ann@example.com", "https://example.com"),
        ("https://ann:p@ss@example.com/?q=x", "https://example.com/?q=x"),
        (
            "https://web.archive.org/web/http://ann:secret@example.com/",
            "https://web.archive.org/web/http://example.com/",
        ),
        ("https://example.com/@ann", "https://example.com/@ann"),
        ("https://example.com?mail=a:b@c.org", "https://example.com?mail=a:b@c.org"),
        ("https://example.com/?to=https://x.org&mail=a@b", "https://example.com/?to=https://x.org&mail=a@b"),
        ("mailto:ann@example.com", "mailto:ann@example.com"),
        ("", ""),
    ],
)
def test_an_account_is_taken_out_of_a_url(url: str, published: str) -> None:
    assert without_account(url) == published
    assert Document.from_record({"text": "a", "url": url}).url == published


def test_no_table_of_a_run_holds_an_account_and_recaptures_are_still_found(tmp_path: Path, within: None) -> None:
    """The same address with an account and without is the same page, crawled twice."""
    cached("lid.176.ftz")

    def at(url: str, *paragraphs: str) -> bytes:
        plain = gzip.decompress(page_record(0, paragraphs)).replace(b"http://example.com/0", url.encode())
        return gzip.compress(plain, mtime=0)

    (tmp_path / "a.warc.gz").write_bytes(
        at("http://ann:secret@example.com/0", *ARTICLES[0])
        + at("http://example.com/0", *ARTICLES[0])
        + at("http://bob:secret@example.com/empty")
    )
    run = ccbuild.build(
        "cc100", str(tmp_path / "a.warc.gz"), tmp_path / "run", settings=SETTINGS, until="publish", workers=0
    )
    assert [row["url"] for row in run.dropped("recapture")] == ["http://example.com/0"]
    (published,) = (pq.read_table(path, columns=["url"]) for path in run.corpus("en").paths)
    assert published["url"].to_pylist() == ["http://example.com/0"]
    tables = list(run.root.rglob("*.parquet"))
    assert any(path.parent.name == "1-refused" for path in tables)
    for path in tables:
        if "url" in pq.read_schema(path).names:
            assert "secret" not in str(pq.read_table(path, columns=["url"])["url"].to_pylist()), path


def test_an_account_in_an_error_is_not_noted(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    note_failures(run, "match", {"part-00000": "InputError: https://ann:secret@example.com/a.gz is gone, ask a@b"})
    assert missing_units(run)[0].error == "InputError: https://example.com/a.gz is gone, ask a@b"


def test_what_steers_a_terminal_is_told_by_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert visible(STEERING) == SEEN + r"\u000a"
    record: dict[str, Any] = {"archive": STEERING}
    note(STEERING)
    print_facts(record, as_json=False)
    print_results([record], False, {"archive": "archive"})
    print_text(STEERING)
    shown = capsys.readouterr()
    assert shown.err.count(SEEN) == 1
    assert shown.out.count(SEEN) == 3
    print_records([record])
    line = capsys.readouterr().out
    assert SEEN in line
    assert json.loads(line) == record


def test_an_archive_cannot_write_on_the_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage = {"archive": STEERING, "offset": 1, "length": 2, "cause": STEERING}
    summary = Summary(archives=1, damage=[damage], missing=[Missing("extract", "part-00000", STEERING, (STEERING,))])
    assert table(summary).count(SEEN) == 4
    assert "\x1b" not in table(summary)
    assert main(["extract", str(tmp_path / STEERING)]) == 2
    assert SEEN in capsys.readouterr().err


@pytest.mark.parametrize("address", ["tcp://head:8786", "head:8786", "tcp://10.0.0.1:8786", "ws://[2001:db8::1]:1"])
def test_a_scheduler_on_another_machine_needs_tls(tmp_path: Path, address: str) -> None:
    with pytest.raises(InputError, match="without TLS.*--insecure-scheduler"):
        refuse_insecure(address)
    archive = tmp_path / "a.warc.gz"
    archive.write_bytes(page_record(0, ARTICLES[0]))
    with pytest.raises(InputError, match="without TLS"):
        ccbuild.build("cc100", str(archive), tmp_path / "run", until="extract", cluster=address)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("address", ["tls://head:8786", "tcp://127.0.0.1:8786", "tcp://[::1]:8786", "localhost:8786"])
def test_tls_and_this_machine_are_taken(address: str) -> None:
    refuse_insecure(address)


def test_whoever_says_so_may_go_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def called(address: str, *more: object) -> None:
        raise InputError(f"{address} was called")

    monkeypatch.setattr("cc100.build.remote_cluster", called)
    archive = tmp_path / "a.warc.gz"
    archive.write_bytes(page_record(0, ARTICLES[0]))
    command = ["run", "cc100", "--input", str(archive), "--out", str(tmp_path / "run"), "--until", "extract"]
    command += ["--scheduler", "tcp://head:8786"]
    assert main(command) == 2
    assert "without TLS" in capsys.readouterr().err
    assert main([*command, "--insecure-scheduler"]) == 2
    assert "tcp://head:8786 was called" in capsys.readouterr().err
