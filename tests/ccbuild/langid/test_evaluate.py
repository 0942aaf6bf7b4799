"""What evaluation, calibration, prevalence and audits say, by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ccbuild.cli import main
from ccbuild.errors import InputError
from ccbuild.langid.audit import audit, read_sheet, write_sheet
from ccbuild.langid.evaluate import CodeScore, evaluate, read_shares, threshold_for, wilson
from ccbuild.langid.thresholds import Thresholds, calibrate


def test_scores_by_hand() -> None:
    pairs = [("sw", "sw")] * 8 + [("sw", "en"), ("sw", "und")] + [("en", "en")] * 9 + [("en", "sw")]
    found = evaluate(pairs)
    sw = found.scores["sw"]
    assert (sw.texts, sw.answers, sw.right) == (10, 9, 8)
    assert sw.precision == pytest.approx(8 / 9)
    assert sw.recall == 0.8
    assert sw.f1 == pytest.approx(16 / 19)
    assert sw.false_positive_rate == 0.1
    assert found.macro_f1 == pytest.approx((16 / 19 + 18 / 20) / 2)
    assert (found.micro, found.undecided) == (17 / 20, 1)
    assert found.micro_decided == pytest.approx(17 / 19)
    assert dict(found.confusions) == {("en", "sw"): 1, ("sw", "en"): 1, ("sw", "und"): 1}


def test_a_rare_language_has_little_precision() -> None:
    """One page in 10,000 at a false-positive rate of 0.1 % and full recall."""
    score = CodeScore(code="ha", texts=100, answers=200, right=100, others=100_000)
    assert score.false_positive_rate == 0.001
    assert score.precision_at(1 / 10_000) == pytest.approx(0.0909, abs=1e-4)
    assert score.precision_at(0.0) is None


def test_thresholds_are_the_lowest_that_give_the_precision(tmp_path: Path) -> None:
    scored = [(0.9, True), (0.8, True), (0.7, False), (0.6, True), (0.5, True), (0.4, False)]
    assert threshold_for(scored, 0.8) == 0.5
    assert threshold_for(scored, 1.0) == 0.8
    assert threshold_for([(0.5, False)], 0.5) is None
    answered = [("sw" if right else "zu", "sw", score) for score, right in scored] + [("ha", "ha", 0.9)]
    table, without = calibrate(answered, 1.0, 5, "mine.tsv")
    assert table.rows["sw"][0] == 0.8
    assert without == {"ha": "1 answers, fewer than 5"}
    table.write(tmp_path / "t.tsv")
    assert Thresholds.read(tmp_path / "t.tsv") == table
    assert (table.of("sw", 0.5), table.of("yo", 0.5)) == (0.8, 0.5)
    (tmp_path / "t.tsv").write_text("sw\t1.5\n")
    with pytest.raises(InputError, match="line 1"):
        Thresholds.read(tmp_path / "t.tsv")


def test_intervals_of_wilson() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(50, 100)
    assert (round(low, 3), round(high, 3)) == (0.404, 0.596)


def test_shares_are_read(tmp_path: Path) -> None:
    path = tmp_path / "shares.tsv"
    path.write_text("ha\t0.0001\nsw\t0.001\n")
    assert read_shares(path) == {"ha": 0.0001, "sw": 0.001}
    path.write_text("ha 0.1\n")
    with pytest.raises(InputError, match="line 1"):
        read_shares(path)


def test_the_commands_say_the_same(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {
        "sw": "Rais wa nchi alisema kwamba serikali itajenga shule mpya katika mikoa yote.",
        "de": "Die Regierung will neue Schulen bauen, sagte der Minister am Montag in Berlin.",
        "zz": "1234 5678",
    }
    Path("t.tsv").write_text("".join(f"{code}\t{text}\n" for code, text in lines.items()))
    Path("shares.tsv").write_text("sw\t0.001\nde\t0.06\n")
    command = ["langid", "evaluate", "t.tsv", "--alone", "--codes", "sw,de"]
    assert main([*command, "--prevalence", "shares.tsv", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["macro_f1"] == 1.0
    assert found["codes"][1] | {"code": "sw", "share": 0.001, "precision_at_share": 1.0} == found["codes"][1]
    assert main(command) == 0
    assert "macro F1 1.0000" in capsys.readouterr().out
    assert main(["langid", "calibrate", "t.tsv", "--alone", "--least-texts", "1", "--out", "c.tsv"]) == 0
    assert "de\t" in Path("c.tsv").read_text()
    Path("empty.tsv").write_text("")
    assert main(["langid", "evaluate", "empty.tsv", "--alone"]) == 2
    assert main([*command, "--keep"]) == 2


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "4-documents").mkdir()
    (tmp_path / "run.json").write_text("{}")
    for part in range(2):
        rows = [
            {"doc_id": n, "lang": "ha" if n % 2 else "en", "lang_score": 0.9, "url": f"u{n}", "text": f"a\tb\n{n}"}
            for n in range(part * 100, part * 100 + 40)
        ]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "4-documents" / f"part-0000{part}.parquet")
    return tmp_path


def test_a_sheet_becomes_a_precision(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["langid", "audit", str(run), "--lang", "ha", "--n", "20"]
    assert main(command) == 0
    sheet = run / "audits" / "ha.tsv"
    with open(sheet, encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t"))
    assert rows[0] == ["right", "doc_id", "score", "url", "text"]
    assert len(rows) == 21
    assert all(int(row[1]) % 2 == 1 for row in rows[1:])
    assert main(command) == 2  # it is not filled
    assert "line 2" in capsys.readouterr().err
    marked = ["\t".join(rows[0])] + ["\t".join(["n" if n < 3 else "Y", *row[1:]]) for n, row in enumerate(rows[1:])]
    sheet.write_text("\n".join(marked) + "\n", encoding="utf-8")
    assert main(command) == 0
    assert ["precision", "0.85"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["documents"], found["right"], found["precision"]) == (20, 17, 0.85)
    assert found == {**audit(sheet)} == json.loads((run / "audits" / "ha.json").read_text())
    assert found["low"] < 0.85 < found["high"]


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\r=1", "'=1", "'t is so", "plain"])
def test_no_text_is_a_formula_in_a_sheet(run: Path, tmp_path: Path, text: str) -> None:
    row = {"doc_id": 1, "lang": "sw", "lang_score": 0.9, "url": text, "text": text}
    pq.write_table(pa.Table.from_pylist([row]), run / "4-documents" / "part-00002.parquet")
    write_sheet(run, "sw", tmp_path / "s.tsv", 1)
    with open(tmp_path / "s.tsv", encoding="utf-8", newline="") as stream:
        cells = list(csv.reader(stream, delimiter="\t"))[1]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    ((_, found),) = read_sheet(tmp_path / "s.tsv")
    assert (found["url"], found["text"]) == (text, text)


def test_sheets_that_cannot_be(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no document in 'xh'"):
        write_sheet(run, "xh", tmp_path / "s.tsv", 10)
    with pytest.raises(InputError, match="says nothing"):
        write_sheet(run, "ha", tmp_path / "s.tsv", 0)
    (tmp_path / "s.tsv").write_text("a\tb\n")
    with pytest.raises(InputError, match="columns"):
        audit(tmp_path / "s.tsv")
    assert write_sheet(run, "ha", tmp_path / "s.tsv", 1000) == 40
