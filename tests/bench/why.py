"""What `ccbuild why` takes in a large run: the command in a process of its own, wall and CPU seconds, medians of three.

The run is made up: `--shards` shards of `--rows` pages, everything in it written as the verbs write it, one page in
ten a copy of the one before it. With `--simulated` only the first shard is there; of the others there are the
manifests and the index of addresses, whose hashes are random, so that a run of 100 million pages fits a disk.

    python tests/bench/why.py --shards 1000 --rows 1000
    python tests/bench/why.py --shards 3000 --rows 33334 --simulated
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cc100.layout import Run
from cc100.recipe import load_recipe
from cc100.verbs.extract import WriteAddresses
from ccbuild.addresses import GROUP, KEYS, SCHEMA, group_name, shard_rows
from ccbuild.corpus import CORPUS_SCHEMA, CorpusWriter
from ccbuild.dedup.external.printfile import write_prints
from ccbuild.dedup.external.sorting import sort_rows
from ccbuild.dedup.external.tables import dtype_of, write_blocks
from ccbuild.dedup.paragraphs import document_hash, text_paragraph_hashes
from ccbuild.dedup.prints import Prints, document_prints, paragraph_prints, scheme, url_prints
from ccbuild.index import gather
from ccbuild.ledger import Ledger
from ccbuild.records import (
    DOCUMENT_SCHEMA,
    DROPPED_SCHEMA,
    DUPLICATE_SCHEMA,
    PAGE_SCHEMA,
    REFUSED_SCHEMA,
    doc_id,
)
from ccbuild.rundir import shard_name
from ccbuild.runner import Timings
from ccbuild.storage import digest_of, write_bytes, write_table
from ccbuild.tokens import TokenWriter

COPIES = 10
"""One page in so many is a copy of the one before it."""


def page(shard: int, row: int) -> dict[str, Any]:
    original = row - (row % COPIES == 1)
    text = "\n".join(f"Sentence {n} of the page {original} in shard {shard}, which says little more." for n in range(3))
    known = {"doc_id": doc_id(shard, row), "url": f"https://www.site{row % 97}.example/{shard}/{row}.html"}
    place = {"archive": f"archive-{shard:05d}.warc.gz", "offset": row * 1000, "length": 900}
    digest = f"sha1:{original:016d}{shard:016d}"
    return {**known, **place, "date": "2026-01-01T00:00:00Z", "digest": digest, "robots": [], "text": text}


def committed(
    run: Run, verb: str, name: str, account: str, rows: int, facts: dict[str, Any], **tables: pa.Table
) -> None:
    """A unit with these tables, each at the path that its name says."""
    with run.unit(verb, name, {}) as unit:
        for path, table in tables.items():
            write_table(unit.path(path), table)
        ledger = Ledger()
        ledger[account].keep(rows)
        unit.commit(ledger, facts=facts)


def write_shard(run: Run, shard: int, rows: int) -> pa.Table:
    """All that the verbs up to `refine` write of a shard; what is kept."""
    name, pages = shard_name(shard), [page(shard, row) for row in range(rows)]
    ids, texts = np.array([each["doc_id"] for each in pages], np.uint64), [each["text"] for each in pages]
    hashes, counts = text_paragraph_hashes(texts, run.recipe.dedup.paragraphs)
    whole = np.fromiter(map(document_hash, texts), np.uint64, rows)
    urls = url_prints([each["url"] for each in pages], ids)
    prints = Prints.concatenate([paragraph_prints(hashes, counts, ids), document_prints(whole, ids), urls])
    path = run.folder("prints") / f"{name}.parquet"
    path.parent.mkdir(exist_ok=True)
    write_prints(path, prints, scheme=scheme(run.recipe.dedup.signature, run.recipe.dedup.paragraphs))
    refused = [{**{key: each[key] for key in REFUSED_SCHEMA.names[:4]}, "reason": "no_prose"} for each in pages[:20]]
    refused = [{**each, "url": f"{each['url']}?refused"} for each in refused]
    note_shard(
        run,
        shard,
        rows,
        **{
            f"{name}.parquet": pa.Table.from_pylist(pages, PAGE_SCHEMA),
            f"../1-refused/{name}.parquet": pa.Table.from_pylist(refused, REFUSED_SCHEMA),
        },
    )
    copies = [each["doc_id"] for row, each in enumerate(pages) if row % COPIES == 1]
    found = {"similarity": 1.0, "match_similarity": 1.0, "kind": "exact_duplicate"}
    decided = [{"doc_id": doc, "partner": doc - 1, "match": doc - 1, **found} for doc in copies]
    table = pa.Table.from_pylist(decided, DUPLICATE_SCHEMA)
    committed(run, "match", name, "documents", rows - len(copies), {}, **{f"{name}.parquet": table})
    known = {"lang": "en", "lang_score": 0.9, "perplexity": 100.0}
    kept = [{**each, **known, "pieces": 60} for row, each in enumerate(pages) if row % COPIES != 1]
    table = pa.Table.from_pylist(kept, DOCUMENT_SCHEMA)
    gone = [{"doc_id": doc, "reason": "exact_duplicate", "partner": doc - 1, "similarity": 1.0} for doc in copies]
    dropped = pa.Table.from_pylist(gone, DROPPED_SCHEMA)
    tables = {f"{name}.parquet": table, f"../4-dropped/{name}.parquet": dropped}
    committed(run, "refine", name, "documents", len(kept), {"languages": {"en": len(kept)}}, **tables)
    return table


def note_shard(run: Run, shard: int, rows: int, **tables: pa.Table) -> None:
    """The manifest of a shard's pages."""
    facts = {"documents": rows, "damage": []}
    committed(run, "extract", shard_name(shard), "records", rows, facts, **tables)


