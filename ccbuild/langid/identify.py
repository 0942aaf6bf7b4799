"""Text to a language code and a score, with fastText's lid.176."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import fasttext

from ccbuild.errors import DataError, InputError
from ccbuild.langid.codes import from_lid176, is_code
from ccbuild.langid.han import script

__all__ = ["UNDETERMINED", "Identified", "Identifier"]

UNDETERMINED = "und"
"""ISO 639-2 for text whose language is not determined."""

_LABEL = "__label__"
_CANARIES = {
    "en": "The committee will meet again next week to discuss the report.",
    "ru": "Комитет соберётся на следующей неделе, чтобы обсудить доклад.",
    "ja": "委員会は来週再び集まって報告書について話し合います。",
    "ar": "ستجتمع اللجنة مرة أخرى الأسبوع المقبل لمناقشة التقرير.",
}
"""A truncated model loads without a word and labels everything alike; these must come out right."""


class Identified(NamedTuple):
    """What the identifier says of one text."""

    code: str
    """CC-100's code where it has one, else the label of the model; ``und`` for text without letters."""
    score: float
    """Probability that the model gives its label, 0 to 1."""


class Identifier:
    """A fastText model behind the interface that `refine` asks.

    `sha256` is what the catalogue or a manifest states of the file; another hash is a `DataError`
    before fastText sees the bytes. Costs about 0.5 ms for a page of 4,700 characters.
    """

    def __init__(self, path: str | Path, sha256: str | None = None) -> None:
        source = Path(path)
        if not source.is_file():
            raise InputError(f"{source} is not a file. `ccbuild catalogue fetch lid.176.ftz` prints where it puts one.")
        with source.open("rb") as stream:
            self.sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if sha256 is not None and self.sha256 != sha256:
            raise DataError(f"{source} has SHA-256 {self.sha256}, stated is {sha256}. Fetch the model again.")
        try:
            self._model = fasttext.load_model(str(source))
        except (ValueError, MemoryError) as error:
            raise DataError(f"{source} is no fastText model: {error}. Fetch the model again.") from error
        found = {code: self.identify([text])[0].code for code, text in _CANARIES.items()}
        wrong = sorted(code for code, answer in found.items() if answer != code)
        if wrong:
            raise DataError(
                f"{source} labels the canary sentence in {', '.join(wrong)} as {', '.join(found[c] for c in wrong)}: "
                "the file is damaged or no language identifier. Fetch the model again."
            )

    def identify(self, texts: Sequence[str]) -> list[Identified]:
        """One answer a text. Newlines count as spaces, the whole text is read."""
        return [self._identify(text) for text in texts]

    def _identify(self, text: str) -> Identified:
        if not any(map(str.isalpha, text)):
            return Identified(UNDETERMINED, 0.0)
        line = text.replace("\n", " ").replace("\0", " ").encode("utf-8", "ignore").decode()
        answer = self._model.f.predict(line + "\n", 1, 0.0, "strict")
        if not answer:
            return Identified(UNDETERMINED, 0.0)
        score, label = answer[0]
        code = from_lid176(label.removeprefix(_LABEL))
        if code == "zh":
            code = script(text)
        if not is_code(code):
            raise DataError(f"The model gives the label {label!r}, which is no language code. Use another model.")
        return Identified(code, min(float(score), 1.0))
