"""How well a vocabulary spells each language: pieces per word and character, unknowns, parity, scripts.

Fertility (pieces per word) is Rust et al.'s measure (https://aclanthology.org/2021.acl-long.243), parity on parallel
text Petrov et al.'s (https://arxiv.org/abs/2305.15425): how many times the pieces of English a language needs to say
the same.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ccbuild.errors import DataError, InputError
from ccbuild.langid.codes import UNSPACED
from ccbuild.progress import counted
from ccbuild.storage import read_manifest
from ccbuild.vocab.export import MODEL_NAME
from ccbuild.vocab.words import SPACE

__all__ = ["LanguageSpelling", "Segmenter", "Spelling", "measure", "open_segmenter"]

RARE = 10
"""Occurrences below which a piece is called rare."""
_LINES_AT_ONCE = 1000
_MARKS = SPACE + "\u0120"
"""What marks a word's start, in SentencePiece's pieces and in byte-level BPE's."""


class Segmenter(Protocol):
    """A vocabulary of any kind."""

    name: str
    pieces: list[str]
    """By id."""
    unknown: int | None
    """The id of what cannot be spelled; None where every byte can."""
    seen: frozenset[str] | None
    """Languages that it was trained on; None where that is not recorded."""

    def encode(self, lines: Sequence[str]) -> list[NDArray[np.int64]]:
        """The ids of each line, without specials."""
        ...


class _SentencePiece:
    def __init__(self, name: str, path: Path) -> None:
        from sentencepiece import SentencePieceProcessor

        from ccbuild.vocab.tokenizer import Encoder

        Encoder(path)  # tries it in a child process first
        self.name, self.seen = name, _trained_on(path.parent)
        self._processor = SentencePieceProcessor(model_file=str(path), num_threads=1)
        self.pieces = [self._processor.id_to_piece(i) for i in range(self._processor.get_piece_size())]
        self.unknown: int | None = self._processor.unk_id()

    def encode(self, lines: Sequence[str]) -> list[NDArray[np.int64]]:
        return [np.asarray(ids, np.int64) for ids in self._processor.encode(list(lines), out_type=int)]


class _HuggingFace:
    def __init__(self, name: str, path: Path) -> None:
        try:
            from tokenizers import Tokenizer
        except ModuleNotFoundError as error:
            raise InputError(
                f"{path} needs the package tokenizers. Install it: pip install 'ccbuild[finetune]'."
            ) from error
        self.name, self.seen = name, _trained_on(path.parent)
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
            unknown = json.loads(path.read_text(encoding="utf-8"))["model"]
        except Exception as error:  # tokenizers raises Exception itself
            raise DataError(f"{path} is no tokenizer.json ({error}). Give one, or a SentencePiece model.") from error
        ids = self._tokenizer.get_vocab(with_added_tokens=True)
        self.pieces = [""] * (max(ids.values(), default=-1) + 1)
        for piece, i in ids.items():
            self.pieces[i] = piece
        self.unknown = ids.get(unknown["unk_token"]) if unknown.get("unk_token") else unknown.get("unk_id")

    def encode(self, lines: Sequence[str]) -> list[NDArray[np.int64]]:
        encoded = self._tokenizer.encode_batch(list(lines), add_special_tokens=False)
        return [np.asarray(encoding.ids, np.int64) for encoding in encoded]


def open_segmenter(path: str | Path, name: str | None = None) -> Segmenter:
    """The vocabulary at `path`: a folder that `vocab train` wrote, a SentencePiece model, any tokenizer.json.

    Raises `InputError` where there is none, `DataError` for a file that is none.
    """
    place = Path(path)
    named = name or str(path)
    if place.is_dir():
        inside = [place / found for found in (MODEL_NAME, "tokenizer.json") if (place / found).is_file()]
        if not inside:
            raise InputError(f"{place} holds neither {MODEL_NAME} nor tokenizer.json. Name a vocabulary.")
        place = inside[0]
    if not place.is_file():
        raise InputError(f"{place} is not a file. Name a SentencePiece model or a tokenizer.json.")
    return _HuggingFace(named, place) if place.suffix == ".json" else _SentencePiece(named, place)


