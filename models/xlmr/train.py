"""Train a model on a folder of tokens: one loop, resumable at any checkpoint, the same losses each time.

A step reads nothing that was saved but weights and moments: the samples, their masks and the seed of dropout are
functions of the step's number. On the CPU, with one number of threads, a run that was stopped and resumed gives the
same weights, bit for bit, as one that was not.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ccbuild.errors import CcbuildError, ConfigError, MismatchError
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit, write_bytes
from xlmr import checkpoint as checkpoints
from xlmr.config import TrainConfig
from xlmr.counter import mix
from xlmr.data import Batch, Corpus
from xlmr.meter import Meter, average
from xlmr.model import MaskedLM, parameter_count
from xlmr.optim import Optimiser, learning_rate
from xlmr.parallel import Ranks, join

__all__ = ["Metrics", "TrainResult", "train"]

_DROPOUT = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """How the run stands: a line of ``metrics.jsonl``."""

    step: int
    """Updates done."""
    steps: int
    """Updates of the whole schedule."""
    loss: float
    """Mean loss of a masked token since the last line, in nats."""
    learning_rate: float
    """Of this update."""
    gradient_norm: float
    """Of this update, before clipping."""
    tokens: int
    """Positions read since the start of the run, <s> and </s> included."""
    tokens_per_second: float
    """Since the last line, over all ranks."""
    languages: dict[str, float]
    """Mean loss by language since the last line."""


Progress = Callable[[Metrics | str], None]
"""Is given every line of metrics, and, as text, what a person should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What became of a run."""

    step: int
    """Updates done."""
    finished: bool
    """Whether the schedule is at its end; False when the run stopped at ``run.stop_at``."""
    already_done: bool
    """Whether the run had been finished before, and nothing was done now."""
    resumed_from: int
    """Step of the checkpoint that was resumed; 0: from the start."""
    loss: float
    """Mean loss of a masked token over the last lines of metrics, in nats."""
    validation_before: dict[str, float]
    """Loss of the held-out blocks by language before the first update, in nats a masked token."""
    validation_after: dict[str, float]
    """The same after the last update; empty unless the run is finished."""
    bits_per_character: dict[str, float]
    """`validation_after` in bits times tokens a character of the text: comparable between vocabularies."""
    parameters: int
    """Of the exported model."""
    tokens: int
    """Positions read, <s> and </s> included."""
    checkpoint: Path
    """The newest checkpoint."""


def train(
    config: TrainConfig,
    tokens_folder: str | Path,
    out_folder: str | Path,
    *,
    progress: Progress | None = None,
    resume: bool = True,
) -> TrainResult:
    """Train as `config` says on the tokens in `tokens_folder` and write `out_folder`.

    Under torchrun every rank calls this. A finished run does nothing; a stopped one goes on from its newest whole
    checkpoint, unless `resume` is False, which refuses a folder that holds one. `out_folder` gets ``checkpoints/``,
    ``metrics.jsonl`` (a log: it holds speeds) and, at the end, ``train.json``, the manifest.

    Raises `InputError` (no tokens, no CUDA where it is wanted), `ConfigError` (ranks that do not divide the batch, too
    little memory), `MismatchError` (a checkpoint of another config or other tokens; ids beyond the vocabulary).
    """
    with join(config) as ranks, _torch_settings(config, ranks):
        try:
            return _Run(config, Path(tokens_folder), Path(out_folder), ranks, progress).execute(resume)
        except torch.cuda.OutOfMemoryError as error:
            raise ConfigError(
                f"The GPU's memory does not hold run.micro_batch={config.run.micro_batch} sequences. "
                "Lower it, lower run.loss_chunk, or take --set run.recompute=true."
            ) from error


@contextmanager
def _torch_settings(config: TrainConfig, ranks: Ranks) -> Iterator[None]:
    """torch's threads and random state as the run wants them, and as they were afterwards."""
    threads = torch.get_num_threads()
    devices = [ranks.device] if ranks.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.set_num_threads(config.run.threads or threads)
            yield
    finally:
        torch.set_num_threads(threads)


