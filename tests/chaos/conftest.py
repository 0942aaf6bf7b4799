"""Runs that the tests of chaos copy and disturb."""

from __future__ import annotations

from pathlib import Path

import pytest

import ccbuild
from tests.chaos.runs import SETTINGS, pages
from tests.conftest import cached
from tests.folder import write_archive


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of all pages, and one of an archive without the page that does harm."""
    cached("lid.176.ftz")
    made = {}
    for name, count in (("all", 12), ("less", 11)):
        root = tmp_path_factory.mktemp(name)
        archive = write_archive(root / "crawl" / "a.warc.gz", tuple(pages()[:count]))
        ccbuild.build("cc100", str(archive), root / "run", until="encode", settings=SETTINGS, workers=0)
        made[name] = root
    return made
