"""fastText models that may be asked: verified before they load, tried on canary sentences, labels made codes."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccbuild.errors import DataError, InputError
from ccbuild.langid.codes import from_label, is_code
from ccbuild.langid.letters import SMALL, Folded, fold, small
from ccbuild.langid.network import Network, read_network
from ccbuild.langid.scripts import NAMES, NO_WORDS, kinds

__all__ = ["CANARIES", "LABEL", "LanguageModel", "Room", "escape", "plain", "room_for"]

LABEL = "__label__"
"""What fastText takes for a label, wherever it stands."""

_GAPS, _GAPS_AND_SIGNS = 1, 3
"""Which roles of characters (`scripts.Kinds`) end a word."""
_ROWS = 4096
"""Vectors that are found before they are added up: their numbers stay in the processor's nearest cache."""

CANARIES = {
    "en": "The committee will meet again next week to discuss the report.",
    "ru": "Комитет соберётся на следующей неделе, чтобы обсудить доклад.",
    "de": "Der Ausschuss wird nächste Woche erneut zusammentreten, um den Bericht zu besprechen.",
    "ar": "ستجتمع اللجنة مرة أخرى الأسبوع المقبل لمناقشة التقرير.",
}
"""A truncated model loads without a word and labels everything alike; these must come out right."""


def escape(text: str) -> str:
    """`text` as one line in which fastText itself reads no label, no end and nothing that is not Unicode."""
    line = text.replace("\n", " ").replace("\0", " ").replace("</s>", " ")
    if LABEL in line:
        line = line.replace(LABEL, "label ")
    return line if line.isascii() else line.encode("utf-8", "ignore").decode()


_NO_WORDS = re.compile(rf"[\d{re.escape(''.join(sorted(NO_WORDS)))}]+")


def plain(text: str) -> str:
    """A line of small letters, digits and signs out: what a supplement learns from and is asked."""
    return _NO_WORDS.sub(" ", escape(small(text)))


_TRIAL = """
import sys, fasttext
model = fasttext.load_model(sys.argv[1])
for line in sys.argv[2:]:
    sys.stdout.write(model.f.predict(line + "\\n", 1, 0.0, "strict")[0][1] + "\\n")
"""


def _try_apart(path: Path) -> list[str]:
    """fastText's own answers to the canary sentences, asked in a child process, since a model that was changed can end
    the process that asks it; 0.2 s."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", _TRIAL, str(path), *map(small, CANARIES.values())],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"it ended the process that asked it, {done.returncode}"]
        raise DataError(f"{path} is no fastText model: {said[0][:200]}. Fetch the model again.")
    return done.stdout.split()


class LanguageModel:
    """A fastText identifier.

    `sha256` is what the catalogue or a manifest states of the file; another hash is a `DataError` before anything
    is read of it. What a file whose hash nobody states says is compared with what fastText says of it, in a process of
    its own. A label that cannot be a code is a `DataError` too, and so is a wrong answer to a canary sentence.
    """

    def __init__(
        self,
        path: str | Path,
        sha256: str | None = None,
        canaries: Mapping[str, str] = CANARIES,
        *,
        words_alone: bool = False,
    ) -> None:
        """`words_alone`: digits and signs are no part of what it is asked, as for a supplement."""
        source = self.path = Path(path)
        if not source.is_file():
            raise InputError(f"{source} is not a file. `ccbuild catalogue fetch lid.176.ftz` prints where it puts one.")
        with source.open("rb") as stream:
            self.sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if sha256 is not None and self.sha256 != sha256:
            raise DataError(f"{source} has SHA-256 {self.sha256}, stated is {sha256}. Fetch the model again.")
        self.network, labels = read_network(source, _GAPS_AND_SIGNS if words_alone else _GAPS)
        self.label_codes = [from_label(label.removeprefix(LABEL)) for label in labels]
        """The code of each label."""
        for label, code in zip(labels, self.label_codes, strict=True):
            if not is_code(code):
                raise DataError(f"{source} has the label {label!r}, which is no language code. Use another model.")
        self.codes = frozenset(self.label_codes)
        """Every code that the model can answer with; `zh` where it does not tell the scripts apart."""
        if sha256 is None and not words_alone:
            self._compare(source)
        self._check(source, canaries)

    def _compare(self, source: Path) -> None:
        """Refuse a model that fastText itself reads otherwise, or not at all."""
        theirs = [from_label(label.removeprefix(LABEL)) for label in _try_apart(source)]
        ours = [answers[0][0] for answers in self.ask(list(CANARIES.values()), 1)]
        if ours != theirs:
            raise DataError(f"{source} says {ours} here and {theirs} in fastText. Please report it with the model.")

    def _check(self, source: Path, canaries: Mapping[str, str]) -> None:
        """Refuse a model that does not know the canary sentences."""
        found = {code: self.ask([text], 1)[0][0][0] for code, text in canaries.items() if code in self.codes}
        wrong = sorted(code for code, answer in found.items() if answer != code)
        if wrong or not found:
            raise DataError(
                f"{source} labels the canary sentence in {', '.join(wrong)} as {', '.join(found[c] for c in wrong)}: "
                "the file is damaged or no language identifier. Fetch the model again."
            )

    def ask(self, texts: Sequence[str], k: int, form: str = SMALL) -> list[list[tuple[str, float]]]:
        """The `k` most probable (code, probability) of each text, the best first; labels of one code apart.

        The probabilities are fastText's to 1e-4, of the text in small letters (`letters.small`), or as it is.
        """
        from ccbuild.langid import kernels

        folded = fold(texts, form)
        labels, scores = np.full((len(texts), k), -1), np.zeros((len(texts), k))
        room = room_for(folded, k, self.network)
        kernels.ask(folded.points, folded.starts, kinds(), self.network, room, labels, scores)
        return [
            [(self.label_codes[label], p) for label, p in zip(row, ps, strict=True) if label >= 0]
            for row, ps in zip(labels.tolist(), scores.tolist(), strict=True)
        ]


class Room(NamedTuple):
    """Scratch of the compiled loops: of one thread, made for each batch."""

    word: NDArray[np.uint8]
    rows: NDArray[np.int64]
    hidden: NDArray[np.float32]
    nodes: NDArray[np.int64]
    scores: NDArray[np.float64]
    """Of all labels, or of the nodes of a tree that are still to be seen."""
    counts: NDArray[np.int64]
    """Characters by kind, by script, by mark."""
    found: NDArray[np.int64]
    """The best labels, the codes of the first model, of the supplement, of both."""
    p: NDArray[np.float64]
    """Their probabilities."""


def room_for(folded: Folded, k: int, *networks: Network) -> Room:
    """Scratch for texts that `networks` are asked about, `k` answers each."""
    longest = int(np.diff(folded.starts).max(initial=0))
    labels = max(len(n.output) + len(n.tree) + 2 for n in networks)
    return Room(
        np.zeros(4 * longest + 8, np.uint8),
        np.zeros(_ROWS, np.int64),
        np.zeros(max(n.vectors.shape[1] for n in networks), np.float32),
        np.zeros(labels, np.int64),
        np.zeros(labels),
        np.zeros((3, max(len(kinds().script), len(NAMES))), np.int64),
        np.zeros((4, 2 * k), np.int64),
        np.zeros((4, 2 * k)),
    )
