"""Floating-point operations of a step, from the shape alone: what a speed is measured against."""

from __future__ import annotations

from xlmr.config import ModelConfig

__all__ = ["H100_TFLOPS", "flops_per_token"]

H100_TFLOPS = 989.4
"""Dense bfloat16 peak of an H100 SXM by its data sheet, which states twice as much with sparsity (1,979 TFLOP/s)."""


def flops_per_token(config: ModelConfig, vocabulary: int, seq_len: int, predicted: float = 0.15) -> float:
    """Operations of forward and backward pass for one position of a sequence; a multiply-add is two.

    `predicted` is the share of positions that meet the head and the vocabulary: 0.15 here, 1 in a model that projects
    every position. Only matrix products count, the backward pass twice the forward one; recomputed blocks do not count.

    >>> base = ModelConfig()
    >>> [round(flops_per_token(base, 250_002, 512, share) / 1e9, 4) for share in (0.15, 1.0)]
    [0.7396, 1.7218]
    """
    width = config.width
    products = config.layers * (4 * width * width + 2 * width * config.ffn)
    attention = config.layers * 2 * seq_len * width
    head = predicted * (width * width + width * vocabulary)
    return 6.0 * (products + attention + head)
