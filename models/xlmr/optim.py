"""AdamW as RoBERTa set it, with its schedule: linear warm-up, then linear decay to zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xlmr.config import OptimConfig

__all__ = ["Optimiser", "learning_rate"]


def learning_rate(step: int, config: OptimConfig) -> float:
    """Of update `step`, counted from 1: fairseq's polynomial decay of power 1 to an end of 0.

    >>> schedule = OptimConfig(learning_rate=1.0, warmup_steps=10, steps=110)
    >>> [learning_rate(step, schedule) for step in (1, 10, 60, 110)]
    [0.1, 1.0, 0.5, 0.0]
    """
    if step <= config.warmup_steps:
        return config.learning_rate * step / config.warmup_steps
    return config.learning_rate * (config.steps - step) / max(config.steps - config.warmup_steps, 1)


class Optimiser:
    """AdamW over a model: matrices and embeddings decay, biases and LayerNorm do not. Fused on any device."""

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

    def step(self, number: int) -> Tensor:
        """Apply update `number` (from 1) and drop the gradients; their norm before clipping, left on the device."""
        parameters = list(self.parameters.values())
        if self.config.clip_norm:
            norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
        else:
            norm = torch.nn.utils.get_total_norm(p.grad for p in parameters if p.grad is not None)
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(number, self.config)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return norm

    def state(self) -> dict[str, Tensor]:
        """Both moments of each parameter, by name: ``mean.NAME``, ``square.NAME``; empty before the first update."""
        result = {}
        for name, parameter in self.parameters.items():
            if parameter in self.adam.state:
                result[f"mean.{name}"] = self.adam.state[parameter]["exp_avg"]
                result[f"square.{name}"] = self.adam.state[parameter]["exp_avg_sq"]
        return result

    def load(self, state: dict[str, Tensor], step: int) -> None:
        """The inverse of :meth:`state`, as after update `step`."""
        for name, parameter in self.parameters.items():
            self.adam.state[parameter] = {
                "step": torch.tensor(float(step), device=parameter.device),
                "exp_avg": state[f"mean.{name}"].to(parameter.device),
                "exp_avg_sq": state[f"square.{name}"].to(parameter.device),
            }
