"""The perplexity of a document under a language's model."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import kenlm
import sentencepiece

from ccbuild.errors import DataError, InputError
from ccbuild.lm.probing import is_probing
from ccbuild.storage import read_manifest, sha256_file
from ccbuild.text.normalise import normalise_ccnet, normalise_ccnet_lines

__all__ = ["Definition", "Score", "Scorer", "model_files", "perplexity", "sample", "score_records"]

Definition = Literal["paragraph", "ccnet"]

_PIECES = ".sp.model"
NGRAMS = (".binary", ".arpa.bin", ".arpa")
"""Endings of an n-gram model, the first that exists is taken: ours, CCNet's, the text form."""


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


def sample(paragraphs: Sequence[str], share: float, min_characters: int, seed: int = 0) -> Sequence[str]:
    """About a `share` of `paragraphs`, or all of them when they have fewer than `min_characters` together.

    Every n-th paragraph, n being 1 / `share` rounded, from a first one that `seed` and the text decide: equal documents
    give equal samples wherever they stand. Spread over the document, since its ends are often unlike its middle.

    >>> sample(["one", "two", "three", "four"], 0.5, 10)
    ['two', 'four']
    """
    step = min(round(1 / share), len(paragraphs))
    if step < 2 or sum(map(len, paragraphs)) < min_characters:
        return paragraphs
    return paragraphs[zlib.crc32(paragraphs[0].encode("utf-8", "replace"), seed) % step :: step]


def model_files(place: str | Path) -> tuple[Path, Path]:
    """(SentencePiece model, n-grams) of the model whose files begin with `place`, or of a folder that holds one."""
    prefix = Path(place)
    if prefix.is_dir():
        held = sorted(path.name.removesuffix(_PIECES) for path in prefix.glob(f"*{_PIECES}"))
        if len(held) != 1:
            raise InputError(f"{prefix} holds {len(held)} models: {', '.join(held)}. Name one: {prefix}/CODE.")
        prefix = prefix / held[0]
    there = [path for end in NGRAMS if (path := prefix.with_name(prefix.name + end)).is_file()]
    ngrams = there[0] if there else prefix.with_name(prefix.name + NGRAMS[0])
    return prefix.with_name(prefix.name + _PIECES), ngrams


class Scorer:
    """Scores documents with one language's SentencePiece model and n-gram model (KenLM binary, or ARPA).

    `definition` says what a sentence is:

    ``"paragraph"``
        Each paragraph is normalised and scored as a sentence of its own. Paragraphs that normalise to nothing do
        not count.
    ``"ccnet"``
        What cc_net 1.0.0 computes. Quirk kept: its ``MultiSentencePiece`` normalises the whole document, which
        removes the line breaks that its ``DocLM`` splits at afterwards. The document is scored as one sentence, the
        last word of each paragraph glued to the first of the next.

    A stated SHA-256 is checked before the library sees the file: a damaged KenLM binary can end the process. A binary
    whose hash nobody states is opened first in a process of its own, which must survive a few sentences.
    `InputError` for a missing file, `DataError` for one that is another or cannot be read.

    Cost: a binary is mapped, so opening takes the time of its hash (about 1 GB a second) and processes share its
    memory; an ARPA loads at about 2.5 million n-grams a second into memory of its own. About 1 ms a document of 4,700
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
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(sp_model))
        except (RuntimeError, OSError) as error:
            raise DataError(f"{sp_model} is not a SentencePiece model ({_one_line(error)}). Get it again.") from error
        if ngrams_sha256 is None and is_probing(ngrams):
            _try_apart(ngrams)
        quiet = kenlm.Config()
        quiet.show_progress = False
        quiet.arpa_complain = kenlm.ARPALoadComplain.NONE
        quiet.load_method = kenlm.LoadMethod.LAZY  # pages are read when a word needs them
        try:
            self._ngrams = kenlm.Model(str(ngrams), quiet)
        except (RuntimeError, OSError) as error:
            raise DataError(f"{ngrams} is not a model that KenLM reads ({_one_line(error)}). Get it again.") from error

    @classmethod
    def open(cls, place: str | Path, definition: Definition = "paragraph") -> Scorer:
        """The model whose files begin with `place`: ``models/sw`` for ``models/sw.sp.model`` and its n-grams.

        Checked against the manifest beside it, where there is one. `InputError` for a folder of several models names
        them.

        >>> Scorer.open("models/en").score(["The city grew along the river."]).pieces > 6
        True
        """
        pieces, ngrams = model_files(place)
        manifest = read_manifest(pieces.with_name(pieces.name.removesuffix(_PIECES) + ".json"))
        stated = {name: made["sha256"] for name, made in manifest.outputs.items()} if manifest else {}
        return cls(
            pieces,
            ngrams,
            definition=definition,
            sp_sha256=stated.get(pieces.name),
            ngrams_sha256=stated.get(ngrams.name),
        )

    @property
    def order(self) -> int:
        """Words in the longest n-gram."""
        return int(self._ngrams.order)

    def score(self, paragraphs: Sequence[str]) -> Score:
        """The `Score` of a document of `paragraphs`, of a document without text ``Score(0.0, 0)``."""
        if self.definition == "ccnet":
            pieces = self._pieces.encode(normalise_ccnet("\n".join(paragraphs)), out_type=str)
            line = " ".join(pieces)
            return Score(float(self._ngrams.score(line)), len(line.split()) + 1) if line else Score(0.0, 0)
        scores = self.score_paragraphs(paragraphs)
        return Score(sum([s.log10 for s in scores]), sum([s.pieces for s in scores]))

    def score_paragraphs(self, paragraphs: Sequence[str]) -> list[Score]:
        """The `Score` of each paragraph as a sentence of its own, whatever the definition of a document's is."""
        # Normalisation removes NUL, at which KenLM would stop reading.
        encoded = self._pieces.encode(normalise_ccnet_lines(paragraphs), out_type=str, num_threads=1)
        return [
            Score(float(self._ngrams.score(" ".join(pieces))), len(pieces) + 1) if pieces else Score(0.0, 0)
            for pieces in encoded
        ]


