"""Ranks of a run: one process, or as many as torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist

from ccbuild.errors import ConfigError, InputError
from xlmr.config import TrainConfig

__all__ = ["Ranks", "join"]


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
def join(config: TrainConfig) -> Iterator[Ranks]:
    """This process's place: what torchrun put into the environment, or alone; leaves the group at the end.

    Raises `InputError` when CUDA is wanted and there is none.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if config.run.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "The configuration wants CUDA and torch finds none. Run where there is a GPU with a CUDA build of torch, "
            "or take --set run.device=cpu (far slower)."
        )
    cuda = config.run.device != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if world > 1:
        dist.init_process_group("nccl" if cuda else "gloo", device_id=device if cuda else None)
    try:
        yield Ranks(rank, world, device)
    finally:
        if world > 1:
            dist.destroy_process_group()
