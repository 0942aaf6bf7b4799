"""The workers of a Dask scheduler as whoever gives them units sees them: who is there, who may not work, who went.

Nothing here waits for ever: a scheduler that does not answer is known by that.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from cc100.program import Program, program
from ccbuild.errors import EngineError, MismatchError
from ccbuild.progress import duration, within

__all__ = ["Crew", "ProgramError"]

R = TypeVar("R")

ANSWER_SECONDS = 10.0
"""How long a scheduler or a worker may take to answer a question that takes it milliseconds."""
GLANCE_SECONDS = 2.0
"""How long a new worker may take to say with what it would compute."""
REMIND_SECONDS = 60.0
FIRST_SECONDS = 10.0
"""After how long it is said that nobody is there, and how often again."""


class ProgramError(Exception):
    """What a worker answers that would compute with another program than the one that gives it units."""


class Crew:
    """The workers of a client's scheduler."""

    def __init__(self, client: Any, tell: Callable[[str], None], wanted: int = 0) -> None:
        """`wanted`: how many there should be, where that is known."""
        self._client, self._tell, self._wanted = client, tell, wanted
        self._hosts: dict[str, str] = {}
        """Address to host of the workers that may work."""
        self._known: set[str] = set()
        """Who has said with what it would compute."""
        self._refused: dict[str, str] = {}
        """Address to why it may not."""
        self._alone_since: float | None = None
        """Since when nobody is there who may work; monotonic seconds."""
        self._call: Any = None
        """Something to do while nobody is there: an adaptive cluster starts workers where something waits for them."""
        self._begun = False
        """Whether there was ever one who may."""
        self._fewer_since: float | None = None
        self._paused_since: float | None = None
        """Since when all of them are paused."""
        self._told = 0.0

    @property
    def count(self) -> int:
        """Workers that may be given units."""
        return len(self._hosts)

    @property
    def only(self) -> list[str] | None:
        """Whom units are given to; None: any."""
        return sorted(self._hosts) if self._refused else None

    def most_on_one_host(self) -> int:
        """The most workers that share the memory of one machine; at least 1."""
        if not self._hosts:
            self._count()
        return max(Counter(self._hosts.values()).values(), default=1)

    def missing_for(self) -> float:
        """Seconds for which fewer are there than wanted."""
        return 0.0 if self._fewer_since is None else time.monotonic() - self._fewer_since

    def look(self, patience: float) -> None:
        """Count the workers, and look at those who are new. `EngineError` where nobody has come for `patience` seconds,
        or the scheduler is gone; `MismatchError` where all who were ever there are refused."""
        there = self._count()
        now = time.monotonic()
        self._fewer_since = None if self.count >= self._wanted else self._fewer_since or now
        self._tell_of_paused([there[address] for address in self._hosts], now)
        if self._hosts:
            self._alone_since = self._call = None
            self._begun = self._begun or not self._known.isdisjoint(self._hosts)
            return
        if there and len(self._refused) == len(there) and not self._begun:  # else one may come back
            raise MismatchError(
                "No worker can do this run: " + "; ".join(f"{name}: {why}" for name, why in self._refused.items())
            )
        if self._call is None and self._client.status == "running":
            self._call = self._client.submit(os.getpid, pure=False)
        since = self._alone_since = self._alone_since or now
        said = f"{self._nobody(now - since)} Start one: dask worker {self._place()} --nthreads 1."
        if now - since > patience:
            raise EngineError(f"{said} Nothing is lost: run the same command again.")
        if now - since >= FIRST_SECONDS and now - self._told >= REMIND_SECONDS:
            self._told = now
            self._tell(f"{said} The run ends after {duration(patience)} without one.")

    def _tell_of_paused(self, workers: Sequence[Mapping[str, Any]], now: float) -> None:
        """Say so where all workers are paused for long: they begin no unit until their memory is free again."""
        if not workers or any(worker.get("status") != "paused" for worker in workers):
            self._paused_since = None
            return
        since = self._paused_since = self._paused_since or now
        if now - since >= REMIND_SECONDS and now - self._told >= REMIND_SECONDS:
            self._told = now
            self._tell(
                f"All workers at {self._place()} have been paused for {duration(now - since)}: their memory is nearly "
                f"full, and Dask gives them nothing new until it is free again. Where that lasts, start them with more "
                "(dask worker --memory-limit). What is done stays done."
            )

    def _nobody(self, seconds: float) -> str:
        if self._client.status != "running":
            return f"The Dask scheduler at {self._place()} has not answered for {duration(seconds)}."
        who = "No worker that can do this run" if self._refused else "No worker"
        return f"{who} has been at {self._place()} for {duration(seconds)}."

    def _place(self) -> str:
        return str(getattr(self._client.scheduler, "address", "its address"))

    def _count(self) -> Mapping[str, Any]:
        """All workers by address, those who may work noted."""
        if self._client.status == "closed":
            raise EngineError(
                f"The Dask scheduler at {self._place()} is gone, and the units in work with it. Start one, and run the "
                "same command again: what is done stays done."
            )
        info = _asked(ANSWER_SECONDS, lambda: self._client.scheduler_info(n_workers=-1))
        there: Mapping[str, Any] = (info or {}).get("workers", {})
        self._refused = {address: why for address, why in self._refused.items() if address in there}
        self._known &= there.keys()
        for address, answer in self._programs([each for each in there if each not in self._known]).items():
            self._known.add(address)
            why = self._why_refused(there[address], answer)
            if why:
                self._refused[address] = why
                self._tell(f"The worker {address} is left out: {why}.")
        self._hosts = {address: w["host"] for address, w in there.items() if address not in self._refused}
        return there

    def _programs(self, new: list[str]) -> Mapping[str, Any]:
        """What each of the `new` workers would compute with, or the error that it answers. Who does not answer, as it
        is deep in its first unit already, is asked again later; that unit asks it too."""
        if not new:
            return {}
        ask = lambda: self._client.run(program, workers=new, on_error="return")  # noqa: E731
        answers: Mapping[str, Any] = _asked(GLANCE_SECONDS, ask) or {}
        return {address: each for address, each in answers.items() if not isinstance(each, OSError)}  # it went away

    def _why_refused(self, worker: Mapping[str, Any], answer: Any) -> str:
        if isinstance(answer, ModuleNotFoundError):
            return f"it has no {answer.name}; install there what is installed here"
        if not isinstance(answer, Program):
            return f"it answers {' '.join(repr(answer).split())}"
        if worker["nthreads"] != 1:
            return f"it has {worker['nthreads']} threads; start it with one (--nthreads 1, threads_per_worker=1)"
        ours = program()
        if ours.cpu != answer.cpu:
            self._tell(
                f"The worker {worker.get('name')} has another kind of CPU ({answer.cpu}) than this machine "
                f"({ours.cpu}): scores may differ in their last digit with the worker that a unit falls to."
            )
        differs = ours.differs(answer)
        return f"it has {differs}; install the same version there" if differs else ""

    def has(self, address: str) -> bool:
        """Whether this worker is there and may work."""
        return address in self._hosts

    def given(self) -> Mapping[str, Sequence[str]]:
        """Address to the units that a worker has begun or will begin next, in no order."""
        return _asked(ANSWER_SECONDS, self._client.processing) or {}

    def restart(self, address: str) -> None:
        """End the process of a worker; its nanny starts another. Nobody waits for that."""

        def end() -> None:
            try:
                self._client.restart_workers([address], timeout=ANSWER_SECONDS, raise_for_error=False)
            except Exception as error:  # a worker without a nanny, or one that is gone already
                if address in self._hosts:
                    self._tell(f"The worker {address} cannot be started anew ({error!r}): end it by hand.")

        within(0, end)


def _asked(seconds: float, ask: Callable[[], R]) -> R | None:
    """What is answered; None also where the connection breaks: the next look finds out what became of it."""
    try:
        return within(seconds, ask)
    except OSError:
        return None
