"""A run takes failures as they come: recorded, the others go on, tried again the next time."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cc100.engines import in_process
from cc100.layout import Run, Source
from cc100.recipe import load_recipe
from cc100.run import VerbSummary, balance, run_steps, run_verb, verbs_between
from cc100.verbs import extract
from cc100.verbs.task import Step
from ccbuild.errors import InputError, LedgerError, StorageError
from ccbuild.ledger import Ledger
from ccbuild.progress import silent
from ccbuild.records import doc_id
from ccbuild.rundir import FOLDERS, RunDir
from ccbuild.runner import Timings
from ccbuild.storage import Manifest, Unit
from ccbuild.text.page import ExtractConfig, page_text
from tests.ccbuild.warc.test_members import warc_record


def page(number: int, *paragraphs: str) -> bytes:
    body = "<article>" + "".join(f"<p>{p}</p>" for p in paragraphs) + "</article>"
    return gzip.compress(warc_record(number, body=body.encode()), mtime=0)


def sentence(seed: int) -> str:
    """Words of letters alone: a paragraph's hash takes all digits for one."""
    return " ".join(f"word{chr(97 + seed)}{chr(97 + i)}" for i in range(26))


ARTICLE = [sentence(i) for i in range(4)]
NOTICE = "this notice stands on every page of the site and tells nobody anything of use at all " * 2


