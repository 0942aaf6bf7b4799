"""The blocks of a page's text, and the elements that they stand in, as columns: one pass over the page gives both."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccbuild.text.elements import TAGS, tables

__all__ = ["Page", "parse"]


class Page(NamedTuple):
    """The blocks of a page (paragraphs, headings, list items, rows of tables, lines), in its order, as columns; and the
    elements that they stand in."""

    tags: list[str]
    """`h1` to `h6`, `p`, `li`, `pre`; empty for what stands in none of them: a table row, a line of a `div`."""
    text: str
    """A line a block, without markup, cells of a row with tabs between them; references to characters as they are
    written."""
    sizes: NDArray[np.int32]
    """Characters; an ideograph, a kana or a syllable of Hangul counts as three, as it says as much."""
    linked: NDArray[np.float64]
    """Share of the characters that are links to other pages, 0 to 1."""
    places: NDArray[np.int32]
    """The element of each block."""
    parents: NDArray[np.int32]
    """The element that each element stands in; the first is the page, and stands in itself."""
    signs: NDArray[np.int64]
    """What each element's name, role and classes say, as `ccbuild.text.elements` has it."""
    robots: bool
    """Whether a `meta` element speaks to robots."""


def parse(page: bytes) -> Page:
    """Blocks of a page in UTF-8; those without text are left out. Some 14 µs a kilobyte, whatever stands in it."""
    from ccbuild.text.kernels import blocks as kernel

    letters = np.frombuffer(page, np.uint8)
    starts = page.count(b"<") + 1
    lines = starts + page.count(b"\n")
    into = np.empty(len(page) + 2, np.uint8)
    names = np.empty(lines, np.uint8)
    places, sizes, labels = (np.empty(lines, np.int32) for _ in range(3))
    nodes = np.empty(starts, np.int32), np.empty(starts, np.int64)
    state = np.zeros(kernel.STATE, np.int64)
    kernel.parse(letters, tables(), into, (names, places, sizes, labels), nodes, state)
    counts = state.tolist()
    count = counts[kernel.COUNT]
    return Page(
        tags=list(map(TAGS.__getitem__, names[:count].tolist())),
        text=str(into[: max(counts[kernel.WRITTEN] - 1, 0)].data, "utf-8", "replace"),
        sizes=sizes[:count],
        linked=np.minimum(labels[:count] / sizes[:count], 1.0),
        places=places[:count],
        parents=nodes[0][: counts[kernel.NODES]],
        signs=nodes[1][: counts[kernel.NODES]],
        robots=bool(counts[kernel.ROBOTS]),
    )
