"""Seeded downloads from a server that fails in every way there is: no wrong byte, and every failure a clear error.

    python tests/fuzz/fetch_faults.py -n 500 --seed 7

Each download is of one kind (a file to disk, a file as a stream, a range, a seekable file) and meets faults
drawn for it. Where only faults came that pass, it must succeed; otherwise it may fail, by a `NetworkError`
that names the URL. A file may be replaced while it is read: then either is right, and no mixture is.
"""

from __future__ import annotations

import argparse
import gzip
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ccbuild.crawl.body import Body, RangeFile
from ccbuild.crawl.config import CrawlConfig
from ccbuild.crawl.fetch import fetch_file, open_archive
from ccbuild.crawl.http import Client
from ccbuild.errors import NetworkError
from tests.ccbuild.crawl.server import FakeClock, Site, serving

MENDABLE = ("503", "503-date", "429", "500", "reset", "short", "redirect-on", "garbage", "chunked-cut")
ONCE = ("403", "ignored", "xml", "lying-length", "no-place", "other-place")
"""Faults that are forgiven a few times only: at most two of them come in a download that must succeed."""
FATAL = ("redirect-off", "no-length", "404", "changed", "changed", "changed")
KINDS = ("disk", "stream", "spool", "range", "seek")


def faults_of(rng: random.Random) -> tuple[list[str], bool]:
    """(faults in the order of the answers, whether the download must succeed)."""
    plan = [rng.choice(MENDABLE) for _ in range(rng.choice((0, 1, 1, 2, 3, 5)))]
    if rng.random() < 0.5:
        plan.insert(rng.randrange(len(plan) + 1), rng.choice(ONCE))
    must = True
    if rng.random() < 0.35:
        plan.insert(rng.randrange(len(plan) + 1), rng.choice(FATAL))
        must = False
    if rng.random() < 0.15:
        plan, must = [rng.choice(MENDABLE + ONCE), "forever"], False
    return plan, must


def content_of(rng: random.Random, name: str) -> bytes:
    size = rng.choice((1, 50, 700, 20_000, 200_000))
    content = rng.randbytes(size)
    return gzip.compress(content, mtime=0) if name.endswith(".gz") else b"\1" + content


def download(client: Client, url: str, kind: str, span: tuple[int, int], folder: Path) -> bytes:
    """The bytes that arrive."""
    start, stop = span
    if kind == "disk":
        return fetch_file(client, url, folder / "file").path.read_bytes()
    if kind == "spool":
        with open_archive(client, url) as spooled:
            return spooled.read()
    if kind == "stream":
        with Body(client, url) as body:
            return body.read(1 << 30) + body.readall()
    if kind == "range":
        with Body(client, url, start, stop) as body:
            return body.readall()
    with RangeFile(client, url) as file:
        file.seek(start)
        return file.read(stop - start) or b""


def campaign(count: int, seed: int, folder: Path) -> Counter[str]:
    """Outcomes of `count` downloads. Raises AssertionError for wrong bytes, an unclear error or a needless failure."""
    outcomes: Counter[str] = Counter()
    with serving(Site({})) as site:
        for number in range(count):
            rng = random.Random(f"{seed}:{number}")
            outcomes[one(site, rng, number, folder / str(number))] += 1
    return outcomes


def one(site: Site, rng: random.Random, number: int, folder: Path) -> str:
    kind = rng.choice(KINDS)
    path = f"/crawl-data/{number}" + rng.choice((".warc.gz", ".bin"))
    first, second = content_of(rng, path), content_of(rng, path)
    if rng.random() < 0.5:  # a replacement that only its ETag gives away
        second = first[:20] + bytes(byte ^ 255 for byte in first[20:])
    site.files[path], site.later[path] = first, second
    if rng.random() < 0.5:
        site.no_condition.add(path)
    site.faults[path], must = faults_of(rng)
    plan = list(site.faults[path])
    if rng.random() < 0.1:
        site.no_validator.add(path)
        must = False
    start = rng.randrange(len(first))
    span = start, rng.randrange(start, len(first)) + 1
    config = CrawlConfig(budget=str(folder / "budget"), file_attempts=20, range_attempts=12)
    client = Client(config, clock=FakeClock(), proxies={})
    where = f"download {number} ({kind}, {plan})"
    try:
        got = download(client, site.url + path, kind, span, folder)
    except NetworkError as error:
        said = str(error)
        assert path in said, f"{where}: the error does not say where: {said}"
        assert said.count(". ") or said.endswith("."), f"{where}: the error does not say what next: {said}"
        assert not (folder / "file").exists(), f"{where}: half a file has the name of a whole one"
        assert not must, f"{where}: it should have been patient: {said}"
        return "clear error"
    finally:
        site.faults.pop(path, None)
    whole = kind in ("disk", "stream", "spool")
    right = [content if whole else content[slice(*span)] for content in (first, second)]
    assert got == right[0] or ("changed" in plan and got == right[1]), f"{where}: {len(got):,} WRONG bytes"
    return "right after faults" if plan else "right"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = campaign(options.n, options.seed, Path(folder))
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:>6} {outcome}")
    print(f"{sum(outcomes.values()):>6} downloads, 0 wrong bytes, 0 unclear errors")


if __name__ == "__main__":
    main()
