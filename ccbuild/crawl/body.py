"""Bytes behind a URL as files: `Body` reads forward and survives cuts, `RangeFile` seeks."""

from __future__ import annotations

import bisect
import io
from collections.abc import Iterable
from typing import Any

from ccbuild.crawl.http import Client, Exchange, Patience, Remote, TransientError
from ccbuild.errors import ChangedError, NetworkError

__all__ = ["Body", "RangeFile", "merge_spans", "read_all"]

_STRETCH = 1 << 20
_SKIP = 1 << 16
_HEAD = 64
_MAGIC = {".gz": b"\x1f\x8b", ".parquet": b"PAR1", ".zst": b"\x28\xb5\x2f\xfd", ".xz": b"\xfd7zXZ"}
_ERROR_PAGES = (b"<?xml", b"<error", b"<!doctype html", b"<html")


class Body(io.RawIOBase):
    """The bytes [start, stop) of a URL, in order; all of them, or an error.

    `stop` None: to the end of the file. `remote`: what is known of the file already; without it, and without
    `stop`, a HEAD request asks for size and ETag, so that a first answer that is short is refused too.
    Memory: what `read` is asked for. Raises `NetworkError`, and `ChangedError` when the file was replaced.
    """

    def __init__(
        self, client: Client, url: str, start: int = 0, stop: int | None = None, remote: Remote | None = None
    ) -> None:
        super().__init__()
        self.url, self.remote, self.position = url, remote, start
        self._client, self._first, self._stop = client, start, stop
        self._end = stop
        self._exchange: Exchange | None = None
        self._head = b""
        self._patience = Patience(client, url, whole=stop is None)
        self._stretch = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self._end is not None:
            view = view[: max(self._end - self.position, 0)]
        while len(view):
            try:
                count = self._take(view)
            except TransientError as again:
                self._retry(again)
                continue
            if count == 0:
                return 0
            self._advance(count)
            return count
        self._release()
        return 0

    def close(self) -> None:
        self._release()
        super().close()

    def _advance(self, count: int) -> None:
        self.position += count
        self._stretch += count
        self._client.count(count)
        if self._stretch >= _STRETCH:
            self._stretch = 0
            self._patience.progress()

    def _take(self, view: memoryview) -> int:
        """Some bytes into `view`; 0 only at the end of a chunked body of unknown size."""
        exchange = self._connected()
        if self._head:
            count = min(len(self._head), len(view))
            view[:count] = self._head[:count]
            self._head = self._head[count:]
            return count
        part = exchange.read_some(len(view))
        if not part and self._end is not None:
            raise TransientError(f"the body ended at byte {self.position:,} of {self._end:,}")
        view[: len(part)] = part
        return len(part)

    def _connected(self) -> Exchange:
        """The exchange under way, or a new one from the present position."""
        if self._exchange is not None:
            return self._exchange
        if self.remote is None and self._stop is None:  # an answer that is short, and says so, contradicts this one
            self.remote = self._client.remote(self.url)
        self._refuse_unsafe()
        exchange = self._client.exchange(
            "GET", self.url, self.position, self._stop, known=self.remote, retry=self._patience.retry
        )
        try:
            self._begin(exchange)
        except BaseException:
            exchange.close()
            raise
        self._exchange = exchange
        return exchange

    def _begin(self, exchange: Exchange) -> None:
        """Look at the first bytes, and read up to the present position where the server began before it."""
        known, new = self.remote, exchange.remote
        if known is None or known.size is None:
            self.remote = new
        self._end = exchange.stop
        if self._stop is not None and exchange.stop != self._stop:
            raise NetworkError(
                f"{self.url} has {exchange.stop:,} bytes, {self._stop:,} were asked for. Is the selection of this file?"
            )
        at = exchange.start
        head = exchange.read(min(_HEAD, exchange.stop - at) if exchange.stop is not None else _HEAD)
        _refuse_page(self.url, head, at, exchange.response.headers.get("Content-Type", ""))
        while at + len(head) < self.position:
            at += len(head)
            head = exchange.read(min(_SKIP, self.position - at))
            self._client.count(len(head))
            if not head:
                raise TransientError(f"the body ended at byte {at:,} of {self._end:,}")
        self._head = head[self.position - at :]

    def _refuse_unsafe(self) -> None:
        """A body is continued only if it can be known to be of the same file."""
        if self.position > self._first and (self.remote is None or self.remote.validator is None):
            raise ChangedError(
                f"{self.url} was cut at byte {self.position:,} and the server names neither ETag nor date, so the rest "
                "could be another file's. Fetch it whole (ccbuild crawl fetch), or use another mirror."
            )

    def _retry(self, again: TransientError) -> None:
        self._release()
        self._patience.failed(again)

    def _release(self) -> None:
        if self._exchange is not None:
            self._exchange.close()
        self._exchange, self._head = None, b""


