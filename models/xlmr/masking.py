"""Which tokens of a sequence are hidden and what stands in their place: a pure function of the seed and its number.

BERT's rule with fairseq's rounding: of n tokens, floor(0.15 n + u) are predicted, u uniform in [0, 1); of those 80 %
become <mask>, 10 % a random piece, 10 % stay. <s>, </s> and <pad> are never predicted, specials never put in.
(fairseq draws from all positions, <s> and </s> too; here they are left out, since they are always the same.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xlmr.config import DataConfig
from xlmr.counter import mix, uniform
from xlmr.loss import IGNORED

__all__ = ["FIRST_PIECE", "Masked", "mask_sequences"]

EOS, FIRST_PIECE = 2, 4
"""Ids up to EOS are never masked; random pieces are drawn from FIRST_PIECE up to <mask>, which is the last id."""

_WHICH, _HOW_MANY, _HOW, _PIECE = range(4)


@dataclass(frozen=True, slots=True)
class Masked:
    """Sequences made ready, all int64."""

    ids: NDArray[np.int64]
    """(batch, length): what the model sees."""
    slots: NDArray[np.int64]
    """(batch, n): masked positions, ascending; 0 in a slot that is not used."""
    labels: NDArray[np.int64]
    """(batch, n): what stood there; `IGNORED` in a slot that is not used."""


def mask_sequences(
    ids: NDArray[np.int64],
    samples: NDArray[np.int64],
    vocabulary: int,
    config: DataConfig,
    seed: int,
    rates: float | NDArray[np.float64],
) -> Masked:
    """Mask (batch, length) `ids`; `samples` (batch,) are the sequences' global numbers, at most 2**63, `rates`
    the share of tokens predicted, one for all or (batch,).

    The number of slots is that of the config, whatever the sequences hold.
    """
    length = ids.shape[1]
    eligible = ids > EOS
    wanted = uniform(mix(seed, _HOW_MANY, samples)) + rates * eligible.sum(1)
    count = np.minimum(wanted.astype(np.int64), np.minimum(eligible.sum(1), config.slots))
    score = mix(seed, _WHICH, samples[:, None], np.arange(length)[None])
    score[~eligible] = np.iinfo(np.uint64).max
    chosen = np.argsort(score, axis=1, kind="stable")[:, : config.slots]
    used = np.arange(chosen.shape[1])[None] < count[:, None]
    # ascending, with unused slots last
    slots = np.sort(np.where(used, chosen, length), axis=1)
    slots = np.where(used, slots, 0)
    labels = np.where(used, np.take_along_axis(ids, slots, 1), IGNORED)
    return Masked(_replace(ids, slots, used, samples, vocabulary, config, seed), slots, labels)


def _replace(
    ids: NDArray[np.int64],
    slots: NDArray[np.int64],
    used: NDArray[np.bool_],
    samples: NDArray[np.int64],
    vocabulary: int,
    config: DataConfig,
    seed: int,
) -> NDArray[np.int64]:
    """`ids` with <mask>, a random piece, or the token itself at each used slot."""
    how = uniform(mix(seed, _HOW, samples[:, None], slots))
    pieces = vocabulary - 1 - FIRST_PIECE
    random = FIRST_PIECE + (uniform(mix(seed, _PIECE, samples[:, None], slots)) * pieces).astype(np.int64)
    stay = np.take_along_axis(ids, slots, 1)
    put = np.where(how < config.mask_share, vocabulary - 1, random)
    put = np.where(how < config.mask_share + config.random_share, put, stay)
    result = ids.copy()
    rows = np.broadcast_to(np.arange(len(ids))[:, None], slots.shape)
    result[rows[used], slots[used]] = put[used]
    return result
