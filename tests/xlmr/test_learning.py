"""That it learns: a few sequences by heart, and real text better than by counting pieces."""

from __future__ import annotations

import json
import lzma
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ccbuild.cli import main
from ccbuild.tokens import open_tokens
from xlmr.config import load_preset
from xlmr.data import Corpus
from xlmr.loss import IGNORED
from xlmr.train import train

REAL_TEXT = Path(__file__).parents[3] / "shared" / "data" / "lm-text"
LANGUAGES = ("sw", "tr")


def test_sixty_four_sequences_are_learnt_by_heart(tmp_path: Path, small: Any, write_tokens: Any) -> None:
    folder = write_tokens(tmp_path / "tokens", {"en": 894})
    shape = ["model.width=128", "model.heads=4", "model.ffn=512", "data.seq_len=16", "data.validation_blocks=0"]
    still = ["model.dropout=0", "model.attention_dropout=0", "optim.weight_decay=0", "optim.batch=64"]
    pace = ["optim.steps=450", "optim.learning_rate=4e-3", "optim.warmup_steps=40", "run.log_every=50"]
    config = small(*shape, *still, *pace, "run.save_every=450")
    assert Corpus.open(folder, config.data, 1).order.blocks.tolist() == [64]
    result = train(config, folder, tmp_path / "out")
    assert result.loss is not None
    assert result.loss < 0.1  # over 50 passes, each masked anew
    assert result.validation_before == {}


def unigram_loss(corpus: Corpus) -> float:
    """Nats a masked token of the held-out blocks, by the frequencies of the training part, one added to each piece."""
    counts = np.ones((len(corpus.codes), corpus.vocabulary))
    for i, code in enumerate(corpus.codes):
        blocks = corpus.blocks[code]
        for k in range(blocks.trained):
            counts[i] += np.bincount(np.concatenate(blocks.read(k)), minlength=corpus.vocabulary)
    shares = counts / counts.sum(1, keepdims=True)
    losses = []
    for batch in corpus.validation(64):
        labels, languages = batch.labels.numpy(), batch.languages.numpy()
        used = labels != IGNORED
        losses += list(-np.log(shares[np.broadcast_to(languages[:, None], labels.shape)[used], labels[used]]))
    return float(np.mean(losses))


@pytest.mark.skipif(not REAL_TEXT.is_dir(), reason="the shared data is not beside the checkout")
def test_real_text_is_guessed_better_than_by_counting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """Each language's own frequencies are the bar, which is lower than that of all languages together."""
    files = {}
    for code in LANGUAGES:
        files[code] = tmp_path / f"{code}.txt"
        with files[code].open("w", encoding="utf-8") as out:
            for path in sorted((REAL_TEXT / code).glob("*.train.txt.xz")):
                with lzma.open(path, "rt", encoding="utf-8") as text:
                    out.write("".join(line for line in text if line.strip() and not line.startswith("{")))
    vocabulary, tokens = tmp_path / "vocabulary", tmp_path / "tokens"
    texts = [f"{code}={path}" for code, path in files.items()]
    assert main(["vocab", "train", "--text", *texts, "--out", str(vocabulary), "--set", "size=4000"]) == 0
    for code, path in files.items():
        places = ["--lang", code, "--vocab", str(vocabulary), "--out", str(tokens)]
        assert main(["tokens", "encode", str(path), *places]) == 0
    capsys.readouterr()
    steps = 600 if request.config.getoption("--full") else 160
    config = load_preset("tiny", [f"optim.steps={steps}", "run.threads=1", "data.validation_blocks=16"])
    corpus = Corpus.open(tokens, config.data, config.run.seed)
    bar, begun = unigram_loss(corpus), time.perf_counter()
    result = train(config, tokens, tmp_path / "out")
    seconds = time.perf_counter() - begun
    facts = {code: open_tokens(tokens).languages[code].tokens for code in LANGUAGES}
    reached = json.loads((tmp_path / "out" / "metrics.jsonl").read_text().splitlines()[-1])["loss"]
    after = np.mean(list(result.validation_after.values()))
    print(f"{facts}: held out {after:.3f}, training {reached:.3f}, by counting {bar:.3f} nats, {seconds:.0f} s")
    assert after < bar
    assert bar < math.log(4000)
