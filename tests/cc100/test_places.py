"""Files that a recipe names: what stands in them counts, and they are opened before anything starts."""

from __future__ import annotations

import dataclasses
import json
import shutil
import types
import typing
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cc100.build import planned
from cc100.engines import in_process
from cc100.layout import Run, Source
from cc100.places import checked
from cc100.recipe import Recipe, load_recipe, verb_settings
from cc100.run import run_verb
from cc100.verbs import extract, prepare, publish, refine
from cc100.verbs.task import Step
from ccbuild.cli import main
from ccbuild.config import override, places
from ccbuild.errors import CcbuildError, ConfigError, InputError, MismatchError
from ccbuild.langid.sources import eld_sentences
from ccbuild.ledger import Ledger
from ccbuild.lm.cutoffs import calibrate, write_cutoffs
from ccbuild.rundir import Input
from ccbuild.storage import Unit
from tests.cc100.test_growth import UP_TO_CORPUS, files, go, write
from tests.cc100.test_run import silent
from tests.conftest import cached
from xlmr.config import TrainConfig


def paths_of(cls: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key to field of whatever may be None or text, in a configuration of this class."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        hint = typing.get_type_hints(cls)[field.name]
        if dataclasses.is_dataclass(hint):
            found |= paths_of(hint, f"{prefix}{field.name}.")
        elif isinstance(hint, types.UnionType) and set(typing.get_args(hint)) == {str, type(None)}:
            found[prefix + field.name] = field
    return found


CRAWL_FOLDERS = {"crawl.cache", "crawl.budget"}
"""Where bytes are kept on the way; the archives that they are of are inputs by themselves."""


@pytest.mark.parametrize("config", [Recipe, TrainConfig])
def test_whatever_may_name_a_file_says_so(config: Any) -> None:
    found = paths_of(config)
    assert found
    assert {key for key, field in found.items() if "place" not in field.metadata} <= CRAWL_FOLDERS


def earlier(folder: Path, content: str) -> None:
    with Unit(folder / "4-documents", "refine", "part-00000", settings={}) as unit:
        unit.path("part-00000.parquet").write_text(content)
        unit.commit(Ledger(), facts={"languages": {"sw": 1}})


def first_of(steps: Iterator[Step]) -> Unit:
    """The first unit of the next step."""
    return next(steps).tasks[0].unit()  # type: ignore[no-any-return]


def commit(run: Run, verb: str, **facts: object) -> None:
    with Unit(run.folder(verb), verb, "part-00000", settings={}) as unit:
        unit.commit(Ledger(), facts=facts)


def refined(run: Run) -> Unit:
    commit(run, "extract", documents=1)
    return first_of(refine.steps(run))


def published(run: Run) -> Unit:
    commit(run, "refine", languages={"sw": 1})
    return first_of(islice(publish.steps(run), 1, None))


def prepared(run: Run, name: str) -> Unit:
    return next(task for task in next(prepare.steps(run)).tasks if task.name == name).unit()  # type: ignore[no-any-return]


Write = Callable[[Path, str], None]

READERS: dict[str, tuple[str, Write, tuple[str, str], Callable[[Run], Unit]]] = {
    "prepare.identifier": ("lid.ftz", Path.write_text, ("x", "y"), lambda run: prepared(run, "identifier")),
    "prepare.supplement": ("more.ftz", Path.write_text, ("x", "y"), lambda run: prepared(run, "identifier")),
    "prepare.prose": ("{lang}.txt", Path.write_text, ("x", "y"), lambda run: prepared(run, "sw")),
    "prepare.models": ("{lang}", Path.write_text, ("x", "y"), lambda run: prepared(run, "sw")),
    "prepare.bootstrap": ("earlier", earlier, ("x", "y"), lambda run: prepared(run, "sw")),
    "rights.opt_out": (
        "out.txt",
        Path.write_text,
        ("a.test", "b.test"),
        lambda run: first_of(extract.steps(run, [Source("a", "/a", 1)], [Input(0, "a", 1, None)])),
    ),
    "refine.language.thresholds": (
        "t.tsv",
        Path.write_text,
        ("sw\t0.1\tx\n", "sw\t0.99\tx\n"),
        refined,
    ),
    "publish.cutoffs": (
        "c.csv",
        Path.write_text,
        (",sw\n30,1\n60,2\n", ",sw\n30,1\n60,3\n"),
        published,
    ),
    "publish.audit": (
        "a.csv",
        Path.write_text,
        ("lang,precision\nsw,0.5\n", "lang,precision\nsw,1\n"),
        published,
    ),
    "publish.decontaminate": ("items.txt", Path.write_text, ("a question\n", "another question\n"), published),
}
"""Key to the name of a file, how it is written, two contents, and a unit that reads it."""


def test_every_place_of_a_recipe_has_a_reader() -> None:
    assert {key for key, _, _ in places(Recipe())} == READERS.keys()


@pytest.mark.parametrize("key", READERS)
def test_another_content_in_the_same_place_is_not_done(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, write_file, (before, after), reader = READERS[key]
    monkeypatch.setattr(prepare, "Supplement", lambda path: None)
    where = tmp_path / name
    more = {"prepare.identifier": str(tmp_path / "other.ftz"), "prepare.prose": None, "prepare.supplement": None}
    more |= {"publish.min_precision": 0.9} if key == "publish.audit" else {}
    settings = {**more, key: str(where)}
    for path in ("other.ftz", "more.json", "sw.binary"):
        (tmp_path / path).write_text("")
    target = Path(str(where).replace("{lang}", "sw.sp.model" if key == "prepare.models" else "sw"))

    def unit() -> Unit:
        recipe = load_recipe("cc100", [override(k, v) for k, v in settings.items()])
        return reader(Run(tmp_path / "run", recipe))

    write_file(target, before)
    with unit() as first:
        first.commit(Ledger())
    assert unit().done() is not None
    if target.is_dir():
        shutil.rmtree(target)
    write_file(target, after)
    assert unit().done() is None
    write_file(target, before)
    assert unit().done() is not None  # nothing but the content counts


def asked(tmp_path: Path, *overrides: str, verbs: tuple[str, ...] = UP_TO_CORPUS) -> Recipe:
    return checked(load_recipe("cc100", ["prepare.prose=null", *overrides]), verbs, tmp_path / "run")


@pytest.mark.parametrize(
    ("setting", "content", "message"),
    [
        ("refine.language.thresholds", "sw\tmuch\n", "line 1: write a code"),
        ("publish.cutoffs", "a,b\nx,y\n", "is no table of cutoffs"),
        ("publish.cutoffs", "lang,percentile,perplexity,low,high,documents\n", "it has no row"),
        ("publish.audit", "lang,precision\n", "holds no audit"),
        ("publish.audit", "lang,precision\nsw,7\n", "line 2 is no row"),
        ("publish.decontaminate", "\n", "has no text of a benchmark"),
        ("rights.opt_out", "no host\n", "line 1: 'no host' is no URL"),
        ("prepare.identifier", "no model", "is no fastText model"),
        ("prepare.supplement", "no model", "does not exist"),
    ],
)
def test_a_file_that_is_not_of_its_kind_is_refused_before_anything_starts(
    tmp_path: Path, setting: str, content: str, message: str
) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(CcbuildError, match=rf"^{setting}: .*{message}"):
        asked(tmp_path, f"{setting}={tmp_path / 'file'}")
    with pytest.raises(CcbuildError, match=rf"^{setting}: .*absent"):
        asked(tmp_path, f"{setting}={tmp_path / 'absent'}")
    asked(tmp_path, f"{setting}={tmp_path / 'absent'}", verbs=("match",))  # which does not read it


@pytest.mark.parametrize("setting", ["prepare.prose", "prepare.models"])
def test_patterns_without_a_file_are_refused_before_anything_starts(tmp_path: Path, setting: str) -> None:
    with pytest.raises(InputError, match="No file matches"):
        asked(tmp_path, f"{setting}={tmp_path}/{{lang}}")
    with pytest.raises(InputError, match="has no documents"):
        asked(tmp_path, f"prepare.bootstrap={tmp_path}")


def test_a_damaged_audit_of_a_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "audits").mkdir()
    (tmp_path / "audits" / "sw.json").write_text("{")
    with pytest.raises(CcbuildError, match=r"^publish.audit: .*sw\.json cannot be read"):
        asked(tmp_path, f"publish.audit={tmp_path / 'audits'}")
    (tmp_path / "audits" / "sw.json").write_text('{"lang": "sw", "precision": 0.5}')
    asked(tmp_path, f"publish.audit={tmp_path / 'audits'}")


def test_paths_become_whole_and_names_stay(in_folder: Path) -> None:
    for name, content in (("t.tsv", "sw\t0.5\n"), ("o.txt", "a.test\n"), ("a.csv", "lang,precision\nsw,1\n")):
        Path(name).write_text(content)
    made = ("refine.language.thresholds=t.tsv", "rights.opt_out=o.txt", "publish.audit=a.csv")
    recipe = asked(in_folder, *made)
    assert recipe.refine.language.thresholds == str(in_folder / "t.tsv")
    assert recipe.rights.opt_out == str(in_folder / "o.txt")
    assert recipe.publish.audit == str(in_folder / "a.csv")
    assert (recipe.prepare.identifier, recipe.prepare.supplement) == ("lid.176.ftz", "catalogue")


def table(path: Path, *percentiles: float) -> Path:
    write_cutoffs(path, calibrate("sw", np.arange(1.0, 401.0), percentiles))
    return path


def test_the_shares_are_those_of_the_table(tmp_path: Path) -> None:
    def shares(where: Path, *more: str, verbs: tuple[str, ...] = UP_TO_CORPUS) -> tuple[float, float]:
        return asked(tmp_path, f"publish.cutoffs={where}", *more, verbs=verbs).publish.shares

    assert load_recipe("cc100").publish.shares == (1 / 3, 2 / 3)
    assert shares(table(tmp_path / "ours.csv", 30, 60)) == (0.3, 0.6)
    assert shares(tmp_path / "ours.csv", verbs=("encode",)) == (0.3, 0.6)
    assert shares(table(tmp_path / "thirds.csv", 33.333333, 66.666667)) == (1 / 3, 2 / 3)
    assert shares(table(tmp_path / "two.csv", 40, 80)) == (0.4, 0.8)
    assert shares(table(tmp_path / "more.csv", 20, 30, 60, 80)) == (0.3, 0.6)
    assert shares(tmp_path / "more.csv", "publish.head=0.2", "publish.middle=0.8") == (0.2, 0.8)
    (tmp_path / "ccnet.csv").write_text("," + "sw\n" + "".join(f"{n},{n}.5\n" for n in range(101)))
    assert shares(tmp_path / "ccnet.csv") == (0.3, 0.6)
    with pytest.raises(InputError, match=r"has the percentiles 20, 40, 80. Say which two"):
        shares(table(tmp_path / "three.csv", 20, 40, 80))
    with pytest.raises(InputError, match=r"percentiles 33.333 and 66.667; it has 30, 60\. .*--set publish.head=0.3"):
        shares(tmp_path / "ours.csv", override("publish.head", 1 / 3), override("publish.middle", 2 / 3))
    with pytest.raises(ConfigError, match="0 < head < middle < 1"):
        load_recipe("cc100", ["publish.cutoffs=x", "publish.head=0.9", "publish.middle=0.2"])
    settings = verb_settings(asked(tmp_path, f"publish.cutoffs={tmp_path / 'ours.csv'}"), "publish")
    assert (settings["publish.head"], settings["publish.middle"]) == (0.3, 0.6)


def test_the_dry_run_opens_them_too(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(in_folder / "a.warc.gz", (0, ["a paragraph of some length"]))
    table(Path("c.csv"), 30, 60)
    command = ["run", "ccnet", "--input", source.path, "--out", "o", "--dry-run", "--set", "prepare.prose=null"]
    command += ["--set", "publish.cutoffs=c.csv"]
    assert main(command) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["publish"]["head"], shown["publish"]["cutoffs"]) == (0.3, str(in_folder / "c.csv"))
    assert main([*command, "--set", "publish.head=0.2"]) == 2
    assert "percentiles 20 and 60; it has 30, 60" in capsys.readouterr().err
    Path("c.csv").write_text("\n")
    assert main(command) == 2
    assert "publish.cutoffs" in capsys.readouterr().err
    assert not Path("o").exists()


@pytest.fixture
def pages(tmp_path: Path) -> Source:
    cached("lid.176.ftz")
    sentences = eld_sentences(cached("eld"))
    return write(tmp_path / "a.warc.gz", *((n, sentences[lang][:9]) for n, lang in enumerate(("en", "de", "fr"))))


def made_of(root: Path, **settings: Any) -> Run:
    given = {"extract.text": "all", "prepare.prose": None, "prepare.supplement": None, **settings}
    return Run(root, load_recipe("cc100", [override(key, value) for key, value in given.items()]))


def test_a_run_whose_languages_all_failed_is_repaired_and_not_mixed(tmp_path: Path, pages: Source) -> None:
    """As it was before tables were opened at the start: asked for thirds, the table of 30 and 60 fails every language;
    asked for what it has, two units of the same verb would refuse and all languages publish."""
    cutoffs = str(table(tmp_path / "c.csv", 30, 60))
    thirds = {"publish.head": 1 / 3, "publish.middle": 2 / 3}
    broken = made_of(tmp_path / "o", **{"publish.cutoffs": cutoffs}, **thirds)
    go(broken, [pages], *UP_TO_CORPUS[:-1])
    broken.note_settings(["publish"])
    failed = run_verb(broken, "publish", in_process(), silent)
    assert sorted(failure.unit for failure in failed.failures) == ["de", "en", "fr"]

    repaired = made_of(tmp_path / "o", **{"publish.cutoffs": cutoffs, "publish.head": 0.3, "publish.middle": 0.6})
    found = go(repaired, [pages], *UP_TO_CORPUS)
    assert {verb: summary.fresh for verb, summary in found.items() if summary.fresh} == {"publish": 4}
    whole = made_of(tmp_path / "whole", **{"publish.cutoffs": cutoffs, "publish.head": 0.3, "publish.middle": 0.6})
    go(whole, [pages], *UP_TO_CORPUS)
    assert files(tmp_path / "o", "publish") == files(tmp_path / "whole", "publish")
    assert (tmp_path / "o" / "corpus.json").read_bytes() == (tmp_path / "whole" / "corpus.json").read_bytes()

    with pytest.raises(MismatchError, match=r"--set publish.head=0.3 --set publish.middle=0.6"):
        broken.refuse_other_settings(["publish"])  # now there is a corpus that holds to its settings


def test_what_an_earlier_release_left_of_such_a_run_does_not_refuse_either(tmp_path: Path, pages: Source) -> None:
    """There `cluster_sizes` and `corpus` have the settings of `publish`."""
    run = made_of(tmp_path / "o")
    go(run, [pages], *UP_TO_CORPUS)
    for name in ("3-duplicates/__sizes/cluster_sizes.json", "corpus.json"):
        made = json.loads((tmp_path / "o" / name).read_text())
        made |= {"verb": "publish", "settings": verb_settings(run.recipe, "publish")}
        made["inputs"].pop("publish.settings", None)
        (tmp_path / "o" / name).write_text(json.dumps(made))
    assert go(run, [pages], *UP_TO_CORPUS)["publish"].fresh == 1  # the card is written again: one file, the same
    for path in (tmp_path / "o" / "5-corpus").glob("*.json"):
        path.unlink()
    go(made_of(tmp_path / "o", **{"publish.xz_preset": 1}), [pages], *UP_TO_CORPUS)


def test_a_refused_setting_changes_nothing(tmp_path: Path, pages: Source) -> None:
    run = made_of(tmp_path / "o")
    go(run, [pages], "prepare", "extract", "match")
    before = {path: path.read_bytes() for path in (tmp_path / "o").rglob("*") if path.is_file()}
    other = made_of(tmp_path / "o", **{"dedup.signature.seed": 2})
    for verbs in (["extract"], ["match"], ["refine"], ["publish"]):  # what they read was made with another seed
        with pytest.raises(MismatchError, match="--set dedup.signature.seed=1"):
            other.note_settings(verbs)
    other.note_settings(["prepare"])
    with pytest.raises(MismatchError, match="seed"):
        planned(other.recipe, [], tmp_path / "o", first="refine", until="publish").check(None)  # type: ignore[arg-type]
    assert {path: path.read_bytes() for path in (tmp_path / "o").rglob("*") if path.is_file()} == before
