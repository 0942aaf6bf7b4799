"""Text is cleaned once, at the border: after this no NUL, control character or lone surrogate is met again."""

from __future__ import annotations

import re

__all__ = ["paragraphs"]

_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]")
_UNCLEAN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]")
_UNEVEN = re.compile(r"[^\S\n ]|  |\n ")


def paragraphs(text: str) -> list[str]:
    r"""Paragraphs of `text`: its lines that are not empty, white space collapsed, control characters removed.

    Idempotent: cleaning the joined result changes nothing.

    >>> paragraphs("A\x00 page \t of\r\n\r\n two lines\u2028three")
    ['A page of', 'two lines', 'three']
    """
    if _UNCLEAN.search(text):
        text = _CONTROL.sub("", _BREAKS.sub("\n", text))
    lines = text.split("\n")
    if _UNEVEN.search(text):  # most text has single spaces only, and splitting it into words is most of the cost
        lines = [" ".join(line.split()) for line in lines]
    return [stripped for line in lines if (stripped := line.strip())]
