"""A run with a filter of the user's own: in this process and on Dask, changed, refused, told in the report."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ccbuild
from cc100.build import check_stages
from cc100.engines import in_process, local_cluster
from cc100.recipe import load_recipe
from ccbuild.cli import main
from ccbuild.errors import ConfigError, FailedUnitsError, InputError, MismatchError
from ccbuild.records import Document
from ccbuild.report import write_report
from ccbuild.run import OpenRun
from tests.ccbuild.stages.test_outside import MODULE
from tests.conftest import cached
from tests.folder import ARTICLES, write_archive

SETTINGS: dict[str, Any] = {
    "prepare.prose": None,
    "prepare.supplement": None,
    "refine.length.min_chars": 20,
    "refine.snapshot.default": [],
    "refine.snapshot.languages": {},
    "publish.min_documents": 1,
}


def has_river(document: Document) -> bool:
    return "river rose" in document.text


@pytest.fixture(autouse=True)
def _identifier(within: None) -> None:
    cached("lid.176.ftz")


@pytest.fixture
def filters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "own_filters.py"
    path.write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield path
    sys.modules.pop("own_filters", None)


def build(root: Path, *stages: Any, **more: Any) -> OpenRun:
    archive = write_archive(root / "crawl" / "a.warc.gz")
    settings = {**SETTINGS, **more.pop("settings", {})}
    chosen = {"until": "publish", "workers": 0, **more}
    return ccbuild.build("cc100", str(archive), root / "run", stages=stages, settings=settings, **chosen)


def river(keep: Callable[[Document], bool] = has_river) -> Any:
    return ccbuild.stage(keep, "no_river", "no river rises in it")


def test_a_function_drops_and_its_reason_is_told(tmp_path: Path) -> None:
    run = build(tmp_path, river())
    assert [row["url"] for row in run.dropped("no_river")] == ["http://example.com/1"]
    (lost,) = run.dropped("no_river").head()
    assert lost["text"] == "\n".join(ARTICLES[1])
    assert "refine: no river (dropped)" in run.table()
    (loss,) = [loss for loss in run.summary().losses if loss.reason == "no_river"]
    assert loss.meaning == "no river rises in it"
    assert run.why(lost["doc_id"]).found[0].reason == "no_river"
    assert "no river rises in it" in write_report(run.root).read_text(encoding="utf-8")
    assert list(run.corpus("en").texts()) == ["\n".join(ARTICLES[0])]


def test_dask_and_this_process_write_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name, workers in (("here", 0), ("dask", 1)):
        run = build(tmp_path / name, river(lambda document: len(document.paragraphs[0]) > 96), workers=workers)
        written.append({p.name: p.read_bytes() for p in sorted(run.folder("refine").rglob("*")) if p.is_file()})
    assert written[0] == written[1]
    assert len(run.dropped("no_river")) == 1


def test_a_changed_filter_is_not_a_finished_run(tmp_path: Path) -> None:
    def done(limit: int) -> tuple[int, int]:
        run = build(tmp_path, river(lambda document: len(document.text) > limit))
        manifest = run.notes("refine") / "part-00000.json"
        return len(run.dropped("no_river")) if limit > 500 else 0, manifest.stat().st_mtime_ns

    first = done(10)
    assert done(10) == first, "nothing has changed: nothing is done again"
    dropped, when = done(1000)
    assert (dropped, when > first[1]) == (2, True)


def test_a_run_with_a_filter_is_not_a_run_without(tmp_path: Path) -> None:
    build(tmp_path, river())
    with pytest.raises(MismatchError, match="refine.stages"):
        build(tmp_path)


def test_a_class_in_a_recipe_file(tmp_path: Path, filters: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "name: mine\nuntil: refine\nprepare: {prose: null, supplement: null}\n"
        "refine:\n  length: {min_chars: 20}\n"
        "  stages: [length, language, {use: 'own_filters:Short', least: 290}]\n",
        encoding="utf-8",
    )
    archive = write_archive(tmp_path / "a.warc.gz")
    run = ccbuild.build(recipe, str(archive), tmp_path / "run", workers=1)
    lengths = [len("\n".join(article)) for article in ARTICLES]
    assert len(run.dropped("brief")) == sum(length < 290 for length in lengths) if min(lengths) < 290 else True
    manifest = run.manifest("refine", "part-00000")
    assert manifest is not None
    assert manifest.inputs["stages"].keys() == {"own_filters:Short"}
    assert manifest.facts["reasons"] == {"brief": "fewer characters than asked"}


def test_a_stage_that_drops_for_a_reason_without_a_meaning(tmp_path: Path, filters: Path) -> None:
    filters.write_text(MODULE.replace('Dropped("brief")', 'Dropped("curt")'), encoding="utf-8")
    with pytest.raises(FailedUnitsError, match="curt"):
        build(tmp_path, {"use": "own_filters:Short", "least": 1000})


def test_a_worker_without_the_module_stops_the_run_before_it_starts(
    tmp_path: Path, filters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local_cluster(1) as engine:  # its worker was started without the module's folder
        engine.everywhere(_forget)
        recipe = load_recipe("cc100", ['refine.stages=[language, "own_filters:Short"]'])
        with pytest.raises(ConfigError, match="own_filters:Short cannot be imported.*Install its package wherever"):
            check_stages(recipe, engine)
    check_stages(recipe, in_process())


def _forget() -> None:
    sys.path[:] = [place for place in sys.path if not (Path(place) / "own_filters.py").exists()]
    sys.modules.pop("own_filters", None)


def test_a_worker_with_another_version_is_named(tmp_path: Path, filters: Path) -> None:
    recipe = load_recipe("cc100", ['refine.stages=[language, "own_filters:Short"]'])
    recipe.refine.sources()
    filters.write_text(MODULE.replace(">=", ">"), encoding="utf-8")
    with (
        local_cluster(1) as engine,
        pytest.raises(MismatchError, match="another source of the stage own"),
    ):
        check_stages(recipe, engine)


GUIDE = (Path(__file__).parents[2] / "pipelines" / "filters.md").read_text(encoding="utf-8")


def test_the_guide_says_what_works(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, recipe, _, script = (block for _, block in re.findall(r"```(\w+)\n(.*?)```", GUIDE, re.DOTALL))
    (in_folder / "my_filters.py").write_text(module, encoding="utf-8")
    sys.modules.pop("my_filters", None)  # of another test
    (in_folder / "mine.yaml").write_text(recipe, encoding="utf-8")
    monkeypatch.syspath_prepend(str(in_folder))
    archive = write_archive(
        in_folder / "crawl" / "a.warc.gz", (ARTICLES[0], sum(ARTICLES, ()), (*ARTICLES[0], ARTICLES[0][0]))
    )
    settings = {**SETTINGS, "match.documents": False, "match.paragraphs": False}
    run = ccbuild.build("mine.yaml", str(archive), "runs/one", until="refine", workers=0, settings=settings)
    assert [row["url"] for row in run.dropped("repetitive")] == ["http://example.com/2"]
    given = ", settings=SETTINGS, until='refine', workers=0"
    exec(script.replace("stages=[brief]", f"stages=[brief]{given}"), {"SETTINGS": settings, "__name__": "__main__"})
    assert len(ccbuild.open_run("runs/mine").dropped("brief")) == 1


def test_the_command_goes_on_behind_a_function_of_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = build(tmp_path, river(), until="refine")
    stages = "refine.stages=[length, language, snapshot, perplexity, {function: no_river}]"
    chosen = [f"--set={key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    command = ["run", "cc100", "--out", str(run.root), "--workers", "0", *chosen, f"--set={stages}"]
    assert main([*command, "--input", str(tmp_path / "crawl" / "a.warc.gz")]) == 2
    assert "the function no_river was given in Python" in capsys.readouterr().err
    assert main([*command, "--from", "publish", "--until", "publish"]) == 0
    assert list(run.corpus("en").texts()) == ["\n".join(ARTICLES[0])]


def test_a_script_without_a_guard_is_told(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "a.warc.gz")
    script = tmp_path / "script.py"
    script.write_text(
        f"import ccbuild\nwhole = {{'first': 'extract', 'until': 'extract', 'workers': 1}}\n"
        f"ccbuild.build('cc100', {str(archive)!r}, 'run', **whole)\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "must stand under `if __name__ == '__main__':`" in done.stderr.strip().splitlines()[-1]
    script.write_text(script.read_text().replace("ccbuild.build", "if __name__ == '__main__': ccbuild.build"))
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_given_may_be_one_or_many(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "a.warc.gz")
    whole = {"first": "extract", "until": "extract", "workers": 0, "settings": {"rights.opt_out": None}}
    assert ccbuild.build("cc100", archive, tmp_path / "one", stages=river(), **whole).summary().pages_in == 2
    with pytest.raises(ConfigError, match="ccbuild.stage"):
        ccbuild.build("cc100", [archive], tmp_path / "two", stages=[has_river], **whole)  # type: ignore[list-item]
    with pytest.raises(InputError, match="There is no verb 'publsh'. Did you mean publish"):
        ccbuild.build("cc100", [archive], tmp_path / "two", until="publsh")
    for take in (ccbuild.identify, ccbuild.deduplicate, ccbuild.signatures):
        with pytest.raises(InputError, match="takes a list of texts"):
            take("a text")


def test_documents_that_a_changed_filter_would_judge_otherwise_are_not_published(tmp_path: Path) -> None:
    def keeps(least: int) -> Any:
        return river(lambda document: document.characters >= least)

    build(tmp_path, keeps(10), until="refine")
    with pytest.raises(MismatchError, match="was made with another content of stages. Begin with refine"):
        build(tmp_path, keeps(1000), first="publish")
    assert build(tmp_path, keeps(10), first="publish").corpus("en").documents == 2


def test_what_a_filter_writes_stays_in_the_run(tmp_path: Path) -> None:
    evil = river(lambda document: dataclasses.replace(document, lang="../../evil"))
    with pytest.raises(FailedUnitsError, match="which is no code"):
        build(tmp_path, evil)
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("error", [OSError("no list"), SystemExit(3), PermissionError(13, "denied", "/data/words.txt")])
def test_whatever_a_filter_raises_is_told_with_its_name(tmp_path: Path, error: BaseException) -> None:
    def broken(document: Document) -> bool:
        raise error

    with pytest.raises(FailedUnitsError, match=f"The stage no_river failed with {type(error).__name__}"):
        build(tmp_path, river(broken))


@pytest.mark.parametrize("workers", [-1, 1.5])
def test_a_number_of_workers_that_is_none(tmp_path: Path, workers: float) -> None:
    with pytest.raises(ConfigError, match="workers is"):
        build(tmp_path, workers=workers)
