from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from xlmr.config import load_preset
from xlmr.flops import flops_per_token
from xlmr.model import MaskedLM


@pytest.mark.parametrize(("preset", "masked", "everything"), [("base", 0.7395, 1.7218), ("large", 2.1941, 3.5052)])
def test_figures_of_base_and_large(preset: str, masked: float, everything: float) -> None:
    config = load_preset(preset).model
    assert flops_per_token(config, 250_002, 512) / 1e9 == pytest.approx(masked, rel=1e-3)
    assert flops_per_token(config, 250_002, 512, 1.0) / 1e9 == pytest.approx(everything, rel=1e-3)


@pytest.mark.parametrize("preset", ["base", "xl"])
def test_torch_counts_the_same(preset: str) -> None:
    config = load_preset(preset, ["model.layers=2"]).model
    batch, length, slots, vocabulary = 2, 512, 64, 250_112  # a vocabulary that needs no padding
    with FakeTensorMode():  # shapes only: nothing is allocated or computed
        model = MaskedLM(config, vocabulary, loss_chunk=32)
        ids = torch.zeros(batch, length, dtype=torch.int64)
        places = torch.zeros(batch, slots, dtype=torch.int64)
        with FlopCounterMode(display=False) as counter:
            model(ids, places, places)[0].backward()
    expected = batch * length * flops_per_token(config, vocabulary, length, slots / length)
    assert counter.get_total_flops() == pytest.approx(expected, rel=1e-3)