class _Run:
    """One call of :func:`train` on one rank."""

    def __init__(self, config: TrainConfig, tokens: Path, out: Path, ranks: Ranks, progress: Progress | None) -> None:
        self.config, self.out, self.ranks = config, out, ranks
        self.tell: Progress = progress if progress is not None and ranks.first else lambda _: None
        self.mine, self.micro = ranks.share(config)
        self.corpus = Corpus.open(tokens, config.data, config.run.seed)
        self.inputs = self.corpus.identity()
        self.unit = Unit(out, "train", "train", settings=config.settings(), inputs=self.inputs)
        self.meter = Meter(self.corpus.codes, ranks)
        self.before: dict[str, float] = {}
        self.loss = math.nan

    def execute(self, resume: bool) -> TrainResult:
        """Find where the run stands and bring it to its end."""
        done = self.unit.done()
        found = self._newest(resume)
        if done is not None and found is not None and found.step == self.config.optim.steps:
            self.tell(f"The training in {self.out} is finished ({found.step} updates); nothing to do.")
            return self._result(found, done.facts, already_done=True, resumed_from=found.step)
        self._build(found)
        start = found.step if found else 0
        if found is None:
            self.before = self._validate(0)
        else:
            self.tell(f"Going on from update {start} of {self.config.optim.steps}.")
        stop = min(self.config.optim.steps, self.config.run.stop_at or self.config.optim.steps)
        last = self._loop(start, stop) if start < stop else found
        assert last is not None
        after = self._validate(last.step) if last.step == self.config.optim.steps else {}
        facts = {**last.manifest.facts, "validation_after": after, "bits_per_character": self._bits(after)}
        if last.step == self.config.optim.steps and self.ranks.first:
            self.unit.commit(self._ledger(), facts=facts)
        self.ranks.wait()
        return self._result(last, facts, already_done=False, resumed_from=start)

    def _newest(self, resume: bool) -> checkpoints.Checkpoint | None:
        folder = self.out / "checkpoints"
        if not resume and folder.is_dir() and any(folder.iterdir()):
            raise MismatchError(f"{folder} holds checkpoints of an earlier run. Resume it, or start a new --out.")
        return checkpoints.newest(folder, self.config.settings(), self.inputs, self.tell)

    def _build(self, found: checkpoints.Checkpoint | None) -> None:
        """Model, optimiser and what wraps them, as new or as the checkpoint left them."""
        run, device = self.config.run, self.ranks.device
        self.model = MaskedLM(
            self.config.model, self.corpus.vocabulary, loss_chunk=run.loss_chunk, recompute=run.recompute
        )
        if found is None:
            self.model.initialise(run.seed)
        else:
            self.model.load_state_dict(found.weights())
            self.before = found.manifest.facts["validation_before"]
            self.loss = found.manifest.facts["loss"]
        self.model.to(device)
        self.optimiser = Optimiser(self.model, self.config.optim)
        if found is not None:
            self.optimiser.load(found.moments(), found.step)
        self.wrapped: nn.Module = self.model
        if self.ranks.world > 1:
            ids = [device.index] if device.type == "cuda" else None
            self.wrapped = DistributedDataParallel(
                self.model, device_ids=ids, broadcast_buffers=False, gradient_as_bucket_view=True
            )
        narrow = run.precision == "bfloat16" or (run.precision == "auto" and device.type == "cuda")
        self.precision = torch.autocast(device.type, torch.bfloat16, enabled=narrow)

    def _loop(self, start: int, stop: int) -> checkpoints.Checkpoint:
        """Updates `start` + 1 to `stop`; the checkpoint of the last."""
        run = self.config.run
        log = _Log(self.out / "metrics.jsonl", start) if self.ranks.first else None
        self.model.train()
        saved, clock, since = None, time.perf_counter(), start
        for number, batch in self._batches(start, stop):
            norm = self._update(number, batch)
            saving = number % run.save_every == 0 or number == stop
            if number % run.log_every == 0 or saving:
                sums = self.meter.read()
                now = time.perf_counter()
                metrics = self._metrics(number, sums, float(norm), (number - since) / (now - clock))
                clock, since = now, number
                if log is not None:
                    log.write(metrics)
                self.tell(metrics)
            if saving:
                saved = self._save(number)
        assert saved is not None
        return saved

    def _batches(self, start: int, stop: int) -> Iterator[tuple[int, Batch]]:
        """(update, this rank's share of its batch), the next one made by a thread while one is used."""
        pin = self.ranks.device.type == "cuda"

        def make(number: int) -> Batch:
            first = (number - 1) * self.config.optim.batch + self.ranks.rank * self.mine
            batch = self.corpus.batch(first, self.mine)
            return batch.pinned() if pin else batch

        with ThreadPoolExecutor(1) as maker:
            coming = maker.submit(make, start + 1)
            for number in range(start + 1, stop + 1):
                batch = coming.result()
                if number < stop:
                    coming = maker.submit(make, number + 1)
                yield number, batch.to(self.ranks.device)

    def _update(self, number: int, batch: Batch) -> torch.Tensor:
        """One update; nothing in it waits for the device. The gradient's norm."""
        ranks = self.ranks
        # global, so that a token weighs the same in whatever rank or part it lies; DDP divides by the ranks
        masked = ranks.sum(torch.full((), float(batch.masked), device=ranks.device)).clamp_min(1.0)
        seed = int(mix(self.config.run.seed, _DROPOUT, number, ranks.rank)[0] >> 1)
        torch.manual_seed(seed)
        for start in range(0, self.mine, self.micro):
            part = batch.part(start, start + self.micro)
            with self._sync(last=start + self.micro == self.mine):
                with self.precision:
                    total, each = self.wrapped(part.ids, part.slots, part.labels, part.keep)
                (total * (ranks.world / masked)).backward()
            self.meter.add(each, part.labels, part.languages)
        return self.optimiser.step(number)

    def _sync(self, *, last: bool) -> Any:
        """Ranks exchange gradients only with the last part of a batch."""
        return (
            self.wrapped.no_sync() if isinstance(self.wrapped, DistributedDataParallel) and not last else nullcontext()
        )

    def _metrics(self, number: int, sums: dict[str, tuple[float, int]], norm: float, rate: float) -> Metrics:
        self.loss = average(sums)
        if not math.isfinite(self.loss) or not math.isfinite(norm):
            raise CcbuildError(
                f"The loss is {self.loss} and the gradient's norm {norm} at update {number}; nothing was saved of it. "
                "Lower optim.learning_rate or set optim.clip_norm=1.0, in a new --out."
            )
        positions = self.config.optim.batch * self.config.data.seq_len
        return Metrics(
            step=number,
            steps=self.config.optim.steps,
            loss=self.loss,
            learning_rate=learning_rate(number, self.config.optim),
            gradient_norm=norm,
            tokens=number * positions,
            tokens_per_second=rate * positions,
            languages={code: loss / n for code, (loss, n) in sums.items()},
        )

    def _save(self, number: int) -> checkpoints.Checkpoint:
        """Rank 0 writes, all wait; the checkpoint as it then stands on disk."""
        folder, settings = self.out / "checkpoints", self.config.settings()
        facts = {
            "validation_before": self.before,
            "loss": self.loss,
            "tokens": number * self.config.optim.batch * self.config.data.seq_len,
            "parameters": parameter_count(self.config.model, self.corpus.vocabulary),
            "shares": self.corpus.shares,
            "torch": torch.__version__,
        }
        if self.ranks.first:
            checkpoints.save(
                folder,
                number,
                self.model.state_dict(),
                self.optimiser.state(),
                settings=settings,
                inputs=self.inputs,
                facts=facts,
                keep=self.config.run.keep,
            )
        self.ranks.wait()
        return checkpoints.open_step(folder, number)

    @torch.no_grad()
    def _validate(self, step: int) -> dict[str, float]:
        """Mean loss of the held-out blocks by language; empty when it is not wanted."""
        if not self.config.run.validate:
            return {}
        meter = Meter(self.corpus.codes, self.ranks)
        self.model.eval()
        for cpu in self.corpus.validation(self.micro, self.ranks.rank, self.ranks.world):
            batch = cpu.to(self.ranks.device)
            with self.precision:
                _, each = self.model(batch.ids, batch.slots, batch.labels, batch.keep)
            meter.add(each, batch.labels, batch.languages)
        sums = meter.read()
        self.model.train()
        if sums:
            self.tell(f"Held-out loss after {step} updates: {average(sums):.3f} nats over {len(sums)} languages.")
        return {code: loss / n for code, (loss, n) in sums.items()}

    def _bits(self, losses: dict[str, float]) -> dict[str, float]:
        languages = self.corpus.languages
        return {
            code: loss / math.log(2) * languages[code].tokens / languages[code].characters
            for code, loss in losses.items()
            if languages[code].characters
        }

    def _ledger(self) -> Ledger:
        """Every token of the folder: trained on, held out, or of a language that was not chosen."""
        ledger = Ledger()
        for code, tokens in self.corpus.tokens.languages.items():
            if code not in self.corpus.languages:
                ledger["tokens"].drop("language_not_chosen", tokens.tokens)
                continue
            ledger["tokens"].keep(self.corpus.trained_on(code))
            ledger["tokens"].drop("held_out", tokens.tokens - self.corpus.trained_on(code))
        return ledger

    def _result(
        self, last: checkpoints.Checkpoint, facts: dict[str, Any], *, already_done: bool, resumed_from: int
    ) -> TrainResult:
        return TrainResult(
            step=last.step,
            finished=last.step == self.config.optim.steps,
            already_done=already_done,
            resumed_from=resumed_from,
            loss=facts["loss"],
            validation_before=facts["validation_before"],
            validation_after=facts["validation_after"],
            bits_per_character=facts["bits_per_character"],
            parameters=facts["parameters"],
            tokens=facts["tokens"],
            checkpoint=last.folder,
        )


class _Log:
    """``metrics.jsonl``, without the lines after update `start`, which are about to be made again."""

    def __init__(self, path: Path, start: int) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= start]
        write_bytes(path, "".join(kept).encode())

    def write(self, metrics: Metrics) -> None:
        """Append one line."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(metrics), sort_keys=True) + "\n")
