"""The fate of one record of a run: where it lies in the archive, each verdict on its way, what became of its text.

Everything is read from what is committed, a row of a file at a time. Nothing is judged again: a score or a threshold
that a run has not stored is not told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ccbuild.border import is_set_apart
from ccbuild.corpus import corpus_language
from ccbuild.errors import InputError
from ccbuild.lm.cutoffs import Cutoffs, bucket, drawn
from ccbuild.lookup import document_rows, row_at
from ccbuild.plural import many
from ccbuild.reasons import deciding, find, meaning
from ccbuild.records import address
from ccbuild.rundir import Input, RunDir, shard_name
from ccbuild.stages.length import CHARACTERS, LengthConfig
from ccbuild.storage import Manifest, read_manifest
from ccbuild.tokens import language_tokens

__all__ = ["Copy", "Fate", "Fates", "Kept", "Paragraph", "Place", "Verdict"]

Row = dict[str, Any]
_RECORDED = {
    "rights.opt_out": ("extract", "opt-outs"),
    "refine.language.thresholds": ("refine", "refine.language.thresholds"),
    "publish.decontaminate": ("publish", "benchmarks"),
}
"""Settings that name a file to the verb among whose inputs its digest stands, and how it is called there."""
_FOLLOWED = 100
"""Most documents of a chain of duplicates that are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one step said of a record."""

    step: str
    """The verb, and the stage of `refine`: ``refine.length``."""
    said: str
    """``passed``, or the reason for which the record goes."""
    meaning: str = ""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """What was measured, and beside it the bound that it was held to."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings that decide, with the values that the run has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """A paragraph of a page of which not the whole goes."""

    number: int
    said: str
    """``passed``, or why it goes."""
    text: str
    partner: int | None = None
    """The document that keeps the same paragraph."""
    partner_paragraph: int | None = None
    partner_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A document for which another goes, or which it was found to equal."""

    doc_id: int
    relation: Literal["stays", "equals"]
    """``stays`` for it, or is the one that it was found to equal, which went itself."""
    of: int
    """The document that goes."""
    similarity: float | None
    url: str
    archive: str
    offset: int
    fate: str
    step: str
    reason: str | None
    text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something of a document stands."""

    lang: str
    file: str
    """Below the run's folder."""
    first: int
    """Row of a file of the corpus; first token in a file of tokens, both counted from 0."""
    count: int = 1
    """Tokens, with the one that ends the document."""
    index: int | None = None
    """First token in its language, as ``sw:1234`` has it."""


