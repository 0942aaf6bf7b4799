"""A unit of work of 20 records of which one does harm; workers import it."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ccbuild.border import survivors
from ccbuild.progress import counted, phase

__all__ = ["HARM", "Busy", "Deaf", "Unit", "harm", "work"]

HARM = {
    "segfault": "killed:judge:SIGSEGV",
    "exit": "killed:judge:exit 139",
    "exception": "failed:judge:ValueError",
    "loop": "overtime:judge",
    "native loop": "overtime:judge",
    "allocation": "failed:judge:MemoryError",
}
"""What a record may do to a process, and the cause for which it is then set apart."""


def harm(kind: str) -> None:
    """Do it."""
    if kind == "segfault":
        ctypes.string_at(0)
    elif kind == "exit":
        os._exit(139)
    elif kind == "exception":
        raise ValueError("a page that a parser breaks off on")
    elif kind == "loop":
        while True:
            time.sleep(0.01)
    elif kind == "native loop":
        re.match(r"(a+)+$", "a" * 60 + "b")  # holds the interpreter for years
    elif kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "odd":
        raise OddError(1, 2)
    elif kind == "allocation":
        bytearray(1 << 40)


class OddError(Exception):
    """An exception that can be pickled and not unpickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@dataclass(frozen=True)
class Unit:
    """A unit whose record 7 does harm of a kind; none, where it is empty."""

    name: str
    kind: str = ""
    by_record: ClassVar[bool] = True


@dataclass(frozen=True)
class Deaf:
    """A unit that ends when a file is there."""

    path: Path
    name: str = "deaf"
    by_record: ClassVar[bool] = False


@dataclass(frozen=True)
class Busy:
    """A unit that goes on, page by page, until a file is there."""

    path: Path
    by_record: ClassVar[bool] = True


def work(unit: Unit | Deaf | Busy) -> tuple[int, list[tuple[int, str]]]:
    """(how many records were kept, those that were set apart)."""
    if isinstance(unit, Deaf):
        with phase("train"):
            while not unit.path.exists():
                time.sleep(0.01)
        return 0, []

    if isinstance(unit, Busy):
        for _ in counted(iter(unit.path.exists, True), "pages"):
            time.sleep(0.01)
        return 0, []

    def judge(records: Sequence[int]) -> list[int]:
        if 7 in records:
            harm(unit.kind)
        return list(records)

    answer, _, lost = survivors("judge", range(20), str, judge)
    return len(answer), lost
