"""A polite HTTP client: one budget, patience with a clear end, and no byte that is not the file's.

What may go wrong and what happens:

====================================  =======================================================================
503, 429, 403, 5xx, reset, silence    tried again later (`Patience`); the first three slow the whole run down
a body cut in the middle              continued from there, if its ETag (or date) says that the file is the same
a range that is ignored (200)         three times, then refused; for a whole file, read up to the place again
an XML or HTML error page with 200    taken for the refusal that it is
a length that contradicts the file's  tried again, then refused
another ETag in mid-file              `ChangedError`: parts of two files are never joined
a redirect to another host            refused: mirrors are named by `crawl.base`, not by a server
====================================  =======================================================================

Built on `http.client`. Proxies are those of the environment (`https_proxy`, `no_proxy`).
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import http.client
import random
import re
import ssl
import threading
import urllib.parse
import urllib.request
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ccbuild import __version__, catalogue
from ccbuild.crawl.budget import Budget, Clock, SystemClock
from ccbuild.crawl.config import CrawlConfig
from ccbuild.errors import ChangedError, InputError, NetworkError

__all__ = [
    "Client",
    "Exchange",
    "Patience",
    "Remote",
    "TransientError",
    "check_url",
    "is_url",
]

_REDIRECTS = (301, 302, 303, 307, 308)
_SLOW = (403, 429, 503)
"""Common Crawl's front refuses with 403 and 429 by its own rules, the store behind it with 503.
Source: status.commoncrawl.org."""
_LATER = (408, 420, 425, 500, 502, 504, *_SLOW)
_FEW = 3
"""Attempts at what a second attempt seldom mends: an ignored range, a range without its place."""
_FORBIDDEN_ATTEMPTS = 8
"""Attempts after 403: it is a rate limit or a file that is not there, and the answer does not tell which.
Doubled each time, the waits are two to four minutes together."""


class TransientError(Exception):
    """One attempt failed and another may not. Never leaves this package."""

    def __init__(self, why: str, *, slow: bool = False, wait: float = 0.0, attempts: int | None = None) -> None:
        super().__init__(why)
        self.why, self.slow, self.wait = why, slow, wait
        self.attempts = attempts
        """Most attempts for causes of this kind; None: as many as patience allows."""


@dataclass(frozen=True, slots=True)
class Remote:
    """What a server says of a file. `size` is None where it does not say."""

    url: str
    size: int | None
    etag: str | None
    modified: str | None

    @property
    def validator(self) -> str | None:
        """What `If-Range` takes: a strong ETag, else the date; None: a cut body cannot be continued."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def check(self, other: Remote) -> None:
        """Raise when `other`, a later answer for the same URL, speaks of another file."""
        facts = [(self.etag, other.etag, "ETag")]
        if not (self.etag and other.etag):  # servers behind one name may differ in the date of the same bytes
            facts.append((self.modified, other.modified, "Last-Modified"))
        for mine, now, name in facts:
            if mine and now and mine != now:
                raise ChangedError(
                    f"{self.url} was replaced while it was read: its {name} was {mine}, now it is {now}. "
                    "Nothing of the two was joined; run the same command again."
                )
        if self.size is not None and other.size is not None and self.size != other.size:
            raise TransientError(f"the file has {self.size:,} bytes, this answer is for {other.size:,}", attempts=_FEW)


@dataclass(slots=True)
class Exchange:
    """One answer, with the connection and the place in the budget that it holds until `close`."""

    response: http.client.HTTPResponse
    remote: Remote
    start: int
    """Offset in the file of the body's first byte."""
    stop: int | None
    """Offset behind the body's last byte; None for a chunked body of a file of unknown size."""
    _held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def close(self) -> None:
        """Give back the connection; it is kept for the next request only when the body was read to its end."""
        self._held.close()


