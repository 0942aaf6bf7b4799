"""From a folder of tokens to batches: blocks of one language, masked, as tensors.

A sequence is <s>, a block's tokens, </s>; one of an aligned pair is that twice, in random order, with positions that
begin anew. The samples of a run are numbered from 0; everything about a sample follows from the seed and its number.
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
from ccbuild.storage import digest_of, read_manifest
from ccbuild.tokens import BOS, EOS, PAD, LanguageTokens, Tokens, open_tokens
from ccbuild.vocab.alpha import alpha_plan
from xlmr.blocks import Blocks, Documents, Pairs, Stream
from xlmr.config import DataConfig, PhaseConfig
from xlmr.counter import mix
from xlmr.loss import IGNORED
from xlmr.masking import FIRST_PIECE, mask_sequences
from xlmr.order import Order

__all__ = ["Batch", "Corpus"]

_VALIDATION = 1 << 62
"""Validation samples are numbered from here on, so that their masks are like no training sample's."""
_SWAP = 24


@dataclass(frozen=True, slots=True)
class Batch:
    """Masked sequences as tensors, int64."""

    ids: Tensor
    """(batch, length)"""
    slots: Tensor
    """(batch, n): positions that are predicted."""
    labels: Tensor
    """(batch, n): what stood there."""
    languages: Tensor
    """(batch,): index into the corpus's codes."""
    positions: Tensor | None
    """(batch, length): rows of the position embedding, PAD at padding; None where every sequence is one full block."""
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
        positions = None if self.positions is None else change(self.positions)
        ids, slots, labels, languages = map(change, (self.ids, self.slots, self.labels, self.languages))
        return Batch(ids, slots, labels, languages, positions, self.masked)


