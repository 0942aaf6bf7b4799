"""A folder as the examples of the documentation find it: a crawl of two pages, a finished run, its models."""

from __future__ import annotations

import gzip
from pathlib import Path

__all__ = ["ARTICLES", "example_folder", "page_record", "write_archive"]

ARTICLES = (
    (
        "The river rose for three days before anyone in the valley thought of leaving their houses behind.",
        "On the fourth morning the bridge was gone, and with it the only road that led to the market town.",
        "People carried what they could to the old mill, where the miller had already lit a fire for them.",
    ),
    (
        "A good map says as much about the people who drew it as about the land that it claims to show.",
        "Mountains were guessed from the stories of traders, and rivers from the silence between two towns.",
        "Only much later did anyone walk the whole length of the coast with a chain and a notebook in hand.",
    ),
)
"""Paragraphs of each page."""


def page_record(number: int, paragraphs: tuple[str, ...]) -> bytes:
    """A gzip member with one response."""
    body = "<html><body><article>" + "".join(f"<p>{text}</p>" for text in paragraphs) + "</article></body></html>"
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body.encode()
    header = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://example.com/{number}\r\n"
        f"WARC-Date: 2026-01-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(http)}\r\n\r\n"
    )
    return gzip.compress(header.encode() + http + b"\r\n\r\n", mtime=0)


def write_archive(path: Path, pages: tuple[tuple[str, ...], ...] = ARTICLES) -> Path:
    """A WARC file of `pages`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(page_record(number, page) for number, page in enumerate(pages)))
    return path


def example_folder(folder: Path, run: Path) -> Path:
    """`folder` with ``crawl/``, ``runs/small`` and ``models`` in it."""
    write_archive(folder / "crawl" / "a.warc.gz")
    (folder / "runs").mkdir()
    (folder / "runs" / "small").symlink_to(run)
    (folder / "models").symlink_to(next(run.glob("0-*")))
    return folder
