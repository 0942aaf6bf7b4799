"""Where everything went, as rows of a waterfall: what came in, each loss by its reason, what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["MEANINGS", "Account", "Bar", "page_account", "paragraph_account", "place", "reason_name"]

MEANINGS: dict[str, str] = {
    "http_status": "the server answered with something else than 200",
    "not_html": "an image, a PDF, JSON: nothing that holds a page's text",
    "empty_payload": "no bytes after the header",
    "empty_text": "no text once menus and markup are gone",
    "too_many_lines": "a list of very many very short lines",
    "short_page": "too few characters, repeated paragraphs counted in",
    "over_long": "a line longer than any sentence: a data dump",
    "only_over_long_paragraphs": "nothing but such lines",
    "damaged_member": "bytes that could not be decompressed",
    "truncated_member": "the file ends in the middle of a record",
    "exact_duplicate": "the same text as an earlier page",
    "near_duplicate": "almost the same text as an earlier page (MinHash)",
    "recapture": "the same address fetched again, with the same text or almost",
    "duplicate_paragraph": "a paragraph that stands on an earlier page",
    "only_duplicate_paragraphs": "nothing left once repeated paragraphs are gone",
    "too_short": "too few characters once repeated paragraphs are gone",
    "no_letters": "numbers and signs only",
    "language_unsure": "the identifier is not sure enough of any language",
    "other_language": "a language that was not asked for",
    "other_snapshot": "this language is taken from other snapshots",
    "bucket_head": "a perplexity bucket that is not published",
    "bucket_middle": "a perplexity bucket that is not published",
    "bucket_tail": "a perplexity bucket that is not published",
    "bucket_all": "no perplexity, and such documents are not published",
}
"""Reason to what it means, for people."""

_PLACES = {reason: place for place, reason in enumerate(MEANINGS)}

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


def reason_name(reason: str) -> str:
    """A drop reason as words."""
    return reason.replace("_", " ")


def place(reason: str) -> tuple[int, str]:
    """Where a reason stands among the others: in the order in which the stages ask."""
    return _PLACES.get(reason, len(_PLACES)), reason


def _fall(seen: int, left: int, reason: str, count: int, quarantined: bool) -> Bar:
    scale = 100 / max(seen, 1)
    return Bar(
        kind="quarantine" if quarantined else "drop",
        label=reason_name(reason),
        note=MEANINGS.get(reason, ""),
        count=count,
        start=max(left - count, 0) * scale,
        width=count * scale,
    )


def _level(seen: int, left: int, kind: Literal["in", "left", "kept"], label: str) -> Bar:
    return Bar(kind=kind, label=label, count=left, width=100 * left / max(seen, 1))


def page_account(summary: Mapping[str, Any]) -> Account:
    """Pages, stage by stage and reason by reason, from ``summary.json``."""
    seen, left = summary["pages_in"], summary["pages_in"]
    losses: Sequence[Mapping[str, Any]] = summary["losses"]
    bars = [_level(seen, seen, "in", "pages in the archives")]
    verbs = list(dict.fromkeys(loss["verb"] for loss in losses))
    losses = sorted(losses, key=lambda loss: (loss["quarantined"], place(loss["reason"])))
    for verb in verbs:
        title, names, after = _STAGES.get(verb, (verb.capitalize(), verb, f"after {verb}"))
        bars.append(Bar(kind="stage", label=title, note=names))
        for loss in (loss for loss in losses if loss["verb"] == verb):
            bars.append(_fall(seen, left, loss["reason"], loss["pages"], loss["quarantined"]))
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
    seen, left = account["seen"], account["seen"]
    bars = [_level(seen, seen, "in", "paragraphs of pages with text")]
    for kind, quarantined in (("dropped", False), ("quarantined", True)):
        for reason, count in sorted(account[kind].items(), key=lambda item: place(item[0])):
            bars.append(_fall(seen, left, reason, count, quarantined))
            left -= count
    bars.append(_level(seen, account["kept"], "kept", "paragraphs kept"))
    dropped, quarantined_ = sum(account["dropped"].values()), sum(account["quarantined"].values())
    return Account(seen=seen, kept=account["kept"], dropped=dropped, quarantined=quarantined_, bars=tuple(bars))
