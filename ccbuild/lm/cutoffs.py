"""Head, middle and tail: the thirds of a language's documents by perplexity, and how sure their bounds are."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ccbuild.errors import InputError
from ccbuild.progress import counted
from ccbuild.storage import write_bytes

__all__ = [
    "Bucket",
    "CutoffTable",
    "Cutoffs",
    "Percentile",
    "bucket",
    "calibrate",
    "calibrate_all",
    "cutoffs",
    "interval",
    "write_cutoffs",
]

Bucket = Literal["head", "middle", "tail", "all"]


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """The perplexities that divide a language."""

    head: float
    """The head lies under this perplexity."""
    middle: float
    """The middle lies under this one; the tail at it or above."""
    n: int
    """Documents that they were taken from."""


def cutoffs(
    perplexities: NDArray[np.float64], head: float = 1 / 3, middle: float = 2 / 3, *, min_documents: int = 30
) -> Cutoffs | None:
    """The cutoffs that put a share `head` of the documents in the head and `middle` in head and middle together.

    Each is the perplexity of the document at that rank, none interpolated, so it does not depend on the order of
    `perplexities` or on rounding. None with fewer than `min_documents` (at 30, a third is uncertain by ±9 % of the
    documents, one standard error): such a language stays whole, bucket ``"all"``. NaN (no model) does not count;
    infinity (no text) does. The shares are CCNet's (LREC 2020, §3.3: three even parts; its code holds 30 and 60 %).
    Memory: some MB, also where `perplexities` is a file mapped into memory.

    >>> cutoffs(np.arange(300.0, 0.0, -1.0))
    Cutoffs(head=101.0, middle=201.0, n=300)
    """
    if not 0 < head < middle < 1:
        raise ValueError(f"head is {head}, middle {middle}: they are shares, 0 < head < middle < 1.")
    n = sum(len(keys) for keys in _keys(perplexities))
    if n < max(min_documents, 1):
        return None
    first, second = _at_ranks(perplexities, (_rank(n, head), _rank(n, middle)))
    return Cutoffs(first, second, n)


def _rank(n: int, share: float) -> int:
    """How many of `n` documents are a `share`, rounded down; 1/3 of 300 is 100 however floats multiply."""
    return min(int(n * share + 1e-9), n - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentile:
    """A percentile of a language's perplexities, with its confidence interval."""

    lang: str
    """Code of the language."""
    percentile: float
    """0 to 100: the share of documents with a lower perplexity."""
    perplexity: float
    """Perplexity of the document at that rank."""
    low: float
    """The interval's lower end, a perplexity."""
    high: float
    """Its upper end."""
    documents: int
    """Documents that it was taken from."""


def interval(perplexities: NDArray[np.float64], share: float, level: float = 0.95) -> tuple[float, float] | None:
    """Perplexities between which the `share`-quantile of the corpus behind the sample `perplexities` lies, at `level`.

    Order statistics at binomial ranks (David and Nagaraja, *Order Statistics*, section 7.1): no assumption of a
    distribution, no random numbers; it covers at least at `level` for independent documents. It is what the bootstrap
    of a quantile tends to, for a few passes over `n` numbers. None where the sample is too small to bound both sides.
    Memory as for :func:`cutoffs`.

    >>> interval(np.arange(1.0, 101.0), 0.5)
    (40.0, 61.0)
    """
    n = sum(len(keys) for keys in _keys(perplexities))
    around = _DEVIATIONS * (1 + np.sqrt(n * share * (1 - share)))  # beyond it lies less than a float can say
    first = max(int(n * share - around), 0)
    k = np.arange(first + 1, min(int(n * share + around), n) + 1)
    log = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k) + np.log(share / (1 - share)))])
    mass = np.exp(log - log.max(initial=0.0))
    below = np.cumsum(mass / mass.sum())  # P(at most k documents lie under the quantile), from k = first on
    outside = (1 - level) / 2
    low = first + int(np.searchsorted(below, outside, side="right"))
    high = first + int(np.searchsorted(below, 1 - outside)) + 1
    if low < 1 or high > n:
        return None
    lower, upper = _at_ranks(perplexities, (low - 1, high - 1))
    return lower, upper


_DEVIATIONS = 40
_CHUNK = 1 << 18
_DIGITS = (48, 32, 16, 0)
_SIGN = np.uint64(1 << 63)


