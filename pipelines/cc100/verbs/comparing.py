"""The units of `match` that ask texts: of documents that look alike the shingles, of each pair the true similarity.

A pair's texts lie in any two shards. So each shard notes the shingles of its documents that stand in a pair, by one
pass over its pages, and whoever measures a pair finds both sets by one read each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cc100.verbs.matching import AGAIN, EDGES, MatchTask, edge_rows, rows_of_shard, shingles_of
from cc100.verbs.pages import chosen_pages
from ccbuild.dedup.decisions import Edges, combine
from ccbuild.dedup.external.shingles import write_shingles
from ccbuild.dedup.external.sorting import Rows, Sorter, first_of_groups
from ccbuild.dedup.external.tables import dtype_of, stream_rows, write_blocks
from ccbuild.dedup.groups import distinct
from ccbuild.dedup.jaccard import measured, shingle_set
from ccbuild.ledger import Ledger
from ccbuild.rundir import shard_number
from ccbuild.runner import Timings
from ccbuild.storage import Manifest, Unit

__all__ = ["AskShingles", "CompareEdges", "NoteShingles"]

_WANTED = pa.schema([("doc_id", pa.uint64())])


@dataclass(frozen=True, slots=True)
class AskShingles(MatchTask):
    """The documents that stand in an edge of a file, each once."""

    edges: str

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        dtype = dtype_of(_WANTED)
        wanted, shards = Sorter(dtype, ["doc_id"], unit.scratch("x").parent, self.plan.nbytes), set[int]()

        def once() -> Iterator[Rows]:
            last = None
            for block in wanted.blocks():
                rows = block[first_of_groups(block, ["doc_id"])]
                rows = rows[1:] if rows["doc_id"][0] == last else rows
                last = block["doc_id"][-1]
                shards.update(distinct(rows["doc_id"] >> np.uint64(32)).tolist())
                yield rows

        with timings.measure("ask"):
            for rows in stream_rows(self.path(self.edges), AGAIN):
                for name in ("doc", "partner"):
                    wanted.add(distinct(rows[name]).view(dtype))
            n = write_blocks(unit.path(self.working("parquet")), _WANTED, once())
        return unit.commit(Ledger(), facts={"rows": n, "shards": sorted(shards)})


@dataclass(frozen=True, slots=True)
class NoteShingles(MatchTask):
    """The shingles of those documents of some shards that stand in an edge."""

    shards: tuple[str, ...]
    asked: tuple[str, ...]

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        with timings.measure("shingles"):
            write_shingles(unit.path(self.working("shingles")), self._sets())
        return unit.commit(Ledger(), facts={"first": shard_number(self.shards[0])})

    def _sets(self) -> Iterator[tuple[int, NDArray[np.uint32]]]:
        ngram = self.run.recipe.dedup.signature.ngram
        for shard in self.shards:
            wanted = rows_of_shard([self.path(name) for name in self.asked], _WANTED, shard)["doc_id"]
            pages = self.run.file("extract", shard_number(shard))
            for batch in chosen_pages(pages, distinct(wanted), ["doc_id", "text"]):
                for doc, text in zip(*(column.to_pylist() for column in batch), strict=True):
                    yield doc, shingle_set(text, ngram)


@dataclass(frozen=True, slots=True)
class CompareEdges(MatchTask):
    """The edges of the documents of some shards whose true Jaccard similarity, of the texts, is high enough."""

    edges: tuple[str, ...]
    shards: tuple[str, ...]
    shingles: tuple[str, ...]

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger, least = Ledger(), self.run.recipe.match.min_jaccard
        sets = shingles_of(self.run, self.shingles)

        def kept() -> Iterator[Rows]:
            for shard in self.shards:
                rows = rows_of_shard([self.path(name) for name in self.edges], EDGES, shard)
                pairs = combine([Edges(rows["doc"], rows["partner"], rows["rank"])])
                both = zip(pairs.doc.tolist(), pairs.partner.tolist(), strict=True)
                values = np.array([sets.similarity(doc, partner) for doc, partner in both], np.float64)
                near = values >= least
                ledger["edges"].drop("low_jaccard", int((~near).sum()))
                ledger["edges"].keep(int(near.sum()))
                yield edge_rows(pairs.doc[near], pairs.partner[near], measured(values[near]))

        with timings.measure("compare"):
            n = write_blocks(unit.path(self.working("parquet")), EDGES, kept())
        return unit.commit(ledger, facts={"rows": n})
