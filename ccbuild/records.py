"""What flows through the house: documents, drops, and their Arrow schemas.

Columns that others may rely on. A document's text is its paragraphs joined by one newline; a paragraph
never holds a newline. Every stored document has an address, `doc_id`, that everything joins on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

__all__ = [
    "DOCUMENT_SCHEMA",
    "DROPPED_SCHEMA",
    "DUPLICATE_SCHEMA",
    "PAGE_SCHEMA",
    "REFUSED_SCHEMA",
    "ROW_BITS",
    "Document",
    "Dropped",
    "Refused",
    "address",
    "doc_id",
    "from_table",
    "to_table",
    "without_account",
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


_ACCOUNT = re.compile(r"^([^:/?#]+://)[^/?#\\]*@|(://)[^/?#\\&=;@\s]+:[^/?#\\&=;@\s]*@")


def without_account(url: str) -> str:
    """`url` without ``user:password@``, neither its own nor that of a URL within it: nobody meant to publish these.

    >>> without_account("https://ann:secret@example.com/a?mail=b@c")
    'https://example.com/a?mail=b@c'
    """
    return _ACCOUNT.sub(lambda found: found[1] or found[2], url) if "@" in url else url


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document on its whole way, from the archive to the corpus; what is not known yet is empty.

    >>> document = Document(paragraphs=("One.", "Two."), url="http://example.com/")
    >>> document.text, document.characters, document.lang
    ('One.\\nTwo.', 9, None)
    """

    paragraphs: tuple[str, ...]
    """Cleaned; none holds a newline."""
    doc_id: int | None = None
    """Its address, ``shard << 32 | row``; given once, when `extract` stores it."""
    url: str = ""
    archive: str = ""
    """Name of the archive, as the run's table of inputs has it."""
    offset: int = 0
    """Byte offset of the record's gzip member in the archive (of the record itself when not compressed)."""
    length: int | None = None
    """Bytes from `offset` that hold the record; None when one member holds very many records."""
    date: str = ""
    """``WARC-Date``, as the archive states it."""
    digest: str | None = None
    """``WARC-Payload-Digest``."""
    charset: str | None = None
    """The encoding that was used to decode, as Python's codecs name it."""
    truncated: str | None = None
    """``WARC-Truncated``: why the crawler cut the payload short; None when it did not."""
    robots: tuple[str, ...] = ()
    """Directives of `<meta name="robots">` and `X-Robots-Tag`, sorted: what the page asks of crawlers."""
    lang: str | None = None
    lang_score: float | None = None
    """Between 0 and 1, as the identifier gives it."""
    perplexity: float | None = None
    """10 ** (-log10 probability / pieces); None where the language has no model."""
    pieces: int | None = None
    """Length in SentencePiece pieces of the perplexity model, ends of sentence included."""
    bucket: str | None = None
    """Head, middle, tail or all, as `publish` cuts by perplexity."""
    cluster_size: int | None = None
    """How many documents it stands for: its duplicates and itself."""

    @property
    def text(self) -> str:
        """Paragraphs joined by one newline."""
        return "\n".join(self.paragraphs)

    @property
    def characters(self) -> int:
        """Code points of `text`."""
        return sum(map(len, self.paragraphs)) + max(len(self.paragraphs) - 1, 0)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Document:
        """The document of a record with ``text``; its other keys count where they are fields here, of the same type.

        >>> Document.from_record({"text": "One.\\nTwo.", "lang": "en", "likes": 7}).paragraphs
        ('One.', 'Two.')
        """
        known = {name: value for name, kind in _KINDS.items() if isinstance(value := record.get(name), kind)}
        if "url" in known:
            known["url"] = without_account(known["url"])
        robots = tuple(record.get("robots") or ())
        return cls(paragraphs=tuple(record["text"].split("\n")), robots=robots, **known)

    def to_record(self) -> dict[str, Any]:
        """Every field that is known, ``text`` in the place of the paragraphs: the inverse of :meth:`from_record`."""
        record = {name: value for name in _KINDS if (value := getattr(self, name)) is not None}
        return {**record, **({"robots": list(self.robots)} if self.robots else {}), "text": self.text}


_NUMBERS = {"lang_score": (float, int), "perplexity": (float, int)}
_WHOLE = ("doc_id", "offset", "length", "pieces", "cluster_size")
_KINDS: dict[str, Any] = {
    f.name: _NUMBERS.get(f.name, int if f.name in _WHOLE else str)
    for f in fields(Document)
    if f.name not in ("paragraphs", "robots")
}
"""Field to the types that a record may have there; a value of another type is as if it were not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A page that was read and not kept; it has no `doc_id`."""

    url: str
    archive: str
    offset: int
    length: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """The answer of a stage that does not keep a document.

    >>> Dropped("too_short").reason
    'too_short'
    """

    reason: str
    lang: str | None = field(default=None, compare=False, repr=False)
    """The language that the text was taken for, where it goes for its language."""
    lang_score: float | None = field(default=None, compare=False, repr=False)
    """How sure that was, 0 to 1."""


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
"""What `extract` keeps: a row a page, in the order of the archive."""

REFUSED_SCHEMA = pa.schema([*_SOURCE, ("reason", pa.string())])
"""What `extract` refuses: pages that were read and not kept."""

DUPLICATE_SCHEMA = pa.schema(
    [
        ("doc_id", pa.uint64()),
        ("paragraph", pa.int32()),
        ("partner", pa.uint64()),
        ("partner_paragraph", pa.int32()),
        ("similarity", pa.float32()),
        ("kind", pa.string()),
        ("match", pa.uint64()),
        ("match_similarity", pa.float32()),
    ]
)
"""What `match` gives back to a shard: what it must drop; `paragraph` null means the whole document. `partner` is what
stays for it, `match` the document that it was found to equal; each with the similarity to it."""

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
"""What `refine` keeps: documents, sorted by language, then by address."""

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
"""What `refine` drops: each with its reason; its text stands with the pages."""


def to_table(rows: Sequence[Document | Refused], schema: pa.Schema, **known: Sequence[Any] | NDArray[Any]) -> pa.Table:
    """A table of `schema`, a row a document (or refused page), its columns the fields of that name and ``text``, and
    those that are `known` by their name."""
    columns = {f.name: known[f.name] if f.name in known else [getattr(row, f.name) for row in rows] for f in schema}
    return pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def from_table(table: pa.Table | pa.RecordBatch) -> Iterator[Document]:
    """The documents of a table with the column ``text``; its other columns count where they are fields."""
    return map(Document.from_record, table.to_pylist())
