"""From Common Crawl to a multilingual corpus, a shared vocabulary and a trained model.

The names below are the door for Python; each is imported when it is first asked for, so ``import ccbuild`` costs
nothing and sets nothing up. A run is made by :func:`build` and looked into by :func:`open_run`; all else works by
itself, on texts and files.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "CcbuildError",
    "Document",
    "Dropped",
    "Ledger",
    "Scorer",
    "Stage",
    "build",
    "deduplicate",
    "each",
    "identify",
    "load_recipe",
    "normalise",
    "open_corpus",
    "open_run",
    "open_tokens",
    "page_text",
    "place",
    "read",
    "signatures",
    "stage",
]

__version__ = "0.1.0"

_ROOMS = {
    "CcbuildError": "ccbuild.errors",
    "Document": "ccbuild.records",
    "Dropped": "ccbuild.records",
    "Ledger": "ccbuild.ledger",
    "Scorer": "ccbuild.lm.score",
    "Stage": "ccbuild.stages",
    "build": "ccbuild.door",
    "deduplicate": "ccbuild.dedup.corpora.texts",
    "each": "ccbuild.stages",
    "identify": "ccbuild.langid.identify",
    "load_recipe": "cc100.recipe",
    "normalise": "ccbuild.text.normalise:normalise_ccnet",
    "open_corpus": "ccbuild.corpus",
    "open_run": "ccbuild.run",
    "open_tokens": "ccbuild.tokens",
    "page_text": "ccbuild.text.page",
    "place": "ccbuild.config",
    "read": "ccbuild.reading",
    "signatures": "ccbuild.dedup.signatures:sign",
    "stage": "ccbuild.stages",
}
"""Name to the module that has it, and what it is called there where that is another name."""


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'ccbuild' has no attribute {name!r}")
    room, _, called = _ROOMS[name].partition(":")
    found = globals()[name] = getattr(import_module(room), called or name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
