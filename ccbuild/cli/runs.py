"""Whole runs: demo, run, report; and the catalogue that they take from."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path
from typing import Any

import yaml

from cc100.build import Plan, complaint, planned, write_report
from cc100.demo.run import planned_demo
from cc100.recipe import VERBS, recipe_names
from ccbuild import catalogue
from ccbuild.cli.terminal import command, print_records
from ccbuild.config import override, to_mapping
from ccbuild.door import Trainer, do
from ccbuild.errors import FailedUnitsError, InputError
from ccbuild.plural import many
from ccbuild.progress import Bar, note, visible
from ccbuild.rundir import FOLDERS, RunDir, open_run_dir
from ccbuild.summary import table

__all__ = ["add"]

DEMO_OUT = "runs/demo"


def add(commands: Any) -> None:
    """These commands."""
    demo = command(commands, "demo", _demo, "The whole way on a small crawl made here.", "ccbuild demo --out runs/demo")
    demo.add_argument("--out", default=DEMO_OUT, help=f"folder of the run (default: {DEMO_OUT})")
    demo.add_argument("--pages", type=int, default=3200, help="pages of the crawl (default: 3200)")
    run = command(
        commands,
        "run",
        _run,
        "A recipe on archives of your own.",
        "ccbuild run cc100 --input 'crawl/*.warc.gz' --out runs/mine --workers 8",
    )
    run.add_argument("recipe", help=f"{', '.join(recipe_names())}, or the path of a YAML file")
    run.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="GLOB",
        help="WARC or WET files (a glob, a URL), CC-MAIN-…/wet, or a selection; may be repeated",
    )
    run.add_argument("--out", required=True, help="folder of the run; the same command again goes on where it stopped")
    run.add_argument("--from", dest="first", choices=VERBS, help="first verb (default: prepare)")
    run.add_argument("--scheduler", metavar="ADDR", help="a Dask scheduler, tls://host:port, in place of local workers")
    run.add_argument("--retry-quarantined", action="store_true", help="try the records again that were set apart")
    run.add_argument("--insecure-scheduler", action="store_true", help="take one on another machine without TLS")
    run.add_argument(
        "--allow-missing",
        action="store_true",
        help="go on after a failed unit: the rest says what it lacks",
    )
    run.add_argument("--dry-run", action="store_true", help="print the resolved recipe and the units, do nothing")
    prepare = command(
        commands,
        "prepare",
        _prepare,
        "Perplexity models of many languages: the first verb of a run by itself.",
        "ccbuild prepare --lang sw,ha,xh --prose catalogue:wikipedia-20240506 --out runs/mine",
    )
    prepare.add_argument("recipe", nargs="?", default="cc100", help="as of run (default: cc100)")
    prepare.add_argument("--lang", required=True, help="codes, with commas; all: every one that there is something for")
    prepare.add_argument("--out", required=True, help=f"folder of the run; models go to OUT/{FOLDERS['prepare']}")
    prepare.add_argument(
        "--prose", metavar="WHERE", help="--set prepare.prose=WHERE: a pattern with {lang}, catalogue:…"
    )
    prepare.add_argument("--models", metavar="WHERE", help="--set prepare.models=WHERE: models that exist")
    prepare.add_argument("--bootstrap", metavar="RUN", help="--set prepare.bootstrap=RUN: for languages without prose")
    for made in (demo, run):
        made.add_argument("--until", choices=VERBS, help="last verb (default: what the recipe says)")
    for made in (demo, run, prepare):
        made.add_argument(
            "--workers", type=_count, default=os.cpu_count() or 1, help="processes; 0: one beside this one"
        )
        made.add_argument(
            "--verify",
            action="store_true",
            help="hash what is found done, and the archives it was made of, before it is taken as done",
        )
        made.add_argument(
            "--take-over",
            action="store_true",
            help="go on in a folder that a process of another machine held, of which nothing was heard for a minute",
        )
        made.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of the recipe"
        )
        made.add_argument("--json", action="store_true", help="print the summary as JSON")
    report = command(commands, "report", _report, "Write report.html of a run.", "ccbuild report runs/demo")
    report.add_argument("folder", help="folder of a run")
    made = command(
        commands, "catalogue", _catalogue, "Named models and data, verified.", "ccbuild catalogue fetch lid.176.ftz"
    )
    made.add_argument("action", choices=("list", "fetch"))
    made.add_argument("names", nargs="*", help="entries to fetch (default: all whose digest is stated)")
    made.add_argument("--json", action="store_true", help="a JSON object a line")


def _count(text: str) -> int:
    """A whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: 0, 1, 2, …")
    return int(text)


def _demo(options: argparse.Namespace) -> int:
    bar = Bar("crawl", "page")
    try:
        plan = planned_demo(
            options.out,
            pages=options.pages,
            settings=options.set,
            until=options.until,
            verify=options.verify,
            progress=bar.to,
        )
    finally:
        bar.close()
    return _do(plan, options)


