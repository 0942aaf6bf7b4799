"""Ranks, sharding, stopping and killing: what must come out the same whatever happens to the processes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader

import xlmr
from ccbuild.config import to_mapping
from xlmr.checkpoint import find, open_step
from xlmr.config import TrainConfig
from xlmr.train import train

STILL = ("model.dropout=0", "model.attention_dropout=0", "optim.steps=10", "run.save_every=5", "run.micro_batch=2")
_RANK = """
import json, sys
from pathlib import Path
from ccbuild.config import from_mapping
from xlmr.config import TrainConfig
from xlmr.train import train
config = from_mapping(TrainConfig, json.loads(Path(sys.argv[1]).read_text()))
print("ready", flush=True)
result = train(config, sys.argv[2], sys.argv[3])
print(result.step, result.finished, result.resumed_from, flush=True)
"""


def start(config: TrainConfig, tokens: Path, out: Path, **environment: str) -> subprocess.Popen[str]:
    path = out.with_name(f"{out.name}.{os.getpid()}.json")
    path.write_text(json.dumps(to_mapping(config)))
    return subprocess.Popen(
        [sys.executable, "-c", _RANK, str(path), str(tokens), str(out)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(xlmr.__file__).parents[1])} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def on_ranks(config: TrainConfig, tokens: Path, out: Path, world: int = 2) -> list[str]:
    """Train on `world` gloo processes; what each printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = [
        start(
            config,
            tokens,
            out,
            WORLD_SIZE=str(world),
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=port,
        )
        for rank in range(world)
    ]
    with ThreadPoolExecutor(world) as pool:
        ends = {pool.submit(process.communicate): process for process in ranks}
        for ended in as_completed(ends):
            if ends[ended].returncode:  # the others would wait for it
                for process in ranks:
                    process.kill()
    assert [process.returncode for process in ranks] == [0] * world, "\n".join(end.result()[1] for end in ends)
    return [end.result()[0] for end in ends]


def losses(out: Path, what: str = "loss") -> list[float]:
    return [json.loads(line)[what] for line in (out / "metrics.jsonl").read_text().splitlines()]


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    whole = hashlib.sha256()
    for name in sorted(tensors):
        whole.update(name.encode() + tensors[name].numpy().tobytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, tokens: Path, small: Any) -> Path:
    """Ten updates in one process, without dropout."""
    out = tmp_path_factory.mktemp("one") / "run"
    train(small(*STILL), tokens, out)
    return out


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_do_as_one(parallel: str, one: Path, tmp_path: Path, tokens: Path, small: Any) -> None:
    out = tmp_path / "two"
    on_ranks(small(*STILL, f"run.parallel={parallel}", f"run.recompute={str(parallel == 'fsdp').lower()}"), tokens, out)
    for what in ("loss", "gradient_norm"):
        assert losses(out, what) == pytest.approx(losses(one, what), abs=1e-5)
    ours, theirs = find(out), find(one)
    assert ours.step == theirs.step == 10
    shards = [name for name in ours.manifest.outputs if name.endswith(".distcp")]
    assert len(shards) == 2
    stored: Any = FileSystemReader(ours.folder).read_metadata().state_dict_metadata["model.embedding"]
    assert len(stored.chunks) == (2 if parallel == "fsdp" else 1)
    for name, tensor in theirs.weights().items():
        torch.testing.assert_close(ours.weights()[name], tensor, atol=1e-5, rtol=0)
    facts = [json.loads((run / "train.json").read_text())["facts"] for run in (one, out)]
    assert facts[0]["validation_after"] == pytest.approx(facts[1]["validation_after"], abs=1e-5)


def test_two_shards_go_on_in_one_process(one: Path, tmp_path: Path, tokens: Path, small: Any) -> None:
    out = tmp_path / "two"
    first = on_ranks(small(*STILL, "run.parallel=fsdp", "run.stop_at=5"), tokens, out)
    assert first == ["ready\n5 False 0\n"] * 2
    result = train(small(*STILL), tokens, out)
    assert (result.resumed_from, result.finished) == (5, True)
    assert losses(out)[5:] == pytest.approx(losses(one)[5:], abs=1e-6)
    for name, tensor in find(one).weights().items():
        torch.testing.assert_close(find(out).weights()[name], tensor, atol=1e-6, rtol=0)


def test_two_processes_resume_to_the_bit_with_dropout(tmp_path: Path, tokens: Path, small: Any) -> None:
    on_ranks(small("run.parallel=fsdp"), tokens, tmp_path / "whole")
    on_ranks(small("run.parallel=fsdp", "run.stop_at=3"), tokens, tmp_path / "parts")
    ends = on_ranks(small("run.parallel=fsdp"), tokens, tmp_path / "parts")
    assert ends == ["ready\n6 True 3\n"] * 2
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert digest(find(tmp_path / "parts").weights()) == digest(find(tmp_path / "whole").weights())


def test_sigterm_saves_and_the_run_goes_on_as_if_nothing_was(tmp_path: Path, tokens: Path, small: Any) -> None:
    config = small("optim.steps=400", "run.save_every=400", "run.log_every=10", "run.validate=false")
    whole = train(config, tokens, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    process = start(config, tokens, stopped)
    try:
        wait_for(lambda: (stopped / "metrics.jsonl").exists() and len(losses(stopped)) >= 1, process)
        process.send_signal(signal.SIGTERM)
        printed, error = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 0, error
    step, finished, _ = printed.split("\n")[1].split()
    assert finished == "False"
    assert 0 < int(step) < 400
    assert find(stopped).step == int(step)
    result = train(config, tokens, stopped)
    assert result.resumed_from == int(step)
    assert digest(find(stopped).weights()) == digest(open_step(whole.checkpoint.parent, 400).weights())


def wait_for(condition: Any, process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.001)


def stop_in_a_save(process: subprocess.Popen[str], out: Path, seconds: float) -> None:
    """Stop the process `seconds` after a save has begun, in the next one where that one was done meanwhile."""
    while True:
        wait_for(lambda: list((out / "checkpoints").glob(".step-*.scratch")), process)
        time.sleep(seconds)
        process.send_signal(signal.SIGSTOP)
        if list((out / "checkpoints").glob(".step-*.scratch")):
            return
        process.send_signal(signal.SIGCONT)
        seconds = 0


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.full)])
def test_killed_in_the_middle_of_saves(kills: int, tmp_path: Path, tokens: Path, small: Any) -> None:
    """With dropout: losses and a hash over weights and moments are those of a run that nobody killed."""
    config = small(f"optim.steps={30 * kills}", "run.save_every=3", "run.keep=2", "run.validate=false")
    train(config, tokens, tmp_path / "whole")
    out, chance = tmp_path / "run", random.Random(kills)
    for _ in range(kills):
        process = start(config, tokens, out)
        # a folder of this process: those of killed ones are removed when it begins
        before = open_step(out / "checkpoints", newest_step(out)).step if newest_step(out) else 0
        wait_for(lambda limit=before: newest_step(out) > limit, process)
        stop_in_a_save(process, out, chance.random() * 0.004)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    result = train(config, tokens, out)
    assert result.finished
    assert result.resumed_from > 0
    assert losses(out) == losses(tmp_path / "whole")
    last = f"checkpoints/step-{30 * kills:08d}"
    assert {p.name: p.read_bytes() for p in (out / last).iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "whole" / last).iterdir()
    }
    assert not list((out / "checkpoints").glob(".*"))


def newest_step(out: Path) -> int:
    return max((int(p.name.removeprefix("step-")) for p in (out / "checkpoints").glob("step-*")), default=0)
