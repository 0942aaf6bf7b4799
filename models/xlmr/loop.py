"""The loop: batch after batch through the model, metrics read now and then, checkpoints written behind its back.

Everything about update n but the weights is a function of n, so the loop can begin anywhere. Nothing in an update waits
for the device; only where a line of metrics is due does the host look at what the device has summed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ccbuild.errors import CcbuildError
from xlmr import checkpoint as checkpoints
from xlmr.config import TrainConfig
from xlmr.counter import mix
from xlmr.data import Batch, Corpus
from xlmr.metrics import Log, Meter, Metrics, Progress, average
from xlmr.model import MaskedLM
from xlmr.optim import Optimiser, learning_rate
from xlmr.parallel import Ranks, StopSignal, sync_gradients

__all__ = ["Loop"]

_DROPOUT = 32
_ROLLBACKS = 3


class Loop:
    """A model in training on one rank.

    `model` holds the weights, `wrapped` is what is called: the same, compiled, or one of many copies. `facts` go into
    every checkpoint's manifest.
    """

    def __init__(
        self,
        config: TrainConfig,
        corpus: Corpus,
        ranks: Ranks,
        model: MaskedLM,
        wrapped: nn.Module,
        *,
        inputs: dict[str, Any],
        facts: dict[str, Any],
        out: Path,
        tell: Progress,
    ) -> None:
        self.config, self.corpus, self.ranks, self.out, self.tell = config, corpus, ranks, out, tell
        self.model, self.wrapped, self.inputs, self.facts = model, wrapped, inputs, facts
        self.mine, self.micro = ranks.share(config)
        self.optimiser = Optimiser(model, config.optim)
        self.meter = Meter(corpus.codes, ranks)
        device = ranks.device.type
        self.precision = torch.autocast(device, torch.bfloat16, enabled=config.run.narrow(device))
        self.loss: float | None = None
        self.jumped = self.rollbacks = 0

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds, by name; each rank's own part."""
        weights = {f"model.{name}": parameter.detach() for name, parameter in self.model.named_parameters()}
        return weights | self.optimiser.state()

    def restore(self, found: checkpoints.Checkpoint) -> None:
        """Weights, moments and counters as `found` left them."""
        checkpoints.load(found, self.tensors())
        self.optimiser.loaded()
        self.loss, self.jumped = found.manifest.facts["loss"], found.manifest.facts["jumped"]

    def run(self, start: int, stop: int) -> checkpoints.Checkpoint:
        """Updates `start` + 1 to `stop`; the checkpoint of the last."""
        run, root = self.config.run, self.out / "checkpoints"
        log = Log(self.out, start, tensorboard=run.tensorboard) if self.ranks.first else None
        self.model.train()
        number, last = start, False
        with checkpoints.Saver(root, run.keep) as saver, StopSignal(self.ranks) as stop_signal:
            while not last:
                clock, since = time.perf_counter(), number
                for number, batch in self._batches(number, stop):  # noqa: B020 - goes on from where it stands
                    norm = self.update(number, batch)
                    last = number == stop or stop_signal.heard()
                    saving = last or number % run.save_every == 0
                    if number % run.log_every == 0 or saving:
                        now = time.perf_counter()
                        metrics = self._metrics(number, norm, (number - since) / (now - clock))
                        if self._diverged(number, since):
                            number, last = self._roll_back(number, saver, log), False
                            break
                        clock, since = now, number
                        if log is not None:
                            log.write(metrics)
                        self.tell(metrics)
                    if saving:
                        self._save(number, saver)
                    if last:
                        break
        if log is not None:
            log.close()
        if number < stop:
            self.tell(f"Told to stop: saved after update {number} of {stop}. The same command goes on from there.")
        return checkpoints.open_step(root, number)

    def _batches(self, start: int, stop: int) -> Iterator[tuple[int, Batch]]:
        """(update, this rank's share of its batch), the next one made by a thread while one is used."""
        pin = self.ranks.device.type == "cuda"

        def make(number: int) -> Batch:
            first = (number - 1 + self.jumped) * self.config.optim.batch + self.ranks.rank * self.mine
            batch = self.corpus.batch(first, self.mine)
            return batch.pinned() if pin else batch

        with ThreadPoolExecutor(1) as maker:
            coming = maker.submit(make, start + 1)
            for number in range(start + 1, stop + 1):
                batch = coming.result()
                if number < stop:
                    coming = maker.submit(make, number + 1)
                yield number, batch.to(self.ranks.device)

    def update(self, number: int, batch: Batch) -> Tensor:
        """One update; nothing in it waits for the device. The gradient's norm."""
        ranks = self.ranks
        # global, so that a token weighs the same in whatever rank or part it lies; gradients are averaged over ranks
        masked = ranks.sum(torch.full((), float(batch.masked), device=ranks.device)).clamp_min(1.0)
        seed = int(mix(self.config.run.seed, _DROPOUT, number + self.jumped, ranks.rank)[0] >> 1)
        torch.manual_seed(seed)
        for start in range(0, self.mine, self.micro):
            part = batch.part(start, start + self.micro)
            sync_gradients(self.wrapped, start + self.micro == self.mine)
            with self.precision:
                total, each = self.wrapped(part.ids, part.slots, part.labels, part.positions)
            (total * (ranks.world / masked)).backward()
            self.meter.add(each, part.labels, part.languages)
        return self.optimiser.step(number)

    def _metrics(self, number: int, norm: Tensor, rate: float) -> Metrics:
        """Read the meters, which waits for the device."""
        sums, positions = self.meter.read(), self.config.optim.batch * self.config.data.seq_len
        self.loss, of_norm = average(sums), float(norm)
        return Metrics(
            step=number,
            steps=self.config.optim.steps,
            loss=self.loss,
            learning_rate=learning_rate(number, self.config.optim),
            gradient_norm=of_norm if math.isfinite(of_norm) else None,
            skipped=int(self.optimiser.skipped),
            tokens=number * positions,
            tokens_per_second=rate * positions,
            languages={code: loss / n for code, (loss, n) in sums.items()},
        )

    def _diverged(self, number: int, since: int) -> bool:
        """Whether so many updates in a row were skipped that the run should go back; raises where it cannot help."""
        skipped, limit = int(self.optimiser.in_a_row), self.config.optim.rollback
        if limit and skipped >= limit and self.rollbacks < _ROLLBACKS:
            return True
        if skipped >= max(number - since, 10) or (limit and skipped >= limit):
            raise CcbuildError(
                f"The last {skipped} updates up to {number} were skipped: their gradients were not finite or leapt. "
                f"Nothing was saved of them; the run had gone back {self.rollbacks} times. Lower optim.learning_rate "
                "or set optim.clip_norm=1.0, in a new --out."
            )
        return False

    def _roll_back(self, number: int, saver: checkpoints.Saver, log: Log | None) -> int:
        """As after the newest checkpoint, but on with the data after update `number`; that checkpoint's step."""
        saver.wait()
        settings = self.config.settings()
        root = self.out / "checkpoints"
        found = self.ranks.agreed(checkpoints.newest(root, settings, self.inputs, self.tell))
        if found is None:
            raise CcbuildError(
                f"Update {number} is to be taken back, and there is no checkpoint yet. Lower optim.learning_rate or "
                "run.save_every, in a new --out."
            )
        jumped = self.jumped + number - found.step
        self.restore(found)
        self.jumped, self.rollbacks = jumped, self.rollbacks + 1
        if log is not None:
            log.rewind(found.step)
        self.tell(f"Went back from update {number} to {found.step}, on with the data that follows.")
        return found.step

    def _save(self, number: int, saver: checkpoints.Saver) -> None:
        batch = self.config.optim.batch
        phase = self.corpus.order.phase((number + self.jumped - 1) * batch)
        tokens = number * batch * self.config.data.seq_len
        facts = {"loss": self.loss, "jumped": self.jumped, "tokens": tokens, "shares": self.corpus.shares[phase]}
        self.rollbacks = 0
        saver.save(
            number, self.tensors(), settings=self.config.settings(), inputs=self.inputs, facts={**self.facts, **facts}
        )
