"""A run that an earlier release made is continued. `data/earlier_run` has manifests of its demo of 400 pages, without
what nobody compares: outputs, accounts, and most of the inputs of what has many."""

from __future__ import annotations

import json
import shutil
from itertools import starmap
from pathlib import Path

import pytest

from cc100.build import planned
from cc100.layout import Run
from cc100.recipe import VERBS, load_recipe, verb_settings
from cc100.verbs.publish import CountClusters, DescribeCorpus
from ccbuild.config import override
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
    return going_on(tmp_path / "run")


def going_on(root: Path, *chosen: str) -> Run:
    """The run as a command of now goes on with it."""
    kept = Run(root, load_recipe("demo", chosen)).kept_settings(chosen)
    return Run(root, load_recipe("demo", [*starmap(override, kept.items()), *chosen]))


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


def test_what_an_earlier_release_did_otherwise_is_kept_until_it_is_chosen(run: Run) -> None:
    plain = Run(run.root, load_recipe("demo"))
    kept = plain.kept_settings()
    assert kept["vocab.seeds"] == "sentencepiece"
    assert kept["match.min_jaccard"] == 0  # a key that there was, with another default
    run.note_settings(ON_ENGINES, kept)
    assert plain.kept_settings() == kept  # also when the key is noted
    chosen = ["vocab.seeds=weighted"]
    assert "vocab.seeds" not in Run(run.root, load_recipe("demo", chosen)).kept_settings(chosen)
    assert "vocab.seeds" not in Run(run.root, load_recipe("demo", chosen)).kept_settings(["vocab={seeds: weighted}"])
    for folder in ("6-vocabulary", "7-tokens"):
        shutil.rmtree(run.root / folder)
    assert "vocab.seeds" not in plain.kept_settings()  # nothing is there that was made with it


def test_a_run_of_an_earlier_release_is_planned_as_it_was_begun(run: Run) -> None:
    plan = planned("demo", (), run.root, first="vocab", until="encode")
    assert plan.kept["vocab.seeds"] == plan.run.recipe.vocab.seeds == "sentencepiece"
    plan.run.refuse_other_settings(plan.verbs)


def test_what_publish_said_of_the_whole_is_not_refused(run: Run) -> None:
    """Their settings were once those of `publish`; now the one depends on `match` alone, the other is written again."""
    assert any(key.startswith("publish.") for key in made(run, "corpus.json").settings)
    for task in (CountClusters(run, ""), DescribeCorpus.of(run, ["el"])):
        assert task.unit().done() is None  # the inputs here are not those of that run: to be done, not refused


@pytest.mark.parametrize("verb", ON_ENGINES)
def test_a_key_that_came_later_is_no_difference(run: Run, verb: str) -> None:
    asked = verb_settings(run.recipe, verb)
    for key in json.loads((run.root / "run.json").read_text())[verb].keys() & asked.keys():
        later = run.recipe
        before = {k: v for k, v in verb_settings(later, verb).items() if k != key}
        before |= {} if asked[key] == asked.before[key] else {key: asked[key]}  # where the recipe says something else
        check_same(run.folder(verb), before, asked)


def test_what_is_asked_otherwise_is_refused_with_what_keeps_it(run: Run) -> None:
    other = ["refine.language.mixed=keep", "refine.snapshot.default=[CC-MAIN-2018-51]", "vocab.cap=20"]
    with pytest.raises(MismatchError) as refused:
        going_on(run.root, *other).note_settings(ON_ENGINES)
    with pytest.raises(MismatchError) as unit_refused:
        going_on(run.root, *other).unit("encode", "el", {}).done()
    keep = [advised(error.value) for error in (refused, unit_refused)]
    assert keep[1] == ["refine.language.mixed=drop", "refine.snapshot.default=[]", "vocab.cap=null"]
    going_on(run.root, *other, *keep[0], "vocab.cap=null").note_settings(ON_ENGINES)


def test_a_run_of_a_later_format_is_refused_in_words(run: Run) -> None:
    note = run.root / "run.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "format": 2}))
    before = note.read_bytes()
    with pytest.raises(MismatchError, match=r"run\.json is of format 2; this release reads formats up to 1"):
        run.note_settings(["extract"])
    assert note.read_bytes() == before
