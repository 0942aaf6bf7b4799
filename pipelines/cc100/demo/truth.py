"""The sidecar: what is true of each page of the demo's crawl, one JSON object a line, in the archives' order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from ccbuild import config

__all__ = ["TruthPage", "read_truth", "write_truth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthPage:
    """One response record of the crawl."""

    url: str
    archive: str
    """File name of the archive, without a folder."""
    offset: int
    """Byte offset of the record's gzip member."""
    length: int
    """Bytes of that member in the file; of a truncated one, those that are there."""
    status: int
    """HTTP status."""
    mime: str
    """As the server declares it."""
    kind: str
    """``unique``, ``exact_duplicate``, ``near_duplicate``, ``junk:keywords|mixed|empty|numbers``, or
    ``other:image|pdf|not_found|redirect`` for what is no page of text."""
    lang: str | None
    """CC-100's code; ISO 639-3 outside it. Null where a page has no one language: all junk, all ``other``."""
    duplicate_of: str | None
    """URL of the page that it copies, which stands earlier in the crawl, undamaged."""
    similarity: float | None
    """Jaccard of the word-5-shingles of both articles; 1.0 for exact duplicates."""
    charset: str | None
    """Encoding of the bytes, WHATWG label; null for what is not text."""
    charset_case: str | None
    """How the encoding is declared, or mis-declared: see :mod:`cc100.demo.charsets`."""
    template: str | None
    """Which of :mod:`cc100.demo.templates` printed it."""
    paragraphs: int
    """Paragraphs of the article, the notice included."""
    nchars: int
    """Characters of the article, the notice included."""
    notice: bool
    """Its last paragraph is its site's notice, which every page of that site repeats."""
    damaged: str | None
    """``truncated``: the file ends inside this record. ``corrupted``: its gzip member does not inflate."""


def write_truth(path: Path, pages: Iterable[TruthPage]) -> None:
    """`pages` as JSON lines with sorted keys."""
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        for page in pages:
            out.write(json.dumps(asdict(page), sort_keys=True, ensure_ascii=False) + "\n")


def read_truth(path: Path) -> list[TruthPage]:
    """The pages of a sidecar, in the archives' order."""
    with open(path, encoding="utf-8") as lines:
        return [config.from_mapping(TruthPage, json.loads(line), f"{path} line {n}") for n, line in enumerate(lines, 1)]
