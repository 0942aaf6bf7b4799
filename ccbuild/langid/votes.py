"""Pages: the answers to their paragraphs, weighted by characters, and what of a page is in another language."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ccbuild.langid.cascade import UNDETERMINED, Cascade, Identified
from ccbuild.langid.noise import NOISE, noise
from ccbuild.langid.scripts import count_scripts

__all__ = ["Vote", "chunks", "sample", "vote"]

_CHUNK = 300
"""Characters from which a paragraph is asked about by itself; shorter ones are joined with what follows."""
_MAJORITY, _MINORITY = 0.65, 0.2
"""A page is mixed when its language has less of the characters than the first and another more than the second. Of 989
half translated pages they take 28 %, of 3,000 others 3.1 %: 0.5 and 0.2 take 6 and 1.0, 0.8 and 0.2 take 49 and 6.1."""
_SURE, _SURE_SHARE = 0.5, 0.1
"""And only where the two are of two scripts, or more of the characters than this share are surely in each of them, by
the scores of their paragraphs: a language that the identifier hardly knows looks like two. Of 6,240 real pages the
shares alone take 323, 32 % of them with under 2 % of another language; of those 181 are left, 3.3 % with under 2 %, and
173 of the 208 with a tenth of another language or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What the paragraphs of a page say together."""

    code: str
    """The language with most characters; ``und`` and ``zxx`` win only where no paragraph has a language."""
    score: float
    """Mean score of the paragraphs in that language, by characters."""
    share: float
    """Share of the characters with a language that are in it."""
    second: str
    second_share: float
    mixed: bool = False
    """Whether two languages share the page."""
    why: str = ""
    """The reason of the noise, for ``zxx``."""


def chunks(paragraphs: Sequence[str], nchars: int = _CHUNK) -> list[list[int]]:
    """Indices of neighbouring paragraphs, joined until they have `nchars` characters."""
    found: list[list[int]] = []
    size = nchars
    for index, paragraph in enumerate(paragraphs):
        if size >= nchars:
            found.append([])
            size = 0
        found[-1].append(index)
        size += len(paragraph) + 1
    return found


def sample(pieces: Sequence[str], most: int, seed: int) -> list[str]:
    """As many of `pieces` as have `most` characters, each cut at that, in their order; the same for the same text."""
    if sum(map(len, pieces)) <= most:
        return list(pieces)
    key = hashlib.blake2b("\n".join(pieces).encode("utf-8", "surrogatepass"), digest_size=8, key=seed.to_bytes(8))
    order = list(range(len(pieces)))
    random.Random(key.digest()).shuffle(order)
    taken, left = [], most
    for index in order:
        if left <= 0:
            break
        taken.append((index, pieces[index][:left]))
        left -= len(pieces[index])
    return [piece for _, piece in sorted(taken)]


def vote(cascade: Cascade, paragraphs: Sequence[str], most: int = 0, seed: int = 0, test_noise: bool = True) -> Vote:
    """The language of a page. `most`: characters of it that are asked about first, 0: all of them.

    Where that sample does not speak with one voice, the whole page is asked.
    """
    page = "\n".join(paragraphs)
    why = noise(page[: max(most, 1200)] if most else page) if test_noise else None
    if why:
        return Vote(code=NOISE, score=1.0, share=1.0, second=UNDETERMINED, second_share=0.0, why=why)
    pieces = ["\n".join(paragraphs[i] for i in chunk) for chunk in chunks(paragraphs)]
    if 0 < most < len(page):
        found = _counted(cascade, sample(pieces, most, seed))
        if found.share == 1.0 and found.code != UNDETERMINED:
            return found
    return _counted(cascade, pieces)


def _counted(cascade: Cascade, pieces: Sequence[str]) -> Vote:
    """What `pieces` of a page say together."""
    answers = [(piece, cascade.identify_one(piece, test_noise=False)) for piece in pieces]
    scored: dict[str, float] = {}
    size: dict[str, int] = {}
    for piece, answer in answers:
        size[answer.code] = size.get(answer.code, 0) + len(piece)
        scored[answer.code] = scored.get(answer.code, 0.0) + answer.score * len(piece)
    spoken = [code for code in size if code != UNDETERMINED]
    if not spoken:
        return Vote(code=UNDETERMINED, score=0.0, share=1.0, second=UNDETERMINED, second_share=0.0)
    total = sum(size[code] for code in spoken)
    ranked = sorted(spoken, key=lambda code: (-scored[code], code))
    first, second = ranked[0], ranked[1] if len(ranked) > 1 else UNDETERMINED
    share, second_share = size[first] / total, size[second] / total if second != UNDETERMINED else 0.0
    return Vote(
        code=first,
        score=scored[first] / size[first],
        share=share,
        second=second,
        second_share=second_share,
        mixed=share < _MAJORITY and second_share > _MINORITY and _are_there(answers, first, second, total),
    )


def _are_there(answers: Sequence[tuple[str, Identified]], first: str, second: str, total: int) -> bool:
    """Whether two languages are surely on a page of `total` characters, by the answers to its pieces."""
    both = [[(piece, answer.score) for piece, answer in answers if answer.code == code] for code in (first, second)]
    if len({count_scripts("\n".join(piece for piece, _ in found)).name for found in both}) == 2:
        return True
    return all(sum(len(p) for p, score in found if score >= _SURE) > _SURE_SHARE * total for found in both)
