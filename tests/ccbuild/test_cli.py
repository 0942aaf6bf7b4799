"""The command line: commands pipe into each other, and every mistake is one line with what, where, what next."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ccbuild.cli import main, parser
from ccbuild.errors import DataError
from ccbuild.summary import Summary, table
from tests.ccbuild.warc.test_members import archive, warc_record
from tests.command import ccbuild


def commands() -> list[list[str]]:
    found: list[list[str]] = []

    def walk(made: object, path: list[str]) -> None:
        for action in getattr(made, "_actions", []):
            for name, child in (
                (getattr(action, "choices", None) or {}).items() if hasattr(action, "add_parser") else []
            ):
                found.append([*path, name])
                walk(child, [*path, name])

    walk(parser(), [])
    return found


def test_there_are_the_commands_that_the_readme_names() -> None:
    named = {" ".join(c) for c in commands()}
    assert named >= {"demo", "run", "extract", "refine", "langid", "lm estimate", "lm score", "vocab train"}
    assert named >= {"tokens encode", "model train", "model export", "report", "catalogue"}


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "ACTION" in said or "example:" in said


PIPES = ("extract", "refine", "langid identify", "lm score")
"""JSON lines by purpose: what they print, others read."""
SAYS_A_PATH = ("report",)


def test_every_command_that_prints_results_takes_json(capsys: pytest.CaptureFixture[str]) -> None:
    without = []
    for command in commands():
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        said = capsys.readouterr().out
        if "ACTION" not in said and "--json" not in said:
            without.append(" ".join(command))
    assert sorted(without) == sorted((*PIPES, *SAYS_A_PATH))


@pytest.fixture
def files(in_folder: Path) -> Path:
    (in_folder / "sound.warc.gz").write_bytes(archive(3)[0])
    (in_folder / "cut.warc.gz").write_bytes(archive(3)[0][:-30])
    (in_folder / "text.warc.gz").write_bytes(gzip.compress(b"this is no archive at all\n" * 99))
    (in_folder / "folder").mkdir()
    (in_folder / "broken.yaml").write_text("unit: {files: [")
    return in_folder


MISTAKES = [
    (["run", "cc100", "--input", "sound.warc.gz", "--out", "o", "--set", "refine.length.min_char=1"], "min_chars"),
    (["run", "cc100", "--input", "nothing/*.warc.gz", "--out", "o"], "No file matches"),
    (["run", "cc100", "--input", "folder", "--out", "o"], "is a folder"),
    (["run", "cc100", "--input", "text.warc.gz", "--out", "o"], "is no WARC"),
    (["run", "cc100", "--out", "o"], "No input is named"),
    (["run", "cc10", "--input", "sound.warc.gz", "--out", "o"], "no recipe 'cc10'"),
    (["run", "broken.yaml", "--input", "sound.warc.gz", "--out", "o"], "not YAML"),
    (
        ["run", "cc100", "--input", "sound.warc.gz", "--out", "o", "--from", "refine", "--until", "extract"],
        "comes after",
    ),
    (["run", "cc100", "--input", "sound.warc.gz", "--out", "o", "--set", "prepare.prose=x.txt"], "{lang}"),
    (
        ["run", "cc100", "--input", "sound.warc.gz", "--out", "o", "--scheduler", "tcp://127.0.0.1:1"],
        "No Dask scheduler",
    ),
    (["extract", "nothing.warc.gz"], "does not exist"),
    (["extract", "folder"], "is a folder"),
    (["extract", "text.warc.gz"], "is no WARC"),
    (["extract", "sound.warc.gz", "--set", "text=some"], "it takes one of 'main'"),
    (["refine", "sound.jsonl", "--models", "nowhere"], "is not a folder"),
    (["langid", "identify", "--model", "text.warc.gz"], "model"),
    (["lm", "estimate", "--lang", "../x", "--text", "broken.yaml", "--out", "o"], "no language code"),
    (["lm", "estimate", "--lang", "sw", "--text", "broken.yaml", "--out", "o"], "characters"),
    (["lm", "score", "broken.yaml", "--model", "nothing"], "nothing"),
    (["vocab", "train", "--text", "broken.yaml", "--out", "o"], "CODE=FILE"),
    (["report", "folder"], "not the folder of a run"),
    (["catalogue", "fetch", "lid.177"], "lid.176.ftz"),
    (["model", "train", "--tokens", "folder", "--out", "o", "--preset", "tiny"], "folder"),
    (["model", "train", "--tokens", "folder", "--out", "o", "--preset", "huge"], "tiny"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(m[0])[:60] for m in MISTAKES])
def test_mistakes(arguments: list[str], message: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(arguments)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("ccbuild: ")
    assert message in said
    assert code in ((1, 2) if "langid" in arguments else (2,))
    assert not list((files / "o").rglob("*.parquet")) if (files / "o").exists() else True


def test_extract_prints_pages_and_names_what_was_lost(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", "cut.warc.gz"]) == 0
    said = capsys.readouterr()
    pages = [json.loads(line) for line in said.out.splitlines()]
    assert [p["url"] for p in pages] == ["http://example.org/0", "http://example.org/1"]
    assert "damaged: cut.warc.gz at byte" in said.err
    assert "truncated_member" in said.err


def test_what_was_read_and_made_no_sense_is_not_called_no_bytes(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = gzip.compress(warc_record(0)) + gzip.compress(b"no record at all") + gzip.compress(warc_record(1))
    (files / "odd.warc.gz").write_bytes(odd)
    assert main(["extract", "odd.warc.gz"]) == 0
    at = len(gzip.compress(warc_record(0)))
    place = f"odd.warc.gz at byte {at:,}, in bytes that could be read: not_a_record"
    assert f"damaged: {place}" in capsys.readouterr().err
    damage = [{"archive": "odd.warc.gz", "offset": at, "length": 0, "cause": "not_a_record", "saved": 0}]
    assert f"damaged: {place}" in table(Summary(archives=1, damage=damage))
    damage[0] |= {"length": 1234, "saved": 2}
    said = table(Summary(archives=1, damage=damage)).splitlines()[-1]
    assert said == f"damaged: odd.warc.gz at byte {at:,}, 1,234 bytes: not_a_record; 2 records saved"


def test_extract_pipes_into_langid(files: Path, lid_model: Path) -> None:
    body = "<p>" + "Rais wa nchi alisema kwamba serikali itajenga shule mpya katika mikoa yote. " * 5
    Path("sw.warc.gz").write_bytes(gzip.compress(warc_record(0, body=body.encode())))
    pages = ccbuild("extract", "sw.warc.gz").stdout
    answer = json.loads(ccbuild("langid", "identify", "--alone", stdin=pages).stdout)
    assert (answer["lang"], answer["url"]) == ("sw", "http://example.org/0")


def test_a_pattern_without_quotes_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "cc100", "--input", "a.warc.gz", "b.warc.gz", "--out", "o"])
    assert "b.warc.gz. Put the pattern of --input in quotes, or --input before each file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", "cc100", "--out", "o", "--inputs"])
    assert capsys.readouterr().err.endswith("unrecognized arguments: --inputs\n")


@pytest.mark.parametrize("command", [["langid", "identify"], ["dedup", "query", "."]])
def test_input_that_is_no_utf8_is_told_as_a_file_is(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    Path("run.json").write_text("{}")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Ina kwana?\n\xff\xfe\n")))
    assert main(command) == DataError.exit_code
    said = capsys.readouterr().err
    assert said.startswith("ccbuild: stdin, line 2, byte 1 of the line: 0xff is no UTF-8. Convert the file: ")


def run_extract(*more: str) -> subprocess.CompletedProcess[str]:
    common = ("--out", "o", "--workers", "0", "--from", "extract", "--until", "match")
    return ccbuild("run", "cc100", "--input", "*.warc.gz", *common, *more)


def test_a_file_that_is_no_archive_stops_the_run_before_it_starts(files: Path) -> None:
    done = run_extract()
    assert done.returncode == 2
    assert "text.warc.gz is no WARC" in done.stderr
    assert not Path("o").exists()


def test_a_manifest_that_was_lost_is_made_again(files: Path) -> None:
    Path("text.warc.gz").unlink()
    assert run_extract().returncode == 0
    whole = Path("o/1-pages/__manifests/part-00000.json").read_bytes()
    Path("o/1-pages/__manifests/part-00000.json").write_text("{")
    Path("o/1-pages/__manifests/part-00001.json").unlink()
    assert run_extract().returncode == 0
    assert Path("o/1-pages/__manifests/part-00000.json").read_bytes() == whole


def test_a_disk_that_refuses_ends_the_run_at_once(files: Path) -> None:
    Path("text.warc.gz").unlink()
    Path("o/1-pages/part-00000.parquet").mkdir(parents=True)
    done = run_extract()
    assert done.returncode == 1
    assert "cannot be written: Is a directory" in done.stderr
    assert not Path("o/1-pages/__manifests/part-00000.json").exists()


def test_wet_and_warc_go_through_the_same_command(files: Path, lid_model: Path) -> None:
    text = "Erster Absatz eines Textes, der lang genug ist.\n" * 9
    record = (
        "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://example.org/wet\r\n"
        "WARC-Date: 2026-01-01T00:00:00Z\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(text)}\r\n\r\n{text}\r\n\r\n"
    )
    Path("x.warc.wet.gz").write_bytes(gzip.compress(record.encode()))
    done = ccbuild(
        "run",
        "ccnet",
        "--input",
        "x.warc.wet.gz",
        "--out",
        "w",
        "--workers",
        "0",
        "--until",
        "extract",
        "--from",
        "extract",
    )
    assert done.returncode == 0, done.stderr
    rows = pq.read_table("w/1-pages/part-00000.parquet").to_pylist()
    assert [r["url"] for r in rows] == ["http://example.org/wet"]


def test_a_dry_run_prints_the_recipe_and_the_units_and_makes_nothing(files: Path) -> None:
    done = ccbuild("run", "cc100", "--input", "sound.warc.gz", "--out", "dry", "--dry-run", "--set", "unit.files=4")
    assert done.returncode == 0, done.stderr
    assert "files: 4" in done.stdout
    assert "1 archive" in done.stdout
    assert not Path("dry").exists()


def test_no_network_is_said_with_what_to_do(files: Path) -> None:
    environment = {**os.environ, "CCBUILD_CACHE": str(files / "empty"), "PIP_INDEX_URL": "http://127.0.0.1:1/simple"}
    environment |= {"PIP_RETRIES": "0", "PIP_NO_INDEX": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "ccbuild", "catalogue", "fetch", "eld"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 1
    assert "eld" in done.stderr
    assert "ccbuild catalogue fetch" in done.stderr
