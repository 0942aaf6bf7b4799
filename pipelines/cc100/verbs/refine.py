"""`refine`: pages without their duplicates, routed to languages and scored."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

from cc100.layout import Run
from cc100.recipe import verb_contents
from cc100.verbs import returning
from cc100.verbs.task import Step
from ccbuild.documents import DocumentSorter, Drop, DroppedFile
from ccbuild.errors import LedgerError
from ccbuild.ledger import Ledger
from ccbuild.plural import many
from ccbuild.progress import counted
from ccbuild.records import DOCUMENT_SCHEMA, Document, from_table
from ccbuild.rundir import INNER, RunDir, shard_name
from ccbuild.runner import BLOCK, Judged, Timings, run_stages
from ccbuild.storage import Manifest, Unit, digest_of, open_parquet

__all__ = ["steps"]

_BATCH = 1024
_MOST_GONE = 1 << 12
"""Duplicates after which a block ends, though few documents stay."""
_BLOCK_CHARACTERS = 1 << 23
"""Text after which a block ends, though it has few documents."""
_COPIES = 2
"""Documents that wait take their memory again while their row group is written."""


class _Decision(NamedTuple):
    """A row of `match`."""

    document: int
    paragraph: int | None
    """None: the whole document goes."""
    reason: str
    partner: int
    similarity: float


@dataclass(slots=True)
class _Block:
    """Documents that follow each other."""

    stay: list[Document] = field(default_factory=list)
    gone: list[Drop] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RefineShard:
    """One shard: join pages and duplicates by address, run the stages, write what stays and what goes."""

    run: Run
    shard: int
    by_record: ClassVar[bool] = True
    pages: str | None
    """Digest of what `extract` made of the shard."""
    duplicates: str | None
    """Digest of what `match` decided of it."""
    shared: Mapping[str, Any]
    """What the units of all shards are made of."""

    @property
    def name(self) -> str:
        return shard_name(self.shard)

    def unit(self) -> Unit:
        inputs = {"pages": self.pages, "duplicates": self.duplicates, **self.shared}
        return self.run.unit("refine", self.name, inputs)

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        ledger, lost = Ledger(), list[list[str]]()
        with timings.measure("open"):
            stages = self.run.recipe.refine.build(self.run.folder("prepare"))
        kept = DocumentSorter(unit.scratch, self.run.recipe.run.spare_bytes // _COPIES)
        with DroppedFile(unit.path(f"../{INNER['dropped']}/{self.name}.parquet")) as dropped:
            blocks = self._blocks(ledger)
            while True:
                with timings.measure("join"):
                    block = next(blocks, None)
                if block is None:
                    break
                judged = run_stages(block.stay, stages, ledger, timings)
                with timings.measure("write"):
                    kept.add(judged.kept)
                    dropped.add([*block.gone, *((d, reason, None, None) for d, reason in judged.dropped + judged.lost)])
                _count_judged(ledger, judged)
                lost += [[str(_id(document)), cause] for document, cause in judged.lost]
        with timings.measure("write"):
            kept.write(unit.path(f"{self.name}.parquet"))
        models = dict(_models(RunDir(self.run.root), self.shared["models"]))
        facts: dict[str, Any] = {"languages": dict(kept.counts)}
        if lost:
            facts["set_apart"] = lost
        if reasons := {reason: meaning for stage in stages for reason, meaning in stage.reasons.items()}:
            facts["reasons"] = reasons
        return unit.commit(ledger, models=models, facts=facts)

    def _blocks(self, ledger: Ledger) -> Iterator[_Block]:
        """The shard's documents in the order of their addresses, without the repeated paragraphs of those that stay."""
        block, characters = _Block(), 0
        for document, decisions in self._decided():
            whole = next((decision for decision in decisions if decision.paragraph is None), None)
            if whole:
                ledger["documents"].drop(whole.reason)
                _count(ledger, whole.reason, document)
                gone = dataclasses.replace(document, paragraphs=())  # nobody asks for its text
                block.gone.append((gone, whole.reason, whole.partner, whole.similarity))
            else:
                block.stay.append(_without(document, {d.paragraph for d in decisions}, ledger))
                characters += block.stay[-1].characters
            if len(block.stay) == BLOCK or len(block.gone) == _MOST_GONE or characters >= _BLOCK_CHARACTERS:
                yield block
                block, characters = _Block(), 0
        if block.stay or block.gone:
            yield block

    def _decided(self) -> Iterator[tuple[Document, list[_Decision]]]:
        """Each page with what was decided of it; `LedgerError` where a decision is of none of them."""
        by_document = itertools.groupby(self._decisions(), key=lambda decision: decision.document)
        waiting = next(by_document, None)
        for document in self._pages():
            if waiting is None or waiting[0] != document.doc_id:
                yield document, []
                continue
            yield document, list(waiting[1])
            waiting = next(by_document, None)
        if waiting is not None:
            raise LedgerError(
                f"refine {self.name}: match decided about document {waiting[0]}, which extract does not have there. "
                "Run match again; if it stays, report this line."
            )

    def _decisions(self) -> Iterator[_Decision]:
        """What `match` decided of the shard, by document; of a whole document one row."""
        with open_parquet(self.run.decisions(self.shard)) as file:
            for batch in file.iter_batches(_BATCH, columns=["doc_id", "paragraph", "kind", "partner", "similarity"]):
                yield from itertools.starmap(_Decision, zip(*(column.to_pylist() for column in batch), strict=True))

    def _pages(self) -> Iterator[Document]:
        """The shard's pages, with what `refine` passes on of them; `LedgerError` where `extract` kept others."""
        made = self.run.manifest("extract", self.name)
        with open_parquet(self.run.file("extract", self.shard)) as file:
            columns = [name for name in DOCUMENT_SCHEMA.names if name in file.schema_arrow.names]
            rows = file.metadata.num_rows
            if made is None or rows != made.facts["documents"]:
                raise LedgerError(f"refine {self.name}: {many(rows, 'document')} seen, extract kept others.")
            pages = (page for batch in file.iter_batches(_BATCH, columns=columns) for page in from_table(batch))
            yield from counted(pages, "documents", rows)