def _run(options: argparse.Namespace) -> int:
    plan = planned(
        options.recipe,
        options.input,
        options.out,
        settings=options.set,
        first=options.first,
        until=options.until,
        verify=options.verify,
        retry_quarantined=options.retry_quarantined,
        allow_missing=options.allow_missing,
    )
    if not options.dry_run:
        return _do(plan, options, cluster=options.scheduler, insecure_scheduler=options.insecure_scheduler)
    plan.check(Trainer())
    units = plan.units()
    print(yaml.safe_dump(to_mapping(plan.run.recipe), sort_keys=False, allow_unicode=True), end="")
    print(
        f"# {many(units['archives'], 'archive')}, {units['nbytes'] / 1e6:,.1f} MB; {units['before']} were read before"
    )
    print(f"# {many(units['shards'], 'new shard')} of {units['files']}")
    if units["prepare"]:
        print(f"# prepare: {many(len(units['prepare']), 'unit')}: {' '.join(units['prepare'])}")
    print(f"# verbs: {' '.join(plan.verbs)}")
    for need in plan.needs():
        print(f"# memory: {need}")
    return 0


def _prepare(options: argparse.Namespace) -> int:
    """The verb `prepare`, and a table of what each language got."""
    chosen = {name: getattr(options, name) for name in ("prose", "models", "bootstrap")}
    chosen["languages"] = [code.strip() for code in options.lang.split(",")]
    given = [override(f"prepare.{name}", value) for name, value in chosen.items() if value is not None]
    settings = [*options.set, *given]
    plan = planned(options.recipe, (), options.out, settings=settings, until="prepare", verify=options.verify)
    return _do(plan, options)


def _do(plan: Plan, options: argparse.Namespace, **how: Any) -> int:
    """Do it and print what became of it; units that failed are told last."""
    built = do(plan, workers=options.workers, take_over=options.take_over, **how)
    if built.fresh == 0 and not built.missing:
        note(f"Everything in {options.out} was done before: nothing to do.")
    if plan.verbs == ("prepare",):
        _print_models(plan.run, options.json)
    elif options.json:
        verdict = {"verdict": built.verdict.to_mapping()} if built.verdict else {}
        print_records([{**dataclasses.asdict(built.summary), **verdict}])
    else:
        print(table(built.summary))
        if built.verdict:
            print("\n" + built.verdict.table())
        print("\n" + _places(Path(options.out), plan.run, built.report))
    if built.missing:
        raise FailedUnitsError(complaint(built.missing, built.waiting))
    return 0


def _print_models(run: RunDir, as_json: bool) -> None:
    """A line a language: what its model learned from and how it finds the prose that it has not seen."""
    made = {lang: m for lang, m in run.manifests("prepare").items() if lang != "identifier"}
    if as_json:
        print_records({"lang": lang, **m.facts} for lang, m in made.items())
        return
    columns = ("lines", "characters", "pieces")
    print("lang      from       " + "".join(f"{name:>14}" for name in columns) + "  held-out perplexity")
    for lang, manifest in made.items():
        facts = manifest.facts
        if not manifest.outputs:
            print(f"{lang:<10}none         {visible(facts['why'])}")
            continue
        numbers = "".join(f"{facts[name]:>14,}" if name in facts else f"{'':>14}" for name in columns)
        heldout = facts.get("heldout", {}).get("perplexity")
        print(f"{lang:<10}{facts['source']:<11}{numbers}" + (f"{heldout:>21,.1f}" if heldout else ""))


def _places(out: Path, run: RunDir, report: Path | None) -> str:
    """Where everything lies, as the user would type it."""
    places = {"corpus": "publish", "vocabulary": "vocab", "tokens": "encode", "model": "hf"}
    found = {what: run.folder(place) for what, place in places.items()}
    found |= {"ledgers": run.path("summary")} | ({"report": report} if report else {})
    return "\n".join(f"{what:<12}{out / path.relative_to(run.root)}" for what, path in found.items() if path.exists())


def _report(options: argparse.Namespace) -> int:
    path = write_report(open_run_dir(options.folder).root, note)
    print(path or "")
    return 0 if path else 1


def _catalogue(options: argparse.Namespace) -> int:
    known, families = catalogue.entries(), catalogue.families()
    if options.action == "list":
        if options.json:
            print_records([*map(dataclasses.asdict, known.values()), *map(dataclasses.asdict, families.values())])
        else:
            for entry in known.values():
                size = "not stated" if entry.size is None else f"{entry.size:,}"
                print(f"{entry.name:<16}{size:>12}  {entry.licence:<24}{entry.source}")
            for family in families.values():
                held = many(len(family.languages), "language") if family.languages else "by date"
                print(f"{family.name:<16}{held:>12}  {family.licence:<24}{family.source}")
        return 0
    asked = set(options.names) & set(families)
    if asked:
        raise InputError(
            f"{', '.join(sorted(asked))}: many files, each fetched when a language asks for it: "
            "`ccbuild prepare --lang sw --models catalogue:kenlm-wikipedia`, or --prose catalogue:wikipedia-DATE."
        )
    for name in options.names or [name for name, entry in known.items() if entry.sha256]:
        path = catalogue.fetch(name)
        print_records([{"name": name, "path": str(path)}]) if options.json else print(f"{name:<16}{path}")
    return 0
