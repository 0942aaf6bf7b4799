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
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ccbuild.errors import InputError

__all__ = ["BOS", "EOS", "UNK", "Discounts", "NGrams", "Text", "estimate_ngrams", "read_sentences"]

UNK, BOS, EOS = 0, 1, 2
_SPECIAL = ("<unk>", "<s>", "</s>")
_FALLBACK = (0.5, 1.0, 1.5)
_SMALLEST = 1e-99
"""Stands in for a probability of nothing, which has no logarithm; ``lmplz`` writes ``-inf``."""

Ints = NDArray[np.int64] | NDArray[np.int32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Text:
    """Sentences as word numbers."""

    words: list[str]
    """The vocabulary in the order of first appearance, after ``<unk>``, ``<s>`` and ``</s>``."""
    tokens: Ints
    """``<s> w w w </s> <s> w </s>``…: indices into `words`, int64[total]."""


@dataclass(frozen=True, slots=True)
class Discounts:
    """What is taken off a count of 1, 2, and 3 or more."""

    amounts: tuple[float, float, float]
    fallback: bool
    """The closed form failed (too few n-grams that occur once, twice, …), the amounts are the stand-ins."""


@dataclass(frozen=True, slots=True)
class NGrams:
    """All n-grams of one order, sorted by (prefix, word); arrays of one length."""

    prefix: Ints
    """Index of the n-gram without its last word, among those of the order below; 0 for single words."""
    word: Ints
    """Its last word."""
    suffix: Ints
    """Index of the n-gram without its first word, among those of the order below; for single words, `prefix` itself."""
    log10: Floats
    """log10 p(word | prefix)."""
    backoff: Floats
    """log10 of the weight with which this n-gram, as a context, falls back; 0 where it is no context."""
    kept: NDArray[np.bool_]
    """False: pruned, not part of the model."""
    discounts: Discounts


def read_sentences(sentences: Iterable[Sequence[str]]) -> Text:
    """`sentences` of words as a `Text`; ``<s>``, ``</s>`` and ``<unk>`` among the words count as white space.

    That is ``lmplz --skip_symbols``: these three are the model's own, and a text can hold anything.
    """
    words: dict[str, int] = {word: number for number, word in enumerate(_SPECIAL)}
    tokens = array("q")
    for sentence in sentences:
        tokens.append(BOS)
        tokens.extend([words.setdefault(word, len(words)) for word in sentence if word not in _SPECIAL])
        tokens.append(EOS)
    return Text(list(words), np.frombuffer(tokens, np.int64) if tokens else np.zeros(0, np.int64))


def _longest(tokens: Ints) -> int:
    """Tokens in the longest sentence, its two ends included."""
    return int((np.flatnonzero(tokens == EOS) - np.flatnonzero(tokens == BOS)).max(initial=-1)) + 1


@dataclass(frozen=True, slots=True)
class _Counted:
    """One order: what was counted, before probabilities."""

    prefix: Ints
    word: Ints
    suffix: Ints
    """Index of the n-gram without its first word, among those of the order below."""
    own: Ints
    """How often it occurs."""
    last: int | None
    """Index of the n-gram of the quirk in the module's docstring; None at the longest order."""


def estimate_ngrams(text: Text, order: int, prune: Sequence[int] = ()) -> list[NGrams]:
    """The model of `text`: n-grams of the orders 1 to `order`, with what they need to be written down.

    `prune` gives for each order the count up to which its n-grams are left out; the last holds for the orders
    beyond. `InputError` when no sentence is as long as `order`. Cost: under 1 µs a token and order; about 130 bytes a
    distinct n-gram, all in memory.
    """
    if order > _longest(text.tokens):
        raise InputError(
            f"No sentence is long enough for order {order}: the longest has {_longest(text.tokens) - 2} words. "
            f"Give more text, or set order={max(_longest(text.tokens), 2)}."
        )
    thresholds = [*prune, *[prune[-1] if prune else 0] * order][:order]
    counted = _count(text, order)
    adjusted = _adjust(counted)
    ngrams: list[NGrams] = []
    lower: Floats = np.full(1, 1.0 / (len(text.words) - 1))
    for k, (gram, count, threshold) in enumerate(zip(counted, adjusted, thresholds, strict=True)):
        kept = (gram.own > threshold) | (gram.word <= EOS if k == 0 else False)
        seen = count
        if gram.last is not None:
            seen = count.copy()
            seen[gram.last] = gram.own[gram.last]
        discounts = _discounts(seen)
        probability, gamma = _interpolate(gram, count, kept, discounts, lower)
        if k:
            before = ngrams[-1]
            ngrams[-1] = dataclasses.replace(before, backoff=_log10(gamma))
        else:
            probability[BOS] = 1.0
        log10 = np.minimum(_log10(probability), 0.0)
        ngrams.append(NGrams(gram.prefix, gram.word, gram.suffix, log10, np.zeros(len(log10)), kept, discounts))
        lower = probability
    return ngrams


def _count(text: Text, order: int) -> list[_Counted]:
    """Every order's distinct n-grams. One of order k is one of order k-1 and a word, so a single integer sorts it."""
    tokens, nwords = text.tokens, len(text.words)
    ends = _last_in_suffix_order(tokens, order)
    none = np.zeros(nwords, dtype=np.int64)
    orders = [_Counted(none, np.arange(nwords), none, np.bincount(tokens, minlength=nwords), int(tokens[ends[0]]))]
    starts = np.arange(len(tokens))
    below = tokens  # the n-gram of the order below that starts at each token; -1 where none does
    for k in range(2, order + 1):
        starts = starts[tokens[starts + k - 2] != EOS]  # an n-gram ends with its sentence
        key = below[starts] * nwords + tokens[starts + k - 1]
        by_key = np.argsort(key)
        key = key[by_key]
        first = np.flatnonzero(np.append(True, key[1:] != key[:-1])[: len(key)])
        own = np.diff(np.append(first, len(key)))
        at = np.full(len(tokens), -1, dtype=np.int64)
        at[starts[by_key]] = np.repeat(np.arange(len(first)), own)
        prefix, word = np.divmod(key[first], nwords)
        suffix = below[starts[by_key[first]] + 1]
        last = int(at[ends[k - 1]]) if k < order and k <= len(ends) else None
        orders.append(_Counted(_narrow(prefix), _narrow(word), _narrow(suffix), _narrow(own), last))
        below = at
    return orders


def _narrow(values: Ints) -> Ints:
    """`values` in half the memory where they fit: there are as many of them as n-grams."""
    return values.astype(np.int32) if values.max(initial=0) < 1 << 31 else values


def _adjust(orders: Sequence[_Counted]) -> list[Ints]:
    """Kneser-Ney counts: own counts at the top and after ``<s>``, else the number of distinct left neighbours."""
    adjusted = []
    after_bos = np.arange(len(orders[0].word)) == BOS
    for k, gram in enumerate(orders):
        if k:
            after_bos = after_bos[gram.prefix]
        if k + 1 == len(orders):
            adjusted.append(gram.own)
            break
        neighbours = np.bincount(orders[k + 1].suffix, minlength=len(gram.own))
        adjusted.append(_narrow(np.where(after_bos, gram.own, neighbours) if k else neighbours))
    return adjusted


def _last_in_suffix_order(tokens: Ints, order: int) -> list[int]:
    """Where the last n-gram of each lower order starts: that of order k at [k-1]; none longer than its sentence.

    Last is: with the greatest last word, then the greatest word before it, and so on.
    """
    ends = np.flatnonzero(tokens == tokens.max())
    starts = [int(ends[0])]
    for back in range(1, order - 1):
        before = tokens[ends - back]
        ends = ends[before == before.max()]
        starts.append(int(ends[0]) - back)
        if tokens[starts[-1]] == BOS:
            break
    return starts


def _discounts(counts: Ints) -> Discounts:
    """Chen and Goodman's equation 26 over the counts of one order; those of 0 (``<unk>``, ``<s>``) do not enter."""
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(np.float64)
    if n[1:4].all():
        y = n[1] / (n[1] + 2 * n[2])
        one, two, three = (j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))
        if 0 <= one <= 1 and 0 <= two <= 2 and 0 <= three <= 3:
            return Discounts((float(one), float(two), float(three)), False)
    return Discounts(_FALLBACK, True)


def _interpolate(
    gram: _Counted, count: Ints, kept: NDArray[np.bool_], discounts: Discounts, lower: Floats
) -> tuple[Floats, Floats]:
    """(probability of each n-gram, weight with which each context falls back; 1 where it is no context)."""
    amount = np.array([0.0, *discounts.amounts])[np.minimum(count, 3)]
    ncontexts = len(lower)
    total = np.bincount(gram.prefix, weights=count, minlength=ncontexts)
    free = np.bincount(gram.prefix, weights=np.where(kept, amount, count), minlength=ncontexts)
    gamma = np.divide(free, total, out=np.ones(ncontexts), where=total > 0)
    return (count - amount) / total[gram.prefix] + gamma[gram.prefix] * lower[gram.suffix], gamma


def _log10(probability: Floats) -> Floats:
    return np.log10(np.maximum(probability, _SMALLEST))
