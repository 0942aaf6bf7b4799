"""How a command ends from outside: by a signal, or since nobody reads what it says any more."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

__all__ = ["Heard", "ended_by_signals", "flushed", "open_streams", "say"]

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""What SLURM, Kubernetes and a closed terminal send; SIGINT is a person's, and Python's own."""
GRACE_SECONDS = 25.0
"""After so long a command ends without cleaning: SLURM and Kubernetes kill it after 30 s."""


@dataclass(slots=True)
class Heard:
    """The first of `SIGNALS` that came."""

    number: int = 0

    @property
    def message(self) -> str:
        """What to tell the person."""
        name = signal.Signals(self.number).name
        return f"ended by {name}. What is done stays done; run the same command again to go on."

    @property
    def exit_code(self) -> int:
        """As a shell has it."""
        return 128 + self.number


@contextmanager
def ended_by_signals() -> Iterator[Heard]:
    """While the block runs, `SIGNALS` end it as Ctrl-C does, with all that cleans up on the way; one that is ignored,
    as nohup has it, stays ignored."""
    heard = Heard()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    ours = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_DFL]

    def hear(number: int, frame: FrameType | None) -> None:
        heard.number = number
        for each in ours:
            signal.signal(each, signal.SIG_IGN)  # the second does not disturb the cleaning after the first
        raise KeyboardInterrupt

    with _hurried(ours):
        for number in ours:
            signal.signal(number, hear)
        try:
            yield heard
        finally:
            for number in ours:
                signal.signal(number, signal.SIG_DFL)


@contextmanager
def _hurried(signals: list[signal.Signals]) -> Iterator[None]:
    """End the process `GRACE_SECONDS` after a signal. Python hears it in its first thread alone, which may be deep in a
    library; a byte in a socket is there at once."""
    read, write = socket.socketpair()
    write.setblocking(False)
    before, ended = signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False), threading.Event()

    def wait() -> None:
        while said := read.recv(1):
            if said[0] in signals and not ended.wait(GRACE_SECONDS):
                say(f"ended by {signal.Signals(said[0]).name}, without cleaning: that took too long. Run it again.")
                os._exit(128 + said[0])

    thread = threading.Thread(target=wait, name="ccbuild-signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        ended.set()
        write.close()
        thread.join()
        read.close()


def say(message: str) -> None:
    """A line on stderr, if anybody reads it."""
    with contextlib.suppress(OSError):
        print(f"ccbuild: {message}", file=sys.stderr, flush=True)


def open_streams() -> None:
    """Streams that the caller has closed (``>&-``) lead nowhere: what is opened next must not get their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            setattr(sys, name, os.fdopen(nowhere, "w" if number else "r", encoding="utf-8", closefd=False))


def flushed() -> None:
    """What nobody reads (``| head``), or no disk takes, is not tried again when Python ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
