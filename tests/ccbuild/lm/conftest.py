"""A small model, estimated once for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccbuild.lm.estimate import EstimateConfig, Estimated, estimate


@pytest.fixture(scope="session")
def prose() -> list[str]:
    """Forty-five articles, of which two are longer than 20,000 characters and hold letters that no other has."""
    lines = (Path(__file__).parent / "golden" / "udhr.txt").read_text(encoding="utf-8").splitlines()
    return [*lines, "жук и жаба " * 2000, "Ωmega and Ψ, " * 2000]


@pytest.fixture(scope="session")
def small_model(prose: list[str], tmp_path_factory: pytest.TempPathFactory) -> Estimated:
    return estimate(prose, tmp_path_factory.mktemp("lm") / "en", EstimateConfig(order=4))
