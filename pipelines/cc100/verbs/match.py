"""`match`: prints of all shards to what each shard must drop, in four steps through files.

1. A bucket of document prints (whole texts and bands) of every shard gives edges between documents.
2. All edges together decide which documents go, and which document each of them repeats.
3. A bucket of paragraph prints gives the paragraphs that repeat one of a document that stays.
4. Decisions go back to the shard that owns the document.

A bucket is a range of the hash, so it is one contiguous read of each shard's sorted file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cc100.layout import Run
from cc100.verbs.task import Step
from ccbuild.dedup.decisions import Edges, combine, decide_documents, decide_paragraphs, matches
from ccbuild.dedup.prints import BAND, DOCUMENT, PARAGRAPH, Prints, bucket_bounds, read_prints, scheme
from ccbuild.errors import LedgerError
from ccbuild.ledger import Ledger
from ccbuild.records import DUPLICATE_SCHEMA, doc_id
from ccbuild.runner import Timings
from ccbuild.storage import Manifest, Unit, digest_of, write_table

__all__ = ["steps"]

EXACT, NEAR = "exact_duplicate", "near_duplicate"

_EDGES = pa.schema([("doc", pa.uint64()), ("partner", pa.uint64()), ("agreeing", pa.int32()), ("exact", pa.bool_())])
_GONE = pa.schema(
    [("doc_id", pa.uint64()), ("partner", pa.uint64()), ("similarity", pa.float32()), ("exact", pa.bool_())]
)
_REPEATED = pa.schema([f for f in DUPLICATE_SCHEMA if f.name not in ("similarity", "kind")])


@dataclass(frozen=True, slots=True)
class _Bucket:
    """One range of hashes over all shards."""

    run: Run
    bucket: int
    buckets: int
    prints: str
    """Digest of the prints of all shards."""

    def _read(self, kind: int) -> Prints:
        low, high = bucket_bounds(self.buckets)[self.bucket]
        config = self.run.recipe.dedup
        made = scheme(config.signature, config.paragraphs)
        done = sorted(self.run.folder("extract").glob("part-*.json"))  # a manifest alone means that a shard counts
        paths = [self.run.folder("prints") / f"{path.stem}.parquet" for path in done]
        return Prints.concatenate([read_prints(path, kind, low, high, scheme=made) for path in paths])


@dataclass(frozen=True, slots=True)
class MatchDocuments(_Bucket):
    """Edges between documents that share a hash of this bucket."""

    @property
    def name(self) -> str:
        return f"edges-{self.bucket:05d}"

    def unit(self) -> Unit:
        return self.run.unit("match", self.name, {"prints": self.prints, "buckets": self.buckets})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger, tables = Ledger(), []
        for kind in (DOCUMENT, BAND):
            with timings.measure("read"):
                prints = self._read(kind)
            with timings.measure("match"):
                edges = matches(prints.hash, prints.doc_id)
            ledger["prints"].keep(len(prints))
            exact = pa.array(np.full(len(edges.doc), kind == DOCUMENT))
            columns = [pa.array(edges.doc), pa.array(edges.partner), pa.array(edges.agreeing), exact]
            tables.append(pa.table(columns, schema=_EDGES))
        write_table(unit.path(f"{self.name}.parquet"), pa.concat_tables(tables))
        return unit.commit(ledger)


@dataclass(frozen=True, slots=True)
class DecideDocuments:
    """Which documents go."""

    run: Run
    buckets: int
    name: str = "documents"

    def unit(self) -> Unit:
        edges = [self.run.manifest("match", f"edges-{b:05d}") for b in range(self.buckets)]
        return self.run.unit("match", self.name, {"edges": digest_of(*edges)})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        folder = self.run.folder("match")
        parts = [pq.read_table(folder / f"edges-{b:05d}.parquet", schema=_EDGES) for b in range(self.buckets)]
        table = pa.concat_tables([*parts, _EDGES.empty_table()])
        with timings.measure("decide"):
            exact, near = (_edges(table.filter(pc.equal(table["exact"], wanted))) for wanted in (True, False))
            decided = decide_documents(exact, near, self.run.recipe.dedup.signature)
        columns = [pa.array(c) for c in (decided.doc, decided.partner, decided.similarity, decided.equal)]
        write_table(unit.path(f"{self.name}.parquet"), pa.table(columns, schema=_GONE))
        ledger = Ledger()
        ledger["edges"].keep(table.num_rows)
        return unit.commit(ledger, facts={"gone": len(decided.doc)})


@dataclass(frozen=True, slots=True)
class MatchParagraphs(_Bucket):
    """Paragraphs of this bucket that repeat one of a document that stays."""

    @property
    def name(self) -> str:
        return f"paragraphs-{self.bucket:05d}"

    def unit(self) -> Unit:
        gone = digest_of(self.run.manifest("match", "documents"))
        return self.run.unit("match", self.name, {"prints": self.prints, "buckets": self.buckets, "gone": gone})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        with timings.measure("read"):
            prints = self._read(PARAGRAPH)
            gone = pq.read_table(self.run.folder("match") / "documents.parquet", columns=["doc_id"])[
                "doc_id"
            ].to_numpy()
        with timings.measure("match"):
            policy = self.run.recipe.match.keep
            found = decide_paragraphs(prints.hash, prints.doc_id, prints.paragraph, gone, policy)
        columns = [pa.array(c) for c in (found.doc, found.paragraph, found.partner_doc, found.partner_paragraph)]
        write_table(unit.path(f"{self.name}.parquet"), pa.table(columns, schema=_REPEATED).sort_by("doc_id"))
        ledger = Ledger()
        ledger["prints"].keep(len(prints))
        return unit.commit(ledger)


@dataclass(frozen=True, slots=True)
class ReturnToShard:
    """What one shard must drop."""

    run: Run
    name: str
    decisions: tuple[str, ...]
    """Units whose files hold decisions: documents, then the buckets of paragraphs."""

    def unit(self) -> Unit:
        inputs = {name: digest_of(self.run.manifest("match", name)) for name in self.decisions}
        return self.run.unit(
            "match", self.name, {**inputs, "pages": digest_of(self.run.manifest("extract", self.name))}
        )

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        shard = int(self.name.removeprefix("part-"))
        mine = [("doc_id", ">=", doc_id(shard, 0)), ("doc_id", "<", doc_id(shard + 1, 0))]
        folder = self.run.folder("match")
        whole = paragraphs = None
        for name in self.decisions:
            table = pq.read_table(folder / f"{name}.parquet", filters=mine)
            if name == "documents":
                whole = _whole(table)
            else:
                paragraphs = table if paragraphs is None else pa.concat_tables([paragraphs, table])
        tables = [t for t in (whole, _parts(paragraphs)) if t is not None]
        table = pa.concat_tables([*tables, DUPLICATE_SCHEMA.empty_table()])
        table = table.sort_by([("doc_id", "ascending"), ("paragraph", "ascending")])
        write_table(unit.path(f"{self.name}.parquet"), table)
        return unit.commit(self._ledger(table))

    def _ledger(self, table: pa.Table) -> Ledger:
        """Documents and paragraphs of the shard: those that stay, those that go and why."""
        pages = self.run.manifest("extract", self.name)
        assert pages is not None
        ledger = Ledger()
        kinds = {row["values"]: row["counts"] for row in pc.value_counts(table["kind"]).to_pylist()}
        whole = table.filter(pc.is_null(table["paragraph"]))
        rows = np.unique(whole["doc_id"].to_numpy()) & np.uint64(0xFFFFFFFF)
        documents = pages.facts["documents"]
        if len(rows) != whole.num_rows or (len(rows) and rows.max() >= documents):
            raise LedgerError(f"match {self.name}: decisions name documents twice, or that the shard does not have.")
        for reason in (EXACT, NEAR):
            ledger["documents"].drop(reason, kinds.get(reason, 0))
        ledger["documents"].keep(documents - len(rows))
        return ledger


def _edges(table: pa.Table) -> Edges:
    """The edges in a table; pairs that met in several buckets are one, their bands added up."""
    return combine([Edges(*(table[name].to_numpy() for name in ("doc", "partner", "agreeing")))])


def _whole(table: pa.Table) -> pa.Table:
    """Decisions on documents in the form of `DUPLICATE_SCHEMA`."""
    nothing = pa.nulls(table.num_rows, pa.int32())
    kind = pc.if_else(table["exact"], EXACT, NEAR)
    columns = [table["doc_id"], nothing, table["partner"], nothing, table["similarity"], kind]
    return pa.table(columns, schema=DUPLICATE_SCHEMA)


def _parts(table: pa.Table | None) -> pa.Table | None:
    """Decisions on paragraphs in the form of `DUPLICATE_SCHEMA`."""
    if table is None:
        return None
    n = table.num_rows
    columns: Mapping[str, Any] = {
        **{name: table[name] for name in table.schema.names},
        "similarity": pa.array(np.ones(n, np.float32)),
        "kind": pa.array(["duplicate_paragraph"] * n, pa.string()),
    }
    return pa.table([columns[name] for name in DUPLICATE_SCHEMA.names], schema=DUPLICATE_SCHEMA)


def steps(run: Run) -> Iterator[Step]:
    """Edges, documents, paragraphs, and back to the shards; each needs all of the one before."""
    shards, config = run.manifests("extract"), run.recipe.match
    prints = digest_of(*shards.values()) or ""
    count = {kind: sum(m.facts["prints"][kind] for m in shards.values()) for kind in ("bands", "paragraphs")}
    buckets = {kind: max(1, -(-n // config.bucket_prints)) for kind, n in count.items()}
    decisions: tuple[str, ...] = ()
    documents = buckets["bands"] if config.documents else 0
    yield Step("documents", [MatchDocuments(run, b, documents, prints) for b in range(documents)])
    yield Step("decide", [DecideDocuments(run, documents)])
    decisions += ("documents",)
    if config.paragraphs:
        parts = [MatchParagraphs(run, b, buckets["paragraphs"], prints) for b in range(buckets["paragraphs"])]
        yield Step("paragraphs", parts)
        decisions += tuple(p.name for p in parts)
    yield Step("shards", [ReturnToShard(run, name, decisions) for name in shards])
