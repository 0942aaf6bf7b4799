"""What one update does: nothing that waits, the same gradients however it is cut, the same whether compiled or not."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode

from ccbuild.errors import CcbuildError
from xlmr.config import TrainConfig
from xlmr.data import Batch, Corpus
from xlmr.loop import Loop
from xlmr.loss import IGNORED
from xlmr.metrics import Metrics
from xlmr.model import MaskedLM
from xlmr.parallel import Ranks, as_configured, compiled, join
from xlmr.train import train

WAITS = {"_local_scalar_dense", "item", "nonzero", "masked_select", "unique", "_unique2", "bincount", "is_nonzero"}


def loop_of(config: TrainConfig, tokens: Path, out: Path, ranks: Ranks) -> Loop:
    corpus = Corpus.open(tokens, config.data, config.run.seed, config.optim.batch)
    model = MaskedLM(config.model, corpus.vocabulary, loss_chunk=config.run.loss_chunk).initialise(1)
    return Loop(config, corpus, ranks, model, model, inputs={}, facts={}, out=out, tell=lambda _: None)


class _Waits(TorchDispatchMode):
    """Counts operations whose answer the host must wait for: values, shapes made from values, copies to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self.all = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.all += 1
        if name in WAITS or (name == "index" and any(t is not None and t.dtype == torch.bool for t in args[1])):
            self.seen[name] += 1
        return func(*args, **(kwargs or {}))


def test_an_update_waits_for_nothing(tmp_path: Path, tokens: Path, small: Any) -> None:
    config = small("run.micro_batch=2", "optim.spike=3.0", "run.recompute=true", "run.precision=bfloat16")
    with join(config.run) as ranks:
        loop = loop_of(config, tokens, tmp_path, ranks)
        batch = loop.corpus.batch(0, 8)
        with _Waits() as waits:
            norm = loop.update(1, batch)
            assert not waits.seen, waits.seen
            assert waits.all > 500
            float(norm)  # the counter sees what it should
            assert waits.seen == {"_local_scalar_dense": 1}
            loop.meter.read()
        assert loop.optimiser.taken == 1


class _Widest(TorchDispatchMode):
    """The most positions that ever met the vocabulary in one tensor."""

    def __init__(self, rows: tuple[int, ...]) -> None:
        super().__init__()
        self.rows, self.most = rows, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor) and tensor.ndim > 1 and tensor.shape[-1] in self.rows:
                self.most = max(self.most, tensor.numel() // tensor.shape[-1])
        return result


def test_no_update_makes_positions_times_vocabulary(tmp_path: Path, tokens: Path, small: Any) -> None:
    config = small("run.loss_chunk=9", "model.width=8", "model.ffn=16", "optim.batch=16")
    with join(config.run) as ranks:
        loop = loop_of(config, tokens, tmp_path, ranks)
        batch = loop.corpus.batch(0, 16)
        with _Widest((300, 384)) as widest:  # the vocabulary, and as it is padded inside
            loop.update(1, batch)
            assert widest.most == 9  # a chunk; (8, 384), the embedding turned round, is smaller
            loop.model.logits(batch.ids)  # the counter sees what it should
            assert widest.most == 16 * 32


def gradients(config: TrainConfig, tokens: Path, out: Path, batch: Batch | None = None) -> dict[str, torch.Tensor]:
    """The gradients of the first update."""
    with join(config.run) as ranks:
        loop = loop_of(config, tokens, out, ranks)
        found = {}

        def keep(number: int) -> torch.Tensor:
            found.update({n: p.grad for n, p in loop.optimiser.parameters.items() if p.grad is not None})
            return torch.zeros(())

        loop.optimiser.step = keep  # type: ignore[method-assign]
        loop.update(1, batch or loop.corpus.batch(0, loop.mine))
    return found


def test_sixteen_at_once_and_four_times_four(tmp_path: Path, tokens: Path, small: Any) -> None:
    still = ("model.dropout=0", "model.attention_dropout=0", "optim.batch=16")
    batch = Corpus.open(tokens, small(*still).data, 1, 16).batch(0, 16)
    for i in range(16):
        batch.labels[i, i % 5 :] = IGNORED
    masked = [int((batch.labels[i : i + 4] != IGNORED).sum()) for i in range(0, 16, 4)]
    assert len(set(masked)) == 4, "the parts are to have unequal numbers of masked tokens"
    batch = Batch(batch.ids, batch.slots, batch.labels, batch.languages, batch.positions, sum(masked))
    whole = gradients(small(*still, "run.micro_batch=16"), tokens, tmp_path, batch)
    parts = gradients(small(*still, "run.micro_batch=4"), tokens, tmp_path, batch)
    assert whole.keys() == parts.keys()
    assert all(grad.any() for grad in whole.values())
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, atol=1e-6, rtol=0)


@pytest.fixture
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


# torch's own, about itself: dynamo makes an instance of every autograd.Function and looks for every tensor's .grad
@pytest.mark.filterwarnings("ignore:.*should not be instantiated")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "by block"])
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_compiles_without_a_break_and_only_once(norm: str, whole: bool, tokens: Path, small: Any) -> None:
    config = small(f"model.norm={norm}", "run.loss_chunk=16")
    corpus = Corpus.open(tokens, config.data, 1)
    plain = MaskedLM(config.model, corpus.vocabulary, loss_chunk=16).initialise(1)
    other = MaskedLM(config.model, corpus.vocabulary, loss_chunk=16).initialise(1)
    quick = compiled(other, None, whole=whole, backend="aot_eager")
    for step in range(5):
        batch = corpus.batch(8 * step, 8)
        results = []
        for model, called in ((plain, plain), (other, quick)):
            torch.manual_seed(step)  # dropout is on
            total, each = called(batch.ids, batch.slots, batch.labels, batch.positions)
            total.backward()
            results.append([total.detach(), each, *(p.grad for p in model.parameters() if p.requires_grad)])
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
        if step == 0:
            graphs = counters["stats"]["unique_graphs"]
    assert not counters["graph_break"]
    assert not counters["recompiles"]
    assert counters["stats"]["unique_graphs"] == graphs == (1 if whole else 2)


