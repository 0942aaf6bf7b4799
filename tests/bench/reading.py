"""Reading, pages per CPU-second on one core: ours beside FastWARC alone, on sound and on damaged archives, on WET, and
on to the text of each page.

    python tests/bench/reading.py --data DIR [--parts 4] [--reps 5] [--only "WARC to text"]

DATA holds *.warc.gz and *.warc.wet.gz. The cases run in turn, in this process, pinned to one core.
FastWARC alone: `ArchiveIterator` over the wanted type, HTTP headers parsed, payload read; it neither
accounts for bytes nor gives URL, date or digest. Ours gives all of these. The damaged archives have 10 or
1,000 flipped bytes each, evenly spread; FastWARC stops at the first, so that only ours is timed on them.
cc_net's WET parser ran 7,166 records per CPU-second on a like machine. WARC to text: ours gives the cleaned paragraphs
of the main content (`extract.text=main`, with the charset and the account); its peer is the bare loop of
FastWARC and Resiliparse's main content with dolma's options, the declared charset else a detected one. Nothing is
asserted.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from ccbuild.ledger import Ledger
from ccbuild.text.page import ExtractConfig, page_text
from ccbuild.warc.records import Reader

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
Case = Callable[[], tuple[int, int]]


def ours(paths: list[Path], flips: int = 0) -> Case:
    """A case that gives (pages, bytes of payload) read by ccbuild; with `flips`, from damaged copies in memory."""
    copies = [damaged(path, flips) for path in paths] if flips else []

    def run() -> tuple[int, int]:
        pages = nbytes = 0
        for index, path in enumerate(paths):
            with BytesIO(copies[index]) if flips else open(path, "rb") as stream:
                for record in Reader(stream, path.name, Ledger()):
                    pages += 1
                    nbytes += len(record.payload)
        return pages, nbytes

    return run


def fastwarc(paths: list[Path], kind: WarcRecordType) -> Case:
    """The same, read by FastWARC."""

    def run() -> tuple[int, int]:
        pages = nbytes = 0
        for path in paths:
            with open(path, "rb") as stream:
                for record in ArchiveIterator(stream, record_types=kind, parse_http=kind == WarcRecordType.response):
                    pages += 1
                    nbytes += len(record.reader.read())
        return pages, nbytes

    return run


def our_text(paths: list[Path]) -> Case:
    """A case that gives (pages, characters) of the cleaned paragraphs of main content."""
    config = ExtractConfig()

    def run() -> tuple[int, int]:
        pages = size = 0
        for path in paths:
            with open(path, "rb") as stream:
                for page in Reader(stream, path.name, Ledger()):
                    pages += 1
                    text = page_text(page.kind, page.status, page.content_type, page.payload, config)
                    size += 0 if isinstance(text, str) else sum(map(len, text.paragraphs))
        return pages, size

    return run


def bare_text(paths: list[Path]) -> Case:
    """The same of a bare loop: every response decoded and given to Resiliparse, nothing cleaned."""

    def decoded(body: bytes, charset: str | None) -> str:
        try:
            return body.decode(charset or "utf-8")
        except (UnicodeDecodeError, LookupError):
            return bytes_to_str(body, detect_encoding(body))

    def run() -> tuple[int, int]:
        pages = size = 0
        for path in paths:
            with open(path, "rb") as stream:
                for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                    pages += 1
                    html = decoded(record.reader.read(), record.http_charset)
                    size += len(
                        extract_plain_text(
                            html,
                            main_content=True,
                            preserve_formatting=True,
                            list_bullets=True,
                            alt_texts=False,
                            links=False,
                            form_fields=False,
                            noscript=False,
                            comments=True,
                        )
                    )
        return pages, size

    return run


def damaged(path: Path, flips: int) -> bytes:
    """The archive with `flips` bytes changed, evenly spread."""
    content = bytearray(path.read_bytes())
    for number in range(flips):
        content[(2 * number + 1) * len(content) // (2 * flips)] ^= 0xFF
    return bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "web")
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--only", default="", help="begin of the names of the cases to run, as in `WARC to text`")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    warcs = sorted(options.data.glob("*.warc.gz"))[: options.parts]
    wets = sorted(options.data.glob("*.warc.wet.gz"))[: options.parts]
    cases = {
        "WARC, FastWARC alone": fastwarc(warcs, WarcRecordType.response),
        "WARC, ccbuild": ours(warcs),
        "WET, FastWARC alone": fastwarc(wets, WarcRecordType.conversion),
        "WET, ccbuild": ours(wets),
        "WARC with 10 flipped bytes, ccbuild": ours(warcs, flips=10),
        "WARC with 1,000 flipped bytes, ccbuild": ours(warcs, flips=1000),
        "WARC to text, FastWARC + Resiliparse": bare_text(warcs),
        "WARC to text, ccbuild": our_text(warcs),
    }
    cases = {name: run for name, run in cases.items() if name.startswith(options.only)}
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    read: dict[str, tuple[int, int]] = {name: run() for name, run in cases.items()}
    for _ in range(options.reps):
        for name, run in cases.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    print(f"Python {platform.python_version()}, {platform.machine()}, FastWARC {version('fastwarc')}, one core,")
    print(f"{len(warcs)} WARC and {len(wets)} WET files, median of {options.reps}; spread is (max - min) / median\n")
    print("| case | pages | MB of payload | µs a page | pages per CPU-second | spread | times the peer |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, (pages, nbytes) in read.items():
        median = statistics.median(seconds[name])
        peer = next(
            c for c in cases if "FastWARC" in c and c.partition(",")[0] == name.partition(",")[0].split(" with")[0]
        )
        ratio = statistics.median(seconds[peer]) / read[peer][0] * pages / median
        spread = (max(seconds[name]) - min(seconds[name])) / median
        print(
            f"| {name} | {pages} | {nbytes / 1e6:.1f} | {median / pages * 1e6:.1f} | {pages / median:,.0f} "
            f"| {spread:.0%} | {ratio:.2f} |"
        )
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB (damaged copies included)")


if __name__ == "__main__":
    main()
