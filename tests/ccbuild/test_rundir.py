"""What lies where in a run, and runs opened for reading."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ccbuild import rundir
from ccbuild.cli import main
from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.lm.scored import read_perplexities
from ccbuild.records import doc_id
from ccbuild.rundir import FOLDERS, RunDir, open_run_dir, shard_name, shard_number
from ccbuild.storage import Unit
from tests.test_import_law import PACKAGES

LITERAL = re.compile(r"[0-8]-(?:models|pages|prints|duplicates|documents|corpus|vocabulary|tokens|model)")


def commit(run: RunDir, verb: str, unit: str, kept: int = 1, **facts: Any) -> None:
    """A unit of `verb` that kept so many documents and wrote nothing."""
    with Unit(run.folder(verb), verb, unit, settings={}) as made:
        ledger = Ledger()
        ledger["documents"].keep(kept)
        made.commit(ledger, facts=facts)


def test_no_other_module_names_a_folder_of_a_run() -> None:
    sources = [path for folder in PACKAGES.values() for path in sorted(folder.rglob("*.py"))]
    assert [p.name for p in sources if LITERAL.search(p.read_text(encoding="utf-8"))] == ["rundir.py"]
    assert all(LITERAL.fullmatch(folder) for folder in FOLDERS.values())


def test_examples() -> None:
    tried = doctest.testmod(rundir)
    assert tried.attempted
    assert not tried.failed


@pytest.mark.parametrize("name", ["part-7", "sw", "words-00001", "part-.parquet"])
def test_names_that_are_no_shard(name: str) -> None:
    with pytest.raises(InputError, match=r"is not the name of a shard, such as part-00042"):
        shard_number(name)


def test_shards_stand_by_their_number_though_the_hundred_thousandth_has_a_digit_more(tmp_path: Path) -> None:
    run, numbers = RunDir(tmp_path), [2, 99_999, 100_000]
    for shard in reversed(numbers):
        assert shard_number(shard_name(shard)) == shard
        commit(run, "extract", shard_name(shard))
        for kind in ("", "refused"):
            run.file("extract", shard, kind).parent.mkdir(exist_ok=True)
            pq.write_table(
                pa.table({"doc_id": pa.array([doc_id(shard, 0)], pa.uint64())}), run.file("extract", shard, kind)
            )
    assert run.numbers("extract") == [number for number, _ in run.shards("extract")] == numbers
    assert list(run.manifests("extract")) == [path.stem for path in run.made("extract")] == [*map(shard_name, numbers)]
    assert list(run.files("extract")) == [run.file("extract", shard) for shard in numbers]
    assert list(run.files("extract", "refused")) == [run.file("extract", shard, "refused") for shard in numbers]
    assert set(run.rows("extract", [doc_id(100_000, 0), doc_id(2, 5)], [])) == {doc_id(100_000, 0)}


def test_all_places_of_a_verb_parts_first(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for place, unit in [("publish", "sw"), ("clusters", "cluster_sizes")]:
        commit(run, place, unit)
    for place, unit in [("vocab", "vocabulary"), ("words", "sw"), ("word parts", "sw-0")]:
        commit(run, place, unit)
    commit(run, "match", "edges-00000-00000", 5)
    commit(run, "match", "part-00000", 2)
    assert [path.stem for path in run.made("publish")] == ["sw"], "sizes of clusters have the settings of match"
    assert [path.stem for path in run.made("vocab")] == ["sw-0", "sw", "vocabulary"]
    assert list(run.made("encode")) == []
    assert run.ledger("match")["documents"].kept == 2, "the steps before the shards count other things"


def test_a_run_is_opened_whichever_recipe_made_it(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match=r"is not the folder of a run: it has no run\.json"):
            open_run_dir(folder)
    (tmp_path / "run.json").write_text(json.dumps({"extract": {"of.another.release": 1}}))
    run = open_run_dir(tmp_path)
    assert run.settings() == {"of.another.release": 1}
    assert (run.inputs(), run.audits(), run.numbers("refine"), run.published("sw")) == ([], [], [], [])
    assert (run.mapping("summary"), run.manifest("vocab", "vocabulary"), list(run.lines("metrics"))) == (None, None, [])


@pytest.mark.parametrize(
    "command",
    [
        ["report", "."],
        ["why", ".", "7"],
        ["dedup", "query", ".", "--text", "x"],
        ["langid", "audit", ".", "--lang", "sw"],
    ],
)
def test_every_command_says_that_a_folder_is_no_run(
    command: list[str], in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    assert "is not the folder of a run" in capsys.readouterr().err
    assert list(in_folder.iterdir()) == []


@pytest.mark.parametrize("named", [".", FOLDERS["refine"]])
def test_perplexities_of_a_run_are_those_of_what_it_kept(named: str, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for kind, values in (("", [30.0, None, 10.0]), ("dropped", [900.0, None])):
        table = pa.table({"lang": ["sw"] * len(values), "perplexity": pa.array(values, pa.float64())})
        run.file("refine", 0, kind).parent.mkdir(exist_ok=True)
        pq.write_table(table, run.file("refine", 0, kind))
    assert {code: found.tolist() for code, found in read_perplexities(tmp_path / named).items()} == {"sw": [10.0, 30.0]}