@pytest.mark.parametrize(
    ("wanted", "device", "modes"),
    [
        ("auto", "cpu", []),
        ("auto", "cuda", [None]),
        ("never", "cuda", []),
        ("always", "cpu", [None]),
        ("cuda_graphs", "cuda", ["reduce-overhead"]),
    ],
)
def test_what_is_compiled_where(
    wanted: str, device: str, modes: list[str | None], small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, asked = small(f"run.compile={wanted}"), list[Any]()
    monkeypatch.setattr(torch, "compile", lambda model, *, mode, **_: asked.append(mode) or model)
    model = MaskedLM(config.model, 300)
    assert as_configured(model, config.run, Ranks(0, 1, torch.device(device))) is model
    assert asked == modes


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*")
@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor needs g++ on the CPU, and there is none")
def test_inductor_gives_the_same(tokens: Path, small: Any) -> None:
    config = small("model.layers=1", "model.dropout=0", "model.attention_dropout=0", "run.loss_chunk=16")
    corpus = Corpus.open(tokens, config.data, 1)
    model = MaskedLM(config.model, corpus.vocabulary, loss_chunk=16).initialise(1)
    quick = compiled(model, None, whole=True)
    for step in range(5):
        batch = corpus.batch(8 * step, 8)
        results = []
        for called in (model, quick):
            model.zero_grad()
            total, _ = called(batch.ids, batch.slots, batch.labels, batch.positions)
            total.backward()
            results.append([total.detach(), *(p.grad for p in model.parameters() if p.requires_grad)])
        for one, two in zip(*results, strict=True):
            torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == 1


def losses(out: Path, what: str = "loss") -> list[Any]:
    return [json.loads(line)[what] for line in (out / "metrics.jsonl").read_text().splitlines()]


def poison(monkeypatch: pytest.MonkeyPatch, updates: set[int], *, until: int = 10**9) -> list[int]:
    """Make the gradient of some updates not finite, by the number of the first sample; what was poisoned."""
    update, poisoned = Loop.update, []

    def poisoned_update(self: Loop, number: int, batch: Batch) -> torch.Tensor:
        if number + self.jumped in updates and len(poisoned) < until:
            poisoned.append(number)
            hook = self.model.bias.register_hook(lambda gradient: gradient * torch.nan)
            try:
                return update(self, number, batch)
            finally:
                hook.remove()
        return update(self, number, batch)

    monkeypatch.setattr(Loop, "update", poisoned_update)
    return poisoned


def test_an_update_that_is_not_finite_is_skipped_and_counted(
    tmp_path: Path, tokens: Path, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small("optim.steps=6", "run.save_every=1", "run.validate=false")
    poison(monkeypatch, {3})
    train(config, tokens, tmp_path / "run")
    assert losses(tmp_path / "run", "skipped") == [0, 0, 1, 1, 1, 1]
    assert losses(tmp_path / "run", "gradient_norm")[2] is None
    checkpoints = tmp_path / "run" / "checkpoints"
    shards = [(checkpoints / f"step-0000000{n}" / "__0_0.distcp") for n in (2, 3, 4)]
    from xlmr.checkpoint import open_step

    two, three, four = (open_step(checkpoints, n).weights() for n in (2, 3, 4))
    assert all(torch.equal(two[name], three[name]) for name in two)
    assert not torch.equal(three["embedding"], four["embedding"])
    assert shards[0].stat().st_size == shards[1].stat().st_size


def test_a_run_goes_back_and_on_with_other_data(
    tmp_path: Path, tokens: Path, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small("optim.steps=10", "run.save_every=4", "optim.rollback=2", "run.validate=false")
    poison(monkeypatch, {5, 6})
    heard: list[Metrics | str] = []
    result = train(config, tokens, tmp_path / "run", progress=heard.append)
    assert "Went back from update 6 to 4, on with the data that follows." in heard
    assert result.step == 10
    assert losses(tmp_path / "run", "step") == list(range(1, 11))
    assert json.loads((result.checkpoint / "checkpoint.json").read_text())["facts"]["jumped"] == 2
    # resumed after it, a run still reads the data that follows
    again = tmp_path / "again"
    shutil.copytree(tmp_path / "run", again)
    shutil.rmtree(again / "checkpoints" / "step-00000010")
    (again / "train.json").unlink()
    train(config, tokens, again)
    assert losses(again) == losses(tmp_path / "run")


def test_a_run_that_cannot_be_helped_says_so(
    tmp_path: Path, tokens: Path, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small("optim.steps=200", "run.save_every=4", "optim.rollback=2", "run.validate=false")
    poison(monkeypatch, set(range(5, 100)))
    with pytest.raises(CcbuildError, match=r"were skipped: .* gone back 3 times\. Lower optim\.learning_rate"):
        train(config, tokens, tmp_path / "run")
    poison(monkeypatch, {1, 2})
    with pytest.raises(CcbuildError, match="there is no checkpoint yet"):
        train(config, tokens, tmp_path / "other")
