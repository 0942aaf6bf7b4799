"""What the README shows is what the commands print. `python tests/test_readme.py` writes what they print now."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ccbuild
from ccbuild import catalogue
from tests.ccbuild.test_cli import commands
from tests.folder import example_folder

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = "ccbuild demo --pages 400 --out runs/small"


def shown() -> Iterator[tuple[str, str]]:
    """(command, output) of every console block, in order."""
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output.strip("\n")


def portable(output: str) -> str:
    """`output` without what another CPU's floats or another zlib may make differ: scores, tokens, packed sizes."""
    for varying in (
        r"at byte [\d,]+, [\d,]+ bytes",
        r"[\d.]+ MB",
        r"(?<=\"lang_score\": )[\d.]+",
        r"(?<=^tokens) +[\d,]+$",
        r"(?<=\d,\d{3}) +[\d,]+$",  # the column after characters
    ):
        output = re.sub(varying, "#", output, flags=re.MULTILINE)
    return output.strip("\n")


def printed(command: str, folder: Path) -> str:
    paths = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=paths, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_transcript(small_run: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "small").symlink_to(small_run)
    transcript = list(shown())
    assert transcript[0][0] == DEMO
    assert len(transcript) >= 4
    for command, output in transcript:
        if command == DEMO:
            said = (small_run.parent / "stdout.txt").read_text(encoding="utf-8").replace(str(small_run), "runs/small")
        else:
            said = printed(command, tmp_path)
        assert portable(said) == portable(output), command


def test_the_python(small_run: Path, in_folder: Path) -> None:
    """What README types in Python runs on a small crawl; only the run is made shorter."""
    example_folder(in_folder, small_run)
    build, pieces = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    short = "stages=[shouting], until='publish', workers=0, settings={'prepare.prose': None})"
    build = build.replace("stages=[shouting])", short).replace('run.why("sw:1234")', "pass")
    room: dict[str, Any] = {"__name__": "__main__", "ccbuild": ccbuild}
    exec(build, room)
    assert (room["run"].summary().kept, len(room["run"].dropped("shouting"))) == (2, 0)
    exec(pieces, room)


def test_the_six_files_are_there() -> None:
    named = re.findall(r"^\d\. `([^`]+)`", README, re.MULTILINE)
    assert len(named) == 6
    assert all((ROOT / name).is_file() for name in named)


def test_every_command_is_named() -> None:
    named = {" ".join(c) for c in commands() if c[0] not in ("lm", "vocab", "tokens", "model") or len(c) > 1}
    assert [c for c in sorted(named) if f"`{c}`" not in README and f"ccbuild {c}" not in README] == []


@pytest.mark.parametrize("name", sorted(catalogue.entries()))
def test_every_entry_of_the_catalogue_and_its_licence_is_named(name: str) -> None:
    row = next(line for line in README.splitlines() if line.startswith("|") and f"`{name}`" in line)
    assert catalogue.entries()[name].licence.replace("-", " ") in row.replace("-", " ")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        written = README
        for command, output in shown():
            written = written.replace(f"$ {command}\n{output}\n", f"$ {command}\n{printed(command, Path(folder))}")
    (ROOT / "README.md").write_text(written, encoding="utf-8")
