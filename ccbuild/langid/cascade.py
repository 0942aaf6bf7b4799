"""Text to a code, its score and the second best: rules, then lid.176, then the supplement.

1. `ccbuild.langid.noise`: what is no language is `zxx`.
2. `ccbuild.langid.scripts`: a script that one language has, letters that only one has.
3. lid.176, or another fastText model whose labels are mapped, asked in small letters (`ccbuild.langid.letters`).
4. The supplement, in every script that languages share: however sure the first model is, it may never have heard of
   the language, and makes Latvian of Māori. The probabilities are joined: the more text the supplement has seen of a
   code, the more it counts, up to a half. A romanised code needs a supplement that is sure of it, or its words.
5. Characters: Simplified or Traditional Chinese, Zawgyi or Unicode Burmese; Kurdish in Arabic script is `ckb`.

All of it is compiled (`ccbuild.langid.kernels`); many texts are asked about in one call.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccbuild.langid.codes import CC100
from ccbuild.langid.han import script
from ccbuild.langid.letters import AS_IT_IS, fold
from ccbuild.langid.model import LanguageModel, room_for
from ccbuild.langid.network import Network, hash_table
from ccbuild.langid.noise import KINDS, NOISE, noise, signs
from ccbuild.langid.scripts import NAMES, RULES, SHARED, Kinds, count_scripts, kinds
from ccbuild.langid.supplement import FLOOR, PRIOR, SHARE, Supplement

__all__ = ["DENSE", "NEIGHBOURS", "UNDETERMINED", "Asked", "Cascade", "How", "Identified", "Identifier", "batches"]

UNDETERMINED = "und"
"""ISO 639-2 for text whose language is not determined."""

_ASKED = 5
"""How many answers of a model are looked at; what comes after has less than a few hundredths."""
_FIRST_CODES = [UNDETERMINED, NOISE, "zh", "zh-Hans", "zh-Hant", "ku", "ckb"]
"""Codes whose numbers the compiled loops know."""
_BY = ["no letters", "model", "model and supplement", *(rule for _, rule in RULES)]
"""What decides, by the numbers of the compiled loops."""
_ROMANISED = sorted(code for code in CC100 if code.endswith("_rom"))
"""Codes whose text is another's in Latin letters."""
NEIGHBOURS = tuple(
    map(str.split, ("ast es", "az tr", "bs hr sr", "da no", "es gl", "gl pt", "id ms", "mk sr", "tk tr"))
)
"""Close languages that the identifier takes for each other though it is sure, so that a page of one looks like two. A
group stands here where a real page of one language did (Danish, Galician, Asturian, Serbian, Turkmen), or where one
labelled piece in twenty, of 150 characters of UDHR or Wikipedia, is answered with the other at 0.5 or more (Bosnian,
Indonesian, Azerbaijani); `bs hr sr` and `id ms` are also groups of the shared tasks on similar languages (Tan et al.
2014). Neighbours that are told apart, such as `ca es`, `be ru` and `cs sk`, share real pages and are not here."""
DENSE = frozenset({"Hang", "Hani", "Kana"})
"""Scripts of which a letter says as much as three of others, and so counts where a text names things in Latin letters
(`ccbuild.stages.length` measured 2.2 to 3.2). Of 12,350 real pages that makes 23 more right, all of them Chinese."""
_BATCH_CHARS = 1 << 20
"""Characters from which texts are another batch; a batch takes 16 bytes a character."""


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


class Codes(NamedTuple):
    """What is known of codes, by their numbers."""

    labels: NDArray[np.int64]
    """Label of the first model to code."""
    own: NDArray[np.int64]
    """Label of the supplement to code."""
    known: NDArray[np.float64]
    """How much of the texts of a code the first model finds."""
    trust: NDArray[np.float64]
    """How much the supplement's word on a code counts; -1 where it has seen none."""
    romanised: NDArray[np.int64]
    """The bit of a romanised code in `Lexicon.codes`; 0 for any other code."""
    neighbours: NDArray[np.int64]
    """The bits of the groups of `NEIGHBOURS` that a code is in."""
    rules: NDArray[np.int64]
    """Rule to code."""
    allowed: NDArray[np.bool_]
    """Whether a code may be an answer."""
    share: float
    prior: float
    least: float


