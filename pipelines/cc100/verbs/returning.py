"""What comes back before `refine`: a copy takes the place of a document that went no further.

`match` keeps one of several copies, and `refine` may drop that very one, for its language, its snapshot, its length. So
the documents for which others went are judged first. Where one is dropped, those that went for it are judged too; of
the ones that pass, each is asked in its turn, and comes back unless it is near to a document that stays or to one that
came back before it. What stays without this stays with it.

1. All that went, by the document that stays for them.
2. A shard judges those of its documents for which others went.
3. The orphans: what went for a document that is dropped; a shard judges its own.
4. All orphans that pass are decided, by the edges that `match` has found.
5. What comes back loses the paragraphs that the document in whose place it stands had lost. The other way round, what a
   shard has lost to the paragraphs of that document now repeats those of the one that comes back; where this lacks
   them, the first document that had lost one has it again, and the others repeat it there.
6. A shard in which something changes gets its decisions written anew.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cc100.layout import Run
from cc100.verbs.matching import (
    AGAIN,
    EDGES,
    GONE,
    REPEATED,
    MatchTask,
    gone_rows,
    parts_table,
    rows_of_shard,
    whole_table,
)
from cc100.verbs.pages import chosen_pages
from cc100.verbs.task import Step
from ccbuild.dedup.decisions import EQUAL, turns
from ccbuild.dedup.external.bitmap import DocumentSet
from ccbuild.dedup.external.kept import decide_kept, summed
from ccbuild.dedup.external.rounds import EDGE
from ccbuild.dedup.external.sorting import Lookup, Rows, Sorter, first_of_groups, groups_whole, merged, sort_rows
from ccbuild.dedup.external.tables import dtype_of, read_range, stream_rows, table_of_rows, write_blocks
from ccbuild.dedup.groups import distinct
from ccbuild.dedup.paragraphs import text_paragraph_hashes
from ccbuild.ledger import Ledger
from ccbuild.records import DOCUMENT_SCHEMA, Document, from_table
from ccbuild.rundir import shard_name, shard_number
from ccbuild.runner import BLOCK, Judged, Timings, run_stages
from ccbuild.storage import Manifest, Unit, digest_of, retire, write_table

__all__ = ["steps"]

_STARS = pa.schema([("partner", pa.uint64()), ("doc_id", pa.uint64())])
_ORPHANS = pa.schema([("doc_id", pa.uint64()), ("partner", pa.uint64())])
_DOCUMENTS = pa.schema([("doc_id", pa.uint64())])
_CUTS = pa.schema([("doc_id", pa.uint64()), ("hash", pa.uint64()), ("of", pa.uint64()), ("place", pa.int32())])
"""Paragraphs that a document has lost, by their hash, and where each stands first."""
_PARAGRAPHS = pa.schema(
    [("partner", pa.uint64()), ("hash", pa.uint64()), ("doc_id", pa.uint64()), ("paragraph", pa.int32())]
)
"""Paragraphs of a document by the one in whose place it would come, or of the one that they repeat, and their hash."""
_NOTHING = np.empty(0, np.uint64)
_AGAIN = "ccbuild run … --from refine"


@dataclass(frozen=True, slots=True)
class _Task(MatchTask):
    """A unit of the way back; it lies beside what `refine` keeps."""

    def unit(self) -> Unit:
        return self.run.unit("refine", self.name, self.inputs, "returned")

    def made(self, name: str) -> Path:
        """The table of another of these units."""
        return self.run.folder("returned") / f"{name}.parquet"

    def commit_table(self, unit: Unit, schema: pa.Schema, blocks: Iterator[Rows]) -> Manifest:
        """Write the rows, by their first column, and note in which shards they lie."""
        shards = set[int]()

        def noted() -> Iterator[Rows]:
            for block in blocks:
                shards.update(distinct(block[schema.names[0]] >> np.uint64(32)).tolist())
                yield block

        n = write_blocks(unit.path(f"{self.name}.parquet"), schema, noted())
        return unit.commit(Ledger(), facts={"rows": n, "shards": sorted(shards)})


@dataclass(frozen=True, slots=True)
class FindStars(_Task):
    """All that went, by the document that stays for it."""

    gone: tuple[str, ...]

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        stars = Sorter(dtype_of(_STARS), _STARS.names, unit.scratch("x").parent, self.plan.nbytes)
        for name in self.gone:
            for block in stream_rows(self.path(name), AGAIN):
                rows = np.empty(len(block), stars.dtype)
                rows["partner"], rows["doc_id"] = block["partner"], block["doc_id"]
                stars.add(rows)
        return self.commit_table(unit, _STARS, stars.blocks())


@dataclass(frozen=True, slots=True)
class _Judge(_Task):
    """Documents of a shard through the stages of `refine`."""

    shard: int
    by_record: ClassVar[bool] = True

    def pages(self, wanted: NDArray[np.uint64]) -> Iterator[list[Document]]:
        """Those that are `wanted`, whole, some at a time."""
        pages = self.run.file("extract", self.shard)
        for first in range(0, len(wanted), BLOCK):
            batches = chosen_pages(pages, wanted[first : first + BLOCK], DOCUMENT_SCHEMA.names)
            yield [page for batch in batches for page in from_table(batch)]

    def judged(self, documents: Sequence[Document], timings: Timings) -> Judged:
        """What the stages say."""
        stages = self.run.recipe.refine.build(self.run.folder("prepare"))
        return run_stages(documents, stages, Ledger(), timings)

    def hashes(self, document: Document) -> NDArray[np.uint64]:
        """Of its paragraphs."""
        return text_paragraph_hashes([document.text], self.run.recipe.dedup.paragraphs)[0]


@dataclass(frozen=True, slots=True)
class JudgePartners(_Judge):
    """Those of a shard's documents for which others went: which `refine` will drop, and what paragraphs they lost."""

    stars: str

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        wanted = distinct(rows_of_shard([self.made(self.stars)], _STARS, shard_name(self.shard))["partner"])
        lost, gone, cuts = self._lost(), list[tuple[int]](), list[tuple[int, int, int, int]]()
        for pages in self.pages(wanted):
            less = [_without(page, [row[0] for row in lost.get(_id(page), ())]) for page in pages]
            judged = self.judged(less, timings)
            dropped = sorted((_id(page),) for page, _ in (*judged.dropped, *judged.lost))
            away = {document for (document,) in dropped}
            cuts += [row for page in pages if _id(page) in away for row in self._cuts(page, lost)]
            gone += dropped
        rows = sort_rows(np.array(cuts, dtype_of(_CUTS)), ["doc_id", "hash"])
        write_blocks(unit.path(f"{self.name}.cuts.parquet"), _CUTS, iter([rows]))
        return self.commit_table(unit, _DOCUMENTS, iter([np.array(gone, dtype_of(_DOCUMENTS))]))

    def _lost(self) -> dict[int, list[tuple[int, int, int]]]:
        """Document to its repeated paragraphs: (number, document and number of the first of its kind)."""
        table = pq.read_table(self.run.file("match", self.shard), columns=REPEATED.names)
        found: dict[int, list[tuple[int, int, int]]] = {}
        columns = (column.to_pylist() for column in table.filter(pc.is_valid(table["paragraph"])))
        for doc, paragraph, partner, place in zip(*columns, strict=True):
            found.setdefault(doc, []).append((paragraph, partner, place))
        return found

    def _cuts(
        self, page: Document, lost: Mapping[int, Sequence[tuple[int, int, int]]]
    ) -> Iterator[tuple[int, int, int, int]]:
        rows = lost.get(_id(page), ())
        hashes = self.hashes(page).tolist() if rows else []
        yield from ((_id(page), hashes[number], partner, place) for number, partner, place in rows)


