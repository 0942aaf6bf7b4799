"""Prose is found by pattern, read whatever it is packed in, and digested by what it says."""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ccbuild.errors import ConfigError, DataError, InputError
from ccbuild.lines import read_lines
from ccbuild.prose import find_prose, split_prose
from ccbuild.rows import read_documents, read_paragraphs


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


PARAGRAPHS = ["Moja kwa moja.", "Mbili {si JSON}.", "Tatu ☃."]


def json_lines(*records: object) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


FORMS = {
    "plain.txt": "\n".join(PARAGRAPHS).encode(),
    "plain.txt.xz": lzma.compress("\n".join(PARAGRAPHS).encode()),
    "swwiki-20181203-cirrussearch-content.json.gz": gzip.compress(
        json_lines(
            {"index": {"_type": "page", "_id": "1"}},
            {"title": "A", "namespace": 0, "text": PARAGRAPHS[0], "opening_text": "Moja"},
            {"index": {"_type": "page", "_id": "2"}},
            {"title": "Mtumiaji:B", "namespace": 2, "text": "user page"},
            {"index": {"_type": "page", "_id": "3"}},
            {"title": "C", "namespace": 0, "text": "\n".join(PARAGRAPHS[1:])},
        )
    ),
    "wiki_00": json_lines(
        {"id": "1", "url": "https://sw.wikipedia.org/wiki?curid=1", "title": "A", "text": PARAGRAPHS[0]},
        {"id": "2", "title": "B", "text": "\n".join(PARAGRAPHS[1:])},
    ),
    "train-00000-of-00001.parquet": b"",
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_prose(in_folder: Path, name: str) -> None:
    Path(name).write_bytes(FORMS[name])
    if name.endswith(".parquet"):
        texts = [PARAGRAPHS[0], "\n".join(PARAGRAPHS[1:])]
        pq.write_table(pa.table({"id": ["1", "2"], "title": ["A", "B"], "text": texts}), name)
    assert list(read_paragraphs(name)) == PARAGRAPHS


def test_text_that_begins_with_a_brace_is_text(in_folder: Path) -> None:
    Path("prose.txt").write_text("{{Infobox}}\nMoja.\n")
    assert list(read_paragraphs("prose.txt")) == ["{{Infobox}}", "Moja."]


def test_documents_of_each_form(in_folder: Path) -> None:
    Path("corpus.txt.xz").write_bytes(lzma.compress(b"one\ntwo\n\n\nthree\n"))
    assert [d["text"] for d in read_documents("corpus.txt.xz")] == ["one\ntwo", "three"]
    assert [d["text"] for d in read_documents("corpus.txt.xz", "line")] == ["one", "two", "", "", "three"]
    Path("corpus.txt").write_text("one\n\ntwo\n")
    assert [d["text"] for d in read_documents("corpus.txt")] == ["one", "", "two"]
    assert [d["text"] for d in read_documents("corpus.txt", "blank")] == ["one", "two"]
    pq.write_table(pa.table({"doc_id": [7], "text": ["one"], "when": [None], "tags": [["a"]]}), "corpus.parquet")
    (row,) = read_documents("corpus.parquet")
    assert (row["doc_id"], row["text"], "tags" in row) == (7, "one", False)
    Path("empty.jsonl").write_text("")
    assert list(read_documents("empty.jsonl")) == []


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": ', InputError),
        ("b.jsonl", b'{"title": "x"}\n', InputError),
        ("c.jsonl", b"[1]\n", InputError),
        ("d.parquet", b"PAR1 and nothing more", DataError),
    ],
)
def test_damaged_documents_are_named(in_folder: Path, name: str, content: bytes, error: type[Exception]) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(error, match=name):
        list(read_documents(name))


def test_parquet_without_text(in_folder: Path) -> None:
    pq.write_table(pa.table({"content": ["one"]}), "a.parquet")
    with pytest.raises(InputError, match="no text column 'text'. It has content"):
        list(read_documents("a.parquet"))
    with pytest.raises(InputError, match="is not a file"):
        list(read_documents("b.parquet"))


def test_each_line_falls_to_one_side_wherever_it_stands() -> None:
    lines = [f"Line {i}" for i in range(2000)]
    train, heldout = split_prose([*lines, *lines, " LINE 7 "], 0.1)
    assert len(train) + len(heldout) == 2000
    assert 150 < len(heldout) < 250
    again, apart = split_prose(reversed(lines), 0.1)
    assert (set(again), set(apart)) == (set(train), set(heldout))
    assert split_prose(lines, 0.0) == (lines, [])


def test_a_dump_by_its_date_is_fetched_when_it_is_read(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCBUILD_CACHE", str(in_folder))
    (prose,) = find_prose("catalogue:wikipedia-20240506", ["sw"]).values()
    folder = in_folder / "wikipedia-20240506"
    folder.mkdir()
    pages = [{"index": {"_id": "1"}}, {"namespace": 0, "text": "Habari za leo."}]
    dump = gzip.compress("".join(json.dumps(page) + "\n" for page in pages).encode())
    (folder / "swwiki-20240506-cirrussearch-content.json.gz").write_bytes(dump)
    assert list(prose.lines()) == ["Habari za leo."]
    assert prose.files[0].licence == "CC-BY-SA-4.0"
    before = prose.digest()
    assert len(before) == 64
    with pytest.raises(ConfigError, match="Name the languages"):
        find_prose("catalogue:wikipedia-20240506")
