"""A whole run: what is asked is checked, the verbs are done, the accounts are written.

The command and Python come through here, so both have every safeguard: the lock, the table of inputs, settings that
are compared with those of before, the balance between verbs, the summary and the report.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import Any, Protocol

from cc100.apart import GuardConfig
from cc100.demo.judge import Verdict, judge
from cc100.demo.outcomes import outcomes
from cc100.engines import (
    Engine,
    beside,
    local_cluster,
    on_dask,
    refuse_insecure,
    refuse_inside_a_worker,
    remote_cluster,
)
from cc100.layout import Run, Source, check_snapshots, check_sources, sources_of
from cc100.memory import needs
from cc100.places import checked
from cc100.recipe import VERBS, Recipe, TrainSection, load_recipe, verb_contents
from cc100.run import balance, plan, run_verb, verbs_between
from ccbuild.addresses import group_name
from ccbuild.config import override
from ccbuild.errors import ConfigError, InputError, MismatchError
from ccbuild.lock import locked
from ccbuild.missing import Missing, missing_units, note_failures
from ccbuild.plural import many
from ccbuild.progress import ShowProgress, visible
from ccbuild.rundir import Input, shard_name
from ccbuild.stages import FunctionStage
from ccbuild.storage import read_manifest, write_bytes, write_json
from ccbuild.summary import Summary, summarise

__all__ = ["Built", "How", "Plan", "build", "complaint", "planned"]

Stages = Sequence[str | Mapping[str, Any] | FunctionStage]
Settings = Mapping[str, Any] | Sequence[str]


class Trainer(Protocol):
    """The last verb, which this package does not know itself."""

    def check(self, section: TrainSection) -> None:
        """Raise what training would refuse of its settings."""

    def train(self, run: Run) -> bool:
        """Train the model of a run; False when all was done before."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do. Nothing has been written yet."""

    run: Run
    verbs: tuple[str, ...]
    sources: tuple[Source, ...] = ()
    kept: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What an earlier release began this run with, and this one has otherwise by default."""
    truth: Path | None = None
    """What is known of the pages of a crawl that was made here, to judge the run by."""

    def check(self, trainer: Trainer) -> None:
        """Refuse whatever can be known to be wrong before anything starts."""
        run, verbs = self.run, self.verbs
        before = [verb for verb in verbs if VERBS.index(verb) <= VERBS.index("publish")]
        if before and any(entry.lang is not None for entry in run.inputs()):
            raise InputError(
                f"{run.root} holds imported text, so {before[0]} has nothing to do. What can follow is vocab: "
                f"ccbuild run {run.recipe.name} --out {run.root} --from vocab."
            )
        if "extract" in verbs:
            if not self.sources:
                raise InputError("No input is named. Name WARC or WET files: --input 'crawl/*.warc.gz'.")
            check_sources(self.sources)
            check_snapshots(run.recipe, self.sources)
        elif verbs[0] != "prepare" and not run.inputs():
            raise InputError(f"{run.root} holds no pages yet, so {verbs[0]} has nothing to do. Begin with extract.")
        if "train" in verbs:
            trainer.check(run.recipe.train)
        if "refine" in verbs:
            run.recipe.refine.check()
        run.refuse_other_settings(verbs)
        if "refine" not in verbs and VERBS.index(verbs[-1]) > VERBS.index("refine"):
            self._refuse_changed_filters()

    def _refuse_changed_filters(self) -> None:
        """Documents of `refine` that a changed filter, or a changed file, would judge otherwise are not published."""
        path = next(self.run.made("refine"), None)
        made = read_manifest(path) if path else None
        if made is None:
            return
        now = {**verb_contents(self.run.recipe, "refine"), **self.run.recipe.refine.inputs()}
        changed = [key for key, value in now.items() if made.inputs.get(key) != value]
        if changed:
            raise MismatchError(
                f"{self.run.folder('refine')} was made with another content of {', '.join(changed)}. Begin with refine."
            )

    def needs(self) -> list[str]:
        """For each verb that may need more memory than `run.memory_megabytes`: how much, what for, what to set."""
        return needs(self.run, self.verbs)

    def units(self) -> dict[str, Any]:
        """What can be known now: archives, bytes, archives that were read before, new shards, units of `prepare`."""
        known = {entry.archive for entry in self.run.inputs()}
        new = [source for source in self.sources if source.name not in known]
        return {
            "archives": len(self.sources),
            "nbytes": sum(source.size or 0 for source in self.sources),
            "before": len(known),
            "shards": -(-len(new) // self.run.recipe.unit.files),
            "files": self.run.recipe.unit.files,
            "prepare": [task.name for task in next(plan(self.run, "prepare", [], [])).tasks]
            if "prepare" in self.verbs
            else [],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """By what a run is done, and how a person follows it. No output depends on it."""

    show: ShowProgress
    """The bar of a verb."""
    tell: Callable[[str], None]
    """Takes a line for the person."""
    trainer: Trainer
    workers: int | None = None
    """Processes on this machine; 0: one beside this one; None: as many as it has cores."""
    cluster: Any = None
    """The address of a Dask scheduler that exists, ``tls://host:port``, or a `distributed.Client`."""
    insecure_scheduler: bool = False
    """Take an address of another machine without TLS."""
    take_over: bool = False
    """Also a folder that a process of another machine holds, once nothing was heard of it for a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What became of a run."""

    summary: Summary
    missing: tuple[Missing, ...]
    """Units up to the last verb that are not done, for whichever command they failed; all others are."""
    waiting: tuple[str, ...]
    """Verbs that did not start, since they would be made without those."""
    fresh: int
    """Units done now."""
    verdict: Verdict | None = None
    """Against the truth of a crawl that was made here."""
    report: Path | None = None


