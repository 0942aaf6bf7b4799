"""The settings of a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ccbuild.errors import ConfigError

__all__ = ["VocabularyConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyConfig:
    """How words are counted, weighted and made into pieces."""

    size: int = 250_000
    """Pieces of the SentencePiece model, with <unk>, <s>, </s>; a network reads `size` + 2 ids. XLM-R: 250,000."""
    alpha: float = 0.3
    """Exponent of each language's share, 0 (all equal) to 1 (as the text is). XLM-R: 0.3."""
    unit: Literal["sentences", "characters"] = "sentences"
    """What a language's size is counted in before alpha; a sentence is a line (a paragraph). XLM-R: sentences."""
    character_coverage: float = 0.9995
    """Share of each language's own characters that must be pieces, so that no alphabet is lost in the sum. 0 to 1."""
    max_character_share: float = 0.5
    """Most of `size` that single characters may take; the rarest over all languages go first. 1: no such limit."""
    min_count: int = 1
    """Words seen less often in a language are left out. 1 keeps all; more saves memory, and costs small languages."""
    max_word_chars: int = 256
    """Spans without white space longer than this are cut, at punctuation and then to this length. Less saves memory."""
    max_piece_chars: int = 16
    """Longest piece, in characters. 16 is SentencePiece's own."""
    hard_limit: bool = False
    """True: fail when the text cannot fill `size`, naming the size that it can. False: take what it can fill."""
    threads: int = 4
    """Threads of the training. The pieces depend on it, in the last bits, so it is a setting and not the machine's."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for name in ("alpha", "character_coverage", "max_character_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"vocab.{name} is {getattr(self, name)}; it lies between 0 and 1.")
        lowest = {"size": 8, "min_count": 1, "max_word_chars": 16, "max_piece_chars": 1, "threads": 1}
        for name, least in lowest.items():
            if getattr(self, name) < least:
                raise ConfigError(f"vocab.{name} is {getattr(self, name)}; it must be at least {least}.")
