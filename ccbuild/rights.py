"""Who is left out: pages on a list of opt-outs, and pages that ask for it themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ccbuild.config import place
from ccbuild.crawl.optout import OptOut

__all__ = ["RightsConfig", "open_opt_out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsConfig:
    """What is left out before anything of a page is stored."""

    opt_out: str | None = place(
        read=lambda path: open_opt_out(path), digest=lambda path: open_opt_out(path).digest, recorded="opt-outs"
    )
    """File of URLs, hosts and domains to leave out, an entry a line; null: none. Manifests hold its digest."""
    honour_robots: tuple[str, ...] = ()
    """Directives, such as `noai`, `noml` and `noindex`, for which a page is left out when its `<meta name="robots">` or
    one of its `X-Robots-Tag` has them; `tdm-reservation`: when it reserves text and data mining. Every page records its
    own, honoured or not."""

    def refuses(self, url: str, robots: Sequence[str]) -> str | None:
        """Why a page is left out; None when it is not."""
        listed = open_opt_out(self.opt_out).matches(url) if self.opt_out else None
        asked = next((f"robots:{directive}" for directive in self.honour_robots if directive in robots), None)
        return listed or asked


def open_opt_out(path: str) -> OptOut:
    """The list at `path`; read once a process as long as the file stays the same."""
    facts = Path(path).stat() if Path(path).exists() else None
    return _open(path, facts and (facts.st_size, facts.st_mtime_ns))


@lru_cache(maxsize=1)
def _open(path: str, facts: tuple[int, int] | None) -> OptOut:
    return OptOut.load(path)
