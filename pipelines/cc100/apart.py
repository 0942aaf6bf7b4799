"""A unit of work in a process of its own, so that a record which ends its process costs that record.

A process is asked for units one after the other (:class:`Child`). :func:`carefully` does one unit with a journal of the
record in work (:mod:`ccbuild.border`): where the process dies, or stands at one record for too long, that record is
set apart and the unit begun again, until it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import cloudpickle

from ccbuild.border import Begun, Journal, alone
from ccbuild.config import aside
from ccbuild.errors import ConfigError, EngineError
from ccbuild.progress import asking, here, phase, visible
from ccbuild.refusals import refusal

__all__ = ["Child", "Ended", "GuardConfig", "carefully", "guarded", "serve"]

T = TypeVar("T")
R = TypeVar("R")

MOST_SET_APART = 100
"""Records of one unit that may end its process. A unit with more has another trouble than its records."""
MOST_BY_CHANCE = 3
"""How often the process of a unit may end while no record is in work."""
_POLL_SECONDS = 0.05
_MOST_POLL_SECONDS = 1.0
"""What one turn may count for: this process may have been stopped (Ctrl-Z), and the other with it."""
_BETWEEN = 10
"""How many times longer than at a record a unit may stand still between records, where nothing is set apart for it:
there it opens models, merges, hashes its files."""
_END_SECONDS = 10.0
"""How long a process that answers no more may take to end."""
TELL_SECONDS = 1.0
"""How often a process says what it is at."""
_PR_SET_PDEATHSIG = 1
_MOST_SAID = 1000
"""Bytes at the end of what a process wrote to stderr that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardConfig:
    """What a record, and a unit of work, may take. No output depends on it but for records that are set apart."""

    record_seconds: float = aside(300.0)
    """The longest that a step may take for one record, and that a unit may stand still. A record over it is set apart
    (`overtime:`); ``ccbuild run --retry-quarantined`` tries it again. Some 10,000 times what a page takes."""
    memory_megabytes: int = aside(8192)
    """Memory of a unit that is done again in a process of its own since it ended a worker, beside what is mapped from
    files. A record that needs more is set apart."""
    worker_seconds: float = aside(600.0)
    """How long a run waits for a worker when there is none, and for a scheduler that does not answer."""

    def __post_init__(self) -> None:
        for name in ("record_seconds", "memory_megabytes", "worker_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"guard.{name} is {getattr(self, name)}; it takes a number over 0.")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended that had not answered."""

    how: str
    """``killed`` or ``overtime``."""
    signal: str
    """Name of the signal, or the exit code; empty after `overtime`."""
    begun: Begun | None
    """The record that was in work."""
    said: str = ""
    """The last line that it wrote to stderr."""

    def cause(self) -> str:
        """The cause for which its record is set apart: ``killed:text:SIGSEGV``, ``overtime:language``."""
        return ":".join(filter(None, (self.how, self.begun.step if self.begun else "", self.signal)))


def guarded(work: Callable[[T], R], task: T) -> R | Exception:
    """The result, or the exception as a result: a bad unit is recorded, the others go on, no traceback is printed."""
    try:
        return work(task)
    except Exception as error:
        return error


class Child:
    """A process that does units of work, one at a time; it ends with the one that started it."""

    def __init__(self, guard: GuardConfig) -> None:
        self.guard = guard
        self._folder = tempfile.TemporaryDirectory(prefix="ccbuild-")
        self._path = str(Path(self._folder.name) / "journal")
        self._stderr = Path(self._folder.name) / "stderr"
        try:
            self._journal = Journal(self._path)
        except OSError as error:
            self._folder.cleanup()
            raise refusal(tempfile.gettempdir(), error, "name another folder by TMPDIR") or error from error
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exc: object) -> None:
        self._end()
        self._folder.cleanup()

    def ask(self, work: Callable[[T], R], task: T, known: Mapping[Begun, str] | None = None) -> R | Exception | Ended:
        """What `work` answers of `task`, or how the process ended; `known` is not None: record by record, with a
        journal."""
        if self._process is None:
            self._start()
        assert self._pipe is not None
        self._journal.write(None)
        os.truncate(self._stderr, 0)
        try:
            self._pipe.send_bytes(cloudpickle.dumps((work, task, known, self._path, self.guard.memory_megabytes)))
            answer = self._answer(known is not None, getattr(task, "by_record", False))
        except (EOFError, OSError):  # also in the middle of an answer
            answer = Ended("killed", self._died(), self._journal.read(), self._said())
        if isinstance(answer, Ended):
            self._end()
        return answer  # type: ignore[no-any-return]

    def _answer(self, journal: bool, by_record: bool) -> Any:
        """The answer; `Ended` where the work stands still for too long. This thread is at what the process is at."""
        assert self._pipe is not None
        doing, last, still, before = here(), self._journal.count(), 0.0, time.monotonic()
        while True:
            while self._pipe.poll(_POLL_SECONDS):
                kind, content = cloudpickle.loads(self._pipe.recv_bytes())
                if kind == "answer":
                    return content
                if content != doing.phase:
                    doing.phase, still = content, 0.0
            begun, count, now = self._journal.read(), self._journal.count(), time.monotonic()
            still = 0.0 if count != last else still + min(now - before, _MOST_POLL_SECONDS)
            last, before = count, now
            most = self.guard.record_seconds * (1 if begun or not journal else _BETWEEN)
            if still > most and (begun or by_record):
                return Ended("overtime", "", begun)

    def _start(self) -> None:
        self._pipe, theirs = Pipe()
        program = f"from cc100.apart import serve; serve({theirs.fileno()}, {os.getpid()})"
        with self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", program],
                stdin=subprocess.DEVNULL,
                stderr=stderr,  # a person is told its last line, and only where nothing else says why it ended
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C and a closed terminal are for the one that a person started
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        theirs.close()

    def _died(self) -> str:
        """By what the process ended: the name of a signal, or its exit code."""
        assert self._process is not None
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:  # it has closed its end of the pipe and lives on
            self._process.kill()
            code = self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit {code}"

    def _said(self) -> str:
        """The last line that the process wrote to stderr."""
        with contextlib.suppress(OSError), self._stderr.open("rb") as stderr:
            stderr.seek(max(self._stderr.stat().st_size - _MOST_SAID, 0))
            lines = stderr.read().decode(errors="replace").split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "")
        return ""

    def _end(self) -> None:
        if self._process is not None and self._pipe is not None:
            self._pipe.close()
            self._process.kill()
            self._process.wait()
        self._process = self._pipe = None


