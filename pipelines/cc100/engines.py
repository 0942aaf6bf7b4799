"""How units of work are run: a `for` loop, or Dask. Tasks return results only; data goes through files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

__all__ = ["Engine", "in_process", "local_cluster", "on_dask"]

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """Runs `work` over `tasks`; yields each task with its result, or with the exception it died of, as they end."""

    @property
    def workers(self) -> int:
        """Processes that run at once on one machine and share its memory."""

    def everywhere(self, ask: Callable[[], R]) -> dict[str, R]:
        """The answer of each process that units may run in, by its name; raises what one of them raises."""

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[T, R | Exception]]: ...


def _guarded(work: Callable[[T], R], task: T) -> R | Exception:
    """The result, or the exception as a result: a bad shard is recorded, the others go on, no traceback is printed."""
    try:
        return work(task)
    except Exception as error:
        return error


class _InProcess:
    workers = 1

    def everywhere(self, ask: Callable[[], R]) -> dict[str, R]:
        return {"this process": ask()}

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[T, R | Exception]]:
        for task in tasks:
            yield task, _guarded(work, task)


def in_process() -> Engine:
    """One after the other in this process: for tests, and to debug with."""
    return _InProcess()


class _OnDask:
    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def workers(self) -> int:
        hosts = Counter(worker["host"] for worker in self._client.scheduler_info(n_workers=-1)["workers"].values())
        return max(hosts.values(), default=1)

    def everywhere(self, ask: Callable[[], R]) -> dict[str, R]:
        answers: dict[str, R] = self._client.run(ask)
        return answers

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[T, R | Exception]]:
        from distributed import as_completed

        futures = {self._client.submit(_guarded, work, task, pure=False): task for task in tasks}
        for future in as_completed(list(futures)):
            error = future.exception()
            task = futures.pop(future)
            yield task, error if error is not None else future.result()
            future.release()


def on_dask(client: Any) -> Engine:
    """On the workers of a `distributed.Client`. A worker that dies takes only its own unit along: one thread each."""
    return _OnDask(client)


@contextmanager
def local_cluster(workers: int) -> Iterator[Engine]:
    """A cluster of `workers` processes on loopback, one thread each; its dashboard is on a port of its own choice.

    No memory limit is set: Dask's would stop a worker by how much memory the machine has at that
    moment, and what a unit may use is bounded by the recipe. A unit that kills its worker is tried
    four times, then given up, and only it: no other waits on the same worker.
    """
    import logging

    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.scheduler.worker-saturation": 1.0}),
        LocalCluster(
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


def _leave_interrupts() -> None:
    """Ctrl-C is for the process that a person started; it ends the workers itself."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def remote_cluster(address: str) -> Iterator[Engine]:
    """The cluster whose scheduler listens at `address`; it must see the run's folder under the same path."""
    from distributed import Client

    from ccbuild.errors import InputError

    try:
        client = Client(address, timeout="20s")
    except (OSError, ValueError) as error:
        raise InputError(
            f"No Dask scheduler answers at {address}: {error}. Start one, or leave --scheduler out."
        ) from error
    with client:
        yield on_dask(client)
