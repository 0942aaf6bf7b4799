"""What a worker holds is bounded by `run.memory_megabytes`, changes no byte, and what needs more is said beforehand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cc100 import build as building
from cc100.build import How, build, planned
from cc100.layout import Run
from cc100.memory import needs
from cc100.recipe import RunConfig, load_recipe
from cc100.verbs import extract, refine
from ccbuild.cli import main
from ccbuild.errors import ConfigError, LedgerError
from ccbuild.index import INDEX
from ccbuild.progress import silent
from ccbuild.storage import Unit
from tests.cc100.test_growth import files, go, opened, write
from tests.cc100.test_growth import sentences as sentences

VERBS = ("prepare", "extract", "match", "refine")


def pages(sentences: dict[str, list[str]]) -> list[tuple[int, list[str]]]:
    """Forty pages of four languages: equal ones, some that share a paragraph, some too short."""
    found: list[tuple[int, list[str]]] = []
    for number in range(10):
        for lang in ("de", "en", "tr", "fr"):
            text = sentences[lang][number * 5 : number * 5 + 9]
            found.append((len(found), text[:1] if number == 3 else sentences[lang][:9] if number % 4 == 2 else text))
    return found


def test_a_shard_that_does_not_fit_gives_the_same_files(
    tmp_path: Path, sentences: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "a.warc.gz", *pages(sentences))
    monkeypatch.setattr(extract, "BATCH", 8)
    asked: list[str] = []
    scratch = Unit.scratch
    monkeypatch.setattr(Unit, "scratch", lambda unit, name: asked.append(name) or scratch(unit, name))
    held, spilled = opened(tmp_path / "held"), opened(tmp_path / "spilled")
    go(held, [source], *VERBS)
    assert not any(name.endswith((".prints", ".documents")) for name in asked)
    with monkeypatch.context() as small:
        small.setattr(RunConfig, "spare_bytes", 20_000)
        small.setattr(refine, "BLOCK", 5)
        small.setattr(refine, "_MOST_GONE", 3)
        go(spilled, [source], *VERBS)
    assert sum(name.endswith(".prints") for name in asked) > 2
    assert sum(name.endswith(".documents") for name in asked) > 1
    assert {"exact_duplicate", "too_short"} <= set(held.ledger("refine")["documents"].dropped)
    assert held.ledger("refine")["paragraphs"].dropped["duplicate_paragraph"]
    for folder in ("extract", "prints", "match", "refine"):
        ours, theirs = (files(run.root, folder) for run in (held, spilled))
        assert ours.keys() == theirs.keys()
        assert [name for name in ours if ours[name] != theirs[name] and not name.startswith(INDEX)] == []


def test_a_batch_of_long_pages_ends_before_it_is_full(
    tmp_path: Path, sentences: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, source = opened(tmp_path / "o"), write(tmp_path / "a.warc.gz", *pages(sentences))
    monkeypatch.setattr(extract, "BATCH_CHARACTERS", 3000)
    go(run, [source], "extract")
    file = pq.ParquetFile(run.file("extract", 0))
    sizes = [sum(map(len, file.read_row_group(n, ["text"])["text"].to_pylist())) for n in range(file.num_row_groups)]
    assert len(sizes) > 3
    assert min(sizes[:-1]) >= 3000
    assert max(sizes) < 6000


def test_a_decision_about_no_page_of_the_shard_is_an_error(tmp_path: Path, sentences: dict[str, list[str]]) -> None:
    run, source = opened(tmp_path / "o"), write(tmp_path / "a.warc.gz", *pages(sentences))
    go(run, [source], "prepare", "extract", "match")
    decided = pq.read_table(run.file("match", 0))
    row = {**decided.to_pylist()[0], "doc_id": 4000}
    pq.write_table(pa.concat_tables([decided, pa.Table.from_pylist([row], decided.schema)]), run.file("match", 0))
    with pytest.raises(LedgerError, match="match decided about document 4000, which extract does not have there"):
        go(run, [source], "refine")


def a_run(root: Path, *settings: str) -> Run:
    return Run(root, load_recipe("cc100", ["prepare.prose=null", *settings]))


def test_a_vocabulary_that_needs_more_is_told(tmp_path: Path) -> None:
    (said,) = needs(a_run(tmp_path), ["publish", "vocab"])
    assert said == (
        "vocab may take 1,482 MiB in one worker when it trains, more than run.memory_megabytes=1024. Have that free by "
        "then."
    )
    assert needs(a_run(tmp_path, "vocab.size=32000"), ["vocab"]) == []
    theirs = "vocab.seeds=sentencepiece"
    (said,) = needs(a_run(tmp_path, theirs), ["publish", "vocab"])
    assert said.startswith("vocab may take 6,144 MiB in one worker when it trains, more than run.memory_megabytes=1024")
    assert said.endswith("--set vocab.seed_megabytes=18.")
    assert needs(a_run(tmp_path, theirs, "vocab.seed_megabytes=18"), ["vocab"]) == []
    assert len(needs(a_run(tmp_path, theirs, "vocab.seed_megabytes=19"), ["vocab"])) == 1
    assert needs(a_run(tmp_path, theirs, "run.memory_megabytes=6144"), ["vocab"]) == []
    assert needs(a_run(tmp_path), ["refine", "publish"]) == []


@pytest.mark.parametrize(("name", "nbytes"), [("{}.txt", 4_000_000), ("{}.txt.xz", 1_000_000)])
def test_prose_that_needs_more_is_told(tmp_path: Path, name: str, nbytes: int) -> None:
    for lang, size in (("sw", nbytes), ("ha", nbytes // 2)):
        with (tmp_path / name.format(lang)).open("wb") as file:
            file.truncate(size)
    where = f"prepare.prose={tmp_path}/{name.format('{lang}')}"
    (said,) = needs(a_run(tmp_path, where), ["prepare", "extract"])
    assert said.startswith("prepare may take 1,209 MiB to learn the pieces of sw, and more than run.memory_megabytes=")
    assert "=1024 for 1 of 2 languages." in said
    enough = said.rsplit("--set ", 1)[1].rstrip(".")
    assert needs(a_run(tmp_path, where, enough), ["prepare"]) == []
    assert needs(a_run(tmp_path, where, "run.memory_megabytes=1209"), ["prepare"]) == []


def test_it_is_said_before_anything_is_locked_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "a.warc.gz", (0, ["A page of some words."]))
    told: list[str] = []

    @contextlib.contextmanager
    def stop(*_: Any, **__: Any) -> Iterator[None]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(building, "locked", stop)
    plan = planned("cc100", source.path, tmp_path / "o", settings={"prepare.prose": None}, until="vocab")
    with pytest.raises(KeyboardInterrupt):
        build(plan, How(show=silent, tell=told.append, trainer=None))  # type: ignore[arg-type]
    assert [said.split()[0] for said in told] == ["vocab"]
    assert not (tmp_path / "o").exists()


def test_a_dry_run_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "a.warc.gz", (0, ["A page of some words."]))
    command = ["run", "cc100", "--input", source.path, "--out", str(tmp_path / "o"), "--dry-run"]
    assert main([*command, "--set", "prepare.prose=null"]) == 0
    assert "# memory: vocab may take 1,482 MiB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["run.memory_megabytes=639"], "run.memory_megabytes is 639; it takes 640 or more"),
        (["run.memory_megabytes=9000"], "guard.memory_megabytes is 8192, less than run.memory_megabytes=9000"),
    ],
)
def test_memory_that_cannot_be_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("cc100", settings)


def test_no_output_depends_on_it(tmp_path: Path) -> None:
    fewer, more = (a_run(tmp_path, f"run.memory_megabytes={n}") for n in (640, 4096))
    for verb in ("prepare", "extract", "match", "refine", "publish", "vocab"):
        assert fewer.unit(verb, "x", {}).settings == more.unit(verb, "x", {}).settings
