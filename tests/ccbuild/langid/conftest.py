"""The shipped cascade."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccbuild.langid.cascade import Cascade
from ccbuild.langid.model import LanguageModel
from ccbuild.langid.supplement import SHIPPED, Supplement


@pytest.fixture(scope="session")
def model(lid_model: Path) -> LanguageModel:
    return LanguageModel(lid_model)


@pytest.fixture(scope="session")
def cascade(model: LanguageModel) -> Cascade:
    return Cascade(model, Supplement(SHIPPED))
