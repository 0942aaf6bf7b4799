"""A kept copy stays kept: where `refine` drops the document for which others went, one of them comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cc100.layout import Run, Source
from cc100.recipe import load_recipe
from ccbuild.langid.sources import eld_sentences
from ccbuild.trace import trace_document
from tests.cc100.test_growth import UP_TO_CORPUS, files, go, write
from tests.conftest import cached

LATER = "CC-MAIN-2018-51"


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    """Pages: a long one, another, and one that is a little too short, with one that says a little more."""
    cached("lid.176.ftz")
    english = eld_sentences(cached("eld"))["en"]
    long, other = english[:9], english[20:29]
    words = " ".join(english[40:60]).split()[:60]
    return {"long": long, "other": other, "short": [" ".join(words)], "more": [" ".join([*words, "and", "so", "on"])]}


def archives(folder: Path, texts: dict[str, list[str]]) -> list[Source]:
    """The first of each pair lies where `refine` drops it: in another snapshot, or too short."""
    folder.mkdir()
    names = [folder / f"{snapshot}-{part}.warc.gz" for part, snapshot in enumerate(("CC-MAIN-2018-05", LATER, LATER))]
    first = write(names[0], (0, texts["long"]), (1, texts["other"]))
    second = write(names[1], (2, texts["short"]), (3, texts["long"]))
    third = write(names[2], (4, texts["more"]), (5, texts["long"]), (6, [*texts["long"], "One more line of text."]))
    return [first, second, third]


def opened(root: Path, texts: dict[str, list[str]], *more: str) -> Run:
    least = len(texts["short"][0]) + 1
    settings = [f"refine.length.min_chars={least}", f"refine.snapshot.languages={{en: [{LATER}]}}"]
    settings += ["extract.text=all", "prepare.prose=null", "publish.min_documents=1", *more]
    return Run(root, load_recipe("cc100", settings))


def rows(run: Run, verb: str, kind: str = "") -> list[dict[str, Any]]:
    return [row for path in run.files(verb, kind) for row in pq.read_table(path).to_pylist()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, list[str]]) -> Run:
    root = tmp_path_factory.mktemp("returning")
    made = opened(root / "run", texts)
    go(made, archives(root / "archives", texts), *UP_TO_CORPUS)
    return made


def test_of_each_text_a_copy_stays(run: Run) -> None:
    kept = {row["url"].rsplit("/", 1)[1] for row in rows(run, "refine")}
    assert kept == {"3", "4"}
    gone = {row["url"].rsplit("/", 1)[1]: row for row in rows(run, "refine", "dropped")}
    assert {url: row["reason"] for url, row in gone.items()} == {
        "0": "other_snapshot",
        "1": "other_snapshot",
        "2": "too_short",
        "5": "exact_duplicate",
        "6": "near_duplicate",
    }
    third, fourth = (next(row["doc_id"] for row in rows(run, "refine") if row["url"].endswith(n)) for n in ("/3", "/4"))
    assert fourth > third
    assert gone["5"]["partner"] == gone["6"]["partner"] == third  # 0 was, before it was dropped
    assert gone["5"]["similarity"] == 1.0
    assert 0.7 < gone["6"]["similarity"] < 1.0


def test_what_came_back_stands_for_the_others(run: Run) -> None:
    manifest = run.manifest("publish", "en")
    assert manifest is not None
    published = [row for path in run.published("en") for row in pq.read_table(path).to_pylist()]
    assert sorted((row["url"].rsplit("/", 1)[1], row["cluster_size"]) for row in published) == [("3", 3), ("4", 1)]
    for row in published:
        assert trace_document(run, row["doc_id"])["match"] == []


@pytest.mark.parametrize("more", [["match.min_jaccard=0"], ["match.keep_document=newest"], ["match.linkage=chain"]])
def test_it_comes_back_by_other_settings_or_goes_with_its_chain(
    tmp_path: Path, texts: dict[str, list[str]], more: list[str]
) -> None:
    made = opened(tmp_path / "run", texts, *more)
    go(made, archives(tmp_path / "archives", texts), "prepare", "extract", "match", "refine")
    kept = {row["url"].rsplit("/", 1)[1] for row in rows(made, "refine")}
    assert kept == ({"6", "4"} if "newest" in more[0] else set() if "chain" in more[0] else {"3", "4"})


def test_growing_is_building_the_whole(tmp_path: Path, run: Run, texts: dict[str, list[str]]) -> None:
    grown = opened(tmp_path / "grown", texts)
    sources = archives(tmp_path / "archives", texts)
    for upto in (1, 2, 3):
        go(grown, sources[:upto], *UP_TO_CORPUS)
    assert files(grown.root, "publish") == files(run.root, "publish")
    for verb, kind in (("refine", ""), ("refine", "dropped")):
        assert rows(grown, verb, kind) == rows(run, verb, kind)


def test_a_paragraph_that_the_first_had_lost_does_not_come_back(tmp_path: Path, texts: dict[str, list[str]]) -> None:
    """The first copy repeats a line of a page that stays; so does the one that takes its place."""
    line = texts["other"][0]
    names = [tmp_path / f"{snapshot}.warc.gz" for snapshot in ("CC-MAIN-2018-05", LATER)]
    german = eld_sentences(cached("eld"))["de"][:9]
    sources = [
        write(names[0], (0, [*german, line]), (1, [*texts["long"], line])),
        write(names[1], (2, [*texts["long"], line])),
    ]
    made = opened(tmp_path / "run", texts, "refine.snapshot.default=[CC-MAIN-2018-05]")
    go(made, sources, *UP_TO_CORPUS)
    kept = {row["url"].rsplit("/", 1)[1]: row["text"] for row in rows(made, "refine")}
    assert kept.keys() == {"0", "2"}
    assert line in kept["0"]
    assert kept["2"] == "\n".join(texts["long"])


def test_a_repeated_paragraph_names_a_page_that_stays(tmp_path: Path, texts: dict[str, list[str]]) -> None:
    """A line of a page that is dropped names the copy in its place; one that this copy lacks stays where it stood next.

    Pages 2 and 3 hold two lines of page 0, which is of another snapshot; 4, nearly the same, has only the first.
    """
    german = eld_sentences(cached("eld"))["de"]
    line, lacking = texts["other"][:2]
    sources = [
        write(tmp_path / "CC-MAIN-2018-05.warc.gz", (0, [*texts["long"], line, lacking])),
        write(tmp_path / f"{LATER}-1.warc.gz", (2, [*german[:9], line, lacking]), (3, [*german[20:29], lacking, line])),
        write(tmp_path / f"{LATER}-2.warc.gz", (4, [*texts["long"], line])),
    ]
    made = opened(tmp_path / "run", texts, "refine.length.min_chars=10", "refine.snapshot.default=[]")
    go(made, sources, *UP_TO_CORPUS)
    kept = {row["url"].rsplit("/", 1)[1]: row for row in rows(made, "refine")}
    assert {url: row["text"].split("\n")[9:] for url, row in kept.items()} == {"2": [lacking], "3": [], "4": [line]}
    address = {url: row["doc_id"] for url, row in kept.items()}
    repeated = [
        (row["doc_id"], row["paragraph"], row["partner"], row["partner_paragraph"])
        for shard in made.numbers("refine")
        for row in pq.read_table(made.decisions(shard)).to_pylist()
        if row["paragraph"] is not None
    ]
    assert repeated == [
        (address["2"], 9, address["4"], 9),
        (address["3"], 9, address["2"], 10),
        (address["3"], 10, address["4"], 9),
    ]


FOLDERS = ["1-pages", "1-refused", "2-prints", "3-duplicates", "4-documents", "4-dropped", "5-corpus/en"]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_a_run_opens_as_one_dataset(run: Run, name: str) -> None:
    """What else lies there stands in folders that readers pass over."""
    expected = sum(pq.read_metadata(path).num_rows for path in (run.root / name).glob("*.parquet"))
    assert pq.read_table(run.root / name).num_rows == expected
    assert expected or name == "1-refused"


@pytest.mark.parametrize("name", FOLDERS)
def test_duckdb_opens_it_too(run: Run, name: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(f"select count(*) from read_parquet('{run.root / name}/*.parquet')").fetchall()
    assert found[0][0] == pq.read_table(run.root / name).num_rows


@pytest.mark.parametrize("name", [name for name in FOLDERS if name != "1-refused"])
def test_datasets_opens_it_too(run: Run, name: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    found = datasets.load_dataset("parquet", data_dir=str(run.root / name), cache_dir=str(tmp_path), split="train")
    assert len(found) == pq.read_table(run.root / name).num_rows


def as_an_earlier_release_laid_it(root: Path) -> None:
    """Manifests beside the files of their units, what a shard leaves out under a name of its own."""
    for folder, kind, apart in (("1-pages", "refused", "1-refused"), ("4-documents", "dropped", "4-dropped")):
        for path in (root / apart).glob("part-*.parquet"):
            path.rename(root / folder / f"{path.stem}.{kind}.parquet")
        (root / apart).rmdir()
    for path in (root / "3-duplicates/__matching").iterdir():
        path.rename(root / "3-duplicates" / path.name)
    for folder in ("1-pages", "3-duplicates", "4-documents"):
        for path in (root / folder / "__manifests").iterdir():
            text = path.read_text().replace('"__matching/', '"')
            for kind, apart in (("refused", "1-refused"), ("dropped", "4-dropped")):
                text = text.replace(f'"../{apart}/{path.stem}.parquet"', f'"{path.stem}.{kind}.parquet"')
            (root / folder / path.name).write_text(text)
            path.unlink()
        (root / folder / "__manifests").rmdir()


def test_a_run_as_an_earlier_release_laid_it_goes_on(tmp_path: Path, run: Run, texts: dict[str, list[str]]) -> None:
    old, sources = opened(tmp_path / "run", texts), archives(tmp_path / "archives", texts)
    go(old, sources[:2], *UP_TO_CORPUS)
    as_an_earlier_release_laid_it(old.root)
    assert go(old, sources[:2], "prepare", "extract")["extract"].fresh == 0
    go(old, sources[:2], *UP_TO_CORPUS)  # the names of files have changed, and what is made of them knows
    again = go(old, sources[:2], *UP_TO_CORPUS)
    assert {verb: summary.fresh for verb, summary in again.items()} == dict.fromkeys(UP_TO_CORPUS, 0)
    assert [path.name for path in old.files("extract", "refused")] == [f"part-0000{n}.refused.parquet" for n in (0, 1)]
    (old.root / "1-pages/part-00001.json").unlink()
    go(old, sources, *UP_TO_CORPUS)
    assert old.numbers("extract") == [0, 1, 2]
    assert not (old.root / "1-pages/__manifests").exists()
    assert [path.parent.name for path in old.files("extract", "refused")] == ["1-pages", "1-refused", "1-refused"]
    for verb, kind in (("refine", ""), ("refine", "dropped")):
        assert rows(old, verb, kind) == rows(run, verb, kind)
