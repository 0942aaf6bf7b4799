"""`encode`: the corpus as token shards that a trainer maps into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from cc100.layout import Run
from cc100.verbs.task import Step
from cc100.verbs.vocab import corpus_of, largest_first, published, shard_of, shard_output
from ccbuild.border import survivors
from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.progress import counted
from ccbuild.runner import Timings
from ccbuild.storage import Manifest, Unit, digest_of, link
from ccbuild.tokens import SUMMED, TokenWriter
from ccbuild.vocab.export import MODEL_NAME
from ccbuild.vocab.tokenizer import Encoder

__all__ = ["steps"]

_BATCH = 1024
"""Documents encoded in one call."""


@dataclass(frozen=True, slots=True)
class EncodeShard:
    """One shard of a language that has several, document by document."""

    run: Run
    lang: str
    shard: int
    by_record: ClassVar[bool] = True
    inputs: Mapping[str, Any]

    @property
    def name(self) -> str:
        return shard_of(self.lang, self.shard)

    def unit(self) -> Unit:
        return self.run.unit("encode", self.name, self.inputs, "token parts")

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        with timings.measure("encode"):
            return _encode(self.run, self.lang, [self.shard], unit, self.name)


@dataclass(frozen=True, slots=True)
class EncodeLanguage:
    """One language: encoded here, or put together from its shards, whose files get a second name."""

    run: Run
    lang: str
    by_record: ClassVar[bool] = True
    inputs: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.lang

    def unit(self) -> Unit:
        return self.run.unit("encode", self.lang, self.inputs)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        shards = len(corpus_of(self.run, self.lang).paths)
        if shards == 1:
            with timings.measure("encode"):
                return _encode(self.run, self.lang, None, unit, self.lang)
        names = [shard_of(self.lang, shard) for shard in range(shards)]
        parts = [(name, self.run.manifest("token parts", name)) for name in names]
        written: list[dict[str, Any]] = []
        for name, part in parts:
            if part is None:
                raise InputError(f"{name} is not encoded. Run the same command again.")
            for shard in part.facts["shards"]:
                joined = f"{self.lang}-{len(written):05d}"
                for suffix in ("bin", "parquet"):
                    link(self.run.folder("token parts") / f"{shard['name']}.{suffix}", unit.path(f"{joined}.{suffix}"))
                written.append({**shard, "name": joined})
        facts = {key: sum(m.facts[key] for _, m in parts if m) for key in SUMMED}
        if lost := [each for _, m in parts if m for each in m.facts.get("set_apart", ())]:
            facts["set_apart"] = lost
        same = {key: m.facts[key] for _, m in parts if m for key in ("vocabulary_size", "vocabulary_sha256")}
        ledger = Ledger.total(m.ledger for _, m in parts if m)
        return unit.commit(ledger, facts={**facts, **same, "shards": written})


def _encode(run: Run, lang: str, shards: list[int] | None, unit: Unit, name: str) -> Manifest:
    vocabulary = run.manifest("vocab", "vocabulary")
    if vocabulary is None:
        raise InputError(f"{run.folder('vocab')} holds no vocabulary. Run the verb vocab first.")
    encoder = _encoder(run.folder("vocab") / MODEL_NAME, vocabulary.outputs[MODEL_NAME]["sha256"])
    ledger, lost = Ledger(), list[list[str]]()
    with TokenWriter(
        unit,
        name,
        vocabulary_size=encoder.size,
        vocabulary_sha256=encoder.sha256,
        shard_tokens=run.recipe.encode.shard_tokens,
    ) as writer:
        batches = corpus_of(run, lang).batches(["doc_id", "text"], _BATCH, shards)
        for batch in counted(batches, f"times {_BATCH:,} documents"):
            rows, address = range(len(batch)), _address_in(batch)
            (ids, lengths), kept, gone = survivors("encode", rows, address, _encoded_from(encoder, batch))
            for row, cause in gone:
                ledger["documents"].quarantine(cause)
                lost.append([str(address(row)), cause])
            batch = batch.take(pa.array(kept, pa.int64())) if gone else batch
            text = batch["text"]
            sums = (
                pc.sum(count).as_py()
                for count in (pc.count_substring(text, "\n"), pc.utf8_length(text), pc.binary_length(text))
            )
            breaks, characters, nbytes = sums
            writer.add_batch(batch["doc_id"].to_numpy(), ids, lengths, breaks + len(text), characters, nbytes)
            ledger["documents"].keep(len(text))
            ledger["tokens"].keep(len(ids) + len(text))
        facts = writer.close() | ({"set_apart": lost} if lost else {})
    return unit.commit(ledger, facts=facts)


def _address_in(batch: pa.Table) -> Callable[[int], int]:
    """From the number of a row to its `doc_id`."""
    ids = batch["doc_id"]
    return lambda row: int(ids[row].as_py())


def _encoded_from(encoder: Encoder, batch: pa.Table) -> Callable[[Sequence[int]], tuple[Any, Any]]:
    """From numbers of rows to the tokens of their texts, and how many each has."""
    texts = batch["text"].to_pylist()
    return lambda rows: encoder.encode_batch([texts[row] for row in rows])


@lru_cache(maxsize=1)
def _encoder(path: Path, sha256: str) -> Encoder:
    """Once a process: a model of 250,000 pieces takes most of a second to open."""
    return Encoder(path, sha256)


def steps(run: Run) -> Iterator[Step]:
    """The shards of languages that have several, then one unit a language, the largest first."""
    languages = published(run)
    largest = largest_first(languages)
    shards = {lang: len(languages[lang].facts["shards"]) for lang in largest}
    made_with = {"vocabulary": digest_of(run.manifest("vocab", "vocabulary"))}
    several = [
        EncodeShard(run, lang, shard, {"corpus": shard_output(languages[lang], shard), **made_with})
        for lang, n in shards.items()
        if n > 1
        for shard in range(n)
    ]
    yield Step("shards", several)
    whole = ({"corpus": digest_of(languages[lang]), **made_with} for lang in largest)
    yield Step("languages", [EncodeLanguage(run, lang, inputs) for lang, inputs in zip(largest, whole, strict=True)])
