"""What engine, ledger, timings and commit cost: `extract` as a verb beside a plain loop over the same functions.

Both in this process, in turns, on the same archive, each writing the same pages and prints; CPU seconds, medians.

    python tests/bench/engine.py --data web --pages 1000
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow.parquet as pq

from cc100.build import Plan, planned
from cc100.engines import in_process
from cc100.run import run_verb
from cc100.verbs.extract import BATCH, sketch
from ccbuild.dedup.external.printfile import write_prints
from ccbuild.dedup.prints import Prints, scheme
from ccbuild.ledger import Ledger
from ccbuild.progress import silent
from ccbuild.records import PAGE_SCHEMA, Document, to_table
from ccbuild.runner import Timings
from ccbuild.storage import PARQUET
from ccbuild.text.page import page_text
from ccbuild.warc.members import Limits
from ccbuild.warc.records import Reader


def plain(archive: Path, out: Path, plan: Plan) -> int:
    """The pages of an archive and their prints, by a loop that keeps no accounts; how many."""
    recipe, pages, prints = plan.run.recipe, list[Document](), list[Prints]()
    rows = 0
    with (
        archive.open("rb") as stream,
        pq.ParquetWriter(out / "pages.parquet", PAGE_SCHEMA, **PARQUET) as writer,
    ):

        def flush() -> None:
            prints.extend(sketch(pages, plan.run, Timings()))
            writer.write_table(to_table(pages, PAGE_SCHEMA))
            pages.clear()

        most = recipe.extract.max_payload_bytes
        for record in Reader(
            cast(BinaryIO, stream), str(archive), Ledger(), Limits(), max_payload_bytes=most, damage=[]
        ):
            text = page_text(record.kind, record.status, record.content_type, record.payload, recipe.extract)
            if isinstance(text, str) or not text.paragraphs:
                continue
            facts = {"offset": record.offset, "length": record.length, "date": record.date, "digest": record.digest}
            known = {
                "url": record.url,
                "archive": archive.name,
                "charset": text.charset,
                "robots": text.robots,
                **facts,
            }
            pages.append(Document(paragraphs=tuple(text.paragraphs), doc_id=rows, **known))  # type: ignore[arg-type]
            rows += 1
            if len(pages) >= BATCH:
                flush()
        flush()
    made = scheme(recipe.dedup.signature, recipe.dedup.paragraphs)
    write_prints(out / "prints.parquet", Prints.concatenate(prints), scheme=made)
    return rows


def verb(plan: Plan) -> None:
    inputs = plan.run.admit(plan.sources)
    run_verb(plan.run, "extract", in_process(), silent, plan.sources, inputs)


def cut(source: Path, target: Path, pages: int) -> None:
    """The first `pages` pages of an archive whose records are gzip members."""
    found, left = 0, source.read_bytes()
    with target.open("wb") as out:
        while left and found < pages:
            member = zlib.decompressobj(31)
            found += b"WARC-Type: response" in member.decompress(left, 400)
            member = zlib.decompressobj(31)
            member.decompress(left)
            out.write(left[: len(left) - len(member.unused_data)])
            left = member.unused_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of WARC files")
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="engine-"))
    archive = root / "a.warc.gz"
    cut(sorted(options.data.glob("*.warc.gz"))[0], archive, options.pages)
    times: dict[str, list[float]] = {"plain": [], "verb": []}
    for number in range(options.rounds + 1):  # the first compiles
        out = root / f"run-{number}"
        plan = planned("cc100", str(archive), out, first="extract", until="extract")
        plan.run.note_settings(("extract",))
        (root / "plain").mkdir(exist_ok=True)
        start = time.process_time()
        rows = plain(archive, root / "plain", plan)
        middle = time.process_time()
        verb(plan)
        times["verb"].append(time.process_time() - middle)
        times["plain"].append(middle - start)
        shutil.rmtree(out)
    medians = {name: statistics.median(each[1:]) for name, each in times.items()}
    share = statistics.median(v / p - 1 for v, p in zip(times["verb"][1:], times["plain"][1:], strict=True))
    print(f"{rows:,} pages; plain loop {medians['plain']:.3f} CPU s, the verb {medians['verb']:.3f}: {share:+.1%}")
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