def carefully(work: Callable[[T], R], task: T, guard: GuardConfig) -> R | Exception:
    """The unit in a process of its own, record by record, without the records that end it.

    What ends a process from outside, as a rule a machine without memory left, may hit any record: only one that it hits
    twice is set apart.
    """
    known: dict[Begun, str] = {}
    by_chance: Counter[Begun | None] = Counter()
    with phase("alone"), Child(guard) as child:
        while True:
            answer = child.ask(work, task, known)
            if not isinstance(answer, Ended):
                return answer
            by_chance[answer.begun] += 1
            most = MOST_BY_CHANCE if answer.begun is None else 1
            if answer.signal in _FROM_OUTSIDE and by_chance[answer.begun] <= most:
                continue
            if answer.begun is None or len(known) >= MOST_SET_APART or answer.begun in known:
                how = f"ended ({answer.signal})" if answer.signal else "stood still"
                said = f" The last that it wrote was: {visible(answer.said)}" if answer.said else ""
                return EngineError(_GIVEN_UP.format(how, len(known)) + said)
            known[answer.begun] = answer.cause()


_FROM_OUTSIDE = ("SIGHUP", "SIGINT", "SIGKILL", "SIGTERM")
"""What ends a process from outside, as the kernel does when memory is short: its record is set apart when that happens
twice."""
_GIVEN_UP = (
    "The process of this unit {} in work that belongs to no single record; {} of its records had been set "
    "apart before. See whether the machine has memory left (guard.memory_megabytes bounds this unit), and run the same "
    "command again."
)


def serve(descriptor: int, parent: int) -> None:
    """In the process: do what is asked for through the pipe `descriptor`, until it is closed."""
    _end_with(parent)
    pipe = Connection(descriptor)
    while True:
        try:
            request = pipe.recv_bytes()
        except EOFError:
            return
        answer = guarded(lambda asked: _done(asked, pipe), request)
        try:
            content = cloudpickle.dumps(("answer", answer))
            cloudpickle.loads(content)
        except Exception as error:  # an answer that cannot travel
            content = cloudpickle.dumps(("answer", RuntimeError(f"{answer!r} cannot be sent back: {error}")))
        pipe.send_bytes(content)


def _done(request: bytes, pipe: Connection) -> Any:
    work, task, known, path, megabytes = cloudpickle.loads(request)
    doing = here()

    def tell() -> None:
        pipe.send_bytes(cloudpickle.dumps(("doing", doing.text())))

    with asking(tell, TELL_SECONDS):
        if known is None:
            return work(task)
        _bound_memory(megabytes)
        with alone(Journal(path), known):
            return work(task)


def _bound_memory(megabytes: int) -> None:
    """Let this process have so much more memory than it has now; what is mapped from files is not counted."""
    import resource

    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
        most = pages * resource.getpagesize() + megabytes * 1_000_000
        resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    except (OSError, ValueError, IndexError):  # no Linux, or a hard limit below it: then that one holds
        return


def _end_with(parent: int) -> None:
    """End this process when the one that started it ends, however that is."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
