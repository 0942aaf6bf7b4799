"""Pages: the answers to their paragraphs, weighted by characters, and what of a page is in another language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ccbuild.langid.cascade import Cascade, How, batches
from ccbuild.langid.letters import fold
from ccbuild.langid.noise import KINDS

__all__ = ["Vote", "sample", "vote"]


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


def sample(paragraphs: Sequence[str], most: int, seed: int) -> list[str]:
    """As many chunks of a page as have `most` characters, the last one cut, in their order; the same for the same text.

    A chunk is a paragraph of 300 characters, or shorter ones that follow each other and have as many together.
    """
    from ccbuild.langid import kernels

    points = fold(["\n".join(paragraphs)]).raw
    spans = kernels.pieces(points, 0, len(points), How().chunk, most, seed).tolist()
    return [points[start:end].tobytes().decode("utf-32-le", "surrogatepass") for start, end in sorted(spans)]


def vote(
    cascade: Cascade, pages: Sequence[Sequence[str]], most: int = 0, seed: int = 0, test_noise: bool = True
) -> list[Vote]:
    """The language of each page, given as paragraphs. `most`: characters of it that are asked about first, 0: all.

    Where that sample does not speak with one voice, the whole page is asked.
    """
    texts = ["\n".join(paragraphs) for paragraphs in pages]
    how = How(test_noise=test_noise, pages=True, most=most, seed=seed)
    return [
        Vote(
            code=cascade.named(code, text),
            score=score,
            share=share,
            second=cascade.names[second],
            second_share=second_share,
            mixed=found > 0,
            why=KINDS[-found] if found < 0 else "",
        )
        for part in batches(texts)
        for text, ((code, second, found), (score, share, second_share)) in zip(
            part, cascade.judge(part, how), strict=True
        )
    ]
