"""What is done is asked before anything is given to a worker, and a worker is asked nothing that the driver knows."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ccbuild.rundir
import ccbuild.storage
from cc100.engines import in_process
from cc100.layout import Run, Source
from cc100.recipe import load_recipe
from cc100.run import VerbSummary, plan, run_verb
from cc100.verbs import extract, match, publish
from cc100.verbs.publish import CountClusters
from ccbuild import index
from ccbuild.index import INDEX
from ccbuild.ledger import Ledger
from ccbuild.progress import silent
from ccbuild.rundir import Input, RunDir, shard_name
from ccbuild.runner import Timings
from ccbuild.storage import read_manifest
from tests.cc100.test_growth import UP_TO_CORPUS, opened, write
from tests.cc100.test_growth import sentences as sentences

LONG_AGO = 1_700_000_000_000_000_000


class Watched:
    """An engine in this process that notes what it is given."""

    workers = 1

    def __init__(self) -> None:
        self.given: list[str] = []
        self._engine = in_process()

    def everywhere(self, ask: Callable[[], Any]) -> dict[str, Any]:
        return self._engine.everywhere(ask)

    def working(self) -> list[Any]:
        return []

    def __call__(self, work: Callable[[Any], Any], tasks: Sequence[Any]) -> Generator[Any, None, None]:
        self.given += [task.name for task in tasks]
        return self._engine(work, tasks)


@pytest.fixture(params=[1, 1000], ids=["by an index", "one by one"], autouse=True)
def worth(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """As a run of many units is looked at, and as a run of few."""
    monkeypatch.setattr("ccbuild.index.WORTH", request.param)
    monkeypatch.setattr("cc100.run._MANY", request.param)
    return int(request.param)


@pytest.fixture
def archives(tmp_path: Path, sentences: dict[str, list[str]]) -> list[Source]:
    texts = [sentences["de"][:9], sentences["en"][:9], sentences["de"][20:29]]
    return [write(tmp_path / f"{n}.warc.gz", (n, text)) for n, text in enumerate(texts)]


def go(run: Run, archives: list[Source], *verbs: str) -> tuple[dict[str, VerbSummary], list[str]]:
    """What happened to each verb, and the units that workers were given."""
    run.note_settings(verbs)
    table, engine = run.admit(archives), Watched()
    return {verb: run_verb(run, verb, engine, silent, archives, table) for verb in verbs}, engine.given


def age(run: Run) -> None:
    """As if the run had been made long ago: then an index is believed."""
    for path in run.root.rglob("*.json"):
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    for path in run.root.rglob(INDEX):
        path.unlink()


VERBS = UP_TO_CORPUS[1:]
"""Those whose units a driver can tell: `prepare` hashes models, which workers do."""


@pytest.fixture
def run(tmp_path: Path, archives: list[Source]) -> Run:
    run = opened(tmp_path / "o")
    go(run, archives, *UP_TO_CORPUS)
    age(run)
    return run


def test_nothing_of_a_finished_run_is_given_to_a_worker(run: Run, archives: list[Source], worth: int) -> None:
    for _ in range(2):
        found, given = go(run, archives, *VERBS)
        assert given == []
        assert [(found[verb].fresh, found[verb].failures, found[verb].retired) for verb in VERBS] == [(0, [], [])] * 4
        assert (found["extract"].before, found["refine"].before) == (4, 3)
    folders = {path.parent for path in run.root.rglob(INDEX)}
    assert folders >= set(map(run.notes, VERBS)) if worth == 1 else not folders


def test_what_hashes_models_is_asked_of_workers(run: Run, archives: list[Source]) -> None:
    found, given = go(run, archives, "prepare")
    assert given == ["identifier"]
    assert (found["prepare"].fresh, found["prepare"].before) == (0, 1)


def test_where_outputs_are_to_be_hashed_workers_do_it(run: Run, archives: list[Source]) -> None:
    page = run.file("extract", 1)
    content = page.read_bytes()
    page.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    found, given = go(dataclasses.replace(run, verify=True), archives, "extract", "refine")
    assert sorted(given) == ["addresses-00000", *sorted(["part-00000", "part-00001", "part-00002"] * 2)]
    assert (found["extract"].fresh, found["extract"].before, found["refine"].before) == (1, 3, 3)
    assert page.read_bytes() == content


def test_an_output_that_is_gone_is_made_again_and_nothing_else_is_done(run: Run, archives: list[Source]) -> None:
    go(run, archives, *VERBS)
    run.file("refine", 1, "dropped").unlink()
    found, given = go(run, archives, *VERBS)
    assert given == ["part-00001"]
    assert (found["refine"].fresh, found["refine"].before) == (1, 2)
    assert run.file("refine", 1, "dropped").is_file()


def test_a_run_killed_between_a_manifest_and_the_index_goes_on(run: Run, archives: list[Source]) -> None:
    go(run, archives, *VERBS)
    index_before = {path: path.read_bytes() for path in run.root.rglob(INDEX)}
    manifest = run.notes("refine") / "part-00002.json"
    manifest.unlink()
    _, given = go(run, archives, "refine")
    assert given == ["part-00002"]
    for path, content in index_before.items():  # the manifest is there, the index is as it was before
        path.write_bytes(content)
    found, given = go(run, archives, *VERBS)
    assert given == []
    assert found["publish"].retired == []


@pytest.mark.parametrize("setting", ["refine.length.min_chars=7", "refine.language.mixed=keep"])
def test_other_settings_are_the_failure_of_each_unit_in_the_same_words(
    setting: str, run: Run, archives: list[Source]
) -> None:
    recipe = load_recipe("cc100", ["extract.text=all", "publish.min_documents=1", setting])
    other = Run(run.root, dataclasses.replace(recipe, prepare=run.recipe.prepare))
    engine = Watched()
    failures = run_verb(other, "refine", engine, silent).failures
    assert sorted(engine.given) == sorted(f.unit for f in failures) == ["part-00000", "part-00001", "part-00002"]
    key, _, value = setting.partition("=")
    for failure in failures:
        manifest = run.notes("refine") / f"{failure.unit}.json"
        assert failure.error.startswith(f"MismatchError: {manifest} was made with {key}=")
        assert f", the config says {value}. Keep it with --set {key}=" in failure.error


def test_a_grown_run_gives_workers_what_is_new_of_extract(run: Run, archives: list[Source]) -> None:
    more = write(Path(archives[0].path).parent / "more.warc.gz", (7, ["A page that came later than the others did."]))
    found, given = go(run, [more], "extract")
    assert given == ["part-00003", "addresses-00000"]
    assert (found["extract"].fresh, found["extract"].before) == (2, 0)
    found, given = go(run, [*archives, more], "extract")
    assert (found["extract"].before, given) == (5, [])


class Table(list[Input]):
    """A table of inputs that counts how often it is gone through."""

    times = 0

    def __iter__(self) -> Iterator[Input]:
        self.times += 1
        return super().__iter__()


def test_new_archives_beside_many_cost_a_few_looks_at_the_table(tmp_path: Path) -> None:
    names = [f"{n:04d}.warc.gz" for n in range(1010)]
    table = Table(Input(n, name, 1, None) for n, name in enumerate(names))
    step, *_ = extract.steps(opened(tmp_path), [Source(name, f"/{name}", 1) for name in names[-10:]], table)
    assert [task.shard for task in step.tasks] == [*range(1000, 1010)]
    assert table.times < 5


def test_a_unit_says_what_it_is_made_of_without_a_manifest(
    run: Run, archives: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a worker each of 90,000 would read those of all models, or of all shards."""
    table = run.inputs()
    tasks = [task for verb in VERBS for step in plan(run, verb, archives, table) for task in step.tasks]

    def read(path: Path) -> None:
        raise AssertionError(f"{path} was read")

    for module in (ccbuild.rundir, ccbuild.storage, index):
        monkeypatch.setattr(module, "read_manifest", read)
    kinds = {type(task).__name__ for task in tasks}
    assert kinds >= {"ExtractShard", "ReturnToShard", "RefineShard", "PublishLanguage"}
    for task in tasks:
        assert task.unit().name == task.name


