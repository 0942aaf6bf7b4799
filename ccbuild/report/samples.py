"""A few documents that were kept and a few that went: the same ones each time, nothing picked by its content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow.parquet as pq

from ccbuild.reasons import place
from ccbuild.report.languages import Language
from ccbuild.rundir import RunDir

__all__ = [
    "Refusal",
    "Sample",
    "dropped_documents",
    "kept_documents",
    "refused_pages",
    "repeated_paragraphs",
]

KEPT = 9
"""Kept documents shown."""
OF_A_REASON = 2
"""Dropped documents shown of each reason."""
PARAGRAPHS = 3
"""Repeated paragraphs shown."""
EXCERPT = 260
"""Characters of an excerpt."""
_URL = 200
_PAGE = ("url", "archive", "offset", "text")
_REPEATED = 500
"""Repeated paragraphs that are looked at for the ones shown."""
_SHARDS = 16
"""Shards that are searched: a run has up to 90,000, and each costs a read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A document, as it is shown."""

    url: str
    text: str
    """An excerpt, paragraphs apart by a newline."""
    reason: str = ""
    lang: str | None = None
    lang_score: float | None = None
    perplexity: float | None = None
    bucket: str | None = None
    archive: str = ""
    offset: int | None = None
    partner_url: str = ""
    similarity: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A record that never became a page."""

    reason: str
    url: str
    archive: str
    offset: int


def _cut(text: str, most: int = EXCERPT) -> str:
    return text if len(text) <= most else text[:most].rstrip() + "…"


def kept_documents(run: RunDir, languages: Sequence[Language]) -> list[Sample]:
    """The first document by address of languages spread evenly from the largest to the smallest."""
    if not languages:
        return []
    last = len(languages) - 1
    ranks = sorted({round(i * last / max(KEPT - 1, 1)) for i in range(KEPT)})
    found = []
    for language in (languages[rank] for rank in ranks):
        for path in run.published(language.code)[:1]:
            with pq.ParquetFile(path) as file:
                found += [_kept(row) for row in next(file.iter_batches(1)).to_pylist()]
    return found


def _kept(row: dict[str, Any]) -> Sample:
    return Sample(
        url=_cut(row["url"], _URL),
        text=_cut(row["text"]),
        lang=row["lang"],
        lang_score=row["lang_score"],
        perplexity=row["perplexity"],
        bucket=row["bucket"],
        archive=row["archive"],
        offset=row["offset"],
    )


def dropped_documents(run: RunDir) -> list[Sample]:
    """The first documents of each reason by address, with their text and, for duplicates, the partner."""
    count: Counter[str] = Counter()
    chosen: list[dict[str, Any]] = []
    for path in islice(run.files("refine", "dropped"), _SHARDS):
        for row in pq.read_table(path).sort_by("doc_id").to_pylist():
            if count[row["reason"]] < OF_A_REASON:
                count[row["reason"]] += 1
                chosen.append(row)
    wanted = {row[key] for row in chosen for key in ("doc_id", "partner") if row[key] is not None}
    pages = run.rows("extract", wanted, _PAGE)
    samples = []
    for row in sorted(chosen, key=lambda row: (place(row["reason"]), row["doc_id"])):
        page, partner = pages.get(row["doc_id"], {}), pages.get(row["partner"], {})
        samples.append(
            Sample(
                url=_cut(row["url"] or "", _URL),
                text=_cut(page.get("text", "")),
                reason=row["reason"],
                lang=row["lang"],
                lang_score=row["lang_score"],
                perplexity=row["perplexity"],
                archive=page.get("archive", ""),
                offset=page.get("offset"),
                partner_url=_cut(partner.get("url", ""), _URL),
                similarity=row["similarity"],
            )
        )
    return samples


def repeated_paragraphs(run: RunDir) -> list[Sample]:
    """Paragraphs that went because an earlier page has them: the longest of the first `_REPEATED`, each text once."""
    rows: list[dict[str, Any]] = []
    filters = pq.filters_to_expression([("kind", "=", "duplicate_paragraph")])
    for path in islice(run.files("match"), _SHARDS):
        rows += pq.read_table(path, filters=filters).sort_by("doc_id").slice(0, _REPEATED - len(rows)).to_pylist()
    wanted = {row[key] for row in rows for key in ("doc_id", "partner") if row[key] is not None}
    pages = run.rows("extract", wanted, _PAGE)
    found: dict[str, Sample] = {}
    for row in rows:
        page, partner = pages.get(row["doc_id"]), pages.get(row["partner"], {})
        if page is not None:
            text = page["text"].split("\n")[row["paragraph"]]
            sample = Sample(
                url=_cut(page["url"], _URL),
                text=_cut(text),
                reason="duplicate_paragraph",
                archive=page["archive"],
                offset=page["offset"],
                partner_url=_cut(partner.get("url", ""), _URL),
            )
            found.setdefault(text, sample)
    return [found[text] for text in sorted(found, key=lambda text: (-len(text), text))[:PARAGRAPHS]]


def refused_pages(run: RunDir) -> list[Refusal]:
    """The first records of each reason that `extract` refused."""
    count: Counter[str] = Counter()
    found = []
    for path in islice(run.files("extract", "refused"), _SHARDS):
        for row in pq.read_table(path).to_pylist():
            if count[row["reason"]] < OF_A_REASON:
                count[row["reason"]] += 1
                url = _cut(row["url"] or "", _URL)
                found.append(Refusal(reason=row["reason"], url=url, archive=row["archive"], offset=row["offset"]))
    return sorted(found, key=lambda refusal: (place(refusal.reason), refusal.archive, refusal.offset))
