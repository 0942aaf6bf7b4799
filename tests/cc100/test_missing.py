"""A run with a hole: nothing is made of the rest unasked, and whoever reads what was made is told first."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ccbuild
from cc100.build import Built, How, build, complaint, planned
from cc100.engines import in_process
from cc100.verbs.imports import import_corpus
from ccbuild.cli import main
from ccbuild.door import Trainer
from ccbuild.errors import FailedUnitsError
from ccbuild.missing import missing_units, note_failures
from ccbuild.progress import Progress, silent
from ccbuild.report import write_report
from ccbuild.rundir import RunDir
from tests.cc100.test_filters import SETTINGS
from tests.conftest import cached
from tests.folder import ARTICLES, write_archive

LATER = {"match": "3-duplicates/__manifests", "refine": "4-documents/__manifests", "publish": "5-corpus"}


@pytest.fixture(autouse=True)
def _identifier(within: None) -> None:
    cached("lid.176.ftz")


@pytest.fixture
def archives(tmp_path: Path) -> list[Path]:
    return [write_archive(tmp_path / f"{name}.warc.gz", (page,)) for name, page in zip("ab", ARTICLES, strict=True)]


@pytest.fixture
def go(tmp_path: Path, archives: list[Path]) -> Callable[..., Built]:
    """A run in `run` of both archives; the second is away when its turn comes, unless the run is `whole`."""

    def run(whole: bool = False, **more: bool | str) -> Built:
        chosen = {"until": "publish", "settings": SETTINGS, **more}
        plan = planned("cc100", [str(path) for path in archives], tmp_path / "run", **chosen)  # type: ignore[arg-type]

        @contextlib.contextmanager
        def show(verb: str) -> Iterator[Progress]:
            away = not whole and verb == "extract"
            if away:
                archives[1].rename(tmp_path / "away")
            with silent(verb) as bar:
                yield bar
            if away:
                (tmp_path / "away").rename(archives[1])

        return build(plan, How(show=show, tell=lambda line: None, trainer=Trainer(), workers=0))

    return run


def made(root: Path) -> set[str]:
    return {verb for verb, folder in LATER.items() if list((root / folder).glob("*.json"))}


def test_no_verb_starts_after_a_failed_unit(go: Callable[..., Built], tmp_path: Path) -> None:
    built = go()
    assert built.waiting == ("match", "refine", "publish")
    assert [(each.verb, each.unit, each.archives) for each in built.missing] == [
        ("extract", "part-00001", ("b.warc.gz",))
    ]
    assert built.fresh == 3  # the identifier, the archive that is there, and the index of it
    assert made(tmp_path / "run") == set()
    told = complaint(built.missing, built.waiting)
    assert "1 unit is missing; the others of extract are done." in told
    assert "Not started, for it would be made of the rest: match, refine, publish." in told
    assert "--allow-missing (in Python allow_missing=True)" in told
    assert "extract part-00001 (b.warc.gz): InputError:" in told


def test_every_account_of_a_run_with_a_hole_opens_with_it(go: Callable[..., Built], tmp_path: Path) -> None:
    root = tmp_path / "run"
    assert go(allow_missing=True).waiting == ()
    assert made(root) == set(LATER)
    run = ccbuild.open_run(root)
    assert run.table().splitlines()[0].startswith("NOT WHOLE: 1 unit (1 archive) is missing")
    assert "b.warc.gz" in run.table().splitlines()[1]
    assert next(iter(json.loads((root / "summary.json").read_text()))) == "missing"
    page = (root / "report.html").read_text()
    assert page.index("NOT WHOLE") < page.index("<h1>")
    assert page.index("b.warc.gz") < page.index("<h1>")
    assert "The ledger balances." not in page
    assert "every byte of every archive was read" not in page
    card = (root / "5-corpus" / "README.md").read_text()
    assert "**This corpus is not whole." in card
    assert "* `extract part-00001 (b.warc.gz)`" in card
    assert "b.warc.gz" in json.loads((root / "5-corpus" / "croissant.jsonld").read_text())["description"]


def test_a_complete_run_later_takes_all_of_that_away(
    go: Callable[..., Built], tmp_path: Path, archives: list[Path]
) -> None:
    root = tmp_path / "run"
    go(allow_missing=True)
    built = go(whole=True)
    assert (built.missing, built.waiting) == ((), ())
    inputs = [str(path) for path in archives]
    whole = ccbuild.build("cc100", inputs, tmp_path / "whole", settings=SETTINGS, until="publish", workers=0)
    for name in ("report.html", "summary.json", "5-corpus/README.md", "5-corpus/croissant.jsonld", "corpus.json"):
        assert (root / name).read_bytes() == (whole.root / name).read_bytes(), name
    assert "NOT WHOLE" not in (root / "report.html").read_text()


def test_a_later_command_does_not_forget_the_hole(
    go: Callable[..., Built], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "run"
    go(allow_missing=True)
    chosen = [f"--set={key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    command = ["run", "cc100", "--out", str(root), "--workers", "0", "--until", "publish", *chosen]
    assert main([*command, "--from", "refine"]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("NOT WHOLE")
    assert "Not started, for it would be made of the rest: refine, publish." in shown.err
    assert main([*command, "--from", "refine", "--allow-missing"]) == 1
    assert "Not started" not in capsys.readouterr().err
    (root / "report.html").unlink()
    assert main(["report", str(root)]) == 0
    assert "b.warc.gz" in (root / "report.html").read_text()


def test_an_archive_that_was_never_read_is_a_hole_too(tmp_path: Path, archives: list[Path]) -> None:
    """A run that was killed after it had admitted its archives has noted no failure."""
    a, b = map(str, archives)
    chosen = {"settings": SETTINGS, "workers": 0}
    ccbuild.build("cc100", [a, b], tmp_path / "run", until="extract", **chosen)  # type: ignore[arg-type]
    (tmp_path / "run" / "1-pages/__manifests/part-00001.json").unlink()
    with pytest.raises(FailedUnitsError, match="never extracted: name b.warc.gz with --input again"):
        ccbuild.build("cc100", [a], tmp_path / "run", until="match", **chosen)  # type: ignore[arg-type]
    assert made(tmp_path / "run") == set()
    assert "b.warc.gz" in write_report(tmp_path / "run").read_text()


def test_what_failed_stays_noted_until_it_is_tried_again(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    note_failures(run, "prepare", {"sw": "no prose"})
    note_failures(run, "extract", {"part-00000": "gone", "part-00001": "gone"})
    note_failures(run, "extract", {}, tried={"part-00000"})
    assert [str(each) for each in missing_units(run)] == ["prepare sw: no prose", "extract part-00001: gone"]
    assert [each.unit for each in missing_units(run, "prepare")] == ["sw"]
    note_failures(run, "extract", {})
    note_failures(run, "prepare", {})
    assert missing_units(run) == []


def test_a_language_that_could_not_be_imported_stops_the_vocabulary(tmp_path: Path) -> None:
    for lang in ("en", "sw"):
        (tmp_path / f"{lang}.txt").write_text("A line of text that stands here.\n", encoding="utf-8")
    (tmp_path / "sw.txt").write_bytes(b"\xff\xfe\x00 no text")
    out = tmp_path / "run"
    summary = import_corpus([f"{tmp_path}/{{lang}}.txt"], out, engine=in_process(), show=silent)
    assert [failure.unit for failure in summary.failures] == ["sw"]
    assert "* `publish sw`" in (out / "5-corpus" / "README.md").read_text()
    with pytest.raises(FailedUnitsError, match="Not started, for it would be made of the rest: vocab"):
        ccbuild.build("cc100", (), out, first="vocab", until="vocab", workers=0)
