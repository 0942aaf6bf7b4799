"""`ccbuild lm`: estimate, score, calibrate, evaluate, one after the other."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ccbuild.cli import main
from ccbuild.lm.cutoffs import CutoffTable
from ccbuild.lm.estimate import Estimated
from ccbuild.storage import read_manifest
from tests.ccbuild.lm.test_evaluate import prose as grammar


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_estimate_takes_shorthands_and_says_what_it_made(
    prose: list[str], in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in prose[:30]))
    Path("b.txt").write_text("\n".join(prose[30:]))
    command = ["lm", "estimate", "--lang", "en", "--text", "a.jsonl", "b.txt", "--out", "models"]
    assert main([*command, "--order", "3", "--pieces", "200", "--prune", "0", "0", "1", "--json"]) == 0
    (made,) = said(capsys)
    assert (made["pieces"], made["lines"], made["made_by"]) == (200, len(prose), "ccbuild")
    assert sorted(p.name for p in Path("models").iterdir()) == ["en.arpa", "en.binary", "en.json", "en.sp.model"]
    manifest = read_manifest(Path("models/en.json"))
    assert manifest is not None
    assert (manifest.settings["order"], manifest.settings["prune"]) == (3, [0, 0, 1])
    assert main([*command, "--order", "4"]) == 2
    assert "order=3" in capsys.readouterr().err
    assert main([*command, "--no-arpa", "--lang", "sw"]) == 0
    assert not Path("models/sw.arpa").exists()
    assert ["lang", "sw"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    assert main([*command, "--no-arpa", "--lang", "sw"]) == 0
    assert "nothing to do" in capsys.readouterr().err


@pytest.fixture
def model(small_model: Estimated) -> str:
    return str(small_model.binary.with_suffix(""))


def test_score_takes_every_form(
    model: str, prose: list[str], in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = ["\n".join(prose[i : i + 3]) for i in (0, 3, 6)]
    Path("a.txt.xz").write_bytes(lzma.compress("\n\n".join(documents).encode()))
    Path("a.jsonl").write_text("".join(json.dumps({"id": n, "text": d}) + "\n" for n, d in enumerate(documents)))
    pq.write_table(pa.table({"doc_id": [5, 6, 7], "text": documents}), "a.parquet")
    answers = []
    for name in ("a.txt.xz", "a.jsonl", "a.parquet"):
        assert main(["lm", "score", name, "--model", model, "--paragraphs"]) == 0
        answers.append(said(capsys))
    keys = [[(r["perplexity"], r["pieces"], r["paragraphs"]) for r in answer] for answer in answers]
    assert keys[0] == keys[1] == keys[2]
    assert [r["doc_id"] for r in answers[2]] == [5, 6, 7]
    first = answers[0][0]
    assert isinstance(first["paragraphs"], list)
    assert first["pieces"] == sum(part["pieces"] for part in first["paragraphs"])


def test_score_says_the_hash_of_a_model_without_a_manifest(
    model: str, small_model: Estimated, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.txt").write_text("everyone\n")
    assert main(["lm", "score", "a.txt", "--model", model]) == 0
    assert small_model.binary_sha256 in capsys.readouterr().err
    assert main(["lm", "score", "a.txt", "--model", model, "--share", "0"]) == 2


def test_calibrate(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(3)
    Path("run/4-documents").mkdir(parents=True)
    values = np.exp(5 + rng.standard_normal(1000))
    langs = ["sw"] * 600 + ["ha"] * 390 + ["xh"] * 10
    for part in range(2):
        columns = {"lang": langs[part::2], "perplexity": pa.array([None, *values[part::2][1:]])}
        pq.write_table(pa.table(columns), f"run/4-documents/part-{part}.parquet")
    assert main(["lm", "calibrate", "run", "--percentiles", "30,60", "--out", "cutoffs.csv", "--json"]) == 0
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert [(r["lang"], r["percentile"]) for r in rows] == [("ha", 30), ("ha", 60), ("sw", 30), ("sw", 60)]
    assert all(r["low"] < r["perplexity"] < r["high"] for r in rows)
    assert "xh: 10 scored documents are too few" in printed.err
    cutoffs = CutoffTable.read("cutoffs.csv").at(0.3, 0.6)
    assert cutoffs["sw"].n == 598
    assert cutoffs["sw"].head == rows[2]["perplexity"]
    scored = [{"perplexity": v, "pieces": 1, "text": ""} for v in range(1, 101)]
    Path("sw.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*scored, {"perplexity": None, "text": ""}]))
    assert main(["lm", "calibrate", "sw.jsonl", "--lang", "sw", "--percentiles", "50", "--json"]) == 0
    assert said(capsys)[0]["perplexity"] == 51.0
    assert main(["lm", "calibrate", "sw.jsonl", "--lang", "sw", "--percentiles", "50"]) == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()] == [
        ["language", "percentile", "perplexity"],
        ["sw", "50", "51.0"],
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["calibrate", "sw.jsonl"], "Add --lang"),
        (["calibrate", "sw.jsonl", "--lang", "sw"], "too few"),
        (["calibrate", "sw.jsonl", "--lang", "sw", "--percentiles", "a"], "Write 30,60"),
        (["calibrate", "nothing.parquet"], "is not a file"),
        (["calibrate", "."], "no Parquet"),
        (["evaluate", "--models", ".", "--text", "{lang}.txt"], "lacks a model"),
    ],
)
def test_mistakes(arguments: list[str], message: str, in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("sw.jsonl").write_text('{"text": "", "perplexity": 3}\n')
    Path("sw.txt").write_text("x\n")
    assert main(["lm", *arguments]) in (1, 2)
    assert message in capsys.readouterr().err


def test_evaluate_prints_a_table_or_lines_and_plots(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for lang, seed in (("sw", 1), ("ha", 2)):
        Path(f"{lang}.txt").write_text("\n".join(grammar(seed, 300)))
        Path(f"{lang}.heldout.txt").write_text("\n".join(grammar(seed + 5, 50)))
        options = ["--lang", lang, "--text", f"{lang}.txt", "--out", "models", "--pieces", "60"]
        assert main(["lm", "estimate", *options]) == 0
    capsys.readouterr()
    command = ["lm", "evaluate", "--models", "models", "--text", "{lang}.heldout.txt", "--plot", "auc.svg"]
    assert main(command) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table] == ["language", "ha", "sw", "median", "worst"]
    assert Path("auc.svg").read_text().startswith("<svg")
    assert main([*command, "--json", "--lang", "sw"]) == 0
    rows = said(capsys)
    assert [f"{row['auc']:.4f}" for row in rows] == table[2].split()[2:6]
    assert {row["lang"] for row in rows} == {"sw"}
