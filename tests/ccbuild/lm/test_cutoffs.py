"""Head, middle, tail."""

from __future__ import annotations

import math
import tracemalloc
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.errors import InputError
from ccbuild.lm.cutoffs import Cutoffs, CutoffTable, bucket, calibrate, cutoffs, interval, write_cutoffs


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


def test_percentiles_recover_known_quantiles() -> None:
    """Log-normal perplexities, the median 300: quantiles are 300 * exp(0.8 z)."""
    drawn = 300 * np.exp(0.8 * np.random.default_rng(1).standard_normal(20_000))
    z = {30: -0.524401, 60: 0.253347, 95: 1.644854}
    for row in calibrate("sw", np.append(drawn, np.nan), list(z)):
        truth = 300 * np.exp(0.8 * z[int(row.percentile)])
        assert row.low <= truth <= row.high
        assert row.perplexity == pytest.approx(truth, rel=0.03)
        assert row.high - row.low < 0.12 * truth
        assert row.documents == 20_000


@pytest.mark.parametrize(
    ("n", "share", "level"), [(40, 1 / 3, 0.95), (200, 0.3, 0.95), (200, 0.6, 0.8), (1000, 0.9, 0.9)]
)
def test_intervals_cover_at_the_stated_rate(n: int, share: float, level: float) -> None:
    """Uniform samples, so that the quantile is the share itself; not much wider than they must be, either."""
    rng = np.random.default_rng(n)
    trials = 2000
    bounds = [interval(np.sort(rng.random(n)), share, level) for _ in range(trials)]
    covered = sum(low <= share <= high for low, high in filter(None, bounds))
    error = 3 * (level * (1 - level) / trials) ** 0.5
    assert level - error < covered / trials < level + error + 1.5 / n**0.5 * (1 - level) ** 0.5


def test_samples_too_small_for_an_interval() -> None:
    assert interval(np.arange(3.0), 0.5) is None
    assert interval(np.arange(100.0), 0.001) is None
    with pytest.raises(InputError, match=r"sw: 29 scored documents are too few.*leave the language whole"):
        calibrate("sw", np.arange(29.0), [30])
    with pytest.raises(InputError, match="too few for the 99.9th"):
        calibrate("sw", np.arange(100.0), [99.9])
    with pytest.raises(InputError, match="100 is no percentile"):
        calibrate("sw", np.arange(100.0), [100])


def test_a_table_of_its_own(tmp_path: Path) -> None:
    values = np.arange(1.0, 301.0)
    rows = [*calibrate("sw", values, [60, 30]), *calibrate("ha", values * 2, [30, 60]), *calibrate("xh", values, [30])]
    write_cutoffs(tmp_path / "cutoffs.csv", rows)
    assert CutoffTable.read(tmp_path / "cutoffs.csv").at(0.3, 0.6) == {
        "ha": Cutoffs(182.0, 362.0, 300),
        "sw": cutoffs(values, 0.3, 0.6),
    }
    again = tmp_path / "again.csv"
    write_cutoffs(again, reversed(rows))
    assert again.read_bytes() == (tmp_path / "cutoffs.csv").read_bytes()


def test_ccnets_table(tmp_path: Path) -> None:
    """The form of cc_net's data/cutoff.csv; values made up."""
    path = tmp_path / "cutoff.csv"
    path.write_text(",af,ar\n0,10.5,20\n30,341.0,1005.5\n60,510.25,\n100,9e4,1e6\n")
    assert CutoffTable.read(path).at(0.3, 0.6) == {"af": Cutoffs(341.0, 510.25, 0)}
    assert CutoffTable.read(path).at(0.0, 0.3)["ar"] == Cutoffs(20.0, 1005.5, 0)


@pytest.mark.parametrize(
    "content", ["", "a,b\nx,y\n", "lang,percentile,perplexity,low,high,documents\nsw,30\n", ",af\n30,1\n"]
)
def test_files_that_are_no_tables(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cutoffs.csv"
    path.write_text(content)
    with pytest.raises(InputError, match="cutoffs"):
        CutoffTable.read(path).at(0.3, 0.6)


@given(
    st.lists(st.floats(allow_nan=True) | st.sampled_from([0.0, -0.0, 1.0, math.inf]), min_size=1, max_size=300),
    st.floats(0.01, 0.49),
)
def test_ranks_are_those_of_sorted_numbers(values: list[float], head: float) -> None:
    ordered = sorted(value for value in values if not math.isnan(value))
    with mock.patch("ccbuild.lm.cutoffs._CHUNK", 50):
        cuts = cutoffs(np.array(values), head, 0.5, min_documents=0)
    if not ordered:
        assert cuts is None
        return
    assert cuts is not None
    assert [cuts.head, cuts.middle] == [ordered[int(len(ordered) * share + 1e-9)] for share in (head, 0.5)]


@pytest.mark.parametrize("n", [30, 1000, 50_000])
@pytest.mark.parametrize("share", [0.01, 0.3, 1 / 3, 0.9])
def test_an_interval_is_that_of_all_binomial_ranks(n: int, share: float) -> None:
    """The reference adds up all of them; ours those near the quantile."""
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)]
    mass = np.exp([log + k * math.log(share) + (n - k) * math.log(1 - share) for k, log in enumerate(logs)])
    below = np.cumsum(mass)
    low, high = int(np.searchsorted(below, 0.025, side="right")), int(np.searchsorted(below, 0.975)) + 1
    expected = (float(low - 1), float(high - 1)) if low >= 1 and high <= n else None
    assert interval(np.random.default_rng(n).permutation(n).astype(np.float64), share) == expected


def test_numbers_in_a_file_stay_there(tmp_path: Path) -> None:
    """Four million of them, 32 MB."""
    np.random.default_rng(1).random(1 << 22).tofile(tmp_path / "values")
    values = np.memmap(tmp_path / "values", np.float64, "r")
    tracemalloc.start()
    try:
        cuts, bounds = cutoffs(values), interval(values, 1 / 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert cuts is not None
    assert bounds is not None
    assert bounds[0] < cuts.head < bounds[1]
    assert peak < 20 << 20
