"""Text is cleaned once, at the border: after this no NUL, control character or lone surrogate is met again."""

from __future__ import annotations

import re

import numpy as np

__all__ = ["ccnet_lines", "paragraphs"]

_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]")
_UNCLEAN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]")


def paragraphs(text: str) -> list[str]:
    r"""Paragraphs of `text`: its lines that are not empty, white space collapsed, control characters removed.

    Idempotent: cleaning the joined result changes nothing.

    >>> paragraphs("A\x00 page \t of\r\n\r\n two lines\u2028three")
    ['A page of', 'two lines', 'three']
    """
    from ccbuild.text.kernels import clean

    text = text.replace("\t", " ").replace("\xa0", " ")
    letters = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    unclean = clean.uncleanness(letters) if len(letters) > 2 else 2
    if not unclean:
        return text.split("\n")
    if unclean == 1:
        into = np.empty(len(letters), np.uint8)
        text = str(into[: clean.collapse(letters, into)].data, "utf-8")
        return text.split("\n") if text else []
    found = []
    for line in text.split("\n"):
        if line.isprintable() and "  " not in line:  # most lines; its only white space is the space
            if stripped := line.strip():
                found.append(stripped)
        else:
            found += _cleaned(line)
    return found


def ccnet_lines(text: str) -> list[str]:
    r"""The lines of a WET record as cc_net 1.0.0 has them (`process_wet_file.parse_doc`), control characters removed.

    Its quirks: white space inside a line stays as it is, so that a no-break space tells two lines apart; the first line
    is taken for the title and left out; empty lines count, but for two at the end.

    >>> ccnet_lines("Title\n one\xa0two \n\nthree\n")
    ['one\xa0two', '', 'three']
    """
    lines = [_CONTROL.sub("", line).strip() for line in re.split("\r\n?|\n", text + "\n")]  # what follows a record
    lines = [" ".join(_BREAKS.split(line)) for line in lines]
    return lines[1:-2] if not any(lines[-2:]) else lines[1:]


def _cleaned(line: str) -> list[str]:
    """The paragraphs of a line that may hold any white space and control characters."""
    if _UNCLEAN.search(line):
        line = _CONTROL.sub("", _BREAKS.sub("\n", line))
    return [joined for part in line.split("\n") if (joined := " ".join(part.split()))]
