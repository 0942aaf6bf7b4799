from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ccbuild.config import from_mapping, places
from ccbuild.errors import ConfigError, InputError, MismatchError, StorageError
from ccbuild.lock import locked
from xlmr.checkpoint import find, open_step
from xlmr.config import TrainConfig
from xlmr.hf import export
from xlmr.metrics import Metrics
from xlmr.parallel import Ranks
from xlmr.train import train


def weights(out: Path, step: int) -> dict[str, torch.Tensor]:
    return open_step(out / "checkpoints", step).weights()


def losses(out: Path, what: str = "loss") -> list[float]:
    return [json.loads(line)[what] for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tokens: Path, small: Any) -> Path:
    """A run of six updates in one piece."""
    out = tmp_path_factory.mktemp("whole")
    train(small(), tokens, out)
    return out


def test_a_run_is_whole_and_its_account_balances(whole: Path) -> None:
    manifest = json.loads((whole / "train.json").read_text())
    account = manifest["ledger"]["blocks"]
    assert account["seen"] == account["kept"] + account["dropped"]["held_out"]
    assert manifest["facts"]["step"] == 6
    assert (
        manifest["facts"]["validation_before"].keys()
        == manifest["facts"]["validation_after"].keys()
        == {
            "en",
            "ja",
            "sw",
        }
    )
    assert len(losses(whole)) == 6
    assert str(whole) not in (whole / "train.json").read_text()


def test_resuming_gives_the_same_losses_and_weights(whole: Path, tmp_path: Path, tokens: Path, small: Any) -> None:
    first = train(small("run.stop_at=3"), tokens, tmp_path)
    assert (first.step, first.finished, first.validation_after) == (3, False, {})
    heard: list[Metrics | str] = []
    second = train(small(), tokens, tmp_path, progress=heard.append)
    assert (second.step, second.finished, second.resumed_from) == (6, True, 3)
    assert "Going on from update 3 of 6." in heard
    assert losses(tmp_path) == losses(whole)
    ours, theirs = (sorted((p / "checkpoints/step-00000006").iterdir()) for p in (tmp_path, whole))
    assert [p.name for p in ours] == [".metadata", "__0_0.distcp", "checkpoint.json"]
    assert [p.read_bytes() for p in ours] == [p.read_bytes() for p in theirs]
    assert (tmp_path / "train.json").read_bytes() == (whole / "train.json").read_bytes()


def test_a_finished_run_does_nothing_and_says_so(whole: Path, tokens: Path, small: Any) -> None:
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*")}
    heard: list[Metrics | str] = []
    result = train(small(), tokens, whole, progress=heard.append)
    assert result.already_done
    assert result.finished
    assert len(heard) == 1
    assert "is finished (6 updates); nothing to do" in str(heard[0])
    assert {p: p.stat().st_mtime_ns for p in whole.rglob("*")} == before


@pytest.mark.parametrize("damage", ["short", "changed", "manifest"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    damage: str, whole: Path, tmp_path: Path, tokens: Path, small: Any
) -> None:
    train(small("run.stop_at=4"), tokens, tmp_path)
    last = tmp_path / "checkpoints" / "step-00000004"
    path = last / "__0_0.distcp"
    if damage == "short":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "changed":
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    else:
        (last / "checkpoint.json").unlink()
    heard: list[Metrics | str] = []
    result = train(small(), tokens, tmp_path, progress=heard.append)
    assert result.resumed_from == 2
    assert any("step-00000004 is not whole and was passed over" in str(line) for line in heard)
    assert losses(tmp_path) == losses(whole)


def test_another_config_or_other_tokens_are_refused(
    tmp_path: Path, tokens: Path, small: Any, write_tokens: Any
) -> None:
    train(small("run.stop_at=1", "run.validate=false"), tokens, tmp_path)
    with pytest.raises(MismatchError, match=r"optim.learning_rate=0.00\d+, the config says 1.0"):
        train(small("optim.learning_rate=1.0"), tokens, tmp_path)
    other = write_tokens(tmp_path / "other", {"en": 2000}, sha256="cd" * 32)
    with pytest.raises(MismatchError, match=r"made from tokens\.am=.*the tokens now have tokens\.am=None \(5 differ"):
        train(small(), other, tmp_path)
    with pytest.raises(MismatchError, match="earlier run"):
        train(small(), tokens, tmp_path, resume=False)


def test_one_process_at_a_time_works_in_a_folder(tmp_path: Path, tokens: Path, small: Any) -> None:
    left = tmp_path / "run" / "checkpoints" / ".step-00000004.scratch"
    left.mkdir(parents=True)
    with locked(tmp_path / "run"), pytest.raises(InputError, match="Another process works in"):
        train(small(), tokens, tmp_path / "run")
    left.mkdir(parents=True)
    train(small("optim.steps=2", "run.validate=false"), tokens, tmp_path / "run")
    assert not left.exists()


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path, tokens: Path, small: Any) -> None:
    train(small("run.keep=2", "run.save_every=1", "run.validate=false"), tokens, tmp_path)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-00000005", "step-00000006"]


