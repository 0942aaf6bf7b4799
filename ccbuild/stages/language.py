"""Route documents to a language, or drop those whose language is not sure or not wanted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from ccbuild.config import place
from ccbuild.errors import ConfigError, InputError
from ccbuild.langid.cascade import UNDETERMINED, Cascade, Identifier
from ccbuild.langid.codes import CC100, check_codes
from ccbuild.langid.model import LanguageModel
from ccbuild.langid.noise import NOISE
from ccbuild.langid.supplement import Supplement
from ccbuild.langid.thresholds import Thresholds
from ccbuild.langid.votes import Vote, vote
from ccbuild.records import Document, Dropped
from ccbuild.stages.contract import Stage
from ccbuild.storage import read_manifest

__all__ = ["LanguageConfig", "open_cascade"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageConfig:
    """Which languages are kept, and how sure the identifier must be."""

    form: Literal["paragraphs", "ccnet"] = "paragraphs"
    """`paragraphs`: the cascade, paragraphs voting by their characters. `ccnet`: the model alone on the whole text,
    newlines deleted, the score rounded to two digits."""
    min_score: float = 0.3
    """Least score, 0 to 1, of languages that `thresholds` does not name. CCNet asks 0.5 of lid.176 alone (1911.00359,
    section 3.3). Scores of two models joined are lower: on 11,463 real pages macro F1 is 0.910 at 0.3, 0.909 at 0.25,
    0.890 at 0.4."""
    thresholds: str | None = place(read=Thresholds.read, covered_before=True)
    """A table that `ccbuild langid calibrate` wrote: least score by language; null: `min_score` for all."""
    languages: tuple[str, ...] = ("all",)
    """Codes to keep; `all` keeps every label of the identifier, `cc100` the 116 codes of CC-100."""
    noise: bool = True
    """Drop menus, lists of keywords, code, numbers, mash, mojibake and repetitions, as `noise_<kind>`."""
    mixed: Literal["drop", "keep"] = "drop"
    """Pages that two languages share: less than 65 % of the characters are in the first, more than 20 in the second,
    and more than 10 are surely in each, with a score of 0.5, of two scripts 0.3. Close languages that are taken for
    each other, such as Galician and Portuguese, make none (`ccbuild.langid.cascade.NEIGHBOURS`)."""
    foreign: Literal["keep", "drop"] = "keep"
    """`drop`: paragraphs of 80 characters or more in another language than the page's are taken out of it."""
    outside: Literal["own", "und"] = "own"
    """Languages outside CC-100 keep their own code, or become `und` and are dropped as `unknown_language`."""
    sample_chars: int = 1000
    """Characters of a page that are asked about first, whole paragraphs chosen by `seed`, two pieces where these are
    sure; where they do not agree, all are; 0: all at once, which takes twice as long and on 12,480 real pages is as
    often right (86.5 % against 86.7 %)."""
    seed: int = 0
    """Which paragraphs these are: the same for the same page and seed."""

    gives: ClassVar[tuple[str, ...]] = ("lang", "lang_score")
    """Fields of a document that this stage fills in."""

    def __post_init__(self) -> None:
        """Refuse what no text can meet."""
        if not 0 <= self.min_score <= 1:
            raise ConfigError(f"language.min_score is {self.min_score}; a score lies between 0 and 1.")
        if not self.languages:
            raise ConfigError("language.languages is empty; it takes codes, `all` or `cc100`.")
        check_codes((c for c in self.languages if c not in ("all", "cc100")), "language.languages")
        if self.sample_chars < 0 or not 0 <= self.seed < 1 << 32:
            raise ConfigError("language.sample_chars is 0 or more, language.seed 0 to 2**32 - 1.")

    def build(self, models: Path) -> Stage:
        """The stage; reads the identifier of the folder `models`."""
        wanted = {code for entry in self.languages for code in (CC100 if entry == "cc100" else (entry,))}
        least = Thresholds.read(self.thresholds) if self.thresholds else Thresholds({})
        cascade = open_cascade(models, self.outside)

        def named(document: Document, code: str, score: float) -> Document | Dropped:
            if code == UNDETERMINED:
                return Dropped("unknown_language" if any(map(str.isalpha, document.text)) else "no_letters")
            if score < least.of(code, self.min_score):
                return Dropped("language_unsure")
            if "all" not in wanted and code not in wanted:
                return Dropped("other_language")
            return dataclasses.replace(document, lang=code, lang_score=score)

        def by_model(documents: Sequence[Document]) -> list[Document | Dropped]:
            answers = Identifier(cascade.model).identify([d.text for d in documents])
            return [named(d, a.code, a.score) for d, a in zip(documents, answers, strict=True)]

        def by_paragraphs(documents: Sequence[Document]) -> list[Document | Dropped]:
            found = vote(cascade, [d.paragraphs for d in documents], self.sample_chars, self.seed, self.noise)
            return [self._routed(d, page, cascade, named) for d, page in zip(documents, found, strict=True)]

        return Stage("language", by_model if self.form == "ccnet" else by_paragraphs)

    def _routed(self, document: Document, found: Vote, cascade: Cascade, named: Named) -> Document | Dropped:
        if found.code == NOISE:
            return Dropped("no_letters" if found.why == "no_letters" else f"noise_{found.why}")
        if found.mixed and self.mixed == "drop":
            return Dropped("mixed_languages")
        answer = named(document, found.code, found.score)
        if self.foreign == "drop" and isinstance(answer, Document) and found.share < 1:
            left = _without_foreign(cascade, document.paragraphs, found.code)
            return dataclasses.replace(answer, paragraphs=left) if left else Dropped("mixed_languages")
        return answer


_FOREIGN_CHARS, _FOREIGN_SCORE = 80, 0.5
"""Least characters and score of a paragraph that is taken out. On real pages of one language, English ones left out,
they took 0.22 % of the paragraphs of 80 to 160 characters and 0.02 of longer ones for another language, English apart,
and knew 77 and 83 % of their own; 40 to 80 characters 0.67 and 67, a score of 0.3 from 80 on 2.0 and 89."""


def _without_foreign(cascade: Cascade, paragraphs: Sequence[str], code: str) -> tuple[str, ...]:
    long = [p for p in paragraphs if len(p) >= _FOREIGN_CHARS]
    answers = dict(zip(long, cascade.identify(long, test_noise=False), strict=True))
    foreign = {p for p, a in answers.items() if a.code not in (code, UNDETERMINED) and a.score >= _FOREIGN_SCORE}
    return tuple(p for p in paragraphs if p not in foreign)


class Named(Protocol):
    """Sets the language of a document, or drops it."""

    def __call__(self, document: Document, code: str, score: float) -> Document | Dropped: ...


def open_cascade(models: Path, outside: Literal["own", "und"] = "own") -> Cascade:
    """The identifier that `prepare` put into `models`, verified; once a process as long as it stays the same."""
    manifest = read_manifest(models / "identifier.json")
    if manifest is None:
        raise InputError(f"{models} holds no language identifier. Run the verb prepare first.")
    files = {name: facts["sha256"] for name, facts in manifest.outputs.items()}
    model, supplement = manifest.facts["model"], manifest.facts["supplement"]
    stated = (files[model], files[supplement] if supplement else None)
    return Cascade(*_open(models / model, models / supplement if supplement else None, stated), outside)


@lru_cache(maxsize=1)
def _open(
    path: Path, supplement: Path | None, stated: tuple[str, str | None]
) -> tuple[LanguageModel, Supplement | None]:
    return LanguageModel(path, stated[0]), Supplement(supplement, stated[1]) if supplement else None