def _refuse_page(url: str, head: bytes, at: int, kind: str) -> None:
    """Raise `TransientError` for an error page that came as if it were the file."""
    name = url.split("?", 1)[0].lower()
    page = kind.split(";")[0].strip().lower() in ("application/xml", "text/xml", "text/html")
    if at == 0:
        page = page or head.lstrip().lower().startswith(_ERROR_PAGES)
        magic = next((magic for suffix, magic in _MAGIC.items() if name.endswith(suffix)), None)
        if magic is not None and head and not head.startswith(magic):
            page = True
    if page and not name.endswith((".xml", ".html", ".htm", "/")):
        raise TransientError(f"the server sent {bytes(head[:24])!r}, which is not the file", slow=True, attempts=6)


def read_all(client: Client, url: str, limit: int = 256 << 20) -> bytes:
    """A small file whole, in memory; `NetworkError` for one of more than `limit` bytes."""
    with Body(client, url) as body:
        content = body.read(limit + 1)
        parts = [content]
        while content and sum(map(len, parts)) <= limit:
            content = body.read(limit + 1 - sum(map(len, parts)))
            parts.append(content)
    whole = b"".join(parts)
    if len(whole) > limit:
        raise NetworkError(f"{url} has more than {limit:,} bytes, which it should not. Check the address.")
    return whole


def merge_spans(spans: Iterable[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Sorted [start, stop) spans, those no further apart than `gap` bytes joined.

    >>> merge_spans([(10, 20), (0, 4), (25, 30)], gap=5)
    [(0, 4), (10, 30)]
    """
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start - merged[-1][1] <= gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


class RangeFile(io.RawIOBase):
    """A file on a server that can be sought in, for readers such as Parquet's that know which bytes they need.

    `prefetch` reads spans ahead, neighbours in one request; what was not prefetched costs a request a read.
    Memory: what was prefetched, until `forget`.
    """

    def __init__(self, client: Client, url: str, *, tail: int = 1 << 16) -> None:
        super().__init__()
        self.url = url
        self._client, self._position = client, 0
        self.remote = client.remote(url)
        if self.remote.size is None:
            raise NetworkError(f"{url}: the server does not say how large the file is. Use another mirror.")
        self.size: int = self.remote.size
        self._starts: list[int] = []
        self._kept: list[bytes] = []
        self._tail = tail
        self.requests = 1
        """Requests for this file, its size included, retries left out."""
        self.nbytes = 0
        """Bytes of this file that were fetched."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = min(len(view), max(self.size - self._position, 0))
        view[:count] = self._bytes(self._position, self._position + count)
        self._position += count
        return count

    def prefetch(self, spans: Iterable[tuple[int, int]], gap: int) -> None:
        """Read these [start, stop) spans now; those no further apart than `gap` bytes by one request."""
        for start, stop in merge_spans([span for span in spans if self._found(*span) is None], gap):
            self._keep(start, self._fetch(start, stop))

    def forget(self) -> None:
        """Free what was read ahead, but for the end of the file, where its index is."""
        tail = [(s, k) for s, k in zip(self._starts, self._kept, strict=True) if s + len(k) == self.size]
        self._starts, self._kept = [s for s, _ in tail], [k for _, k in tail]

    def _found(self, start: int, stop: int) -> bytes | None:
        """These bytes, when one of the spans that were read holds them."""
        index = bisect.bisect_right(self._starts, start) - 1
        if index < 0 or stop > self._starts[index] + len(self._kept[index]):
            return None
        at = start - self._starts[index]
        return self._kept[index][at : at + stop - start]

    def _bytes(self, start: int, stop: int) -> bytes:
        found = self._found(start, stop) if start < stop else b""
        if found is not None:
            return found
        if stop == self.size:  # the end of a Parquet file, where readers begin: a few small reads, one request
            start, asked = max(0, min(start, self.size - self._tail)), start
            content = self._fetch(start, stop)
            self._keep(start, content)
            return content[asked - start :]
        return self._fetch(start, stop)

    def _fetch(self, start: int, stop: int) -> bytes:
        with Body(self._client, self.url, start, stop, self.remote) as body:
            content = body.readall()
        if len(content) != stop - start:
            raise NetworkError(f"{self.url}: {len(content):,} bytes in place of {stop - start:,}. Try again.")
        self.requests += 1
        self.nbytes += len(content)
        return content

    def _keep(self, start: int, content: bytes) -> None:
        index = bisect.bisect_left(self._starts, start)
        self._starts.insert(index, start)
        self._kept.insert(index, content)
