"""`match`: prints of all shards to what each shard must drop, in steps through sorted files.

1. Where there are many shards, their files of prints are merged in groups, so that a bucket is few and long reads.
2. A bucket of document hashes gives edges between equal documents; a bucket of bands, edges between near ones among
   the documents that are nobody's copy. Of near ones the texts are asked: a shard notes the shingles of its documents
   that stand in an edge, then the edges of a shard's documents are measured.
3. All edges together decide which documents go, and which document each of them repeats. Those that have its URL are
   recaptures.
4. A bucket of paragraph prints gives the paragraphs that repeat one of a document that stays.
5. Decisions are merged in groups and go back to the shard that owns the document, each by a contiguous read.

Shards that came together are a generation. Where the first copy stays, what was decided of one generation holds for
ever: a later one is matched against itself and against the prints of those before, of which only the first with the
same hash is looked up, and nothing of theirs is done again. Under the other policies a run that has grown is one
generation, judged again.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from cc100.layout import Run
from cc100.verbs.comparing import AskShingles, CompareEdges, NoteShingles
from cc100.verbs.matching import (
    EDGES,
    REPEATED,
    DecideDocuments,
    MatchDocuments,
    MatchParagraphs,
    MeasureLengths,
    MergePrints,
    MergeRows,
    NameRecaptures,
    NoteEqual,
    Pool,
    ReturnToGroup,
    ReturnToShard,
    plan_of,
    working_file,
)
from cc100.verbs.task import Step
from ccbuild.dedup.external.plan import FAN_IN, Cut, levels
from ccbuild.dedup.prints import BAND, DOCUMENT, KINDS, PARAGRAPH, URL
from ccbuild.errors import MismatchError
from ccbuild.index import Entry
from ccbuild.rundir import shard_name
from ccbuild.storage import digest_of

__all__ = ["steps"]


@dataclass(frozen=True, slots=True)
class _Range:
    """The shards of a generation."""

    first: int
    end: int
    """Number after that of the last shard."""
    cut: Cut | None
    """How it was cut when it was matched first."""


@dataclass(frozen=True, slots=True)
class _Shard:
    """What a plan asks of a shard."""

    number: int
    name: str
    documents: int
    prints: tuple[int, ...]
    """Of each kind."""
    stated: bytes
    """What `extract` wrote, as digests cover it."""

    @classmethod
    def of(cls, number: int, entry: Entry) -> _Shard:
        facts = entry.facts
        prints = tuple(facts["prints"][name] for name in KINDS)
        return cls(number, entry.unit, facts["documents"], prints, entry.stated())


def steps(run: Run) -> Iterator[Step]:
    """Of each generation merged prints, edges, documents, paragraphs, and back to the shards; each step needs all of
    the one before, and a generation those before it. What is done is found done."""
    shards = [_Shard.of(number, entry) for number, entry in run.shards("extract")]
    without = next((shard.name for shard in shards if shard.documents and not shard.prints[URL]), None)
    if run.recipe.match.documents and without:
        raise MismatchError(
            f"{run.folder('prints') / without}.parquet was made with match.documents=False, the config says True. "
            "Keep it with --set match.documents=False, or start a new --out."
        )
    earlier: list[_Generation] = []
    digest = hashlib.sha256()
    for found in _ranges(run, shards[-1].number + 1 if shards else 0):
        members = [shard for shard in shards if found.first <= shard.number < found.end]
        for shard in members:
            digest.update(shard.stated)
        cut = found.cut or _cut(run, members, grown=bool(earlier))
        pages = {shard.name: hashlib.sha256(shard.stated).hexdigest() for shard in members}
        generation = _Generation(run, found, cut, pages, digest.hexdigest(), tuple(earlier))
        yield from generation.steps()
        earlier.append(generation)


def _ranges(run: Run, end: int) -> list[_Range]:
    """The generations that the run has decided, and the new one of the shards after them."""
    config, found = run.recipe.match, list[_Range]()
    done = {entry.facts["first"]: entry.facts for entry in run.entries("match", "documents-")}
    grows = config.keep_document == "first" and config.keep == "first"
    if grows or (0 in done and done[0]["end"] == end):
        while facts := done.get(found[-1].end if found else 0):
            cut = Cut(*(tuple(facts["cut"][name]) for name in ("levels", "buckets")))
            found.append(_Range(facts["first"], facts["end"], cut))
    start = found[-1].end if found else 0
    return found if found and start >= end else [*found, _Range(start, end, None)]


def _cut(run: Run, shards: Sequence[_Shard], *, grown: bool) -> Cut:
    """The cut of a new generation of `shards`."""
    prints = [sum(shard.prints[kind] for shard in shards) for kind in range(len(KINDS))]
    rows = [count * 2 for count in prints] if grown else prints  # at most one known print comes with each
    return plan_of(run).cut(len(shards), rows, run.recipe.match.bucket_prints)


@dataclass(slots=True)
class _Generation:
    """The steps of one generation; knows the names of the units that the following ones ask for."""

    run: Run
    range: _Range
    cut: Cut
    shards: Mapping[str, str]
    """Its shards, by name, and the digests of their pages."""
    digest: str
    """Of what these shards and all before them wrote."""
    earlier: tuple[_Generation, ...]
    files: tuple[Path, ...] = ()
    """Its prints."""
    captures: list[str] = field(default_factory=list)
    """Units with its captures of URLs that an earlier document has."""
    lengths: tuple[str, ...] = ()
    """Units with the lengths of its documents, where the longest stays."""
    shingles: tuple[str, ...] = ()
    """Units with the shingles of the documents that stand in its edges."""

    def steps(self) -> Iterator[Step]:
        yield from self._merge_prints()
        edges: list[str] = []
        compared: list[str] = []
        recaptures = None
        if self.run.recipe.match.documents:
            yield from self._lengths()
            yield from self._edges(edges, compared)
        yield from self._decide(edges, compared)
        if self.run.recipe.match.documents:
            recaptures = self.name("recaptures")
            yield from self._buckets("urls", URL, None, self.captures)
            yield from self._merge_rows(EDGES, "merged-urls", self.captures)
            captures = tuple(name for g in (*self.earlier, self) for name in g.captures)
            inputs = self.made_of((self.name("documents"), *captures))
            yield Step("captures", [NameRecaptures(self.run, recaptures, inputs, self.name("documents"), captures)])
        parts: list[str] = []
        if self.run.recipe.match.paragraphs:
            yield from self._buckets("paragraphs", PARAGRAPH, self.name("documents"), parts)
            yield from self._merge_rows(REPEATED, "merged-paragraphs", parts)
        yield from self._return(parts, recaptures)

    def name(self, label: str, *numbers: int) -> str:
        """Name of a unit.

        >>> _Generation(None, _Range(7, 9, None), Cut((), ()), {}, "", ()).name("edges", 3)
        'edges-00007-00003'
        """
        return "-".join((label, *(f"{n:05d}" for n in (self.range.first, *numbers))))

    def made_of(self, names: Iterable[str], **more: Any) -> dict[str, Any]:
        """The inputs of a unit that reads other units of `match`, which have ended."""
        return {"units": digest_of(*(self.run.manifest("match", name) for name in names)), **more}

    def _pages(self, names: Iterable[str]) -> dict[str, str]:
        """The inputs of a unit that reads shards."""
        return {name: self.shards[name] for name in names}

    def _merge_prints(self) -> Iterator[Step]:
        """Merges the files of prints until a bucket is read from few."""
        names, below = list(self.shards), False
        for level, count in enumerate(self.cut.levels):
            groups = _groups(names)
            assert len(groups) == count
            found = [self.name("prints", level, i) for i in range(count)]
            yield Step(
                "prints",
                [
                    MergePrints(self.run, name, self.made_of(group), (), group)
                    if below
                    else MergePrints(self.run, name, self._pages(group), group, ())
                    for name, group in zip(found, groups, strict=True)
                ],
            )
            names, below = found, True
        merged = (working_file(self.run, f"{name}.parquet") for name in names)
        shards = (self.run.folder("prints") / f"{name}.parquet" for name in names)
        self.files = tuple(merged if below else shards)

    def _buckets(self, label: str, kind: int, without: str | None, names: list[str]) -> Iterator[Step]:
        """Matches one kind of prints; puts the units' names into `names`."""
        buckets = self.cut.buckets[kind]
        index = tuple(path for generation in self.earlier for path in generation.files)
        pool, task = Pool(kind, buckets, self.files, index, self.range.first, self.lengths), MatchDocuments
        if kind == PARAGRAPH:
            task = MatchParagraphs  # type: ignore[assignment]
        inputs: dict[str, Any] = {"prints": self.digest, "buckets": buckets}
        if kind == BAND and self.lengths:
            inputs |= {"lengths": digest_of(*(self.run.manifest("match", name) for name in self.lengths))}
        if without:
            inputs["without"] = digest_of(self.run.manifest("match", without))
        tasks = [task(self.run, self.name(label, b), inputs, pool, b, without) for b in range(buckets)]
        names += [t.name for t in tasks]
        yield Step(label, tasks)

    def _lengths(self) -> Iterator[Step]:
        """Measures the documents where the longest stays."""
        if self.run.recipe.match.keep_document == "longest":
            groups = enumerate(_groups(list(self.shards)))
            tasks = [MeasureLengths(self.run, self.name("lengths", i), self._pages(g), g) for i, g in groups]
            self.lengths = tuple(task.name for task in tasks)
            yield Step("lengths", tasks)

    def _edges(self, edges: list[str], compared: list[str]) -> Iterator[Step]:
        """Edges between equal documents, then between near ones."""
        before = self.earlier[-1].name("copies") if self.earlier else None
        yield from self._buckets("equal", DOCUMENT, None, edges)
        inputs = self.made_of((*edges, *([before] if before else [])), prints=self.digest)
        noted = NoteEqual(self.run, self.name("copies"), inputs, tuple(edges), self.range.end, before)
        yield Step("copies", [noted])
        near: list[str] = []
        yield from self._buckets("edges", BAND, noted.name, near)
        if self.run.recipe.match.min_jaccard > 0:
            yield from self._merge_rows(EDGES, "merged-near", near)
            yield from self._compare(near, compared)
        else:
            edges += near
        yield from self._merge_rows(EDGES, "merged-edges", edges)

    def _compare(self, near: Sequence[str], compared: list[str]) -> Iterator[Step]:
        """Measures the edges of `near` by the shingles of their documents; puts the units' names into `compared`."""
        asked = [AskShingles(self.run, self.name("asked", i), self.made_of([n]), n) for i, n in enumerate(near)]
        yield Step("ask", asked)
        names = tuple(task.name for task in asked)
        made = [self.run.manifest("match", name) for name in names]
        numbers = sorted({number for m in made if m for number in m.facts["shards"]})
        pages = {name: pages for g in (*self.earlier, self) for name, pages in g.shards.items()}
        groups = self._shard_groups([shard_name(number) for number in numbers])
        notes = [
            NoteShingles(self.run, self.name("shingles", i), self.made_of(names, **{n: pages[n] for n in g}), g, names)
            for i, g in enumerate(groups)
        ]
        yield Step("shingles", notes)
        self.shingles = tuple(task.name for task in notes)
        made_of = self.made_of((*near, *self.shingles))
        tasks = [
            CompareEdges(
                self.run, self.name("compared", i), {**made_of, "shards": list(g)}, tuple(near), g, self.shingles
            )
            for i, g in enumerate(self._shard_groups(list(self.shards)))
        ]
        compared += [task.name for task in tasks]
        yield Step("compare", tasks)

    def _shard_groups(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """Shards that are one unit's: each by itself while they are few."""
        return _groups(names) if self.cut.levels else [(name,) for name in names]

    def _decide(self, edges: Sequence[str], compared: Sequence[str]) -> Iterator[Step]:
        """Which documents go."""
        read = tuple(edges), tuple(compared), self.lengths
        earlier = tuple(g.name("documents") for g in self.earlier)
        decide = DecideDocuments(
            self.run,
            self.name("documents"),
            self.made_of(itertools.chain(*read, earlier), prints=self.digest),
            *read,
            self.range.first,
            self.range.end,
            self.cut,
            earlier,
        )
        yield Step("decide", [decide])

    def _merge_rows(self, schema: pa.Schema, label: str, names: list[str]) -> Iterator[Step]:
        """Merges sorted rows until they lie in few files; puts the names of these in the place of `names`."""
        for level, _ in enumerate(levels(len(names), FAN_IN)):
            groups = enumerate(_groups(names))
            tasks = [
                MergeRows(self.run, self.name(label, level, i), self.made_of(group), schema, group)
                for i, group in groups
            ]
            yield Step("merge", tasks)
            names[:] = [task.name for task in tasks]

    def _return(self, parts: Sequence[str], recaptures: str | None) -> Iterator[Step]:
        """Decisions to the shards that own the documents."""
        owner: dict[str, tuple[str, ...]] = dict.fromkeys(self.shards, tuple(parts))
        if parts and self.cut.levels:
            groups: Any = enumerate(_groups(list(self.shards)))
            units = self.made_of(parts)
            returns = [
                ReturnToGroup(self.run, self.name("return", i), {**units, "shards": list(group)}, group, tuple(parts))
                for i, group in groups
            ]
            yield Step("groups", returns)
            owner = {name: (task.name,) for task in returns for name in task.shards}
        gone = self.name("documents")
        chained = self.run.recipe.match.linkage == "chain"
        noted = tuple(g.shingles for g in (self, *reversed(self.earlier)) if chained and g.shingles)
        read = (gone, *([recaptures] if recaptures else []), *itertools.chain.from_iterable(noted))
        made = {names: self.made_of((*read, *names)) for names in set(owner.values())}
        tasks = [
            ReturnToShard(self.run, name, {**made[owner[name]], "pages": pages}, gone, recaptures, owner[name], noted)
            for name, pages in self.shards.items()
        ]
        yield Step("shards", tasks)


def _groups(names: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(names[i : i + FAN_IN]) for i in range(0, len(names), FAN_IN)]
