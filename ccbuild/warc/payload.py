"""The body of an HTTP response as the browser would see it: transfer and content codings undone, each bounded.

Crawlers store what servers said, and servers lie: bodies are plain where a coding is claimed, coded
where none is, cut, or coded otherwise. The bytes decide; a claim only says where to look.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from io import BytesIO

from fastwarc.stream_io import BrotliReader, ZstdReader

__all__ = ["decode_payload"]

_STEP = 1 << 17
_FIRST_STEP = 1 << 10
"""Bytes of a member that are inflated first, then twice as many each time: a body may be very many small members."""
_CHUNK_LINE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\n]{0,1024})?\r?\n")
_MAX_CODINGS = 4
_GZIP = b"\x1f\x8b"
_GZIP_BITS = 31
_ZSTD = b"\x28\xb5\x2f\xfd"


def decode_payload(body: bytes, transfer: str | None, content: str | None, limit: int) -> tuple[bytes, str | None]:
    """(payload of at most `limit` bytes, why it is not the whole or None).

    The reason is ``max_payload_bytes`` for a body that goes on, ``content_coding`` for one whose
    coding breaks off, with what came out before; a body that is not coded as claimed is given as it is. Of gzip all
    members are one body (RFC 1952, 2.2); what follows them and is no member is left out, as browsers do.

    >>> decode_payload(b"5\\r\\nhello\\r\\n0\\r\\n\\r\\n", "chunked", None, 100)
    (b'hello', None)
    >>> decode_payload(b"<p>not gzip", None, "gzip", 100)
    (b'<p>not gzip', None)
    """
    cut = None
    if transfer and "chunked" in transfer.lower():
        body, cut = _dechunk(body, limit)
    codings = [c.strip().lower() for c in content.split(",")] if content else []
    for coding in reversed(codings[:_MAX_CODINGS]):
        body, broken = _decode(coding, body, limit + 1)
        cut = cut or broken
    if not codings and body.startswith(_GZIP + b"\x08"):  # coded, though nothing says so
        body, broken = _decode("gzip", body, limit + 1)
        cut = cut or broken
    if len(body) > limit:
        return body[:limit], "max_payload_bytes"
    return body, cut


def _dechunk(body: bytes, limit: int) -> tuple[bytes, str | None]:
    """The chunks joined; a body that does not begin with a chunk was stored without them, whatever is claimed."""
    parts: list[bytes] = []
    position = size = 0
    while line := _CHUNK_LINE.match(body, position):
        length = int(line[1], 16)
        if not length:
            return b"".join(parts), None
        parts.append(body[line.end() : line.end() + length])
        size += len(parts[-1])
        position = line.end() + length
        if size > limit:
            return b"".join(parts), None
        position += 2 if body.startswith(b"\r\n", position) else body.startswith(b"\n", position)
    return (b"".join(parts), "content_coding") if parts else (body, None)


def _decode(coding: str, body: bytes, limit: int) -> tuple[bytes, str | None]:
    """One coding undone, by the body's own first bytes where they tell; `body` itself where it is not coded."""
    coded = body.removeprefix(b"\r\n")  # CC-MAIN-2018-34 stored one CRLF too many after HTTP headers
    if coding in ("", "identity", "none", "utf-8") and not coded.startswith(_GZIP + b"\x08"):
        return body, None
    if coded.startswith(_GZIP + b"\x08"):
        return _bounded(_inflater(_GZIP_BITS), coded, limit)
    if coded.startswith(_ZSTD):
        return _bounded(_from_reader(ZstdReader), coded, limit)
    if coding == "br":
        return _bounded(_from_reader(BrotliReader), coded, limit, else_=body)
    if coding in ("deflate", "gzip", "x-gzip"):  # RFC 9110 means zlib's form; many servers send raw deflate
        found, cut = _bounded(_inflater(15), coded, limit, else_=body)
        return _bounded(_inflater(-15), coded, limit, else_=body) if found is body else (found, cut)
    return body, None


Steps = Callable[[bytes], Callable[[int], bytes]]
"""Of a coded body, a function that gives some more of the decoded one, nothing at its end, or raises."""


def _bounded(steps: Steps, coded: bytes, limit: int, else_: bytes | None = None) -> tuple[bytes, str | None]:
    """Decoded bytes up to `limit`; what came out before a fault, or `else_` when that is too little."""
    step, parts, size = steps(coded), [], 0
    try:
        while size < limit and (chunk := step(min(_STEP, limit - size))):
            parts.append(chunk)
            size += len(chunk)
    except (OSError, EOFError, zlib.error):
        if else_ is not None and size < min(len(coded), 512):
            return else_, None
        return b"".join(parts), "content_coding"
    return b"".join(parts), None


def _inflater(wbits: int) -> Steps:
    def start(coded: bytes) -> Callable[[int], bytes]:
        decompressor = zlib.decompressobj(wbits)
        position, pending, taken = 0, b"", _FIRST_STEP

        def step(count: int) -> bytes:
            nonlocal decompressor, position, pending, taken
            while True:
                if decompressor.eof:
                    position -= len(decompressor.unused_data)
                    if wbits != _GZIP_BITS or not coded.startswith(_GZIP + b"\x08", position):
                        position = len(coded)
                        return b""
                    decompressor, pending, taken = zlib.decompressobj(wbits), b"", _FIRST_STEP
                if not pending:
                    pending = coded[position : position + taken]
                    position += len(pending)
                    taken = min(2 * taken, _STEP)
                if not pending:
                    raise EOFError
                content = decompressor.decompress(pending, count)
                pending = decompressor.unconsumed_tail
                if content:
                    return content

        return step

    return start


def _from_reader(reader: type[BrotliReader] | type[ZstdReader]) -> Steps:
    def start(coded: bytes) -> Callable[[int], bytes]:
        read: Callable[[int], bytes] = reader(BytesIO(coded)).read
        return read

    return start
