"""The article that a page states for machines, where its own markup lacks it: schema.org's `articleBody` in JSON-LD."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ccbuild.text.hostile import strip_tags

__all__ = ["article_body"]

_SCRIPT = re.compile(rb"<script\b[^>]{0,1000}application/ld\+json[^>]{0,1000}>(.*?)</script", re.DOTALL | re.IGNORECASE)
_LEAST = 200
"""Characters of an article that a page may lack."""
_MOST_SCRIPTS = 20
_MOST_NODES = 10_000


def article_body(page: bytes, text: str) -> str | None:
    r"""The longest `articleBody` of a page in UTF-8, if its main content, `text`, has less than half as much to read.

    >>> body = "The committee met. " * 12
    >>> page = '<script type="application/ld+json">{"@graph": [{"articleBody": "%s"}]}</script>' % body
    >>> article_body(page.encode(), "Menu") == body, article_body(page.encode(), body)
    (True, None)
    """
    if b'"articleBody"' not in page:
        return None
    found = ""
    for script in list(_SCRIPT.finditer(page))[:_MOST_SCRIPTS]:
        try:
            stated = json.loads(script[1].decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            continue
        found = max((found, *_bodies(stated)), key=len)
    if len(found) < _LEAST or len(text) * 2 >= len(found):
        return None
    return strip_tags(found.encode("utf-8", "replace"))


def _bodies(stated: Any) -> Iterator[str]:
    """Every `articleBody` in what a page states."""
    waiting, seen = [stated], 0
    while waiting and seen < _MOST_NODES:
        node, seen = waiting.pop(), seen + 1
        if isinstance(node, dict):
            if isinstance(body := node.get("articleBody"), str):
                yield body
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
