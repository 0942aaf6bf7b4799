"""Train a model on a folder of tokens: from a configuration to a finished run, resumable at any checkpoint.

A step reads nothing that was saved but weights, moments and a few counters: the samples, their masks and the seed of
dropout are functions of the step's number. On the CPU, with one number of threads, a run that was stopped and resumed
gives the same weights, bit for bit, as one that was not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ccbuild.errors import CcbuildError, ConfigError, MismatchError
from ccbuild.ledger import Ledger
from ccbuild.lock import locked
from ccbuild.storage import Unit, digest_of
from ccbuild.vocab.alpha import WARN_REPETITION
from xlmr import checkpoint as checkpoints
from xlmr.config import TrainConfig
from xlmr.data import Corpus
from xlmr.evaluate import bits_per_byte, held_out_losses
from xlmr.loop import Loop
from xlmr.metrics import Progress, average
from xlmr.model import MaskedLM, parameter_count, set_whole
from xlmr.parallel import Ranks, as_configured, join, replicated, sharded
from xlmr.plan import repeats

__all__ = ["TrainResult", "train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What became of a run."""

    step: int
    """Updates done."""
    finished: bool
    """Whether the schedule is at its end; False when the run stopped at ``run.stop_at`` or by SIGTERM."""
    already_done: bool
    """Whether the run had been finished before, and nothing was done now."""
    resumed_from: int
    """Step of the checkpoint that was resumed; 0: from the start."""
    loss: float | None
    """Mean loss of a masked token over the last lines of metrics, in nats."""
    validation_before: dict[str, float]
    """Loss of the held-out blocks by language before the first update, in nats a masked token."""
    validation_after: dict[str, float]
    """The same after the last update; empty unless the run is finished."""
    bits_per_byte: dict[str, float]
    """`validation_after` in bits a byte of the text: comparable between vocabularies."""
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
    checkpoint, unless `resume` is False, which refuses a folder that holds one. SIGTERM ends it with a checkpoint.
    `out_folder` gets ``checkpoints/``, ``metrics.jsonl`` (a log: it holds speeds) and, at the end, ``train.json``.

    Raises `InputError` (no tokens, no CUDA where it is wanted), `ConfigError` (ranks that do not divide the batch, too
    little memory), `MismatchError` (a checkpoint of another config or other tokens; ids beyond the vocabulary).
    """
    with join(config.run) as ranks, _torch_settings(config, ranks):
        try:
            return _Run(config, Path(tokens_folder), Path(out_folder), ranks, progress).execute(resume)
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
                raise
            raise ConfigError(
                f"Memory ran out ({str(error)[:120]}). Lower run.micro_batch (now "
                f"{config.run.micro_batch}) or run.loss_chunk ({config.run.loss_chunk}), or take "
                "--set run.recompute=true, or run.parallel=fsdp on more ranks. See `ccbuild model plan`."
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
        ranks.share(config)  # refuses what does not divide, before anything is read
        self.corpus = Corpus.open(tokens, config.data, config.run.seed, config.optim.batch, config.optim.steps)
        self.inputs = self.corpus.identity()
        self.first_weights = None if config.run.start_from is None else self._start(Path(config.run.start_from))
        self.unit = Unit(out, "train", "train", settings=config.settings(), inputs=self.inputs)

    def execute(self, resume: bool) -> TrainResult:
        """Find where the run stands and bring it to its end."""
        done, steps = self.unit.done(), self.config.optim.steps
        found = self._newest(resume)
        if done is not None and found is not None and found.step == steps:
            self.tell(f"The training in {self.out} is finished ({found.step} updates); nothing to do.")
            return self._result(found, done.facts, already_done=True, resumed_from=found.step)
        with locked(self.out) if self.ranks.first else nullcontext():  # and without what a killed process left
            self.ranks.wait()
            return self._train(found)

    def _train(self, found: checkpoints.Checkpoint | None) -> TrainResult:
        """From where the run stands to its end."""
        loop, steps = self._built(found), self.config.optim.steps
        start = found.step if found else 0
        if found is None:
            self._warn_of_repeats()
            loop.facts["validation_before"] = self._validate(loop, 0)
        else:
            loop.facts["validation_before"] = found.manifest.facts["validation_before"]
            self.tell(f"Going on from update {start} of {steps}.")
        stop = min(steps, self.config.run.stop_at or steps)
        last = loop.run(start, stop) if start < stop else found
        assert last is not None
        after = self._validate(loop, last.step) if last.step == steps else {}
        facts = {**last.manifest.facts, "validation_after": after, "bits_per_byte": bits_per_byte(after, self.corpus)}
        if last.step == steps and self.ranks.first:
            self.unit.commit(self._ledger(), facts=facts)
        self.ranks.wait()
        return self._result(last, facts, already_done=False, resumed_from=start)

    def _warn_of_repeats(self) -> None:
        """Say which languages will be read so often that they are learnt by heart."""
        read = repeats(self.config, self.corpus.tokens, self.config.optim.steps)
        often = sorted((-n, code) for code, n in read.items() if n > WARN_REPETITION)
        if often:
            self.tell(
                f"{len(often)} of {len(read)} languages will be read more than {WARN_REPETITION:.0f} times, "
                f"{often[0][1]} {-often[0][0]:,.0f} times. data.cap holds them back."
            )

    def _start(self, folder: Path) -> checkpoints.Checkpoint:
        """The checkpoint to take the first weights from, which must be of this shape and vocabulary."""
        found = checkpoints.find(folder, self.tell)
        mine = {**self.config.settings(), "vocabulary_size": self.corpus.vocabulary}
        made = {**found.manifest.settings, "vocabulary_size": found.manifest.inputs["vocabulary_size"]}
        for key in (
            "vocabulary_size",
            *(f"model.{k}" for k in ("layers", "width", "heads", "ffn", "positions", "norm")),
        ):
            if made[key] != mine[key]:
                raise MismatchError(
                    f"run.start_from={folder} has {key}={made[key]}, this run has {mine[key]}. "
                    "Take weights of the same shape and vocabulary."
                )
        sha256, own = found.manifest.inputs["vocabulary_sha256"], self.corpus.tokens.vocabulary_sha256
        if sha256 not in (None, own):
            raise MismatchError(
                f"run.start_from={folder} was trained with the vocabulary {sha256}, the tokens have {own}. "
                "Encode the text with that one."
            )
        self.inputs["start_from"] = found.manifest.outputs[".metadata"]["sha256"]
        self.inputs["start_from.sha256"] = digest_of(found.manifest)  # the former knows the weights' shapes alone
        return found

    def _newest(self, resume: bool) -> checkpoints.Checkpoint | None:
        """The checkpoint to go on from, looked for by the first rank."""
        folder, result = self.out / "checkpoints", None
        try:
            if not resume and folder.is_dir() and any(folder.iterdir()):
                raise MismatchError(f"{folder} holds checkpoints of an earlier run. Resume it, or start a new --out.")
            if self.ranks.first:
                result = checkpoints.newest(folder, self.config.settings(), self.inputs, self.tell)
        except CcbuildError as error:
            return self.ranks.agreed(error)
        return self.ranks.agreed(result)

    def _built(self, found: checkpoints.Checkpoint | None) -> Loop:
        """The loop with its model, as new or as the checkpoint left it, wrapped as the ranks share it."""
        run, ranks, vocabulary = self.config.run, self.ranks, self.corpus.vocabulary
        shard = run.parallel == "fsdp" and ranks.world > 1
        with torch.device("meta"):
            model = MaskedLM(self.config.model, vocabulary, loss_chunk=run.loss_chunk, recompute=run.recompute)
        wrapped = as_configured(model, run, ranks)
        if shard:
            sharded(model, ranks)
        model.to_empty(device=ranks.device)
        if self.first_weights is not None:
            weights = self.first_weights.weights()
            for name, parameter in model.named_parameters():
                set_whole(parameter, weights[name])
        elif found is None:
            model.initialise(run.seed)
        if ranks.world > 1 and not shard:
            wrapped = replicated(model, ranks)
        facts = {"parameters": parameter_count(self.config.model, vocabulary), "torch": torch.__version__}
        places: dict[str, Any] = {"inputs": self.inputs, "facts": facts, "out": self.out, "tell": self.tell}
        loop = Loop(self.config, self.corpus, ranks, model, wrapped, **places)
        if found is not None:
            loop.restore(found)
        return loop

    def _validate(self, loop: Loop, step: int) -> dict[str, float]:
        """Mean loss of the held-out blocks by language; empty when it is not wanted."""
        if not self.config.run.validate:
            return {}
        sums = held_out_losses(loop.model, self.corpus, self.ranks, loop.micro, loop.precision)
        if sums:
            self.tell(f"Held-out loss after {step} updates: {average(sums):.3f} nats over {len(sums)} languages.")
        return {code: loss / n for code, (loss, n) in sums.items()}

    def _ledger(self) -> Ledger:
        """Every block of the folder: trained on or held out; and tokens of languages that were not chosen."""
        ledger = Ledger()
        for code, tokens in self.corpus.tokens.languages.items():
            if code in self.corpus.languages:
                ledger["blocks"].keep(self.corpus.blocks[code].trained)
                ledger["blocks"].drop("held_out", self.corpus.blocks[code].held_out)
            else:
                ledger["tokens"].drop("language_not_chosen", tokens.tokens)
        return ledger

    def _result(
        self, last: checkpoints.Checkpoint, facts: dict[str, Any], *, already_done: bool, resumed_from: int
    ) -> TrainResult:
        return TrainResult(
            step=last.step,
            finished=last.step == self.config.optim.steps,
            already_done=already_done,
            resumed_from=resumed_from,
            checkpoint=last.folder,
            **{
                k: facts[k]
                for k in ("loss", "validation_before", "validation_after", "bits_per_byte", "parameters", "tokens")
            },
        )
