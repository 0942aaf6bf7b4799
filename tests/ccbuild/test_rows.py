"""One reader of text for every command: the same awkward file, in whatever form, gives each of them the same texts."""

from __future__ import annotations

import ast
import bz2
import gzip
import io
import json
import lzma
import os
import re
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ccbuild import lines as reader
from ccbuild.cli import main
from ccbuild.corpus import open_corpus
from ccbuild.dedup.corpora.files import Corpus, compare_files
from ccbuild.dedup.corpora.texts import CorpusConfig
from ccbuild.errors import DataError, InputError
from ccbuild.lines import bare_name, read_lines
from ccbuild.lm.scored import read_perplexities
from ccbuild.prose import find_prose
from ccbuild.reading import read
from ccbuild.rows import LeftOut, Split, read_documents, read_paragraphs, read_rows
from ccbuild.vocab.texts import file_texts, first_lines

ROOT = Path(__file__).parent.parent.parent
TEXTS = ["Habari za\rleo.", '{Moja} "mbili".', "Tatu ☃\u2028nne.", "ends \x85 here"]
"""A lone CR, a paragraph that begins with a brace, separators that are no end of a line."""
CLEAN = ["Habari za", "leo.", '{Moja} "mbili".', "Tatu ☃", "nne.", "ends", "here"]
"""The same, as `corpus import` cleans it."""
BOM = b"\xef\xbb\xbf"


def zstd(content: bytes) -> bytes:
    into = pa.BufferOutputStream()
    with pa.CompressedOutputStream(into, "zstd") as out:
        out.write(content)
    return bytes(into.getvalue().to_pybytes())


PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstd,
}


def json_lines(*records: Any, end: str = "\n") -> bytes:
    return "".join(json.dumps(record) + end for record in records).encode()


RECORDS = [{"text": TEXTS[0]}, {"text": None}, *({"text": text} for text in TEXTS[1:]), {"title": "no text"}]
PLAIN = {f"plain.text{end}": pack("\n".join(TEXTS).encode()) for end, pack in PACK.items()}
JSON = {f"a.jsonl{end}": pack(json_lines(*RECORDS)) for end, pack in PACK.items()}
FORMS = {
    **PLAIN,
    **JSON,
    "crlf.text": "\r\n".join([*TEXTS, ""]).encode(),
    "bom.text": BOM + "\n".join(TEXTS).encode(),
    "bom.jsonl": BOM + json_lines(*RECORDS),
    "bom-unnamed": BOM + b"\n" + json_lines(*RECORDS, end="\r\n\n"),
    "two.jsonl.gz": gzip.compress(BOM + json_lines(*RECORDS[:2])) + gzip.compress(BOM + json_lines(*RECORDS[2:])),
    "wrong-name.xz": zstd(json_lines(*RECORDS)),
    "a.parquet": b"",
    "parquet-unnamed": b"",
}
NULLS = "no text (1 null"


@pytest.fixture(params=list(FORMS))
def form(request: pytest.FixtureRequest, in_folder: Path) -> str:
    """A file with `TEXTS`, in some form."""
    name = str(request.param)
    Path(name).write_bytes(FORMS[name])
    if "parquet" in name:
        pq.write_table(pa.table({"text": [TEXTS[0], None, *TEXTS[1:]], "n": [1, 2, 3, 4, 5]}), name)
    return name


def test_rows_are_the_same_in_every_form(form: str) -> None:
    told: list[str] = []
    assert [record["text"] for record in read_documents(form, tell=told.append)] == TEXTS
    assert list(read_paragraphs(form, told.append)) == TEXTS
    has_nulls = form not in PLAIN and not form.endswith(".text")
    assert [NULLS in sentence for sentence in told] == [True, True] * has_nulls
    assert [bool(t) for t in Corpus([form], tell=told.append).texts()].count(True) == len(TEXTS)


