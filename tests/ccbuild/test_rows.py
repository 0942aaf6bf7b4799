"""One reader of text for every command: the same awkward file, in whatever form, gives each of them the same texts."""

from __future__ import annotations

import ast
import bz2
import gzip
import io
import json
import lzma
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ccbuild import lines as reader
from ccbuild.dedup.corpora.files import Corpus
from ccbuild.errors import DataError, InputError
from ccbuild.lines import read_lines
from ccbuild.prose import find_prose
from ccbuild.reading import read
from ccbuild.rows import LeftOut, Split, read_documents, read_paragraphs, read_rows
from ccbuild.vocab.texts import file_texts, first_lines

ROOT = Path(__file__).parent.parent.parent
TEXTS = ["Habari za\rleo.", '{Moja} "mbili".', "Tatu ☃\u2028nne.", "ends \x85 here"]
"""A lone CR, a paragraph that begins with a brace, separators that are no end of a line."""
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
NULLS = "records have no text (1 null"


@pytest.fixture(params=list(FORMS))
def form(request: pytest.FixtureRequest, in_folder: Path) -> str:
    """A file with `TEXTS`, in some form."""
    name = str(request.param)
    Path(name).write_bytes(FORMS[name])
    if "parquet" in name:
        pq.write_table(pa.table({"text": [TEXTS[0], None, *TEXTS[1:]], "n": [1, 2, 3, 4, 5]}), name)
    return name


def of_read(path: str) -> list[str]:
    named = Path(path).with_name(path if path.endswith((".parquet", ".jsonl")) else f"{path}.txt")
    named.unlink(missing_ok=path != str(named))
    Path(path).rename(named)
    return [document.text for document in read(str(named))]


def cleaned(texts: list[str]) -> list[str]:
    """As `corpus import` cleans them."""
    return [part for text in texts for part in text.replace("\r", "\n").replace("\u2028", "\n").split("\n")]


def test_rows_are_the_same_in_every_form(form: str) -> None:
    told: list[str] = []
    assert [record["text"] for record in read_documents(form, tell=told.append)] == TEXTS
    assert list(read_paragraphs(form, told.append)) == TEXTS
    has_nulls = form not in PLAIN and not form.endswith(".text")
    assert [NULLS in sentence for sentence in told] == [True, True] * has_nulls
    assert [bool(t) for t in Corpus([form], tell=told.append).texts()].count(True) == len(TEXTS)


@pytest.mark.parametrize("form", ["a.jsonl.zst", "plain.text.bz2", "bom.jsonl", "a.parquet"], indirect=True)
def test_the_vocabulary_is_of_cleaned_text(form: str) -> None:
    Path("sw").mkdir()
    Path(form).rename(f"sw/{form}")
    expected = ["Habari za", "leo.", '{Moja} "mbili".', "Tatu ☃", "nne.", "ends", "here"]
    assert list(file_texts([f"sw=sw/{form}"]).paragraphs["sw"]()) == expected
    assert first_lines(".", 99) == {"sw": expected}
    assert list(find_prose("{lang}/*")["sw"].lines()) == TEXTS
