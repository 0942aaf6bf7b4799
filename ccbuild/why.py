"""Why a text is in the corpus of a run, or is not: from a URL, a doc_id, a digest, a text, a token or a place in an
archive to the fate of each record that is meant.

A URL, a digest and a whole text are found by :mod:`ccbuild.addresses`, a paragraph by the prints of its shards. Any
other piece of text costs a look at all of them, which is said.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ccbuild.addresses import DIGEST, REFUSED, TEXT, URL, Addresses, key_hash
from ccbuild.corpus import open_corpus
from ccbuild.dedup.external.printfile import oldest, read_scheme
from ccbuild.dedup.paragraphs import paragraph_hashes, text_paragraph_hashes
from ccbuild.dedup.prints import PARAGRAPH
from ccbuild.errors import InputError
from ccbuild.fate import Fate, Fates
from ccbuild.langid.codes import is_code
from ccbuild.lock import holder
from ccbuild.lookup import row_at
from ccbuild.missing import missing_units
from ccbuild.plural import many
from ccbuild.progress import counted
from ccbuild.records import address
from ccbuild.rundir import RunDir
from ccbuild.storage import open_parquet
from ccbuild.tokens import language_tokens
from ccbuild.told import Answer, Token

__all__ = ["why"]

MOST = 20
"""Records that are told in full; of the others the number."""

_TOKEN = re.compile(r"([A-Za-z][A-Za-z_-]*):([\d,]+)")
_DIGEST = re.compile(r"(?i)(sha-?(1|256|512)|md5|blake3):[a-z0-9+/=]{16,}|[A-Z2-7]{32}")
_PLACE = re.compile(r"(\S.*?) at (?:byte )?([\d,]+)")
_URL = re.compile(r"(?i)([a-z][a-z0-9+.-]*:)?//\S+|[^\s/?#:@]+(\.[^\s/?#:@.]+)+\.?(:\d+)?([/?#]\S*)?")


def why(run: RunDir, what: str | int, *, kind: str | None = None) -> Answer:
    """The fate of every record that `what` means, and of every paragraph of theirs.

    `what`: a URL in any form; a doc_id; a payload's digest; ``sw:1234``, a token of a language; ``ARCHIVE at 123``, a
    place in an archive; anything else is text, as is all where `kind` is ``text``. `InputError` for an address that
    the run never gave.

    >>> from ccbuild.run import open_run
    >>> why(open_run("runs/small"), "http://www.plain0.sw.example/0/#top").found[0].fate
    'published'
    """
    asked = str(what).strip()
    if not asked:
        raise InputError("Nothing is asked. Give a URL, a doc_id, a digest, a text, or a token such as sw:1234.")
    seeker = _Seeker(run, Fates(run))
    found = seeker.find(asked, kind or kind_of(asked))
    return dataclasses.replace(found, notes=tuple(seeker.notes()))


def kind_of(what: str) -> str:
    """What a question is taken for.

    >>> [kind_of(w) for w in ("42", "sw:1234", "a.warc.gz at byte 9", "example.org/a", "sha1:" + "A" * 32, "Habari.")]
    ['doc_id', 'token', 'archive', 'URL', 'digest', 'text']
    """
    if re.fullmatch(r"\d[\d,]*", what):
        return "doc_id"
    if (token := _TOKEN.fullmatch(what)) and is_code(token[1]):
        return "token"
    forms = (("digest", _DIGEST), ("archive", _PLACE), ("URL", _URL))
    return next((name for name, form in forms if form.fullmatch(what)), "text")


@dataclass
class _Seeker:
    """Finds what is meant."""

    run: RunDir
    fates: Fates
    addresses: Addresses | None = None
    whole: bool = False
    """All texts were read."""

    def find(self, asked: str, kind: str) -> Answer:
        if kind == "doc_id":
            return Answer(asked=asked, kind=kind, found=(self.fates.document(_number(asked)),))
        if kind == "token":
            lang, _, index = asked.partition(":")
            return self._token(asked, lang, _number(index))
        if kind == "archive":
            place = _PLACE.fullmatch(asked)
            assert place is not None
            return self._place(asked, place[1], _number(place[2]))
        if not self.fates.inputs:
            raise InputError(f"{self.run.root} has read no archive yet: the verb extract reads them.")
        if any(entry.lang is not None for entry in self.fates.inputs):
            return self._listed(asked, kind, self._imported(asked, kind))
        if kind == "text":
            return self._text(asked)
        value = asked if kind == "digest" or re.match(r"(?i)[a-z][a-z0-9+.-]*://", asked) else _with_scheme(asked)
        return self._listed(asked, kind, self._by_hash((DIGEST,) if kind == "digest" else (URL, REFUSED), value))

    def _listed(self, asked: str, kind: str, fates: Iterable[Callable[[], Fate]]) -> Answer:
        found = list(fates)
        told = tuple(fate() for fate in found[:MOST])
        looked = () if told else tuple(self._looked(kind))
        return Answer(asked=asked, kind=kind, found=told, more=len(found) - len(told), looked=looked)

    def _by_hash(self, kinds: Sequence[int], value: str) -> Iterator[Callable[[], Fate]]:
        """The records that have `value`; each is looked at, since a hash may be that of another."""
        if self.addresses is None:
            self.addresses = Addresses.of(self.run)
        for kind, place in self.addresses.find(kinds, value):
            shard, number = address(place)
            path = self.run.file("extract", shard, "refused" if kind == REFUSED else "")
            row = row_at(path, number) if path.is_file() else None
            column = {TEXT: "text", DIGEST: "digest"}.get(kind, "url")
            if row is None or not row[column] or key_hash(kind, row[column]) != key_hash(kind, value):
                continue
            if kind == REFUSED:
                yield lambda shard=shard, number=number: self.fates.refused(shard, number)  # type: ignore[misc]
            else:
                yield lambda place=place: self.fates.document(place)  # type: ignore[misc]

    def _token(self, asked: str, lang: str, index: int) -> Answer:
        if not self.run.has("encode"):
            raise InputError(f"{self.run.root} has no tokens yet: the verb encode makes them.")
        language = language_tokens(self.run.folder("encode"), lang)
        if language is None:
            known = ", ".join(self.run.manifests("encode"))
            raise InputError(f"{self.run.folder('encode')} has no tokens of {lang!r}. It has {known}.")
        if not 0 <= index < language.tokens:
            raise InputError(f"{lang} has {language.tokens:,} tokens, numbered from 0; there is no token {index:,}.")
        span = language.span_at(index)
        token = Token(lang=lang, index=index, in_document=index - span.start)
        return Answer(asked=asked, kind="token", found=(self.fates.document(span.doc_id),), token=token)

    def _place(self, asked: str, archive: str, offset: int) -> Answer:
        entries = [e for e in self.fates.inputs if e.archive == archive or Path(e.archive).name == archive]
        if not entries:
            raise InputError(
                f"{self.run.root} has no archive {archive!r}. {self.run.path('inputs').name} lists its own."
            )
        found: list[Callable[[], Fate]] = []
        for entry in entries:
            if entry.size is not None and offset >= entry.size:
                raise InputError(f"{entry.archive} has {entry.size:,} bytes; there is no byte {offset:,}.")
            found += self._at(entry.shard, entry.archive, offset)
        return self._listed(asked, "archive", found)

    def _at(self, shard: int, archive: str, offset: int) -> Iterator[Callable[[], Fate]]:
        """The records of an archive that begin at `offset`, and the damage that holds it."""
        made = next((entry for number, entry in self.run.shards("extract") if number == shard), None)
        if made is None:
            return
        for kind in ("", "refused"):
            path, first = self.run.file("extract", shard, kind), 0
            with open_parquet(path) as file:
                for batch in file.iter_batches(1 << 14, columns=["archive", "offset"]):
                    at = pc.and_(pc.equal(batch["archive"], archive), pc.equal(batch["offset"], offset))
                    for row in np.flatnonzero(at.to_numpy(zero_copy_only=False)).tolist():
                        number = first + row
                        if kind:
                            yield lambda number=number: self.fates.refused(shard, number)  # type: ignore[misc]
                        else:
                            yield lambda number=number: self.fates.document(shard << 32 | number)  # type: ignore[misc]
                    first += len(batch)
        for lost in made.facts["damage"]:
            if lost["archive"] == archive and lost["offset"] <= offset < lost["offset"] + max(lost["length"], 1):
                known = {name: lost[name] for name in ("archive", "offset", "length")}
                yield lambda cause=lost["cause"], known=known: self.fates.gone(  # type: ignore[misc]
                    "extract", cause, url="", damaged=True, **known
                )

    def _text(self, asked: str) -> Answer:
        lines = [" ".join(line.split()) for line in unicodedata.normalize("NFC", asked).splitlines()]
        lines = [line for line in lines if line]
        whole = "\n".join(lines)
        if found := list(self._by_hash((TEXT,), whole)):
            return self._listed(asked, "text", found)
        documents = self._with_paragraphs(lines)
        kind = "paragraph" if documents else "text"
        documents = documents or self._with_piece(whole)
        return self._listed(asked, kind, [lambda doc=doc: self.fates.document(doc) for doc in documents])  # type: ignore[misc]

    def _with_paragraphs(self, lines: Sequence[str]) -> list[int]:
        """The documents that have each of `lines` as a paragraph, as the run compares paragraphs."""
        prints = [self.run.file("prints", number) for number in self.run.numbers("extract")]
        if not prints:
            return []
        form: Any = read_scheme(prints[0])["paragraph_form"]
        hashes = paragraph_hashes(lines, form)
        longest = hashes[[max(range(len(lines)), key=lambda number: len(lines[number]))]]
        if not longest[0]:
            return []
        found: list[int] = oldest(prints, longest, PARAGRAPH, most=MOST * 50).doc_id.tolist()
        if len(lines) == 1:
            return found
        wanted = set(hashes.tolist())
        return [doc for doc in found if wanted <= set(text_paragraph_hashes([self._page(doc)], form)[0].tolist())]

    def _page(self, doc: int) -> str:
        shard, number = address(doc)
        row = row_at(self.run.file("extract", shard), number, ["text"])
        return row["text"] if row else ""

    def _with_piece(self, piece: str) -> list[int]:
        """The documents whose text holds `piece`: all texts are read."""
        self.whole, found, numbers = True, list[int](), self.run.numbers("extract")
        for number in counted(iter(numbers), "shards", len(numbers)):
            with open_parquet(self.run.file("extract", number)) as file:
                for batch in file.iter_batches(1 << 10, columns=["doc_id", "text"]):
                    at = pc.match_substring(batch["text"], piece)
                    found += batch["doc_id"].filter(at).to_pylist()
        return found

    def _imported(self, asked: str, kind: str) -> Iterator[Callable[[], Fate]]:
        """Of a run without archives every row of the corpus is looked at."""
        self.whole = True
        column, form = {"digest": ("digest", DIGEST), "URL": ("url", URL)}.get(kind, ("text", TEXT))
        value = key_hash(form, _with_scheme(asked) if kind == "URL" and "//" not in asked else asked)
        for language in open_corpus(self.run.root).values():
            for batch in language.batches(["doc_id", column], 1 << 10):
                for doc, known in zip(batch["doc_id"].to_pylist(), batch[column].to_pylist(), strict=True):
                    if known and (asked in known if form == TEXT else key_hash(form, known) == value):
                        yield lambda doc=doc: self.fates.document(doc)  # type: ignore[misc]

    def notes(self) -> Iterator[str]:
        """What the reader must know of the run."""
        if working := holder(self.run.root):
            yield f"This run is being written ({working}): what is committed was read, and more may come."
        missing = missing_units(self.run)
        if missing:
            rest = f", and {many(len(missing) - 1, 'unit')} more" if len(missing) > 1 else ""
            yield f"This run lacks {missing[0].label}{rest}: what these would hold is not known."
        uncovered = self.addresses.uncovered if self.addresses else []
        if uncovered:
            yield (
                f"No index of addresses covers {many(len(uncovered), 'shard')}, so all that is there was read: the "
                "command that made the run, given again, writes it."
            )
        if self.whole:
            yield "No index has such a piece: every text of the run was read."

    def _looked(self, kind: str) -> Iterator[str]:
        """Where nothing was found, where it was looked, and what can be done."""
        ledger = self.run.ledger("extract")
        records, shards = ledger["records"], self.run.numbers("extract")
        refused = sum(records.dropped[reason] for reason in records.dropped if not reason.startswith("record:"))
        yield (
            f"Looked at {many(records.kept, 'page')} and {refused:,} refused ones in {many(len(shards), 'shard')} "
            f"({many(len(self.fates.inputs), 'archive')})."
        )
        if sieved := records.dropped["other_language"]:
            wanted = ", ".join(self.fates.settings.get("languages", ()))
            yield (
                f"{many(sieved, 'page')} were surely in none of the languages of this run ({wanted}), and nothing is "
                "noted of these (other_language)."
            )
        damage = [lost for entry in self.run.entries("extract") for lost in entry.facts["damage"]]
        for lost in damage[:3]:
            yield (
                f"Nobody knows what stood in {lost['archive']} at byte {lost['offset']:,}, {lost['length']:,} bytes: "
                f"{lost['cause']}."
            )
        if len(damage) > 3:
            yield f"Nor in {many(len(damage) - 3, 'other range')} of the archives."
        if kind == "text":
            yield "Texts that are alike, word for word in parts, are found by: ccbuild dedup query OUT --text '…'"
        else:
            yield (
                "If an archive of this run should hold it, look there by its offset: ccbuild why OUT 'ARCHIVE at "
                "OFFSET'. Else it was in no archive that the run was given."
            )


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _with_scheme(url: str) -> str:
    return f"http:{url}" if url.startswith("//") else f"http://{url}"
