"""Ids: SentencePiece's moved to XLM-R's places, what `transformers` reads from the folder, and back to text."""

from __future__ import annotations

import json
import lzma
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer

from ccbuild.errors import DataError, InputError, MismatchError
from ccbuild.tokens import BOS, EOS, PAD, UNK
from ccbuild.vocab.export import MODEL_NAME
from ccbuild.vocab.tokenizer import Encoder
from ccbuild.vocab.train import Vocabulary, VocabularyConfig, train_vocabulary
from ccbuild.vocab.words import count_words, write_counts

REAL_TEXT = Path(__file__).parents[4] / "shared" / "data" / "lm-text"


@pytest.fixture(scope="module")
def encoder(folder: Path, vocabulary: Vocabulary) -> Encoder:
    return Encoder(folder / MODEL_NAME, vocabulary.sha256)


@pytest.fixture(scope="module")
def offline() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield patch


def load(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@pytest.fixture(scope="module")
def hugging_face(folder: Path, vocabulary: Vocabulary, offline: Any) -> Any:
    return load(folder)


def test_ids_are_those_of_sentencepiece_moved_by_one(encoder: Encoder, folder: Path, unseen: list[str]) -> None:
    bare = SentencePieceProcessor(model_file=str(folder / MODEL_NAME)).encode(unseen)
    ours = encoder.encode(unseen)
    assert [ids.tolist() for ids in ours] == [[UNK if i == 0 else i + 1 for i in ids] for ids in bare]
    assert {ids.dtype for ids in ours} == {np.dtype(np.uint32)}
    assert any(UNK in ids for ids in ours)
    assert not {BOS, PAD, EOS, encoder.mask} & {int(i) for ids in ours for i in ids}


def test_transformers_reads_the_same_ids(encoder: Encoder, hugging_face: Any, folder: Path, unseen: list[str]) -> None:
    assert type(hugging_face).__name__ == "XLMRobertaTokenizer"
    assert len(unseen) >= 700
    theirs = hugging_face(unseen, add_special_tokens=False)["input_ids"]
    assert theirs == [ids.tolist() for ids in encoder.encode(unseen)]
    rust = Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(unseen, add_special_tokens=False)
    assert [encoding.ids for encoding in rust] == theirs


def test_transformers_knows_the_specials(encoder: Encoder, hugging_face: Any) -> None:
    assert len(hugging_face) == encoder.size
    roles = ("bos", "pad", "eos", "unk", "cls", "sep", "mask")
    ids = [getattr(hugging_face, f"{role}_token_id") for role in roles]
    assert ids == [BOS, PAD, EOS, UNK, BOS, EOS, encoder.mask]
    assert encoder.mask == encoder.size - 1
    assert hugging_face.model_max_length == 512
    one, two = (encoder.encode([text])[0].tolist() for text in ("aaa bbb", "ccc"))
    assert hugging_face("aaa bbb")["input_ids"] == [BOS, *one, EOS]
    assert hugging_face("aaa bbb", "ccc")["input_ids"] == [BOS, *one, EOS, EOS, *two, EOS]
    assert hugging_face("aaa bbb <mask>", add_special_tokens=False)["input_ids"] == [*one, encoder.mask]


@pytest.mark.parametrize("literal", ["<mask>", "<s>", "</s>", "<pad>", "<unk>"])
def test_a_literal_special_in_text_is_only_text_to_us(encoder: Encoder, hugging_face: Any, literal: str) -> None:
    text = f"aaa {literal} bbb"
    ours = encoder.encode([text])[0]
    assert not {BOS, PAD, EOS, encoder.mask} & set(ours.tolist())
    assert ours.tolist() != hugging_face(text, add_special_tokens=False)["input_ids"]


def test_real_text_in_all_languages_reads_the_same(tmp_path: Path, offline: Any) -> None:
    """Where they differ, the line is not in NFC: Hugging Face composes no letter that is longer than five bytes."""
    if not REAL_TEXT.is_dir():
        pytest.skip(f"{REAL_TEXT} is not here")
    config = VocabularyConfig(size=6000, threads=1)
    counts, lines = {}, []
    for path in sorted(REAL_TEXT.glob("*/indomain.heldout.txt.xz")):
        text = lzma.decompress(path.read_bytes()).decode().split("\n")
        lines += text[::20]
        counts[path.parent.name] = tmp_path / path.parent.name
        write_counts(counts[path.parent.name], count_words(text[1::20], config))
    trained = train_vocabulary(counts, tmp_path / "vocabulary", config)
    ours = Encoder(tmp_path / "vocabulary" / MODEL_NAME, trained.sha256).encode(lines)
    theirs = load(tmp_path / "vocabulary")(lines, add_special_tokens=False)["input_ids"]
    differ = [line for line, a, b in zip(lines, ours, theirs, strict=True) if a.tolist() != b]
    assert len(lines) > 1000
    assert len(differ) < len(lines) / 500
    assert not [line for line in differ if unicodedata.is_normalized("NFC", line)]


def test_text_comes_back_normalised(encoder: Encoder, folder: Path, corpus: Mapping[str, list[str]]) -> None:
    processor = SentencePieceProcessor(model_file=str(folder / MODEL_NAME))
    lines = [line for code in corpus for line in corpus[code][:20]]
    whole = 0
    for line, ids in zip(lines, encoder.encode(lines), strict=True):
        if UNK not in ids:
            whole += 1
            assert encoder.decode(ids) == processor.normalize(line).replace("▁", " ").strip()
    assert whole > len(lines) / 2


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=5))
def test_any_text_is_encoded_within_the_vocabulary(encoder: Encoder, texts: list[str]) -> None:
    encoded = encoder.encode(texts)
    assert len(encoded) == len(texts)
    for ids in encoded:
        assert all(UNK <= i < encoder.mask for i in ids)


