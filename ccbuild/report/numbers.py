"""Numbers as people read them."""

from __future__ import annotations

import math

__all__ = ["nbytes", "percent", "short", "whole"]


def whole(number: int) -> str:
    """All digits, in groups of three.

    >>> whole(1638863)
    '1,638,863'
    """
    return f"{number:,}"


def short(number: float) -> str:
    """About three digits; thousands as k, M, G, T.

    >>> [short(x) for x in (0.000469, 0.05, 2, 81.7, 1200, 1_638_863)]
    ['0.000469', '0.05', '2', '81.7', '1.2k', '1.64M']
    """
    if not math.isfinite(number):
        return "∞" if number > 0 else "–"
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= factor * 0.9995:
            return _digits(number / factor) + letter
    return _digits(number)


def _digits(number: float) -> str:
    if number == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(number))))
    text = f"{number:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float) -> str:
    """A share as percent, with two digits that count.

    >>> [percent(x) for x in (0.7278, 0.0146, 0.00046, 1.0, 0.0)]
    ['72.8 %', '1.46 %', '0.046 %', '100 %', '0 %']
    """
    if share == 0 or share == 1:
        return f"{share:.0%}".replace("%", " %")
    hundredths = share * 100
    if hundredths >= 10:
        return f"{hundredths:.1f} %"
    return f"{hundredths:.2f} %" if hundredths >= 0.1 else f"{hundredths:.2g} %"


def nbytes(size: float) -> str:
    """Bytes in powers of 1,000.

    >>> [nbytes(x) for x in (871, 8_954_226, 27_800_000_000_000)]
    ['871 B', '8.95 MB', '27.8 TB']
    """
    for factor, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= factor:
            return f"{_digits(size / factor)} {name}"
    return f"{size:.0f} B"
