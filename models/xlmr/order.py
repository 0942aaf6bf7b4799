"""Which block of which language the n-th sample of a run is: computed, never stored, for any n at once.

Samples come in cycles of 2**18. In each cycle a language has a fixed quota, its share of the plan to the nearest
sample, and the cycle's places are dealt by a keyed shuffle. So the k-th sample of a language is known from n alone, and
a language's blocks follow a permutation of its own in each pass: every block once before any comes again.

Cost of the choice: a cycle is laid out when its first sample is asked for (some 50 ms, 4 MB); shares are
exact to 1 in 262,144, and every language has at least one sample a cycle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xlmr.counter import mix, permute

__all__ = ["CYCLE", "Order"]

CYCLE = 1 << 18

_DEAL, _PASS = 16, 17


class Order:
    """The samples of a run. `blocks` and `shares` are the blocks and the probability of each language, in one order."""

    def __init__(self, blocks: Sequence[int], shares: Sequence[float], seed: int) -> None:
        self.blocks, self.seed = np.asarray(blocks, np.int64), seed
        self.quotas = _quotas(np.asarray(shares, np.float64))
        self._laid_out: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None

    def samples(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(language, block) of samples `first` to `first + count - 1`, each (count,): indices from 0."""
        parts = []
        while count:
            cycle, start = divmod(first, CYCLE)
            taken = min(count, CYCLE - start)
            languages, ranks = self._cycle(cycle)
            parts.append((languages[start : start + taken], ranks[start : start + taken]))
            first, count = first + taken, count - taken
        language = np.concatenate([p[0] for p in parts])
        passes, place = np.divmod(np.concatenate([p[1] for p in parts]), self.blocks[language])
        return language, permute(place, self.blocks[language], mix(self.seed, _PASS, language, passes))

    def _cycle(self, cycle: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(language, how many samples of that language came before in the run) of each place in the cycle."""
        if self._laid_out is None or self._laid_out[0] != cycle:
            dealt = np.argsort(mix(self.seed, _DEAL, cycle, np.arange(CYCLE)), kind="stable")
            languages = np.repeat(np.arange(len(self.quotas)), self.quotas)[dealt]
            places = np.argsort(languages, kind="stable")  # a language's places, in the order of the cycle
            ranks = np.empty(CYCLE, np.int64)
            starts = np.repeat(np.cumsum(self.quotas) - self.quotas, self.quotas)
            ranks[places] = np.arange(CYCLE) - starts + cycle * np.repeat(self.quotas, self.quotas)
            self._laid_out = cycle, languages, ranks
        return self._laid_out[1], self._laid_out[2]


def _quotas(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Samples of each language in a cycle: at least 1, together `CYCLE`, by largest remainders."""
    wanted = shares / shares.sum() * CYCLE
    quotas: NDArray[np.int64] = np.maximum(np.floor(wanted), 1).astype(np.int64)
    while (missing := CYCLE - int(quotas.sum())) != 0:
        order = np.argsort(wanted - quotas, kind="stable")
        if missing > 0:
            quotas[order[::-1][:missing]] += 1
        else:
            able = order[quotas[order] > 1]
            quotas[able[:-missing]] -= 1
    return quotas
