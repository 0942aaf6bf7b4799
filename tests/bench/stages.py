"""Microseconds a page for every stage, and pages per CPU-second from WARC to 4-documents, on one core.

    python tests/bench/stages.py --data DIR --lm-text DIR [--parts 4] [--reps 3]

DATA holds *.warc.gz; LM-TEXT holds <code>/*.train.txt.xz, from which perplexity models are
estimated once. The verbs of a run are used as they are, in this process; everything is run once
before it is timed, so loading of models and compilation are apart. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import resource
import shutil
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa

from cc100.engines import in_process
from cc100.layout import Run, sources_of
from cc100.recipe import load_recipe
from cc100.run import run_verb
from ccbuild import __version__
from ccbuild.progress import silent
from ccbuild.rundir import FOLDERS
from ccbuild.summary import summarise

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared" / "data"
VERBS = ("extract", "match", "refine")
ALL_OPEN = "refine.perplexity.model_megabytes=8192"  # so that models are opened in the first pass alone


def once(run: Run, pattern: str) -> tuple[Counter[str], float]:
    """(CPU seconds by stage, CPU seconds of all) of one pass over the archives."""
    for verb in ("extract", "prints", "match", "refine"):
        shutil.rmtree(run.folder(verb), ignore_errors=True)
    (run.root / "inputs.jsonl").unlink(missing_ok=True)
    sources = sources_of([pattern])
    table = run.admit(sources)
    stages: Counter[str] = Counter()
    start = time.process_time()
    for verb in VERBS:
        summary = run_verb(run, verb, in_process(), silent, sources, table)
        if summary.failures:
            raise SystemExit(str(summary.failures))
        for stage, seconds in summary.cpu.items():
            stages[f"{verb}: {stage}"] += seconds  # type: ignore[assignment]
    return stages, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "web")
    parser.add_argument("--lm-text", type=Path, default=SHARED / "lm-text")
    parser.add_argument("--parts", type=int, default=4, help="archives, from the first")
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--work", type=Path, help="folder to keep the models in (default: a temporary one)")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    with contextlib.ExitStack() as stack:
        root = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        prose = f"prepare.prose={options.lm_text}/{{lang}}/*.train.txt.xz"
        run = Run(root.resolve(), load_recipe("cc100", [prose, "refine.language.languages=[all]", ALL_OPEN]))
        run.root.mkdir(parents=True, exist_ok=True)
        begun = time.process_time()
        run_verb(run, "prepare", in_process(), silent)
        print(f"models: {len(run.manifests('prepare')) - 1} languages, {time.process_time() - begun:.0f} CPU s (apart)")
        archives = sorted(options.data.glob("*.warc.gz"))[: options.parts]
        with tempfile.TemporaryDirectory() as links:
            for path in archives:
                (Path(links) / path.name).symlink_to(path)
            pattern = f"{links}/*.warc.gz"
            begun = time.process_time()
            once(run, pattern)
            print(f"first pass: {time.process_time() - begun:.1f} CPU s, with loading and compilation (apart)")
            passes = [once(run, pattern) for _ in range(options.reps)]
        report(run, passes)


def report(run: Run, passes: list[tuple[Counter[str], float]]) -> None:
    summary = summarise(run)
    pages = summary.pages_in
    print(f"\nccbuild {__version__}, CPython {platform.python_version()}, {platform.machine()}, one core")
    print(f"{pages:,} pages of {summary.archives} archives, {summary.nbytes / 1e6:.1f} MB; median of {len(passes)}\n")
    print(f"{'stage':<28}{'µs a page':>10}{'spread':>9}")
    named = 0.0
    for stage in passes[0][0]:
        values = [p[0][stage] / pages * 1e6 for p in passes]
        median = statistics.median(values)
        spread = (max(values) - min(values)) / max(median, 1e-9)
        named += median
        print(f"{stage:<28}{median:>10.0f}{spread:>9.0%}")
    totals = [p[1] / pages * 1e6 for p in passes]
    print(f"{'everything else':<28}{statistics.median(totals) - named:>10.0f}")
    print(f"{'sum':<28}{statistics.median(totals):>10.0f}")
    scored, kept = scores(run)
    print(f"\n{1e6 / statistics.median(totals):.0f} pages per CPU-second from WARC to {FOLDERS['refine']}")
    share = scored / max(kept, 1)
    print(f"perplexity on {scored:,} of {kept:,} kept documents ({share:.0%}), {scored / pages:.0%} of the pages")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB, all models open")


def scores(run: Run) -> tuple[int, int]:
    """(documents with a perplexity, documents kept)."""
    import pyarrow.parquet as pq

    tables = [pq.read_table(p, columns=["perplexity"]) for p in sorted(run.folder("refine").glob("part-?????.parquet"))]
    column = pa.concat_tables(tables)["perplexity"]
    return len(column) - column.null_count, len(column)


if __name__ == "__main__":
    main()
