"""How well a model fills in what is held out: the loss of each language, and bits per byte, which compare vocabularies.

Bits per byte are the loss of a masked token in bits, times the tokens of the language, divided by its bytes in UTF-8.
So a language that its vocabulary cuts into many pieces pays for each of them. The share of masked tokens stands in the
figure (more context makes it easier): compare only runs of one `data.mask_prob`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from ccbuild.config import from_mapping
from ccbuild.errors import MismatchError
from xlmr.checkpoint import find
from xlmr.config import DataConfig, ModelConfig, RunConfig, section
from xlmr.data import Corpus
from xlmr.metrics import Meter
from xlmr.model import MaskedLM
from xlmr.parallel import Ranks, join

__all__ = ["bits_per_byte", "evaluate", "held_out_losses"]


@torch.no_grad()
def held_out_losses(
    model: MaskedLM, corpus: Corpus, ranks: Ranks, size: int, precision: torch.autocast
) -> dict[str, tuple[float, int]]:
    """(sum of the loss in nats, masked tokens) by language over the held-out blocks, `size` sequences at once.

    Leaves the model as it was, in training or not.
    """
    meter, training = Meter(corpus.codes, ranks), model.training
    model.eval()
    for cpu in corpus.validation(size, ranks.rank, ranks.world):
        batch = cpu.to(ranks.device)
        with precision:
            _, each = model(batch.ids, batch.slots, batch.labels, batch.positions)
        meter.add(each, batch.labels, batch.languages)
    model.train(training)
    return meter.read()


def bits_per_byte(losses: Mapping[str, float], corpus: Corpus) -> dict[str, float]:
    """Losses in nats a masked token as bits a byte of text, for languages whose bytes are known; </s> is not text."""
    known = {code: t for code, t in corpus.languages.items() if code in losses and t.nbytes}
    return {code: losses[code] / math.log(2) * (t.tokens - t.documents) / t.nbytes for code, t in known.items()}


def evaluate(
    checkpoint: str | Path,
    tokens: str | Path,
    overrides: Mapping[str, object],
    notice: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, float]]:
    """Loss, bits per byte and masked tokens of each language, of a checkpoint on the held-out blocks of `tokens`.

    `overrides` are settings of the sections `data` and `run`, by dotted key; the others are the checkpoint's.
    `notice` is told of a newer checkpoint that is not whole. Raises `MismatchError` for tokens of another vocabulary.
    """
    found = find(Path(checkpoint), notice)
    settings = {**found.manifest.settings, **overrides}
    run = from_mapping(RunConfig, section(settings, "run"), "run")
    config = from_mapping(DataConfig, section(settings, "data"), "data")
    with join(run) as ranks:
        corpus = Corpus.open(Path(tokens), config, run.seed)
        made = found.manifest.inputs
        if made["vocabulary_sha256"] not in (None, corpus.tokens.vocabulary_sha256):
            raise MismatchError(
                f"{tokens} was encoded with the vocabulary {corpus.tokens.vocabulary_sha256}, the model was trained "
                f"with {made['vocabulary_sha256']}. Encode the text with that one."
            )
        model = MaskedLM(from_mapping(ModelConfig, section(settings, "model"), "model"), made["vocabulary_size"])
        model.load_state_dict(found.weights())
        narrow = torch.autocast(ranks.device.type, torch.bfloat16, enabled=run.narrow(ranks.device.type))
        sums = held_out_losses(model.to(ranks.device), corpus, ranks, run.micro_batch or 16, narrow)
    losses = {code: loss / n for code, (loss, n) in sums.items()}
    bits = bits_per_byte(losses, corpus)
    return {
        code: {"loss": losses[code], "masked_tokens": n} | ({"bits_per_byte": bits[code]} if code in bits else {})
        for code, (_, n) in sums.items()
    }
