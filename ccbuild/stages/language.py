"""Route documents to a language, or drop those whose language is not sure or not wanted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ccbuild.errors import ConfigError, InputError
from ccbuild.langid.codes import CC100, is_code
from ccbuild.langid.identify import UNDETERMINED, Identified, Identifier
from ccbuild.records import Document, Dropped
from ccbuild.stages.stage import Stage
from ccbuild.storage import read_manifest

__all__ = ["LanguageConfig", "open_identifier"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageConfig:
    """Which languages are kept, and how sure the identifier must be."""

    min_score: float = 0.5
    """Least score of the identifier, 0 to 1. CCNet (1911.00359, section 3.3): 0.5."""
    languages: tuple[str, ...] = ("all",)
    """Codes to keep; `all` keeps every label of the identifier, `cc100` the 116 codes of CC-100."""

    def __post_init__(self) -> None:
        """Refuse what no text can meet."""
        if not 0 <= self.min_score <= 1:
            raise ConfigError(f"language.min_score is {self.min_score}; a score lies between 0 and 1.")
        unknown = [code for code in self.languages if not is_code(code)]
        if unknown or not self.languages:
            raise ConfigError(f"language.languages is {list(self.languages)}; it takes codes, `all` or `cc100`.")

    def build(self, models: Path) -> Stage:
        """The stage; reads the identifier of the folder `models`."""
        identifier = open_identifier(models)
        wanted = {code for entry in self.languages for code in (CC100 if entry == "cc100" else (entry,))}

        def judge(document: Document, answer: Identified) -> Document | Dropped:
            if answer.code == UNDETERMINED:
                return Dropped("no_letters")
            if answer.score < self.min_score:
                return Dropped("language_unsure")
            if "all" not in wanted and answer.code not in wanted:
                return Dropped("other_language")
            return dataclasses.replace(document, lang=answer.code, lang_score=answer.score)

        def language(documents: Sequence[Document]) -> list[Document | Dropped]:
            answers = identifier.identify([d.text for d in documents])
            return [judge(d, a) for d, a in zip(documents, answers, strict=True)]

        return Stage("language", language)


def open_identifier(models: Path) -> Identifier:
    """The identifier that `prepare` put into `models`, verified; once a process as long as it stays the same."""
    manifest = read_manifest(models / "identifier.json")
    if manifest is None:
        raise InputError(f"{models} holds no language identifier. Run the verb prepare first.")
    ((name, facts),) = manifest.outputs.items()
    return _open(models / name, facts["sha256"])


@lru_cache(maxsize=1)
def _open(path: Path, sha256: str) -> Identifier:
    return Identifier(path, sha256)