def simulate_index(run: Run, shards: int, rows: int) -> None:
    """The index of shards of which only the first has pages."""
    digests = {number: digest_of(entry) for number, entry in run.shards("extract")}
    rng, first = np.random.default_rng(1), np.concatenate(list(shard_rows(run, 0)))
    for start in range(0, shards, GROUP):
        group = range(start, min(start + GROUP, shards))
        made = np.empty(3 * rows * len(group), dtype_of(SCHEMA))
        made["hash"] = rng.integers(1, 2**64, len(made), np.uint64)
        made["kind"] = np.arange(len(made)) % 3
        ids = [np.arange(rows, dtype=np.uint64) + np.uint64(doc_id(shard, 0)) for shard in group]
        made["address"] = np.repeat(np.concatenate(ids), 3)
        if start == 0:
            made = np.concatenate([made[3 * rows :], first])
        with run.unit("extract", group_name(start), {shard_name(n): digests[n] for n in group}, "addresses") as unit:
            write_blocks(unit.path(f"{unit.name}.parquet"), SCHEMA, iter([sort_rows(made, KEYS)]))
            unit.commit(Ledger(), facts={"rows": len(made)})


def write_run(root: Path, shards: int, rows: int, simulated: bool) -> Run:
    run = Run(root, load_recipe("cc100"))
    run.note_settings(["extract", "match", "refine", "publish", "encode"])
    line = '{{"shard": {0}, "archive": "archive-{0:05d}.warc.gz", "size": 100000000, "snapshot": null}}\n'
    write_bytes(run.path("inputs"), "".join(line.format(shard) for shard in range(shards)).encode())
    with run.unit("publish", "en", {}) as unit, CorpusWriter(unit, "en", shard_bytes=1 << 26, xz_preset=0) as corpus:
        for shard in range(1 if simulated else shards):
            kept = write_shard(run, shard, rows)
            for name, value in (("bucket", "all"), ("cluster_size", 1)):
                kept = kept.append_column(name, pa.array([value] * len(kept)))
            corpus.add(kept.select(CORPUS_SCHEMA.names))
        facts, ledger = corpus.close(), Ledger()
        ledger["documents"].keep(facts["documents"])
        unit.commit(ledger, facts={**facts, "buckets": {"all": facts["documents"]}, "cutoffs": None})
    with run.unit("encode", "en", {}) as unit, TokenWriter(unit, "en", vocabulary_size=9, vocabulary_sha256="0") as out:
        for path in run.published("en"):
            ids = pq.read_table(path, columns=["doc_id"])["doc_id"].to_numpy()
            out.add_batch(ids, np.full(60 * len(ids), 7), np.full(len(ids), 60), len(ids), 0, 0)
        unit.commit(Ledger(), facts=out.close())
    for shard in range(1, shards if simulated else 1):
        note_shard(run, shard, rows)
    for verb in ("extract", "match", "refine"):
        gather(run.notes(verb))
    if simulated:
        simulate_index(run, shards, rows)
        return run
    start = time.process_time()
    groups: dict[str, dict[str, Any]] = {}
    for number, entry in run.shards("extract"):
        groups.setdefault(group_name(number), {})[entry.unit] = digest_of(entry)
    for name, group in groups.items():
        task = WriteAddresses(run, name, group)
        with task.unit() as unit:
            task.work(unit, Timings())
    print(f"index: {(time.process_time() - start) / shards / rows * 1e6:.1f} CPU µs a page")
    return run


def questions(shards: int, rows: int, simulated: bool) -> dict[str, str]:
    """What is asked, by what it is called."""
    shard = 0 if simulated else shards // 2
    of = page(shard, rows // 2 // COPIES * COPIES + 1)
    asked = {
        "URL in another form": of["url"].replace("https://www.", "http://") + "#top",
        "URL that was refused": page(shard, 3)["url"] + "?refused",
        "URL that is not there": "https://nowhere.example/",
        "doc_id of a copy": str(of["doc_id"]),
        "doc_id that is published": str(of["doc_id"] + 1),
        "digest": of["digest"],
        "whole text": of["text"],
        "token": f"en:{30 * (1 if simulated else shards) * rows}",
        "place in an archive": f"{of['archive']} at {of['offset']}",
    }
    if not simulated:  # these look at the prints, and at last at the texts, of every shard
        asked |= {"paragraph": of["text"].split("\n")[1], "piece": f"e {of['text'][15:60]}"}
    return asked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the run lies; kept, and taken as it is where it is there")
    options = parser.parse_args()
    root = options.folder or Path(tempfile.mkdtemp(prefix="why-"))
    if not (root / "run.json").is_file():
        write_run(root.resolve(), options.shards, options.rows, options.simulated)
    for name, what in {"nothing": "", **questions(options.shards, options.rows, options.simulated)}.items():
        command = ["why", str(root), what] if what else ["--version"]
        wall, cpu, said = list[float](), list[float](), ""
        for _ in range(3):
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "ccbuild", *command], capture_output=True, text=True, check=False
            )
            wall.append(time.monotonic() - start)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            said = next(iter((done.stdout or done.stderr).splitlines()), "")
        print(
            f"{name:<26}{statistics.median(wall):>7.2f} s{statistics.median(cpu):>7.2f} CPU s  {said[:70]}", flush=True
        )
    if options.folder is None:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
