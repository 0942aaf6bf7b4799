"""`match`: prints of all shards to what each shard must drop, in steps through sorted files.

1. Where there are many shards, their files of prints are merged in groups, so that a bucket is few and long reads.
2. A bucket of document hashes gives edges between equal documents; a bucket of bands, edges between near ones among
   the documents that are nobody's copy.
3. All edges together decide which documents go, and which document each of them repeats.
4. A bucket of paragraph prints gives the paragraphs that repeat one of a document that stays.
5. Decisions are merged in groups and go back to the shard that owns the document, each by a contiguous read.

A bucket is a range of the hash, a shard a range of the address; every file is sorted by the one or the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cc100.layout import Run, shard_name
from cc100.verbs.task import Step
from ccbuild.dedup.corpus import confirmed
from ccbuild.dedup.decisions import EQUAL, Decisions, Edges, GoneDocuments, decide_paragraphs, matches
from ccbuild.dedup.external import Rows, Sorter, groups_whole
from ccbuild.dedup.plan import FAN_IN, Plan, levels
from ccbuild.dedup.prints import BAND, DOCUMENT, PARAGRAPH, Keep, Prints, bucket_bounds, merge_prints, pieces, scheme
from ccbuild.dedup.rounds import EDGE, decide_edges
from ccbuild.dedup.tables import dtype_of, merge_tables, read_range, stream_rows, table_of_rows, write_blocks
from ccbuild.errors import LedgerError
from ccbuild.ledger import Ledger
from ccbuild.records import DUPLICATE_SCHEMA, doc_id
from ccbuild.runner import Timings
from ccbuild.storage import Manifest, Unit, digest_of, write_table

__all__ = ["steps"]

EXACT, NEAR = "exact_duplicate", "near_duplicate"
AGAIN = "ccbuild run … --from match"

_EDGES = pa.schema([("doc", pa.uint64()), ("partner", pa.uint64()), ("rank", pa.int32())])
_GONE = pa.schema(
    [
        ("doc_id", pa.uint64()),
        ("partner", pa.uint64()),
        ("similarity", pa.float32()),
        ("exact", pa.bool_()),
        ("cluster_size", pa.int64()),
    ]
)
_REPEATED = pa.schema([f for f in DUPLICATE_SCHEMA if f.name not in ("similarity", "kind")])
_DUPLICATES = DUPLICATE_SCHEMA.append(pa.field("cluster_size", pa.int64()))
"""What a shard drops; `cluster_size`, of documents only, as `Decisions` has it."""


@dataclass(frozen=True, slots=True)
class _Task:
    """A unit of `match`."""

    run: Run
    name: str

    @property
    def plan(self) -> Plan:
        return Plan(self.run.recipe.match.memory_megabytes)

    def path(self, name: str) -> Path:
        return self.run.folder("match") / f"{name}.parquet"

    def made_of(self, names: Sequence[str], **more: Any) -> Unit:
        """The unit, whose inputs are other units of `match`."""
        inputs = digest_of(*(self.run.manifest("match", name) for name in names))
        return self.run.unit("match", self.name, {"units": inputs, **more})

    def gone(self, name: str) -> GoneDocuments:
        """The documents that the unit `name` noted as gone."""
        bits = self.run.folder("match") / f"{name}.bits"
        return GoneDocuments.read(bits, _documents(self.run))


@dataclass(frozen=True, slots=True)
class MergePrints(_Task):
    """The prints of a group of shards, or of merged groups, as one file."""

    shards: tuple[str, ...]
    """Units of `extract`; of level 0."""
    groups: tuple[str, ...]
    """Units of this kind, one level below."""

    def unit(self) -> Unit:
        if self.groups:
            return self.made_of(self.groups)
        return self.run.unit(
            "match", self.name, {name: digest_of(self.run.manifest("extract", name)) for name in self.shards}
        )

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        paths = [self.path(name) for name in self.groups] or _prints_of(self.run, self.shards)
        with timings.measure("merge"):
            made = _scheme(self.run)
            merge_prints(paths, unit.path(f"{self.name}.parquet"), scheme=made, nbytes=self.plan.nbytes)
        return unit.commit(Ledger())


@dataclass(frozen=True, slots=True)
class _Bucket(_Task):
    """One range of hashes over all shards."""

    bucket: int
    buckets: int
    prints: str
    """Digest of the prints of all shards."""
    files: tuple[str, ...]
    """Merged files of prints; empty: those of the shards themselves."""

    def unit(self) -> Unit:
        return self.run.unit("match", self.name, {"prints": self.prints, "buckets": self.buckets})

    def pieces(self, kind: int, keep: Keep | None = None) -> Iterator[Prints]:
        low, high = bucket_bounds(self.buckets)[self.bucket]
        paths = [self.path(name) for name in self.files] or _prints_of(self.run, _shards(self.run))
        yield from pieces(paths, kind, low, high, max_rows=self.plan.bucket_rows, scheme=_scheme(self.run), keep=keep)

    def sorter(self, schema: pa.Schema, unit: Unit) -> Sorter:
        folder = unit.scratch("runs")
        folder.mkdir()
        return Sorter(dtype_of(schema), schema.names[:2], folder, self.plan.nbytes // 4)


@dataclass(frozen=True, slots=True)
class MatchDocuments(_Bucket):
    """Edges between documents that share a hash of this bucket: equal ones, or near ones that are nobody's copy."""

    kind: int

    def unit(self) -> Unit:
        inputs: dict[str, Any] = {"prints": self.prints, "buckets": self.buckets}
        if self.kind == BAND:
            inputs["equal"] = digest_of(self.run.manifest("match", "equal"))
        return self.run.unit("match", self.name, inputs)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger, edges = Ledger(), self.sorter(_EDGES, unit)
        copies = self.gone("equal") if self.kind == BAND else None
        keep = None if copies is None else lambda prints: ~copies.contains(prints.doc_id)
        with timings.measure("match"):
            for prints in self.pieces(self.kind, keep):
                ledger["prints"].keep(len(prints))
                found = matches(prints.hash, prints.doc_id)
                edges.add(_edge_rows(found.doc, found.partner, EQUAL if self.kind == DOCUMENT else found.agreeing))
        with timings.measure("write"):
            n = write_blocks(unit.path(f"{self.name}.parquet"), _EDGES, edges.blocks())
        return unit.commit(ledger, facts={"edges": n})


