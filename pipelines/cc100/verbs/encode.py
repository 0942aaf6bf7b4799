"""`encode`: the corpus as token shards that a trainer maps into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cc100.layout import Run
from cc100.verbs.task import Step
from cc100.verbs.vocab import corpus_of, published
from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.runner import Timings
from ccbuild.storage import Manifest, Unit, digest_of
from ccbuild.tokens import TokenWriter
from ccbuild.vocab.export import MODEL_NAME
from ccbuild.vocab.tokenizer import Encoder

__all__ = ["steps"]


@dataclass(frozen=True, slots=True)
class EncodeLanguage:
    """One language of the corpus, document by document."""

    run: Run
    lang: str

    @property
    def name(self) -> str:
        return self.lang

    def unit(self) -> Unit:
        inputs = {
            "corpus": digest_of(self.run.manifest("publish", self.lang)),
            "vocabulary": digest_of(self.run.manifest("vocab", "vocabulary")),
        }
        return self.run.unit("encode", self.lang, inputs)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        vocabulary = self.run.manifest("vocab", "vocabulary")
        if vocabulary is None:
            raise InputError(f"{self.run.folder('vocab')} holds no vocabulary. Run the verb vocab first.")
        encoder = _encoder(self.run.folder("vocab") / MODEL_NAME, vocabulary.outputs[MODEL_NAME]["sha256"])
        ledger = Ledger()
        with (
            timings.measure("encode"),
            TokenWriter(
                unit,
                self.lang,
                vocabulary_size=encoder.size,
                vocabulary_sha256=encoder.sha256,
                shard_tokens=self.run.recipe.encode.shard_tokens,
            ) as writer,
        ):
            for batch in corpus_of(self.run, self.lang).batches(["doc_id", "text"]):
                texts = batch["text"].to_pylist()
                documents = encoder.encode_documents(texts)
                for doc_id, text, ids in zip(batch["doc_id"].to_pylist(), texts, documents, strict=True):
                    writer.add(doc_id, ids, text.count("\n") + 1, len(text), len(text.encode()))
                    ledger["documents"].keep()
                    ledger["tokens"].keep(len(ids) + 1)
            facts = writer.close()
        return unit.commit(ledger, facts=facts)


@lru_cache(maxsize=1)
def _encoder(path: Path, sha256: str) -> Encoder:
    """Once a process: a model of 250,000 pieces takes most of a second to open."""
    return Encoder(path, sha256)


def steps(run: Run) -> Iterator[Step]:
    """One unit a language, the largest first."""
    sizes = {lang: m.facts["characters"] for lang, m in published(run).items()}
    yield Step("languages", [EncodeLanguage(run, lang) for lang in sorted(sizes, key=lambda c: (-sizes[c], c))])
