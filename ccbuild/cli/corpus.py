"""Corpora: of other makers to ours, ours to others, and where each token of it came from."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from cc100.build import complaint
from cc100.engines import in_process, local_cluster
from cc100.verbs.imports import import_corpus
from ccbuild.cli.terminal import (
    command,
    group,
    json_option,
    print_facts,
    print_records,
    print_results,
    print_text,
    split_option,
)
from ccbuild.corpus import open_corpus
from ccbuild.errors import FailedUnitsError, InputError
from ccbuild.missing import Missing
from ccbuild.progress import note, verb_bar, watched
from ccbuild.push import push
from ccbuild.rundir import open_run_dir
from ccbuild.trace import trace_document, trace_token

__all__ = ["add"]


def add(commands: Any) -> None:
    """These commands."""
    made = command(
        group(commands, "corpus", "Corpora of other makers."),
        "import",
        _import,
        "Text by language as the corpus of a run: then `ccbuild run RECIPE --out RUN --from vocab`.",
        "ccbuild corpus import 'cc-100/{lang}.txt.xz' --out runs/cc100",
    )
    made.add_argument(
        "pattern", nargs="+", help="files: plain text, JSON lines or Parquet, compressed or not; {lang} in the path"
    )
    made.add_argument("--out", required=True, help="folder of a new run")
    made.add_argument("--lang", help="the language of all files, where no path has {lang}")
    split_option(made)
    made.add_argument("--workers", type=int, default=0, help="processes; 0: only this one")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="publish.xz_preset=2, say")
    json_option(made)
    _add_publish(commands)
    _add_trace(commands)


def _add_publish(commands: Any) -> None:
    made = command(
        commands,
        "publish",
        _publish,
        "Check a run's corpus against its manifests and upload it to Hugging Face.",
        "ccbuild publish runs/mine --push name/corpus",
    )
    made.add_argument("folder", help="folder of a run")
    made.add_argument("--push", required=True, metavar="REPO", help="dataset repository; the token is HF_TOKEN's")
    made.add_argument("--public", action="store_true", help="make a new repository public (default: private)")
    json_option(made)


def _add_trace(commands: Any) -> None:
    made = command(
        commands,
        "trace",
        _trace,
        "Where a token or a document came from, and what was decided on the way.",
        "ccbuild trace sw 1234 --run runs/mine",
    )
    made.add_argument("what", nargs="+", metavar="CODE TOKEN_INDEX | DOC_ID", help="a token of a language, or a doc_id")
    made.add_argument("--run", dest="folder", default=".", help="folder of the run (default: this one)")
    json_option(made)


def _import(options: argparse.Namespace) -> int:
    engine = local_cluster(options.workers) if options.workers else contextlib.nullcontext(in_process())
    with engine as chosen:
        summary = import_corpus(
            options.pattern,
            options.out,
            lang=options.lang,
            split=options.split,
            settings=options.set,
            engine=chosen,
            show=verb_bar,
        )
    if summary.failures:
        raise FailedUnitsError(complaint([Missing(f.verb, f.unit, f.error) for f in summary.failures]))
    if not summary.fresh:
        note(f"Everything in {options.out} was done before: nothing to do.")
    facts, corpus = ("documents", "paragraphs", "characters"), open_corpus(options.out)
    for code, language in corpus.items():
        account = language.manifest.ledger["documents"]
        if without := account.dropped["no_text"]:
            have = "has" if without == 1 else "have"
            note(f"{code}: {without:,} of {account.seen:,} records {have} no text. Such records are left out.")
    print_results(
        ({"lang": code, **{key: language.facts[key] for key in facts}} for code, language in corpus.items()),
        options.json,
        {"language": "lang", **{key: f"{key}:," for key in facts}},
    )
    return 0


def _publish(options: argparse.Namespace) -> int:
    with watched("publish"):
        url = push(options.folder, options.push, private=not options.public)
    print_records([{"url": url}]) if options.json else print(url)
    return 0


def _trace(options: argparse.Namespace) -> int:
    run = open_run_dir(options.folder)
    numbers = options.what[-1]
    if len(options.what) > 2 or not numbers.isdecimal():
        raise InputError(f"{' '.join(options.what)}: give a language code and the number of a token, or a doc_id.")
    if len(options.what) == 2:
        found = trace_token(run, options.what[0], int(numbers))
    else:
        found = trace_document(run, int(numbers))
    text = found.get("text") or ""
    print_facts(found if options.json else {key: value for key, value in found.items() if key != "text"}, options.json)
    if not options.json:
        print_text(f"\n{text}")
    return 0
