"""Which of the documents that go are another capture of the page that stays for them: the same URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ccbuild.dedup.external.sorting import Lookup, Rows, Sorter

__all__ = ["recaptures"]

_ASKED = np.dtype([("partner", "<u8"), ("doc_id", "<u8"), ("first", "<u8")])
_FOUND = np.dtype([("doc_id", "<u8")])


def recaptures(
    gone: Iterable[Rows], captures: Iterator[Rows], again: Iterator[Rows], folder: Path, nbytes: int
) -> Iterator[Rows]:
    """The `doc_id` of each of `gone` (blocks with `doc_id`, by which they are sorted, and `partner`) whose partner has
    its URL.

    `captures` and `again` are the same rows twice, sorted by `doc`: every document with a URL that an earlier one has,
    and as `partner` the first one that has it. Runs go to `folder`; memory is about `nbytes`.
    """
    asked = Sorter(_ASKED, ("partner", "doc_id"), folder, nbytes // 2)
    firsts = Lookup(captures, "doc")
    for block in gone:
        rows = np.empty(len(block), _ASKED)
        rows["partner"], rows["doc_id"] = block["partner"], block["doc_id"]
        rows["first"] = _first_capture(firsts, block["doc_id"])
        asked.add(rows[(rows["first"] != rows["doc_id"]) | (rows["partner"] > rows["doc_id"])])
    found = Sorter(_FOUND, ("doc_id",), folder, nbytes // 2)
    firsts = Lookup(again, "doc")
    for block in asked.blocks():
        same = _first_capture(firsts, block["partner"]) == block["first"]
        rows = np.empty(int(same.sum()), _FOUND)
        rows["doc_id"] = block["doc_id"][same]
        found.add(rows)
    yield from found.blocks()


def _first_capture(firsts: Lookup, doc: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The first document with the URL of each of `doc` (sorted): itself where no earlier one has it."""
    known, rows = firsts.find(doc)
    first = doc.copy()
    if len(rows):
        first[known] = rows["partner"]
    return first