@lru_cache(maxsize=1)
def _models(run: RunDir, digest: str | None) -> Mapping[str, str]:
    """Name of each model to its digest; read once a process, as long as the models are those of `digest`."""
    return {name: digest_of(made) or "" for name, made in run.manifests("prepare").items()}


def _id(document: Document) -> int:
    """The address of a document that has been stored."""
    assert document.doc_id is not None
    return document.doc_id


def _count(ledger: Ledger, reason: str, document: Document) -> None:
    """The paragraphs and characters of a document that goes."""
    ledger["paragraphs"].drop(reason, len(document.paragraphs))
    ledger["characters"].drop(reason, document.characters)


def _count_judged(ledger: Ledger, judged: Judged) -> None:
    """The paragraphs and characters of a block that went through the stages."""
    for document in judged.kept:
        ledger["paragraphs"].keep(len(document.paragraphs))
        ledger["characters"].keep(document.characters)
    for document, reason in judged.dropped:
        _count(ledger, reason, document)
    for document, cause in judged.lost:
        ledger["paragraphs"].quarantine(cause, len(document.paragraphs))
        ledger["characters"].quarantine(cause, document.characters)


def _without(document: Document, repeated: set[int | None], ledger: Ledger) -> Document:
    """The document less its repeated paragraphs, which are counted."""
    if not repeated:
        return document
    left = tuple(p for i, p in enumerate(document.paragraphs) if i not in repeated)
    less = dataclasses.replace(document, paragraphs=left)
    ledger["paragraphs"].drop("duplicate_paragraph", len(document.paragraphs) - len(left))
    ledger["characters"].drop("duplicate_paragraph", document.characters - less.characters)
    return less


def steps(run: Run) -> Iterator[Step]:
    """One unit a shard, the one with most pages first."""
    shared = {"models": digest_of(*run.entries("prepare")), **verb_contents(run.recipe, "refine")}
    shared |= run.recipe.refine.inputs()
    yield from returning.steps(run, shared)
    decided = {number: digest_of(entry) for number, entry in run.shards("match")}
    decided |= {number: digest_of(entry) for number, entry in run.shards("returned")}
    pages = {number: (-entry.facts["documents"], digest_of(entry)) for number, entry in run.shards("extract")}
    largest = sorted(pages, key=lambda number: (pages[number][0], number))
    yield Step("shards", [RefineShard(run, n, pages[n][1], decided.get(n), shared) for n in largest])
