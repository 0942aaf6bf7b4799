"""What this process does to a folder on the disk, counted, and something done before the n-th."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

__all__ = ["Disk"]

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_EVENTS = {"os.rename": 2, "os.remove": 1, "os.rmdir": 1, "os.mkdir": 1, "os.link": 2, "os.truncate": 1}
"""Audit events that change a folder, and how many of their arguments are paths."""


class Disk:
    """Calls `act` before the n-th event below `root`: a file opened to be written, a rename, a removal, a sync."""

    def __init__(self, root: Path, nth: int, act: Callable[[str], None]) -> None:
        self._root, self._nth, self._act = str(root), nth, act
        self._armed = False
        self.count = 0
        """Events so far."""
        sys.addaudithook(self._audit)

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Only events within this count."""
        sync = os.fsync

        def fsync(descriptor: int) -> None:
            self._event("fsync", str(Path(f"/proc/self/fd/{descriptor}").readlink()))
            sync(descriptor)

        with mock.patch("os.fsync", fsync):
            self._armed = True
            try:
                yield
            finally:
                self._armed = False

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._armed:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str) and flags & _WRITES:
                self._event(event, path)
        elif event in _EVENTS:
            self._event(event, *map(os.fspath, arguments[: _EVENTS[event]]))

    def _event(self, event: str, *paths: str) -> None:
        if not any(path.startswith(self._root) for path in paths):
            return
        self.count += 1
        if self.count == self._nth:
            self._act(f"{event} {paths[-1]}")