_CANARY = """
import sys, kenlm
config = kenlm.Config()
config.show_progress = False
config.load_method = kenlm.LoadMethod.LAZY
model = kenlm.Model(sys.argv[1], config)
for line in ("", "\u2581the \u2581a , .", "x y z " * 50, sys.argv[2]):
    assert model.score(line) <= 0
"""
"""Opens a binary and scores what is in most models and what is in none."""


def _try_apart(ngrams: str | Path) -> None:
    """Open a KenLM binary in a child process, as a changed one can end the process that opens it. About 0.1 s."""
    words = _last_words(ngrams)
    done = subprocess.run(
        [sys.executable, "-I", "-c", _CANARY, str(ngrams), words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["the process was ended"]
        raise DataError(
            f"{ngrams} is not a model that KenLM reads ({said[0][:200]}, exit code {done.returncode}): damaged, or "
            "made for another machine. Get it again."
        )


def _last_words(ngrams: str | Path) -> str:
    """Some of the words at the end of a binary: a cut file has other bytes there."""
    with open(ngrams, "rb") as stream:
        stream.seek(max(Path(ngrams).stat().st_size - 4096, 0))
        words = stream.read().split(b"\0")[1:-1]
    return " ".join(word.decode("utf-8", "ignore") for word in words[-200:])


def _check(path: str | Path, sha256: str | None) -> None:
    """Refuse a file that is missing or not the one stated."""
    if not Path(path).is_file():
        raise InputError(f"{path} is not a file. Estimate the language's model, or fetch it from the catalogue.")
    if sha256 is not None and (found := sha256_file(path)) != sha256.lower():
        raise DataError(f"{path} has SHA-256 {found}, stated is {sha256}: damaged, or another file. Get it again.")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def score_records(
    records: Iterable[Mapping[str, Any]], scorer: Scorer, *, share: float = 1.0, paragraphs: bool = False
) -> Iterator[dict[str, Any]]:
    """Records with ``text``, each with its ``perplexity`` (None without text) and ``pieces``.

    Of documents over 10,000 characters a `share` of the paragraphs is scored; `paragraphs` says those of each too.
    """
    if not 0 < share <= 1:
        raise InputError(f"--share {share} is no share. Give a number over 0, up to 1.")
    for record in records:
        parts = record["text"].split("\n")
        made = {**record, **_said(scorer.score(sample(parts, share, 10_000)))}
        if paragraphs:
            made["paragraphs"] = [_said(part) for part in scorer.score_paragraphs(parts)]
        yield made


def _said(value: Score) -> dict[str, Any]:
    return {"perplexity": value.perplexity if value.pieces else None, "pieces": value.pieces}
