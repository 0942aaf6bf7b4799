"""A novel without a line break is cut at its sentences: nothing of it is lost, and what is no novel stays whole."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.lm.estimate import EstimateConfig, estimate
from ccbuild.text.cut import LONGEST, cut_lines
from ccbuild.vocab.config import VocabularyConfig
from ccbuild.vocab.words import words_of


def novel(words: int, between: str, end: str, letters: str) -> str:
    """Words of two syllables, a sentence of twelve."""
    rng = random.Random(7)
    known = ["".join(rng.choices(letters, k=rng.randint(2, 5))) for _ in range(300)]
    drawn = rng.choices(known, [1 / n for n in range(1, 301)], k=words)
    return between.join(f"{word}{end if n % 12 == 11 else ''}" for n, word in enumerate(drawn))


LATIN, HAN = "abcdefghijklmnop", "的一是不了人我在有他这中大来上国"


@given(st.text(st.sampled_from("ab .。！\u0301"), max_size=200), st.integers(2, 20))
def test_nothing_is_lost_and_no_part_is_too_long(line: str, most: int) -> None:
    parts = list(cut_lines([line], most))
    assert "".join("".join(parts).split()) == "".join(line.split())
    assert max(map(len, parts)) <= most
    assert len(line) > most or parts == [line]


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("One two. Three four five six", ["One two.", "Three four", "five six"]),
        ("He said: “No.” Then 3.14 came", ["He said:", "“No.” Then", "3.14 came"]),
        ("他来了。她走了！雨停了，天晴了", ["他来了。她走了！", "雨停了，天晴了"]),
        ("यह एक है। वह दो है।", ["यह एक है।", "वह दो है।"]),
        ("abcdefghijklmnopqrstu", ["abcdefghijklmn", "opqrstu"]),
        ("abcdefghijklme\u0301fg", ["abcdefghijklm", "e\u0301fg"]),
    ],
)
def test_where_a_line_is_cut(line: str, parts: list[str]) -> None:
    assert list(cut_lines([line], 14)) == parts


def test_a_run_of_marks_takes_no_time_that_grows_with_its_square() -> None:
    """45 seconds, where each mark was tried as the first of what ends a sentence."""
    line = "word, word. " + "." * (10 * LONGEST) + " word"
    assert "".join(cut_lines([line])).replace(" ", "") == line.replace(" ", "")


def test_words_are_counted_as_before() -> None:
    line = novel(30_000, " ", ".", LATIN)
    parts = list(cut_lines([line]))
    assert len(parts) > 3
    assert all(part.endswith(".") for part in parts[:-1])
    one, many = (words_of(lines, VocabularyConfig()) for lines in ([line], parts))
    assert one.as_counter() == many.as_counter()


@pytest.mark.parametrize("text", [novel(240_000, "", "", HAN), novel(480_000, " ", ".", LATIN)], ids=["han", "latin"])
def test_a_novel_in_one_line_makes_a_model(in_folder: object, text: str) -> None:
    """Without a cut SentencePiece ends in an error for the first, and the sample of the other has nothing in it."""
    assert len(text.encode()) > 2_000_000
    config = EstimateConfig(order=2, pieces=400, sample_characters=60_000, tool="own")
    made = estimate([text], "novel", config)
    assert made.lines > len(text) // LONGEST
    assert made.characters > 0.99 * len(text) - made.lines
    assert made.tokens > 200_000
