"""The units of work of `match`; the order in which they follow each other stands in `cc100.verbs.match`.

A bucket is a range of the hash, a shard a range of the address; every file is sorted by the one or the other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cc100.layout import Run
from ccbuild.dedup.decisions import (
    EQUAL,
    HUBS,
    Decisions,
    LengthOf,
    decide_paragraphs,
    matches,
    ranks,
    turns,
)
from ccbuild.dedup.external.bitmap import DocumentSet
from ccbuild.dedup.external.captures import recaptures
from ccbuild.dedup.external.kept import WENT, decide_kept, summed
from ccbuild.dedup.external.plan import Cut, Plan
from ccbuild.dedup.external.printfile import merge_prints, oldest, pieces
from ccbuild.dedup.external.rounds import EDGE, decide_edges
from ccbuild.dedup.external.shingles import ShingleFiles
from ccbuild.dedup.external.sorting import Rows, Sorter, first_of_groups, groups_whole, merged
from ccbuild.dedup.external.tables import dtype_of, merge_tables, read_range, stream_rows, table_of_rows, write_blocks
from ccbuild.dedup.groups import distinct, group_starts
from ccbuild.dedup.prints import BAND, DOCUMENT, Prints, bucket_bounds, scheme
from ccbuild.errors import LedgerError
from ccbuild.ledger import Ledger
from ccbuild.records import DUPLICATE_SCHEMA, doc_id
from ccbuild.rundir import shard_number
from ccbuild.runner import Timings
from ccbuild.storage import Manifest, Unit, write_table

__all__ = [
    "AGAIN",
    "EDGES",
    "GONE",
    "REPEATED",
    "DecideDocuments",
    "MatchDocuments",
    "MatchParagraphs",
    "MatchTask",
    "MeasureLengths",
    "MergePrints",
    "MergeRows",
    "NameRecaptures",
    "NoteEqual",
    "Pool",
    "ReturnToGroup",
    "ReturnToShard",
    "edge_rows",
    "gone_rows",
    "parts_table",
    "plan_of",
    "rows_of_shard",
    "shingles_of",
    "whole_table",
    "working_file",
]

EXACT, NEAR, RECAPTURE, PARAGRAPH = "exact_duplicate", "near_duplicate", "recapture", "duplicate_paragraph"
AGAIN = "ccbuild run … --from match"

EDGES = pa.schema([("doc", pa.uint64()), ("partner", pa.uint64()), ("rank", pa.int32())])
GONE = pa.schema(
    [
        ("doc_id", pa.uint64()),
        ("partner", pa.uint64()),
        ("similarity", pa.float32()),
        ("exact", pa.bool_()),
        ("cluster_size", pa.int64()),
        ("match", pa.uint64()),
        ("match_similarity", pa.float32()),
    ]
)
_RECAPTURED = pa.schema([("doc_id", pa.uint64())])
REPEATED = pa.schema([DUPLICATE_SCHEMA.field(n) for n in ("doc_id", "paragraph", "partner", "partner_paragraph")])
_DUPLICATES = DUPLICATE_SCHEMA.append(pa.field("cluster_size", pa.int64()))
"""What a shard drops; `cluster_size`, of documents only, as `Decisions` has it."""


def plan_of(run: Run) -> Plan:
    """What fits the memory of a worker."""
    return Plan(run.recipe.run.memory_megabytes)


@dataclass(frozen=True, slots=True)
class MatchTask:
    """A unit of `match`."""

    run: Run
    name: str
    inputs: Mapping[str, Any]

    def unit(self) -> Unit:
        return self.run.unit("match", self.name, self.inputs)

    @property
    def plan(self) -> Plan:
        return plan_of(self.run)

    def working(self, ending: str) -> str:
        """Name of a file of the unit that no other verb reads, from the folder of `match`."""
        return str(_working(self.run, f"{self.name}.{ending}").relative_to(self.run.folder("match")))

    def path(self, name: str) -> Path:
        """The table of a unit."""
        return working_file(self.run, f"{name}.parquet")

    def documents(self, name: str) -> DocumentSet:
        """The documents that the unit `name` noted."""
        return DocumentSet.read(working_file(self.run, f"{name}.bits"), AGAIN)

    def lengths_of(self, names: Sequence[str], all_documents: DocumentSet) -> LengthOf:
        """Characters of documents, looked up in the files of lengths of the units `names`, one after the other."""

        def lengths(doc: NDArray[np.uint64]) -> NDArray[np.int64]:
            out, position = np.zeros(len(doc), np.int64), all_documents.position(doc)
            for name in names:
                made = self.run.manifest("match", name)
                assert made is not None
                values = np.memmap(working_file(self.run, f"{name}.lengths"), "<i4", "r")
                at = position - all_documents.first_bit[made.facts["first"]]
                here = np.flatnonzero((at >= 0) & (at < len(values)))
                out[here] = values[at[here]]
            return out

        return lengths

    def new_documents(self, path: Path, end: int, earlier: str | None) -> DocumentSet:
        """A set at `path` of documents of the shards before `end`, with those that the unit `earlier` noted."""
        done = {n: entry.facts["documents"] for n, entry in self.run.shards("extract")}
        rows = np.array([done.get(shard, 0) for shard in range(end)], np.int64)
        return DocumentSet.create(path, rows, self.documents(earlier) if earlier else None)


@dataclass(frozen=True, slots=True)
class MergePrints(MatchTask):
    """The prints of a group of shards, or of merged groups, as one file."""

    shards: tuple[str, ...]
    """Units of `extract`; of level 0."""
    groups: tuple[str, ...]
    """Units of this kind, one level below."""

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        folder = self.run.folder("prints")
        paths = [self.path(name) for name in self.groups] or [folder / f"{name}.parquet" for name in self.shards]
        with timings.measure("merge"):
            made = _scheme(self.run)
            merge_prints(paths, unit.path(self.working("parquet")), scheme=made, nbytes=self.plan.nbytes)
        return unit.commit(Ledger())


@dataclass(frozen=True, slots=True)
class Pool:
    """The prints of one kind that are matched: the new ones, and those that they may repeat."""

    kind: int
    buckets: int
    files: tuple[Path, ...]
    index: tuple[Path, ...]
    """Files of the generations before."""
    first: int
    """The shard with which the new ones begin."""
    lengths: tuple[str, ...] = ()
    """Units that measured the documents, where the longest stays."""


@dataclass(frozen=True, slots=True)
class _Bucket(MatchTask):
    """One range of hashes of a pool."""

    pool: Pool
    bucket: int
    without: str | None
    """Unit that notes documents whose prints count for nothing."""

    @property
    def most(self) -> int:
        """Documents of a hash to which the others are matched."""
        return HUBS if self.pool.kind == BAND and self.run.recipe.match.linkage == "kept" else 1

    def pieces(self) -> Iterator[Prints]:
        """New prints in parts that the memory holds, each with the first of the prints before that have their hash."""
        without, pool, made = self.documents(self.without) if self.without else None, self.pool, _scheme(self.run)
        keep = None if without is None else lambda prints: ~without.contains(prints.doc_id)
        low, high = bucket_bounds(pool.buckets)[self.bucket]
        rows = self.plan.bucket_rows // (1 + self.most if pool.index else 1)  # so many known prints for each new one
        for part in pieces(pool.files, pool.kind, low, high, max_rows=rows, scheme=made, keep=keep):
            known = oldest(pool.index, part.hash, pool.kind, most=self.most, scheme=made, keep=keep)
            yield Prints.concatenate([known, part])

    def sorter(self, schema: pa.Schema, unit: Unit) -> Sorter:
        folder = unit.scratch("runs")
        folder.mkdir()
        return Sorter(dtype_of(schema), schema.names[:2], folder, self.plan.nbytes // 4)


@dataclass(frozen=True, slots=True)
class MatchDocuments(_Bucket):
    """Edges between documents that share a hash of this bucket: equal ones, near ones, or captures of one URL."""

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger, edges = Ledger(), self.sorter(EDGES, unit)
        first, turn = np.uint64(doc_id(self.pool.first, 0)), self._turn()
        with timings.measure("match"):
            heads, before, seen = self._heads(turn) if turn else Prints.empty(), None, np.empty(0, np.uint64)
            for prints in self.pieces():
                ledger["prints"].keep(len(prints))
                known = heads.take(np.isin(heads.hash, prints.hash)) if len(heads) else heads
                part = Prints.concatenate([known, prints])
                found = matches(part.hash, part.doc_id, self.most, turn(part.doc_id) if turn else None)
                rows = edge_rows(found.doc, found.partner, EQUAL if self.pool.kind == DOCUMENT else found.rank)
                one = _hash_of_all(prints)
                if one is not None:  # it may come in several parts, each with the first documents once more
                    rows = rows[~np.isin(rows["doc"], seen)] if one == before else rows
                    new = prints.doc_id[prints.doc_id >= first]
                    seen = np.concatenate((known.doc_id, distinct(new)[:HUBS]))
                before = one
                edges.add(rows[rows["doc"] >= first])  # those between earlier ones were found before
        with timings.measure("write"):
            n = write_blocks(unit.path(self.working("parquet")), EDGES, edges.blocks())
        return unit.commit(ledger, facts={"rows": n})

    def _turn(self) -> Callable[[NDArray[np.uint64]], NDArray[np.uint64]] | None:
        """When each document is asked, where that is not the order of their addresses."""
        policy, kind = self.run.recipe.match.keep_document, self.pool.kind
        if policy == "newest" and (kind == DOCUMENT or self.most > 1):
            return lambda doc: turns(doc, policy)
        if policy == "longest" and self.most > 1 and self.without:  # equal ones are equally long
            lengths = self.lengths_of(self.pool.lengths, self.documents(self.without))
            return lambda doc: turns(doc, policy, lengths)
        return None

    def _heads(self, turn: Callable[[NDArray[np.uint64]], NDArray[np.uint64]]) -> Prints:
        """Of each hash that fills a part by itself, and so may come in several, those that are asked first."""
        heads = Prints.empty()
        for part in self.pieces():
            if _hash_of_all(part) is not None:
                heads = Prints.concatenate([heads, part])
                order = np.lexsort((heads.doc_id, turn(heads.doc_id), heads.hash))
                heads = heads.take(order)
                heads = heads.take(group_starts(heads.hash, heads.doc_id))
                starts = group_starts(heads.hash)
                place = np.arange(len(heads)) - np.repeat(starts, np.diff(starts, append=len(heads)))
                heads = heads.take(place <= self.most)
        return heads


@dataclass(frozen=True, slots=True)
class NoteEqual(MatchTask):
    """The documents that are copies of an earlier one, a bit each, so that their bands need not be matched."""

    edges: tuple[str, ...]
    end: int
    """Number after that of the last shard."""
    earlier: str | None
    """The unit of this kind one generation before."""

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        copies = self.new_documents(unit.path(self.working("bits")), self.end, self.earlier)
        for name in self.edges:
            for rows in stream_rows(self.path(name), AGAIN):
                copies.add(rows["doc"])
        return unit.commit(Ledger())


@dataclass(frozen=True, slots=True)
class MergeRows(MatchTask):
    """Sorted files of a group as one: edges by document, or decisions by address."""

    schema: pa.Schema
    parts: tuple[str, ...]

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        with timings.measure("merge"):
            blocks = merge_tables([self.path(name) for name in self.parts], AGAIN, self.schema.names[:2])
            n = write_blocks(unit.path(self.working("parquet")), self.schema, blocks)
        return unit.commit(Ledger(), facts={"rows": n})


@dataclass(frozen=True, slots=True)
class MeasureLengths(MatchTask):
    """Characters of each document of a group of shards, for `keep_document: longest`."""

    shards: tuple[str, ...]

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        with unit.path(self.working("lengths")).open("wb") as stream:
            for shard in self.shards:
                with pq.ParquetFile(self.run.folder("extract") / f"{shard}.parquet") as pages:
                    for batch in pages.iter_batches(4096, columns=["text"]):
                        lengths = pc.utf8_length(batch["text"]).to_numpy(zero_copy_only=False)
                        stream.write(lengths.astype("<i4").tobytes())
        return unit.commit(Ledger(), facts={"first": shard_number(self.shards[0])})


@dataclass(frozen=True, slots=True)
class DecideDocuments(MatchTask):
    """Which documents of a generation go."""

    edges: tuple[str, ...]
    compared: tuple[str, ...]
    """Units with the edges that were measured, in the order of their documents."""
    lengths: tuple[str, ...]
    first: int
    end: int
    """Number after that of the last shard."""
    cut: Cut
    """How the generation was cut; noted, so that under another memory it is found done."""
    earlier: tuple[str, ...]
    """Units of this kind of the generations before: their documents are decided."""

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        gone = self.new_documents(unit.path(self.working("bits")), self.end, self.earlier[-1] if self.earlier else None)
        ledger = Ledger()
        ledger["edges"].keep(self._rows((*self.edges, *self.compared, *self.earlier)))
        first, folder = np.uint64(doc_id(self.first, 0)), unit.scratch("best.rows").parent

        def decided() -> Iterator[Rows]:
            for part in self._decide(gone, folder):
                new = gone_rows(part)[part.doc >= first]
                gone.add(new["doc_id"])
                yield new

        with timings.measure("decide"):
            n = write_blocks(unit.path(self.working("parquet")), GONE, decided())
        facts = {"rows": n, "first": self.first, "end": self.end, "cut": dataclasses.asdict(self.cut)}
        return unit.commit(ledger, facts=facts)

    def _decide(self, gone: DocumentSet, folder: Path) -> Iterator[Decisions]:
        """The documents that go, by the recipe's linkage."""
        config, signature = self.run.recipe.match, self.run.recipe.dedup.signature
        policy, nbytes, lengths = config.keep_document, self.plan.nbytes, self.lengths_of(self.lengths, gone)
        if config.linkage == "chain" or policy == "none":
            rows = self._rows((*self.edges, *self.compared, *self.earlier))
            known = [_known_edges(self.path(name)) for name in self.earlier]
            return decide_edges(self._edges(*known), rows, signature, policy, folder, nbytes, lengths)
        went = (self._went(name) for name in self.earlier)
        earlier = itertools.chain.from_iterable(went)
        return decide_kept(summed(self._edges()), earlier, gone, signature, policy, folder, nbytes, lengths)

    def _rows(self, names: Sequence[str]) -> int:
        return sum(m.facts["rows"] for name in names if (m := self.run.manifest("match", name)))

    def _edges(self, *more: Iterator[Rows]) -> Iterator[Rows]:
        """All edges, and `more`, sorted by (doc, partner)."""
        compared = itertools.chain.from_iterable(stream_rows(self.path(name), AGAIN) for name in self.compared)
        streams = [stream_rows(self.path(name), AGAIN) for name in self.edges]
        return merged([compared, *streams, *more], EDGES.names[:2])

    def _went(self, name: str) -> Iterator[Rows]:
        """What an earlier generation decided, for what is decided now."""
        recipe = self.run.recipe
        for rows in stream_rows(self.path(name), AGAIN):
            went = np.zeros(len(rows), WENT)
            went["doc"], went["partner"], went["match"] = rows["doc_id"], rows["partner"], rows["match"]
            went["rank"] = ranks(
                rows["similarity"], rows["exact"], recipe.dedup.signature, recipe.match.min_jaccard > 0
            )
            yield went


