"""What a payload is: the crawler's word before the server's, and its bytes before both."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ccbuild.ledger import Ledger
from ccbuild.records import Document
from ccbuild.runner import ArchiveReader
from ccbuild.text.page import ExtractConfig
from ccbuild.warc.mime import true_type
from tests.ccbuild.warc.test_records import record

PROSE = b"<p>The old harbour at the mouth of the river has been closed to large ships since the storm.</p>"
HTML = b"<!DOCTYPE html><html><body>" + PROSE + b"</body></html>"
JSON = b'{"harbour": "closed", "since": "the storm of last winter", "html": "<html><p>no page</p></html>"}'
PDF = b"%PDF-1.4\n1 0 obj <</Title (The harbour is closed)>> endobj"


@pytest.mark.parametrize(
    ("stated", "identified", "payload", "found"),
    [
        ("application/octet-stream", "text/html", HTML, "text/html"),
        ("image/png; charset=koi8-r", "text/html", PROSE, "text/html; charset=koi8-r"),
        ("", "text/html", PROSE, "text/html"),
        ("text/html; charset=utf-8", "application/pdf", PDF, "application/pdf; charset=utf-8"),
        ("text/html", "application/json", JSON, "application/json"),
        ("text/html", None, PDF, "application/pdf"),
        ("text/html", None, b"\n" + JSON, "application/json"),
        ("", None, JSON, "application/json"),
        ("text/html", "application/octet-stream", PDF, "application/pdf"),
        ("text/html", "application/octet-stream", PROSE, "text/html"),
        ("text/html", "text/x-php", b"\n<!-- cached --> <?xml version='1.0'?>\n" + HTML, "text/html"),
        ("text/html", None, b"[1] A footnote, and a page without a tag.", "text/html"),
        ("text/html", None, b"{" * 100_000, "text/html"),
        ("application/pdf", None, HTML, "application/pdf"),
        ("TEXT/HTML", "text/html", PROSE, "TEXT/HTML"),
    ],
)  # fmt: skip
def test_true_type(stated: str, identified: str | None, payload: bytes, found: str) -> None:
    assert true_type(stated, identified, payload) == found


def test_comments_without_end_take_no_time() -> None:
    assert true_type("text/html", "text/plain", b"<!---->" * 2000 + b"x") == "text/plain"


def outcomes(folder: Path, *records: bytes, **settings: str) -> tuple[list[str], dict[str, int]]:
    """(paragraphs or reason of each page, what the ledger dropped)."""
    path = folder / "a.warc.gz"
    path.write_bytes(b"".join(map(gzip.compress, records)))
    ledger = Ledger()
    config = ExtractConfig(text="all", **settings)  # type: ignore[arg-type]
    pages = list(ArchiveReader(str(path), path.name, config, ledger))
    ledger.close("a")
    said = [page.text if isinstance(page, Document) else page.reason for page in pages]
    return said, dict(ledger["records"].dropped)


def answer(mime: str, payload: bytes, identified: str = "", url: str = "") -> bytes:
    fields = [f"WARC-Identified-Payload-Type: {identified}"] if identified else []
    found = record(f"HTTP/1.1 200 OK\r\nContent-Type: {mime}\r\n\r\n".encode() + payload, *fields)
    return found.replace(b"http://example.org/r", url.encode()) if url else found


def test_a_page_by_its_true_type(tmp_path: Path) -> None:
    kept, dropped = outcomes(
        tmp_path,
        answer("application/octet-stream", HTML, "text/html"),
        answer("text/html", JSON, "application/json"),
        answer("text/html", PDF, "application/pdf"),
        answer("text/html; charset=utf-8", JSON),
    )
    assert kept == [PROSE[3:-4].decode(), "not_html", "not_html", "not_html"]
    assert dropped == {"not_html": 3}


def test_a_robots_txt_is_no_page(tmp_path: Path) -> None:
    kept, dropped = outcomes(
        tmp_path,
        answer("text/plain", b"User-agent: *\nDisallow: /private", url="https://example.org/robots.txt"),
        answer("text/html", HTML, url="http://example.org:8080/robots.txt?x=1"),
        answer("text/html", HTML, url="http://example.org/about/robots.txt"),
    )
    assert kept == ["robots_txt", "robots_txt", PROSE[3:-4].decode()]
    assert dropped == {"robots_txt": 2}


def resource(mime: str, payload: bytes, *fields: str) -> bytes:
    found = record(payload, f"Content-Type: {mime}", *fields)
    return found.replace(b"WARC-Type: response", b"WARC-Type: resource")


RESOURCES = (
    resource("text/html; charset=utf-8", PROSE),
    resource("image/png", b"\x89PNG\r\n\x1a\n"),
    resource("text/plain", b"Text that a browser took from a page."),
    resource("application/octet-stream", PROSE, "WARC-Identified-Payload-Type: text/html"),
    resource("text/html", JSON),
)


def test_resources_that_are_html_are_pages_by_choice(tmp_path: Path) -> None:
    assert outcomes(tmp_path, *RESOURCES) == ([], {"record:resource": 5})
    kept, dropped = outcomes(tmp_path, *RESOURCES, resources="keep")
    assert (kept, dropped) == ([PROSE[3:-4].decode()] * 2, {"record:resource": 3})
    together = outcomes(tmp_path, b"".join(RESOURCES), resources="keep")
    assert together == (kept, dropped)