@dataclass(frozen=True, slots=True)
class CheckEdges(_Task):
    """The near edges of a bucket whose true Jaccard similarity, of the texts, is high enough."""

    edges: str
    prints: str
    """Digest of the prints of all shards."""

    def unit(self) -> Unit:
        return self.made_of((self.edges,), prints=self.prints)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        recipe, ledger = self.run.recipe, Ledger()

        def kept() -> Iterator[Rows]:
            for rows in stream_rows(self.path(self.edges), AGAIN):
                near = Edges(rows["doc"], rows["partner"], rows["rank"])
                found = confirmed(near, recipe.match.min_jaccard, recipe.dedup.signature.ngram, self._texts)
                ledger["edges"].drop("low_jaccard", len(rows) - len(found.doc))
                ledger["edges"].keep(len(found.doc))
                yield _edge_rows(found.doc, found.partner, found.agreeing)

        with timings.measure("check"):
            n = write_blocks(unit.path(f"{self.name}.parquet"), _EDGES, kept())
        return unit.commit(ledger, facts={"edges": n})

    def _texts(self, doc: NDArray[np.uint64]) -> dict[int, str]:
        """Texts of `doc`, shard by shard."""
        found: dict[int, str] = {}
        for shard in np.unique(doc >> np.uint64(32)).tolist():
            path = self.run.folder("extract") / f"{shard_name(shard)}.parquet"
            chosen = doc[doc >> np.uint64(32) == shard].tolist()
            table = pq.read_table(path, columns=["doc_id", "text"], filters=[("doc_id", "in", chosen)])
            found.update(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True))
        return found


@dataclass(frozen=True, slots=True)
class NoteEqual(_Task):
    """The documents that are copies of an earlier one, a bit each, so that their bands need not be matched."""

    edges: tuple[str, ...]
    prints: str
    """Digest of the prints of all shards."""

    def unit(self) -> Unit:
        return self.made_of(self.edges, prints=self.prints)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        gone = GoneDocuments.of(np.empty(0, np.uint64), _documents(self.run))
        for name in self.edges:
            for rows in stream_rows(self.path(name), AGAIN):
                gone.add(rows["doc"])
        unit.path(f"{self.name}.bits").write_bytes(gone.bits.tobytes())
        return unit.commit(Ledger())


@dataclass(frozen=True, slots=True)
class MergeRows(_Task):
    """Sorted files of a group as one: edges by document, or decisions by address."""

    schema: pa.Schema
    parts: tuple[str, ...]

    def unit(self) -> Unit:
        return self.made_of(self.parts)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        with timings.measure("merge"):
            blocks = merge_tables([self.path(name) for name in self.parts], AGAIN, self.schema.names[:2])
            n = write_blocks(unit.path(f"{self.name}.parquet"), self.schema, blocks)
        return unit.commit(Ledger(), facts={"edges": n})


