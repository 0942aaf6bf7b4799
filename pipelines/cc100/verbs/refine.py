"""`refine`: pages without their duplicates, routed to languages and scored."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from cc100.layout import Run
from cc100.recipe import verb_contents
from cc100.verbs import returning
from cc100.verbs.task import Step
from ccbuild.errors import LedgerError
from ccbuild.ledger import Ledger
from ccbuild.records import DOCUMENT_SCHEMA, DROPPED_SCHEMA, Document, from_table, to_table
from ccbuild.rundir import INNER, shard_name
from ccbuild.runner import Timings, run_stages
from ccbuild.storage import PARQUET, Manifest, Unit, digest_of, table_of, write_table

__all__ = ["steps"]


@dataclass(frozen=True, slots=True)
class RefineShard:
    """One shard: join pages and duplicates by address, run the stages, write what stays and what goes."""

    run: Run
    shard: int
    by_record: ClassVar[bool] = True
    pages: str | None
    """Digest of what `extract` made of the shard."""
    duplicates: str | None
    """Digest of what `match` decided of it."""
    shared: Mapping[str, Any]
    """What the units of all shards are made of."""

    @property
    def name(self) -> str:
        return shard_name(self.shard)

    def unit(self) -> Unit:
        inputs = {"pages": self.pages, "duplicates": self.duplicates, **self.shared}
        return self.run.unit("refine", self.name, inputs)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger = Ledger()
        with timings.measure("join"):
            whole, parts = self._duplicates()
            documents, gone = self._documents(whole, parts, ledger)
        with timings.measure("open"):
            stages = self.run.recipe.refine.build(self.run.folder("prepare"))
        judged = run_stages(documents, stages, ledger, timings)
        kept, dropped = judged.kept, judged.dropped
        with timings.measure("write"):
            kept.sort(key=lambda d: (d.lang or "", d.doc_id))
            languages = _write_documents(unit.path(f"{self.name}.parquet"), kept)
            rows = [(d, reason, None, None) for d, reason in dropped + judged.lost] + [
                (d, *whole[_id(d)]) for d in gone
            ]
            write_table(unit.path(f"../{INNER['dropped']}/{self.name}.parquet"), _dropped_table(rows))
        for document in kept:
            ledger["paragraphs"].keep(len(document.paragraphs))
            ledger["characters"].keep(document.characters)
        pages = self.run.manifest("extract", self.name)
        if pages is None or ledger["documents"].seen != pages.facts["documents"]:
            raise LedgerError(f"refine {self.name}: {ledger['documents'].seen:,} documents seen, extract kept others.")
        for document, reason in dropped:
            _count(ledger, reason, document)
        for document, cause in judged.lost:
            ledger["paragraphs"].quarantine(cause, len(document.paragraphs))
            ledger["characters"].quarantine(cause, document.characters)
        models = {name: digest_of(m) or "" for name, m in self.run.manifests("prepare").items()}
        facts: dict[str, Any] = {"languages": languages}
        if judged.lost:
            facts["set_apart"] = [[str(_id(document)), cause] for document, cause in judged.lost]
        if reasons := {reason: meaning for stage in stages for reason, meaning in stage.reasons.items()}:
            facts["reasons"] = reasons
        return unit.commit(ledger, models=models, facts=facts)

    def _duplicates(self) -> tuple[dict[int, tuple[str, int, float]], dict[int, set[int]]]:
        """(doc_id to reason, partner, similarity of documents that go; doc_id to paragraphs that go)."""
        table = pq.read_table(self.run.decisions(self.shard))
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
        self, whole: Mapping[int, tuple[str, int, float]], parts: Mapping[int, set[int]], ledger: Ledger
    ) -> tuple[list[Document], list[Document]]:
        """(documents that stay, less their repeated paragraphs; documents that are duplicates)."""
        stay, gone = [], []
        for document in self._pages():
            if _id(document) in whole:
                reason = whole[_id(document)][0]
                ledger["documents"].drop(reason)
                _count(ledger, reason, document)
                gone.append(document)
                continue
            repeated = parts.get(_id(document))
            if repeated:
                left = tuple(p for i, p in enumerate(document.paragraphs) if i not in repeated)
                less = dataclasses.replace(document, paragraphs=left)
                ledger["paragraphs"].drop("duplicate_paragraph", len(document.paragraphs) - len(left))
                ledger["characters"].drop("duplicate_paragraph", document.characters - less.characters)
                document = less
            stay.append(document)
        return stay, gone

    def _pages(self) -> Iterator[Document]:
        """The shard's pages, with what `refine` passes on of them."""
        with pq.ParquetFile(self.run.file("extract", self.shard)) as pages:
            columns = [name for name in DOCUMENT_SCHEMA.names if name in pages.schema_arrow.names]
            for batch in pages.iter_batches(4096, columns=columns):
                yield from from_table(batch)


def _id(document: Document) -> int:
    """The address of a document that has been stored."""
    assert document.doc_id is not None
    return document.doc_id


def _count(ledger: Ledger, reason: str, document: Document) -> None:
    """The paragraphs and characters of a document that goes."""
    ledger["paragraphs"].drop(reason, len(document.paragraphs))
    ledger["characters"].drop(reason, document.characters)


def _write_documents(path: object, documents: list[Document]) -> dict[str, int]:
    """Documents sorted by language, a row group ending where a language does; returns language to count."""
    counts: dict[str, int] = {}
    with pq.ParquetWriter(path, DOCUMENT_SCHEMA, **PARQUET) as writer:
        start = 0
        for index in range(1, len(documents) + 1):
            if index < len(documents) and documents[index].lang == documents[start].lang:
                continue
            group = documents[start:index]
            writer.write_table(to_table(group, DOCUMENT_SCHEMA))
            counts[group[0].lang or ""] = len(group)
            start = index
    return counts


def _dropped_table(rows: Sequence[tuple[Document, str, int | None, float | None]]) -> pa.Table:
    """Documents that go, by address: each with its reason, and of a duplicate the partner and the similarity."""
    if not rows:
        return DROPPED_SCHEMA.empty_table()
    rows = sorted(rows, key=lambda row: _id(row[0]))
    found = dict(zip(("document", "reason", "partner", "similarity"), zip(*rows, strict=True), strict=True))
    documents = found.pop("document")
    columns = {n: found.get(n, [getattr(d, n, None) for d in documents]) for n in DROPPED_SCHEMA.names}
    return table_of(DROPPED_SCHEMA, columns)


def steps(run: Run) -> Iterator[Step]:
    """One unit a shard, the one with most pages first."""
    shared = {"models": digest_of(*run.entries("prepare")), **verb_contents(run.recipe, "refine")}
    shared |= run.recipe.refine.inputs()
    yield from returning.steps(run, shared)
    decided = {number: digest_of(entry) for number, entry in run.shards("match")}
    decided |= {number: digest_of(entry) for number, entry in run.shards("returned")}
    pages = {number: (-entry.facts["documents"], digest_of(entry)) for number, entry in run.shards("extract")}
    largest = sorted(pages, key=lambda number: (pages[number][0], number))
    yield Step("shards", [RefineShard(run, n, pages[n][1], decided.get(n), shared) for n in largest])