@dataclass(frozen=True, slots=True)
class FindOrphans(_Task):
    """What went for a document that `refine` will drop."""

    stars: str
    judged: tuple[str, ...]
    """Units that name the dropped ones, in the order of their documents."""

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        judged = (stream_rows(self.made(name), _AGAIN) for name in self.judged)
        dropped = Lookup(itertools.chain.from_iterable(judged), "doc_id")
        orphans = Sorter(dtype_of(_ORPHANS), _ORPHANS.names, unit.scratch("x").parent, self.plan.nbytes)
        for block in stream_rows(self.made(self.stars), _AGAIN):
            present, _ = dropped.find(np.ascontiguousarray(block["partner"]))
            rows = np.empty(int(present.sum()), orphans.dtype)
            rows["doc_id"], rows["partner"] = block["doc_id"][present], block["partner"][present]
            orphans.add(rows)
        return self.commit_table(unit, _ORPHANS, orphans.blocks())


@dataclass(frozen=True, slots=True)
class JudgeOrphans(_Judge):
    """Those of a shard's documents that went for one that is dropped: which of them `refine` would keep."""

    orphans: str

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        rows = rows_of_shard([self.made(self.orphans)], _ORPHANS, shard_name(self.shard))
        partner = dict(zip(rows["doc_id"].tolist(), rows["partner"].tolist(), strict=True))
        cuts, kept = list[tuple[int, int, int, int]](), list[tuple[int]]()
        paragraphs = Sorter(dtype_of(_PARAGRAPHS), _PARAGRAPHS.names, unit.scratch("x").parent, self.plan.nbytes)
        for pages in self.pages(np.ascontiguousarray(rows["doc_id"])):
            found = {_id(page): list(self._cuts(page, partner[_id(page)])) for page in pages}
            less = [_without(page, [row[1] for row in found[_id(page)]]) for page in pages]
            passed = {_id(page) for page in self.judged(less, timings).kept}
            kept += sorted((document,) for document in passed)
            cuts += itertools.chain.from_iterable(found.values())
            for page in pages:
                if _id(page) in passed:
                    gone = [row[1] for row in found[_id(page)]] if self.run.recipe.match.keep == "first" else []
                    paragraphs.add(self._stays(page, partner[_id(page)], gone))
        write_blocks(unit.path(f"{self.name}.cuts.parquet"), REPEATED, iter([np.array(cuts, dtype_of(REPEATED))]))
        write_blocks(unit.path(f"{self.name}.paragraphs.parquet"), _PARAGRAPHS, paragraphs.blocks())
        return self.commit_table(unit, _DOCUMENTS, iter([np.array(kept, dtype_of(_DOCUMENTS))]))

    def _stays(self, page: Document, partner: int, gone: Sequence[int]) -> Rows:
        """The paragraphs of a page but those of the numbers `gone`."""
        hashes = self.hashes(page)
        rows = np.empty(len(hashes), dtype_of(_PARAGRAPHS))
        rows["partner"], rows["hash"], rows["doc_id"], rows["paragraph"] = (
            partner,
            hashes,
            _id(page),
            range(len(hashes)),
        )
        return np.delete(rows, gone)

    def _cuts(self, page: Document, partner: int) -> Iterator[tuple[int, int, int, int]]:
        """The paragraphs that `partner` had lost, as rows of `REPEATED`."""
        path = self.made(f"partners-{partner >> 32:05d}.cuts")
        lost = read_range(path, _CUTS, _AGAIN, partner, partner)
        places = {row["hash"]: (row["of"], row["place"]) for row in lost}
        for number, value in enumerate(self.hashes(page) if places else ()):
            if value in places:
                yield (_id(page), number, *places[value])


