"""Candidates for pieces count as often as the words that hold them."""

from __future__ import annotations

import doctest
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor

from ccbuild.vocab import joints, seeds
from ccbuild.vocab.config import VocabularyConfig
from ccbuild.vocab.seeds import weighted_seeds
from ccbuild.vocab.train import build_vocabulary
from ccbuild.vocab.words import words_of, write_counts


def test_examples() -> None:
    assert doctest.testmod(seeds).failed == 0


def counted_plainly(words: Counter[str], longest: int) -> dict[str, int]:
    """Substring to score, by a loop, where all counts are twice the times: lowered by 1.5, and rounded to even."""
    times, beside = Counter[str](), dict[str, tuple[set[str], set[str]]]()
    for word, count in words.items():
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + longest) + 1):
                part = word[start:end]
                times[part] += count
                before, after = beside.setdefault(part, (set(), set()))
                before.add(word[start - 1] if start and len(part) < longest else f"start {word} {start}")
                after.add(word[end] if end < min(len(word), start + longest) else "")
    return {
        part: 2 * count if len(part) == 1 else (2 * count - 2) * len(part)
        for part, count in times.items()
        if len(part) == 1 or (count > 1 and not any(len(side) == 1 and len(*side) == 1 for side in beside[part]))
    }


def seeds_of(words: Counter[str], most: int = 1 << 20, longest: int = 5, megabytes: int = 1) -> list[tuple[str, int]]:
    ordered = sorted(words, key=str.encode)
    times = np.array([words[word] for word in ordered], np.int64)
    column = pa.array(ordered, pa.large_string())
    return list(weighted_seeds(column, 2 * times, times, most=most, longest=longest, megabytes=megabytes))


@given(st.dictionaries(st.text("abñ界😀", min_size=1, max_size=9), st.integers(1, 9), min_size=1, max_size=30))
def test_they_are_what_a_loop_over_all_substrings_finds(words: dict[str, int]) -> None:
    found = seeds_of(Counter(words))
    assert dict(found) == counted_plainly(Counter(words), 5)
    assert found == sorted(found, key=lambda seed: (-seed[1], seed[0]))


def test_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    words = Counter({"".join(rng.choice(list("aeiounrst"), 7)): int(rng.integers(1, 99)) for _ in range(4000)})
    whole = seeds_of(words, most=700)
    monkeypatch.setattr(seeds, "_BYTES_PER_SUFFIX", 1_000_000 // 500)
    monkeypatch.setattr(seeds, "_CHARACTERS_AT_ONCE", 997)
    monkeypatch.setattr(joints, "_ROWS_AT_ONCE", 100)
    assert seeds_of(words, most=700) == whole
    assert whole[:600] == seeds_of(words)[:600]


def test_frequent_words_have_a_piece(tmp_path: Path) -> None:
    """A word that stands in no other word is one suffix of many to SentencePiece, however often it occurs."""
    rng = np.random.default_rng(1)
    rare = ["".join(rng.choice(list("aeiounrstlmk"), 6)) for _ in range(3000)]
    often = ["".join(rng.choice(list("bcdfghjpqvwxyz"), 6)) for _ in range(40)]
    lines = [" ".join(rare[i : i + 10]) for i in range(0, 3000, 10)] + [" ".join(often)] * 30
    pieces = {}
    for name in ("weighted", "sentencepiece"):
        config = VocabularyConfig(size=1000, seeds=name, threads=1)
        write_counts(tmp_path / name, words_of(lines, config))
        made = build_vocabulary({"en": tmp_path / name}, config)
        processor = SentencePieceProcessor(model_proto=made.model)
        pieces[name] = {processor.id_to_piece(i) for i in range(processor.get_piece_size())}
    whole = {f"▁{word}" for word in often}
    assert whole <= pieces["weighted"]
    assert not whole <= pieces["sentencepiece"]