def planned(
    recipe: str | Path | Recipe,
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | Path,
    *,
    stages: Stages = (),
    settings: Settings = (),
    first: str | None = None,
    until: str | None = None,
    verify: bool = False,
    retry_quarantined: bool = False,
    allow_missing: bool = False,
) -> Plan:
    """The plan of a run in `out`; `ccbuild.build` tells what the arguments mean.

    Reads names and sizes of inputs, and the files that settings name, which it refuses where they do not fit.
    """
    chosen = settings
    if isinstance(settings, Mapping):
        chosen = [override(k, os.fspath(v) if isinstance(v, os.PathLike) else v) for k, v in settings.items()]
    elif isinstance(settings, str):
        chosen = [settings]
    if "://" in str(out):
        raise InputError(f"{out} is a URL. A run's folder lies on a file system: name a path.")
    root, kept = Path(out).expanduser().resolve(), dict[str, Any]()
    if isinstance(recipe, Recipe):
        if chosen:
            raise ConfigError("A Recipe has all its settings. Load it with them: load_recipe(name, settings).")
    else:
        name, recipe = str(recipe), load_recipe(str(recipe), chosen)
        kept = Run(root, recipe).kept_settings(chosen)
        recipe = load_recipe(name, [*starmap(override, kept.items()), *chosen]) if kept else recipe
    if stages:
        added = (stages,) if isinstance(stages, str | Mapping | FunctionStage) else tuple(stages)
        recipe = dataclasses.replace(recipe, refine=recipe.refine.with_stages(added))
    verbs = tuple(verbs_between(first, until or recipe.until))
    recipe = checked(recipe, verbs, root)
    named = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    sources = sources_of([os.fspath(each) for each in named], recipe.crawl) if "extract" in verbs else []
    run = Run(root, recipe, verify, retry_quarantined=retry_quarantined, allow_missing=allow_missing)
    return Plan(run, verbs, tuple(sources), kept)


def build(plan: Plan, how: How) -> Built:
    """Do all verbs of a plan, then summary, verdict, report. Units that failed are told, and tried again next time.

    A verb after a failed unit does not start, unless the plan allows that something is missing.
    """
    refuse_inside_a_worker()
    if isinstance(how.cluster, str) and not how.insecure_scheduler:
        refuse_insecure(how.cluster)
    plan.check(how.trainer)
    for need in plan.needs():
        how.tell(need)
    with locked(plan.run.root, take_over=how.take_over, tell=how.tell) as lease:
        plan = dataclasses.replace(plan, run=dataclasses.replace(plan.run, lease=lease))
        run, verbs = plan.run, plan.verbs
        run.refuse_other_settings(verbs)  # again: another process may have been here
        inputs = run.admit(plan.sources) if "extract" in verbs else run.inputs()
        run.note_settings(verbs, plan.kept)
        if plan.kept:
            told = ", ".join(starmap(override, plan.kept.items()))
            how.tell(f"An earlier release began this run. It goes on with {told}; a new --out has what is new.")
        fresh, waiting = _verbs(plan, inputs, how)
        if all(each.verb in ("prepare", "extract") for each in missing_units(run)):
            balance(run, [verb for verb in verbs if verb not in waiting])
        if "train" in verbs and not waiting:
            fresh += _train(run, how)
        lease.check()
        summary = summarise(run)
        told = json.dumps(dataclasses.asdict(summary), indent=1, ensure_ascii=False)  # opens with what is missing
        write_bytes(run.path("summary"), told.encode() + b"\n")
        missing = tuple(missing_units(run, verbs[-1]))
        verdict = judge(plan.truth, outcomes(run)) if plan.truth and "refine" in verbs and not missing else None
        if verdict:
            write_json(run.path("verdict"), verdict.to_mapping())
        report = write_report(run.root, how.tell) if "publish" in verbs else None
    return Built(summary=summary, missing=missing, waiting=waiting, fresh=fresh, verdict=verdict, report=report)


