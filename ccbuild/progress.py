"""What a person watches while something takes its time: a bar, and what is being done while it stands still.

Work says what it is at (`phase`, `counted`); whoever watches asks from another thread (`Doing.state`). Saying costs
under a microsecond and nothing is drawn or sent for it, so loops may say much.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

__all__ = [
    "Bar",
    "Doing",
    "Progress",
    "ShowProgress",
    "asking",
    "counted",
    "duration",
    "here",
    "note",
    "phase",
    "silent",
    "verb_bar",
    "visible",
    "watched",
    "within",
]

T = TypeVar("T")

REFRESH_SECONDS = 1.0
"""How often a person is told what is being done."""
LOG_SECONDS = 10.0
"""Least time between two lines in a log."""
SHOWN_SECONDS = 2.0
"""What takes less is not told with its time."""


class Progress(Protocol):
    """What shows how far something is; `add` may be called more than once."""

    def add(self, total: int) -> None:
        """`total` more units are to be done."""

    def advance(self, name: str) -> None:
        """One unit has ended."""

    def doing(self, text: str) -> None:
        """What is being done now; called from another thread."""


ShowProgress = Callable[[str], AbstractContextManager[Progress]]
"""The progress of a verb, by its name."""


class _Counter:
    __slots__ = ("done", "total", "unit")

    def __init__(self, unit: str, total: int | None) -> None:
        self.done, self.unit, self.total = 0, unit, total

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        return f"{self.done:,}{of} {self.unit}"


class Doing:
    """What one thread is at; another may read it at any time."""

    __slots__ = ("counters", "phase", "since")

    def __init__(self) -> None:
        self.phase, self.since = "", 0.0
        self.counters: list[_Counter] = []

    def text(self, counters: Iterable[_Counter] | None = None) -> str:
        """``train: 12 of 60 languages``; empty while nothing is said."""
        counts = ", ".join(map(str, tuple(self.counters if counters is None else counters)))
        return ": ".join(filter(None, (self.phase, counts)))

    def state(self) -> tuple[int, int, str]:
        """(done, of how many, what is being done) for a bar: the first count that has an end, and the rest as text."""
        counters = list(self.counters)
        whole = next((c for c in counters if c.total is not None), None)
        text = self.text(c for c in counters if c is not whole)
        seconds = time.monotonic() - self.since
        if self.phase and seconds >= SHOWN_SECONDS:
            text += f", {duration(seconds)}"
        return (whole.done, whole.total or 0, text) if whole else (0, 0, text)


class _Here(threading.local):
    def __init__(self) -> None:
        self.doing = Doing()


_here = _Here()


def here() -> Doing:
    """What this thread is at."""
    return _here.doing


class phase:  # noqa: N801  # a context manager that each record enters twice: no generator
    """This thread is at `name` while the block runs."""

    __slots__ = ("_doing", "_name", "_outer")

    def __init__(self, name: str) -> None:
        self._name, self._doing, self._outer = name, _here.doing, ("", 0.0)

    def __enter__(self) -> None:
        doing = self._doing
        self._outer = doing.phase, doing.since
        doing.phase, doing.since = self._name, time.monotonic()

    def __exit__(self, *exc: object) -> None:
        self._doing.phase, self._doing.since = self._outer


def counted(items: Iterable[T], unit: str, total: int | None = None) -> Iterator[T]:
    """The items, while their number is said: so many `unit` (in the plural) of `total`."""
    counter, counters = _Counter(unit, total), _here.doing.counters
    counters.append(counter)
    try:
        for item in items:
            yield item
            counter.done += 1
    finally:
        counters.remove(counter)


@contextmanager
def asking(ask: Callable[[], None], every: float, first: float | None = None) -> Iterator[None]:
    """While the block runs, call `ask` from a thread of its own: after `first` seconds, then `every` so many.

    What cannot be told, since stderr is closed or a connection lost, is not told: the block goes on.
    """
    ended = threading.Event()

    def ask_again() -> None:
        wait = every if first is None else first
        while not ended.wait(wait):
            with contextlib.suppress(OSError, RuntimeError):
                ask()
            wait = every

    thread = threading.Thread(target=ask_again, name="ccbuild-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def within(seconds: float, ask: Callable[[], T]) -> T | None:
    """What `ask` answers, or None where it has not answered after so long: it may then wait for ever, by itself."""
    answers: list[T] = []
    errors: list[Exception] = []

    def answer() -> None:
        try:
            answers.append(ask())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=answer, name="ccbuild-question", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    return answers[0] if answers else None


def duration(seconds: float) -> str:
    """``48 s``, ``4 min 30 s``, ``2 h 5 min``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def visible(text: str, keep: str = "") -> str:
    r"""`text` for a terminal: what would steer it or turn the order of its letters is told by number, but for `keep`.

    JSON stays what it says.

    >>> print(visible("a\x1b[2J\u202egnp.exe"))
    a\u001b[2J\u202egnp.exe
    """
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else f"\\u{ord(found[0]):04x}", text)


