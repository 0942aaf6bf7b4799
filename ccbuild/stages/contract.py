"""What a stage is: a name, and a function from documents to documents or drops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ccbuild.records import Document, Dropped

__all__ = ["Stage", "StageConfig", "each"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One answer for every document of a batch, in the same order.

    >>> Stage("nothing", lambda documents: [Dropped("too_short") for _ in documents]).run([Document(paragraphs=("x",))])
    [Dropped(reason='too_short')]
    """

    name: str
    run: Callable[[Sequence[Document]], list[Document | Dropped]]
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Of a stage from outside: each reason that it drops for, and what it means."""
    outside: bool = False
    """A user's own: what it answers is looked at."""


class StageConfig(Protocol):
    """The settings of a stage: a frozen dataclass. They travel to the workers; what `build` opens does not.

    Beside `build` it may have, as class variables, ``needs`` and ``gives``: fields of a document that a stage before
    must have filled in, and that this one fills in; and, outside of ccbuild, ``reasons``: reason to its meaning.
    """

    def build(self, models: Path) -> Stage:
        """The stage, ready to run; `models` is the folder that `prepare` wrote.

        Called for each shard, so what takes long to open is best kept open by `functools.lru_cache`.
        """


def each(name: str, judge: Callable[[Document], Document | Dropped]) -> Stage:
    """A stage from a function of one document.

    >>> stage = each("empty", lambda document: document if document.text else Dropped("empty_text"))
    >>> stage.run([Document(paragraphs=("",))])
    [Dropped(reason='empty_text')]
    """
    return Stage(name, lambda documents: [judge(document) for document in documents])
