"""A run that grows, is cut off, or loses an input: nothing stale stays, nothing uncommitted counts."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path

import pytest

from cc100.engines import in_process
from cc100.layout import Run, Source, sources_of
from cc100.recipe import load_recipe
from cc100.run import VerbSummary, balance, run_verb
from ccbuild.langid.sources import eld_sentences
from ccbuild.missing import missing_units
from ccbuild.progress import silent
from ccbuild.rundir import FOLDERS
from tests.ccbuild.warc.test_members import warc_record
from tests.conftest import cached

UP_TO_CORPUS = ("prepare", "extract", "match", "refine", "publish")


@pytest.fixture
def sentences() -> dict[str, list[str]]:
    cached("lid.176.ftz")
    return eld_sentences(cached("eld"))


def write(path: Path, *pages: tuple[int, list[str]]) -> Source:
    records = [warc_record(n, body=("<p>" + "</p><p>".join(text)).encode()) for n, text in pages]
    path.write_bytes(b"".join(gzip.compress(r, mtime=0) for r in records))
    (source,) = sources_of([str(path)])
    return source


def prose(folder: Path, sentences: dict[str, list[str]], *languages: str, skip: int = 500) -> str:
    folder.mkdir()
    for lang in languages:
        (folder / f"{lang}.txt").write_text("\n".join(sentences[lang][skip:]), encoding="utf-8")
    return f"{folder}/{{lang}}.txt"


def opened(root: Path, where: str | None = None) -> Run:
    recipe = load_recipe("cc100", ["extract.text=all", "publish.min_documents=1"])
    return Run(root, dataclasses.replace(recipe, prepare=dataclasses.replace(recipe.prepare, prose=where)))


def go(run: Run, sources: list[Source], *verbs: str) -> dict[str, VerbSummary]:
    run.note_settings(verbs)
    table = run.admit(sources)
    found = {verb: run_verb(run, verb, in_process(), silent, sources, table) for verb in verbs}
    assert not any(summary.failures for summary in found.values()), found
    balance(run, verbs)
    return found


def files(root: Path, verb: str) -> dict[str, bytes]:
    folder = root / FOLDERS[verb]
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_prints_of_a_shard_that_was_not_committed_do_not_count(tmp_path: Path, sentences: dict[str, list[str]]) -> None:
    page = sentences["de"][:9]
    a, b = write(tmp_path / "a.warc.gz", (0, page)), write(tmp_path / "b.warc.gz", (1, page))
    run = opened(tmp_path / "o")
    go(run, [a, b], "extract")
    (run.notes("extract") / "part-00000.json").unlink()  # what a kill between rename and manifest leaves
    go(run, [b], *UP_TO_CORPUS)
    assert run.manifest("publish", "de") is not None
    assert [each.unit for each in missing_units(run)] == ["part-00000"]
    go(run, [a, b], *UP_TO_CORPUS)
    assert missing_units(run) == []


def test_a_language_that_vanishes_is_taken_back(tmp_path: Path, sentences: dict[str, list[str]]) -> None:
    """With CCNet's policy a second copy takes the first along: the only German page goes when the crawl grows."""
    german, english = sentences["de"][:9], sentences["en"][:9]
    a = write(tmp_path / "a.warc.gz", (0, german), (1, english))
    b = write(tmp_path / "b.warc.gz", (2, german), (3, sentences["en"][20:29]))
    recipe = load_recipe("ccnet", ["refine.length.min_chars=50"])
    run = Run(tmp_path / "o", dataclasses.replace(recipe, prepare=dataclasses.replace(recipe.prepare, prose=None)))
    go(run, [a], *UP_TO_CORPUS)
    assert (run.folder("publish") / "de.txt.xz").exists()
    found = go(run, [a, b], *UP_TO_CORPUS)
    assert found["publish"].retired == ["de"]
    assert {p.name.split(".")[0] for p in run.folder("publish").iterdir()} == {"en", "README", "croissant"}
    go(fresh := Run(tmp_path / "fresh", run.recipe), [a, b], *UP_TO_CORPUS)
    assert files(tmp_path / "o", "publish") == files(tmp_path / "fresh", "publish")
    assert fresh.inputs() == run.inputs()


def test_growth_may_stop_at_any_verb(tmp_path: Path, sentences: dict[str, list[str]]) -> None:
    a = write(tmp_path / "a.warc.gz", (0, sentences["tr"][:9]))
    c = write(tmp_path / "c.warc.gz", (1, sentences["fr"][:9]))
    run = opened(tmp_path / "o")
    go(run, [a], *UP_TO_CORPUS)
    go(run, [a, c], "extract")
    go(run, [a, c], *UP_TO_CORPUS)
    assert sorted(run.manifests("publish")) == ["fr", "tr"]


def perplexities(run: Run) -> dict[str, float | None]:
    import pyarrow.parquet as pq

    rows = pq.read_table(run.folder("refine") / "part-00000.parquet").to_pylist()
    return {row["lang"]: row["perplexity"] for row in rows}


def test_models_follow_their_prose_in_a_process_that_lives_on(tmp_path: Path, sentences: dict[str, list[str]]) -> None:
    source = write(tmp_path / "a.warc.gz", (0, sentences["en"][:9]), (1, sentences["de"][:9]))
    verbs = ("prepare", "extract", "match", "refine")
    run = opened(tmp_path / "o", prose(tmp_path / "p1", sentences, "en", "de"))
    go(run, [source], *verbs)
    before = perplexities(run)
    assert before["de"] is not None
    run = opened(tmp_path / "o", prose(tmp_path / "p2", sentences, "en", skip=300))
    found = go(run, [source], *verbs)
    assert found["prepare"].retired == ["de"]
    after = perplexities(run)
    assert after["de"] is None
    assert after["en"] != before["en"]
    fresh = Run(tmp_path / "fresh", run.recipe)
    go(fresh, [source], *verbs)
    assert perplexities(fresh) == after


def test_verify_finds_what_a_disk_lost(tmp_path: Path, sentences: dict[str, list[str]]) -> None:
    source = write(tmp_path / "a.warc.gz", (0, sentences["en"][:9]))
    run = opened(tmp_path / "o")
    go(run, [source], *UP_TO_CORPUS)
    hurt = run.folder("publish") / "en.txt.xz"
    whole = hurt.read_bytes()
    hurt.write_bytes(whole[:30] + bytes(8) + whole[38:])
    assert go(run, [source], *UP_TO_CORPUS)["publish"].fresh == 0
    assert go(dataclasses.replace(run, verify=True), [source], *UP_TO_CORPUS)["publish"].fresh == 1
    assert hurt.read_bytes() == whole


def test_one_key_of_the_trainer_does_not_replace_its_section() -> None:
    recipe = load_recipe("demo", ["train.set.optim.steps=10", "train.set.data.seq_len=64"])
    assert recipe.train.overrides() == ["optim.steps=10", "data.seq_len=64"]
    assert json.dumps(recipe.train.set)
