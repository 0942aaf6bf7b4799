"""A sieve for runs that want a few languages: what is surely in none of them is left before anything is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ccbuild.errors import ConfigError
from ccbuild.langid.cascade import Cascade
from ccbuild.langid.votes import sample

__all__ = ["Sieve", "SieveConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SieveConfig:
    """How much of a page is asked about, and how little is enough to keep it. Only with `languages`."""

    sample_chars: int = 1500
    """Characters of a page that are asked about, whole paragraphs chosen by `seed`."""
    least_score: float = 0.05
    """Score, 0 to 1, of a wanted language, best or second best in any paragraph, with which a page is kept."""
    seed: int = 0
    """Which paragraphs these are: the same for the same page and seed."""

    def __post_init__(self) -> None:
        """Refuse a sieve that lets nothing through."""
        if self.sample_chars < 100 or not 0 <= self.least_score < 1:
            raise ConfigError("sieve.sample_chars is 100 or more, sieve.least_score from 0 to below 1.")


class Sieve:
    """Asks the cascade about a sample of a page; `refine` decides later, with all of it."""

    def __init__(self, cascade: Cascade, languages: Sequence[str], config: SieveConfig) -> None:
        self._cascade, self._wanted, self._config = cascade, frozenset(languages), config

    def wants(self, paragraphs: Sequence[str]) -> bool:
        """Whether the page may be in one of the languages."""
        config = self._config
        pieces = sample(paragraphs, config.sample_chars, config.seed)
        for answer in self._cascade.identify(pieces, test_noise=False):
            for code, score in ((answer.code, answer.score), (answer.second, answer.second_score)):
                if code in self._wanted and score >= config.least_score:
                    return True
        return False
