"""Sums of the loss on the device, read only when somebody looks: reading makes the host wait for the GPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xlmr.loss import IGNORED
from xlmr.parallel import Ranks

__all__ = ["Meter", "average"]


class Meter:
    """Loss and masked tokens by language, float64, summed over batches and, when read, over ranks."""

    def __init__(self, codes: Sequence[str], ranks: Ranks) -> None:
        self.codes, self.ranks = codes, ranks
        self.sums = torch.zeros(2, len(codes), dtype=torch.float64, device=ranks.device)

    def add(self, each: Tensor, labels: Tensor, languages: Tensor) -> None:
        """`each` (batch × n,) losses of the slots, `labels` (batch, n), `languages` (batch,)."""
        losses = each.detach().view_as(labels).sum(1, dtype=torch.float64)
        counts = (labels != IGNORED).sum(1).double()
        self.sums.index_add_(1, languages, torch.stack([losses, counts]))

    def read(self) -> dict[str, tuple[float, int]]:
        """(sum of the loss in nats, masked tokens) of each language seen since the last reading, over all ranks."""
        losses, counts = self.ranks.sum(self.sums).tolist()
        self.sums.zero_()
        return {c: (loss, int(n)) for c, loss, n in zip(self.codes, losses, counts, strict=True) if n}


def average(sums: dict[str, tuple[float, int]]) -> float:
    """Mean loss of a masked token over languages, in nats; NaN where there is none."""
    count = sum(n for _, n in sums.values())
    return sum(loss for loss, _ in sums.values()) / count if count else float("nan")