@dataclass(slots=True)
class Patience:
    """How often and how far apart a URL is tried again; the end is a `NetworkError` with what the server said last."""

    client: Client
    url: str
    whole: bool
    """A whole file: a second apart and often; a range of bytes: fewer attempts, minutes apart."""
    failures: int = 0
    _doubtful: int = 0
    """Failures that are forgiven only so many times (`TransientError.attempts`)."""
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.url)  # workers spread out, and each run waits the same

    @property
    def retry(self) -> bool:
        """Whether the next request is one of the retries of which a run makes one a second."""
        return self.whole and self.failures > 0

    def failed(self, again: TransientError) -> None:
        """Wait for the next attempt, or raise."""
        config = self.client.config
        self.failures += 1
        most = config.file_attempts if self.whole else config.range_attempts
        self._doubtful += again.attempts is not None
        if self.failures >= most or (again.attempts is not None and self._doubtful >= again.attempts):
            raise NetworkError(f"{self.url}: {again.why}; given up after {self.failures} attempts. {_next(again)}")
        if again.wait > config.max_wait_seconds:
            raise NetworkError(
                f"{self.url}: {again.why}, and asks to come back in {again.wait:,.0f} seconds. Run the same command "
                "again then; what was fetched is kept."
            )
        if again.slow:
            self.client.budget.refused(again.wait)
        steady = self.whole and again.attempts is None
        longest = 2.0 if steady else min(300.0, 2.0 * 2 ** (self.failures - 1))
        self.client.clock.sleep(max(again.wait, longest * self._random.uniform(0.5, 1.0)))

    def progress(self) -> None:
        """A good stretch was read: begin to count anew."""
        self.failures = self._doubtful = 0


def _next(again: TransientError) -> str:
    if again.slow:
        return (
            "The server may be limiting you, or the path is wrong: look at status.commoncrawl.org, check the name with "
            "`ccbuild crawl paths`, and run the same command again later."
        )
    return "Run the same command again later; what was fetched is kept."


@dataclass(frozen=True, slots=True, eq=False)
class _Idle:
    """A connection that waits for another request to the same server."""

    server: tuple[str, str]
    connection: http.client.HTTPConnection
    prefix: str


def _close_all(idle: list[_Idle]) -> None:
    while idle:
        idle.pop().connection.close()