def test_the_models_are_read_once_a_step(run: Run, archives: list[Source], monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[Path] = []

    def reading(path: Path) -> Any:
        names.append(path)
        return read_manifest(path)

    for module in (ccbuild.rundir, ccbuild.storage, index):
        monkeypatch.setattr(module, "read_manifest", reading)
    run_verb(run, "refine", Watched(), silent)
    assert names.count(run.folder("prepare") / "identifier.json") == 1


def test_the_models_are_read_once_a_worker_where_shards_are_refined(
    run: Run, archives: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    found = RunDir.manifests
    monkeypatch.setattr(RunDir, "manifests", lambda self, place: asked.append(place) or found(self, place))
    *_, shards = plan(run, "refine", archives, run.inputs())
    made = [task.work(unit, Timings()) for task in shards.tasks for unit in [task.unit()]]
    assert len(made) == 3
    assert [manifest.models for manifest in made] == [made[0].models] * 3
    assert made[0].models["identifier"] == ccbuild.storage.digest_of(run.manifest("prepare", "identifier"))
    assert asked.count("prepare") <= 1


def test_what_documents_stand_for_is_opened_once_a_language(
    run: Run, archives: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of it only the row groups are read that a shard may have: here one a document."""
    one, other = 1, (2 << 32) + 7
    rows = [one, (1 << 32) + 3, (1 << 32) + 4, other]
    table = pa.table([pa.array(rows, pa.uint64()), pa.array([2, 3, 4, 5], pa.int64())], ["doc_id", "cluster_size"])
    path = run.folder("clusters") / "cluster_sizes.parquet"
    ccbuild.storage.write_table(path, table, row_group_rows=1)
    opened_files: list[Path] = []

    def opening(name: Path) -> pq.ParquetFile:
        opened_files.append(name)
        return ccbuild.storage.open_parquet(name)

    monkeypatch.setattr(publish, "open_parquet", opening)
    *_, languages, _ = plan(run, "publish", [], [])
    (german,) = (task for task in languages.tasks if task.lang == "de")
    assert german.shards.tolist() == [0, 2]
    list(german._documents())
    assert opened_files.count(path) == 1
    with opening(path) as file:
        sizes = publish._ClusterSizes(file)
        assert [sizes.of(n) for n in range(4)] == [{1: 2}, {rows[1]: 3, rows[2]: 4}, {other: 5}, {}]
        monkeypatch.setattr(file, "read_row_groups", None)
        assert sizes.of(3) == {}


def test_no_document_stands_for_another(tmp_path: Path) -> None:
    ccbuild.storage.write_table(tmp_path / "none.parquet", publish._SIZES_SCHEMA.empty_table())
    with ccbuild.storage.open_parquet(tmp_path / "none.parquet") as file:
        assert publish._ClusterSizes(file).of(0) == {}


def test_a_language_is_known_by_one_digest_of_its_shards(run: Run) -> None:
    made = run.manifest("publish", "de")
    assert made is not None
    assert made.inputs.keys() == {"shards", "precision"}
    *_, languages, _ = plan(run, "publish", [], [])
    assert {task.lang: task.shards.tolist() for task in languages.tasks} == {"de": [0, 2], "en": [1]}


def test_a_language_is_published_again_when_a_shard_or_what_documents_stand_for_changed(
    run: Run, archives: list[Source]
) -> None:
    def digests() -> dict[str, str]:
        *_, languages, _ = plan(run, "publish", [], [])
        return {task.lang: task.digest for task in languages.tasks}

    before = digests()
    counted = run.folder("clusters") / "cluster_sizes.json"
    content = counted.read_text()
    counted.write_text(content.replace('"facts": {\n  "shards": {', '"facts": {\n  "shards": {"part-00001": "other"'))
    assert (digests()["de"], digests()["en"] != before["en"]) == (before["de"], True)
    counted.write_text(content)
    manifest = run.notes("refine") / "part-00002.json"
    manifest.write_text(manifest.read_text().replace('"sha256": "', '"sha256": "0'))
    assert (digests()["de"] != before["de"], digests()["en"]) == (True, before["en"])


def test_the_generations_of_match_have_the_digests_of_all_shards_before_them(run: Run, archives: list[Source]) -> None:
    """As releases before have noted them, so that nothing of theirs is matched again."""
    more = write(Path(archives[0].path).parent / "more.warc.gz", (7, ["A page that came later than the others did."]))
    go(run, [more], "extract", "match")
    found = [run.manifest("extract", name) for name in ("part-00000", "part-00001", "part-00002", "part-00003")]
    whole, part = ccbuild.storage.digest_of(*found), ccbuild.storage.digest_of(*found[:3])
    asked = {task.name: task.inputs for step in match.steps(run) for task in step.tasks}
    assert (asked["documents-00000"]["prints"], asked["documents-00003"]["prints"]) == (part, whole)
    assert asked["part-00001"]["pages"] == ccbuild.storage.digest_of(found[1])


def test_what_documents_stand_for_is_the_same_however_many_shards_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(tmp_path)
    again = {0: [7, 8], 1: [7], 2: [7, (1 << 32) + 1]}
    for shard, rows in again.items():
        columns = {"partner": pa.array(rows, pa.uint64())}
        with run.unit("match", shard_name(shard), {}) as unit:
            nothing = pa.nulls(len(rows), pa.int32())
            pq.write_table(pa.table({**columns, "paragraph": nothing}), unit.path(f"{shard_name(shard)}.parquet"))
            unit.commit(Ledger())
    found = []
    for waiting in (0, 1 << 20):
        monkeypatch.setattr(publish, "_WAITING", waiting)
        with next(publish.steps(run)).tasks[0].unit() as unit:
            CountClusters(run, "").work(unit, Timings())
        found.append(pq.read_table(run.folder("clusters") / "cluster_sizes.parquet").to_pylist())
    assert found[0] == found[1]
    assert [tuple(row.values()) for row in found[0]] == [(7, 4), (8, 2), ((1 << 32) + 1, 2)]
