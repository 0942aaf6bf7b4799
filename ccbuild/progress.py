"""What a person watches while something takes its time: bars and lines on stderr, in a terminal or a notebook."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

__all__ = ["Bar", "note", "verb_bar"]


def note(message: str) -> None:
    """A line for the person, on stderr."""
    tqdm.write(message, file=sys.stderr)


class Bar:
    """A progress bar over units of work."""

    def __init__(self, label: str, unit: str = "unit") -> None:
        quiet = not sys.stderr.isatty()
        self._bar = tqdm(
            total=0,
            desc=f"{label:<9}",
            unit=unit,
            file=sys.stderr,
            mininterval=30.0 if quiet else 0.2,
            dynamic_ncols=True,
        )

    def add(self, total: int) -> None:
        """More to do."""
        self._bar.total = (self._bar.total or 0) + total
        self._bar.refresh() if sys.stderr.isatty() else None

    def advance(self, name: str) -> None:
        """One done."""
        self._bar.update()

    def to(self, done: int, total: int, what: str = "") -> None:
        """Stand at `done` of `total`."""
        self._bar.total = total
        self._bar.set_postfix_str(what, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """The last state stays on the screen."""
        self._bar.close()


@contextmanager
def verb_bar(verb: str) -> Iterator[Bar]:
    """The bar of one verb."""
    bar = Bar(verb)
    try:
        yield bar
    finally:
        bar.close()
