"""`match` over prints: nothing but the prints decides, whatever the memory, the order, the groups, the growth."""

from __future__ import annotations

import errno
import hashlib
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cc100.engines import local_cluster
from cc100.layout import Run
from cc100.recipe import load_recipe
from cc100.verbs import match
from cc100.verbs.matching import plan_of
from cc100.verbs.task import execute
from ccbuild.dedup.external import plan, rounds, sorting
from ccbuild.dedup.external.plan import Plan
from ccbuild.dedup.external.printfile import write_prints
from ccbuild.dedup.jaccard import true_jaccard
from ccbuild.dedup.paragraphs import document_hash
from ccbuild.dedup.prints import Prints, band_prints, document_prints, paragraph_prints, scheme, url_prints
from ccbuild.dedup.signatures import SignatureConfig, band_hashes, sign
from ccbuild.errors import ConfigError, DataError, MismatchError, StorageError
from ccbuild.ledger import Ledger
from ccbuild.records import doc_id
from ccbuild.rundir import FOLDERS
from ccbuild.storage import Unit

BANDS, ROWS, DOCUMENTS = 4, 2, 60
SETTINGS = (f"dedup.signature.bands={BANDS}", f"dedup.signature.rows={ROWS}", "match.min_jaccard=0")
SIGNATURE = SignatureConfig(bands=BANDS, rows=ROWS)


def a_run(root: Path, *overrides: str) -> Run:
    return Run(root, load_recipe("cc100", [*SETTINGS, *overrides]))


def add_shard(
    run: Run,
    shard: int,
    whole: np.ndarray,
    bands: np.ndarray,
    lines: np.ndarray,
    texts: list[str] | None = None,
    urls: list[str] | None = None,
) -> None:
    """A shard as `extract` leaves it; the length of a text and its URL follow from its address."""
    n, name = len(whole), f"part-{shard:05d}"
    ids = np.array([doc_id(shard, row) for row in range(n)], np.uint64)
    parts = [document_prints(whole, ids), band_prints(bands, np.ones(n, np.bool_), ids)]
    parts.append(paragraph_prints(lines.ravel(), np.full(n, lines.shape[1]), ids))
    urls = urls or [f"https://a.example/{i}" for i in ids.tolist()]
    parts.append(url_prints(urls, ids))
    run.folder("prints").mkdir(parents=True, exist_ok=True)
    target = run.folder("prints") / f"{name}.parquet"
    counts = write_prints(target, Prints.concatenate(parts), scheme=scheme(SIGNATURE, "numbers"))
    with Unit(run.folder("extract"), "extract", name, settings={}, inputs={"shard": shard, "n": n}) as unit:
        texts = texts or ["x" * int(i * 7919 % 101) for i in ids.tolist()]
        pq.write_table(pa.table({"doc_id": ids, "url": urls, "text": texts}), unit.path(f"{name}.parquet"))
        unit.commit(Ledger(), facts={"documents": n, "prints": counts})


def fill(run: Run, shards: range) -> None:
    """Shards of documents that repeat each other within and across shards; a shard's do not depend on the others."""
    for shard in shards:
        rng = np.random.default_rng(shard)
        whole = rng.integers(1, 400, DOCUMENTS).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        bands = whole[:, None] * np.arange(3, 3 + 2 * BANDS, 2, dtype=np.uint64)
        bands = np.where(rng.random(bands.shape) < 0.05, bands[rng.permutation(DOCUMENTS)], bands)
        lines = rng.integers(0, 500, (DOCUMENTS, 3)).astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
        fake = whole + (rng.random(DOCUMENTS) < 0.5).astype(np.uint64) * rng.integers(1, 9, DOCUMENTS).astype(np.uint64)
        urls = [f"https://a.example/{page % 97}/{rng.integers(2)}" for page in (whole >> np.uint64(20)).tolist()]
        add_shard(run, shard, fake, bands, lines, urls=urls)


def go(run: Run, seed: int | None = None) -> list[str]:
    """All steps of `match`; the tasks of a step in an order drawn from `seed`. The labels of the steps."""
    labels = []
    for step in match.steps(run):
        tasks = list(step.tasks)
        if seed is not None:
            random.Random(seed).shuffle(tasks)
        for task in tasks:
            execute(task)
        labels.append(step.label)
    return labels


