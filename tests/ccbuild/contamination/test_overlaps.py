"""Whatever a document shares with a test item is found, however it is written; what it does not share is not."""

from __future__ import annotations

import itertools
import random
import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccbuild.contamination.account import Account
from ccbuild.contamination.benchmarks import Item
from ccbuild.contamination.overlaps import CHARACTERS, SURE, WHOLE, WORDS, Benchmarks
from ccbuild.dedup.words import MARK, TABLE_SIZE, WORD, character_classes

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


def letters(text: str) -> list[tuple[str, bool, bool]]:
    """(letter, whether a word begins at it, whether one goes on in it) of what is compared, in plain Python."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).replace("\u0131", "i")
    plain = re.sub("[\u1100-\u11ff]+", lambda jamo: unicodedata.normalize("NFC", jamo[0]), plain)
    found: list[tuple[str, bool, bool]] = []
    inside = False
    for c in plain:
        kind = int(character_classes()[ord(c)]) if ord(c) < TABLE_SIZE else 0
        skipped = c in "\u0640\u02bb\u02bc\ufe0f" or (kind == MARK and unicodedata.combining(c) in {7, 8, 30, 220, 230})
        if kind and not skipped:
            found.append((c, kind == WORD and not inside, kind == MARK or (kind == WORD and inside)))
        inside = kind == WORD or (inside and kind == MARK)
    return found


def held(item: str, document: str) -> bool:
    """Whether `document` holds `item`, by the rules of `overlaps` and by comparing each place with each."""
    first, second = letters(item), letters(document)
    if weight(first) < WHOLE:
        return False
    for i, j in itertools.product(range(len(first)), range(len(second))):
        size = words = 0
        for a, b in zip(first[i:], second[j:], strict=False):
            if a[0] != b[0]:
                break
            size, words = size + 1, words + (a[1] and b[1])
        words -= any(letter[2] for letter in (*first[i + size :][:1], *second[j + size :][:1]))
        if weight(first[i : i + size]) >= CHARACTERS or (words >= WORDS and size >= SURE) or size == len(first):
            return True
    return False


def weight(found: list[tuple[str, bool, bool]]) -> int:
    return sum(2 if re.match("[\u3041-\u9fff\uac00-\ud7a3]", letter[0]) else 1 for letter in found)


ALPHABETS = (
    "a b c ",  # words of a letter
    "aé, b\u0301ﬁßSsıI",
    "漢字か\u3099がｶﾞ",
    "가나 각\u1100\u1161",
    "अब ि् \u0902",
    "কো\u09c7\u09be ",
    "مح\u0640 \ufefb\u064e",
    "oʻo\u02bc '\u2764\ufe0f",
    "กำ ข",
)


@settings(max_examples=200)
@given(st.data())
def test_a_comparison_of_each_place_with_each_finds_the_same(data: st.DataObject) -> None:
    """Items of all lengths about the bounds, whole or in part, amid like text in which all else may chance to equal."""
    alphabet = data.draw(st.sampled_from(ALPHABETS))
    chance = random.Random(data.draw(st.integers(0, 1 << 32)))
    size = data.draw(st.integers(10, 30) | st.integers(40, 80))
    item = "".join(chance.choices(alphabet, k=size))
    start, end = sorted(chance.choices(range(size + 1), k=2)) if chance.random() < 0.5 else (0, size)
    around = ["".join(chance.choices(alphabet, k=chance.randrange(9))) for _ in range(2)]
    part = item[start:end]
    if chance.random() < 0.3:
        part = chance.choice([unicodedata.normalize("NFD", part), unicodedata.normalize("NFC", part), part.upper()])
    document = part.join(around)
    assert bool(shared(index(item), document)) == held(item, document)


def test_a_short_item_of_ideographs_is_found_wherever_it_stands() -> None:
    """Of 13 characters a seed must be met at each of the places that a document may be asked at."""
    text = "".join(chr(0x4E00 + 7 * n) for n in range(16))
    for size, before in itertools.product(range(13, 17), range(12)):
        assert shared(index(text[:size]), "x" * before + text[:size] + "y") == [text[:size]], (size, before)


def test_few_characters_are_no_overlap_though_they_are_thirteen_words() -> None:
    """Numbers of pages stand everywhere."""
    numbers = " ".join(map(str, range(1, 15)))
    item = index(f"The pages {numbers} are those that were lost in the fire of that year, and nobody has a copy.")
    for before in range(12):
        assert shared(item, f"{'x ' * before}page {numbers} next") == []


@pytest.mark.parametrize(
    ("written", "other"),
    [
        ("eine große Straße", "EINE GROSSE STRASSE"),
        ("the ﬁrst ofﬁce", "the first office"),
        ("kadın sığır", "KADIN SIĞIR"),
        ("oʻzbek soʻzi", "o'zbek so\u2018zi"),
        ("п\u02bcять об\u02bcєктів", "п'ять об\u2019єктів"),
        ("محـــمد", "محمد"),
        ("\ufefb شيء", "لا شيء"),
        ("보도했다", unicodedata.normalize("NFD", "보도했다")),
        ("কোথায়", unicodedata.normalize("NFD", "কোথায়")),
        ("ｶﾞｷﾞ", "ガギ"),
        ("ok \u2764\ufe0f yes", "ok yes"),
    ],
)
def test_one_text_in_two_spellings(written: str, other: str) -> None:
    amid = ("the words that stand before it and ", " the words that stand behind it")
    assert shared(index(written.join(amid)), f"so {other.join(amid)}.") == [other.join(amid)]
