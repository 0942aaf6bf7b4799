"""A page that breaks off a step, or takes its process along, costs that page: in every step that pages go through."""

from __future__ import annotations

import dataclasses
import pkgutil
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from cc100.apart import GuardConfig
from cc100.build import planned
from cc100.engines import beside, in_process
from cc100.run import run_verb
from cc100.verbs.task import Result, execute
from ccbuild.border import is_set_apart
from ccbuild.progress import silent
from ccbuild.rundir import FOLDERS
from ccbuild.storage import read_manifest
from tests.chaos.poison import HARM, harm
from tests.chaos.runs import SETTINGS, WORD, Alone

STEPS = {
    "text": ("extract", "ccbuild.runner.page_text", lambda arguments: WORD.encode() in arguments[3]),
    "prints": ("extract", "cc100.verbs.extract.sign", lambda arguments: _holds(arguments[0])),
    "language": ("refine", "ccbuild.stages.language.vote", lambda arguments: _holds(arguments[1])),
    "words": ("vocab", "ccbuild.vocab.words._normalized", lambda arguments: _holds(arguments[1])),
    "encode": ("encode", "ccbuild.vocab.tokenizer.Encoder.encode_batch", lambda arguments: _holds(arguments[1])),
}
"""Step to its verb, the function that is harmed, and whether its arguments hold the page."""


def _holds(found: Any) -> bool:
    if isinstance(found, str):
        return WORD in found
    return isinstance(found, Sequence) and any(map(_holds, found))


def poisoned(step: str, kind: str, task: Any) -> Result:
    """The unit, in a process in which the page does harm of a kind in a step."""
    _, function, holds = STEPS[step]
    real = pkgutil.resolve_name(function)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        if holds(arguments):
            harm(kind)
        return real(*arguments, **named)

    with mock.patch(function, wrapped):
        return execute(task)


@dataclasses.dataclass
class Poisoning(Alone):
    """An engine whose processes are harmed."""

    step: str
    kind: str

    def __call__(self, work: Callable[[Any], Any], tasks: Sequence[Any]) -> Generator[tuple[Any, Any], None, None]:
        seconds = 10 if "loop" in self.kind else 300  # the first page opens models, on a busy machine for long
        guard = GuardConfig(record_seconds=seconds, memory_megabytes=3000)
        with beside(guard) as engine:
            yield from engine(partial(poisoned, self.step, self.kind), tasks)


def cases() -> Iterator[Any]:
    for step in STEPS:
        for kind in HARM:
            always = [("text", "segfault"), ("language", "exception"), ("words", "segfault"), ("encode", "segfault")]
            marks = () if (step, kind) in always else pytest.mark.full
            yield pytest.param(step, kind, marks=marks, id=f"{step}-{kind}")


@pytest.mark.parametrize(("step", "kind"), list(cases()))
def test_it_costs_that_page(step: str, kind: str, runs: dict[str, Path], tmp_path: Path) -> None:
    verb = STEPS[step][0]
    shutil.copytree(runs["all"], tmp_path / "it")
    out = tmp_path / "it" / "run"
    for later in list(FOLDERS)[list(FOLDERS).index(verb) :]:
        shutil.rmtree(out / FOLDERS[later], ignore_errors=True)
    archive = runs["all"] / "crawl" / "a.warc.gz"
    plan = planned("cc100", str(archive), out, first="extract", until="encode", settings=SETTINGS)
    done = run_verb(plan.run, verb, Poisoning(step, kind), silent, plan.sources, plan.run.inputs())
    assert done.failures == []
    cause = HARM[kind].replace("judge", step)
    manifests = [m for path in plan.run.made(verb) if (m := read_manifest(path))]
    ((address, why),) = (each for m in manifests for each in m.facts.get("set_apart", ()))
    assert why == cause
    assert address.startswith("a.warc.gz at ") if verb == "extract" else address.isdecimal()
    assert {cause: 1} in [
        {c: n for c, n in account.quarantined.items() if is_set_apart(c)}
        for manifest in manifests
        for account in manifest.ledger.accounts.values()
    ]
    less = runs["less"] / "run"
    if verb in ("extract", "refine"):
        name = "part-00000.parquet"
        assert (out / FOLDERS[verb] / name).read_bytes() == (less / FOLDERS[verb] / name).read_bytes()
    if verb == "extract":
        assert (out / FOLDERS["prints"] / "part-00000.parquet").read_bytes() == (
            less / FOLDERS["prints"] / "part-00000.parquet"
        ).read_bytes()


def test_what_was_set_apart_is_tried_again_when_asked(runs: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(runs["all"], tmp_path / "it")
    out, archive = tmp_path / "it" / "run", runs["all"] / "crawl" / "a.warc.gz"
    shutil.rmtree(out / FOLDERS["refine"])
    plan = planned("cc100", str(archive), out, first="extract", until="refine", settings=SETTINGS)
    run_verb(plan.run, "refine", Poisoning("language", "exception"), silent)
    name = out / FOLDERS["refine"] / "part-00000.parquet"
    whole = runs["all"] / "run" / FOLDERS["refine"] / "part-00000.parquet"
    assert name.read_bytes() != whole.read_bytes()
    assert run_verb(plan.run, "refine", in_process(), silent).fresh == 0
    again = dataclasses.replace(plan.run, retry_quarantined=True)
    assert run_verb(again, "refine", in_process(), silent).fresh == 1
    assert name.read_bytes() == whole.read_bytes()
    assert run_verb(again, "refine", in_process(), silent).fresh == 0
