"""The estimator against KenLM's own, and against what a probability is."""

from __future__ import annotations

import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccbuild.lm.arpa import write_arpa
from ccbuild.lm.kneser_ney import BOS, EOS, estimate_ngrams, read_sentences

# Each made by KenLM 0.3.0:  lmplz <options> --text <name>.txt --arpa <name>.arpa
# udhr.txt: the Universal Declaration of Human Rights; letters.txt: random, so few that unigrams need the fallback;
# short.txt: so short that the last n-gram of each order (the quirk in kneser_ney's docstring) shows.
GOLDEN = Path(__file__).parent / "golden"
MADE_WITH = {
    "udhr.3.arpa": "-o 3",
    "udhr.5.pruned.arpa": "-o 5 --prune 0 0 1",
    "short.4.arpa": "-o 4 --discount_fallback",
    "letters.5.pruned.arpa": "-o 5 --discount_fallback --prune 0 0 1 3",
}
FALLBACKS = {"udhr.3.arpa": [], "udhr.5.pruned.arpa": [], "short.4.arpa": [4], "letters.5.pruned.arpa": [1, 2]}

Model = dict[tuple[str, ...], tuple[float, float]]


def read_arpa(path: Path) -> Model:
    """Words to (log10 probability, log10 back-off)."""
    model: Model = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        log10, tab, rest = line.partition("\t")
        if tab:
            words, _, backoff = rest.partition("\t")
            model[tuple(words.split(" "))] = (float(log10), float(backoff or 0))
    return model


def own(sentences: list[list[str]], order: int, prune: tuple[int, ...], path: Path) -> Model:
    text = read_sentences(sentences)
    write_arpa(path, text.words, estimate_ngrams(text, order, prune))
    return read_arpa(path)


def assert_equal(ours: Model, theirs: Model) -> None:
    assert ours.keys() == theirs.keys()
    differences = [abs(a - b) for words in ours for a, b in zip(ours[words], theirs[words], strict=True)]
    assert max(differences) < 1e-5


def options(command: str) -> tuple[int, tuple[int, ...]]:
    order = int(command.split()[1])
    return order, tuple(map(int, command.partition("--prune")[2].split()))


@pytest.mark.parametrize("name", MADE_WITH)
def test_equals_lmplz(name: str, tmp_path: Path) -> None:
    order, prune = options(MADE_WITH[name])
    lines = (GOLDEN / f"{name.split('.')[0]}.txt").read_text(encoding="utf-8").splitlines()
    sentences = [line.split() for line in lines]
    assert_equal(own(sentences, order, prune, tmp_path / "own.arpa"), read_arpa(GOLDEN / name))
    ngrams = estimate_ngrams(read_sentences(sentences), order, prune)
    assert [k for k, grams in enumerate(ngrams, 1) if grams.discounts.fallback] == FALLBACKS[name]


@pytest.mark.skipif(not shutil.which("lmplz"), reason="lmplz is not on the PATH")
@pytest.mark.parametrize("seed", range(20))
def test_equals_lmplz_on_random_text(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    words = [*"abcdefgh", "<s>", "<unk>"]
    sentences = [list(rng.choice(words, rng.integers(0, 8))) for _ in range(rng.integers(1, 60))]
    order, prune = int(rng.integers(2, 6)), ((), (0, 1), (0, 0))[seed % 3]
    (tmp_path / "text").write_text("".join(" ".join(s) + "\n" for s in sentences))
    command = ["lmplz", "-o", str(order), "-S", "100M", "-T", str(tmp_path), "--skip_symbols", "--discount_fallback"]
    command += ["--text", str(tmp_path / "text"), "--arpa", str(tmp_path / "arpa")]
    command += ["--prune", *map(str, prune)] if prune else []
    subprocess.run(command, check=True, capture_output=True)
    assert_equal(own(sentences, order, prune, tmp_path / "own"), read_arpa(tmp_path / "arpa"))


def probability(model: Model, context: tuple[str, ...], word: str) -> float:
    """p(word | context) by the definition of a back-off model."""
    if (*context, word) in model:
        return 10.0 ** model[(*context, word)][0]
    return 10.0 ** model.get(context, (0.0, 0.0))[1] * probability(model, context[1:], word)


SENTENCES = st.lists(st.lists(st.sampled_from("abcde"), max_size=6), min_size=1, max_size=25)


@given(SENTENCES, st.integers(2, 4), st.sampled_from([(), (0, 1), (0, 0, 1)]))
@settings(max_examples=60, deadline=None)
def test_probabilities_sum_to_one(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[str]], order: int, prune: tuple[int, ...]
) -> None:
    sentences = [*sentences, list("abcd")]  # no order is too long for all
    model = own(sentences, order, prune[:order], tmp_path_factory.mktemp("arpa") / "own.arpa")
    vocabulary = [words[0] for words in model if len(words) == 1 and words != ("<s>",)]
    contexts = [("<s>", *rest) for rest in product("abz", repeat=order - 2)] + list(product("abcz", repeat=order - 1))
    for context in [(), *contexts]:
        total = sum(probability(model, context, word) for word in vocabulary)
        assert total == pytest.approx(1.0, abs=1e-6)


def test_hand_counted() -> None:
    """Two bigrams that occur once, of each of which the fallback takes half: p(a|<s>) = 0.5 + 0.5 p(a)."""
    text = read_sentences([["a"]])
    unigrams, bigrams = estimate_ngrams(text, 2)
    p_a = (1 - 0.5) / 2 + 0.5 * 1 / 3  # left neighbours: one of a, one of </s>; <unk>, </s> and a share the rest
    assert unigrams.log10[text.words.index("a")] == pytest.approx(np.log10(p_a))
    assert unigrams.log10[0] == pytest.approx(np.log10(0.5 / 3))
    assert unigrams.log10[BOS] == 0
    assert bigrams.log10[0] == pytest.approx(np.log10(0.5 + 0.5 * p_a))
    assert unigrams.backoff[BOS] == pytest.approx(np.log10(0.5))
    assert unigrams.backoff[EOS] == 0


def test_the_models_own_symbols_are_white_space() -> None:
    text = read_sentences([["a", "<s>", "b", "</s>", "<unk>"]])
    assert text.words == ["<unk>", "<s>", "</s>", "a", "b"]
    assert text.tokens.tolist() == [1, 3, 4, 2]
