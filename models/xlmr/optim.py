"""AdamW as RoBERTa set it, with its schedule, passing over updates whose gradient is not finite or leaps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from xlmr.config import OptimConfig

__all__ = ["Optimiser", "learning_rate"]

_SETTLED = 100
"""Updates before a running mean of the norm is trusted, and of which it is the mean, roughly."""


def learning_rate(step: int, config: OptimConfig) -> float:
    """Of update `step`, counted from 1: linear warm-up, then fairseq's polynomial decay of power 1 to an end of 0.

    >>> schedule = OptimConfig(learning_rate=1.0, warmup_steps=10, steps=110)
    >>> [learning_rate(step, schedule) for step in (1, 10, 60, 110)]
    [0.1, 1.0, 0.5, 0.0]

    A wsd schedule stays at the peak and decays at the end (warm-up, stable, decay; 2404.06395):

    >>> schedule = OptimConfig(learning_rate=1.0, warmup_steps=10, steps=110, schedule="wsd", decay_steps=20)
    >>> [learning_rate(step, schedule) for step in (1, 10, 90, 100, 110)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    if step <= config.warmup_steps:
        return config.learning_rate * step / config.warmup_steps
    decay = config.decay_steps if config.schedule == "wsd" else config.steps - config.warmup_steps
    return config.learning_rate * min(1.0, (config.steps - step) / max(decay, 1))


class Optimiser:
    """AdamW over a model: matrices and embeddings decay, biases and LayerNorm do not. Fused on any device.

    Whether an update is passed over is decided on the device, so that the host need not wait for it; a skipped update
    changes neither weights nor moments. `skipped` counts them, `in_a_row` those since the last that was taken.
    """

    def __init__(self, model: nn.Module, config: OptimConfig) -> None:
        self.config = config
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        decayed = [p for p in self.parameters.values() if p.ndim > 1]
        others = [p for p in self.parameters.values() if p.ndim <= 1]
        self.adam = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            eps=config.eps,
            fused=True,
        )
        device = next(iter(self.parameters.values())).device
        # as AdamW would make them at the first update: here, so that a checkpoint can be read into them
        for parameter in self.parameters.values():
            moments = {key: torch.zeros_like(parameter.detach()) for key in ("exp_avg", "exp_avg_sq")}
            self.adam.state[parameter] = {"step": torch.zeros((), device=device), **moments}
        self.taken, self.skipped, self.in_a_row, self.mean_norm = torch.zeros(4, device=device).unbind()

    def step(self, number: int) -> Tensor:
        """Apply update `number` (from 1) and drop the gradients; their norm before clipping, left on the device."""
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        if self.config.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(self.parameters.values(), self.config.clip_norm, norm)
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(number, self.config)
        self.adam.found_inf = self._judge(norm)  # type: ignore[attr-defined]
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return norm

    def _judge(self, norm: Tensor) -> Tensor:
        """1.0 where the update is to be skipped, else 0.0; counted."""
        finite = norm.isfinite()
        bound = torch.full_like(norm, torch.inf)
        if self.config.spike:
            bound = torch.where(self.taken >= _SETTLED, self.config.spike * self.mean_norm, bound)
        skip = (~finite | (norm > bound)).float()
        # a leap enters the mean only as far as the bound, so that a lasting change is followed in the end
        weight = finite / (self.taken + 1).clamp_max(_SETTLED)
        self.mean_norm.lerp_(torch.where(finite, norm.minimum(bound), self.mean_norm), weight)
        self.taken.add_(1 - skip)
        self.skipped.add_(skip)
        self.in_a_row.add_(1).mul_(skip)
        return skip

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint holds: ``mean.NAME`` and ``square.NAME`` of each parameter, and the counters."""
        result = {name: getattr(self, name) for name in ("taken", "skipped", "in_a_row", "mean_norm")}
        for name, parameter in self.parameters.items():
            moments = self.adam.state[parameter]
            result |= {f"mean.{name}": moments["exp_avg"], f"square.{name}": moments["exp_avg_sq"]}
        return result

    def loaded(self) -> None:
        """Take over what was read into the tensors of :meth:`state`."""
        for parameter in self.parameters.values():
            self.adam.state[parameter]["step"].copy_(self.taken)
