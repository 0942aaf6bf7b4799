"""The table of inputs only grows, names never collide, settings on disk are not overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from cc100.layout import Run, Source, sources_of
from cc100.recipe import load_recipe
from ccbuild.errors import InputError, MismatchError, StorageError


def run_in(folder: Path, *overrides: str) -> Run:
    return Run(folder, load_recipe("cc100", overrides))


def source(name: str, size: int = 1) -> Source:
    return Source(name, f"/x/{name}", size)


def test_shard_numbers_are_given_once(tmp_path: Path) -> None:
    run = run_in(tmp_path, "unit.files=2")
    first = run.admit([source("b"), source("a"), source("c")])
    assert [(e.archive, e.shard) for e in first] == [("a", 0), ("b", 0), ("c", 1)]
    second = run.admit([source("0"), source("a"), source("d")])
    assert [(e.archive, e.shard) for e in second] == [("a", 0), ("b", 0), ("c", 1), ("0", 2), ("d", 2)]
    assert run.inputs() == second


def test_an_archive_that_changed_is_refused(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    run.admit([source("a", 5)])
    with pytest.raises(MismatchError, match="has 6 bytes.*says 5"):
        run.admit([source("a", 6)])


def test_a_changed_setting_is_refused_with_its_key(tmp_path: Path) -> None:
    run_in(tmp_path).check(["extract", "match", "refine"])
    run_in(tmp_path, "refine.length.min_chars=9").check(["extract", "match"])
    with pytest.raises(MismatchError, match=r"made with refine\.length\.min_chars=100, the config says 9"):
        run_in(tmp_path, "refine.length.min_chars=9").check(["refine"])


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(StorageError, match="another --out"):
        run_in(tmp_path / "x").check(["extract"])


def test_names_are_below_the_fixed_part_of_the_glob(in_folder: Path) -> None:
    for name in ("a/1.warc.gz", "b/1.warc.gz", "crawl-data/CC-MAIN-2018-51/segments/7/warc/2.warc.gz"):
        (in_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (in_folder / name).write_text("x")
    assert [s.name for s in sources_of(["a/*.warc.gz"])] == ["1.warc.gz"]
    assert [s.name for s in sources_of(["[ab]/*.warc.gz"])] == ["a/1.warc.gz", "b/1.warc.gz"]
    assert [s.name for s in sources_of(["crawl-data/**/*.gz"])] == ["CC-MAIN-2018-51/segments/7/warc/2.warc.gz"]
    with pytest.raises(InputError, match="would both be called 1.warc.gz"):
        sources_of(["a/*", "b/*"])
