"""What a run would take, before anybody pays for it: operations, memory, hours, money, repeats. Needs no GPU.

Times at a share of the peak (MFU) are goals until `ccbuild model bench` ran on the GPU in question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ccbuild.errors import ConfigError
from ccbuild.tokens import Tokens
from xlmr.config import ModelConfig, TrainConfig
from xlmr.data import Corpus
from xlmr.flops import H100_TFLOPS, flops_per_token
from xlmr.masking import FIRST_PIECE
from xlmr.model import PADDED_TO, Block, parameter_count

__all__ = ["SCHEDULES", "Machine", "memory_per_gpu", "plan", "saved_by_block"]

SCHEDULES = {"repro": None, "short": 50_000}
"""Updates of a schedule; None: those of the preset, which for base and large are the paper's 1.5 million."""

UTILISATIONS = (0.25, 0.40, 0.50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the run would be on."""

    gpus: int = 8
    """GPUs of all nodes."""
    peak_tflops: float = H100_TFLOPS
    """Dense peak of one GPU in the precision of the products, in TFLOP/s."""
    price: float = 2.5
    """Of a GPU for an hour, in whatever currency; the default is assumed, look up your own."""

    def __post_init__(self) -> None:
        """Refuse a machine that cannot be."""
        for key in ("gpus", "peak_tflops", "price"):
            if getattr(self, key) <= 0:
                raise ConfigError(f"{key} is {getattr(self, key)}; it must be more than 0.")


def plan(
    config: TrainConfig,
    vocabulary: int,
    machine: Machine,
    *,
    schedule: str = "repro",
    gpu_hours: float | None = None,
    tokens: Tokens | None = None,
) -> dict[str, Any]:
    """The figures of a run by name; `tokens` adds how often each language would be read.

    `gpu_hours` takes the place of `schedule`: as many updates as fit at 40 % of the peak. Raises `ConfigError` where
    not one fits.
    """
    if vocabulary < FIRST_PIECE + 2:
        raise ConfigError(f"A vocabulary of {vocabulary} ids has no pieces beside the specials. Give more.")
    positions = config.optim.batch * config.data.seq_len
    predicted = config.data.mask_prob
    per_token = flops_per_token(config.model, vocabulary, config.data.seq_len, predicted)
    floor = per_token * positions / (machine.gpus * machine.peak_tflops * 1e12)
    updates = SCHEDULES.get(schedule) or config.optim.steps
    if gpu_hours is not None:
        schedule, updates = f"{gpu_hours:g} GPU-hours", int(gpu_hours * 3600 / machine.gpus / (floor / 0.40))
        if updates < 1:
            raise ConfigError(f"{gpu_hours:g} GPU-hours are not enough for one update of {positions:,} tokens.")
    at = {}
    for share in (*UTILISATIONS, 1.0):
        hours = updates * floor / share / 3600
        at[f"{share:.0%}"] = {
            "seconds_per_update": floor / share,
            "days": hours / 24,
            "gpu_hours": hours * machine.gpus,
            "money": hours * machine.gpus * machine.price,
        }
    result: dict[str, Any] = {
        "parameters": parameter_count(config.model, vocabulary),
        "vocabulary": vocabulary,
        "flops_per_token": per_token,
        "flops_per_token_all_positions": flops_per_token(config.model, vocabulary, config.data.seq_len, 1.0),
        "tokens_per_update": positions,
        "flops_per_update": per_token * positions,
        "gpus": machine.gpus,
        "peak_tflops": machine.peak_tflops,
        "price": machine.price,
        "floor_seconds_per_update": floor,
        "schedule": schedule,
        "updates": updates,
        "tokens": updates * positions,
        "at": at,
        "memory": memory_per_gpu(config, vocabulary, machine.gpus),
        "measured_on_a_gpu": False,
    }
    if tokens is not None:
        result["repeats"] = repeats(config, tokens, updates)
    return result


def repeats(config: TrainConfig, tokens: Tokens, updates: int) -> dict[str, float]:
    """How many times each language of `tokens` is read in `updates` updates, by the plan and its phases."""
    corpus = Corpus(tokens, config.data, config.run.seed, config.optim.batch, updates)
    starts = [phase.start for phase in config.data.schedule()]
    lengths = [max(min(end, updates) - start, 0) for start, end in zip(starts, [*starts[1:], updates], strict=True)]
    drawn: dict[str, float] = dict.fromkeys(corpus.codes, 0.0)
    for shares, length in zip(corpus.shares, lengths, strict=True):
        for code, share in shares.items():
            drawn[code] += share * length * config.optim.batch
    return {code: count / corpus.blocks[code].trained for code, count in drawn.items()}


def memory_per_gpu(config: TrainConfig, vocabulary: int, gpus: int) -> dict[str, dict[str, float]]:
    """Bytes on one GPU by way of sharing the model: estimates, without what the allocator wastes.

    weights, gradients and AdamW's moments are float32 (16 bytes a parameter), beside them bfloat16 copies for the
    products; activations are what autograd keeps of `run.micro_batch` sequences; the loss holds a chunk of logits
    (float32, and bfloat16 for its products) and the embedding's gradient twice for a moment.
    """
    model, run = config.model, config.run
    parameters = parameter_count(model, vocabulary)
    rows = -(-vocabulary // PADDED_TO) * PADDED_TO
    micro = run.micro_batch or config.optim.batch // gpus
    block = 4 * model.width**2 + 2 * model.width * model.ffn
    sequence = config.data.seq_len * model.width * 4
    kept = saved_by_block(model, config.data.seq_len)
    loss = run.loss_chunk * rows * 6.0 + 2 * rows * model.width * 4.0 + rows * model.width * 2.0
    result = {}
    for name, shards, recompute in (("ddp", 1, False), ("ddp + recompute", 1, True), ("fsdp + recompute", gpus, True)):
        activations = micro * (model.layers * sequence + kept if recompute else model.layers * kept)
        # the embedding stays gathered through a step, and one block beside the one in use
        gathered = 0.0 if shards == 1 else 2 * 4.0 * rows * model.width + 2 * 8.0 * block
        copies = 2.0 * (model.layers * block if shards == 1 else block)
        parts = {
            "weights_gradients_moments": 16.0 * parameters / shards,
            "copies_and_gathered": copies + gathered,
            "activations": float(activations),
            "loss": loss,
        }
        result[name] = {**parts, "total": sum(parts.values())}
    return result


def saved_by_block(config: ModelConfig, seq_len: int) -> float:
    """Bytes that autograd keeps of one block for one sequence, counted on tensors without storage.

    Without dropout of attention weights, which the fused kernels of a GPU make anew in the backward pass.
    """
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with FakeTensorMode():
        block = Block(config)
        block.attention_dropout = 0.0
        own = {p.untyped_storage()._cdata for p in block.parameters()}
        x = torch.zeros(1, seq_len, config.width, requires_grad=True)
        with (
            torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16),
        ):
            alive = block(x, None)
    del alive
    weights: Mapping[int, int] = {key: size for key, size in kept.items() if key not in own}
    copies = 2 * sum(p.numel() for p in block.parameters() if p.ndim > 1)  # bfloat16 weights are counted elsewhere
    return float(sum(weights.values()) - copies)
