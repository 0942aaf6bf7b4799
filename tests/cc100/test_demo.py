"""The demo, small: nothing lost between archive and tokens, the same bytes with any number of workers."""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cc100.demo.judge import judge
from cc100.demo.outcomes import outcomes
from cc100.layout import Run
from cc100.recipe import VERBS, load_recipe
from cc100.run import balance
from ccbuild.cli import main
from ccbuild.errors import MismatchError
from ccbuild.ledger import Ledger
from ccbuild.rundir import FOLDERS, open_run_dir, shard_name
from ccbuild.storage import Unit, read_manifest
from ccbuild.summary import summarise, table
from ccbuild.tokens import open_tokens
from tests.command import SMALL, ccbuild
from tests.conftest import cached

UP_TO_TOKENS = [folder for verb, folder in FOLDERS.items() if verb != "train"]


def opened(root: Path) -> Run:
    return Run(root, load_recipe("demo"))


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in UP_TO_TOKENS
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    }


def test_one_worker_and_two_give_the_same_bytes(small_run: Path, tmp_path: Path) -> None:
    """Each fifth model of a language is made again too; the others, each a unit like those, are taken over."""
    models = shutil.copytree(small_run / "0-models", tmp_path / "b" / "0-models")
    for manifest in sorted(models.glob("*.json"))[::5]:
        manifest.unlink()
    done = ccbuild("demo", "--out", str(tmp_path / "b"), "--workers", "1", "--until", "encode", *SMALL)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = digests(small_run), digests(tmp_path / "b")
    assert first == second
    assert {name.split("/")[0] for name in first} == set(UP_TO_TOKENS)


def test_no_manifest_tells_the_time_or_the_folder(small_run: Path) -> None:
    for folder in UP_TO_TOKENS:
        for path in (small_run / folder).rglob("*.json"):
            assert str(small_run.parent) not in path.read_text(encoding="utf-8"), path


