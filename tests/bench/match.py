"""Benchmark of `match` over prints of synthetic documents with planted duplicates: memory, time, growth, reads.

    python tests/bench/match.py [--documents 1000000 10000000] [--memory 1024] [--shards 100] [--folder DIR] [--json]
    python tests/bench/match.py --documents 10000000 --workers 2
    python tests/bench/match.py --documents 10000000 --later 10
    python tests/bench/match.py --reads 90000 [--per-shard 50]

Of the documents a tenth are copies of an earlier one and a tenth near copies at Jaccard similarities of 0.6 to 0.9.
Each of the 14 bands of a near copy agrees with probability s^8, so 1 - (1 - s^8)^14 of them should be found. Every
document has 4 paragraphs, one in three of them from a small pool. Each size runs in a process of its own, so that the
peak of its memory is its own; making the prints is not timed. --workers: on so many Dask workers, each with that
memory; `bare_megabytes` is what they took before the first task, and `over_setting` leaves it out. --later: the same
once more, but so many of the shards come when the others have been matched; what comes out must be the same. --reads:
so many small shards, and how many files and reads a run of them costs, by a count of what is opened and read.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from cc100.engines import in_process, local_cluster
from cc100.layout import Run
from cc100.recipe import Recipe, load_recipe
from cc100.verbs import match
from cc100.verbs.task import execute
from ccbuild.dedup.external.bitmap import DocumentSet
from ccbuild.dedup.external.printfile import write_prints
from ccbuild.dedup.prints import Prints, band_prints, document_prints, paragraph_prints, scheme, url_prints
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit, sha256_file

SIMILARITIES = (0.6, 0.7, 0.8, 0.9)
BANDS, ROWS = 14, 8
PLANTED = 5
"""One document in this many is a copy, half of them near ones."""


def mix(values: np.ndarray, salt: int) -> np.ndarray:
    """splitmix64 of `values`: hashes that differ where `values` do."""
    x = values.astype(np.uint64) * np.uint64(64) + np.uint64(salt) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x ^ (x >> np.uint64(31))) | np.uint64(1)


def originals(n: int) -> tuple[np.ndarray, np.ndarray]:
    """(document that each repeats, itself for an original; similarity, 1 for a copy, 0 for an original)."""
    rng = np.random.default_rng(0)
    number = np.arange(n)
    copies = (number % PLANTED == PLANTED - 1) & (number > 10)
    source = np.where(copies, rng.integers(0, np.maximum(number // PLANTED, 1)) * PLANTED, number)
    similarity = np.where(copies, rng.choice((1.0, 1.0, 1.0, 1.0, *SIMILARITIES), n), 0.0)
    return source, similarity


def make(run: Run, n: int, shards: int, chosen: range) -> None:
    """Prints and manifests of the `chosen` of `shards` shards of together `n` documents, as `extract` leaves them."""
    source, similarity = originals(n)
    made = scheme(run.recipe.dedup.signature, run.recipe.dedup.paragraphs)
    edges = np.linspace(0, n, shards + 1).astype(np.int64)
    run.folder("prints").mkdir(parents=True, exist_ok=True)
    for shard in chosen:
        rng = np.random.default_rng(shard)
        number = np.arange(edges[shard], edges[shard + 1])
        ids = (np.uint64(shard) << np.uint64(32)) + np.arange(len(number), dtype=np.uint64)
        same, alike = source[number], similarity[number]
        whole = np.where((alike == 1) | (alike == 0), mix(same, 0), mix(number, 1))
        agree = rng.random((len(number), BANDS)) < np.where(alike == 0, 1, alike**ROWS)[:, None]
        bands = np.stack([np.where(agree[:, b], mix(same, 2 + b), mix(number, 20 + b)) for b in range(BANDS)], axis=1)
        pool = rng.random((len(number), 4)) < 1 / 3
        texts = np.stack([mix(number, 40 + p) for p in range(4)], axis=1)
        lines = np.where(pool, mix(rng.integers(0, 1000, (len(number), 4)), 50), texts)
        everyone = np.ones(len(number), np.bool_)
        parts = [document_prints(whole, ids), band_prints(bands, everyone, ids)]
        parts.append(paragraph_prints(lines.ravel(), np.full(len(number), 4), ids))
        urls = np.where((alike == 0) | (number % 2 == 0), number, same)  # half of the copies have their original's URL
        parts.append(url_prints([f"https://site.example/{i}" for i in urls.tolist()], ids))
        name = f"part-{shard:05d}"
        counts = write_prints(run.folder("prints") / f"{name}.parquet", Prints.concatenate(parts), scheme=made)
        with Unit(run.folder("extract"), "extract", name, settings={}) as unit:
            unit.commit(Ledger(), facts={"documents": len(number), "prints": counts})


def measure(folder: Path, n: int, shards: int, memory: int, workers: int) -> dict[str, Any]:
    """Match in this process, or on `workers` of Dask; check what was found."""
    with local_cluster(workers) if workers else contextlib.nullcontext(in_process()) as engine:
        run = Run(folder, recipe(memory))
        bare = {pid: megabytes(pid, "VmRSS") for pid in workers_of(os.getpid())} if workers else {}
        start_cpu, start = time.process_time(), time.monotonic()
        seconds: dict[str, float] = {}
        for step in match.steps(run):
            begin = time.monotonic()
            for _, answer in engine(execute, step.tasks):
                if isinstance(answer, Exception):
                    raise answer
            seconds[step.label] = round(seconds.get(step.label, 0) + time.monotonic() - begin, 1)
        spent = {"seconds": round(time.monotonic() - start, 1)}
        peak = {pid: megabytes(pid, "VmHWM") for pid in bare or [os.getpid()]}
    if workers:
        above = sum(peak.values()) - sum(bare.values())
        spent |= {"workers": workers, "bare_megabytes": sum(bare.values())}
    else:
        above = sum(peak.values())
        spent["cpu_seconds"] = round(time.process_time() - start_cpu, 1)
    return {
        "documents": n,
        "shards": shards,
        "memory_megabytes": memory,
        **spent,
        "peak_megabytes": sum(peak.values()),
        "over_setting": round(above / memory / max(workers, 1), 2),
        "seconds_by_step": seconds,
        "prints_megabytes": folder_size(run.folder("prints")),
        "duplicates_megabytes": folder_size(run.folder("match")),
        "found": found(run, n),
    }


def workers_of(pid: int) -> list[int]:
    """Processes of the Dask workers that this process started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    others = [path.name for path in Path(f"/proc/{pid}/task").iterdir() if path.name != str(pid)]
    children += [c for task in others for c in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    return [int(c) for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]


def megabytes(pid: int, name: str) -> int:
    """A process's memory by its own status: ru_maxrss would start with that of the parent."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) >> 10


def recipe(memory: int) -> Recipe:
    return load_recipe("cc100", [f"run.memory_megabytes={memory}", "match.min_jaccard=0"])  # there are no texts


def folder_size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) >> 20


def found(run: Run, n: int) -> dict[str, Any]:
    """Share of the planted duplicates that went, beside what theory says; documents that went and were no copies."""
    _, similarity = originals(n)
    gone = DocumentSet.read(max(run.folder("matching").glob("documents-*.bits")), "match")
    bits = np.unpackbits(np.asarray(gone.bits), bitorder="little")[: gone.first_bit[-1]].astype(bool)
    similarity = similarity[: len(bits)]
    shares = {
        "copies": [float(bits[similarity == 1].mean()), 1.0],
        "originals that went": [int(bits[similarity == 0].sum()), 0],
    }
    for s in SIMILARITIES:
        shares[f"near, {s}"] = [round(float(bits[similarity == s].mean()), 4), round(1 - (1 - s**ROWS) ** BANDS, 4)]
    return shares


def count_reads(folder: Path, shards: int, per_shard: int, memory: int) -> dict[str, Any]:
    """Files written, and files opened and row groups read by each step, for many small shards."""
    run = Run(folder, recipe(memory))
    make(run, shards * per_shard, shards, range(shards))
    counts: dict[str, Counter[str]] = {}
    label = ""
    opened, read = pq.ParquetFile.__init__, pq.ParquetFile.read_row_group

    def opening(self: Any, *arguments: Any, **options: Any) -> None:
        counts[label]["opened"] += 1
        opened(self, *arguments, **options)

    def reading(self: Any, *arguments: Any, **options: Any) -> Any:
        counts[label]["row groups"] += 1
        return read(self, *arguments, **options)

    pq.ParquetFile.__init__, pq.ParquetFile.read_row_group = opening, reading
    start = time.monotonic()
    for step in match.steps(run):
        label = step.label
        counter = counts.setdefault(label, Counter())
        for task in step.tasks:
            execute(task)
            counter["units"] += 1
    files = sum(p.is_file() for p in run.folder("match").rglob("*"))
    return {
        "shards": shards,
        "seconds": round(time.monotonic() - start, 1),
        "files": files,
        "steps": {name: dict(c) for name, c in counts.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--memory", type=int, default=1024, help="run.memory_megabytes")
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--workers", type=int, default=0, help="Dask workers; 0: this process")
    parser.add_argument("--later", type=int, default=0, help="shards that come later, in a run beside the whole one")
    parser.add_argument("--reads", type=int, help="count files and reads for so many shards")
    parser.add_argument("--per-shard", type=int, default=50, help="documents of a shard with --reads")
    parser.add_argument("--folder", help="where the prints go (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        folder, n = Path(options.one[0]), int(options.one[1])
        print(json.dumps(measure(folder, n, options.shards, options.memory, options.workers)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.reads:
            print(json.dumps(count_reads(Path(folder), options.reads, options.per_shard, options.memory), indent=1))
            return
        results = []
        for n in options.documents:
            results.append(one(Path(folder) / f"{n}", n, options, range(options.shards)))
            if options.later:
                results += grown(Path(folder), n, options)
    report(results, options.json)


def grown(folder: Path, n: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The same documents, of which the last shards come later: what the two runs of `match` take."""
    cut = options.shards - options.later
    found = [one(folder / f"{n}-grown", n, options, chosen) for chosen in (range(cut), range(cut, options.shards))]
    ours, theirs = (digests(folder / name) for name in (f"{n}-grown", f"{n}"))
    assert ours == theirs, "a run that has grown differs from one that has not"
    return [{"grown": step, **result} for step, result in zip(("first", "then"), found, strict=True)]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of what each shard drops."""
    return {path.name: sha256_file(path) for path in sorted((folder / "3-duplicates").glob("part-*.parquet"))}


def one(folder: Path, n: int, options: argparse.Namespace, chosen: range) -> dict[str, Any]:
    """One size, matched in a process of its own, once the `chosen` shards have been added."""
    make(Run(folder, recipe(options.memory)), n, options.shards, chosen)
    command = [sys.executable, str(Path(__file__).resolve()), "--one", str(folder), str(n)]
    command += ["--shards", str(options.shards), "--memory", str(options.memory)]
    command += ["--workers", str(options.workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def report(results: list[dict[str, Any]], as_json: bool) -> None:
    facts = {"machine": f"{platform.machine()}, Python {platform.python_version()}", "results": results}
    print(json.dumps(facts, indent=1) if as_json else json.dumps(facts))
    if len(results) > 1 and not as_json:
        first, last = results[0], results[-1]
        times = last["seconds"] / first["seconds"]
        print(f"{last['documents'] / first['documents']:.0f} times the documents: {times:.1f} times the time")


if __name__ == "__main__":
    main()
