"""Prose is found by pattern, read whatever it is packed in, and digested by what it says."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from ccbuild.errors import ConfigError, DataError, InputError
from ccbuild.prose import find_prose, read_lines


@pytest.fixture
def folder(in_folder: Path) -> Path:
    for code in ("sw", "zh-Hans", "sr"):
        place = in_folder / "text" / code
        place.mkdir(parents=True)
        (place / f"{code}.a.txt").write_text("moja\nmbili\n", encoding="utf-8")
        (place / "b.train.txt.xz").write_bytes(lzma.compress(b"tatu\n"))
        (place / "c.train.txt.gz").write_bytes(gzip.compress(b"nne"))
        (place / "b.heldout.txt.xz").write_bytes(lzma.compress(b"never"))
    return in_folder


@pytest.mark.parametrize(
    ("pattern", "lines"),
    [
        ("text/{lang}/*.train.txt.*", ["tatu", "nne"]),
        ("text/{lang}/{lang}.a.txt", ["moja", "mbili"]),
        ("**/{lang}/?.train.txt.xz", ["tatu"]),
        ("text/{lang}/*.a.txt", ["moja", "mbili"]),
    ],
)
def test_patterns(folder: Path, pattern: str, lines: list[str]) -> None:
    for where in (pattern, str(folder / pattern)):
        found = find_prose(where)
        assert list(found) == ["sr", "sw", "zh-Hans"]
        assert list(found["sw"].lines()) == lines


def test_a_digest_is_of_the_text_and_not_of_its_place(folder: Path) -> None:
    before = find_prose("text/{lang}/*.a.txt")["sw"].digest()
    (folder / "text").rename(folder / "moved")
    assert find_prose("moved/{lang}/*.a.txt")["sw"].digest() == before
    (folder / "moved/sw/sw.a.txt").write_text("other")
    assert find_prose("moved/{lang}/*.a.txt")["sw"].digest() != before


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        ("text/sw/*.txt", ConfigError, "{lang}"),
        ("nowhere/{lang}.txt", InputError, "No file matches"),
        ("catalogue:lid.176.ftz", ConfigError, "no prose called"),
    ],
)
def test_mistakes(folder: Path, where: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        find_prose(where)


@pytest.mark.parametrize("name", ["cut.xz", "cut.gz", "latin.txt"])
def test_what_cannot_be_read_is_named(in_folder: Path, name: str) -> None:
    packed = {
        "cut.xz": lzma.compress(b"a\nb" * 999)[:-9],
        "cut.gz": gzip.compress(b"a\nb" * 999)[:-9],
        "latin.txt": b"\xff\n",
    }
    Path(name).write_bytes(packed[name])
    with pytest.raises(DataError, match=name):
        list(read_lines(name))


def test_no_prose_is_no_model() -> None:
    assert find_prose(None) == {}
