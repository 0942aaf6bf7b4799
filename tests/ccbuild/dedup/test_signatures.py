"""Signatures: equal to datasketch's, to the bit, and found by bands as theory says."""

from __future__ import annotations

import doctest
from collections.abc import Sequence

import datasketch
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccbuild.dedup import signatures as signatures_module
from ccbuild.dedup.signatures import (
    SignatureConfig,
    band_hashes,
    bands_from_threshold,
    shingle_hash,
    sign,
    similarity_from_bands,
)
from ccbuild.dedup.words import shingles
from ccbuild.errors import ConfigError

_CHARACTERS = "aB7 é.ß_Σ\nİि字カกิ한\U0001f600\u0301\U00020000Ⱥ"
_TEXTS = st.one_of(st.text(_CHARACTERS, max_size=120), st.text(max_size=60))


def _by_datasketch(text: str, config: SignatureConfig) -> datasketch.MinHash:
    minhash = datasketch.MinHash(num_perm=config.num_perm, seed=config.seed, scheme="affine32", hashfunc=shingle_hash)
    minhash.update_batch(shingles(text, config.ngram))
    return minhash


def test_doctests() -> None:
    assert doctest.testmod(signatures_module).failed == 0


@pytest.mark.parametrize(
    ("shingle", "expected"),
    [  # the xxhash package 4.1.0, xxh32_intdigest(shingle)
        (b"", 0x02CC5D05),
        (b"a", 0x550D7456),
        (b"abc", 0x32D153FF),
        (b"abcd", 0xA3643705),
        (b"five words are needed here, not fewer", 0xC86A8D77),
        (bytes(range(64)), 0x31120435),
        ("привет мир".encode() * 5, 0x58ECE16E),
    ],
)
def test_shingle_hash_is_xxh32(shingle: bytes, expected: int) -> None:
    assert shingle_hash(shingle) == expected


@settings(max_examples=60)
@given(st.lists(_TEXTS, max_size=6), st.integers(1, 6), st.integers(1, 4))
def test_equal_to_datasketch(texts: list[str], ngram: int, min_shingles: int) -> None:
    config = SignatureConfig(ngram=ngram, bands=3, rows=5, seed=7, min_shingles=min_shingles)
    signed = sign(texts, config)
    for i, text in enumerate(texts):
        assert signed.present[i] == (len(set(shingles(text, ngram))) >= min_shingles)
        expected = _by_datasketch(text if signed.present[i] else "", config)
        np.testing.assert_array_equal(signed.values[i], expected.hashvalues)


def test_equal_to_datasketch_on_a_long_text_with_the_default() -> None:
    """Longer than the block of hashes that waits for the permutations."""
    text = " ".join(f"w{i * i % 977}" for i in range(3000))
    signed = sign(["", text], SignatureConfig())
    assert signed.present.tolist() == [False, True]
    np.testing.assert_array_equal(signed.values[1], _by_datasketch(text, SignatureConfig()).hashvalues)


def test_batches_change_nothing() -> None:
    texts = [f"text {i} " + "a word or two " * (i % 7) + "字" * (i % 40) for i in range(50)] + ["x y " * 40000, "last"]
    together = sign(texts, SignatureConfig())
    for i, text in enumerate(texts):
        alone = sign([text], SignatureConfig())
        np.testing.assert_array_equal(alone.values[0], together.values[i])
        assert alone.present[0] == together.present[i]


def test_datasketch_lsh_answers_our_signatures() -> None:
    config = SignatureConfig()
    base = [f"word{i}" for i in range(200)]
    texts = [" ".join(base), " ".join([*base[:195], "other", "end", "of", "this", "text"]), " ".join(base[::-1])]
    values = sign(texts, config).values
    index = datasketch.MinHashLSH(num_perm=config.num_perm, params=(config.bands, config.rows))
    hashed = [datasketch.MinHash(hashvalues=row, seed=config.seed, scheme="affine32") for row in values]
    index.insert("first", hashed[0])
    assert index.query(hashed[1]) == ["first"]
    assert index.query(_by_datasketch(texts[0], config)) == ["first"]
    assert index.query(hashed[2]) == []


