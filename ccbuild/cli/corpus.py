"""Corpora: of other makers to ours, ours to others, and where each token of it came from."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from cc100.engines import in_process, local_cluster
from cc100.layout import Run, text_sources
from cc100.recipe import load_recipe
from cc100.run import run_steps
from cc100.verbs import imports
from ccbuild.cli.terminal import command, group, print_records
from ccbuild.corpus import open_corpus
from ccbuild.errors import FailedUnitsError, InputError
from ccbuild.langid.codes import is_code
from ccbuild.progress import note, verb_bar
from ccbuild.push import push
from ccbuild.rundir import open_run_dir
from ccbuild.storage import locked
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
    made.add_argument("pattern", nargs="+", help="files: .txt, .txt.xz, .gz, JSON lines or Parquet; {lang} in the path")
    made.add_argument("--out", required=True, help="folder of a new run")
    made.add_argument("--lang", help="the language of all files, where no path has {lang}")
    made.add_argument(
        "--split",
        choices=("auto", "line", "blank"),
        default="auto",
        help="where a document of plain text ends: at each line, at empty lines, or (auto) as CC-100 has it in .txt.xz",
    )
    made.add_argument("--workers", type=int, default=0, help="processes; 0: only this one")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="publish.xz_preset=2, say")
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
    made = command(
        commands,
        "trace",
        _trace,
        "Where a token or a document came from, and what was decided on the way.",
        "ccbuild trace sw 1234 --run runs/mine",
    )
    made.add_argument("what", nargs="+", metavar="CODE TOKEN_INDEX | DOC_ID", help="a token of a language, or a doc_id")
    made.add_argument("--run", dest="folder", default=".", help="folder of the run (default: this one)")
    made.add_argument("--json", action="store_true", help="one JSON object")


def _import(options: argparse.Namespace) -> int:
    if options.lang is not None and not is_code(options.lang):
        raise InputError(f"{options.lang!r} is no language code: 2 to 16 letters, digits, - or _.")
    run = Run(Path(options.out).resolve(), load_recipe("cc100", options.set))
    sources = text_sources(options.pattern, options.lang)
    with locked(run.root):
        names = {source.name for source in sources}
        for entry in run.inputs():
            if entry.lang is None:
                raise InputError(f"{run.root} holds a crawl. Import into a new --out.")
            if entry.archive not in names:
                raise InputError(f"{entry.archive} was imported before. Name it again with the others, or a new --out.")
        run.refuse_other_settings(["publish"])
        table = run.admit(sources)
        run.note_settings(["publish"])
        steps = imports.steps(run, sources, table, options.split)
        if options.workers:
            with local_cluster(options.workers) as engine:
                summary, _ = run_steps(run, "import", steps, engine, verb_bar)
        else:
            summary, _ = run_steps(run, "import", steps, in_process(), verb_bar)
    if summary.failures:
        raise FailedUnitsError(
            f"{len(summary.failures)} languages failed; the others are done. "
            + " ".join(f"{failure.unit}: {failure.error}" for failure in summary.failures[:10])
        )
    if not summary.fresh:
        note(f"Everything in {options.out} was done before: nothing to do.")
    print_records(
        {"lang": code, **{key: language.facts[key] for key in ("documents", "paragraphs", "characters")}}
        for code, language in open_corpus(run.root).items()
    )
    return 0


def _publish(options: argparse.Namespace) -> int:
    url = push(options.folder, options.push, private=not options.public)
    print(url)
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
    if options.json:
        print_records([found])
        return 0
    text = found.pop("text")
    for key, value in found.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        sys.stdout.write(f"{key:<14}{shown}\n")
    sys.stdout.write(f"\n{text or ''}\n")
    return 0
