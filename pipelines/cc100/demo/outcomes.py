"""What a run did with each page, for the judge."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.parquet as pq

from cc100.demo.judge import Outcome
from cc100.layout import Run

__all__ = ["outcomes"]


def outcomes(run: Run) -> Iterator[Outcome]:
    """One outcome a page that `refine` kept or dropped, that `extract` refused, or that was quarantined."""
    for name, manifest in run.manifests("extract").items():
        pages = pq.read_table(run.folder("extract") / f"{name}.parquet", columns=["doc_id", "url", "archive", "offset"])
        kept = _by_document(run, name, "lang")
        gone = _by_document(run, f"{name}.dropped", "reason")
        for row in pages.to_pylist():
            lang, reason = kept.get(row["doc_id"]), gone.get(row["doc_id"])
            if lang is not None or reason is not None:
                yield Outcome(row["url"], row["archive"], row["offset"], lang is not None, lang, reason)
        for row in pq.read_table(run.folder("extract") / f"{name}.refused.parquet").to_pylist():
            yield Outcome(row["url"], row["archive"], row["offset"], False, None, row["reason"])
        for lost in manifest.facts["damage"]:
            yield Outcome(None, lost["archive"], lost["offset"], False, None, lost["cause"])


def _by_document(run: Run, name: str, column: str) -> dict[int, str]:
    table = pq.read_table(run.folder("refine") / f"{name}.parquet", columns=["doc_id", column])
    return dict(zip(table["doc_id"].to_pylist(), table[column].to_pylist(), strict=True))
