"""A small folder of tokens, and the shortest run that a test can train on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ccbuild.ledger import Ledger
from ccbuild.storage import Unit
from ccbuild.tokens import TokenWriter
from xlmr.config import TrainConfig, load_preset

Small = Callable[..., TrainConfig]
WriteTokens = Callable[..., Path]

VOCABULARY = 300
SIZES = {"am": 5, "en": 40_000, "ja": 3_000, "sw": 9_000}
"""Tokens of each language, roughly; am has less than one block."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread of torch, so that results are the same on any machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _write_tokens(folder: Path, sizes: dict[str, int], vocabulary: int = VOCABULARY, sha256: str = "ab" * 32) -> Path:
    """Random documents whose pieces follow Zipf's law, in a band of ids of their own language."""
    generator = np.random.default_rng(0)
    for number, (code, size) in enumerate(sorted(sizes.items())):
        shard_tokens = max(size // 3, 1)
        with (
            Unit(folder, "encode", code, settings={}) as unit,
            TokenWriter(
                unit, code, vocabulary_size=vocabulary, vocabulary_sha256=sha256, shard_tokens=shard_tokens
            ) as writer,
        ):
            written = document = 0
            while written < size:
                length = min(int(generator.integers(20, 200)), size - written)
                ranks = np.minimum(generator.zipf(1.3, length), 60)
                writer.add(document, 4 + (ranks + 61 * number) % (vocabulary - 5), 1, 4 * length, 4 * length)
                written, document = written + length + 1, document + 1
            facts = writer.close()
            unit.commit(Ledger(), facts=facts)
    return folder


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tokens in four languages, 300 ids."""
    return _write_tokens(tmp_path_factory.mktemp("tokens"), SIZES)


@pytest.fixture(scope="session")
def write_tokens() -> WriteTokens:
    """Writes a folder of tokens: (folder, sizes by language, vocabulary=300, sha256=...)."""
    return _write_tokens


@pytest.fixture(scope="session")
def small() -> Small:
    """Makes the configuration of six updates of a very small model, with dropout and sequences of 32."""
    return _small


def _small(*overrides: str) -> TrainConfig:
    shape = ["model.width=32", "model.heads=2", "model.ffn=64", "model.dropout=0.1", "model.attention_dropout=0.1"]
    sizes = ["data.seq_len=32", "optim.batch=8", "optim.steps=6", "optim.warmup_steps=2", "run.threads=1"]
    pace = ["run.log_every=1", "run.save_every=2", "run.keep=10", "run.device=cpu"]
    return load_preset("tiny", [*shape, *sizes, *pace, *overrides])
