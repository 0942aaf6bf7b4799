"""Takes a run through its verbs: plans, resumes, records what failed, checks that nothing was lost between verbs."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from cc100.engines import Engine
from cc100.layout import Input, Run, Source
from cc100.recipe import VERBS
from cc100.verbs import encode, extract, match, prepare, publish, refine, vocab
from cc100.verbs.task import Result, Step, execute
from ccbuild.errors import InputError, LedgerError, StorageError
from ccbuild.ledger import Ledger

__all__ = ["Failure", "Progress", "VerbSummary", "balance", "ledger_of", "run_verb", "verbs_between"]


class Progress(Protocol):
    """What a person watches while a verb runs; `steps` may call `add` more than once."""

    def add(self, total: int) -> None:
        """`total` more units are to be done."""

    def advance(self, name: str) -> None:
        """One unit has ended."""


ShowProgress = Callable[[str], AbstractContextManager[Progress]]


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
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by stage, over all workers."""


def verbs_between(first: str | None, last: str) -> list[str]:
    """The verbs from `first` (None: the first there is) to `last`."""
    start = VERBS.index(first) if first else 0
    stop = VERBS.index(last)
    if start > stop:
        raise InputError(f"--from {first} comes after --until {last}. The order is {', '.join(VERBS)}.")
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
    start, summary = time.monotonic(), VerbSummary(verb)
    (run.root / "logs").mkdir(exist_ok=True)
    with show(verb) as bar, (run.root / "logs" / f"{verb}.jsonl").open("a", encoding="utf-8") as log:
        for step in plan(run, verb, sources, table):
            bar.add(len(step.tasks))
            for task, answer in engine(execute, step.tasks):
                bar.advance(task.name)
                log.write(json.dumps(_count(summary, task.name, answer)) + "\n")
            if summary.failures:
                log.flush()
    summary.seconds = time.monotonic() - start
    return summary


def _count(summary: VerbSummary, name: str, answer: Result | Exception) -> dict[str, Any]:
    """Take one answer into the summary; returns its line for the log."""
    if isinstance(answer, StorageError | LedgerError):
        raise answer
    if isinstance(answer, Exception):
        error = f"{type(answer).__name__}: {' '.join(str(answer).split())}"
        summary.failures.append(Failure(summary.verb, name, error))
        return {"unit": name, "error": error}
    summary.fresh += answer.fresh
    summary.before += not answer.fresh
    for stage, seconds in answer.cpu.items():
        summary.cpu[stage] = summary.cpu.get(stage, 0.0) + seconds
    return {"unit": name, "fresh": answer.fresh, "seconds": round(answer.seconds, 3), "cpu": answer.cpu}


def ledger_of(run: Run, verb: str) -> Ledger:
    """The ledgers of all finished units of a verb, added up."""
    pattern = "part-*.json" if verb == "match" else "*.json"
    return Ledger.total(m.ledger for m in run.manifests(verb, pattern).values())


def balance(run: Run) -> None:
    """Check that each verb saw what the one before kept, as far as the run has come; `LedgerError` names the two."""
    chain = [("extract", "records"), ("refine", "documents"), ("publish", "documents"), ("encode", "documents")]
    ledgers = [(verb, ledger_of(run, verb)[account]) for verb, account in chain if run.manifests(verb)]
    for (before, left), (after, right) in itertools.pairwise(ledgers):
        if left.kept != right.seen:
            raise LedgerError(
                f"{run.root}: {before} kept {left.kept:,}, {after} saw {right.seen:,}. "
                "Run the same command again; if it stays, report this line."
            )
