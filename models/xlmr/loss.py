"""Cross entropy of the masked positions against the vocabulary, in chunks, with its gradients made on the way.

The vocabulary is the widest thing in the model: at 250,002 pieces one sequence of 512 positions would make 512 MB of
float32 logits. Only masked positions come here, a chunk of them meets the vocabulary at a time, and the gradient of
that chunk is taken while its logits are there, so that nothing of that size waits for the backward pass.

Cost of the choice: the gradient with respect to the embedding (vocabulary × width, float32) is held from the forward
pass to the backward pass, where it is for a moment there twice; there is no second derivative.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["IGNORED", "masked_cross_entropy"]

IGNORED = -100
"""Label of a slot that holds no masked position; torch's own default."""


def masked_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, vocabulary: int, chunk: int
) -> tuple[Tensor, Tensor]:
    """(sum over slots, loss of each slot) in nats, float32 (float64 for float64 inputs).

    `hidden` (slots, width); `weight` (rows, width) and `bias` (rows), where rows ≥ `vocabulary` and the rows beyond it
    are padding that no probability falls on; `labels` (slots,) int64 with `IGNORED` for empty slots. The second result
    carries no gradient. Under autocast the products are made in its type, sums in float32.
    """
    total, each = _MaskedCrossEntropy.apply(hidden, weight, bias, labels, vocabulary, chunk)  # type: ignore[no-untyped-call]
    return total, each


class _MaskedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, vocabulary: int, chunk: int
    ) -> tuple[Tensor, Tensor]:
        device = "cpu" if hidden.is_meta else hidden.device.type  # meta has no autocast, and is only counted
        product = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        wanted = any(ctx.needs_input_grad[:3])
        exact = torch.promote_types(weight.dtype, torch.float32)
        losses = torch.zeros(len(labels), dtype=exact, device=hidden.device)
        gradients = tuple(torch.zeros_like(t, dtype=exact) for t in (hidden, weight, bias)) if wanted else ()
        with torch.autocast(device, enabled=False):
            matrix = weight.to(product)
            for start in range(0, len(labels), chunk):
                part = slice(start, start + chunk)
                rows = hidden[part].to(product)
                # (chunk, rows): the only tensor as wide as the vocabulary
                logits = _product(rows, matrix.T, exact).add_(bias)
                losses[part] = _losses_to_gradient(logits, labels[part], vocabulary)
                if wanted:
                    _accumulate(gradients, part, logits, rows, matrix)
        ctx.save_for_backward(*gradients)
        ctx.dtypes = (hidden.dtype, weight.dtype, bias.dtype)
        ctx.mark_non_differentiable(losses)
        return losses.sum(), losses

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        scaled = ((g * outputs[0]).to(d) for g, d in zip(ctx.saved_tensors, ctx.dtypes, strict=True))
        return (*scaled, None, None, None)


def _losses_to_gradient(logits: Tensor, labels: Tensor, vocabulary: int) -> Tensor:
    """The loss of each row; `logits` become in place the gradient of their sum: softmax minus the label's one."""
    logits[:, vocabulary:] = -torch.inf
    used = labels != IGNORED
    target = labels.where(used, 0).unsqueeze(1)
    norm = logits.logsumexp(1, keepdim=True)
    losses = (norm - logits.gather(1, target)).squeeze(1) * used
    logits.sub_(norm).exp_()
    logits.scatter_add_(1, target, torch.full_like(norm, -1.0))
    logits.mul_(used.unsqueeze(1))
    return losses


def _accumulate(gradients: tuple[Tensor, ...], part: slice, logits: Tensor, rows: Tensor, matrix: Tensor) -> None:
    """Add the gradients of one chunk, whose logits already are gradients."""
    of_hidden, of_weight, of_bias = gradients
    narrow = logits.to(rows.dtype)
    of_hidden[part] = narrow @ matrix
    of_weight.add_(_product(narrow.T, rows, of_weight.dtype))
    of_bias.add_(logits.sum(0))


def _product(left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """left @ right in `dtype`; on CUDA narrower inputs accumulate into it without being rounded in between."""
    if left.is_cuda and left.dtype != dtype:
        return torch.mm(left, right, out_dtype=dtype)
    return (left @ right).to(dtype)
