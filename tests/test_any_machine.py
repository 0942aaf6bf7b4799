"""A busy machine fails no test: nothing waits for a number of seconds but the suite's own limit, for what hangs."""

from __future__ import annotations

import ast
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent


def test_no_example_is_too_slow(pytestconfig: pytest.Config) -> None:
    assert hypothesis.settings().deadline is None
    assert hypothesis.HealthCheck.too_slow in hypothesis.settings().suppress_health_check
    assert float(pytestconfig.getini("timeout")) >= 1800
    assert pytestconfig.getini("log_level") == "WARNING", "torch traces all that it compiles at DEBUG"


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: path.stem)
def test_nothing_is_asked_to_be_quick(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            given = [keyword.arg for keyword in node.keywords if keyword.arg in ("timeout", "deadline")]
            assert not given, f"{path.name}, line {node.lineno}: {given[0]}"
        if isinstance(node, ast.Compare):
            clocks = {"monotonic", "perf_counter", "process_time", "time_ns"}
            named = {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)} & clocks
            assert not named, f"{path.name}, line {node.lineno}: {named}"