def test_every_page_of_the_truth_is_accounted_for(small_run: Path) -> None:
    summary = summarise(opened(small_run))
    truth = (small_run / "crawl" / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    assert summary.pages_in == len(truth) == 400
    assert summary.difference == 0
    balance(opened(small_run), VERBS)
    lost = [json.loads(line) for line in truth if json.loads(line)["damaged"]]
    assert {(d["archive"], d["offset"]) for d in summary.damage} == {(p["archive"], p["offset"]) for p in lost}
    assert sorted(d["cause"] for d in summary.damage) == ["damaged_member", "truncated_member"]


def test_bytes_balance_to_the_size_of_the_archives(small_run: Path) -> None:
    nbytes = opened(small_run).ledger("extract")["bytes"]
    assert nbytes.seen == sum(p.stat().st_size for p in (small_run / "crawl").glob("*.warc.gz"))
    assert nbytes.quarantined["damaged_member"] > 0


def test_the_truth_agrees(small_run: Path) -> None:
    verdict = judge(small_run / "crawl" / "truth.jsonl", outcomes(opened(small_run)))
    assert verdict.holds, verdict.table()
    assert json.loads((small_run / "verdict.json").read_text()) == json.loads(json.dumps(verdict.to_mapping()))


def test_the_loss_fell(small_run: Path) -> None:
    lines = [json.loads(line) for line in (small_run / "8-model" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] - 0.5


def test_the_corpus_in_its_two_forms_is_one(small_run: Path) -> None:
    for path in sorted((small_run / "5-corpus").glob("*.txt.xz"))[::9]:
        rows = pq.read_table(small_run / "5-corpus" / path.name.removesuffix(".txt.xz"))
        text = lzma.decompress(path.read_bytes()).decode()
        assert text.split("\n\n")[:-1] == rows["text"].to_pylist()
        assert rows["doc_id"].to_pylist() == sorted(rows["doc_id"].to_pylist())
        assert set(rows["bucket"].to_pylist()) <= {"head", "middle", "tail", "all"}


def test_every_token_can_tell_where_it_came_from(small_run: Path) -> None:
    tokens = open_tokens(small_run / FOLDERS["encode"])
    rng = np.random.default_rng(7)
    pages = {
        name: pq.read_table(small_run / f"1-pages/{name}.parquet") for name in opened(small_run).manifests("extract")
    }
    for code in list(tokens.languages)[::7]:
        language = tokens.languages[code]
        for index in rng.integers(0, language.tokens, 5).tolist():
            doc = language.span_at(index).doc_id
            table = pages[f"part-{doc >> 32:05d}"].slice(doc & 0xFFFFFFFF, 1).to_pylist()[0]
            assert table["doc_id"] == doc
            archive = (small_run / "crawl" / table["archive"]).read_bytes()
            assert archive[table["offset"] :][:2] == b"\x1f\x8b"


def test_no_unit_writes_more_than_ten_files(small_run: Path) -> None:
    shards = len(opened(small_run).manifests("extract"))
    of_shards = [p for p in small_run.rglob("part-*") if p.relative_to(small_run).parts[0][0] in "1234"]
    assert len(of_shards) <= 10 * shards


def test_the_same_command_again_does_nothing_and_says_so(small_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "moved"
    shutil.copytree(small_run, copy)
    before = {p: p.stat().st_mtime_ns for folder in UP_TO_TOKENS for p in (copy / folder).rglob("*")}
    done = ccbuild("demo", "--out", str(copy), "--workers", "2", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stderr
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_a_changed_setting_is_refused_with_its_key(small_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(small_run / "run.json", copy)
    shutil.copytree(small_run / "crawl", copy / "crawl")
    shutil.copytree(small_run / "4-documents", copy / "4-documents")
    done = ccbuild("demo", "--out", str(copy), "--set", "refine.length.min_chars=7", *SMALL)
    assert done.returncode == 2
    assert "refine.length.min_chars=100, the config says 7" in done.stderr
    assert not (copy / "0-models").exists()


def test_a_shard_that_was_lost_is_done_again(small_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(small_run, copy)
    want = digests(copy)
    (copy / "4-documents/__manifests/part-00001.json").unlink()
    (copy / "4-documents" / "part-00001.parquet").write_bytes(b"half of a file")
    (copy / "7-tokens" / "sw.json").unlink(missing_ok=True)
    done = ccbuild("demo", "--out", str(copy), "--workers", "0", "--until", "encode", *SMALL)
    assert done.returncode == 0, done.stderr
    assert digests(copy) == want


@pytest.mark.parametrize("verb", ["extract", "refine", "publish", "encode"])
def test_every_verb_closed_its_account(small_run: Path, verb: str) -> None:
    total = Ledger()
    for path in opened(small_run).notes(verb).glob("*.json"):
        manifest = read_manifest(path)
        assert manifest is not None
        total = Ledger.total([total, manifest.ledger.close(path.name)])
    assert total.close(verb).accounts


def test_a_settings_mismatch_inside_a_folder_is_seen_by_the_unit(small_run: Path) -> None:
    run = opened(small_run)
    name = shard_name(run.numbers("refine")[0])
    manifest = run.manifest("refine", name)
    assert manifest is not None
    folder, notes = run.folder("refine"), run.notes("refine")
    same = Unit(folder, "refine", name, settings=manifest.settings, inputs=manifest.inputs, notes=notes)
    assert same.done() is not None
    other = {**manifest.settings, "match.keep": "none"}
    with pytest.raises(MismatchError, match="match.keep=first, the config says none"):
        Unit(folder, "refine", name, settings=other, inputs=manifest.inputs, notes=notes).done()


def test_the_first_verb_alone_and_what_can_be_asked_of_its_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("eld", "gflanguages"):
        cached(name)
    out = str(tmp_path / "run")
    chosen = ("--pages", "300", "--workers", "0", "--set", 'prepare.languages=["en"]')
    assert main(["demo", "--until", "prepare", "--out", out, *chosen]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["en", "prose"]
    assert main(["report", out]) == 0
    page = Path(capsys.readouterr().out.strip()).read_text(encoding="utf-8")
    assert "No archive is read yet" in page
    assert 'id="origins"' in page, "what was prepared stands in it"
    assert table(summarise(open_run_dir(out))).startswith("No archive is read yet")
    for what, answer in [("7", "has read no archive yet"), ("en:7", "has no tokens yet")]:
        assert main(["why", out, what]) == 2
        assert answer in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verbs", "answer"),
    [
        (["--from", "match"], "holds no pages yet, so match has nothing to do. Begin with extract."),
        (["--from", "train", "--until", "encode"], "train comes after encode, with which this run ends."),
        ([], "No input is named."),
    ],
)
def test_a_refusal_names_nothing_that_was_not_given(
    verbs: list[str], answer: str, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "cc100", "--out", "o", "--workers", "0", *verbs]) == 2
    said = capsys.readouterr().err
    assert answer in said
    assert not list(in_folder.iterdir())
    if "--from" not in verbs:
        assert "--from" not in said


def test_names_that_a_glob_or_yaml_would_misread(small_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "a: [1] #x"
    shutil.copytree(small_run / "0-models", out / "0-models")  # they take long, and are no matter of names
    done = ccbuild("demo", "--out", str(out), "--workers", "0", "--until", "extract", *SMALL)
    assert done.returncode == 0, done.stderr[-2000:]
    assert list((out / "1-pages/__manifests").glob("part-*.json"))
