"""Items in the forms that benchmarks are published in."""

from __future__ import annotations

import gzip
import io
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ccbuild.cli import main
from ccbuild.contamination.benchmarks import benchmark_files, items_digest, read_items
from ccbuild.errors import DataError, InputError

SQUAD = {
    "data": [{"paragraphs": [{"context": "A long context.", "qas": [{"question": "Who was it?", "answers": []}]}]}]
}
FORMS: dict[str, tuple[str, list[tuple[str, str, str]]]] = {
    "XNLI-1.0/xnli.test.tsv": (
        "language\tgold_label\tsentence1_binary_parse\tsentence1\tsentence2\n"
        "sw\tneutral\t\tHabari za leo.\tSijambo.\nth\tneutral\t\tสวัสดี\tลาก่อน\n",
        [("xnli", lang, text) for lang, text in [("sw", "Habari za leo."), ("sw", "Sijambo.")]]
        + [("xnli", "th", "สวัสดี"), ("xnli", "th", "ลาก่อน")],
    ),
    "multinli/multinli.train.sw.tsv": (
        "premise\thypo\tlabel\nKwanza.\tPili.\tneutral\n",
        [("multinli", "sw", "Kwanza."), ("multinli", "sw", "Pili.")],
    ),
    "MRPC/dev.tsv": (
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tOne said so.\tAnother said so.\n",
        [("MRPC/dev", "", "One said so."), ("MRPC/dev", "", "Another said so.")],
    ),
    "CoLA/dev.tsv": (
        "gj04\t1\t\tThe sailors rode the breeze.\ngj04\t0\t*\tThe problem perceives easily.\n",
        [("CoLA/dev", "", "The sailors rode the breeze."), ("CoLA/dev", "", "The problem perceives easily.")],
    ),
    "wikiann/sw/test": (
        "sw:Nairobi\tB-LOC\nsw:ni\tO\nsw:mji\tO\n\nsw:Yeye\tO\nsw:huyu\tO\n",
        [("wikiann", "sw", "Nairobi ni mji"), ("wikiann", "sw", "Yeye huyu")],
    ),
    "conll/eng.testb": (
        "SOCCER NN B-NP O\nJAPAN NNP B-NP B-LOC\n\nNadim NNP I-NP B-PER\nLadki NNP I-NP I-PER\n",
        [("eng", "", "SOCCER JAPAN"), ("eng", "", "Nadim Ladki")],
    ),
    "xquad/xquad.de.json": (
        json.dumps(SQUAD),
        [("xquad", "de", "A long context."), ("xquad", "de", "Who was it?")],
    ),
    "MLQA_V1/test/test-context-hi-question-de.json": (
        json.dumps(SQUAD),
        [("MLQA_V1", "hi", "A long context."), ("MLQA_V1", "de", "Who was it?")],
    ),
    "mine.jsonl": (
        '{"lang": "ig", "question": "Gịnị?", "choices": ["one thing", "two things"], "n": 3}\n'
        '{"tokens": ["Kedu", "ihe"], "ner_tags": [0, 1]}\n',
        [("mine", "ig", "Gịnị?"), ("mine", "ig", "one thing"), ("mine", "ig", "two things"), ("mine", "", "Kedu ihe")],
    ),
    "PAWS-X/de/test_2k.tsv": (  # a row without its label
        "id\tsentence1\tsentence2\tlabel\n1\tErster Satz.\tZweiter Satz.\n",
        [("PAWS-X", "de", "Erster Satz."), ("PAWS-X", "de", "Zweiter Satz.")],
    ),
    "pairs.tsv": (
        "The first sentence.\tKifungu cha kwanza.\tx\nThe second one.\tKifungu cha pili.\ty\n",
        [("pairs", "", text) for text in ("The first sentence.", "Kifungu cha kwanza.", "The second one.")]
        + [("pairs", "", "Kifungu cha pili.")],
    ),
    "list.json": (
        '[{"language": "de", "text": "Ein Satz."}, "alone"]',
        [("list", "de", "Ein Satz."), ("list", "", "alone")],
    ),
    "coqa.json": ('{"version": "1", "data": [{"story": "Once."}]}', [("coqa", "", "Once.")]),
    "lines.txt": ('{"lang": "sw", "text": "Habari."}\n', [("lines", "sw", "Habari.")]),
    "tmp/items.csv": ("One item.\n", [("items", "", "One item.")]),
    "xx/items.md": ("One item.\n", [("items", "", "One item.")]),
    "plain.txt": ("First line.\n\nSecond line.\n", [("plain", "", "First line."), ("plain", "", "Second line.")]),
}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_read(name: str, tmp_path: Path) -> None:
    content, items = FORMS[name]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    assert [tuple(item) for item in read_items(path)] == items


def test_parquet_of_records(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"premise": ["One."], "label": [1], "translations": [["a b", "c d"]]}), path)
    assert [item.text for item in read_items(path)] == ["One.", "a b", "c d"]


def test_what_is_no_benchmark_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.tsv").write_text("\n")
    with pytest.raises(DataError, match=r"empty\.tsv has no text of a benchmark"):
        list(read_items(tmp_path / "empty.tsv"))
    (tmp_path / "other.json").write_text('{"data": [{"paragraphs": [{"qas": []}]}]}')
    with pytest.raises(DataError, match="goes on otherwise: KeyError"):
        list(read_items(tmp_path / "other.json"))
    (tmp_path / "null.json").write_text('{"data": [{"paragraphs": [{"context": null, "qas": []}]}]}')
    with pytest.raises(DataError, match="goes on otherwise: AttributeError"):
        list(read_items(tmp_path / "null.json"))
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"deep\.json, line 1 is no JSON: maximum recursion"):
        list(read_items(tmp_path / "deep.json"))
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"cut\.parquet is no whole Parquet file"):
        list(read_items(tmp_path / "cut.parquet"))
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no file"):
        benchmark_files([tmp_path / "none"])


