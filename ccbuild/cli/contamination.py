"""Test items of benchmarks in a corpus."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ccbuild.cli.terminal import command, json_option, print_results, split_option
from ccbuild.contamination.account import Account
from ccbuild.contamination.benchmarks import benchmark_files
from ccbuild.contamination.overlaps import Benchmarks
from ccbuild.corpus import CorpusLanguage, open_corpus
from ccbuild.errors import InputError
from ccbuild.lines import STDIN
from ccbuild.plural import many
from ccbuild.progress import counted, note, watched
from ccbuild.refusals import refusals
from ccbuild.rows import read_documents
from ccbuild.storage import expand

__all__ = ["add"]

_AT_ONCE = 1 << 8
_COLUMNS = {"benchmark": "benchmark", "lang": "lang", "items": "items:,", "too short": "too_short:,", "seen": "seen:,"}
_COLUMNS |= {"share": "share:.2%", "documents": "documents:,"}


def add(commands: Any) -> None:
    """This command."""
    made = command(
        commands,
        "contamination",
        _contamination,
        "Test items of benchmarks (XNLI, MLQA, XQuAD, WikiANN, GLUE, JSON lines, plain text) that a corpus holds. The "
        "recipe's key publish.decontaminate leaves out the documents that hold one.",
        "ccbuild contamination runs/mine --against xnli.test.tsv 'xquad/*.json' --list held.jsonl",
    )
    made.add_argument(
        "what", nargs="+", metavar="OUT", help="folders of runs; or files of text, JSON lines or Parquet; -: stdin"
    )
    made.add_argument("--against", nargs="+", required=True, metavar="FILE", help="test items: files, globs or folders")
    made.add_argument("--lang", help="only these languages of runs: codes, with commas")
    made.add_argument("--list", type=Path, metavar="FILE", help="write each item that a document holds as a JSON line")
    split_option(made)
    json_option(made)


def _contamination(options: argparse.Namespace) -> int:
    sources = _sources(options)
    tests = benchmark_files(options.against)
    if options.list is not None and options.list.exists():
        for path in (*tests, *(what for what in sources if isinstance(what, str) and what != STDIN)):
            if options.list.samefile(path):
                raise InputError(f"--list {options.list} would write over a file that is read. Choose another name.")
    with watched("contamination"):
        account = Account(Benchmarks.read(tests))
        with _written(options.list) as out:
            rows = counted(_documents(sources, options), "documents")
            while some := list(itertools.islice(rows, _AT_ONCE)):
                for overlap in account.find([text for _, text in some]):
                    benchmark, lang = account.benchmarks.items[overlap.item]
                    where, text = some[overlap.document]
                    if out is not None:
                        held = {"benchmark": benchmark, "item_lang": lang, "shared": overlap.shared(text)}
                        out.write(json.dumps({**where, **held}, ensure_ascii=False) + "\n")
    print_results(account.rows(), options.json, _COLUMNS)
    note(f"Test items stand in {account.held:,} of {many(account.documents, 'document')}.")
    return 0


@contextmanager
def _written(path: Path | None) -> Iterator[TextIO | None]:
    """The open list; the name of a file that is no UTF-8 is escaped in it, as JSON has it."""
    if path is None:
        yield None
        return
    with refusals(path, "choose another --list"), path.open("w", encoding="utf-8", errors="backslashreplace") as out:
        yield out


def _sources(options: argparse.Namespace) -> list[str | CorpusLanguage]:
    """Files, and languages of runs; `InputError` for what is not there, before anything is written."""
    sources: list[str | CorpusLanguage] = []
    wanted = None if options.lang is None else options.lang.split(",")
    for what in options.what:
        if what == STDIN:
            sources.append(what)
        elif not Path(what).is_dir():
            sources += expand(what)
        else:
            languages = open_corpus(what)
            missing = [code for code in wanted or () if code not in languages]
            if missing:
                raise InputError(f"{what} has no {', '.join(missing)}. It has {', '.join(languages)}.")
            sources += [languages[code] for code in wanted or languages]
    if wanted is not None and any(isinstance(what, str) for what in sources):
        raise InputError("--lang chooses among the languages of runs; files are read whole. Leave it out.")
    if sources.count(STDIN) > 1:
        raise InputError("stdin (-) can be read once. Name it once.")
    return sources


def _documents(
    sources: Sequence[str | CorpusLanguage], options: argparse.Namespace
) -> Iterator[tuple[dict[str, Any], str]]:
    """(where it stands, text) of each document."""
    for what in sources:
        if isinstance(what, str):
            for number, record in enumerate(read_documents(what, options.split), 1):
                yield {"file": what, "document": number}, record["text"]
            continue
        for batch in what.batches(["doc_id", "url", "text"]):
            for row in batch.to_pylist():
                yield {"doc_id": row["doc_id"], "url": row["url"], "lang": what.code}, row["text"]
