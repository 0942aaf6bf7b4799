"""`publish`: each language's documents, cut by perplexity, in CC-100's form and as Parquet."""

from __future__ import annotations

import lzma
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cc100.layout import Run
from cc100.verbs.task import Step
from ccbuild.ledger import Ledger
from ccbuild.lm.cutoffs import Cutoffs, bucket, cutoffs, interval
from ccbuild.records import DOCUMENT_SCHEMA
from ccbuild.runner import Timings
from ccbuild.storage import PARQUET, Manifest, Unit, digest_of

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
        shards = self._shards()
        return self.run.unit("publish", self.lang, {name: digest_of(m) for name, m in shards.items()})

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

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        config, ledger, shards = self.run.recipe.publish, Ledger(), self._shards()
        with timings.measure("cutoffs"):
            read = [self._read(name, ["perplexity"])["perplexity"] for name in shards]
            values = pc.drop_null(pa.chunked_array([c for a in read for c in a.chunks], pa.float64())).to_numpy()
            cut = cutoffs(values, head=config.head, middle=config.middle, min_documents=config.min_documents)
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
                "head_95": interval(np.sort(values), config.head),
                "middle_95": interval(np.sort(values), config.middle),
            },
        }
        return unit.commit(ledger, facts=facts)


def _buckets(perplexities: NDArray[np.float64], cut: Cutoffs | None) -> NDArray[np.str_]:
    """The bucket of each document; NaN (no perplexity) and languages without cutoffs are `all`."""
    return np.array(["all" if cut is None or np.isnan(p) else bucket(p, cut) for p in perplexities], dtype=np.str_)


def steps(run: Run) -> Iterator[Step]:
    """One unit a language, the largest first, so that the last worker does not end long after the others."""
    sizes: Counter[str] = Counter()
    for manifest in run.manifests("refine").values():
        sizes.update(manifest.facts["languages"])
    yield Step("languages", [PublishLanguage(run, lang) for lang in sorted(sizes, key=lambda c: (-sizes[c], c))])
