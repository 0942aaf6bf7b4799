"""Recipes: every key is read, unknown keys are refused, a verb's fingerprint covers what it depends on."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cc100.recipe import VERBS, Recipe, load_recipe, recipe_names, verb_settings
from ccbuild.config import flatten
from ccbuild.errors import ConfigError, InputError
from ccbuild.langid.codes import CC100

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_load(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description


def test_the_recommended_recipe_says_what_the_papers_say() -> None:
    recipe = load_recipe("cc100")
    assert (recipe.vocab.size, recipe.vocab.alpha) == (250_000, 0.3)
    snapshot = recipe.refine.snapshot
    assert [len(snapshot.languages["en"]), len(snapshot.default)] == [1, 12]
    assert all("2018" in name for name in snapshot.default)
    assert recipe.refine.language.languages == ("cc100",)
    assert len(CC100) == 116


def test_ccnet_differs_where_ccnet_does() -> None:
    recipe = load_recipe("ccnet")
    assert (recipe.match.documents, recipe.match.keep, recipe.dedup.paragraphs) == (False, "none", "ccnet")
    assert recipe.refine.perplexity.definition == "ccnet"
    assert recipe.refine.length.min_chars == 300


def test_unknown_recipe_and_unknown_keys() -> None:
    with pytest.raises(InputError, match="no recipe 'cc10'.*cc100"):
        load_recipe("cc10")
    with pytest.raises(ConfigError, match="Did you mean 'min_chars'"):
        load_recipe("cc100", ["refine.length.min_char=3"])
    with pytest.raises(ConfigError, match=r"unit\.files"):
        load_recipe("cc100", ["unit.files=0"])


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nunit: {files: 8}\n")
    assert load_recipe(str(path)).unit.files == 8


def test_a_fingerprint_covers_the_verb_and_those_before_it() -> None:
    base = load_recipe("cc100")
    other = load_recipe("cc100", ["refine.length.min_chars=7"])
    differs = {verb: verb_settings(base, verb) != verb_settings(other, verb) for verb in VERBS if verb != "train"}
    assert differs == {
        "prepare": False,
        "extract": False,
        "match": False,
        "refine": True,
        "publish": True,
        "vocab": True,
        "encode": True,
    }
    moved = load_recipe("cc100", ["prepare.prose=elsewhere/{lang}.txt"])
    assert verb_settings(base, "encode") == verb_settings(moved, "encode")


def test_some_verb_covers_every_setting() -> None:
    covered = set().union(*(verb_settings(Recipe(), verb) for verb in VERBS if verb != "train"))
    own = {"name", "description", "until"}
    assert {key for key in flatten(Recipe()) if key not in own and not key.startswith("train.")} == covered


def fields(cls: Any) -> set[str]:
    found = set()
    for field in dataclasses.fields(cls):
        value = getattr(cls(), field.name)
        found |= fields(type(value)) if dataclasses.is_dataclass(value) else {field.name}
    return found


def test_every_field_is_read_somewhere() -> None:
    read = set()
    for folder in ("ccbuild", "pipelines"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    read.add(node.attr)
    assert fields(Recipe) - read - {"name", "description"} == set()


def test_every_field_has_a_docstring_under_it() -> None:
    missing = []
    for path in [*(ROOT / "ccbuild").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and (node.name.endswith("Config") or node.name == "Recipe"):
                for at, line in enumerate(node.body):
                    if isinstance(line, ast.AnnAssign):
                        after = node.body[at + 1] if at + 1 < len(node.body) else None
                        if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
                            missing.append(f"{path.name}: {node.name}.{ast.unparse(line.target)}")
    assert missing == []
