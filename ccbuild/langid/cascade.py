"""Text to a code, its score and the second best: rules, then lid.176, then the supplement.

1. `ccbuild.langid.noise`: what is no language is `zxx`.
2. `ccbuild.langid.scripts`: a script that one language has, letters that only one has.
3. lid.176, or another fastText model whose labels are mapped.
4. The supplement, where the first model is not sure. A model is sure of a code from the probability on from which it
   was hardly ever wrong on the supplement's own text, so a code that it is known to give to others is never sure.
   The probabilities are joined: the more text the supplement has seen of a code, the more it counts, up to a half.
5. Characters: Simplified or Traditional Chinese, Zawgyi or Unicode Burmese; Kurdish in Arabic script is `ckb`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from ccbuild.langid.codes import CC100
from ccbuild.langid.han import script
from ccbuild.langid.model import LanguageModel, escape
from ccbuild.langid.noise import NOISE, noise
from ccbuild.langid.scripts import SHARED, Scripts, count_scripts, decide
from ccbuild.langid.supplement import Supplement

__all__ = ["UNDETERMINED", "Cascade", "Identified", "Identifier"]

UNDETERMINED = "und"
"""ISO 639-2 for text whose language is not determined."""

_ASKED = 5
"""How many answers of a model are looked at; what comes after has less than a few hundredths."""


class Identified(NamedTuple):
    """What the identifier says of one text."""

    code: str
    """CC-100's code where it has one, else the model's own; ``und`` without letters, ``zxx`` for noise."""
    score: float
    """0 to 1: the probability, joined where two models were asked; by rule the share of letters in that script."""
    second: str = UNDETERMINED
    """The second best code."""
    second_score: float = 0.0
    by: str = ""
    """Which step decided: the reason of the noise, the rule, `model` or `model and supplement`."""


class Identifier:
    """A fastText model alone, as CCNet asks it: the whole text, Chinese told apart by characters."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model

    def identify(self, texts: Sequence[str]) -> list[Identified]:
        """One answer a text; newlines are deleted and the score rounded, as in CCNet (cc_net/split_by_lang.py)."""
        return [self._identify(text) for text in texts]

    def _identify(self, text: str) -> Identified:
        if not any(map(str.isalpha, text)):
            return Identified(UNDETERMINED, 0.0, by="no letters")
        answers = self.model.ask(escape(text.replace("\n", "")), 2)
        if not answers:
            return Identified(UNDETERMINED, 0.0, by="model")
        (code, score), (second, second_score) = (*answers, (UNDETERMINED, 0.0))[:2]
        return Identified(_chinese(code, text), round(score, 2), second, round(second_score, 2), "model")


class Cascade:
    """Rules, a model and a supplement behind one interface."""

    def __init__(
        self, model: LanguageModel, supplement: Supplement | None = None, outside: Literal["own", "und"] = "own"
    ) -> None:
        """`outside`: what becomes of languages outside CC-100: their own code, or ``und``."""
        self.model, self.supplement, self.outside = model, supplement, outside

    def identify(self, texts: Sequence[str]) -> list[Identified]:
        """One answer a text."""
        return [self.identify_one(text) for text in texts]

    def identify_one(self, text: str, test_noise: bool = True) -> Identified:
        """The answer to one text of any kind."""
        scripts = count_scripts(text)
        if not scripts.letters:
            return Identified(UNDETERMINED, 0.0, by="no letters")
        why = noise(text) if test_noise else None
        if why:
            return Identified(NOISE, 1.0, by=why)
        rule = decide(text, scripts)
        if rule and (scripts.share > 0.5 or rule[0] == UNDETERMINED):
            return self._named(Identified(_characters(rule[0], text), round(scripts.share, 4), by=rule[1]), text)
        return self._named(self._asked(text, scripts), text)

    def _asked(self, text: str, scripts: Scripts) -> Identified:
        line = escape(text)
        answers = _merged(self.model.ask(line, _ASKED), scripts)
        by = "model"
        supplement = self.supplement
        if supplement and scripts.name in SHARED and not supplement.is_sure(answers, len(line)):
            answers = supplement.join(answers, _merged(supplement.ask(line, _ASKED), scripts), self.model.codes)
            by = "model and supplement"
        if not answers:
            return Identified(UNDETERMINED, 0.0, by=by)
        ranked = sorted(answers.items(), key=lambda item: (-item[1], item[0]))
        (code, score), (second, second_score) = (*ranked, (UNDETERMINED, 0.0))[:2]
        return Identified(_characters(code, text), score, second, second_score, by)

    def _named(self, answer: Identified, text: str) -> Identified:
        if self.outside == "und" and answer.code not in CC100:
            return answer._replace(code=UNDETERMINED)
        return answer

    def explain(self, text: str) -> list[dict[str, Any]]:
        """Each step that `text` goes through, what it saw and what it said; the last is the answer."""
        scripts = count_scripts(text)
        steps: list[dict[str, Any]] = [
            {"step": "letters", "script": scripts.name, "letters": scripts.letters, "share": round(scripts.share, 3)},
            {"step": "noise", "answer": noise(text)},
        ]
        rule = decide(text, scripts) if scripts.letters else None
        steps.append({"step": "rules", "answer": rule[0] if rule else None, "rule": rule[1] if rule else None})
        if scripts.letters and not rule:
            line = escape(text)
            model = _merged(self.model.ask(line, _ASKED), scripts)
            steps.append({"step": "model", "answer": _rounded(model)})
            if self.supplement:
                sure = self.supplement.is_sure(model, len(line))
                asked = scripts.name in SHARED and not sure
                said = _merged(self.supplement.ask(line, _ASKED), scripts) if asked else {}
                steps.append({"step": "supplement", "model is sure": sure, "answer": _rounded(said)})
        answer = self.identify_one(text)
        steps.append({"step": "answer", **answer._asdict()})
        return steps


def _rounded(answers: dict[str, float]) -> dict[str, float]:
    return {code: round(p, 3) for code, p in sorted(answers.items(), key=lambda item: -item[1])[:_ASKED]}


def _merged(answers: Sequence[tuple[str, float]], scripts: Scripts) -> dict[str, float]:
    """Code to probability, labels of one code added up; Kurdish in Arabic script is Sorani."""
    merged: dict[str, float] = {}
    for code, p in answers:
        if code == "ku" and scripts.name == "Arab":
            code = "ckb"
        merged[code] = merged.get(code, 0.0) + p
    return merged


def _characters(code: str, text: str) -> str:
    if code == "my":
        return "my_zaw" if _zawgyi().get_zawgyi_probability(text[:2000]) > 0.5 else "my"
    return _chinese(code, text)


def _chinese(code: str, text: str) -> str:
    return script(text) if code == "zh" else code


@lru_cache(maxsize=1)
def _zawgyi() -> Any:
    import myanmartools

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # how it opens its own table
        return myanmartools.ZawgyiDetector()
