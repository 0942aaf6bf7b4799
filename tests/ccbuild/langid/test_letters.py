"""Text in another dress is the same text to the identifier: capitals, decomposed, full-width, mathematical letters."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from itertools import chain, pairwise

import numpy as np
import pytest

from ccbuild.langid import kernels
from ccbuild.langid.cascade import Cascade
from ccbuild.langid.corpus import catalogue_texts
from ccbuild.langid.letters import AS_IT_IS, MOST_CHARS, Folded, composed, fold, small
from ccbuild.langid.scripts import MARKS, NAMES, RULES
from ccbuild.langid.votes import sample, vote

CASED = (
    "az be bg ca cs da de el en es et eu fi fr hr hu hy is it lt lv mk ms nl no pl pt ro ru sk sl sq sr sv tl tr uk vi"
).split()
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
MATHEMATICAL = {ord("A") + n: 0x1D400 + n for n in range(26)} | {ord("a") + n: 0x1D41A + n for n in range(26)}


def unfolded(folded: Folded) -> list[str]:
    return [folded.points[a:b].tobytes().decode("utf-32-le") for a, b in pairwise(folded.starts.tolist())]


@pytest.mark.parametrize(
    ("dress", "least"),
    [
        (str.upper, 0.97),
        (lambda text: unicodedata.normalize("NFD", text), 0.97),
        (lambda text: text.translate(WIDE), 0.97),
        (lambda text: text.translate(MATHEMATICAL), 0.97),
    ],
    ids=["capitals", "decomposed", "full-width", "mathematical"],
)
def test_text_in_another_dress_keeps_its_language(dress: Callable[[str], str], least: float, cascade: Cascade) -> None:
    texts = catalogue_texts(["eld"])["eld"]
    test = [(code, dress(text)) for code in CASED if code in texts for text in texts[code][:25]]
    assert len(test) >= 900
    answers = cascade.identify([text for _, text in test])
    wrong = [(code, a.code) for (code, _), a in zip(test, answers, strict=True) if a.code != code]
    assert len(wrong) <= (1 - least) * len(test), wrong


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("DIE REGIERUNG", "die regierung"),
        ("İSTANBUL'DA YAŞIYORUM, IĞDIR", "istanbul'da yaşıyorum, ığdır"),
        ("ВЛАДА, ЎЗБЕК", "влада, ўзбек"),
        ("Ε\u0301λληνικά", "έλληνικά"),
        ("cafe\u0301 e\u0323\u0302", "café ệ"),
        ("ﬁn ＡＢＣ 𝐌𝐚𝐭𝐡 Ⓐ", "fin abc math a"),
        ("ｶﾞｷﾞ か\u3099", "ガギ が"),
        ("\u1112\u1161\u11ab 각", "한 각"),
        ("ﻣﺮﺣﺒﺎ ﻻ", "مرحبا لا"),
        ("\u09a6\u09c7\u09be\u09ac", "দোব"),
        ("ẹ\u0301 ni", "ẹ\u0301 ni"),
        ("a\0b\ud800c", "a bc"),
        ("𞤀𞤁 𐐀", "𞤢𞤣 𐐨"),
        ("1º 2ª x² ™", "1º 2ª x² ™"),
    ],
)
def test_letters_are_folded_for_the_question(text: str, plain: str) -> None:
    assert small(text) == plain
    assert small(small(text)) == plain


def test_folding_is_that_of_unicode_for_every_letter() -> None:
    """One at a time and all behind each other: tables and neighbours do the same."""
    ranges = [(0, 0x3400), (0xA000, 0xAC00), (0xD7A4, 0xD800), (0xE000, 0x17000), (0x1D400, 0x1F000)]
    cased = chain.from_iterable(range(*ends) for ends in ranges)
    letters = [chr(code) for code in cased if chr(code).isalpha()]
    plain = {letter: "i" if letter == "İ" else composed(letter).lower() for letter in letters}
    assert dict(zip(letters, unfolded(fold(letters)), strict=True)) == plain
    del plain["İ"]
    assert small("\n".join(plain)) == "\n".join(plain.values())


def test_texts_of_a_batch_do_not_see_each_other(cascade: Cascade) -> None:
    texts = ["İzmir", "IN THE STREET", "cafe\u0301", "", "\u0301", "ﬀ" * 5]
    folded = fold(texts)
    alone = [small(text) for text in texts]
    assert unfolded(folded) == alone == ["izmir", "in the street", "café", "", "\u0301", "ff" * 5]
    assert cascade.identify(texts) == [cascade.identify([text])[0] for text in texts]
    assert fold(["A\nB\ud800"], AS_IT_IS).points.tobytes().decode("utf-32-le") == "AB"


def test_long_text_costs_no_more_memory_than_what_is_looked_at(cascade: Cascade) -> None:
    line = "Rais wa nchi alisema kwamba serikali itajenga shule mpya. " * 40_000
    assert len(fold([line]).points) == MOST_CHARS < len(line)
    lines = ["Rais wa nchi alisema kwamba serikali itajenga shule mpya."] * 40_000
    assert [found.code for found in vote(cascade, [[line], lines], 1000)] == ["sw", "sw"]


def test_a_sample_is_of_the_text_and_the_seed() -> None:
    page = [f"{word} " * 80 for word in ("moja", "mbili", "tatu", "nne", "tano", "sita", "saba", "nane")]
    taken = sample(page, 700, 0)
    assert taken == sample(page, 700, 0) != sample(page, 700, 1)
    assert sum(map(len, taken)) == 700
    assert all(any(paragraph.startswith(piece) for paragraph in page) for piece in taken)
    assert sample(["a", "b", "c"], 700, 0) == ["a\nb\nc"]
    assert sample([], 700, 0) == []


def test_compiled_loops_and_tables_number_alike() -> None:
    for name in ("Cyrl", "Arab", "Beng", "Tibt", "Mymr", "Ethi", "Kana", "Hani", "Zzzz"):
        assert NAMES.index(name) == getattr(kernels, f"_{name.upper()}")
    rules = (kernels._IS_AS, kernels._IS_AZ, kernels._IS_UZ, kernels._IS_MS, kernels._IS_YUE, kernels._IS_VI)
    assert [RULES[rule][0] for rule in rules] == ["as", "az", "uz", "ms", "yue", "vi"]
    assert [RULES[rule][0] for rule in (kernels._IS_ZH, kernels._IS_TI, kernels._IS_AM, kernels._IS_MY)] == [
        *("zh", "ti", "am", "my")
    ]
    assert len(MARKS) == kernels._SIMPLIFIED
    assert np.all(np.diff([kernels._IS_TIBT, kernels._IS_OTHER]) == 1)
