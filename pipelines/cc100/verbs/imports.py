"""`corpus import`: text of other makers as a corpus of ours, so that all that follows works without a crawl."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from cc100.engines import Engine
from cc100.layout import Run, Source, text_sources
from cc100.recipe import load_recipe
from cc100.run import VerbSummary, run_steps
from cc100.verbs.publish import DescribeCorpus
from cc100.verbs.task import Step
from ccbuild.corpus import CORPUS_SCHEMA, CorpusWriter
from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.lock import locked
from ccbuild.missing import note_failures
from ccbuild.progress import ShowProgress, counted
from ccbuild.prose import check_code
from ccbuild.records import Document, doc_id, to_table
from ccbuild.rows import LeftOut, Split, read_rows
from ccbuild.rundir import Input
from ccbuild.runner import Timings
from ccbuild.storage import Manifest, Unit, sha256_file
from ccbuild.text.clean import paragraphs

__all__ = ["ImportLanguage", "import_corpus", "steps"]

_BATCH = 64


@dataclass(frozen=True, slots=True)
class ImportLanguage:
    """One language: its files in the order of their numbers, each document cleaned as a page's text is."""

    run: Run
    lang: str
    files: tuple[tuple[int, str, str], ...]
    """(shard, name, path) of each."""
    split: Split

    @property
    def name(self) -> str:
        return self.lang

    def unit(self) -> Unit:
        inputs: dict[str, Any] = {name: sha256_file(path) for _, name, path in self.files}
        return self.run.unit("publish", self.lang, {**inputs, "split": self.split})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        config, ledger = self.run.recipe.publish, Ledger()
        buckets: dict[str, int] = {}
        with (
            timings.measure("import"),
            CorpusWriter(
                unit, self.lang, shard_bytes=config.shard_megabytes * 1_000_000, xz_preset=config.xz_preset
            ) as writer,
        ):
            documents = counted(self._documents(ledger), "documents")
            while batch := list(islice(documents, _BATCH)):
                for document in batch:
                    buckets[str(document.bucket)] = buckets.get(str(document.bucket), 0) + 1
                writer.add(to_table(batch, CORPUS_SCHEMA))
            written = writer.close()
        return unit.commit(ledger, facts={**written, "buckets": dict(sorted(buckets.items())), "cutoffs": None})

    def _documents(self, ledger: Ledger) -> Iterator[Document]:
        for shard, name, path in self.files:
            left = LeftOut(name)
            for number, row in enumerate(read_rows(path, self.split)):
                text = left.text(row)
                found = tuple(paragraphs(text or ""))
                if not found:
                    ledger["documents"].drop("no_text" if text is None else "empty_text")
                    continue
                ledger["documents"].keep()
                known = _known(row.record, name, number)
                yield dataclasses.replace(
                    known,
                    doc_id=doc_id(shard, number),
                    lang=self.lang,
                    bucket=known.bucket or "all",
                    cluster_size=known.cluster_size or 1,
                    paragraphs=found,
                )


def _known(record: Mapping[str, Any], name: str, number: int) -> Document:
    """What a record says of itself; without an archive and an offset its address is its place in the file."""
    if isinstance(record.get("timestamp"), str):  # C4's name for the date
        record = {"date": record["timestamp"], **record}
    if not (isinstance(record.get("archive"), str) and isinstance(record.get("offset"), int)):
        record = {**record, "archive": name, "offset": number, "length": None}
    return Document.from_record(record)


def import_corpus(
    patterns: Iterable[str],
    out: str | Path,
    *,
    lang: str | None = None,
    split: Split = "auto",
    settings: Sequence[str] = (),
    engine: Engine,
    show: ShowProgress,
) -> VerbSummary:
    """Files of text by language as the corpus of the run in `out`; files imported before must be named again.

    `patterns` have ``{lang}`` where the code stands, or all files are of `lang`. `split`: as of `ccbuild.rows`.
    """
    if lang is not None:
        check_code(lang)
    run = Run(Path(out).resolve(), load_recipe("cc100", settings))
    sources = text_sources(patterns, lang)
    names = {source.name for source in sources}
    with locked(run.root) as lease:
        run = dataclasses.replace(run, lease=lease)
        for entry in run.inputs():
            if entry.lang is None:
                raise InputError(f"{run.root} holds a crawl. Import into a new --out.")
            if entry.archive not in names:
                raise InputError(f"{entry.archive} was imported before. Name it again with the others, or a new --out.")
        run.refuse_other_settings(["publish"])
        table = run.admit(sources)
        run.note_settings(["publish"])
        summary = run_steps(run, "import", steps(run, sources, table, split), engine, show)[0]
        note_failures(run, "import", {failure.unit: failure.error for failure in summary.failures})
        return summary


def steps(run: Run, sources: Sequence[Source], table: Sequence[Input], split: Split) -> Iterator[Step]:
    """One unit a language, the one with the largest files first, then what the corpus says of itself."""
    shards = {entry.archive: entry.shard for entry in table}
    files: dict[str, list[tuple[int, str, str]]] = {}
    nbytes = Counter[str]()
    for source in sources:
        assert source.lang is not None
        nbytes[source.lang] += source.size or 0
        files.setdefault(source.lang, []).append((shards[source.name], source.name, source.path))
    tasks = [
        ImportLanguage(run, lang, tuple(sorted(files[lang])), split)
        for lang in sorted(files, key=lambda code: (-nbytes[code], code))
    ]
    yield Step("languages", tasks, hashed=True)
    yield Step("card", [DescribeCorpus.of(run, files)])
