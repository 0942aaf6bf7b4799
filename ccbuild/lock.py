"""One process works in a folder at a time: a lock where the file system knows locks, and a lease everywhere.

The lease is a file that says which process holds the folder; its process touches it every `BEAT_SECONDS`. Who takes
the folder over writes a lease of his own, and the one before finds, at the latest when it commits a unit, that its
token no longer stands there. Clocks of two machines are never compared, only times that the file system gave.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccbuild.errors import InputError, StorageError
from ccbuild.progress import asking, duration
from ccbuild.refusals import refusals

__all__ = ["Lease", "holder", "locked"]

BEAT_SECONDS = 10.0
"""How often a process says that it still holds its folder."""
EXPIRED_SECONDS = 60.0
"""A lease of which nothing was heard for so long may be taken over: six times what a healthy process needs."""
_LEASE = ".lease"


@dataclass(frozen=True, slots=True)
class _Holder:
    """The process that holds a folder, as its lease says."""

    host: str
    machine: str
    """What tells one set of process numbers from another: this start of this kernel, and its namespace."""
    pid: int
    started: int
    """When the process started, as its kernel counts, so that another of the same number is told apart; 0: unknown."""
    since: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    @classmethod
    def here(cls) -> _Holder:
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return cls(
            socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()) or 0, since, uuid.uuid4().hex[:16]
        )

    @property
    def process(self) -> tuple[str, int, int]:
        """What no other process has."""
        return self.machine, self.pid, self.started

    def lives(self) -> bool:
        """Whether a process of this machine is still there."""
        now = _started(self.pid)
        return now is not None and (now == self.started or 0 in (now, self.started))


@dataclass(frozen=True, slots=True)
class Lease:
    """That a folder is held. Travels to workers, which ask it before they take a unit as done."""

    path: Path
    token: str

    def check(self) -> None:
        """Raise `StorageError` when the folder was taken over, or its process has ended."""
        found = _read(self.path)
        if found is None or found.token != self.token:
            now = f"was taken over by {found}" if found else "is no longer held by the run that began this"
            raise StorageError(
                f"{self.path.parent} {now}, so this one stops. What it had not finished was not taken as done."
            )


def holder(folder: Path) -> str | None:
    """Which process works in `folder`, for whoever only reads there; None when none does, or it is known to be dead."""
    found = _read(folder / _LEASE)
    return None if found is None or (found.machine == _machine() and not found.lives()) else str(found)


@contextmanager
def locked(
    folder: Path, *, take_over: bool = False, tell: Callable[[str], None] = lambda line: None
) -> Iterator[Lease]:
    """Hold `folder` for this process: `InputError` when another holds it, with who and since when.

    `take_over`: also from a process of another machine, once nothing was heard of it for a minute. A lease of a
    process that is known to be dead is taken without it. Removes what killed processes left behind, when it begins and
    when it ends. `tell` takes a line for the person who waits.
    """
    with refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            path = folder / _LEASE
            alone = _flock(lock.fileno(), path)
            before = _read(path)
            if before is not None:
                _refuse_living(path, before, alone, take_over, tell)
            lease = _taken(path, before)
            try:  # what is open is touched, so that never the lease of another is
                _sweep(folder, "", before)
                with path.open("r+b") as own, asking(lambda: os.utime(own.fileno()), BEAT_SECONDS):
                    yield lease
            finally:
                _given_back(lease)


def _flock(descriptor: int, path: Path) -> bool:
    """Whether the lock is ours; False on a file system without locks, where only the lease tells."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
            raise _held(path.parent, _read(path)) from error
        return False
    return True


def _held(folder: Path, holder: _Holder | None) -> InputError:
    who = f": {holder}" if holder else ""
    return InputError(f"Another process works in {folder}{who}. Wait for it, end it, or choose another --out.")