def _planted_pairs(n: int, shared: int, apart: int) -> list[str]:
    """2n texts of distinct words; texts 2i and 2i + 1 have Jaccard similarity shared / (shared + 2 apart)."""
    texts = []
    for i in range(n):
        common = [f"{i}c{j}" for j in range(shared)]
        texts += [" ".join(common + [f"{i}{side}{j}" for j in range(apart)]) for side in "xy"]
    return texts


@pytest.mark.parametrize(("shared", "apart"), [(50, 25), (66, 17), (70, 15), (80, 10), (90, 5)])
def test_bands_find_planted_pairs_as_the_curve_says(shared: int, apart: int) -> None:
    config = SignatureConfig(ngram=1)
    hashes = band_hashes(sign(_planted_pairs(3000, shared, apart), config).values, config)
    agreeing = (hashes[0::2] == hashes[1::2]).sum(axis=1)
    s = shared / (shared + 2 * apart)
    assert float((agreeing > 0).mean()) == pytest.approx(1 - (1 - s**config.rows) ** config.bands, abs=0.02)
    assert float(agreeing.mean() / config.bands) == pytest.approx(s**config.rows, abs=0.01)
    assert not np.any(hashes[0] == hashes[2])


def test_bands_are_told_apart_by_number_and_by_rows() -> None:
    config = SignatureConfig(bands=3, rows=2)
    values = np.array([[1, 2, 1, 2, 2, 1], [1, 2, 1, 3, 2, 1]], np.uint32)
    hashes = band_hashes(values, config)
    assert len(set(hashes[0].tolist())) == 3
    assert (hashes[0] == hashes[1]).tolist() == [True, False, True]


def test_band_hashes_refuse_signatures_of_another_shape() -> None:
    with pytest.raises(ValueError, match="it takes uint32"):
        band_hashes(np.zeros((2, 111), np.uint32), SignatureConfig())


@pytest.mark.parametrize(("threshold", "expected"), [(0.5, (22, 5)), (0.68, (14, 8)), (0.8, (9, 12))])
def test_bands_from_threshold_is_datasketchs_optimum(threshold: float, expected: Sequence[int]) -> None:
    index = datasketch.MinHashLSH(threshold=threshold, num_perm=112)
    assert bands_from_threshold(threshold, 112) == (index.b, index.r) == tuple(expected)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, 1.0])
def test_a_threshold_without_bands_is_a_config_error(threshold: float) -> None:
    with pytest.raises(ConfigError, match="threshold"):
        bands_from_threshold(threshold, 112)


def test_similarity_from_bands() -> None:
    estimated = similarity_from_bands(np.array([0, 1, 7, 14]), SignatureConfig())
    assert estimated.dtype == np.float32
    np.testing.assert_allclose(estimated, [0, (1 / 14) ** 0.125, 0.5**0.125, 1], rtol=1e-6)


@pytest.mark.parametrize("key", ["ngram", "bands", "rows", "min_shingles"])
def test_a_setting_out_of_range_is_named(key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        SignatureConfig(**{key: 0})
    with pytest.raises(ConfigError, match="seed"):
        SignatureConfig(seed=-1)


def test_the_scheme_tells_every_setting() -> None:
    """A setting that changes signatures and is not in the scheme would let two kinds be matched."""
    changed = {"ngram": 6, "bands": 13, "rows": 7, "seed": 2, "min_shingles": 11}
    for key, value in changed.items():
        assert SignatureConfig(**{key: value}).scheme() != SignatureConfig().scheme()
    assert set(changed) == set(SignatureConfig.__dataclass_fields__)


def test_hostile_texts() -> None:
    texts = ["\ud800 a b c d e f g h i j k l m n", "\x00" * 1000, "x" * 300_000, "\U0010ffff a b"]
    assert sign(texts, SignatureConfig()).present.tolist() == [True, False, False, False]