class Lexicon(NamedTuple):
    """The commonest words of romanised codes."""

    words: NDArray[np.uint8]
    """The words behind each other, in UTF-8."""
    places: NDArray[np.int32]
    """Where each word starts in `words`, and the end."""
    slots: NDArray[np.int32]
    """Hash table of the words: number of a word, or -1."""
    codes: NDArray[np.int64]
    """Word to the bits of the codes that it is common in."""


class Asked(NamedTuple):
    """All that the compiled loops ask."""

    letters: Kinds
    model: Network
    supplement: Network
    codes: Codes
    lexicon: Lexicon


class How(NamedTuple):
    """How texts are asked about: each as one piece, or as pages."""

    test_noise: bool = True
    pages: bool = False
    """Paragraphs vote."""
    chunk: int = 300
    """Characters of a page from which a paragraph is asked about by itself; shorter ones are joined with the next."""
    most: int = 0
    """Characters of a page that are asked about first; 0: all."""
    seed: int = 0
    """Which these are."""
    enough: float = 0.8
    """Score from which the first two pieces of that sample, in one language, are enough. On 12,480 real pages no
    language loses by it, and 27 instead of 29 % of half translated pages are seen."""
    noise_chars: int = 1200
    """Characters at the head of a page that are looked at for noise, where a sample of it is asked about."""


class Identifier:
    """A fastText model alone, as CCNet asks it: the whole text, Chinese told apart by characters."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model

    def identify(self, texts: Sequence[str]) -> list[Identified]:
        """One answer a text; newlines are deleted and the score rounded, as in CCNet (cc_net/split_by_lang.py)."""
        return [self._answer(t, a) for part in batches(texts) for t, a in zip(part, self._ask(part), strict=True)]

    def _ask(self, texts: Sequence[str]) -> list[list[tuple[str, float]]]:
        return self.model.ask(texts, 2, AS_IT_IS)

    def _answer(self, text: str, answers: list[tuple[str, float]]) -> Identified:
        if not any(map(str.isalpha, text)):
            return Identified(UNDETERMINED, 0.0, by="no letters")
        if not answers:
            return Identified(UNDETERMINED, 0.0, by="model")
        (code, score), (second, second_score) = (*answers, (UNDETERMINED, 0.0))[:2]
        named = script(text) if code == "zh" else code
        return Identified(named, round(score, 2), second, round(second_score, 2), "model")


class Cascade:
    """Rules, a model and a supplement behind one interface."""

    def __init__(
        self, model: LanguageModel, supplement: Supplement | None = None, outside: Literal["own", "und"] = "own"
    ) -> None:
        """`outside`: what becomes of languages outside CC-100: their own code, or ``und``."""
        self.model, self.supplement, self.outside = model, supplement, outside
        rules = {code for code, _ in RULES}
        others = model.codes | (supplement.codes if supplement else set()) | rules
        self.names = _FIRST_CODES + sorted(others - set(_FIRST_CODES))
        """Code by its number."""
        second = supplement.model.network if supplement else model.network
        codes = _codes(self.names, model, supplement, outside)
        self.asked = Asked(kinds(), model.network, second, codes, _lexicon(supplement.words if supplement else {}))

    def identify(self, texts: Sequence[str], test_noise: bool = True) -> list[Identified]:
        """One answer a text."""
        how = How(test_noise=test_noise)
        return [
            self._answer(text, *row)
            for part in batches(texts)
            for text, row in zip(part, self.judge(part, how), strict=True)
        ]

    def judge(self, texts: Sequence[str], how: How) -> Iterator[tuple[list[int], list[float]]]:
        """What `kernels.judge` says of each text: numbers of codes and of the step that decided, and scores."""
        from ccbuild.langid import kernels

        folded = fold(texts)
        said, scores = np.empty((len(texts), 3), np.int64), np.empty((len(texts), 3))
        room = room_for(folded, _ASKED, self.asked.model, self.asked.supplement)
        kernels.judge(folded, self.asked, signs(), how, room, said, scores)
        return zip(said.tolist(), scores.tolist(), strict=True)

    def _answer(self, text: str, said: list[int], scores: list[float]) -> Identified:
        (code, second, by), (score, second_score, _) = said, scores
        why = KINDS[-by] if by < 0 else _BY[by]
        if by > 2:  # by rule: the share of the letters
            score = round(score, 4)
        return Identified(self.named(code, text), score, self.names[second], second_score, why)

    def named(self, code: int, text: str) -> str:
        """The code of a number; Burmese by its encoding."""
        name = self.names[code]
        if name == "my" and _zawgyi().get_zawgyi_probability(text[:2000]) > 0.5:
            return "my_zaw"
        return name

    def explain(self, text: str) -> list[dict[str, Any]]:
        """Each step that `text` goes through, what it saw and what it said; the last is the answer."""
        (script, share), (answer,) = _script(text), self.identify([text])
        steps: list[dict[str, Any]] = [
            {"step": "letters", "script": script, "letters": count_scripts(text).letters, "share": round(share, 3)},
            {"step": "noise", "answer": noise(text)},
        ]
        by_rule = answer.by in _BY[3:]
        steps.append(
            {"step": "rules", "answer": answer.code if by_rule else None, "rule": answer.by if by_rule else None}
        )
        if answer.by in _BY[1:3]:
            steps.append({"step": "model", "answer": _rounded(self.model.ask([text], _ASKED)[0])})
            if self.supplement:
                asked = script in SHARED and answer.by == _BY[2]
                said = self.supplement.ask([text], _ASKED)[0] if asked else []
                steps.append({"step": "supplement", "answer": _rounded(said)})
        return [*steps, {"step": "answer", **answer._asdict()}]


def batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts, some at a time, so that the memory that a call takes does not grow with their number."""
    first = chars = 0
    for index, text in enumerate(texts):
        if chars > _BATCH_CHARS:
            yield texts[first:index]
            first, chars = index, 0
        chars += len(text)
    if first < len(texts):
        yield texts[first:]


