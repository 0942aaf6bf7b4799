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


def stepped(optimiser: Optimiser, model: torch.nn.Linear, size: float, number: int) -> torch.Tensor:
    model.weight.grad = torch.full((1, 3), size / 3**0.5)
    return optimiser.step(number)


def test_a_leap_is_skipped_once_the_mean_is_known_and_a_lasting_change_is_followed() -> None:
    model = torch.nn.Linear(3, 1, bias=False)
    optimiser = Optimiser(model, OptimConfig(spike=3.0, warmup_steps=0, clip_norm=1.0))
    assert stepped(optimiser, model, 50.0, 1) > 49  # nothing is known yet
    for number in range(2, 202):
        stepped(optimiser, model, 1.0, number)
    assert (optimiser.skipped.item(), optimiser.taken.item()) == (0, 201)
    before, moments = model.weight.clone(), {k: v.clone() for k, v in optimiser.state().items() if "weight" in k}
    stepped(optimiser, model, 10.0, 202)
    assert (optimiser.skipped.item(), optimiser.in_a_row.item()) == (1, 1)
    assert torch.equal(model.weight, before)
    assert all(torch.equal(optimiser.state()[k], v) for k, v in moments.items())
    stepped(optimiser, model, 2.0, 203)
    assert optimiser.in_a_row.item() == 0
    taken = optimiser.taken.item()
    for number in range(204, 404):
        stepped(optimiser, model, 6.0, number)
    assert optimiser.in_a_row.item() == 0
    assert taken < optimiser.taken.item() < taken + 200


def test_counters_of_adam_come_back() -> None:
    model = torch.nn.Linear(3, 1, bias=False)
    optimiser = Optimiser(model, OptimConfig(warmup_steps=0))
    stepped(optimiser, model, 1.0, 1)
    stepped(optimiser, model, float("inf"), 2)
    stepped(optimiser, model, 1.0, 3)
    assert optimiser.adam.state[model.weight]["step"].item() == 2
    other = Optimiser(torch.nn.Linear(3, 1, bias=False), OptimConfig(warmup_steps=0))
    for name, tensor in other.state().items():
        tensor.copy_(optimiser.state()[name])
    other.loaded()
    (state,) = other.adam.state.values()
    assert state["step"].item() == 2
    assert other.skipped.item() == 1
