"""Prints: what of each document is compared with the others, as columns.

A print is one row: kind (0 the whole document, 1 a band of its signature, 2 a paragraph, 3 its URL), hash, doc_id, and
which paragraph or band. `ccbuild.dedup.external.printfile` keeps them on disk.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ccbuild.dedup.paragraphs import NO_PRINT, ParagraphForm, document_hash
from ccbuild.dedup.signatures import SignatureConfig

__all__ = [
    "BAND",
    "DOCUMENT",
    "KINDS",
    "PARAGRAPH",
    "URL",
    "Prints",
    "band_prints",
    "bucket_bounds",
    "document_prints",
    "paragraph_prints",
    "scheme",
    "url_prints",
]

DOCUMENT, BAND, PARAGRAPH, URL = range(4)
KINDS = ("documents", "bands", "paragraphs", "urls")
"""What counts of prints are called, in the order of their numbers."""


@dataclass(frozen=True, slots=True)
class Prints:
    """n prints as columns."""

    kind: NDArray[np.uint8]
    """`DOCUMENT`, `BAND`, `PARAGRAPH` or `URL`."""
    hash: NDArray[np.uint64]
    """What is compared; never 0."""
    doc_id: NDArray[np.uint64]
    """shard << 32 | row of the document."""
    paragraph: NDArray[np.int32]
    """Number of the paragraph in its document from 0; the band's number for bands; -1 for documents and URLs."""

    def __len__(self) -> int:
        return len(self.hash)

    @classmethod
    def empty(cls) -> Prints:
        """No prints."""
        return cls(np.empty(0, np.uint8), np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int32))

    @classmethod
    def concatenate(cls, parts: Sequence[Prints]) -> Prints:
        """All of `parts`, in their order."""
        if len(parts) == 1:
            return parts[0]
        parts = parts or [cls.empty()]
        return cls(
            np.concatenate([p.kind for p in parts]),
            np.concatenate([p.hash for p in parts]),
            np.concatenate([p.doc_id for p in parts]),
            np.concatenate([p.paragraph for p in parts]),
        )

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Prints:
        """The prints at `rows`; a slice copies nothing."""
        return Prints(self.kind[rows], self.hash[rows], self.doc_id[rows], self.paragraph[rows])

    def sorted(self) -> Prints:
        """Sorted by (kind, hash, doc_id, paragraph)."""
        return self.take(np.lexsort((self.paragraph, self.doc_id, self.hash, self.kind)))


def _prints(kind: int, hashes: NDArray[np.uint64], doc_id: NDArray[np.uint64], paragraph: NDArray[np.int32]) -> Prints:
    """Prints of one kind, those without a hash left out."""
    keep = hashes != NO_PRINT
    hashes, doc_id, paragraph = hashes[keep], doc_id[keep], paragraph[keep]
    return Prints(np.full(len(hashes), kind, np.uint8), hashes, doc_id, paragraph)


def document_prints(hashes: NDArray[np.uint64], doc_ids: NDArray[np.uint64]) -> Prints:
    """A print for each document that has a hash (not 0)."""
    return _prints(DOCUMENT, hashes, doc_ids, np.full(len(hashes), -1, np.int32))


def url_prints(urls: Sequence[str], doc_ids: NDArray[np.uint64]) -> Prints:
    """A print for each document that has a URL."""
    hashes = np.fromiter(map(document_hash, urls), np.uint64, len(urls))
    return _prints(URL, hashes, doc_ids, np.full(len(urls), -1, np.int32))


def band_prints(hashes: NDArray[np.uint64], present: NDArray[np.bool_], doc_ids: NDArray[np.uint64]) -> Prints:
    """A print for each band (`hashes` uint64[n, bands]) of each document that has a signature."""
    n, bands = int(present.sum()), hashes.shape[1]
    numbers = np.tile(np.arange(bands, dtype=np.int32), n)
    return _prints(BAND, hashes[present].ravel(), np.repeat(doc_ids[present], bands), numbers)


def paragraph_prints(hashes: NDArray[np.uint64], counts: NDArray[np.int64], doc_ids: NDArray[np.uint64]) -> Prints:
    """A print for each paragraph that has a hash; ``counts[i]`` of the hashes belong to ``doc_ids[i]``, in order."""
    numbers = np.arange(len(hashes), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    return _prints(PARAGRAPH, hashes, np.repeat(doc_ids, counts), numbers.astype(np.int32))


def scheme(config: SignatureConfig, form: ParagraphForm) -> dict[str, str]:
    """What stands in a file's metadata and must be equal in every file that is matched with it."""
    return config.scheme() | {"paragraph_form": form, "document_hash": "blake2b-8", "prints_format": "2"}


def bucket_bounds(n_buckets: int) -> list[tuple[int, int]]:
    """(lowest, highest) hash of each bucket, both inside it: the 64-bit space in `n_buckets` equal parts.

    >>> [(hex(low), hex(high)) for low, high in bucket_bounds(2)]
    [('0x0', '0x7fffffffffffffff'), ('0x8000000000000000', '0xffffffffffffffff')]
    """
    if n_buckets < 1:
        raise ValueError(f"n_buckets is {n_buckets}; it takes 1 or more")
    edges = [(i << 64) // n_buckets for i in range(n_buckets + 1)]
    return [(low, high - 1) for low, high in itertools.pairwise(edges)]
