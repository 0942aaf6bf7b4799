"""The wheel, installed in an empty environment, works outside the checkout: recipes and presets travel with it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.strip().splitlines()[-1]


def test_the_wheel_holds_three_packages_and_their_files(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"ccbuild", "cc100", "xlmr"}
    assert {
        "cc100/recipes/cc100.yaml",
        "xlmr/presets/base.yaml",
        "xlmr/published.yaml",
        "ccbuild/catalogue.yaml",
        "ccbuild/langid/supplement.ftz",
        "ccbuild/langid/supplement.json",
        "ccbuild/langid/supplement.record.json",
    } <= names
    assert {name.rpartition("/")[2] for name in names if ".dist-info/licenses/" in name} == {"LICENSE", "NOTICE"}


def test_the_sources_hold_what_the_wheel_is_made_of(tmp_path: Path) -> None:
    build = "from hatchling.build import build_sdist; import sys; print(build_sdist(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / done.stdout.strip().splitlines()[-1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    stem = "ccbuild/langid/supplement"
    assert {f"{stem}.ftz", f"{stem}.json", f"{stem}.record.json", "NOTICE", "LICENSE"} <= names


def test_it_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import ccbuild, cc100, xlmr\n"
        "assert all(m.__file__.startswith(sys.argv[1]) for m in (ccbuild, cc100, xlmr))\n"
        "from ccbuild.cli import main\n"
        "from xlmr.config import load_preset\n"
        "load_preset('base'); main(['catalogue', 'list'])\n"
        "main(['run', 'cc100', '--input', 'x', '--out', 'o', '--dry-run', '--set', 'prepare.prose=null'])\n"
    )
    (tmp_path / "x").write_bytes(b"WARC/1.0\r\n")
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(site)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "name: cc100" in done.stdout
    assert "lid.176.ftz" in done.stdout
