"""The page as a whole: text stays text, nothing is fetched, same run, same bytes; its numbers are the run's."""

from __future__ import annotations

import html
import json
import re
import shutil
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ccbuild.errors import DataError, InputError, StorageError
from ccbuild.report import write_report
from ccbuild.storage import read_manifest
from ccbuild.vocab.alpha import alpha_plan

VOID = {"meta", "br", "line", "circle", "rect", "polyline"}


class Page(HTMLParser):
    """Tags, attributes that point somewhere, and visible text of a page; fails on a tag that is closed wrongly."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(root: Path) -> Page:
    return Page(write_report(root).read_text(encoding="utf-8"))


def sections(page: Page) -> set[str]:
    return {value for tag, name, value in page.attributes if (tag, name) == ("section", "id")}


def assert_self_contained(root: Path, page: Page) -> None:
    source = (root / "report.html").read_text(encoding="utf-8")
    assert not page.tags & {"script", "img", "link", "iframe", "object", "embed", "form", "base"}
    pointing = {"src", "href", "xlink:href", "srcset", "action", "data", "poster", "background"}
    assert all(value.startswith("#") for _, name, value in page.attributes if name in pointing)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    style = source[source.index("<style>") : source.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_hostile_text_stays_text(hostile_run: Path) -> None:
    page = page_of(hostile_run)
    assert_self_contained(hostile_run, page)
    assert '<script>alert("x")</script>' in page.text, "the text itself is shown"
    assert "https://a.example/\"'><script src=https://evil.example/x.js></script>" in page.text
    assert "{{ 7*7 }}" in page.text, "text of a page is never a template"
    excerpts = [value for tag, name, value in page.attributes if (tag, name) == ("blockquote", "dir")]
    assert excerpts
    assert set(excerpts) == {"auto"}
    assert sections(page) == {
        "pages", "damage", "languages", "perplexity", "sampling", "kept", "dropped", "settings"
    }  # fmt: skip


def test_the_demo_has_every_section_and_refers_to_nothing(demo_run: Path) -> None:
    page = page_of(demo_run)
    assert_self_contained(demo_run, page)
    assert sections(page) >= {
        "pages", "damage", "languages", "perplexity", "sampling", "pieces", "training", "kept", "dropped", "origins",
        "settings",
    }  # fmt: skip
    links = {value.removeprefix("#") for _, name, value in page.attributes if name == "href"}
    assert links == sections(page)
    assert "lid.176.ftz" in page.text
    assert "CC-BY-SA-3.0" in page.text


def test_the_demo_wrote_this_very_page_with_its_verdict(demo_run: Path, small_run: Path) -> None:
    written = (small_run / "report.html").read_bytes()
    assert "verdict" in sections(Page(written.decode()))
    assert written == write_report(demo_run).read_bytes()


def test_same_run_same_bytes_wherever_it_lies(demo_run: Path, small_run: Path) -> None:
    first = write_report(demo_run).read_bytes()
    assert write_report(demo_run).read_bytes() == first
    assert str(small_run).encode() not in first
    assert not list(demo_run.glob(".report*")), "no temporary file is left"


def test_the_numbers_are_those_of_the_summary(demo_run: Path, summary: dict[str, Any]) -> None:
    page = page_of(demo_run)
    dropped = sum(loss["pages"] for loss in summary["losses"] if not loss["quarantined"])
    quarantined = sum(loss["pages"] for loss in summary["losses"] if loss["quarantined"])
    balance = f"{summary['pages_in']:,} pages in = {summary['kept']:,} kept + {dropped:,} dropped"
    balance += f" + {quarantined:,} quarantined"
    assert balance in page.text
    assert "The ledger balances." in page.text
    for loss in summary["losses"]:
        assert f"−{loss['pages']:,}" in page.text
        assert loss["reason"].replace("_", " ") in page.text
        assert loss["meaning"], loss["reason"]
        assert loss["meaning"] in page.text
    for row in summary["languages"]:
        assert f"{row['characters']:,}" in page.text, row["code"]
        assert f"{row['tokens']:,}" in page.text, row["code"]
        if row["cutoffs"]:
            assert f"{row['cutoffs']['documents']:,}" in page.text
    for entry in summary["damage"]:
        assert f"{entry['offset']:,}" in page.text
        assert entry["archive"] in page.text


def test_the_verdict_is_shown_where_there_is_one(demo_run: Path) -> None:
    (demo_run / "verdict.json").unlink(missing_ok=True)
    assert "verdict" not in sections(page_of(demo_run))
    share = {"hits": 96, "of": 128, "apart": 2, "bound": 0.9, "holds": False}
    verdict: dict[str, Any] = dict.fromkeys(("language", "exact", "near", "unique"), share)
    verdict |= {"damaged": {"found": 1, "of": 2}, "junk_kept": {"junk:mixed": 3}, "confused": [["ms", "id", 7]]}
    (demo_run / "verdict.json").write_text(json.dumps({**verdict, "holds": False}), encoding="utf-8")
    text = page_of(demo_run).text
    assert "a bound is not held" in text
    assert "96 of 128" in text
    assert "75.0 %" in text
    assert "ms taken for id: 7" in text


@pytest.mark.parametrize(
    ("absent", "gone"),
    [
        (("8-model",), {"training"}),
        (("6-vocabulary", "7-tokens", "8-model"), {"training", "pieces"}),
        (("5-corpus", "6-vocabulary", "7-tokens", "8-model"), {"training", "pieces", "perplexity", "sampling", "kept"}),
        (
            ("1-pages", "1-refused", "3-duplicates", "4-documents", "4-dropped", "0-models", "crawl", "8-model"),
            {"dropped", "origins"},
        ),
    ],
)
def test_what_is_not_made_yet_is_left_out(demo_run: Path, absent: tuple[str, ...], gone: set[str]) -> None:
    before = sections(page_of(demo_run))
    for name in absent:
        (demo_run / name).unlink()
    assert before - sections(page_of(demo_run)) >= gone


def test_a_summary_alone_makes_a_page(demo_run: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "run.json").write_text("{}", encoding="utf-8")
    shutil.copy(demo_run / "summary.json", alone)
    page = page_of(alone)
    assert sections(page) == {"pages", "damage", "languages"}


def test_an_unfinished_run_says_so(hostile_run: Path) -> None:
    path = hostile_run / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**summary, "pages_in": summary["pages_in"] + 5}), encoding="utf-8")
    text = page_of(hostile_run).text
    assert "5 are not accounted for yet" in text


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not the folder of a run: it has no run\.json"):
        write_report(tmp_path)


def test_a_run_that_was_cut_off_before_its_summary_has_the_same_page(demo_run: Path) -> None:
    whole = write_report(demo_run).read_text(encoding="utf-8")
    (demo_run / "summary.json").unlink()
    assert write_report(demo_run).read_text(encoding="utf-8") == whole


def test_a_run_that_has_read_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    assert "No archive is read yet" in page_of(tmp_path).text


def test_a_broken_summary_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    (tmp_path / "summary.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"summary\.json is not JSON"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_page_that_cannot_be_written_leaves_nothing_behind(hostile_run: Path) -> None:
    (hostile_run / "report.html").mkdir()
    with pytest.raises(StorageError, match=r"report\.html cannot be written"):
        write_report(hostile_run)
    assert not list(hostile_run.glob(".report*"))


def test_the_recorded_plan_is_what_alpha_makes_of_the_corpus(small_run: Path) -> None:
    plan = read_manifest(small_run / "6-vocabulary" / "vocabulary.json")
    assert plan is not None
    published = [read_manifest(path) for path in sorted((small_run / "5-corpus").glob("*.json"))]
    counts = {m.unit: m.facts["paragraphs"] for m in published if m is not None and m.facts["documents"]}
    assert plan.facts["plan"] == pytest.approx(alpha_plan(counts, 0.3))


def test_many_languages_stay_a_small_page(make_run: Callable[..., Path]) -> None:
    root = make_run([f"l{n:03d}" for n in range(109)], documents=3)
    page = write_report(root)
    assert page.stat().st_size < 3_000_000
    text = html.unescape(page.read_text(encoding="utf-8"))
    assert all(f"l{n:03d}" in text for n in range(109)), "the table has every language"


def test_without_jinja2_the_import_fails_as_python_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("ccbuild.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ModuleNotFoundError, match="jinja2"):
        import ccbuild.report  # noqa: F401


def test_audits_and_an_evaluation_are_shown(small_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(small_run, copy, ignore=shutil.ignore_patterns("crawl", "1-pages", "2-prints", "8-model"))
    assert "How sure the languages are" not in write_report(copy).read_text(encoding="utf-8")
    (copy / "audits").mkdir()
    audit = {"lang": "ha", "documents": 100, "right": 93, "precision": 0.93, "low": 0.8625, "high": 0.9657}
    (copy / "audits" / "ha.json").write_text(json.dumps(audit))
    row = {"code": "ha", "texts": 50, "precision": None, "recall": 0.0, "f1": 0.0, "false_positive_rate": 0.001}
    evaluation = {"file": "<b>x.tsv", "texts": 50, "macro_f1": 0.5, "micro": 0.5, "codes": [row]}
    (copy / "audits" / "evaluation.json").write_text(json.dumps(evaluation))
    page = write_report(copy).read_text(encoding="utf-8")
    assert "How sure the languages are" in page
    assert "93.0 %" in page or "93 %" in page or "93%" in page
    assert "&lt;b&gt;x.tsv" in page


def test_characters_without_a_piece_are_listed(demo_run: Path, small_run: Path) -> None:
    vocabulary = read_manifest(small_run / "6-vocabulary" / "vocabulary.json")
    assert vocabulary is not None
    left_out = vocabulary.facts["left_out"]
    page = write_report(demo_run).read_text(encoding="utf-8")
    assert left_out
    assert f"Characters without a piece, in {len(left_out)} languages" in page
    code, first = next(iter(sorted(left_out.items())))
    assert f'<td class="mono">{code}</td><td class="n">{100 * first["share"]:.3f} %' in page
