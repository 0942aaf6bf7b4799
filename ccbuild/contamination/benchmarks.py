"""Test items in the formats that benchmarks are published in.

============ ==========================================================================================================
SQuAD        JSON with ``data``, as XQuAD and MLQA have it: contexts and questions, each by itself
tables       ``.tsv`` with a head (XNLI, GLUE): the columns whose names begin as `_TEXTS` do; GLUE's CoLA has no head
columns      a word and its tag a line, as WikiANN (``en:word``) and CoNLL: the sentences, between blank lines
records      JSON lines, Parquet: every value that is text, or a list of words; ``language`` or ``lang`` says which
lines        everything else: a line is an item
============ ==========================================================================================================

A language that no column says is taken from the file's name (``xquad.de.json``, ``test-context-hi-question-de.json``,
where it is the context's for a context), or from the folder's that holds it (``de/test``).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ccbuild.errors import DataError, InputError
from ccbuild.lines import bare_name, read_lines
from ccbuild.rows import is_parquet, read_rows
from ccbuild.storage import expand, open_parquet

__all__ = ["Item", "benchmark_files", "first_items", "items_digest", "read_items"]

_TEXTS = ("sentence", "premise", "hypo", "question", "context", "passage", "answer", "text", "#1 string", "#2 string")
_LANGUAGES = ("language", "lang")
_TAGGED = re.compile(r"(?:[a-z]{2,3}(?:-[a-z-]+)?:)?(\S+)(?:[ \t]\S+)*[ \t](?:O|[BIES]-\S+)$")
_CODE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z]{2,8})?")
_MLQA = re.compile(r"context-([a-z]{2,3})-question-([a-z]{2,3})")
_BATCH = 1 << 10
_NO_LANGUAGES = {"dev", "raw", "txt", "tsv", "new", "all"}


class Item(NamedTuple):
    """A text of a benchmark that a model must not have seen."""

    benchmark: str
    """The file's name, without what says its form and language."""
    lang: str
    """Empty where nothing says it."""
    text: str


def benchmark_files(what: Iterable[str | Path]) -> list[str]:
    """The files behind paths, globs and folders, each once; `InputError` for what holds none."""
    found: list[str] = []
    for each in map(str, what):
        if Path(each).is_dir():
            inside = sorted(str(path) for path in Path(each).rglob("*") if path.is_file() and path.name[0] != ".")
            if not inside:
                raise InputError(f"{each} holds no file. Name the files of a benchmark, or a folder of them.")
            found += inside
        else:
            found += expand(each)
    return list(dict.fromkeys(found))


def read_items(path: str | Path) -> Iterator[Item]:
    """The items of a file, in its order, those that it repeats too. `DataError` for a file that has none."""
    name, lang = _named(path)
    found = False
    for code, text in _texts(Path(path), lang):
        if text.strip():
            found = True
            yield Item(name, code, text)
    if not found:
        raise DataError(f"{path} has no text of a benchmark. Name a file of test items.")


def first_items(what: str) -> None:
    """Read the first item of each file; `InputError` or `DataError` where one has none."""
    for path in benchmark_files([what]):
        next(read_items(path))


def items_digest(what: str) -> str:
    """SHA-256 over the files of items: what is called how, and what it holds."""
    digest = hashlib.sha256()
    for path in benchmark_files([what]):
        with open(path, "rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{Path(path).name} {content}\n".encode())
    return digest.hexdigest()


def _named(path: str | Path) -> tuple[str, str]:
    """(benchmark, language) by the name of a file and of its folder.

    >>> _named("xquad.zh.json"), _named("wikiann/sw/test"), _named("MLQA_V1/test/test-context-hi-question-de.json")
    (('xquad', 'zh'), ('wikiann', 'sw'), ('MLQA_V1', 'hi'))
    """
    bare, folder = bare_name(path), Path(path).resolve().parent
    if pair := _MLQA.search(bare):
        return folder.parent.name, pair[1]
    first, *others = bare.split(".")
    codes = [each for each in others if _CODE.fullmatch(each) and each not in _NO_LANGUAGES]
    if codes:
        return first, codes[0]
    if _CODE.fullmatch(folder.name) and folder.name not in _NO_LANGUAGES:
        return folder.parent.name, folder.name
    return f"{folder.name}/{first}" if first in ("train", "dev", "test", "validation") else first, ""


