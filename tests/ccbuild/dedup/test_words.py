"""Words and shingles: the four classes of characters, and where batches of texts end."""

from __future__ import annotations

import doctest
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.dedup import words as words_module
from ccbuild.dedup.words import MARK, PARTS, SINGLE, TABLE_SIZE, WORD, batches, character_classes, shingles, words


def test_doctests() -> None:
    assert doctest.testmod(words_module).failed == 0


@pytest.mark.parametrize(
    ("character", "expected"),
    [
        ("a", WORD),
        ("ß", WORD),
        ("7", WORD),
        ("٣", WORD),
        ("ク", SINGLE),
        ("字", SINGLE),
        ("\U00020000", SINGLE),
        ("々", SINGLE),
        ("한", WORD),
        ("ก", SINGLE),
        ("ກ", SINGLE),
        ("ក", SINGLE),
        ("က", SINGLE),
        ("ཀ", SINGLE),
        ("१", WORD),
        ("ি", MARK),
        ("\u0301", MARK),
        ("ิ", MARK),
        ("_", PARTS),
        (" ", PARTS),
        ("。", PARTS),
        ("・", PARTS),
        ("‍", PARTS),
        ("😀", PARTS),
        ("\ue000", PARTS),
    ],
)
def test_class_of_a_character(character: str, expected: int) -> None:
    assert character_classes()[ord(character)] == expected


def test_every_assigned_letter_has_a_class() -> None:
    """No letter, digit or mark of this Python's Unicode is left to part words, nor beyond the table."""
    classes = character_classes()
    for point in range(0x110000):
        if chr(point).isalnum():
            assert classes[point] in (WORD, SINGLE), hex(point)
        elif point < TABLE_SIZE:
            assert (classes[point] == MARK) == (unicodedata.category(chr(point)) in ("Mn", "Mc")), hex(point)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("... !?", []),
        ("Ein Wort", ["ein", "wort"]),
        ("cafe\u0301 noir", ["cafe\u0301", "noir"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("กินข้าว", ["กิ", "น", "ข้", "า", "ว"]),
        ("中文ABC字", ["中", "文", "abc", "字"]),
        ("❤\ufe0f ok", ["ok"]),
        ("\u0301a", ["a"]),
        ("ΟΔΟΣ", ["οδος"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_shingles_of_a_text_shorter_than_one() -> None:
    assert shingles("four words are few", 5) == []
    assert shingles("five words make one shingle", 5) == [b"five words make one shingle"]


@given(st.lists(st.text(max_size=8), max_size=12), st.integers(1, 20))
def test_batches_cover_the_texts_in_order(texts: list[str], max_chars: int) -> None:
    found = list(batches(texts, max_chars))
    assert [text for first, last in found for text in texts[first:last]] == texts
    assert all(sum(map(len, texts[first : last - 1])) < max_chars for first, last in found)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        character_classes()[0] = np.uint8(1)