def _keys(values: NDArray[np.float64]) -> Iterator[NDArray[np.uint64]]:
    """What is a number of `values`, a chunk at a time, as integers in the same order."""
    for start in range(0, len(values), _CHUNK):
        chunk = np.asarray(values[start : start + _CHUNK])
        bits = (chunk[~np.isnan(chunk)] + 0.0).view(np.uint64)  # -0.0 is 0.0
        yield np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _at_ranks(values: NDArray[np.float64], ranks: Sequence[int]) -> list[float]:
    """The numbers at `ranks`, from 0, of `values` in ascending order; of many found digit by digit, in four passes."""
    if len(values) <= _CHUNK:
        return np.sort(values[~np.isnan(values)])[list(ranks)].tolist()  # type: ignore[no-any-return]
    found = dict.fromkeys(ranks, (np.uint64(0), 0))
    """Rank to (the digits that are known, how many numbers lie under all that have these)."""
    for shift in _DIGITS:
        counts = {known: np.zeros(1 << 16, np.int64) for known, _ in found.values()}
        for keys in _keys(values):
            for known, count in counts.items():
                among = keys if shift == _DIGITS[0] else keys[keys >> np.uint64(shift + 16) == known]
                count += np.bincount(
                    (among >> np.uint64(shift) & np.uint64(0xFFFF)).astype(np.int64), minlength=1 << 16
                )
        for rank, (known, under) in found.items():
            ends = np.cumsum(counts[known])
            digit = int(np.searchsorted(ends, rank - under, side="right"))
            found[rank] = (known << np.uint64(16)) | np.uint64(digit), under + int(ends[digit] - counts[known][digit])
    bits = np.array([found[rank][0] for rank in ranks], np.uint64)
    return np.where(bits & _SIGN, bits & ~_SIGN, ~bits).view(np.float64).tolist()  # type: ignore[no-any-return]


def calibrate(
    lang: str,
    perplexities: NDArray[np.float64],
    percentiles: Sequence[float],
    *,
    level: float = 0.95,
    min_documents: int = 30,
) -> list[Percentile]:
    """The `percentiles` of a language's documents, with intervals at `level`.

    `InputError` with fewer than `min_documents`, or too few to bound a percentile on both sides.
    """
    ordered = np.sort(perplexities[~np.isnan(perplexities)])
    found = []
    for percentile in percentiles:
        if not 0 < percentile < 100:
            raise InputError(f"{percentile} is no percentile. Give numbers between 0 and 100.")
        bounds = interval(ordered, percentile / 100, level) if len(ordered) >= min_documents else None
        if bounds is None:
            raise InputError(
                f"{lang}: {len(ordered):,} scored documents are too few for the {percentile:g}th percentile (at least "
                f"{min_documents}, and enough for an interval at {level:g}). Score more, or leave the language whole."
            )
        value = float(ordered[_rank(len(ordered), percentile / 100)])
        found.append(
            Percentile(
                lang=lang,
                percentile=percentile,
                perplexity=value,
                low=bounds[0],
                high=bounds[1],
                documents=len(ordered),
            )
        )
    return found


def calibrate_all(
    perplexities: Mapping[str, NDArray[np.float64]],
    percentiles: Sequence[float],
    *,
    level: float = 0.95,
    min_documents: int = 30,
    tell: Callable[[str], None] | None = None,
) -> list[Percentile]:
    """:func:`calibrate` of every language; `tell` takes why one has no cutoffs, without it that is raised.

    `InputError` where none has any.
    """
    if not 0 < level < 1:
        raise InputError(f"--level {level} is no level. Give a number between 0 and 1, such as 0.95.")
    rows: list[Percentile] = []
    for lang, values in counted(perplexities.items(), "languages", len(perplexities)):
        try:
            rows += calibrate(lang, values, percentiles, level=level, min_documents=min_documents)
        except InputError as error:
            if tell is None or not all(0 < percentile < 100 for percentile in percentiles):
                raise
            tell(str(error))
    if not rows:
        raise InputError("No language has enough scored documents for cutoffs. Score more.")
    return rows


_COLUMNS = ("lang", "percentile", "perplexity", "low", "high", "documents")


