"""Detection of near duplicates follows the S-curve of bands and rows, on real sentences edited to a known Jaccard."""

from __future__ import annotations

import numpy as np
import pytest

from ccbuild.dedup.corpora.texts import CorpusConfig, duplicates, sketch
from ccbuild.dedup.jaccard import true_jaccard
from ccbuild.dedup.signatures import SignatureConfig, band_hashes, sign
from ccbuild.dedup.words import shingles
from ccbuild.langid.sources import eld_sentences
from tests.conftest import cached

SIMILARITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
PAIRS = 3000
CONFIG = SignatureConfig()


@pytest.fixture(scope="module")
def documents() -> list[list[str]]:
    """Documents of 140 words or more, each of running sentences of one language that parts words by spaces."""
    found: list[list[str]] = []
    waiting: list[str] = []
    for sentences in eld_sentences(cached("eld")).values():
        for sentence in sentences:
            waiting += sentence.split()
            if len(waiting) >= 140:
                found.append(waiting)
                waiting = []
        waiting = []
    return found


def edited(words: list[str], other: list[str], similarity: float) -> list[str]:
    """`words` with so much of their end from another document that `similarity` of the shingles is common.

    Of S shingles k go and k come: (S - k) / (S + k) is the Jaccard similarity.
    """
    n = len(words) - 4
    k = round(n * (1 - similarity) / (1 + similarity))
    return words[: len(words) - k] + other[:k]


@pytest.fixture(scope="module")
def originals(documents: list[list[str]]) -> tuple[list[set[bytes]], np.ndarray]:
    """Shingles and bands of the first documents."""
    assert len(documents) > PAIRS
    texts = [" ".join(d) for d in documents[:PAIRS]]
    return [set(shingles(t)) for t in texts], band_hashes(sign(texts, CONFIG).values, CONFIG)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_detection_follows_the_curve(
    documents: list[list[str]], originals: tuple[list[set[bytes]], np.ndarray], similarity: float
) -> None:
    edits = [" ".join(edited(d, documents[-1 - i], similarity)) for i, d in enumerate(documents[:PAIRS])]
    sets = zip(originals[0], map(set, map(shingles, edits)), strict=True)
    true = np.array([len(a & b) / len(a | b) for a, b in sets])
    near = np.abs(true - similarity) < 0.03  # a word with punctuation inside is two; a few pairs drift further
    assert near.sum() > 0.8 * PAIRS
    found = (originals[1] == band_hashes(sign(edits, CONFIG).values, CONFIG)).any(axis=1)[near]
    expected = 1 - (1 - true[near] ** CONFIG.rows) ** CONFIG.bands
    assert abs(found.mean() - expected.mean()) < 0.02


def test_a_check_of_the_true_jaccard_drops_no_unique_document(documents: list[list[str]]) -> None:
    """At 0.6 the bands find a fifth of the pairs, which are no duplicates; the check lets none of them go."""
    chosen = documents[:1500]
    apart = [" ".join(edited(d, documents[-1 - i], 0.6)) for i, d in enumerate(chosen)]
    close = [" ".join(edited(d, documents[-1 - i], 0.9)) for i, d in enumerate(chosen[:300])]
    texts = [" ".join(d) for d in chosen] + apart + close
    config = CorpusConfig(min_jaccard=0.75)
    rows = sketch(texts, config)
    loose, checked = (
        duplicates(rows, c, lambda wanted: {int(n): texts[int(n)] for n in wanted})
        for c in (CorpusConfig(min_jaccard=0), config)
    )
    assert np.isin(np.arange(1500, 3000), loose.doc).mean() > 0.1
    pairs = zip(checked.doc.tolist(), checked.match.tolist(), strict=True)
    assert all(true_jaccard(texts[a], texts[b], 5) >= 0.75 for a, b in pairs)
    assert np.isin(np.arange(1500, 3000), checked.doc).sum() == 0
    assert np.isin(np.arange(3000, 3300), checked.doc).mean() > 0.95