class Corpus:
    """The tokens of a folder, cut in blocks, in the order of a run with `batch` sequences an update.

    Raises `InputError` where there are no tokens or a language asked for has none, `MismatchError` for ids that the
    vocabulary does not have and pairs of another vocabulary.
    """

    def __init__(self, tokens: Tokens, config: DataConfig, seed: int, batch: int = 1, steps: int | None = None) -> None:
        self.config, self.seed, self.tokens = config, seed, tokens
        self.vocabulary = tokens.vocabulary_size
        if self.vocabulary < FIRST_PIECE + 2:
            raise ConfigError(
                f"A vocabulary of {self.vocabulary} ids has no pieces beside the specials. Train a larger one."
            )
        self.languages = _chosen(tokens, config)
        cut = Stream if config.blocks == "stream" else Documents
        self.blocks: dict[str, Blocks] = {
            code: cut(t, config.block, config.validation_blocks) for code, t in self.languages.items()
        }
        self.pairs = _pairs(tokens, config)
        self.blocks |= self.pairs
        empty = [code for code, blocks in self.blocks.items() if not blocks.trained]
        if empty:
            raise InputError(
                f"{empty[0]} has no text to train on. Leave it out with data.languages, or encode it again."
            )
        self.codes = tuple(self.blocks)
        self.padded = any(blocks.padded for blocks in self.blocks.values())
        phases = config.schedule()
        drawn = None if steps is None else steps * batch
        self.shares = [self._shares(phase, drawn) for phase in phases]
        self.mask_probs = np.array([phase.mask_prob for phase in phases], np.float64)
        self.order = Order(
            [blocks.trained for blocks in self.blocks.values()],
            [(p.start * batch, list(shares.values())) for p, shares in zip(phases, self.shares, strict=True)],
            seed,
            replacement=config.sampling == "fairseq",
        )

    @classmethod
    def open(cls, folder: Path, config: DataConfig, seed: int, batch: int = 1, steps: int | None = None) -> Corpus:
        """The corpus in a folder of tokens; `steps` updates will be read of it (None: `data.cap` does not count)."""
        return cls(open_tokens(folder), config, seed, batch, steps)

    def _shares(self, phase: PhaseConfig, drawn: int | None) -> dict[str, float]:
        """The probability of each language and pair in a phase, in the order of `codes`, if `drawn` sequences of the
        whole run were drawn so."""
        for code in phase.languages or ():
            if code not in self.languages:
                raise InputError(f"data.phases names {code}, which has no tokens: {', '.join(self.languages)} have.")
        chosen = phase.languages or tuple(self.languages)
        counts = {c: max(int(getattr(self.languages[c], self.config.alpha_counts)), 1) for c in chosen}
        if self.config.sampling == "fairseq":
            counts = {code: self.blocks[code].trained for code in chosen}
        alpha = self.config.alpha if phase.alpha is None else phase.alpha
        alone = 1.0 - self.config.pair_share if self.pairs else 1.0
        sizes = {code: self.blocks[code].trained for code in chosen}
        cap = self.config.cap if drawn and alone else None
        plan = alpha_plan(counts, alpha, cap=cap, total=drawn * alone if cap and drawn else None, sizes=sizes)
        parts = [(plan, alone)]
        if self.pairs:
            parts.append((alpha_plan({c: p.trained for c, p in self.pairs.items()}, alpha), self.config.pair_share))
        joined = {code: share * weight for shares, weight in parts for code, share in shares.items()}
        return {code: joined.get(code, 0.0) for code in self.codes}

    def identity(self) -> dict[str, object]:
        """What a checkpoint must agree with: the vocabulary, each language's tokens, each pair's documents, bytes."""
        facts: dict[str, object] = {f"tokens.{code}": t.tokens for code, t in self.languages.items()}
        for name, pair in self.pairs.items():
            sides = sorted((Path(self.config.pairs or "") / name).glob("*.json"))
            facts[f"pairs.{name}"] = pair.trained + pair.held_out
            facts[f"pairs.{name}.sha256"] = digest_of(*map(read_manifest, sides))
        return {**facts, "vocabulary_sha256": self.tokens.vocabulary_sha256, "vocabulary_size": self.vocabulary}

    def batch(self, first: int, count: int) -> Batch:
        """Samples `first` to `first + count - 1` of the run."""
        languages, blocks = self.order.samples(first, count)
        return self._masked(languages, blocks, np.arange(first, first + count))

    def validation(self, size: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """The held-out blocks in batches of at most `size`, masked alike every time; every `world`-th for `rank`.

        All batches have one shape and every rank gets as many: what is missing at the end predicts nothing.
        Masked with `data.mask_prob`, whatever the phase, so that figures can be compared.
        """
        held = [(i, k) for i, b in enumerate(self.blocks.values()) for k in range(b.held_out)]
        size = min(size, -(-len(held) // world))
        for start in range(0, len(held), size * world if held else 1):
            mine = held[start : start + size * world][rank::world]
            filled = mine + held[:1] * (size - len(mine))
            languages, blocks = np.array(filled, np.int64).T
            batch = self._masked(languages, blocks, _VALIDATION + (languages << 32) + blocks, held_out=True)
            batch.labels[len(mine) :] = IGNORED
            yield batch

    def _masked(
        self,
        languages: NDArray[np.int64],
        blocks: NDArray[np.int64],
        samples: NDArray[np.int64],
        *,
        held_out: bool = False,
    ) -> Batch:
        ids = np.full((len(languages), self.config.seq_len), PAD, np.int64)
        positions = np.full_like(ids, PAD)
        for i, (language, block) in enumerate(zip(languages.tolist(), blocks.tolist(), strict=True)):
            self._fill(ids[i], positions[i], self.codes[language], block, int(samples[i]), held_out)
        phases = [] if held_out else [self.order.phase(n) for n in samples.tolist()]
        rates = self.config.mask_prob if held_out else self.mask_probs[phases]
        masked = mask_sequences(ids, samples, self.vocabulary, self.config, self.seed, rates)
        return Batch(
            ids=torch.from_numpy(masked.ids),
            slots=torch.from_numpy(masked.slots),
            labels=torch.from_numpy(masked.labels),
            languages=torch.from_numpy(languages),
            positions=torch.from_numpy(positions) if self.padded else None,
            masked=int((masked.labels >= 0).sum()),
        )

    def _fill(
        self, ids: NDArray[np.int64], positions: NDArray[np.int64], code: str, block: int, sample: int, held_out: bool
    ) -> None:
        """Write <s>, ids, </s> of each segment into a row, and where they stand."""
        segments = self.blocks[code].read(block, held_out=held_out)
        if len(segments) > 1 and int(mix(self.seed, _SWAP, sample)[0]) & 1:
            segments.reverse()
        end = 0
        for segment in segments:
            if len(segment) and int(segment.max()) >= self.vocabulary:
                raise MismatchError(
                    f"{code}, block {block}: id {segment.max()}, but the vocabulary has {self.vocabulary}. "
                    "The shard was damaged or made with another vocabulary; encode this language again."
                )
            start, end = end, end + len(segment) + 2
            ids[start], ids[end - 1], ids[start + 1 : end - 1] = BOS, EOS, segment
            positions[start:end] = np.arange(PAD + 1, PAD + 1 + end - start)


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


def _pairs(tokens: Tokens, config: DataConfig) -> dict[str, Blocks]:
    """The aligned pairs in `data.pairs`, by name."""
    pairs: dict[str, Blocks] = {}
    for folder in sorted(Path(config.pairs).iterdir()) if config.pairs else ():
        found = open_tokens(folder)
        if found.vocabulary_sha256 != tokens.vocabulary_sha256 or len(found.languages) != 2:
            raise MismatchError(
                f"{folder} has the languages {', '.join(found.languages)} in the vocabulary "
                f"{found.vocabulary_sha256[:12]}…; a pair has two, in the vocabulary {tokens.vocabulary_sha256[:12]}…. "
                "Encode both sides with it."
            )
        first, second = found.languages.values()
        pairs[folder.name] = Pairs(folder.name, first, second, config.block, config.validation_blocks)
    return pairs
