"""What the tests of the pipeline share."""

from __future__ import annotations

import contextlib

import pytest

from cc100.engines import in_process


@pytest.fixture
def within(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `workers=0` units are done in this very process: a test of something else need not start one beside it."""
    monkeypatch.setattr("cc100.build.beside", lambda guard: contextlib.nullcontext(in_process()))
