"""How units of work are run: a `for` loop, a process of its own, or Dask. Tasks return results only; data goes through
files.

Whoever runs units watches over them. A worker that dies costs its unit a second try, record by record
(:mod:`cc100.apart`); a unit that stands still is taken from its worker; a scheduler or workers that stay away end the
run in words.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from cc100.apart import Child, Ended, GuardConfig, carefully, guarded
from cc100.crew import Crew, ProgramError
from cc100.program import Program, program
from ccbuild.errors import EngineError, InputError
from ccbuild.progress import Doing, asking, duration, here, note, phase, within

__all__ = ["Engine", "Working", "beside", "in_process", "local_cluster", "on_dask", "remote_cluster"]

T = TypeVar("T")
R = TypeVar("R")
Answers = Generator[tuple[T, R | Exception], None, None]
"""Each task with its result, or with the exception that it died of."""

FIRST_WORD, NEXT_WORD = 2.0, 5.0
"""Seconds after which a unit on a worker says what it is at, and then again: a unit that is soon over says nothing, so
90,000 of them cost nothing, and 1,000 workers send 200 messages a second."""


@dataclass(frozen=True, slots=True)
class Working:
    """A unit that has begun and has not ended."""

    name: str
    seconds: float
    """Since it began."""
    what: str
    """What it was at when it was heard of."""
    unheard: float = 0.0
    """Seconds since it was heard of: more than a few where its process is stuck or gone."""


class Engine(Protocol):
    """Runs `work` over `tasks`; yields each task with its result, or with the exception it died of, as they end."""

    @property
    def workers(self) -> int:
        """Processes that run at once on one machine and share its memory."""

    def everywhere(self, ask: Callable[[], R]) -> dict[str, R]:
        """The answer of each process that units may run in, by its name; raises what one of them raises."""

    def working(self) -> list[Working]:
        """The units in work, as far as is known; asked from another thread than the one that takes the results."""

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Answers[T, R]: ...


def _name(task: Any) -> str:
    return str(getattr(task, "name", task))


def _asked(ask: Callable[[], R]) -> R:
    return ask()


class _InProcess:
    """Each unit in turn: in this process, or in one beside it."""

    workers = 1

    def __init__(self, child: Child | None = None) -> None:
        self._child = child
        self._at: tuple[str, float, Doing] | None = None

    def everywhere(self, ask: Callable[[], R]) -> dict[str, R]:
        if self._child is None:
            return {"this process": ask()}
        answer = self._child.ask(_asked, ask)  # what it imports may have changed since this process did
        if isinstance(answer, Ended):
            raise EngineError(f"The process beside this one cannot start: it ended by {answer.signal}. {answer.said}")
        if isinstance(answer, Exception):
            raise answer
        return {"the process beside this one": answer}

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Answers[T, R]:
        for task in tasks:
            self._at = _name(task), time.monotonic(), here()
            answer = guarded(work, task) if self._child is None else self._beside(self._child, work, task)
            self._at = None
            yield task, answer

    def _beside(self, child: Child, work: Callable[[T], R], task: T) -> R | Exception:
        """In the process beside this one, and record by record where the unit ended that process."""
        with phase(""):
            answer = child.ask(work, task)
        return carefully(work, task, child.guard) if isinstance(answer, Ended) else answer

    def working(self) -> list[Working]:
        at = self._at
        return [Working(at[0], time.monotonic() - at[1], at[2].text())] if at else []


def in_process() -> Engine:
    """One after the other in this process: to debug with. A record that ends the process ends everything."""
    return _InProcess()


@contextmanager
def beside(guard: GuardConfig) -> Iterator[Engine]:
    """One after the other in a process beside this one, which a record may end."""
    with Child(guard) as child:
        yield _InProcess(child)


@dataclass(slots=True)
class _Flight:
    """A unit that was given to the workers."""

    task: Any
    name: str
    alone: bool = False
    """It ended a worker before, or stood still: now record by record, in a process of its own."""
    deaths: int = 0
    only: list[str] | None = None
    """The workers that it was given to; None: any."""
    worker: str = ""
    began: float = 0.0
    """Monotonic seconds of this process; of `moved` and `heard` too. 0: not heard of yet."""
    heard: float = 0.0
    moved: float = 0.0
    """When it was last heard of something else than before."""
    what: str = ""

    def hear(self, said: dict[str, Any]) -> None:
        now = time.monotonic()
        if not self.moved or said["what"] != self.what:
            self.moved = now
        self.worker, self.began, self.heard, self.what = said["worker"], now - said["seconds"], now, said["what"]


class _OnDask:
    def __init__(
        self,
        client: Any,
        guard: GuardConfig,
        tell: Callable[[str], None],
        renew: Callable[[], Any] | None = None,
        wanted: int = 0,
    ) -> None:
        """`renew` starts all workers anew where they are ours, `wanted` of them, and returns a client of them."""
        self._client, self._guard, self._tell, self._renew, self._wanted = client, guard, tell, renew, wanted
        self._topic = f"ccbuild-{uuid.uuid4().hex}"
        self._flying: dict[str, tuple[Any, _Flight]] = {}
        """Key to future and unit."""
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._crew = Crew(client, tell, wanted)
        self._renewed = 0
        self._looked = 0.0

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        found = self._flying.get(event[1]["key"])
        if found:
            found[1].hear(event[1])

    def working(self) -> list[Working]:
        now = time.monotonic()
        flights = [flight for _, flight in list(self._flying.values()) if flight.began]
        return [Working(f.name, now - f.began, f.what, now - f.heard) for f in flights]

    @property
    def workers(self) -> int:
        return self._crew.most_on_one_host()

    def everywhere(self, ask: Callable[[], R]) -> dict[str, R]:
        answers: dict[str, R] = self._client.run(ask)
        return answers

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Answers[T, R]:
        waiting = deque(_Flight(task, _name(task)) for task in tasks)
        self._client.subscribe_topic(self._topic, self._hear)
        self._looked = self._renewed = 0
        try:
            while waiting or self._flying:
                self._look(waiting)
                self._fill(waiting, work)
                flight, answer = self._next()
                if flight is None:
                    continue
                if self._is_tried_again(flight, answer):
                    waiting.appendleft(flight)
                else:
                    self._renewed = 0
                    yield flight.task, _in_words(flight, answer)
        finally:  # the client may be the user's own, and live on: nothing goes on behind the lock
            futures = [future for future, _ in self._flying.values()]
            self._flying.clear()
            if self._client.status == "running":
                self._client.unsubscribe_topic(self._topic)
                self._client.cancel(futures)

    def _fill(self, waiting: deque[_Flight], work: Callable[[Any], Any]) -> None:
        """Keep some units more than there are workers in flight: 90,000 futures would cost 2 GiB."""
        most = AHEAD * self._crew.count
        while waiting and len(self._flying) < most:
            flight = waiting.popleft()
            flight.began = flight.moved = 0.0
            flight.only = self._crew.only
            arguments = work, flight.task, self._topic, program(), self._guard if flight.alone else None
            future = self._client.submit(_telling, *arguments, workers=flight.only, pure=False)
            self._flying[future.key] = future, flight
            future.add_done_callback(self._ended.put)

    def _next(self) -> tuple[_Flight | None, Any]:
        """A unit that has ended, and its answer; None when none has within a second."""
        try:
            future = self._ended.get(timeout=1.0)
        except queue.Empty:
            return None, None
        if future.key not in self._flying:  # it was given up before
            return None, None
        try:
            if not future.done():
                raise TimeoutError
            answer = future.result(timeout=ANSWER_SECONDS)
        except TimeoutError:  # its worker died with the result: it is in work again
            self._flying[future.key][1].moved = 0.0
            future.add_done_callback(self._ended.put)
            return None, None
        except (Exception, CancelledError) as error:  # what it died of; an exception that cannot travel is one too
            answer = error
        _, flight = self._flying.pop(future.key)
        future.release()
        return flight, answer

    def _is_tried_again(self, flight: _Flight, answer: Any) -> bool:
        """Whether a unit goes once more: its worker died, or was none of ours."""
        kind = type(answer).__name__
        if kind not in _LOST and not isinstance(answer, ProgramError) and not _lacks_ccbuild(answer):
            return False
        flight.deaths += 1
        flight.alone = flight.alone or kind == "KilledWorker"
        self._looked = 0.0
        return flight.deaths <= MOST_DEATHS

    def _look(self, waiting: deque[_Flight]) -> None:
        """Every few seconds: who is there, and who stands still. Raises `EngineError` where nothing more can come."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        self._crew.look(self._guard.worker_seconds)
        if self._renew is not None and self._crew.missing_for() > START_SECONDS:
            self._start_anew(waiting)
        at_work = self._at_work()
        for key, (future, flight) in list(self._flying.items()):
            if flight.only and not any(map(self._crew.has, flight.only)):  # nobody is left who may do it
                del self._flying[key]
                self._client.cancel([future])
                waiting.appendleft(flight)
            elif self._stands_still(flight, at_work.get(key, "")):
                self._take_away(key, flight)
                waiting.appendleft(flight)

    def _at_work(self) -> dict[str, str]:
        """Key to worker of the units that must have begun though nobody has heard of them: the first that a worker was
        given. The next ones wait for their turn, for as long as it takes, and so does the first behind another run's.
        """
        heard = {flight.worker for _, flight in self._flying.values() if flight.began}
        given = {
            key: address
            for address, keys in self._crew.given().items()
            if address not in heard and all(key in self._flying for key in keys)
            for key in keys
        }
        first = {given[key]: key for key in reversed(self._flying) if key in given}  # a later entry is an earlier unit
        return {key: worker for worker, key in first.items()}

    def _stands_still(self, flight: _Flight, worker: str) -> bool:
        """Whether a unit, of which each record has its bound, has not moved for as long as one record may take;
        `worker` is at work on it, if not empty."""
        if flight.alone or not getattr(flight.task, "by_record", False):
            return False
        if flight.worker and not self._crew.has(flight.worker):  # it went: the unit waits for another
            flight.worker, flight.began, flight.moved = "", 0.0, 0.0
        if not flight.moved:  # never heard of: a native call may hold the interpreter from the first second
            flight.worker = worker
            flight.moved = time.monotonic() if worker else 0.0
            return False
        longest = max(self._guard.record_seconds, FIRST_WORD + NEXT_WORD)  # what moves is heard of more often
        return time.monotonic() - flight.moved > longest

    def _take_away(self, key: str, flight: _Flight) -> None:
        """Take a unit from the worker that stands still with it, and start that worker anew."""
        future, _ = self._flying.pop(key)
        self._tell(
            f"{flight.name} has stood still for {duration(self._guard.record_seconds)} on {flight.worker}"
            f"{f' ({flight.what})' if flight.what else ''}: it is begun again, record by record."
        )
        flight.alone, flight.deaths = True, flight.deaths + 1
        self._client.cancel([future], force=True)
        self._crew.restart(flight.worker)

    def _start_anew(self, waiting: deque[_Flight]) -> None:
        """Our own workers are gone, or too few of them: begin with new ones, a few times."""
        assert self._renew is not None
        self._renewed += 1
        if self._renewed > MOST_RENEWALS:
            raise EngineError(
                f"Workers end while they start, {self._renewed} times one after the other. See whether the machine has "
                "memory left, choose fewer --workers (0: one process beside this one), and run the same command again."
            )
        self._tell("Workers are missing: all are started anew, and the units that they had begun are begun again.")
        waiting.extendleft(flight for _, flight in self._flying.values())
        self._flying.clear()
        self._client = self._renew()
        self._crew = Crew(self._client, self._tell, self._wanted)
        self._client.subscribe_topic(self._topic, self._hear)
        self._looked = 0.0


