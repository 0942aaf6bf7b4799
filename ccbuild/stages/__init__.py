"""The stages of `refine`: our own, each a file here and a field below, and those that a recipe takes from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from ccbuild.errors import ConfigError, LedgerError
from ccbuild.ledger import Ledger
from ccbuild.stages.contract import Stage, StageConfig, each
from ccbuild.stages.language import LanguageConfig
from ccbuild.stages.length import LengthConfig
from ccbuild.stages.outside import OWN, FunctionStage, GivenInPython, open_stage, stage
from ccbuild.stages.perplexity import PerplexityConfig
from ccbuild.stages.snapshot import SnapshotConfig
from ccbuild.stages.source import source_digest

__all__ = [
    "FunctionStage",
    "LanguageConfig",
    "LengthConfig",
    "PerplexityConfig",
    "RefineConfig",
    "SnapshotConfig",
    "Stage",
    "StageConfig",
    "each",
    "stage",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineConfig:
    """What happens to the text that survived deduplication."""

    stages: tuple[str | Mapping[str, Any] | FunctionStage, ...] = OWN
    """The stages in their order: our own by their names, yours as ``package.module:Class`` or by the name of an entry
    point in the group ``ccbuild.stages``; settings of yours stand beside it: ``{use: package.module:Class, least: 3}``.
    """
    length: LengthConfig = field(default_factory=LengthConfig)
    """Shortest document."""
    language: LanguageConfig = field(default_factory=LanguageConfig)
    """Routing by fastText."""
    snapshot: SnapshotConfig = field(default_factory=SnapshotConfig)
    """Snapshots by language."""
    perplexity: PerplexityConfig = field(default_factory=PerplexityConfig)
    """Scores by KenLM."""

    def __post_init__(self) -> None:
        """Refuse an order that cannot work, with the reason."""
        known: dict[str, str] = {}
        own = Ledger()
        for name, config in self.configs():
            try:
                own.know(getattr(config, "reasons", {}))
            except LedgerError as error:
                raise ConfigError(f"refine.stages: {name}: {error}") from error
            for needed in getattr(config, "needs", ()):
                if needed not in known:
                    giver = next((n for n, c in self.configs() if needed in getattr(c, "gives", ())), None)
                    then = f"which {giver} gives: put it after {giver}" if giver else "and no stage gives it: add one"
                    raise ConfigError(f"refine.stages: {name} needs {needed} of a document, {then}.")
            known |= dict.fromkeys(getattr(config, "gives", ()), name)
        if "lang" not in known:
            raise ConfigError("refine.stages: no stage gives lang, by which a corpus is published. Add language.")
        names = [name for name, _ in self.configs()]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ConfigError(f"refine.stages names {twice} twice. Name it once.")

    def configs(self) -> list[tuple[str, StageConfig]]:
        """(name, settings) of each stage in its order; `ConfigError` where one from outside cannot be imported."""
        return [
            (entry, getattr(self, entry)) if isinstance(entry, str) and entry in OWN else _from_outside(entry)
            for entry in self.stages
        ]

    def outside(self) -> Iterator[tuple[str, StageConfig]]:
        """(name, settings) of each stage that is not ours."""
        ours = [getattr(self, name) for name in OWN]
        return ((name, config) for name, config in self.configs() if not any(config is own for own in ours))

    def sources(self) -> dict[str, str]:
        """Name of each stage from outside to the digest of its source, as this process has it."""
        return {
            name: config.digest() if isinstance(config, FunctionStage) else source_digest(type(config))
            for name, config in self.outside()
            if not isinstance(config, GivenInPython)
        }

    def inputs(self) -> dict[str, Any]:
        """What units of `refine` depend on beside settings: the source of stages from outside, where there are any."""
        sources = self.sources()
        return {"stages": sources} if sources else {}

    def check(self) -> None:
        """Refuse stages that this process cannot run: `ConfigError`."""
        for _, config in self.outside():
            if isinstance(config, GivenInPython):
                config.build(Path())

    def build(self, models: Path) -> list[Stage]:
        """The stages, ready to run; `models` is the folder that `prepare` wrote."""
        outside = {name for name, _ in self.outside()}
        made = []
        for name, config in self.configs():
            stage = config.build(models)
            if name in outside:
                stage = replace(stage, reasons=dict(getattr(config, "reasons", {})), outside=True)
            made.append(stage)
        return made

    def with_stages(self, stages: tuple[str | Mapping[str, Any] | FunctionStage, ...]) -> RefineConfig:
        """The same with `stages` after the others; in their place, where `stages` names one of ours."""
        whole = any(isinstance(entry, str) and entry in OWN for entry in stages)
        return replace(self, stages=stages if whole else (*self.stages, *stages))


def _from_outside(entry: str | Mapping[str, Any] | FunctionStage) -> tuple[str, StageConfig]:
    config = open_stage(entry)
    if isinstance(config, FunctionStage | GivenInPython):
        return config.name, config
    return (entry if isinstance(entry, str) else str(cast(Mapping[str, Any], entry)["use"])), config
