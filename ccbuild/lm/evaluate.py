"""How well perplexity separates good prose from damaged text of the same language: ROC AUC by kind of damage.

Documents are runs of held-out paragraphs; each is damaged in each way. The AUC of a kind is the probability that a
damaged copy has the higher perplexity of a good and a damaged document drawn at random.
"""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ccbuild.errors import CcbuildError, InputError
from ccbuild.lm.score import Scorer
from ccbuild.progress import counted, phase
from ccbuild.prose import Prose

__all__ = ["DAMAGES", "Evaluated", "damaged", "documents_of", "evaluate", "evaluate_models", "roc_auc", "scatter"]

Document = Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """One kind of damage in one language."""

    lang: str
    """Code of the language."""
    damage: str
    """Kind of damage, one of `DAMAGES` or ``other_language``."""
    auc: float
    """0.5: perplexity says nothing; 1: every damaged copy has more than every good document."""
    documents: int
    """Good documents, and as many damaged ones."""
    good: float
    """Median perplexity of the good ones."""
    bad: float
    """Median perplexity of the damaged ones."""


def documents_of(paragraphs: Sequence[str], paragraphs_each: int = 5) -> list[list[str]]:
    """Consecutive runs of `paragraphs_each` non-empty paragraphs; what is left over at the end is not used."""
    filled = [p for p in paragraphs if p.strip()]
    whole = len(filled) - len(filled) % paragraphs_each
    return [filled[i : i + paragraphs_each] for i in range(0, whole, paragraphs_each)]


def words_of(paragraph: str) -> list[str]:
    """Words between white space; of text that has next to none (Chinese, Japanese, Thai), pairs of characters."""
    words = paragraph.split()
    if len(paragraph) <= 12 * max(len(words), 1):
        return words
    return [word[i : i + 2] for word in words for i in range(0, len(word), 2)]


def _join(words: Sequence[str], paragraph: str) -> str:
    return (" " if len(paragraph) <= 12 * max(len(paragraph.split()), 1) else "").join(words)


def _shuffled(document: Document, rng: random.Random) -> list[str]:
    """The words of each paragraph in another order."""
    return [_join(rng.sample(words := words_of(p), len(words)), p) for p in document]


def _lists(document: Document, rng: random.Random) -> list[str]:
    """Its words as a product page has them: alone or in pairs, with numbers, prices and bullets, none in a sentence."""
    words = [word for p in document for word in words_of(p)]
    rng.shuffle(words)
    forms = ("{}", "{} {}", "• {}", "{}: {n}", "{} ({n})", "{} {} – {n},99", "{n}. {}", "{}, {}")
    return [
        rng.choice(forms).format(a, b, n=rng.randrange(1, 2000)) for a, b in zip(words[::2], words[1::2], strict=False)
    ]


_MENUS = (
    "{} | {} | {} | {}",
    "Home » {} » {}",
    "© 20{n:02} {}. All rights reserved.",
    "{}: Facebook Twitter WhatsApp Google+",
    "{} (0) {} (0)",
    "Copyright 20{n:02} {} {} | Powered by WordPress",
    "« {} {} »",
    "Login / {}",
    "{n:02}/0{m}/20{n:02} {n:02}:{n:02} {}",
    "{} cookies. OK",
)


def _boilerplate(document: Document, rng: random.Random) -> list[str]:
    """Menus, footers and notices of a web page around words of the document; no sentence of it is left."""
    words = [word for p in document for word in words_of(p)]
    lines = []
    for _ in range(4 * len(document)):
        some = (rng.choice(words).capitalize() for _ in range(4))
        lines.append(rng.choice(_MENUS).format(*some, n=rng.randrange(10, 24), m=rng.randrange(1, 10)))
    return lines


def _noise(document: Document, rng: random.Random) -> list[str]:
    """What machines make of text: a tenth of its letters replaced, doubled, lost or swapped, as bad scans have them."""
    letters = sorted({c for p in document for c in p if c.isalpha()}) or ["x"]

    def noisy(paragraph: str) -> str:
        out: list[str] = []
        for c in paragraph:
            kind = rng.random()
            if not c.isalpha() or kind > 0.1:
                out.append(c)
            elif kind < 0.06:
                out.append(rng.choice(letters))
            elif kind < 0.08:
                out.append(c + c)
        return "".join(out)

    return [noisy(p) for p in document]


DAMAGES: Mapping[str, Callable[[Document, random.Random], list[str]]] = {
    "shuffled_words": _shuffled,
    "boilerplate": _boilerplate,
    "lists": _lists,
    "machine_noise": _noise,
}
"""Name to what makes a damaged copy of a document."""


def damaged(kind: str, documents: Sequence[Document], seed: int = 0) -> list[list[str]]:
    """A damaged copy of each document; the same for the same seed."""
    return [DAMAGES[kind](document, random.Random(f"{seed} {kind} {i}")) for i, document in enumerate(documents)]


def roc_auc(good: NDArray[np.float64], bad: NDArray[np.float64]) -> float:
    """The share of pairs (good, bad) in which the bad value is higher; a tie counts half. O(n log n).

    >>> roc_auc(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.875
    """
    ordered = np.sort(good)
    under, upto = np.searchsorted(ordered, bad, "left"), np.searchsorted(ordered, bad, "right")
    return float((under + upto).sum() / (2 * len(good) * len(bad)))


