"""Corpora: of other makers to ours, ours to others, and where each token of it came from."""

from __future__ import annotations

import argparse
import contextlib
import shutil
from typing import Any

from cc100.build import complaint
from cc100.engines import in_process, local_cluster
from cc100.verbs.imports import import_corpus
from ccbuild.cli.terminal import (
    command,
    group,
    json_option,
    print_records,
    print_results,
    print_text,
    split_option,
)
from ccbuild.corpus import open_corpus
from ccbuild.errors import FailedUnitsError
from ccbuild.lines import STDIN, read_lines
from ccbuild.missing import Missing
from ccbuild.progress import note, verb_bar, watched
from ccbuild.push import push
from ccbuild.rundir import open_run_dir
from ccbuild.told import side_by_side
from ccbuild.why import why

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
    _add_why(commands)


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


def _add_why(commands: Any) -> None:
    made = command(
        commands,
        "why",
        _why,
        "Why a text is in the corpus or is not: its bytes, every verdict, what became of it.",
        "ccbuild why runs/mine https://example.org/page\n  ccbuild why runs/mine sw:1234 --json",
    )
    made.add_argument("folder", metavar="OUT", help="folder of a run")
    made.add_argument(
        "what",
        metavar="WHAT",
        help="a URL in any form, a doc_id, a payload's digest, a token (sw:1234), a place in an archive ('NAME at "
        "123'), or a text in quotes; -: the text on stdin",
    )
    made.add_argument("--text", action="store_true", help="WHAT is the file of a text")
    made.add_argument("--show", action="store_true", help="print a duplicate beside what it equals")
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


def _why(options: argparse.Namespace) -> int:
    run, is_text = open_run_dir(options.folder), options.text or options.what == STDIN
    asked = "\n".join(read_lines(options.what)) if is_text else options.what
    with watched("why"):
        answer = why(run, asked, kind="text" if is_text else None)
    if options.json:
        print_records([answer.to_mapping()])
    else:
        print_text(str(answer))
        if options.show:
            width = shutil.get_terminal_size().columns
            print_text("\n".join(line for fate in answer.found for line in side_by_side(fate, width)))
    return 0 if answer else 1
