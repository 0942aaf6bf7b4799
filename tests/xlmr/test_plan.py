from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ccbuild.cli import main
from ccbuild.errors import CcbuildError, ConfigError
from ccbuild.tokens import open_tokens
from xlmr.bench import bench
from xlmr.config import load_preset
from xlmr.data import Corpus
from xlmr.plan import Machine, memory_per_gpu, plan, saved_by_block


def figures(*arguments: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["model", *arguments, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_base_on_eight_h100_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    p = figures("plan", "base", "--peak", "989.4", "--price", "2", capsys=capsys)
    assert p["parameters"] == 278_295_186
    assert p["flops_per_token"] / 1e9 == pytest.approx(0.7395, rel=1e-3)
    assert p["tokens_per_update"] == 8192 * 512
    # 0.73956e9 x 4,194,304 / (8 x 989.4e12) = 0.3919 s; x 1.5 million / 86,400 = 6.80 days; at 40 %: 17.01
    assert p["floor_seconds_per_update"] == pytest.approx(0.3919, abs=1e-4)
    assert p["at"]["100%"]["days"] == pytest.approx(6.80, abs=0.01)
    assert p["at"]["40%"]["days"] == pytest.approx(17.01, abs=0.01)
    assert p["at"]["40%"]["gpu_hours"] == pytest.approx(17.01 * 24 * 8, rel=1e-3)
    assert p["at"]["40%"]["money"] == pytest.approx(2 * p["at"]["40%"]["gpu_hours"])
    assert p["updates"] == 1_500_000
    assert p["memory"]["ddp"]["weights_gradients_moments"] == 16 * 278_295_186
    assert not p["measured_on_a_gpu"]


def test_schedules(capsys: pytest.CaptureFixture[str]) -> None:
    assert figures("plan", "large", "--schedule", "short", capsys=capsys)["updates"] == 50_000
    p = figures("plan", "large", "--gpu-hours", "1000", capsys=capsys)
    assert p["schedule"] == "1000 GPU-hours"
    assert p["at"]["40%"]["gpu_hours"] == pytest.approx(1000, rel=1e-4)
    assert main(["model", "plan", "xxl", "--gpu-hours", "0.0001"]) == 2
    assert "not enough for one update" in capsys.readouterr().err
    assert main(["model", "plan", "base", "--gpus", "0"]) == 2
    assert "gpus is 0" in capsys.readouterr().err
    assert main(["model", "plan", "base", "--vocabulary", "0"]) == 2
    assert "vocabulary of 0 ids" in capsys.readouterr().err


def test_large_on_eight_h100_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    p = figures("plan", "large", "--price", "2", capsys=capsys)
    # 24 x (12 x 1024^2 + 2 x 512 x 1024) + 0.15 x (1024^2 + 1024 x 250,002) = 365,713,305.6, x 6 = 2.19428e9
    assert p["flops_per_token"] == pytest.approx(2_194_279_833.6, abs=1)
    # x 4,194,304 / (8 x 989.4e12) = 1.1628 s; x 1.5 million / 86,400 = 20.19 days; at 40 %: 50.47
    assert p["floor_seconds_per_update"] == pytest.approx(1.1628, abs=1e-4)
    assert p["at"]["100%"]["days"] == pytest.approx(20.19, abs=0.01)
    assert p["at"]["40%"]["days"] == pytest.approx(50.47, abs=0.01)
    assert p["at"]["40%"]["gpu_hours"] == pytest.approx(50.467 * 24 * 8, rel=1e-4)
    assert p["memory"]["ddp"]["weights_gradients_moments"] == 16 * 560_142_482


def test_a_person_is_told_that_speeds_are_goals(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "plan", "base"]) == 0
    told = capsys.readouterr().out
    assert "278,295,186 parameters" in told
    assert "goals: not measured on a GPU yet" in told


def test_repeats_are_what_the_order_draws(tokens: Path, small: Any) -> None:
    phases = "data.phases=[{start: 0, languages: [en, sw]}, {start: 100, alpha: 0.0}]"
    config = small(phases, "optim.steps=400", "data.validation_blocks=0")
    told = plan(config, 300, Machine(gpus=1), tokens=open_tokens(tokens))["repeats"]
    corpus = Corpus.open(tokens, config.data, 1, config.optim.batch)
    languages, _ = corpus.order.samples(0, 400 * config.optim.batch)
    for index, code in enumerate(corpus.codes):
        drawn = (languages == index).sum() / corpus.blocks[code].trained
        assert told[code] == pytest.approx(drawn, rel=0.15), code


def test_memory_falls_with_ranks_and_recomputing() -> None:
    xxl = memory_per_gpu(load_preset("xxl"), 250_002, 64)
    assert xxl["ddp"]["total"] > 171e9
    assert xxl["fsdp + recompute"]["total"] < 80e9
    base = load_preset("base").model
    # the inputs of four products, attention's q, k, v and output, GELU's input, two residuals and norms:
    # some 30 to 40 bytes a token and unit of width, as Korthikanti et al. count (2205.05198, table 2: 34)
    assert 25 < saved_by_block(base, 512) / (512 * base.width) < 45
    with pytest.raises(ConfigError, match="price is -1"):
        Machine(price=-1)


def test_bench_measures_both_sides_and_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("accelerate")
    shape = ["--set", "model.width=32", "--set", "model.heads=2", "--set", "model.layers=1", "--set", "data.seq_len=32"]
    pace = ["--set", "optim.batch=4", "--set", "run.threads=1", "--set", "run.device=cpu", "--steps", "2"]
    f = figures("bench", "--preset", "tiny", "--vocabulary", "500", *shape, *pace, capsys=capsys)
    for side in ("ours", "transformers"):
        assert f[side]["first_loss"] == pytest.approx(math.log(500), abs=0.6)
        assert f[side]["peak_bytes"] > 1e7
        assert f[side]["seconds_per_step"] > 0
    assert f["times_faster"] == pytest.approx(f["transformers"]["seconds_per_step"] / f["ours"]["seconds_per_step"])
    assert f["ours"]["share_of_the_step"].keys() == {"attention", "head", "optimiser", "data"}
    from ccbuild.cli.model import _bench_text

    assert "has not run on a GPU" in _bench_text(f)


def test_bench_tells_what_went_wrong() -> None:
    with pytest.raises(CcbuildError, match=r"bench of ours failed: .*allocate memory.*--no-peer"):
        bench(load_preset("tiny", ["run.device=cpu", "model.ffn=1000000000000"]), 500, steps=1)
    with pytest.raises(ConfigError, match="vocabulary of 5 ids"):
        bench(load_preset("tiny"), 5, steps=1)
