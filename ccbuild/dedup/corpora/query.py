"""Which documents of a finished run are near to a text, answered by datasketch's MinHashLSH."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ccbuild.dedup.external.printfile import read_prints, read_scheme
from ccbuild.dedup.jaccard import true_jaccard
from ccbuild.dedup.prints import BAND
from ccbuild.dedup.signatures import SignatureConfig, band_hashes, shingle_hash, sign
from ccbuild.errors import InputError

__all__ = ["Neighbour", "datasketch_index", "minhash", "neighbours"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A document of the run that shares a band with the text."""

    doc_id: int
    url: str
    estimated: float
    """Jaccard similarity by the signatures, as datasketch estimates it."""
    jaccard: float
    """The true one, of the shingles."""


def minhash(values: NDArray[np.uint32], config: SignatureConfig) -> Any:
    """A signature as datasketch's own `MinHash`."""
    from datasketch import MinHash

    return MinHash(config.num_perm, config.seed, shingle_hash, hashvalues=values, scheme="affine32")


def datasketch_index(signatures: Mapping[int, NDArray[np.uint32]], config: SignatureConfig) -> Any:
    """datasketch's `MinHashLSH` of documents: doc_id to signature. Some 4 kB of memory a document."""
    from datasketch import MinHashLSH

    index = MinHashLSH(num_perm=config.num_perm, params=(config.bands, config.rows))
    for doc, values in signatures.items():
        index.insert(doc, minhash(values, config))
    return index


def neighbours(prints: Sequence[Path], pages: Path, text: str) -> list[Neighbour]:
    """The documents near to `text`, nearest first, of the shards whose `prints` are named and whose pages lie in
    `pages` under the same names.

    The prints say in a few reads which documents share a band with the text; only these are signed and put into
    datasketch's index, so that the answer is the one that an index of the whole run would give, at the cost of a few
    documents. A text too short for a signature has no neighbours.
    """
    if not prints:
        raise InputError(f"There are no prints beside {pages}. Name the folder of a run that has done extract.")
    made = read_scheme(prints[0])
    config = SignatureConfig.of_scheme(made)
    signed = sign([text], config)
    if not signed.present[0]:
        return []
    texts: dict[int, str] = {}
    urls: dict[int, str] = {}
    for path in prints:
        candidates = _candidates(path, band_hashes(signed.values, config)[0], made)
        for doc, url, page in _pages(pages / path.name, candidates):
            texts[doc], urls[doc] = page, url
    values = sign(list(texts.values()), config).values
    asked = minhash(signed.values[0], config)
    signatures = dict(zip(texts, values, strict=True))
    found = [
        Neighbour(
            doc,
            urls[doc],
            float(asked.jaccard(minhash(signatures[doc], config))),
            true_jaccard(text, texts[doc], config.ngram),
        )
        for doc in datasketch_index(signatures, config).query(asked)
    ]
    return sorted(found, key=lambda n: (-n.jaccard, -n.estimated, n.doc_id))


def _candidates(path: Path, hashes: NDArray[np.uint64], made: Mapping[str, str]) -> NDArray[np.uint64]:
    """Documents of a shard that have one of the bands' hashes."""
    parts = [read_prints(path, BAND, h, h, scheme=made).doc_id for h in hashes.tolist()]
    return np.unique(np.concatenate(parts))


def _pages(path: Path, documents: NDArray[np.uint64]) -> Iterator[tuple[int, str, str]]:
    """(doc_id, url, text) of `documents`."""
    if len(documents):
        chosen = [("doc_id", "in", documents.tolist())]
        table = pq.read_table(path, columns=["doc_id", "url", "text"], filters=chosen)
        yield from zip(*(table[name].to_pylist() for name in ("doc_id", "url", "text")), strict=True)
