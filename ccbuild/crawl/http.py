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

Connections are kept by urllib3, whose own retries and redirects are off. Proxies are those of the environment
(`https_proxy`, `no_proxy`).
"""

from __future__ import annotations

import contextlib
import email.utils
import random
import re
import ssl
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ccbuild import __version__, catalogue
from ccbuild.crawl.budget import Budget, Clock, SystemClock
from ccbuild.crawl.config import CrawlConfig
from ccbuild.errors import ChangedError, InputError, NetworkError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

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

    response: BaseHTTPResponse
    remote: Remote
    start: int
    """Offset in the file of the body's first byte."""
    stop: int | None
    """Offset behind the body's last byte; None for a chunked body of a file of unknown size."""
    _held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def read(self, nbytes: int) -> bytes:
        """The next `nbytes`, fewer only at the end."""
        with _faults("the connection broke"):
            return self.response.read(nbytes)

    def read_some(self, nbytes: int) -> bytes:
        """What has come of the next `nbytes`; nothing only at the end."""
        with _faults("the connection broke"):
            return self.response.read1(nbytes)

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


@contextlib.contextmanager
def _faults(what: str) -> Iterator[None]:
    """Errors of a connection, as `TransientError`."""
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (OSError, HTTPError, ValueError) as error:
        raise TransientError(f"{what} ({_said(error)})") from error


def _pool_manager(proxy: str, config: CrawlConfig) -> PoolManager:
    """As many connections to a server as may be in use; through `proxy` a tunnel for https, the whole URL for http."""
    import urllib3

    context, most, timeout = ssl.create_default_context(), config.connections, config.timeout_seconds
    if not proxy:
        return urllib3.PoolManager(maxsize=most, timeout=timeout, ssl_context=context)
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    parts = urllib.parse.urlsplit(proxy)
    account = urllib.parse.unquote(f"{parts.username}:{parts.password or ''}") if parts.username else None
    headers = urllib3.make_headers(proxy_basic_auth=account)
    return urllib3.ProxyManager(proxy, proxy_headers=headers, maxsize=most, timeout=timeout, ssl_context=context)


def _give_back(response: BaseHTTPResponse) -> None:
    """Keep the connection of an answer for the next request if the body was read to its end, else close it."""
    if response.length_remaining == 0:
        response.drain_conn()
    else:
        response.close()


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
        self._managers: dict[str, PoolManager] = {}
        """By proxy; empty for none."""
        contact = f"; {self.config.contact}" if self.config.contact else ""
        self._agent = f"ccbuild/{__version__} (corpus construction{contact})"

    def remote(self, url: str) -> Remote:
        """Size and validators of a file, by a HEAD request."""
        patience = Patience(self, url, whole=True)
        while True:
            try:
                exchange = self.exchange("HEAD", url, retry=patience.retry)
                exchange.close()
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
            response = self._follow(method, url, headers, held, retry=retry)
            exchange = _examined(response, method, url, start, stop, known)
            exchange._held = held.pop_all()
            return exchange

    def count(self, nbytes: int) -> None:
        """Add to `nbytes`."""
        with self._counting:
            self.nbytes += nbytes

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str], held: contextlib.ExitStack, *, retry: bool
    ) -> BaseHTTPResponse:
        """The answer after redirects on the same host; errors of the server are raised."""
        asked = url
        for _ in range(6):
            with contextlib.ExitStack() as step:
                response = self._send(method, asked, headers, step, retry=retry)
                if response.status not in _REDIRECTS:
                    _refuse_status(response, url)
                    held.push(step.pop_all())
                    return response
                asked = _redirected(url, asked, response.headers.get("Location"))
        raise NetworkError(f"{url} redirects more than 5 times, last to {asked}. Name the file itself.")

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], held: contextlib.ExitStack, *, retry: bool
    ) -> BaseHTTPResponse:
        """One request and the head of its answer."""
        held.enter_context(self.budget.request(retry=retry))
        with self._counting:
            self.requests += 1
        with _faults("no answer"):
            response = self._manager(url).urlopen(
                method, url, headers=headers, redirect=False, retries=False, preload_content=False, decode_content=False
            )
        held.callback(_give_back, response)
        return response

    def _manager(self, url: str) -> PoolManager:
        """Connections to use again, by proxy where the environment names one."""
        parts = urllib.parse.urlsplit(url)
        proxies = self._proxies if self._proxies is not None else urllib.request.getproxies()
        proxy = proxies.get(parts.scheme, "")
        if self._proxies is None and urllib.request.proxy_bypass(parts.hostname or ""):
            proxy = ""
        with self._counting:
            if proxy not in self._managers:
                self._managers[proxy] = _pool_manager(proxy, self.config)
            return self._managers[proxy]


def is_url(location: str) -> bool:
    """Whether `location` is for this client: http: or https:."""
    return location.startswith(("http://", "https://"))


def _said(error: Exception) -> str:
    cause = error.__cause__ or error.__context__ or error  # urllib3 wraps what the socket says
    text = " ".join(str(getattr(cause, "strerror", None) or cause).split())
    return text or type(cause).__name__


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


def _refuse_status(response: BaseHTTPResponse, url: str) -> None:
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


def _code(response: BaseHTTPResponse) -> str:
    """The code in S3's XML errors, such as SlowDown, to be quoted; nothing where the body breaks as well."""
    body = b""
    with contextlib.suppress(TransientError), _faults("no more"):
        body = response.read(2048)
    found = re.search(rb"<Code>([A-Za-z0-9]{1,64})</Code>", body)
    return f" ({found[1].decode()})" if found else ""


def _retry_after(response: BaseHTTPResponse) -> float:
    """Seconds that the server asks to wait: a number, or a date, seen from the server's own `Date`."""
    value = (response.headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"\d{1,9}", value):
        return float(value)
    then, now = (_seconds(text) for text in (value, response.headers.get("Date") or ""))
    return max(0.0, then - now) if then is not None and now is not None else 0.0


def _seconds(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _examined(
    response: BaseHTTPResponse, method: str, url: str, start: int, stop: int | None, known: Remote | None
) -> Exchange:
    """The exchange, once its head says that the body is what was asked for."""
    etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
    length = _length(response.headers.get("Content-Length"))
    ranged = start > 0 or stop is not None
    if response.status == 206:
        begin, end, total = _content_range(response.headers.get("Content-Range"))
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
    chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"  # and nothing else on top of it
    if length is None and method != "HEAD" and not chunked:
        raise NetworkError(f"{url}: the answer states no length, so a cut could not be seen. Use another mirror.")
    same_file = known is not None and known.validator is not None and known.validator == remote.validator
    if ranged and not (stop is None and same_file):
        raise TransientError("the server ignores ranges: it sent the whole file for a part", attempts=_FEW)
    return Exchange(response, remote, 0, length if length is not None else known.size if known else None)


def _same(known: Remote | None, remote: Remote, response: BaseHTTPResponse) -> None:
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
