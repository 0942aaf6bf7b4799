"""Keep, for each language, only documents of the snapshots that the recipe names for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ccbuild.records import Document, Dropped
from ccbuild.stages.contract import Stage, each

__all__ = ["SnapshotConfig", "snapshot_of"]

_SNAPSHOT = re.compile(r"CC-MAIN-\d{4}-\d{2}(?!\d)")


def snapshot_of(archive: str) -> str | None:
    """The Common Crawl snapshot in an archive's name; None for archives that are not Common Crawl's.

    >>> snapshot_of("CC-MAIN-2018-51/segments/1544376823009.19/warc/CC-MAIN-20181209185547-00000.warc.gz")
    'CC-MAIN-2018-51'
    >>> snapshot_of("CC-MAIN-20181209185547-20181209211547-00000.warc.gz") is None
    True
    """
    found = _SNAPSHOT.search(archive)
    return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotConfig:
    """Snapshots by language. XLM-R (1911.02116, section 3.1): one snapshot for English, twelve for the others."""

    default: tuple[str, ...] = ()
    """Snapshots of every language that `languages` does not name; empty: all."""
    languages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Language code to its snapshots."""

    needs: ClassVar[tuple[str, ...]] = ("lang",)
    """Fields of a document that a stage before must have filled in."""

    def build(self, models: Path) -> Stage:
        """The stage; needs no model. Archives that name no snapshot are the user's own and always pass."""

        def snapshot(document: Document) -> Document | Dropped:
            allowed = self.languages.get(document.lang or "", self.default)
            name = snapshot_of(document.archive)
            if not allowed or name is None or name in allowed:
                return document
            return Dropped("other_snapshot")

        return each("snapshot", snapshot)
