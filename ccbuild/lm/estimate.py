"""A perplexity model of one language from well-formed text: SentencePiece pieces and their Kneser-Ney n-grams.

CCNet's recipe (Wenzek et al., LREC 2020, §3.2 and its Makefile): text normalised by
:func:`ccbuild.text.normalise.normalise_ccnet`, a unigram SentencePiece model of up to 65,536 pieces with a character
coverage of 0.9995, and a 5-gram model of the pieces by ``lmplz --discount_fallback``. The n-grams here are the same
numbers without the program (:mod:`ccbuild.lm.kneser_ney`).
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import sentencepiece

from ccbuild.errors import InputError
from ccbuild.lm.arpa import write_arpa
from ccbuild.lm.kneser_ney import estimate_ngrams, read_sentences
from ccbuild.storage import sha256_file
from ccbuild.text.normalise import normalise_ccnet_lines

__all__ = ["EstimateConfig", "Estimated", "estimate", "estimate_files"]

_BATCH = 1000
"""Lines normalised and encoded in one call."""
_LONGEST_LINE = 1 << 24
"""SentencePiece leaves out longer lines without a word, by default those over 4,192 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateConfig:
    """How a perplexity model is estimated."""

    order: int = 5
    """Words in the longest n-gram, 2 to 6 (KenLM's largest as built). CCNet: 5."""
    pieces: int = 65_536
    """Largest SentencePiece vocabulary. A text that cannot fill it gets fewer; `Estimated.pieces` says how many."""
    characters_per_piece: int = 64
    """Text needed for each piece, in characters; 0: as many pieces as the text yields, which is CCNet.

    Measured on held-out text of eight languages against 0: 1.6 to 6 % fewer bits a character on 60,000 to
    220,000 characters (Amharic, Icelandic, Arabic, Chinese), 0 to 3.5 % on a million (Turkish, Finnish, Japanese);
    none on 3 million of English. 128 gains as much again and takes twice the time."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """A model on disk, and what it was made of."""

    sp_model: Path
    """The SentencePiece model."""
    arpa: Path
    """The n-gram model."""
    sp_sha256: str
    """SHA-256 of `sp_model`, for :class:`ccbuild.lm.score.Scorer`."""
    arpa_sha256: str
    """SHA-256 of `arpa`."""
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
    """Orders for which the text was too small or too regular to estimate discounts: 0.5, 1 and 1.5 were taken."""


def estimate(lines: Iterable[str], out_prefix: str | Path, config: EstimateConfig) -> Estimated:
    """Write ``<out_prefix>.sp.model`` and ``<out_prefix>.arpa`` from `lines`, one paragraph each.

    `InputError` when the text is too little, for itself or for the order. Equal lines give equal bytes. Cost on one
    core: 0.8 s for 190,000 characters of Icelandic, 4 s for 3.2 million of English, 5.4 s for a million of Japanese
    (unbroken scripts take SentencePiece longest); memory 110 to 250 bytes a character.
    """
    return estimate_files(lines, f"{out_prefix}.sp.model", f"{out_prefix}.arpa", config)


def estimate_files(lines: Iterable[str], sp_model: str | Path, arpa: str | Path, config: EstimateConfig) -> Estimated:
    """:func:`estimate` with both paths given, as a unit of work under temporary names needs."""
    text = [line for batch in _batches(lines) for line in normalise_ccnet_lines(batch) if line.strip()]
    characters = sum(map(len, text))
    if characters < max(config.min_characters, 1):
        raise InputError(
            f"{characters:,} characters of text are too little for a perplexity model, which asks for "
            f"{max(config.min_characters, 1):,}. Give more text, or lower min_characters."
        )
    proto = _train_pieces(text, characters, config)
    Path(sp_model).write_bytes(proto)
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
    sentences = read_sentences(
        pieces for batch in _batches(text) for pieces in processor.encode(batch, out_type=str, num_threads=1)
    )
    ngrams = estimate_ngrams(sentences, config.order, config.prune)
    return Estimated(
        sp_model=Path(sp_model),
        arpa=Path(arpa),
        ngrams=write_arpa(arpa, sentences.words, ngrams),
        sp_sha256=sha256_file(sp_model),
        arpa_sha256=sha256_file(arpa),
        lines=len(text),
        characters=characters,
        pieces=len(processor),
        tokens=len(sentences.tokens) - len(text),
        fallback=tuple(order for order, grams in enumerate(ngrams, 1) if grams.discounts.fallback),
    )


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
