"""What a stage is: a name, and a function from documents to documents or drops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ccbuild.records import Document, Dropped

__all__ = ["Stage", "each"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One answer for every document of a batch, in the same order."""

    name: str
    run: Callable[[Sequence[Document]], list[Document | Dropped]]


def each(name: str, judge: Callable[[Document], Document | Dropped]) -> Stage:
    """A stage from a function of one document."""
    return Stage(name, lambda documents: [judge(document) for document in documents])
