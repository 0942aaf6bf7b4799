"""The parts of the page, each by itself."""

from __future__ import annotations

import doctest
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.ledger import Ledger
from ccbuild.reasons import meaning
from ccbuild.report import figures, numbers, training
from ccbuild.report.accounts import page_account, paragraph_account
from ccbuild.report.figures import Series, curve, histogram, log_ticks, rank_chart, ticks
from ccbuild.report.languages import Language, languages, word_count
from ccbuild.report.perplexity import BINS, spreads
from ccbuild.report.samples import dropped_documents, kept_documents, refused_pages, repeated_paragraphs
from ccbuild.rundir import RunDir, column_values
from ccbuild.storage import Unit


@pytest.mark.parametrize("module", [figures, numbers])
def test_examples(module: Any) -> None:
    tried = doctest.testmod(module)
    assert tried.attempted
    assert not tried.failed


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_inside(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert len(found) <= 7
    assert all(low - 1e-6 * span <= tick <= low + span + 1e-6 * span for tick in found)


@given(st.floats(1e-6, 1e9), st.floats(1.3, 1e9))
def test_log_ticks_are_inside(low: float, ratio: float) -> None:
    assert all(low * 0.998 <= tick <= low * ratio * 1.002 for tick in log_ticks(low, low * ratio))


def summary() -> dict[str, Any]:
    def loss(verb: str, reason: str, pages: int, quarantined: bool = False) -> dict[str, Any]:
        return {"verb": verb, "reason": reason, "pages": pages, "quarantined": quarantined}

    losses = [loss("extract", "not_html", 10), loss("extract", "truncated_member", 1, True), loss("refine", "new", 9)]
    return {"pages_in": 100, "kept": 80, "losses": losses, "paragraphs": {}}


def test_the_waterfall_falls_from_what_came_in_to_what_was_kept() -> None:
    account = page_account(summary())
    assert (account.seen, account.kept, account.dropped, account.quarantined) == (100, 80, 19, 1)
    assert account.difference == 0
    level = 100.0
    for bar in account.bars:
        if bar.kind in ("drop", "quarantine"):
            assert bar.start + bar.width == pytest.approx(level)
            level = bar.start
        elif bar.kind in ("in", "left", "kept"):
            assert bar.width == pytest.approx(level)
    assert level == pytest.approx(80)
    assert [bar.count for bar in account.bars if bar.kind == "left"] == [89]


def test_reasons_stand_in_their_order_with_their_meanings_also_those_of_a_users_stage() -> None:
    given = summary()
    assert [bar.note for bar in page_account(given).bars if bar.label == "new"] == [""]  # nobody says what it means
    given["losses"][2]["meaning"] = "fresh from a stage of one's own"
    given["losses"] += [{"verb": "refine", "reason": "too_short", "pages": 0, "quarantined": False}]
    given["paragraphs"] = {"seen": 3, "kept": 1, "dropped": {"new": 1, "over_long": 1}, "quarantined": {}}
    bars = [bar for bar in page_account(given).bars if bar.kind == "drop"]
    assert [bar.label for bar in bars] == ["not html", "too short", "new"]
    assert all(bar.note for bar in bars)
    paragraphs = paragraph_account(given)
    assert paragraphs is not None
    assert [bar.note for bar in paragraphs.bars[1:3]] == [meaning("over_long"), "fresh from a stage of one's own"]


def test_a_waterfall_of_nothing() -> None:
    nothing = page_account({"pages_in": 0, "kept": 0, "losses": []})
    assert nothing.difference == 0
    assert paragraph_account(summary()) is None


def language(code: str = "xx", **changed: Any) -> Language:
    given: dict[str, Any] = {
        "code": code, "name": code, "documents": 3, "paragraphs": 9, "characters": 100, "tokens": 40, "words": 20,
        "before": None, "after": None, "buckets": {}, "head": None, "middle": None,
    }  # fmt: skip
    return Language(**{**given, **changed})


def test_pieces_per_word_only_where_words_have_spaces() -> None:
    assert language().pieces_per_word == 2.0
    assert language().characters_per_piece == 2.5
    assert language("th").pieces_per_word is None
    assert language("th").characters_per_piece == 2.5
    assert language(tokens=None).pieces_per_word is None
    assert language(words=0).pieces_per_word is None


def test_a_word_that_was_cut_counts_once(tmp_path: Path) -> None:
    table = pa.table({"word": pa.array(["rest", "▁ab", "▁b"], pa.large_string()), "count": [7, 3, 2]})
    pq.write_table(table, tmp_path / "xx.parquet")
    assert word_count(tmp_path / "xx.parquet") == 5
    assert word_count(tmp_path / "yy.parquet") is None


def test_words_are_those_of_the_text(small_run: Path) -> None:
    run = RunDir(small_run)
    row = next(r for r in languages(run, run.mapping("summary"), run.settings()) if r.code == "el")
    texts = pq.read_table(small_run / "5-corpus" / "el", columns=["text"])["text"].to_pylist()
    assert row.words == pytest.approx(sum(len(text.split()) for text in texts), rel=0.01)
    assert row.pieces_per_word is not None
    assert row.pieces_per_word > 1


def corpus(root: Path, code: str, perplexities: list[float | None], group: int = 1 << 16) -> RunDir:
    name, table = f"{code}/{code}-00000.parquet", pa.table({"perplexity": pa.array(perplexities, pa.float64())})
    with Unit(root / "5-corpus", "publish", code, settings={}) as unit:
        pq.write_table(table, unit.path(name), row_group_size=group)
        unit.commit(Ledger(), facts={"shards": [name]})
    return RunDir(root)


def test_every_scored_document_is_in_the_histogram(tmp_path: Path) -> None:
    values: list[float | None] = [*np.geomspace(20, 2000, 300).tolist(), None, float("nan"), float("inf"), 1e9]
    run = corpus(tmp_path, "xx", values)
    (spread,) = spreads(run, [language("xx", head=80.0, middle=300.0), language("absent")])
    assert spread.scored == sum(spread.counts) == 301
    assert len(spread.counts) == BINS
    assert spread.low < 80 < 300 < spread.high < 1e9, "outliers are in the last bin, they do not stretch the axis"
    assert spread.median == pytest.approx(200, rel=0.05)
    assert {"head", "middle", "tail"} <= {style for style in ("head", "middle", "tail") if style in histogram(spread)}


@pytest.mark.parametrize("values", [[7.0], [7.0] * 50, [0.0, None], []])
def test_a_histogram_of_little(tmp_path: Path, values: list[float | None]) -> None:
    found = spreads(corpus(tmp_path, "xx", values), [language("xx", head=7.0, middle=7.0)])
    assert [spread.scored for spread in found] == ([len(values)] if 7.0 in values else [])
    assert all("nan" not in histogram(spread) for spread in found)


def test_of_a_long_column_some_row_groups_are_read(tmp_path: Path) -> None:
    run = corpus(tmp_path, "xx", [float(n) for n in range(10_000)], group=100)
    paths = run.published("xx")
    values = column_values(paths, "perplexity", 1000)
    assert len(values) == 1000
    assert values.min() < 100
    assert values.max() >= 9_900
    assert np.array_equal(values, column_values(paths, "perplexity", 1000))


def test_charts_escape_and_skip_what_has_no_value() -> None:
    series = [
        Series(name="<a>", style="before", values=[None, 0.0, 5.0]),
        Series(name="b&", style="after", values=[1.0, None, 50.0]),
    ]
    chart = rank_chart(["x<", "y", "z"], ["<script>", "Y", "Z"], series, label='"quoted"', unit="<u>", log=True)
    assert "<script>" not in chart
    assert "&lt;script&gt; (x&lt;): b&amp; 1" in chart
    assert chart.count("<circle") == 3, "0 has no place on a logarithmic axis"
    assert rank_chart(["x"], ["x"], [Series(name="a", style="after", values=[None])], label="", unit="") == ""


@pytest.mark.parametrize("points", [[(20.0, 9.0)], [(0.0, 1.0), (0.0, 1.0)], [(1.0, 5.0), (2.0, 4.0)]])
def test_a_curve_of_little(points: list[tuple[float, float]]) -> None:
    drawn = curve(points, label="", unit="", below="")
    assert "<polyline" in drawn
    assert "nan" not in drawn


def metrics(root: Path, lines: list[str]) -> RunDir:
    (root / "8-model").mkdir()
    (root / "8-model" / "metrics.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return RunDir(root)


def line(step: int, loss: float | None) -> str:
    return json.dumps({"step": step, "loss": loss, "tokens": step * 10, "tokens_per_second": 1.0})


def test_the_curve_takes_the_last_line_of_a_step_and_no_cut_one(tmp_path: Path) -> None:
    cut = '{"step": 40, "lo'
    run = metrics(tmp_path, [line(10, 9.0), line(20, 8.0), line(30, None), cut + line(15, 1.0), line(20, 7.0), cut])
    made = training.training(run)
    assert made is not None
    assert made.curve == ((10.0, 9.0), (20.0, 7.0))
    assert (made.first, made.last, made.steps) == (9.0, 7.0, 20)
    assert made.after == {}
    assert training.training(RunDir(tmp_path / "absent")) is None


def test_a_long_curve_is_thinned_to_means(tmp_path: Path) -> None:
    run = metrics(tmp_path, [line(n, float(n)) for n in range(1, 10_001)])
    made = training.training(run)
    assert made is not None
    assert len(made.curve) <= training.POINTS
    assert made.curve[0] == (1.0, 1.0)
    assert made.curve[-1] == (10_000.0, 10_000.0)
    assert all(math.isclose(x, y) for x, y in made.curve)


def test_samples_join_on_the_address(small_run: Path) -> None:
    """Each dropped duplicate shown names the partner that the run's tables name."""
    run = RunDir(small_run)
    urls: dict[int, str] = {}
    for path in (small_run / "1-pages").glob("part-?????.parquet"):
        table = pq.read_table(path, columns=["doc_id", "url"])
        urls |= dict(zip(table["doc_id"].to_pylist(), table["url"].to_pylist(), strict=True))
    partner: dict[str, str] = {}
    for path in (small_run / "4-dropped").glob("*.parquet"):
        partner |= {r["url"]: urls[r["partner"]] for r in pq.read_table(path).to_pylist() if r["partner"] is not None}
    shown = dropped_documents(run)
    copies = [sample for sample in shown if sample.partner_url]
    assert {sample.reason for sample in copies} == {"exact_duplicate", "near_duplicate"}
    assert all(partner[sample.url] == sample.partner_url for sample in copies)
    assert all(sample.text for sample in shown)
    assert {refusal.reason for refusal in refused_pages(run)} == {"empty_text", "http_status", "not_html"}


def test_a_repeated_paragraph_stands_on_its_partner(small_run: Path) -> None:
    run = RunDir(small_run)
    tables = [pq.read_table(path) for path in sorted((small_run / "1-pages").glob("part-?????.parquet"))]
    texts = {row["url"]: row["text"] for row in pa.concat_tables(tables).to_pylist()}
    shown = repeated_paragraphs(run)
    assert shown
    for sample in shown:
        words = sample.text.rstrip("…")
        assert words in texts[sample.url]
        assert words.casefold() in texts[sample.partner_url].casefold()


def test_kept_samples_spread_over_the_languages(small_run: Path) -> None:
    run = RunDir(small_run)
    known = languages(run, run.mapping("summary"), run.settings())
    shown = [sample.lang for sample in kept_documents(run, known)]
    assert len(shown) == len(set(shown)) == 9
    assert shown[0] == known[0].code
    assert shown[-1] == known[-1].code
    assert kept_documents(run, []) == []
