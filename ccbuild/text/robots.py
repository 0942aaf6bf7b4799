"""What a page asks of crawlers and of those who train models: `<meta name="robots">`, `X-Robots-Tag`, TDM reservation.

The directives are those of the Robots Exclusion Protocol's page level (`noindex`, `nofollow`, `none` …) and the ones in
use against training (`noai`, `noimageai`, `noml`). They are returned as they are written, in lower case; what follows
from them is for the caller to decide. A page whose rights to text and data mining are reserved by the W3C's TDM
Reservation Protocol (`tdm-reservation: 1`, in the header or a `<meta>`) has the directive `tdm-reservation`.
"""

from __future__ import annotations

import html as html_entities
import re

__all__ = ["AGENTS", "header_robots", "is_robots_txt", "meta_robots"]

AGENTS = frozenset({"ccbot"})
"""Crawlers whose own directives hold for a corpus made from Common Crawl, beside those for all."""

_META = re.compile(r"<meta\b((?:[^<>\"']|\"[^\"]{0,4096}\"|'[^']{0,4096}')*)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([a-z-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_VALUED = ("max-snippet", "max-image-preview", "max-video-preview", "unavailable_after")
_HEAD = 200_000
"""Characters of a page that are searched: the head of it."""


def meta_robots(html: str) -> tuple[str, ...]:
    """Directives of a page's `<meta name="robots">`, of those named after a crawler in `AGENTS`, and of
    `<meta name="tdm-reservation">`, sorted.

    >>> meta_robots('<meta name=CCBot content="NoAI, noindex"><meta name="googlebot" content="nosnippet">')
    ('noai', 'noindex')
    """
    found: set[str] = set()
    for tag in _META.finditer(_COMMENT.sub("", html[:_HEAD])):
        attributes = {m[1].lower(): m[2] or m[3] or m[4] or "" for m in _ATTRIBUTE.finditer(tag[1])}
        name = attributes.get("name", "").strip().lower()
        if name == "robots" or name in AGENTS:
            found |= _directives(html_entities.unescape(attributes.get("content", "")))
        elif name == "tdm-reservation" and attributes.get("content", "").strip() == "1":
            found.add(name)
    return tuple(sorted(found))


def header_robots(value: str) -> tuple[str, ...]:
    """Directives of `X-Robots-Tag` headers that hold for all crawlers or for one in `AGENTS`, sorted.

    `value` holds a header a line, and each is a rule of its own. Within it a crawler's name holds up to the next one;
    as `,` also parts directives, those that precede any name hold for all.

    >>> header_robots("noindex, googlebot: nosnippet, noarchive, ccbot: noai, unavailable_after: 25 Jun 2030 15:00:00")
    ('noai', 'noindex', 'unavailable_after: 25 jun 2030 15:00:00')
    """
    found: set[str] = set()
    for header in value.split("\n"):
        ours = True
        for part in header.split(","):
            agent, colon, rest = part.strip().lower().partition(":")
            if colon and agent.strip() not in _VALUED:
                ours = agent.strip() in AGENTS | {"*", "robots"}
                part = rest
            if ours:
                found |= _directives(part)
    return tuple(sorted(found))


def is_robots_txt(url: str) -> bool:
    """Whether `url` is that of a host's robots.txt, which is no page (RFC 9309, section 2.3).

    >>> is_robots_txt("https://example.org/robots.txt"), is_robots_txt("https://example.org/about/robots.txt")
    (True, False)
    """
    place = url.partition("://")[2]
    return "/robots.txt" in url and place[place.find("/") :].partition("?")[0].partition("#")[0] == "/robots.txt"


def _directives(text: str) -> set[str]:
    return {" ".join(part.split()) for part in text.lower().split(",") if part.strip()}
