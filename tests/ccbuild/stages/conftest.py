"""The models of a run, small: lid.176 alone, and a perplexity model of English."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ccbuild.ledger import Ledger
from ccbuild.lm.estimate import EstimateConfig, estimate_files
from ccbuild.storage import Unit

UDHR = Path(__file__).parent.parent / "lm" / "golden" / "udhr.txt"


@pytest.fixture(scope="session")
def models(lid_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `prepare` leaves them."""
    folder = tmp_path_factory.mktemp("models")
    with Unit(folder, "prepare", "identifier", settings={}) as unit:
        shutil.copyfile(lid_model, unit.path("identifier/lid.176.ftz"))
        unit.commit(Ledger(), facts={"model": "identifier/lid.176.ftz", "supplement": None})
    with Unit(folder, "prepare", "en", settings={}) as unit:
        lines = UDHR.read_text(encoding="utf-8").splitlines()
        estimate_files(lines, unit.path("en.sp.model"), unit.path("en.binary"), EstimateConfig(order=3))
        unit.commit(Ledger(), facts={"source": "prose"})
    return folder