@dataclass(frozen=True, slots=True)
class DecideReturns(_Task):
    """Which orphans come back, and for whom the others go."""

    orphans: tuple[str, ...]
    """Units that name those that pass."""
    judged: tuple[str, ...]
    """Units that name the partners that are dropped."""

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        passed = self._documents(self.orphans)
        gone = self._gone(unit, passed)
        edges = self._edges(passed, gone)
        config, folder = self.run.recipe.match, unit.scratch("x").parent
        signature, policy, lengths = self.run.recipe.dedup.signature, config.keep_document, self._lengths(gone)
        parts = list(decide_kept(iter([edges]), [], gone, signature, policy, folder, self.plan.nbytes, lengths))
        changed = np.concatenate([np.empty(0, dtype_of(GONE)), *map(gone_rows, parts)])
        back = passed[~np.isin(passed, changed["doc_id"])]
        write_blocks(unit.path(f"{self.name}.changed.parquet"), GONE, iter([changed]))
        write_blocks(unit.path(f"{self.name}.parquet"), _DOCUMENTS, iter([back.view(dtype_of(_DOCUMENTS))]))
        write_blocks(unit.path(f"{self.name}.paragraphs.parquet"), _PARAGRAPHS, self._paragraphs(back))
        shards = distinct(np.concatenate((back, changed["doc_id"])) >> np.uint64(32))
        return unit.commit(Ledger(), facts={"returned": len(back), "shards": shards.tolist()})

    def _documents(self, names: Sequence[str]) -> NDArray[np.uint64]:
        blocks = (block["doc_id"] for name in names for block in stream_rows(self.made(name), _AGAIN))
        return np.concatenate([np.empty(0, np.uint64), *blocks])

    def _paragraphs(self, back: NDArray[np.uint64]) -> Iterator[Rows]:
        """Those of what comes back."""
        streams = [stream_rows(self.made(f"{name}.paragraphs"), _AGAIN) for name in self.orphans]
        for block in merged(streams, _PARAGRAPHS.names):
            yield block[np.isin(block["doc_id"], back)]

    def _gone(self, unit: Unit, passed: NDArray[np.uint64]) -> DocumentSet:
        """All but the documents that were judged and stay, and the orphans that pass: these are still to be decided. A
        document for which none went was not judged, so nothing may go for it now."""
        last = max((entry for entry in self.run.entries("match", "documents-")), key=lambda entry: entry.facts["first"])
        gone = self.new_documents(unit.scratch("gone.bits"), last.facts["end"], None)
        gone.bits[:] = 255
        for block in stream_rows(self.made("stars"), _AGAIN):
            gone.remove(np.ascontiguousarray(block["partner"]))
        gone.add(self._documents(self.judged))
        gone.remove(passed)
        return gone

    def _lengths(self, gone: DocumentSet) -> Any:
        return self.lengths_of([entry.unit for entry in self.run.entries("match", "lengths-")], gone)

    def _edges(self, passed: NDArray[np.uint64], gone: DocumentSet) -> Rows:
        """The edges of the orphans: to a document that stays, or to one that is asked before."""
        heirs, copies = self._heirs(passed, gone)
        old = np.array(sorted(heirs), np.uint64)
        near = [np.empty(0, EDGE)]
        for block in self._near():
            ends = [_replaced(block[name], old, heirs) for name in ("doc", "partner")]
            mine = [np.isin(end, passed) for end in ends]
            for goer, other in ((0, 1), (1, 0)):
                at = mine[goer] & (ends[0] != ends[1])
                rows = np.empty(int(at.sum()), EDGE)
                rows["doc"], rows["partner"], rows["rank"] = ends[goer][at], ends[other][at], block["rank"][at]
                both = mine[other][at]
                near.append(rows[~both | self._later(rows, gone)])
        return sort_rows(np.concatenate([*near, copies]), ["doc", "partner"])

    def _later(self, rows: Rows, gone: DocumentSet) -> NDArray[np.bool_]:
        """Whether `doc` is asked after `partner`."""
        policy, lengths = self.run.recipe.match.keep_document, self._lengths(gone)
        doc, partner = (turns(np.ascontiguousarray(rows[name]), policy, lengths) for name in ("doc", "partner"))
        return np.asarray((doc > partner) | ((doc == partner) & (rows["doc"] > rows["partner"])), np.bool_)

    def _heirs(self, passed: NDArray[np.uint64], gone: DocumentSet) -> tuple[dict[int, int], Rows]:
        """(document that does not stay to the first of its copies that passes; an edge from each other copy).

        A copy was matched to the first alone, so its edges are those of that one.
        """
        names = [entry.unit for entry in self.run.entries("match", "equal-")]
        blocks = (block for name in names for block in stream_rows(self.path(name), AGAIN))
        rows = [np.empty(0, EDGE), *(block[np.isin(block["doc"], passed)] for block in blocks)]
        copies, heirs = np.concatenate(rows).astype(EDGE), dict[int, int]()
        turn = turns(np.ascontiguousarray(copies["doc"]), self.run.recipe.match.keep_document, self._lengths(gone))
        copies = copies[np.lexsort((copies["doc"], turn))]
        lost = gone.contains(np.ascontiguousarray(copies["partner"]))
        for doc, partner in copies[["doc", "partner"]][lost].tolist():
            heirs.setdefault(partner, doc)
        copies["partner"] = _replaced(copies["partner"], np.array(sorted(heirs), np.uint64), heirs)
        copies["rank"] = EQUAL
        return heirs, copies[copies["doc"] != copies["partner"]]

    def _near(self) -> Iterator[Rows]:
        """All near edges."""
        measured = self.run.recipe.match.min_jaccard > 0
        names = [entry.unit for entry in self.run.entries("match", "compared-" if measured else "edges-")]
        streams = [stream_rows(self.path(name), AGAIN) for name in names]
        return itertools.chain.from_iterable(streams) if measured else summed(merged(streams, EDGES.names[:2]))


