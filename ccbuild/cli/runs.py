"""Whole runs: demo, run, report; and the catalogue that they take from."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cc100.demo.crawl import write_crawl
from cc100.demo.judge import judge
from cc100.demo.outcomes import outcomes
from cc100.engines import Engine, in_process, local_cluster, remote_cluster
from cc100.layout import Input, Run, Source, check_snapshots, check_sources, sources_of
from cc100.places import checked
from cc100.recipe import VERBS, load_recipe, recipe_names
from cc100.run import Failure, balance, missing_shards, plan, run_verb, verbs_between
from cc100.summary import summarise, table
from ccbuild import catalogue
from ccbuild.cli.model import check_preset, train_model
from ccbuild.cli.terminal import Bar, command, note, print_records, verb_bar
from ccbuild.config import override, to_mapping
from ccbuild.errors import FailedUnitsError, InputError, MismatchError
from ccbuild.storage import Manifest, locked, write_json

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
    run.add_argument("--scheduler", metavar="ADDR", help="a Dask scheduler, tcp://host:port, in place of local workers")
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
    prepare.add_argument("--out", required=True, help="folder of the run; models go to OUT/0-models")
    prepare.add_argument(
        "--prose", metavar="WHERE", help="--set prepare.prose=WHERE: a pattern with {lang}, catalogue:…"
    )
    prepare.add_argument("--models", metavar="WHERE", help="--set prepare.models=WHERE: models that exist")
    prepare.add_argument("--bootstrap", metavar="RUN", help="--set prepare.bootstrap=RUN: for languages without prose")
    for made in (demo, run):
        made.add_argument("--until", choices=VERBS, help="last verb (default: what the recipe says)")
    for made in (demo, run, prepare):
        made.add_argument("--workers", type=_count, default=os.cpu_count() or 1, help="processes; 0: only this one")
        made.add_argument("--verify", action="store_true", help="hash what is found done before it is taken as done")
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
    out, recipe = Path(options.out), load_recipe("demo", options.set)
    eld, gflanguages = catalogue.fetch("eld"), catalogue.fetch("gflanguages")
    bar = Bar("crawl", "page")
    try:
        crawl = write_crawl(
            out / "crawl",
            pages=options.pages,
            eld=eld,
            gflanguages=gflanguages,
            progress=lambda n, total: bar.to(n, total),
        )
    finally:
        bar.close()
    prose = f"{glob.escape(str(crawl.folder.resolve()))}/prose/{{lang}}.txt"
    recipe = dataclasses.replace(recipe, prepare=dataclasses.replace(recipe.prepare, prose=prose))
    recipe = checked(recipe, verbs_between(None, options.until or recipe.until), out.resolve())
    run = Run(out.resolve(), recipe, options.verify)
    return _go(run, sources_of([f"{glob.escape(str(crawl.folder))}/*.warc.gz"]), None, options, crawl.truth)


def _prepare(options: argparse.Namespace) -> int:
    """The verb `prepare`, and a table of what each language got."""
    chosen = {name: getattr(options, name) for name in ("prose", "models", "bootstrap")}
    places = [override(f"prepare.{name}", value) for name, value in chosen.items() if value is not None]
    languages = [code.strip() for code in options.lang.split(",")]
    root = Path(options.out).resolve()
    recipe = load_recipe(options.recipe, [*options.set, *places, override("prepare.languages", languages)])
    run = Run(root, checked(recipe, ["prepare"], root), options.verify)
    run.refuse_other_settings(["prepare"])
    with locked(run.root), _engine(options) as engine:
        run.note_settings(["prepare"])
        done = run_verb(run, "prepare", engine, verb_bar)
    made = {lang: m for lang, m in run.manifests("prepare").items() if lang != "identifier"}
    if options.json:
        print_records({"lang": lang, **m.facts} for lang, m in made.items())
    elif made:
        print(_models_table(made))
    if done.failures:
        raise FailedUnitsError(_complaint(done.failures))
    return 0


def _models_table(made: Mapping[str, Manifest]) -> str:
    """A line a language: what its model learned from and how it finds the prose that it has not seen."""
    columns = ("lines", "characters", "pieces")
    lines = ["lang      from       " + "".join(f"{name:>14}" for name in columns) + "  held-out perplexity"]
    for lang, manifest in made.items():
        facts = manifest.facts
        if not manifest.outputs:
            lines.append(f"{lang:<10}none         {facts['why']}")
            continue
        numbers = "".join(f"{facts[name]:>14,}" if name in facts else f"{'':>14}" for name in columns)
        heldout = facts.get("heldout", {}).get("perplexity")
        lines.append(f"{lang:<10}{facts['source']:<11}{numbers}" + (f"{heldout:>21,.1f}" if heldout else ""))
    return "\n".join(lines)


def _run(options: argparse.Namespace) -> int:
    recipe, root = load_recipe(options.recipe, options.set), Path(options.out).resolve()
    verbs = verbs_between(options.first, options.until or recipe.until)
    recipe = checked(recipe, verbs, root)
    run = Run(root, recipe, options.verify)
    if "extract" in verbs and not options.input:
        raise InputError("--input is missing. Name WARC or WET files: --input 'crawl/*.warc.gz'.")
    sources = sources_of(options.input, recipe.crawl)
    if options.dry_run:
        return _dry_run(run, verbs, sources)
    return _go(run, sources, options.first, options)


def _dry_run(run: Run, verbs: Sequence[str], sources: Sequence[Source]) -> int:
    """The resolved recipe as YAML, then the units that can be known now; refuses what the run would refuse."""
    _refuse(run, verbs, sources)
    print(yaml.safe_dump(to_mapping(run.recipe), sort_keys=False, allow_unicode=True), end="")
    known = {entry.archive for entry in run.inputs()}
    new = [s for s in sources if s.name not in known]
    shards = -(-len(new) // run.recipe.unit.files)
    print(
        f"# {len(sources)} archives, {sum(s.size or 0 for s in sources) / 1e6:,.1f} MB; {len(known)} were read before"
    )
    print(f"# {shards} new shards of {run.recipe.unit.files}")
    if "prepare" in verbs:
        step = next(plan(run, "prepare", [], []))
        print(f"# prepare: {len(step.tasks)} units: {' '.join(task.name for task in step.tasks)}")
    print(f"# verbs: {' '.join(verbs)}")
    return 0


def _refuse(run: Run, verbs: Sequence[str], sources: Sequence[Source]) -> None:
    """Whatever can be known to be wrong before anything starts."""
    before = [verb for verb in verbs if VERBS.index(verb) <= VERBS.index("publish")]
    if before and any(entry.lang is not None for entry in run.inputs()):
        raise InputError(f"{run.root} holds imported text: it has no pages to {before[0]}. Begin with --from vocab.")
    if "extract" in verbs:
        check_sources(sources)
        check_snapshots(run.recipe, sources)
    elif not run.inputs():
        raise InputError(f"{run.root} holds no pages yet, so {verbs[0]} has nothing to do. Leave --from out.")
    if "train" in verbs:
        check_preset(run.recipe.train.preset, run.recipe.train.overrides())
    run.refuse_other_settings(verbs)


def _go(
    run: Run, sources: Sequence[Source], first: str | None, options: argparse.Namespace, truth: Path | None = None
) -> int:
    """All verbs, then summary, verdict (where there is a truth to judge by), report, and what failed."""
    verbs = verbs_between(first, options.until or run.recipe.until)
    _refuse(run, verbs, sources)
    with locked(run.root):
        inputs = run.admit(sources) if "extract" in verbs else run.inputs()
        run.note_settings(verbs)
        failures, fresh = _verbs(run, verbs, sources, inputs, options)
        if not failures:
            balance(run, verbs)
        if "train" in verbs and not failures:
            fresh += _train(run, failures)
        if fresh == 0 and not failures:
            note(f"Everything in {options.out} was done before: nothing to do.")
        summary = summarise(run)
        write_json(run.root / "summary.json", dataclasses.asdict(summary))
        verdict = judge(truth, outcomes(run)) if truth and "refine" in verbs and not failures else None
        if verdict:
            write_json(run.root / "verdict.json", verdict.to_mapping())
        report = _write_report(run.root) if "publish" in verbs else None
        write_json(run.root / "logs" / "failures.json", [dataclasses.asdict(f) for f in failures])
    if options.json:
        print_records([{**dataclasses.asdict(summary), **({"verdict": verdict.to_mapping()} if verdict else {})}])
    else:
        print(table(summary))
        if verdict:
            print("\n" + verdict.table())
        print("\n" + _places(Path(options.out), report))
    if failures:
        where = Path(options.out) / "logs" / "failures.json"
        raise FailedUnitsError(_complaint(failures, f" All are in {where}."))
    return 0


def _verbs(
    run: Run, verbs: Sequence[str], sources: Sequence[Source], inputs: Sequence[Input], options: argparse.Namespace
) -> tuple[list[Failure], int]:
    """(failures, units done now) of the verbs that run on an engine."""
    failures: list[Failure] = []
    fresh = 0
    with _engine(options) as engine:
        for verb in verbs:
            if verb != "train":
                summary = run_verb(run, verb, engine, verb_bar, sources, inputs)
                failures += summary.failures
                fresh += summary.fresh
                if summary.retired:
                    note(f"{verb}: {len(summary.retired)} units are no longer of this run and were taken back")
                changed = [f"{count:,} {change}" for change, count in summary.changes.items() if count]
                if changed:
                    note(f"{verb}: shards that were judged before were judged again: {', '.join(changed)}")
    failed = {failure.unit for failure in failures}
    failures += [failure for failure in missing_shards(run) if failure.unit not in failed]
    return failures, fresh


@contextlib.contextmanager
def _engine(options: argparse.Namespace) -> Iterator[Engine]:
    if getattr(options, "scheduler", None):
        with remote_cluster(options.scheduler) as engine:
            yield engine
    elif options.workers == 0:
        yield in_process()
    else:
        with local_cluster(options.workers) as engine:
            yield engine


def _train(run: Run, failures: list[Failure]) -> int:
    """The recipe's training run and its Hugging Face directory; 1 when something was done, 0 when all was there.

    A run that has grown has other tokens than its model: that is a failed unit, and all the rest stands.
    """
    from xlmr.hf import export

    section, folder = run.recipe.train, run.folder("train")
    try:
        facts = train_model(section.preset, section.overrides(), run.folder("encode"), folder)
        export(folder, folder / "hf", run.folder("vocab"))
    except MismatchError as error:
        failures.append(Failure("train", folder.name, f"{error} Or move {folder} away to train anew."))
        return 0
    return int(not facts["already_done"])


def _write_report(root: Path) -> Path | None:
    try:
        from ccbuild.report import write_report
    except ModuleNotFoundError as error:
        note(f"No report: it needs {error.name}. Install it: pip install 'ccbuild[report]'.")
        return None
    try:
        return write_report(root)
    except (OSError, ValueError) as error:  # a file that a disk lost; the run itself stands
        note(f"No report: {' '.join(str(error).split())}. Run with --verify to find and make again what is damaged.")
        return None


def _report(options: argparse.Namespace) -> int:
    root = Path(options.folder)
    if not (root / "run.json").is_file():
        raise InputError(f"{root} is not the folder of a run: it has no run.json. Give the --out of a run.")
    path = _write_report(root)
    print(path or "")
    return 0 if path else 1


def _places(out: Path, report: Path | None) -> str:
    """Where everything lies, as the user would type it."""
    names = {
        "corpus": "5-corpus",
        "vocabulary": "6-vocabulary",
        "tokens": "7-tokens",
        "model": "8-model/hf",
        "ledgers": "summary.json",
    }
    lines = [f"{what:<12}{out / name}" for what, name in names.items() if (out / name).exists()]
    if report:
        lines.append(f"{'report':<12}{out / report.name}")
    return "\n".join(lines)


def _complaint(failures: Sequence[Failure], where: str = "") -> str:
    """One line a failed unit, the first ten."""
    lines = [f"{f.verb} {f.unit}: {f.error}" for f in failures[:10]]
    more = f"\n  and {len(failures) - 10} more" if len(failures) > 10 else ""
    return (
        f"{len(failures)} units failed; the others are done.{where} Run the same command again to try them again.\n  "
        + "\n  ".join(lines)
        + more
    )


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
                many = f"{len(family.languages)} languages" if family.languages else "by date"
                print(f"{family.name:<16}{many:>12}  {family.licence:<24}{family.source}")
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
