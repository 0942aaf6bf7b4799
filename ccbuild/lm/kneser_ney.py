"""Interpolated modified Kneser-Ney probabilities of n-grams, in arrays: the numbers of KenLM's ``lmplz``.

Chen and Goodman, *An Empirical Study of Smoothing Techniques for Language Modeling* (1998), with the choices of
Heafield et al., *Scalable Modified Kneser-Ney Language Model Estimation* (ACL 2013), that ``lmplz`` makes:

* ``<unk>`` has count 0 and gets the interpolated share of the uniform distribution; ``<s>`` has probability 1;
* the uniform distribution is over the vocabulary with ``<unk>`` and ``</s>``, without ``<s>``;
* an n-gram that begins with ``<s>`` keeps its own count, others of a lower order count distinct left neighbours;
* pruned n-grams (own count at or under the order's threshold) leave their mass to the back-off;
* where the closed form of the discounts fails, 0.5, 1 and 1.5 stand in (``--discount_fallback``).

Quirk kept: ``lmplz`` enters the last n-gram of each lower order (in its order of words, from the right) into the
statistics for the discounts with its own count in place of its adjusted one. On small texts this shows.

Every column lies in a file and is read in pieces, so memory is what the caller sets and the text may be larger than it:
n-grams are sorted in runs that are merged, and what one order asks of another is gathered in as many passes as memory
makes it take. The numbers are the same, to the last bit, whatever the memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ccbuild.errors import InputError

__all__ = ["BOS", "EOS", "UNK", "Column", "Discounts", "NGrams", "Text", "estimate_ngrams", "gather", "read_sentences"]

UNK, BOS, EOS = 0, 1, 2
_SPECIAL = ("<unk>", "<s>", "</s>")
_FALLBACK = (0.5, 1.0, 1.5)
_SMALLEST = 1e-99
"""Stands in for a probability of nothing, which has no logarithm; ``lmplz`` writes ``-inf``."""
_BYTES_A_ROW = 160
"""Memory that the widest step, sorting a run, takes for each token in it."""

Floats = NDArray[np.float64]


class Column:
    """Numbers of one kind in a file: appended to, then read by slices; only what was asked for is in memory."""

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        """An empty column; replaces the file."""
        self.path, self.dtype, self._length = path, np.dtype(dtype), 0
        path.write_bytes(b"")

    def __len__(self) -> int:
        """Numbers in it."""
        return self._length

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """The numbers of a slice without a step."""
        start, stop, _ = rows.indices(self._length)
        return np.fromfile(self.path, self.dtype, max(stop - start, 0), offset=start * self.dtype.itemsize)

    def blocks(self, rows: int) -> Iterator[NDArray[Any]]:
        """All of it from left to right, `rows` numbers at a time."""
        for start in range(0, self._length, rows):
            yield self[start : start + rows]

    def search(self, values: NDArray[Any]) -> list[int]:
        """How many numbers of this column, which is sorted, are under each of `values`; reads little of it."""
        if not self._length:
            return [0] * len(values)
        found: list[int] = np.searchsorted(np.memmap(self.path, self.dtype, "r"), values).tolist()
        return found

    def append(self, values: NDArray[Any]) -> None:
        """Put `values` at the end."""
        with open(self.path, "ab") as out:
            values.astype(self.dtype, copy=False).tofile(out)
        self._length += len(values)

    def write(self, start: int, values: NDArray[Any]) -> None:
        """Put `values` in the place of those from `start` on."""
        with open(self.path, "r+b") as out:
            out.seek(start * self.dtype.itemsize)
            values.astype(self.dtype, copy=False).tofile(out)


def gather(source: Column, index: Column, out: Column, rows: int) -> Column:
    """Fill the empty `out` with ``source[index]``; no more than `rows` numbers of each are in memory at once."""
    for start in range(0, len(source), rows):
        block = source[start : start + rows]
        for at in range(0, len(index), rows):
            where = index[at : at + rows]
            if len(block) == len(source):
                out.append(block[where])
                continue
            inside = (where >= start) & (where < start + len(block))
            values = out[at : at + rows] if start else np.zeros(len(where), out.dtype)
            values[inside] = block[where[inside] - start]
            if start:
                out.write(at, values)
            else:
                out.append(values)
    return out


@dataclass(frozen=True, slots=True)
class Text:
    """Sentences as word numbers."""

    words: list[str]
    """The vocabulary in the order of first appearance, after ``<unk>``, ``<s>`` and ``</s>``."""
    tokens: Column
    """``<s> w w w </s> <s> w </s>``…: indices into `words`, int32[total]."""
    longest: int
    """Tokens in the longest sentence, its two ends included; 0 without sentences."""
    sentences: int
    """How many there are."""


@dataclass(frozen=True, slots=True)
class Discounts:
    """What is taken off a count of 1, 2, and 3 or more."""

    amounts: tuple[float, float, float]
    fallback: bool
    """The closed form failed (too few n-grams that occur once, twice, …), the amounts are the stand-ins."""


@dataclass(frozen=True, slots=True)
class NGrams:
    """All n-grams of one order, sorted by (prefix, word); columns of one length."""

    prefix: Column
    """Index of the n-gram without its last word, among those of the order below; 0 for single words."""
    word: Column
    """Its last word."""
    first: Column
    """Its first word."""
    suffix: Column
    """Index of the n-gram without its first word, among those of the order below; 0 for single words."""
    log10: Column
    """log10 p(word | prefix), float64."""
    backoff: Column
    """log10 of the weight with which this n-gram, as a context, falls back; 0 where it is no context; float64."""
    kept: Column
    """False: pruned, not part of the model."""
    discounts: Discounts
    rows: int
    """N-grams that may be in memory at once."""

    def __len__(self) -> int:
        """N-grams, pruned ones too."""
        return len(self.word)

    def count(self) -> int:
        """N-grams that are part of the model."""
        return sum(int(block.sum()) for block in self.kept.blocks(self.rows))


def read_sentences(sentences: Iterable[Sequence[str]], folder: Path) -> Text:
    """`sentences` of words as a `Text` in `folder`; ``<s>``, ``</s>``, ``<unk>`` among the words count as white space.

    That is ``lmplz --skip_symbols``: these three are the model's own, and a text can hold anything. In memory are the
    vocabulary and a million words of the text.
    """
    words: dict[str, int] = {word: number for number, word in enumerate(_SPECIAL)}
    column, tokens = Column(folder / "tokens", np.int32), array("i")
    longest = number = 0
    for sentence in sentences:
        before = len(tokens)
        tokens.append(BOS)
        tokens.extend([words.setdefault(word, len(words)) for word in sentence if word not in _SPECIAL])
        tokens.append(EOS)
        longest, number = max(longest, len(tokens) - before), number + 1
        if len(tokens) >= 1 << 20:
            column.append(np.frombuffer(tokens, np.int32))
            tokens = array("i")
    if tokens:
        column.append(np.frombuffer(tokens, np.int32))
    return Text(list(words), column, longest, number)


@dataclass(frozen=True, slots=True)
class _Counted:
    """One order: what was counted, before probabilities."""

    last: int | None
    """Index of the n-gram of the quirk in the module's docstring; None at the longest order."""
    prefix: Column
    word: Column
    first: Column
    suffix: Column
    own: Column
    """How often it occurs."""


