"""One file at a time, without Dask: extract, refine. JSON lines that pipe into each other."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from ccbuild.cli.terminal import command, configured, print_records, settings_option, split_option
from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.progress import note, visible
from ccbuild.records import Document
from ccbuild.rows import read_documents
from ccbuild.rundir import FOLDERS
from ccbuild.runner import ArchiveReader, Timings, run_stages
from ccbuild.stages import RefineConfig
from ccbuild.text.page import ExtractConfig

__all__ = ["add"]

BATCH = 1024
_MODELS = FOLDERS["prepare"]


def add(commands: Any) -> None:
    """These commands."""
    extract = command(
        commands, "extract", _extract, "Pages of one archive as JSON lines.", "ccbuild extract x.warc.gz | jq -r .url"
    )
    extract.add_argument("file", help="WARC or WET file, or an fsspec URL")
    settings_option(extract, "text=all")
    refine = command(
        commands,
        "refine",
        _refine,
        "Route and score pages by the models of a run.",
        f"ccbuild extract x.warc.gz | ccbuild refine - --models runs/mine/{_MODELS}",
    )
    refine.add_argument("file", help="JSON lines with text, as `extract` prints them; Parquet or plain text; -: stdin")
    split_option(refine)
    refine.add_argument("--models", required=True, help=f"the folder {_MODELS} of a run")
    settings_option(refine, "length.min_chars=50")


def _extract(options: argparse.Namespace) -> int:
    config = configured(ExtractConfig, options.set, "extract")
    ledger = Ledger()
    reader = ArchiveReader(options.file, options.file.rsplit("/", 1)[-1], config, ledger)

    print_records(page.to_record() for page in reader if isinstance(page, Document))
    ledger.close(options.file)
    note(json.dumps(ledger.to_mapping(), ensure_ascii=False))
    for damage in reader.damage:
        note(f"damaged: {options.file} {damage}")
    return 0


def _refine(options: argparse.Namespace) -> int:
    config = configured(RefineConfig, options.set, "refine")
    models = Path(options.models)
    if not models.is_dir():
        raise InputError(f"{models} is not a folder. `ccbuild run … --until prepare` makes one: OUT/{_MODELS}.")
    stages, ledger, timings = config.build(models.resolve()), Ledger(), Timings()
    numbered = enumerate(read_documents(options.file, options.split))
    while batch := list(itertools.islice(numbered, BATCH)):
        documents = [Document.from_record({"doc_id": number, **record}) for number, record in batch]
        judged = run_stages(documents, stages, ledger, timings)
        print_records(document.to_record() for document in judged.kept)
        for document, reason in judged.dropped + judged.lost:
            said = json.dumps({"url": document.url, "dropped": reason}, ensure_ascii=False)
            sys.stderr.write(visible(said) + "\n")
    note(json.dumps(ledger.close(options.file).to_mapping(), ensure_ascii=False))
    return 0
