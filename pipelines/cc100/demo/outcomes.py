"""What a run did with each page, for the judge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from cc100.demo.judge import Outcome
from ccbuild.rundir import RunDir

__all__ = ["outcomes"]


def outcomes(run: RunDir) -> Iterator[Outcome]:
    """One outcome a page that `refine` kept or dropped, that `extract` refused, or that was quarantined."""
    for shard, entry in run.shards("extract"):
        pages = pq.read_table(run.file("extract", shard), columns=["doc_id", "url", "archive", "offset"])
        kept = _by_document(run.file("refine", shard), "lang")
        gone = _by_document(run.file("refine", shard, "dropped"), "reason")
        for row in pages.to_pylist():
            lang, reason = kept.get(row["doc_id"]), gone.get(row["doc_id"])
            if lang is not None or reason is not None:
                yield Outcome(row["url"], row["archive"], row["offset"], lang is not None, lang, reason)
        for row in pq.read_table(run.file("extract", shard, "refused")).to_pylist():
            yield Outcome(row["url"], row["archive"], row["offset"], False, None, row["reason"])
        for lost in entry.facts["damage"]:
            yield Outcome(None, lost["archive"], lost["offset"], False, None, lost["cause"])


def _by_document(path: Path, column: str) -> dict[int, str]:
    table = pq.read_table(path, columns=["doc_id", column])
    return dict(zip(table["doc_id"].to_pylist(), table[column].to_pylist(), strict=True))