def evaluate(
    lang: str,
    scorer: Scorer,
    paragraphs: Sequence[str],
    other: Sequence[str] = (),
    *,
    paragraphs_each: int = 5,
    seed: int = 0,
) -> Iterator[Evaluated]:
    """The separation by each kind of damage; by `other` too, paragraphs of another language, where there are some.

    `paragraphs` must not be among those that the model was estimated from. `InputError` for too few of them.
    """
    good = documents_of(paragraphs, paragraphs_each)
    if len(good) < 2:
        raise InputError(
            f"{lang}: {len(paragraphs)} held-out paragraphs are too few for two documents of {paragraphs_each}. "
            "Give more, or --paragraphs-each 1."
        )
    scores = partial(_perplexities, scorer)
    of_good = scores(good)
    copies = {kind: damaged(kind, good, seed) for kind in DAMAGES}
    if foreign := documents_of(other, paragraphs_each)[: len(good)]:
        copies["other_language"] = foreign
    for kind, bad in copies.items():
        of_bad = scores(bad)
        yield Evaluated(
            lang=lang,
            damage=kind,
            auc=round(roc_auc(of_good, of_bad), 4),
            documents=len(good),
            good=round(float(np.median(of_good)), 1),
            bad=round(float(np.median(of_bad)), 1),
        )


def evaluate_models(
    folder: str | Path,
    prose: Mapping[str, Prose],
    *,
    opened: Callable[[Path], Scorer] = Scorer.open,
    paragraphs_each: int = 5,
    seed: int = 0,
    tell: Callable[[str], None] | None = None,
) -> list[Evaluated]:
    """:func:`evaluate` of each language of `prose` by its model in `folder`, with another language of the same script
    (the next one, in the order of codes) for ``other_language``.

    `tell` takes why a language could not be evaluated; without it that is raised.
    """
    langs, rows = sorted(prose), list[Evaluated]()
    texts = {lang: list(prose[lang].lines()) for lang in counted(langs, "languages read", len(langs))}
    scripts = {lang: _script(texts[lang]) for lang in langs}
    for number, lang in counted(enumerate(langs), "languages", len(langs)):
        rest = langs[number + 1 :] + langs[:number]  # the next language of the same script, else the next one
        other = next((code for code in rest if scripts[code] == scripts[lang]), rest[0] if rest else None)
        foreign = texts[other] if other else ()
        try:
            with phase(lang):
                scorer = opened(Path(folder) / lang)
                rows += evaluate(lang, scorer, texts[lang], foreign, paragraphs_each=paragraphs_each, seed=seed)
        except CcbuildError as error:
            if tell is None:
                raise
            tell(str(error))
    return rows


def _script(paragraphs: Sequence[str]) -> str:
    """The first word of the names of most of its letters: LATIN, CYRILLIC, CJK…"""
    letters = [c for p in paragraphs[:20] for c in p if c.isalpha()]
    return Counter(unicodedata.name(c, "?").split()[0] for c in letters).most_common(1)[0][0] if letters else ""


def _perplexities(scorer: Scorer, documents: Sequence[Document]) -> NDArray[np.float64]:
    """Unrounded, so that few documents tie."""
    found = [scorer.score(document) for document in documents]
    return np.array([10 ** min(-s.log10 / s.pieces, 300) if s.pieces else np.inf for s in found], dtype=np.float64)


_WIDTH, _LEFT, _ROW = 640, 90, 16
_COLOURS = ("#4269d0", "#ff725c", "#efb118", "#3ca951", "#9c6ade")


def scatter(rows: Sequence[Evaluated]) -> str:
    """An SVG of every AUC: a line a language, the least separated on top, a dot a kind; equal rows give equal bytes."""
    kinds = list(dict.fromkeys(row.damage for row in rows))
    worst = {lang: min(r.auc for r in rows if r.lang == lang) for lang in {row.lang for row in rows}}
    langs = sorted(worst, key=lambda lang: (worst[lang], lang))
    low = min(0.9, *worst.values())
    height = 60 + _ROW * len(langs)

    def x(auc: float) -> float:
        return _LEFT + (auc - low) / (1 - low) * (_WIDTH - _LEFT - 20)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" ']
    parts[0] += 'font-size="11"><rect width="100%" height="100%" fill="white"/>'
    for n, kind in enumerate(kinds):
        at = 20 + n * 124
        parts.append(
            f'<circle cx="{at}" cy="14" r="4" fill="{_COLOURS[n % 5]}"/><text x="{at + 8}" y="18">{kind}</text>'
        )
    for tick in np.linspace(low, 1, 6):
        parts.append(f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="30" y2="{height - 22}" stroke="#ddd"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{height - 8}" text-anchor="middle">{tick:.3f}</text>')
    for line, lang in enumerate(langs):
        y = 42 + line * _ROW
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{lang}</text>')
        for row in rows:
            if row.lang == lang:
                fill = _COLOURS[kinds.index(row.damage) % 5]
                parts.append(f'<circle cx="{x(row.auc):.1f}" cy="{y}" r="4" fill="{fill}" fill-opacity="0.8"/>')
    return "\n".join([*parts, "</svg>", ""])
