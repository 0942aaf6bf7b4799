"""The settings of a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ccbuild.config import setting
from ccbuild.errors import ConfigError

__all__ = ["VocabularyConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyConfig:
    """How words are counted, weighted and made into pieces."""

    size: int = 250_000
    """Pieces of the SentencePiece model, with <unk>, <s>, </s>; a network reads `size` + 2 ids. XLM-R: 250,000."""
    alpha: float = 0.3
    """Exponent of each language's share, 0 (all equal) to 1 (as the text is). XLM-R: 0.3."""
    cap: float | None = None
    """Most times that a language's text may count, 1 or more, when as much is drawn as there is; what that takes from
    some is shared out among the others. null: no cap. XLM-R: none, so that its smallest languages count 1,400 times."""
    unit: Literal["sentences", "characters"] = "sentences"
    """What a language's size is counted in before alpha; a sentence is a line (a paragraph). XLM-R: sentences."""
    character_coverage: float = 0.9995
    """Share of each language's own characters that must be pieces, so that no alphabet is lost in the sum. 0 to 1."""
    character_floor: float = setting(0.00001, before=0.0)
    """Letters and digits that make this share of a language's characters are pieces besides, in both cases. 0: none.
    XLM-R: none."""
    max_character_share: float = 0.5
    """Most of `size` that single characters may take; the rarest over all languages go first. 1: no such limit."""
    min_count: int = 1
    """Words seen less often in a language are left out. 1 keeps all; more saves memory, and costs small languages."""
    max_words: int = 20_000_000
    """Most distinct words of one language that training sees: with more, `min_count` is raised for that language until
    they fit, and the share that goes is told. Some 100 bytes of memory each."""
    max_word_chars: int = 256
    """Spans without white space longer than this are cut, at punctuation and then to this length. Less saves memory."""
    max_piece_chars: int = 16
    """Longest piece, in characters. 16 is SentencePiece's own."""
    model: Literal["unigram", "bpe"] = "unigram"
    """How pieces are found. XLM-R: unigram, though its file's name says bpe."""
    seeds: Literal["weighted", "sentencepiece"] = setting("weighted", before="sentencepiece")
    """Where a unigram model's candidates come from: substrings weighted by how often they occur, or SentencePiece's
    own, which count each word once, so that frequent words get no piece. XLM-R: sentencepiece."""
    frequent_words: int = setting(1000, before=0)
    """Words of each language that are pieces with `seeds: weighted`, the most frequent of letters that occur at least
    twice; half of `size` at most. 0: only where they pay. XLM-R: none."""
    byte_fallback: bool = False
    """Spell characters that have no piece by their UTF-8 bytes, 256 pieces, in place of <unk>. XLM-R: no."""
    split_digits: bool = False
    """Every digit a piece of its own. XLM-R: no."""
    symbols: tuple[str, ...] = ()
    """Strings that are always one piece, wherever they stand. XLM-R: none. `transformers` begins a new word after one,
    SentencePiece does not."""
    seed_megabytes: int = 384
    """Of `seeds: sentencepiece`, and of BPE: weighted text that candidates for pieces are sought in. SentencePiece
    writes every word as often as it counts and takes some 14 times this in memory. Above it all weights are scaled down
    alike; up to 500 it is one search."""
    hard_limit: bool = False
    """True: fail when the text cannot fill `size`, or its characters do not fit in it, naming the size that would do.
    False: take what it can fill, and leave the rarest characters out."""
    threads: int = 4
    """Threads of the training. The pieces depend on it, in the last bits, so it is a setting and not the machine's."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if len(set(self.symbols)) < len(self.symbols) or not all(s and s == "".join(s.split()) for s in self.symbols):
            raise ConfigError(f"vocab.symbols are {', '.join(self.symbols)}; each once, none empty, without spaces.")
        if self.cap is not None and self.cap < 1:
            raise ConfigError(f"vocab.cap is {self.cap}; it takes 1 or more.")
        for name in ("alpha", "character_coverage", "character_floor", "max_character_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"vocab.{name} is {getattr(self, name)}; it lies between 0 and 1.")
        lowest = {
            "size": 8,
            "min_count": 1,
            "frequent_words": 0,
            "max_word_chars": 16,
            "max_piece_chars": 1,
            "threads": 1,
            "seed_megabytes": 1,
            "max_words": 1,
        }
        for name, least in lowest.items():
            if getattr(self, name) < least:
                raise ConfigError(f"vocab.{name} is {getattr(self, name)}; it must be at least {least}.")