def _texts(path: Path, lang: str) -> Iterator[tuple[str, str]]:
    """(language, text) of each item."""
    name = bare_name(path)
    if is_parquet(path):
        with open_parquet(path) as file:
            for record in (record for batch in file.iter_batches(_BATCH) for record in batch.to_pylist()):
                yield from _of_record(record, lang)
    elif re.search(r"\.(jsonl|ndjson)\b", name):
        for row in read_rows(path, "line", None):
            yield from _of_record(row.record, lang)
    elif name.endswith(".json"):
        yield from _of_json("\n".join(read_lines(path)), path, lang)
    else:
        lines = read_lines(path)
        head = list(itertools.islice(lines, 20))
        lines = itertools.chain(head, lines)
        if head and "\t" in head[0] and not _is_tagged(head):
            yield from _of_table(lines, lang)
        elif _is_tagged(head):
            yield from _of_columns(lines, lang)
        else:
            yield from ((lang, line) for line in lines)


def _of_record(record: Mapping[str, Any], lang: str) -> Iterator[tuple[str, str]]:
    said = next((record[key] for key in _LANGUAGES if isinstance(record.get(key), str)), lang)
    for key, value in record.items():
        if key not in _LANGUAGES:
            yield from ((said, text) for text in _of_value(value))


def _of_value(value: Any) -> Iterator[str]:
    """Texts in a value; a list of words is a sentence."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from itertools.chain.from_iterable(map(_of_value, value.values()))
    elif isinstance(value, list):
        if value and all(isinstance(each, str) and " " not in each for each in value):
            yield " ".join(value)
        else:
            yield from itertools.chain.from_iterable(map(_of_value, value))


def _of_json(text: str, path: Path, lang: str) -> Iterator[tuple[str, str]]:
    """SQuAD's form, a list of records, or JSON lines under another name."""
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        for row in read_rows(path, "line", None):
            yield from _of_record(row.record, lang)
        return
    if not (isinstance(whole, dict) and isinstance(whole.get("data"), list)):
        yield from _of_record(whole if isinstance(whole, dict) else {"": whole}, lang)
        return
    pair = _MLQA.search(path.name)
    try:
        for paragraph in (p for article in whole["data"] for p in article["paragraphs"]):
            yield lang, paragraph["context"]
            yield from ((pair[2] if pair else lang, asked["question"]) for asked in paragraph["qas"])
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} begins as SQuAD's JSON and goes on otherwise: {error!r}. Get it again.") from error


def _of_table(lines: Iterator[str], lang: str) -> Iterator[tuple[str, str]]:
    head = next(lines).split("\t")
    columns = [n for n, name in enumerate(head) if name.lower().startswith(_TEXTS)]
    code = next((n for n, name in enumerate(head) if name.lower() in _LANGUAGES), None)
    if not columns:  # CoLA: source, label, the author's mark, sentence
        columns, lines = [len(head) - 1], itertools.chain(["\t".join(head)], lines)
    for line in lines:
        cells = line.split("\t")
        if len(cells) >= len(head):
            for n in columns:
                yield lang if code is None else cells[code], cells[n]


def _is_tagged(head: list[str]) -> bool:
    lines = [line for line in head if line.strip()]
    return len(lines) > 1 and all(map(_TAGGED.match, lines))


def _of_columns(lines: Iterator[str], lang: str) -> Iterator[tuple[str, str]]:
    for is_word, group in itertools.groupby(lines, lambda line: bool(line.strip())):
        if is_word:
            yield lang, " ".join(found[1] for found in map(_TAGGED.match, group) if found)
