"""What a run made of the demo's crawl, held against the sidecar.

Four shares, each with its counts, and what each means:

- *language*: of the kept pages whose truth names a language (unique ones and copies), those whose label is that
  language. Kept junk has no right label and stays out of this share; it is counted apart.
- *exact*, *near*: of the planted copies that reached deduplication, those that were dropped as duplicates. A copy
  that was dropped for another reason or quarantined says nothing about deduplication; it is counted apart.
- *unique*: of the unique, undamaged pages, those that were dropped as duplicates: here the fewer the better.

A reason says duplicate when it contains that word, or is `recapture`; give `is_duplicate` where a pipeline speaks
otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cc100.demo.truth import TruthPage, read_truth
from ccbuild.errors import LedgerError

__all__ = ["Outcome", "Share", "Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the pipeline did with one response record."""

    url: str | None
    """As the archive has it; None where the damage took it."""
    archive: str
    """Path or name; the name alone is compared."""
    offset: int
    """Byte offset of the record, which with the archive is its address."""
    kept: bool
    lang: str | None
    """The pipeline's label, when kept."""
    reason: str | None
    """Why it was dropped or quarantined; None when kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share with its counts and the bound that the demo holds it to."""

    name: str
    hits: int
    of: int
    bound: float
    at_most: bool = False
    """The bound is an upper one, not to be reached; else a lower one."""
    apart: int = 0
    """Pages that say nothing about this share."""

    @property
    def value(self) -> float:
        """hits / of; NaN when there is nothing to judge."""
        return self.hits / self.of if self.of else float("nan")

    @property
    def holds(self) -> bool:
        """Whether the bound is kept; false when there is nothing to judge."""
        return self.value < self.bound if self.at_most else self.value >= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The four shares and the counts beside them."""

    language: Share
    exact: Share
    near: Share
    unique: Share
    damaged_found: int
    """Damaged records that were neither kept nor called duplicates."""
    damaged: int
    """Damaged records in the crawl."""
    junk_kept: dict[str, int]
    """Kind of junk or of ``other`` to the number of its pages that were kept."""
    confused: dict[tuple[str, str], int]
    """(true language, label) to pages, the commonest first."""

    @property
    def shares(self) -> tuple[Share, ...]:
        """All four."""
        return self.language, self.exact, self.near, self.unique

    @property
    def holds(self) -> bool:
        """Whether every bound is kept and no damaged record passed for whole."""
        return all(share.holds for share in self.shares) and self.damaged_found == self.damaged

    def table(self) -> str:
        """The verdict in aligned lines, for people."""
        lines = [f"{'judged by the sidecar':<40}{'share':>9}{'pages':>14}  bound"]
        for share in self.shares:
            bound = f"{'<' if share.at_most else '>='} {share.bound:.0%} {'held' if share.holds else 'NOT HELD'}"
            apart = f" ({share.apart} more dropped for other reasons)" if share.apart else ""
            counts = f"{share.hits} of {share.of}"
            lines.append(f"{share.name:<40}{share.value:>9.2%}{counts:>14}  {bound}{apart}")
        lines.append(f"{'damaged records found':<49}{f'{self.damaged_found} of {self.damaged}':>14}")
        lines += [f"{f'kept {kind}':<49}{n:>14}" for kind, n in self.junk_kept.items()]
        lines += [f"{f'{lang} labelled {label}':<49}{n:>14}" for (lang, label), n in list(self.confused.items())[:5]]
        return "\n".join(lines)

    def to_mapping(self) -> dict[str, object]:
        """JSON-ready."""
        shares = {
            key: {"hits": share.hits, "of": share.of, "apart": share.apart, "bound": share.bound, "holds": share.holds}
            for key, share in zip(("language", "exact", "near", "unique"), self.shares, strict=True)
        }
        return {
            **shares,
            "damaged": {"found": self.damaged_found, "of": self.damaged},
            "junk_kept": self.junk_kept,
            "confused": [[lang, label, n] for (lang, label), n in self.confused.items()],
            "holds": self.holds,
        }


def judge(
    truth: Path | Iterable[TruthPage],
    outcomes: Iterable[Outcome],
    *,
    is_duplicate: Callable[[str], bool] = lambda reason: "duplicate" in reason or reason == "recapture",
) -> Verdict:
    """The verdict over all `outcomes`, one for each page of `truth`.

    Pages are matched by archive name and offset. Raises `LedgerError` when a page has no outcome, an outcome no
    page, or one page two outcomes: a run that loses records cannot be judged.
    """
    pages = read_truth(truth) if isinstance(truth, Path) else list(truth)
    paired = _paired(pages, outcomes)

    def duplicate(outcome: Outcome) -> bool:
        return not outcome.kept and outcome.reason is not None and is_duplicate(outcome.reason)

    def copies(name: str, kind: str, bound: float) -> Share:
        planted = [outcome for page, outcome in paired if page.kind == kind]
        decided = [outcome for outcome in planted if outcome.kept or duplicate(outcome)]
        hits = sum(map(duplicate, decided))
        return Share(name=name, hits=hits, of=len(decided), bound=bound, apart=len(planted) - len(decided))

    labels = [(page.lang, outcome.lang or "none") for page, outcome in paired if page.lang and outcome.kept]
    unique = [duplicate(outcome) for page, outcome in paired if page.kind == "unique" and not page.damaged]
    damaged = [not outcome.kept and not duplicate(outcome) for page, outcome in paired if page.damaged]
    junk = Counter(page.kind for page, outcome in paired if ":" in page.kind and outcome.kept)
    confused = Counter((lang, label) for lang, label in labels if lang != label)
    right = sum(lang == label for lang, label in labels)
    return Verdict(
        language=Share(name="kept pages in their true language", hits=right, of=len(labels), bound=0.90),
        exact=copies("planted exact duplicates removed", "exact_duplicate", 0.95),
        near=copies("planted near duplicates removed", "near_duplicate", 0.90),
        unique=Share(name="unique pages removed", hits=sum(unique), of=len(unique), bound=0.01, at_most=True),
        damaged_found=sum(damaged),
        damaged=len(damaged),
        junk_kept=dict(sorted(junk.items())),
        confused=dict(sorted(confused.items(), key=lambda item: (-item[1], item[0]))),
    )


def _paired(pages: Iterable[TruthPage], outcomes: Iterable[Outcome]) -> list[tuple[TruthPage, Outcome]]:
    """Each page with its outcome, in the truth's order."""
    found: dict[tuple[str, int], Outcome] = {}
    for outcome in outcomes:
        address = PurePosixPath(outcome.archive).name, outcome.offset
        if address in found:
            raise LedgerError(f"{address[0]} offset {address[1]} has two outcomes. Please report this line.")
        found[address] = outcome
    paired = []
    for page in pages:
        outcome_or_none = found.pop((page.archive, page.offset), None)
        if outcome_or_none is None:
            raise LedgerError(f"{page.archive} offset {page.offset} ({page.url}) has no outcome. Please report it.")
        paired.append((page, outcome_or_none))
    if found:
        archive, offset = min(found)
        raise LedgerError(f"{archive} offset {offset} has an outcome, but no page is there. Please report this line.")
    return paired
