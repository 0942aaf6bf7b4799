"""One budget of requests and connections, shared by every process and thread of a machine through locks on files.

`budget.json` says when the next request may start; `connection-<n>` are locked by the request that is
under way. The kernel drops the locks of a process that dies, so nothing has to be cleaned up. It holds
for one machine: on several, each gets a share (`CrawlConfig.machines`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ccbuild.crawl.config import CrawlConfig
from ccbuild.errors import StorageError

__all__ = ["Budget", "Clock", "Pace", "SystemClock"]

RECOVERY_SECONDS = 600.0
"""Time from a standstill back to the full rate: Common Crawl asks for a back-off of minutes."""
LEAST_SHARE = 1 / 32
_ONE_REFUSAL_SECONDS = 2.0
"""Refusals closer than this are one: four connections that are refused together halve the rate once."""
_RETRY_SECONDS = 1.0
_POLL_SECONDS = 0.05
_STALE_SECONDS = 86400.0


class Clock(Protocol):
    """Time, as the budget and the client see it; a test puts its own here."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Pace:
    """The state of a budget; times in seconds since the epoch."""

    next_request: float = 0.0
    next_retry: float = 0.0
    refused_at: float = 0.0
    share_then: float = 1.0
    """Share of the full rate that was left after the last refusal."""

    def share(self, now: float) -> float:
        """Share of the full rate now: it grows evenly back to 1.

        >>> Pace(refused_at=1000.0, share_then=0.5).share(1150.0)
        0.75
        """
        return min(1.0, self.share_then + max(now - self.refused_at, 0.0) / RECOVERY_SECONDS)

    def start(self, now: float, rate: float, *, retry: bool) -> tuple[float, Pace]:
        """(when the next request may start, the state after it)."""
        at = max(now, self.next_request, self.next_retry if retry else 0.0)
        after = dataclasses.replace(self, next_request=at + 1.0 / (rate * self.share(at)))
        return at, dataclasses.replace(after, next_retry=at + _RETRY_SECONDS) if retry else after

    def refused(self, now: float, wait: float) -> Pace:
        """The state after a 503, 429 or 403 that asked for `wait` seconds: half the share, and nobody before that."""
        half = max(self.share(now) / 2, LEAST_SHARE)
        share = self.share_then if now - self.refused_at < _ONE_REFUSAL_SECONDS else half
        return Pace(max(self.next_request, now + wait), max(self.next_retry, now + wait), now, share)


class Budget:
    """The budget of one machine. Cheap to make, safe between threads and processes; the state lies in `folder`."""

    def __init__(self, folder: str | Path, config: CrawlConfig, clock: Clock) -> None:
        self._folder, self._clock = Path(folder), clock
        self._rate = config.requests_per_second / config.machines
        self._connections = max(1, config.connections // config.machines)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"{self._folder} cannot be made a folder: {error.strerror}. Set crawl.budget to one on a local disk."
            ) from error

    @contextlib.contextmanager
    def request(self, *, retry: bool = False) -> Iterator[None]:
        """Hold one of the connections, and start no earlier than the budget allows.

        `retry`: a further attempt at a whole file, of which the run makes one a second at most.
        """
        descriptor = self._connection()
        try:
            with self._state() as (pace, write):
                now = self._clock.now()
                at, after = pace.start(now, self._rate, retry=retry)
                write(after)
            if at > now:
                self._clock.sleep(at - now)
            yield
        finally:
            os.close(descriptor)

    def refused(self, wait: float = 0.0) -> None:
        """A server said that it is too much: halve the rate for all, and let nobody ask for `wait` seconds."""
        with self._state() as (pace, write):
            write(pace.refused(self._clock.now(), wait))

    def share(self) -> float:
        """Share of the full rate that is used now."""
        with self._state() as (pace, _):
            return pace.share(self._clock.now())

    def _connection(self) -> int:
        """A locked descriptor of one of the connections; waits for one. While slowed there are fewer."""
        while True:
            for number in range(max(1, int(self._connections * self.share()))):
                descriptor = self._open(f"connection-{number}")
                if self._lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    return descriptor
                os.close(descriptor)
            self._clock.sleep(_POLL_SECONDS)

    @contextlib.contextmanager
    def _state(self) -> Iterator[tuple[Pace, _Writer]]:
        """The state and how to replace it, under the lock."""
        descriptor = self._open("budget.json")
        try:
            self._lock(descriptor, fcntl.LOCK_EX)
            yield _read(descriptor, self._clock.now()), _Writer(descriptor)
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int, kind: int) -> bool:
        """Lock, or say that another holds the lock."""
        try:
            fcntl.flock(descriptor, kind)
        except BlockingIOError:
            return False
        except OSError as error:
            raise StorageError(
                f"{self._folder} cannot hold locks: {error.strerror}. Set crawl.budget to a folder on a local disk."
            ) from error
        return True

    def _open(self, name: str) -> int:
        try:
            return os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise StorageError(
                f"{self._folder / name} cannot be opened: {error.strerror}. Set crawl.budget to a folder of your own."
            ) from error


@dataclass(frozen=True, slots=True)
class _Writer:
    descriptor: int

    def __call__(self, pace: Pace) -> None:
        content = json.dumps(dataclasses.asdict(pace)).encode()
        os.pwrite(self.descriptor, content, 0)
        os.ftruncate(self.descriptor, len(content))


def _read(descriptor: int, now: float) -> Pace:
    """The state in the file; a fresh one where it cannot be read, or speaks of a time that a changed clock made up."""
    try:
        pace = Pace(**json.loads(os.pread(descriptor, 4096, 0)))
        known = all(isinstance(value, float | int) for value in dataclasses.astuple(pace))
    except (ValueError, TypeError):
        return Pace()
    far = max(pace.next_request, pace.next_retry, pace.refused_at) > now + _STALE_SECONDS if known else True
    return Pace() if far else pace
