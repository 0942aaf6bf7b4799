"""Ranks of a run: one process, or as many as torchrun started, and how they share a model."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from ccbuild.errors import CcbuildError, ConfigError, InputError
from xlmr.config import RunConfig, TrainConfig
from xlmr.model import MaskedLM

__all__ = ["Ranks", "StopSignal", "as_configured", "compiled", "join", "replicated", "sharded", "sync_gradients"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among the others."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """`tensor` summed over ranks, in place, without waiting on the host."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.world > 1:
            dist.barrier()

    def agreed(self, found: T | CcbuildError | None) -> T:
        """What the first rank found, on every rank; raised there where it is an error."""
        box = [found]
        if self.world > 1:
            dist.broadcast_object_list(box, src=0)
        if isinstance(box[0], CcbuildError):
            raise box[0]
        return cast(T, box[0])

    def share(self, config: TrainConfig) -> tuple[int, int]:
        """(sequences of an update for this rank, sequences at once).

        Raises `ConfigError` where one does not divide the other.
        """
        batch, micro = config.optim.batch, config.run.micro_batch
        if batch % self.world:
            raise ConfigError(
                f"optim.batch={batch} is not divided by the {self.world} ranks. Take a multiple of {self.world}."
            )
        mine = batch // self.world
        micro = mine if micro is None else min(micro, mine)
        if mine % micro:
            raise ConfigError(
                f"run.micro_batch={micro} does not divide the {mine} sequences of a rank "
                f"(optim.batch={batch}, {self.world} ranks). Take a divisor of {mine}."
            )
        return mine, micro


@contextmanager
def join(run: RunConfig) -> Iterator[Ranks]:
    """This process's place: what torchrun put into the environment, or alone; leaves the group at the end.

    Raises `InputError` when CUDA is wanted and there is none.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if run.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "The configuration wants CUDA and torch finds none. Run where there is a GPU with a CUDA build of torch, "
            "or take --set run.device=cpu (far slower)."
        )
    cuda = run.device != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if world > 1:  # gloo beside nccl: what is on the host is exchanged there
        dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", device_id=device if cuda else None)
    try:
        yield Ranks(rank, world, device)
    finally:
        if world > 1:
            dist.destroy_process_group()


def sharded(model: MaskedLM, ranks: Ranks) -> MaskedLM:
    """The model with each parameter shared out over ranks (FSDP2), gathered a block at a time, summed in float32."""
    mesh = init_device_mesh(ranks.device.type, (ranks.world,))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def replicated(model: nn.Module, ranks: Ranks) -> nn.Module:
    """The model as one of equal copies whose gradients are averaged (DDP)."""
    ids = [ranks.device.index] if ranks.device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=ids, broadcast_buffers=False, gradient_as_bucket_view=True)


def compiled(model: MaskedLM, mode: str | None, *, whole: bool, backend: str = "inductor") -> nn.Module:
    """The model compiled without a graph break: whole, or block by block where ranks must talk between blocks."""
    if whole:
        return cast(nn.Module, torch.compile(model, fullgraph=True, dynamic=False, mode=mode, backend=backend))
    # the methods, not the modules: hooks of FSDP2 stay outside, and names of parameters as they are
    for block in model.blocks:
        block.forward = torch.compile(block.forward, fullgraph=True, dynamic=False, mode=mode, backend=backend)
    model.score = torch.compile(model.score, fullgraph=True, dynamic=False, mode=mode, backend=backend)  # type: ignore[method-assign]
    return model


def as_configured(model: MaskedLM, run: RunConfig, ranks: Ranks) -> nn.Module:
    """The model, compiled where `run.compile` says so on this rank's device."""
    if run.compile == "never" or (run.compile == "auto" and ranks.device.type != "cuda"):
        return model
    mode = "reduce-overhead" if run.compile == "cuda_graphs" else None
    return compiled(model, mode, whole=ranks.world == 1)


def sync_gradients(model: nn.Module, wanted: bool) -> None:
    """Whether the next backward pass exchanges gradients between ranks: only the last of a batch need."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(wanted)
    elif isinstance(model, DistributedDataParallel):
        model.require_backward_grad_sync = wanted


@dataclass(slots=True)
class StopSignal:
    """SIGTERM, as all ranks agree on it: one update late, so that nobody waits for the answer."""

    ranks: Ranks
    _seen: bool = False
    _asked: tuple[Tensor, Any] | None = None
    _before: Any = None

    def __enter__(self) -> StopSignal:
        try:
            self._before = signal.signal(signal.SIGTERM, self._note)
        except ValueError:  # not in the main thread, where no signal can be heard
            self._before = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._seen = True

    def heard(self) -> bool:
        """Whether any rank had been told to stop when this was last called; called once an update by all."""
        if self.ranks.world == 1:
            return self._seen
        answer = False
        if self._asked is not None:
            flag, work = self._asked
            work.wait()
            answer = bool(flag.item())
        flag = torch.tensor(float(self._seen))
        self._asked = flag, dist.all_reduce(flag, async_op=True)
        return answer
