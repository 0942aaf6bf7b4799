"""Takes a run through its verbs: plans, resumes, records what failed, checks that nothing was lost between verbs."""

from __future__ import annotations

import contextlib
import difflib
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cc100.engines import Engine, Working
from cc100.layout import Run, Source
from cc100.recipe import VERBS
from cc100.verbs import encode, extract, match, prepare, publish, refine, vocab
from cc100.verbs.task import Result, Step, Task, execute
from ccbuild.errors import InputError, LedgerError, StorageError
from ccbuild.index import Look, gather
from ccbuild.plural import many
from ccbuild.progress import REFRESH_SECONDS, SHOWN_SECONDS, ShowProgress, asking, duration, here, phase
from ccbuild.refusals import refusals
from ccbuild.rundir import Input, files_beside
from ccbuild.storage import read_manifest, retire

__all__ = [
    "Failure",
    "VerbSummary",
    "balance",
    "in_work",
    "run_steps",
    "run_verb",
    "undone",
    "verbs_between",
]


_MANY = 10_000
"""Units of a step from which on one look at all that their folders hold costs less than to read their manifests."""
_ASKED = 1000
"""Most units found done from which it is reckoned how much the others will write."""
_SHOWN = 2
"""Units in work that are told by name."""
_SILENT = 30.0
"""Seconds after which a unit that is not heard of is told to be silent: six times what a healthy one takes."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A unit that could not be done. It is tried again when the same command is run again."""

    verb: str
    unit: str
    error: str


@dataclass(slots=True)
class VerbSummary:
    """What happened to one verb."""

    verb: str
    fresh: int = 0
    """Units done now."""
    before: int = 0
    """Units found done."""
    failures: list[Failure] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    """Units of an earlier run that this one does not have; their files are gone."""
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by stage, over all workers."""
    changes: dict[str, int] = field(default_factory=dict)
    """What was decided otherwise than before, in units that were done before."""


def verbs_between(first: str | None, last: str) -> list[str]:
    """The verbs from `first` (None: the first there is) to `last`."""
    for verb in (first, last):
        if verb is not None and verb not in VERBS:
            near = difflib.get_close_matches(verb, VERBS, n=1)
            raise InputError(f"There is no verb {verb!r}. {f'Did you mean {near[0]}?' if near else ', '.join(VERBS)}")
    start = VERBS.index(first) if first else 0
    stop = VERBS.index(last)
    if start > stop:
        raise InputError(
            f"{first} comes after {last}, with which this run ends. The order is {', '.join(VERBS)}: begin earlier, or "
            f"end later, with --until {first}."
        )
    return list(VERBS[start : stop + 1])


def plan(run: Run, verb: str, sources: Sequence[Source], table: Sequence[Input]) -> Iterator[Step]:
    """The steps of a verb. Each is planned when the one before has ended."""
    if verb == "extract":
        return extract.steps(run, sources, table)
    modules: dict[str, Any] = {
        "prepare": prepare,
        "match": match,
        "refine": refine,
        "publish": publish,
        "vocab": vocab,
        "encode": encode,
    }
    return modules[verb].steps(run)  # type: ignore[no-any-return]


def run_verb(
    run: Run, verb: str, engine: Engine, show: ShowProgress, sources: Sequence[Source] = (), table: Sequence[Input] = ()
) -> VerbSummary:
    """Do one verb. A failed unit is recorded and the others go on; a full disk ends the run at once."""
    summary, planned = run_steps(run, verb, plan(run, verb, sources, table), engine, show)
    if verb != "extract" and not summary.failures:
        summary.retired = _retire(run, verb, planned)
    if summary.fresh:
        gather(run.notes(verb))
    return summary


def run_steps(
    run: Run, label: str, steps: Iterator[Step], engine: Engine, show: ShowProgress
) -> tuple[VerbSummary, set[str]]:
    """(what happened, names of the units planned), with a log in `logs/<label>.jsonl`."""
    start, summary, planned, doing = time.monotonic(), VerbSummary(label), set[str](), here()
    with (
        show(label) as bar,
        asking(lambda: bar.doing(in_work(engine.working()) or doing.text()), REFRESH_SECONDS),
        _log(run.root / "logs" / f"{label}.jsonl") as log,
    ):
        while (step := _next(steps)) is not None:
            tasks = undone(run, step)
            bar.add(len(step.tasks))
            todo = {task.name for task in tasks}
            found = [task for task in step.tasks if task.name not in todo]
            summary.before += len(found)
            for task in found:
                bar.advance(task.name)
            need = _Need(f"{label} ({step.label})", found, {task.name: _nbytes(task) for task in tasks})
            with contextlib.closing(engine(execute, tasks)) as answers:  # where this ends, so do the units in work
                for task, answer in answers:
                    bar.advance(task.name)
                    log(_count(summary, task.name, answer, need))
            planned |= {task.name for task in step.tasks}
    summary.seconds = time.monotonic() - start
    return summary, planned


@contextlib.contextmanager
def _log(path: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Writes a line for each mapping; a disk that takes none ends the run in words."""
    with refusals(path):
        path.parent.mkdir(exist_ok=True)
        stream = path.open("a", encoding="utf-8")

    def write(row: Mapping[str, Any]) -> None:
        with refusals(path):
            stream.write(json.dumps(row) + "\n")

    try:
        yield write
    finally:
        with refusals(path):
            stream.close()