def _known_edges(path: Path) -> Iterator[Rows]:
    """For each document that went before an edge to the document that stays for it."""
    for rows in stream_rows(path, AGAIN):
        yield edge_rows(rows["doc_id"], rows["partner"], 1)


@dataclass(frozen=True, slots=True)
class NameRecaptures(MatchTask):
    """The documents that go and have the URL of the one that stays for them."""

    gone: str
    captures: tuple[str, ...]
    """Units with the captures of every URL, of this generation and of those before."""

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        with timings.measure("captures"):
            gone = stream_rows(self.path(self.gone), AGAIN)
            found = recaptures(gone, self._captures(), self._captures(), unit.scratch("x").parent, self.plan.nbytes)
            write_blocks(unit.path(self.working("parquet")), _RECAPTURED, found)
        return unit.commit(Ledger())

    def _captures(self) -> Iterator[Rows]:
        return merge_tables([self.path(name) for name in self.captures], AGAIN, EDGES.names[:2])


@dataclass(frozen=True, slots=True)
class MatchParagraphs(_Bucket):
    """Paragraphs of this bucket that repeat one of a document that stays."""

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger, found = Ledger(), self.sorter(REPEATED, unit)
        with timings.measure("match"):
            for prints in self.pieces():
                ledger["prints"].keep(len(prints))
                policy = self.run.recipe.match.keep
                decided = decide_paragraphs(prints.hash, prints.doc_id, prints.paragraph, policy)
                rows = np.empty(len(decided.doc), found.dtype)
                rows["doc_id"], rows["paragraph"] = decided.doc, decided.paragraph
                rows["partner"], rows["partner_paragraph"] = decided.partner_doc, decided.partner_paragraph
                found.add(rows)
        with timings.measure("write"):
            write_blocks(unit.path(self.working("parquet")), REPEATED, _once(found.blocks()))
        return unit.commit(ledger)


