"""Where perplexity models come from: given ones, prose, an earlier run; and the cutoffs and shares of `publish`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cc100.layout import Run
from cc100.recipe import load_recipe
from cc100.verbs.prepare import steps
from ccbuild.cli import main
from ccbuild.errors import CcbuildError, InputError
from tests.cc100.test_growth import UP_TO_CORPUS, files, go, prose, sentences, write

__all__ = ["sentences"]


def prepared(root: Path, **settings: object) -> Run:
    recipe = load_recipe("cc100", ["extract.text=all", "prepare.prose=null"])
    prepare = dataclasses.replace(recipe.prepare, **settings)  # type: ignore[arg-type]
    run = Run(root, dataclasses.replace(recipe, prepare=prepare))
    go(run, [], "prepare")
    return run


def sources(run: Run) -> dict[str, str]:
    return {lang: m.facts["source"] for lang, m in run.manifests("prepare").items() if lang != "identifier"}


def test_each_language_takes_the_best_that_there_is(tmp_path: Path, sentences: dict[str, list[str]]) -> None:
    texts = prose(tmp_path / "prose", sentences, "en", "de")
    first = prepared(tmp_path / "first", prose=texts)
    assert sources(first) == {"de": "prose", "en": "prose"}
    models = f"{first.folder('prepare')}/{{lang}}"
    second = prepared(tmp_path / "second", prose=texts, models=models, languages=("en", "fi"))
    assert sources(second) == {"en": "given", "fi": "none"}
    assert files(second.root, "prepare")["en.binary"] == files(first.root, "prepare")["en.binary"]
    assert second.manifest("prepare", "en").facts["given"] == {"name": "en.binary"}  # type: ignore[union-attr]
    assert second.manifest("prepare", "fi").ledger["models"].dropped == {"no_source": 1}  # type: ignore[union-attr]


def test_one_more_language_leaves_the_others(tmp_path: Path, sentences: dict[str, list[str]]) -> None:
    texts = prose(tmp_path / "prose", sentences, "en", "de")
    run = prepared(tmp_path / "o", prose=texts, languages=("en",))
    more = dataclasses.replace(run.recipe, prepare=dataclasses.replace(run.recipe.prepare, languages=("de", "en")))
    found = go(dataclasses.replace(run, recipe=more), [], "prepare")["prepare"]
    assert (found.fresh, found.before) == (1, 2)


def test_a_model_of_the_crawl_itself_is_called_so(tmp_path: Path, sentences: dict[str, list[str]]) -> None:
    pages = [(n, sentences["en"][n * 20 : n * 20 + 20]) for n in range(20)]
    source = write(tmp_path / "a.warc.gz", *pages, (20, sentences["de"][:9]))
    run = prepared(tmp_path / "crawl")
    go(run, [source], *UP_TO_CORPUS)
    later = prepared(tmp_path / "later", bootstrap=str(run.root))
    assert sources(later) == {"de": "bootstrap", "en": "bootstrap"}
    facts = {lang: m.facts for lang, m in later.manifests("prepare").items()}
    assert "too little" in facts["de"]["why"]
    rows = pq.read_table(run.folder("refine") / "part-00000.parquet", filters=[("lang", "=", "en")]).to_pylist()
    half = sorted(row["lang_score"] for row in rows)[(len(rows) - 1) // 2]
    used = [p for row in rows if row["lang_score"] >= half for p in row["text"].split("\n")]
    assert len(rows) // 2 <= sum(row["lang_score"] >= half for row in rows) < len(rows)
    assert facts["en"]["lines"] + facts["en"]["heldout"]["lines"] == len(set(used))
    with pytest.raises(InputError, match="this run itself"):
        prepared(tmp_path / "later", bootstrap=str(tmp_path / "later"))
    with pytest.raises(InputError, match="no documents"):
        prepared(tmp_path / "later", bootstrap=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("lm/{lang}", "No file matches"),
        ("alone/{lang}", "no n-gram model beside it"),
        ("catalogue:eld", "no family of models"),
        ("catalogue:ccnet-lm", "Name those that you want"),
    ],
)
def test_models_that_are_not_there(where: str, message: str, in_folder: Path) -> None:
    Path("alone").mkdir()
    Path("alone/sw.sp.model").write_bytes(b"")
    with pytest.raises(CcbuildError, match=message):
        prepared(Path("o").absolute(), models=where)


def test_a_damaged_model_fails_by_itself(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for end in (".sp.model", ".binary"):
        Path(f"sw{end}").write_bytes(b"no model at all")
    assert main(["prepare", "--lang", "sw,fi", "--models", "{lang}", "--out", "o", "--workers", "0"]) == 1
    said = capsys.readouterr()
    assert "fi        prose" in said.out
    assert "sw.sp.model is not a SentencePiece model" in said.err


def test_the_command_says_what_each_language_got(
    sentences: dict[str, list[str]], in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prose(Path("prose"), sentences, "en", "de")
    Path("prose/sw.txt").write_text("Habari.\n")
    command = ["prepare", "--lang", "en,sw,yo", "--prose", "prose/{lang}.txt", "--out", "o", "--workers", "0"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["en", "prose"], ["sw", "none"], ["yo", "none"]]
    assert "too little" in lines[2]
    assert main([*command, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["lang"] for row in rows] == ["en", "sw", "yo"]
    assert float(lines[1].split()[-1]) == rows[0]["heldout"]["perplexity"]


def test_cutoffs_of_a_table_and_a_share_of_the_tail(tmp_path: Path, sentences: dict[str, list[str]]) -> None:
    texts = prose(tmp_path / "prose", sentences, "en")
    pages = [(n, sentences["en"][n * 8 : n * 8 + 8]) for n in range(50)]
    source = write(tmp_path / "a.warc.gz", *pages)
    recipe = load_recipe("cc100", ["extract.text=all"])
    recipe = dataclasses.replace(recipe, prepare=dataclasses.replace(recipe.prepare, prose=texts))
    table = tmp_path / "cutoffs.csv"

    def published(name: str, **settings: object) -> tuple[Run, dict[str, object]]:
        publish = dataclasses.replace(recipe.publish, **settings)  # type: ignore[arg-type]
        run = Run(tmp_path / name, dataclasses.replace(recipe, publish=publish))
        go(run, [source], *UP_TO_CORPUS)
        manifest = run.manifest("publish", "en")
        assert manifest is not None
        return run, manifest.facts

    own, facts = published("own", min_documents=30)
    cut = facts["cutoffs"]
    assert isinstance(cut, dict)
    assert not cut["given"]
    values = sorted(pq.read_table(own.folder("publish") / "en" / "en-00000.parquet")["perplexity"].to_pylist())
    table.write_text(f"percentile,en\n30,{values[9]}\n60,{values[40]}\n")
    _, given = published("given", head=0.3, middle=0.6, cutoffs=str(table))
    assert given["cutoffs"] == {
        "head": values[9],
        "middle": values[40],
        "documents": 0,
        "given": True,
        "head_95": None,
        "middle_95": None,
    }
    assert given["buckets"]["tail"] == sum(v >= values[40] for v in values)  # type: ignore[index]
    part, facts = published("part", min_documents=30, tail_share=0.5)
    rows = pq.read_table(part.folder("publish") / "en" / "en-00000.parquet").to_pylist()
    tail = {row["doc_id"] for row in rows if row["bucket"] == "tail"}
    assert 0 < len(tail) < facts["buckets"]["tail"]  # type: ignore[index]
    assert sum(row["bucket"] != "tail" for row in rows) == sum(
        n
        for label, n in facts["buckets"].items()
        if label != "tail"  # type: ignore[attr-defined]
    )
    ledger = part.manifest("publish", "en").ledger["documents"]  # type: ignore[union-attr]
    assert ledger.dropped == {"tail_share": facts["buckets"]["tail"] - len(tail)}  # type: ignore[index]
    none, _ = published("none", min_documents=30, tail_share=0.0)
    assert "tail" not in pq.read_table(none.folder("publish") / "en" / "en-00000.parquet")["bucket"].to_pylist()
    (tmp_path / "items.txt").write_text(rows[7]["text"].split("\n")[1].upper() + "\nAn item that no page of all has.\n")
    clean, _ = published("clean", min_documents=30, decontaminate=str(tmp_path / "items.txt"))
    kept = pq.read_table(clean.folder("publish") / "en" / "en-00000.parquet")["doc_id"].to_pylist()
    everything = pq.read_table(own.folder("publish") / "en" / "en-00000.parquet")["doc_id"].to_pylist()
    assert set(everything) - set(kept) == {rows[7]["doc_id"]}
    assert clean.manifest("publish", "en").ledger["documents"].dropped == {"benchmark_item": 1}  # type: ignore[union-attr]


def test_the_language_with_most_text_starts_first(tmp_path: Path) -> None:
    for lang, lines in (("aa", 10), ("bb", 30), ("cc", 20)):
        (tmp_path / f"{lang}.txt").write_text("A line of prose.\n" * lines)
    prose, languages = f"{tmp_path}/{{lang}}.txt", ("aa", "bb", "cc", "dd")
    recipe = load_recipe("cc100")
    prepare = dataclasses.replace(recipe.prepare, prose=prose, languages=languages)
    (step,) = steps(Run(tmp_path / "o", dataclasses.replace(recipe, prepare=prepare)))
    assert [task.name for task in step.tasks] == ["identifier", "bb", "cc", "aa", "dd"]
