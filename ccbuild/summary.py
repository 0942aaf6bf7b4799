"""What came in and where it went: the numbers of a run, from its manifests alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ccbuild.langid.codes import CC100
from ccbuild.ledger import Ledger
from ccbuild.missing import Missing, missing_units
from ccbuild.plural import many
from ccbuild.progress import visible
from ccbuild.reasons import in_words, meaning
from ccbuild.rundir import RunDir
from ccbuild.warc.resync import Damage

DAMAGE_LINES = 20
"""Damaged ranges that a terminal shows."""
MISSING_LINES = 10
"""Missing units that a terminal shows."""

__all__ = ["LanguageRow", "Loss", "Summary", "incomplete", "summarise", "table"]


@dataclass(frozen=True, slots=True)
class Loss:
    """Pages that ended at one point of the way."""

    verb: str
    reason: str
    meaning: str
    """What the reason means; empty where a stage of the user's gave it and did not say."""
    pages: int
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class LanguageRow:
    """One language of the corpus."""

    code: str
    name: str
    documents: int
    characters: int
    tokens: int
    buckets: dict[str, int]
    cutoffs: dict[str, float] | None


@dataclass(slots=True)
class Summary:
    """A whole run. ``pages_in = kept + sum of losses`` once `publish` is done."""

    missing: list[Missing] = field(default_factory=list)
    """Units that are not done: everything below is of the rest."""
    pages_in: int = 0
    losses: list[Loss] = field(default_factory=list)
    kept: int = 0
    paragraphs: dict[str, Any] = field(default_factory=dict)
    """The account of paragraphs in `refine`."""
    tokens: int = 0
    languages: list[LanguageRow] = field(default_factory=list)
    damage: list[dict[str, Any]] = field(default_factory=list)
    """Damaged ranges: archive, offset, length, cause."""
    archives: int = 0
    nbytes: int = 0

    @property
    def difference(self) -> int:
        """pages_in less everything that is accounted for; 0 when the books balance."""
        return self.pages_in - self.kept - sum(loss.pages for loss in self.losses)


def summarise(run: RunDir) -> Summary:
    """Add up the manifests of a run's verbs, as far as it has come."""
    summary = Summary(missing=missing_units(run))
    ledgers: dict[str, Ledger] = {}
    facts: dict[str, dict[str, Any]] = {"publish": {}, "encode": {}}
    own: dict[str, str] = {}
    for verb in ("extract", "refine", "publish", "encode"):
        ledger = ledgers[verb] = Ledger()
        for entry in run.entries(verb):
            ledger.add(entry.accounts)
            found = entry.facts
            if verb in facts:
                facts[verb][entry.unit] = found
            summary.archives += len(found.get("archives", ()))
            summary.damage += found.get("damage", ())
            own |= found.get("reasons", {})
    summary.nbytes = ledgers["extract"]["bytes"].seen
    records = ledgers["extract"]["records"]
    no_page = sum(n for reason, n in records.dropped.items() if reason.startswith("record:"))
    summary.pages_in = records.seen - no_page
    for verb, account in (("extract", records), ("refine", None), ("publish", None)):
        account = account or ledgers[verb]["documents"]
        drops = sorted((r, n) for r, n in account.dropped.items() if n and not r.startswith("record:"))
        summary.losses += [Loss(verb, r, meaning(r, own), n) for r, n in drops]
        lost = sorted((r, n) for r, n in account.quarantined.items() if n)
        summary.losses += [Loss(verb, r, meaning(r, own), n, quarantined=True) for r, n in lost]
        if account.seen:
            summary.kept = account.kept
            summary.pages_in = summary.pages_in or account.seen  # imported text has no archives
    paragraphs = ledgers["refine"].to_mapping().get("paragraphs")
    summary.paragraphs = dict(paragraphs) if paragraphs else {}
    summary.tokens = ledgers["encode"]["tokens"].kept
    for code, said in facts["publish"].items():
        if said["documents"]:
            tokens = facts["encode"][code]["tokens"] if code in facts["encode"] else 0
            summary.languages.append(
                LanguageRow(
                    code,
                    CC100.get(code, code),
                    said["documents"],
                    said["characters"],
                    tokens,
                    said["buckets"],
                    said["cutoffs"],
                )
            )
    summary.languages.sort(key=lambda row: (-row.documents, row.code))
    return summary


def table(summary: Summary, most: int = 12) -> str:
    """The summary as lines for a terminal; the `most` largest languages by name, the rest in one line."""
    lines = _missing_lines(summary.missing)
    if not (summary.archives or summary.pages_in):
        return "\n".join([*lines, "No archive is read yet: extract is the verb that does."])
    source = (
        f"{many(summary.archives, 'archive')}, {summary.nbytes / 1e6:.1f} MB" if summary.archives else "imported text"
    )
    lines += [source, f"{'pages in':<44}{summary.pages_in:>10,}"]
    for loss in summary.losses:
        what = "quarantined" if loss.quarantined else "dropped"
        lines.append(f"  {loss.verb + ': ' + in_words(loss.reason) + ' (' + what + ')':<42}{-loss.pages:>10,}")
    lines.append(f"{'kept':<44}{summary.kept:>10,}")
    lines.append(f"{'languages':<44}{len(summary.languages):>10,}")
    columns = ["documents", "characters"]
    if summary.tokens:
        lines.append(f"{'tokens':<44}{summary.tokens:>10,}")
        columns.append("tokens")
    if summary.languages:
        lines += ["", f"{'language':<26}" + "".join(f"{name:>12}" for name in columns)]
    for row in summary.languages[:most]:
        numbers = "".join(f"{getattr(row, name):>12,}" for name in columns)
        lines.append(f"{row.code + ' ' + row.name:<26}{numbers}")
    rest = summary.languages[most:]
    if rest:
        numbers = "".join(f"{sum(getattr(row, name) for row in rest):>12,}" for name in columns)
        lines.append(f"{f'{len(rest)} more':<26}{numbers}")
    for entry in summary.damage[:DAMAGE_LINES]:
        damage = Damage(entry["offset"], entry["length"], entry["cause"], entry.get("saved", 0))
        lines.append(visible(f"damaged: {entry['archive']} {damage}"))
    if len(summary.damage) > DAMAGE_LINES:
        lines.append(f"damaged: {len(summary.damage) - DAMAGE_LINES:,} more, all in summary.json")
    return "\n".join(lines)


def _missing_lines(missing: Sequence[Missing]) -> list[str]:
    """What a run lacks, and an empty line; nothing for a run that is whole."""
    if not missing:
        return []
    more = [f"  and {len(missing) - MISSING_LINES:,} more"] if len(missing) > MISSING_LINES else []
    return [incomplete(missing), *(f"  {visible(str(each))}" for each in missing[:MISSING_LINES]), *more, ""]


def incomplete(missing: Sequence[Missing]) -> str:
    """The sentence with which everything opens that is said of a run with a hole.

    >>> incomplete([Missing("extract", "part-00001", "InputError: gone", ("b.warc.gz",))])
    'NOT WHOLE: 1 unit (1 archive) is missing, and all that follows is of the rest:'
    """
    archives = len({name for each in missing for name in each.archives})
    held = f" ({many(archives, 'archive')})" if archives else ""
    are = "is" if len(missing) == 1 else "are"
    return f"NOT WHOLE: {many(len(missing), 'unit')}{held} {are} missing, and all that follows is of the rest:"