def note(message: str) -> None:
    """A line for the person, on stderr; where nobody reads it any more, work goes on."""
    from tqdm import tqdm

    with contextlib.suppress(OSError):
        tqdm.write(visible(message), file=sys.stderr)


def _tqdm() -> Any:
    """The class of bars that can be drawn here; None in a log.

    A notebook without ipywidgets gets the plain bar, asked for by name: tqdm's own choice would warn.
    """
    kernel = getattr(sys.modules.get("ipykernel.kernelapp"), "IPKernelApp", None)
    if kernel is not None and kernel.initialized():
        if importlib.util.find_spec("ipywidgets"):
            from tqdm.notebook import tqdm as notebook_bar

            return notebook_bar
    elif not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    return tqdm


class Bar:
    """How far something is: a bar in a terminal or a notebook, in a log a line at most every `LOG_SECONDS`."""

    def __init__(self, label: str, unit: str = "unit", *, stays: bool = True) -> None:
        """`stays`: the last state is left on the screen. Nothing is drawn before the first news."""
        self._label, self._unit, self._stays = label, unit, stays
        self._done, self._total, self._what, self._drawn = 0, 0, "", False
        self._start = self._told = time.monotonic()
        self._bar: Any = None
        self._class = _tqdm()
        self._lock = threading.Lock()

    def add(self, total: int) -> None:
        """More to do."""
        self.to(self._done, self._total + total, self._what)

    def advance(self, name: str) -> None:
        """One done."""
        self.to(self._done + 1, self._total, self._what)

    def doing(self, text: str) -> None:
        """What is being done now."""
        self.to(self._done, self._total, text)

    def to(self, done: int, total: int, what: str = "") -> None:
        """Stand at `done` of `total`; `total` 0: nobody knows how many there are."""
        what = visible(what)
        with self._lock:
            more, new_total, new_text = done - self._done, total != self._total, what != self._what
            self._done, self._total, self._what = done, total, what
            if self._class is None:
                self._line(LOG_SECONDS)
            else:
                self._draw(more, new_total, new_text)

    def _draw(self, more: int, new_total: bool, new_text: bool) -> None:
        looks = {"total": self._total or None, "bar_format": _COUNTED if self._total else _ENDLESS}
        if self._bar is None:
            about = {"desc": f"{self._label:<9}", "unit": self._unit, "leave": self._stays}
            self._bar = self._class(**about, **looks, initial=self._done, mininterval=0.2, dynamic_ncols=True)
        elif new_total:
            self._bar.n, self._bar.total, self._bar.bar_format = self._done, *looks.values()
            if hasattr(self._bar, "container"):  # of a notebook
                self._bar.container.children[1].max = self._total or 1
        else:
            self._bar.update(more)
        if new_text or not more:
            self._bar.set_postfix_str(self._what)

    def _line(self, least: float) -> None:
        """A line for a log, unless the last one is younger than `least` seconds."""
        now = time.monotonic()
        if now - self._told < least:
            return
        self._told, self._drawn = now, True
        count = f"{self._done:,}/{self._total:,} " if self._total else ""
        line = f"{self._label:<9} {count}{duration(now - self._start)} {self._what}"
        with contextlib.suppress(OSError):
            print(line.rstrip(), file=sys.stderr, flush=True)

    def close(self) -> None:
        """The last state stays on the screen."""
        with self._lock:
            self._what = ""
            if self._class is None and ((self._stays and self._total) or self._drawn):
                self._line(0.0)
            elif self._bar is not None:
                self._bar.set_postfix_str("", refresh=False)
                self._bar.close()


_COUNTED = "{l_bar}{bar:24}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
_ENDLESS = "{desc} [{elapsed}{postfix}]"


@contextmanager
def verb_bar(verb: str) -> Iterator[Bar]:
    """The bar of one verb."""
    bar = Bar(verb)
    try:
        yield bar
    finally:
        bar.close()


@contextmanager
def watched(label: str) -> Iterator[None]:
    """While the block runs, show what this thread is at; gone at its end, and never there where it is soon over."""
    doing, bar = here(), Bar(label, stays=False)
    try:
        with asking(lambda: bar.to(*doing.state()), REFRESH_SECONDS):
            yield
    finally:
        bar.close()


class _Silent:
    def add(self, total: int) -> None: ...

    def advance(self, name: str) -> None: ...

    def doing(self, text: str) -> None: ...


@contextmanager
def silent(verb: str) -> Iterator[Progress]:
    """In the place of a bar: nothing is shown."""
    yield _Silent()
