"""Damage is damage, its measure is the probability that it says it is, and models see it."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.errors import InputError
from ccbuild.lm.estimate import EstimateConfig, estimate
from ccbuild.lm.evaluate import DAMAGES, Evaluated, damaged, documents_of, evaluate, roc_auc, scatter
from ccbuild.lm.score import Scorer

VALUES = st.lists(st.integers(0, 20).map(float), min_size=1, max_size=30)


@given(VALUES, VALUES)
def test_auc_is_the_share_of_pairs(good: list[float], bad: list[float]) -> None:
    pairs = [1.0 if b > g else 0.5 if b == g else 0.0 for g in good for b in bad]
    assert roc_auc(np.array(good), np.array(bad)) == pytest.approx(sum(pairs) / len(pairs))


def test_documents_are_runs_of_paragraphs() -> None:
    assert documents_of(["a", "", "b", "c", " ", "d", "e"], 2) == [["a", "b"], ["c", "d"]]


DOCUMENT = ["Everyone has the right to life, liberty and security of person.", "No one shall be held in slavery."]


def test_shuffling_keeps_the_words_of_each_paragraph() -> None:
    (copy,) = damaged("shuffled_words", [DOCUMENT])
    assert copy != DOCUMENT
    assert [Counter(p.split()) for p in copy] == [Counter(p.split()) for p in DOCUMENT]
    (unbroken,) = damaged("shuffled_words", [["人人生而自由在尊严和权利上一律平等他们赋有理性和良心"]])
    assert " " not in unbroken[0]
    assert Counter(unbroken[0]) == Counter("人人生而自由在尊严和权利上一律平等他们赋有理性和良心")


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_seeded(kind: str) -> None:
    documents = [DOCUMENT, DOCUMENT[::-1], DOCUMENT]
    once = damaged(kind, documents)
    assert once == damaged(kind, documents) != damaged(kind, documents, seed=1)
    assert once[0] != once[2]  # not the same damage everywhere
    assert all(a != b for a, b in zip(once, documents, strict=True))


def prose(seed: int, lines: int) -> list[str]:
    """Sentences of a small grammar, so that order tells: each word is followed by one of two."""
    rng = random.Random(seed)
    words = [f"{a}{b}" for a in ("ka", "mi", "tu", "so", "le") for b in ("ra", "no", "pi", "du")]
    made = []
    for _ in range(lines):
        at, sentence = rng.randrange(20), []
        for _ in range(18):
            sentence.append(words[at])
            at = (at * 7 + rng.choice((1, 2))) % 20
        made.append(" ".join(sentence) + ".")
    return made


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    made = estimate(prose(1, 600), tmp_path_factory.mktemp("grammar") / "x", EstimateConfig(pieces=60))
    return Scorer(made.sp_model, made.binary, ngrams_sha256=made.binary_sha256)


def test_a_model_of_a_grammar_sees_all_damage(scorer: Scorer) -> None:
    rows = list(evaluate("x", scorer, prose(2, 60), ["Rais wa nchi alisema kwamba serikali itajenga"] * 60))
    assert [row.damage for row in rows] == [*DAMAGES, "other_language"]
    assert all(row.auc > 0.99 and row.bad > row.good and row.documents == 12 for row in rows)


def test_what_is_not_damaged_is_not_told_apart(scorer: Scorer) -> None:
    (row,) = (r for r in evaluate("x", scorer, prose(2, 300), prose(3, 300)) if r.damage == "other_language")
    assert 0.3 < row.auc < 0.7


def test_too_few_paragraphs(scorer: Scorer) -> None:
    with pytest.raises(InputError, match="x: 9 held-out paragraphs are too few"):
        list(evaluate("x", scorer, prose(2, 9)))


def test_the_plot_has_a_dot_an_auc(tmp_path: Path) -> None:
    rows = [
        Evaluated(lang=lang, damage=kind, auc=auc, documents=9, good=1.0, bad=2.0)
        for lang, auc in (("sw", 0.99), ("ko", 0.7))
        for kind in DAMAGES
    ]
    svg = scatter(rows)
    assert svg.count("<circle") == len(DAMAGES) + len(rows)
    assert svg.index(">ko<") < svg.index(">sw<")
    assert scatter(rows) == svg
