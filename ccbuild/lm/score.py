"""The perplexity of a document under a language's model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import kenlm
import sentencepiece

from ccbuild.errors import DataError, InputError
from ccbuild.storage import sha256_file
from ccbuild.text.normalise import normalise_ccnet, normalise_ccnet_lines

__all__ = ["Definition", "Score", "Scorer", "perplexity"]

Definition = Literal["paragraph", "ccnet"]


@dataclass(frozen=True, slots=True)
class Score:
    """What a model says of a document; scores of parts add up."""

    log10: float
    """log10 of the probability of all pieces and sentence ends; 0 or less."""
    pieces: int
    """Pieces and sentence ends that were predicted; 0 for a document without text."""

    @property
    def perplexity(self) -> float:
        """:func:`perplexity` of the two."""
        return perplexity(self.log10, self.pieces)


def perplexity(log10: float, length: int) -> float:
    """``10 ** (-log10 / length)``, rounded to 0.1 as CCNet does; infinite for a `length` of 0.

    >>> perplexity(-6.0, 3)
    100.0
    """
    if not length:
        return float("inf")
    return float(round(10.0 ** min(-log10 / length, 300.0), 1))


class Scorer:
    """Scores documents with one language's SentencePiece model and n-gram model (ARPA, or a KenLM binary).

    `definition` says what a sentence is:

    ``"paragraph"``
        Each paragraph is normalised and scored as a sentence of its own. Paragraphs that normalise to nothing do
        not count.
    ``"ccnet"``
        What cc_net 1.0.0 computes. Quirk kept: its ``MultiSentencePiece`` normalises the whole document, which
        removes the line breaks that its ``DocLM`` splits at afterwards. The document is scored as one sentence, the
        last word of each paragraph glued to the first of the next.

    A stated SHA-256 is checked before the library sees the file: a damaged KenLM binary can end the process.
    `InputError` for a missing file, `DataError` for one that is another or cannot be read.

    Cost: an ARPA loads at about 2.5 million n-grams a second, a binary is mapped. About 1 ms a document of 4,700
    characters, two thirds of it in SentencePiece.
    """

    def __init__(
        self,
        sp_model: str | Path,
        ngrams: str | Path,
        *,
        definition: Definition = "paragraph",
        sp_sha256: str | None = None,
        ngrams_sha256: str | None = None,
    ) -> None:
        if definition not in ("paragraph", "ccnet"):
            raise InputError(f"There is no definition {definition!r} of perplexity. Take 'paragraph' or 'ccnet'.")
        _check(sp_model, sp_sha256)
        _check(ngrams, ngrams_sha256)
        self.definition = definition
        quiet = kenlm.Config()
        quiet.show_progress = False
        quiet.arpa_complain = kenlm.ARPALoadComplain.NONE
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(sp_model))
        except (RuntimeError, OSError) as error:
            raise DataError(f"{sp_model} is not a SentencePiece model ({_one_line(error)}). Get it again.") from error
        try:
            self._ngrams = kenlm.Model(str(ngrams), quiet)
        except (RuntimeError, OSError) as error:
            raise DataError(f"{ngrams} is not a model that KenLM reads ({_one_line(error)}). Get it again.") from error

    def score(self, paragraphs: Sequence[str]) -> Score:
        """The `Score` of a document of `paragraphs`, of a document without text ``Score(0.0, 0)``."""
        if self.definition == "ccnet":
            return self._score_whole(paragraphs)
        # Normalisation removes NUL, at which KenLM would stop reading.
        encoded = self._pieces.encode(normalise_ccnet_lines(paragraphs), out_type=str, num_threads=1)
        sentences = [pieces for pieces in encoded if pieces]
        log10 = sum([self._ngrams.score(" ".join(pieces)) for pieces in sentences])
        return Score(float(log10), sum(map(len, sentences)) + len(sentences))

    def _score_whole(self, paragraphs: Sequence[str]) -> Score:
        pieces = self._pieces.encode(normalise_ccnet("\n".join(paragraphs)), out_type=str)
        line = " ".join(pieces)
        return Score(float(self._ngrams.score(line)), len(line.split()) + 1) if line else Score(0.0, 0)


def _check(path: str | Path, sha256: str | None) -> None:
    """Refuse a file that is missing or not the one stated."""
    if not Path(path).is_file():
        raise InputError(f"{path} is not a file. Estimate the language's model, or fetch it from the catalogue.")
    if sha256 is not None and (found := sha256_file(path)) != sha256.lower():
        raise DataError(f"{path} has SHA-256 {found}, stated is {sha256}: damaged, or another file. Get it again.")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
