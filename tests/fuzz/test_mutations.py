"""Mutated archives lose nothing without a word: 500 cases in the suite, all 10,000 with ``--full``."""

from __future__ import annotations

import pytest

from tests.fuzz.warc_mutate import Mutated, campaign, placed


def check(count: int) -> None:
    tally = campaign(count, 7)
    assert tally.failures == []
    assert tally.untouched > 4 * count
    assert tally.share >= 0.99


@pytest.mark.parametrize(
    ("origin", "place"),
    [
        ([-1, 2, 3, 4, 5, -1], (1, 5, True)),
        ([2, 3, 2, 3, 4, 5, 9], (2, 6, True)),
        ([2, 3, -1, 4, 5, 9], (0, 5, False)),
        ([7, 8, 9], None),
        ([2] * 200_000 + [3, 4, 5], (199_999, 200_003, True)),  # quadratic, this took minutes
    ],
)
def test_where_a_page_stands(origin: list[int], place: tuple[int, int, bool] | None) -> None:
    assert placed(Mutated(bytearray(b"a" * len(origin)), origin), 2, 6) == place


def test_500_mutated_archives() -> None:
    check(500)


@pytest.mark.full
def test_10000_mutated_archives() -> None:
    check(10_000)
