"""Where a piece may not go on: words cut there, so that those that differ beyond a border are one.

SentencePiece lets no piece hold a space but at its start, nor letters of two scripts, nor a letter and a sign. What
stands on both sides of such a border is spelled apart, so that training on the parts is training on the words.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from ccbuild.vocab.config import VocabularyConfig
from ccbuild.vocab.words import add_rows

__all__ = ["cut_at_borders", "spelled"]

_BITS = 21
"""Of a code point."""
_ROWS_AT_ONCE = 1 << 16
_META_PIECES = 3


def spelled(words: pa.Array) -> Iterator[tuple[slice, list[str], NDArray[np.uint32], NDArray[np.int64]]]:
    """In batches: which rows, their words, the code points of all of them in one run, and each word's length."""
    for start in range(0, len(words), _ROWS_AT_ONCE):
        batch: list[str] = words[start : start + _ROWS_AT_ONCE].to_pylist()
        points = np.frombuffer("".join(batch).encode("utf-32-le"), np.uint32)
        yield slice(start, start + len(batch)), batch, points, np.fromiter(map(len, batch), np.int64, len(batch))


def cut_at_borders(
    words: pa.Array, columns: Sequence[NDArray[np.int64]], config: VocabularyConfig
) -> tuple[pa.Array, list[NDArray[np.int64]]]:
    """The parts of `words` that no piece crosses the borders of, sorted, each once, and each column added up for them.

    >>> parts, (counts,) = cut_at_borders(pa.array(["▁end", "▁end.", "▁3D"]), [np.array([2, 3, 1])], VocabularyConfig())
    >>> dict(zip(parts.to_pylist(), counts.tolist()))
    {'.': 3, 'D': 1, '▁3': 1, '▁end': 5}
    """
    words, columns = _without_symbols(words, columns, config.symbols)
    apart = _apart(words, config)
    parts: list[pa.Array] = []
    cut: list[list[NDArray[np.int64]]] = [[] for _ in columns]
    for rows, _, points, lengths in spelled(words):
        border = np.isin(_pairs(points), apart)
        border[np.cumsum(lengths)[:-1] - 1] = True
        word = np.repeat(np.arange(rows.start, rows.stop), lengths)[np.append(0, np.flatnonzero(border) + 1)]
        lines = np.insert(points, np.flatnonzero(border) + 1, ord("\n")).astype("<u4").tobytes().decode("utf-32-le")
        parts.append(pa.array(lines.split("\n"), pa.large_string()))
        for column, taken in zip(columns, cut, strict=True):
            taken.append(column[word])
    both = [add_rows(parts, taken) for taken in cut]
    return both[0][0], [sums.astype(np.int64) for _, sums in both]


def _without_symbols(
    words: pa.Array, columns: Sequence[NDArray[np.int64]], symbols: Sequence[str]
) -> tuple[pa.Array, Sequence[NDArray[np.int64]]]:
    """What stands around the symbols, which are pieces of their own wherever they stand."""
    if not symbols:
        return words, columns
    symbol = re.compile("|".join(map(re.escape, sorted(symbols, key=len, reverse=True))))
    split = [[part for part in symbol.split(word) if part] for word in words.to_pylist()]
    row = np.repeat(np.arange(len(split)), np.fromiter(map(len, split), np.int64, len(split)))
    return pa.array([part for parts in split for part in parts], pa.large_string()), [c[row] for c in columns]


def _pairs(points: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Each two characters that follow each other, as a number."""
    wide = points.astype(np.uint64)
    return wide[:-1] << np.uint64(_BITS) | wide[1:]


def _apart(words: pa.Array, config: VocabularyConfig) -> NDArray[np.uint64]:
    """The pairs of characters in `words` that no piece may hold, sorted.

    SentencePiece is asked: trained to merge pairs, on the pairs themselves, it merges each that may be a piece.
    """
    known = np.empty(0, np.uint64)
    for _, _, points, lengths in spelled(words):
        inside = np.ones(max(len(points) - 1, 0), bool)
        inside[np.cumsum(lengths)[:-1] - 1] = False
        known = np.union1d(known, _pairs(points)[inside])
    pairs = [chr(number >> _BITS) + chr(number & (1 << _BITS) - 1) for number in known.tolist()]
    if not pairs:
        return known
    writer = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=(f"{pair}\t2" for pair in pairs),
        model_writer=writer,
        model_type="bpe",
        input_format="tsv",
        vocab_size=len(pairs) + len(set("".join(pairs))) + _META_PIECES,
        hard_vocab_limit=False,
        character_coverage=1.0,
        split_digits=config.split_digits,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
    )
    processor = SentencePieceProcessor(model_proto=writer.getvalue())
    pieces = {processor.id_to_piece(i) for i in range(_META_PIECES, processor.get_piece_size())}
    return known[[pair not in pieces for pair in pairs]]