def digests(run: Run) -> dict[str, str]:
    paths = sorted((run.root / FOLDERS["match"]).glob("part-*.parquet"))
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def duplicates(run: Run) -> list[dict[str, object]]:
    return [
        row
        for path in sorted((run.root / FOLDERS["match"]).glob("part-*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Six shards matched the plain way. Nobody writes into it."""
    run = a_run(tmp_path_factory.mktemp("plain"))
    fill(run, range(6))
    go(run)
    return run


def test_the_plain_run_drops_every_kind(plain: Run) -> None:
    rows = duplicates(plain)
    assert {row["kind"] for row in rows} == {"exact_duplicate", "near_duplicate", "recapture", "duplicate_paragraph"}
    gone = {row["doc_id"] for row in rows if row["paragraph"] is None}
    assert 50 < len(gone) < 6 * DOCUMENTS
    for row in rows:
        assert row["partner"] not in gone
        assert (row["doc_id"] in gone) == (row["paragraph"] is None)
        assert (row["cluster_size"] is None) == (row["paragraph"] is not None)


def test_every_paragraph_of_the_documents_that_stay_stays_once(plain: Run) -> None:
    rows = duplicates(plain)
    gone = {row["doc_id"] for row in rows if row["paragraph"] is None}
    cut = {(row["doc_id"], row["paragraph"]) for row in rows}
    seen: list[int] = []
    everything: set[int] = set()
    for path in sorted(plain.folder("prints").iterdir()):
        for row in pq.read_table(path, filters=[("kind", "=", 2)]).to_pylist():
            if row["doc_id"] not in gone:
                everything.add(row["hash"])
                if (row["doc_id"], row["paragraph"]) not in cut:
                    seen.append(row["hash"])
    assert sorted(seen) == sorted(everything)


@pytest.mark.parametrize("keep", ["first", "newest", "longest", "none"])
def test_a_recapture_has_the_url_of_the_document_that_stays_for_it(tmp_path: Path, keep: str) -> None:
    run = a_run(tmp_path, f"match.keep_document={keep}", "match.bucket_prints=100")
    fill(run, range(3))
    go(run)
    pages = [pq.read_table(path) for path in run.folder("extract").glob("*.parquet")]
    url = {row["doc_id"]: row["url"] for page in pages for row in page.to_pylist()}
    rows = [row for row in duplicates(run) if row["paragraph"] is None]
    same = [url[row["doc_id"]] == url[row["partner"]] for row in rows]
    assert [row["kind"] == "recapture" for row in rows] == same
    assert 5 < sum(same) < len(same) - 5


@pytest.mark.parametrize("overrides", [("match.bucket_prints=100",), ("run.memory_megabytes=640",)])
def test_memory_buckets_and_order_change_nothing(plain: Run, tmp_path: Path, overrides: tuple[str, ...]) -> None:
    run = a_run(tmp_path, *overrides)
    fill(run, range(5, -1, -1) if overrides[0].endswith("640") else range(6))
    go(run, seed=1)
    assert digests(run) == digests(plain)


def test_many_shards_are_merged_in_groups_and_change_nothing(
    plain: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (plan, match):
        monkeypatch.setattr(module, "FAN_IN", 2)
    monkeypatch.setattr(Plan, "bucket_files", 2)
    monkeypatch.setattr(Plan, "bucket_rows", 37)
    run = a_run(tmp_path, "match.bucket_prints=200")
    fill(run, range(6))
    labels = go(run, seed=2)
    assert labels.count("prints") == 2
    assert {"merge", "groups"} <= set(labels)
    assert digests(run) == digests(plain)


POLICIES = [("first", "kept"), ("newest", "kept"), ("longest", "kept"), ("none", "kept")]
POLICIES += [(keep, "chain") for keep, _ in POLICIES[:3]]


@pytest.mark.parametrize(("keep", "linkage"), POLICIES)
def test_edges_that_do_not_fit_are_decided_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str, linkage: str
) -> None:
    settings = f"match.keep_document={keep}", f"match.linkage={linkage}"
    run = a_run(tmp_path / "at-once", *settings)
    fill(run, range(6))
    go(run)
    monkeypatch.setattr(rounds, "BYTES_PER_EDGE", 1 << 40)
    monkeypatch.setattr(Plan, "nbytes", 1 << 17)
    monkeypatch.setattr(rounds, "decide_documents", None)  # not to be asked
    spilled = a_run(tmp_path / "rounds", *settings)
    fill(spilled, range(6))
    go(spilled)
    assert digests(spilled) == digests(run)


@pytest.mark.parametrize(("keep", "linkage"), POLICIES)
def test_building_a_then_adding_b_is_building_both(tmp_path: Path, keep: str, linkage: str) -> None:
    settings = f"match.keep_document={keep}", f"match.linkage={linkage}"
    grown, whole = (a_run(tmp_path / name, *settings) for name in ("grown", "whole"))
    fill(grown, range(4))
    go(grown)
    first = digests(grown)
    fill(grown, range(4, 6))
    go(grown)
    fill(whole, range(6))
    go(whole)
    assert digests(grown) == digests(whole)
    if keep == "first":  # what was decided stays decided
        assert {name: digests(grown)[name] for name in first} == first


def _written(run: Run) -> dict[Path, int]:
    """When each file of the step, in whichever of its folders, was written last."""
    return {path: path.stat().st_mtime_ns for path in run.folder("match").rglob("*") if path.is_file()}


@pytest.mark.parametrize("overrides", [(), ("match.bucket_prints=50",), ("match.min_jaccard=0.01",)])
def test_growing_does_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...]
) -> None:
    """Three generations, the last cut for another memory, are one run; of what the first wrote nothing is touched."""
    grown, whole = (a_run(tmp_path / name, *overrides) for name in ("grown", "whole"))
    before: dict[Path, int] = {}
    for shards in (range(2), range(2, 3), range(3, 6)):
        fill(grown, shards)
        if 3 in shards:
            grown = a_run(tmp_path / "grown", *overrides, "run.memory_megabytes=2000")
            monkeypatch.setattr(rounds, "BYTES_PER_EDGE", 1 << 40)
        go(grown)
        times = _written(grown)
        assert {path: times.get(path) for path in before} == before
        before = times
    assert pq.read_table(grown.folder("matching") / "documents-00003.parquet")["doc_id"][0].as_py() >= doc_id(3, 0)
    assert {path.name.split("-")[1] for path in before if path.name.startswith("equal")} == {"00000", "00002", "00003"}
    fill(whole, range(6))
    go(whole)
    assert digests(grown) == digests(whole)
    fill(grown, range(1, 2))  # the same shard again: nothing changes
    go(grown)
    assert _written(grown) == before


def test_a_shard_that_comes_late_makes_its_generation_and_those_after_it_again(tmp_path: Path) -> None:
    grown, whole = (a_run(tmp_path / name) for name in ("grown", "whole"))
    for shard in (0, 2, 3):
        fill(grown, range(shard, shard + 1))
        go(grown)
    fill(grown, range(1, 2))
    go(grown)
    fill(whole, range(4))
    go(whole)
    assert digests(grown) == digests(whole)
    (grown.notes("match") / "documents-00000.json").unlink()
    go(grown)
    assert digests(grown) == digests(whole)


def test_a_bridge_that_comes_later(tmp_path: Path) -> None:
    """x and y are apart in A; z in B is near both: x and y stay, and z repeats the one with which it agrees more."""
    grown, whole = (a_run(tmp_path / name) for name in ("grown", "whole"))
    x, y, z = ([11, 12, 3, 4], [21, 22, 23, 5], [11, 22, 23, 6])
    lines = np.array([[31], [32]], np.uint64)
    first = np.array([1, 2], np.uint64), np.array([x, y], np.uint64), lines
    second = np.array([3], np.uint64), np.array([z], np.uint64), lines[:1]
    add_shard(grown, 0, *first)
    go(grown)
    assert duplicates(grown) == []
    add_shard(grown, 1, *second)
    go(grown)
    add_shard(whole, 0, *first)
    add_shard(whole, 1, *second)
    go(whole)
    assert digests(grown) == digests(whole)
    assert [(row["doc_id"], row["partner"], row["cluster_size"]) for row in duplicates(grown)] == [(1 << 32, 1, 2)]


@pytest.mark.parametrize("override", ["match.keep_document=newest", "match.keep=none"])
def test_other_policies_say_what_they_decide_otherwise(tmp_path: Path, override: str) -> None:
    """Shard 1 has what shard 0 has: the newest copies are now there, and of what stands twice nothing stays."""
    run = a_run(tmp_path, override)
    fill(run, range(1))
    go(run)
    before = {(row["doc_id"], row["paragraph"]) for row in duplicates(run)}
    fill(run, range(1, 3))
    changes: Counter[str] = Counter()
    for step in match.steps(run):
        for task in step.tasks:
            changes.update(execute(task).changes)
    after = {(row["doc_id"], row["paragraph"]) for row in duplicates(run) if row["doc_id"] < 1 << 32}
    assert sum(n for change, n in changes.items() if "go now" in change) == len(after - before) > 0
    assert sum(n for change, n in changes.items() if "come back" in change) == len(before - after)


def test_a_shard_without_duplicates_is_growth_too(tmp_path: Path) -> None:
    run, whole = a_run(tmp_path / "grown"), a_run(tmp_path / "whole")
    fill(run, range(2))
    go(run)
    for each in (run, whole):
        alone = np.array([[11, 13, 15, 17]], np.uint64)
        add_shard(each, 2, alone[:, 0], alone, alone[:, :2])
    go(run)
    fill(whole, range(2))
    go(whole)
    assert digests(run) == digests(whole)


def test_workers_change_nothing(plain: Run, tmp_path: Path) -> None:
    run = a_run(tmp_path, "match.bucket_prints=200")
    fill(run, range(6))
    with local_cluster(2) as engine:
        for step in match.steps(run):
            for task, result in engine(execute, step.tasks):
                assert not isinstance(result, Exception), (task.name, result)
    assert digests(run) == digests(plain)


def test_buckets_follow_from_the_memory_of_a_worker(
    plain: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path, "run.memory_megabytes=640")
    assert (plan_of(plain), plan_of(run)) == (Plan(1024), Plan(640))
    monkeypatch.setattr(Plan, "bucket_rows", property(lambda plan: plan.memory_megabytes * 2 // 5))
    fill(run, range(6))
    go(run)
    assert len(list(run.notes("match").glob("edges-*.json"))) == -(-6 * DOCUMENTS * BANDS * 5 // (256 * 4)) > 1
    assert digests(run) == digests(plain)


def test_each_policy_keeps_its_copy(tmp_path: Path) -> None:
    """Three near documents: the second is the longest."""
    lengths = {row: row * 7919 % 101 for row in range(3)}
    assert max(lengths, key=lambda row: lengths[row]) == 2  # 0, 41, 82
    bands = np.array([[5, 6, 7, 8]] * 3 + [[11, 12, 13, 14]], np.uint64)
    for keep, gone in (("first", [1, 2]), ("newest", [0, 1]), ("longest", [0, 1]), ("none", [0, 1, 2])):
        run = a_run(tmp_path / keep, f"match.keep_document={keep}")
        add_shard(run, 0, np.array([1, 2, 3, 4], np.uint64), bands, np.array([[21], [22], [23], [24]], np.uint64))
        go(run)
        rows = duplicates(run)
        assert [row["doc_id"] for row in rows] == gone
        assert [row["cluster_size"] for row in rows] == ([3, 3, 3] if keep == "none" else [2, 3])


def test_a_million_equal_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows of one hash than the memory of a bucket holds: they come in parts, and all but the first go."""
    n = 1_000_000
    monkeypatch.setattr(Plan, "bucket_rows", n * 4 // 5)
    run = a_run(tmp_path)
    same = np.full(n, 77, np.uint64)
    add_shard(run, 0, same, np.full((n, 1), 78, np.uint64), np.full((n, 1), 79, np.uint64))
    go(run)
    rows = pq.read_table(run.folder("match") / "part-00000.parquet")
    assert rows.num_rows == n - 1
    assert rows["partner"].unique().to_pylist() == [0]
    assert np.array_equal(rows["cluster_size"].to_numpy(), np.arange(2, n + 1))
    assert rows["kind"].unique().to_pylist() == ["exact_duplicate"]


def test_near_documents_of_which_the_first_went_meet_in_the_next(tmp_path: Path) -> None:
    """The first of those that have a band has gone for another; the others, near to it alone, are one all the same."""
    run = a_run(tmp_path)
    bands = np.array([[11, 12, 13, 14], [11, 22, 23, 24], *([30 + n, 22, 23, 24] for n in range(4))], np.uint64)
    whole = np.arange(1, 7, dtype=np.uint64)
    add_shard(run, 0, whole, bands, whole[:, None])
    go(run)
    assert [(row["doc_id"], row["partner"]) for row in duplicates(run)] == [(1, 0), (3, 2), (4, 2), (5, 2)]


@pytest.mark.parametrize("keep", ["first", "newest", "longest"])
def test_a_hash_that_fills_several_parts_is_matched_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str
) -> None:
    """Near documents with one band in common, more than a part holds: the same, rank and all, as of one part."""
    rng = np.random.default_rng(5)
    n, found = 60, []
    bands = rng.integers(1, 1 << 60, (n, 4)).astype(np.uint64)
    bands[:, 0] = 77
    bands[:, 1] = rng.integers(1, 3, n)
    for most in (1 << 20, 16):
        monkeypatch.setattr(Plan, "bucket_rows", most)
        run = a_run(tmp_path / str(most), f"match.keep_document={keep}", "match.bucket_prints=1000000")
        for shard in range(2):
            whole = np.arange(n, dtype=np.uint64) + np.uint64(1 + n * shard)
            add_shard(run, shard, whole, bands, whole[:, None])
            if keep == "first":
                go(run)  # the second grows on the first
        go(run)
        found.append(digests(run))
        assert sum(row["paragraph"] is None for row in duplicates(run)) == 2 * n - 1
    assert found[0] == found[1]


def prose(rng: np.random.Generator, words: list[str], change: float) -> list[str]:
    """`words`, some of them others."""
    return [f"x{rng.integers(1 << 30)}" if rng.random() < change else word for word in words]


def fill_with_texts(run: Run, shards: range) -> None:
    """Shards of texts that resemble each other more or less, as `extract` leaves them: some copied, some chained."""
    for shard in shards:
        rng = np.random.default_rng(shard)
        sources = [[f"w{source}-{i}" for i in range(80)] for source in range(6)]
        texts = []
        for _ in range(30):
            source = int(rng.integers(6))
            sources[source] = prose(rng, sources[source], 0.01)
            texts.append(" ".join(sources[source]))
        texts += [texts[int(i)] for i in rng.integers(0, 30, 6)]
        signed = sign(texts, SIGNATURE)
        whole = np.array([document_hash(text) for text in texts], np.uint64)
        add_shard(run, shard, whole, band_hashes(signed.values, SIGNATURE), whole[:, None], texts)


@pytest.mark.parametrize(("keep", "linkage"), POLICIES)
def test_every_drop_says_how_near_it_is(tmp_path: Path, keep: str, linkage: str) -> None:
    """The similarity to each of the two that a drop names is what their texts say, and the partner stays."""
    settings = f"match.keep_document={keep}", f"match.linkage={linkage}", "match.min_jaccard=0.7"
    run = a_run(tmp_path, *settings)
    fill_with_texts(run, range(4))
    go(run)
    pages = [row for path in run.files("extract") for row in pq.read_table(path).to_pylist()]
    texts = {row["doc_id"]: row["text"] for row in pages}
    rows = [row for row in duplicates(run) if row["paragraph"] is None]
    gone = {row["doc_id"] for row in rows}
    assert {row["kind"] for row in rows} == {"exact_duplicate", "near_duplicate"}
    for row in rows:
        for name, value in (("partner", "similarity"), ("match", "match_similarity")):
            near = true_jaccard(texts[row["doc_id"]], texts[row[name]], SIGNATURE.ngram)
            assert row[value] == pytest.approx(near, abs=0.001)
        same = texts[row["doc_id"]] == texts[row["partner"]]
        assert (row["kind"] == "exact_duplicate") == same
        assert row["match_similarity"] > 0.6999
        if keep != "none":
            assert row["partner"] not in gone
        if linkage == "kept":
            assert row["similarity"] > 0.6999
    far = [row for row in rows if row["similarity"] < 0.6999]
    assert bool(far) == (linkage == "chain")


@pytest.mark.parametrize("linkage", ["kept", "chain"])
def test_what_was_measured_grows_too(tmp_path: Path, linkage: str) -> None:
    """With `chain` a document may go for one that stands in edges of an earlier generation alone."""
    settings = f"match.linkage={linkage}", "match.min_jaccard=0.7"
    grown, whole, small = (a_run(tmp_path / name, *settings) for name in ("grown", "whole", "small"))
    for shards in (range(2), range(2, 3), range(3, 5)):
        fill_with_texts(grown, shards)
        go(grown)
    fill_with_texts(whole, range(5))
    go(whole)
    assert digests(grown) == digests(whole)
    assert run_of_small_parts(small) == digests(whole)


def run_of_small_parts(run: Run) -> dict[str, str]:
    """The same five shards through merged files, small buckets and spilled sorts."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (plan, match):
            patch.setattr(module, "FAN_IN", 2)
        patch.setattr(Plan, "bucket_files", 2)
        patch.setattr(Plan, "bucket_rows", 37)
        patch.setattr(Plan, "nbytes", 1 << 17)
        fill_with_texts(run, range(4, -1, -1))
        assert {"ask", "shingles", "compare", "merge"} <= set(go(run, seed=3))
    return digests(run)


def test_near_documents_must_be_near_indeed_when_the_texts_are_asked(tmp_path: Path) -> None:
    """The bands say that four documents are near; the texts say that only the last is near to the first."""
    words = [f"w{i}" for i in range(40)]
    texts = [
        " ".join(words),
        "another text of some ten words that has nothing in common",
        "",
        " ".join([*words, "end"]),
    ]
    run = a_run(tmp_path, "match.min_jaccard=0.7")
    bands = np.array([[5, 6, 7, 8]] * 4, np.uint64)
    add_shard(run, 0, np.array([1, 2, 3, 4], np.uint64), bands, np.array([[21], [22], [23], [24]], np.uint64), texts)
    labels = go(run)
    assert {"ask", "shingles", "compare"} <= set(labels)
    assert [(row["doc_id"], row["partner"]) for row in duplicates(run)] == [(3, 0)]
    manifest = run.manifest("match", "compared-00000-00000")
    assert manifest is not None
    assert manifest.ledger["edges"].dropped == {"low_jaccard": 5}


def test_prints_of_another_scheme_are_refused(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    fill(run, range(2))
    other = a_run(tmp_path, "dedup.signature.seed=9")
    with pytest.raises(MismatchError, match="seed=1, the config says 9"):
        go(other)


def test_prints_without_documents_are_refused(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    with Unit(run.folder("extract"), "extract", "part-00000", settings={}) as unit:
        unit.commit(
            Ledger(), facts={"documents": 3, "prints": {"documents": 0, "bands": 0, "paragraphs": 9, "urls": 0}}
        )
    with pytest.raises(MismatchError, match=r"part-00000\.parquet was made with match.documents=False"):
        go(run)


def test_a_file_cut_short_is_refused_by_name(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    fill(run, range(2))
    steps = match.steps(run)
    for step in steps:
        if step.label == "decide":
            break
        for task in step.tasks:
            execute(task)
    hurt = run.folder("matching") / "edges-00000-00000.parquet"
    hurt.write_bytes(hurt.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"edges-00000-00000\.parquet.*--from match"):
        execute(step.tasks[0])
    hurt = run.folder("prints") / "part-00001.parquet"
    hurt.write_bytes(hurt.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"part-00001\.parquet.*ccbuild extract"):
        go(run)


def test_a_full_disk_in_a_spill_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run(tmp_path)
    fill(run, range(2))
    write = sorting.write_rows

    def full(path: Path, blocks: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sorting, "write_rows", full)
    monkeypatch.setattr(sorting.Sorter, "add", lambda self, rows: self._write([rows]))
    with pytest.raises(StorageError, match="No space left"):
        go(run)
    assert list(run.folder("match").iterdir()) == []
    monkeypatch.undo()
    assert sorting.write_rows is write
    go(run)
    assert len(digests(run)) == 2


def test_a_threshold_of_the_recipe_makes_bands_and_rows(tmp_path: Path) -> None:
    recipe = load_recipe("cc100", ["dedup.threshold=0.8"])
    assert (recipe.dedup.signature.bands, recipe.dedup.signature.rows) == (9, 12)
    assert load_recipe("cc100").dedup.signature == SignatureConfig()


@pytest.mark.parametrize(
    "setting", ["run.memory_megabytes=100", "match.bucket_prints=-1", "dedup.threshold=3", "match.min_jaccard=2"]
)
def test_settings_out_of_range_are_refused(setting: str) -> None:
    with pytest.raises(ConfigError):
        load_recipe("cc100", [setting])
