"""Test items in the formats that benchmarks are published in.

============ ==========================================================================================================
SQuAD        JSON with ``data``, as XQuAD and MLQA have it: contexts and questions, each by itself
tables       ``.tsv`` with a head (XNLI, GLUE): the columns whose names begin as `_TEXTS` do; without such a name (CoLA
             of GLUE) every column that holds a long text in its first lines
columns      a word and its tag a line, as WikiANN (``en:word``) and CoNLL: the sentences, between blank lines
records      JSON, JSON lines, Parquet: every value that is text, or a list of words; its language is ``language`` or
             ``lang``
lines        everything else: a line is an item
============ ==========================================================================================================

A language that no column says is taken from the file's name (``xquad.de.json``, ``test-context-hi-question-de.json``,
where it is the context's for a context), or from the folder's that holds it (``de/test``). In a folder, what is hidden
and files called README or LICENSE are no items.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ccbuild.errors import DataError, InputError
from ccbuild.lines import bare_name, read_lines
from ccbuild.rows import is_parquet, read_rows
from ccbuild.storage import expand

__all__ = ["Item", "benchmark_files", "first_items", "items_digest", "read_items"]

_TEXTS = ("sentence", "premise", "hypo", "question", "context", "passage", "answer", "text", "#1 string", "#2 string")
_LANGUAGES = ("language", "lang")
_TAGGED = re.compile(r"(?:[a-z]{2,3}(?:-[a-z-]+)?:)?(\S+)(?:[ \t]\S+)*[ \t](?:O|[BIES]-\S+)$")
_CODE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z]{2,8})?")
_MLQA = re.compile(r"context-([a-z]{2,3})-question-([a-z]{2,3})")
_ISO639_1 = frozenset(
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee "
    "el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is "
    "it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms "
    "mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si "
    "sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh "
    "yi yo za zh zu".split()
)
"""Codes of two letters: whatever else has two is an ending or a folder."""
_NO_LANGUAGES = frozenset(
    "all bak bin bz2 csv dev doc etc gzip lib log mnt new nlp old opt out pdf pkl raw run src sub tar tmp tsv txt "
    "usr var xml yml zip".split()
)
"""Endings and folders of three letters."""
_NO_ITEMS = ("readme", "license", "licence")
_HEAD = 20
"""Lines by which the form of a file is known."""
_LONG = 14
"""Characters from which a cell is a text, and no label, where the head does not say."""


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
            inside = sorted(str(path) for path in Path(each).rglob("*") if path.is_file() and _may_be_items(path, each))
            if not inside:
                raise InputError(f"{each} holds no file. Name the files of a benchmark, or a folder of them.")
            found += inside
        else:
            found += expand(each)
    return list(dict.fromkeys(found))


def _may_be_items(path: Path, folder: str) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not hidden and not path.name.lower().startswith(_NO_ITEMS)


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
    path = Path(os.fsencode(path).decode("utf-8", "replace"))
    bare, folder = bare_name(path), path.absolute().parent
    if pair := _MLQA.search(bare):
        return folder.parent.name, pair[1]
    first, *others = bare.split(".")
    codes = list(filter(_is_code, others))
    if codes:
        return first, codes[0]
    if _is_code(folder.name):
        return folder.parent.name or first, folder.name
    return f"{folder.name}/{first}" if first in ("train", "dev", "test", "validation") else first, ""


def _is_code(name: str) -> bool:
    code = name.partition("-")[0]
    return bool(_CODE.fullmatch(name)) and (code in _ISO639_1 or (len(code) == 3 and name not in _NO_LANGUAGES))


def _texts(path: Path, lang: str) -> Iterator[tuple[str, str]]:
    """(language, text) of each item."""
    name = bare_name(path)
    if is_parquet(path) or re.search(r"\.(jsonl|ndjson)$", name):
        yield from _of_records(path, lang)
    elif name.endswith(".json"):
        yield from _of_json("\n".join(read_lines(path)), path, lang)
    else:
        lines = read_lines(path)
        head = list(itertools.islice(lines, _HEAD))
        lines = itertools.chain(head, lines)
        if _is_tagged(head):
            yield from _of_columns(lines, lang)
        elif "".join(head).lstrip().startswith("{") and path.is_file():
            yield from _of_records(path, lang)  # JSON lines under another name
        elif head and "\t" in head[0]:
            yield from _of_table(lines, lang, head)
        else:
            yield from ((lang, line) for line in lines)


def _of_records(path: Path, lang: str) -> Iterator[tuple[str, str]]:
    for row in read_rows(path, "line", None, nested=True):
        yield from _of_record(row.record, lang)


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
    except (ValueError, RecursionError):  # ValueError alone: a number of over 4,300 digits
        yield from _of_records(path, lang)
        return
    records = whole.get("data", whole) if isinstance(whole, dict) else whole
    records = records if isinstance(records, list) else [whole]
    if not any(isinstance(each, dict) and "paragraphs" in each for each in records):
        for each in records:
            yield from _of_record(each if isinstance(each, dict) else {"": each}, lang)
        return
    pair = _MLQA.search(path.name)
    try:
        for paragraph in (p for article in records for p in article["paragraphs"]):
            yield lang, paragraph["context"].strip()
            yield from ((pair[2] if pair else lang, asked["question"].strip()) for asked in paragraph["qas"])
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{path} begins as SQuAD's JSON and goes on otherwise: {error!r}. Get it again.") from error


def _of_table(lines: Iterator[str], lang: str, first: Sequence[str]) -> Iterator[tuple[str, str]]:
    names = [name.lower() for name in next(lines).split("\t")]
    columns = [n for n, name in enumerate(names) if name.startswith(_TEXTS)]
    code = next((n for n, name in enumerate(names) if name in _LANGUAGES), len(names))
    if not columns:
        lines = itertools.chain(first[:1], lines)
        columns = sorted({n for line in first for n, cell in enumerate(line.split("\t")) if len(cell) >= _LONG})
    for line in lines:
        cells = line.split("\t")
        said = cells[code] if code < len(cells) else lang
        yield from ((said, cells[n]) for n in columns if n < len(cells))


def _is_tagged(head: list[str]) -> bool:
    lines = [line for line in head if line.strip()]
    return len(lines) > 1 and all(map(_TAGGED.match, lines))


def _of_columns(lines: Iterator[str], lang: str) -> Iterator[tuple[str, str]]:
    for is_word, group in itertools.groupby(lines, lambda line: bool(line.strip())):
        if is_word:
            yield lang, " ".join(found[1] for found in map(_TAGGED.match, group) if found)