def _refuse_living(path: Path, before: _Holder, alone: bool, take_over: bool, tell: Callable[[str], None]) -> None:
    """Raise `InputError` unless the lease of `before` may be taken.

    On one machine the lock knows, and else the table of processes. A lease of another machine is watched until it
    expires, for a lock may hold on one machine alone (Lustre with ``localflock``).
    """
    if before.machine == _machine():
        if not alone and before.lives():
            raise _held(path.parent, before)
        return
    age = _age(path)
    if age < EXPIRED_SECONDS and not (alone or take_over):
        raise _held(path.parent, before)
    if not (alone or take_over):
        raise InputError(
            f"{path.parent} is held by {before}, of which nothing was heard for {duration(age)}, and this file system "
            f"has no locks that would say more. If that process is dead: ccbuild run … --take-over, or remove {path}."
        )
    if age < EXPIRED_SECONDS:
        tell(f"{path.parent} is held by {before}. Waiting {duration(EXPIRED_SECONDS - age)} to see whether it lives.")
    if not _expires(path, EXPIRED_SECONDS - age):
        raise _held(path.parent, before)


def _expires(path: Path, seconds: float) -> bool:
    """Whether nobody touches the lease for so many seconds."""
    end, beat = time.monotonic() + seconds, _touched(path)
    while time.monotonic() < end:
        time.sleep(min(1.0, BEAT_SECONDS / 10))
        now = _touched(path)
        if now not in (beat, None):
            return False
    return True


def _touched(path: Path) -> int | None:
    """When the lease was touched, by the file system's clock; None when it is gone. Opened, as NFS looks only then."""
    try:
        with path.open("rb") as stream:
            return os.fstat(stream.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None


def _age(path: Path) -> float:
    """Seconds since the lease was touched, by the clock of the file system: a file made now tells what it shows."""
    probe = path.with_name(f"{_LEASE}.{uuid.uuid4().hex}.tmp")
    try:
        probe.touch()
        now, then = _touched(probe), _touched(path)
    finally:
        probe.unlink(missing_ok=True)
    return (now - then) / 1e9 if now is not None and then is not None else EXPIRED_SECONDS


def _taken(path: Path, before: _Holder | None) -> Lease:
    """A lease of this process in the place of `before`; `InputError` when another was quicker."""
    mine = _Holder.here()
    lease, content = Lease(path, mine.token), json.dumps(dataclasses.asdict(mine)).encode()
    if before is None:
        try:
            with path.open("xb") as stream:
                stream.write(content)
        except FileExistsError as error:
            raise _held(path.parent, _read(path)) from error
    else:
        new = path.with_name(f"{_LEASE}.{mine.token}.tmp")
        try:
            new.write_bytes(content)
            os.replace(new, path)
        finally:
            new.unlink(missing_ok=True)
    lease.check()
    return lease


def _given_back(lease: Lease) -> None:
    """Remove what the run left, and its lease unless another has it now."""
    _sweep(lease.path.parent, lease.token)
    found = _read(lease.path)
    if found is not None and found.token == lease.token:
        lease.path.unlink(missing_ok=True)


def _read(path: Path) -> _Holder | None:
    """Who holds the folder; None when nobody does. Of a lease that cannot be read nobody knows who."""
    try:
        return _Holder(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return _Holder("a machine that its lease does not name", "", 0, 0, "an unknown time", "")


def _sweep(folder: Path, token: str, dead: _Holder | None = None) -> None:
    """Remove temporary files and folders below `folder` that bear `token`, and leases within of the process `dead`."""
    for place, folders, files in os.walk(folder):
        for name in [name for name in folders if name.startswith(".") and name.endswith(".scratch") and token in name]:
            shutil.rmtree(Path(place, name), ignore_errors=True)
            folders.remove(name)
        if Path(place) == folder:
            continue
        for name in files:
            path = Path(place, name)
            old = path.name.startswith(".") and name.endswith(".tmp") and token in name
            inner = dead and name == _LEASE and (found := _read(path)) and found.process == dead.process
            if old or inner:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()


def _machine() -> str:
    """Which table of processes this is."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> int | None:
    """When a process of this machine started; 0 where that cannot be seen, None when there is none or it is dead."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if facts[0] in "ZX" else int(facts[19])
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return 0