@dataclass(frozen=True, slots=True)
class ReturnToGroup(MatchTask):
    """The repeated paragraphs of a group of shards, out of few large files, so that each shard reads one small one."""

    shards: tuple[str, ...]
    parts: tuple[str, ...]

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        def blocks() -> Iterator[Rows]:
            for shard in self.shards:  # a shard at a time, so that memory does not grow with the group
                yield rows_of_shard([self.path(name) for name in self.parts], REPEATED, shard)

        with timings.measure("read"):
            write_blocks(unit.path(self.working("parquet")), REPEATED, blocks())
        return unit.commit(Ledger())


@dataclass(frozen=True, slots=True)
class ReturnToShard(MatchTask):
    """What one shard must drop."""

    gone: str
    recaptures: str | None
    parts: tuple[str, ...]
    """Units whose files hold repeated paragraphs."""
    shingles: tuple[tuple[str, ...], ...]
    """Where partners were not compared, units of each generation, the last first, with the shingles of the documents
    that stand in its edges: a partner may stand in those of an earlier one alone."""

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        with timings.measure("read"):
            gone = rows_of_shard([self.path(self.gone)], GONE, self.name)
            self._measure(gone)
            again = [self.path(self.recaptures)] if self.recaptures else []
            captures = rows_of_shard(again, _RECAPTURED, self.name)
            parts = rows_of_shard([self.path(name) for name in self.parts], REPEATED, self.name)
        table = pa.concat_tables([whole_table(gone, captures["doc_id"]), parts_table(table_of_rows(REPEATED, parts))])
        table = table.sort_by([("doc_id", "ascending"), ("paragraph", "ascending")])
        self._compare(table, timings)
        write_table(unit.path(f"{self.name}.parquet"), table)
        return unit.commit(self._ledger(table))

    def _measure(self, gone: Rows) -> None:
        """Fill in how near the partners are that no edge led to; a copy has the shingles of what it equals."""
        if not self.shingles:
            return
        sets = shingles_of(self.run, *self.shingles)
        for row in gone:
            if np.isnan(row["similarity"]):
                doc, partner, match = (int(row[name]) for name in ("doc_id", "partner", "match"))
                row["similarity"] = sets.similarity(match if sets.of(doc) is None else doc, partner)

    def _compare(self, table: pa.Table, timings: Timings) -> None:
        """Count for the log what is decided otherwise than before, when this shard was judged before."""
        with contextlib.suppress(OSError, pa.ArrowException):
            before = _decided(pq.read_table(self.run.file("match", shard_number(self.name))))
            now = _decided(table)
            for change, rows in (("go now", now - before), ("come back", before - now)):
                whole = sum(paragraph is None for _, paragraph in rows)
                timings.changes[f"documents that {change}"] += whole
                timings.changes[f"paragraphs that {change}"] += len(rows) - whole

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
        for reason in (EXACT, NEAR, RECAPTURE):
            ledger["documents"].drop(reason, kinds.get(reason, 0))
        ledger["documents"].keep(documents - len(rows))
        return ledger


