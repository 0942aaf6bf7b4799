"""What flows through the house: pages, documents, drops, and their Arrow schemas.

Columns that others may rely on. A page's text is its paragraphs joined by one newline; a paragraph
never holds a newline. Every page has an address, `doc_id`, that everything joins on.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

__all__ = [
    "DOCUMENT_SCHEMA",
    "DROPPED_SCHEMA",
    "DUPLICATE_SCHEMA",
    "PAGE_SCHEMA",
    "REFUSED_SCHEMA",
    "ROW_BITS",
    "Document",
    "Dropped",
    "Page",
    "Refused",
    "address",
    "doc_id",
]

ROW_BITS = 32
"""Bits of a `doc_id` that number the row in its shard."""


def doc_id(shard: int, row: int) -> int:
    """The address of row `row` of shard `shard`: ``shard << 32 | row``."""
    return shard << ROW_BITS | row


def address(identifier: int) -> tuple[int, int]:
    """(shard, row) of a `doc_id`.

    >>> address(doc_id(42, 7))
    (42, 7)
    """
    return identifier >> ROW_BITS, identifier & (1 << ROW_BITS) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page that was read from an archive: cleaned paragraphs and where they came from."""

    url: str
    archive: str
    """Name of the archive, as the run's table of inputs has it."""
    offset: int
    """Byte offset of the record's gzip member in the archive (of the record itself when not compressed)."""
    length: int | None
    """Bytes from `offset` that hold the record; None when one member holds very many records."""
    date: str
    """``WARC-Date``, as the archive states it."""
    digest: str | None
    """``WARC-Payload-Digest``."""
    charset: str
    """The encoding that was used to decode, as Python's codecs name it."""
    truncated: str | None
    """``WARC-Truncated``: why the crawler cut the payload short; None when it did not."""
    robots: tuple[str, ...]
    """Directives of `<meta name="robots">` and `X-Robots-Tag`, sorted: what the page asks of crawlers."""
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A page that was read and not kept; it has no `doc_id`."""

    url: str
    archive: str
    offset: int
    length: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A page on its way through the stages of `refine`."""

    doc_id: int
    url: str
    archive: str
    offset: int
    length: int | None
    date: str
    digest: str | None
    paragraphs: tuple[str, ...]
    lang: str | None = None
    lang_score: float | None = None
    """Between 0 and 1, as the identifier gives it."""
    perplexity: float | None = None
    """10 ** (-log10 probability / pieces); None where the language has no model."""
    pieces: int | None = None
    """Length in SentencePiece pieces of the perplexity model, ends of sentence included."""

    @property
    def text(self) -> str:
        """Paragraphs joined by one newline."""
        return "\n".join(self.paragraphs)

    @property
    def characters(self) -> int:
        """Code points of `text`."""
        return sum(map(len, self.paragraphs)) + max(len(self.paragraphs) - 1, 0)


@dataclass(frozen=True, slots=True)
class Dropped:
    """The answer of a stage that does not keep a document."""

    reason: str


_SOURCE = [
    ("url", pa.string()),
    ("archive", pa.string()),
    ("offset", pa.int64()),
    ("length", pa.int64()),
]

PAGE_SCHEMA = pa.schema(
    [
        ("doc_id", pa.uint64()),
        *_SOURCE,
        ("date", pa.string()),
        ("digest", pa.string()),
        ("charset", pa.string()),
        ("truncated", pa.string()),
        ("robots", pa.list_(pa.string())),
        ("text", pa.string()),
    ]
)
"""`1-pages/part-*.parquet`: a row a page, in the order of the archive."""

REFUSED_SCHEMA = pa.schema([*_SOURCE, ("reason", pa.string())])
"""`1-pages/part-*.refused.parquet`: pages that were read and not kept."""

DUPLICATE_SCHEMA = pa.schema(
    [
        ("doc_id", pa.uint64()),
        ("paragraph", pa.int32()),
        ("partner", pa.uint64()),
        ("partner_paragraph", pa.int32()),
        ("similarity", pa.float32()),
        ("kind", pa.string()),
    ]
)
"""`3-duplicates/part-*.parquet`: what the shard must drop; `paragraph` null means the whole document."""

DOCUMENT_SCHEMA = pa.schema(
    [
        ("doc_id", pa.uint64()),
        *_SOURCE,
        ("date", pa.string()),
        ("digest", pa.string()),
        ("lang", pa.string()),
        ("lang_score", pa.float32()),
        ("perplexity", pa.float64()),
        ("pieces", pa.int32()),
        ("text", pa.string()),
    ]
)
"""`4-documents/part-*.parquet`: kept documents, sorted by language, then by address."""

DROPPED_SCHEMA = pa.schema(
    [
        ("doc_id", pa.uint64()),
        ("url", pa.string()),
        ("reason", pa.string()),
        ("lang", pa.string()),
        ("lang_score", pa.float32()),
        ("perplexity", pa.float64()),
        ("partner", pa.uint64()),
        ("similarity", pa.float32()),
    ]
)
"""`4-documents/part-*.dropped.parquet`: every drop with its reason; its text stands in `1-pages`."""
