"""A perplexity model of one language from well-formed text: SentencePiece pieces and their Kneser-Ney n-grams.

CCNet's recipe (Wenzek et al., LREC 2020, §3.2 and its Makefile): text normalised by
:func:`ccbuild.text.normalise.normalise_ccnet`, a unigram SentencePiece model of up to 65,536 pieces with a character
coverage of 0.9995, and a 5-gram model of the pieces by ``lmplz --discount_fallback``. The n-grams here are the same
numbers without the program (:mod:`ccbuild.lm.kneser_ney`), written as the tables that KenLM maps.
"""

from __future__ import annotations

import io
import tempfile
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import sentencepiece

from ccbuild.config import flatten
from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.lm.arpa import write_arpa
from ccbuild.lm.kneser_ney import estimate_ngrams, read_sentences
from ccbuild.lm.lmplz import Programs, find_programs
from ccbuild.lm.probing import write_probing
from ccbuild.progress import counted, phase
from ccbuild.prose import check_code
from ccbuild.rows import read_paragraphs
from ccbuild.storage import Manifest, Unit, facts_of, sha256_file
from ccbuild.text.cut import cut_lines
from ccbuild.text.normalise import normalise_ccnet_lines

__all__ = [
    "MEMORY_MEGABYTES",
    "EstimateConfig",
    "Estimated",
    "estimate",
    "estimate_files",
    "estimate_model",
    "learning_megabytes",
    "learns_within",
]

_BATCH = 1000
"""Lines normalised and encoded in one call."""
_LARGE = 50_000_000
"""Characters from which ``tool: auto`` takes ``lmplz``: where half of the time becomes worth another program."""
MEMORY_MEGABYTES = 4096
"""Memory for counting, MiB, where nobody says otherwise."""
_LEARNING = 256, 250
"""MiB of memory of a process that learns pieces, and bytes for each character that it learns from, at most."""
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
    sample_characters: int = 20_000_000
    """Characters from which SentencePiece learns, drawn line by line from a larger text: it takes some 100 to 250 bytes
    of memory for each. CCNet says nothing of a sample."""
    sp_threads: int = 1
    """Threads of SentencePiece's training. The model depends on them, to the last bit: part of the fingerprint."""
    tool: Literal["own", "auto", "kenlm"] = "auto"
    """What estimates the n-grams. `own`: this package, the same bytes on every machine. `kenlm`: `lmplz` and
    `build_binary`, which must be on the PATH. `auto`: those for 50 million characters and more where they are
    installed, else `own`; equal to 1e-5 in log10, not in bytes. The manifest says which made the model."""

    def __post_init__(self) -> None:
        """Refuse what cannot be: `ValueError`."""
        if not 2 <= self.order <= 6:
            raise ValueError(f"order is {self.order}; KenLM reads models of order 2 to 6.")
        if min(self.pieces, self.sp_threads, self.sample_characters) < 1:
            raise ValueError("pieces, sp_threads and sample_characters start at 1.")
        if min(self.characters_per_piece, self.min_characters) < 0:
            raise ValueError("characters_per_piece and min_characters start at 0.")
        if not 0.9 <= self.character_coverage <= 1:
            raise ValueError(f"character_coverage is {self.character_coverage}; it lies between 0.9 and 1.")
        if len(self.prune) > self.order or list(self.prune) != sorted(self.prune) or any(self.prune[:1]):
            raise ValueError(f"prune is {self.prune}; it starts with 0, never decreases, one number an order.")


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


def learning_megabytes(characters: int, config: EstimateConfig) -> int:
    """Most memory, MiB, that a process takes to learn the pieces of a text of so many characters."""
    process, each = _LEARNING
    return process + (min(characters, config.sample_characters) * each >> 20)