@dataclass(frozen=True, slots=True)
class FindRepeated(_Judge):
    """Paragraphs that documents of a shard have lost to a document in whose place another came back.

    Those of documents that `refine` drops count for nothing.
    """

    returns: str
    partners: str | None
    """The unit that judged the shard's own partners, if it has any."""

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        rows = self._lost()
        for pages in self.pages(distinct(rows["doc_id"])):
            for page in pages:
                first, last = (
                    np.searchsorted(rows["doc_id"], _id(page)),
                    np.searchsorted(rows["doc_id"], _id(page), "right"),
                )
                rows["hash"][first:last] = self.hashes(page)[rows["paragraph"][first:last]]
        write_blocks(unit.path(f"{self.name}.parquet"), _PARAGRAPHS, iter([sort_rows(rows, _PARAGRAPHS.names)]))
        return unit.commit(Ledger(), facts={"rows": len(rows), "shards": [self.shard] if len(rows) else []})

    def _lost(self) -> Rows:
        """The paragraphs by their documents, their hashes still open."""
        replaced = [block["partner"] for block in stream_rows(self.made(f"{self.returns}.paragraphs"), _AGAIN)]
        dropped = [block["doc_id"] for block in stream_rows(self.made(self.partners), _AGAIN)] if self.partners else []
        table = pq.read_table(self.run.file("match", self.shard), columns=REPEATED.names)
        table = table.filter(pc.is_valid(table["paragraph"]))
        table = table.filter(
            pa.array(
                np.isin(table["partner"].to_numpy(), np.concatenate([_NOTHING, *replaced]))
                & ~np.isin(table["doc_id"].to_numpy(), np.concatenate([_NOTHING, *dropped]))
            )
        )
        rows = np.zeros(table.num_rows, dtype_of(_PARAGRAPHS))
        for name in ("partner", "doc_id", "paragraph"):
            rows[name] = table[name].to_numpy()
        return rows


