"""Word counts: what SentencePiece would see, in any order, and back from disk."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceNormalizer

from ccbuild.errors import ConfigError, DataError, InputError
from ccbuild.vocab.config import VocabularyConfig
from ccbuild.vocab.words import (
    WordCounts,
    count_words,
    merge_counts,
    read_counts,
    read_frequent,
    read_sizes,
    words_of,
    write_counts,
)

CONFIG = VocabularyConfig()


def test_words_by_hand() -> None:
    counted = words_of(["Ｆull  width,\tﬁne", "", "  \u3000 ", "width, a▁b", "zero\u200bwidth"], CONFIG)
    assert counted.as_counter() == {
        "▁Full": 1,
        "▁width,": 2,
        "▁fine": 1,
        "▁a": 1,
        "▁b": 1,
        "▁zero": 1,
        "▁width": 1,
    }
    assert counted.lines == 3
    assert counted.characters == sum(len(w) * n for w, n in counted.as_counter().items())
    assert counted.words.to_pylist() == sorted(counted.as_counter(), key=str.encode)


@settings(max_examples=60)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=8))
def test_words_are_those_of_sentencepiece(lines: list[str]) -> None:
    normalizer = SentencePieceNormalizer(rule_name="nmt_nfkc")
    expected: Counter[str] = Counter()
    for line in lines:
        expected.update("▁" + word for word in normalizer.normalize(line).split("▁") if word)
    assert words_of(lines, CONFIG).as_counter() == expected


def test_long_spans_are_cut_at_punctuation_then_by_length() -> None:
    config = VocabularyConfig(max_word_chars=16)
    span = "日本語の文です。" * 2 + "漢" * 20 + ",abc(" + "नमस्ते।"
    counted = words_of([span + " short, word"], config).as_counter()
    assert counted == {
        "▁日本語の文です": 1,
        "。": 2,
        "日本語の文です": 1,
        "漢" * 16: 1,
        "漢" * 4: 1,
        ",": 1,
        "abc": 1,
        "(": 1,
        "नमस्ते": 1,
        "।": 1,
        "▁short,": 1,
        "▁word": 1,
    }
    assert counted.total() == 13


def test_nothing_is_lost_by_cutting(corpus: Mapping[str, list[str]]) -> None:
    lines = corpus["zh-Hans"] + corpus["en"]
    whole = words_of(lines, VocabularyConfig(max_word_chars=1 << 20))
    cut = words_of(lines, VocabularyConfig(max_word_chars=16))
    assert cut.characters == whole.characters
    assert max(map(len, cut.as_counter())) <= 17
    assert len(cut.as_counter()) != len(whole.as_counter())


@settings(max_examples=30)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.integers(1, 2**53)))
def test_counts_come_back_from_disk(tmp_path_factory: pytest.TempPathFactory, words: dict[str, int]) -> None:
    path = tmp_path_factory.mktemp("counts") / "sw.parquet"
    write_counts(path, WordCounts.of(words, 7))
    back = read_counts(path)
    assert (back.as_counter(), back.lines) == (words, 7)
    assert read_sizes(path) == (7, back.characters)


def test_bytes_do_not_depend_on_the_order_of_lines(tmp_path: Path, corpus: Mapping[str, list[str]]) -> None:
    lines = corpus["hi"]
    write_counts(tmp_path / "a", words_of(lines, CONFIG))
    write_counts(tmp_path / "b", words_of(random.Random(1).sample(lines, len(lines)), CONFIG))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_parts_merge_to_the_whole_in_any_order(tmp_path: Path, corpus: Mapping[str, list[str]]) -> None:
    lines = corpus["ru"] + corpus["th"]
    paths = [tmp_path / f"{i}.parquet" for i in range(3)]
    for i, path in enumerate(paths):
        write_counts(path, words_of(lines[i::3], CONFIG))
    write_counts(tmp_path / "whole", words_of(lines, CONFIG))
    for order in (paths, paths[::-1]):
        merge_counts(order, tmp_path / "merged")
        assert (tmp_path / "merged").read_bytes() == (tmp_path / "whole").read_bytes()


def test_files_that_are_not_counts_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent is not a file"):
        read_counts(tmp_path / "absent")
    (tmp_path / "other").write_text("word\t3\n")
    with pytest.raises(DataError, match="other is not a file of word counts"):
        read_counts(tmp_path / "other")
    with pytest.raises(ConfigError, match="No counts to merge"):
        merge_counts([], tmp_path / "merged")


def test_counts_do_not_depend_on_the_memory(
    tmp_path: Path, corpus: Mapping[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line for code in corpus for line in corpus[code]]
    write_counts(tmp_path / "whole", words_of(lines, CONFIG))
    monkeypatch.setattr("ccbuild.vocab.words._WORD_BYTES", 4000)
    monkeypatch.setattr("ccbuild.vocab.words._BATCH_CHARS", 1000)
    monkeypatch.setattr("ccbuild.vocab.words._MERGED_ROWS", 100)
    made: list[str] = []

    def scratch(name: str) -> Path:
        made.append(name)
        return tmp_path / name

    count_words(lines, VocabularyConfig(), tmp_path / "spilled", scratch, 1_000_000)
    assert len(made) > 5
    assert not [name for name in made if (tmp_path / name).exists()]
    assert (tmp_path / "spilled").read_bytes() == (tmp_path / "whole").read_bytes()


def test_the_floor_rises_until_the_words_fit(tmp_path: Path) -> None:
    counts = {f"▁{n:02d}": n for n in range(1, 11)} | {"▁x": 10, "▁y": 5}
    write_counts(tmp_path / "sw", WordCounts.of(counts, 3))
    words, numbers, floor, lost = read_frequent(tmp_path / "sw", 1, 100)
    assert (len(words), floor, lost) == (12, 1, 0)
    for most, lowest, kept in ((12, 1, 12), (5, 7, 5), (6, 6, 6), (7, 6, 6), (8, 5, 8), (1, 11, 0)):
        words, numbers, floor, lost = read_frequent(tmp_path / "sw", 1, most)
        assert (floor, len(words)) == (lowest, kept)
        assert dict(zip(words.to_pylist(), numbers.tolist(), strict=True)) == {
            word: count for word, count in counts.items() if count >= lowest
        }
        assert lost == pytest.approx(1 - sum(numbers.tolist()) / 70)
