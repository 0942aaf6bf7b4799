"""Bytes of a stream with their offsets in the archive; what was read since a mark can be read again, within a bound."""

from __future__ import annotations

from typing import BinaryIO

__all__ = ["Source"]

_CHUNK = 1 << 18
_KEPT = 8 << 20
_MAX_REREAD = 64 << 20


class Source:
    """A window on a stream that need not be seekable.

    `window` holds bytes that were read but not yet used, from `position` on; `offset` is where
    `position` stands in the archive. `hold()` sets a mark, `rewind()` goes back to it: at most 8 MiB
    that were used since are kept, so damage far into a huge member is looked at from near where it was met.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.window = b""
        self.position = 0
        self._base = 0
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._reread = 0
        self.ended = False

    @property
    def offset(self) -> int:
        """Where the next unused byte stands in the archive."""
        return self._base + self.position

    @property
    def ready(self) -> int:
        """Unused bytes in the window."""
        return len(self.window) - self.position

    def more(self, nbytes: int = _CHUNK) -> bool:
        """Read at least one byte more into the window; False at the end of the stream."""
        if self.ended:
            return False
        chunk = self._stream.read(nbytes)
        if not chunk:
            self.ended = True
            return False
        self._base += self.position
        self.window = self.window[self.position :] + chunk if self.ready else chunk
        self.position = 0
        return True

    def peek(self, nbytes: int) -> bytes:
        """The next `nbytes` bytes, fewer at the end; they stay unused."""
        while self.ready < nbytes and self.more(max(_CHUNK, nbytes - self.ready)):
            pass
        return self.window[self.position : self.position + nbytes]

    def take(self, nbytes: int) -> bytes:
        """Up to `nbytes` bytes, now used and kept for `rewind`; empty at the end of the stream."""
        if not self.ready and not self.more():
            return b""
        chunk = self.window[self.position : self.position + nbytes]
        self.position += len(chunk)
        self._kept.append(chunk)
        self._kept_bytes += len(chunk)
        while self._kept_bytes > _KEPT:
            self._kept_bytes -= len(self._kept.pop(0))
        return chunk

    def skip(self, nbytes: int) -> None:
        """Use bytes of the window without keeping them."""
        self.position += nbytes

    def untake(self, nbytes: int) -> None:
        """Give back the last `nbytes` bytes that `take` gave: they are unused again."""
        if nbytes <= self.position:
            self.position -= nbytes
            self._kept_bytes -= nbytes
            while nbytes:
                last = self._kept.pop()
                if len(last) > nbytes:
                    self._kept.append(last[:-nbytes])
                nbytes -= min(nbytes, len(last))

    def hold(self) -> None:
        """Forget what was kept: `rewind` comes back to here."""
        self._kept, self._kept_bytes = [], 0

    def rewind(self) -> None:
        """Back to the mark, or as near to it as is kept; nowhere once a hostile file was read five times over."""
        self._reread += self._kept_bytes
        if self._reread > _MAX_REREAD + 4 * self.offset:
            self.hold()
        self._base, self.window = self.offset - self._kept_bytes, b"".join(self._kept) + self.window[self.position :]
        self.position = 0
        self.hold()