def test_parts_of_a_batch_add_up(tmp_path: Path, tokens: Path, small: Any) -> None:
    # without dropout, whose draws depend on the parts; masked counts of the parts differ
    still = ["model.dropout=0", "model.attention_dropout=0", "optim.steps=2", "run.validate=false"]
    for name, micro in (("one", 8), ("many", 1)):
        train(small(*still, f"run.micro_batch={micro}"), tokens, tmp_path / name)
    one, many = weights(tmp_path / "one", 2), weights(tmp_path / "many", 2)
    for name in one:
        torch.testing.assert_close(one[name], many[name], atol=1e-5, rtol=0)
    # Adam hides a gradient of the wrong size, its norm does not
    for what in ("loss", "gradient_norm"):
        assert losses(tmp_path / "one", what) == pytest.approx(losses(tmp_path / "many", what), abs=1e-6)


def test_a_finished_run_whose_last_checkpoint_was_lost_is_mended(
    whole: Path, tmp_path: Path, tokens: Path, small: Any
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000006")
    result = train(small(), tokens, tmp_path / "run")
    assert (result.already_done, result.resumed_from, result.step) == (False, 4, 6)
    assert (tmp_path / "run" / "train.json").read_bytes() == (whole / "train.json").read_bytes()


def test_bfloat16_and_recomputing(whole: Path, tmp_path: Path, tokens: Path, small: Any) -> None:
    train(small("run.precision=bfloat16", "run.recompute=true"), tokens, tmp_path)
    assert losses(tmp_path) == pytest.approx(losses(whole), abs=0.02)
    assert losses(tmp_path) != losses(whole)
    assert all(tensor.dtype == torch.float32 for tensor in weights(tmp_path, 6).values())


def test_bad_settings_are_refused_before_anything_is_written(tmp_path: Path, tokens: Path, small: Any) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="micro_batch=3 does not divide the 8 sequences"):
        train(small("run.micro_batch=3"), tokens, out)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="wants CUDA and torch finds none"):
            train(small("run.device=cuda"), tokens, out)
    assert not out.exists()


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, tokens: Path, small: Any) -> None:
    from ccbuild.errors import CcbuildError

    with pytest.raises(CcbuildError, match=r"updates up to \d+ were skipped: .* Nothing was saved of them"):
        train(
            small("optim.learning_rate=1e30", "optim.clip_norm=0", "optim.steps=30", "run.validate=false"),
            tokens,
            tmp_path,
        )


def test_ranks_that_do_not_divide_the_batch(small: Any) -> None:
    with pytest.raises(ConfigError, match=r"optim.batch=8 is not divided by the 3 ranks. Take a multiple of 3"):
        Ranks(0, 3, torch.device("cpu")).share(small())
    assert Ranks(0, 4, torch.device("cpu")).share(small("run.micro_batch=64")) == (2, 2)


def test_too_little_memory_says_what_to_lower(tmp_path: Path, tokens: Path, small: Any) -> None:
    with pytest.raises(ConfigError, match=r"Memory ran out .*Lower run.micro_batch .*run.loss_chunk .*model plan"):
        train(small("model.ffn=1000000000000"), tokens, tmp_path)