@dataclass(frozen=True, slots=True)
class RenameRepeated(_Task):
    """Which paragraph each of these repeats now: one of a document that came back, else the first of themselves.

    A row that names itself comes back.
    """

    returns: str
    found: tuple[str, ...]

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        keys = _PARAGRAPHS.names[:2]
        renamed = Sorter(dtype_of(REPEATED), REPEATED.names, unit.scratch("x").parent, self.plan.nbytes)
        streams = [stream_rows(self.made(name), _AGAIN) for name in (f"{self.returns}.paragraphs", *self.found)]
        blocks = (block["doc_id"] for block in stream_rows(self.made(self.returns), _AGAIN))
        back = np.concatenate([_NOTHING, *blocks])
        for block in groups_whole(merged(streams, keys), keys[0]):
            came = np.isin(block["doc_id"], back)
            order = np.lexsort((block["paragraph"], block["doc_id"], ~came, block["hash"], block["partner"]))
            block, came = block[order], came[order]
            starts = first_of_groups(block, keys)
            first = np.repeat(starts, np.diff(starts, append=len(block)))
            asked = ~came & (came[first] | (self.run.recipe.match.keep == "first"))
            rows = np.empty(int(asked.sum()), renamed.dtype)
            rows["doc_id"], rows["paragraph"] = block["doc_id"][asked], block["paragraph"][asked]
            rows["partner"] = block["doc_id"][first][asked]
            rows["partner_paragraph"] = block["paragraph"][first][asked]
            renamed.add(rows)
        return self.commit_table(unit, REPEATED, renamed.blocks())


