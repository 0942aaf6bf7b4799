"""Reads drops of a finished run: is each as near to the documents that it names as it says, and does one of them stay?

    python tests/bench/drops.py RUN [--n 300] [--seed 1] [--json]

Of all documents that `match` dropped `n` are drawn by `seed`, and the Jaccard similarity of their shingles to `partner`
and to `match` is computed anew from the pages, in plain Python. A drop is wrong where a similarity differs by more than
0.01, where it says the same text of another, or where its partner has gone itself.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from ccbuild.dedup.jaccard import true_jaccard
from ccbuild.rundir import RunDir, open_run_dir

NEAR = 0.01


def drops(run: RunDir) -> list[dict[str, Any]]:
    """Every whole document that goes as a duplicate."""
    found = []
    for shard in run.numbers("match"):
        found += pq.read_table(run.decisions(shard), filters=pc.field("paragraph").is_null()).to_pylist()
    return found


def faults(row: dict[str, Any], pages: dict[int, dict[str, Any]], gone: set[int], ngram: int) -> list[str]:
    """What is wrong with a drop."""
    text, found = pages[row["doc_id"]]["text"], []
    for name, value in (("partner", "similarity"), ("match", "match_similarity")):
        other = pages[row[name]]["text"]
        if row[value] is None or abs((1.0 if text == other else true_jaccard(text, other, ngram)) - row[value]) > NEAR:
            found.append(f"{value} is not that to {name}")
    if (row["kind"] == "exact_duplicate") and text != pages[row["partner"]]["text"]:
        found.append("said to be the same text")
    if row["partner"] in gone:
        found.append("its partner has gone")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    run = open_run_dir(options.run)
    rows = drops(run)
    gone = {row["doc_id"] for row in rows}
    chosen = random.Random(options.seed).sample(rows, min(options.n, len(rows)))
    pages = run.rows("extract", (row[name] for row in chosen for name in ("doc_id", "partner", "match")), ["text"])
    ngram = run.settings()["dedup.signature.ngram"]
    wrong = Counter(fault for row in chosen for fault in faults(row, pages, gone, ngram))
    kinds = Counter(row["kind"] for row in chosen)
    least = min((row["similarity"] for row in chosen if row["similarity"] is not None), default=None)
    record = {"drops": len(rows), "read": len(chosen), "kinds": dict(kinds), "least similarity": least}
    print(json.dumps({**record, "wrong": dict(wrong)}, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