def _codes(
    names: list[str], model: LanguageModel, supplement: Supplement | None, outside: Literal["own", "und"]
) -> Codes:
    number = {code: index for index, code in enumerate(names)}

    def table(found: dict[str, float], default: float) -> NDArray[np.float64]:
        return np.array([found.get(code, default) for code in names])

    labels = [supplement.model.label_codes if supplement else [], model.label_codes]
    own, first = (np.array([number[code] for code in codes], np.int64) for codes in labels)
    known = supplement.known if supplement else {}
    return Codes(
        first,
        own,
        np.array([known.get(code, 0.9) if code in model.codes else 0.0 for code in names]),
        table(supplement.trust if supplement else {}, -1.0),
        np.array([1 << _ROMANISED.index(code) if code in _ROMANISED else 0 for code in names]),
        np.array([sum(1 << bit for bit, group in enumerate(NEIGHBOURS) if code in group) for code in names]),
        np.array([number[code] for code, _ in RULES]),
        np.array([outside == "own" or code in CC100 for code in names]),
        SHARE,
        PRIOR,
        FLOOR,
    )


def _script(text: str) -> tuple[str, float]:
    """What decides by script (`kernels._look`): the script of most letters, and its share, `DENSE` ones counted thrice.

    >>> _script("本 FAQ 的第一版由 Ray 撰写")
    ('Hani', 0.8)
    """
    counts = zip(NAMES[1:], count_scripts(text).counts[1:], strict=True)
    said = {name: count * (3 if name in DENSE else 1) for name, count in counts}
    name = max(said, key=lambda name: said[name])
    if not said[name]:
        return NAMES[0], 0.0
    if name in ("Hani", "Kana"):
        most = said["Hani"] + said["Kana"]
        return ("Kana" if said["Kana"] * 10 >= most else "Hani"), most / sum(said.values())
    return name, said[name] / sum(said.values())


def _lexicon(words: Mapping[str, Sequence[str]]) -> Lexicon:
    bits: dict[bytes, int] = {}
    for code in words.keys() & set(_ROMANISED):
        for word in words[code]:
            bits[word.encode()] = bits.get(word.encode(), 0) | 1 << _ROMANISED.index(code)
    order = sorted(bits)
    return Lexicon(*hash_table(order), np.array([bits[word] for word in order], np.int64))


def _rounded(answers: list[tuple[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for code, p in answers:
        found[code] = round(found.get(code, 0.0) + p, 3)
    return found


@lru_cache(maxsize=1)
def _zawgyi() -> Any:
    import myanmartools

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # how it opens its own table
        return myanmartools.ZawgyiDetector()