@dataclass(frozen=True, slots=True)
class MeasureLengths(_Task):
    """Characters of each document of a group of shards, for `keep_document: longest`."""

    shards: tuple[str, ...]

    def unit(self) -> Unit:
        pages = {name: digest_of(self.run.manifest("extract", name)) for name in self.shards}
        return self.run.unit("match", self.name, pages)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        with unit.path(f"{self.name}.lengths").open("wb") as stream:
            for shard in self.shards:
                with pq.ParquetFile(self.run.folder("extract") / f"{shard}.parquet") as pages:
                    for batch in pages.iter_batches(4096, columns=["text"]):
                        lengths = pc.utf8_length(batch["text"]).to_numpy(zero_copy_only=False)
                        stream.write(lengths.astype("<i4").tobytes())
        return unit.commit(Ledger())


@dataclass(frozen=True, slots=True)
class DecideDocuments(_Task):
    """Which documents go."""

    edges: tuple[str, ...]
    lengths: tuple[str, ...]
    prints: str
    """Digest of the prints of all shards."""

    def unit(self) -> Unit:
        return self.made_of((*self.edges, *self.lengths), prints=self.prints)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        gone = GoneDocuments.of(np.empty(0, np.uint64), _documents(self.run))
        edges = merge_tables([self.path(name) for name in self.edges], AGAIN, _EDGES.names[:2])
        rows = sum(m.facts["edges"] for name in self.edges if (m := self.run.manifest("match", name)))
        recipe = self.run.recipe
        ledger = Ledger()
        ledger["edges"].keep(rows)

        def decided() -> Iterator[Rows]:
            parts = decide_edges(
                edges,
                rows,
                recipe.dedup.signature,
                recipe.match.keep_document,
                unit.scratch("best.rows").parent,
                self.plan.nbytes,
                self._length_of,
            )
            for part in parts:
                gone.add(part.doc)
                yield _gone_rows(part)

        with timings.measure("decide"):
            n = write_blocks(unit.path(f"{self.name}.parquet"), _GONE, decided())
        unit.path(f"{self.name}.bits").write_bytes(gone.bits.tobytes())
        return unit.commit(ledger, facts={"gone": n})

    def _length_of(self, doc: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Characters of `doc`, looked up in the files of lengths one after the other."""
        out, first = np.zeros(len(doc), np.int64), GoneDocuments.of(doc[:0], _documents(self.run)).first_bit
        shard, row = (doc >> np.uint64(32)).astype(np.int64), (doc & np.uint64(0xFFFFFFFF)).astype(np.int64)
        names = _shards(self.run)
        for number, name in enumerate(self.lengths):
            members = [int(s.removeprefix("part-")) for s in names[number * FAN_IN : (number + 1) * FAN_IN]]
            here = np.flatnonzero((shard >= members[0]) & (shard <= members[-1]))
            if len(here):
                lengths = np.memmap(self.run.folder("match") / f"{name}.lengths", "<i4", "r")
                out[here] = lengths[first[shard[here]] + row[here] - first[members[0]]]
        return out


@dataclass(frozen=True, slots=True)
class MatchParagraphs(_Bucket):
    """Paragraphs of this bucket that repeat one of a document that stays."""

    def unit(self) -> Unit:
        gone = digest_of(self.run.manifest("match", "documents"))
        return self.run.unit("match", self.name, {"prints": self.prints, "buckets": self.buckets, "gone": gone})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger, found = Ledger(), self.sorter(_REPEATED, unit)
        gone, policy = self.gone("documents"), self.run.recipe.match.keep
        nobody = np.empty(0, np.uint64)
        with timings.measure("match"):
            for prints in self.pieces(PARAGRAPH, lambda prints: ~gone.contains(prints.doc_id)):
                ledger["prints"].keep(len(prints))
                decided = decide_paragraphs(prints.hash, prints.doc_id, prints.paragraph, nobody, policy)
                rows = np.empty(len(decided.doc), found.dtype)
                rows["doc_id"], rows["paragraph"] = decided.doc, decided.paragraph
                rows["partner"], rows["partner_paragraph"] = decided.partner_doc, decided.partner_paragraph
                found.add(rows)
        with timings.measure("write"):
            write_blocks(unit.path(f"{self.name}.parquet"), _REPEATED, _once(found.blocks()))
        return unit.commit(ledger)


@dataclass(frozen=True, slots=True)
class ReturnToGroup(_Task):
    """The repeated paragraphs of a group of shards, out of few large files, so that each shard reads one small one."""

    shards: tuple[str, ...]
    parts: tuple[str, ...]

    def unit(self) -> Unit:
        return self.made_of(self.parts, shards=list(self.shards))

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        def blocks() -> Iterator[Rows]:
            for shard in self.shards:  # a shard at a time, so that memory does not grow with the group
                yield _of_shard([self.path(name) for name in self.parts], _REPEATED, shard)

        with timings.measure("read"):
            write_blocks(unit.path(f"{self.name}.parquet"), _REPEATED, blocks())
        return unit.commit(Ledger())


@dataclass(frozen=True, slots=True)
class ReturnToShard(_Task):
    """What one shard must drop."""

    parts: tuple[str, ...]
    """Units whose files hold repeated paragraphs."""

    def unit(self) -> Unit:
        return self.made_of(("documents", *self.parts), pages=digest_of(self.run.manifest("extract", self.name)))

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        with timings.measure("read"):
            whole = _of_shard([self.path("documents")], _GONE, self.name)
            parts = _of_shard([self.path(name) for name in self.parts], _REPEATED, self.name)
        table = pa.concat_tables([_whole(table_of_rows(_GONE, whole)), _parts(table_of_rows(_REPEATED, parts))])
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


def _shards(run: Run) -> list[str]:
    """The shards that count: a manifest alone means so."""
    return sorted(path.stem for path in run.folder("extract").glob("part-*.json"))


def _prints_of(run: Run, shards: Sequence[str]) -> list[Path]:
    return [run.folder("prints") / f"{name}.parquet" for name in shards]


def _scheme(run: Run) -> dict[str, str]:
    return scheme(run.recipe.dedup.signature, run.recipe.dedup.paragraphs)


def _documents(run: Run) -> NDArray[np.int64]:
    """Documents of each shard by its number; 0 for a shard that is not done."""
    done = {int(n.removeprefix("part-")): m.facts["documents"] for n, m in run.manifests("extract").items()}
    rows = np.zeros(max(done, default=-1) + 1, np.int64)
    rows[list(done)] = list(done.values())
    return rows


def _edge_rows(doc: NDArray[np.uint64], partner: NDArray[np.uint64], rank: NDArray[np.int32] | int) -> Rows:
    rows = np.empty(len(doc), EDGE)
    rows["doc"], rows["partner"], rows["rank"] = doc, partner, rank
    return rows


def _gone_rows(part: Decisions) -> Rows:
    rows = np.empty(len(part.doc), dtype_of(_GONE))
    columns = (part.doc, part.partner, part.similarity, part.equal, part.cluster_size)
    for name, column in zip(_GONE.names, columns, strict=True):
        rows[name] = column
    return rows


def _once(blocks: Iterator[Rows]) -> Iterator[Rows]:
    """Each paragraph once: one whose hash filled more than a bucket's memory was decided in several parts."""
    for block in groups_whole(blocks, "doc_id"):
        changes = (block["doc_id"][1:] != block["doc_id"][:-1]) | (block["paragraph"][1:] != block["paragraph"][:-1])
        yield block[np.concatenate((np.ones(1, np.bool_), changes))]


def _of_shard(paths: Sequence[Path], schema: pa.Schema, shard: str) -> Rows:
    """The rows of a shard out of files sorted by address, sorted."""
    number = int(shard.removeprefix("part-"))
    low, high = doc_id(number, 0), doc_id(number + 1, 0) - 1
    parts = [read_range(path, schema, AGAIN, low, high) for path in paths]
    rows = np.concatenate([*parts, np.empty(0, dtype_of(schema))])
    keys = [rows[name] for name in reversed(schema.names[:2])]
    return np.asarray(rows[np.lexsort(keys)])


def _whole(table: pa.Table) -> pa.Table:
    """Decisions on documents in the form of a shard's file."""
    nothing = pa.nulls(table.num_rows, pa.int32())
    kind = pc.if_else(table["exact"], EXACT, NEAR)
    columns = [table["doc_id"], nothing, table["partner"], nothing, table["similarity"], kind, table["cluster_size"]]
    return pa.table(columns, schema=_DUPLICATES)


def _parts(table: pa.Table) -> pa.Table:
    """Decisions on paragraphs in the form of a shard's file."""
    n = table.num_rows
    columns: Mapping[str, Any] = {
        **{name: table[name] for name in table.schema.names},
        "similarity": pa.array(np.ones(n, np.float32)),
        "kind": pa.array(["duplicate_paragraph"] * n, pa.string()),
        "cluster_size": pa.nulls(n, pa.int64()),
    }
    return pa.table([columns[name] for name in _DUPLICATES.names], schema=_DUPLICATES)


def _groups(names: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(names[i : i + FAN_IN]) for i in range(0, len(names), FAN_IN)]


def _merge_prints(run: Run, shards: Sequence[str]) -> Iterator[tuple[list[Any], tuple[str, ...]]]:
    """(tasks, names) of each round of merging prints."""
    names: Sequence[str] = shards
    for level, count in enumerate(levels(len(shards), Plan(run.recipe.match.memory_megabytes).bucket_files)):
        groups = _groups(names)
        assert len(groups) == count
        found = tuple(f"prints-{level}-{i:05d}" for i in range(count))
        below: tuple[str, ...] = ()
        yield (
            [
                MergePrints(run, n, below if level else g, g if level else below)
                for n, g in zip(found, groups, strict=True)
            ],
            found,
        )
        names = found


def _merge_rows(run: Run, schema: pa.Schema, label: str, names: Sequence[str]) -> Iterator[tuple[list[Any], list[str]]]:
    """(tasks, names) of each round of merging sorted rows."""
    for level, _ in enumerate(levels(len(names), FAN_IN)):
        groups = _groups(names)
        found = [f"{label}-{level}-{i:05d}" for i in range(len(groups))]
        yield [MergeRows(run, n, schema, g) for n, g in zip(found, groups, strict=True)], found
        names = found


def steps(run: Run) -> Iterator[Step]:
    """Merged prints, edges, documents, paragraphs, and back to the shards; each needs all of the one before."""
    manifests, config = run.manifests("extract"), run.recipe.match
    shards, prints, plan = tuple(manifests), digest_of(*manifests.values()) or "", Plan(config.memory_megabytes)
    count = {k: sum(m.facts["prints"][k] for m in manifests.values()) for k in ("documents", "bands", "paragraphs")}
    buckets = {kind: plan.buckets(n, config.bucket_prints) for kind, n in count.items()}
    files: tuple[str, ...] = ()
    for merges, merged in _merge_prints(run, shards):
        yield Step("prints", merges)
        files = merged

    edges: list[str] = []
    lengths: tuple[str, ...] = ()
    if config.documents:
        for kind, label, n in ((DOCUMENT, "equal", buckets["documents"]), (BAND, "edges", buckets["bands"])):
            found = [MatchDocuments(run, f"{label}-{b:05d}", b, n, prints, files, kind) for b in range(n)]
            yield Step(label, found)
            names = [task.name for task in found]
            if kind == BAND and config.min_jaccard > 0:
                checks = [CheckEdges(run, f"checked-{b:05d}", name, prints) for b, name in enumerate(names)]
                yield Step("check", checks)
                names = [task.name for task in checks]
            edges += names
            if kind == DOCUMENT:
                yield Step("copies", [NoteEqual(run, "equal", tuple(edges), prints)])
        for merges, edges_merged in _merge_rows(run, _EDGES, "merged-edges", edges):
            yield Step("merge", merges)
            edges = edges_merged
        if config.keep_document == "longest":
            groups = _groups(shards)
            measured = [MeasureLengths(run, f"lengths-{i:05d}", group) for i, group in enumerate(groups)]
            yield Step("lengths", measured)
            lengths = tuple(task.name for task in measured)
    yield Step("decide", [DecideDocuments(run, "documents", tuple(edges), lengths, prints)])

    parts: list[str] = []
    if config.paragraphs:
        n = buckets["paragraphs"]
        repeated = [MatchParagraphs(run, f"paragraphs-{b:05d}", b, n, prints, files) for b in range(n)]
        yield Step("paragraphs", repeated)
        parts = [task.name for task in repeated]
        for merges, names in _merge_rows(run, _REPEATED, "merged-paragraphs", parts):
            yield Step("merge", merges)
            parts = names
    owner = {name: tuple(parts) for name in shards}
    if parts and len(shards) > plan.bucket_files:
        returns = [ReturnToGroup(run, f"return-{i:05d}", g, tuple(parts)) for i, g in enumerate(_groups(shards))]
        yield Step("groups", returns)
        owner = {name: (task.name,) for task in returns for name in task.shards}
    yield Step("shards", [ReturnToShard(run, name, owner[name]) for name in shards])
