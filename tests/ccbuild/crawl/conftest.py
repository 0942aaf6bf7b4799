"""A server on loopback, a client whose clock stands still until it sleeps, a small snapshot with its index."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ccbuild.crawl.config import CrawlConfig
from ccbuild.crawl.http import Client
from tests.ccbuild.crawl.server import FakeClock, Site, serving

SNAPSHOT = "CC-MAIN-2024-22"
TAGS = ("eng", "eng,swa", "swa", "hau", "fra,eng,swa", None, "swahili", "eng")


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site({})) as made:
        yield made


@pytest.fixture
def make_client(tmp_path: Path) -> Callable[..., Client]:
    """A client with its own budget and clock; keywords are settings."""

    def make(**settings: Any) -> Client:
        settings.setdefault("budget", str(tmp_path / "budget"))
        return Client(CrawlConfig(**settings), clock=FakeClock(), proxies={})

    return make


@dataclass
class Crawl:
    """A snapshot on a server: which record lies where, and in which languages."""

    site: Site
    rows: list[dict[str, Any]]
    contents: dict[str, bytes]


def page(number: int, body: bytes) -> bytes:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>" + body + b"</p>"
    return (
        (
            f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://h{number % 5}.test/{number}\r\n"
            f"WARC-Date: 2024-05-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n"
            f"Content-Length: {len(http)}\r\n\r\n"
        ).encode()
        + http
        + b"\r\n\r\n"
    )


def parquet(rows: list[dict[str, Any]], group: int) -> bytes:
    """A file of the index, in Common Crawl's types (32-bit offsets) and with a column that nobody wants."""
    schema = pa.schema(
        [
            ("url", pa.string()),
            ("content_digest", pa.string()),
            ("content_languages", pa.string()),
            ("warc_filename", pa.string()),
            ("warc_record_offset", pa.int32()),
            ("warc_record_length", pa.int32()),
        ]
    )
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), sink, row_group_size=group, compression="gzip")
    return sink.getvalue()


@pytest.fixture
def crawl(site: Site) -> Crawl:
    """Three archives of 40 records and an index of two files, served as Common Crawl serves them."""
    rng = random.Random(5)
    rows: list[dict[str, Any]] = []
    contents = {}
    for archive in range(3):
        path, members, offset = f"crawl-data/{SNAPSHOT}/segments/1/warc/a-{archive}.warc.gz", [], 0
        for _ in range(40):
            body = bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz ", k=rng.randrange(10, 3000)))
            member = gzip.compress(page(len(rows), body), mtime=0)
            rows.append(
                {
                    "url": f"https://h{len(rows) % 5}.test/{len(rows)}",
                    "content_digest": rng.randbytes(6000).hex(),
                    "content_languages": TAGS[rng.randrange(len(TAGS))],
                    "warc_filename": path,
                    "warc_record_offset": offset,
                    "warc_record_length": len(member),
                }
            )
            members.append(member)
            offset += len(member)
        contents[path] = b"".join(members)
        site.files["/" + path] = contents[path]
    rng.shuffle(rows)
    folder = f"cc-index/table/cc-main/warc/crawl={SNAPSHOT}"
    files = [f"{folder}/subset=warc/part-{n}.gz.parquet" for n in range(2)] + [
        f"{folder}/subset=robotstxt/p.gz.parquet"
    ]
    for file, part in zip(files, (rows[:70], rows[70:], rows[:1]), strict=True):
        site.files["/" + file] = parquet(part, 16)
    wet = [f"crawl-data/{SNAPSHOT}/segments/1/wet/a-{n}.warc.wet.gz" for n in range(3)]
    site.files.update({"/" + path: gzip.compress(random.Random(path).randbytes(5000), mtime=0) for path in wet})
    lists = {"cc-index-table": files, "warc": list(contents), "wet": wet}
    for kind, paths in lists.items():
        site.files[f"/crawl-data/{SNAPSHOT}/{kind}.paths.gz"] = gzip.compress("\n".join(paths).encode(), mtime=0)
    listed = [{"id": SNAPSHOT, "name": "May 2024 Index"}, {"id": "CC-MAIN-2018-30", "name": "July 2018 Index"}]
    site.files["/collinfo.json"] = json.dumps(listed).encode()
    return Crawl(site, rows, contents)