def test_a_folder_holds_items_beside_what_came_with_them(tmp_path: Path) -> None:
    """What stands in a licence stands in many documents."""
    others = ("README.md", "LICENSE", ".gitattributes", ".git/objects/a1", "sw/LICENCE.txt")
    for name in ("xnli.dev.tsv", "sw/test", *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\xff\0")
    assert benchmark_files([tmp_path]) == [str(tmp_path / name) for name in ("sw/test", "xnli.dev.tsv")]
    assert benchmark_files([tmp_path / "README.md"]) == [str(tmp_path / "README.md")]


def test_the_digest_is_that_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    before = items_digest(str(tmp_path))
    (tmp_path / "a.txt").write_text("two")
    assert items_digest(str(tmp_path)) != before
    (tmp_path / "a.txt").write_text("one")
    assert items_digest(str(tmp_path)) == before
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    assert items_digest(str(tmp_path)) != before


def test_the_command_on_files(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = "The committee will publish its findings before the end of the present year, it said."
    (in_folder / "items.jsonl").write_text(json.dumps({"lang": "en", "text": item}) + "\n" + '{"text": "Too short."}\n')
    (in_folder / "mine.txt").write_text(f"Nothing.\nHe wrote: {item.upper()}\nNothing.\n")
    command = ["contamination", "mine.txt", "--against", "items.jsonl", "--list", "held.jsonl"]
    assert main([*command, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        {"benchmark": "items", "lang": "", "items": 1, "too_short": 1, "seen": 0, "share": None, "documents": 0},
        {"benchmark": "items", "lang": "en", "items": 1, "too_short": 0, "seen": 1, "share": 1.0, "documents": 1},
    ]
    held = json.loads((in_folder / "held.jsonl").read_text())
    assert held == {"file": "mine.txt", "document": 2, "benchmark": "items", "item_lang": "en"} | {
        "shared": item.upper()[:-1]
    }
    assert main(command) == 0
    said = capsys.readouterr()
    assert "100.00%" in said.out
    assert "Test items stand in 1 of 3 documents." in said.err


def test_the_command_on_a_run(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = "The committee will publish its findings before the end of the present year, it said.\n"
    for name in ("items.txt", "en.txt", "sw.txt"):
        (in_folder / name).write_text(item if name != "sw.txt" else "Habari ya dunia, rafiki yangu mpendwa.\n")
    for lang in ("en", "sw"):
        (in_folder / lang).mkdir()
        (in_folder / f"{lang}.txt").rename(in_folder / lang / "text")
    assert main(["corpus", "import", "{lang}/text", "--out", "run", "--workers", "0"]) == 0
    for folder in ("run", "run/5-corpus"):
        command = ["contamination", folder, "--against", "items.txt", "--list", "held.jsonl"]
        assert main(command) == 0
        assert "Test items stand in 1 of 2 documents." in capsys.readouterr().err
        held = json.loads((in_folder / "held.jsonl").read_text())
        assert (held["lang"], held["shared"]) == ("en", item[:-2])
        assert main([*command, "--lang", "sw"]) == 0
        assert "Test items stand in 0 of 1 document." in capsys.readouterr().err
        assert main([*command, "--lang", "en,xx"]) == 2
        assert f"{folder} has no xx. It has en, sw." in capsys.readouterr().err
    (in_folder / "other").mkdir()
    assert main(["contamination", "other", "--against", "items.txt"]) == 2
    assert "other holds no corpus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mine.txt", "--list", "mine.txt"], "mine.txt would write over a file that is read"),
        (["mine.txt", "--list", "items.txt"], "items.txt would write over a file that is read"),
        (["mine.txt", "--list", "absent/held.jsonl"], "cannot be written: No such file or directory. Choose another"),
        (["mine.txt", "--list", "/dev/full"], "No space left to write /dev/full"),
        (["absent", "--list", "held.jsonl"], "No file matches 'absent'"),
        (["-", "-"], "stdin (-) can be read once"),
        (["mine.txt", "--lang", "en"], "--lang chooses among the languages of runs"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_is_lost(
    arguments: list[str], said: str, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = "The committee will publish its findings before the end of the present year, it said.\n"
    for name in ("items.txt", "mine.txt", "held.jsonl"):
        (in_folder / name).write_text(item)
    assert main(["contamination", *arguments, "--against", "items.txt"]) in (1, 2)
    assert said in capsys.readouterr().err
    assert {(in_folder / name).read_text() for name in ("items.txt", "mine.txt", "held.jsonl")} == {item}


def test_names_that_are_no_utf8(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = "The committee will publish its findings before the end of the present year, it said.\n"
    for name in (b"items\xff.txt", b"mine\xff.txt"):
        (in_folder / os.fsdecode(name)).write_text(item)
    assert main(["contamination", "mine*", "--against", "items*", "--list", "held.jsonl"]) == 0
    assert "items\ufffd" in capsys.readouterr().out
    assert json.loads((in_folder / "held.jsonl").read_text())["file"] == "mine\udcff.txt"


def test_the_command_on_stdin(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    item = "The committee will publish its findings before the end of the present year, it said.\n"
    (in_folder / "items.txt").write_text(item)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(item.encode()))))
    assert main(["contamination", "-", "--against", "items.txt"]) == 0
    assert "Test items stand in 1 of 1 document." in capsys.readouterr().err
