"""The training of a unigram model: expectation and maximisation, and pruning by likelihood (Kudo 2018, section 3.2).

It is SentencePiece's own training, step by step, in a third of its time and without its copies of the words: the same
pieces come of the same candidates, but for ties and what SentencePiece loses by adding up in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ccbuild.progress import phase

__all__ = ["train_unigram"]

_EXPECTED = 0.5
"""A piece that is expected less often goes. SentencePiece: 0.5."""
_STEPS = 2
"""Of expectation and maximisation between prunings. SentencePiece: 2."""
_KEPT = 0.75
"""Of the pieces, after a pruning. SentencePiece: 0.75."""
_SPARE = 1.1
"""Times the size asked that pruning goes down to; the last are chosen by their probability. SentencePiece: 1.1."""
_UNKNOWN = 10.0
"""How far a character that lost its piece lies below the least probable piece. SentencePiece: 10."""
_PARTS = 8
"""Of the words, each added up alone, so that the sums do not depend on the number of threads."""


def train_unigram(
    words: pa.Array,
    counts: NDArray[np.int64],
    seeds: Sequence[tuple[str, int]],
    *,
    size: int,
    threads: int,
    kept: frozenset[str] = frozenset(),
) -> list[tuple[str, float]]:
    """At most `size` pieces, the most probable first, and their log probabilities; every character of `words` is one.

    `seeds`: the candidates with their scores, all characters among them. `kept`: candidates that no pruning takes.
    Nothing of it depends on the number of `threads`.
    """
    text = _Strings.of(words.to_pylist())
    names = [name for name, _ in seeds]
    model = _Model(text, counts, _Strings.of(names), names, kept, threads)
    scores = np.array([max(score, 1) for _, score in seeds], np.float64)
    model.scores = np.log(scores) - np.log(scores.sum())
    while True:
        for _ in range(_STEPS):
            model.maximise(model.expected())
        if len(model) <= max(int((size + 3) * _SPARE), 1):
            return model.ranked(size)
        model.prune(size)


@dataclass(frozen=True, slots=True)
class _Strings:
    """Strings as one run of characters; string i is `points[starts[i]:starts[i + 1]]`."""

    points: NDArray[np.uint32]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, strings: Sequence[str]) -> _Strings:
        lengths = np.fromiter(map(len, strings), np.int64, len(strings))
        points = np.frombuffer("".join(strings).encode("utf-32-le"), np.uint32)
        return cls(points, np.append(0, np.cumsum(lengths)))

    def only(self, chosen: NDArray[np.bool_]) -> _Strings:
        """Those that are chosen."""
        lengths = np.diff(self.starts)
        return _Strings(self.points[np.repeat(chosen, lengths)], np.append(0, np.cumsum(lengths[chosen])))


class _Model:
    """The pieces on the way."""

    def __init__(
        self,
        text: _Strings,
        counts: NDArray[np.int64],
        pieces: _Strings,
        names: list[str],
        kept: frozenset[str],
        threads: int,
    ) -> None:
        self._text, self._counts, self._threads = text, counts.astype(np.float64), threads
        self._pieces = pieces
        self._names = np.array(names, object)
        self._single = np.diff(pieces.starts) == 1
        self._kept = np.fromiter((name in kept for name in names), bool, len(names))
        self.scores: NDArray[np.float64] = np.zeros(len(names))
        self._longest = int(np.diff(pieces.starts).max())
        places = np.searchsorted(text.starts, np.linspace(0, text.starts[-1], _PARTS + 1))
        places[-1] = len(counts)
        self._parts = [slice(*pair) for pair in zip(places[:-1].tolist(), places[1:].tolist(), strict=True)]
        self._grown: Any = None

    def __len__(self) -> int:
        return len(self._names)

    def _trie(self) -> Any:
        """Grown anew where pieces went."""
        from ccbuild.vocab import kernels

        if self._grown is None:
            points, starts = self._pieces.points, self._pieces.starts
            order = np.arange(len(self))
            most = len(points) + 1
            bits = max(int(2 * most - 1).bit_length(), 4)
            keys, nodes = np.zeros(1 << bits, np.uint64), np.empty(1 << bits, np.int32)
            pieces = np.empty(most, np.int32)
            shift = np.uint64(64 - bits)
            count = kernels.grow(points, starts, keys, nodes, pieces, shift)
            del order
            self._grown = keys, nodes, pieces[:count].copy(), shift
        return self._grown

    def _sum(self, add: Callable[..., Any]) -> NDArray[np.float64]:
        """What `add` adds up over all words, a number for each piece."""
        trie = self._trie()

        def one(part: slice) -> NDArray[np.float64]:
            found = np.zeros(len(self))
            starts = self._text.starts[part.start : part.stop + 1]
            add(self._text.points, starts, self._counts[part], trie, self.scores, self._longest, found)
            return found

        total = np.zeros(len(self))
        with ThreadPoolExecutor(self._threads) as pool:
            for found in pool.map(one, self._parts):
                total += found
        return total

    def expected(self) -> NDArray[np.float64]:
        """How often each piece is expected in the words."""
        from ccbuild.vocab import kernels

        with phase(f"expect {len(self):,} pieces"):
            return self._sum(kernels.expect)

    def maximise(self, expected: NDArray[np.float64]) -> None:
        """New probabilities, in the Bayesian way that favours few pieces (Liang and Klein 2007)."""
        enough = expected >= _EXPECTED
        self._keep(enough | self._single | self._kept)
        expected = np.maximum(expected[enough | self._single_all | self._kept_all], 1e-9)
        enough = expected >= _EXPECTED
        total = expected[enough].sum()
        self.scores = _digamma(np.maximum(expected, _EXPECTED)) - _digamma(np.array([total]))[0]
        self.scores[~enough & self._single] = self.scores[enough].min() - _UNKNOWN

    def _keep(self, chosen: NDArray[np.bool_]) -> None:
        self._single_all, self._kept_all = self._single, self._kept
        if chosen.all():
            return
        self._pieces = self._pieces.only(chosen)
        self._names, self._single, self._kept = self._names[chosen], self._single[chosen], self._kept[chosen]
        self.scores = self.scores[chosen]
        self._grown = None

    def prune(self, size: int) -> None:
        """Take away the pieces that the likelihood misses least."""
        from ccbuild.vocab import kernels

        with phase(f"prune {len(self):,} pieces"):
            used, lost = self._sum(kernels.segment), np.empty(len(self))
            kernels.loss(
                self._pieces.points, self._pieces.starts, self._trie(), self.scores, used, self._longest, lost
            )
        lost[self._single | self._kept] = np.inf
        most = max(int((size + 3) * _SPARE), int(len(self) * _KEPT))
        order = np.argsort(-lost, kind="stable")[:most]
        chosen = np.zeros(len(self), bool)
        chosen[order] = True
        self._keep(chosen & (lost >= 0))

    def ranked(self, size: int) -> list[tuple[str, float]]:
        """The `size` most probable, all characters and what is kept among them."""
        order = np.lexsort((self._names, -self.scores, ~(self._single | self._kept)))[:size]
        chosen = [(str(self._names[i]), float(self.scores[i])) for i in order]
        return sorted(chosen, key=lambda pair: (-pair[1], pair[0]))


def _digamma(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The derivative of log gamma, by its recurrence up to 7 and the asymptotic series."""
    result, x = np.zeros_like(x), x.astype(np.float64)
    while (low := x < 7).any():
        result[low] -= 1 / x[low]
        x = np.where(low, x + 1, x)
    x -= 0.5
    square = 1 / (x * x)
    return np.asarray(
        result + np.log(x) + square * (1 / 24 - square * (7 / 960 - square * (31 / 8064 - square * 127 / 30720)))
    )
