"""Training: the same bytes whatever the order, XLM-R's arithmetic, fairness to alphabets, limits that say a number."""

from __future__ import annotations

import dataclasses
import io
import lzma
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceNormalizer, SentencePieceProcessor, SentencePieceTrainer

from ccbuild.errors import ConfigError, DataError, InputError
from ccbuild.vocab.alpha import alpha_plan
from ccbuild.vocab.export import MODEL_NAME
from ccbuild.vocab.protobuf import charsmap, fields, replace_normalizer, round_scores
from ccbuild.vocab.train import Vocabulary, VocabularyConfig, build_vocabulary
from ccbuild.vocab.words import WordCounts, words_of, write_counts
from tests.ccbuild.vocab.conftest import written_vocabulary

REAL_TEXT = Path(__file__).parents[4] / "shared" / "data" / "lm-text"
SMALL = ("en", "th", "zh-Hans")


def pieces_of(model: bytes) -> set[str]:
    processor = SentencePieceProcessor(model_proto=model)
    return {processor.id_to_piece(i) for i in range(processor.get_piece_size())}


@pytest.fixture(scope="module")
def small(counts: Mapping[str, Path]) -> dict[str, Path]:
    return {code: counts[code] for code in SMALL}


def test_the_vocabulary_has_what_was_asked(vocabulary: Vocabulary, corpus: Mapping[str, list[str]]) -> None:
    assert vocabulary.size == vocabulary.asked == 2400
    assert vocabulary.ids == 2402
    assert vocabulary.plan == alpha_plan({code: len(lines) for code, lines in corpus.items()}, 0.3)
    assert vocabulary.below_floor == {}
    processor = SentencePieceProcessor(model_proto=vocabulary.model)
    assert [processor.id_to_piece(i) for i in range(3)] == ["<unk>", "<s>", "</s>"]


def test_languages_files_and_folders_change_not_one_bit(
    counts: Mapping[str, Path], small: dict[str, Path], tmp_path: Path
) -> None:
    config = VocabularyConfig(size=700, threads=2)
    here = written_vocabulary(small, tmp_path / "here", config)
    moved = {code: Path(shutil.copy(small[code], tmp_path / f"moved-{code}")) for code in reversed(SMALL)}
    there = written_vocabulary(moved, tmp_path / "a" / "longer" / "way", config)
    for path in (tmp_path / "here").iterdir():
        assert path.read_bytes() == (tmp_path / "a" / "longer" / "way" / path.name).read_bytes()
    assert here == there
    assert str(tmp_path).encode() not in here.model
    trainer_spec = next(value for number, value, _ in fields(here.model) if number == 2)
    assert not any(number in (1, 2) for number, _, _ in fields(trainer_spec)), "input and model_prefix hold paths"


