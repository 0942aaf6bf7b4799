"""How a vocabulary is measured: by hand, against other kinds of model, and what the commands print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor

from ccbuild.errors import DataError, InputError
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit
from ccbuild.vocab.export import MODEL_NAME
from ccbuild.vocab.fertility import measure, open_segmenter
from ccbuild.vocab.train import Vocabulary
from tests.command import ccbuild


def test_counts_by_hand(folder: Path, vocabulary: Vocabulary, corpus: Mapping[str, list[str]]) -> None:
    text = {code: corpus[code][:20] for code in ("en", "th", "ru")}
    text["en"] = [*text["en"], "☃☃ x"]
    spelling = measure(open_segmenter(folder), text)
    processor = SentencePieceProcessor(model_file=str(folder / MODEL_NAME))
    for code, row in spelling.languages.items():
        pieces = [piece for line in text[code] for piece in processor.encode(line, out_type=str)]
        ids = [i for line in text[code] for i in processor.encode(line)]
        assert row.pieces == len(pieces)
        assert row.words == sum(len(line.split()) for line in text[code])
        assert row.characters == sum(map(len, text[code]))
        assert row.nbytes == sum(len(line.encode()) for line in text[code])
        assert row.unknown == ids.count(0)
        assert row.seen is None
    english, thai = spelling.languages["en"], spelling.languages["th"]
    assert english.unknown >= 1
    assert english.per_word == english.pieces / english.words
    assert thai.per_word is None
    assert spelling.size == vocabulary.size
    assert sum(spelling.scripts.values()) == pytest.approx(1)
    assert {"LATIN", "CYRILLIC", "THAI"} <= set(spelling.scripts)
    assert 0 < spelling.rare < spelling.size


def test_any_tokenizer_json_is_measured_alike(folder: Path, vocabulary: Vocabulary, unseen: list[str]) -> None:
    text = {"en": unseen[:100]}
    ours, theirs = (measure(open_segmenter(path), text) for path in (folder, folder / "tokenizer.json"))
    assert theirs.size == ours.size + 2  # <pad> and <mask>
    a, b = ours.languages["en"], theirs.languages["en"]
    assert (a.pieces, a.unknown, a.words) == (b.pieces, b.unknown, b.words)


def test_parity_and_languages_never_seen(
    folder: Path, vocabulary: Vocabulary, corpus: Mapping[str, list[str]], tmp_path: Path
) -> None:
    with Unit(tmp_path, "vocab train", "vocabulary", settings={}) as unit:
        unit.path(MODEL_NAME).write_bytes(vocabulary.model)
        unit.commit(Ledger(), facts={"plan": {"en": 0.5, "ru": 0.5}})
    text = {code: corpus[code][:9] for code in ("en", "ru", "am")}
    spelling = measure(open_segmenter(tmp_path), text, {"en": ["lorem ipsum"], "ru": ["lorem ipsum"] * 3})
    assert spelling.unseen == ["am"]
    assert spelling.languages["ru"].parity == 3
    assert spelling.languages["am"].parity is None
    seen = [spelling.languages[code].per_character for code in ("en", "ru")]
    assert spelling.mean("per_character") == pytest.approx(sum(seen) / 2)
    assert spelling.mean("parity") == 2


def test_what_is_no_vocabulary(tmp_path: Path, folder: Path, vocabulary: Vocabulary) -> None:
    with pytest.raises(InputError, match="holds neither"):
        open_segmenter(tmp_path)
    with pytest.raises(InputError, match="is not a file"):
        open_segmenter(tmp_path / "absent.model")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match=r"is no tokenizer\.json"):
        open_segmenter(tmp_path / "x.json")
    (tmp_path / "x.model").write_bytes(b"no model")
    with pytest.raises(DataError, match="is not a SentencePiece model"):
        open_segmenter(tmp_path / "x.model")
    with pytest.raises(InputError, match="no text to measure"):
        measure(open_segmenter(folder), {"en": ["", " "]})


def test_the_commands(folder: Path, vocabulary: Vocabulary, corpus: Mapping[str, list[str]], tmp_path: Path) -> None:
    for code in ("en", "el"):
        (tmp_path / f"{code}.txt").write_text("\n".join(corpus[code][:30]), encoding="utf-8")
    where = ("--text", str(tmp_path / "{lang}.txt"), "--parallel", str(tmp_path / "{lang}.txt"))
    models = (str(folder), str(folder / "tokenizer.json"))
    done = ccbuild("vocab", "report", *models, *where, "--out", str(tmp_path / "report.html"))
    assert done.returncode == 0, done.stderr
    assert "2,400 pieces, 2 languages" in done.stdout
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "http" not in page
    rows = [json.loads(line) for line in ccbuild("vocab", "report", models[0], *where, "--json").stdout.splitlines()]
    assert [row.get("lang") for row in rows] == [None, "el", "en"]
    assert rows[2]["parity"] == 1
    (tmp_path / "sizes.csv").write_text("code,tokens\nen,900\nsw,100\nff,\n")
    done = ccbuild(
        "vocab", "plan", str(tmp_path / "sizes.csv"), "--by", "tokens", "--alpha", "0", "--total", "40000", "--json",
        "--out", str(tmp_path / "plan.html"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shares = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["lang"], row["after"], row["repeated"]) for row in shares] == [
        ("en", 0.5, pytest.approx(20000 / 900)),
        ("sw", 0.5, 200.0),
    ]
    assert "1 languages are read more than 100 times, sw 200 times" in done.stderr
    assert "<svg" in (tmp_path / "plan.html").read_text(encoding="utf-8")
    bad = ccbuild("vocab", "plan", str(tmp_path / "sizes.csv"), "--by", "tokens", "--alpha", "2")
    assert (bad.returncode, "alpha is 2.0" in bad.stderr) == (2, True)
