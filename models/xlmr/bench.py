"""How fast a step is here, where its time goes, and how that compares with transformers' model in its Trainer.

Each side runs in a process of its own, one after the other, so that the peak memory is its own. On the CPU times are of
the process, not of the wall, since other work would disturb them. What is measured on a CPU says nothing about a GPU.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ccbuild.config import from_mapping, to_mapping
from ccbuild.errors import CcbuildError, ConfigError
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit
from ccbuild.tokens import TokenWriter
from xlmr.config import TrainConfig
from xlmr.data import Batch, Corpus
from xlmr.flops import H100_TFLOPS, flops_per_token
from xlmr.hf import hugging_face_config
from xlmr.loop import Loop
from xlmr.masking import FIRST_PIECE
from xlmr.model import MaskedLM
from xlmr.parallel import as_configured, join

__all__ = ["bench"]


def bench(config: TrainConfig, vocabulary: int, *, steps: int = 5, peer: bool = True) -> dict[str, Any]:
    """Medians over `steps` updates of `optim.batch` sequences, by side: ``ours`` and, with `peer`, ``transformers``.

    Raises `CcbuildError` with what a side said when it failed (no memory, a package that is missing).
    """
    if vocabulary < FIRST_PIECE + 2:
        raise ConfigError(f"A vocabulary of {vocabulary} ids has no pieces beside the specials. Give more.")
    sides = {side: _child(side, config, vocabulary, steps) for side in ("ours", "transformers")[: 1 + peer]}
    result: dict[str, Any] = {"vocabulary": vocabulary, "sequences": config.optim.batch, **sides}
    if peer:
        result["times_faster"] = sides["transformers"]["seconds_per_step"] / sides["ours"]["seconds_per_step"]
        result["memory_ratio"] = sides["transformers"]["peak_bytes"] / sides["ours"]["peak_bytes"]
    return result


def _child(side: str, config: TrainConfig, vocabulary: int, steps: int) -> dict[str, Any]:
    asked = json.dumps({"config": to_mapping(config), "vocabulary": vocabulary, "steps": steps, "side": side})
    done = subprocess.run(
        [sys.executable, "-m", "xlmr.bench"], input=asked, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"signal {-done.returncode}"
        raise CcbuildError(f"The bench of {side} failed: {last}. Lower optim.batch, or leave the peer out (--no-peer).")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@dataclass(slots=True)
class _Clock:
    """Seconds of the process on the CPU, of the device where there is one."""

    device: torch.device

    def __call__(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.process_time()

    def times(self, work: Callable[[], object], steps: int) -> list[float]:
        """Seconds of each of `steps` calls, after one that is not counted."""
        work()
        result = []
        for _ in range(steps):
            begun = self()
            work()
            result.append(self() - begun)
        return result


def _tokens(folder: Path, config: TrainConfig, vocabulary: int) -> Path:
    """Random tokens in two languages: enough for a few batches, since speed does not depend on what they say."""
    generator = np.random.default_rng(1)
    for code in ("aa", "bb"):
        with (
            Unit(folder, "bench", code, settings={}) as unit,
            TokenWriter(unit, code, vocabulary_size=vocabulary, vocabulary_sha256="0" * 64) as writer,
        ):
            for document in range(8):
                writer.add(document, generator.integers(4, vocabulary - 1, 4 * config.data.seq_len))
            unit.commit(Ledger(), facts=writer.close())
    return folder


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _facts(config: TrainConfig, vocabulary: int, device: torch.device, seconds: list[float]) -> dict[str, Any]:
    """What both sides tell; operations are those that a masked head needs, so that both have done the same work."""
    middle = median(seconds)
    positions = config.optim.batch * config.data.seq_len
    flops = positions * flops_per_token(config.model, vocabulary, config.data.seq_len, config.data.mask_prob)
    facts: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "seconds_per_step": middle,
        "spread": [min(seconds), max(seconds)],
        "tokens_per_second": positions / middle,
        "tflops": flops / middle / 1e12,
        "peak_bytes": _peak_bytes(device),
    }
    if device.type == "cuda":
        facts["mfu_of_data_sheet"] = facts["tflops"] / H100_TFLOPS
    return facts


def _measured_peak(device: torch.device) -> float:
    """TFLOP/s of one large product of matrices, in the precision of the training."""
    size, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (1024, torch.float32)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / median(_Clock(device).times(lambda: left @ right, 5)) / 1e12


def _ours(config: TrainConfig, vocabulary: int, steps: int) -> dict[str, Any]:
    with join(config.run) as ranks, tempfile.TemporaryDirectory() as folder:
        tokens = _tokens(Path(folder), config, vocabulary)
        corpus = Corpus.open(tokens, config.data, config.run.seed, config.optim.batch, config.optim.steps)
        model = MaskedLM(
            config.model, vocabulary, loss_chunk=config.run.loss_chunk, recompute=config.run.recompute
        ).initialise(1)
        model.to(ranks.device).train()
        wrapped = as_configured(model, config.run, ranks)
        loop = Loop(config, corpus, ranks, model, wrapped, inputs={}, facts={}, out=Path(folder), tell=print)
        clock, numbers = _Clock(ranks.device), iter(range(1, 10**9))
        batch = corpus.batch(0, loop.mine).to(ranks.device)
        seconds = clock.times(lambda: loop.update(next(numbers), batch), steps)
        facts = _facts(config, vocabulary, ranks.device, seconds)
        parts = _parts(loop, batch, clock, steps)
        facts["share_of_the_step"] = {name: part / facts["seconds_per_step"] for name, part in parts.items()}
        facts["measured_peak_tflops"] = _measured_peak(ranks.device)
        facts["mfu_of_measured_peak"] = facts["tflops"] / facts["measured_peak_tflops"]
        facts["first_loss"] = average_loss(loop)
        return facts


def average_loss(loop: Loop) -> float:
    """Mean loss of what the loop's meter has seen: near ln(vocabulary) on random tokens, or the bench is wrong."""
    sums = loop.meter.read()
    return sum(loss for loss, _ in sums.values()) / sum(n for _, n in sums.values())


