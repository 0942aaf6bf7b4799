"""How a vocabulary is measured: by hand, against other kinds of model, and what the commands print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor

from ccbuild.cli import main
from ccbuild.errors import DataError, InputError
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit
from ccbuild.vocab.export import MODEL_NAME
from ccbuild.vocab.fertility import LanguageSpelling, Spelling, changes, measure, open_segmenter, unpaired
from ccbuild.vocab.train import Vocabulary


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
    spelling = measure(open_segmenter(tmp_path), text, {"en": ["lorem ipsum"], "ru": [" ".join(["lorem ipsum"] * 3)]})
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


def test_the_commands(
    folder: Path,
    vocabulary: Vocabulary,
    corpus: Mapping[str, list[str]],
    in_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for code in ("en", "el"):
        Path(f"{code}.txt").write_text("\n".join(corpus[code][:30]), encoding="utf-8")
    where = ["--text", "{lang}.txt", "--parallel", "{lang}.txt"]
    assert main(["vocab", "report", str(folder), *where, "--out", "report.html"]) == 0
    assert "2,400 pieces, 2 languages" in capsys.readouterr().out
    page = Path("report.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "http" not in page
    assert main(["vocab", "report", str(folder), *where, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row.get("lang") for row in rows] == [None, "el", "en"]
    assert rows[2]["parity"] == 1
    Path("sizes.csv").write_text("code,tokens\nen,900\nsw,100\nff,\n")
    plan = ["vocab", "plan", "sizes.csv", "--by", "tokens"]
    assert main([*plan, "--alpha", "0", "--total", "40000", "--json", "--out", "plan.html"]) == 0
    said = capsys.readouterr()
    shares = [json.loads(line) for line in said.out.splitlines()]
    assert [(row["lang"], row["after"], row["repeated"]) for row in shares] == [
        ("en", 0.5, pytest.approx(20000 / 900)),
        ("sw", 0.5, 200.0),
    ]
    assert "1 languages are read more than 100 times, sw 200 times" in said.err
    assert "<svg" in Path("plan.html").read_text(encoding="utf-8")
    assert main([*plan, "--alpha", "2"]) == 2
    assert "alpha is 2.0" in capsys.readouterr().err


def test_lines_are_paired_by_their_number(
    folder: Path, vocabulary: Vocabulary, corpus: Mapping[str, list[str]]
) -> None:
    """Blank lines on one side leave their pair out; before, they shifted what was compared, without a word."""
    segmenter, text = open_segmenter(folder), {"en": corpus["en"][:40], "ru": corpus["ru"][:40]}
    english, russian = text["en"], text["ru"]
    whole = measure(segmenter, text, text).languages["ru"].parity
    holes = [""] * 10
    shifted = {"en": english, "ru": [*holes, *russian[10:]]}
    rest = measure(segmenter, text, {"en": english[10:], "ru": russian[10:]}).languages["ru"].parity
    assert measure(segmenter, text, shifted).languages["ru"].parity == rest != whole
    uneven = {"en": english, "ru": russian[:39]}
    assert unpaired(uneven) == {"ru": 39}
    found = measure(segmenter, text, uneven).languages
    assert (found["en"].parity, found["ru"].parity) == (1, None)


def test_words_in_one_piece(folder: Path, vocabulary: Vocabulary, corpus: Mapping[str, list[str]]) -> None:
    processor = SentencePieceProcessor(model_file=str(folder / MODEL_NAME))
    words = [word for line in corpus["en"][:20] for word in line.split() if word.isalpha()]
    text = {"en": ["(" + " ".join(words) + "।)", "— …"], "th": corpus["th"][:5]}
    for path in (folder, folder / "tokenizer.json"):
        found = measure(open_segmenter(path), text).languages
        assert found["en"].spelled == len(words)
        assert found["en"].whole == sum(len(processor.encode(word)) == 1 for word in words) > 0
        assert found["th"].one_piece is None
        assert found["en"].per_byte == found["en"].pieces / found["en"].nbytes


def test_changes_by_hand() -> None:
    def spelling(name: str, **pieces: int) -> Spelling:
        counts = {"lines": 1, "words": 10, "characters": 100, "nbytes": 100, "unknown": 0, "single": 0, "spelled": 10}
        languages = {
            code: LanguageSpelling(lang=code, seen=None, pieces=n, whole=5, **counts) for code, n in pieces.items()
        }
        return Spelling(name=name, size=9, languages=languages, rare=0, scripts={})

    found = changes(spelling("a", en=20, sw=40, ha=50, xx=1), spelling("b", en=30, sw=30, ha=45))
    change = {each.ratio: each for each in found}
    assert "parity" not in change
    assert (change["per_character"].median, change["per_character"].other) == (0.4, 0.3)
    assert change["per_character"].change == pytest.approx(-0.1)
    assert (change["per_character"].less, change["per_character"].more) == (2, 1)
    assert (change["per_character"].least, change["per_character"].most) == (("sw", 0.4, 0.3), ("en", 0.2, 0.3))
    assert change["unknown_share"].change is None


def test_comparing_says_what_it_cannot_pair(
    folder: Path,
    vocabulary: Vocabulary,
    corpus: Mapping[str, list[str]],
    in_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for code, n in (("en", 30), ("el", 29), ("ru", 30)):
        Path(f"{code}.txt").write_text("\n".join(corpus[code][:n]), encoding="utf-8")
    where = ["--text", "{lang}.txt", "--parallel", "{lang}.txt"]
    command = ["vocab", "compare", str(folder), str(folder / "tokenizer.json"), *where]
    assert main([*command, "--out", "both.html"]) == 0
    said = capsys.readouterr()
    assert "1 languages of --parallel have another number of lines than en, which has 30: el 29." in said.err
    assert "[1] to [2]" in said.out
    page = Path("both.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "From vocabulary 1 to 2" in page
    assert main([*command, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    by_ratio = {row["ratio"]: row for row in rows if "ratio" in row}
    assert by_ratio["per_character"]["change"] == 0
    assert [row["parity"] for row in rows if row.get("lang") == "el"] == [None, None]
    assert main(["vocab", "report", str(folder), "--text", "{lang}.txt", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    Path("en.txt").rename("xx.txt")
    assert main(command) == 2
    assert "has no en" in capsys.readouterr().err