def test_documents_are_their_paragraphs(encoder: Encoder, corpus: Mapping[str, list[str]]) -> None:
    paragraphs = corpus["ru"][:4]
    documents = ["\n".join(paragraphs[:3]), paragraphs[3], ""]
    separate = encoder.encode(paragraphs)
    encoded = encoder.encode_documents(documents)
    assert encoded[0].tolist() == [i for ids in separate[:3] for i in ids.tolist()]
    assert encoded[1].tolist() == separate[3].tolist()
    assert encoded[2].tolist() == []
    assert encoder.encode_documents([]) == []
    block = [BOS, *encoded[0], EOS, *encoded[1], EOS, PAD, encoder.mask]
    assert encoder.decode(block) == "\n".join([encoder.decode(encoded[0]), encoder.decode(encoded[1])])


def test_ids_of_another_vocabulary_are_refused(encoder: Encoder) -> None:
    with pytest.raises(MismatchError, match=f"Id {encoder.size} is not among the {encoder.size}"):
        encoder.decode([5, encoder.size])


def test_a_model_is_verified_before_it_is_used(folder: Path, vocabulary: Vocabulary, tmp_path: Path) -> None:
    assert Encoder(folder / MODEL_NAME).sha256 == vocabulary.sha256
    with pytest.raises(MismatchError, match="is stated"):
        Encoder(folder / MODEL_NAME, "00" * 32)
    with pytest.raises(InputError, match="is not a file"):
        Encoder(tmp_path / "absent")
    for damage in (b"", b"not a model", vocabulary.model[:-1000], vocabulary.model[:5000]):
        (tmp_path / "damaged").write_bytes(damage)
        with pytest.raises(DataError, match="is not a SentencePiece model"):
            Encoder(tmp_path / "damaged")


def test_the_files_say_no_more_than_they_must(folder: Path, vocabulary: Vocabulary) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    assert len(tokenizer["model"]["vocab"]) == vocabulary.ids
    assert tokenizer["added_tokens"][-1]["id"] == vocabulary.ids - 1
    assert str(folder) not in (folder / "tokenizer.json").read_text()
