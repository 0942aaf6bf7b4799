"""Drop documents that are too short to be prose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ccbuild.config import setting
from ccbuild.langid.scripts import count_scripts
from ccbuild.records import Document, Dropped
from ccbuild.stages.contract import Stage, each

__all__ = ["CHARACTERS", "LengthConfig"]

CHARACTERS = {
    "Hani": 0.31,
    "Kana": 0.42,
    "Hang": 0.46,
    "Ethi": 0.58,
    "Hebr": 0.72,
    "Thai": 0.85,
    "Beng": 0.87,
    "Arab": 0.88,
    "Laoo": 0.89,
    "Gujr": 0.9,
    "Telu": 0.9,
    "Deva": 0.93,
    "Guru": 0.93,
    "Cyrl": 0.95,
    "Geor": 0.96,
    "Sinh": 0.97,
    "Armn": 0.98,
    "Knda": 1.03,
    "Tibt": 1.03,
    "Mlym": 1.07,
    "Grek": 1.12,
    "Mymr": 1.2,
    "Taml": 1.2,
}
"""Characters that say in a script what one says in Latin; a script that is not named: 1. Lengths of 40 news articles of
NTREX-128 (Federmann, Kocmi and Xin 2022, SumEval) against the median of their translations into some 60 languages in
Latin script: the median over articles, then over languages. Kana stands for Japanese."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthConfig:
    """Length of what is left of a page."""

    min_chars: int = 100
    """Shortest text kept, in characters, counted after duplicates are removed. CCNet: 300, before."""
    count: Literal["by_script", "characters"] = setting("by_script", before="characters")
    """`by_script`: `min_chars` are those of Latin script, and as many in another as say the same: 31 of Chinese for
    100, 42 of Japanese, 120 of Burmese. `characters`: the same number in every script, as CCNet."""

    def build(self, models: Path) -> Stage:
        """The stage; needs no model."""
        by_script = self.count == "by_script"
        surely = self.min_chars * max(CHARACTERS.values()) if by_script else self.min_chars

        def length(document: Document) -> Document | Dropped:
            if not document.paragraphs:
                return Dropped("only_duplicate_paragraphs")
            nchars = document.characters
            if nchars >= surely or (by_script and nchars >= self.least(document.text)):
                return document
            return Dropped("too_short")

        return each("length", length)

    def least(self, text: str) -> float:
        """The fewest characters of a text, in the script of this one."""
        return self.min_chars * (CHARACTERS.get(count_scripts(text).name, 1.0) if self.count == "by_script" else 1)