class Client:
    """Requests under one budget. Cheap to make; each worker makes its own from the configuration."""

    def __init__(
        self,
        config: CrawlConfig | None = None,
        *,
        clock: Clock | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> None:
        self.config = config or CrawlConfig()
        self.clock: Clock = clock or SystemClock()
        folder = Path(self.config.budget) if self.config.budget else catalogue.default_cache() / "crawl-budget"
        self.budget = Budget(folder, self.config, self.clock)
        self.requests = 0
        """Requests sent, failed ones included."""
        self.nbytes = 0
        """Bytes of bodies received."""
        self._proxies = proxies
        self._counting = threading.Lock()
        self._idle: list[_Idle] = []
        self.close = weakref.finalize(self, _close_all, self._idle)
        """Close the connections that are kept for further requests; happens by itself when the client is forgotten."""
        contact = f"; {self.config.contact}" if self.config.contact else ""
        self._agent = f"ccbuild/{__version__} (corpus construction{contact})"

    def remote(self, url: str) -> Remote:
        """Size and validators of a file, by a HEAD request."""
        patience = Patience(self, url, whole=True)
        while True:
            try:
                exchange = self.exchange("HEAD", url, retry=patience.retry)
                with contextlib.closing(exchange):
                    exchange.response.read()  # a HEAD has no body: this only marks the connection as free
                return exchange.remote
            except TransientError as again:
                patience.failed(again)

    def exchange(
        self,
        method: str,
        url: str,
        start: int = 0,
        stop: int | None = None,
        *,
        known: Remote | None = None,
        retry: bool = False,
    ) -> Exchange:
        """One attempt at the bytes [start, stop) of `url`; the answer is checked against what is `known` of the file.

        Raises `TransientError` for what may pass, `NetworkError` for what will not.
        """
        ranged = start > 0 or stop is not None
        headers = {"User-Agent": self._agent, "Accept-Encoding": "identity"}
        if ranged:
            headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        if ranged and known and known.validator:
            headers["If-Range"] = known.validator
        with contextlib.ExitStack() as held:
            response = self._follow(method, url, headers, held, retry)
            exchange = _examined(response, method, url, start, stop, known)
            exchange._held = held.pop_all()
            return exchange

    def count(self, nbytes: int) -> None:
        """Add to `nbytes`."""
        with self._counting:
            self.nbytes += nbytes

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str], held: contextlib.ExitStack, retry: bool
    ) -> http.client.HTTPResponse:
        """The answer after redirects on the same host; errors of the server are raised."""
        asked = url
        for _ in range(6):
            with contextlib.ExitStack() as step:
                response = self._send(method, asked, headers, step, retry)
                if response.status not in _REDIRECTS:
                    _refuse_status(response, url)
                    held.push(step.pop_all())
                    return response
                asked = _redirected(url, asked, response.getheader("Location"))
        raise NetworkError(f"{url} redirects more than 5 times, last to {asked}. Name the file itself.")

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], held: contextlib.ExitStack, retry: bool
    ) -> http.client.HTTPResponse:
        """One request and the head of its answer; a connection that went stale while idle is replaced once."""
        held.enter_context(self.budget.request(retry=retry))
        for fresh in (False, True):
            connection, target, reused = self._connection(url, fresh)
            try:
                with self._counting:
                    self.requests += 1
                connection.request(method, target, headers=dict(headers))
                response = connection.getresponse()
            except (OSError, http.client.HTTPException, ValueError) as error:
                connection.close()
                if reused and isinstance(error, ConnectionError | http.client.BadStatusLine):
                    continue
                raise TransientError(f"no answer ({_said(error)})") from error
            held.callback(self._keep, url, connection, response)
            return response
        raise TransientError("no answer (two connections were closed)")

    def _connection(self, url: str, fresh: bool) -> tuple[http.client.HTTPConnection, str, bool]:
        """(connection, request target, whether it was used before); by proxy where the environment names one."""
        parts = urllib.parse.urlsplit(url)
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        with self._counting:
            same = [idle for idle in self._idle if idle.server == parts[:2]]
            if same:
                self._idle.remove(same[-1])
        if same and not fresh:
            return same[-1].connection, same[-1].prefix + target, True
        if same:
            same[-1].connection.close()
        proxies = self._proxies if self._proxies is not None else urllib.request.getproxies()
        proxy = proxies.get(parts.scheme)
        if proxy and (self._proxies is not None or not urllib.request.proxy_bypass(parts.hostname or "")):
            return self._by_proxy(parts, proxy, target)
        timeout = self.config.timeout_seconds
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(parts.netloc, timeout=timeout, context=context), target, False
        return http.client.HTTPConnection(parts.netloc, timeout=timeout), target, False

    def _by_proxy(
        self, parts: urllib.parse.SplitResult, proxy: str, target: str
    ) -> tuple[http.client.HTTPConnection, str, bool]:
        """A connection through an HTTP proxy: a tunnel for https, the absolute URL for http."""
        server = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host, port, timeout = server.hostname or "", server.port or 3128, self.config.timeout_seconds
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout), f"http://{parts.netloc}{target}", False
        tunnel = http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())
        word = f"{urllib.parse.unquote(server.username or '')}:{urllib.parse.unquote(server.password or '')}"
        account = (
            {"Proxy-Authorization": "Basic " + base64.b64encode(word.encode()).decode()} if server.username else {}
        )
        tunnel.set_tunnel(parts.hostname or "", parts.port or 443, headers=account)
        return tunnel, target, False

    def _keep(self, url: str, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        """Keep a connection whose answer was read to its end for the next request; there are as many as were in use."""
        if response.isclosed() and connection.sock is not None and not response.will_close and self.close.alive:
            parts = urllib.parse.urlsplit(url)
            by_proxy = parts.scheme == "http" and connection.host != parts.hostname
            prefix = f"http://{parts.netloc}" if by_proxy else ""
            with self._counting:
                self._idle.append(_Idle((parts.scheme, parts.netloc), connection, prefix))
        else:
            response.close()
            connection.close()


def is_url(location: str) -> bool:
    """Whether `location` is for this client: http: or https:."""
    return location.startswith(("http://", "https://"))


def _said(error: Exception) -> str:
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return text or type(error).__name__


def _redirected(url: str, asked: str, target: str | None) -> str:
    """Where a redirect leads; another host, or from https to http, is refused."""
    new = urllib.parse.urljoin(asked, target or "")
    old, parts = urllib.parse.urlsplit(asked), urllib.parse.urlsplit(new)
    same = (parts.scheme, parts.netloc) == (old.scheme, old.netloc)
    upgraded = (old.scheme, parts.scheme) == ("http", "https") and old.hostname == parts.hostname
    if not target or not (same or upgraded):
        raise NetworkError(
            f"{url} redirects to another host, {new}, which is not followed: what it sends could be anything. "
            "If you trust it, set crawl.base to it."
        )
    return new


def _refuse_status(response: http.client.HTTPResponse, url: str) -> None:
    """Raise for an answer that is no content."""
    status = response.status
    if status in (200, 206):
        return
    said = f"the server answered {status} {response.reason}".rstrip() + _code(response)
    if status in _LATER:
        wait = _retry_after(response)
        raise TransientError(
            said, slow=status in _SLOW, wait=wait, attempts=_FORBIDDEN_ATTEMPTS if status == 403 else None
        )
    if status == 416:
        raise NetworkError(f"{url}: {said}: the file ends before the bytes asked for. Is the selection of this file?")
    raise NetworkError(f"{url}: {said}. Check the name; `ccbuild crawl paths` prints those that exist.")


def _code(response: http.client.HTTPResponse) -> str:
    """The code in S3's XML errors, such as SlowDown, to be quoted; nothing where the body breaks as well."""
    body = b""
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        body = response.read(2048)
    found = re.search(rb"<Code>([A-Za-z0-9]{1,64})</Code>", body)
    return f" ({found[1].decode()})" if found else ""


def _retry_after(response: http.client.HTTPResponse) -> float:
    """Seconds that the server asks to wait: a number, or a date, seen from the server's own `Date`."""
    value = (response.getheader("Retry-After") or "").strip()
    if re.fullmatch(r"\d{1,9}", value):
        return float(value)
    then, now = (_seconds(text) for text in (value, response.getheader("Date") or ""))
    return max(0.0, then - now) if then is not None and now is not None else 0.0


def _seconds(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _examined(
    response: http.client.HTTPResponse, method: str, url: str, start: int, stop: int | None, known: Remote | None
) -> Exchange:
    """The exchange, once its head says that the body is what was asked for."""
    etag, modified = response.getheader("ETag"), response.getheader("Last-Modified")
    length = _length(response.getheader("Content-Length"))
    ranged = start > 0 or stop is not None
    if response.status == 206:
        begin, end, total = _content_range(response.getheader("Content-Range"))
        remote = Remote(url, total, etag, modified)
        _same(known, remote, response)
        wanted = total if stop is None or stop > total else stop
        if not ranged or (begin, end) != (start, wanted):
            said = f"asked for the bytes {start:,} to {wanted:,}, the answer is for {begin:,} to {end:,}"
            raise TransientError(said, attempts=_FEW)
        if length not in (None, end - begin):
            raise TransientError(f"{end - begin:,} bytes were announced and {length:,} sent", attempts=_FEW)
        return Exchange(response, remote, begin, end)
    remote = Remote(url, length, etag, modified)
    _same(known, remote, response)
    if length is None and method != "HEAD" and not response.chunked:
        raise NetworkError(f"{url}: the answer states no length, so a cut could not be seen. Use another mirror.")
    same_file = known is not None and known.validator is not None and known.validator == remote.validator
    if ranged and not (stop is None and same_file):
        raise TransientError("the server ignores ranges: it sent the whole file for a part", attempts=_FEW)
    return Exchange(response, remote, 0, length if length is not None else known.size if known else None)


def _same(known: Remote | None, remote: Remote, response: http.client.HTTPResponse) -> None:
    """Raise when the answer is of another file than the one that is known, or an error that came as a file."""
    try:
        if known is not None:
            known.check(remote)
    except TransientError as error:
        code = _code(response)
        raise TransientError(error.why + code, slow=bool(code), attempts=error.attempts) from error


def _length(value: str | None) -> int | None:
    return int(value) if value and re.fullmatch(r"\d{1,18}", value.strip()) else None


def _content_range(value: str | None) -> tuple[int, int, int]:
    """(offset of the first byte, offset behind the last, size of the file)."""
    found = re.fullmatch(r"\s*bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18})\s*", value or "")
    if found is None:
        raise TransientError(f"a part of the file came without its place (Content-Range: {value!r})", attempts=_FEW)
    begin, last, total = (int(group) for group in found.groups())
    return begin, last + 1, total


def check_url(url: str) -> None:
    """Raise `InputError` for what is no http: or https: URL of a host."""
    parts = urllib.parse.urlsplit(url)
    if not is_url(url) or not parts.hostname or any(ord(c) < 33 or ord(c) > 126 for c in url):
        raise InputError(f"{url!r} is no URL of a web server. Write https://host/path.")
