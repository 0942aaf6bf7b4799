"""Documents of any file that this house knows: archives, JSON lines, Parquet, plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.lines import bare_name
from ccbuild.records import Document
from ccbuild.rows import is_parquet, read_documents
from ccbuild.runner import ArchiveReader
from ccbuild.storage import expand, open_input
from ccbuild.text.page import ExtractConfig
from ccbuild.warc.records import check_archive

__all__ = ["read"]

_TEXT = (".parquet", ".jsonl", ".json", ".jsonlines", ".ndjson", ".txt", ".tsv")


def read(
    where: str | Path | Iterable[str | Path], config: ExtractConfig | None = None, ledger: Ledger | None = None
) -> Iterator[Document]:
    """The documents of files: one or many, by path, glob or fsspec URL, in the order of their names.

    WARC, WET and ARC give a document a page, its HTML made paragraphs as `config` says (the default: main content);
    Parquet and JSON lines one a row with ``text``, with the fields of a `Document` that the row has; plain text a
    document a line (a ``.txt.xz``: documents apart by blank lines, as CC-100 has it); all of them compressed or not, as
    `ccbuild.rows` says. What a page of an archive was refused for, and bytes that are damaged, are counted in `ledger`;
    rows without text are left out and told. `InputError` for a file that is none of these.

    >>> for document in read("crawl/*.warc.gz"):
    ...     print(document.url, document.characters)
    http://example.com/0 293
    http://example.com/1 292
    """
    patterns = [where] if isinstance(where, str | Path) else list(where)
    for path in (path for pattern in patterns for path in expand(str(pattern))):
        if _is_text(path):
            yield from map(Document.from_record, read_documents(path))
            continue
        with open_input(path) as stream:
            check_archive(path, stream.read(1 << 16))
        account = ledger if ledger is not None else Ledger()
        reader = ArchiveReader(path, path.rsplit("/", 1)[-1], config or ExtractConfig(), account)
        yield from (page for page in reader if isinstance(page, Document))
        account.close(path)


def _is_text(path: str) -> bool:
    name = bare_name(path.lower())
    if name.endswith(_TEXT) and "://" in path:
        raise InputError(f"{path} is text behind a URL. Fetch it first: only archives are read from there.")
    return name.endswith(_TEXT) or ("://" not in path and is_parquet(path))