def test_ids_beyond_the_vocabulary_end_the_run(tmp_path: Path, small: Any, write_tokens: Any) -> None:
    folder = write_tokens(tmp_path / "damaged", {"en": 2000})
    for shard in folder.glob("en-*.bin"):
        shard.write_bytes(np.full(shard.stat().st_size // 4, 4000, "<u4").tobytes())
    with pytest.raises(MismatchError, match="id 4000, but the vocabulary has 300"):
        train(small("run.validate=false"), folder, tmp_path / "out")


def test_a_full_disk_leaves_the_checkpoint_before(
    tmp_path: Path, tokens: Path, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, seen = os.replace, []

    def full(source: Any, target: Any) -> None:
        if str(target).endswith("step-00000004"):
            seen.append(target)
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match=r"No space left on device.*The checkpoint before it stands"):
        train(small("run.validate=false"), tokens, tmp_path)
    assert len(seen) == 1
    assert find(tmp_path).step == 2
    monkeypatch.undo()
    assert train(small("run.validate=false"), tokens, tmp_path).resumed_from == 2


def test_pairs_are_trained_on_and_stand_in_the_card(
    whole: Path, tmp_path: Path, tokens: Path, small: Any, write_tokens: Any
) -> None:
    for code in ("en", "sw"):  # as many documents on both sides, since they are written alike
        write_tokens(tmp_path / code, {code: 900})
    pair = tmp_path / "pairs" / "en-sw"
    pair.mkdir(parents=True)
    for code in ("en", "sw"):
        for path in (tmp_path / code).iterdir():
            shutil.copy(path, pair / path.name)
    config = small(f"data.pairs={tmp_path / 'pairs'}", "data.phases=[{start: 0}, {start: 3, mask_prob: 0.3}]")
    result = train(config, tokens, tmp_path / "run")
    assert any("en-sw" in line for line in losses(tmp_path / "run", "languages"))  # type: ignore[operator]
    assert losses(tmp_path / "run") != losses(whole)
    export(result.checkpoint, tmp_path / "hf")
    assert "| en-sw, " in (tmp_path / "hf" / "README.md").read_text()
    with pytest.raises(MismatchError, match=r"pairs\.en-sw="):
        train(small("data.phases=[{start: 0}, {start: 3, mask_prob: 0.3}]"), tokens, tmp_path / "run")


def test_places_of_the_trainer_count_by_their_content(
    whole: Path, tmp_path: Path, tokens: Path, small: Any, write_tokens: Any
) -> None:
    """Other weights of the same shapes, and other pairs with as many blocks: nothing but their bytes is another."""
    assert {key for key, _, _ in places(TrainConfig())} == {"data.pairs", "run.start_from"}
    short = ("run.stop_at=1", "run.validate=false")
    for seed in (2, 3):
        train(small(f"run.seed={seed}", *short), tokens, tmp_path / f"{seed}")
    for code in ("en", "sw"):
        write_tokens(tmp_path / "pairs" / "en-sw", {code: 900})
    given = (f"data.pairs={tmp_path / 'pairs'}", f"run.start_from={tmp_path / '2'}", *short)
    train(small(*given), tokens, tmp_path / "on")
    assert train(small(*given), tokens, tmp_path / "on").resumed_from == 1
    with pytest.raises(MismatchError, match=r"made from start_from\.sha256="):
        train(small(*given, f"run.start_from={tmp_path / '3'}"), tokens, tmp_path / "on")
    manifest = tmp_path / "pairs" / "en-sw" / "sw.json"
    stated = json.loads(manifest.read_text())
    stated["outputs"]["sw-00000.bin"]["sha256"] = 64 * "0"
    manifest.write_text(json.dumps(stated))
    with pytest.raises(MismatchError, match=r"made from pairs\.en-sw\.sha256="):
        train(small(*given), tokens, tmp_path / "on")
    checkpoint = next((tmp_path / "on" / "checkpoints").glob("*/checkpoint.json"))
    earlier = json.loads(checkpoint.read_text())
    earlier["inputs"] = {key: value for key, value in earlier["inputs"].items() if not key.endswith(".sha256")}
    checkpoint.write_text(json.dumps(earlier))
    assert train(small(*given), tokens, tmp_path / "on").resumed_from == 1  # which knew neither


def test_callers_random_numbers_are_left_alone(tmp_path: Path, tokens: Path, small: Any) -> None:
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    train(small("optim.steps=2", "run.validate=false"), tokens, tmp_path)
    assert torch.equal(torch.rand(3), wanted)


def test_metrics_are_json_ready(whole: Path) -> None:
    line = json.loads((whole / "metrics.jsonl").read_text().splitlines()[-1])
    assert asdict(Metrics(**line)) == line
    assert line["step"] == line["steps"] == 6
    assert line["tokens"] == 6 * 8 * 32
    assert set(line["languages"]) <= {"am", "en", "ja", "sw"}
    assert from_mapping(TrainConfig, {}).optim.steps > 6


def test_languages_learnt_by_heart_are_named(tmp_path: Path, tokens: Path, small: Any) -> None:
    told: list[str] = []
    train(small("optim.steps=4000", "run.stop_at=1"), tokens, tmp_path / "o", progress=told.append)
    assert any("will be read more than 100 times" in line and "data.cap" in line for line in told)
