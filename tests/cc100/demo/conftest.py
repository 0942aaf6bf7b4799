"""The small crawl of 400 pages, made once for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from cc100.demo.articles import Article, LanguageText, split_texts, udhr_texts
from cc100.demo.crawl import Crawl, write_crawl
from ccbuild import catalogue
from ccbuild.langid.sources import eld_sentences, udhr_excerpts


def cached(name: str) -> Path:
    path = catalogue.cached(name)
    if path is None:
        pytest.skip(f"{name} is not in {catalogue.default_cache()}: fill it with `ccbuild catalogue fetch`")
    return path


@pytest.fixture(scope="session")
def demo_sources() -> dict[str, Path]:
    return {"eld": cached("eld"), "gflanguages": cached("gflanguages")}


@pytest.fixture(scope="session")
def lid_path() -> Path:
    return cached("lid.176.ftz")


@pytest.fixture(scope="session")
def texts(demo_sources: dict[str, Path]) -> dict[str, LanguageText]:
    return split_texts(eld_sentences(demo_sources["eld"]), 20261101)


@pytest.fixture(scope="session")
def excerpts(demo_sources: dict[str, Path]) -> dict[str, tuple[LanguageText, Article]]:
    return udhr_texts(udhr_excerpts(demo_sources["gflanguages"]))


@pytest.fixture(scope="session")
def small_crawl(tmp_path_factory: pytest.TempPathFactory, demo_sources: dict[str, Path]) -> Crawl:
    return write_crawl(tmp_path_factory.mktemp("crawl"), pages=400, **demo_sources)
