"""KenLM's binary form of a back-off model, ``probing``: hash tables that a process maps instead of building.

The layout is that of KenLM 0.3 (``lm/binary_format.cc``, ``lm/search_hashed.cc``, ``lm/vocab.cc`` at
https://github.com/kpu/kenlm), format version 5, as ``build_binary probing model.arpa`` writes it with its defaults. The
bytes are equal to those: same entries, same hash functions, entered in the order of the ARPA file.

Cost: 1.5 buckets an n-gram, of 16 bytes each (12 in the highest order), about half of the ARPA file. It opens in under
a millisecond, and processes that map the same file share its memory.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ccbuild.lm.arpa import rounded
from ccbuild.lm.kneser_ney import Column, NGrams, gather

__all__ = ["is_probing", "write_probing"]

_MAGIC = b"mmap lm http://kheafield.com/code format version 5\n\0"
_SANITY = struct.Struct("<56s3f3IQ")
"""What KenLM compares to know that the machine is of the kind that wrote: floats, widths, the order of bytes."""
_FIXED = struct.Struct("<B3xfIB3xI")
"""Order, buckets an entry, kind of model (0: probing), whether the words follow, version of the search."""
_CHUNK = 1 << 20
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


def write_probing(path: str | Path, words: Sequence[str], ngrams: Sequence[NGrams], *, folder: Path) -> tuple[int, ...]:
    """Write the model; the number of n-grams of each order written. `folder` takes temporary files.

    `words` are the vocabulary, ``<unk>`` first; every suffix and prefix of a kept n-gram must be kept, as
    :func:`ccbuild.lm.kneser_ney.estimate_ngrams` does (KenLM fills such gaps with blanks, this does not).
    The tables are filled through a mapping of the file, as ``build_binary`` does: fast as long as the largest fits into
    the machine's free memory, which the system takes back when others need it.
    """
    counts = tuple(grams.count() for grams in ngrams)
    encoded = [word.encode() for word in words]
    with open(path, "wb") as out:
        header = _SANITY.pack(_MAGIC, 0.0, 1.0, -0.5, 1, 0xFFFFFFFF, 0, 1)
        header += _FIXED.pack(len(counts), _MULTIPLIER, 0, 1, 0) + struct.pack(f"<{len(counts)}Q", *counts)
        out.write(header + bytes(-len(header) % 8))
        out.write(struct.pack("<2I", 0, len(words)))
        out.write(_vocabulary(encoded))
        key = Column(folder / "1.hash", np.uint64)
        key.append(np.arange(len(words), dtype=np.uint64))
        for k, grams in enumerate(ngrams):
            above = ngrams[k + 1] if k + 1 < len(ngrams) else None
            if k:
                key = _hashes(k + 1, grams, key, folder)
                _write_entries(out, grams, above, key, counts[k])
            else:
                out.write(_words(grams, above))
        out.write(b"".join(word + b"\0" for word in encoded))
    return counts


def _hashes(k: int, grams: NGrams, lower: Column, folder: Path) -> Column:
    """KenLM's hash of each n-gram of order `k`, from those of the order below."""
    of_suffix = gather(lower, grams.suffix, Column(folder / "gathered", np.uint64), grams.rows)
    made = Column(folder / f"{k}.hash", np.uint64)
    for suffix, first in zip(of_suffix.blocks(grams.rows), grams.first.blocks(grams.rows), strict=True):
        made.append(suffix * _CHAIN ^ (first.astype(np.uint64) + np.uint64(1)) * _WORD)
    return made


def _buckets(entries: int) -> int:
    """KenLM multiplies in 32-bit floats."""
    return max(entries + 1, int(np.float32(_MULTIPLIER) * np.float32(entries)))


def _vocabulary(encoded: Sequence[bytes]) -> bytes:
    """The table from a word's hash to its number, without ``<unk>``, which is number 0 by being absent."""
    from ccbuild.lm.kernels import enter, murmur_hashes

    content = np.frombuffer(b"".join(encoded[1:]), np.uint8)
    keys = murmur_hashes(content, np.cumsum([len(word) for word in encoded[1:]], dtype=np.int64))
    table = np.zeros(_buckets(len(encoded)), _VOCABULARY)
    table["word"][enter(table["key"], keys)] = np.arange(1, len(encoded))
    return table.tobytes()


def _signs(grams: NGrams, above: NGrams | None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(which n-grams some n-gram extends to the left, which have one that extends them to the right)."""
    left, right = np.zeros(len(grams), np.bool_), np.zeros(len(grams), np.bool_)
    if above is not None:
        for start in range(0, len(above), above.rows):
            stop = start + above.rows
            kept = above.kept[start:stop]
            left[above.suffix[start:stop][kept]] = True
            right[above.prefix[start:stop][kept]] = True
    return left, right


def _values(
    grams: NGrams, rows: slice, left: NDArray[np.bool_], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(log10, back-off) as KenLM keeps them: what nothing extends to a side says so by a sign, of a zero too."""
    log10 = rounded(grams.log10[rows]).astype(np.float32)
    backoff = rounded(grams.backoff[rows]).astype(np.float32)
    log10[left[rows]] = np.abs(log10[left[rows]])
    backoff[backoff == 0] = np.where(right[rows][backoff == 0], np.float32(0.0), np.float32(-0.0))
    return log10, backoff


def _words(grams: NGrams, above: NGrams | None) -> bytes:
    """Single words: an array by word number and one place more."""
    table = np.zeros((len(grams) + 1, 2), "<f4")
    table[:-1, 0], table[:-1, 1] = _values(grams, slice(None), *_signs(grams, above))
    return table.tobytes()


def _write_entries(out: BinaryIO, grams: NGrams, above: NGrams | None, key: Column, count: int) -> None:
    """The table of one order, at the end of `out`."""
    from ccbuild.lm.kernels import enter

    kind, start = _ENTRY[2 if above is not None else 1], out.tell()
    nbytes = kind.itemsize * _buckets(count)
    for first in range(0, nbytes, _CHUNK):  # and not only made long: a full disk shows here, and not in the mapping
        out.write(bytes(min(_CHUNK, nbytes - first)))
    out.flush()
    table = np.memmap(out.name, kind, "r+", start, (_buckets(count),))
    left, right = _signs(grams, above)
    for at in range(0, len(grams), grams.rows):
        rows = slice(at, at + grams.rows)
        kept = grams.kept[rows]
        slots = enter(table["key"], key[rows][kept])
        log10, backoff = _values(grams, rows, left, right)
        table["log10"][slots] = np.where(left[rows], log10, np.copysign(log10, np.float32(-1)))[kept]
        if above is not None:
            table["backoff"][slots] = backoff[kept]
    table.flush()
    out.seek(0, os.SEEK_END)