Kept = Literal["published", "dropped", "refused", "quarantined", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """One record, and what became of it."""

    url: str
    archive: str
    offset: int
    length: int | None
    fate: Kept
    step: str
    """The verb that decided it; where it waits, the verb that has not yet."""
    reason: str | None = None
    meaning: str = ""
    doc_id: int | None = None
    """None where nothing of it was stored."""
    date: str = ""
    digest: str | None = None
    imported: bool = False
    """It comes from a file of text, `offset` is its row there, and no verb before `publish` has seen it."""
    lang: str | None = None
    lang_score: float | None = None
    perplexity: float | None = None
    bucket: str | None = None
    cluster_size: int | None = None
    verdicts: tuple[Verdict, ...] = ()
    copies: tuple[Copy, ...] = ()
    """Of a duplicate: what it equals, and what stays for it, followed to the last."""
    paragraphs: tuple[Paragraph, ...] = ()
    corpus: Place | None = None
    tokens: Place | None = None
    text: str | None = None
    """As it is published, or as far as it came; None where none was stored."""


@dataclass
class Fates:
    """Answers for single records of a run."""

    run: RunDir

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Of all verbs, as they are stored with the run."""
        return self.run.settings()

    @cached_property
    def inputs(self) -> list[Input]:
        """The table of inputs."""
        return self.run.inputs()

    def document(self, doc_id: int, *, follow: bool = True) -> Fate:
        """The fate of a document; without what it equals where that is not to be followed.

        `InputError` for an address that the run never gave.
        """
        shard, row = address(doc_id)
        if not self.inputs:
            raise InputError(f"{self.run.root} has read no archive yet, so it has no document: extract reads them.")
        entries = [entry for entry in self.inputs if entry.shard == shard]
        if not entries:
            last = self.inputs[-1].shard
            raise InputError(
                f"{doc_id} would be row {row:,} of shard {shard}, and {self.run.root} has {many(last + 1, 'shard')}, "
                "numbered from 0. Is it another run's?"
            )
        if entries[0].lang is not None:
            return self._imported(doc_id, entries[0], row)
        made = self.run.manifest("extract", shard_name(shard))
        if made is None:
            raise InputError(f"{doc_id} is in shard {shard}, which is not extracted yet. Run the same command again.")
        documents = made.facts["documents"]
        if row >= documents:
            raise InputError(
                f"{doc_id} would be row {row:,} of shard {shard}, which has {many(documents, 'document')}, numbered "
                "from 0. Is it another run's?"
            )
        page = row_at(self.run.file("extract", shard), row)
        assert page is not None
        return _Crawled(self, shard, page, follow).fate()

    def refused(self, shard: int, row: int) -> Fate:
        """The fate of a page that `extract` read and did not keep."""
        page = row_at(self.run.file("extract", shard, "refused"), row)
        assert page is not None
        return self.gone("extract", page.pop("reason"), **page)

    def gone(self, step: str, reason: str, **known: Any) -> Fate:
        """The fate of a record of which nothing was stored."""
        verdict = self.verdict(step, reason)
        fate: Kept = "quarantined" if is_set_apart(reason) or known.pop("damaged", False) else "refused"
        return Fate(fate=fate, step=step, reason=reason, meaning=verdict.meaning, verdicts=(verdict,), **known)

    def verdict(
        self,
        step: str,
        said: str,
        measured: Mapping[str, Any] | None = None,
        *,
        keys: Sequence[str] = (),
        own: Mapping[str, str] | None = None,
    ) -> Verdict:
        """A verdict, with the settings that decide; `keys` are those of one that passed."""
        decides = keys or deciding(said)
        settings = {key: value for key in decides if (value := self._setting(key)) is not None}
        measured = {name: value for name, value in (measured or {}).items() if value is not None}
        why = "" if said == "passed" else meaning(said, own)
        return Verdict(step=step, said=said, meaning=why, measured=measured, settings=settings)

    def _setting(self, key: str) -> Any:
        """What the run has of a setting; of one that names a file, whose path no run keeps, the digest."""
        if key not in _RECORDED:
            return self.settings.get(key)
        verb, name = _RECORDED[key]
        path = next(self.run.made(verb), None)
        made = read_manifest(path) if path else None
        return f"a file with SHA-256 {made.inputs[name]}" if made and name in made.inputs else None

    def published(self, lang: str, doc_id: int) -> tuple[Place, Row] | None:
        """(place, row) of a document in the corpus."""
        manifest = self.run.manifest("publish", lang)
        if manifest is not None:
            for path in corpus_language(self.run.folder("publish"), manifest).paths:
                for number, row in document_rows(path, doc_id):
                    return Place(lang=lang, file=str(path.relative_to(self.run.root)), first=number), row
        return None

    def encoded(self, lang: str, doc_id: int) -> Place | None:
        """Where its tokens stand."""
        language = language_tokens(self.run.folder("encode"), lang)
        span = language.span_of(doc_id) if language else None
        if language is None or span is None:
            return None
        name, first = language.file_at(span.start)
        file = str((self.run.folder("encode") / name).relative_to(self.run.root))
        return Place(lang=lang, file=file, first=first, count=span.length, index=span.start)

    def encode_verdict(self, lang: str, doc_id: int) -> tuple[Verdict | None, Place | None]:
        """(what `encode` said of a published document, its tokens); None where it has said nothing yet."""
        place = self.encoded(lang, doc_id)
        if place is not None:
            return self.verdict("encode", "passed", {"tokens": place.count}), place
        made = self.run.manifest("encode", lang)
        lost = dict(made.facts.get("set_apart", ())) if made else {}
        return (self.verdict("encode", lost[str(doc_id)]) if str(doc_id) in lost else None), None

    def _imported(self, doc_id: int, entry: Input, row: int) -> Fate:
        assert entry.lang is not None
        found = self.published(entry.lang, doc_id)
        if found is None:
            raise InputError(
                f"{doc_id}: {self.run.root} has no text of document {row:,} of {entry.archive}: there is no such "
                "document, it was empty, or its import has not ended."
            )
        place, document = found
        encoded, tokens = self.encode_verdict(entry.lang, doc_id)
        known = {f.name: document[f.name] for f in dataclasses.fields(Fate) if f.name in document}
        verdict = self.verdict("publish", "passed", {"bucket": document["bucket"]})
        return Fate(
            **known,
            fate="published",
            step="publish",
            imported=True,
            verdicts=(verdict, *filter(None, [encoded])),
            paragraphs=tuple(_passed(document["text"])),
            corpus=place,
            tokens=tokens,
        )


@dataclass
class _Crawled:
    """The fate of a page that was kept, verb by verb."""

    fates: Fates
    shard: int
    page: Row
    follow: bool
    verdicts: list[Verdict] = field(default_factory=list)
    known: Row = field(default_factory=dict)
    """What is known of it at last."""

    @property
    def run(self) -> RunDir:
        return self.fates.run

    @property
    def doc_id(self) -> int:
        return int(self.page["doc_id"])

    def fate(self) -> Fate:
        lines = self.page["text"].split("\n")
        told = {name: self.page.get(name) or None for name in ("charset", "truncated", "robots")}
        told |= {"paragraphs": len(lines), "characters": len(self.page["text"])}
        self._say("extract", "passed", told)
        decided = self._match()
        if decided is None:
            self._end("waiting", "match")
        elif "fate" not in self.known:
            repeated = {row["paragraph"]: row for row in decided if row["paragraph"] is not None}
            left = "\n".join(line for number, line in enumerate(lines) if number not in repeated)
            self._refine(left)
            if self.follow:
                self.known["paragraphs"] = tuple(self._paragraphs(lines, repeated))
        kept = ("url", "archive", "offset", "length", "date", "digest", "doc_id")
        text = {"text": self.page["text"]} | self.known
        return Fate(**{name: self.page[name] for name in kept}, **text, verdicts=tuple(self.verdicts))

    def _say(self, step: str, said: str, measured: Row, keys: Sequence[str] = (), own: Any = None) -> Verdict:
        self.verdicts.append(self.fates.verdict(step, said, measured, keys=keys, own=own))
        return self.verdicts[-1]

    def _end(self, fate: Kept, step: str, verdict: Verdict | None = None, **known: Any) -> None:
        why = {"reason": verdict.said, "meaning": verdict.meaning} if verdict else {}
        self.known |= {"fate": fate, "step": step, **why, **known}

    def _match(self) -> list[Row] | None:
        """The decisions of `match`, as they were mended; None where there are none yet."""
        name = shard_name(self.shard)
        if self.run.manifest("match", name) is None and self.run.manifest("refine", name) is None:
            return None
        first = self._whole(self._rows(self.run.file("match", self.shard)))
        decided = self._rows(self.run.decisions(self.shard))
        whole = self._whole(decided)
        if whole is None and first is None:
            keys = ("match.documents", "match.min_jaccard")
            self._say("match", "passed", {"repeated_paragraphs": len(decided)}, keys)
            return decided
        told = whole or first
        assert told is not None
        names = ("similarity", "partner", "match", "match_similarity")
        verdict = self._say("match", told["kind"], {key: told.get(key) for key in names})
        if whole is None:
            self._say("refine", "came_back", {"for": told["partner"], "repeated_paragraphs": len(decided)})
        elif self.run.manifest("refine", name) is None and self.run.manifest("returned", name) is None:
            self._end("waiting", "refine", None, **self._copies(whole))
        else:
            self._end("dropped", "match", verdict, **self._copies(whole))
        return decided

    def _rows(self, path: Any) -> list[Row]:
        return [row for _, row in document_rows(path, self.doc_id)]

    @staticmethod
    def _whole(rows: Sequence[Row]) -> Row | None:
        return next((row for row in rows if row["paragraph"] is None), None)

    def _copies(self, whole: Row) -> Row:
        return {"copies": tuple(self._followed(whole))} if self.follow else {}

    def _followed(self, whole: Row | None) -> Iterator[Copy]:
        """What a document equals, and what stays for it; then the same of that one, where it goes itself."""
        doc, seen = self.doc_id, {self.doc_id}
        while whole is not None and whole["partner"] is not None and len(seen) < _FOLLOWED:
            partner, equal = whole["partner"], whole.get("match")
            if equal is not None and equal not in (partner, doc):
                yield self._copy(doc, equal, "equals", whole["match_similarity"])
            if partner in seen:
                return
            yield self._copy(doc, partner, "stays", whole["similarity"])
            seen.add(partner)
            doc = partner
            rows = document_rows(self.run.decisions(address(doc)[0]), doc)
            whole = self._whole([row for _, row in rows])

    def _copy(self, of: int, doc: int, relation: Literal["stays", "equals"], similarity: float | None) -> Copy:
        other = self.fates.document(doc, follow=False)
        told = {name: getattr(other, name) for name in ("url", "archive", "offset", "fate", "step", "reason", "text")}
        return Copy(doc_id=doc, relation=relation, of=of, similarity=similarity, **told)

    def _refine(self, left: str) -> None:
        made = self.run.manifest("refine", shard_name(self.shard))
        kept = self._rows(self.run.file("refine", self.shard)) if made else []
        dropped = self._rows(self.run.file("refine", self.shard, "dropped")) if made else []
        row = next(iter(kept or dropped), None)
        if made is None or row is None:
            self._end("waiting", "refine")
            return
        for name in ("lang", "lang_score", "perplexity"):
            self.known[name] = row.get(name)
        reason = None if kept else str(row["reason"])
        self._stages(row, reason, left)
        if reason is not None:
            stage = found.stage if (found := find(reason)) else "refine"
            verdict = self._say(stage, reason, self._measured(stage, row, left), own=made.facts.get("reasons"))
            self._end("quarantined" if is_set_apart(reason) else "dropped", "refine", verdict, text=left)
        else:
            self.known["text"] = row["text"]
            self._publish(row)

    def _stages(self, row: Row, reason: str | None, left: str) -> None:
        """The stages of ours that a document passed, as far as that is certain."""
        known = find(reason) if reason else None
        for name in self.fates.settings.get("refine.stages", ()):
            step = f"refine.{name}"
            if known is not None and step == known.stage:
                return
            if step in _DECIDES and (reason is None or known is not None or row.get("lang")):
                self._say(step, "passed", self._measured(step, row, left), _DECIDES[step])

    def _measured(self, step: str, row: Row, left: str) -> Row:
        if step == "refine.length":
            names = {name: self.fates.settings.get(f"refine.length.{name}") for name in ("min_chars", "count")}
            config = LengthConfig(**{name: value for name, value in names.items() if value is not None})
            near = len(left) < config.min_chars * max(CHARACTERS.values())  # else it is long enough in any script
            return {"characters": len(left), "least": round(config.least(left), 2) if near else None}
        if step == "refine.language":
            return {"lang": row.get("lang"), "score": row.get("lang_score")}
        if step == "refine.perplexity":
            return {"perplexity": row.get("perplexity"), "pieces": row.get("pieces")}
        return {}

    def _publish(self, row: Row) -> None:
        lang, found = row["lang"], self.fates.published(row["lang"], self.doc_id)
        made = self.run.manifest("publish", lang)
        if made is None:
            self._end("waiting", "publish")
            return
        cut = made.facts["cutoffs"]
        label = bucket(row["perplexity"], Cutoffs(cut["head"], cut["middle"], cut["documents"]) if cut else None)
        cutoffs = {name: cut[name] for name in ("head", "middle")} if cut else {}
        measured = {"perplexity": row["perplexity"], **cutoffs, "bucket": label}
        self.known["bucket"] = label
        if found is None:
            self._unpublished(label, made, measured)
            return
        self._say("publish", "passed", measured, ("publish.buckets", "publish.head", "publish.middle"))
        place, published = found
        encoded, tokens = self.fates.encode_verdict(lang, self.doc_id)
        self.verdicts += filter(None, [encoded])
        size = published["cluster_size"]
        self._end("published", "publish", corpus=place, tokens=tokens, cluster_size=size, text=published["text"])

    def _unpublished(self, label: str, made: Manifest, measured: Row) -> None:
        """Why a document is not in the corpus; it waits where no setting explains that: the corpus is older than it."""
        settings, precision = self.fates.settings, made.facts.get("precision")
        share, doc = settings.get("publish.tail_share", 1.0), np.array([self.doc_id], np.uint64)
        if precision is not None:
            reason = "audit_below_min_precision"
        elif label not in settings.get("publish.buckets", (label,)):
            reason = f"bucket_{label}"
        elif label == "tail" and not drawn(doc, share)[0]:
            reason = "tail_share"
        elif made.inputs.get("benchmarks"):
            reason = "benchmark_item"
        else:
            self._end("waiting", "publish")
            return
        self._end("dropped", "publish", self._say("publish", reason, measured | {"precision": precision}))

    def _paragraphs(self, lines: Sequence[str], repeated: Mapping[int, Row]) -> Iterator[Paragraph]:
        """Each paragraph of the page; one that is not in the text at last was taken out by a stage."""
        urls = {partner: self._url(partner) for partner in {row["partner"] for row in repeated.values()}}
        text = self.known.get("text") or self.page["text"]
        last = iter(text.split("\n"))
        following = next(last, None)
        for number, line in enumerate(lines):
            if row := repeated.get(number):
                partner = row["partner"]
                yield Paragraph(
                    number=number,
                    said=row["kind"],
                    text=line,
                    partner=partner,
                    partner_paragraph=row["partner_paragraph"],
                    partner_url=urls[partner],
                )
            elif line == following:
                following = next(last, None)
                yield Paragraph(number=number, said="passed", text=line)
            else:
                yield Paragraph(number=number, said="changed_by_a_stage", text=line)

    def _url(self, doc: int) -> str | None:
        shard, row = address(doc)
        path = self.run.file("extract", shard)
        found = row_at(path, row, ["url"]) if path.is_file() else None
        return found["url"] if found else None


_DECIDES = {
    "refine.length": deciding("too_short"),
    "refine.language": deciding("language_unsure"),
    "refine.snapshot": deciding("other_snapshot"),
    "refine.perplexity": ("refine.perplexity.definition",),
}
"""Our stages, and the settings by which a document passes."""


def _passed(text: str) -> Iterator[Paragraph]:
    return (Paragraph(number=number, said="passed", text=line) for number, line in enumerate(text.split("\n")))
