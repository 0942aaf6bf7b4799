"""The tables that KenLM maps, against those of its own `build_binary`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import kenlm
import numpy as np
import pytest

from ccbuild.lm.arpa import write_arpa
from ccbuild.lm.estimate import Estimated
from ccbuild.lm.kernels import murmur_hashes
from ccbuild.lm.kneser_ney import estimate_ngrams, read_sentences
from ccbuild.lm.probing import is_probing, write_probing
from tests.ccbuild.lm.golden.make import GOLDEN

# The golden short.4.binary and the digests below: KenLM 0.3.0, `build_binary probing model.arpa`, of the ARPA file that
# write_arpa makes of the same text, order and pruning.
DIGESTS = {
    ("udhr", 3, ()): "d7a15208f9dea075e37cd1869590079adc3c2a456da048904e462589098f6bf1",
    ("udhr", 5, (0, 0, 1)): "55ef7611f821ffc253c607ad9492dcb949a2616c7ca8215110087e63ec70fe34",
    ("short", 4, ()): "9f71a49bf4df037134633f05b43a32e72536581c89e26c106c6f54a398dff414",
    ("letters", 5, (0, 0, 1, 3)): "440607e3e114b09c521072e9905ab1820d86d26618a122b03f9338c3896471fc",
    ("letters", 2, ()): "4d3e494f79b3a22d27c74eed9ef0ffae1c568521286cd273d29988ca14520904",
}


def sentences_of(name: str) -> list[list[str]]:
    return [line.split() for line in (GOLDEN / f"{name}.txt").read_text(encoding="utf-8").splitlines()]


def both(name: str, order: int, prune: tuple[int, ...], folder: Path) -> tuple[Path, Path]:
    text = read_sentences(sentences_of(name), folder)
    ngrams = estimate_ngrams(text, order, prune, folder=folder)
    counts = write_probing(folder / "binary", text.words, ngrams, folder=folder)
    assert write_arpa(folder / "arpa", text.words, ngrams) == counts
    return folder / "arpa", folder / "binary"


@pytest.mark.parametrize(("name", "order", "prune"), DIGESTS)
def test_bytes_of_build_binary(name: str, order: int, prune: tuple[int, ...], tmp_path: Path) -> None:
    _, binary = both(name, order, prune, tmp_path)
    assert hashlib.sha256(binary.read_bytes()).hexdigest() == DIGESTS[name, order, prune]


def test_the_golden_file_itself(tmp_path: Path) -> None:
    assert both("short", 4, (), tmp_path)[1].read_bytes() == (GOLDEN / "short.4.binary").read_bytes()


@pytest.mark.skipif(not shutil.which("build_binary"), reason="build_binary is not on the PATH")
@pytest.mark.parametrize("seed", range(10))
def test_bytes_of_the_build_binary_that_is_installed(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    words = [*"abcdefgh", "<s>", "<unk>", "a-word-of-many-bytes", "слово"]
    text = read_sentences([list(rng.choice(words, rng.integers(3, 9))) for _ in range(rng.integers(2, 200))], tmp_path)
    ngrams = estimate_ngrams(text, int(rng.integers(2, 4)), ((), (0, 1))[seed % 2], folder=tmp_path)
    write_arpa(tmp_path / "arpa", text.words, ngrams)
    write_probing(tmp_path / "own", text.words, ngrams, folder=tmp_path)
    command = ["build_binary", "probing", str(tmp_path / "arpa"), str(tmp_path / "theirs")]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "own").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize(("name", "order", "prune"), DIGESTS)
def test_answers_as_the_arpa_does(name: str, order: int, prune: tuple[int, ...], tmp_path: Path) -> None:
    arpa, binary = (kenlm.Model(str(path)) for path in both(name, order, prune, tmp_path))
    assert binary.order == order
    asked = [" ".join(words) for words in sentences_of(name)]
    asked += ["", "never seen", *(" ".join(reversed(line.split())) for line in asked[:50])]
    for line in asked:
        assert list(binary.full_scores(line)) == list(arpa.full_scores(line))


def test_hashes_of_every_length() -> None:
    """MurmurHash64A, seed 0; reference values by Austin Appleby's C++."""
    words = [b"", b"<unk>", b"<s>", b"12345678", "▁слово".encode()]
    ends = np.cumsum([len(word) for word in words])
    hashes = murmur_hashes(np.frombuffer(b"".join(words), np.uint8), ends)
    assert [f"{h:016x}" for h in hashes.tolist()] == [
        "0000000000000000",
        "ea91e7561f5b392b",
        "00758639bd217e70",
        "758f67d162b2d202",
        "afc811cc4ad7dd5b",
    ]


def test_what_is_a_binary(small_model: Estimated) -> None:
    assert small_model.arpa is not None
    assert is_probing(small_model.binary)
    assert not is_probing(small_model.arpa)
    assert not is_probing(small_model.sp_model)
