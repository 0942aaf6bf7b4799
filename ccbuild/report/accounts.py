"""Where everything went, as rows of a waterfall: what came in, each loss by its reason, what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ccbuild.reasons import in_words, meaning, place

__all__ = ["Account", "Bar", "own_reasons", "page_account", "paragraph_account"]

_STAGES = {
    "extract": ("Reading the archives", "extract", "pages with text"),
    "refine": ("Removing duplicates, naming the language", "match, refine", "documents"),
    "publish": ("Choosing by perplexity", "publish", "documents published"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One row of a waterfall; `start` and `width` are percent of what came in."""

    kind: Literal["in", "stage", "drop", "quarantine", "left", "kept"]
    label: str
    note: str = ""
    count: int = 0
    start: float = 0.0
    width: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A balance and its rows: `seen` = `kept` + `dropped` + `quarantined` + `difference`."""

    seen: int
    kept: int
    dropped: int
    quarantined: int
    bars: tuple[Bar, ...]

    @property
    def difference(self) -> int:
        """What is not accounted for: 0 when the ledger balances."""
        return self.seen - self.kept - self.dropped - self.quarantined


def own_reasons(summary: Mapping[str, Any]) -> dict[str, str]:
    """Reason to meaning, as the run's summary has them: those of its user's stages are nowhere else."""
    return {loss["reason"]: loss.get("meaning", "") for loss in summary["losses"]}


def _fall(seen: int, left: int, reason: str, count: int, quarantined: bool, note: str) -> Bar:
    scale = 100 / max(seen, 1)
    return Bar(
        kind="quarantine" if quarantined else "drop",
        label=in_words(reason),
        note=note,
        count=count,
        start=max(left - count, 0) * scale,
        width=count * scale,
    )


def _level(seen: int, left: int, kind: Literal["in", "left", "kept"], label: str) -> Bar:
    return Bar(kind=kind, label=label, count=left, width=100 * left / max(seen, 1))


def page_account(summary: Mapping[str, Any]) -> Account:
    """Pages, stage by stage and reason by reason, from ``summary.json``."""
    seen, left, own = summary["pages_in"], summary["pages_in"], own_reasons(summary)
    losses: Sequence[Mapping[str, Any]] = summary["losses"]
    bars = [_level(seen, seen, "in", "pages in the archives")]
    verbs = list(dict.fromkeys(loss["verb"] for loss in losses))
    losses = sorted(losses, key=lambda loss: (loss["quarantined"], place(loss["reason"])))
    for verb in verbs:
        title, names, after = _STAGES.get(verb, (verb.capitalize(), verb, f"after {verb}"))
        bars.append(Bar(kind="stage", label=title, note=names))
        for loss in (loss for loss in losses if loss["verb"] == verb):
            note = meaning(loss["reason"], own)
            bars.append(_fall(seen, left, loss["reason"], loss["pages"], loss["quarantined"], note))
            left -= loss["pages"]
        if verb != verbs[-1]:
            bars.append(_level(seen, left, "left", after))
    bars.append(_level(seen, summary["kept"], "kept", "pages kept"))
    gone = {flag: sum(loss["pages"] for loss in losses if loss["quarantined"] is flag) for flag in (False, True)}
    return Account(seen=seen, kept=summary["kept"], dropped=gone[False], quarantined=gone[True], bars=tuple(bars))


def paragraph_account(summary: Mapping[str, Any]) -> Account | None:
    """Paragraphs of the pages that had text; None before `refine`."""
    account = summary.get("paragraphs")
    if not account or not account["seen"]:
        return None
    seen, left, own = account["seen"], account["seen"], own_reasons(summary)
    bars = [_level(seen, seen, "in", "paragraphs of pages with text")]
    for kind, quarantined in (("dropped", False), ("quarantined", True)):
        for reason, count in sorted(account[kind].items(), key=lambda item: place(item[0])):
            bars.append(_fall(seen, left, reason, count, quarantined, meaning(reason, own)))
            left -= count
    bars.append(_level(seen, account["kept"], "kept", "paragraphs kept"))
    dropped, quarantined_ = sum(account["dropped"].values()), sum(account["quarantined"].values())
    return Account(seen=seen, kept=account["kept"], dropped=dropped, quarantined=quarantined_, bars=tuple(bars))
