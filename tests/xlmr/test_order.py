from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlmr.counter import mix, permute, uniform
from xlmr.order import CYCLE, Order


@given(st.integers(1, 300), st.integers(0, 2**32))
def test_permute_is_a_permutation(size: int, key: int) -> None:
    assert sorted(permute(np.arange(size), size, key).tolist()) == list(range(size))


def test_permutations_of_other_keys_differ_and_are_fair() -> None:
    # each of 5 places receives element 0 equally often over keys
    counts = np.bincount(permute(np.zeros(20_000, np.int64), 5, np.arange(20_000)), minlength=5)
    assert abs(counts - 4000).max() < 5 * np.sqrt(20_000 * 0.16)


def test_hashes_are_these_numbers_on_every_machine() -> None:
    # golden: another value here means that every run's order and masks change
    assert mix(1, 2, [3, 4]).tolist() == GOLDEN
    numbers = uniform(mix(9, np.arange(100_000)))
    assert numbers.mean() == pytest.approx(0.5, abs=0.005)
    assert 0 <= numbers.min() < numbers.max() < 1


def test_any_range_of_samples_is_the_same_as_in_one_piece() -> None:
    order = Order([5, 70, 3], [(0, [0.2, 0.7, 0.1])], seed=1)
    language, block = order.samples(0, 600)
    for first, count in ((0, 1), (37, 200), (599, 1)):
        part = Order([5, 70, 3], [(0, [0.2, 0.7, 0.1])], seed=1).samples(first, count)
        assert np.array_equal(part[0], language[first : first + count])
        assert np.array_equal(part[1], block[first : first + count])


def test_across_cycles() -> None:
    order = Order([50, 7], [(0, [0.75, 0.25])], seed=2)
    language, block = order.samples(CYCLE - 5, 10)
    again = [order.samples(i, 1) for i in range(CYCLE - 5, CYCLE + 5)]
    assert [int(a[0][0]) for a in again] == language.tolist()
    assert [int(a[1][0]) for a in again] == block.tolist()


def test_every_block_once_a_pass_and_passes_differ() -> None:
    order = Order([50, 7], [(0, [0.75, 0.25])], seed=2)
    language, block = order.samples(0, CYCLE + 1000)
    for index, blocks in enumerate((50, 7)):
        mine = block[language == index]
        passes = mine[: len(mine) // blocks * blocks].reshape(-1, blocks)
        assert (np.sort(passes, axis=1) == np.arange(blocks)).all()
    first, second = block[language == 0][:100].reshape(2, 50)
    assert not np.array_equal(first, second)


def test_languages_follow_their_shares() -> None:
    shares = np.array([1e-9, 0.1, 0.3, 0.6])
    order = Order([10] * 4, [(0, shares.tolist())], seed=3)
    language, _ = order.samples(0, CYCLE)
    counts = np.bincount(language, minlength=4)
    assert abs(counts - shares * CYCLE).max() <= 1  # exact over a cycle, and nobody is left out
    assert counts[0] == 1
    some = np.bincount(order.samples(5000, 10_000)[0], minlength=4) / 10_000
    assert abs(some - shares).max() < 5 * np.sqrt(0.24 / 10_000)


def test_seeking_lays_out_one_cycle_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    order, asked = Order([1000] * 100, [(0, [0.01] * 100)], seed=4), []
    lay_out = order._cycle
    monkeypatch.setattr(order, "_cycle", lambda *cycle: (asked.append(cycle), lay_out(*cycle))[1])
    language, block = order.samples(1_000_000 * 8192, 8192)
    assert asked == [(0, 1_000_000 * 8192 // CYCLE)]
    assert language.max() == 99
    assert 0 <= block.min() <= block.max() == 999


def test_phases_change_the_shares_and_passes_go_on() -> None:
    phases = [(0, [0.5, 0.5, 0.0]), (1000, [0.0, 0.2, 0.8]), (CYCLE + 5000, [1.0, 0.0, 0.0])]
    order = Order([50, 70, 9], phases, seed=5)
    language, block = order.samples(0, CYCLE + 6000)
    parts = [language[:1000], language[1000 : CYCLE + 5000], language[CYCLE + 5000 :]]
    counts = [np.bincount(part, minlength=3) / len(part) for part in parts]
    assert counts[0] == pytest.approx([0.5, 0.5, 0.0], abs=0.08)
    assert counts[1] == pytest.approx([0.0, 0.2, 0.8], abs=0.01)
    assert counts[2].tolist() == [1, 0, 0]
    for index, blocks in enumerate((50, 70, 9)):  # a pass is not begun anew by a phase
        mine = block[language == index]
        passes = mine[: len(mine) // blocks * blocks].reshape(-1, blocks)
        assert (np.sort(passes, axis=1) == np.arange(blocks)).all()
    for first in (0, 999, 1000, CYCLE + 999, CYCLE + 5000):
        part = Order([50, 70, 9], phases, seed=5).samples(first, 3)
        assert (part[0].tolist(), part[1].tolist()) == (
            language[first : first + 3].tolist(),
            block[first : first + 3].tolist(),
        )


def test_fairseq_draws_with_replacement_what_it_lifts() -> None:
    blocks = np.array([8000, 2000, 100])
    alpha = (blocks / blocks.sum()) ** 0.3
    shares = alpha / alpha.sum()
    order = Order(blocks.tolist(), [(0, shares.tolist())], seed=6, replacement=True)
    # fairseq: size_ratio = smoothed * total / length; an epoch holds ceil(length * size_ratio) of a language
    assert order.epochs.tolist() == np.ceil(shares * blocks.sum()).astype(int).tolist()
    language, block = order.samples(0, int(order.epochs.sum()))
    assert np.bincount(language) / len(language) == pytest.approx(shares.tolist(), abs=0.02)
    largest = block[language == 0]  # fewer draws than blocks: each at most once an epoch
    epoch = int(order.epochs[0])
    assert len(set(largest[:epoch].tolist())) == min(len(largest), epoch)
    smallest = block[language == 2]  # more draws than blocks: with replacement
    assert epoch < 8000
    assert len(smallest) > 1000
    drawn = np.bincount(smallest[:100], minlength=100)
    assert (drawn == 0).sum() == pytest.approx(100 / np.e, abs=15)


def test_a_million_steps_on_costs_what_the_first_does() -> None:
    order, calls = Order([100_000] * 100, [(0, [0.01] * 100)], seed=7), Counter[int]()
    for step in (0, 1_000_000):
        sys.setprofile(lambda *_, step=step: calls.update([step]))
        order.samples(step * 8192, 8192)
        sys.setprofile(None)
    assert calls[1_000_000] < 2 * calls[0]


GOLDEN = [16914669369030367833, 17055619374908645261]
