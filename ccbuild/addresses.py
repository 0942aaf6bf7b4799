"""From a URL, a payload's digest or a whole text to the pages of a run that have it: sorted hashes, a file a group of
shards.

`extract` writes the files when its shards have ended; they are no part of a shard, so that a run that an earlier
release began gets them when it goes on. A shard that no file covers as it is now is read itself, so an index that is
lost or stale costs time and nothing else. A hash only points: whoever follows it looks at the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ccbuild.crawl.optout import normalise_url
from ccbuild.dedup.external.printfile import read_prints
from ccbuild.dedup.external.sorting import Rows, sort_rows
from ccbuild.dedup.external.tables import dtype_of, read_range
from ccbuild.dedup.paragraphs import document_hash
from ccbuild.dedup.prints import DOCUMENT
from ccbuild.records import doc_id
from ccbuild.rundir import RunDir, shard_name
from ccbuild.storage import digest_of, open_parquet

__all__ = [
    "DIGEST",
    "GROUP",
    "KEYS",
    "REFUSED",
    "SCHEMA",
    "TEXT",
    "URL",
    "Addresses",
    "group_name",
    "key_hash",
    "shard_rows",
    "url_form",
]

TEXT, URL, DIGEST, REFUSED = range(4)
"""What a hash is of: a page's text, its URL, its payload's digest; the URL of a page that was refused, whose address
is its row among those of its shard."""
SCHEMA = pa.schema([("hash", pa.uint64()), ("kind", pa.uint8()), ("address", pa.uint64())])
KEYS = ("hash", "kind", "address")
GROUP = 64
"""Shards of a file. A snapshot of 90,000 has 1,400 files; a shard more costs the last of them."""

_AGAIN = "the ccbuild run that made it"
_PLAIN = re.compile(
    r"https?://([a-z0-9]+(?:[.-][a-z0-9]+)+)((?:/[A-Za-z0-9!$&'()*+,;=:@._~/-]*)?)(\?[A-Za-z0-9!$&'()*+,;=:@/?._~-]+)?"
)
"""A URL that is written as `normalise_url` writes it, as most are."""


def group_name(shard: int) -> str:
    """Name of the unit that covers a shard.

    >>> group_name(70)
    'addresses-00064'
    """
    return f"addresses-{shard // GROUP * GROUP:05d}"


def url_form(url: str) -> str:
    """A URL as it is looked for: without scheme, account, ``www.``, default port, fragment and final slash; escapes and
    host in one form. What is no http(s) URL stays as it is.

    >>> url_form("HTTP://www.Example.org:80/%7euser/#top"), url_form("https://bücher.example/ä")
    ('example.org/~user', 'xn--bcher-kva.example/%C3%A4')
    """
    found = _PLAIN.fullmatch(url)
    if found and "/." not in found[2] and len(found[1]) < 254:
        return found[1].removeprefix("www.") + found[2].rstrip("/") + (found[3] or "")
    normal = normalise_url(url)
    if normal is None:
        return url.strip()
    place, mark, query = normal.removeprefix("www.").partition("?")
    return place.rstrip("/") + mark + query


def key_hash(kind: int, value: str) -> int:
    """The hash by which `value` is found; of a digest the case and the name of its algorithm do not count."""
    if kind == DIGEST:
        return document_hash(value.rpartition(":")[2].upper())
    return document_hash(value if kind == TEXT else url_form(value))


def _rows(kind: int, hashes: Any, addresses: Any) -> Rows:
    rows = np.empty(len(hashes), dtype_of(SCHEMA))
    rows["hash"], rows["kind"], rows["address"] = hashes, kind, addresses
    return rows


def _column(path: Path, kind: int, name: str, shard: int) -> Iterator[Rows]:
    """The hashes of a column of pages, or of refused ones, by their rows; none of what is null."""
    first = doc_id(shard, 0)
    with open_parquet(path) as file:
        for batch in file.iter_batches(1 << 14, columns=[name]):
            values = batch[0].to_pylist()
            hashes = np.fromiter((key_hash(kind, value) if value else 0 for value in values), np.uint64, len(values))
            rows = _rows(kind, hashes, np.arange(first, first + len(values), dtype=np.uint64))
            yield rows[hashes != 0]
            first += len(values)


def shard_rows(run: RunDir, shard: int) -> Iterator[Rows]:
    """All hashes of a shard, in no order."""
    pages, refused, prints = (
        run.file("extract", shard),
        run.file("extract", shard, "refused"),
        run.file("prints", shard),
    )
    yield from _column(pages, URL, "url", shard)
    yield from _column(pages, DIGEST, "digest", shard)
    if refused.is_file():
        yield from _column(refused, REFUSED, "url", shard)
    texts = read_prints(prints, DOCUMENT)
    yield _rows(TEXT, texts.hash, texts.doc_id)


@dataclass(slots=True)
class Addresses:
    """The hashes of a run as it is committed now. Counts what it reads."""

    run: RunDir
    files: list[Path] = field(default_factory=list)
    """The files that are up to date."""
    uncovered: list[int] = field(default_factory=list)
    """Shards that none of them covers: each look reads these."""
    _read: dict[int, Rows] = field(default_factory=dict)

    @classmethod
    def of(cls, run: RunDir) -> Addresses:
        """Opens no file of hashes yet."""
        made = {unit.unit: unit.inputs for unit in run.entries("addresses")}
        found = cls(run)
        for number, entry in run.shards("extract"):
            name = group_name(number)
            if made.get(name, {}).get(shard_name(number)) != digest_of(entry):
                found.uncovered.append(number)
        found.files = [run.folder("addresses") / f"{name}.parquet" for name in sorted(made)]
        return found

    def find(self, kinds: Sequence[int], value: str) -> list[tuple[int, int]]:
        """(kind, address) of all that may have `value`, by address."""
        wanted = {kind: key_hash(kind, value) for kind in kinds}
        stale, found = set(self.uncovered), set[tuple[int, int]]()
        for kind, hash_ in wanted.items():
            parts = (read_range(path, SCHEMA, _AGAIN, hash_, hash_) for path in self.files)
            for rows in chain(parts, (self._of(shard) for shard in self.uncovered)):
                at = (rows["hash"] == hash_) & (rows["kind"] == kind)
                found.update((kind, address) for address in rows["address"][at].tolist())
        return sorted(found - {each for each in found if each[1] >> 32 in stale and not self._has(*each, wanted)})

    def _of(self, shard: int) -> Rows:
        if shard not in self._read:
            self._read[shard] = sort_rows(np.concatenate(list(shard_rows(self.run, shard))), KEYS)
        return self._read[shard]

    def _has(self, kind: int, address: int, wanted: dict[int, int]) -> bool:
        """Whether a shard that was read has the address, which a stale file may have had before."""
        rows = self._of(address >> 32)
        at = (rows["hash"] == wanted[kind]) & (rows["kind"] == kind)
        return address in rows["address"][at].tolist()
