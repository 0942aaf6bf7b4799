"""How units of work are run: a `for` loop, or Dask. Tasks return results only; data goes through files."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from ccbuild.errors import InputError
from ccbuild.progress import Doing, asking, counted, here, phase

__all__ = ["Engine", "Working", "in_process", "local_cluster", "on_dask"]

T = TypeVar("T")
R = TypeVar("R")

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

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[T, R | Exception]]: ...


def _guarded(work: Callable[[T], R], task: T) -> R | Exception:
    """The result, or the exception as a result: a bad shard is recorded, the others go on, no traceback is printed."""
    try:
        return work(task)
    except Exception as error:
        return error


def _name(task: Any) -> str:
    return str(getattr(task, "name", task))


class _InProcess:
    workers = 1

    def __init__(self) -> None:
        self._at: tuple[str, float, Doing] | None = None

    def everywhere(self, ask: Callable[[], R]) -> dict[str, R]:
        return {"this process": ask()}

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[T, R | Exception]]:
        for task in tasks:
            self._at = _name(task), time.monotonic(), here()
            answer = _guarded(work, task)
            self._at = None
            yield task, answer

    def working(self) -> list[Working]:
        at = self._at
        return [Working(at[0], time.monotonic() - at[1], at[2].text())] if at else []


def in_process() -> Engine:
    """One after the other in this process: for tests, and to debug with."""
    return _InProcess()


class _OnDask:
    def __init__(self, client: Any) -> None:
        self._client = client
        self._topic = f"ccbuild-{uuid.uuid4().hex}"
        self._names: dict[str, str] = {}
        """Key to name of the units that have not ended."""
        self._heard: dict[str, tuple[float, float, str]] = {}
        """Key to (when it began, when it was heard of, what it was at); monotonic seconds of this process."""

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        said, now = event[1], time.monotonic()
        self._heard[said["key"]] = now - said["seconds"], now, said["what"]

    def working(self) -> list[Working]:
        now, heard = time.monotonic(), [(key, self._heard.get(key)) for key in list(self._names)]
        return [Working(self._names.get(key, key), now - it[0], it[2], now - it[1]) for key, it in heard if it]

    @property
    def workers(self) -> int:
        hosts = Counter(worker["host"] for worker in self._client.scheduler_info(n_workers=-1)["workers"].values())
        return max(hosts.values(), default=1)

    def everywhere(self, ask: Callable[[], R]) -> dict[str, R]:
        answers: dict[str, R] = self._client.run(ask)
        return answers

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[T, R | Exception]]:
        from distributed import as_completed

        futures = {}
        self._client.subscribe_topic(self._topic, self._hear)
        try:
            with phase("submit"):
                for task in counted(tasks, "units", len(tasks)):
                    future = self._client.submit(_telling, work, task, self._topic, pure=False)
                    futures[future], self._names[future.key] = task, _name(task)
            for future in as_completed(list(futures)):
                task = futures.pop(future)
                del self._names[future.key]
                self._heard.pop(future.key, None)
                yield task, _answer(future)
                future.release()
        finally:  # the client may be the user's own, and live on: nothing goes on behind the lock
            self._client.unsubscribe_topic(self._topic)
            self._client.cancel(list(futures))
            self._names.clear()


def _answer(future: Any) -> Any:
    """The result of a unit, or what it died of; an exception that cannot travel is one too."""
    try:
        return future.result()
    except Exception as error:
        return error


def _telling(work: Callable[[T], R], task: T, topic: str) -> R | Exception:
    """On a worker: the result, while a thread tells whoever listens to `topic` what the unit is at."""
    from distributed import get_worker

    worker, doing, start = get_worker(), here(), time.monotonic()
    key = worker.get_current_task()

    def tell() -> None:
        said = {"key": key, "seconds": time.monotonic() - start, "what": doing.text()}
        worker.log_event(topic, said)

    with asking(tell, NEXT_WORD, FIRST_WORD):
        return _guarded(work, task)


def on_dask(client: Any) -> Engine:
    """On the workers of a `distributed.Client`. A worker that dies takes only its own unit along: one thread each."""
    return _OnDask(client)


_GUARD = (
    "Workers import the script that starts them, so what builds a run must stand under `if __name__ == '__main__':` in "
    "it. Or do without workers: workers=0."
)


def _started(**options: Any) -> Any:
    """A `distributed.LocalCluster`; `InputError` where its workers cannot start for want of a guard in the script."""
    from distributed import LocalCluster

    try:
        return LocalCluster(**options)
    except RuntimeError as error:
        if "__main__" in str(error.__cause__) or "Nanny failed" in str(error):
            raise InputError(f"No worker could be started: {error}. {_GUARD}") from error
        raise


@contextmanager
def local_cluster(workers: int) -> Iterator[Engine]:
    """A cluster of `workers` processes on loopback, one thread each; its dashboard is on a port of its own choice.

    No memory limit is set: Dask's would stop a worker by how much memory the machine has at that
    moment, and what a unit may use is bounded by the recipe. A unit that kills its worker is tried
    four times, then given up, and only it: no other waits on the same worker.
    """
    import logging

    import dask
    from distributed import Client

    with (
        _kept_environment(),
        dask.config.set({"distributed.scheduler.worker-saturation": 1.0}),
        _started(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            memory_limit=None,
            host="127.0.0.1",
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(_leave_interrupts)
        yield on_dask(client)


@contextmanager
def _kept_environment() -> Iterator[None]:
    """What Dask sets for its workers, such as OMP_NUM_THREADS=1, it sets here too: torch would train on one core."""
    import os

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
        raise InputError(_GUARD)


def _leave_interrupts() -> None:
    """Ctrl-C is for the process that a person started; it ends the workers itself."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


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
def remote_cluster(address: str) -> Iterator[Engine]:
    """The cluster whose scheduler listens at `address`; it must see the run's folder under the same path."""
    from distributed import Client

    try:
        client = Client(address, timeout="20s")
    except (OSError, ValueError) as error:
        raise InputError(
            f"No Dask scheduler answers at {address}: {error}. Start one, or leave --scheduler out."
        ) from error
    with client:
        yield on_dask(client)
