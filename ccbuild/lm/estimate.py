"""A perplexity model of one language from well-formed text: SentencePiece pieces and their Kneser-Ney n-grams.

CCNet's recipe (Wenzek et al., LREC 2020, §3.2 and its Makefile): text normalised by
:func:`ccbuild.text.normalise.normalise_ccnet`, a unigram SentencePiece model of up to 65,536 pieces with a character
coverage of 0.9995, and a 5-gram model of the pieces by ``lmplz --discount_fallback``. The n-grams here are the same
numbers without the program (:mod:`ccbuild.lm.kneser_ney`), written as the tables that KenLM maps.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import sentencepiece

from ccbuild.errors import InputError
from ccbuild.lm.arpa import write_arpa
from ccbuild.lm.kneser_ney import BOS, estimate_ngrams, read_sentences
from ccbuild.lm.lmplz import Programs, find_programs
from ccbuild.lm.probing import write_probing
from ccbuild.storage import sha256_file
from ccbuild.text.normalise import normalise_ccnet_lines

__all__ = ["EstimateConfig", "Estimated", "estimate", "estimate_files"]

_BATCH = 1000
"""Lines normalised and encoded in one call."""
_LARGE = 50_000_000
"""Characters from which ``tool: auto`` takes ``lmplz``: about where our own arrays outgrow `memory_megabytes`."""
_BYTES_A_TOKEN_AND_ORDER = 30
"""Measured: 1,390 MiB at the peak for 10 million tokens of 21 languages, order 5."""
_LONGEST_LINE = 1 << 24
"""SentencePiece leaves out longer lines without a word, by default those over 4,192 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateConfig:
    """How a perplexity model is estimated."""

    order: int = 5
    """Words in the longest n-gram, 2 to 6 (KenLM's largest as built). CCNet: 5."""
    pieces: int = 65_536
    """Largest SentencePiece vocabulary. A text that cannot fill it gets fewer; `Estimated.pieces` says how many."""
    characters_per_piece: int = 256
    """Text needed for each piece, in characters; 0: as many pieces as the text yields, which is CCNet.

    Measured with lm-text's held-out paragraphs at 64, 128 and 256: bits a character 1.575, 1.563, 1.541 (Swahili, a
    million characters), 2.93, 2.84, 2.78 (Japanese), 2.47, 2.43, 2.42 (Icelandic, 191,000); ROC AUC against shuffled
    words over cs, hu, ko, sv, no, sw, zh-Hans 0.91, 0.95, 0.98. 512 gains nothing more. Estimating takes up to twice as
    long as at 64, scoring no longer."""
    prune: tuple[int, ...] = ()
    """For each order, the count up to which its n-grams are left out; the last holds for the orders beyond.

    Not decreasing, the first 0, as in ``lmplz --prune``: (0, 0, 1) leaves out trigrams and longer that occur once.
    Empty: nothing is pruned. CCNet: nothing."""
    min_characters: int = 5_000
    """Less text than this, in characters after normalisation, is refused: its perplexities would mean little."""
    character_coverage: float = 0.9995
    """Share of the text's characters that have a piece; the others are unknown. CCNet: 0.9995."""
    sp_threads: int = 1
    """Threads of SentencePiece's training. The model depends on them, to the last bit: part of the fingerprint."""
    tool: Literal["own", "auto", "kenlm"] = "own"
    """What estimates the n-grams. `own`: this package, the same bytes on every machine. `kenlm`: `lmplz` and
    `build_binary`, which must be on the PATH. `auto`: those for 50 million characters and more where they are
    installed, so that bytes depend on the machine; the manifest says which made the model."""
    memory_megabytes: int = 4096
    """Memory for counting, MiB. `lmplz` spills to disk beyond it; `own` refuses a text that would need more."""

    def __post_init__(self) -> None:
        """Refuse what cannot be: `ValueError`."""
        if not 2 <= self.order <= 6:
            raise ValueError(f"order is {self.order}; KenLM reads models of order 2 to 6.")
        if self.pieces < 1 or self.sp_threads < 1 or self.characters_per_piece < 0 or self.min_characters < 0:
            raise ValueError("pieces and sp_threads start at 1; characters_per_piece and min_characters at 0.")
        if not 0.9 <= self.character_coverage <= 1:
            raise ValueError(f"character_coverage is {self.character_coverage}; it lies between 0.9 and 1.")
        if len(self.prune) > self.order or list(self.prune) != sorted(self.prune) or any(self.prune[:1]):
            raise ValueError(f"prune is {self.prune}; it starts with 0, never decreases, one number an order.")
        if self.memory_megabytes < 64:
            raise ValueError(f"memory_megabytes is {self.memory_megabytes}; it starts at 64.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """A model on disk, and what it was made of."""

    sp_model: Path
    """The SentencePiece model."""
    binary: Path
    """The n-gram model, as tables that KenLM maps."""
    arpa: Path | None
    """The same as text, where it was asked for."""
    sp_sha256: str
    """SHA-256 of `sp_model`, for :class:`ccbuild.lm.score.Scorer`."""
    binary_sha256: str
    """SHA-256 of `binary`."""
    lines: int
    """Lines of text that had something left after normalisation."""
    characters: int
    """Their characters."""
    pieces: int
    """Size of the SentencePiece vocabulary: what the text could fill of `EstimateConfig.pieces`."""
    tokens: int
    """Pieces in the text, sentence ends included."""
    ngrams: tuple[int, ...]
    """N-grams of each order in the model."""
    fallback: tuple[int, ...]
    """Orders for which the text was too small or too regular to estimate discounts: 0.5, 1 and 1.5 were taken.

    ``lmplz`` does not say, so it is empty where that made the model."""
    made_by: str
    """What counted: ``ccbuild``, or ``lmplz`` and the first digits of its SHA-256."""


def estimate(lines: Iterable[str], out_prefix: str | Path, config: EstimateConfig) -> Estimated:
    """Write ``.sp.model``, ``.binary`` and ``.arpa`` after `out_prefix` from `lines`, one paragraph each.

    `InputError` when the text is too little, for itself or for the order. Equal lines give equal bytes. Cost on one
    core: 0.8 s for 190,000 characters of Icelandic, 4 s for 3.2 million of English, 5.4 s for a million of Japanese
    (unbroken scripts take SentencePiece longest); memory 110 to 250 bytes a character.
    """
    return estimate_files(lines, f"{out_prefix}.sp.model", f"{out_prefix}.binary", config, arpa=f"{out_prefix}.arpa")


def estimate_files(
    lines: Iterable[str],
    sp_model: str | Path,
    binary: str | Path,
    config: EstimateConfig,
    *,
    arpa: str | Path | None = None,
) -> Estimated:
    """:func:`estimate` with each path given, as a unit of work under temporary names needs; `arpa` only if given."""
    text = [line for batch in _batches(lines) for line in normalise_ccnet_lines(batch) if line.strip()]
    characters = sum(map(len, text))
    if characters < max(config.min_characters, 1):
        raise InputError(
            f"{characters:,} characters of text are too little for a perplexity model, which asks for "
            f"{max(config.min_characters, 1):,}. Give more text, or lower min_characters."
        )
    programs = _programs(config, characters)
    proto = _train_pieces(text, characters, config)
    Path(sp_model).write_bytes(proto)
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
    sentences = (p for batch in _batches(text) for p in processor.encode(batch, out_type=str, num_threads=1))
    count = partial(_with_lmplz, programs) if programs else _by_ourselves
    tokens, ngrams, fallback = count(sentences, Path(binary), Path(arpa) if arpa else None, config)
    return Estimated(
        sp_model=Path(sp_model),
        binary=Path(binary),
        arpa=Path(arpa) if arpa else None,
        sp_sha256=sha256_file(sp_model),
        binary_sha256=sha256_file(binary),
        lines=len(text),
        characters=characters,
        pieces=len(processor),
        tokens=tokens,
        ngrams=ngrams,
        fallback=fallback,
        made_by=programs.name() if programs else "ccbuild",
    )


def _programs(config: EstimateConfig, characters: int) -> Programs | None:
    """KenLM's programs if they are to estimate this text."""
    if config.tool == "own" or (config.tool == "auto" and characters < _LARGE):
        return None
    programs = find_programs()
    if programs is None and config.tool == "kenlm":
        raise InputError(
            "tool is kenlm, but lmplz and build_binary are not both on the PATH. Build them from the kenlm sources "
            "(cmake, Boost), or set tool=own."
        )
    return programs


_Counted = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Tokens with sentence ends, n-grams of each order, orders with stand-in discounts."""


def _by_ourselves(
    sentences: Iterable[Sequence[str]], binary: Path, arpa: Path | None, config: EstimateConfig
) -> _Counted:
    text = read_sentences(sentences)
    needed = len(text.tokens) * config.order * _BYTES_A_TOKEN_AND_ORDER >> 20
    if needed > config.memory_megabytes:
        raise InputError(
            f"{len(text.tokens):,} tokens of order {config.order} need about {needed:,} MiB, memory_megabytes is "
            f"{config.memory_megabytes:,}. Raise it, give less text, or set tool=kenlm, which spills to disk."
        )
    ngrams = estimate_ngrams(text, config.order, config.prune)
    if arpa is not None:
        write_arpa(arpa, text.words, ngrams)
    counts = write_probing(binary, text.words, ngrams)
    fallback = tuple(order for order, grams in enumerate(ngrams, 1) if grams.discounts.fallback)
    return int((text.tokens != BOS).sum()), counts, fallback


def _with_lmplz(
    programs: Programs, sentences: Iterable[Sequence[str]], binary: Path, arpa: Path | None, config: EstimateConfig
) -> _Counted:
    written = arpa or binary.with_name(f"{binary.name}.arpa")
    try:
        tokens, counts = programs.estimate(
            sentences,
            written,
            binary,
            order=config.order,
            prune=config.prune,
            memory_megabytes=config.memory_megabytes,
        )
    finally:
        if arpa is None:
            written.unlink(missing_ok=True)
    return tokens, counts, ()


def _train_pieces(text: Sequence[str], characters: int, config: EstimateConfig) -> bytes:
    """A unigram SentencePiece model of `text`, serialised; no path or thread of this machine is in it."""
    pieces = config.pieces
    if config.characters_per_piece:
        # Every character needs a piece before longer ones can help. SentencePiece composes what was decomposed.
        alphabet = len(set().union(*(unicodedata.normalize("NFKC", line) for line in text)))
        pieces = min(pieces, max(characters // config.characters_per_piece, 2 * alphabet + 3))
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(text),
            model_writer=model,
            model_type="unigram",
            vocab_size=pieces,
            hard_vocab_limit=False,
            character_coverage=config.character_coverage,
            num_threads=config.sp_threads,
            max_sentence_length=_LONGEST_LINE,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise InputError(
            f"SentencePiece cannot make {pieces} pieces of {characters:,} characters of text ({str(error).strip()}). "
            "Give more or more varied text, or another number of pieces."
        ) from error
    return model.getvalue()


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(lines)
    while batch := list(islice(rest, _BATCH)):
        yield batch