def _parts(loop: Loop, batch: Batch, clock: _Clock, steps: int) -> dict[str, float]:
    """Seconds of attention, head, optimiser and data, each by itself; data is made beside the step by a thread."""
    model, config, parts = loop.model, loop.config, -(-loop.mine // loop.micro)
    part = batch.part(0, loop.micro)
    heads = (loop.micro, config.model.heads, config.data.seq_len, config.model.width // config.model.heads)
    q, k, v = (torch.randn(heads, device=batch.ids.device, requires_grad=True) for _ in range(3))
    states = torch.randn(loop.micro, config.data.seq_len, config.model.width, device=batch.ids.device)
    states.requires_grad_()

    def attention() -> None:
        with loop.precision:
            mixed: Tensor = torch.nn.functional.scaled_dot_product_attention(
                q, k, v, dropout_p=config.model.attention_dropout
            )
        torch.autograd.backward(mixed.sum())

    def head() -> None:
        with loop.precision:
            total, _ = model.score(states, part.slots, part.labels)
        torch.autograd.backward(total)

    def gradients() -> None:
        for parameter in loop.optimiser.parameters.values():
            parameter.grad = torch.zeros_like(parameter)

    def measured(work: Callable[[], object]) -> float:
        return median(clock.times(work, steps))

    found = {
        "attention": measured(attention) * config.model.layers * parts,
        "head": measured(head) * parts,
        "data": measured(lambda: loop.corpus.batch(0, loop.mine)),
    }

    def step() -> None:
        gradients()
        loop.optimiser.step(1)

    return {**found, "optimiser": measured(step) - measured(gradients)}


def _theirs(config: TrainConfig, vocabulary: int, steps: int) -> dict[str, Any]:
    """transformers' model of the same shape in its Trainer, with labels at the same positions."""
    transformers: Any = import_module("transformers")  # which has types for half of itself
    transformers.logging.set_verbosity_error()
    device = torch.device("cuda" if torch.cuda.is_available() and config.run.device != "cpu" else "cpu")
    described = transformers.AutoConfig.for_model(**hugging_face_config(config.model, vocabulary))
    model = transformers.AutoModelForMaskedLM.from_config(described)
    with tempfile.TemporaryDirectory() as folder:
        tokens = _tokens(Path(folder) / "tokens", config, vocabulary)
        batch = Corpus.open(tokens, config.data, config.run.seed, config.optim.batch, config.optim.steps).batch(
            0, config.optim.batch
        )
        labels = torch.full_like(batch.ids, -100).scatter_(1, batch.slots, batch.labels)
        rows = [{"input_ids": i, "labels": w} for i, w in zip(batch.ids, labels, strict=True)] * (steps + 1)
        clock = _Clock(device)

        class Timed(transformers.TrainerCallback):  # type: ignore[misc]
            begun: float = 0.0
            seconds: list[float] = []  # noqa: RUF012 - one instance, one bench

            def on_step_begin(self, *_: Any, **__: Any) -> None:
                self.begun = clock()

            def on_step_end(self, *_: Any, **__: Any) -> None:
                self.seconds.append(clock() - self.begun)

        timed, micro = Timed(), config.run.micro_batch or config.optim.batch
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            max_steps=steps + 1,
            per_device_train_batch_size=min(micro, config.optim.batch),
            gradient_accumulation_steps=max(config.optim.batch // micro, 1),
            optim="adamw_torch_fused",
            bf16=config.run.narrow(device.type),
            use_cpu=device.type == "cpu",
            gradient_checkpointing=config.run.recompute,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        trainer = transformers.Trainer(model=model, args=arguments, train_dataset=rows, callbacks=[timed])
        result = trainer.train()
    facts = _facts(config, vocabulary, device, timed.seconds[1:])
    return {**facts, "transformers": transformers.__version__, "first_loss": float(result.training_loss)}


def _main() -> None:
    asked = json.loads(sys.stdin.read())
    config = from_mapping(TrainConfig, asked["config"], "train")
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    side = _ours if asked["side"] == "ours" else _theirs
    print(json.dumps(side(config, asked["vocabulary"], asked["steps"])))


if __name__ == "__main__":
    _main()
