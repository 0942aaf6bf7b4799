from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from xlmr.config import DataConfig
from xlmr.loss import IGNORED
from xlmr.masking import Masked, mask_sequences

VOCABULARY, CONFIG = 1000, DataConfig(seq_len=128)
SAMPLES = np.arange(4000)


def sequences() -> NDArray[np.int64]:
    ids = np.random.default_rng(0).integers(4, VOCABULARY - 1, (len(SAMPLES), 128))
    ids[:, 0], ids[:, -1], ids[:, 50] = 0, 2, 2
    ids[::3, 100:] = 1
    return ids


@pytest.fixture(scope="module")
def masked() -> Masked:
    return mask_sequences(sequences(), SAMPLES, VOCABULARY, CONFIG, 7, 0.15)


def test_rates(masked: Masked) -> None:
    ids = sequences()
    used = masked.labels != IGNORED
    eligible = (ids > 2).sum()
    n = used.sum()
    # fairseq's rounding is unbiased: floor(0.15 n + u)
    assert n / eligible == pytest.approx(0.15, abs=3e-4)
    seen = np.take_along_axis(masked.ids, masked.slots, 1)[used]
    labels = masked.labels[used]
    error = 4 * np.sqrt(0.25 / n)
    assert (seen == VOCABULARY - 1).mean() == pytest.approx(0.8, abs=error)
    assert (seen == labels).mean() == pytest.approx(0.1, abs=error)
    replaced = seen[(seen != VOCABULARY - 1) & (seen != labels)]
    assert replaced.min() >= 4
    assert replaced.max() <= VOCABULARY - 2
    assert len(np.unique(replaced)) > 900


def test_specials_are_never_masked_and_nothing_else_is_changed(masked: Masked) -> None:
    ids = sequences()
    used = masked.labels != IGNORED
    assert masked.labels[used].min() >= 4
    restored = masked.ids.copy()
    rows = np.broadcast_to(SAMPLES[:, None], used.shape)
    restored[rows[used], masked.slots[used]] = masked.labels[used]
    assert np.array_equal(restored, ids)
    assert (np.diff(np.where(used, masked.slots, 10_000 + np.arange(used.shape[1])), axis=1) > 0).all()


def test_shapes_are_those_of_the_config(masked: Masked) -> None:
    assert masked.slots.shape == masked.labels.shape == (len(SAMPLES), CONFIG.slots)
    assert CONFIG.slots == 19


def test_positions_are_masked_evenly() -> None:
    ids = np.full((20_000, 128), 5)
    ids[:, 0], ids[:, -1] = 0, 2
    masked = mask_sequences(ids, np.arange(20_000), VOCABULARY, CONFIG, 1, 0.15)
    counts = np.bincount(masked.slots[masked.labels != IGNORED], minlength=128)[1:-1]
    assert abs(counts / 20_000 - 0.15).max() < 5 * np.sqrt(0.15 * 0.85 / 20_000)


def test_a_sample_is_masked_alike_in_any_company() -> None:
    ids = sequences()
    whole = mask_sequences(ids, SAMPLES, VOCABULARY, CONFIG, 7, 0.15)
    some = mask_sequences(ids[[30, 7]], SAMPLES[[30, 7]], VOCABULARY, CONFIG, 7, 0.15)
    for name in ("ids", "slots", "labels"):
        assert np.array_equal(getattr(some, name), getattr(whole, name)[[30, 7]])


def test_another_sample_or_seed_is_masked_otherwise() -> None:
    ids = np.repeat(sequences()[:1], 2, axis=0)
    same_text = mask_sequences(ids, np.array([1, 2]), VOCABULARY, CONFIG, 7, 0.15)
    assert not np.array_equal(same_text.slots[0], same_text.slots[1])
    other = mask_sequences(ids, np.array([1, 2]), VOCABULARY, CONFIG, 8, 0.15)
    assert not np.array_equal(same_text.slots, other.slots)


def test_a_sequence_without_text_masks_nothing() -> None:
    masked = mask_sequences(np.array([[0, 2] + [1] * 126]), np.array([0]), VOCABULARY, CONFIG, 7, 0.15)
    assert (masked.labels == IGNORED).all()
