"""Where a crawl is had from, and how politely."""

from __future__ import annotations

from dataclasses import dataclass

from ccbuild.config import aside
from ccbuild.errors import ConfigError

__all__ = ["CrawlConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlConfig:
    """Where bytes come from and how fast they are asked for: never which bytes, so no fingerprint covers it."""

    base: str = aside("https://data.commoncrawl.org/")
    """What Common Crawl's paths (`crawl-data/…`) are appended to: its own server (no account needed), a mirror, a
    folder, or `s3://commoncrawl/`, which needs AWS credentials and `ccbuild[s3]`."""
    snapshots: str = aside("https://index.commoncrawl.org/collinfo.json")
    """The list of snapshots."""
    cache: str | None = aside(None)
    """Folder that keeps whole archives (laid out as `crawl-data/…`): what lies there is read there, what does not is
    put there first. null: archives are streamed and nothing is kept."""
    budget: str | None = aside(None)
    """Folder of the locks by which all processes of this machine share one budget; it must be on a local disk.
    null: `crawl-budget` in ccbuild's cache."""
    contact: str = aside("")
    """A mail address or page put into the user agent, so that Common Crawl can reach who sends too much."""
    requests_per_second: float = aside(5.0)
    """Requests that all processes of a run start in a second. Common Crawl serves a few thousand a second to
    everyone together (status.commoncrawl.org)."""
    connections: int = aside(4)
    """Requests of a run that are under way at once."""
    machines: int = aside(1)
    """Machines that fetch at once: each takes this share of requests (and of connections, at least one)."""
    bytes_per_second: float = aside(25e6)
    """What the line carries, for estimates of hours and of which gaps between records are worth reading; an
    assumption of ours (200 Mbit/s), not a limit."""
    timeout_seconds: float = aside(60.0)
    """Longest silence of a connection before it counts as broken."""
    file_attempts: int = aside(600)
    """Attempts at a whole file without a new megabyte, a second apart at least, before the end. Common Crawl's advice
    for whole files is to try again, at most once a second, up to 1,000 times (status.commoncrawl.org)."""
    range_attempts: int = aside(12)
    """Attempts at a range of bytes, 2 to 300 seconds apart (26 minutes in all), before the end."""
    max_wait_seconds: float = aside(3600.0)
    """Longest `Retry-After` that is waited for; a longer one ends the fetch with an error that names it."""

    def __post_init__(self) -> None:
        least = {"connections": 1, "machines": 1, "file_attempts": 1, "range_attempts": 1}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigError(f"crawl.{name} is {getattr(self, name)}; it takes {value} or more.")
        for name in ("requests_per_second", "bytes_per_second", "timeout_seconds", "max_wait_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"crawl.{name} is {getattr(self, name)}; it takes a number above 0.")
        if any(ord(c) < 32 or ord(c) > 126 for c in self.contact):
            raise ConfigError(
                f"crawl.contact is {self.contact!r}; it takes printable ASCII, since it goes in a header."
            )
