"""75 odd, old or broken archives of other projects: the records, damage and ledger of each stand in edge_cases.json.

``why`` in the table says where and why we differ from warcio 1.8 or FastWARC 2.0, which index.json records.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.warc.records import Reader

HERE = Path(__file__).resolve().parent
CASES = HERE.parents[3] / "shared" / "data" / "warc-edge-cases"
TABLE: dict[str, dict[str, Any]] = json.loads((HERE / "edge_cases.json").read_text(encoding="utf-8"))


def outcome(path: Path) -> dict[str, Any]:
    """What the reader makes of a file, as the table holds it."""
    ledger = Ledger()
    with open(path, "rb") as stream:
        reader = Reader(stream, path.name, ledger)
        try:
            pages = list(reader)
        except InputError:
            return {"refused": True}
    records, nbytes = ledger["records"], ledger["bytes"]
    ledger.close(path.name)
    kinds = Counter({kind.removeprefix("record:"): n for kind, n in records.dropped.items()})
    kinds.update(page.kind for page in pages)
    return {
        "records": dict(sorted(kinds.items())),
        "damage": [[d.offset, d.length, d.cause, d.saved] for d in reader.damage],
        "bytes": {"read": nbytes.kept, "padding": nbytes.dropped.total(), "quarantined": nbytes.quarantined.total()},
        "quarantined_records": records.quarantined.total(),
        "pages": [[p.url, p.date, p.status, p.content_type, len(p.payload), p.truncated] for p in pages][:3],
    }


@pytest.mark.parametrize("name", sorted(TABLE))
def test_records_damage_and_ledger(name: str) -> None:
    if not (CASES / name).exists():
        pytest.skip(f"{CASES} is absent: the edge cases are not part of the repository")
    found = outcome(CASES / name)
    assert found == {key: value for key, value in TABLE[name].items() if key != "why"}
    if "bytes" in found:
        assert sum(found["bytes"].values()) == (CASES / name).stat().st_size


def test_every_file_stands_in_the_table() -> None:
    if not CASES.exists():
        pytest.skip(f"{CASES} is absent: the edge cases are not part of the repository")
    index = json.loads((CASES / "index.json").read_text(encoding="utf-8"))
    assert {entry["file"] for entry in index} == set(TABLE)


def test_where_another_parser_counts_otherwise_the_table_says_why() -> None:
    if not CASES.exists():
        pytest.skip(f"{CASES} is absent: the edge cases are not part of the repository")
    for entry in json.loads((CASES / "index.json").read_text(encoding="utf-8")):
        mine = TABLE[entry["file"]]
        ours = sum(mine.get("records", {}).values())
        theirs = [(p["records"], p["error"]) for p in entry["parsers"].values()]
        if any(count != ours or error for count, error in theirs):
            assert mine.get("why"), entry["file"]