def write_cutoffs(path: str | Path, rows: Iterable[Percentile]) -> None:
    """A table of cutoffs as a file of its own: CSV, one percentile of one language a row, sorted."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in sorted(rows, key=lambda row: (row.lang, row.percentile)):
        writer.writerow([getattr(row, column) for column in _COLUMNS])
    write_bytes(path, out.getvalue().encode())


@dataclass(frozen=True, slots=True)
class CutoffTable:
    """Perplexities by language and percentile, as a file has them."""

    path: str
    rows: Mapping[str, Mapping[float, tuple[float, int]]]
    """Language to percentile, 0 to 100 with three decimals, to (perplexity, documents that it was taken from)."""

    @classmethod
    def read(cls, path: str | Path) -> CutoffTable:
        """The table in a file of two forms; `InputError` for another.

        Ours (:func:`write_cutoffs`), and CCNet's published ``cutoff.csv``: a row a percentile, named by its number, a
        column a language; it does not tell from how many documents, so they are 0.
        """
        if not Path(path).is_file():
            raise InputError(f"{path} is not a file. Name a table of cutoffs.")
        try:
            with open(path, encoding="utf-8-sig", newline="") as stream:
                lines = [line for line in csv.reader(stream) if line]
            rows = _own_rows(lines) if lines and tuple(lines[0]) == _COLUMNS else _ccnet_rows(lines)
            if not any(rows.values()):
                raise ValueError("it has no row")
            for lang, values in rows.items():
                _check(lang, values)
        except (ValueError, IndexError, csv.Error) as error:
            raise InputError(
                f"{path} is no table of cutoffs ({error}). It has the columns {', '.join(_COLUMNS)}, or CCNet's: a row "
                "a percentile, a column a language."
            ) from error
        return cls(str(path), rows)

    def shares(self) -> tuple[float, float]:
        """Where it would be cut: at its own two percentiles; of more, at 30 and 60, as CCNet cuts. As shares, 0 to 1.

        A third, which no decimal is, comes back exact. `InputError`, with what there is, for any other table.
        """
        known = sorted(set().union(*self.rows.values()))
        chosen = known if len(known) == 2 else [30.0, 60.0]
        if not set(chosen) <= set(known):
            raise InputError(f"{self.path} has the percentiles {_listed(known)}. Say which two of them divide.")
        head, middle = (_THIRDS.get(percentile, percentile / 100) for percentile in chosen)
        return head, middle

    def at(self, head: float, middle: float) -> dict[str, Cutoffs]:
        """Language to its cutoffs at the shares `head` and `middle`; one that lacks one of the two is left out.

        `InputError`, with what there is, where no language has both.
        """
        low, high = round(100 * head, 3), round(100 * middle, 3)
        found = {
            lang: Cutoffs(values[low][0], values[high][0], values[low][1])
            for lang, values in sorted(self.rows.items())
            if low in values and high in values
        }
        if not found:
            known = _listed(set().union(*self.rows.values()))
            raise InputError(
                f"{self.path} has no language with the percentiles {low:g} and {high:g}; it has {known}. Name two that "
                "it has."
            )
        return found


_THIRDS = {33.333: 1 / 3, 66.667: 2 / 3}


def _check(lang: str, values: Mapping[float, tuple[float, int]]) -> None:
    """`ValueError` for percentiles that are none, and perplexities that do not rise with them."""
    ordered = [values[percentile][0] for percentile in sorted(values)]
    if any(not 0 <= percentile <= 100 for percentile in values):
        raise ValueError(f"{lang} has a percentile that does not lie between 0 and 100")
    if not all(np.isfinite(ordered)) or ordered != sorted(ordered) or min(ordered, default=1.0) <= 0:
        raise ValueError(f"the perplexities of {lang} are not positive numbers that rise with the percentile")


def _listed(percentiles: Iterable[float]) -> str:
    known = sorted(percentiles)
    if len(known) > 10:
        return f"{len(known)} from {known[0]:g} to {known[-1]:g}"
    return ", ".join(f"{percentile:g}" for percentile in known)


def _own_rows(rows: Sequence[Sequence[str]]) -> dict[str, dict[float, tuple[float, int]]]:
    table: dict[str, dict[float, tuple[float, int]]] = {}
    for lang, percentile, value, _, _, documents in rows[1:]:
        table.setdefault(lang, {})[round(float(percentile), 3)] = float(value), int(documents)
    return table


def _ccnet_rows(rows: Sequence[Sequence[str]]) -> dict[str, dict[float, tuple[float, int]]]:
    table: dict[str, dict[float, tuple[float, int]]] = {lang: {} for lang in rows[0][1:]}
    for row in rows[1:]:
        for lang, value in zip(rows[0][1:], row[1:], strict=True):
            if value:
                table[lang][round(float(row[0]), 3)] = float(value), 0
    return table


def bucket(perplexity: float | None, cutoffs: Cutoffs | None) -> Bucket:
    """Where a document belongs. Ties with a cutoff fall to the worse side, as in CCNet's ``PerplexityBucket``.

    ``"all"`` without cutoffs or without a perplexity: CCNet's name for languages that have no model.

    >>> bucket(99.9, Cutoffs(100.0, 200.0, 300)), bucket(100.0, Cutoffs(100.0, 200.0, 300))
    ('head', 'middle')
    """
    if cutoffs is None or perplexity is None or np.isnan(perplexity):
        return "all"
    if perplexity < cutoffs.head:
        return "head"
    return "middle" if perplexity < cutoffs.middle else "tail"
