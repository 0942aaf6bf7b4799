"""The training of a unigram model: expectation and maximisation, and pruning by likelihood (Kudo 2018, section 3.2).

It is SentencePiece's own training step by step, without its copies of the words and in float64: of the same candidates
the same pieces come. One thing is new. All counts are lowered by one occurrence in their language.
SentencePiece lowers them by a half (digamma), but after alpha, which multiplies the words of small languages a thousand
times: there it is nothing, and what stands there once or twice by chance took the pieces of what will be seen again.
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
from ccbuild.vocab.joints import spelled

__all__ = ["discounted", "train_unigram"]

_EXPECTED = 0.5
"""A piece that is expected less often goes. SentencePiece: 0.5."""
_STEPS = 2
"""Of expectation and maximisation between prunings. SentencePiece: 2."""
_KEPT = 0.75
"""Of the pieces, after a pruning. SentencePiece: 0.75."""
_SPARE = 1.1
"""Times the size asked that pruning goes down to; the last are chosen by their probability. SentencePiece: 1.1."""
_UNKNOWN = 10.0
"""How far a character that is hardly expected lies below the least probable piece. SentencePiece: 10."""
_DIGAMMA = 0.5
"""By which digamma(x) lowers a count: it is log(x - 0.5), nearly."""
_PARTS = 8
"""Of the words, each added up alone, so that the sums do not depend on the number of threads."""


def discounted(counts: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted `counts` of what occurs `times` times, lowered by what one occurrence weighs but for the half that
    digamma takes.

    >>> discounted(np.array([30.0, 30.0, 3.0, 0.0]), np.array([2.0, 10.0, 3.0, 0.0])).tolist()
    [15.5, 27.5, 2.5, 0.0]
    """
    return np.asarray(np.maximum(counts - counts / np.maximum(times, 1e-9) + _DIGAMMA, 0.0) * (times > 0))


def train_unigram(
    words: pa.Array,
    counts: NDArray[np.int64],
    times: NDArray[np.int64],
    seeds: Sequence[tuple[str, int]],
    *,
    size: int,
    threads: int,
    kept: frozenset[str] = frozenset(),
    discount: bool = True,
) -> list[tuple[str, float]]:
    """At most `size` pieces, the most probable first, and their log probabilities; every character of `words` is one.

    `counts`: how often each word occurs, weighted; `times`: without weights. `seeds`: the candidates and their scores,
    all characters among them. `kept`: candidates that no pruning takes. With the characters they are `size` at most.
    Nothing of it depends on the number of `threads`.

    >>> once = np.array([6, 2]), np.array([6, 2])
    >>> seeds = [("a", 8), ("ab", 16), ("b", 8), ("c", 2)]
    >>> [piece for piece, _ in train_unigram(pa.array(["ab", "abc"]), *once, seeds, size=4, threads=1)]
    ['ab', 'c', 'a', 'b']
    """
    scores = np.fromiter((max(score, 1) for _, score in seeds), np.float64, len(seeds))
    model = _Model(
        text=_Strings.of(words),
        counts=counts.astype(np.float64),
        times=times.astype(np.float64),
        pieces=_Strings.of(pa.array([name for name, _ in seeds], pa.large_string())),
        names=np.array([name for name, _ in seeds], object),
        kept=np.fromiter((name in kept for name, _ in seeds), bool, len(seeds)),
        scores=np.log(scores) - np.log(scores.sum()),
        threads=threads,
        discount=discount,
    )
    most = int(size * _SPARE)
    while True:
        for _ in range(_STEPS):
            model.maximise()
        if len(model.scores) <= most:
            return model.ranked(size)
        model.prune(most)
        if len(model.scores) <= most:
            return model.ranked(size)


@dataclass(frozen=True, slots=True)
class _Strings:
    """Strings as one run of characters; string i is `points[starts[i]:starts[i + 1]]`."""

    points: NDArray[np.uint32]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, strings: pa.Array) -> _Strings:
        runs, lengths = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
        for _, _, points, length in spelled(strings):
            runs.append(points)
            lengths.append(length)
        return cls(np.concatenate(runs), np.append(0, np.cumsum(np.concatenate(lengths))))

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    def only(self, chosen: NDArray[np.bool_]) -> _Strings:
        """Those that are chosen."""
        return _Strings(self.points[np.repeat(chosen, self.lengths)], np.append(0, np.cumsum(self.lengths[chosen])))


