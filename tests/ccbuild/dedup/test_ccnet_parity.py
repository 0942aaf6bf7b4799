"""The paragraphs that cc_net 1.0.0 removes from a WET part, and no others."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ccbuild.dedup.decisions import decide_paragraphs
from ccbuild.dedup.paragraphs import text_paragraph_hashes

WET = Path(__file__).parents[4] / "shared/data/web/DEMO-MAIN-20261101000000-20261101010000-00000.warc.wet.gz"

# cc_net 1.0.0: parse_warc_file(min_len=300) with the headers put into the order of 2019, then HashesCollector and
# DuplicatesRemover over all documents of the part; line_ids of each document, a line a document.
GOLDEN: dict[str, int | str] = {
    "documents": 2020,
    "paragraphs": 150199,
    "kept": 58656,
    "sha256": "86145a9771a0680eb84bdccac3f95d91386879ee9ced36a8dea204ebafb18b49",
    "texts": "c6fc7c143e9f53b97de4b5dcc08825767e25ef0f8194f986154235600135e435",
}


def documents(path: Path) -> Iterator[str]:
    """Texts as cc_net has them: stripped lines, the first (its title) and the two empty ones at the end left out."""
    lines: list[str] = []
    in_headers, conversion = True, False
    with gzip.open(path, "rt", encoding="utf-8", newline=None) as stream:
        for line in (*stream, "WARC/1.0"):
            line = line.strip()
            if line == "WARC/1.0" and not in_headers:
                if conversion and lines:
                    last = -2 if not lines[-1] and not lines[-2] else None
                    yield "\n".join(lines[1:last])
                lines, in_headers, conversion = [], True, False
            elif in_headers:
                conversion |= line == "WARC-Type: conversion"
                in_headers = line != ""
            else:
                lines.append(line)


def test_policy_none_on_a_wet_part_removes_what_cc_net_removes() -> None:
    if not WET.is_file():
        pytest.skip("the WET part is not here")
    texts = [text for text in documents(WET) if len(text) >= 300]
    assert hashlib.sha256("\0".join(texts).encode()).hexdigest() == GOLDEN["texts"]
    hashes, counts = text_paragraph_hashes(texts, "ccnet")
    doc = np.repeat(np.arange(len(texts), dtype=np.uint64), counts)
    place = (np.arange(len(hashes)) - np.repeat(np.cumsum(counts) - counts, counts)).astype(np.int32)
    decided = decide_paragraphs(hashes, doc, place, "none")
    gone = set(zip(decided.doc.tolist(), decided.paragraph.tolist(), strict=True))
    kept = [[p for p in range(n) if (d, p) not in gone] for d, n in enumerate(counts.tolist())]
    assert (len(texts), len(hashes), sum(map(len, kept))) == tuple(
        GOLDEN[key] for key in ("documents", "paragraphs", "kept")
    )
    listed = "\n".join(" ".join(map(str, places)) for places in kept)
    assert hashlib.sha256(listed.encode()).hexdigest() == GOLDEN["sha256"]
