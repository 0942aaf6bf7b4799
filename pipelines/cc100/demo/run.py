"""The demo as a plan: a crawl made of the catalogue's texts, the recipe `demo` on it, and its own truth to judge by."""

from __future__ import annotations

import dataclasses
import glob
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from cc100.build import Plan, planned
from cc100.demo.crawl import write_crawl
from ccbuild import catalogue
from ccbuild.rundir import RunDir

__all__ = ["planned_demo"]


_PAGES, _UPDATES = 3200, 600
"""Of the whole demo: the updates are those of the preset `tiny`. Fewer pages would be read too often."""


def _updates(out: str | Path, pages: int) -> int:
    """How many updates a demo of `pages` is worth; of one that has its model, those that it was made with."""
    made = RunDir(Path(out)).manifest("train", "train")
    if made is not None:
        return int(made.settings["optim.steps"])
    return min(_UPDATES, max(_UPDATES // 5, _UPDATES * pages // _PAGES))


def planned_demo(
    out: str | Path,
    *,
    pages: int = 3200,
    settings: Sequence[str] = (),
    until: str | None = None,
    verify: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """The plan of a demo in `out`, whose crawl of `pages` is written; `progress` is called with pages done and all."""
    crawl = write_crawl(
        Path(out) / "crawl",
        pages=pages,
        eld=catalogue.fetch("eld"),
        gflanguages=catalogue.fetch("gflanguages"),
        progress=progress or (lambda done, total: None),
    )
    prose = f"{glob.escape(str(crawl.folder.resolve()))}/prose/{{lang}}.txt"
    inputs = f"{glob.escape(str(crawl.folder))}/*.warc.gz"
    updates = json.dumps({"optim.steps": _updates(out, pages)})
    chosen = [f"prepare.prose={json.dumps(prose)}", f"train.set={updates}", *settings]
    plan = planned("demo", inputs, out, settings=chosen, until=until, verify=verify)
    return dataclasses.replace(plan, truth=crawl.truth)