def test_nothing_is_said_on_the_terminal(small: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    build_vocabulary(small, VocabularyConfig(size=500, threads=1))
    assert capfd.readouterr() == ("", "")


BARE: dict[str, Any] = {
    "seeds": "sentencepiece",
    "character_coverage": 1,
    "character_floor": 0,
    "max_character_share": 1,
    "threads": 1,
}
"""As SentencePiece trains by itself."""


def bare_training(rows: Iterable[str], size: int, **options: Any) -> bytes:
    """SentencePiece's own way with text: its normaliser, its prefix, its words."""
    writer = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(rows),
        model_writer=writer,
        vocab_size=size,
        model_type="unigram",
        character_coverage=1.0,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    return writer.getvalue()


def test_the_model_is_the_one_that_sentencepiece_makes_of_these_words(
    corpus: Mapping[str, list[str]], tmp_path: Path
) -> None:
    config = VocabularyConfig(
        seeds="sentencepiece",
        size=1200,
        alpha=1,
        character_coverage=1,
        character_floor=0,
        max_character_share=1,
        threads=1,
    )
    path = tmp_path / "all.parquet"
    write_counts(path, words_of([line for lines in corpus.values() for line in lines], config))
    ours = SentencePieceProcessor(model_proto=build_vocabulary({"all": path}, config).model)
    raw = Counter(word for lines in corpus.values() for line in lines for word in line.split())
    bare = bare_training([f"{word}\t{count}" for word, count in sorted(raw.items())], 1200, input_format="tsv")
    theirs = SentencePieceProcessor(model_proto=bare)
    assert charsmap(ours.serialized_model_proto()) == charsmap(bare)
    scores = [{p.id_to_piece(i): p.get_score(i) for i in range(p.get_piece_size())} for p in (ours, theirs)]
    assert len(scores[0].keys() & scores[1].keys()) / len(scores[1]) > 0.99
    lines = [line for lines in corpus.values() for line in lines]
    tokens = [sum(map(len, processor.encode(lines))) for processor in (ours, theirs)]
    assert tokens[0] == pytest.approx(tokens[1], rel=1e-3)


def real_lines(codes: Iterable[str], most: int) -> dict[str, list[str]]:
    """The first paragraphs of each language's prose."""
    if not REAL_TEXT.is_dir():
        pytest.skip(f"{REAL_TEXT} is not here")
    found: dict[str, list[str]] = {}
    for code in codes:
        lines: list[str] = []
        for path in sorted(REAL_TEXT.glob(f"{code}/*.train.txt.xz"), reverse=True):
            lines += lzma.decompress(path.read_bytes()).decode().split("\n")
        found[code] = lines[:most]
    return found


def test_word_counts_train_what_the_sentences_do(tmp_path: Path) -> None:
    """What differs are ends of words: SentencePiece seeks its candidates across the spaces of a sentence. Sentences of
    one word each give the very model of the counts; so nothing is lost by counting."""
    texts = real_lines(("en", "ru", "hi", "th", "tr", "ja", "ar", "fi"), 700)
    lines = [line for code in texts for line in texts[code]]
    config = VocabularyConfig(
        seeds="sentencepiece",
        size=5000,
        alpha=1,
        character_coverage=1,
        character_floor=0,
        max_character_share=1,
        threads=1,
    )
    write_counts(tmp_path / "all", words_of(lines, config))
    ours = build_vocabulary({"all": tmp_path / "all"}, config).model
    theirs = bare_training(lines, 5000, normalization_rule_name="nmt_nfkc", max_sentence_length=1 << 20)
    assert len(pieces_of(ours) & pieces_of(theirs)) / 5000 >= 0.99
    tokens = [sum(map(len, SentencePieceProcessor(model_proto=model).encode(lines))) for model in (ours, theirs)]
    assert tokens[0] == pytest.approx(tokens[1], rel=1e-3)


def test_counts_are_sentences_of_one_word(tmp_path: Path) -> None:
    texts = real_lines(("en", "hi", "th"), 400)
    lines = [line for code in texts for line in texts[code]]
    config = VocabularyConfig(
        seeds="sentencepiece",
        size=2000,
        alpha=1,
        character_coverage=1,
        character_floor=0,
        max_character_share=1,
        threads=1,
        max_word_chars=10_000,
    )
    write_counts(tmp_path / "all", words_of(lines, config))
    ours = build_vocabulary({"all": tmp_path / "all"}, config).model
    words = [
        word for line in SentencePieceNormalizer(rule_name="nmt_nfkc").normalize(lines) for word in line.split("▁")
    ]
    theirs = bare_training(sorted(filter(None, words)), 2000, max_sentence_length=1 << 20)
    assert pieces_of(ours) == pieces_of(theirs)


def test_alpha_weights_as_drawing_sentences_does(tmp_path: Path) -> None:
    """Against sentences drawn by the plan: as like them as two such draws are like each other."""
    texts = real_lines(("en", "ru", "tr", "sw", "fi"), 1 << 20)
    texts = {
        code: lines[:: len(lines) // most]
        for (code, lines), most in zip(texts.items(), (3000, 1000, 300, 100, 60), strict=True)
    }
    config = VocabularyConfig(
        seeds="sentencepiece",
        size=2000,
        alpha=0.3,
        character_coverage=1,
        character_floor=0,
        max_character_share=1,
        threads=1,
    )
    paths = {code: tmp_path / code for code in texts}
    for code, path in paths.items():
        write_counts(path, words_of(texts[code], config))
    made = build_vocabulary(paths, config)
    drawn = []
    for seed in (1, 2):
        random_ = random.Random(seed)
        codes = random_.choices(list(made.plan), list(made.plan.values()), k=8000)
        sentences = [random_.choice(texts[code]) for code in codes]
        drawn.append(bare_training(sentences, 2000, normalization_rule_name="nmt_nfkc", max_sentence_length=1 << 20))
    models = [pieces_of(model) for model in (made.model, *drawn)]
    between_draws = len(models[1] & models[2])
    assert len(models[0] & models[1]) > between_draws
    assert len(models[0] & models[2]) > between_draws
    lines = [line for code in texts for line in texts[code]]
    tokens = [sum(map(len, SentencePieceProcessor(model_proto=model).encode(lines))) for model in (made.model, *drawn)]
    assert tokens[0] == pytest.approx(sum(tokens[1:]) / 2, rel=0.01)


def test_alpha_gives_pieces_to_the_small_language(corpus: Mapping[str, list[str]], tmp_path: Path) -> None:
    paths = {}
    for code, times in (("en", 100), ("el", 1)):
        counted = words_of(corpus[code], VocabularyConfig())
        paths[code] = tmp_path / code
        write_counts(paths[code], WordCounts(counted.words, counted.counts * times, counted.lines * times))
    greek = {}
    for alpha in (0.0, 0.3, 1.0):
        pieces = pieces_of(build_vocabulary(paths, VocabularyConfig(size=200, alpha=alpha, threads=1)).model)
        greek[alpha] = sum(1 for piece in pieces if re.search("[α-ωάέήίόύώ]{2}", piece))
    assert greek[1.0] < greek[0.3] <= greek[0.0]


def test_each_alphabet_is_kept_and_what_is_left_out_is_told(tmp_path: Path) -> None:
    rare = "цхґ"
    texts = {
        "big": ["lorem ipsum dolor sit amet"] * 5000,
        "small": ["мова і слово", f"дім {rare[0]}", f"{rare} сад"] * 9,
    }
    config = VocabularyConfig(size=60, alpha=1, character_floor=0, max_character_share=1, threads=1)
    paths = {}
    for code, lines in texts.items():
        paths[code] = tmp_path / code
        write_counts(paths[code], words_of(lines, config))
    assert build_vocabulary(paths, config).left_out == {}
    lower = build_vocabulary(paths, dataclasses.replace(config, character_coverage=0.95))
    assert set(lower.left_out["small"].characters) <= set("".join(texts["small"]))
    assert 0 < lower.left_out["small"].share <= 0.05
    assert len(pieces_of(lower.model) & set(rare)) < 3


def test_letters_and_digits_that_occur_have_a_piece_in_both_cases(tmp_path: Path) -> None:
    """Coverage alone leaves out what makes less than one in 2,000 characters."""
    lines = ["zwykły tekst o niczym"] * 999 + ["Żółw ٣ ☃"]
    config = VocabularyConfig(size=90, max_character_share=1, threads=1)
    write_counts(tmp_path / "pl", words_of(lines, config))
    made = build_vocabulary({"pl": tmp_path / "pl"}, config)
    assert {"Ż", "ż", "ó", "Ó", "Ł", "٣"} <= pieces_of(made.model)
    assert made.left_out["pl"].characters == "☃"
    assert made.left_out["pl"].kinds == 1
    before = build_vocabulary({"pl": tmp_path / "pl"}, dataclasses.replace(config, character_floor=0))
    assert {"Ż", "٣", "☃"} <= set(before.left_out["pl"].characters)
    assert "Ł" not in pieces_of(before.model)


def test_few_of_the_characters_left_out_are_named(tmp_path: Path) -> None:
    config = VocabularyConfig(size=60, character_coverage=0.5, character_floor=0, threads=1)
    write_counts(tmp_path / "zh", words_of(["".join(map(chr, range(0x4E00, 0x4F00)))], config))
    left = build_vocabulary({"zh": tmp_path / "zh"}, config).left_out["zh"]
    assert len(left.characters) == 40 < left.kinds


def test_single_characters_take_only_their_share(counts: Mapping[str, Path]) -> None:
    config = VocabularyConfig(size=400, max_character_share=0.25, threads=1)
    crowded = build_vocabulary(counts, config)
    single = [piece for piece in pieces_of(crowded.model) if len(piece) == 1]
    assert len(single) == 99
    assert crowded.size <= 400
    assert crowded.left_out["zh-Hans"].share > 0
    with pytest.raises(
        InputError, match=r"size is 400; the text needs \d{3,4} characters and 3 more. Set it to \d{3,4}"
    ):
        build_vocabulary(counts, dataclasses.replace(config, max_character_share=1))
    with pytest.raises(InputError, match=r"size is 400; the text needs \d{3,4} characters"):
        build_vocabulary(counts, dataclasses.replace(config, hard_limit=True))
    with pytest.raises(InputError, match="size is 200; it takes 260 pieces before any character"):
        build_vocabulary(counts, dataclasses.replace(config, size=200, byte_fallback=True))


def test_a_size_that_the_text_cannot_fill(small: dict[str, Path]) -> None:
    config = VocabularyConfig(size=50_000, threads=1)
    soft = build_vocabulary(small, config)
    assert soft.size < soft.asked == 50_000
    with pytest.raises(InputError, match=r"size is 50000, more than the text can fill\. Set it to") as refusal:
        build_vocabulary(small, dataclasses.replace(config, hard_limit=True))
    possible = int(re.findall(r"Set it to (\d+),", str(refusal.value))[0])
    exact = build_vocabulary(small, dataclasses.replace(config, size=possible, hard_limit=True))
    assert exact.size == possible


def test_a_floor_drops_rare_words_and_says_how_much(small: dict[str, Path]) -> None:
    every = build_vocabulary(small, VocabularyConfig(size=500, threads=1))
    floor = build_vocabulary(small, VocabularyConfig(size=500, threads=1, min_count=2))
    assert floor.rows < every.rows
    assert set(floor.below_floor) == set(SMALL)
    assert all(0 < below.share < 1 and below.floor == 2 for below in floor.below_floor.values())


def test_size_by_characters(small: dict[str, Path]) -> None:
    by_characters = build_vocabulary(small, VocabularyConfig(size=500, threads=1, unit="characters", alpha=1))
    by_sentences = build_vocabulary(small, VocabularyConfig(size=500, threads=1, alpha=1))
    # Thai and Chinese lines of the corpus have about as many words as English ones, but no spaces
    assert by_characters.plan["en"] > by_sentences.plan["en"]


def test_bad_input_is_refused(small: dict[str, Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty.parquet"
    write_counts(empty, words_of([], VocabularyConfig()))
    with pytest.raises(InputError, match="None of 1 languages has any text"):
        build_vocabulary({"la": empty}, VocabularyConfig())
    beside = build_vocabulary({**small, "la": empty}, VocabularyConfig(size=500, threads=1))
    assert list(beside.plan) == list(SMALL)
    with pytest.raises(InputError, match="is not a file"):
        build_vocabulary({"en": tmp_path / "absent"}, VocabularyConfig())
    with pytest.raises(InputError, match="No word occurs 1000000 times"):
        build_vocabulary(small, VocabularyConfig(size=500, min_count=1_000_000))
    for bad in ({"size": 3}, {"alpha": 1.5}, {"threads": 0}, {"character_coverage": -0.1}, {"max_word_chars": 0}):
        with pytest.raises(ConfigError, match=rf"vocab\.{next(iter(bad))} is"):
            VocabularyConfig(**bad)


def test_the_model_is_cut_up_and_put_together_again(vocabulary: Vocabulary) -> None:
    model = vocabulary.model
    assert b"".join(raw for _, _, raw in fields(model)) == model
    spec = next(value for number, value, _ in fields(model) if number == 3)
    assert replace_normalizer(model, spec) == model
    assert round_scores(model, 2**-8) == model
    processor = SentencePieceProcessor(model_proto=model)
    assert all((processor.get_score(i) * 256).is_integer() for i in range(vocabulary.size))
    for end in (1, 2, 10, len(model) // 2):
        with pytest.raises(DataError):
            list(fields(model[:end]))
    with pytest.raises(DataError, match="wire type 7"):
        list(fields(b"\x0f"))


def test_the_folder_holds_the_model_under_xlmr_s_name(folder: Path, vocabulary: Vocabulary) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "dict.txt",
        MODEL_NAME,
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert MODEL_NAME == "sentencepiece.bpe.model"
    assert (folder / MODEL_NAME).read_bytes() == vocabulary.model
