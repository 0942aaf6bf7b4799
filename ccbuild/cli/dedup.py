"""Duplicates in files of the user's own; two corpora against each other; a text against a finished run."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ccbuild.cli.terminal import (
    command,
    configured,
    json_option,
    print_facts,
    print_records,
    print_results,
    settings_option,
    split_option,
)
from ccbuild.dedup.corpora.files import Corpus, compare_files, dedup_files, overlap_record
from ccbuild.dedup.corpora.query import neighbours
from ccbuild.dedup.corpora.texts import CorpusConfig
from ccbuild.errors import InputError
from ccbuild.lines import read_lines
from ccbuild.progress import note, watched
from ccbuild.rundir import open_run_dir
from ccbuild.storage import expand

__all__ = ["add"]

_EXAMPLES = """ccbuild dedup shop.jsonl news.parquet --out clean
  ccbuild dedup compare mine.jsonl 'theirs/*.parquet'
  ccbuild dedup query runs/mine --text "$(cat page.txt)\""""


def add(commands: Any) -> None:
    """This command."""
    made = command(
        commands,
        "dedup",
        _dedup,
        "Equal and near rows of JSON lines, Parquet or text: what goes, and what it repeats; `dedup compare A B`: what "
        "two corpora have in common; `dedup query RUN`: documents of a run near to a text.",
        _EXAMPLES,
    )
    made.add_argument("what", nargs="+", metavar="FILE", help="files or globs; or compare A B; or query RUN")
    made.add_argument("--text-column", default="text", metavar="NAME", help="key or column of the text")
    made.add_argument("--out", type=Path, metavar="DIR", help="write kept/, dropped.jsonl and summary.json there")
    made.add_argument("--text", help="what `query` looks for; default: stdin")
    split_option(made)
    json_option(made)
    settings_option(made, "keep=longest, linkage=chain, min_jaccard=0 or threshold=0.8")


def _dedup(options: argparse.Namespace) -> int:
    first, rest = options.what[0], options.what[1:]
    if first == "compare":
        return _compare(options, rest)
    if first == "query":
        return _query(options, rest)
    config: CorpusConfig = configured(CorpusConfig, options.set, "dedup")
    with watched("dedup"):
        result = dedup_files(Corpus(_files(options.what), **_rows(options)), config, options.out)
    if options.out is not None:
        print_facts(result.summary, options.json)
        return 0
    print_results(map(dataclasses.asdict, result.dropped), options.json, _DROPPED)
    note(", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in result.summary.items()))
    return 0


_DROPPED = {"file": "file", "row": "row:,", "reason": "reason", "of file": "partner_file", "of row": "partner_row:,"}
_DROPPED |= {"similarity": "similarity:.3f", "copies": "cluster_size:,"}


def _compare(options: argparse.Namespace, sides: Sequence[str]) -> int:
    if len(sides) != 2:
        raise InputError(f"compare takes two corpora, not {len(sides)}. Quote a glob that stands for many files.")
    config: CorpusConfig = configured(CorpusConfig, options.set, "dedup")
    first, second = (Corpus(_files([side]), **_rows(options)) for side in sides)
    with watched("compare"):
        record = overlap_record(compare_files(first, second, config))
    if options.json:
        print_records([record])
        return 0
    pairs = ({"what": name, "values": value} for name, value in record.items())
    rows = [{"what": pair["what"].replace("_", " "), **_both(pair["values"])} for pair in pairs]
    print_results(rows, False, {"": "what", "first": "0:", "second": "1:"})
    return 0


def _both(values: Any) -> dict[str, str]:
    """A number of each side, or one of both, as a person reads it."""
    sides = values if isinstance(values, list | tuple) else [values, values]
    return {str(side): f"{value:.2%}" if isinstance(value, float) else f"{value:,}" for side, value in enumerate(sides)}


def _query(options: argparse.Namespace, runs: Sequence[str]) -> int:
    if len(runs) != 1:
        raise InputError(f"query takes one run, not {len(runs)}. For example: ccbuild dedup query runs/mine --text …")
    run = open_run_dir(runs[0])
    text = options.text if options.text is not None else "\n".join(read_lines("-"))
    with watched("query"):
        found = neighbours([run.file("prints", shard) for shard in run.numbers("extract")], run.folder("extract"), text)
    columns = {"doc_id": "doc_id:", "Jaccard": "jaccard:.3f", "estimated": "estimated:.3f", "url": "url"}
    print_results(map(dataclasses.asdict, found), options.json, columns)
    return 0


def _rows(options: argparse.Namespace) -> dict[str, Any]:
    """How rows are read."""
    return {"column": options.text_column, "split": options.split, "tell": note}


def _files(patterns: Iterable[str]) -> list[str]:
    return [path for pattern in patterns for path in expand(pattern)]
