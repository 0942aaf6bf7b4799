"""What a manifest may name, and how a disk that is full is told, whoever found it so."""

from __future__ import annotations

import dataclasses
import errno
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ccbuild import catalogue
from ccbuild.errors import DataError, StorageError
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit, open_parquet, read_manifest, retire

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


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    OSError(errno.EFBIG, "File too large"),
    OSError("262144 requested and 4096 written"),  # numpy
    OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"),  # pyarrow
    RuntimeError("util/file.cc:228: No space left on device while writing"),  # KenLM
]


@pytest.mark.parametrize("error", FULL, ids=str)
def test_a_full_disk_has_one_message_whoever_finds_it(error: Exception, tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"^No space left to write .*1-x \(.*\)\. Free some, or choose another --out"),
        Unit(tmp_path / "1-x", "count", "x", settings={}) as unit,
    ):
        unit.path("x.txt").write_text("half")
        raise error
    assert list((tmp_path / "1-x").iterdir()) == []


def test_what_a_full_disk_led_to_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"No space left to write"), Unit(tmp_path, "a", "x", settings={}):
        try:
            raise FULL[0]
        except OSError as error:
            raise DataError("model.bin is damaged. Fetch the model again.") from error
    with pytest.raises(DataError, match="is damaged"), Unit(tmp_path, "a", "x", settings={}):
        raise DataError("x.parquet is damaged: it says 'No space left on device'.")


WRITERS = {
    "numpy": "np.zeros(1 << 20).tofile(path)",
    "pyarrow": "pq.write_table(pa.table({'x': np.random.default_rng(1).random(1 << 16)}), path)",
    "lzma": "with lzma.open(path, 'wb') as out: out.write(os.urandom(1 << 18))",
    "python": "path.write_bytes(bytes(1 << 18))",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_may_not_grow(writer: str, tmp_path: Path) -> None:
    """``ulimit -f``: the signal that comes with it would end the process."""
    script = f"""
import lzma, os, resource, sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from ccbuild.errors import StorageError
from ccbuild.storage import Unit
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
try:
    with Unit({str(tmp_path)!r}, "count", "x", settings={{}}) as unit:
        path = unit.path("x")
        {WRITERS[writer]}
except StorageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"No space left to write {tmp_path} ("), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_was_read_of_a_parquet_file_is_not_kept(tmp_path: Path) -> None:
    draw = random.Random(0)
    table = pa.table({"text": [draw.randbytes(1 << 20) for _ in range(24)]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=1)
    del table
    before, most = pa.total_allocated_bytes(), 0
    with open_parquet(tmp_path / "x.parquet") as file:
        for batch in file.iter_batches(1):
            assert len(batch) == 1
            most = max(most, pa.total_allocated_bytes() - before)
    assert most < 12 << 20


def test_a_cache_without_space_is_no_matter_of_its_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise FULL[0]

    entry = dataclasses.replace(catalogue.entries()["lid.176.ftz"], name="absent")
    monkeypatch.setattr(catalogue, "_fetch_to", full)
    with pytest.raises(StorageError, match=r"No space left to write .*Free some, or set CCBUILD_CACHE"):
        catalogue.fetch(entry, tmp_path)
