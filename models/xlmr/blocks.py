"""How tokens are cut into what a sequence holds: a stream of one language, its documents, or aligned pairs.

Each kind has a number of blocks to train on and of blocks held out, which stand at the end, and reads one of them as
segments: the ids between an <s> and a </s>.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ccbuild.errors import InputError
from ccbuild.tokens import LanguageTokens

__all__ = ["Blocks", "Documents", "Pairs", "Stream"]

Ids = NDArray[np.uint32]


class Blocks(Protocol):
    """The blocks of one language or pair."""

    trained: int
    """Blocks to train on."""
    held_out: int
    """Blocks at the end that are kept for validation."""
    padded: bool
    """Whether a block may be shorter than a sequence has room for."""

    def read(self, block: int, *, held_out: bool = False) -> list[Ids]:
        """The segments of a block, counted from 0 among those to train on, or among those held out."""
        ...


def _held_out(blocks: int, wanted: int) -> int:
    """Blocks held out: at most a tenth of them, none of a language of less than ten."""
    return min(wanted, blocks // 10)


class Stream:
    """A language's documents one after the other, cut every `size` tokens, as XLM-R read them.

    The last cut of the training part reaches back, so that it is as long as the others and no token is lost. A language
    with less than one block is one padded block. A document across the border to what is held out has a part on each
    side.
    """

    def __init__(self, tokens: LanguageTokens, size: int, validation: int) -> None:
        self.tokens, self.size = tokens, size
        self.held_out = _held_out(tokens.tokens // size, validation)
        self.end = tokens.tokens - self.held_out * size
        self.trained = -(-self.end // size)
        self.padded = tokens.tokens < size

    def read(self, block: int, *, held_out: bool = False) -> list[Ids]:
        """See :class:`Blocks`."""
        if held_out:
            return [self.tokens.read(self.end + block * self.size, self.size)]
        return [self.tokens.read(max(0, min(block * self.size, self.end - self.size)), min(self.size, self.end))]


class Documents:
    """A language's documents, each cut every `size` tokens: no block holds two. Costs 24 bytes a document in memory."""

    padded = True

    def __init__(self, tokens: LanguageTokens, size: int, validation: int) -> None:
        bounds = tokens.bounds()
        self.tokens, self.size, self.bounds = tokens, size, bounds[bounds[:, 1] > bounds[:, 0]]
        self.until = np.cumsum(-(-(self.bounds[:, 1] - self.bounds[:, 0]) // size))  # blocks up to each document
        blocks = int(self.until[-1]) if len(self.until) else 0
        self.held_out = _held_out(blocks, validation)
        self.trained = blocks - self.held_out

    def read(self, block: int, *, held_out: bool = False) -> list[Ids]:
        """See :class:`Blocks`."""
        block += self.trained if held_out else 0
        document = int(np.searchsorted(self.until, block, side="right"))
        start, end = self.bounds[document].tolist()
        from_end = (int(self.until[document]) - block) * self.size
        pieces = -(-(end - start) // self.size) * self.size
        first = start + pieces - from_end
        return [self.tokens.read(first, min(self.size, end - first))]


class Pairs:
    """Documents of two languages, the n-th of one the translation of the n-th of the other: a block each.

    What does not fit in half a sequence is cut off. Raises `InputError` where the two do not have as many documents.
    """

    padded = True

    def __init__(self, name: str, first: LanguageTokens, second: LanguageTokens, size: int, validation: int) -> None:
        if first.documents != second.documents:
            raise InputError(
                f"The pair {name} has {first.documents} documents in {first.code} and {second.documents} in "
                f"{second.code}. The n-th of one must translate the n-th of the other: encode both sides again."
            )
        self.sides = [(first, first.bounds()), (second, second.bounds())]
        self.room = (size - 2) // 2  # two segments, each between <s> and </s>
        self.held_out = _held_out(first.documents, validation)
        self.trained = first.documents - self.held_out

    def read(self, block: int, *, held_out: bool = False) -> list[Ids]:
        """See :class:`Blocks`."""
        block += self.trained if held_out else 0
        spans = [(tokens, *bounds[block].tolist()) for tokens, bounds in self.sides]
        return [tokens.read(start, min(end - start, self.room)) for tokens, start, end in spans]