_LOST = ("KilledWorker", "FutureCancelledError", "CancelledError", "FutureLostError", "LostData")
"""What Dask says of a unit whose worker or scheduler went away, by the name of its error."""
AHEAD = 4
"""Units in flight for each worker: one in work, and the next ones near."""
MOST_DEATHS = 8
"""How often the worker of a unit may end: after the first time the unit does not work in it any more."""
MOST_RENEWALS = 3
"""How often all workers are started anew while no unit ends."""
LOOK_SECONDS = 5.0
"""How often the workers are counted."""
STARTUP_SECONDS = 120.0
"""How long our own workers may take to start, all together."""
ANSWER_SECONDS = 2.0
"""How long a result that is there may take to come."""
CLOSE_SECONDS = 30.0
"""How long anything of Dask may take to end."""
START_SECONDS = 20.0
"""How long a worker of ours may take to come back before all are started anew."""


def _lacks_ccbuild(answer: Any) -> bool:
    """Whether a worker answered that it has none of our packages."""
    return isinstance(answer, ModuleNotFoundError) and str(answer.name).partition(".")[0] in ("ccbuild", "cc100")


def _in_words(flight: _Flight, answer: Any) -> Any:
    """An answer without what only Dask understands."""
    if type(answer).__name__ not in _LOST:
        return answer
    return EngineError(
        f"It ended {flight.deaths} workers, the last one at {flight.worker or 'an unknown address'}"
        f"{f', which was at {flight.what}' if flight.what else ''}. See whether that machine has memory left, and run "
        "the same command again."
    )


