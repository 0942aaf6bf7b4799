"""The training of a unigram model gives SentencePiece's pieces, and the words that are kept."""

from __future__ import annotations

import doctest
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from ccbuild.vocab import joints, unigram
from ccbuild.vocab.config import VocabularyConfig
from ccbuild.vocab.joints import cut_at_borders
from ccbuild.vocab.seeds import weighted_seeds
from ccbuild.vocab.train import build_vocabulary
from ccbuild.vocab.unigram import train_unigram
from ccbuild.vocab.words import words_of, write_counts

Table = tuple[pa.Array, np.ndarray]


@pytest.mark.parametrize("module", [unigram, joints])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def parts() -> Table:
    """Words of syllables, by Zipf's law, and rare ones of any letters, which no candidate spells whole."""
    rng = np.random.default_rng(3)
    syllables = ["".join(rng.choice(list("bdfgklmnprst"), 1)) + v for v in "aeiou" for _ in range(9)]
    words = {"▁" + "".join(rng.choice(syllables, rng.integers(1, 6))) for _ in range(6000)}
    counts = dict(zip(sorted(words), (1 + int(9000 / (rank + 3)) for rank in rng.permutation(len(words))), strict=True))
    counts |= {"▁" + "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 9)): 1 for _ in range(2000)}
    ordered = sorted(counts)
    return pa.array(ordered, pa.large_string()), np.array([counts[word] for word in ordered])


def by_sentencepiece(parts: Table, seeds: list[tuple[str, int]], size: int, path: Path) -> dict[str, float]:
    """The same by SentencePiece, which multiplies each seed's count by its length."""
    path.write_text("".join(f"{seed}\t{score // len(seed)}\n" for seed, score in seeds if len(seed) > 1))
    writer = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=(f"{word}\t{count}" for word, count in zip(parts[0].to_pylist(), parts[1], strict=True)),
        model_writer=writer,
        input_format="tsv",
        vocab_size=size + 3,
        character_coverage=1.0,
        seed_sentencepieces_file=str(path),
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
    )
    made = SentencePieceProcessor(model_proto=writer.getvalue())
    return {made.id_to_piece(i): made.get_score(i) for i in range(3, made.get_piece_size())}


@pytest.mark.parametrize("size", [400, 800])
def test_of_the_same_candidates_the_same_pieces_come(parts: Table, tmp_path: Path, size: int) -> None:
    seeds = list(weighted_seeds(*parts, parts[1], most=3000, longest=16, megabytes=9))
    theirs = by_sentencepiece(parts, seeds, size, tmp_path / "seeds")
    ours = dict(train_unigram(*parts, parts[1], seeds, size=size, threads=1, discount=False))
    both = theirs.keys() & ours.keys()
    assert len(theirs) == len(ours) == size
    assert len(both) >= 0.985 * size
    assert np.median([abs(theirs[piece] - ours[piece]) for piece in both]) < 0.01


def test_threads_change_nothing_and_what_is_kept_stays(parts: Table) -> None:
    seeds = list(weighted_seeds(*parts, parts[1], most=3000, longest=16, megabytes=9))
    one = train_unigram(*parts, parts[1], seeds, size=400, threads=1)
    assert one == train_unigram(*parts, parts[1], seeds, size=400, threads=3)
    rare = frozenset(seed for seed, _ in seeds[-300:] if len(seed) > 6)
    assert len(rare) > 20
    assert not rare <= {piece for piece, _ in one}
    kept = train_unigram(*parts, parts[1], seeds, size=400, threads=1, kept=rare)
    assert len(kept) == 400
    assert rare <= {piece for piece, _ in kept}
    assert {seed for seed, _ in seeds if len(seed) == 1} <= {piece for piece, _ in kept}


def test_text_in_which_all_occurs_once_gives_its_characters() -> None:
    once = np.ones(1, np.int64)
    made = train_unigram(pa.array(["ab"]), once, once, [("a", 1), ("ab", 2), ("b", 1)], size=9, threads=1)
    assert {piece for piece, _ in made} == {"a", "b"}
    assert all(np.isfinite(score) for _, score in made)


def test_words_are_cut_where_no_piece_goes_on() -> None:
    words = Counter({"▁ab": 1, "▁ab,": 2, "▁“ab”": 3, "▁я-ab12": 4, "▁日本ab": 5, "▁カナ漢字": 6, "▁x[S]y": 7})
    column, counts = pa.array(words, pa.large_string()), np.array([*words.values()])
    parts, (summed,) = cut_at_borders(column, [counts], VocabularyConfig(symbols=("[S]",)))
    expected = {"▁ab": 3, ",": 2, "▁“": 3, "ab": 12, "”": 3, "▁я": 4, "-": 4, "12": 4, "▁日本": 5, "▁カナ漢字": 6}
    assert dict(zip(parts.to_pylist(), summed.tolist(), strict=True)) == expected | {"▁x": 7, "y": 7}
    single, (summed,) = cut_at_borders(column[3:4], [counts[3:4]], VocabularyConfig(split_digits=True))
    assert dict(zip(single.to_pylist(), summed.tolist(), strict=True)) == {"▁я": 4, "-": 4, "ab": 4, "1": 4, "2": 4}


def test_the_frequent_words_of_each_language_are_pieces(tmp_path: Path) -> None:
    """Also of one that has little text beside another; not those that occur once, nor what is no word."""
    rng = np.random.default_rng(1)
    large = [" ".join("".join(rng.choice(list("aeiounrst"), 6)) for _ in range(40)) for _ in range(200)]
    words = {"".join(rng.choice(list("aeiounrst"), 5)) for _ in range(60)}
    small = [" ".join([*sorted(words), "12,5", "-nur-"]), " ".join([*sorted(words), "sonetturin", "12,5", "-nur-"])]
    pieces = {}
    for most in (0, 1000):
        config = VocabularyConfig(size=300, threads=1, frequent_words=most, alpha=1.0)
        for code, lines in (("la", large), ("sm", small)):
            write_counts(tmp_path / code, words_of(lines, config))
        made = build_vocabulary({code: tmp_path / code for code in ("la", "sm")}, config)
        processor = SentencePieceProcessor(model_proto=made.model)
        pieces[most] = {processor.id_to_piece(i) for i in range(processor.get_piece_size())}
        assert len(pieces[most]) <= 300
    whole = {f"▁{word}" for word in words}
    assert whole <= pieces[1000]
    assert len(whole & pieces[0]) < 30
    assert not {"▁sonetturin", "▁12,5", "▁-nur-"} & pieces[1000]
