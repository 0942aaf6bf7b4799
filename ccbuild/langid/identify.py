"""Language identification in one call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ccbuild import catalogue
from ccbuild.langid.cascade import Cascade, Identified
from ccbuild.langid.model import LanguageModel
from ccbuild.langid.supplement import Supplement
from ccbuild.langid.training import supplement_for

__all__ = ["default_cascade", "identify"]


def identify(texts: Sequence[str]) -> list[Identified]:
    """The language of each text: its code, score, second best, and which step decided.

    By rules of script and letters, lid.176 and the supplement, as a run of recipe ``cc100`` asks them. lid.176 is
    fetched at the first call (0.9 MB); models stay open. 0 letters give ``und``, menus and code ``zxx``.

    >>> [answer.code for answer in identify(["Habari ya dunia, rafiki yangu mpendwa", "Ελληνικά", "12"])]
    ['sw', 'el', 'und']
    """
    return default_cascade().identify(texts)


@lru_cache(maxsize=1)
def default_cascade() -> Cascade:
    """The cascade of the catalogue's lid.176 and our supplement; opened once a process."""
    model = LanguageModel(catalogue.fetch("lid.176.ftz"), catalogue.entries()["lid.176.ftz"].sha256)
    return Cascade(model, Supplement(supplement_for(model)))
