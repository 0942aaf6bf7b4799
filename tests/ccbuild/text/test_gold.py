"""The benchmark of articles, on a made set of two."""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "gold.py"
BODY = "\n".join(f"The committee met on day {i} and talked about the report at some length." for i in range(6))


@pytest.fixture(scope="module")
def gold() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gold", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_page_lost_whole_counts_as_one_page(gold: ModuleType) -> None:
    found = gold.counted("a b c d e", "a b c d e")
    assert found == (2, 0, 0)
    assert gold.score([found]) == (1.0, 1.0, 1.0)
    assert gold.score([gold.counted("a b c d e", "x y z u v")]) == (0.0, 0.0, 0.0)
    f1, precision, recall = gold.score(
        [gold.counted("a b c d e", "a b c d e f g")]
    )  # 2 of 4 shingles right, none missed
    assert (precision, recall) == (0.5, 1.0)
    assert f1 == pytest.approx(2 / 3)
    assert gold.score([gold.counted("a b", "a b"), gold.counted("", "")]) == (1.0, 1.0, 1.0)
    lost = gold.counted("a b c d e", "")
    assert gold.score([found, lost]) == (0.5, 0.5, 0.5)
    assert gold.score_of_sums([found, lost]) == pytest.approx(2 / 3)  # precision 1 of what was extracted


def test_the_interval_holds_the_score_and_is_the_same_each_time(gold: ModuleType) -> None:
    pages = [(8, i % 3, i % 2) for i in range(40)]
    low, high = gold.interval(pages, draws=200)
    assert low < gold.score(pages)[0] < high
    assert (low, high) == gold.interval(pages, draws=200)


def test_a_set_on_disk(gold: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "html").mkdir()
    menu = "<ul>" + "<li><a href=/a>Something else to read about</a></li>" * 9 + "</ul>"
    html = menu + "".join(f"<p>{line}</p>" for line in BODY.split("\n")) + menu
    truth = {}
    for name in ("one", "two"):
        (tmp_path / "html" / f"{name}.html.gz").write_bytes(gzip.compress(html.encode()))
        truth[name] = {"articleBody": BODY, "url": "https://news.example/"}
    (tmp_path / "ground-truth.json").write_text(json.dumps(truth), encoding="utf-8")
    gold.main(tmp_path)
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows["ours"] == ["2", "1.000", "1.000", "to", "1.000", "1.000", "1.000", "1.000"]
    assert rows["resiliparse"][0] == "2"