def _telling(work: Callable[[T], R], task: T, topic: str, ours: Program, guard: GuardConfig | None) -> R | Exception:
    """On a worker: the result, while a thread tells whoever listens to `topic` what the unit is at. `guard` is not
    None: record by record, in a process of its own."""
    from distributed import get_worker

    if differs := ours.differs(program()):
        return ProgramError(differs)
    worker, doing, start = get_worker(), here(), time.monotonic()
    key = worker.get_current_task()

    def tell() -> None:
        said = {"key": key, "worker": worker.address, "seconds": time.monotonic() - start, "what": doing.text()}
        worker.log_event(topic, said)

    with asking(tell, NEXT_WORD, FIRST_WORD):
        return guarded(work, task) if guard is None else carefully(work, task, guard)


def on_dask(client: Any, guard: GuardConfig | None = None, tell: Callable[[str], None] = note) -> Engine:
    """On the workers of a `distributed.Client`, which must have one thread each."""
    return _OnDask(client, guard or GuardConfig(), tell)


_GUARD = (
    "Workers import the script that starts them, so what builds a run must stand under `if __name__ == '__main__':` in "
    "it. Or do without workers: workers=0."
)


class _Local:
    """A cluster of our own on loopback, which can be started anew."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._cluster: Any = None
        self.client: Any = None

    def start(self) -> Any:
        """A client of new workers; those of before are ended."""
        from distributed import Client

        self.close()
        self._cluster = _started(self._workers)
        self.client = Client(self._cluster)
        with contextlib.suppress(OSError):  # one that has died already
            self.client.run(_leave_interrupts)
        return self.client

    def close(self) -> None:
        """End everything, whether it answers or not."""
        _close(self.client)
        _close(self._cluster)
        self._cluster = self.client = None


def _close(what: Any) -> None:
    """End a client or a cluster, if there is one, and whether it answers or not."""
    if what is not None:
        seconds = CLOSE_SECONDS if str(what.status).endswith("running") else ANSWER_SECONDS
        with contextlib.suppress(Exception):
            within(seconds, lambda: what.close(timeout=seconds))


def _started(workers: int) -> Any:
    """A `distributed.LocalCluster`; `EngineError` where its workers do not start, `InputError` where the script lacks a
    guard."""
    with tempfile.TemporaryDirectory(prefix="ccbuild-") as marks:
        os.environ[_MARKS] = marks
        for _ in range(MOST_STARTS):
            try:
                cluster = within(STARTUP_SECONDS, lambda: _cluster(workers))
            except RuntimeError as error:  # a worker that ended while it started
                if (Path(marks) / _BEGAN).exists():
                    raise InputError(f"No worker could be started: {error}. {_GUARD}") from error
                continue
            if cluster is not None:
                return cluster
            break
    raise EngineError(
        "No worker has started. See whether the machine has memory left, choose fewer --workers (0: one process beside "
        "this one), and run the same command again."
    )


def _cluster(workers: int) -> Any:
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        memory_limit=None,
        host="127.0.0.1",
        silence_logs=logging.CRITICAL,
    )


_MARKS, _BEGAN = "CCBUILD_MARKS", "began"
"""Environment: a folder in which a worker leaves a mark that began a run while it was itself being started."""
MOST_STARTS = 8
"""How often our workers may end while they start."""


@contextmanager
def local_cluster(
    workers: int, guard: GuardConfig | None = None, tell: Callable[[str], None] = note
) -> Iterator[Engine]:
    """A cluster of `workers` processes on loopback, one thread each; its dashboard is on a port of its own choice.

    No memory limit is set: Dask's would stop a worker by how much memory the machine has at that moment, and what a
    unit may use is bounded by the recipe. No unit that ended a worker is given to another as it was: it is done record
    by record.
    """
    import dask
    import distributed  # noqa: F401  its defaults come first: what is set below is taken back at the end

    _shield_tracker()
    local = _Local(workers)
    settings = {"distributed.scheduler.worker-saturation": 1.0, "distributed.scheduler.allowed-failures": 0}
    with _kept_environment(), _quiet(), dask.config.set(settings):
        try:
            yield _OnDask(local.start(), guard or GuardConfig(), tell, local.start, workers)
        finally:
            local.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """No traceback of Dask reaches a person when a worker or a scheduler goes away: that is told in words."""
    loud = [logging.getLogger(name) for name in ("asyncio", "distributed", "tornado")]
    before = [logger.level for logger in loud]
    for logger in loud:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loud, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _kept_environment() -> Iterator[None]:
    """What Dask sets for its workers, such as OMP_NUM_THREADS=1, it sets here too: torch would train on one core."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def refuse_inside_a_worker() -> None:
    """Refuse to begin a run while a worker imports the script that begins it: `InputError` says what is missing."""
    import multiprocessing

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        if marks := os.environ.get(_MARKS):
            with contextlib.suppress(OSError):
                (Path(marks) / _BEGAN).touch()
        raise InputError(_GUARD)


