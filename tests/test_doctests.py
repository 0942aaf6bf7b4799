"""The examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib

import pytest

from tests.test_import_law import modules


@pytest.mark.parametrize("name", [name for name, _ in modules() if not name.endswith("__main__")])
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