@pytest.mark.parametrize("form", ["a.jsonl.zst", "plain.text.bz2", "bom.jsonl", "a.parquet"], indirect=True)
def test_the_vocabulary_is_of_cleaned_text(form: str) -> None:
    placed(form)
    assert list(file_texts([f"sw=sw/{form}"]).paragraphs["sw"]()) == CLEAN
    assert first_lines(".", 99) == {"sw": CLEAN}
    assert list(find_prose("{lang}/*")["sw"].lines()) == TEXTS


def captured(monkeypatch: pytest.MonkeyPatch, place: str, *command: str) -> list[str]:
    """The texts, or records, that a command hands to the function at `place`."""
    found: list[str] = []

    def take(*given: Any, **_: Any) -> Any:
        items = next(value for value in given if value is not None)
        found.extend(item if isinstance(item, str) else item["text"] for item in items)
        raise InputError("read")

    monkeypatch.setattr(place, take)
    assert main(command) == 2
    return found


def placed(path: str) -> str:
    """A pattern by which the file is text of Swahili."""
    Path("sw").mkdir()
    Path(path).rename(f"sw/{path}")
    return "{lang}/*"


def imported(path: str) -> list[str]:
    assert main(["corpus", "import", path, "--lang", "sw", "--out", "run", "--json"]) == 0
    return list(open_corpus("run")["sw"].texts())


def documents_of(path: str) -> list[str]:
    named = path if path.endswith((".parquet", ".jsonl")) else f"{bare_name(path)}.txt{Path(path).suffix}"
    Path(path).rename(named)
    return [document.text for document in read(named)]


def compared(path: str) -> list[str]:
    """`dedup compare` counts: so many rows of the file equal those of JSON lines with `TEXTS`."""
    Path("other.jsonl").write_bytes(json_lines(*({"text": text} for text in TEXTS)))
    found = compare_files(Corpus([path]), Corpus(["other.jsonl"]), CorpusConfig())
    return TEXTS[: found.equal[0]] if found.equal == (len(TEXTS), len(TEXTS)) else []


Taken = Callable[[pytest.MonkeyPatch, str], list[str]]
CLI = "ccbuild.cli"
COMMANDS: dict[str, Taken] = {
    "tokens encode": lambda patch, path: captured(
        patch, f"{CLI}.tokens.encode_texts", "tokens", "encode", path, "--lang", "sw", "--vocab", "v", "--out", "o"
    ),
    "langid identify": lambda patch, path: captured(patch, f"{CLI}.langid.answers", "langid", "identify", path),
    "lm score": lambda patch, path: captured(patch, f"{CLI}.lm.score_records", "lm", "score", path, "--model", "m"),
    "lm estimate": lambda patch, path: captured(
        patch, "ccbuild.lm.estimate.estimate_files", "lm", "estimate", "--lang", "sw", "--text", path, "--out", "o"
    ),
    "refine": lambda patch, path: captured(patch, f"{CLI}.files.enumerate", "refine", path, "--models", "."),
    "vocab train": lambda patch, path: captured(
        patch, "ccbuild.vocab.train.count_words", "vocab", "train", "--text", f"sw={path}", "--out", "o"
    ),
    "vocab report": lambda patch, path: first_lines(placed(path), 99)["sw"],
    "corpus import": lambda patch, path: imported(path),
    "dedup": lambda patch, path: [text for text in Corpus([path]).texts() if text],
    "dedup compare": lambda patch, path: compared(path),
    "prose": lambda patch, path: list(find_prose(placed(path))["sw"].lines()),
    "ccbuild.read": lambda patch, path: documents_of(path),
}
"""How to learn which texts a command takes from a file."""
CLEANED = {"corpus import", "vocab train", "vocab report"}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("form", ["plain.text.bz2", "a.jsonl.zst", "bom.jsonl", "a.parquet"], indirect=True)
def test_every_command_takes_the_same_texts(form: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{CLI}.tokens.Encoder", lambda path: None)
    monkeypatch.setattr(f"{CLI}.langid.cascade_of", lambda *_: None)
    monkeypatch.setattr(f"{CLI}.lm._open", lambda *_: None)
    monkeypatch.setattr("ccbuild.cli.files.RefineConfig.build", lambda *_: ())
    monkeypatch.setattr(f"{CLI}.files.enumerate", enumerate, raising=False)
    found = COMMANDS[name](monkeypatch, form)
    assert "\n".join(found).split("\n") == (CLEAN if name in CLEANED else TEXTS)


def test_nobody_else_opens_text() -> None:
    """Compressed files and stdin are opened by the one reader alone."""
    for package in ("ccbuild", "pipelines", "models"):
        for path in (ROOT / package).rglob("*.py"):
            source, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
            if not re.search(r"gzip|lzma|bz2|stdin", source):
                continue
            tree = ast.parse(source)
            modules = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
            opened = modules & {"gzip", "lzma", "bz2"}
            assert not opened or name in OPENERS, f"{name} opens {opened}; ccbuild.lines reads text"
            stdin = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr == "stdin"]
            assert not stdin or name in STDIN, f"{name} reads stdin; ccbuild.lines does"


