"""The shipped cascade, made once: a minute where the cache does not have its supplement."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccbuild.langid.cascade import Cascade
from ccbuild.langid.model import LanguageModel
from ccbuild.langid.supplement import Supplement, catalogue_supplement
from tests.conftest import cached


@pytest.fixture(scope="session")
def model(lid_model: Path) -> LanguageModel:
    return LanguageModel(lid_model)


@pytest.fixture(scope="session")
def cascade(model: LanguageModel) -> Cascade:
    for name in ("eld", "gflanguages", "kolibri", "lingua"):
        cached(name)
    return Cascade(model, Supplement(catalogue_supplement(model)))
