"""A run of twelve pages that the tests of chaos disturb, and what it comes to."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cc100.engines import Working
from ccbuild.rundir import FOLDERS
from tests.folder import ARTICLES

__all__ = ["SETTINGS", "WORD", "Alone", "pages", "tree"]

WORD = "Quicksilver"
"""Stands in the last page alone, and does the harm."""
SETTINGS: dict[str, Any] = {
    "prepare.supplement": None,
    "prepare.prose": None,
    "refine.length.min_chars": 20,
    "refine.snapshot.default": [],
    "refine.snapshot.languages": {},
    "publish.min_documents": 1,
    "vocab.size": 400,
}


def pages() -> list[tuple[str, ...]]:
    """Eleven pages of English, no two alike, and the one with the word."""
    rng, words = random.Random(3), " ".join(sum(ARTICLES, ())).replace(".", "").replace(",", "").lower().split()
    made = [tuple(" ".join(rng.sample(words, 24)) + "." for _ in range(3)) for _ in range(11)]
    return [*made, (*(" ".join(rng.sample(words, 24)) + "." for _ in range(2)), f"{WORD} ran over the stones.")]


def tree(out: Path) -> dict[str, str]:
    """Name to SHA-256 of every file of a run that is a result; times and locks are none."""
    kept = [out / folder for folder in FOLDERS.values()] + [out / "inputs.jsonl", out / "corpus.json"]
    files = [path for place in kept for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file()]
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not path.name.startswith(".")
    }


class Alone:
    """What an engine of one process says of itself."""

    workers = 1

    def everywhere(self, ask: Callable[[], Any]) -> dict[str, Any]:
        return {"this process": ask()}

    def working(self) -> list[Working]:
        return []