def undone(run: Run, step: Step) -> list[Any]:
    """The tasks of a step that are to be given to workers: those not found done by one look at their folders.

    What cannot be told from here (a refused setting, a file that is not there) is given to a worker, which says why; so
    are all tasks where every output is to be hashed, or records are to be tried again, and those that hash their
    inputs.
    """
    if run.verify or run.retry_quarantined or step.hashed:
        return step.tasks
    look = Look() if len(step.tasks) >= _MANY else None
    with phase("check"):
        return [task for task in step.tasks if not _is_done(task, look)]


def _is_done(task: Task, look: Look | None) -> bool:
    try:
        unit = task.unit()
        return unit.done() is not None if look is None else look.done(unit)
    except Exception:
        return False


def _next(steps: Iterator[Step]) -> Step | None:
    with phase("plan"):
        return next(steps, None)


def in_work(units: Sequence[Working]) -> str:
    """The units that take their time, the longest first: ``identifier 48 s (train)``."""
    slow = sorted((unit for unit in units if unit.seconds >= SHOWN_SECONDS), key=lambda unit: -unit.seconds)
    told = [_told(unit) for unit in slow[:_SHOWN]]
    return ", ".join(told) + (f" and {len(slow) - _SHOWN} more" if len(slow) > _SHOWN else "")


def _told(unit: Working) -> str:
    silent = f"silent for {duration(unit.unheard)}" if unit.unheard >= _SILENT else ""
    about = ", ".join(filter(None, (unit.what, silent)))
    return f"{unit.name} {duration(unit.seconds)}" + (f" ({about})" if about else "")


def _retire(run: Run, verb: str, planned: set[str]) -> list[str]:
    """Take back what the verb made before and does not make now: a language without text, a bucket too many.

    `extract` is never asked: a shard that the table of inputs names stays, named on the command line or not.
    """
    gone = [path for path in run.made(verb) if path.stem not in planned]
    for path in gone:
        retire(path, files_beside(path))
    return [path.stem for path in gone]


def _nbytes(task: Task) -> int:
    """Bytes that a unit reads, or 1 where nobody knows them."""
    return getattr(task, "nbytes", 0) or 1


@dataclass(slots=True)
class _Need:
    """How much the rest of a step will write, if it goes on as it went so far."""

    what: str
    found: list[Any]
    """Tasks that were found done: some are asked for the size of their files when it comes to it."""
    left: dict[str, int]
    """Unit to the bytes that it reads."""
    read: int = 0
    written: int = 0

    def take(self, name: str, nbytes: int) -> None:
        """The unit `name` is done, and has files of so many bytes."""
        self.read += self.left.pop(name, 0)
        self.written += nbytes

    def __str__(self) -> str:
        units = f"{many(len(self.left), 'unit')} of {self.what} {'is' if len(self.left) == 1 else 'are'} left"
        for task in self.found[:_ASKED]:
            manifest = read_manifest(task.unit().manifest_path)
            self.read += _nbytes(task)
            self.written += sum(output["size"] for output in manifest.outputs.values()) if manifest else 0
        if not self.read:
            return f"{units}, and as none is done yet, nobody knows how much is needed."
        need = self.written * sum(self.left.values()) / self.read
        before = f"those before wrote {self.written / 1e6:,.1f} MB."
        return f"{units}, for which about {need / 1e6:,.1f} MB are needed: {before}"


def _count(summary: VerbSummary, name: str, answer: Result | Exception, need: _Need) -> dict[str, Any]:
    """Take one answer into the summary; returns its line for the log."""
    if isinstance(answer, StorageError):
        raise StorageError(f"{answer} {need}") from answer
    if isinstance(answer, LedgerError):
        raise answer
    if isinstance(answer, Exception):
        error = f"{type(answer).__name__}: {' '.join(str(answer).split())}"
        summary.failures.append(Failure(summary.verb, name, error))
        return {"unit": name, "error": error}
    summary.fresh += answer.fresh
    summary.before += not answer.fresh
    need.take(name, answer.nbytes)
    for stage, seconds in answer.cpu.items():
        summary.cpu[stage] = summary.cpu.get(stage, 0.0) + seconds
    for change, count in answer.changes.items():
        summary.changes[change] = summary.changes.get(change, 0) + count
    line = {"unit": name, "fresh": answer.fresh, "seconds": round(answer.seconds, 3), "cpu": answer.cpu}
    return line | ({"changes": answer.changes} if any(answer.changes.values()) else {})


def balance(run: Run, verbs: Sequence[str]) -> None:
    """Check that each of `verbs` saw what the one before kept; `LedgerError` names the two."""
    chain = [("extract", "records"), ("refine", "documents"), ("publish", "documents"), ("encode", "documents")]
    asked = [pair for pair in itertools.pairwise(chain) if pair[1][0] in verbs]
    ledgers = {verb: run.ledger(verb) for verb in {verb for pair in asked for verb, _ in pair}}
    for (before, account), (after, _) in asked:
        kept, seen = ledgers[before][account].kept, ledgers[after]["documents"].seen
        if kept != seen:
            raise LedgerError(
                f"{run.root}: {before} kept {kept:,}, {after} saw {seen:,}. "
                "Run the same command again; if it stays, report this line."
            )
