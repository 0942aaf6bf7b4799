"""How well text is routed: per code precision, recall, F1 and false positives, the confusions, what to expect at the
Web's shares, and a precision with its interval from a sheet that a person filled."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccbuild.errors import InputError

__all__ = ["CodeScore", "Evaluation", "evaluate", "read_shares", "table", "threshold_for", "wilson"]

UND = frozenset({"und", "zxx", "mul"})
"""Answers that name no language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeScore:
    """One code."""

    code: str
    texts: int
    """Texts in the language."""
    answers: int
    """Texts that were given this code."""
    right: int
    others: int
    """Texts in other languages."""

    @property
    def precision(self) -> float | None:
        """Share of the answers that are right; None without an answer."""
        return self.right / self.answers if self.answers else None

    @property
    def recall(self) -> float | None:
        """Share of the texts that are found; None without a text."""
        return self.right / self.texts if self.texts else None

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 where nothing is right."""
        return 2 * self.right / (self.texts + self.answers) if self.texts + self.answers else 0.0

    @property
    def false_positive_rate(self) -> float:
        """Share of the text in other languages that is given this code."""
        return (self.answers - self.right) / self.others if self.others else 0.0

    def precision_at(self, share: float) -> float | None:
        """The precision to expect where `share` of all text is in this language (Caswell et al. 2020, section 2)."""
        if self.recall is None or share <= 0:
            return None
        found = share * self.recall
        wrong = (1 - share) * self.false_positive_rate
        return found / (found + wrong) if found + wrong else None

    def to_mapping(self, share: float | None = None) -> dict[str, Any]:
        """JSON-ready; `share` adds the precision to expect."""
        row: dict[str, Any] = {"code": self.code, "texts": self.texts, "answers": self.answers, "right": self.right}
        row |= {"precision": _round(self.precision), "recall": _round(self.recall), "f1": _round(self.f1)}
        row["false_positive_rate"] = round(self.false_positive_rate, 6)
        if share is not None:
            row |= {"share": share, "precision_at_share": _round(self.precision_at(share))}
        return row


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All codes together."""

    scores: Mapping[str, CodeScore]
    """By code: those that the labels name."""
    confusions: Mapping[tuple[str, str], int]
    """(true code, answer) to texts, wrong ones only, the commonest first."""
    texts: int
    undecided: int
    """Texts whose answer names no language."""

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the codes that have a text; an answer without a language is a miss."""
        scored = [s.f1 for s in self.scores.values() if s.texts]
        return sum(scored) / len(scored) if scored else 0.0

    @property
    def micro(self) -> float:
        """Share of all texts whose answer is right."""
        return sum(s.right for s in self.scores.values()) / self.texts if self.texts else 0.0

    @property
    def micro_decided(self) -> float:
        """The same over the texts whose answer names a language."""
        decided = self.texts - self.undecided
        return sum(s.right for s in self.scores.values()) / decided if decided else 0.0

    def to_mapping(self, shares: Mapping[str, float] | None = None) -> dict[str, Any]:
        """JSON-ready: ``macro_f1``, ``micro``, ``codes`` (a row a code) and ``confusions``."""
        return {
            "texts": self.texts,
            "undecided": self.undecided,
            "macro_f1": round(self.macro_f1, 4),
            "micro": round(self.micro, 4),
            "micro_without_undecided": round(self.micro_decided, 4),
            "codes": [s.to_mapping(shares.get(c) if shares else None) for c, s in sorted(self.scores.items())],
            "confusions": [[true, answer, n] for (true, answer), n in self.confusions.items()],
        }


def evaluate(pairs: Iterable[tuple[str, str]], codes: Iterable[str] = ()) -> Evaluation:
    """From (true code, answer) pairs. `codes` are scored; without any, all codes that are true of a text."""
    texts, answers, right = Counter[str](), Counter[str](), Counter[str]()
    confusions, undecided = Counter[tuple[str, str]](), 0
    for true, answer in pairs:
        texts[true] += 1
        answers[answer] += 1
        undecided += answer in UND and true not in UND
        if true == answer:
            right[true] += 1
        else:
            confusions[true, answer] += 1
    total = sum(texts.values())
    named = sorted(set(codes) or set(texts) - UND)
    scores = {
        c: CodeScore(code=c, texts=texts[c], answers=answers[c], right=right[c], others=total - texts[c]) for c in named
    }
    ordered = dict(sorted(confusions.items(), key=lambda item: (-item[1], item[0])))
    return Evaluation(scores=scores, confusions=ordered, texts=total, undecided=undecided)


def read_shares(path: str | Path) -> dict[str, float]:
    """Code to its share of all text, 0 to 1, from lines ``code TAB share``."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}. Write a code, a tab and its share a line.") from error
    shares = {}
    for number, line in enumerate(lines, 1):
        code, _, share = line.partition("\t")
        try:
            shares[code] = float(share)
        except ValueError:
            shares[code] = -1.0
        if not 0 <= shares[code] <= 1:
            raise InputError(f"{path}, line {number}: write a code, a tab and a share from 0 to 1.")
    return shares


def threshold_for(scored: Sequence[tuple[float, bool]], precision: float) -> float | None:
    """The lowest score from which on at least `precision` of the answers are right; None where none is.

    `scored` are (score, whether the answer was right). Equal scores stay together.
    """
    right, best = 0, None
    ordered = sorted(scored, reverse=True)
    for number, (score, correct) in enumerate(ordered, 1):
        right += correct
        last = number == len(ordered) or ordered[number][0] != score
        if last and right >= precision * number:
            best = score
    return best


def wilson(hits: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share, 95 % by default (Wilson 1927).

    >>> [round(x, 3) for x in wilson(95, 100)]
    [0.888, 0.978]
    """
    if not of:
        return 0.0, 1.0
    p, square = hits / of, z * z
    middle = (p + square / (2 * of)) / (1 + square / of)
    half = z / (1 + square / of) * math.sqrt(p * (1 - p) / of + square / (4 * of * of))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def table(evaluation: Evaluation, shares: Mapping[str, float] | None = None, most_confusions: int = 30) -> str:
    """The evaluation in aligned lines, for people."""
    head = f"{'code':<10}{'texts':>7}{'answers':>9}{'precision':>11}{'recall':>8}{'F1':>8}{'FPR':>10}"
    lines = [head + (f"{'share':>10}{'precision at it':>17}" if shares else "")]

    def cell(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    for code, s in sorted(evaluation.scores.items()):
        line = f"{code:<10}{s.texts:>7}{s.answers:>9}{cell(s.precision):>11}{cell(s.recall):>8}{s.f1:>8.3f}"
        line += f"{s.false_positive_rate:>10.5f}"
        if shares:
            share = shares.get(code)
            line += f"{share if share is not None else '-':>10}"
            line += f"{cell(s.precision_at(share) if share else None):>17}"
        lines.append(line)
    lines.append(f"macro F1 {evaluation.macro_f1:.4f}, right {evaluation.micro:.4f} of {evaluation.texts:,} texts")
    lines[-1] += f", {evaluation.micro_decided:.4f} of those with a language ({evaluation.undecided:,} without)"
    worst = list(evaluation.confusions.items())[:most_confusions]
    lines += ["confusions: " + ", ".join(f"{true} as {answer} {n}" for (true, answer), n in worst)] if worst else []
    return "\n".join(lines)
