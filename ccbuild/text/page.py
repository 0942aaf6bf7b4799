"""One record's payload to cleaned paragraphs, or the reason why not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from resiliparse.extract.html2text import extract_plain_text

from ccbuild.text.charset import decode
from ccbuild.text.clean import paragraphs

__all__ = ["ExtractConfig", "html_cost", "html_paragraphs", "page_paragraphs"]

_HTML = ("text/html", "application/xhtml+xml", "")
_OPEN_FORMATTING = frozenset("a b big code em font i nobr s small strike strong tt u".split())
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_IMPLIED_END = frozenset("p li dt dd option optgroup tr td th thead tbody tfoot rb rt rp body html head".split())
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,15})[^<>]*?(/?)>")
_CHEAP_TAGS = 2_000
"""Fewer tags than this cost Resiliparse a third of a second at worst, so they are not counted: it is the rare page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractConfig:
    """How a payload becomes paragraphs."""

    text: Literal["main", "all"] = "main"
    """`main`: Resiliparse's main content. `all`: every visible text, menus included, as WET files have it."""
    max_payload_bytes: int = 16 << 20
    """A longer body is cut here and the page marked as truncated."""
    max_paragraph_chars: int = 100_000
    """A longer paragraph is dropped: it is a data dump, and costs whatever meets it a long time."""
    max_depth: int = 1_000
    """Deepest nesting of elements; a deeper page is quarantined. 100,000 nested divs cost Resiliparse 90 s."""
    max_open_formatting: int = 200
    """Most formatting elements open at once; 40 KB of nested <b><i> cost 12 s."""


def page_paragraphs(
    kind: str, status: int | None, content_type: str, payload: bytes, config: ExtractConfig
) -> tuple[list[str], str] | str:
    """(paragraphs, encoding), or the reason to drop; a reason that starts with ``quarantine:`` is a fault of the bytes.

    `kind` is the WARC record type: a `conversion` holds plain text in UTF-8, a `response` HTML.
    """
    if kind == "conversion":
        found = paragraphs(payload.decode("utf-8", "replace"))
        return (found, "utf-8") if found else "empty_text"
    if status is not None and status != 200:
        return "http_status"
    mime = content_type.partition(";")[0].strip().lower()
    if mime not in _HTML and mime != "text/plain":
        return "not_html"
    if not payload.strip():
        return "empty_payload"
    html, charset = decode(payload, content_type)
    if mime == "text/plain":
        found = paragraphs(html)
    else:
        depth, formatting = html_cost(html)
        if formatting > config.max_open_formatting:
            return "quarantine:html_formatting_too_deep"
        if depth > config.max_depth:
            return "quarantine:html_too_deep"
        found = html_paragraphs(html, config)
    return (found, charset) if found else "empty_text"


def html_paragraphs(html: str, config: ExtractConfig) -> list[str]:
    """Cleaned paragraphs of an HTML page."""
    text = extract_plain_text(
        html,
        preserve_formatting=True,
        main_content=config.text == "main",
        list_bullets=False,
        alt_texts=False,
        links=False,
        form_fields=False,
        noscript=False,
    )
    return paragraphs(text)


def html_cost(html: str) -> tuple[int, int]:
    """(deepest nesting, most formatting elements open at once): what makes a parser slow, from counts alone.

    An upper bound for sound pages: end tags that HTML lets an author omit are not counted as open.

    >>> html_cost("<div>" * 1500 + "<br>" * 600)
    (1500, 0)
    """
    if html.count("<") < _CHEAP_TAGS:
        return 0, 0
    depth = deepest = formatting = most = 0
    for close, name, empty in _TAG.findall(html):
        name = name.lower()
        if empty or name in _VOID or name in _IMPLIED_END:
            continue
        step = -1 if close else 1
        depth = max(depth + step, 0)
        deepest = max(deepest, depth)
        if name in _OPEN_FORMATTING:
            formatting = max(formatting + step, 0)
            most = max(most, formatting)
    return deepest, most