def _working(run: Run, name: str) -> Path:
    return run.folder("matching") / name


def working_file(run: Run, name: str) -> Path:
    """A file of a unit that no other verb reads: where an earlier release wrote it, beside what each shard drops."""
    made, before = _working(run, name), run.folder("match") / name
    return before if before.is_file() and not made.is_file() else made


def shingles_of(run: Run, names: Sequence[str], *earlier: Sequence[str]) -> ShingleFiles:
    """What the units `names`, which have ended, noted of documents' shingles, and those of `earlier` generations."""
    first = [m.facts["first"] for name in names if (m := run.manifest("match", name))]
    files = [working_file(run, f"{name}.shingles") for name in names]
    return ShingleFiles(files, first, AGAIN, shingles_of(run, *earlier) if earlier else None)


def _hash_of_all(prints: Prints) -> int | None:
    """The hash that all of `prints` have, if they have one: only such a one comes in several parts."""
    return int(prints.hash[0]) if len(prints) and prints.hash.min() == prints.hash.max() else None


def _scheme(run: Run) -> dict[str, str]:
    return scheme(run.recipe.dedup.signature, run.recipe.dedup.paragraphs)


def edge_rows(doc: NDArray[np.uint64], partner: NDArray[np.uint64], rank: NDArray[np.int32] | int) -> Rows:
    rows = np.empty(len(doc), EDGE)
    rows["doc"], rows["partner"], rows["rank"] = doc, partner, rank
    return rows


