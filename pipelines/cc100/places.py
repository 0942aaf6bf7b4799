"""What a recipe names on disk, opened and compared with its other settings before anything starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from cc100.layout import Run
from cc100.recipe import VERBS, PublishConfig, Recipe, verb_sections
from cc100.verbs import prepare
from ccbuild import catalogue
from ccbuild.config import open_places, replace_places
from ccbuild.errors import InputError
from ccbuild.lm.cutoffs import CutoffTable

__all__ = ["checked"]


def checked(recipe: Recipe, verbs: Iterable[str], root: Path) -> Recipe:
    """The recipe of a run in `root` with whole paths, as workers may stand in another folder, and with the percentiles
    of its table of cutoffs where it gives none.

    Raises whatever the `verbs` would find wrong with the files that it names. Costs what reading small ones does; a
    language model given by path is opened in a process of its own, text and perplexity models are only looked for.
    """
    recipe = replace_places(recipe, _whole)
    for verb in verbs:
        for section, value in verb_sections(recipe, verb):
            open_places(value, f"{section}.")
    if "prepare" in verbs:
        next(prepare.steps(Run(root, recipe)))  # what each language would get: that there is anything, and where
    if any(VERBS.index(verb) >= VERBS.index("publish") for verb in verbs):
        recipe = dataclasses.replace(recipe, publish=_divided(recipe.publish, "publish" in verbs))
    return recipe


def _whole(place: str) -> str:
    """A path from the root; what is no path, but a name of the catalogue or a URL, as it is."""
    if ":" in place or place == "catalogue" or place in catalogue.entries():
        return place
    return str(Path(place).absolute())


def _divided(publish: PublishConfig, read: bool) -> PublishConfig:
    """`publish` with both shares; refuses, where the table will be `read`, such as it does not have."""
    if publish.cutoffs is None or (not read and None not in (publish.head, publish.middle)):
        return publish
    try:
        table = CutoffTable.read(publish.cutoffs)
        if None in (publish.head, publish.middle):
            head, middle = table.shares()
            head, middle = publish.head or head, publish.middle or middle
            publish = dataclasses.replace(publish, head=head, middle=middle)
        table.at(*publish.shares)
    except InputError as error:
        raise InputError(
            f"publish.cutoffs: {error} Such as: --set publish.head=0.3 --set publish.middle=0.6, for 30 and 60."
        ) from error
    return publish
