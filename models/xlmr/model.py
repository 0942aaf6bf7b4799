"""The encoder and its masked language modelling head, read from top to bottom.

One block class serves both layouts: LayerNorm after each residual sum (XLM-R base and large) or before each part and
once at the end (XL and XXL). The embedding is tied to the head, and padded inside to a multiple of 128 rows, since
tensor cores want round shapes; padding rows are never read, never predicted and never exported.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from xlmr.config import ModelConfig
from xlmr.loss import masked_cross_entropy

__all__ = ["PADDED_TO", "Block", "MaskedLM", "parameter_count", "set_whole"]

PAD = 1
"""Id of <pad>, in fairseq's order of specials; positions are counted from the next number on."""

PADDED_TO = 128


class Block(nn.Module):
    """Self-attention and feed-forward, each with its residual and LayerNorm. (batch, length, width) in and out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, self.heads, self.pre = config.width, config.heads, config.norm == "pre"
        self.attention_dropout = config.attention_dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.up = nn.Linear(width, config.ffn)
        self.down = nn.Linear(config.ffn, width)
        self.ffn_norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, keep: Tensor | None) -> Tensor:
        """`keep` (batch, 1, 1, length) is False at padding; None where there is none, the fast way."""
        if self.pre:
            x = x + self.dropout(self.attend(self.attention_norm(x), keep))
            return cast(Tensor, x + self.dropout(self.feed(self.ffn_norm(x))))
        x = self.attention_norm(x + self.dropout(self.attend(x, keep)))
        return cast(Tensor, self.ffn_norm(x + self.dropout(self.feed(x))))

    def attend(self, x: Tensor, keep: Tensor | None) -> Tensor:
        batch, length, width = x.shape
        # (batch, length, 3 * width) -> 3 × (batch, heads, length, width / heads)
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        dropout = self.attention_dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keep, dropout_p=dropout)
        return cast(Tensor, self.out(mixed.transpose(1, 2).reshape(batch, length, width)))

    def feed(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.down(F.gelu(self.up(x))))


class MaskedLM(nn.Module):
    """Token ids to the loss of the masked ones, or to logits.

    `vocabulary` is the number of ids, specials and <mask> included. Weights are made by :meth:`initialise`.
    """

    def __init__(
        self, config: ModelConfig, vocabulary: int, *, loss_chunk: int = 2048, recompute: bool = False
    ) -> None:
        super().__init__()
        self.config, self.vocabulary, self.loss_chunk, self.recompute = config, vocabulary, loss_chunk, recompute
        rows, width = -(-vocabulary // PADDED_TO) * PADDED_TO, config.width
        self.embedding = nn.Parameter(torch.empty(rows, width))
        self.positions = nn.Parameter(torch.empty(config.positions, width))
        # BERT's segment embedding: one row, zero and not trained in RoBERTa, kept for the sake of its weights' files
        self.segment = nn.Parameter(torch.empty(1, width), requires_grad=False)
        self.embedding_norm = nn.LayerNorm(width, config.layer_norm_eps) if config.norm == "post" else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = nn.LayerNorm(width, config.layer_norm_eps) if config.norm == "pre" else nn.Identity()
        self.head = nn.Linear(width, width)
        self.head_norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.bias = nn.Parameter(torch.empty(rows))

    def initialise(self, seed: int) -> MaskedLM:
        """Weights normal with `init_std`, biases and padding zero, LayerNorm one, as fairseq does.

        Made on the CPU, one whole parameter at a time, so that they are the same on any device and however they are
        sharded; a sharded one keeps its part.
        """
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                whole = torch.zeros(parameter.shape)
                if name.endswith("norm.weight"):
                    whole.fill_(1.0)
                elif name != "segment" and not name.endswith("bias"):
                    whole.normal_(0.0, self.config.init_std, generator=generator)
                if name in ("embedding", "positions"):
                    whole[PAD].zero_()
                if name == "embedding":
                    whole[self.vocabulary :].zero_()
                set_whole(parameter, whole)
        return self

    def encode(self, ids: Tensor, positions: Tensor | None = None) -> Tensor:
        """(batch, length) ids to (batch, length, width) states.

        `positions` (batch, length) are rows of the position embedding, counted from PAD + 1, PAD itself at padding;
        None: every sequence is full.
        """
        if positions is None:
            where = self.positions[PAD + 1 : PAD + 1 + ids.shape[1]]  # (length, width)
            mask = None
        else:
            where = F.embedding(positions, self.positions, padding_idx=PAD)  # (batch, length, width)
            mask = (positions != PAD)[:, None, None, :]
        # row PAD is zero and stays so: no gradient reaches it
        x = F.embedding(ids, self.embedding, padding_idx=PAD) + where + self.segment
        x = self.dropout(self.embedding_norm(x))
        for block in self.blocks:
            if self.recompute and self.training:
                x = cast(Tensor, checkpoint(block, x, mask, use_reentrant=False))
            else:
                x = block(x, mask)
        return cast(Tensor, self.final_norm(x))

    def transform(self, states: Tensor) -> Tensor:
        """What the head does before the vocabulary: (…, width) to (…, width)."""
        return cast(Tensor, self.head_norm(F.gelu(self.head(states))))

    def logits(self, ids: Tensor, positions: Tensor | None = None) -> Tensor:
        """(batch, length, vocabulary): every position against every piece. For looking and tests, not for training."""
        states = self.transform(self.encode(ids, positions))
        return F.linear(states, self.embedding[: self.vocabulary], self.bias[: self.vocabulary])

    def forward(
        self, ids: Tensor, slots: Tensor, labels: Tensor, positions: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(sum of the loss in nats, loss of each slot) of (batch, length) ids.

        `slots` (batch, n) int64 are the masked positions, `labels` (batch, n) what stood there, or `IGNORED`.
        """
        return self.score(self.encode(ids, positions), slots, labels)

    def score(self, states: Tensor, slots: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`forward` from the encoder's states on."""
        index = slots.unsqueeze(-1).expand(-1, -1, states.shape[-1])
        chosen = self.transform(states.gather(1, index).flatten(0, 1))  # (batch * n, width)
        return masked_cross_entropy(
            chosen, self.embedding, self.bias, labels.flatten(), self.vocabulary, self.loss_chunk
        )

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """:meth:`forward`, with its types."""
        return cast(tuple[Tensor, Tensor], super().__call__(*args, **kwargs))


def set_whole(parameter: Tensor, whole: Tensor) -> None:
    """Copy `whole` into `parameter`, of which this rank may hold a part; every rank gives the same."""
    if isinstance(parameter, DTensor):
        whole = whole.to(parameter.device_mesh.device_type)
        whole = distribute_tensor(whole, parameter.device_mesh, parameter.placements, src_data_rank=None)
    with torch.no_grad():
        parameter.copy_(whole)


def parameter_count(config: ModelConfig, vocabulary: int) -> int:
    """Parameters of the exported model: tied embedding once, without the padding. Counted on the meta device.

    >>> parameter_count(ModelConfig(), 250_002)
    278295186
    """
    with torch.device("meta"):
        model = MaskedLM(config, vocabulary)
    padding = (model.embedding.shape[0] - vocabulary) * (config.width + 1)
    return sum(p.numel() for p in model.parameters()) - padding
