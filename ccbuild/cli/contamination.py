"""Test items of benchmarks in a corpus."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ccbuild.cli.terminal import command, json_option, print_results, split_option
from ccbuild.contamination.account import Account
from ccbuild.contamination.overlaps import Benchmarks
from ccbuild.corpus import open_corpus
from ccbuild.plural import many
from ccbuild.progress import counted, note, watched
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
    made.add_argument("what", nargs="+", metavar="OUT", help="folders of runs; or files of text, JSON lines or Parquet")
    made.add_argument("--against", nargs="+", required=True, metavar="FILE", help="test items: files, globs or folders")
    made.add_argument("--lang", nargs="+", help="only these languages of a run")
    made.add_argument("--list", type=Path, metavar="FILE", help="write each item that a document holds as a JSON line")
    split_option(made)
    json_option(made)


def _contamination(options: argparse.Namespace) -> int:
    with watched("contamination"), options.list.open("w", encoding="utf-8") if options.list else nullcontext() as out:
        account = Account(Benchmarks.read(options.against))
        rows = counted(_documents(options), "documents")
        while some := list(itertools.islice(rows, _AT_ONCE)):
            texts = [text for _, text in some]
            for overlap in account.find(texts):
                benchmark, lang = account.benchmarks.items[overlap.item]
                where, text = some[overlap.document]
                if out is not None:
                    held = {"benchmark": benchmark, "item_lang": lang, "shared": overlap.shared(text)}
                    out.write(json.dumps({**where, **held}, ensure_ascii=False) + "\n")
    print_results(account.rows(), options.json, _COLUMNS)
    note(f"{many(account.documents, 'document')}, of which {account.held:,} hold a test item.")
    return 0


def _documents(options: argparse.Namespace) -> Iterator[tuple[dict[str, Any], str]]:
    """(where it stands, text) of each document."""
    for what in (path for pattern in options.what for path in expand(pattern)):
        if not Path(what).is_dir():
            for number, record in enumerate(read_documents(what, options.split), 1):
                yield {"file": what, "document": number}, record["text"]
            continue
        for code, language in open_corpus(what).items():
            if options.lang is None or code in options.lang:
                for batch in language.batches(["doc_id", "url", "text"]):
                    for row in batch.to_pylist():
                        yield {"doc_id": row["doc_id"], "url": row["url"], "lang": code}, row["text"]
