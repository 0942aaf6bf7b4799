"""`match`: prints of all shards to what each shard must drop, in steps through sorted files.

1. Where there are many shards, their files of prints are merged in groups, so that a bucket is few and long reads.
2. A bucket of document hashes gives edges between equal documents; a bucket of bands, edges between near ones among
   the documents that are nobody's copy.
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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from cc100.layout import Run
from cc100.verbs.matching import (
    EDGES,
    REPEATED,
    CheckEdges,
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
)
from cc100.verbs.task import Step
from ccbuild.dedup.external.plan import FAN_IN, Cut, levels
from ccbuild.dedup.prints import BAND, DOCUMENT, KINDS, PARAGRAPH, URL
from ccbuild.errors import MismatchError
from ccbuild.storage import Manifest, digest_of

__all__ = ["steps"]


@dataclass(frozen=True, slots=True)
class _Range:
    """The shards of a generation."""

    first: int
    end: int
    """Number after that of the last shard."""
    cut: Cut | None
    """How it was cut when it was matched first."""


def steps(run: Run) -> Iterator[Step]:
    """Of each generation merged prints, edges, documents, paragraphs, and back to the shards; each step needs all of
    the one before, and a generation those before it. What is done is found done."""
    shards = run.shards("extract")
    without = next((m.unit for m in shards.values() if m.facts["documents"] and not m.facts["prints"]["urls"]), None)
    if run.recipe.match.documents and without:
        raise MismatchError(
            f"{run.folder('prints') / without}.parquet was made with match.documents=False, the config says True. "
            "Keep it with --set match.documents=False, or start a new --out."
        )
    earlier: list[_Generation] = []
    for found in _ranges(run, max(shards, default=-1) + 1):
        digest = digest_of(*(m for number, m in shards.items() if number < found.end)) or ""
        members = {m.unit: m for number, m in shards.items() if found.first <= number < found.end}
        cut = found.cut or _cut(run, list(members.values()), grown=bool(earlier))
        generation = _Generation(run, found, cut, members, digest, tuple(earlier))
        yield from generation.steps()
        earlier.append(generation)


def _ranges(run: Run, end: int) -> list[_Range]:
    """The generations that the run has decided, and the new one of the shards after them."""
    config, found = run.recipe.match, list[_Range]()
    done = {m.facts["first"]: m.facts for m in run.manifests("match", "documents-*.json").values()}
    grows = config.keep_document == "first" and config.keep == "first"
    if grows or (0 in done and done[0]["end"] == end):
        while facts := done.get(found[-1].end if found else 0):
            cut = Cut(*(tuple(facts["cut"][name]) for name in ("levels", "buckets")))
            found.append(_Range(facts["first"], facts["end"], cut))
    start = found[-1].end if found else 0
    return found if found and start >= end else [*found, _Range(start, end, None)]


def _cut(run: Run, shards: Sequence[Manifest], *, grown: bool) -> Cut:
    """The cut of a new generation of `shards`."""
    prints = [sum(m.facts["prints"][name] for m in shards) for name in KINDS]
    rows = [count * 2 for count in prints] if grown else prints  # at most one known print comes with each
    return plan_of(run).cut(len(shards), rows, run.recipe.match.bucket_prints)


@dataclass(slots=True)
class _Generation:
    """The steps of one generation; knows the names of the units that the following ones ask for."""

    run: Run
    range: _Range
    cut: Cut
    shards: Mapping[str, Manifest]
    """Its shards, by name."""
    digest: str
    """Of what these shards and all before them wrote."""
    earlier: tuple[_Generation, ...]
    files: tuple[Path, ...] = ()
    """Its prints."""
    captures: list[str] = field(default_factory=list)
    """Units with its captures of URLs that an earlier document has."""

    def steps(self) -> Iterator[Step]:
        yield from self._merge_prints()
        edges: list[str] = []
        recaptures = None
        if self.run.recipe.match.documents:
            yield from self._edges(edges)
        yield from self._decide(edges)
        if self.run.recipe.match.documents:
            recaptures = self.name("recaptures")
            yield from self._buckets("urls", URL, None, self.captures)
            yield from self._merge_rows(EDGES, "merged-urls", self.captures)
            captures = tuple(name for g in (*self.earlier, self) for name in g.captures)
            yield Step("captures", [NameRecaptures(self.run, recaptures, self.name("documents"), captures)])
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

    def _merge_prints(self) -> Iterator[Step]:
        """Merges the files of prints until a bucket is read from few."""
        names, below = list(self.shards), False
        for level, count in enumerate(self.cut.levels):
            groups = _groups(names)
            assert len(groups) == count
            found = [self.name("prints", level, i) for i in range(count)]
            pairs = zip(found, groups, strict=True)
            yield Step("prints", [MergePrints(self.run, n, () if below else g, g if below else ()) for n, g in pairs])
            names, below = found, True
        folder = self.run.folder("match" if below else "prints")
        self.files = tuple(folder / f"{name}.parquet" for name in names)

    def _buckets(self, label: str, kind: int, without: str | None, names: list[str]) -> Iterator[Step]:
        """Matches one kind of prints; puts the units' names into `names`."""
        buckets = self.cut.buckets[kind]
        index = tuple(path for generation in self.earlier for path in generation.files)
        pool, task = Pool(kind, buckets, self.files, index, self.digest), MatchDocuments
        if kind == PARAGRAPH:
            task = MatchParagraphs  # type: ignore[assignment]
        tasks = [task(self.run, self.name(label, b), pool, b, without) for b in range(buckets)]
        names += [t.name for t in tasks]
        yield Step(label, tasks)

    def _edges(self, edges: list[str]) -> Iterator[Step]:
        """Edges between equal documents, then between near ones."""
        before = self.earlier[-1].name("copies") if self.earlier else None
        yield from self._buckets("equal", DOCUMENT, None, edges)
        noted = NoteEqual(self.run, self.name("copies"), tuple(edges), self.range.end, before, self.digest)
        yield Step("copies", [noted])
        near: list[str] = []
        yield from self._buckets("edges", BAND, noted.name, near)
        if self.run.recipe.match.min_jaccard > 0:
            checks = [CheckEdges(self.run, self.name("checked", b), n, self.digest) for b, n in enumerate(near)]
            yield Step("check", checks)
            near = [task.name for task in checks]
        edges += near
        yield from self._merge_rows(EDGES, "merged-edges", edges)

    def _decide(self, edges: Sequence[str]) -> Iterator[Step]:
        """Which documents go."""
        lengths: list[MeasureLengths] = []
        config = self.run.recipe.match
        if config.documents and config.keep_document == "longest":
            groups = enumerate(_groups(list(self.shards)))
            lengths = [MeasureLengths(self.run, self.name("lengths", i), group) for i, group in groups]
            yield Step("lengths", lengths)
        decide = DecideDocuments(
            self.run,
            self.name("documents"),
            tuple(edges),
            tuple(task.name for task in lengths),
            self.range.first,
            self.range.end,
            self.cut,
            tuple(g.name("documents") for g in self.earlier),
            self.digest,
        )
        yield Step("decide", [decide])

    def _merge_rows(self, schema: pa.Schema, label: str, names: list[str]) -> Iterator[Step]:
        """Merges sorted rows until they lie in few files; puts the names of these in the place of `names`."""
        for level, _ in enumerate(levels(len(names), FAN_IN)):
            groups = enumerate(_groups(names))
            tasks = [MergeRows(self.run, self.name(label, level, i), schema, group) for i, group in groups]
            yield Step("merge", tasks)
            names[:] = [task.name for task in tasks]

    def _return(self, parts: Sequence[str], recaptures: str | None) -> Iterator[Step]:
        """Decisions to the shards that own the documents."""
        owner: dict[str, tuple[str, ...]] = dict.fromkeys(self.shards, tuple(parts))
        if parts and self.cut.levels:
            groups: Any = enumerate(_groups(list(self.shards)))
            returns = [ReturnToGroup(self.run, self.name("return", i), group, tuple(parts)) for i, group in groups]
            yield Step("groups", returns)
            owner = {name: (task.name,) for task in returns for name in task.shards}
        gone = self.name("documents")
        yield Step("shards", [ReturnToShard(self.run, n, gone, recaptures, owner[n]) for n in self.shards])


def _groups(names: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(names[i : i + FAN_IN]) for i in range(0, len(names), FAN_IN)]
