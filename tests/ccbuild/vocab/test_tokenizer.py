"""Ids: SentencePiece's moved to XLM-R's places, what `transformers` reads from the folder, and back to text."""

from __future__ import annotations

import hashlib
import itertools
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
from sentencepiece import SentencePieceNormalizer, SentencePieceProcessor
from tokenizers import Tokenizer

from ccbuild.errors import DataError, InputError, MismatchError
from ccbuild.tokens import BOS, EOS, PAD, UNK
from ccbuild.vocab.export import MODEL_NAME, vocabulary_files
from ccbuild.vocab.protobuf import with_pieces
from ccbuild.vocab.tokenizer import Encoder
from ccbuild.vocab.train import Vocabulary, VocabularyConfig
from ccbuild.vocab.words import words_of, write_counts
from tests.ccbuild.vocab.conftest import written_vocabulary

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


SPECIALS = ("<s>", "</s>", "<pad>", "<unk>", "<mask>")


def test_real_text_in_all_languages_reads_the_same(tmp_path: Path, offline: Any) -> None:
    """Composed and decomposed: where they differ, a literal special token stands in the line."""
    if not REAL_TEXT.is_dir():
        pytest.skip(f"{REAL_TEXT} is not here")
    config = VocabularyConfig(size=6000, threads=1)
    counts, lines = {}, []
    for path in sorted(REAL_TEXT.glob("*/*.txt.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as stream:
            text = [line.rstrip("\n") for line in itertools.islice(stream, 60)]
        lines += text
        if path.parent.name not in counts:
            counts[path.parent.name] = tmp_path / path.parent.name
            write_counts(counts[path.parent.name], words_of(text[::2], config))
    trained = written_vocabulary(counts, tmp_path / "vocabulary", config)
    lines += [f"{lines[i]} {special} {lines[-i]}" for i, special in enumerate(SPECIALS, 1)]
    ours, theirs = Encoder(tmp_path / "vocabulary" / MODEL_NAME, trained.sha256), load(tmp_path / "vocabulary")
    for form in (None, "NFD"):
        texts = lines if form is None else [unicodedata.normalize(form, line) for line in lines]
        encoded = zip(texts, ours.encode(texts), theirs(texts, add_special_tokens=False)["input_ids"], strict=True)
        differ = [line for line, a, b in encoded if a.tolist() != b]
        assert len(differ) == len(SPECIALS)
        assert all(any(special in line for special in SPECIALS) for line in differ)
    assert len(counts) >= 100
    assert len(lines) >= 10_000


@pytest.mark.parametrize(
    "text",
    [
        "Vi\u1ec7t Vie\u0323\u0302t Vi\u00ea\u0323t Vie\u0302\u0323t",
        "\u0995\u09c7\u09be \u0995\u09cb",
        "\u0915\u0958\u0915\u093c",
        "\uff76\uff9e \u304b\u3099",
        "\u0641\u064e\u0651 \u0641\u0651\u064e \u05e9\u05bc\u05c1",
        "\u1112\u1161\u11ab \ud55c",
        "\u03b1\u0313\u0300\u0345 \u1f82 \u03b1\u0345\u0313",
        "\u00bd\u0301 \U0001f469\u200d\U0001f52c\u0e19\u0e33",
    ],
)
def test_marks_normalise_as_in_sentencepiece(folder: Path, vocabulary: Vocabulary, text: str) -> None:
    processor = SentencePieceProcessor(model_file=str(folder / MODEL_NAME))
    normalised = Tokenizer.from_file(str(folder / "tokenizer.json")).normalizer.normalize_str(text)
    assert " ".join(normalised.split()) == processor.normalize(text).replace("▁", " ").strip()


CONTEXTS = {
    "alone": "{}",
    "after a letter": "E{}",
    "after a mark": "a\u0301{}",
    "between words": "x {} y",
}


def test_every_code_point_reads_the_same(vocabulary: Vocabulary, tmp_path: Path) -> None:
    """With a piece for each character, so that none hides behind <unk>."""
    points = [chr(p) for p in range(0x110000) if unicodedata.category(chr(p)) not in ("Cn", "Co", "Cs")]
    table = SentencePieceNormalizer(rule_name="nmt_nfkc", add_dummy_prefix=False)
    plain = [c for c in points if unicodedata.category(c) == "Lo"]  # which before marks are all alike
    texts = {name: [form.replace("{}", c) for c in points] for name, form in CONTEXTS.items()}
    texts["before marks"] = [f"{c}\u0323\u0301" for c in [*plain[::50], *sorted({*points} - {*plain})]]
    characters = sorted(set("▁").union(*(set("".join(table.normalize(lines))) for lines in texts.values())))
    characters = [c for c in characters if c not in "\0\u2585"]  # of SentencePiece's own
    model = with_pieces(vocabulary.model, [(c, -8.0) for c in characters])
    for name, content in vocabulary_files(model).items():
        (tmp_path / name).write_bytes(content)
    ours = Encoder(tmp_path / MODEL_NAME, hashlib.sha256(model).hexdigest())
    theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    differ = {}
    for name, lines in texts.items():
        encoded = zip(lines, ours.encode(lines), theirs.encode_batch(lines, add_special_tokens=False), strict=True)
        differ[name] = {line for line, a, b in encoded if a.tolist() != b.ids}
    kept = {c for c in points if unicodedata.category(c) in ("Cc", "Cf") and table.normalize(f"a{c}") == f"a{c}"}
    assert differ.pop("before marks") <= {f"{c}\u0323\u0301" for c in kept}
    assert not any(differ.values())
    assert len(points) > 140_000


def test_text_comes_back_normalised(encoder: Encoder, folder: Path, corpus: Mapping[str, list[str]]) -> None:
    processor = SentencePieceProcessor(model_file=str(folder / MODEL_NAME))
    lines = [line for code in corpus for line in corpus[code][:20]]
    whole = 0
    for line, ids in zip(lines, encoder.encode(lines), strict=True):
        if UNK not in ids:
            whole += 1
            assert encoder.decode(ids) == processor.normalize(line).replace("▁", " ").strip()
    assert whole > len(lines) / 2


@settings(max_examples=50)
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
    for code in corpus:  # paragraphs are encoded together, up to a length, and it makes no difference
        text = "\n".join(["", *corpus[code], " ", *corpus[code][:3]])
        together = encoder.encode_documents([text])[0].tolist()
        assert together == [i for ids in encoder.encode(text.split("\n")) for i in ids.tolist()]
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
    for damage in (b"", b"not a model", vocabulary.model[:-1000], vocabulary.model[:5003]):
        (tmp_path / "damaged").write_bytes(damage)
        with pytest.raises(DataError, match="is not a SentencePiece model"):
            Encoder(tmp_path / "damaged")


def test_the_files_say_no_more_than_they_must(folder: Path, vocabulary: Vocabulary) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    assert len(tokenizer["model"]["vocab"]) == vocabulary.ids
    assert tokenizer["added_tokens"][-1]["id"] == vocabulary.ids - 1
    assert str(folder) not in (folder / "tokenizer.json").read_text()


@pytest.mark.parametrize("choice", [{"model": "bpe"}, {"byte_fallback": True}, {"split_digits": True}])
def test_other_kinds_of_model_read_the_same(
    choice: dict[str, Any], counts: Mapping[str, Path], unseen: list[str], tmp_path: Path, offline: Any
) -> None:
    config = VocabularyConfig(size=1500, threads=1, max_character_share=0.6, **choice)
    trained = written_vocabulary(counts, tmp_path, config)
    ours = Encoder(tmp_path / MODEL_NAME, trained.sha256)
    encoded = [ids.tolist() for ids in ours.encode(unseen)]
    assert load(tmp_path)(unseen, add_special_tokens=False)["input_ids"] == encoded
    processor = SentencePieceProcessor(model_proto=trained.model)
    pieces = {processor.id_to_piece(i) for i in range(processor.get_piece_size())}
    if "byte_fallback" in choice:
        assert all(UNK not in ids for ids in encoded)
        assert ours.decode(encoded[0]) == processor.normalize(unseen[0]).replace("▁", " ").strip()
    if "split_digits" in choice:
        assert not [piece for piece in pieces if len(piece.strip("▁")) > 1 and any(c.isdigit() for c in piece)]


def test_symbols_are_one_piece_wherever_they_stand(counts: Mapping[str, Path], tmp_path: Path, offline: Any) -> None:
    trained = written_vocabulary(counts, tmp_path, VocabularyConfig(size=2400, threads=1, symbols=("[X]", "<url>")))
    encoder, theirs = Encoder(tmp_path / MODEL_NAME, trained.sha256), load(tmp_path)
    ids = encoder.encode(["aaa[X]bbb <url>"])[0].tolist()
    symbols = [theirs.convert_tokens_to_ids(symbol) for symbol in ("[X]", "<url>")]
    assert [i for i in ids if i in symbols] == symbols


def test_fairseq_s_dictionary_gives_the_same_ids(folder: Path, vocabulary: Vocabulary, encoder: Encoder) -> None:
    symbols = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
    ]  # fairseq's Dictionary, then the lines of the file, then the task's mask
    symbols += [line.rsplit(" ", 1)[0] for line in (folder / "dict.txt").read_text(encoding="utf-8").splitlines()]
    assert len(symbols) + 1 == vocabulary.ids
    processor = SentencePieceProcessor(model_proto=vocabulary.model)
    ids = encoder.encode(["lorem ipsum"])[0].tolist()
    assert [symbols[i] for i in ids if i != UNK] == [
        p for p in processor.encode("lorem ipsum", out_type=str) if p in symbols
    ]
