"""The page: every part of it computed, then one template, then one file by rename."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ccbuild import __version__, reasons
from ccbuild.missing import missing_units
from ccbuild.report import figures, numbers, samples
from ccbuild.report.accounts import own_reasons, page_account, paragraph_account
from ccbuild.report.languages import Language, languages
from ccbuild.report.origins import origins
from ccbuild.report.perplexity import spreads
from ccbuild.report.training import Training, training
from ccbuild.rundir import RunDir, open_run_dir
from ccbuild.storage import write_bytes
from ccbuild.summary import incomplete, summarise

__all__ = ["render", "write_report"]

MULTIPLES = 12
"""Languages whose perplexity is drawn; the table has all."""
MOST_ROWS = 100
"""Most damaged ranges, and missing units, listed; the manifests of `extract` and the summary hold all."""


def write_report(root: Path) -> Path:
    """The report, from the files of the run in `root`; the same bytes for the same run.

    One file without any reference outside. Parts of a run that are not made yet are left out. Raises `InputError`
    where there is no run, `DataError` for a file that cannot be read, `StorageError` when the page cannot be written.
    Cost: one column of each language's table and a few rows of up to 16 shards are read: some seconds for 100,000
    documents in 109 languages.
    """
    run = open_run_dir(root)
    write_bytes(run.path("report"), render(run).encode("utf-8", "replace"))
    return run.path("report")


def render(run: RunDir) -> str:
    """The page as text."""
    summary = run.mapping("summary") or dataclasses.asdict(summarise(run))  # a run that was cut off has written none
    missing = missing_units(run)  # what was noted last, also where the summary is of an earlier day
    settings = run.settings()
    known = languages(run, summary, settings)
    vocabulary = run.manifest("vocab", "vocabulary")
    spread, trained = spreads(run, known), training(run)
    published = set(settings.get("publish.buckets", ["head", "middle", "tail", "all"]))
    return _template(own_reasons(summary)).render(
        version=__version__,
        # our own file, with nothing of a run in it
        style=Markup(_resource("style.css")),
        summary=summary,
        missing=missing,
        incomplete=incomplete(missing) if missing else "",
        pages=page_account(summary),
        paragraphs=paragraph_account(summary),
        verdict=run.mapping("verdict"),
        rows=MOST_ROWS,
        damage=summary["damage"][:MOST_ROWS],
        languages=known,
        totals={key: sum(getattr(row, key) for row in known) for key in ("documents", "characters")},
        size_chart=_size_chart(known),
        spreads=spread,
        multiples=[(s, figures.histogram(s)) for s in spread[:MULTIPLES]],
        unpublished=[b for b in ("head", "middle", "tail") if b not in published],
        share_chart=_share_chart(known),
        alpha=settings.get("vocab.alpha"),
        share_unit=settings.get("vocab.unit", "sentences"),
        fertility_chart=_fertility_chart(known),
        training=trained,
        curve=_curve(trained),
        heldout_chart=_heldout_chart(known, trained),
        kept=samples.kept_documents(run, known),
        dropped=samples.dropped_documents(run),
        repeated=samples.repeated_paragraphs(run),
        refused=samples.refused_pages(run),
        origins=origins(run),
        names={row.code: row.name for row in known},
        audits=run.audits(),
        evaluation=run.mapping("evaluation"),
        sieved=sieved if (sieved := settings.get("languages")) and "all" not in sieved else None,
        vocabulary_size=vocabulary.facts.get("size") if vocabulary else None,
        left_out=vocabulary.facts.get("left_out", {}) if vocabulary else {},
        settings=_sections(settings),
    )


def _resource(name: str) -> str:
    return (resources.files("ccbuild.report") / name).read_text(encoding="utf-8")


def _template(own: Mapping[str, str]) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        whole=numbers.whole,
        short=numbers.short,
        percent=numbers.percent,
        nbytes=numbers.nbytes,
        reason=reasons.in_words,
        meaning=lambda name: reasons.meaning(name, own),
    )
    return environment.from_string(_resource("template.html"))


def _sections(settings: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """First part of the key to (rest of the key, value as text)."""
    grouped: dict[str, list[tuple[str, str]]] = {}
    for key, value in settings.items():
        section, _, name = key.partition(".")
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        grouped.setdefault(section, []).append((name, text if text else "none"))
    return grouped


def _chart(rows: Sequence[Language], series: Sequence[figures.Series], **words: Any) -> Markup:
    return figures.rank_chart([row.code for row in rows], [row.name for row in rows], series, **words)


def _size_chart(rows: Sequence[Language]) -> Markup:
    series = figures.Series(name="characters", style="after", values=[row.characters for row in rows])
    label = "Characters of published text by language, on a logarithmic scale"
    return _chart(rows, [series], label=label, unit="characters", log=True)


def _share_chart(known: Sequence[Language]) -> Markup:
    rows = [row for row in known if row.before and row.after]
    rows.sort(key=lambda row: (-(row.before or 0), row.code))
    shares = [
        [100 * share if share else None for share in column]
        for column in ([r.before for r in rows], [r.after for r in rows])
    ]
    before = figures.Series(name="% of the text", style="before", values=shares[0])
    after = figures.Series(name="% drawn", style="after", values=shares[1])
    label = "Share of each language in the text and in what is drawn from it, percent, on a logarithmic scale"
    return _chart(rows, [before, after], label=label, unit="percent", log=True)


def _fertility_chart(known: Sequence[Language]) -> Markup:
    rows = sorted(
        (row for row in known if row.pieces_per_word is not None), key=lambda row: (row.pieces_per_word, row.code)
    )
    series = figures.Series(name="pieces per word", style="after", values=[row.pieces_per_word for row in rows])
    return _chart(rows, [series], label="Pieces per word by language", unit="pieces per word")


def _curve(trained: Training | None) -> Markup:
    if trained is None:
        return Markup("")
    label = f"Training loss over {trained.steps} updates, from {trained.first:.2f} to {trained.last:.2f} nats"
    return figures.curve(trained.curve, label=label, unit="nats per masked token", below="updates")


def _heldout_chart(known: Sequence[Language], trained: Training | None) -> Markup:
    if trained is None or not trained.after:
        return Markup("")
    rows = [row for row in known if row.code in trained.after]
    before = figures.Series(name="before", style="before", values=[trained.before[row.code] for row in rows])
    after = figures.Series(name="after", style="after", values=[trained.after[row.code] for row in rows])
    label = "Held-out loss by language, before and after training, nats per masked token"
    return _chart(rows, [before, after], label=label, unit="nats per masked token")
