from __future__ import annotations

import pytest
import torch

from xlmr.config import OptimConfig, load_preset
from xlmr.model import MaskedLM
from xlmr.optim import Optimiser, learning_rate


def test_schedule_of_base() -> None:
    config = load_preset("base").optim
    assert learning_rate(1, config) == pytest.approx(6e-4 / 24_000)
    assert learning_rate(24_000, config) == 6e-4
    assert learning_rate(1_500_000, config) == 0
    assert learning_rate(762_000, config) == pytest.approx(3e-4)


def test_biases_and_layer_norms_do_not_decay() -> None:
    model = MaskedLM(load_preset("tiny").model, 200).initialise(0)
    optimiser = Optimiser(model, OptimConfig(weight_decay=0.5, warmup_steps=0, learning_rate=0.1))
    before = {k: v.clone() for k, v in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimiser.step(1)
    changed = {k for k, v in model.named_parameters() if not torch.equal(v, before[k])}
    assert changed == {k for k, v in before.items() if v.ndim > 1 and k != "segment"}
    assert all("norm" not in k and "bias" not in k for k in changed)


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_clipping(clip: float) -> None:
    model = torch.nn.Linear(3, 1, bias=False)
    optimiser = Optimiser(model, OptimConfig(clip_norm=clip, warmup_steps=0))
    model.weight.grad = torch.full((1, 3), 100.0)
    assert optimiser.step(1).item() == pytest.approx(100 * 3**0.5)
    mean = optimiser.state()["mean.weight"].norm().item()
    assert mean == pytest.approx(0.1 * (clip or 100 * 3**0.5), rel=1e-4)
