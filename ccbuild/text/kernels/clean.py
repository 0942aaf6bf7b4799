"""Whether text is clean, and its lines without runs of spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["collapse", "uncleanness"]

_compiled = njit(cache=True, nogil=True)

_NEWLINE, _SPACE = ord("\n"), ord(" ")


@_compiled
def collapse(text: Any, into: Any) -> Any:
    """Write the lines of `text` that are not empty, runs of spaces as one and none at either end; bytes written."""
    written, before = 0, _NEWLINE
    for i in range(len(text)):
        c = text[i]
        if c == _SPACE or c == _NEWLINE:  # noqa: SIM109
            if before == _NEWLINE:
                continue
            if before == _SPACE:
                into[written - 1] = before = min(c, before)  # a line feed
                continue
        into[written] = before = c
        written += 1
    while written and (into[written - 1] == _NEWLINE or into[written - 1] == _SPACE):
        written -= 1
    return written


@_compiled
def uncleanness(text: Any) -> Any:
    """What keeps text in UTF-8, of three bytes or more, from being clean: bit 0 for runs of spaces and empty lines,
    bit 1 for other white space, control characters, surrogates and the noncharacters that `ccbuild.text.clean` knows.

    All conditions are met for all bytes, so that a compiler can take many bytes at once.
    """
    n = len(text)
    spaces = text[0] <= _SPACE or text[n - 1] <= _SPACE or (text[0] <= _SPACE and text[1] <= _SPACE)
    bad = text[0] == 0x7F or text[1] == 0x7F or (text[0] == 0xC2 and text[1] <= 0xA0)
    for c in text[:2]:
        bad |= c < _SPACE and c != _NEWLINE
    bad |= text[0] == 0xED and text[1] >= 0xA0
    found = np.uint8(spaces) | np.uint8(bad) << 1
    for i in range(2, n):
        a, b, c = text[i - 2], text[i - 1], text[i]
        found |= np.uint8((b <= _SPACE) & (c <= _SPACE))
        found |= np.uint8(2) * np.uint8(
            ((c < _SPACE) & (c != _NEWLINE))
            | (c == 0x7F)
            | ((b == 0xC2) & (c <= 0xA0))  # C1 controls, no-break space
            | ((a == 0xE1) & (b == 0x9A) & (c == 0x80))  # ogham space
            | (
                (a == 0xE2) & (b == 0x80) & ((c <= 0x8A) | (c == 0xA8) | (c == 0xA9) | (c == 0xAF))
            )  # spaces, separators
            | ((a == 0xE2) & (b == 0x81) & (c == 0x9F))  # mathematical space
            | ((a == 0xE3) & (b == 0x80) & (c == 0x80))  # ideographic space
            | ((b == 0xED) & (c >= 0xA0))  # surrogates
            | ((a == 0xEF) & (b == 0xB7) & (c >= 0x90) & (c <= 0xAF))
            | ((a == 0xEF) & (((b == 0xBB) & (c == 0xBF)) | ((b == 0xBF) & (c >= 0xBE))))  # byte order mark, U+FFFE
        )
    return found
