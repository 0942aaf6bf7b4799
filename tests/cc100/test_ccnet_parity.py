"""Recipe `ccnet` removes the paragraphs of a WET part that cc_net 1.0.0 removes from it, and no others."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cc100.engines import in_process
from cc100.layout import Run, sources_of
from cc100.recipe import load_recipe
from cc100.run import run_verb
from ccbuild.progress import silent

WET = Path(__file__).parents[3] / "shared/data/web/DEMO-MAIN-20261101000000-20261101010000-00000.warc.wet.gz"

# cc_net 1.0.0: parse_warc_file(min_len=300) with the headers put into the order of 2019, then HashesCollector and
# DuplicatesRemover over all documents of the part; line_ids of each document, a line a document.
DOCUMENTS, LINES, KEPT = 2020, 150199, 58656
LINE_IDS = "86145a9771a0680eb84bdccac3f95d91386879ee9ced36a8dea204ebafb18b49"


def test_the_recipe_removes_what_cc_net_removes(tmp_path: Path) -> None:
    if not WET.is_file():
        pytest.skip("the WET part is not here")
    run = Run(tmp_path, load_recipe("ccnet"))
    sources = sources_of([str(WET)])
    table = run.admit(sources)
    for verb in ("extract", "match"):
        assert run_verb(run, verb, in_process(), silent, sources, table).failures == []
    pages = pq.read_table(run.folder("extract") / "part-00000.parquet", columns=["doc_id", "text"]).to_pylist()
    gone = {
        (r["doc_id"], r["paragraph"]) for r in pq.read_table(run.folder("match") / "part-00000.parquet").to_pylist()
    }
    lines = [len(page["text"].split("\n")) for page in pages]
    kept = [[i for i in range(n) if (p["doc_id"], i) not in gone] for p, n in zip(pages, lines, strict=True)]
    assert (len(pages), sum(lines), sum(map(len, kept))) == (DOCUMENTS, LINES, KEPT)
    listed = "\n".join(" ".join(map(str, places)) for places in kept)
    assert hashlib.sha256(listed.encode()).hexdigest() == LINE_IDS
