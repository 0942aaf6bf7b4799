"""Text is cleaned once, at the border: after this no NUL, control character or lone surrogate is met again."""

from __future__ import annotations

import re

__all__ = ["paragraphs"]

_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]")


def paragraphs(text: str) -> list[str]:
    r"""Paragraphs of `text`: its lines that are not empty, white space collapsed, control characters removed.

    Idempotent: cleaning the joined result changes nothing.

    >>> paragraphs("A\x00 page \t of\r\n\r\n two lines\u2028three")
    ['A page of', 'two lines', 'three']
    """
    if not text.isascii() or not text.isprintable():
        text = _CONTROL.sub("", _BREAKS.sub("\n", text))
    found = []
    for line in text.split("\n"):
        words = line.split()
        if words:
            found.append(" ".join(words))
    return found
