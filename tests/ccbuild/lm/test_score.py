"""Perplexity, as each paragraph's own and as cc_net's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import kenlm
import pytest
import sentencepiece

from ccbuild.errors import DataError, InputError
from ccbuild.lm.estimate import Estimated
from ccbuild.lm.score import Score, Scorer, perplexity, sample
from ccbuild.text.normalise import normalise_ccnet

DOCUMENT = ["Everyone has the Right to LIFE.", "\x00 No one shall be held in slavery…", "", "99 % Ψ ☃"]


@pytest.fixture
def sentence(small_model: Estimated) -> Callable[[str], Score]:
    """The score of one normalised sentence, piece by piece."""
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(small_model.sp_model))
    model = kenlm.Model(str(small_model.binary))

    def score(text: str) -> Score:
        parts = list(model.full_scores(" ".join(pieces.encode_as_pieces(text)), bos=True, eos=True))
        return Score(sum(log10 for log10, _, _ in parts), len(parts))

    return score


def test_each_paragraph_is_a_sentence(small_model: Estimated, sentence: Callable[[str], Score]) -> None:
    parts = [sentence(normalise_ccnet(paragraph)) for paragraph in DOCUMENT if paragraph]
    got = Scorer(small_model.sp_model, small_model.binary).score(DOCUMENT)
    assert got.log10 == pytest.approx(sum(part.log10 for part in parts), rel=1e-5)
    assert got.pieces == sum(part.pieces for part in parts)
    assert got.perplexity == perplexity(got.log10, got.pieces)


def test_ccnet_scores_the_document_as_one_sentence(small_model: Estimated, sentence: Callable[[str], Score]) -> None:
    """cc_net 1.0.0: MultiSentencePiece(normalize=True), then DocLM(normalize=False)."""
    whole = sentence("everyone has the right to life. no one shall be held in slavery...00 % ψ ☃")
    got = Scorer(small_model.sp_model, small_model.binary, definition="ccnet").score(DOCUMENT)
    assert got.log10 == pytest.approx(whole.log10, rel=1e-5)
    assert got.pieces == whole.pieces


def test_two_paragraphs_glue_only_in_ccnets_definition(small_model: Estimated) -> None:
    one, two = ["everyone has the right", "to life"], ["everyone has the rightto life"]
    ccnet = Scorer(small_model.sp_model, small_model.binary, definition="ccnet")
    paragraph = Scorer(small_model.sp_model, small_model.binary)
    assert ccnet.score(one) == ccnet.score(two) == paragraph.score(two)
    assert paragraph.score(one) != paragraph.score(two)
    assert paragraph.score(one) == Score(
        paragraph.score(one[:1]).log10 + paragraph.score(one[1:]).log10,
        paragraph.score(one[:1]).pieces + paragraph.score(one[1:]).pieces,
    )


@pytest.mark.parametrize("definition", ["paragraph", "ccnet"])
@pytest.mark.parametrize("document", [[], [""], [" ", "\x00", "\x85"]])
def test_a_document_without_text(small_model: Estimated, definition: str, document: list[str]) -> None:
    scorer = Scorer(small_model.sp_model, small_model.binary, definition=definition)  # type: ignore[arg-type]
    assert scorer.score(document) == Score(0.0, 0)
    assert scorer.score(document).perplexity == float("inf")


def test_perplexity_is_rounded_to_a_tenth() -> None:
    assert perplexity(-2.0, 3) == 4.6
    assert perplexity(-1e9, 1) == 1e300


def test_loading_says_nothing(small_model: Estimated, capfd: pytest.CaptureFixture[str]) -> None:
    Scorer(small_model.sp_model, small_model.binary).score(DOCUMENT)
    assert capfd.readouterr() == ("", "")


def test_stated_hashes(small_model: Estimated, monkeypatch: pytest.MonkeyPatch) -> None:
    made = small_model
    Scorer(made.sp_model, made.binary, sp_sha256=made.sp_sha256, ngrams_sha256=made.binary_sha256.upper())

    def never(*_: object) -> None:
        raise AssertionError("a library was given a file whose hash is wrong")

    monkeypatch.setattr(kenlm, "Model", never)
    monkeypatch.setattr(sentencepiece, "SentencePieceProcessor", never)
    with pytest.raises(DataError, match=r"binary has SHA-256 .*, stated is"):
        Scorer(made.sp_model, made.binary, sp_sha256=made.sp_sha256, ngrams_sha256=made.sp_sha256)
    with pytest.raises(DataError, match=r"sp\.model has SHA-256"):
        Scorer(made.sp_model, made.binary, sp_sha256=made.binary_sha256)


def test_files_that_are_not_models(small_model: Estimated, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text("<!doctype html>\n")
    with pytest.raises(DataError, match="not a model that KenLM reads"):
        Scorer(small_model.sp_model, bad)
    with pytest.raises(DataError, match="not a SentencePiece model"):
        Scorer(bad, small_model.binary)
    with pytest.raises(InputError, match="is not a file"):
        Scorer(small_model.sp_model, tmp_path / "absent")
    with pytest.raises(InputError, match="no definition 'line'"):
        Scorer(small_model.sp_model, small_model.binary, definition="line")  # type: ignore[arg-type]


@pytest.mark.parametrize("place", ["header", "counts", "tables", "end"])
def test_a_changed_binary_never_ends_this_process(small_model: Estimated, tmp_path: Path, place: str) -> None:
    """Its hash is asked first; without one, it is opened in a process of its own. What is left is a wrong number."""
    content = bytearray(small_model.binary.read_bytes())
    start = {"header": 64, "counts": 100, "tables": len(content) // 3, "end": len(content) - 3000}[place]
    if place == "end":
        del content[start:]
    else:
        content[start : start + 40] = b"\xff" * 40
    bad = tmp_path / "bad.binary"
    bad.write_bytes(content)
    with pytest.raises(DataError, match=r"has SHA-256 .*, stated is"):
        Scorer(small_model.sp_model, bad, ngrams_sha256=small_model.binary_sha256)
    if place == "tables":
        Scorer(small_model.sp_model, bad).score(DOCUMENT)
    else:
        with pytest.raises(DataError, match=r"not a model that KenLM reads.*exit code"):
            Scorer(small_model.sp_model, bad)


def test_a_binary_without_a_hash_is_tried_apart(small_model: Estimated, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr("ccbuild.lm.score._try_apart", asked.append)
    Scorer(small_model.sp_model, small_model.binary, ngrams_sha256=small_model.binary_sha256)
    assert asked == []
    Scorer(small_model.sp_model, small_model.binary)
    assert asked == [small_model.binary]


def test_arpa_and_binary_answer_alike(small_model: Estimated) -> None:
    assert small_model.arpa is not None
    arpa, binary = (Scorer(small_model.sp_model, path) for path in (small_model.arpa, small_model.binary))
    assert arpa.order == binary.order == 4
    assert arpa.score(DOCUMENT) == binary.score(DOCUMENT)


def test_an_arpa_of_another_order_than_it_states(small_model: Estimated, tmp_path: Path) -> None:
    assert small_model.arpa is not None
    text = small_model.arpa.read_text(encoding="utf-8")
    (tmp_path / "bad.arpa").write_text(text.replace("ngram 4=", "ngram 5=", 1), encoding="utf-8")
    with pytest.raises(DataError, match="not a model that KenLM reads"):
        Scorer(small_model.sp_model, tmp_path / "bad.arpa")


def test_paragraphs_add_up(small_model: Estimated) -> None:
    scorer = Scorer(small_model.sp_model, small_model.binary)
    parts = scorer.score_paragraphs(DOCUMENT)
    assert len(parts) == len(DOCUMENT)
    assert parts[2] == Score(0.0, 0)
    assert scorer.score(DOCUMENT) == Score(sum(p.log10 for p in parts), sum(p.pieces for p in parts))


def test_a_sample_is_spread_seeded_and_the_same_for_the_same_text() -> None:
    paragraphs = [f"{i:03} of a document" for i in range(100)]
    taken = sample(paragraphs, 0.25, 1000)
    assert len(taken) == 25
    assert {int(p[:3]) // 4 for p in taken} == set(range(25))
    assert sample(list(paragraphs), 0.25, 1000) == taken
    assert {tuple(sample(paragraphs, 0.25, 1000, seed)) for seed in range(40)} == {
        tuple(paragraphs[i::4]) for i in range(4)
    }
    assert sample(paragraphs, 0.25, 10_000) is paragraphs
    assert sample(paragraphs, 1.0, 0) is paragraphs
    assert sample(paragraphs[:1], 0.1, 0) == paragraphs[:1]
    assert sample([], 0.1, 0) == []
