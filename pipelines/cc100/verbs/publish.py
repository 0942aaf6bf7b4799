"""`publish`: each language's documents, cut by perplexity, in CC-100's form and as Parquet."""

from __future__ import annotations

import lzma
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cc100.layout import Run
from cc100.verbs.task import Step
from ccbuild.ledger import Ledger
from ccbuild.lm.cutoffs import Cutoffs, bucket, cutoffs, interval, read_cutoffs
from ccbuild.records import DOCUMENT_SCHEMA
from ccbuild.runner import Timings
from ccbuild.storage import PARQUET, Manifest, Unit, digest_of, sha256_file

__all__ = ["CORPUS_SCHEMA", "steps"]

CORPUS_SCHEMA = DOCUMENT_SCHEMA.append(pa.field("bucket", pa.string()))
"""`5-corpus/<code>.parquet`: the documents of a language in the order of their addresses."""


@dataclass(frozen=True, slots=True)
class PublishLanguage:
    """One language of every shard."""

    run: Run
    lang: str

    @property
    def name(self) -> str:
        return self.lang

    def unit(self) -> Unit:
        inputs: dict[str, Any] = {name: digest_of(m) for name, m in self._shards().items()}
        if self.run.recipe.publish.cutoffs is not None:
            inputs["cutoffs"] = sha256_file(self.run.recipe.publish.cutoffs)
        return self.run.unit("publish", self.lang, inputs)

    def _shards(self) -> dict[str, Manifest]:
        """Shards that hold the language."""
        return {n: m for n, m in self.run.manifests("refine").items() if self.lang in m.facts["languages"]}

    def _read(self, shard: str, columns: list[str]) -> pa.Table:
        """Rows of the language in one shard, read from the row groups that hold it."""
        with pq.ParquetFile(self.run.folder("refine") / f"{shard}.parquet") as file:
            index = file.schema_arrow.get_field_index("lang")
            groups = [
                g
                for g in range(file.num_row_groups)
                if file.metadata.row_group(g).column(index).statistics.min == self.lang
            ]
            return file.read_row_groups(groups, columns)

    def _given(self) -> Cutoffs | None:
        """The cutoffs that the recipe's table has for the language."""
        config = self.run.recipe.publish
        if config.cutoffs is None:
            return None
        return read_cutoffs(config.cutoffs, 100 * config.head, 100 * config.middle).get(self.lang)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        config, ledger, shards = self.run.recipe.publish, Ledger(), self._shards()
        with timings.measure("cutoffs"):
            read = [self._read(name, ["perplexity"])["perplexity"] for name in shards]
            values = pc.drop_null(pa.chunked_array([c for a in read for c in a.chunks], pa.float64())).to_numpy()
            given = self._given()
            cut = given or cutoffs(values, head=config.head, middle=config.middle, min_documents=config.min_documents)
        counts: Counter[str] = Counter()
        paragraphs = characters = 0
        with (
            timings.measure("write"),
            lzma.open(unit.path(f"{self.lang}.txt.xz"), "wb", preset=config.xz_preset) as text,
            pq.ParquetWriter(unit.path(f"{self.lang}.parquet"), CORPUS_SCHEMA, **PARQUET) as rows,
        ):
            for name in shards:
                table = self._read(name, DOCUMENT_SCHEMA.names).sort_by("doc_id")
                buckets = _buckets(table["perplexity"].to_numpy(), cut)
                chosen = np.isin(buckets, config.buckets)
                chosen &= (buckets != "tail") | _drawn(table["doc_id"].to_numpy(), config.tail_share)
                for label, keep in zip(buckets.tolist(), chosen.tolist(), strict=True):
                    counts[label] += 1
                    if keep:
                        ledger["documents"].keep()
                    else:
                        ledger["documents"].drop(f"bucket_{label}")
                table = table.append_column("bucket", pa.array(buckets, pa.string())).filter(pa.array(chosen))
                if table.num_rows:
                    rows.write_table(table.cast(CORPUS_SCHEMA))
                for document in table["text"].to_pylist():
                    text.write(document.encode() + b"\n\n")
                    paragraphs += document.count("\n") + 1
                    characters += len(document)
        facts = {
            "documents": ledger["documents"].kept,
            "paragraphs": paragraphs,
            "characters": characters,
            "buckets": {k: counts[k] for k in sorted(counts)},
            "cutoffs": None
            if cut is None
            else {
                "head": cut.head,
                "middle": cut.middle,
                "documents": cut.n,
                "given": given is not None,
                "head_95": None if given else interval(np.sort(values), config.head),
                "middle_95": None if given else interval(np.sort(values), config.middle),
            },
        }
        return unit.commit(ledger, facts=facts)


def _buckets(perplexities: NDArray[np.float64], cut: Cutoffs | None) -> NDArray[np.str_]:
    """The bucket of each document; NaN (no perplexity) and languages without cutoffs are `all`."""
    return np.array(["all" if cut is None or np.isnan(p) else bucket(p, cut) for p in perplexities], dtype=np.str_)


def _drawn(identifiers: NDArray[np.uint64], share: float) -> NDArray[np.bool_]:
    """A seeded draw of a `share` of the documents: by their identifiers, so that no run and no order changes it."""
    mixed = (identifiers.astype(np.uint64) ^ np.uint64(0x5851F42D4C957F2D)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return (mixed >> np.uint64(11)) < np.uint64(share * (1 << 53)) if share < 1 else np.ones(len(mixed), np.bool_)


def steps(run: Run) -> Iterator[Step]:
    """One unit a language, the largest first, so that the last worker does not end long after the others."""
    sizes: Counter[str] = Counter()
    for manifest in run.manifests("refine").values():
        sizes.update(manifest.facts["languages"])
    yield Step("languages", [PublishLanguage(run, lang) for lang in sorted(sizes, key=lambda c: (-sizes[c], c))])
