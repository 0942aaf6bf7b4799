"""Where a run's models and texts come from, their digests and licences."""

from __future__ import annotations

from dataclasses import dataclass

from ccbuild import catalogue
from ccbuild.rundir import RunDir
from ccbuild.storage import read_manifest

__all__ = ["Origins", "PerplexityModel", "origins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerplexityModel:
    """An n-gram model of one language; None where its manifest does not say."""

    code: str
    source: str
    """What it learned from: ``prose``, ``bootstrap`` (the crawl itself), or ``given``: somebody else's."""
    characters: int | None
    """Of the text it was estimated from."""
    pieces: int | None
    ngrams: int | None
    nbytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """What a run took from elsewhere."""

    identifier: str
    """File name; empty before `prepare`."""
    identifier_sha256: str
    identifier_licence: str
    entries: tuple[catalogue.Entry, ...]
    """Of the catalogue, those whose bytes the run recorded."""
    models: tuple[PerplexityModel, ...]

    @property
    def nbytes(self) -> int:
        """Of all perplexity models together."""
        return sum(model.nbytes for model in self.models)


def origins(run: RunDir) -> Origins:
    """From the manifests of `prepare` and of the demo's crawl; entries are recognised by SHA-256, not by name."""
    units = run.manifests("prepare")
    identifier = units.pop("identifier", None)
    crawl = read_manifest(run.path("crawl"))
    taken = {value for m in (identifier, crawl) if m for value in m.inputs.values() if isinstance(value, str)}
    models = []
    for code, manifest in units.items():
        facts, outputs = manifest.facts, manifest.outputs
        if outputs:
            largest = max(outputs.values(), key=lambda output: (output["size"], output["sha256"]))
            ngrams = facts.get("ngrams")
            models.append(
                PerplexityModel(
                    code=code,
                    source=str(facts.get("source", "prose")),
                    characters=facts.get("characters"),
                    pieces=facts.get("pieces"),
                    ngrams=sum(ngrams) if isinstance(ngrams, list) else None,
                    nbytes=sum(output["size"] for output in outputs.values()),
                    sha256=largest["sha256"],
                )
            )
    name = next(iter(identifier.outputs), "") if identifier else ""
    return Origins(
        identifier=name,
        identifier_sha256=identifier.outputs[name]["sha256"] if identifier and name else "",
        identifier_licence=str(identifier.facts.get("licence", "")) if identifier else "",
        entries=tuple(entry for entry in catalogue.entries().values() if entry.sha256 in taken),
        models=tuple(models),
    )
