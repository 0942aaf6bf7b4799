"""`publish`: each language's documents, cut by perplexity, in CC-100's form and as Parquet."""

from __future__ import annotations

import functools
import hashlib
import itertools
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cc100.layout import Run
from cc100.recipe import verb_contents, verb_settings
from cc100.verbs.task import Step
from ccbuild.card import describe
from ccbuild.config import fingerprint
from ccbuild.contamination.benchmarks import items_digest
from ccbuild.contamination.overlaps import Benchmarks
from ccbuild.corpus import CorpusWriter
from ccbuild.langid.audit import read_audit
from ccbuild.ledger import Ledger
from ccbuild.lm.cutoffs import Cutoffs, CutoffTable, bucket, cutoffs, interval
from ccbuild.missing import missing_units
from ccbuild.records import DOCUMENT_SCHEMA, ROW_BITS, doc_id
from ccbuild.rundir import FOLDERS, shard_name
from ccbuild.runner import Timings
from ccbuild.storage import Manifest, Unit, digest_of, open_parquet, write_table

__all__ = ["steps"]

_SIZES_SCHEMA = pa.schema([("doc_id", pa.uint64()), ("cluster_size", pa.int64())])
_WAITING = 1 << 20
"""Rows that wait at least before they are put to the others, so that these are not gone through for each shard."""
_BATCH = 64
"""Documents in memory at once."""
_NUMBERS = 1 << 16
"""Perplexities in memory at once."""


@dataclass(frozen=True, slots=True)
class CountClusters:
    """How many documents each document stands for that others were dropped for, over all shards."""

    run: Run
    decisions: str
    """Digest of what was decided of all shards."""
    name: str = "cluster_sizes"

    def unit(self) -> Unit:
        inputs = {"shards": self.decisions}
        return self.run.unit("match", self.name, inputs, "clusters")  # no setting of `publish` changes it

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        """Memory: 32 bytes a document that has duplicates, and one shard's decisions."""
        sizes, waiting, rows_waiting = _SIZES_SCHEMA.empty_table(), list[pa.Table](), 0
        for shard in self.run.numbers("match"):
            rows = pq.read_table(
                self.run.decisions(shard),
                columns=["partner"],
                filters=pc.field("paragraph").is_null() & pc.field("partner").is_valid(),
            )
            waiting.append(pa.table([rows["partner"], np.ones(len(rows), np.int64)], schema=_SIZES_SCHEMA))
            rows_waiting += len(rows)
            if rows_waiting > max(len(sizes), _WAITING):
                sizes, waiting, rows_waiting = _summed([sizes, *waiting]), [], 0
        sizes = _summed([sizes, *waiting]).sort_by("doc_id").combine_chunks()
        sizes = sizes.set_column(1, _SIZES_SCHEMA.field(1), pc.add(sizes["cluster_size"], 1))  # and itself
        write_table(unit.path(f"{self.name}.parquet"), sizes)
        shards = sizes["doc_id"].to_numpy() >> np.uint64(ROW_BITS)
        bounds = [*np.flatnonzero(np.diff(shards, prepend=np.uint64(1 << 33))), len(shards)]
        digests = {}
        for start, stop in itertools.pairwise(bounds):
            part = sizes.slice(start, stop - start)
            content = b"".join(part[name].to_numpy().tobytes() for name in _SIZES_SCHEMA.names)
            digests[shard_name(int(shards[start]))] = hashlib.sha256(content).hexdigest()
        ledger = Ledger()
        ledger["clusters"].keep(len(sizes))
        return unit.commit(ledger, facts={"shards": digests})


def _summed(parts: list[pa.Table]) -> pa.Table:
    """Each document once, with the number of those that went for it."""
    grouped = pa.concat_tables(parts).group_by("doc_id", use_threads=False)
    return grouped.aggregate([("cluster_size", "sum")]).rename_columns(_SIZES_SCHEMA.names)


class _ClusterSizes:
    """What `CountClusters` wrote, opened once and asked for a shard at a time."""

    def __init__(self, file: pq.ParquetFile) -> None:
        self._file = file
        groups = (file.metadata.row_group(g).column(0).statistics for g in range(file.num_row_groups))
        bounds = [(found.min, found.max) for found in groups]
        self._first, self._last = np.array(bounds, np.uint64).reshape(-1, 2).T

    def of(self, number: int) -> dict[int, int]:
        """Document to the number that it stands for, of those of a shard that stand for more than themselves."""
        first, end = np.uint64(doc_id(number, 0)), np.uint64(doc_id(number + 1, 0))
        groups = range(np.searchsorted(self._last, first), np.searchsorted(self._first, end))
        if not groups:
            return {}
        rows = self._file.read_row_groups(list(groups))
        start, stop = np.searchsorted(rows["doc_id"].to_numpy(), np.array([first, end]))
        rows = rows.slice(start, stop - start)
        return dict(zip(rows["doc_id"].to_pylist(), rows["cluster_size"].to_pylist(), strict=True))


