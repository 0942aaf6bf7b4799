"""The door for Python: what `import ccbuild` offers, and what it costs."""

from __future__ import annotations

import doctest
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ccbuild
from ccbuild.errors import ConfigError, InputError
from ccbuild.ledger import Ledger
from tests.folder import ARTICLES, write_archive


def test_the_names_are_those_of_the_rooms() -> None:
    assert ccbuild.__all__ == sorted(ccbuild._ROOMS)
    assert 15 <= len(ccbuild.__all__) <= 25
    assert set(ccbuild.__all__) <= set(dir(ccbuild))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ccbuild.nothing


@pytest.mark.parametrize("name", ccbuild.__all__)
def test_each_has_a_docstring_with_an_example(name: str) -> None:
    """The examples themselves run with those of the modules, in test_doctests."""
    found = doctest.DocTestFinder(exclude_empty=True).find(getattr(ccbuild, name), name)
    assert getattr(ccbuild, name).__doc__
    assert any(test.examples for test in found), f"ccbuild.{name} shows no example"


def test_importing_costs_nothing_and_sets_nothing_up(tmp_path: Path) -> None:
    code = (
        "import sys, logging, warnings; before = set(sys.modules); filters = list(warnings.filters)\n"
        "import ccbuild\n"
        "heavy = {'numpy', 'pyarrow', 'dask', 'distributed', 'numba', 'torch', 'fasttext', 'cc100', 'yaml'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert not logging.getLogger().handlers and warnings.filters == filters\n"
        "ccbuild.build\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


def test_read_takes_any_file(tmp_path: Path) -> None:
    write_archive(tmp_path / "crawl" / "a.warc.gz")
    (tmp_path / "b.jsonl").write_text('{"text": "One.\\nTwo.", "lang": "en", "likes": 7}\n', encoding="utf-8")
    (tmp_path / "c.txt").write_text("A line.\nAnother.\n", encoding="utf-8")
    ledger = Ledger()
    places = [tmp_path / "crawl" / "*.warc.gz", tmp_path / "b.jsonl", tmp_path / "c.txt"]
    found = list(ccbuild.read(places, ledger=ledger))
    assert [document.paragraphs for document in found] == [*ARTICLES, ("One.", "Two."), ("A line.",), ("Another.",)]
    assert (found[0].url, found[0].archive, found[2].lang) == ("http://example.com/0", "a.warc.gz", "en")
    assert ledger["records"].kept == 2
    (tmp_path / "d.warc.gz").write_bytes(b"no archive at all")
    with pytest.raises(InputError, match="is no WARC"):
        list(ccbuild.read(tmp_path / "d.warc.gz"))


def test_a_run_opens_whichever_recipe_made_it(small_run: Path, tmp_path: Path) -> None:
    run = ccbuild.open_run(small_run)
    summary = run.summary()
    assert len(run.documents()) == summary.kept
    assert sum(len(run.dropped(loss.reason)) for loss in summary.losses if loss.verb == "refine") == len(run.dropped())
    near = run.dropped("near_duplicate").head(3)
    assert len(near) == 3
    assert all(row["text"] and row["partner"] is not None for row in near)
    assert "near_duplicate" in repr(near)
    assert {row["repeated_paragraphs"] for row in near} == {0}  # these went whole
    assert near._repr_html_().count("<tr>") == 4
    traced = run.trace(near[0]["doc_id"])
    assert traced["refine"]["reason"] == "near_duplicate"
    assert run.trace("sw", 3)["token"]["index"] == 3
    assert repr(run.table()) == str(run.table())
    assert run.corpus("sw").documents == len(run.documents("sw"))
    with pytest.raises(InputError, match="There is no reason 'too_shortt' here. Did you mean too_short"):
        run.dropped("too_shortt")
    for ask, where in ((run.dropped, "ccbuild.reasons.REASONS"), (run.documents, "run.summary")):
        with pytest.raises(InputError, match=where) as told:
            ask("nothing like it")
        assert len(str(told.value)) < 160  # no list of all that there are
    with pytest.raises(InputError, match=r"is not the folder of a run: it has no run\.json"):
        ccbuild.open_run(tmp_path)


def test_nothing_is_written_when_what_is_asked_cannot_work(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "a.warc.gz")
    with pytest.raises(ConfigError, match="has no key 'least'"):
        ccbuild.build("cc100", archive.as_posix(), tmp_path / "out", settings={"refine.length.least": 3})
    with pytest.raises(InputError, match="No input is named"):
        ccbuild.build("cc100", (), tmp_path / "out")
    with pytest.raises(InputError, match="comes after"):
        ccbuild.build("cc100", archive.as_posix(), tmp_path / "out", first="publish", until="extract")
    assert not (tmp_path / "out").exists()


class Column:
    """A column of a table that was sorted: gone through by place, asked by label, as that of pandas."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, label: int | slice) -> str | tuple[str, ...]:
        return self.texts[::-1][label]


def test_texts_are_known_by_their_places_and_must_be_texts() -> None:
    words = [f"word{n}" for n in range(40)]
    texts = " ".join(words), " ".join([*words, "more"]), " ".join(reversed(words)), "another", "one"
    whole = ccbuild.deduplicate(list(texts))
    assert [(gone.row, gone.partner) for gone in whole] == [(1, 0)]
    assert ccbuild.deduplicate(Column(*texts)) == whole
    assert ccbuild.deduplicate(iter(texts)) == whole
    assert ccbuild.signatures(Column(*texts)).values.tolist() == ccbuild.signatures(list(texts)).values.tolist()
    for take, nothing in itertools.product(
        (ccbuild.identify, ccbuild.deduplicate, ccbuild.signatures), (None, 5, b"b")
    ):
        with pytest.raises(InputError, match=f"text 1 is {type(nothing).__name__}, no str"):
            take(["a text", nothing])  # type: ignore[list-item]


def test_parquet_is_read_without_its_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one", "two"]}), tmp_path / "rows")
    (tmp_path / "rows.jsonlines").write_text('{"text": "one"}\n{"text": "two"}\n')
    for name in ("rows", "rows.jsonlines"):
        assert [document.text for document in ccbuild.read(tmp_path / name)] == ["one", "two"]
