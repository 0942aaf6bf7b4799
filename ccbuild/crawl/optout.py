"""Who does not want to be read: a list of URLs, hosts and domains, and a matcher for millions of pages."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass

from ccbuild.errors import InputError
from ccbuild.lines import read_lines

__all__ = ["OptOut", "normalise_url"]

_PORTS = {"http": ":80", "https": ":443"}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*|\[[0-9a-f:.]+\]")
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@dataclass(frozen=True, slots=True)
class OptOut:
    """A list of those who opted out. One entry a line; empty lines and those that begin with ``#`` are skipped:

    - ``example.org``: the domain and every host under it;
    - ``host:www.example.org``: that host only;
    - ``https://example.org/about``: that page only, by http or https.

    `matches` costs about two microseconds a page, whatever the length of the list.
    """

    domains: frozenset[str]
    hosts: frozenset[str]
    urls: frozenset[str]
    """Normalised, without the scheme."""
    _url_hosts: frozenset[str]

    @classmethod
    def load(cls, path: str) -> OptOut:
        """The list in a file, plain or .gz or .xz, UTF-8; `InputError` names the line that is no entry."""
        return cls.of(read_lines(path), path)

    @classmethod
    def of(cls, lines: Iterable[str], where: str = "opt-outs") -> OptOut:
        """The list in `lines`.

        >>> OptOut.of(["example.org", "https://a.test/x"]).matches("http://www.EXAMPLE.org/page")
        'opt_out:domain'
        """
        domains: set[str] = set()
        hosts: set[str] = set()
        urls: set[str] = set()
        for number, line in enumerate(lines, 1):
            entry = line.strip().removeprefix("\ufeff")
            if not entry or entry.startswith("#"):
                continue
            if "://" in entry:
                url = normalise_url(entry)
                if url is None:
                    raise _no_entry(where, number, entry)
                urls.add(url)
                continue
            only = entry.startswith("host:")
            host = _host(entry.removeprefix("host:").removeprefix("*.").lstrip("."))
            if host is None or (not only and "." not in host and host != "localhost"):
                raise _no_entry(where, number, entry)
            (hosts if only else domains).add(host)
        places = frozenset(url.partition("/")[0].rsplit(":", 1)[0] if "]" not in url else url for url in urls)
        return cls(frozenset(domains), frozenset(hosts), frozenset(urls), places)

    def __len__(self) -> int:
        return len(self.domains) + len(self.hosts) + len(self.urls)

    @property
    def digest(self) -> str:
        """SHA-256 of the entries, whatever their order, spelling and comments in the file: for manifests."""
        entries = [f"domain:{d}" for d in self.domains] + [f"host:{h}" for h in self.hosts]
        entries += [f"url:{u}" for u in self.urls]
        return hashlib.sha256("\n".join(sorted(entries)).encode()).hexdigest()

    def matches(self, url: str) -> str | None:
        """Why a page is left out: ``opt_out:domain``, ``opt_out:host`` or ``opt_out:url``; None when it is not."""
        host = _host_of(url)
        if not host:
            return None
        if host in self.hosts:
            return "opt_out:host"
        if self.domains:
            suffix = host
            while suffix:
                if suffix in self.domains:
                    return "opt_out:domain"
                suffix = suffix.partition(".")[2]
        if self.urls and (host in self._url_hosts or "[" in host) and normalise_url(url) in self.urls:
            return "opt_out:url"
        return None


def _no_entry(where: str, number: int, entry: str) -> InputError:
    return InputError(
        f"{where}, line {number}: {entry[:80]!r} is no URL, host or domain. Write example.org (with all its hosts), "
        "host:www.example.org (that host only) or https://example.org/page."
    )


def _host_of(url: str) -> str | None:
    """Host of a URL as it is compared; the common case without a parser."""
    rest = url.partition("://")[2]
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2]
    if authority.startswith("["):
        return _host(authority.partition("]")[0] + "]")
    return _host(authority.partition(":")[0])


def _host(text: str) -> str | None:
    """A host in lower case, in ASCII, without a final dot; None for what is none."""
    host = text.strip().lower().rstrip(".")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    return host if len(host) < 254 and _HOST.fullmatch(host) else None


def normalise_url(url: str) -> str | None:
    """A URL as it is compared: ``host[:port]/path?query`` without scheme, fragment, account and default port.

    Dots are resolved, escapes made equal. None for what is no http(s) URL.

    >>> normalise_url("HTTPS://Example.org:443/%7euser/./a%2fb#top")
    'example.org/~user/a%2Fb'
    """
    try:
        parts = urllib.parse.urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return None
    host = _host_of(url.strip())
    if parts.scheme not in _PORTS or host is None:
        return None
    place = f":{port}" if port is not None and f":{port}" != _PORTS[parts.scheme] else ""
    query = f"?{_escaped(parts.query)}" if parts.query else ""
    return f"{host}{place}{_without_dots(_escaped(parts.path))}{query}"


def _escaped(text: str) -> str:
    """Escapes in capitals, none where none is needed, and one for whatever is not ASCII."""

    def plain(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else f"%{match[1].upper()}"

    return _ESCAPED.sub(plain, urllib.parse.quote(text, safe="%/:?@!$&'()*+,;=-._~[]", errors="replace"))


def _without_dots(path: str) -> str:
    """The path with ``.`` and ``..`` resolved (RFC 3986, 5.2.4), at least ``/``."""
    kept: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            kept = kept[:-1] if len(kept) > 1 else kept
        elif part != ".":
            kept.append(part)
    if parts[-1] in (".", ".."):
        kept.append("")
    joined = "/".join(kept)
    return joined if joined.startswith("/") else f"/{joined}"
