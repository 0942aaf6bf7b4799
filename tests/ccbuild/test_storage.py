"""What a manifest may name, and how a disk that is full is told, whoever found it so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ccbuild.errors import DataError
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit, read_manifest, retire

FACTS = {"size": 1, "sha256": "0"}


def committed(folder: Path, name: str = "x", **outputs: str) -> Path:
    """The manifest of a finished unit."""
    with Unit(folder, "count", name, settings={}) as unit:
        for output, content in outputs.items():
            unit.path(output).write_text(content)
        unit.commit(Ledger())
    return folder / f"{name}.json"


def changed(manifest: Path, **changes: Any) -> Path:
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))
    return manifest


@pytest.mark.parametrize(
    "name", ["../mine.txt", "../../mine.txt", "../1-x/../mine.txt", "a/../../mine.txt", "link/mine.txt", "{}"]
)
def test_a_manifest_that_names_a_file_outside_is_refused(name: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("a thesis")
    name = name.format(mine)
    manifest = changed(committed(tmp_path / "1-x"), outputs={name: FACTS})
    (tmp_path / "1-x" / "link").symlink_to(tmp_path)
    for reads in (read_manifest, retire):
        with pytest.raises(DataError, match=r"lies outside its folder.*Delete it"):
            reads(manifest)
    assert mine.read_text() == "a thesis"
    again = Unit(tmp_path / "1-x", "count", "x", settings={})
    assert again.done() is None
    with again:
        again.commit(Ledger())
    assert mine.exists()


def test_a_unit_may_write_into_another_folder_of_the_run(tmp_path: Path) -> None:
    manifest = committed(tmp_path / "1-x", **{"../2-y/a.txt": "7", "de/b.txt": "8"})
    (tmp_path / "scratch disk").mkdir()
    (tmp_path / "2-y").rename(tmp_path / "scratch disk" / "y")
    (tmp_path / "2-y").symlink_to(tmp_path / "scratch disk" / "y")  # where the user put it
    assert read_manifest(manifest) is not None
    retire(manifest)
    assert [path for path in tmp_path.rglob("*") if path.suffix] == []


def test_a_manifest_under_another_name_is_refused(tmp_path: Path) -> None:
    manifest = committed(tmp_path, "part-00001", **{"part-00001.txt": "7"})
    manifest.rename(tmp_path / "part-00002.json")
    with pytest.raises(DataError, match=r"part-00002\.json is not a manifest of ccbuild.*of the unit part-00001"):
        read_manifest(tmp_path / "part-00002.json")