def _verbs(plan: Plan, inputs: Sequence[Input], how: How) -> tuple[int, tuple[str, ...]]:
    """(units done now, verbs that did not start) of the verbs that run on an engine, and whether training may start."""
    run, fresh, first = plan.run, 0, VERBS.index(plan.verbs[0])
    lacking = first > 0 and bool(missing_units(run, VERBS[first - 1]))
    named = {source.name for source in plan.sources}
    tried = {shard_name(entry.shard) for entry in inputs if entry.archive in named}
    tried |= {group_name(entry.shard) for entry in inputs}
    with _engine(how, run.recipe.guard) as engine:
        check_stages(run.recipe, engine)
        for place, verb in enumerate(plan.verbs):
            if lacking and not run.allow_missing:
                return fresh, plan.verbs[place:]
            if verb == "train":
                break
            done = run_verb(run, verb, engine, how.show, plan.sources, inputs)
            errors = {failure.unit: failure.error for failure in done.failures}
            note_failures(run, verb, errors, tried if verb == "extract" else None)
            fresh += done.fresh
            lacking = lacking or bool(errors) or (verb == "extract" and bool(missing_units(run, verb)))
            if done.retired:
                how.tell(f"{verb}: taken back, as no longer of this run: {many(len(done.retired), 'unit')}")
            changed = [f"{count:,} {change}" for change, count in done.changes.items() if count]
            if changed:
                how.tell(f"{verb}: shards that were judged before were judged again: {', '.join(changed)}")
    return fresh, ()


@contextlib.contextmanager
def _engine(how: How, guard: GuardConfig) -> Iterator[Engine]:
    if how.workers is not None and (not isinstance(how.workers, int) or how.workers < 0):
        raise ConfigError(f"workers is {how.workers!r}; it takes None (one a core), 0 (this process) or more.")
    if isinstance(how.cluster, str):
        with remote_cluster(how.cluster, guard, how.tell) as engine:
            yield engine
    elif how.cluster is not None:
        client = how.cluster.get_client() if hasattr(how.cluster, "get_client") else how.cluster
        yield on_dask(client, guard, how.tell)
    elif how.workers == 0:
        with beside(guard) as engine:
            yield engine
    else:
        with local_cluster(how.workers or os.cpu_count() or 1, guard, how.tell) as engine:
            yield engine


def check_stages(recipe: Recipe, engine: Engine) -> None:
    """Refuse stages from outside that a worker cannot import, or has in another version than this process."""
    ours = recipe.refine.sources()
    if not ours:
        return
    for worker, theirs in engine.everywhere(recipe.refine.sources).items():
        for name, digest in theirs.items():
            if digest != ours[name]:
                raise MismatchError(
                    f"{worker} has another source of the stage {name} than this process. Install the same version on "
                    "all machines; where its file was changed after it was imported here, start Python anew."
                )


def _train(run: Run, how: How) -> int:
    """1 when the model was trained now. A run that has grown has other tokens than its model: that is a failed unit."""
    folder = run.folder("train")
    try:
        fresh = int(how.trainer.train(run))
    except MismatchError as error:
        note_failures(run, "train", {folder.name: f"{error} Or move {folder} away to train anew."})
        return 0
    note_failures(run, "train", {})
    return fresh


def write_report(root: Path, tell: Callable[[str], None]) -> Path | None:
    """The report of the run in `root`; None, and why is told, where it cannot be written: the run itself stands."""
    try:
        from ccbuild.report import write_report as write
    except ModuleNotFoundError as error:
        tell(f"No report: it needs {error.name}. Install it: pip install 'ccbuild[report]'.")
        return None
    try:
        return write(root)
    except (OSError, ValueError) as error:  # a file that a disk lost
        tell(f"No report: {' '.join(str(error).split())}. Run with --verify to find and make again what is damaged.")
        return None


def complaint(missing: Sequence[Missing], waiting: Sequence[str] = ()) -> str:
    """What to tell of missing units: what did not start, how to go on, and a line for each, the first ten."""
    units = f"{many(len(missing), 'unit')} {'is' if len(missing) == 1 else 'are'}"
    verbs = " and ".join(dict.fromkeys(each.verb for each in missing))
    lines = [f"{units} missing; the others of {verbs} are done."]
    if waiting:
        lines[0] += f" Not started, for it would be made of the rest: {', '.join(waiting)}."
    lines[0] += f" To try again, run the same command, from {missing[0].verb} on."
    if waiting:
        lines[0] += " To go on without, add --allow-missing (in Python allow_missing=True)."
    lines += [f"  {visible(str(each))}" for each in missing[:10]]
    return "\n".join(lines) + (f"\n  and {len(missing) - 10:,} more" if len(missing) > 10 else "")