@pytest.fixture
def archives(tmp_path: Path) -> list[Source]:
    contents = {
        "a.warc.gz": page(0, *ARTICLE, NOTICE) + page(1, *[sentence(i) for i in range(10, 14)], NOTICE),
        "b.warc.gz": page(2, *ARTICLE, NOTICE) + page(3, *ARTICLE[:3], ARTICLE[3] + " one more", NOTICE),
        "c.warc.gz": page(4, *[sentence(i) for i in range(20, 24)], NOTICE),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [Source(name, str(tmp_path / name), len(content)) for name, content in contents.items()]


def go(
    root: Path, sources: list[Source], *overrides: str, verbs: tuple[str, ...] = ("extract", "match")
) -> list[VerbSummary]:
    run = Run(root, load_recipe("cc100", ["extract.text=all", *overrides]))
    run.note_settings(verbs)
    table = run.admit(sources)
    return [run_verb(run, verb, in_process(), silent, sources, table) for verb in verbs]


def dropped(root: Path) -> dict[int, set[tuple[int | None, str]]]:
    found: dict[int, set[tuple[int | None, str]]] = {}
    for path in sorted((root / FOLDERS["match"]).glob("part-*.parquet")):
        for row in pq.read_table(path).to_pylist():
            found.setdefault(row["doc_id"], set()).add((row["paragraph"], row["kind"]))
    return found


def test_a_bad_shard_is_recorded_and_the_others_go_on(tmp_path: Path, archives: list[Source]) -> None:
    Path(archives[1].path).rename(tmp_path / "away")
    extract, match = go(tmp_path / "o", archives)
    assert [(f.unit, f.verb) for f in extract.failures] == [("part-00001", "extract")]
    assert "does not exist" in extract.failures[0].error
    assert (extract.fresh, match.failures) == (3, [])
    (tmp_path / "away").rename(archives[1].path)
    extract, match = go(tmp_path / "o", archives)
    assert (extract.fresh, extract.before, extract.failures, match.failures) == (2, 2, [], [])
    assert dropped(tmp_path / "o") == dropped_all


@pytest.mark.parametrize("change", [b"\x1f\x8b more of it", b""], ids=["grew", "shrank"])
def test_an_archive_that_changes_while_it_is_read_fails_its_shard(
    change: bytes, tmp_path: Path, archives: list[Source]
) -> None:
    path = Path(archives[1].path)
    whole = path.read_bytes()
    path.write_bytes(whole + change if change else whole[: len(whole) // 2])
    (extract,) = go(tmp_path / "o", archives, verbs=("extract",))
    (failure,) = extract.failures
    assert (failure.unit, extract.fresh) == ("part-00001", 3)
    assert f"while it was read: {len(whole):,} bytes admitted, {path.stat().st_size:,} read" in failure.error
    path.write_bytes(whole)
    (extract,) = go(tmp_path / "o", archives, verbs=("extract",))
    assert (extract.fresh, extract.before, extract.failures) == (2, 2, [])


def test_a_byte_that_changed_in_an_archive_is_found(tmp_path: Path, archives: list[Source]) -> None:
    go(tmp_path / "o", archives, verbs=("extract",))
    run = Run(tmp_path / "o", load_recipe("cc100", ["extract.text=all"]), verify=True)
    path = Path(archives[1].path)
    whole = path.read_bytes()
    for content in (whole[:99] + bytes([whole[99] ^ 1]) + whole[100:], whole):
        path.write_bytes(content)
        found = run_verb(run, "extract", in_process(), silent, archives, run.admit(archives))
        said = [f.error for f in found.failures]
        assert [f"{path} is not the archive that" in error for error in said] == [True] * (content != whole)
        assert (found.fresh, found.before) == (0, 4 - len(said))


dropped_all = {
    doc_id(0, 1): {(4, "duplicate_paragraph")},
    doc_id(1, 0): {(None, "exact_duplicate")},
    doc_id(1, 1): {(None, "near_duplicate")},
    doc_id(2, 0): {(4, "duplicate_paragraph")},
}


@pytest.mark.parametrize("bucket_prints", [4_000_000, 20])
def test_what_goes_does_not_depend_on_the_number_of_buckets(
    tmp_path: Path, archives: list[Source], bucket_prints: int
) -> None:
    go(tmp_path / "o", archives, f"match.bucket_prints={bucket_prints}")
    assert dropped(tmp_path / "o") == dropped_all
    assert (len(list((tmp_path / "o/3-duplicates/__matching").glob("edges-*.parquet"))) > 1) == (bucket_prints == 20)


def test_more_files_in_a_unit_change_addresses_and_nothing_else(tmp_path: Path, archives: list[Source]) -> None:
    go(tmp_path / "o", archives, "unit.files=3")
    assert sorted(len(v) for v in dropped(tmp_path / "o").values()) == [1, 1, 1, 1]
    assert all(identifier >> 32 == 0 for identifier in dropped(tmp_path / "o"))


def test_a_page_on_which_a_parser_breaks_off_costs_that_page(
    tmp_path: Path, archives: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(kind: str, status: int | None, content_type: str, payload: bytes, config: ExtractConfig) -> object:
        if sentence(20).encode() in payload:
            raise ZeroDivisionError("in a parser")
        return page_text(kind, status, content_type, payload, config)

    monkeypatch.setattr("ccbuild.runner.page_text", broken)
    extract, _ = go(tmp_path / "o", archives)
    assert not extract.failures
    records = RunDir(tmp_path / "o").ledger("extract")["records"]
    assert (records.kept, records.quarantined) == (4, {"failed:text:ZeroDivisionError": 1})
    refused = pq.read_table(tmp_path / "o/1-refused/part-00002.parquet")
    assert refused["reason"].to_pylist() == ["failed:text:ZeroDivisionError"]


def test_a_new_archive_is_growth(tmp_path: Path, archives: list[Source]) -> None:
    go(tmp_path / "grown", archives[:2])
    extract, _ = go(tmp_path / "grown", archives)
    assert (extract.fresh, extract.before) == (2, 2)
    go(tmp_path / "whole", archives)
    for name in ("part-00000", "part-00001", "part-00002"):
        grown, whole = (tmp_path / root / FOLDERS["match"] / f"{name}.parquet" for root in ("grown", "whole"))
        assert grown.read_bytes() == whole.read_bytes()


def test_ccnet_keeps_no_copy_of_a_repeated_paragraph(tmp_path: Path, archives: list[Source]) -> None:
    go(tmp_path / "o", archives, "match.documents=false", "match.keep=none", "dedup.paragraphs=ccnet")
    found = dropped(tmp_path / "o")
    assert (4, "duplicate_paragraph") in found[doc_id(0, 0)]
    assert len(found[doc_id(0, 0)]) == 5


def test_the_books_are_compared_between_verbs(tmp_path: Path, archives: list[Source]) -> None:
    go(tmp_path / "o", archives)
    run = Run(tmp_path / "o", load_recipe("cc100"))
    balance(run, ["extract", "match"])
    with pytest.raises(LedgerError, match="extract kept 5, refine saw 0"):
        balance(run, ["refine"])


def test_the_order_of_verbs() -> None:
    assert verbs_between("match", "refine") == ["match", "refine"]
    with pytest.raises(InputError, match="comes after"):
        verbs_between("refine", "match")


def test_the_largest_shards_start_first_and_nothing_depends_on_it(tmp_path: Path, archives: list[Source]) -> None:
    run = Run(tmp_path / "o", load_recipe("cc100", ["extract.text=all"]))
    table = run.admit(archives)
    step, *_ = extract.steps(run, archives, table)
    sizes = {source.name: source.size or 0 for source in archives}
    assert [sizes[task.sources[0].name] for task in step.tasks] == sorted(sizes.values(), reverse=True)
    go(tmp_path / "o", archives, verbs=("extract",))
    folders = [run.folder(place) for place in ("extract", "refused", "prints")]
    made = {path: path.read_bytes() for folder in folders for path in folder.glob("*.parquet")}
    for task in step.tasks:
        with task.unit() as unit:
            task.work(unit, Timings())
    assert {path: path.read_bytes() for path in made} == made
    assert len(made) == 9


@dataclasses.dataclass(frozen=True)
class Waits:
    """A unit that ends when the bar has told of it."""

    folder: Path
    name: str = "sw"

    def unit(self) -> Unit:
        return Unit(self.folder, "prepare", self.name, settings={})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        with timings.measure("train"):
            while not (self.folder.parent / "told").exists():
                time.sleep(0.01)
        return unit.commit(Ledger())


def test_a_bar_tells_the_unit_that_takes_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    class Telling:
        def add(self, total: int) -> None: ...

        def advance(self, name: str) -> None: ...

        def doing(self, text: str) -> None:
            told.append(text)
            if text.startswith("sw ") and text.endswith("(train)"):
                (tmp_path / "told").touch()

    monkeypatch.setattr("cc100.run.REFRESH_SECONDS", 0.01)
    monkeypatch.setattr("cc100.run.SHOWN_SECONDS", 0.0)
    run = Run(tmp_path, load_recipe("cc100", []))
    steps = iter([Step("languages", [Waits(tmp_path / "units")])])
    summary, _ = run_steps(run, "prepare", steps, in_process(), lambda verb: contextlib.nullcontext(Telling()))
    assert (summary.fresh, summary.failures) == (1, [])
    assert "sw 0 s (train)" in told


@dataclasses.dataclass(frozen=True)
class Writes:
    """A unit that reads and writes so many bytes, or finds the disk full."""

    folder: Path
    name: str
    nbytes: int
    full: bool = False

    def unit(self) -> Unit:
        return Unit(self.folder, "prepare", self.name, settings={})

    def work(self, unit: Unit, timings: Timings) -> Manifest:
        if self.full:
            raise OSError(f"{self.nbytes} requested and 7 written")
        unit.path(f"{self.name}.bin").write_bytes(bytes(2 * self.nbytes))
        return unit.commit(Ledger())


def test_a_full_disk_says_what_the_rest_needs(tmp_path: Path) -> None:
    run, units = Run(tmp_path, load_recipe("cc100", [])), tmp_path / "units"
    sizes = {"a": 300_000, "b": 200_000, "c": 1_000_000, "d": 4_000_000}

    def go(*full: str) -> None:
        steps = iter([Step("shards", [Writes(units, name, size, name in full) for name, size in sizes.items()])])
        run_steps(run, "extract", steps, in_process(), silent)

    with pytest.raises(StorageError, match=r"4 units of extract \(shards\) are left, and as none is done yet, nobody"):
        go("a")
    for _ in range(2):  # units found done count too
        with pytest.raises(
            StorageError, match=r"No space left to write .*units \(1000000 requested and 7 written\)"
        ) as e:
            go("c")
        need = "for which about 10.0 MB are needed: those before wrote 1.0 MB."
        assert f"2 units of extract (shards) are left, {need}" in str(e.value)
