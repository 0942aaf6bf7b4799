"""Runs for the report: one written by hand, full of hostile text, and the small demo run, where files may be put."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ccbuild.ledger import Ledger
from ccbuild.records import DOCUMENT_SCHEMA, DROPPED_SCHEMA, DUPLICATE_SCHEMA, PAGE_SCHEMA, REFUSED_SCHEMA
from ccbuild.storage import Unit, table_of, write_json, write_table

HOSTILE = '<script>alert("x")</script><img src=https://evil.example/a.png onerror=alert(1)>{{ 7*7 }}'
HOSTILE_URL = "https://a.example/\"'><script src=https://evil.example/x.js></script>"
CORPUS_SCHEMA = DOCUMENT_SCHEMA.append(pa.field("bucket", pa.string()))


def rows(schema: pa.Schema, *given: dict[str, Any]) -> pa.Table:
    return table_of(schema, {name: [row.get(name) for row in given] for name in schema.names})


def commit(
    folder: Path, verb: str, name: str, facts: dict[str, Any], tables: dict[str, pa.Table] | None = None
) -> None:
    with Unit(folder, verb, name, settings={"n": 1}) as unit:
        for file, table in (tables or {}).items():
            write_table(unit.path(file), table)
        unit.commit(Ledger(), facts=facts)


def summary_of(codes: list[str], documents: int = 2) -> dict[str, Any]:
    kept = documents * len(codes)
    return {
        "archives": 1,
        "nbytes": 1000,
        "pages_in": kept + 4,
        "kept": kept,
        "tokens": 0,
        "losses": [
            {"verb": "extract", "reason": "not_html", "pages": 1, "quarantined": False},
            {"verb": "extract", "reason": "damaged_member", "pages": 1, "quarantined": True},
            {"verb": "refine", "reason": HOSTILE, "pages": 2, "quarantined": False},
        ],
        "paragraphs": {"seen": 9, "kept": 6, "dropped": {"duplicate_paragraph": 3}, "quarantined": {}},
        "damage": [{"archive": HOSTILE, "offset": 1234567, "length": 89, "cause": HOSTILE}],
        "languages": [
            {
                "code": code,
                "name": f"{code} {HOSTILE}",
                "documents": documents,
                "characters": 1000 * (i + 1),
                "tokens": 0,
                "buckets": {"head": 1, "middle": 0, "tail": 1},
                "cutoffs": {"head": 10.0, "middle": 20.0, "documents": documents},
            }
            for i, code in enumerate(codes)
        ],
    }


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """A run of the given languages with `documents` documents each; every text in it is hostile."""

    def make(codes: list[str], documents: int = 2, name: str = "run") -> Path:
        root = tmp_path / name
        write_json(root / "summary.json", summary_of(codes, documents))
        write_json(root / "run.json", {"vocab": {"vocab.alpha": 0.3, "publish.buckets": ["head", HOSTILE]}})
        page = {"url": HOSTILE_URL, "archive": HOSTILE, "offset": 5, "text": f"{HOSTILE}\nשלום\u202e{HOSTILE}"}
        pages = rows(PAGE_SCHEMA, {"doc_id": 0, **page}, {"doc_id": 1, **page})
        write_table(root / "1-pages" / "part-00000.parquet", pages) if _folder(root / "1-pages") else None
        refused = rows(REFUSED_SCHEMA, {"url": HOSTILE_URL, "archive": HOSTILE, "offset": 7, "reason": HOSTILE})
        write_table(root / "1-pages" / "part-00000.refused.parquet", refused)
        repeated = {"doc_id": 1, "paragraph": 1, "partner": 0, "partner_paragraph": 1, "kind": "duplicate_paragraph"}
        _folder(root / "3-duplicates")
        write_table(root / "3-duplicates" / "part-00000.parquet", rows(DUPLICATE_SCHEMA, repeated))
        gone = {"doc_id": 1, "url": HOSTILE_URL, "reason": HOSTILE, "lang": HOSTILE, "partner": 0, "similarity": 0.9}
        _folder(root / "4-documents")
        write_table(root / "4-documents" / "part-00000.dropped.parquet", rows(DROPPED_SCHEMA, gone))
        for i, code in enumerate(codes):
            texts = [
                {**page, "doc_id": n, "lang": code, "lang_score": 0.5, "perplexity": 5.0 + n % 30, "bucket": HOSTILE}
                for n in range(documents)
            ]
            name = f"{code}/{code}-00000.parquet"
            facts = {"documents": documents, "paragraphs": 10 * (i + 1), "characters": 1000 * (i + 1), "shards": [name]}
            commit(root / "5-corpus", "publish", code, facts, {name: rows(CORPUS_SCHEMA, *texts)})
        return root

    return make


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def hostile_run(make_run: Callable[..., Path]) -> Path:
    return make_run(["aa", "bb", "zh-Hans"])


@pytest.fixture
def demo_run(small_run: Path, tmp_path: Path) -> Path:
    """The small run in another folder that may be written to: its files are links."""
    root = tmp_path / "elsewhere"
    root.mkdir()
    for entry in small_run.iterdir():
        if entry.name != "report.html":
            (root / entry.name).symlink_to(entry.resolve())
    return root


@pytest.fixture
def summary(small_run: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((small_run / "summary.json").read_text(encoding="utf-8"))
    return loaded
