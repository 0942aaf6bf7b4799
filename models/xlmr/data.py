"""From a folder of tokens to batches: blocks of one language's stream, masked, as tensors.

A sequence is <s>, `block` tokens of the stream, </s>. The stream is cut every `block` tokens; the last cut of a
language reaches back, so that it is as long as the others and no token is lost. A language with less than one block is
one sequence, padded. The last blocks of each language are held out for validation (the document that lies across the
border has a part on each side).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ccbuild.errors import ConfigError, InputError, MismatchError
from ccbuild.tokens import BOS, EOS, PAD, LanguageTokens, Tokens, open_tokens
from ccbuild.vocab.alpha import alpha_plan
from xlmr.config import DataConfig
from xlmr.masking import FIRST_PIECE, mask_sequences
from xlmr.order import Order

__all__ = ["Batch", "Corpus"]

_VALIDATION = 1 << 62
"""Validation samples are numbered from here on, so that their masks are like no training sample's."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Masked sequences as tensors, int64 but for `keep`."""

    ids: Tensor
    """(batch, length)"""
    slots: Tensor
    """(batch, n): positions that are predicted."""
    labels: Tensor
    """(batch, n): what stood there."""
    languages: Tensor
    """(batch,): index into the corpus's codes."""
    keep: Tensor | None
    """(batch, length) bool, False at padding; None where no sequence of the corpus is padded."""
    masked: int
    """Tokens predicted, over all sequences."""

    def pinned(self) -> Batch:
        """This batch in page-locked memory, from where a GPU copies without making the host wait."""
        return self._mapped(Tensor.pin_memory)

    def to(self, device: torch.device) -> Batch:
        """This batch on `device`."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def part(self, start: int, stop: int) -> Batch:
        """Sequences `start` to `stop`, with the whole batch's `masked`."""
        return self._mapped(lambda tensor: tensor[start:stop])

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Batch:
        keep = None if self.keep is None else change(self.keep)
        return Batch(
            change(self.ids), change(self.slots), change(self.labels), change(self.languages), keep, self.masked
        )


class Corpus:
    """The tokens of a folder, cut in blocks, in the order of a run.

    Raises `InputError` where there are no tokens or a language asked for has none, `MismatchError` for ids that the
    vocabulary does not have.
    """

    def __init__(self, tokens: Tokens, config: DataConfig, seed: int) -> None:
        self.config, self.seed, self.tokens = config, seed, tokens
        self.vocabulary = tokens.vocabulary_size
        if self.vocabulary < FIRST_PIECE + 2:
            raise ConfigError(
                f"A vocabulary of {self.vocabulary} ids has no pieces beside the specials. Train a larger one."
            )
        self.languages = _chosen(tokens, config)
        self.codes = tuple(self.languages)
        self.held_out = {code: _held_out(t.tokens, config) for code, t in self.languages.items()}
        counts = {code: int(getattr(t, config.alpha_counts)) for code, t in self.languages.items()}
        self.shares = alpha_plan({code: max(n, 1) for code, n in counts.items()}, config.alpha)
        self.padded = any(t.tokens < config.block for t in self.languages.values())
        blocks = [-(-self.trained_on(code) // config.block) for code in self.codes]
        self.order = Order(blocks, [self.shares[code] for code in self.codes], seed)

    @classmethod
    def open(cls, folder: Path, config: DataConfig, seed: int) -> Corpus:
        """The corpus in a folder of tokens."""
        return cls(open_tokens(folder), config, seed)

    def trained_on(self, code: str) -> int:
        """Tokens of a language that training reads: all but those held out, which stand at the end."""
        return self.languages[code].tokens - self.held_out[code] * self.config.block

    def identity(self) -> dict[str, object]:
        """What a checkpoint must agree with: the vocabulary, and each language's tokens."""
        facts: dict[str, object] = {f"tokens.{code}": t.tokens for code, t in self.languages.items()}
        return {**facts, "vocabulary_sha256": self.tokens.vocabulary_sha256, "vocabulary_size": self.vocabulary}

    def batch(self, first: int, count: int) -> Batch:
        """Samples `first` to `first + count - 1` of the run."""
        languages, blocks = self.order.samples(first, count)
        return self._masked(languages, blocks, np.arange(first, first + count))

    def validation(self, size: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """The held-out blocks in batches of at most `size`, masked alike every time; every `world`-th for `rank`."""
        held = [(i, k) for i, code in enumerate(self.codes) for k in range(self.held_out[code])][rank::world]
        for start in range(0, len(held), size):
            languages, blocks = np.array(held[start : start + size], np.int64).T
            yield self._masked(languages, blocks, _VALIDATION + (languages << 32) + blocks, held_out=True)

    def _masked(
        self,
        languages: NDArray[np.int64],
        blocks: NDArray[np.int64],
        samples: NDArray[np.int64],
        *,
        held_out: bool = False,
    ) -> Batch:
        ids = np.full((len(languages), self.config.seq_len), PAD, np.int64)
        for row, language, block in zip(ids, languages.tolist(), blocks.tolist(), strict=True):
            self._fill(row, self.codes[language], block, held_out)
        masked = mask_sequences(ids, samples, self.vocabulary, self.config, self.seed)
        return Batch(
            ids=torch.from_numpy(masked.ids),
            slots=torch.from_numpy(masked.slots),
            labels=torch.from_numpy(masked.labels),
            languages=torch.from_numpy(languages),
            keep=torch.from_numpy(ids != PAD) if self.padded else None,
            masked=int((masked.labels >= 0).sum()),
        )

    def _fill(self, row: NDArray[np.int64], code: str, block: int, held_out: bool) -> None:
        """Write <s>, the block's tokens, </s> into `row`."""
        tokens, size, end = self.languages[code], self.config.block, self.trained_on(code)
        start = end + block * size if held_out else max(0, min(block * size, end - size))
        count = size if held_out else min(size, end)
        ids = tokens.read(start, count)
        if int(ids.max()) >= self.vocabulary:
            raise MismatchError(
                f"{code}, tokens {start} to {start + count}: id {ids.max()}, but the vocabulary has {self.vocabulary}. "
                "The shard was damaged or made with another vocabulary; encode this language again."
            )
        row[0], row[count + 1], row[1 : count + 1] = BOS, EOS, ids


def _chosen(tokens: Tokens, config: DataConfig) -> dict[str, LanguageTokens]:
    """The languages to train on, sorted by code; those without tokens are left out unless they were asked for."""
    present = {code: t for code, t in tokens.languages.items() if t.tokens}
    if config.languages is not None:
        for code in config.languages:
            if code not in present:
                raise InputError(
                    f"data.languages names {code}, which has no tokens. There are: {', '.join(present) or 'none'}."
                )
        present = {code: present[code] for code in sorted(set(config.languages))}
    if not present:
        raise InputError("No language has tokens. Encode some text first: ccbuild tokens encode.")
    return present


def _held_out(tokens: int, config: DataConfig) -> int:
    """Blocks of a language that are held out: at most a tenth of them, none of a language of less than ten."""
    return min(config.validation_blocks, tokens // config.block // 10)
