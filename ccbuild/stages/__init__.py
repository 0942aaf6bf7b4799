"""The stages of `refine`, in the order in which they run. A stage is one file here and one field below."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

from ccbuild.stages.language import LanguageConfig
from ccbuild.stages.length import LengthConfig
from ccbuild.stages.perplexity import PerplexityConfig
from ccbuild.stages.snapshot import SnapshotConfig
from ccbuild.stages.stage import Stage

__all__ = ["LanguageConfig", "LengthConfig", "PerplexityConfig", "RefineConfig", "SnapshotConfig", "Stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineConfig:
    """What happens to the text that survived deduplication, from top to bottom."""

    length: LengthConfig = field(default_factory=LengthConfig)
    """Shortest document."""
    language: LanguageConfig = field(default_factory=LanguageConfig)
    """Routing by fastText."""
    snapshot: SnapshotConfig = field(default_factory=SnapshotConfig)
    """Snapshots by language."""
    perplexity: PerplexityConfig = field(default_factory=PerplexityConfig)
    """Scores by KenLM."""

    def build(self, models: Path) -> list[Stage]:
        """The stages, ready to run; `models` is the folder that `prepare` wrote."""
        return [getattr(self, f.name).build(models) for f in fields(self)]