def _leave_interrupts() -> None:
    """Ctrl-C is for the process that a person started; it ends the workers itself."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _shield_tracker() -> None:
    """The process that counts what workers share outlives a closed terminal, as the driver ends the workers itself;
    started again after it, it would complain of each thing that it has not seen."""
    import signal
    import threading
    from multiprocessing import resource_tracker

    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a new process inherits it
        try:
            resource_tracker.ensure_running()
        finally:
            signal.signal(signal.SIGHUP, before)


def refuse_insecure(address: str) -> None:
    """Refuse a scheduler on another machine without TLS; `InputError` says what it would lay open.

    >>> refuse_insecure("tls://head:8786"), refuse_insecure("tcp://127.0.0.1:8786"), refuse_insecure("localhost:8786")
    (None, None, None)
    """
    scheme, _, rest = address.rpartition("://")
    host = urlsplit(f"//{rest}").hostname or ""
    try:
        near = host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name
        near = False
    if not near and scheme not in ("tls", "wss", "inproc"):
        raise InputError(
            f"{address} is on another machine and without TLS: whoever reaches it runs code on all workers, and who "
            f"stands in between reads and changes what is sent. Use tls://{rest}, by Dask's settings "
            "distributed.comm.tls, or, where the network is all yours, add --insecure-scheduler (in Python "
            "insecure_scheduler=True)."
        )


@contextmanager
def remote_cluster(
    address: str, guard: GuardConfig | None = None, tell: Callable[[str], None] = note
) -> Iterator[Engine]:
    """The cluster whose scheduler listens at `address`; it must see the run's folder under the same path."""
    from distributed import Client

    with _quiet():
        try:
            client = Client(address, timeout="20s")
        except (OSError, ValueError) as error:
            raise InputError(
                f"No Dask scheduler answers at {address}: {error}. Start one, or leave --scheduler out."
            ) from error
        try:
            yield on_dask(client, guard, tell)
        finally:
            _close(client)