OPENERS = {"ccbuild/lines.py", "ccbuild/corpus.py"}
"""The second writes."""
STDIN = {"ccbuild/lines.py", "ccbuild/cli/__init__.py", "models/xlmr/bench.py"}
"""The second sets its encoding; the third asks a process of its own."""


@pytest.mark.parametrize(("form", "pack"), PACK.items())
def test_stdin_is_read_as_a_file_is(form: str, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (json_lines(*RECORDS), BOM + "\n".join(TEXTS).encode()):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pack(content))))
        assert [record["text"] for record in read_documents("-", tell=list[str]().append)] == TEXTS
    from_terminal = io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"one\n")))
    monkeypatch.setattr(sys, "stdin", from_terminal)
    assert list(read_lines("-")) == ["one"]
    assert not from_terminal.closed


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"{one} is text\ntwo\n", ["{one} is text", "two"]),
        (b"one\n{two\n", ["one", "{two"]),
        (b'{"a": 1}\nprose behind an object\n', ['{"a": 1}', "prose behind an object"]),
        (b'\n\n{"text": "one"}\n\n', ["one"]),
        (b'{"text": "\\ud800one", "url": "\\udfff"}', ["one"]),
        (b'{"text": "cut short"}\n{"text": "has no end"}', ["cut short", "has no end"]),
        (b"no end", ["no end"]),
        (b"[" * 99_999, ["[" * 99_999]),
        (b"{" * 99_999, ["{" * 99_999]),
        (b"", []),
        (b"\n\n", ["", ""]),
        (b"one\r", ["one"]),
        (b"one\r\n\r\ntwo\r\n", ["one", "", "two"]),
        (BOM + BOM + b"one\n" + BOM + BOM + b"two", ["one", "two"]),
    ],
)
def test_what_is_a_line_and_what_is_a_record(in_folder: Path, content: bytes, texts: list[str]) -> None:
    Path("unnamed").write_bytes(content)
    assert [record["text"] for record in read_documents("unnamed", "line")] == texts


def test_documents_stand_apart_by_blank_lines_where_it_is_said(in_folder: Path) -> None:
    content, documents = b"one\ntwo\n \n\nthree\n", ["one\ntwo", "three"]
    splits: dict[str, Split] = {"a.txt.xz": "auto", "a.txt.zst": "blank", "a.txt": "blank"}
    for name, split in splits.items():
        Path(name).write_bytes(PACK[Path(name).suffix if name != "a.txt" else ""](content))
        rows = list(read_rows(name, split))
        assert [(row.number, row.record["text"]) for row in rows] == [(1, documents[0]), (5, documents[1])]
        assert len(list(read_documents(name, "line"))) == 5


def damaged(content: bytes) -> Iterator[tuple[str, bytes]]:
    for end, pack in PACK.items():
        if end:
            yield f"cut{end}", pack(content)[:-9]
            yield f"empty{end}", b""
            yield f"page{end}", b"<html>404"
    yield "flipped.gz", gzip.compress(content)[:2000] + b"\0" * 50 + gzip.compress(content)[2050:]
    yield "flipped.xz", lzma.compress(content)[:800] + b"\0" * 50 + lzma.compress(content)[850:]


