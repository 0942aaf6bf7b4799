"""Unseen characters go where no script needs them, letters are in form C, and whoever wants CCNet's bytes has them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.text.characters import tidy
from ccbuild.text.page import ExtractConfig, PageText, page_text

STAYS = [
    "می\u200cخواهم",  # Persian: the prefix does not join
    "क्\u200dष और क्\u200cष",  # Devanagari: half form, visible virama
    "ශ්\u200dරී",  # Sinhala: the conjunct of Sri
    "ന്\u200d",  # Malayalam: a chillu as it was written before Unicode 5.1
    "ᠬᠠᠯᠬ\u200dᠠ",  # Mongolian: the form of the letter
    "👩\u200d💻 👨\u200d👩\u200d👧 🏳️\u200d🌈 ❤️\u200d🔥 🧑🏽\u200d🚀",
    "ភាសា\u200bខ្មែរ",  # Khmer, Thai, Lao and Burmese: where a word ends
    "ภาษา\u200bไทย",
    "ພາສາ\u200bລາວ",
    "မြန်မာ\u200bဘာသာ",
    "œuvre déjà über ñandú Ελλάδα 한국어 が",
]
GOES = [
    ("un\xadbe\xadliev\xada\xadble", "unbelievable", {"soft_hyphen": 4}),
    ("har\u200bbour wa\u2060ter", "harbour water", {"zero_width": 2}),
    ("Auf\u200clage a\u200d\u200cb", "Auflage ab", {"zero_width": 2 + 1}),
    ("город\u200bской порт\u200d", "городской порт", {"zero_width": 2}),
    ("東京\u200bの\u200d港", "東京の港", {"zero_width": 2}),
    ("ខ្មែរ\u200b 2020\u200b, a\u200b\u200bb", "ខ្មែរ 2020, ab", {"zero_width": 3}),
    ("cafe\u0301 u\u0308ber", "café über", {"composed": 2}),
    ("\u1112\u1161\u11ab\u1100\u116e\u11a8", "한국", {"composed": 2}),
    ("q\u0307\u0323 \u2126", "q\u0323\u0307 Ω", {"composed": 2}),
    ("व\u0958त", "व\u0915\u093cत", {"composed": 1}),  # form C writes these apart
    ("no\xad\u0308el", "nöel", {"soft_hyphen": 1, "composed": 1}),
    ("a\u0316\u064b\u200d", "a\u064b\u0316", {"composed": 1, "zero_width": 1}),  # what form C puts beside a joiner
    ("a\u0316\u200b\u064b\u200d", "a\u064b\u0316", {"composed": 1, "zero_width": 2}),
]


@pytest.mark.parametrize("text", STAYS)
def test_what_a_script_needs_stays(text: str) -> None:
    assert tidy([text]) == ([text], {})


@pytest.mark.parametrize(("text", "left", "counts"), GOES)
def test_what_nobody_sees_goes_and_is_counted(text: str, left: str, counts: dict[str, int]) -> None:
    assert tidy([text, "", "harbour"]) == ([left, "", "harbour"], counts)
    assert tidy([left]) == ([left], {})


HARD = (
    "ab \xad\u200b\u200c\u200d\u2060\u0301\u0316\u0323\u0345\u0915\u093c\u0958\u094d\u0e01\u1781"
    "\u1100\u1161\u11a8\uac00\u0f71\u0f72\u2126\uf900\u0645\u064b👩"
)
"""Unseen characters, marks, and letters that compose, or are written otherwise, in one way or another."""


@given(st.lists(st.text(st.sampled_from(HARD) | st.characters(exclude_characters="\n", codec="utf-8"), max_size=20)))
def test_the_result_is_form_c_and_tidied_again_the_same(lines: list[str]) -> None:
    found, counts = tidy(lines)
    assert found == [unicodedata.normalize("NFC", line) for line in found]
    assert (found, {}) == tidy(found)
    assert len(found) == len(lines)
    assert all(counts.values())


def test_marks_without_end_are_left_as_they_are() -> None:
    piled = "a" + "\u0301\u0316" * 100_000
    assert tidy([piled, "e\u0301"]) == ([piled, "é"], {"composed": 1})


PAGE = "<p>The har&shy;bour mas&shy;ter said noth\u200bing.</p><p>\u200b</p><p>A \u200b cafe\u0301.</p>"


def found(characters: str, text: str = "all") -> PageText:
    config = ExtractConfig(text=text, characters=characters)  # type: ignore[arg-type]
    answer = page_text("response", 200, "text/html; charset=utf-8", PAGE.encode(), config)
    assert isinstance(answer, PageText)
    return answer


@pytest.mark.parametrize("text", ["all", "main", "resiliparse"])
def test_a_page_is_tidied(text: str) -> None:
    page = found("clean", text)
    assert page.paragraphs == ["The harbour master said nothing.", "A café."]
    assert page.characters["soft_hyphen"] == 2
    assert page.characters["composed"] == 1


def test_a_page_is_kept_as_it_stands_by_choice() -> None:
    page = found("keep")
    assert page.paragraphs == ["The har\xadbour mas\xadter said noth\u200bing.", "\u200b", "A \u200b cafe\u0301."]
    assert page.characters == {}


def test_a_page_of_nothing_that_is_seen_is_empty() -> None:
    assert page_text("response", 200, "text/html", "<p>\u200b\xad</p>".encode()) == "empty_text"
