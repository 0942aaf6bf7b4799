"""Charts as SVG: no library, so that the page's own colours, light and dark, hold inside them, and equal runs give
equal bytes. Everything that is put into a chart is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ccbuild.report.numbers import short
from ccbuild.report.perplexity import Spread

__all__ = ["Series", "curve", "histogram", "log_ticks", "rank_chart", "ticks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One mark a column; a column without a value has None."""

    name: str
    style: str
    """CSS class of its marks."""
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class _Scale:
    """From a value to a coordinate."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (at - low) / ((high - low) or 1.0)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten) from `low` to `high`, at most about `most`.

    >>> ticks(0, 9.2)
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    span = (high - low) or 1.0
    magnitude = 10.0 ** math.floor(math.log10(span / most))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude * most >= span)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from `low` to `high`; with 2 and 5 between them where there are few.

    >>> log_ticks(300, 70_000)
    [500.0, 1000.0, 2000.0, 5000.0, 10000.0, 20000.0, 50000.0]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1,) if math.log10(high / low) > 3 else (1, 2, 5)
    values = [m * 10.0**e for e in range(first, last + 1) for m in steps]
    return [v for v in values if low * 0.999 <= v <= high * 1.001]


def _text(x: float, y: float, content: str, anchor: str = "middle", style: str = "") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>').format(
        x, y, anchor, style, content
    )


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    return Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>').format(x1, y1, x2, y2, style)


def _svg(width: float, height: float, label: str, parts: Iterable[Markup], style: str, fixed: bool = False) -> Markup:
    size = Markup(' width="{:.0f}" height="{:.0f}"').format(width, height) if fixed else Markup("")
    return Markup('<svg viewBox="0 0 {:.0f} {:.0f}"{} role="img" aria-label="{}" class="{}">{}</svg>').format(
        width, height, size, label, style, Markup("\n").join(parts)
    )


_LEFT, _TOP, _PLOT, _BOTTOM = 52, 24, 190, 62
"""Pixels left of, above, of and below the plot of a rank chart."""


def _limits(values: Sequence[float], log: bool, from_zero: bool) -> tuple[float, float]:
    """The ends of an axis, with a little air."""
    low, high = min(values), max(values)
    if log:
        return low / 1.15, high * 1.15
    pad = (high - low) * 0.06 or 0.5
    return (0.0 if from_zero else low - pad), high + pad


def rank_chart(
    codes: Sequence[str], names: Sequence[str], series: Sequence[Series], *, label: str, unit: str, log: bool = False
) -> Markup:
    """A column a language with a dot a series: one series stands on its axis, two are joined; `unit` names the axis.

    Drawn at its own size and never scaled, so that codes stay legible: whoever shows it lets it scroll. Empty where
    there is nothing to draw. A single series that is not logarithmic starts at 0.
    """
    values = [v for s in series for v in s.values if v is not None and (v > 0 or not log)]
    if not values:
        return Markup("")
    step = min(30.0, max(11.0, 320 / len(codes)))
    width, bottom = _LEFT + step * len(codes) + 10, _TOP + _PLOT
    low, high = _limits(values, log, from_zero=len(series) == 1)
    y = _Scale(low, high, bottom, _TOP, log)
    parts = [_text(4, 11, unit, "start", "unit")]
    for tick in log_ticks(low, high) if log else ticks(low, high):
        at = y(tick)
        parts += [_line(_LEFT, at, width - 6, at, "grid"), _text(_LEFT - 6, at + 3.5, short(tick), "end")]
    for i, (code, name) in enumerate(zip(codes, names, strict=True)):
        column = [(s, v) for s in series if (v := s.values[i]) is not None and (v > 0 or not log)]
        told = f"{name} ({code}): " + ("; ".join(f"{s.name} {short(v)}" for s, v in column) or "none")
        dots = [(s.style, y(v)) for s, v in column]
        parts.append(_column(_LEFT + step * (i + 0.5), step, code, told, dots, alone=len(series) == 1))
    return _svg(width, bottom + _BOTTOM - 12, label, parts, "fixed", fixed=True)


def _column(x: float, step: float, code: str, told: str, dots: Sequence[tuple[str, float]], alone: bool) -> Markup:
    """One language of a rank chart: its dots (CSS class, height), the stem, its code, what hovering tells."""
    bottom = _TOP + _PLOT
    hit = Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="{}" class="hit"/>')
    dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.2" class="{}"/>')
    below = Markup('<text transform="translate({:.1f} {}) rotate(-90)" text-anchor="end" class="code">{}</text>')
    parts = [Markup("<g><title>{}</title>").format(told), hit.format(x - step / 2, _TOP, step, _PLOT + _BOTTOM - 14)]
    if dots:
        heights = [height for _, height in dots]
        parts.append(_line(x, bottom if alone else max(heights), x, min(heights), "stem"))
    parts += [dot.format(x, height, style) for style, height in dots]
    return Markup("").join([*parts, below.format(x + 3.4, bottom + 8, code), Markup("</g>")])


def histogram(spread: Spread) -> Markup:
    """Documents over perplexity (logarithmic), in the tones of head, middle and tail, the cutoffs as lines."""
    width, left, top, bottom = 210.0, 6.0, 16.0, 92.0
    language, n, most = spread.language, len(spread.counts), max(spread.counts)
    x = _Scale(spread.low, spread.high, left, width - 6, log=True)
    edges = [spread.low * (spread.high / spread.low) ** (i / n) for i in range(n + 1)]
    bar = Markup('<rect x="{:.2f}" y="{:.1f}" width="{:.2f}" height="{:.1f}" class="{}"/>')
    parts = []
    for count, start, end in zip(spread.counts, edges[:-1], edges[1:], strict=True):
        if count:
            height, style = (bottom - top) * count / most, _bucket(spread, math.sqrt(start * end))
            parts.append(bar.format(x(start) + 0.4, bottom - height, x(end) - x(start) - 0.8, height, style))
    parts.append(_line(left, bottom, width - 6, bottom, "axis"))
    for cut, anchor, shift in ((language.head, "end", -3), (language.middle, "start", 3)):
        if cut is not None:
            parts.append(_line(x(cut), top - 4, x(cut), bottom, "cut"))
            parts.append(_text(x(cut) + shift, top - 5, short(cut), anchor, "cut"))
    low, middle, high = short(spread.low), short(spread.median), short(spread.high)
    parts += [_text(left, bottom + 13, low, "start"), _text(width - 6, bottom + 13, high, "end")]
    return _svg(width, 110, f"Perplexity of {language.name}: median {middle}, from {low} to {high}", parts, "small")


def _bucket(spread: Spread, perplexity: float) -> str:
    head, middle = spread.language.head, spread.language.middle
    if head is None or middle is None:
        return "all"
    return "head" if perplexity < head else "middle" if perplexity < middle else "tail"


def curve(points: Sequence[tuple[float, float]], *, label: str, unit: str, below: str) -> Markup:
    """A line through `points`; `unit` stands over the vertical axis, `below` under the horizontal one."""
    width, left, top, bottom = 430.0, 34.0, 22.0, 196.0
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    pad = (max(ys) - min(ys)) * 0.08 or 0.5
    low, high = min(ys) - pad, max(ys) + pad
    x, y = _Scale(0, max(xs), left, width - 10), _Scale(low, high, bottom, top)
    parts = [_text(2, 11, unit, "start", "unit"), _text(width - 10, bottom + 32, below, "end", "unit")]
    for tick in ticks(low, high):
        parts += [_line(left, y(tick), width - 10, y(tick), "grid"), _text(left - 6, y(tick) + 3.5, short(tick), "end")]
    for tick in ticks(0, max(xs)):
        parts.append(_text(x(tick), bottom + 16, short(tick)))
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
    parts.append(Markup('<polyline points="{}" class="curve"/>').format(path))
    for a, b in (points[0], points[-1]):
        parts.append(Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3" class="after"/>').format(x(a), y(b)))
    return _svg(width, 234, label, parts, "curve")