@dataclass(frozen=True, slots=True)
class PublishLanguage:
    """One language of every shard."""

    run: Run
    lang: str
    shards: array[int]
    """Numbers of those that hold the language."""
    shared: Mapping[str, Any]
    """What the units of all languages are made of."""
    digest: str
    """Of what these shards hold, and of the numbers that their documents stand for."""

    @property
    def name(self) -> str:
        return self.lang

    def unit(self) -> Unit:
        return self.run.unit(
            "publish", self.lang, {"shards": self.digest, "precision": self._held_back(), **self.shared}
        )

    def _batches(self, shard: int, columns: list[str], rows: int = _BATCH) -> Iterator[pa.Table]:
        """Rows of the language in one shard by address, from the row groups that hold it."""
        with open_parquet(self.run.file("refine", shard)) as file:
            index = file.schema_arrow.get_field_index("lang")
            groups = [
                g
                for g in range(file.num_row_groups)
                if file.metadata.row_group(g).column(index).statistics.min == self.lang
            ]
            for batch in file.iter_batches(rows, row_groups=groups, columns=columns):
                yield pa.Table.from_batches([batch])

    def _perplexities(self, path: Path) -> NDArray[np.float64]:
        """Those of all documents that have one; they lie in a file, 8 bytes each."""
        with path.open("wb") as stream:
            for shard in self.shards:
                for table in self._batches(shard, ["perplexity"], _NUMBERS):
                    stream.write(pc.drop_null(table["perplexity"]).to_numpy().tobytes())
        if not path.stat().st_size:  # nothing can be mapped of it
            return np.empty(0)
        return np.memmap(path, np.float64, "r")

    def _documents(self) -> Iterator[pa.Table]:
        """Every document of the language with the number that it stands for."""
        with open_parquet(self.run.folder("clusters") / "cluster_sizes.parquet") as file:
            counted = _ClusterSizes(file)
            for shard in self.shards:
                stands_for = counted.of(shard)
                for table in self._batches(shard, DOCUMENT_SCHEMA.names):
                    sizes = [stands_for.get(doc, 1) for doc in table["doc_id"].to_pylist()]
                    yield table.append_column("cluster_size", pa.array(sizes, pa.int64()))

    def _given(self) -> Cutoffs | None:
        """The cutoffs that the recipe's table has for the language."""
        config = self.run.recipe.publish
        if config.cutoffs is None:
            return None
        return CutoffTable.read(config.cutoffs).at(*config.shares).get(self.lang)

    def _held_back(self) -> float | None:
        """The precision that the audit found, where it is too low to publish the language."""
        config = self.run.recipe.publish
        if config.audit is None:
            return None
        precision = read_audit(config.audit).get(self.lang)
        return precision if precision is not None and precision < config.min_precision else None

    def _holds_items(self, table: pa.Table) -> NDArray[np.bool_]:
        """Whether each document holds an item of a benchmark that is not to be in the corpus."""
        holds, what = np.zeros(len(table), np.bool_), self.run.recipe.publish.decontaminate
        if what is not None:
            found = _benchmarks(what, self.shared["benchmarks"]).find(table["text"].to_pylist())
            holds[[overlap.document for overlap in found]] = True
        return holds

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        config, ledger = self.run.recipe.publish, Ledger()
        held_back = self._held_back()
        with timings.measure("cutoffs"):
            values = self._perplexities(unit.scratch("perplexities"))
            given, (head, middle) = self._given(), config.shares
            cut = given or cutoffs(values, head, middle, min_documents=config.min_documents)
        counts: Counter[str] = Counter()
        with (
            timings.measure("write"),
            CorpusWriter(
                unit, self.lang, shard_bytes=config.shard_megabytes * 1_000_000, xz_preset=config.xz_preset
            ) as writer,
        ):
            for table in self._documents():
                buckets = _buckets(table["perplexity"].to_numpy(), cut)
                wanted = np.isin(buckets, config.buckets)
                drawn = (buckets != "tail") | _drawn(table["doc_id"].to_numpy(), config.tail_share)
                holds = self._holds_items(table) if held_back is None else np.zeros(len(table), np.bool_)
                chosen = wanted & drawn & ~holds
                columns = buckets.tolist(), wanted.tolist(), drawn.tolist(), chosen.tolist()
                for label, of_wanted, of_drawn, keep in zip(*columns, strict=True):
                    counts[label] += 1
                    if held_back is not None:
                        ledger["documents"].drop("audit_below_min_precision")
                    elif keep:
                        ledger["documents"].keep()
                    elif of_wanted and of_drawn:
                        ledger["documents"].drop("benchmark_item")
                    else:
                        ledger["documents"].drop("tail_share" if of_wanted else f"bucket_{label}")
                if held_back is None:
                    table = table.append_column("bucket", pa.array(buckets, pa.string()))
                    writer.add(table.filter(pa.array(chosen)))
            written = writer.close()
        facts = {
            **written,
            "buckets": {k: counts[k] for k in sorted(counts)},
            "cutoffs": None
            if cut is None
            else {
                "head": cut.head,
                "middle": cut.middle,
                "documents": cut.n,
                "given": given is not None,
                "head_95": None if given else interval(values, head),
                "middle_95": None if given else interval(values, middle),
            },
        }
        if held_back is not None:
            facts["precision"] = held_back
        return unit.commit(ledger, facts=facts)


