"""What a payload is: by what the crawler identified, by its first bytes, and only then by what the server said.

``WARC-Identified-Payload-Type`` is what a crawler found by looking (Common Crawl: Apache Tika). Servers send pages as
``application/octet-stream``, and PDF and JSON as ``text/html``.
"""

from __future__ import annotations

import json
import re

__all__ = ["is_html", "true_type"]

_HTML = frozenset({"text/html", "application/xhtml+xml"})
_NOT_KNOWN = frozenset({"", "application/octet-stream", "application/x-unknown", "unknown/unknown"})
"""What an identifier says that found nothing."""
_BEGINS_AS_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s{0,1024}(?>(?:<!--.{0,4096}?-->|<\?xml[^>]{0,512}>)\s{0,1024}){0,8}+"
    rb"<(?:!doctype html|html)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_MAGIC = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"PK\x03\x04", "application/zip"),
)
"""WHATWG's MIME Sniffing standard, section 6, as far as pages are concerned."""

_MOST_JSON = 1 << 20
"""Bytes up to which JSON is read to know it: it takes twenty times as many in memory."""


def is_html(content_type: str) -> bool:
    """Whether a Content-Type is that of HTML."""
    return _mime(content_type) in _HTML


def true_type(content_type: str, identified: str | None, payload: bytes) -> str:
    """`content_type` with the type that the payload really has; its parameters, such as the charset, stay.

    Bytes that begin as HTML are HTML; otherwise the type `identified` counts, then PDF, images and JSON by their bytes,
    where the server said that they were HTML or nothing.

    >>> true_type("application/octet-stream; charset=utf-8", "text/html", b"<p>The old harbour")
    'text/html; charset=utf-8'
    >>> true_type("text/html", None, b'{"harbour": "closed"}')
    'application/json'
    """
    if identified is None and payload.startswith(b"<"):  # the most of pages: nothing that is known here begins so
        return content_type
    stated, found = _mime(content_type), _mime(identified or "")
    if found in _NOT_KNOWN:
        found = (_by_bytes(payload) or stated) if stated in _HTML or not stated else stated
    if found == stated or (stated in _HTML and _BEGINS_AS_HTML.match(payload)):
        return content_type
    _, semicolon, parameters = content_type.partition(";")
    return found + semicolon + parameters


def _mime(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _by_bytes(payload: bytes) -> str | None:
    """The type of what is surely no HTML; None for everything else."""
    for magic, mime in _MAGIC:
        if payload.startswith(magic):
            return mime
    return "application/json" if payload.lstrip()[:1] in (b"{", b"[") and _is_json(payload) else None


def _is_json(payload: bytes) -> bool:
    try:
        return len(payload) <= _MOST_JSON and isinstance(json.loads(payload), dict | list)
    except (ValueError, RecursionError):
        return False
