"""Lines that are far too long to be a paragraph, such as a novel without a line break, cut where it does least harm."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

__all__ = ["LONGEST", "cut_lines"]

LONGEST = 1 << 15
"""Characters of a line that is left whole. SentencePiece's training of a line grows with its square where nothing in it
parts words: 300,000 letters never end, or end in an error."""
_END = re.compile(
    r"""(?<![^\w\s])(?=[^\w\s]*?[.!?…;:\u061b\u061f\u06d4\u0589\u0964\u0965\u1362\u1367\u17d4\u17d5\u104b])"""
    r"""[^\w\s]++\s+"""
    r"""|[。！？．｡…；][」』”’）》〉】]*\s*"""
)
"""An end of a sentence: with white space behind it in scripts that set it between words, without in those that do not.
A run of marks is tried as a whole and from its first alone: 32,768 full stops took 4 s where it was tried from each."""
_SPACE = re.compile(r"\s+")


def cut_lines(lines: Iterable[str], most: int = LONGEST) -> Iterator[str]:
    r"""`lines`, those of over `most` characters in parts that are not longer.

    A part ends at the last end of a sentence in the second half of `most` characters; where there is none, at the last
    white space there; where there is none of that either, at `most`, and a letter keeps its marks. White space at the
    cuts goes, everything else stays: words and their neighbours are the same but across a cut.

    >>> list(cut_lines(["One two. Three four five six", "seven"], 14))
    ['One two.', 'Three four', 'five six', 'seven']
    """
    for line in lines:
        start = 0
        while len(line) - start > most:
            stop, after = _place(line, start, start + most)
            yield line[start:stop]
            start = after
        yield line[start:] if start else line


def _place(line: str, start: int, stop: int) -> tuple[int, int]:
    """(where the part of `line` from `start` ends, `stop` at most; where the next one begins)."""
    half = (start + stop) // 2
    for place in (_END, _SPACE):
        found = None
        for found in place.finditer(line[half:stop]):  # noqa: B007  the last one is used
            pass
        if found:
            end = half + found.end()
            spaces = _SPACE.match(line, end)
            return half + len(line[half:end].rstrip()), spaces.end() if spaces else end
    while stop > half and unicodedata.category(line[stop])[0] == "M":
        stop -= 1
    return stop, stop
