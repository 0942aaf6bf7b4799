"""A web server on loopback that serves files, ranges of them, and on demand every fault that a server has."""

from __future__ import annotations

import email.utils
import hashlib
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ERROR = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)
STATUS = {"503": 503, "429": 429, "403": 403, "500": 500, "503-date": 503, "404": 404}


@dataclass
class Site:
    """Paths to contents, and per path the faults of the answers to come: one each, then none."""

    files: dict[str, bytes]
    faults: dict[str, list[str]] = field(default_factory=dict)
    later: dict[str, bytes] = field(default_factory=dict)
    """What a path holds after the fault ``changed``."""
    no_validator: set[str] = field(default_factory=set)
    """Paths without ETag."""
    no_condition: set[str] = field(default_factory=set)
    """Paths whose server does not know `If-Range`."""
    log: list[tuple[str, str, str | None]] = field(default_factory=list)
    """(method, path, Range) of every request."""
    agents: set[str] = field(default_factory=set)
    url: str = ""
    under_way: int = 0
    most_under_way: int = 0
    connections: int = 0
    closed: int = 0
    """Connections that were opened, and those of them that the server has closed."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, method: str, path: str) -> str:
        """The fault of this answer. Those of bodies wait for a GET."""
        waiting = self.faults.get(path)
        if not waiting or (method == "HEAD" and waiting[0] not in STATUS):
            return ""
        return waiting[0] if waiting[-1] == "forever" and len(waiting) == 2 else waiting.pop(0)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    site: Site

    def log_message(self, *_: object) -> None: ...

    def setup(self) -> None:
        super().setup()
        with self.site.lock:
            self.site.connections += 1

    def do_HEAD(self) -> None:
        self.answer("HEAD")

    def do_GET(self) -> None:
        self.answer("GET")

    def answer(self, method: str) -> None:
        site, path = self.site, self.path
        with site.lock:
            site.log.append((method, path, self.headers.get("Range")))
            site.agents.add(self.headers.get("User-Agent", ""))
            site.under_way += 1
            site.most_under_way = max(site.most_under_way, site.under_way)
            fault = site.fault(method, path)
            if fault == "changed" and path in site.later:
                site.files[path] = site.later.pop(path)
        try:
            self.serve(method, path, fault)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        finally:
            with site.lock:
                site.under_way -= 1

    def serve(self, method: str, path: str, fault: str) -> None:
        content = self.site.files.get(path)
        if fault in STATUS or content is None:
            self.status(STATUS.get(fault, 404), fault)
            return
        if fault in ("redirect-off", "redirect-on"):
            target = "http://localhost:1/elsewhere" if fault == "redirect-off" else path
            self.head(302, {"Location": target, "Content-Length": "0"})
            return
        if fault == "xml":
            self.head(200, {"Content-Type": "application/octet-stream", "Content-Length": str(len(ERROR))})
            self.wfile.write(ERROR)
            return
        if fault == "garbage":
            self.wfile.write(b"\0\0\0 not http at all\r\n\r\n")
            self.close_connection = True
            return
        self.content(method, path, content, fault)

    def content(self, method: str, path: str, content: bytes, fault: str) -> None:
        etag = None if path in self.site.no_validator else f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        start, stop = self.range(content, etag) if fault != "ignored" else (0, None)
        if stop is not None and start >= stop:
            self.head(416, {"Content-Length": "0"})
            return
        ranged = stop is not None
        body = content[start:stop] if ranged else content
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(body))}
        if etag:
            headers["ETag"] = etag
        if ranged:
            headers["Content-Range"] = f"bytes {start}-{start + len(body) - 1}/{len(content)}"
        if fault == "lying-length" and body:
            body = body[: len(body) // 2]
            headers["Content-Length"] = str(len(body))
        elif fault == "no-place":
            headers.pop("Content-Range", None)
        elif fault == "other-place" and ranged:
            headers["Content-Range"] = f"bytes {start + 1}-{start + len(body)}/{len(content) + 1}"
        elif fault == "no-length":
            headers.pop("Content-Length")
            headers["Connection"] = "close"
            body, self.close_connection = body[: len(body) // 2], True
        elif fault == "chunked-cut":
            headers.pop("Content-Length")
            headers["Transfer-Encoding"] = "chunked"
        self.head(206 if ranged else 200, headers)
        if method == "GET":
            self.send(body, fault)

    def send(self, body: bytes, fault: str) -> None:
        half = body[: len(body) // 2]
        if fault == "reset":
            self.wfile.write(half)
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif fault in ("short", "changed"):  # what was promised does not come
            self.wfile.write(half)
            self.close_connection = True
        elif fault == "chunked-cut":
            self.wfile.write(b"%x\r\n%s" % (len(half) + 7, half))
            self.close_connection = True
        else:
            self.wfile.write(body)
            self.close_connection |= fault == "hang-up"  # not announced: the client still counts on the connection

    def range(self, content: bytes, etag: str | None) -> tuple[int, int | None]:
        """(start, stop) of the range that was asked for; stop None: the whole file."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        condition = self.headers.get("If-Range")
        if self.path in self.site.no_condition:
            condition = None
        if not found or (condition and condition != etag):
            return 0, None
        return int(found[1]), min(int(found[2]) + 1 if found[2] else len(content), len(content))

    def status(self, status: int, fault: str) -> None:
        headers = {"Content-Type": "application/xml", "Content-Length": str(len(ERROR))}
        if fault == "429":
            headers["Retry-After"] = "7"
        if fault == "503-date":
            headers["Retry-After"] = email.utils.formatdate(time.time() + 30, usegmt=True)
        self.head(status, headers)
        if self.command == "GET":
            self.wfile.write(ERROR)

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        site: Site = self.RequestHandlerClass.site  # type: ignore[attr-defined]
        with site.lock:
            site.closed += 1

    def handle_error(self, request: Any, client_address: Any) -> None: ...


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """`site` with its `url` set, for as long as the block lasts."""
    handler = type("SiteHandler", (Handler,), {"site": site})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class FakeClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.time, self.slept = 1_800_000_000.0, [0.0]
        self._lock = threading.Lock()

    def now(self) -> float:
        with self._lock:
            return self.time

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.time += seconds
            self.slept.append(seconds)
