"""Cleaning: the quick test for text that is clean already says what the slow way would do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.text.clean import paragraphs
from ccbuild.text.kernels.clean import uncleanness


def cleaned(text: str) -> list[str]:
    """The paragraphs of `text`, made line by line: a control character spoils the quick test for all of it."""
    return paragraphs(text + "\n\x00")


def quick(text: str) -> bool:
    return not uncleanness(np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8))


def test_every_character_is_cleaned_alike_alone_and_in_a_line() -> None:
    for code in range(0x11000):
        for text in (f"one{chr(code)}two", f"{chr(code)}one", f"one two{chr(code)}"):
            assert quick(text) == (cleaned(text) == text.split("\n")), hex(code)


@given(st.text(st.sampled_from("ab \t\n\r\xa0\u3000\x00\u200c\x85あ\ufeff"), min_size=3))
def test_quick_and_slow_agree(text: str) -> None:
    assert paragraphs(text) == cleaned(text)
    assert quick(text) == (cleaned(text) == text.split("\n"))


@pytest.mark.parametrize("text", ["", "a", "ab", "é", " ", "\n", "\ud800"])
def test_short_texts(text: str) -> None:
    assert paragraphs(text) == cleaned(text) == ([text] if text.isalpha() else [])
