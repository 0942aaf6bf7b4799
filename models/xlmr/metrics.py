"""What a run says of itself: sums of the loss on the device, and the lines and files they become.

Sums are read only when somebody looks: reading makes the host wait for the GPU.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ccbuild.errors import InputError
from ccbuild.storage import write_bytes
from xlmr.loss import IGNORED
from xlmr.parallel import Ranks

__all__ = ["Log", "Meter", "Metrics", "Progress", "average"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """How the run stands: a line of ``metrics.jsonl``."""

    step: int
    """Updates done."""
    steps: int
    """Updates of the whole schedule."""
    loss: float | None
    """Mean loss of a masked token since the last line, in nats; None where nothing was masked."""
    learning_rate: float
    """Of this update."""
    gradient_norm: float | None
    """Of this update, before clipping; None where it was not finite."""
    skipped: int
    """Updates skipped since the start of the run, since their gradient was not finite or leapt."""
    tokens: int
    """Positions read since the start of the run, <s> and </s> included."""
    tokens_per_second: float
    """Since the last line, over all ranks."""
    languages: dict[str, float]
    """Mean loss by language since the last line."""


Progress = Callable[[Metrics | str], None]
"""Is given every line of metrics, and, as text, what a person should know."""


class Meter:
    """Loss and masked tokens by language, float64, summed over batches and, when read, over ranks."""

    def __init__(self, codes: Sequence[str], ranks: Ranks) -> None:
        self.codes, self.ranks = codes, ranks
        self.sums = torch.zeros(2, len(codes), dtype=torch.float64, device=ranks.device)

    def add(self, each: Tensor, labels: Tensor, languages: Tensor) -> None:
        """`each` (batch × n,) losses of the slots, `labels` (batch, n), `languages` (batch,).

        A sequence whose loss is not finite is left out, so that one cannot hide the others.
        """
        losses = each.detach().view_as(labels).sum(1, dtype=torch.float64)
        finite = losses.isfinite()
        counts = (labels != IGNORED).sum(1).double() * finite
        self.sums.index_add_(1, languages, torch.stack([losses.where(finite, 0.0), counts]))

    def read(self) -> dict[str, tuple[float, int]]:
        """(sum of the loss in nats, masked tokens) of each language seen since the last reading, over all ranks."""
        losses, counts = self.ranks.sum(self.sums).tolist()
        self.sums.zero_()
        return {c: (loss, int(n)) for c, loss, n in zip(self.codes, losses, counts, strict=True) if n}


def average(sums: dict[str, tuple[float, int]]) -> float | None:
    """Mean loss of a masked token over languages, in nats; None where there is none."""
    count = sum(n for _, n in sums.values())
    return sum(loss for loss, _ in sums.values()) / count if count else None


class Log:
    """``metrics.jsonl`` in `folder`, without the lines after update `start`, which are about to be made again.

    With `tensorboard`, its event files too; raises `InputError` where that package is not installed.
    """

    def __init__(self, folder: Path, start: int, *, tensorboard: bool = False) -> None:
        self.path = folder / "metrics.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self.rewind(start)
        self._events = _events(folder / "tensorboard", start) if tensorboard else None

    def rewind(self, step: int) -> None:
        """Take back the lines after update `step`."""
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True) if self.path.exists() else []
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        write_bytes(self.path, "".join(kept).encode())

    def write(self, metrics: Metrics) -> None:
        """Append one line."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(metrics), sort_keys=True) + "\n")
        if self._events is not None:
            values = {**asdict(metrics), **{f"loss/{code}": loss for code, loss in metrics.languages.items()}}
            for name, value in values.items():
                if isinstance(value, int | float) and name not in ("step", "steps"):
                    self._events.add_scalar(name, value, metrics.step)

    def close(self) -> None:
        """Let go of TensorBoard's file."""
        if self._events is not None:
            self._events.close()


def _events(folder: Path, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            "run.tensorboard needs the package tensorboard. Install it: pip install 'ccbuild[tensorboard]'."
        ) from error
    return SummaryWriter(folder, purge_step=start + 1)
