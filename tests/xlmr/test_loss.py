from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from xlmr.loss import IGNORED, masked_cross_entropy

SLOTS, WIDTH, ROWS, VOCABULARY = 23, 11, 40, 37


def case(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    hidden, weight, bias = (
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()
        for shape in ((SLOTS, WIDTH), (ROWS, WIDTH), (ROWS,))
    )
    labels = torch.randint(0, VOCABULARY, (SLOTS,), generator=generator)
    labels[::4] = IGNORED
    return hidden, weight, bias, labels


@pytest.mark.parametrize("chunk", [1, 7, SLOTS, 1000])
def test_loss_and_every_gradient_equal_torchs(chunk: int) -> None:
    hidden, weight, bias, labels = case()
    logits = F.linear(hidden, weight[:VOCABULARY], bias[:VOCABULARY])
    expected = F.cross_entropy(logits, labels, reduction="sum")
    wanted = torch.autograd.grad(expected * 0.37, (hidden, weight, bias))
    total, each = masked_cross_entropy(hidden, weight, bias, labels, VOCABULARY, chunk)
    torch.testing.assert_close(total, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(each.sum(), expected, atol=1e-12, rtol=0)
    for got, want in zip(torch.autograd.grad(total * 0.37, (hidden, weight, bias)), wanted, strict=True):
        torch.testing.assert_close(got, want, atol=1e-12, rtol=0)


def test_gradcheck() -> None:
    hidden, weight, bias, labels = case()
    assert torch.autograd.gradcheck(
        lambda *leaves: masked_cross_entropy(*leaves, labels, VOCABULARY, 7)[0], (hidden, weight, bias)
    )


def test_nothing_masked_is_no_loss_and_no_gradient() -> None:
    hidden, weight, bias, labels = case()
    total, _ = masked_cross_entropy(hidden, weight, bias, torch.full_like(labels, IGNORED), VOCABULARY, 7)
    assert total == 0
    assert not any(g.any() for g in torch.autograd.grad(total, (hidden, weight, bias)))


def test_bfloat16_products_stay_near_and_sums_are_float32() -> None:
    hidden, weight, bias, labels = case(torch.float32)
    exact, _ = masked_cross_entropy(hidden, weight, bias, labels, VOCABULARY, 7)
    with torch.autocast("cpu", torch.bfloat16):
        total, each = masked_cross_entropy(hidden, weight, bias, labels, VOCABULARY, 7)
    assert total.dtype == each.dtype == torch.float32
    assert total.item() == pytest.approx(exact.item(), rel=0.02)
    assert total.item() != exact.item()


class _Widest(TorchDispatchMode):
    """The most rows of any tensor made that is as wide as the vocabulary."""

    rows = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor) and tensor.ndim == 2 and tensor.shape[1] in (ROWS, VOCABULARY):
                self.rows = max(self.rows, tensor.shape[0])
        return result


def test_no_tensor_of_slots_by_vocabulary_is_made() -> None:
    hidden, weight, bias, labels = case(torch.float32)
    hidden = hidden.detach().repeat(1, 2)[:, :WIDTH].requires_grad_()
    with _Widest() as seen:
        masked_cross_entropy(hidden, weight, bias, labels, VOCABULARY, 5)[0].backward()
    # weight.T is (width, rows): wider than any chunk here, and no matter
    assert seen.rows <= max(5, WIDTH)
    assert seen.rows < SLOTS