def gone_rows(part: Decisions) -> Rows:
    rows = np.empty(len(part.doc), dtype_of(GONE))
    for name in GONE.names:
        rows[name] = getattr(part, {"doc_id": "doc", "exact": "equal"}.get(name, name))
    return rows


def _once(blocks: Iterator[Rows]) -> Iterator[Rows]:
    """Each paragraph once: one whose hash filled more than a bucket's memory was decided in several parts."""
    for block in groups_whole(blocks, "doc_id"):
        yield block[first_of_groups(block, ("doc_id", "paragraph"))]


def rows_of_shard(paths: Sequence[Path], schema: pa.Schema, shard: str) -> Rows:
    """The rows of a shard out of files sorted by address, sorted."""
    number = shard_number(shard)
    low, high = doc_id(number, 0), doc_id(number + 1, 0) - 1
    parts = [read_range(path, schema, AGAIN, low, high) for path in paths]
    rows = np.concatenate([np.empty(0, dtype_of(schema)), *parts])
    keys = [rows[name] for name in reversed(schema.names[:2])]
    return np.asarray(rows[np.lexsort(keys)])


def _decided(table: pa.Table) -> set[tuple[int, int | None]]:
    return set(zip(table["doc_id"].to_pylist(), table["paragraph"].to_pylist(), strict=True))


