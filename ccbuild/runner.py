"""Runs one file through the library: counting, timing and samples of what was dropped live here, once."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from ccbuild.border import page_address, survivors
from ccbuild.crawl.config import CrawlConfig
from ccbuild.crawl.http import Client
from ccbuild.crawl.inputs import CrawlInput, open_crawl_input
from ccbuild.errors import CcbuildError, ConfigError, LedgerError
from ccbuild.langid.codes import is_code
from ccbuild.ledger import Ledger
from ccbuild.progress import phase
from ccbuild.reasons import find
from ccbuild.records import Document, Dropped, Refused, without_account
from ccbuild.rights import RightsConfig
from ccbuild.stages.contract import Stage
from ccbuild.storage import open_input
from ccbuild.text.page import ExtractConfig, PageText, page_text
from ccbuild.text.robots import header_robots, is_robots_txt
from ccbuild.warc.members import Damage, Limits
from ccbuild.warc.records import Reader, Record

__all__ = ["BLOCK", "ArchiveReader", "Judged", "Timings", "run_stages"]

BLOCK = 1024
"""Most documents that go through the stages at a time."""


@dataclass(slots=True)
class Timings:
    """CPU seconds by stage, of the whole process: a worker does one unit at a time, and libraries have threads of
    their own. For logs and benchmarks; never part of an output."""

    seconds: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    """What is decided otherwise than before, where a unit is done again: a kind of change to its count."""

    def measure(self, name: str) -> _Measured:
        """Add the CPU time of the block to `name`, and say that this is what is being done."""
        return _Measured(self.seconds, name)


class _Measured(phase):
    """A block of which the CPU time is added to `seconds`."""

    __slots__ = ("_seconds", "_start")

    def __init__(self, seconds: Counter[str], name: str) -> None:
        super().__init__(name)
        self._seconds = seconds

    def __enter__(self) -> None:
        self._start = time.process_time_ns()
        super().__enter__()

    def __exit__(self, *exc: object) -> None:
        super().__exit__()
        self._seconds[self._name] += (time.process_time_ns() - self._start) / 1e9  # type: ignore[assignment]


class _Hashing:
    """A stream that hashes and counts what is read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._hash, self.size = stream, hashlib.sha256(), 0

    def read(self, count: int = -1) -> bytes:
        chunk = self._stream.read(count)
        self._hash.update(chunk)
        self.size += len(chunk)
        return chunk

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


