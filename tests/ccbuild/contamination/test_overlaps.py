"""Whatever a document shares with a test item is found, however it is written; what it does not share is not."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccbuild.contamination.account import Account
from ccbuild.contamination.benchmarks import Item
from ccbuild.contamination.overlaps import CHARACTERS, SURE, WHOLE, WORDS, Benchmarks

ITEM = "Marie Skłodowska discovered polonium in 1898, and was the first person who won the Nobel prize in two sciences."


def index(*texts: str) -> Benchmarks:
    return Benchmarks(Item("trial", "en", text) for text in texts)


def shared(benchmarks: Benchmarks, document: str) -> list[str]:
    return [overlap.shared(document) for overlap in benchmarks.find([document])]


def spaced(text: str, chance: random.Random) -> str:
    return "".join(c + chance.choice(["", "\n", " - ", "\u00ad"]) if c == " " else c for c in text)


def doubled(text: str, chance: random.Random) -> str:
    return text.replace(" ", chance.choice(["  ", "\t", ", ", " \u201c", "\u3000"]))


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "as it is": lambda text, _: text,
    "capitals": lambda text, _: text.upper(),
    "decomposed": lambda text, _: unicodedata.normalize("NFD", text),
    "without accents": lambda text, _: "".join(
        c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn"
    ),
    "full width": lambda text, _: text.translate({n: n + 0xFEE0 for n in range(0x21, 0x7F)}),
    "other punctuation": lambda text, _: text.replace(",", " --").replace(".", "!?").replace("'", "\u2019"),
    "other spaces": doubled,
    "broken lines": spaced,
}


@pytest.mark.parametrize("change", CHANGES)
def test_items_are_found_however_they_are_written(change: str) -> None:
    """100 items of several lengths, in the middle of other text: all of them, and no other."""
    chance = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyzäéñøşž"
    vocabulary = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(3000)]
    items = [" ".join(chance.choices(vocabulary, k=chance.randint(12, 40))).capitalize() + "." for _ in range(100)]
    benchmarks = index(*items)
    documents = [
        f"{' '.join(chance.choices(vocabulary, k=50))} {CHANGES[change](item, chance)} and "
        f"{' '.join(chance.choices(vocabulary, k=50))}"
        for item in items
    ]
    found = {(overlap.document, overlap.item) for overlap in benchmarks.find(documents)}
    assert found == {(n, n) for n in range(100)}


def test_what_is_shared_is_told_as_the_document_has_it() -> None:
    document = f"Before. {ITEM[20:90].upper()}\n\u2026 and after."
    assert shared(index(ITEM), document) == [ITEM[20:90].upper().strip()]


def test_the_bounds() -> None:
    letters = "".join(c for c in ITEM if c.isalnum()).lower()
    one = index(letters)
    assert shared(one, f"x {letters[7 : 7 + CHARACTERS]} y") == [letters[7 : 7 + CHARACTERS]]
    assert shared(one, f"x {letters[7 : 7 + CHARACTERS - 1]} y") == []
    words = [f"w{n}" for n in range(40)]
    many = index(" ".join(words))
    assert shared(many, " ".join(["so", *words[3 : 3 + WORDS], "on"])) == [" ".join(words[3 : 3 + WORDS])]
    assert shared(many, " ".join(["so", *words[3 : 3 + WORDS - 1], "w150", "on"])) == []
    assert shared(index("a" * 5 + letters[: WHOLE - 5]), f"x {'a' * 5}{letters[: WHOLE - 5]} y") != []
    short = index(letters[: WHOLE - 1])
    assert short.short.tolist() == [True]
    assert shared(short, letters) == []


def test_an_ideograph_counts_as_two() -> None:
    item = "".join(chr(0x4E00 + 7 * n) for n in range(100))
    assert shared(index(item), f"x{item[11:36]}y") == [item[11:36]]
    assert shared(index(item), f"x{item[11:35]}y") == []


@settings(max_examples=60)
@given(st.integers(0, 400), st.integers(SURE, 200), st.integers(0, 40), st.integers(0, 9999))
def test_every_overlap_that_is_long_enough_is_found(first: int, size: int, before: int, seed: int) -> None:
    """Wherever it begins in the item and in the document."""
    chance = random.Random(seed)
    item = "".join(chance.choices("abcdefghij", k=600))
    part = item[first : first + size]
    document = "z" * before + part + "z" * 30
    found = shared(index(item), document)
    units = len(part)
    assert (part in found) == (units >= CHARACTERS)


def test_more_overlaps_at_one_place_than_there_is_room_for() -> None:
    items = [f"{ITEM} number {n}" for n in range(5000)]
    account = Account(index(*items))
    found = list(account.find([ITEM, "nothing of it", f"{ITEM} number 7"]))
    assert sorted((o.document, o.item) for o in found) == [(d, n) for d in (0, 2) for n in range(5000)]
    assert (account.documents, account.held) == (3, 2)
    assert account.rows() == [
        {"benchmark": "trial", "lang": "en", "items": 5000, "too_short": 0, "seen": 5000, "share": 1.0, "documents": 2}
    ]


def test_nothing_to_look_for_and_nothing_to_look_in() -> None:
    assert list(index().find(["text", ""])) == []
    assert list(index(ITEM).find([])) == []
    assert list(index(ITEM).find(["", "\ud800", "\U0010ffff" * 99])) == []
    assert index("", " ", "short", ITEM).short.tolist() == [True, True, True, False]
