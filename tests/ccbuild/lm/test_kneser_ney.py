"""The estimator against KenLM's own, and against what a probability is."""

from __future__ import annotations

import lzma
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
from ccbuild.lm.probing import write_probing
from tests.ccbuild.lm.golden.make import CASES, GOLDEN, text_of

# KenLM 0.3.0:  lmplz <options> --text <name>.txt --arpa <name>.arpa
# letters.txt: random, so few that unigrams need the fallback; short.txt: so short that the last n-gram of each order
# (the quirk in kneser_ney's docstring) shows.
MADE_WITH = {
    "short.4": "-o 4 --discount_fallback",
    "letters.5.pruned": "-o 5 --discount_fallback --prune 0 0 1 3",
    **CASES,
}
FALLBACKS = {"short.4": [4], "letters.5.pruned": [1, 2]}
"""Orders without discounts of their own; of the others `lmplz` found none where it was not allowed stand-ins."""

Model = dict[tuple[str, ...], tuple[float, float]]


def read_arpa(path: Path) -> Model:
    """Words to (log10 probability, log10 back-off)."""
    model: Model = {}
    content = path.read_bytes()
    for line in (lzma.decompress(content) if path.suffix == ".xz" else content).decode().splitlines():
        log10, tab, rest = line.partition("\t")
        if tab:
            words, _, backoff = rest.partition("\t")
            model[tuple(words.split(" "))] = (float(log10), float(backoff or 0))
    return model


def own(sentences: list[list[str]], order: int, prune: tuple[int, ...], folder: Path) -> Model:
    text = read_sentences(sentences, folder)
    write_arpa(folder / "own.arpa", text.words, estimate_ngrams(text, order, prune, folder=folder))
    return read_arpa(folder / "own.arpa")


def assert_equal(ours: Model, theirs: Model) -> None:
    assert ours.keys() == theirs.keys()
    differences = [abs(a - b) for words in ours for a, b in zip(ours[words], theirs[words], strict=True)]
    assert max(differences) < 1e-5


def options(command: str) -> tuple[int, tuple[int, ...]]:
    order = int(command.split()[1])
    pruned = command.partition("--prune")[2].partition("--")[0]
    return order, tuple(map(int, pruned.split()))


@pytest.mark.parametrize("name", MADE_WITH)
def test_equals_lmplz(name: str, tmp_path: Path) -> None:
    order, prune = options(MADE_WITH[name])
    sentences = [line.split() for line in text_of(name)]
    golden = GOLDEN / f"{name}.arpa.xz"
    assert_equal(
        own(sentences, order, prune, tmp_path), read_arpa(golden if golden.exists() else golden.with_suffix(""))
    )
    ngrams = estimate_ngrams(read_sentences(sentences, tmp_path), order, prune, folder=tmp_path)
    fallback = [k for k, grams in enumerate(ngrams, 1) if grams.discounts.fallback]
    assert fallback == FALLBACKS.get(name, fallback)
    assert bool(fallback) == ("--discount_fallback" in MADE_WITH[name])


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
    assert_equal(own(sentences, order, prune, tmp_path), read_arpa(tmp_path / "arpa"))


def probability(model: Model, context: tuple[str, ...], word: str) -> float:
    """p(word | context) by the definition of a back-off model."""
    if (*context, word) in model:
        return 10.0 ** model[(*context, word)][0]
    return 10.0 ** model.get(context, (0.0, 0.0))[1] * probability(model, context[1:], word)


@pytest.mark.parametrize("name", CASES)
def test_the_probabilities_of_real_text_sum_to_one(name: str, tmp_path: Path) -> None:
    """After contexts of every length that the text has, each from a few places, and after one that it has not."""
    order, prune = options(CASES[name])
    sentences = [line.split() for line in text_of(name)]
    model = own(sentences, order, prune, tmp_path)
    vocabulary = [words[0] for words in model if len(words) == 1 and words != ("<s>",)]
    words = [word for sentence in sentences[:3] for word in ("<s>", *sentence)]
    contexts = {tuple(words[at : at + length]) for at in (0, 3, 9, 17, 25) for length in range(1, order)}
    for context in [(), (words[-1], words[1]), *sorted(contexts)]:
        assert sum(probability(model, context, word) for word in vocabulary) == pytest.approx(1.0, abs=1e-6)


