"""Routing in a run: a sieve before storage loses nothing that is wanted; what is kept of the models is whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cc100.layout import Run
from cc100.recipe import load_recipe
from ccbuild.errors import ConfigError
from ccbuild.langid.cascade import Cascade
from ccbuild.ledger import Ledger
from ccbuild.stages.language import LanguageConfig, open_cascade
from tests.cc100.test_growth import go, sentences, write
from tests.ccbuild.langid.conftest import cascade, model
from tests.ccbuild.langid.junk import junk

__all__ = ["cascade", "model", "sentences"]

VERBS = ("prepare", "extract", "match", "refine")


def run_with(root: Path, *settings: str) -> Run:
    return Run(root, load_recipe("cc100", ["extract.text=all", "prepare.prose=null", *settings]))


def routed(run: Run) -> dict[str, int]:
    rows = pq.read_table(run.folder("refine") / "part-00000.parquet", columns=["lang"])["lang"].to_pylist()
    return {code: rows.count(code) for code in sorted(set(rows))}


def total(run: Run, verb: str) -> Ledger:
    return run.ledger(verb)


def test_a_sieve_keeps_what_is_wanted_and_stores_nothing_else(
    tmp_path: Path, sentences: dict[str, list[str]], cascade: Cascade
) -> None:
    languages = ("sq", "yo", "en", "tr", "ru")
    pages = [(n * 10 + i, sentences[code][i * 9 : i * 9 + 9]) for n, code in enumerate(languages) for i in range(6)]
    pages.append((90, next(p for kind, p in junk(7) if kind == "menu")))
    source = write(tmp_path / "a.warc.gz", *pages)
    whole = run_with(tmp_path / "whole", "refine.language.languages=[yo,sq]")
    go(whole, [source], *VERBS)
    sieved = run_with(tmp_path / "sieved", "languages=[yo,sq]")
    go(sieved, [source], *VERBS)
    assert routed(sieved) == routed(whole) == {"sq": 6, "yo": 6}
    dropped = total(sieved, "extract")["records"].dropped["other_language"]
    assert dropped >= 15
    stored = pq.read_table(sieved.folder("extract") / "part-00000.parquet").num_rows
    refused = pq.read_table(sieved.file("extract", 0, "refused")).num_rows
    assert stored + refused + dropped == len(pages)
    assert total(whole, "refine")["documents"].dropped["noise_menu"] == 1
    manifest = sieved.manifest("extract", "part-00000")
    assert manifest is not None
    assert manifest.facts["duplicates_sought_within"] == ["yo", "sq"]
    assert sorted(manifest.settings["languages"]) == ["sq", "yo"]


def test_an_unknown_code_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'hau', which is no code here. Did you mean 'ha'"):
        run_with(tmp_path, "languages=[hau]")


def test_the_models_of_a_run_are_whole_by_themselves(tmp_path: Path, cascade: Cascade) -> None:
    run = run_with(tmp_path / "o")
    go(run, [], "prepare")
    found = open_cascade(run.folder("prepare"))
    text = "Rais wa nchi alisema kwamba serikali itajenga shule mpya katika mikoa yote."
    assert found.identify([text]) == cascade.identify([text])
    plain = run_with(tmp_path / "p", "prepare.supplement=null")
    go(plain, [], "prepare")
    assert open_cascade(plain.folder("prepare")).supplement is None


def test_thresholds_and_foreign_paragraphs(tmp_path: Path, sentences: dict[str, list[str]], cascade: Cascade) -> None:
    swahili = "Rais wa nchi alisema kwamba serikali itajenga shule mpya katika mikoa yote ya nchi mwaka ujao."
    english = " ".join(sentences["en"][:2])
    page = [f"{swahili} {n}." for n in "abcdefgh"]
    source = write(tmp_path / "a.warc.gz", (0, [*page, english]))
    run = run_with(tmp_path / "o", "refine.language.foreign=drop")
    go(run, [source], *VERBS)
    (row,) = pq.read_table(run.folder("refine") / "part-00000.parquet").to_pylist()
    assert row["lang"] == "sw"
    assert english not in row["text"]
    (tmp_path / "t.tsv").write_text("sw\t0.999\tby hand\n")
    strict = run_with(tmp_path / "s", f"refine.language.thresholds={tmp_path / 't.tsv'}")
    go(strict, [source], *VERBS)
    assert total(strict, "refine")["documents"].dropped == {"language_unsure": 1}


@pytest.mark.parametrize(
    "setting", [{"min_score": 1.5}, {"languages": ()}, {"sample_chars": -1}, {"languages": ("hau",)}]
)
def test_settings_that_cannot_be(setting: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        dataclasses.replace(LanguageConfig(), **setting)  # type: ignore[arg-type]