def whole_table(gone: Rows, recaptured: NDArray[np.uint64]) -> pa.Table:
    """Decisions on documents in the form of a shard's file."""
    n = len(gone)
    kind = np.where(gone["exact"], EXACT, NEAR).astype(object)
    kind[np.isin(gone["doc_id"], recaptured)] = RECAPTURE
    nothing = pa.nulls(n, pa.int32())
    columns: Mapping[str, Any] = {
        **{name: pa.array(gone[name]) for name in ("doc_id", "partner", "match", "match_similarity", "cluster_size")},
        "similarity": pa.array(gone["similarity"], mask=np.isnan(gone["similarity"])),
        "paragraph": nothing,
        "partner_paragraph": nothing,
        "kind": pa.array(kind, pa.string()),
    }
    return pa.table([columns[name] for name in _DUPLICATES.names], schema=_DUPLICATES)


def parts_table(table: pa.Table) -> pa.Table:
    """Decisions on paragraphs in the form of a shard's file."""
    n = table.num_rows
    columns: Mapping[str, Any] = {
        **{name: table[name] for name in table.schema.names},
        "similarity": pa.array(np.ones(n, np.float32)),
        "match": pa.nulls(n, pa.uint64()),
        "match_similarity": pa.nulls(n, pa.float32()),
        "kind": pa.array([PARAGRAPH] * n, pa.string()),
        "cluster_size": pa.nulls(n, pa.int64()),
    }
    return pa.table([columns[name] for name in _DUPLICATES.names], schema=_DUPLICATES)
