"""One record's payload to cleaned paragraphs, or the reason why not."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from resiliparse.extract.html2text import extract_plain_text

from ccbuild.config import setting
from ccbuild.errors import ConfigError
from ccbuild.text.blocks import parse
from ccbuild.text.characters import tidy
from ccbuild.text.charset import decode
from ccbuild.text.clean import ccnet_lines, paragraphs
from ccbuild.text.content import INDENT, Comments, main_text
from ccbuild.text.hostile import PageLimits, strip_tags, survey
from ccbuild.text.robots import meta_robots
from ccbuild.text.structured import article_body

__all__ = ["ExtractConfig", "PageText", "html_text", "page_text"]

_HTML = ("text/html", "application/xhtml+xml", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractConfig:
    """How a payload becomes paragraphs."""

    text: Literal["main", "all", "ccnet", "resiliparse", "trafilatura"] = "main"
    """`main`: prose and what stands in it, found block by block. `resiliparse`: Resiliparse's main content; it loses
    lists and keeps link lists. `trafilatura`: needs that package, and twenty times the time. `all`: every visible
    text, menus included, as WET files have it. `ccnet`: the same, and of a WET file the lines that cc_net takes."""
    characters: Literal["clean", "keep"] = setting("clean", before="keep")
    """`clean`: soft hyphens go, zero-width spaces and joiners where no script needs them, and letters are in Unicode's
    form C (NFC). `keep`: characters stay as the page has them, as CCNet takes them."""
    resources: Literal["drop", "keep"] = "drop"
    """`keep`: `resource` records that hold HTML, as warcit and browsertrix write them, are pages too."""
    comments: Comments = "drop"
    """What becomes of readers' comments under a page's content, with `text=main`: `drop`, `keep`, or `mark`, which
    begins each of their paragraphs with `> `. A page of little else, as of a forum, is its own content."""
    min_chars: int = 0
    """Fewest characters of a page before duplicates are sought; a shorter one is refused. CCNet: 300."""
    max_payload_bytes: int = 5 << 20
    """A longer body is cut here and the page marked as truncated. Common Crawl cuts at 1 MiB, since 2025 at 5."""
    max_lines: int = 500_000
    """A page with more is refused: each line takes some 80 bytes of memory beside its text."""
    max_paragraph_chars: int = 100_000
    """A longer paragraph is dropped: it is a data dump, and costs whatever meets it a long time."""
    limits: PageLimits = field(default_factory=PageLimits)
    """Counts above which no parser but our own, which `main` uses, is given a page; its tags are left out instead, and
    all its text stays."""

    def __post_init__(self) -> None:
        for name, value, least in (
            ("max_payload_bytes", self.max_payload_bytes, 1),
            ("max_lines", self.max_lines, 1),
            ("max_paragraph_chars", self.max_paragraph_chars, 1),
            ("min_chars", self.min_chars, 0),
        ):
            if value < least:
                raise ConfigError(f"extract.{name} is {value}; it takes {least} or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageText:
    """What a payload holds."""

    paragraphs: list[str]
    """Cleaned, in the order of the page; at least one. Only those of `ccnet` may be empty."""
    charset: str
    """The encoding that was used, as Python's codecs have it."""
    robots: tuple[str, ...] = ()
    """Directives of the page's `<meta name="robots">`, sorted, in lower case."""
    characters: Mapping[str, int] = field(default_factory=dict)
    """How many characters cleaning took away or wrote otherwise, by kind (:func:`ccbuild.text.characters.tidy`)."""
    unparsed: str | None = None
    """The limit that the page is over, so that no parser saw it: a field of `PageLimits`."""


def page_text(
    kind: str, status: int | None, content_type: str, payload: bytes, config: ExtractConfig | None = None
) -> PageText | str:
    """The text of a record, or the reason to drop it.

    `kind` is the WARC record type: a `conversion` holds plain text in UTF-8, a `response` HTML.

    >>> page_text("response", 200, "text/html", b"<p>The city grew<br>along the river.").paragraphs
    ['The city grew', 'along the river.']
    """
    config = config or ExtractConfig()
    if kind == "conversion":
        return _cleaned(payload.decode("utf-8", "replace"), "utf-8", config, ccnet=config.text == "ccnet")
    if status is not None and status != 200:
        return "http_status"
    mime = content_type.partition(";")[0].strip().lower()
    if mime not in _HTML and mime != "text/plain":
        return "not_html"
    if not payload or payload.isspace():
        return "empty_payload"
    html, charset = decode(payload, content_type)
    if mime == "text/plain":
        return _cleaned(html, charset, config)
    page = payload if charset == "utf-8" and payload[:1] != b"\xef" else html.encode("utf-8", "surrogatepass")
    if config.text == "main":
        del html  # as large as the page
        return _main_content(page, charset, config)
    facts = survey(page, config.limits)
    found = _cleaned(strip_tags(page) if facts.hostile else html_text(html, config.text), charset, config)
    if isinstance(found, str):
        return found
    robots = meta_robots(html) if facts.robots else ()
    return dataclasses.replace(found, robots=robots, unparsed=facts.hostile) if robots or facts.hostile else found


def _main_content(page: bytes, charset: str, config: ExtractConfig) -> PageText | str:
    """The main content of a page in UTF-8, or the reason to drop it."""
    parsed = parse(page)
    text = main_text(parsed, config.comments)
    body = article_body(page, text)
    if not text and not body and parsed.tags:
        return "no_prose"
    found = _cleaned(body or text, charset, config)
    if isinstance(found, str):
        return found
    if INDENT in text:
        found = dataclasses.replace(found, paragraphs=[line.replace(INDENT, " ") for line in found.paragraphs])
    robots = meta_robots(page.decode("utf-8", "replace")) if parsed.robots else ()
    return dataclasses.replace(found, robots=robots) if robots else found


def _cleaned(text: str, charset: str, config: ExtractConfig, *, ccnet: bool = False) -> PageText | str:
    """The paragraphs of a page, or the reason to drop it."""
    if text.count("\n") > config.max_lines:
        return "too_many_lines"
    lines = ccnet_lines(text) if ccnet else paragraphs(text)
    counts: Mapping[str, int] = {}
    if config.characters == "clean":
        lines, counts = tidy(lines)
        lines = lines if ccnet or not counts else paragraphs("\n".join(lines))
    if not any(lines):
        return "empty_text"
    if sum(map(len, lines)) + len(lines) - 1 < config.min_chars:
        return "short_page"
    return PageText(paragraphs=lines, charset=charset, characters=counts)


def html_text(html: str, text: Literal["all", "ccnet", "resiliparse", "trafilatura"]) -> str:
    """Text of a sound HTML page as another library gives it, a block a line, not yet cleaned."""
    if text == "trafilatura":
        return _trafilatura(html)
    whole: str = extract_plain_text(
        html, preserve_formatting=True, main_content=text == "resiliparse", list_bullets=False, alt_texts=False
    )
    return whole


def _trafilatura(html: str) -> str:
    try:
        extract = importlib.import_module("trafilatura").extract
    except ImportError as error:
        raise ConfigError(
            f"extract.text is trafilatura, and the package cannot be imported ({error}). "
            "Install it with `pip install trafilatura lxml_html_clean`, or set extract.text=main."
        ) from error
    found: str | None = extract(html, include_comments=False, include_tables=True)
    return found or ""
