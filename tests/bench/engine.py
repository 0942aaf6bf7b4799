"""What engine, ledger, timings and commit cost: `extract` as a verb beside a plain loop over the same functions.

Both in this process, in turns, on the same archive; CPU seconds, medians. Both read the records, extract the text, ask
what the recipe asks of each page, print the pages, and write the same three tables (pages, prints, what was refused):
these are compared byte by byte. The verb alone looks whether the unit is done, keeps accounts of records, paragraphs
and bytes, times each stage, keeps single records apart that break a step off, hashes the archive and its outputs
(SHA-256, shown by itself), syncs and renames them, and writes table of inputs, log and manifest.

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

import numpy as np
import pyarrow.parquet as pq

from cc100.build import Plan, planned
from cc100.engines import in_process
from cc100.layout import Run
from cc100.recipe import Recipe
from cc100.run import run_verb
from cc100.verbs.extract import BATCH, BATCH_CHARACTERS, sketch
from ccbuild.dedup.external.printfile import write_prints
from ccbuild.dedup.prints import Prints, scheme
from ccbuild.ledger import Ledger
from ccbuild.progress import silent
from ccbuild.records import PAGE_SCHEMA, REFUSED_SCHEMA, Document, Refused, to_table, without_account
from ccbuild.runner import Timings
from ccbuild.storage import PARQUET, sha256_file
from ccbuild.text.page import page_text
from ccbuild.text.robots import header_robots, is_robots_txt
from ccbuild.warc.members import Limits
from ccbuild.warc.records import Reader, Record

TABLES = ("pages.parquet", "refused.parquet", "prints.parquet")


def page_of(record: Record, archive: str, recipe: Recipe) -> Document | Refused:
    """What becomes of a record."""
    url, known = without_account(record.url), (archive, record.offset, record.length)
    place = dict(zip(("archive", "offset", "length"), known, strict=True))
    if is_robots_txt(url):
        return Refused(url=url, reason="robots_txt", **place)  # type: ignore[arg-type]
    text = page_text(record.kind, record.status, record.content_type, record.payload, recipe.extract)
    if isinstance(text, str):
        return Refused(url=url, reason=text, **place)  # type: ignore[arg-type]
    robots = tuple(sorted({*text.robots, *header_robots(record.robots or "")}))
    kept = tuple(p for p in text.paragraphs if len(p) <= recipe.extract.max_paragraph_chars)
    reason = recipe.rights.refuses(url, robots) or (None if kept else "only_over_long_paragraphs")
    if reason:
        return Refused(url=url, reason=reason, **place)  # type: ignore[arg-type]
    facts = {"date": record.date, "digest": record.digest, "charset": text.charset, "truncated": record.truncated}
    return Document(url=url, robots=robots, paragraphs=kept, **facts, **place)  # type: ignore[arg-type]


def plain(archive: Path, out: Path, plan: Plan) -> int:
    """The pages of an archive, their prints and what is refused, by a loop that keeps no accounts; how many pages."""
    recipe, prints, refused = plan.run.recipe, list[Prints](), list[Refused]()
    pages, rows, characters, most = list[Document](), 0, 0, recipe.extract.max_payload_bytes
    with (
        archive.open("rb") as stream,
        pq.ParquetWriter(out / TABLES[0], PAGE_SCHEMA, **PARQUET) as writer,
        pq.ParquetWriter(out / TABLES[1], REFUSED_SCHEMA, **PARQUET) as aside,
    ):

        def flush() -> int:
            ids = np.arange(rows, rows + len(pages), dtype=np.uint64)
            if pages:
                prints.extend(sketch(pages, ids, plan.run, Timings()))
                writer.write_table(to_table(pages, PAGE_SCHEMA, doc_id=ids))
            if refused:
                aside.write_table(to_table(refused, REFUSED_SCHEMA))
            pages.clear()
            refused.clear()
            return len(ids)

        source = cast(BinaryIO, stream)
        for record in Reader(source, str(archive), Ledger(), Limits(), max_payload_bytes=most, damage=[]):
            page = page_of(record, archive.name, recipe)
            if isinstance(page, Document):
                pages.append(page)
                characters += page.characters
            else:
                refused.append(page)
            if len(pages) + len(refused) >= BATCH or characters >= BATCH_CHARACTERS:
                rows, characters = rows + flush(), 0
        rows += flush()
    made = scheme(recipe.dedup.signature, recipe.dedup.paragraphs)
    write_prints(out / TABLES[2], Prints.concatenate(prints), scheme=made)
    return rows


def verb(plan: Plan) -> None:
    inputs = plan.run.admit(plan.sources)
    run_verb(plan.run, "extract", in_process(), silent, plan.sources, inputs)


def tables(run: Run) -> list[Path]:
    """What the verb wrote, in the order of `TABLES`."""
    folders = run.folder("extract"), run.folder("refused"), run.folder("prints")
    return [folder / "part-00000.parquet" for folder in folders]


def compare(run: Run, out: Path) -> None:
    """Raise `ValueError` where the two ways wrote other bytes."""
    for name, path in zip(TABLES, tables(run), strict=True):
        if path.read_bytes() != (out / name).read_bytes():
            raise ValueError(f"{name}: the plain loop wrote other bytes than the verb in {path}")


def cut(sources: list[Path], target: Path, pages: int) -> None:
    """The first `pages` pages of archives, one behind the other, whose records are gzip members."""
    found = 0
    with target.open("wb") as out:
        for source in sources:
            left = memoryview(source.read_bytes())
            while left and found < pages:
                member = zlib.decompressobj(31)
                found += b"WARC-Type: response" in member.decompress(left, 400)
                member = zlib.decompressobj(31)
                member.decompress(left)
                out.write(left[: len(left) - len(member.unused_data)])
                left = left[len(left) - len(member.unused_data) :]


def measured(archive: Path, root: Path, number: int) -> tuple[int, float, float, float]:
    """(pages, CPU seconds of the plain loop, of the verb, of the verb's SHA-256 alone), in turns."""
    out, beside = root / f"run-{number}", root / "plain"
    plan = planned("cc100", str(archive), out, first="extract", until="extract")
    plan.run.note_settings(("extract",))
    beside.mkdir(exist_ok=True)
    seconds, rows = dict[str, float](), 0
    for name in ("plain", "verb") if number % 2 else ("verb", "plain"):
        start = time.process_time()
        if name == "plain":
            rows = plain(archive, beside, plan)
        else:
            verb(plan)
        seconds[name] = time.process_time() - start
    compare(plan.run, beside)
    start = time.process_time()
    for path in (archive, *tables(plan.run)):
        sha256_file(path)
    hashing = time.process_time() - start
    shutil.rmtree(out)
    return rows, seconds["plain"], seconds["verb"], hashing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of WARC files")
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="engine-"))
    archive = root / "a.warc.gz"
    cut(sorted(options.data.glob("*.warc.gz")), archive, options.pages)
    rounds = [measured(archive, root, number) for number in range(options.rounds + 1)][1:]  # the first compiles
    loop, whole, hashing = (statistics.median(column) for column in list(zip(*rounds, strict=True))[1:])
    shares = sorted(each[2] / each[1] - 1 for each in rounds)
    print(
        f"{rounds[0][0]:,} pages; plain loop {loop:.3f} CPU s ({loop / rounds[0][0] * 1e6:,.0f} µs a page), the verb "
        f"{whole:.3f}: median {statistics.median(shares):+.1%} ({shares[0]:+.1%} to {shares[-1]:+.1%}), of which "
        f"SHA-256 {hashing / loop:.1%}"
    )
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
