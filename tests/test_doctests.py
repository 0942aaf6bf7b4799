"""The examples in docstrings run, in a folder that has what they name."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from tests.folder import example_folder
from tests.test_import_law import modules


@pytest.fixture(scope="module")
def examples(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example_folder(tmp_path_factory.mktemp("examples"), small_run)


@pytest.mark.parametrize("name", [name for name, _ in modules() if not name.endswith("__main__")])
def test_examples(name: str, examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(examples)
    assert doctest.testmod(importlib.import_module(name)).failed == 0
