"""The least score that a language is kept with: one table, each row with where it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ccbuild.errors import InputError
from ccbuild.langid.codes import is_code
from ccbuild.langid.evaluate import threshold_for

__all__ = ["Thresholds", "calibrate"]

_HEAD = "code\tleast_score\tsource"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Code to (least score, where it came from)."""

    rows: Mapping[str, tuple[float, str]]

    @classmethod
    def read(cls, path: str | Path) -> Thresholds:
        """The table in a file of `code TAB least_score TAB source` lines, as `write` makes it."""
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path} cannot be read: {error}. `ccbuild langid calibrate` writes such a table."
            ) from error
        rows = {}
        for number, line in enumerate(lines, 1):
            code, *rest = line.split("\t")
            if line == _HEAD or not line.strip():
                continue
            try:
                least = float(rest[0])
            except (IndexError, ValueError):
                least = -1.0
            if not is_code(code) or not 0 <= least <= 1:
                raise InputError(f"{path}, line {number}: write a code, a tab and a score from 0 to 1.")
            rows[code] = least, rest[1] if len(rest) > 1 else ""
        if not rows:
            raise InputError(f"{path} has no threshold. `ccbuild langid calibrate` writes such a table.")
        return cls(rows)

    def write(self, path: str | Path) -> None:
        """The table, sorted by code."""
        lines = [_HEAD] + [f"{code}\t{least}\t{source}" for code, (least, source) in sorted(self.rows.items())]
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def of(self, code: str, default: float) -> float:
        """The least score of `code`; `default` where the table has none."""
        return self.rows[code][0] if code in self.rows else default


def calibrate(
    answered: Iterable[tuple[str, str, float]], precision: float, least_texts: int, source: str
) -> tuple[Thresholds, dict[str, str]]:
    """(thresholds, code to why it has none) from (true code, answer, score).

    A code needs `least_texts` answers. Its threshold is the lowest score from which on `precision` of its answers on
    this text are right; 1.0 where no score gives that.
    """
    scored: dict[str, list[tuple[float, bool]]] = {}
    for true, answer, score in answered:
        scored.setdefault(answer, []).append((score, true == answer))
    rows, without = {}, {}
    for code, found in sorted(scored.items()):
        if len(found) < least_texts:
            without[code] = f"{len(found)} answers, fewer than {least_texts}"
            continue
        least = threshold_for(found, precision)
        if least is None:
            without[code] = f"no score gives a precision of {precision}"
        rows[code] = (
            round(least, 4) if least is not None else 1.0,
            f"{source}: precision {precision}, {len(found)} answers",
        )
    return Thresholds(rows), without
