"""KenLM's binary form of a back-off model, ``probing``: hash tables that a process maps instead of building.

The layout is that of KenLM 0.3 (``lm/binary_format.cc``, ``lm/search_hashed.cc``, ``lm/vocab.cc`` at
https://github.com/kpu/kenlm), format version 5, as ``build_binary probing model.arpa`` writes it with its defaults. The
bytes are equal to those: same entries, same hash functions, entered in the order of the ARPA file.

Cost: 1.5 buckets an n-gram, of 16 bytes each (12 in the highest order), about half of the ARPA file. It opens in under
a millisecond, and processes that map the same file share its memory.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ccbuild.lm.arpa import rounded
from ccbuild.lm.kneser_ney import NGrams

__all__ = ["is_probing", "write_probing"]

_MAGIC = b"mmap lm http://kheafield.com/code format version 5\n\0"
_SANITY = struct.Struct("<56s3f3IQ")
"""What KenLM compares to know that the machine is of the kind that wrote: floats, widths, the order of bytes."""
_FIXED = struct.Struct("<B3xfIB3xI")
"""Order, buckets an entry, kind of model (0: probing), whether the words follow, version of the search."""
_MULTIPLIER = 1.5
"""Buckets an entry: KenLM's default."""
_CHAIN, _WORD = np.uint64(8978948897894561157), np.uint64(17894857484156487943)
"""KenLM's ``CombineWordHash``: hash of the words so far, and of one word further left."""

_ENTRY = {
    2: np.dtype([("key", "<u8"), ("log10", "<f4"), ("backoff", "<f4")]),
    1: np.dtype([("key", "<u8"), ("log10", "<f4")]),
}
_VOCABULARY = np.dtype([("key", "<u8"), ("word", "<u4")])


def is_probing(path: str | Path) -> bool:
    """Whether the file begins as a KenLM binary does; says nothing of what follows."""
    with open(path, "rb") as stream:
        return stream.read(len(_MAGIC)).startswith(_MAGIC[:33])


def write_probing(path: str | Path, words: Sequence[str], ngrams: Sequence[NGrams]) -> tuple[int, ...]:
    """Write the model; the number of n-grams of each order written.

    `words` are the vocabulary, ``<unk>`` first; every suffix and prefix of a kept n-gram must be kept, as
    :func:`ccbuild.lm.kneser_ney.estimate_ngrams` does (KenLM fills such gaps with blanks, this does not).
    Memory: about 40 bytes an n-gram of the largest order.
    """
    counts = tuple(int(grams.kept.sum()) for grams in ngrams)
    encoded = [word.encode() for word in words]
    with open(path, "wb") as out:
        header = _SANITY.pack(_MAGIC, 0.0, 1.0, -0.5, 1, 0xFFFFFFFF, 0, 1)
        header += _FIXED.pack(len(counts), _MULTIPLIER, 0, 1, 0) + struct.pack(f"<{len(counts)}Q", *counts)
        out.write(header + bytes(-len(header) % 8))
        out.write(struct.pack("<2I", 0, len(words)))
        out.write(_vocabulary(encoded))
        first = key = np.arange(len(words), dtype=np.uint64)
        for k, grams in enumerate(ngrams):
            if k:
                first = first[grams.prefix]
                key = key[grams.suffix] * _CHAIN ^ (first + np.uint64(1)) * _WORD
            above = ngrams[k + 1] if k + 1 < len(ngrams) else None
            out.write(_entries(grams, above, key))
        out.write(b"".join(word + b"\0" for word in encoded))
    return counts


def _buckets(entries: int) -> int:
    """KenLM multiplies in 32-bit floats."""
    return max(entries + 1, int(np.float32(_MULTIPLIER) * np.float32(entries)))


def _slots(keys: NDArray[np.uint64], buckets: int) -> NDArray[np.int64]:
    """The bucket of each key, in the order in which KenLM enters them."""
    from ccbuild.lm.kernels import probe

    slots: NDArray[np.int64] = probe((keys % np.uint64(buckets)).astype(np.int64), buckets)
    return slots


def _vocabulary(encoded: Sequence[bytes]) -> bytes:
    """The table from a word's hash to its number, without ``<unk>``, which is number 0 by being absent."""
    from ccbuild.lm.kernels import murmur_hashes

    content = np.frombuffer(b"".join(encoded[1:]), np.uint8)
    keys = murmur_hashes(content, np.cumsum([len(word) for word in encoded[1:]], dtype=np.int64))
    table = np.zeros(_buckets(len(encoded)), _VOCABULARY)
    slots = _slots(keys, len(table))
    table["key"][slots], table["word"][slots] = keys, np.arange(1, len(encoded))
    return table.tobytes()


def _entries(grams: NGrams, above: NGrams | None, key: NDArray[np.uint64]) -> bytes:
    """The table of one order; of single words, an array by word number and one place more."""
    single = grams.suffix is grams.prefix
    log10 = rounded(grams.log10).astype(np.float32)
    if not single:
        log10 = np.copysign(log10, np.float32(-1))
    backoff = rounded(grams.backoff).astype(np.float32)
    backoff[backoff == 0] = -0.0  # the sign of a zero says that no n-gram has this one as its context
    if above is not None:
        # The sign of a probability says that no n-gram extends this one to the left.
        log10[above.suffix[above.kept]] = np.abs(log10[above.suffix[above.kept]])
        context = above.prefix[above.kept]
        backoff[context[backoff[context] == 0]] = 0.0
    if single:
        unigrams = np.zeros((len(log10) + 1, 2), "<f4")
        unigrams[:-1, 0], unigrams[:-1, 1] = log10, backoff
        return unigrams.tobytes()
    keys = key[grams.kept]
    table = np.zeros(_buckets(len(keys)), _ENTRY[2 if above is not None else 1])
    slots = _slots(keys, len(table))
    table["key"][slots], table["log10"][slots] = keys, log10[grams.kept]
    if above is not None:
        table["backoff"][slots] = backoff[grams.kept]
    return table.tobytes()
