from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ccbuild.cli import main
from ccbuild.errors import MismatchError
from ccbuild.tokens import open_tokens
from xlmr.evaluate import evaluate
from xlmr.train import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tokens: Path, small: Any) -> Path:
    out = tmp_path_factory.mktemp("evaluated")
    train(small("run.tensorboard=true"), tokens, out)
    return out


def test_it_measures_what_the_training_measured(run: Path, tokens: Path) -> None:
    facts = json.loads((run / "train.json").read_text())["facts"]
    result = evaluate(run, tokens, {})
    assert result.keys() == {"en", "ja", "sw"}
    assert {code: r["loss"] for code, r in result.items()} == pytest.approx(facts["validation_after"], abs=1e-6)
    assert {code: r["bits_per_byte"] for code, r in result.items()} == pytest.approx(facts["bits_per_byte"], abs=1e-6)


def test_bits_per_byte_by_hand(run: Path, tokens: Path) -> None:
    language, result = open_tokens(tokens).languages["sw"], evaluate(run, tokens, {})["sw"]
    pieces = language.tokens - language.documents  # </s> is never predicted and no text
    assert language.nbytes == 4 * (pieces + language.documents) - 4 * language.documents
    assert result["bits_per_byte"] == pytest.approx(result["loss"] / math.log(2) / 4)


def test_another_vocabulary_is_refused(run: Path, tmp_path: Path, write_tokens: Any) -> None:
    other = write_tokens(tmp_path / "other", {"en": 4000}, sha256="cd" * 32)
    with pytest.raises(MismatchError, match="encoded with the vocabulary cdcd"):
        evaluate(run, other, {})


def test_command_line(run: Path, tokens: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "evaluate", str(run), "--tokens", str(tokens), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["languages"]
    assert told["en"]["masked_tokens"] > 0
    assert main(["model", "evaluate", str(run), "--tokens", str(tokens), "--set", "data.languages=[sw]"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["language", "loss", "bits/byte", "masked", "tokens"]
    assert main(["model", "evaluate", str(run), "--tokens", str(tokens), "--set", "data.validation_blocks=0"]) == 2
    assert "No language has held-out blocks" in capsys.readouterr().err


def test_tensorboard_shows_the_same_losses(run: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    seen = events.EventAccumulator(str(run / "tensorboard")).Reload()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [event.value for event in seen.Scalars("loss")] == pytest.approx([line["loss"] for line in lines])
    assert [event.step for event in seen.Scalars("loss/en")] == [
        line["step"] for line in lines if "en" in line["languages"]
    ]