@dataclass(frozen=True, slots=True)
class _Run:
    """The distinct n-grams of a stretch of the text, sorted."""

    sampled: NDArray[np.int64]
    """Every so many keys."""
    key: Column
    own: Column
    suffix: Column
    rank: Column
    """Index of each among those of the whole text, once runs are merged."""


class _Counter:
    """Counts n-grams order by order, each column in a file of `folder`."""

    def __init__(self, text: Text, folder: Path, rows: int) -> None:
        self._text, self._folder, self._rows = text, folder, rows
        self._nwords = len(text.words)

    def column(self, name: str, dtype: DTypeLike) -> Column:
        return Column(self._folder / name, dtype)

    def index(self, name: str, of: int) -> Column:
        """A column of indices into something of the length `of`."""
        return self.column(name, np.int32 if of < 1 << 31 else np.int64)

    def count(self, order: int) -> list[_Counted]:
        """Every order's distinct n-grams. One of order k is one of order k-1 and a word: a single integer sorts it."""
        orders = [self._words()]
        below = self._text.tokens  # the n-gram of the order below that starts at each token; -1 where none does
        for k in range(2, order + 1):
            inverse = self.column("inverse", np.int32)
            runs = [
                self._run(k, number, below, inverse, start)
                for number, start in enumerate(range(0, len(self._text.tokens), self._rows))
            ]
            orders.append(self._merge(k, runs, orders[-1], last=k < order))
            if k < order:
                below = self._starts(k, runs, inverse, len(orders[-1].word))
            for column in (inverse, *(c for run in runs for c in (run.key, run.own, run.suffix, run.rank))):
                column.path.unlink()
        return orders

    def _words(self) -> _Counted:
        numbers = np.arange(self._nwords)
        own = np.zeros(self._nwords, np.int64)
        for block in self._text.tokens.blocks(self._rows):
            own += np.bincount(block, minlength=self._nwords)
        columns = [self.index(f"1.{name}", self._nwords) for name in ("prefix", "word", "first", "suffix")]
        columns.append(self.column("1.own", np.int64))
        for column, values in zip(columns, (0 * numbers, numbers, numbers, 0 * numbers, own), strict=True):
            column.append(values)
        return _Counted(int(np.flatnonzero(own)[-1]), *columns)

    def _run(self, k: int, number: int, below: Column, inverse: Column, start: int) -> _Run:
        """Sort the n-grams that start in one stretch of the text; `inverse` gets which of them starts at each token."""
        tokens, rest = self._text.tokens[start : start + self._rows + k - 1], below[start : start + self._rows + 1]
        size = min(self._rows, len(self._text.tokens) - start)
        starts = np.flatnonzero(rest[:size] >= 0)
        starts = starts[tokens[starts + k - 2] != EOS]  # an n-gram ends with its sentence
        key = rest[starts].astype(np.int64) * self._nwords + tokens[starts + k - 1]
        by_key = np.argsort(key)
        key, starts = key[by_key], starts[by_key]
        new = np.flatnonzero(np.append(True, key[1:] != key[:-1])[: len(key)])
        own = np.diff(np.append(new, len(key)))
        which = np.full(size, -1, np.int32)
        which[starts] = np.repeat(np.arange(len(new)), own)
        inverse.append(which)
        names = [f"run.{number}.{name}" for name in ("key", "own", "suffix", "rank")]
        columns = [self.column(name, np.int64) for name in names]
        for column, values in zip(columns, (key[new], own, rest[starts[new] + 1]), strict=False):
            column.append(values)
        return _Run(key[new][:: self._step()], *columns)

    def _step(self) -> int:
        """Keys for which one is sampled: runs of no more than 4 times as many make a merge's part of `rows` keys."""
        runs = -(-len(self._text.tokens) // self._rows)
        return max(self._rows // (4 * runs), 1)

    def _merge(self, k: int, runs: Sequence[_Run], lower: _Counted, *, last: bool) -> _Counted:
        """All runs as one order's columns, and in each run the rank of its n-grams there."""
        columns = [
            self.index(f"{k}.prefix", len(lower.word)),
            self.index(f"{k}.word", self._nwords),
            self.index(f"{k}.first", self._nwords),
            self.index(f"{k}.suffix", len(lower.word)),
            self.column(f"{k}.own", np.int64),
        ]
        found: tuple[int, int] | None = None  # first word and index of the last n-gram
        for edges in self._parts(runs):
            stretches = [(run, slice(*edge)) for run, edge in zip(runs, edges, strict=True) if edge[0] < edge[1]]
            if not stretches:
                continue
            key = np.concatenate([run.key[rows] for run, rows in stretches])
            own = np.concatenate([run.own[rows] for run, rows in stretches])
            suffix = np.concatenate([run.suffix[rows] for run, rows in stretches])
            by_key = np.argsort(key, kind="stable")
            key = key[by_key]
            is_new = np.append(True, key[1:] != key[:-1])
            new = np.flatnonzero(is_new)
            base = len(columns[0])
            rank = np.empty(len(key), np.int64)
            rank[by_key] = base + np.cumsum(is_new) - 1
            taken = 0
            for run, rows in stretches:
                run.rank.append(rank[taken : taken + rows.stop - rows.start])
                taken += rows.stop - rows.start
            prefix, word = np.divmod(key[new], self._nwords)
            first = lower.first[prefix[0] : prefix[-1] + 1][prefix - prefix[0]]
            suffix = suffix[by_key[new]]
            for column, values in zip(
                columns, (prefix, word, first, suffix, np.add.reduceat(own[by_key], new)), strict=True
            ):
                column.append(values)
            candidates = np.flatnonzero(suffix == lower.last) if last and lower.last is not None else new[:0]
            if len(candidates):
                at = candidates[np.argmax(first[candidates])]
                found = max(found or (-1, 0), (int(first[at]), base + int(at)))
        return _Counted(found[1] if found else None, *columns)

    def _parts(self, runs: Sequence[_Run]) -> Iterator[list[tuple[int, int]]]:
        """Stretches of each run that hold the same range of keys, `rows` of them together at most."""
        samples = np.sort(np.concatenate([run.sampled for run in runs]))
        every = max(self._rows // (2 * self._step()), 1)
        pivots = np.unique(samples[every::every])
        edges = [[0, *run.key.search(pivots), len(run.key)] for run in runs]
        return (list(part) for part in zip(*(list(pairwise(e)) for e in edges), strict=True))

    def _starts(self, k: int, runs: Sequence[_Run], inverse: Column, total: int) -> Column:
        """The n-gram of order `k` that starts at each token; -1 where none does."""
        made = self.index(f"starts.{k}", total)
        for run, which in zip(runs, inverse.blocks(self._rows), strict=True):
            made.append(np.append(run.rank[:], -1)[which])
        return made


def estimate_ngrams(
    text: Text, order: int, prune: Sequence[int] = (), *, folder: Path, memory_megabytes: int = 4096
) -> list[NGrams]:
    """The model of `text`: n-grams of the orders 1 to `order`, with what they need to be written down.

    `prune` gives for each order the count up to which its n-grams are left out; the last holds for the orders
    beyond. `InputError` when no sentence is as long as `order`. The columns lie in `folder`, which is the caller's:
    about 60 bytes a distinct n-gram. Cost: under 1 µs a token and order; memory: `memory_megabytes` MiB for numbers,
    and three bytes a word of the vocabulary and n-gram of the largest order.
    """
    if order > text.longest:
        raise InputError(
            f"No sentence is long enough for order {order}: the longest has {max(text.longest - 2, 0)} words. "
            f"Give more text, or set order={max(text.longest, 2)}."
        )
    rows = max((memory_megabytes << 20) // _BYTES_A_ROW, len(text.words))
    thresholds = [*prune, *[prune[-1] if prune else 0] * order][:order]
    counter = _Counter(text, folder, rows)
    orders = counter.count(order)
    ngrams: list[NGrams] = []
    lower = counter.column("0.probability", np.float64)
    lower.append(np.full(1, 1.0 / (len(text.words) - 1)))
    for k, (gram, threshold) in enumerate(zip(orders, thresholds, strict=True), 1):
        count = gram.own if k == order else _adjusted(k, gram, orders[k], counter, rows)
        discounts = _discounts(gram, count, rows)
        weighted = gather(lower, gram.suffix, counter.column("gathered", np.float64), rows)
        backoff = ngrams[-1].backoff if ngrams else counter.column("0.backoff", np.float64)
        made = NGrams(
            gram.prefix,
            gram.word,
            gram.first,
            gram.suffix,
            counter.column(f"{k}.log10", np.float64),
            counter.column(f"{k}.backoff", np.float64),
            counter.column(f"{k}.kept", np.bool_),
            discounts,
            rows,
        )
        probability = counter.column(f"{k}.probability", np.float64)
        _interpolate(gram, count, threshold, weighted, made, probability, backoff, len(lower))
        ngrams.append(made)
        lower = probability
    for block in ngrams[-1].log10.blocks(rows):
        ngrams[-1].backoff.append(np.zeros(len(block)))
    return ngrams


def _adjusted(k: int, gram: _Counted, above: _Counted, counter: _Counter, rows: int) -> Column:
    """Kneser-Ney counts of a lower order: its own after ``<s>``, else the number of distinct left neighbours."""
    made = counter.column(f"{k}.count", np.int64)
    for start in range(0, len(gram.own), rows):
        own = gram.own[start : start + rows]
        neighbours = np.zeros(len(own), np.int64)
        for suffix in above.suffix.blocks(rows):
            inside = suffix[(suffix >= start) & (suffix < start + len(own))]
            neighbours += np.bincount(inside - start, minlength=len(own))
        after_bos = gram.first[start : start + rows] == BOS
        made.append(np.where(after_bos, own, neighbours) if k > 1 else neighbours)
    return made


def _discounts(gram: _Counted, count: Column, rows: int) -> Discounts:
    """Chen and Goodman's equation 26 over the counts of one order; those of 0 (``<unk>``, ``<s>``) do not enter."""
    n = np.zeros(6)
    for start, block in zip(range(0, len(count), rows), count.blocks(rows), strict=True):
        if gram.last is not None and start <= gram.last < start + len(block):
            block[gram.last - start] = gram.own[gram.last : gram.last + 1][0]
        n += np.bincount(np.minimum(block, 5), minlength=6)
    if n[1:4].all():
        y = n[1] / (n[1] + 2 * n[2])
        one, two, three = (j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))
        if 0 <= one <= 1 and 0 <= two <= 2 and 0 <= three <= 3:
            return Discounts((float(one), float(two), float(three)), False)
    return Discounts(_FALLBACK, True)


def _interpolate(
    gram: _Counted,
    count: Column,
    threshold: int,
    weighted: Column,
    made: NGrams,
    probability: Column,
    backoff: Column,
    ncontexts: int,
) -> None:
    """Fill the probabilities of `made`, and the `backoff` of the `ncontexts` n-grams below it.

    `weighted` has the probability that the order below gives each n-gram's last word.
    """
    is_words = ncontexts == 1
    start = context = 0
    while start < len(count):
        prefix = gram.prefix[start : start + made.rows]
        if start + len(prefix) < len(count):  # no context is split: it has at most as many n-grams as there are words
            prefix = prefix[: np.searchsorted(prefix, prefix[-1])] if prefix[0] != prefix[-1] else prefix
        stop = start + len(prefix)
        counts, own, word = count[start:stop], gram.own[start:stop], gram.word[start:stop]
        kept = (own > threshold) | (is_words & (word <= EOS))
        amount = np.array([0.0, *made.discounts.amounts])[np.minimum(counts, 3)]
        end = int(prefix[-1]) + 1 if stop < len(count) else ncontexts
        prefix = prefix - context
        total = np.bincount(prefix, weights=counts, minlength=end - context)
        free = np.bincount(prefix, weights=np.where(kept, amount, counts), minlength=end - context)
        gamma = np.divide(free, total, out=np.ones(end - context), where=total > 0)
        value = (counts - amount) / total[prefix] + gamma[prefix] * weighted[start:stop]
        if is_words:
            value[BOS] = 1.0
        for column, values in (
            (made.log10, np.minimum(_log10(value), 0.0)),
            (made.kept, kept),
            (probability, value),
            (backoff, _log10(gamma)),
        ):
            column.append(values)
        start, context = stop, end


def _log10(probability: Floats) -> Floats:
    return np.log10(np.maximum(probability, _SMALLEST))
