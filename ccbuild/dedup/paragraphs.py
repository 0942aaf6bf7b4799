"""64-bit hashes of paragraphs, as CCNet makes them or faster, and of whole documents.

``ccnet`` is cc_net 1.0.0's ``compute_hashes``: SHA-1 of the paragraph under its ``normalize_for_dedup``, first 8 bytes,
read as a little-endian integer. Its quirks are kept: only the marks of its table are removed as punctuation, so that
ASCII punctuation counts; an empty paragraph has a hash like any other (that of no bytes) and so repeats; and since
white space is stripped before punctuation is removed, a removed bracket can leave a space in front. A lone surrogate,
at which cc_net stops, is hashed as the three bytes it would be.

``fast`` keeps word characters only (the classes of `ccbuild.dedup.words`), each case-folded by itself, each decimal
digit as ``0``, and takes XXH64 of the rest in UTF-32-LE. A paragraph of which nothing is left has no print: hash 0.

``numbers`` is ``fast``, but for a paragraph without a letter, whose digits are kept: a row of a table does not stand on
an earlier page because another one there has as many digits.

Both run compiled over a batch, but for SHA-1 itself, which is hashlib's. 64 bits: among 10^11 different paragraphs
expect some 270 pairs with one hash by chance.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ccbuild.dedup.words import PARTS, TABLE_SIZE, batches, character_classes
from ccbuild.text.normalise import normalise_ccnet_dedup

__all__ = ["NO_PRINT", "ParagraphForm", "document_hash", "normalise_fast", "paragraph_hashes", "text_paragraph_hashes"]

ParagraphForm = Literal["ccnet", "fast", "numbers"]

NO_PRINT = 0
"""The hash that says: nothing to compare, never a duplicate."""


def paragraph_hashes(paragraphs: Sequence[str], form: ParagraphForm) -> NDArray[np.uint64]:
    """The hash of each of `paragraphs`, uint64[n]; but in form ``ccnet`` 0 where there is nothing to compare."""
    out = np.empty(len(paragraphs), np.uint64)
    for first, last in batches(paragraphs):
        points, ends = _points(paragraphs[first:last], form)
        out[first:last] = _hash(points, np.concatenate((np.zeros(1, np.int64), ends)), form)
    return out


def text_paragraph_hashes(texts: Sequence[str], form: ParagraphForm) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """(hashes, counts) of the lines of `texts`: the next counts[i] of the hashes belong to text i, one for each line.

    Equal to `paragraph_hashes` over ``text.split("\\n")`` of every text, without making the lines, in half of the time.
    """
    from ccbuild.dedup import kernels

    counts = np.empty(len(texts), np.int64)
    parts = [np.empty(0, np.uint64)]
    for first, last in batches(texts):
        points, ends = _points(texts[first:last], form)
        parts.append(_hash(points, kernels.line_offsets(points, ends, counts[first:last]), form))
    return np.concatenate(parts), counts


def document_hash(text: str) -> int:
    """A hash for exact equality: the first 8 bytes (little-endian) of BLAKE2b over the text itself in UTF-8.

    Of the text and not of its paragraphs' hashes, since those let digits, case and punctuation go: a page that differs
    in its prices only is another document. The empty text has no print: 0. Among 3 billion different documents expect
    a quarter of a pair with one hash by chance.
    """
    if not text:
        return NO_PRINT
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def normalise_fast(paragraph: str, form: ParagraphForm = "numbers") -> str:
    """What is hashed in form ``fast`` or ``numbers``; the plain form that the compiled one equals.

    >>> normalise_fast("Πρόσβαση: 24/7 — ΟΔΟΣ, Straße!"), normalise_fast("12.50 ٣"), normalise_fast("12.50", "fast")
    ('πρόσβαση000οδοσstraße', '12503', '0000')
    """
    mapping = _fast_mapping()
    kept = (int(mapping[ord(c)]) for c in paragraph if ord(c) < TABLE_SIZE)
    text = "".join(chr(point) for point in kept if point)
    if form == "fast" or text.strip("0"):
        return text
    return "".join(str(int(c)) for c in paragraph if ord(c) < TABLE_SIZE and c.isdecimal())


def _points(texts: Sequence[str], form: ParagraphForm) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """(code points of `texts` end to end, where each ends).

    For ``ccnet`` lower-cased first where its table, which knows no neighbours, would not do: the final sigma, and the
    dotted I that becomes two characters. On many lines at once that comes out as line by line: a line feed ends a word.
    """
    if form == "ccnet":
        texts = [text.lower() if "Σ" in text or "İ" in text else text for text in texts]
    encoded = [text.encode("utf-32-le", "surrogatepass") for text in texts]
    ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded))) // 4
    return np.frombuffer(b"".join(encoded), "<u4"), ends


def _hash(points: NDArray[np.uint32], offsets: NDArray[np.int64], form: ParagraphForm) -> NDArray[np.uint64]:
    """A hash for each ``points[offsets[p]:offsets[p + 1]]``; both forms drop a line feed at the end."""
    from ccbuild.dedup import kernels

    if form != "ccnet":
        out = np.empty(len(offsets) - 1, np.uint64)
        digits = _digits() if form == "numbers" else np.empty(0, np.uint32)
        kernels.fast_paragraphs(points, offsets, _fast_mapping(), digits, out)
        return out
    starts = np.empty(len(offsets), np.int64)
    messages = kernels.ccnet_messages(points, offsets, _ccnet_mapping(), starts).tobytes()
    parts = (messages[i:j] for i, j in itertools.pairwise(starts.tolist()))
    digests = b"".join([hashlib.sha1(part, usedforsecurity=False).digest() for part in parts])
    return np.frombuffer(digests, [("first", "<u8"), ("rest", "V12")])["first"].copy()


@functools.cache
def _ccnet_mapping() -> NDArray[np.uint32]:
    """Table of what `normalise_ccnet_dedup` makes of each character (0: removed), white space flagged for stripping.

    Read off the function itself, so that there is one definition: it is run once over all characters, parted by one
    that it leaves alone. The one character that it makes two of (İ) never reaches the table.
    """
    from ccbuild.dedup import kernels

    fence = "\ue000"  # private use: neither case, digit, punctuation nor white space
    characters = [chr(point) for point in range(TABLE_SIZE)]
    characters[ord(fence)] = ""
    mapped = normalise_ccnet_dedup(fence + fence.join(characters) + fence)[1:-1].split(fence)
    table = np.fromiter((ord(m) if len(m) == 1 else 0 for m in mapped), np.uint32, TABLE_SIZE)
    table[ord(fence)] = ord(fence)
    spaces = np.fromiter((c.isspace() for c in characters), np.bool_, TABLE_SIZE)
    table[spaces] |= np.uint32(kernels.STRIPPED)
    table.setflags(write=False)
    return table


@functools.cache
def _fast_mapping() -> NDArray[np.uint32]:
    """What each character becomes in form ``fast``; 0: left out."""
    table = np.fromiter((_fold(chr(point)) for point in range(TABLE_SIZE)), np.uint32, TABLE_SIZE)
    table[character_classes() == PARTS] = 0
    table.setflags(write=False)
    return table


@functools.cache
def _digits() -> NDArray[np.uint32]:
    """The ASCII digit of each decimal digit; 0: left out."""
    values = (ord("0") + int(c) if (c := chr(point)).isdecimal() else 0 for point in range(TABLE_SIZE))
    table = np.fromiter(values, np.uint32, TABLE_SIZE)
    table.setflags(write=False)
    return table


def _fold(character: str) -> int:
    """Code point of `character` case-folded, where that is one character (ß and İ are not), digits as 0."""
    if character.isdecimal():
        return ord("0")
    folded = character.casefold()
    return ord(folded if len(folded) == 1 else character)
