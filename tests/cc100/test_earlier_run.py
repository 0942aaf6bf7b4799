"""A run that an earlier release made is continued. `data/earlier_run` has manifests of its demo of 400 pages, without
what nobody compares: outputs, accounts, and most of the inputs of what has many."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cc100.layout import Run
from cc100.recipe import VERBS, load_recipe, verb_settings
from cc100.verbs.publish import CountClusters, DescribeCorpus
from ccbuild.errors import MismatchError
from ccbuild.storage import Manifest, Unit, check_same, read_manifest
from tests.ccbuild.test_settings import advised
from xlmr.config import load_preset

EARLIER = Path(__file__).parent / "data" / "earlier_run"
MANIFESTS = sorted(str(path.relative_to(EARLIER)) for path in EARLIER.glob("*/**/*.json"))
ON_ENGINES = [verb for verb in VERBS if verb != "train"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    shutil.copytree(EARLIER, tmp_path / "run")
    return Run(tmp_path / "run", load_recipe("demo"))


def made(run: Run, name: str) -> Manifest:
    manifest = read_manifest(run.root / name)
    assert manifest is not None
    return manifest


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_unit_is_found_done(run: Run, name: str) -> None:
    found = made(run, name)
    verb = "match" if "sizes" in name else found.verb
    section = run.recipe.train
    settings = load_preset(section.preset, section.overrides()).settings()
    settings = settings if verb == "train" else verb_settings(run.recipe, verb)
    unit = Unit((run.root / name).parent, verb, found.unit, settings=settings, inputs=found.inputs)
    assert unit.done() == found


def test_the_fixture_has_a_unit_of_every_verb(run: Run) -> None:
    assert {made(run, name).verb for name in MANIFESTS} == set(VERBS)


def test_the_whole_run_is_continued_and_noted_anew(run: Run) -> None:
    run.note_settings(ON_ENGINES)
    assert run.refuse_other_settings(ON_ENGINES).keys() == {*ON_ENGINES, "recipe"}


def test_what_publish_said_of_the_whole_is_not_refused(run: Run) -> None:
    """Their settings were once those of `publish`; now the one depends on `match` alone, the other is written again."""
    assert any(key.startswith("publish.") for key in made(run, "corpus.json").settings)
    for task in (CountClusters(run, ""), DescribeCorpus.of(run, ["el"])):
        assert task.unit().done() is None  # the inputs here are not those of that run: to be done, not refused


@pytest.mark.parametrize("verb", ON_ENGINES)
def test_a_key_that_came_later_is_no_difference(run: Run, verb: str) -> None:
    asked = verb_settings(run.recipe, verb)
    for key in json.loads((run.root / "run.json").read_text())[verb].keys() & asked.keys():
        later = load_recipe("demo")
        before = {k: v for k, v in verb_settings(later, verb).items() if k != key}
        before |= {} if asked[key] == asked.before[key] else {key: asked[key]}  # where the recipe says something else
        check_same(run.folder(verb), before, asked)


def test_what_is_asked_otherwise_is_refused_with_what_keeps_it(run: Run) -> None:
    other = ["refine.language.mixed=keep", "refine.snapshot.default=[CC-MAIN-2018-51]", "vocab.cap=20"]
    with pytest.raises(MismatchError) as refused:
        Run(run.root, load_recipe("demo", other)).note_settings(ON_ENGINES)
    with pytest.raises(MismatchError) as unit_refused:
        Run(run.root, load_recipe("demo", other)).unit("encode", "el", {}).done()
    keep = [advised(error.value) for error in (refused, unit_refused)]
    assert keep[1] == ["refine.language.mixed=drop", "refine.snapshot.default=[]", "vocab.cap=null"]
    Run(run.root, load_recipe("demo", [*other, *keep[0], "vocab.cap=null"])).note_settings(ON_ENGINES)


def test_a_run_of_a_later_format_is_refused_in_words(run: Run) -> None:
    note = run.root / "run.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "format": 2}))
    before = note.read_bytes()
    with pytest.raises(MismatchError, match=r"run\.json is of format 2; this release reads formats up to 1"):
        run.note_settings(["extract"])
    assert note.read_bytes() == before
