from __future__ import annotations

import pytest
import torch

from xlmr.config import load_preset
from xlmr.model import MaskedLM, parameter_count


@pytest.mark.parametrize(
    ("preset", "parameters"),
    # XLMRobertaForMaskedLM and XLMRobertaXLForMaskedLM of transformers 5.23 at 250,002 pieces
    [("base", 278_295_186), ("large", 560_142_482), ("xl", 3_480_493_202), ("xxl", 10_709_397_650)],
)
def test_parameters(preset: str, parameters: int) -> None:
    assert parameter_count(load_preset(preset).model, 250_002) == parameters


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_padding_changes_nothing_for_the_others(norm: str) -> None:
    model = MaskedLM(load_preset("tiny", [f"model.norm={norm}"]).model, 200).initialise(0).eval()
    ids = torch.randint(4, 200, (2, 9), generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(ids, (0, 5), value=1)
    torch.testing.assert_close(
        model.logits(padded, torch.where(padded != 1, torch.arange(2, 16), 1))[:, :9],
        model.logits(ids),
        atol=1e-5,
        rtol=0,
    )


def test_weights_depend_on_the_seed_alone() -> None:
    config = load_preset("tiny").model
    first, again, other = (MaskedLM(config, 200).initialise(seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert not first["embedding"][200:].any()
    assert not first["embedding"][1].any()


def test_recomputing_gives_the_same_gradients() -> None:
    config = load_preset("tiny", ["model.dropout=0.2"]).model
    gradients = []
    for recompute in (False, True):
        model = MaskedLM(config, 200, recompute=recompute).initialise(0)
        ids = torch.arange(40).view(2, 20) + 4
        torch.manual_seed(5)
        model(ids, torch.tensor([[1, 2], [3, 4]]), torch.tensor([[7, 8], [9, -100]]))[0].backward()
        gradients.append(model.blocks[0].qkv.weight.grad)  # type: ignore[union-attr, index]
    assert torch.equal(gradients[0], gradients[1])