@dataclass(slots=True)
class ArchiveReader:
    """The pages of one archive, kept and refused, in the order of the archive; everything is counted in `ledger`.

    After the iteration `sha256`, `size` and `damage` tell of the archive.
    """

    path: str
    """Local path or fsspec URL."""
    name: str
    """How the archive is named in every output."""
    config: ExtractConfig
    ledger: Ledger
    limits: Limits = field(default_factory=Limits)
    rights: RightsConfig = field(default_factory=RightsConfig)
    crawl: tuple[CrawlConfig, CrawlInput] | None = None
    """How to open it when it is no file: an archive of a server, or chosen records of one."""
    wanted: Callable[[Sequence[str]], bool] | None = None
    """Which pages are wanted, by their paragraphs; the others are counted and nothing else is kept of them."""
    timings: Timings = field(default_factory=Timings)
    sha256: str = ""
    size: int = 0
    damage: list[Damage] = field(default_factory=list)
    unparsed: Counter[str] = field(default_factory=Counter)
    """Pages over a limit of `PageLimits`, by limit: their tags were stripped, no parser saw them."""
    characters: Counter[str] = field(default_factory=Counter)
    """Characters that cleaning took away or wrote otherwise, by kind."""

    def __iter__(self) -> Iterator[Document | Refused]:
        before = self.ledger["bytes"].seen
        with self._opened() as (stream, place):
            source = _Hashing(stream)
            reader = Reader(
                cast(BinaryIO, source),
                self.path,
                self.ledger,
                self.limits,
                max_payload_bytes=self.config.max_payload_bytes,
                resources=self.config.resources == "keep",
                damage=self.damage,
            )
            records, reading, text = iter(reader), self.timings.measure("read"), self.timings.measure("text")
            while True:
                with reading:
                    record = next(records, None)
                if record is None:
                    break
                url, offset = without_account(record.url), place(record.offset)  # from here on nobody knows the account
                if url != record.url or offset != record.offset:
                    record = record._replace(url=url, offset=offset)
                page = self._page(record, text)
                if page is not None:
                    yield page
            self.damage[:] = [dataclasses.replace(d, offset=place(d.offset)) for d in self.damage]
        self.sha256, self.size = source.hexdigest(), source.size
        if self.ledger["bytes"].seen - before != self.size:
            raise LedgerError(
                f"{self.path} has {self.size:,} bytes, {self.ledger['bytes'].seen - before:,} are accounted for. "
                "Please report this line."
            )

    @contextmanager
    def _opened(self) -> Iterator[tuple[BinaryIO, Callable[[int], int]]]:
        """The archive's bytes, and where a place in them stands in the whole archive."""
        if self.crawl is None:
            with open_input(self.path) as stream:
                yield stream, lambda offset: offset
        else:
            config, item = self.crawl
            with open_crawl_input(Client(config), item) as opened:
                yield opened.stream, opened.offset_of

    def _page(self, record: Record, measured: _Measured) -> Document | Refused | None:
        records = self.ledger["records"]
        with measured:
            texts, _, lost = survivors("text", [record], self._address, self._texts)
        if lost:
            return self._set_apart(record, lost[0][1])
        (found,) = texts
        if isinstance(found, str):
            records.drop(found)
            return self._refused(record, found)
        if found.unparsed:
            self.unparsed[found.unparsed] += 1
        if found.characters:
            self.characters.update(found.characters)
        robots = tuple(sorted({*found.robots, *header_robots(record.robots)})) if record.robots else found.robots
        why = self.rights.refuses(record.url, robots)
        if why:
            records.drop(why)
            return self._refused(record, why)
        if self.wanted:
            with self.timings.measure("sieve"):
                wanted, _, lost = survivors("sieve", [record], self._address, self._sieve(found.paragraphs))
            if lost:
                return self._set_apart(record, lost[0][1])
            if not wanted:
                records.drop("other_language")
                return None
        kept = self._short(found.paragraphs)
        if not kept:
            records.drop("only_over_long_paragraphs")
            return self._refused(record, "only_over_long_paragraphs")
        records.keep()
        return Document(
            url=record.url,
            archive=self.name,
            offset=record.offset,
            length=record.length,
            date=record.date,
            digest=record.digest,
            charset=found.charset,
            robots=robots,
            truncated=record.truncated,
            paragraphs=tuple(kept),
        )

    def _texts(self, records: Sequence[Record]) -> list[PageText | str]:
        return [self._text(record) for record in records]

    def _text(self, record: Record) -> PageText | str:
        if is_robots_txt(record.url):
            return "robots_txt"
        return page_text(record.kind, record.status, record.content_type, record.payload, self.config)

    def _short(self, paragraphs: Sequence[str]) -> Sequence[str]:
        """The paragraphs that are not over long; all are counted."""
        kept, most = paragraphs, self.config.max_paragraph_chars
        if max(map(len, paragraphs), default=0) > most:
            kept = [paragraph for paragraph in paragraphs if len(paragraph) <= most]
        account = self.ledger["paragraphs"]
        account.keep(len(kept))
        account.drop("over_long", len(paragraphs) - len(kept))
        return kept

    def _sieve(self, paragraphs: Sequence[str]) -> Callable[[Sequence[Record]], bool]:
        """Whether a record of these paragraphs is wanted; none, of no record."""
        return lambda records: bool(records and self.wanted and self.wanted(paragraphs))

    def _address(self, record: Record) -> str:
        return page_address(self.name, record.offset)

    def _set_apart(self, record: Record, cause: str) -> Refused:
        """The record is quarantined."""
        self.ledger["records"].quarantine(cause)
        return self._refused(record, cause)

    def _refused(self, record: Record, reason: str) -> Refused:
        return Refused(url=record.url, archive=self.name, offset=record.offset, length=record.length, reason=reason)