LONG = "".join(f"{n * n * 7919 % 100003} a line\n" for n in range(30_000)).encode()


@pytest.mark.parametrize(("name", "content"), list(damaged(LONG)))
def test_damage_is_told_with_its_place_and_what_stands_before_is_read(
    in_folder: Path, name: str, content: bytes
) -> None:
    Path(name).write_bytes(content)
    lines = read_lines(name)
    found: list[str] = []
    with pytest.raises(DataError, match=name) as raised:
        found.extend(lines)
    if name.startswith(("cut", "flipped")):
        assert f"after line {len(found):,}: " in str(raised.value) or "before the end of its first" in str(raised.value)
    else:
        assert "is not compressed, though its name says so" in str(raised.value)


def test_bad_bytes_are_told_by_line_and_byte(in_folder: Path) -> None:
    Path("a.txt").write_bytes(b"one\ntwo\nth\xffree\nfour\n")
    lines = read_lines("a.txt")
    assert [next(lines), next(lines)] == ["one", "two"]
    with pytest.raises(DataError, match=r"a\.txt, line 3, byte 3 of the line: 0xff is no UTF-8\. Convert"):
        next(lines)
    Path("wide.txt").write_text("one\n", encoding="utf-16")
    with pytest.raises(DataError, match=r"line 1, byte 1 .* looks like UTF-16.* iconv -f UTF-16"):
        next(read_lines("wide.txt"))


def test_where_nothing_can_be_read(in_folder: Path) -> None:
    with pytest.raises(InputError, match=r"absent does not exist"):
        next(read_lines("absent"))
    with pytest.raises(InputError, match=r"is a folder\. Name the files in it"):
        next(read_lines("."))


def test_a_line_has_an_end(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LONGEST", 1 << 18)
    Path("zeros.gz").write_bytes(gzip.compress(b"a\n" + bytes(1 << 20)))
    with pytest.raises(DataError, match=r"zeros\.gz, line 2 is longer than"):
        list(read_lines("zeros.gz"))


def test_memory_does_not_grow_with_the_file(in_folder: Path) -> None:
    Path("a.jsonl.zst").write_bytes(zstd(b'{"text": "%s"}\n' % (b"Habari za leo. " * 100) * 12_000))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_documents("a.jsonl.zst")) == 12_000
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_scored_documents_need_no_text(in_folder: Path) -> None:
    scored = json_lines({"perplexity": 3, "lang": "sw"}, {"perplexity": None, "lang": "sw"}, {"perplexity": 2.5})
    Path("scored.jsonl.zst").write_bytes(zstd(BOM + scored))
    assert read_perplexities("scored.jsonl.zst", "sw")["sw"].tolist() == [2.5, 3.0]


def test_a_file_of_which_no_record_has_text_is_refused(in_folder: Path) -> None:
    Path("a.jsonl").write_bytes(json_lines(*[{"body": "x", "url": "y"}] * 3))
    with pytest.raises(InputError, match=r"a\.jsonl has no text under 'text' in the first 3 records; it has body, url"):
        list(read_documents("a.jsonl"))
    assert len(list(read_rows("a.jsonl", column="body"))) == 3
    Path("a.jsonl").write_bytes(json_lines(*[{"body": "x"}] * 2000, {"text": "late"}))
    with pytest.raises(InputError, match="in the first 1,000 records"):
        list(read_documents("a.jsonl"))
    Path("a.jsonl").write_bytes(json_lines({"text": None}, {"text": None}))
    assert list(read_documents("a.jsonl")) == []


def test_a_text_that_is_none_is_told_by_what_it_is(in_folder: Path) -> None:
    Path("a.jsonl").write_bytes(json_lines({"text": 5}, {"text": [1]}))
    with pytest.raises(
        InputError, match=r"a\.jsonl has no text under 'text' in the first 2 records: what .* is int, li"
    ):
        list(read_documents("a.jsonl"))
    pq.write_table(pa.table({"text": [b"one"]}), "a.parquet")
    with pytest.raises(InputError, match=r"column 'text' of a\.parquet is binary, no text"):
        list(read_documents("a.parquet"))