def _trained_on(folder: Path) -> frozenset[str] | None:
    """Languages in the manifest beside a vocabulary."""
    try:
        manifest = read_manifest(folder / "vocabulary.json")
    except DataError:
        return None
    return frozenset(manifest.facts["plan"]) if manifest and "plan" in manifest.facts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSpelling:
    """How one vocabulary spells one language."""

    lang: str
    seen: bool | None
    """Whether it was trained on the language; None where that is not known."""
    lines: int
    words: int
    """Between white space."""
    characters: int
    nbytes: int
    pieces: int
    unknown: int
    """Pieces that are <unk>; several unknown characters in a row are one."""
    single: int
    """Pieces of one character."""
    parity: float | None = None
    """Pieces of its side of parallel text over those of the English side."""

    @property
    def per_word(self) -> float | None:
        """Fertility; None for scripts without spaces."""
        return self.pieces / self.words if self.words and self.lang not in UNSPACED else None

    @property
    def per_character(self) -> float:
        """Pieces per character."""
        return self.pieces / max(self.characters, 1)

    @property
    def bytes_per_piece(self) -> float:
        """UTF-8 bytes per piece."""
        return self.nbytes / max(self.pieces, 1)

    @property
    def unknown_share(self) -> float:
        """Of the pieces."""
        return self.unknown / max(self.pieces, 1)

    @property
    def single_share(self) -> float:
        """Of the pieces."""
        return self.single / max(self.pieces, 1)

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready, the ratios to four places."""
        ratios = ("per_word", "per_character", "bytes_per_piece", "unknown_share", "single_share")
        values = {name: getattr(self, name) for name in ratios}
        counts = {name: getattr(self, name) for name in ("lang", "seen", "lines", "words", "characters", "pieces")}
        parity = None if self.parity is None else round(self.parity, 4)
        return counts | {k: None if v is None else round(v, 4) for k, v in values.items()} | {"parity": parity}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """One vocabulary over a text."""

    name: str
    size: int
    """Pieces, specials among them."""
    languages: dict[str, LanguageSpelling]
    rare: int
    """Pieces that occur fewer than `RARE` times in all of the text."""
    scripts: dict[str, float]
    """Share of the pieces by script, the largest first; what has no letter is COMMON."""

    @property
    def unseen(self) -> list[str]:
        """Languages of the text that it was not trained on."""
        return [code for code, row in self.languages.items() if row.seen is False]

    def mean(self, ratio: str) -> float | None:
        """The mean over languages, those apart that it never saw; None where no language has the ratio."""
        rows = [row for row in self.languages.values() if row.seen is not False]
        values = [value for row in rows if (value := getattr(row, ratio)) is not None]
        return sum(values) / len(values) if values else None

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready, without the languages."""
        ratios = ("per_word", "per_character", "bytes_per_piece", "unknown_share", "single_share", "parity")
        means = {f"mean_{name}": value and round(value, 4) for name in ratios for value in [self.mean(name)]}
        return {
            "model": self.name,
            "size": self.size,
            "languages": len(self.languages),
            "unseen": self.unseen,
            **means,
            "rare_pieces": self.rare,
            "scripts": {script: round(share, 4) for script, share in self.scripts.items()},
        }


def measure(
    segmenter: Segmenter, text: Mapping[str, Iterable[str]], parallel: Mapping[str, Sequence[str]] | None = None
) -> Spelling:
    """How `segmenter` spells `text`: language code to lines, which had better be lines that it was not trained on.

    `parallel` is the same text in several languages, English among them, for the parity. Memory: 1,000 lines.
    """
    single = np.array([len(piece.strip(_MARKS)) <= 1 for piece in segmenter.pieces])
    occurred = np.zeros(len(segmenter.pieces), np.int64)
    lengths = {code: _length(segmenter, lines) for code, lines in (parallel or {}).items()}
    english = lengths.get("en")
    languages = {}
    for code, lines in counted(sorted(text.items()), "languages", len(text)):
        found: Counter[str] = Counter()
        for batch in _batches(lines):
            ids = np.concatenate(segmenter.encode(batch))
            occurred += np.bincount(ids, minlength=len(occurred))
            found["lines"] += len(batch)
            found["words"] += sum(len(line.split()) for line in batch)
            found["characters"] += sum(map(len, batch))
            found["nbytes"] += sum(len(line.encode()) for line in batch)
            found["pieces"] += len(ids)
            found["unknown"] += 0 if segmenter.unknown is None else int((ids == segmenter.unknown).sum())
            found["single"] += int(single[ids].sum())
        if found["pieces"]:
            seen = None if segmenter.seen is None else code in segmenter.seen
            parity = lengths[code] / english if english and code in lengths else None
            counts = {name: found[name] for name in ("lines", "words", "characters", "nbytes", "pieces")}
            languages[code] = LanguageSpelling(
                lang=code, seen=seen, unknown=found["unknown"], single=found["single"], parity=parity, **counts
            )
    if not languages:
        raise InputError("There is no text to measure. Name files with text by language.")
    return Spelling(
        name=segmenter.name,
        size=len(segmenter.pieces),
        languages=languages,
        rare=int((occurred < RARE).sum()),
        scripts=_scripts(segmenter.pieces),
    )


def _length(segmenter: Segmenter, lines: Sequence[str]) -> int:
    return sum(len(ids) for ids in segmenter.encode(lines))


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for line in lines:
        if line.strip():
            batch.append(line)
        if len(batch) == _LINES_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _scripts(pieces: Sequence[str]) -> dict[str, float]:
    """Share of the pieces by the script of their first letter, as Unicode's names begin."""
    counts = Counter(_script(piece) for piece in pieces)
    return {
        script: number / len(pieces) for script, number in sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    }


def _script(piece: str) -> str:
    """The script of the first letter.

    >>> [_script(piece) for piece in ("▁the", "мир", "日本", "▁2019")]
    ['LATIN', 'CYRILLIC', 'CJK', 'COMMON']
    """
    for character in piece.strip(_MARKS):
        if unicodedata.category(character)[0] == "L":
            return unicodedata.name(character, "COMMON").split()[0].split("-")[0]
    return "COMMON"
