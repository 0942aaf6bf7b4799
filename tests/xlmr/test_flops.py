from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from xlmr.config import load_preset
from xlmr.flops import flops_per_token
from xlmr.model import MaskedLM


@pytest.mark.parametrize(("preset", "masked", "everything"), [("base", 0.7395, 1.7218), ("large", 2.1941, 3.5052)])
def test_figures_of_base_and_large(preset: str, masked: float, everything: float) -> None:
    config = load_preset(preset).model
    assert flops_per_token(config, 250_002, 512) / 1e9 == pytest.approx(masked, rel=1e-3)
    assert flops_per_token(config, 250_002, 512, 1.0) / 1e9 == pytest.approx(everything, rel=1e-3)


@pytest.mark.parametrize(
    ("preset", "slots", "gigaflops"),
    [
        ("base", 0.15, 0.7395),
        ("base", 1.0, 1.7218),
        ("large", 0.15, 2.1941),
        ("large", 1.0, 3.5052),
        ("xl", 0.15, None),
    ],
)
def test_torch_counts_the_same_on_meta(preset: str, slots: float, gigaflops: float | None) -> None:
    config, length, count = load_preset(preset).model, 512, round(512 * slots)
    with torch.device("meta"):  # shapes only: nothing is allocated or computed
        model = MaskedLM(config, 250_002, loss_chunk=64)
        ids, places = torch.zeros(2, length, dtype=torch.int64), torch.zeros(2, count, dtype=torch.int64)
        with FlopCounterMode(display=False) as counter:
            model(ids, places, places)[0].backward()
    counted = counter.get_total_flops() / (2 * length)
    assert counted == pytest.approx(flops_per_token(config, 250_002, length, count / length), rel=1e-3)
    if gigaflops is not None:
        assert counted / 1e9 == pytest.approx(gigaflops, rel=2e-3)  # 77 of 512 positions are not quite 0.15
