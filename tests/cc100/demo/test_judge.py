"""Each share of the verdict moves when, and only when, what it measures does."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from cc100.demo.judge import Outcome, judge
from cc100.demo.truth import TruthPage
from ccbuild.errors import LedgerError


def page(number: int, kind: str = "unique", lang: str | None = "de", damaged: str | None = None) -> TruthPage:
    return TruthPage(
        url=f"https://a.example/{number}",
        archive="x.warc.gz",
        offset=number,
        length=1,
        status=200,
        mime="text/html",
        kind=kind,
        lang=lang,
        similarity=None,
        charset="utf-8",
        charset_case="utf8_meta",
        template="news",
        paragraphs=5,
        nchars=500,
        notice=False,
        damaged=damaged,
        duplicate_of="https://a.example/0" if "duplicate" in kind else None,
    )


TRUTH = [
    *[page(n) for n in range(200)],
    *[page(n, "exact_duplicate") for n in range(200, 220)],
    *[page(n, "near_duplicate") for n in range(220, 240)],
    *[page(n, "junk:mixed", None) for n in range(240, 245)],
    page(245, damaged="truncated"),
    page(246, damaged="corrupted"),
]


def perfect() -> dict[int, Outcome]:
    """Outcomes of a run without a mistake, by offset."""
    outcomes = {}
    for p in TRUTH:
        reason = None
        if p.damaged:
            reason = "quarantined: bad gzip"
        elif p.kind != "unique":
            reason = p.kind if "duplicate" in p.kind else "too_short"
        outcomes[p.offset] = Outcome(
            url=p.url, archive=f"/in/{p.archive}", offset=p.offset, kept=not reason, lang="de", reason=reason
        )
    return outcomes


def kept(outcome: Outcome, lang: str = "de") -> Outcome:
    return replace(outcome, kept=True, reason=None, lang=lang)


def test_a_run_without_mistakes_holds() -> None:
    verdict = judge(TRUTH, perfect().values())
    assert verdict.holds
    assert [(s.hits, s.of) for s in verdict.shares] == [(200, 200), (20, 20), (20, 20), (0, 200)]
    assert "NOT" not in verdict.table()
    assert json.loads(json.dumps(verdict.to_mapping()))["holds"] is True


def test_wrong_labels() -> None:
    outcomes = perfect()
    for n in range(21):
        outcomes[n] = kept(outcomes[n], "nl")
    verdict = judge(TRUTH, outcomes.values())
    assert verdict.language.value == pytest.approx(179 / 200)
    assert not verdict.language.holds
    assert verdict.confused == {("de", "nl"): 21}
    assert "NOT HELD" in verdict.table()


@pytest.mark.parametrize(("first", "share", "allowed"), [(200, "exact", 1), (220, "near", 2)])
def test_copies_left_in(first: int, share: str, allowed: int) -> None:
    outcomes = perfect()
    for n in range(allowed):
        outcomes[first + n] = kept(outcomes[first + n])
    assert judge(TRUTH, outcomes.values()).holds
    outcomes[first + allowed] = kept(outcomes[first + allowed])
    verdict = judge(TRUTH, outcomes.values())
    assert not getattr(verdict, share).holds
    assert not verdict.holds


def test_copies_dropped_for_another_reason_are_counted_apart() -> None:
    outcomes = perfect()
    for n in range(200, 210):
        outcomes[n] = replace(outcomes[n], reason="too_short")
    verdict = judge(TRUTH, outcomes.values())
    assert (verdict.exact.hits, verdict.exact.of, verdict.exact.apart) == (10, 10, 10)


def test_unique_pages_taken_for_duplicates() -> None:
    outcomes = perfect()
    outcomes[0] = replace(outcomes[0], kept=False, reason="near_duplicate")
    assert judge(TRUTH, outcomes.values()).holds
    outcomes[1] = replace(outcomes[1], kept=False, reason="near_duplicate")
    verdict = judge(TRUTH, outcomes.values())
    assert (verdict.unique.hits, verdict.unique.of, verdict.unique.holds) == (2, 200, False)


def test_kept_junk_is_told_and_not_judged() -> None:
    outcomes = perfect()
    outcomes[240] = kept(outcomes[240], "fr")
    verdict = judge(TRUTH, outcomes.values())
    assert verdict.junk_kept == {"junk:mixed": 1}
    assert verdict.language.of == 200
    assert verdict.holds


def test_a_damaged_record_that_passed_for_whole() -> None:
    outcomes = perfect()
    outcomes[245] = kept(outcomes[245])
    verdict = judge(TRUTH, outcomes.values())
    assert (verdict.damaged_found, verdict.damaged, verdict.holds) == (1, 2, False)


def test_nothing_to_judge_does_not_hold() -> None:
    outcomes = {n: replace(o, kept=False, reason="too_short") for n, o in perfect().items()}
    verdict = judge(TRUTH, outcomes.values())
    assert math.isnan(verdict.language.value)
    assert not verdict.holds


def test_lost_and_invented_records_are_errors() -> None:
    outcomes = perfect()
    lost = outcomes.pop(7)
    with pytest.raises(LedgerError, match=r"offset 7 .* has no outcome"):
        judge(TRUTH, outcomes.values())
    with pytest.raises(LedgerError, match="offset 999 has an outcome"):
        judge(TRUTH, [*outcomes.values(), lost, replace(lost, offset=999)])
    with pytest.raises(LedgerError, match="two outcomes"):
        judge(TRUTH, [*outcomes.values(), lost, lost])
