"""The table of inputs only grows, names never collide, settings on disk are not overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from cc100.layout import Run, Source, check_snapshots, sources_of
from cc100.recipe import load_recipe
from ccbuild.errors import ConfigError, DataError, InputError, MismatchError, StorageError
from ccbuild.rundir import FOLDERS


def run_in(folder: Path, *overrides: str) -> Run:
    return Run(folder, load_recipe("cc100", overrides))


def source(name: str, size: int = 1, digest: str = "") -> Source:
    return Source(name, f"/x/{name}", size, digest)


def made_something(folder: Path, verb: str) -> None:
    (folder / FOLDERS[verb]).mkdir(parents=True, exist_ok=True)
    (folder / FOLDERS[verb] / "part-00000.json").write_text("{}")


def test_shard_numbers_are_given_once(tmp_path: Path) -> None:
    run = run_in(tmp_path, "unit.files=2")
    first = run.admit([source("b"), source("a"), source("c")])
    assert [(e.archive, e.shard) for e in first] == [("a", 0), ("b", 0), ("c", 1)]
    second = run.admit([source("0"), source("a"), source("d")])
    assert [(e.archive, e.shard) for e in second] == [("a", 0), ("b", 0), ("c", 1), ("0", 2), ("d", 2)]
    assert run.inputs() == second


def test_an_archive_that_changed_is_refused(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    run.admit([source("a", 5, "x")])
    for other in (source("a", 6, "x"), source("a", 5, "y")):
        with pytest.raises(MismatchError, match="is not the archive"):
            run.admit([other])


def test_the_same_bytes_under_another_name_are_refused(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    run.admit([source("a", 5, "x")])
    with pytest.raises(InputError, match="same bytes as a, .* it looks renamed from a to b.* put the name back"):
        run.admit([source("b", 5, "x")])
    with pytest.raises(InputError, match="same bytes as a, which is named too. Leave one of them out"):
        run.admit([source("b", 5, "x"), source("a", 5, "x")])
    with pytest.raises(InputError, match="same bytes"):
        run_in(tmp_path / "new").admit([source("a", 5, "x"), source("b", 5, "x")])


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "inputs.jsonl").write_text('{"shard": 0')
    with pytest.raises(DataError, match="inputs.jsonl is damaged"):
        run_in(tmp_path).inputs()
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(DataError, match="run.json is damaged"):
        run_in(tmp_path).note_settings(["extract"])


def test_a_changed_setting_is_refused_with_its_key(tmp_path: Path) -> None:
    run_in(tmp_path).note_settings(["extract", "match", "refine"])
    made_something(tmp_path, "refine")
    run_in(tmp_path, "refine.length.min_chars=9").note_settings(["extract", "match"])
    with pytest.raises(MismatchError, match=r"made with refine\.length\.min_chars=100, the config says 9"):
        run_in(tmp_path, "refine.length.min_chars=9").note_settings(["refine"])


def test_settings_of_a_verb_that_made_nothing_hold_nobody(tmp_path: Path) -> None:
    run_in(tmp_path, "publish.xz_preset=1").note_settings(["extract", "publish"])
    made_something(tmp_path, "extract")
    run_in(tmp_path, "publish.xz_preset=2").note_settings(["extract", "publish"])


def test_snapshots_that_the_recipe_leaves_out_are_refused_before_the_start(in_folder: Path) -> None:
    for pattern in ("CC-MAIN-2024-22/*.gz", "*-22/a*.gz"):
        Path("CC-MAIN-2024-22").mkdir(exist_ok=True)
        Path("CC-MAIN-2024-22/a.warc.gz").write_text("x")
        sources = sources_of([pattern])
        assert [s.name for s in sources] == ["CC-MAIN-2024-22/a.warc.gz"]
        with pytest.raises(ConfigError, match="takes no page from CC-MAIN-2024-22"):
            check_snapshots(load_recipe("cc100"), sources)
        check_snapshots(load_recipe("ccnet"), sources)


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(StorageError, match="another --out"):
        run_in(tmp_path / "x").note_settings(["extract"])


def test_names_are_below_the_fixed_part_of_the_glob(in_folder: Path) -> None:
    for name in ("a/1.warc.gz", "b/1.warc.gz", "crawl-data/CC-MAIN-2018-51/segments/7/warc/2.warc.gz"):
        (in_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (in_folder / name).write_text(name)
    assert [s.name for s in sources_of(["a/*.warc.gz"])] == ["1.warc.gz"]
    assert [s.name for s in sources_of(["[ab]/*.warc.gz"])] == ["a/1.warc.gz", "b/1.warc.gz"]
    assert [s.name for s in sources_of(["crawl-data/**/*.gz"])] == ["CC-MAIN-2018-51/segments/7/warc/2.warc.gz"]
    with pytest.raises(InputError, match="would both be called 1.warc.gz"):
        sources_of(["a/*", "b/*"])
    with pytest.raises(InputError, match="is named twice"):
        sources_of(["a/*", "*/1.warc.gz"])