SENTENCES = st.lists(st.lists(st.sampled_from("abcde"), max_size=6), min_size=1, max_size=25)


@given(SENTENCES, st.integers(2, 4), st.sampled_from([(), (0, 1), (0, 0, 1)]))
@settings(max_examples=60)
def test_probabilities_sum_to_one(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[str]], order: int, prune: tuple[int, ...]
) -> None:
    sentences = [*sentences, list("abcd")]  # no order is too long for all
    model = own(sentences, order, prune[:order], tmp_path_factory.mktemp("arpa"))
    vocabulary = [words[0] for words in model if len(words) == 1 and words != ("<s>",)]
    contexts = [("<s>", *rest) for rest in product("abz", repeat=order - 2)] + list(product("abcz", repeat=order - 1))
    for context in [(), *contexts]:
        total = sum(probability(model, context, word) for word in vocabulary)
        assert total == pytest.approx(1.0, abs=1e-6)


def test_hand_counted(tmp_path: Path) -> None:
    """Two bigrams that occur once, of each of which the fallback takes half: p(a|<s>) = 0.5 + 0.5 p(a)."""
    text = read_sentences([["a"]], tmp_path)
    unigrams, bigrams = estimate_ngrams(text, 2, folder=tmp_path)
    p_a = (1 - 0.5) / 2 + 0.5 * 1 / 3  # left neighbours: one of a, one of </s>; <unk>, </s> and a share the rest
    log10 = unigrams.log10[:]
    assert log10[text.words.index("a")] == pytest.approx(np.log10(p_a))
    assert log10[0] == pytest.approx(np.log10(0.5 / 3))
    assert log10[BOS] == 0
    assert bigrams.log10[:1] == pytest.approx(np.log10(0.5 + 0.5 * p_a))
    assert unigrams.backoff[:][BOS] == pytest.approx(np.log10(0.5))
    assert unigrams.backoff[:][EOS] == 0


def test_the_models_own_symbols_are_white_space(tmp_path: Path) -> None:
    text = read_sentences([["a", "<s>", "b", "</s>", "<unk>"]], tmp_path)
    assert text.words == ["<unk>", "<s>", "</s>", "a", "b"]
    assert text.tokens[:].tolist() == [1, 3, 4, 2]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("bytes_a_row", [1 << 13, 1 << 15, 1 << 17])
def test_the_same_bytes_in_little_memory(
    seed: int, bytes_a_row: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a row stated as so wide, a megabyte holds 128, 32 and 8 of them: up to hundreds of runs, parts and passes.

    Sentences of one word and empty ones among them, so that contexts without continuation stand in the gaps.
    """
    rng = np.random.default_rng(seed)
    words = [f"w{i}" for i in range(8 * 2 ** (seed % 3))]
    sentences = [list(rng.choice(words, rng.integers(0, 9) * rng.integers(0, 2))) for _ in range(300)]
    order, prune = int(rng.integers(3, 6)), ((), (0, 1), (0, 0, 2))[seed % 3]

    def model(name: str) -> tuple[bytes, bytes]:
        (folder := tmp_path / name).mkdir()
        text = read_sentences(sentences, folder)
        ngrams = estimate_ngrams(text, order, prune, folder=folder, memory_megabytes=1)
        assert (ngrams[0].rows > len(text.tokens)) == (name == "whole")
        write_arpa(folder / "arpa", text.words, ngrams)
        write_probing(folder / "binary", text.words, ngrams, folder=folder)
        return (folder / "arpa").read_bytes(), (folder / "binary").read_bytes()

    whole = model("whole")
    monkeypatch.setattr("ccbuild.lm.kneser_ney._BYTES_A_ROW", bytes_a_row)
    monkeypatch.setattr("ccbuild.lm.arpa._ROWS", 7)
    assert model("parts") == whole