@functools.lru_cache(maxsize=1)
def _benchmarks(what: str, digest: str) -> Benchmarks:
    """Items of benchmarks, indexed once a process; `digest` tells them from what stood there before."""
    return Benchmarks.read([what])


def _buckets(perplexities: NDArray[np.float64], cut: Cutoffs | None) -> NDArray[np.str_]:
    """The bucket of each document; NaN (no perplexity) and languages without cutoffs are `all`."""
    return np.array(["all" if cut is None or np.isnan(p) else bucket(p, cut) for p in perplexities], dtype=np.str_)


def _drawn(identifiers: NDArray[np.uint64], share: float) -> NDArray[np.bool_]:
    """A seeded draw of a `share` of the documents: by their identifiers, so that no run and no order changes it."""
    mixed = (identifiers.astype(np.uint64) ^ np.uint64(0x5851F42D4C957F2D)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return (mixed >> np.uint64(11)) < np.uint64(share * (1 << 53)) if share < 1 else np.ones(len(mixed), np.bool_)


@dataclass(frozen=True, slots=True)
class DescribeCorpus:
    """`README.md` and `croissant.jsonld` of the corpus, from the manifests. Its own manifest is `corpus.json`."""

    run: Run
    digests: Mapping[str, str | None]
    """Of the languages that this run has, not of what it takes back."""
    missing: tuple[str, ...] = ()
    """What the corpus was made without, each in words that are the same wherever the run lies."""
    name: str = "corpus"

    @classmethod
    def of(cls, run: Run, languages: Iterable[str]) -> DescribeCorpus:
        """The task when all `languages` have ended."""
        wanted = list(languages)
        made = {lang: digest_of(m) for lang, m in run.manifests("publish").items() if lang in wanted}
        failed = [f"publish {lang}" for lang in wanted if lang not in made]
        return cls(run, made, (*(each.label for each in missing_units(run, "refine")), *failed))

    def unit(self) -> Unit:
        """The settings stand in the card and nowhere else, so they are an input: it is written again, never refused."""
        settings = verb_settings(self.run.recipe, "publish")
        missing = {"missing": list(self.missing)} if self.missing else {}
        return Unit(
            self.run.root,
            "publish",
            self.name,
            settings=settings.only(()),
            inputs={**self.digests, "publish.settings": fingerprint(settings), **missing},
            verify=self.run.verify,
            lease=self.run.lease,
        )

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        sources = {e.snapshot or ("other archives" if e.lang is None else "imported text") for e in self.run.inputs()}
        manifests = {lang: m for lang, m in self.run.manifests("publish").items() if lang in self.digests}
        described = describe(
            manifests,
            name=self.run.recipe.name,
            settings=verb_settings(self.run.recipe, "publish"),
            sources=sorted(sources),
            missing=list(self.missing),
        )
        for name, content in described.items():
            unit.path(f"{FOLDERS['publish']}/{name}").write_bytes(content)
        ledger = Ledger()
        ledger["languages"].keep(len(manifests))
        return unit.commit(ledger)


def steps(run: Run) -> Iterator[Step]:
    """What documents stand for; one unit a language, the largest first, so that the last worker does not end long after
    the others; what the corpus says of itself."""
    decided = hashlib.sha256()
    for place in ("match", "returned"):
        for _, entry in run.shards(place):
            decided.update(entry.stated())
    yield Step("clusters", [CountClusters(run, decided.hexdigest())])
    found = _by_language(run)
    shared = verb_contents(run.recipe, "publish")
    if run.recipe.publish.decontaminate is not None:
        shared["benchmarks"] = items_digest(run.recipe.publish.decontaminate)
    largest = sorted(found, key=lambda code: (-found[code].documents, code))
    tasks = [PublishLanguage(run, c, found[c].shards, shared, found[c].digest) for c in largest]
    yield Step("languages", tasks)
    yield Step("card", [DescribeCorpus.of(run, found)])


@dataclass(slots=True)
class _Language:
    """What the shards hold of a language."""

    documents: int = 0
    shards: array[int] = field(default_factory=lambda: array("I"))
    digest: str = ""
    """Of what these shards are."""


def _by_language(run: Run) -> dict[str, _Language]:
    """What each language is made of, by one look at `refine`."""
    counted = run.manifest("clusters", "cluster_sizes")
    sizes = counted.facts["shards"] if counted else {}
    languages: defaultdict[str, _Language] = defaultdict(_Language)
    digests: dict[int, bytes] = {}
    for number, entry in run.shards("refine"):
        made = f"{entry.unit} {digest_of(entry)} {sizes.get(entry.unit)}"
        digests[number] = hashlib.sha256(made.encode()).digest()
        for code, documents in entry.facts["languages"].items():
            language = languages[code]
            language.documents += documents
            language.shards.append(number)
    for language in languages.values():
        language.digest = hashlib.sha256(b"".join(map(digests.__getitem__, language.shards))).hexdigest()
    return languages
