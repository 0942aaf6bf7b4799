"""fastText models that may be asked: verified before they load, tried on canary sentences, labels made codes."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import fasttext

from ccbuild.errors import DataError, InputError
from ccbuild.langid.codes import from_label, is_code
from ccbuild.refusals import refusal

__all__ = ["CANARIES", "LABEL", "LONG", "LanguageModel", "escape", "plain"]

LABEL = "__label__"
"""What fastText takes for a label, wherever it stands."""

LONG = 200
"""Characters from which a text is long: a probability means more there."""

CANARIES = {
    "en": "The committee will meet again next week to discuss the report.",
    "ru": "Комитет соберётся на следующей неделе, чтобы обсудить доклад.",
    "de": "Der Ausschuss wird nächste Woche erneut zusammentreten, um den Bericht zu besprechen.",
    "ar": "ستجتمع اللجنة مرة أخرى الأسبوع المقبل لمناقشة التقرير.",
}
"""A truncated model loads without a word and labels everything alike; these must come out right."""


def escape(text: str) -> str:
    """`text` as one line in which fastText reads no label, no end and nothing that is not Unicode."""
    line = text.replace("\n", " ").replace("\0", " ")
    if LABEL in line:
        line = line.replace(LABEL, "label ")
    return line if line.isascii() else line.encode("utf-8", "ignore").decode()


_NO_WORDS = re.compile(r"[\d!-@\[-`{-~«»“”„…–—‘’]+")


def plain(line: str) -> str:
    """Lower case, digits and signs out: what a supplement learns from and is asked."""
    return _NO_WORDS.sub(" ", line.lower())


_TRIAL = """
import os, shutil, sys, fasttext
model = fasttext.load_model(sys.argv[1])
model.save_model(sys.argv[2])
longer = os.path.getsize(sys.argv[2]) - os.path.getsize(sys.argv[1])
if longer < 0:
    shutil.copyfile(sys.argv[1], sys.argv[2])  # fastText does not see that there is no space; this does
assert not longer, "it is cut short"
for line in sys.argv[3:]:
    model.f.predict(line + "\\n", 5, 0.0, "strict")
"""
"""fastText reads on behind the end of a file and takes what is in memory; written again, such a model is longer."""


def _try_apart(path: Path) -> None:
    """Open a model in a child process first, as one that was cut or changed can end the process that asks it; 0.2 s."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _TRIAL, str(path), str(Path(folder) / "again"), *CANARIES.values()],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"it ended the process that asked it, {done.returncode}"]
        full = refusal(
            f"{tempfile.gettempdir()}, where {path} is tried", RuntimeError(said[0]), "set TMPDIR to another folder"
        )
        raise full or DataError(f"{path} is no fastText model: {said[0][:200]}. Fetch the model again.")


class LanguageModel:
    """A fastText identifier.

    `sha256` is what the catalogue or a manifest states of the file; another hash is a `DataError` before fastText
    sees the bytes. A file whose hash nobody states is opened in a process of its own first. A label that cannot be a
    code is a `DataError` too, and so is a wrong answer to a canary sentence.
    """

    def __init__(self, path: str | Path, sha256: str | None = None, canaries: Mapping[str, str] = CANARIES) -> None:
        source = Path(path)
        if not source.is_file():
            raise InputError(f"{source} is not a file. `ccbuild catalogue fetch lid.176.ftz` prints where it puts one.")
        with source.open("rb") as stream:
            self.sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if sha256 is not None and self.sha256 != sha256:
            raise DataError(f"{source} has SHA-256 {self.sha256}, stated is {sha256}. Fetch the model again.")
        if sha256 is None:
            _try_apart(source)
        try:
            self._model = fasttext.load_model(str(source))
            labels = self._model.get_labels()
        except (ValueError, MemoryError, RuntimeError) as error:
            raise DataError(f"{source} is no fastText model: {error}. Fetch the model again.") from error
        self._codes = {label: from_label(label.removeprefix(LABEL)) for label in labels}
        for label, code in self._codes.items():
            if not is_code(code):
                raise DataError(f"{source} has the label {label!r}, which is no language code. Use another model.")
        self.codes = frozenset(self._codes.values())
        """Every code that the model can answer with; `zh` where it does not tell the scripts apart."""
        found = {code: self.ask(text, 1)[0][0] for code, text in canaries.items() if code in self.codes}
        wrong = sorted(code for code, answer in found.items() if answer != code)
        if wrong or not found:
            raise DataError(
                f"{source} labels the canary sentence in {', '.join(wrong)} as {', '.join(found[c] for c in wrong)}: "
                "the file is damaged or no language identifier. Fetch the model again."
            )

    def ask(self, line: str, k: int) -> list[tuple[str, float]]:
        """The `k` most probable (code, probability) of one escaped line, the best first; labels of one code apart."""
        return [(self._codes[label], min(p, 1.0)) for p, label in self._model.f.predict(line + "\n", k, 0.0, "strict")]
