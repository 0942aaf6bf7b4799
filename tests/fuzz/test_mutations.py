"""Mutated archives lose nothing without a word: 500 cases in the suite, all 10,000 with ``--full``."""

from __future__ import annotations

import pytest

from tests.fuzz.warc_mutate import campaign


def check(count: int) -> None:
    tally = campaign(count, 7)
    assert tally.failures == []
    assert tally.untouched > 4 * count
    assert tally.share >= 0.99


def test_500_mutated_archives() -> None:
    check(500)


@pytest.mark.full
def test_10000_mutated_archives() -> None:
    check(10_000)
