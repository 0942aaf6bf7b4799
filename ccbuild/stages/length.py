"""Drop documents that are too short to be prose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ccbuild.records import Document, Dropped
from ccbuild.stages.contract import Stage, each

__all__ = ["LengthConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthConfig:
    """Length of what is left of a page."""

    min_chars: int = 100
    """Shortest text kept, in characters, counted after duplicates are removed. CCNet: 300, before."""

    def build(self, models: Path) -> Stage:
        """The stage; needs no model."""

        def length(document: Document) -> Document | Dropped:
            if not document.paragraphs:
                return Dropped("only_duplicate_paragraphs")
            return document if document.characters >= self.min_chars else Dropped("too_short")

        return each("length", length)