@dataclass(frozen=True, slots=True)
class CorrectShard(_Task):
    """A shard's decisions, with what comes back, for whom others go now, and what paragraphs repeat."""

    returns: str
    renamed: str
    judged: tuple[str, ...]
    """The unit that judged the shard's orphans, if it has any."""

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        back = rows_of_shard([self.made(self.returns)], _DOCUMENTS, self.name)["doc_id"]
        changed = rows_of_shard([self.made(f"{self.returns}.changed")], GONE, self.name)
        cuts = rows_of_shard([self.made(f"{name}.cuts") for name in self.judged], REPEATED, self.name)
        table = pq.read_table(self.run.file("match", shard_number(self.name)))
        others = np.concatenate((back, changed["doc_id"]))
        stays = table.filter(pa.array(~np.isin(table["doc_id"].to_numpy(), others)))
        renamed = rows_of_shard([self.made(self.renamed)], REPEATED, self.name)
        stays = stays.filter(pa.array(~_among(stays, renamed)))
        again = (renamed["doc_id"] == renamed["partner"]) & (renamed["paragraph"] == renamed["partner_paragraph"])
        lost = table_of_rows(REPEATED, np.concatenate([cuts[np.isin(cuts["doc_id"], back)], renamed[~again]]))
        table = pa.concat_tables([stays, whole_table(changed, np.empty(0, np.uint64)), parts_table(lost)])
        table = table.sort_by([("doc_id", "ascending"), ("paragraph", "ascending")])
        write_table(unit.path(f"{self.name}.parquet"), table)
        return unit.commit(Ledger())


def _among(decisions: pa.Table, paragraphs: Rows) -> NDArray[np.bool_]:
    """Which decisions are of one of the paragraphs."""
    known = set(zip(paragraphs["doc_id"].tolist(), paragraphs["paragraph"].tolist(), strict=True))
    own = zip(decisions["doc_id"].to_pylist(), decisions["paragraph"].to_pylist(), strict=True)
    return np.fromiter((each in known for each in own), np.bool_, decisions.num_rows)


def _id(document: Document) -> int:
    assert document.doc_id is not None
    return document.doc_id


def _without(document: Document, numbers: Sequence[int]) -> Document:
    """The document without the paragraphs of these numbers."""
    gone = set(numbers)
    left = tuple(text for number, text in enumerate(document.paragraphs) if number not in gone)
    return dataclasses.replace(document, paragraphs=left) if gone else document


