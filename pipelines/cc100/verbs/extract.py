"""`extract`: archives to pages, and the prints by which duplicates are found."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from cc100.layout import Run, Source
from cc100.recipe import verb_contents
from cc100.verbs.task import Step
from ccbuild.dedup.external.printfile import write_prints
from ccbuild.dedup.paragraphs import document_hash, text_paragraph_hashes
from ccbuild.dedup.prints import Prints, band_prints, document_prints, paragraph_prints, scheme, url_prints
from ccbuild.dedup.signatures import band_hashes, sign
from ccbuild.errors import InputError
from ccbuild.langid.sieve import Sieve
from ccbuild.ledger import Ledger
from ccbuild.progress import counted
from ccbuild.records import PAGE_SCHEMA, REFUSED_SCHEMA, Document, Refused, doc_id, to_table
from ccbuild.rundir import FOLDERS, Input, shard_name
from ccbuild.runner import ArchiveReader, Timings
from ccbuild.stages.language import open_cascade
from ccbuild.storage import PARQUET, Manifest, Unit, digest_of

__all__ = ["sketch", "steps"]

BATCH = 2048
"""Pages that are printed and written at a time."""


@dataclass(frozen=True, slots=True)
class ExtractShard:
    """The archives of one shard."""

    run: Run
    shard: int
    sources: tuple[Source, ...]
    shared: Mapping[str, Any]
    """What the units of all shards are made of beside their archives."""
    prints_first: bool = False
    """Numba compiles for 8 s each for pages and for prints, once a machine: two workers begin at two ends of that."""

    @property
    def name(self) -> str:
        return shard_name(self.shard)

    def unit(self) -> Unit:
        archives = {source.name: source.facts for source in self.sources}
        return self.run.unit("extract", self.name, {**archives, **self.shared})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        if self.prints_first:
            sketch([Document(paragraphs=("a text of more words than a shingle has",), doc_id=0)], self.run, Timings())
        ledger = Ledger()
        archives: dict[str, Any] = {}
        unparsed: Counter[str] = Counter()
        damage: list[dict[str, Any]] = []
        recipe, sieve = self.run.recipe, None
        if recipe.sieved:
            sieve = Sieve(open_cascade(self.run.folder("prepare")), recipe.languages, recipe.sieve)
        with (
            pq.ParquetWriter(unit.path(f"{self.name}.parquet"), PAGE_SCHEMA, **PARQUET) as pages,
            pq.ParquetWriter(unit.path(f"{self.name}.refused.parquet"), REFUSED_SCHEMA, **PARQUET) as refused,
        ):
            out = _Output(self, pages, refused, timings)
            for source in self.sources:
                reader = ArchiveReader(
                    path=source.path,
                    name=source.name,
                    config=recipe.extract,
                    ledger=ledger,
                    limits=recipe.limits,
                    rights=recipe.rights,
                    crawl=(recipe.crawl, source.crawl) if source.crawl else None,
                    wanted=sieve.wants if sieve else None,
                    timings=timings,
                )
                for page in counted(reader, "pages"):
                    out.add(page)
                unparsed.update(reader.unparsed)
                archives[source.name] = {"size": reader.size, "sha256": reader.sha256}
                damage += [{"archive": source.name, **dataclasses.asdict(d)} for d in reader.damage]
            out.flush()
        with timings.measure("write"):
            prints = Prints.concatenate(out.prints)
            made = scheme(self.run.recipe.dedup.signature, self.run.recipe.dedup.paragraphs)
            counts = write_prints(unit.path(f"../{FOLDERS['prints']}/{self.name}.parquet"), prints, scheme=made)
        facts = {"archives": archives, "damage": damage, "prints": counts, "documents": out.rows}
        facts["unparsed"] = {limit: unparsed[limit] for limit in sorted(unparsed)}
        if sieve:
            facts["duplicates_sought_within"] = list(recipe.languages)
        return unit.commit(ledger, facts=facts)


@dataclass(slots=True)
class _Output:
    """Gives addresses to pages, prints them and writes them, a batch at a time."""

    task: ExtractShard
    pages: Any
    refused: Any
    timings: Timings
    rows: int = 0
    prints: list[Prints] = field(default_factory=list)
    _kept: list[Document] = field(default_factory=list)
    _lost: list[Refused] = field(default_factory=list)

    def add(self, page: Document | Refused) -> None:
        if isinstance(page, Document):
            self._kept.append(dataclasses.replace(page, doc_id=doc_id(self.task.shard, self.rows)))
            self.rows += 1
        else:
            self._lost.append(page)
        if len(self._kept) + len(self._lost) >= BATCH:
            self.flush()

    def flush(self) -> None:
        if self._kept:
            self.prints += sketch(self._kept, self.task.run, self.timings)
            with self.timings.measure("write"):
                self.pages.write_table(to_table(self._kept, PAGE_SCHEMA))
        if self._lost:
            with self.timings.measure("write"):
                self.refused.write_table(to_table(self._lost, REFUSED_SCHEMA))
        self._kept.clear()
        self._lost.clear()


def sketch(documents: Sequence[Document], run: Run, timings: Timings) -> list[Prints]:
    """The prints of a batch of documents: of the whole, of its bands, of its paragraphs, of its URL."""
    config, texts = run.recipe.dedup, [document.text for document in documents]
    ids = np.array([document.doc_id for document in documents], np.uint64)
    with timings.measure("paragraph hashes"):
        hashes, counts = text_paragraph_hashes(texts, config.paragraphs)
        found = [paragraph_prints(hashes, counts, ids)]
    if run.recipe.match.documents:
        with timings.measure("signatures"):
            signatures = sign(texts, config.signature)
            bands = band_hashes(signatures.values, config.signature)
            found.append(band_prints(bands, signatures.present, ids))
            whole = np.fromiter((document_hash(text) for text in texts), np.uint64, len(texts))
            found.append(document_prints(whole, ids))
            found.append(url_prints([document.url for document in documents], ids))
    return found


def steps(run: Run, sources: Sequence[Source], table: Sequence[Input]) -> Iterator[Step]:
    """One unit a shard, for every shard of which an archive was named, the largest first."""
    known = {source.name: source for source in sources}
    begun = {entry.shard for entry in table if entry.archive in known}
    shards: dict[int, list[Source]] = {}
    for entry in table:
        if entry.archive in known:
            shards.setdefault(entry.shard, []).append(known[entry.archive])
        elif entry.shard in begun:
            raise InputError(
                f"{entry.archive} is in one shard with archives that --input names, but is not named itself. "
                "Name all archives that the run has read before."
            )
    nbytes = {shard: sum(source.size or 0 for source in found) for shard, found in shards.items()}
    largest = sorted(shards, key=lambda shard: (-nbytes[shard], shard))
    shared: dict[str, Any] = {**verb_contents(run.recipe, "extract")}
    if run.recipe.sieved:
        shared["identifier"] = digest_of(run.manifest("prepare", "identifier"))
    yield Step("shards", [ExtractShard(run, n, tuple(shards[n]), shared, i % 2 == 1) for i, n in enumerate(largest)])
