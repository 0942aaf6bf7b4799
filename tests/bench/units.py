"""Benchmark of the book-keeping of a large run: what it costs to find 90,000 finished units done, verb by verb.

    python tests/bench/units.py [--shards 90000] [--folder DIR] [--json]

A demo of 200 pages is run once; every unit of a run with so many shards then gets a manifest cloned from the unit of
its kind: names, inputs and digests are those that the planners ask for, outputs are files of the size that is stated,
every shard has documents in all 116 languages. Then, each in a process of its own, so that the peak of its memory is
its own: every verb is planned and its finished units are told from others, twice (the first look makes the indexes),
ten new archives are named beside the old ones, the accounts of all verbs are compared and added up. No unit is worked
on and no engine is started.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cc100.layout import Run, Source
from cc100.recipe import VERBS, load_recipe
from cc100.run import _retire, balance, plan, undone
from cc100.verbs import extract, refine
from cc100.verbs.task import Step
from ccbuild.errors import LedgerError
from ccbuild.langid.codes import CC100
from ccbuild.ledger import Ledger
from ccbuild.missing import missing_units
from ccbuild.rundir import FOLDERS
from ccbuild.storage import Manifest, Unit, read_manifest
from ccbuild.summary import summarise

ON_ENGINES = [verb for verb in VERBS if verb != "train"]
MEASURED = [*ON_ENGINES, "ten new archives", "accounts"]
NEW = 10
_LINE = "{part:<18}{units:>9,} units {not done:>6} left {seconds:>7} s {cpu:>7} CPU s {megabytes:>6} MB"


def opened(folder: Path) -> Run:
    return Run(folder, load_recipe("demo"))


def sources(shards: int, files: int) -> list[Source]:
    """Archives for so many shards, as `sources_of` would have found them."""
    return [Source(f"{n:06d}.warc.gz", f"/crawl/{n:06d}.warc.gz", 10**9, f"{n:064x}") for n in range(shards * files)]


def templates(small: Run) -> dict[str, Manifest]:
    """Kind of task to the manifest of the first unit of that kind in a real run."""
    archives = sorted((small.root / "crawl").glob("*.warc.gz"))
    named = [Source(path.name, str(path), path.stat().st_size) for path in archives]
    found: dict[str, Manifest] = {}
    for verb in ON_ENGINES:
        for step in plan(small, verb, named, small.inputs()):
            for task in step.tasks:
                made = read_manifest(task.unit().manifest_path)
                if made is not None:
                    found.setdefault(type(task).__name__, made)
    return found


class Clones:
    """Commits units as if they had been worked on."""

    def __init__(self, kinds: dict[str, Manifest]) -> None:
        self._kinds = kinds
        self._links: dict[tuple[Path, int], tuple[Path, int]] = {}

    def commit(self, task: Any, unit: Unit) -> None:
        """A manifest of the unit like the one of its kind, with files of the size that it states."""
        kind = self._kinds.get(type(task).__name__)
        ledger, facts, models = (kind.ledger, dict(kind.facts), kind.models) if kind else (Ledger(), {"rows": 0}, {})
        named = kind.unit if kind else "none"
        outputs = {
            name.replace(named, unit.name): {**stated, "sha256": hashlib.sha256(unit.name.encode()).hexdigest()}
            for name, stated in (kind.outputs if kind else {"none.parquet": {"size": 100}}).items()
        }
        if isinstance(task, extract.ExtractShard):
            archive = next(iter(facts["archives"].values()))
            facts |= {"archives": {source.name: archive for source in task.sources}, "damage": []}
        elif isinstance(task, refine.RefineShard):
            facts["languages"] = dict.fromkeys(CC100, 9)
        elif hasattr(task, "cut"):  # what was decided of all shards, which the next plan reads
            facts |= {"rows": 0, "first": task.first, "end": task.end, "cut": dataclasses.asdict(task.cut)}
        made = Manifest(unit.verb, unit.name, unit.settings, unit.inputs, outputs, ledger, models, facts)
        for name, stated in outputs.items():
            self._write(unit.folder / name, stated["size"])
        unit.manifest_path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(made.to_mapping(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        unit.manifest_path.write_text(text, encoding="utf-8")

    def _write(self, path: Path, size: int) -> None:
        """A file of so many bytes: a second name of one that is there, as far as a file system gives names."""
        path.parent.mkdir(parents=True, exist_ok=True)
        first, names = self._links.get((path.parent, size), (path, 0))
        if names % 30_000:
            os.link(first, path)
        else:
            first = path
            with path.open("wb") as stream:
                stream.truncate(size)
        self._links[path.parent, size] = first, names + 1


def make(folder: Path, shards: int) -> None:
    """A finished run of so many shards in `folder`."""
    small = folder / "small"
    command = [sys.executable, "-m", "ccbuild", "demo", "--pages", "200", "--out", str(small), "--until", "encode"]
    if not small.is_dir():
        subprocess.run(command, check=True, capture_output=True)
    run = opened(folder / "run")
    clones, named = Clones(templates(opened(small))), sources(shards, run.recipe.unit.files)
    run.root.mkdir()
    table = run.admit(named)
    for verb in ON_ENGINES:
        for step in plan(run, verb, named, table):
            for task in step.tasks:
                clones.commit(task, task.unit())
    run.note_settings(ON_ENGINES)


def look(run: Run, steps: Iterator[Step]) -> tuple[int, int]:
    """(units, units that are not done) of a verb."""
    units = left = 0
    for step in steps:
        units += len(step.tasks)
        left += 0 if step.hashed else len(undone(run, step))
    return units, left


def measure(folder: Path, what: str, shards: int) -> dict[str, Any]:
    """Seconds, CPU seconds and peak memory of one part, in this process."""
    run = opened(folder)
    named = sources(shards, run.recipe.unit.files)
    start, begun = time.monotonic(), time.process_time()
    if what == "accounts":
        with contextlib.suppress(LedgerError):  # clones of one shard do not balance; all were added up by then
            balance(run, ON_ENGINES)
        units, left = len(summarise(run).languages), 0
    elif what == "ten new archives":
        new = sources(shards + NEW, run.recipe.unit.files)[-NEW:]
        run.refuse_other_settings(ON_ENGINES)
        before = run.path("inputs").read_bytes()
        units, left = look(run, plan(run, "extract", new, run.admit(new)))
        run.path("inputs").write_bytes(before)
    else:
        planned = set[str]()
        steps = watched(plan(run, what, named, run.inputs() if what == "extract" else []), planned)
        units, left = look(run, steps)
        if what != "extract":
            assert not _retire(run, what, planned)
        assert not missing_units(run)
    return {
        "part": what,
        "units": units,
        "not done": left,
        "seconds": round(time.monotonic() - start, 1),
        "cpu": round(time.process_time() - begun, 1),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def watched(steps: Iterator[Step], names: set[str]) -> Iterator[Step]:
    """The steps, while the names of their units are noted."""
    for step in steps:
        names |= {task.name for task in step.tasks}
        yield step


def measured(folder: Path, shards: int) -> Iterator[dict[str, Any]]:
    """Each part in a process of its own: all verbs, then again, then the rest."""
    for part in [*ON_ENGINES, *MEASURED]:
        command = [sys.executable, __file__, "--shards", str(shards), "--folder", str(folder), "--one", part]
        yield json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=90_000)
    parser.add_argument("--folder", help="where the run is made, or found (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", choices=MEASURED, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(Path(options.folder) / "run", options.one, options.shards)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        if not (folder / "run" / FOLDERS["encode"]).is_dir():
            start = time.monotonic()
            make(folder, options.shards)
            print(f"made {options.shards:,} shards in {time.monotonic() - start:.0f} s", file=sys.stderr)
        print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}", file=sys.stderr)
        for row in measured(folder, options.shards):
            if options.json:
                print(json.dumps(row), flush=True)
            else:
                print(_LINE.format_map(row), flush=True)


if __name__ == "__main__":
    main()
