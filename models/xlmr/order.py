"""Which block of which language the n-th sample of a run is: computed, never stored, for any n at once.

Samples come in cycles of 2**18. In each cycle a language has a fixed quota, its share of the plan to the nearest
sample, and the cycle's places are dealt by a keyed shuffle. So the k-th sample of a language is known from n alone, and
a language's blocks follow a permutation of its own in each pass: every block once before any comes again. A phase has
shares of its own; its cycles are counted from its start, a language's passes from the start of the run.

Cost of the choice: a cycle is laid out when its first sample is asked for (some 50 ms, 4 MB); shares are
exact to 1 in 262,144, and every language of a phase has at least one sample a cycle.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xlmr.counter import mix, permute, uniform

__all__ = ["CYCLE", "Order"]

CYCLE = 1 << 18

_DEAL, _PASS, _DRAW = 16, 17, 18

Integers = NDArray[np.int64]


class Order:
    """The samples of a run.

    `blocks` are the blocks of each language, `phases` (first sample, probability of each language; 0: none of it).
    With `replacement`, a language's epoch is its share of all blocks rather than its own blocks: one of more than these
    draws them with replacement, one of fewer draws another part of them each time (fairseq's ResamplingDataset).
    """

    def __init__(
        self,
        blocks: Sequence[int],
        phases: Sequence[tuple[int, Sequence[float]]],
        seed: int,
        *,
        replacement: bool = False,
    ) -> None:
        self.blocks, self.seed = np.asarray(blocks, np.int64), seed
        self.starts = [start for start, _ in phases]
        self.quotas = [_quotas(np.asarray(shares, np.float64)) for _, shares in phases]
        self.epochs = self.blocks
        if replacement:
            shares = np.asarray(phases[0][1], np.float64)
            self.epochs = np.maximum(np.ceil(shares / shares.sum() * self.blocks.sum()), 1).astype(np.int64)
        self._laid_out: tuple[tuple[int, int], Integers, Integers] | None = None
        self._before = [np.zeros(len(blocks), np.int64)]  # samples of each language before each phase
        for phase in range(len(phases) - 1):
            cycles, rest = divmod(self.starts[phase + 1] - self.starts[phase], CYCLE)
            last = np.bincount(self._cycle(phase, cycles)[0][:rest], minlength=len(blocks))
            self._before.append(self._before[-1] + cycles * self.quotas[phase] + last)

    def samples(self, first: int, count: int) -> tuple[Integers, Integers]:
        """(language, block) of samples `first` to `first + count - 1`, each (count,): indices from 0."""
        parts = []
        while count:
            phase = self.phase(first)
            cycle, start = divmod(first - self.starts[phase], CYCLE)
            taken = min(count, CYCLE - start, *(s - first for s in self.starts[phase + 1 : phase + 2]))
            languages, ranks = (found[start : start + taken] for found in self._cycle(phase, cycle))
            parts.append((languages, ranks + self._before[phase][languages]))
            first, count = first + taken, count - taken
        language = np.concatenate([p[0] for p in parts])
        return language, self._block(language, np.concatenate([p[1] for p in parts]))

    def phase(self, sample: int) -> int:
        """The phase that a sample is in."""
        return bisect_right(self.starts, sample) - 1

    def _block(self, language: Integers, rank: Integers) -> Integers:
        """The block that the `rank`-th sample of its language is."""
        blocks, epochs = self.blocks[language], self.epochs[language]
        epoch, place = np.divmod(rank, epochs)
        once = permute(place % blocks, blocks, mix(self.seed, _PASS, language, epoch))
        drawn = (uniform(mix(self.seed, _DRAW, language, rank)) * blocks).astype(np.int64)
        return np.where((self.epochs is self.blocks) | (epochs < blocks), once, drawn)

    def _cycle(self, phase: int, cycle: int) -> tuple[Integers, Integers]:
        """(language, how many samples of that language came before in the phase) of each place in the cycle."""
        if self._laid_out is None or self._laid_out[0] != (phase, cycle):
            quotas = self.quotas[phase]
            dealt = np.argsort(mix(self.seed, _DEAL, phase, cycle, np.arange(CYCLE)), kind="stable")
            languages = np.repeat(np.arange(len(quotas)), quotas)[dealt]
            places = np.argsort(languages, kind="stable")  # a language's places, in the order of the cycle
            ranks = np.empty(CYCLE, np.int64)
            starts = np.repeat(np.cumsum(quotas) - quotas, quotas)
            ranks[places] = np.arange(CYCLE) - starts + cycle * np.repeat(quotas, quotas)
            self._laid_out = (phase, cycle), languages, ranks
        return self._laid_out[1], self._laid_out[2]


def _quotas(shares: NDArray[np.float64]) -> Integers:
    """Samples of each language in a cycle: at least 1 where it has a share, together `CYCLE`; by largest remainders."""
    wanted = shares / shares.sum() * CYCLE
    quotas: Integers = np.maximum(np.floor(wanted), shares > 0).astype(np.int64)
    while (missing := CYCLE - int(quotas.sum())) != 0:
        order = np.argsort(wanted - quotas, kind="stable")
        if missing > 0:
            quotas[order[shares[order] > 0][::-1][:missing]] += 1
        else:
            able = order[quotas[order] > 1]
            quotas[able[:-missing]] -= 1
    return quotas
