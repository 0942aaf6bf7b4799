"""From text to a model on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import kenlm
import pytest
import sentencepiece

from ccbuild.config import fingerprint, flatten, from_mapping
from ccbuild.errors import ConfigError, InputError
from ccbuild.lm.estimate import EstimateConfig, Estimated, estimate, estimate_files
from ccbuild.storage import sha256_file


def test_what_is_written(small_model: Estimated, prose: list[str]) -> None:
    assert sha256_file(small_model.sp_model) == small_model.sp_sha256
    assert sha256_file(small_model.binary) == small_model.binary_sha256
    assert small_model.lines == len(prose)
    assert len(small_model.ngrams) == 4
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(small_model.sp_model))
    assert len(pieces) == small_model.pieces < 65_536
    assert small_model.arpa is not None
    assert small_model.arpa.read_text(encoding="utf-8").startswith(
        f"\\data\\\nngram 1={small_model.ngrams[0]}\nngram 2={small_model.ngrams[1]}\n"
    )


def test_kenlm_reads_it_and_prefers_its_language(small_model: Estimated) -> None:
    model = kenlm.Model(str(small_model.arpa))
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(small_model.sp_model))
    assert model.order == 4

    def bits(text: str) -> float:
        return float(-model.score(" ".join(pieces.encode(text, out_type=str)))) / len(text)

    assert bits("everyone has the right to freedom") < bits("hcae fo eht sthgir ot modeerf")


def test_long_lines_are_not_left_out(small_model: Estimated) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(small_model.sp_model))
    assert pieces.unk_id() not in pieces.encode("жжψ")


def test_nothing_goes_to_the_terminal(prose: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    estimate(prose, tmp_path / "en", EstimateConfig())
    assert capfd.readouterr() == ("", "")


def test_bytes_depend_on_neither_hash_seed_nor_path(small_model: Estimated, prose: list[str], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("\n".join(prose), encoding="utf-8")
    program = (
        "import sys; from ccbuild.lm.estimate import *; text, out = sys.argv[1:];"
        "lines = open(text, encoding='utf-8').read().split('\\n');"
        "print(estimate_files(lines, out + 'a.tmp', out + 'b.tmp', EstimateConfig(order=4)).binary_sha256)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "text"), f"{tmp_path}/other-"]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "4711"}
    )
    assert done.stdout.strip() == small_model.binary_sha256
    assert sha256_file(tmp_path / "other-a.tmp") == small_model.sp_sha256


def test_the_models_own_symbols_in_the_text(prose: list[str], tmp_path: Path) -> None:
    text = [*prose, "<s> the right </s> to <unk>", "<UNK>", "<s>", "\x00", "☃☃ ☃"]
    made = estimate(text, tmp_path / "en", EstimateConfig(order=3))
    kenlm.Model(str(made.arpa))
    assert made.lines == len(text) - 1  # the NUL


def test_pruning_leaves_out_what_occurs_once(prose: list[str], tmp_path: Path, small_model: Estimated) -> None:
    pruned = estimate(prose, tmp_path / "en", EstimateConfig(order=4, prune=(0, 0, 1)))
    assert pruned.ngrams[:2] == small_model.ngrams[:2]
    assert pruned.ngrams[2] < small_model.ngrams[2]
    kenlm.Model(str(pruned.arpa))


def test_fewer_pieces_for_little_text(prose: list[str], tmp_path: Path) -> None:
    all_it_yields = estimate(prose, tmp_path / "a", EstimateConfig(characters_per_piece=0))
    few = estimate(prose, tmp_path / "b", EstimateConfig(pieces=100))
    assert few.pieces == 100 < all_it_yields.pieces


@pytest.mark.parametrize("lines", [[], ["", " ", "\x00"], ["A few words."]])
def test_too_little_text(lines: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"too little for a perplexity model.*Give more text, or lower min_characters"):
        estimate(lines, tmp_path / "en", EstimateConfig())
    assert not list(tmp_path.iterdir())


def test_no_text_at_all_with_no_least(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 characters of text"):
        estimate([], tmp_path / "en", EstimateConfig(min_characters=0))


def test_the_same_bytes_whatever_the_memory(prose: list[str], tmp_path: Path) -> None:
    """The smaller memory holds 419,430 rows; the text has more tokens, so it is sorted in runs."""
    lines = [" ".join(chr(97 + (i * j * j) % 26) for j in range(1, 60)) for i in range(1, 9000)]
    config = EstimateConfig(pieces=40, order=3)
    made = [estimate_files(lines, tmp_path / "sp", tmp_path / f"{n}", config, memory_megabytes=n) for n in (64, 4096)]
    assert made[0].tokens > 419_430
    assert made[0].binary_sha256 == made[1].binary_sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4096", "64", "sp"]


def test_pieces_from_a_sample(prose: list[str], tmp_path: Path) -> None:
    """The sample decides the pieces, the whole text the n-grams; order of lines does not enter what is drawn."""
    made = [
        estimate_files(lines, tmp_path / "sp", tmp_path / "n", EstimateConfig(order=2, sample_characters=4000))
        for lines in (prose[:45], prose[44::-1])
    ]
    whole = estimate_files(prose[:45], tmp_path / "sp", tmp_path / "n", EstimateConfig(order=2))
    assert made[0].lines == whole.lines
    assert made[0].tokens == made[1].tokens != whole.tokens


def test_sentences_too_short_for_the_order(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No sentence is long enough for order 5.*order="):
        estimate(["a"] * 6000, tmp_path / "en", EstimateConfig())


def test_pieces_that_cannot_hold_the_alphabet(prose: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="SentencePiece cannot make 5 pieces"):
        estimate_files(prose, tmp_path / "a", tmp_path / "b", EstimateConfig(pieces=5))


@pytest.mark.parametrize(
    "mapping",
    [
        {"order": 1},
        {"order": 7},
        {"prune": [1]},
        {"prune": [0, 2, 1]},
        {"order": 2, "prune": [0, 0, 0]},
        {"pieces": 0},
        {"character_coverage": 0.5},
        {"sp_threads": 0},
        {"min_characters": -1},
        {"characters_per_piece": -1},
    ],
)
def test_settings_that_cannot_be(mapping: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        from_mapping(EstimateConfig, mapping, "lm")


def test_settings_from_yaml() -> None:
    config = from_mapping(EstimateConfig, {"order": 3, "prune": [0, 0, 1]})
    assert config == EstimateConfig(order=3, prune=(0, 0, 1))
    assert fingerprint(flatten(config)) != fingerprint(flatten(EstimateConfig(order=3)))
