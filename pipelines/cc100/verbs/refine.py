"""`refine`: pages without their duplicates, routed to languages and scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from cc100.layout import Run, shard_name
from cc100.verbs.task import Step
from ccbuild.errors import LedgerError
from ccbuild.ledger import Ledger
from ccbuild.records import DOCUMENT_SCHEMA, DROPPED_SCHEMA, Document
from ccbuild.runner import Timings, run_stages
from ccbuild.storage import PARQUET, Manifest, Unit, digest_of, table_of, write_table

__all__ = ["steps"]


@dataclass(frozen=True, slots=True)
class RefineShard:
    """One shard: join pages and duplicates by address, run the stages, write what stays and what goes."""

    run: Run
    shard: int

    @property
    def name(self) -> str:
        return shard_name(self.shard)

    def unit(self) -> Unit:
        inputs = {
            "pages": digest_of(self.run.manifest("extract", self.name)),
            "duplicates": digest_of(self.run.manifest("match", self.name)),
            "models": digest_of(*self.run.manifests("prepare").values()),
        }
        return self.run.unit("refine", self.name, inputs)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger = Ledger()
        with timings.measure("join"):
            whole, parts = self._duplicates()
            documents, gone = self._documents(whole, parts, ledger)
        with timings.measure("open"):
            stages = self.run.recipe.refine.build(self.run.folder("prepare"))
        kept, dropped = run_stages(documents, stages, ledger, timings)
        with timings.measure("write"):
            kept.sort(key=lambda d: (d.lang or "", d.doc_id))
            languages = _write_documents(unit.path(f"{self.name}.parquet"), kept)
            rows = [_dropped(d, reason, None, None) for d, reason in dropped]
            rows += [_dropped(d, *whole[d.doc_id]) for d in gone]
            rows.sort(key=lambda row: row[0])
            columns = dict(zip(DROPPED_SCHEMA.names, zip(*rows, strict=True), strict=True)) if rows else {}
            table = table_of(DROPPED_SCHEMA, columns) if rows else DROPPED_SCHEMA.empty_table()
            write_table(unit.path(f"{self.name}.dropped.parquet"), table)
        for document in kept:
            ledger["paragraphs"].keep(len(document.paragraphs))
            ledger["characters"].keep(document.characters)
        pages = self.run.manifest("extract", self.name)
        if pages is None or ledger["documents"].seen != pages.facts["documents"]:
            raise LedgerError(f"refine {self.name}: {ledger['documents'].seen:,} documents seen, extract kept others.")
        for document, reason in dropped:
            ledger["paragraphs"].drop(reason, len(document.paragraphs))
            ledger["characters"].drop(reason, document.characters)
        models = {name: digest_of(m) or "" for name, m in self.run.manifests("prepare").items()}
        return unit.commit(ledger, models=models, facts={"languages": languages})

    def _duplicates(self) -> tuple[dict[int, tuple[str, int, float]], dict[int, set[int]]]:
        """(doc_id to reason, partner, similarity of documents that go; doc_id to paragraphs that go)."""
        table = pq.read_table(self.run.folder("match") / f"{self.name}.parquet")
        whole: dict[int, tuple[str, int, float]] = {}
        parts: dict[int, set[int]] = {}
        columns = (table[c].to_pylist() for c in ("doc_id", "paragraph", "partner", "similarity", "kind"))
        for doc, paragraph, partner, similarity, kind in zip(*columns, strict=True):
            if paragraph is None:
                whole[doc] = kind, partner, similarity
            else:
                parts.setdefault(doc, set()).add(paragraph)
        return whole, parts

    def _documents(
        self, whole: dict[int, tuple[str, int, float]], parts: dict[int, set[int]], ledger: Ledger
    ) -> tuple[list[Document], list[Document]]:
        """(documents that stay, less their repeated paragraphs; documents that are duplicates)."""
        stay, gone = [], []
        with pq.ParquetFile(self.run.folder("extract") / f"{self.name}.parquet") as pages:
            for batch in pages.iter_batches(
                4096, columns=[f.name for f in DOCUMENT_SCHEMA if f.name in pages.schema_arrow.names]
            ):
                for row in batch.to_pylist():
                    paragraphs = row.pop("text").split("\n")
                    document = Document(**row, paragraphs=tuple(paragraphs))
                    characters = document.characters
                    if document.doc_id in whole:
                        reason = whole[document.doc_id][0]
                        ledger["documents"].drop(reason)
                        ledger["paragraphs"].drop(reason, len(paragraphs))
                        ledger["characters"].drop(reason, characters)
                        gone.append(document)
                        continue
                    repeated = parts.get(document.doc_id)
                    if repeated:
                        left = tuple(p for i, p in enumerate(paragraphs) if i not in repeated)
                        document = Document(**row, paragraphs=left)
                        ledger["paragraphs"].drop("duplicate_paragraph", len(paragraphs) - len(left))
                        ledger["characters"].drop("duplicate_paragraph", characters - document.characters)
                    stay.append(document)
        return stay, gone


def _write_documents(path: object, documents: list[Document]) -> dict[str, int]:
    """Documents sorted by language, a row group ending where a language does; returns language to count."""
    counts: dict[str, int] = {}
    with pq.ParquetWriter(path, DOCUMENT_SCHEMA, **PARQUET) as writer:
        start = 0
        for index in range(1, len(documents) + 1):
            if index < len(documents) and documents[index].lang == documents[start].lang:
                continue
            group = documents[start:index]
            columns = {name: [getattr(d, name) for d in group] for name in DOCUMENT_SCHEMA.names}
            writer.write_table(table_of(DOCUMENT_SCHEMA, columns))
            counts[group[0].lang or ""] = len(group)
            start = index
    return counts


def _dropped(document: Document, reason: str, partner: int | None, similarity: float | None) -> tuple[Any, ...]:
    """A row of `DROPPED_SCHEMA`."""
    d = document
    return d.doc_id, d.url, reason, d.lang, d.lang_score, d.perplexity, partner, similarity


def steps(run: Run) -> Iterator[Step]:
    """One unit a shard, the one with most pages first."""
    pages = {name: m.facts["documents"] for name, m in run.manifests("extract").items()}
    shards = sorted(pages, key=lambda name: (-pages[name], name))
    yield Step("shards", [RefineShard(run, int(name.removeprefix("part-"))) for name in shards])