def test_the_end_of_a_name_says_json(in_folder: Path) -> None:
    for name in ("a.json-notes.txt", "a.jsonl.old.txt"):
        Path(name).write_bytes(b"A note on JSON.\n")
        assert [record["text"] for record in read_documents(name)] == ["A note on JSON."]
    for name in ("a.json", "a.jsonl.gz", "a.jsonlines", "a.ndjson.zst"):
        Path(name).write_bytes(PACK.get(Path(name).suffix, bytes)(b"A note.\n"))
        with pytest.raises(InputError, match=r"line 1 is no JSON: .* \(jq -c"):
            list(read_documents(name))
    Path("a.json").write_bytes(b'[{"text": "one"}]\n')
    with pytest.raises(InputError, match=r"line 1 is a JSON list\. .* jq -c '\.\[\]'"):
        list(read_documents("a.json"))


def test_parquet_without_its_name(in_folder: Path) -> None:
    pq.write_table(pa.table({"text": ["one", None], "n": [1, 2]}), "whole")
    told = list[str]()
    assert [record["n"] for record in read_documents("whole", tell=told.append)] == [1]
    assert "the first in row 2." in told[0]
    Path("cut").write_bytes(Path("whole").read_bytes()[:-9])
    Path("packed.gz").write_bytes(gzip.compress(Path("whole").read_bytes()))
    for name in ("cut", "packed.gz"):
        with pytest.raises(DataError, match=f"{name} is Parquet, .* no whole file of it"):
            list(read_documents(name))


def test_what_has_no_text_is_told_once(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.jsonl").write_bytes(json_lines({"text": "a"}, {"text": None}, {"text": 5}, {"title": "b"}, {"text": "a"}))
    assert main(["dedup", "a.jsonl", "--json"]) == 0
    said = capsys.readouterr()
    fact = "a.jsonl: 3 of 5 records have no text (1 null, 2 without 'text'), the first in line 2."
    assert said.err.count(fact) == 1
    assert [json.loads(line)["row"] for line in said.out.splitlines()] == [4]
    assert main(["corpus", "import", "a.jsonl", "--lang", "sw", "--out", "run"]) == 0
    assert "sw: 3 of 5 records have no text" in capsys.readouterr().err
    assert LeftOut("a").number == 0


def test_a_pipe_is_read_from_its_start(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("one\ntwo\n",))
    writer.start()
    assert list(read_paragraphs(pipe)) == ["one", "two"]
    writer.join()


@pytest.mark.parametrize("pack", [lzma.compress, bz2.compress, gzip.compress])
def test_members_behind_the_first_are_read_or_told(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    first, second = pack(b"one\ntwo\n"), pack(b"three\n")
    path = tmp_path / "packed"
    path.write_bytes(first + second)
    assert list(read_lines(path)) == ["one", "two", "three"]
    path.write_bytes(first + b"\0" * 8)
    assert list(read_lines(path)) == ["one", "two"], "padding"
    for behind in (b"no member", second[:9] + b"\xff\xff\xff" + second[12:], second[:-5]):
        path.write_bytes(first + behind)
        given = read_lines(path)
        assert [next(given), next(given)] == ["one", "two"]
        with pytest.raises(DataError, match=r"is damaged after line [23]"):
            list(given)


def test_text_in_parquet_that_is_no_utf8_is_told(tmp_path: Path) -> None:
    buffers = [None, pa.py_buffer(b"\0\0\0\0\3\0\0\0"), pa.py_buffer(b"ab\xff")]
    pq.write_table(pa.table({"text": pa.Array.from_buffers(pa.string(), 1, buffers)}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no whole Parquet file .*can't decode byte 0xff"):
        list(read_paragraphs(tmp_path / "a.parquet"))
