"""`extract`: archives to pages, and the prints by which duplicates are found."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cc100.layout import Run, Source
from cc100.recipe import verb_contents
from cc100.verbs.task import Step
from ccbuild.addresses import KEYS, SCHEMA, group_name, shard_rows
from ccbuild.border import is_set_apart, page_address, survivors
from ccbuild.dedup.external.printfile import PrintSorter
from ccbuild.dedup.external.sorting import Sorter
from ccbuild.dedup.external.tables import dtype_of, write_blocks
from ccbuild.dedup.paragraphs import document_hash, text_paragraph_hashes
from ccbuild.dedup.prints import Prints, band_prints, document_prints, paragraph_prints, scheme, url_prints
from ccbuild.dedup.signatures import band_hashes, sign
from ccbuild.errors import DataError, InputError
from ccbuild.langid.sieve import Sieve
from ccbuild.ledger import Ledger
from ccbuild.progress import counted
from ccbuild.records import PAGE_SCHEMA, REFUSED_SCHEMA, Document, Refused, doc_id, to_table
from ccbuild.rundir import FOLDERS, INNER, Input, shard_name, shard_number
from ccbuild.runner import ArchiveReader, Timings
from ccbuild.stages.language import open_cascade
from ccbuild.storage import PARQUET, Manifest, Unit, digest_of

__all__ = ["sketch", "steps"]

BATCH = 2048
"""Most pages that are printed and written at a time."""
BATCH_CHARACTERS = 1 << 25
"""Characters from which on a batch takes no further page, so that long pages are not held in thousands."""


@dataclass(frozen=True, slots=True)
class ExtractShard:
    """The archives of one shard."""

    run: Run
    shard: int
    sources: tuple[Source, ...]
    by_record: ClassVar[bool] = True
    shared: Mapping[str, Any]
    """What the units of all shards are made of beside their archives."""

    @property
    def name(self) -> str:
        return shard_name(self.shard)

    @property
    def nbytes(self) -> int:
        """What it reads, as far as is known."""
        return sum(source.size or 0 for source in self.sources)

    def unit(self) -> Unit:
        archives = {source.name: source.facts for source in self.sources}
        local = {s.name: s.path for s in self.sources if s.crawl is None and "://" not in s.path}
        return self.run.unit("extract", self.name, {**archives, **self.shared}, archives=local)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger = Ledger()
        archives: dict[str, Any] = {}
        unparsed, characters = Counter[str](), Counter[str]()
        damage: list[dict[str, Any]] = []
        recipe, sieve = self.run.recipe, None
        if recipe.sieved:
            sieve = Sieve(open_cascade(self.run.folder("prepare")), recipe.languages, recipe.sieve)
        with (
            pq.ParquetWriter(unit.path(f"{self.name}.parquet"), PAGE_SCHEMA, **PARQUET) as pages,
            pq.ParquetWriter(
                unit.path(f"../{INNER['refused']}/{self.name}.parquet"), REFUSED_SCHEMA, **PARQUET
            ) as refused,
        ):
            made = scheme(recipe.dedup.signature, recipe.dedup.paragraphs)
            prints = PrintSorter(made, unit.scratch, recipe.run.spare_bytes)
            out = _Output(self, pages, refused, prints, ledger, timings)
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
                _check_size(source, reader.size)
                unparsed.update(reader.unparsed)
                characters.update(reader.characters)
                archives[source.name] = {"size": reader.size, "sha256": reader.sha256}
                damage += [{"archive": source.name, **dataclasses.asdict(d)} for d in reader.damage]
            out.flush()
        with timings.measure("write"):
            counts = prints.write(unit.path(f"../{FOLDERS['prints']}/{self.name}.parquet"))
        facts = {"archives": archives, "damage": damage, "prints": counts, "documents": out.rows}
        if out.lost:
            facts["set_apart"] = out.lost
        facts["unparsed"] = {limit: unparsed[limit] for limit in sorted(unparsed)}
        facts["characters"] = {kind: characters[kind] for kind in sorted(characters)}
        if sieve:
            facts["duplicates_sought_within"] = list(recipe.languages)
        return unit.commit(ledger, facts=facts)


def _check_size(source: Source, read: int) -> None:
    """Raise `DataError` where a file changed between the table of inputs and its end."""
    if source.crawl is None and source.size not in (None, read):
        how = "grew" if read > (source.size or 0) else "shrank"
        raise DataError(
            f"{source.path} {how} while it was read: {source.size:,} bytes admitted, {read:,} read. Wait until nothing "
            "writes it; then put back the file that was admitted, or start a new --out."
        )


@dataclass(slots=True)
class _Output:
    """Gives addresses to pages, prints them and writes them, a batch at a time."""

    task: ExtractShard
    pages: Any
    refused: Any
    prints: PrintSorter
    ledger: Ledger
    timings: Timings
    rows: int = 0
    lost: list[list[str]] = field(default_factory=list)
    """Address and cause of each page that was set apart."""
    _kept: list[Document] = field(default_factory=list)
    _characters: int = 0
    _lost: list[Refused] = field(default_factory=list)

    def add(self, page: Document | Refused) -> None:
        if isinstance(page, Document):
            self._kept.append(page)
            self._characters += page.characters
        else:
            self._lost.append(page)
            if is_set_apart(page.reason):
                self.lost.append([page_address(page.archive, page.offset), page.reason])
        if len(self._kept) + len(self._lost) >= BATCH or self._characters >= BATCH_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        if self._kept:
            prints, pages, lost = survivors("prints", self._kept, _address, self._printed)
            for page, cause in lost:
                self._take_back(page, cause)
            with self.timings.measure("write"):
                self.prints.add(prints)
                self.pages.write_table(to_table(pages, PAGE_SCHEMA, doc_id=self._addresses(len(pages))))
            self.rows += len(pages)
        if self._lost:
            with self.timings.measure("write"):
                self.refused.write_table(to_table(self._lost, REFUSED_SCHEMA))
        self._kept.clear()
        self._lost.clear()
        self._characters = 0

    def _addresses(self, pages: int) -> NDArray[np.uint64]:
        """Of the next `pages` pages."""
        return np.arange(pages, dtype=np.uint64) + np.uint64(doc_id(self.task.shard, self.rows))

    def _printed(self, pages: Sequence[Document]) -> list[Prints]:
        """The prints of pages that get the next addresses."""
        return sketch(pages, self._addresses(len(pages)), self.task.run, self.timings) if pages else []

    def _take_back(self, page: Document, cause: str) -> None:
        """A page that was kept is set apart after all."""
        self.ledger["records"].take_back(cause)
        self.ledger["paragraphs"].take_back(cause, len(page.paragraphs))
        self._lost.append(
            Refused(url=page.url, archive=page.archive, offset=page.offset, length=page.length, reason=cause)
        )
        self.lost.append([page_address(page.archive, page.offset), cause])


def _address(page: Document) -> str:
    return page_address(page.archive, page.offset)


def sketch(documents: Sequence[Document], ids: NDArray[np.uint64], run: Run, timings: Timings) -> list[Prints]:
    """The prints of a batch of documents with these addresses: of the whole, of its bands, of its paragraphs, of its
    URL."""
    config, texts = run.recipe.dedup, [document.text for document in documents]
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


@dataclass(frozen=True, slots=True)
class WriteAddresses:
    """Where the URLs, digests and texts of a group of shards stand; see :mod:`ccbuild.addresses`."""

    run: Run
    name: str
    shards: Mapping[str, Any]
    """Name to the digest of what `extract` made of each."""

    def unit(self) -> Unit:
        return self.run.unit("extract", self.name, self.shards, "addresses")

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        rows = Sorter(dtype_of(SCHEMA), KEYS, unit.scratch("x").parent, self.run.recipe.run.spare_bytes)
        with timings.measure("addresses"):
            for shard in counted(map(shard_number, self.shards), "shards", len(self.shards)):
                for block in shard_rows(self.run, shard):
                    rows.add(block)
            write_blocks(unit.path(f"{self.name}.parquet"), SCHEMA, rows.blocks())
        return unit.commit(Ledger(), facts={"rows": rows.rows})


def steps(run: Run, sources: Sequence[Source], table: Sequence[Input]) -> Iterator[Step]:
    """One unit a shard, for every shard of which an archive was named, the largest first; then where everything stands,
    of all shards that the run has."""
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
    shared: dict[str, Any] = {**verb_contents(run.recipe, "extract")}
    if run.recipe.sieved:
        shared["identifier"] = digest_of(run.manifest("prepare", "identifier"))
    tasks = [ExtractShard(run, shard, tuple(found), shared) for shard, found in shards.items()]
    tasks.sort(key=lambda task: (-task.nbytes, task.shard))
    yield Step("shards", tasks)
    groups: dict[str, dict[str, Any]] = {}
    for number, made in run.shards("extract"):
        groups.setdefault(group_name(number), {})[made.unit] = digest_of(made)
    yield Step("addresses", [WriteAddresses(run, name, group) for name, group in groups.items()])