def learns_within(memory_megabytes: int) -> int:
    """Characters from which pieces can be learned in that memory."""
    process, each = _LEARNING
    return max((memory_megabytes - process << 20) // each, 1)


def estimate(lines: Iterable[str], out_prefix: str | Path, config: EstimateConfig) -> Estimated:
    """Write ``.sp.model``, ``.binary`` and ``.arpa`` after `out_prefix` from `lines`, one paragraph each.

    `InputError` when the text is too little, for itself or for the order. Equal lines give equal bytes; a line of over
    32,768 characters counts as several (:func:`ccbuild.text.cut.cut_lines`). Cost on one
    core: 0.8 s for 190,000 characters of Icelandic, 4 s for 3.2 million of English, 5.4 s for a million of Japanese
    (unbroken scripts take SentencePiece longest); memory 110 to 250 bytes a character.
    """
    return estimate_files(lines, f"{out_prefix}.sp.model", f"{out_prefix}.binary", config, arpa=f"{out_prefix}.arpa")


def estimate_model(
    lang: str,
    files: Sequence[str | Path],
    out: str | Path,
    config: EstimateConfig,
    *,
    arpa: bool = True,
    memory_megabytes: int = MEMORY_MEGABYTES,
) -> tuple[Manifest, bool]:
    """A model of `files` in the folder `out`, called `lang`: (its manifest, with the facts of `Estimated`; whether it
    was made now). The same call again finds it done."""
    inputs = {f"{number} {Path(path).name}": sha256_file(path) for number, path in enumerate(files)}
    settings, keep = flatten(config), {"arpa": "--no-arpa" if arpa else "no --no-arpa"}
    settings["arpa"] = arpa
    with Unit(out, "lm estimate", check_code(lang), settings=settings, inputs=inputs, options=keep) as unit:
        done = unit.done()
        if done is not None:
            return done, False
        lines = chain.from_iterable(map(read_paragraphs, files))
        pieces, binary = unit.path(f"{lang}.sp.model"), unit.path(f"{lang}.binary")
        text = unit.path(f"{lang}.arpa") if arpa else None
        made = estimate_files(lines, pieces, binary, config, arpa=text, memory_megabytes=memory_megabytes)
        ledger = Ledger()
        ledger["models"].keep()
        return unit.commit(ledger, facts=facts_of(made)), True


def estimate_files(
    lines: Iterable[str],
    sp_model: str | Path,
    binary: str | Path,
    config: EstimateConfig,
    *,
    arpa: str | Path | None = None,
    memory_megabytes: int = MEMORY_MEGABYTES,
) -> Estimated:
    """:func:`estimate` with each path given, as a unit of work under temporary names needs; `arpa` only if given.

    `memory_megabytes` is for counting; beyond it n-grams are sorted in runs on disk, some 100 bytes a token and order.
    Nothing that is written depends on it. SentencePiece's own memory is :func:`learning_megabytes`.
    """
    with tempfile.TemporaryDirectory(prefix=".estimate-", suffix=".scratch", dir=Path(binary).parent) as folder:
        text = _spool(lines, Path(folder) / "text")
        if text.characters < max(config.min_characters, 1):
            raise InputError(
                f"{text.characters:,} characters of text are too little for a perplexity model, which asks for "
                f"{max(config.min_characters, 1):,}. Give more text, or lower min_characters and the order (3), or "
                "do without: documents of a language without a model stay, in the bucket `all`."
            )
        programs = _programs(config, text.characters)
        proto = _train_pieces(text, config)
        Path(sp_model).write_bytes(proto)
        processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
        sentences = (p for batch in _batches(text) for p in processor.encode(batch, out_type=str, num_threads=1))
        count = partial(_with_lmplz, programs) if programs else _by_ourselves
        with phase("count n-grams"):
            tokens, ngrams, fallback = count(
                counted(sentences, "sentences"),
                Path(binary),
                Path(arpa) if arpa else None,
                config,
                Path(folder),
                memory_megabytes,
            )
    return Estimated(
        sp_model=Path(sp_model),
        binary=Path(binary),
        arpa=Path(arpa) if arpa else None,
        sp_sha256=sha256_file(sp_model),
        binary_sha256=sha256_file(binary),
        lines=text.lines,
        characters=text.characters,
        pieces=len(processor),
        tokens=tokens,
        ngrams=ngrams,
        fallback=fallback,
        made_by=programs.name() if programs else "ccbuild",
    )


@dataclass(frozen=True, slots=True)
class _Spooled:
    """Normalised text in a file, to be read more than once."""

    path: Path
    lines: int
    characters: int
    alphabet: frozenset[str]
    """Its distinct characters, composed as SentencePiece does."""

    def __iter__(self) -> Iterator[str]:
        with open(self.path, encoding="utf-8", newline="\n") as stream:
            for line in stream:
                yield line[:-1]

    def sample(self, characters: int) -> Iterator[str]:
        """All lines, or those that a hash of the line draws: about as many as have `characters` together."""
        share = characters / self.characters
        return (line for line in self if share >= 1 or zlib.crc32(line.encode()) < share * (1 << 32))


def _spool(lines: Iterable[str], path: Path) -> _Spooled:
    """Normalise `lines` into the file `path`, without empty ones, and those in parts that are far too long."""
    number = characters = 0
    alphabet: set[str] = set()
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        for batch in _batches(cut_lines(counted(lines, "lines"))):
            filled = [line for line in normalise_ccnet_lines(batch) if line.strip()]
            out.writelines(f"{line}\n" for line in filled)
            number += len(filled)
            characters += sum(map(len, filled))
            alphabet.update(*(unicodedata.normalize("NFKC", line) for line in filled))
    return _Spooled(path, number, characters, frozenset(alphabet))


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
    sentences: Iterable[Sequence[str]],
    binary: Path,
    arpa: Path | None,
    config: EstimateConfig,
    folder: Path,
    memory_megabytes: int,
) -> _Counted:
    text = read_sentences(sentences, folder)
    ngrams = estimate_ngrams(text, config.order, config.prune, folder=folder, memory_megabytes=memory_megabytes)
    if arpa is not None:
        write_arpa(arpa, text.words, ngrams)
    counts = write_probing(binary, text.words, ngrams, folder=folder)
    fallback = tuple(order for order, grams in enumerate(ngrams, 1) if grams.discounts.fallback)
    return len(text.tokens) - text.sentences, counts, fallback


def _with_lmplz(
    programs: Programs,
    sentences: Iterable[Sequence[str]],
    binary: Path,
    arpa: Path | None,
    config: EstimateConfig,
    folder: Path,
    memory_megabytes: int,
) -> _Counted:
    tokens, counts = programs.estimate(
        sentences,
        arpa or folder / "arpa",
        binary,
        order=config.order,
        prune=config.prune,
        memory_megabytes=memory_megabytes,
        folder=folder,
    )
    return tokens, counts, ()


def _train_pieces(text: _Spooled, config: EstimateConfig) -> bytes:
    """A unigram SentencePiece model of `text`, serialised; no path or thread of this machine is in it."""
    pieces = config.pieces
    if config.characters_per_piece:
        # Every character needs a piece before longer ones can help.
        pieces = min(pieces, max(text.characters // config.characters_per_piece, 2 * len(text.alphabet) + 3))
    model = io.BytesIO()
    try:
        with phase(f"train SentencePiece on {text.characters:,} characters"):
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=text.sample(config.sample_characters),
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
            f"SentencePiece cannot make {pieces} pieces of {text.characters:,} characters ({str(error).strip()}). Give "
            "more or more varied text, or another number of pieces."
        ) from error
    return model.getvalue()


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(lines)
    while batch := list(islice(rest, _BATCH)):
        yield batch