def _replaced(doc: NDArray[np.uint64], old: NDArray[np.uint64], heirs: Mapping[int, int]) -> NDArray[np.uint64]:
    """`doc` with the heir in the place of each that has one; `old` are those, sorted."""
    if len(old) == 0:
        return np.ascontiguousarray(doc)
    new = np.array([heirs[each] for each in old.tolist()], np.uint64)
    at = np.minimum(np.searchsorted(old, doc), len(old) - 1)
    return np.where(old[at] == doc, new[at], doc)


def steps(run: Run, shared: Mapping[str, Any]) -> Iterator[Step]:
    """All of it; `shared` is what the units of `refine` are made of beside their shards."""
    config, planned = run.recipe.match, set[str]()
    if config.documents and config.linkage == "kept" and config.keep_document != "none":
        for step in _steps(run, shared):
            planned |= {task.name for task in step.tasks}
            yield step
    for entry in list(run.entries("returned")):
        if entry.unit not in planned:
            retire(run.folder("returned") / f"{entry.unit}.json")


def _steps(run: Run, shared: Mapping[str, Any]) -> Iterator[Step]:
    gone = list(run.entries("match", "documents-"))
    if not sum(entry.facts["rows"] for entry in gone):
        return
    decided = {number: digest_of(entry) for number, entry in run.shards("match")}
    shards = {number: (digest_of(entry), decided.get(number)) for number, entry in run.shards("extract")}
    stars = FindStars(run, "stars", {"gone": digest_of(*gone)}, tuple(entry.unit for entry in gone))
    yield Step("stars", [stars])

    def made_of(number: int, *names: str) -> dict[str, Any]:
        read = digest_of(*(run.manifest("returned", name) for name in names))
        return {"pages": shards[number][0], "duplicates": shards[number][1], "units": read, **shared}

    asked = _shards(run, ["stars"])
    partners = [JudgePartners(run, f"partners-{n:05d}", made_of(n, "stars"), n, "stars") for n in asked]
    yield Step("partners", partners)
    judged = tuple(task.name for task in partners)
    digest = digest_of(*(run.manifest("returned", name) for name in ("stars", *judged)))
    if digest is None:  # one has failed, and is told
        return
    yield Step("orphans", [FindOrphans(run, "orphans", {"units": digest}, "stars", judged)])
    lost = _shards(run, ["orphans"])
    orphans = [JudgeOrphans(run, f"orphans-{n:05d}", made_of(n, "orphans", *judged), n, "orphans") for n in lost]
    yield Step("judge", orphans)
    passed = tuple(task.name for task in orphans)
    inputs = {"units": digest_of(*(run.manifest("returned", name) for name in (*judged, *passed)))}
    inputs |= {"edges": digest_of(*run.entries("match"))}
    if inputs["units"] is None or not passed:
        return
    yield Step("return", [DecideReturns(run, "returns", inputs, passed, judged)])
    returns = run.manifest("returned", "returns")
    if returns is None or not returns.facts["shards"]:
        return
    found = []
    for n in sorted(shards):
        mine = f"partners-{n:05d}" if n in asked else None
        read = made_of(n, "returns", mine) if mine else made_of(n, "returns")
        found.append(FindRepeated(run, f"repeated-{n:05d}", read, n, "returns", mine))
    yield Step("repeated", found)
    names = tuple(task.name for task in found)
    inputs = {"units": digest_of(*(run.manifest("returned", name) for name in ("returns", *names)))}
    if inputs["units"] is None:
        return
    yield Step("rename", [RenameRepeated(run, "renamed", inputs, "returns", names)])
    corrected = []
    for n in _shards(run, ["returns", "renamed"]):
        own = (f"orphans-{n:05d}",) if n in lost else ()
        read = made_of(n, "returns", "renamed", *own)
        corrected.append(CorrectShard(run, shard_name(n), read, "returns", "renamed", own))
    yield Step("correct", corrected)


def _shards(run: Run, names: Sequence[str]) -> list[int]:
    """The shards in which the rows of units lie; none of a unit that failed."""
    return sorted({number for name in names if (m := run.manifest("returned", name)) for number in m.facts["shards"]})