@dataclass(slots=True, kw_only=True)
class _Model:
    """The words, and the pieces as they are at one time."""

    text: _Strings
    counts: NDArray[np.float64]
    times: NDArray[np.float64]
    pieces: _Strings
    names: NDArray[np.object_]
    kept: NDArray[np.bool_]
    """Whether no pruning takes a piece."""
    scores: NDArray[np.float64]
    """Log probabilities."""
    threads: int
    discount: bool

    def maximise(self) -> None:
        """One step of expectation and maximisation, in the Bayesian way that favours few pieces (Liang and Klein,
        https://cs.stanford.edu/~pliang/papers/tutorial-acl2007-talk.pdf)."""
        from ccbuild.vocab import kernels

        with phase(f"expect {len(self.scores):,} pieces"):
            expected = self._sum(kernels.expect, self._trie())
        enough = expected >= _EXPECTED
        total = max(expected[enough].sum(), _EXPECTED)
        self.scores = _digamma(np.maximum(expected, _EXPECTED)) - _digamma(np.array([total]))
        self.scores[~enough & ~self.kept] = self.scores[enough].min(initial=0.0) - _UNKNOWN
        self._keep(enough | self.kept | (self.pieces.lengths == 1))

    def prune(self, most: int) -> None:
        """Take away the pieces that the likelihood misses least, a quarter of all or down to `most`."""
        from ccbuild.vocab import kernels

        with phase(f"prune {len(self.scores):,} pieces"):
            trie = self._trie()
            used, lost = self._sum(kernels.segment, trie), np.empty(len(self.scores))
            longest = int(self.pieces.lengths.max())
            kernels.loss(self.pieces.points, self.pieces.starts, trie, self.scores, used, longest, lost)
        lost[self.kept | (self.pieces.lengths == 1)] = np.inf
        order = np.argsort(-lost, kind="stable")[: max(most, int(len(lost) * _KEPT))]
        chosen = np.zeros(len(lost), bool)
        chosen[order] = True
        self._keep(chosen & (lost >= 0))

    def ranked(self, size: int) -> list[tuple[str, float]]:
        """The `size` most probable: all characters, then what is kept, then the others."""
        first = 2 * (self.pieces.lengths == 1) + self.kept
        order = np.lexsort((self.names, -self.scores, -first))[:size]
        return sorted(
            zip(self.names[order].tolist(), self.scores[order].tolist(), strict=True), key=lambda p: (-p[1], p[0])
        )

    def _trie(self) -> Any:
        """The pieces as `kernels` walks them."""
        from ccbuild.vocab import kernels

        most = len(self.pieces.points) + 1
        bits = (2 * most).bit_length()
        keys, nodes = np.zeros(1 << bits, np.uint64), np.empty(1 << bits, np.int32)
        pieces, shift = np.empty(most, np.int32), np.uint64(64 - bits)
        count = kernels.grow(self.pieces.points, self.pieces.starts, keys, nodes, pieces, shift)
        return keys, nodes, pieces[:count].copy(), shift

    def _sum(self, add: Callable[..., Any], trie: Any) -> NDArray[np.float64]:
        """What `add` adds up for each piece over all words."""
        longest = int(self.pieces.lengths.max())
        borders = np.searchsorted(self.text.starts, np.linspace(0, self.text.starts[-1], _PARTS + 1))
        total = np.zeros((2, len(self.scores)))

        def one(part: slice) -> NDArray[np.float64]:
            found = np.zeros_like(total)
            starts = self.text.starts[part.start : part.stop + 1]
            add(self.text.points, starts, self.counts[part], self.times[part], trie, self.scores, longest, found)
            return found

        with ThreadPoolExecutor(self.threads) as pool:
            for found in pool.map(one, map(slice, borders[:-1].tolist(), borders[1:].tolist())):
                total += found
        return discounted(*total) if self.discount else total[0]

    def _keep(self, chosen: NDArray[np.bool_]) -> None:
        self.pieces = self.pieces.only(chosen)
        self.names, self.kept, self.scores = self.names[chosen], self.kept[chosen], self.scores[chosen]


def _digamma(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The derivative of log gamma: its recurrence up to 7, then the asymptotic series."""
    result, x = np.zeros_like(x), x.copy()
    while (low := x < 7).any():
        result[low] -= 1 / x[low]
        x[low] += 1
    x -= 0.5
    square = 1 / (x * x)
    series = square * (1 / 24 - square * (7 / 960 - square * (31 / 8064 - square * 127 / 30720)))
    return np.asarray(result + np.log(x) + series)
