"""A fastText model as arrays that compiled loops read: its words, hashed n-grams, vectors and output layer.

The file is fastText's own (version 12, github.com/facebookresearch/fastText, `FastText::loadModel`). Vectors, product
quantised or not, become 16-bit numbers with a scale for each row, which is exact to 1e-5 of a probability and takes one
line of a processor's cache where floats take two: the supplement 22 MB, lid.176.ftz 2. What a model lacks to be an
identifier is said.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccbuild.errors import DataError

__all__ = ["Network", "hash_table", "read_network"]

_MAGIC, _VERSION = 793712314, 12
_ARGUMENTS = struct.Struct("<2i12id")
_DICTIONARY, _ENTRY, _MATRIX, _PRODUCT = struct.Struct("<3i2q"), struct.Struct("<qb"), struct.Struct("<2q"), "<4i"
_TREE, _SOFTMAX = 1, 3
_LOSSES = {2: "ns", 4: "ova"}
_KINDS = {1: "cbow", 2: "skipgram"}
_SUPERVISED = 3
_LANES = 16
"""Vectors are padded to a multiple of this, so that a compiler may take so many values at once."""
_CENTROIDS = 256
_LONGEST = 1024
"""Letters that an n-gram has at most; compiled loops find the n-grams of a place together, 4,096 at once."""
_COMMONEST = 10**15
"""What fastText takes as the count of a node of the tree that is not yet made."""
_LARGEST, _LINE, _BLOCK = 32767, 64, 1 << 16
"""Of 16 bits; bytes of a line of the cache; rows that are rounded at once."""


class Network(NamedTuple):
    """What compiled loops take; every array stays as it is once the model is open."""

    vectors: NDArray[np.int16]
    """Rows of the words, then of the buckets of n-grams; columns padded with zeros."""
    scales: NDArray[np.float32]
    """What a row is multiplied by."""
    output: NDArray[np.float32]
    """A row a label; of a tree, a row an inner node."""
    tree: NDArray[np.int32]
    """Left and right child of each inner node, numbered after the labels; empty for a softmax."""
    words: NDArray[np.uint8]
    """The words behind each other, in UTF-8."""
    places: NDArray[np.int32]
    """Where each word starts in `words`, and the end."""
    slots: NDArray[np.int32]
    """Hash table of the words: number of a word, or -1."""
    kept: NDArray[np.uint64]
    """A bit for each bucket of which a vector is kept; empty where all are."""
    before: NDArray[np.int32]
    """How many are kept before each 64 buckets."""
    shape: NDArray[np.int64]
    """Buckets, least and most letters of an n-gram, number of the end of a line among the words or -1, and which roles
    of characters (`scripts.Kinds`) end a word."""
    inverse: NDArray[np.float64]
    """One by the buckets."""


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path, self.content, self.place = path, path.read_bytes(), 0

    def take(self, form: str | struct.Struct) -> tuple[int, ...]:
        made = form if isinstance(form, struct.Struct) else struct.Struct(form)
        values = made.unpack_from(self.content, self.place)
        self.place += made.size
        return values

    def array(self, kind: type[np.generic], count: int) -> NDArray[np.generic]:
        found = np.frombuffer(self.content, kind, count, self.place)
        self.place += found.nbytes
        return found

    def refuse(self, what: str) -> DataError:
        return DataError(f"{self.path} {what}. Use a supervised fastText model with loss softmax or hs.")


def read_network(path: Path, gaps: int) -> tuple[Network, list[str]]:
    """The model in `path` and its labels, in the order of the rows of its output; `gaps`: what ends a word."""
    reader = _Reader(path)
    try:
        return _network(reader, gaps)
    except (struct.error, ValueError, IndexError, UnicodeDecodeError, MemoryError) as error:
        raise DataError(f"{path} is no fastText model: {error}. Fetch the model again.") from error


def _network(reader: _Reader, gaps: int) -> tuple[Network, list[str]]:
    magic, version, dim, _, _, _, _, nwords, loss, kind, buckets, least, most, *_ = reader.take(_ARGUMENTS)
    if magic != _MAGIC or version != _VERSION:
        raise reader.refuse("is no fastText model of version 12")
    if kind != _SUPERVISED:
        raise reader.refuse(f"has word vectors ({_KINDS.get(kind, kind)}) and no labels")
    if loss not in (_TREE, _SOFTMAX):
        raise reader.refuse(f"was trained with loss {_LOSSES.get(loss, loss)}, whose scores are no probabilities")
    if nwords > 1:
        raise reader.refuse(f"was trained with -wordNgrams {nwords}, and pairs of words are not read here")
    if most > _LONGEST:
        raise reader.refuse(f"was trained with -maxn {most:,}, and n-grams have at most {_LONGEST:,} letters here")
    words, labels, counts, pruned = _dictionary(reader)
    (quantised,) = reader.take("<?")
    vectors = _matrix(reader, bool(quantised), dim)
    (also,) = reader.take("<?")
    output = _matrix(reader, bool(quantised and also), dim)
    if reader.place != len(reader.content):
        raise ValueError(f"{len(reader.content) - reader.place:,} bytes follow its end")
    buckets = max(buckets, 1)
    vectors, kept, before = _in_order(vectors, len(words), buckets, most, pruned)
    nodes = len(labels) - (loss == _TREE)
    if len(output) < nodes:
        raise ValueError(f"its output has {len(output)} rows for {len(labels)} labels")
    made = _made(words, labels, counts, loss, vectors, output[:nodes], kept, before, (buckets, least, most), gaps)
    return made, labels


def _dictionary(reader: _Reader) -> tuple[list[bytes], list[str], list[int], NDArray[np.int32] | None]:
    """(words, labels, how often each label stood in the training text, pairs of bucket and row or None)."""
    size, nwords, nlabels, _, pruned = reader.take(_DICTIONARY)
    if nlabels <= 0:
        raise reader.refuse("has no labels")
    words: list[bytes] = []
    counts: list[int] = []
    content, place = reader.content, reader.place
    if nwords < 0 or nwords + nlabels != size:
        raise ValueError("its dictionary does not add up")
    for number in range(size):
        end = content.index(b"\0", place)
        words.append(content[place:end])
        count, label = _ENTRY.unpack_from(content, end + 1)
        if label != (number >= nwords) or not 0 <= count < _COMMONEST:
            raise ValueError(f"entry {number:,} of its dictionary is damaged")
        counts.append(count)
        place = end + 1 + _ENTRY.size
    reader.place = place
    pairs = reader.array(np.int32, 2 * pruned).reshape(-1, 2).astype(np.int32) if pruned >= 0 else None
    return words[:nwords], [label.decode() for label in words[nwords:]], counts[nwords:], pairs


def _matrix(reader: _Reader, quantised: bool, dim: int) -> NDArray[np.float32]:
    """A matrix of `dim` columns, quantised or not, as finite floats, its columns padded."""
    (normed,) = reader.take("<?") if quantised else (False,)
    rows, columns = reader.take(_MATRIX)
    if rows < 0 or columns <= 0 or columns != dim:
        raise ValueError(f"a matrix of {rows:,} rows and {columns:,} columns, where vectors have {dim:,} values")
    made = _values(reader, quantised, bool(normed), rows, columns)
    if not np.isfinite(made).all():
        raise ValueError("a matrix has values that are no finite numbers")
    return made


def _values(reader: _Reader, quantised: bool, normed: bool, rows: int, columns: int) -> NDArray[np.float32]:
    if not quantised:
        found = reader.array(np.float32, rows * columns).reshape(rows, columns)
        made = np.zeros((rows, -(-columns // _LANES) * _LANES), np.float32)
        made[:, :columns] = found
        return made
    (size,) = reader.take("<i")
    codes = reader.array(np.uint8, size)
    made = _decoded(reader, codes, rows, columns)
    if normed:
        norms = reader.array(np.uint8, rows)
        made *= _decoded(reader, norms, rows, 1)[:, :1]
    return made


def _decoded(reader: _Reader, codes: NDArray[np.generic], rows: int, columns: int) -> NDArray[np.float32]:
    """The values that the codes of a product quantiser of `columns` values a row stand for."""
    dim, parts, width, last = reader.take(_PRODUCT)
    if dim != columns or parts <= 0 or min(width, last) <= 0 or (parts - 1) * width + last != dim:
        raise ValueError(f"a quantiser of {dim:,} values in {parts:,} parts, where a row has {columns:,}")
    centroids = reader.array(np.float32, dim * _CENTROIDS)
    by_part = codes.reshape(rows, parts)
    made = np.zeros((rows, -(-dim // _LANES) * _LANES), np.float32)
    for part in range(parts):
        wide = width if part < parts - 1 else last
        start = part * width * _CENTROIDS
        table = centroids[start : start + wide * _CENTROIDS].reshape(_CENTROIDS, wide)
        made[:, part * width : part * width + wide] = table[by_part[:, part].astype(np.intp)]
    return made


def _in_order(
    vectors: NDArray[np.float32], nwords: int, buckets: int, most: int, pruned: NDArray[np.int32] | None
) -> tuple[NDArray[np.float32], NDArray[np.uint64], NDArray[np.int32]]:
    """(vectors with the kept buckets in ascending order, a bit for each that is kept, how many before each 64)."""
    needed = nwords + (0 if most <= 0 else buckets if pruned is None else len(pruned))
    if len(vectors) < needed:
        raise ValueError(f"it has {len(vectors):,} vectors where its words and n-grams need {needed:,}")
    if pruned is None:
        return vectors, np.zeros(0, np.uint64), np.zeros(0, np.int32)
    pruned = pruned[np.argsort(pruned[:, 0])]
    if len(pruned) and not (pruned[0, 0] >= 0 and pruned[-1, 0] < buckets and pruned[:, 1].min() >= 0):
        raise ValueError("its buckets lie outside")
    if len(pruned) > 1 and not np.diff(pruned[:, 0]).all():
        raise ValueError("a bucket is kept twice")
    bits = np.zeros(-(-buckets // 64) * 64, np.uint8)
    bits[pruned[:, 0]] = 1
    before = np.zeros(len(bits) // 64, np.int32)
    np.cumsum(bits.reshape(-1, 64).sum(1)[:-1], out=before[1:])
    order = np.concatenate([np.arange(nwords), nwords + pruned[:, 1]])
    return vectors[order], np.packbits(bits, bitorder="little").view(np.uint64), before


def _made(
    words: list[bytes],
    labels: list[str],
    counts: list[int],
    loss: int,
    vectors: NDArray[np.float32],
    output: NDArray[np.float32],
    kept: NDArray[np.uint64],
    before: NDArray[np.int32],
    grams: tuple[int, int, int],
    gaps: int,
) -> Network:
    end = words.index(b"</s>") if b"</s>" in words else -1
    tree = _tree(counts) if loss == _TREE else np.zeros((0, 2), np.int32)
    shape = np.array([*grams, end, gaps], np.int64)
    inverse = np.array([1 / grams[0]])
    pool, places, slots = hash_table(words)
    return Network(*_in_16_bits(vectors), output, tree, pool, places, slots, kept, before, shape, inverse)


def hash_table(words: list[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32]]:
    """(the words behind each other, where each starts and the end, slots with the number of a word or -1)."""
    from ccbuild.langid import kernels

    places = np.zeros(len(words) + 1, np.int32)
    np.cumsum([len(word) for word in words], out=places[1:])
    pool = np.frombuffer(b"".join(words) + b"\0", np.uint8).copy()
    slots = np.full(1 << (2 * len(words)).bit_length(), -1, np.int32)
    kernels.hash_words(pool, places, slots)
    return pool, places, slots


def _in_16_bits(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """(rows of 16-bit numbers, each row within one line of the cache where it fits; what each is multiplied by)."""
    space = np.empty(2 * vectors.size + _LINE, np.uint8)
    start = -space.ctypes.data % _LINE
    rows = space[start : start + 2 * vectors.size].view(np.int16).reshape(vectors.shape)
    scales = np.maximum(np.abs(vectors).max(1), np.float32(1e-30)) / np.float32(_LARGEST)
    for first in range(0, len(vectors), _BLOCK):
        block = slice(first, first + _BLOCK)
        rows[block] = np.rint(vectors[block] / scales[block, None])
    return rows, scales


def _tree(counts: list[int]) -> NDArray[np.int32]:
    """The Huffman tree of the labels, as fastText builds it of how often each stood in the training text."""
    n = len(counts)
    weights = counts + [_COMMONEST] * (n - 1)
    tree = np.zeros((n - 1, 2), np.int32)
    leaf, node = n - 1, n
    for inner in range(n - 1):
        for side in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                tree[inner, side] = leaf
                leaf -= 1
            else:
                tree[inner, side] = node
                node += 1
        weights[n + inner] = weights[tree[inner, 0]] + weights[tree[inner, 1]]
    return tree
