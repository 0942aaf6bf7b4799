"""The front door: what joins the pipeline and the trainer to the library, for the command and for Python alike.

Beside `ccbuild.cli` the only room that may name cc100 and xlmr.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cc100.build import Built, How, Plan, complaint, planned
from cc100.build import build as build_plan
from cc100.layout import Run
from cc100.recipe import Recipe, TrainSection
from ccbuild.errors import FailedUnitsError, InputError
from ccbuild.progress import Bar, note, verb_bar
from ccbuild.run import OpenRun
from ccbuild.stages import FunctionStage

__all__ = ["Trainer", "build", "do", "room", "train_model"]


def build(
    recipe: str | Path | Recipe = "cc100",
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
    out: str | Path = "runs/mine",
    *,
    stages: Sequence[str | Mapping[str, Any] | FunctionStage] = (),
    settings: Mapping[str, Any] | Sequence[str] = (),
    first: str | None = None,
    until: str | None = None,
    workers: int | None = None,
    cluster: Any = None,
    verify: bool = False,
    take_over: bool = False,
    retry_quarantined: bool = False,
    allow_missing: bool = False,
    insecure_scheduler: bool = False,
) -> OpenRun:
    """A run: what ``ccbuild run`` does, with all that it watches over; the same call again goes on where it stopped.

    `recipe` is a name (``cc100``, ``ccnet``, ``demo``), a YAML file or a `Recipe`; `inputs` are WARC, WET or ARC files
    by path, glob or URL, a snapshot or a selection; `out` is the folder of the run.

    `stages` of yours come after the recipe's; where the list names one of ours, it is the whole order. `settings` are
    keys of the recipe, ``{"publish.tail_share": 0.5}``. `first` and `until` are verbs. `workers` are processes here (0:
    one beside this one; None: one a core), `cluster` a Dask cluster in their place: ``tls://head:8786``, or a
    `distributed.Client`; an address of another machine without TLS needs `insecure_scheduler`.

    `verify` hashes what is found done, and the archives that it was made of. `take_over` goes on in a folder that a
    process of another machine held, of which nothing was heard for a minute. `retry_quarantined` tries the records
    again that were set apart. After a verb of which units failed no other starts, unless `allow_missing`: then it is
    made of the rest, and the run, its report and its corpus say so.

    A script that starts workers needs the guard ``if __name__ == "__main__":`` around the call, as each worker imports
    it; a notebook does not.

    Returns the run, opened for reading. Raises `UsageError` before anything is written when something that was asked
    cannot work, and `FailedUnitsError` at the end when units failed; the others are done.

    >>> run = build("cc100", "crawl/*.warc.gz", "runs/mine", first="extract", until="match", workers=0)
    >>> run.summary().pages_in
    2
    """
    chosen: dict[str, Any] = {"stages": stages, "settings": settings, "first": first, "until": until, "verify": verify}
    chosen |= {"allow_missing": allow_missing, "retry_quarantined": retry_quarantined}
    plan = planned(recipe, inputs, out, **chosen)
    chosen = {"workers": workers, "cluster": cluster, "insecure_scheduler": insecure_scheduler, "take_over": take_over}
    built = do(plan, **chosen)
    if built.missing:
        raise FailedUnitsError(complaint(built.missing, built.waiting))
    return OpenRun(plan.run.root)


def do(plan: Plan, **how: Any) -> Built:
    """Do a plan, with bars and the trainer of this house; failed units stand in the answer. `how` are fields of
    `cc100.build.How`."""
    return build_plan(plan, How(show=verb_bar, tell=note, trainer=Trainer(), **how))


class Trainer:
    """The trainer as the last verb of a run. torch is imported only here, when a run needs it."""

    def check(self, section: TrainSection) -> None:
        """Raise now what training would raise of its configuration after hours of other work."""
        room("config").load_preset(section.preset, section.overrides())

    def train(self, run: Run) -> bool:
        """Train on the run's tokens and write its Hugging Face directory; False when all was done before."""
        section, folder = run.recipe.train, run.folder("train")
        facts = train_model(section.preset, section.overrides(), run.folder("encode"), folder)
        room("hf").export(folder, run.folder("hf"), run.folder("vocab"))
        return not facts["already_done"]


def train_model(preset: str, overrides: Sequence[str], tokens: Path, out: Path) -> dict[str, Any]:
    """Train, with a bar; returns what the result says of itself."""
    train, config = room("train").train, room("config").load_preset(preset, overrides)
    bar: Bar | None = None

    def progress(news: Any) -> None:  # called in the first rank alone
        nonlocal bar
        if isinstance(news, str):
            note(news)
            return
        bar = bar or Bar("train", "step")
        bar.to(news.step, news.steps, _state(news))

    try:
        result = train(config, tokens, out, progress=progress)
    finally:
        if bar is not None:
            bar.close()
    facts: dict[str, Any] = dataclasses.asdict(result)
    return facts


def _state(news: Any) -> str:
    """What stands beside the bar: speed, loss, and the languages at its two ends."""
    ends = sorted(news.languages, key=lambda code: float(news.languages[code]))
    shown = [ends[0], ends[-1]] if len(ends) > 1 else ends
    by_language = " ".join(f"{code} {news.languages[code]:.2f}" for code in shown)
    loss = "-" if news.loss is None else f"{news.loss:.3f}"
    skipped = f", {news.skipped} skipped" if news.skipped else ""
    return f"loss {loss} ({by_language}), {news.tokens_per_second:,.0f} tokens/s{skipped}"


def room(name: str) -> Any:
    """A module of the trainer; `InputError` where what it needs is not installed.

    Torch's threads sleep when they wait for each other, unless the user says otherwise: by default they spin, and where
    another process wants one of two cores, an update of the demo's model costs 674 ms of CPU in place of 151.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read once, when torch is imported
    try:
        return importlib.import_module(f"xlmr.{name}")
    except ModuleNotFoundError as error:
        raise InputError(f"The trainer needs {error.name}. Install it: pip install 'ccbuild[train]'.") from error
