"""The alpha plan: shares by hand, and what holds for any counts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.errors import ConfigError, InputError
from ccbuild.vocab.alpha import alpha_plan, repetition

COUNTS = st.dictionaries(st.text("abcdef", min_size=2, max_size=3), st.integers(0, 10**13)).filter(
    lambda counts: any(counts.values())
)


def test_shares_by_hand() -> None:
    # 4096 ** 0.3 = 12.1257325, 64 ** 0.3 = 3.4822022, 1 ** 0.3 = 1; their sum is 16.6079347
    plan = alpha_plan({"sw": 1, "en": 4096, "da": 64, "none": 0}, 0.3)
    assert list(plan) == ["da", "en", "sw"]
    assert plan == pytest.approx({"da": 0.2096710, "en": 0.7301168, "sw": 0.0602122}, abs=1e-7)


def test_repetition_by_hand() -> None:
    counts = {"en": 900, "sw": 100}
    assert repetition(counts, alpha_plan(counts, 0)) == pytest.approx({"en": 500 / 900, "sw": 5.0})
    assert repetition(counts, alpha_plan(counts, 1), total=4000) == pytest.approx({"en": 4.0, "sw": 4.0})


@given(counts=COUNTS, alpha=st.floats(0, 1))
def test_a_plan_adds_up_keeps_the_order_of_sizes_and_not_that_of_the_input(
    counts: dict[str, int], alpha: float
) -> None:
    plan = alpha_plan(counts, alpha)
    assert list(plan) == sorted(code for code, count in counts.items() if count)
    assert math.isclose(sum(plan.values()), 1)
    assert alpha_plan(dict(reversed(counts.items())), alpha) == plan
    by_size = sorted(plan, key=lambda code: counts[code])
    assert [plan[code] for code in by_size] == sorted(plan.values())
    # drawing shares of the total repeats every language as often as its share grew
    total = sum(counts.values())
    for code, times in repetition(counts, plan).items():
        assert math.isclose(times * counts[code] / total, plan[code])


@given(counts=COUNTS)
def test_the_ends_of_alpha(counts: dict[str, int]) -> None:
    assert len(set(alpha_plan(counts, 0).values())) == 1
    assert all(math.isclose(times, 1) for times in repetition(counts, alpha_plan(counts, 1)).values())


@pytest.mark.parametrize("alpha", [-0.01, 1.01, math.nan, math.inf])
def test_alpha_outside_0_to_1_is_refused(alpha: float) -> None:
    with pytest.raises(ConfigError, match="alpha is"):
        alpha_plan({"en": 1}, alpha)


def test_no_text_and_nonsense_are_refused() -> None:
    with pytest.raises(InputError, match="None of 2 languages has any text"):
        alpha_plan({"en": 0, "sw": 0}, 0.3)
    with pytest.raises(InputError, match="The count of sw is -1"):
        alpha_plan({"en": 5, "sw": -1}, 0.3)
    with pytest.raises(InputError, match="draws sw, which has no text"):
        repetition({"en": 5}, {"en": 0.5, "sw": 0.5})