def _answers(stage: Stage, documents: Sequence[Document]) -> list[Document | Dropped]:
    """What a stage says of `documents`, looked at where the stage is a user's."""
    answers = stage.run(documents)
    if len(answers) != len(documents):
        raise ConfigError(
            f"The stage {stage.name} gave {len(answers)} answers to {len(documents)} documents. It must give one for "
            "each, in their order."
        )
    if stage.outside:
        for document, answer in zip(documents, answers, strict=True):
            _check(stage, document, answer)
    return answers


def _judged(
    stage: Stage, documents: Sequence[Document]
) -> tuple[list[Document | Dropped], Sequence[Document], list[tuple[Document, str]]]:
    """(answers, the documents that they answer, each other with the cause why it is set apart); an error that is no
    matter of single documents names the stage."""
    try:
        return survivors(stage.name, documents, lambda d: d.doc_id, lambda batch: _answers(stage, batch))
    except (Exception, SystemExit) as error:  # a user's filter may raise anything
        if isinstance(error, ConfigError) or (isinstance(error, CcbuildError | OSError) and not stage.outside):
            raise
        raise RuntimeError(f"The stage {stage.name} failed with {type(error).__name__}: {error}") from None


def _check(stage: Stage, document: Document, answer: Any) -> None:
    """Refuse what a stage from outside must not answer."""
    if answer is document or isinstance(answer, Dropped):
        return
    if not isinstance(answer, Document):
        wrong = "is neither a document nor a drop"
    elif answer.doc_id != document.doc_id:
        wrong = "has another doc_id; change a document by dataclasses.replace"
    elif not answer.paragraphs or any("\n" in paragraph for paragraph in answer.paragraphs):
        wrong = "has no paragraph, or one with a newline in it"
    elif (document.lang or answer.lang) and not is_code(answer.lang or ""):
        wrong = f"has the language {answer.lang!r}, which is no code"
    else:
        return
    said = repr(answer)
    raise ConfigError(
        f"The stage {stage.name} answered {said if len(said) < 200 else said[:200] + '…'} to document "
        f"{document.doc_id}: it {wrong}."
    )


@dataclass(slots=True)
class Judged:
    """What the stages say of documents; each list in the order of the documents."""

    kept: list[Document] = field(default_factory=list)
    dropped: list[tuple[Document, str]] = field(default_factory=list)
    """With the reason."""
    lost: list[tuple[Document, str]] = field(default_factory=list)
    """Set apart, since a stage broke off on them: with the cause."""


def run_stages(documents: Sequence[Document], stages: Sequence[Stage], ledger: Ledger, timings: Timings) -> Judged:
    """A block of documents through all stages; ``ledger["documents"]`` counts what becomes of them."""
    judged = Judged()
    for stage in stages:
        ledger.know(stage.reasons)
    for stage in stages:
        documents = _through(stage, documents, judged, ledger, timings)
    judged.kept += documents
    ledger["documents"].keep(len(judged.kept))
    return judged


def _through(
    stage: Stage, documents: Sequence[Document], judged: Judged, ledger: Ledger, timings: Timings
) -> list[Document]:
    """The documents that a stage passes on; the others are noted."""
    with timings.measure(stage.name):
        answers, answered, lost = _judged(stage, documents)
    judged.lost += lost
    for _, cause in lost:
        ledger["documents"].quarantine(cause)
    passed = []
    for document, answer in zip(answered, answers, strict=True):
        if isinstance(answer, Dropped):
            if answer.reason not in ledger.reasons and find(answer.reason) is None:
                raise ConfigError(
                    f"The stage {stage.name} drops for {answer.reason!r}, which nothing explains. Add it to "
                    "the `reasons` of its class, with its meaning."
                )
            if answer.lang is not None:
                document = dataclasses.replace(document, lang=answer.lang, lang_score=answer.lang_score)
            judged.dropped.append((document, answer.reason))
            ledger["documents"].drop(answer.reason)
        else:
            passed.append(answer)
    return passed
