"""Head, middle, tail."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.lm.cutoffs import Cutoffs, bucket, cutoffs


@pytest.mark.parametrize("n", [30, 31, 32, 300, 3001])
def test_thirds(n: int) -> None:
    perplexities = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
    cuts = cutoffs(perplexities)
    sizes = Counter(bucket(p, cuts) for p in perplexities.tolist())
    assert sizes["head"] == n // 3
    assert sizes["head"] + sizes["middle"] == 2 * n // 3
    assert sizes.total() == n


def test_ccnets_own_shares() -> None:
    assert cutoffs(np.arange(1.0, 101.0), 0.3, 0.6) == Cutoffs(31.0, 61.0, 100)
    assert cutoffs(np.arange(1.0, 101.0), 0.29, 0.57) == Cutoffs(30.0, 58.0, 100)  # 100 * 0.29 is 28.999…


@given(st.lists(st.floats(1, 1e6), min_size=30, max_size=60), st.randoms())
def test_order_does_not_matter(values: list[float], rng: object) -> None:
    shuffled = list(values)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert cutoffs(np.array(values)) == cutoffs(np.array(shuffled))
    cuts = cutoffs(np.array(values))
    assert sum(bucket(v, cuts) == "head" for v in values) <= len(values) / 3


def test_ties_fall_to_the_worse_side() -> None:
    cuts = cutoffs(np.full(50, 7.0))
    assert cuts == Cutoffs(7.0, 7.0, 50)
    assert bucket(7.0, cuts) == "tail"
    assert bucket(6.9, cuts) == "head"


def test_few_documents_have_no_cutoffs() -> None:
    assert cutoffs(np.arange(29.0)) is None
    assert cutoffs(np.array([]), min_documents=0) is None
    assert cutoffs(np.arange(29.0), min_documents=29) is not None
    assert bucket(12.0, None) == "all"


def test_no_model_and_no_text() -> None:
    values = np.append(np.arange(30.0), [np.nan, np.inf])
    cuts = cutoffs(values)
    assert cuts is not None
    assert cuts.n == 31
    assert bucket(float("nan"), cuts) == bucket(None, cuts) == "all"
    assert bucket(float("inf"), cuts) == "tail"


def test_shares_out_of_order() -> None:
    with pytest.raises(ValueError, match=r"0 < head < middle < 1"):
        cutoffs(np.arange(50.0), 0.6, 0.3)
