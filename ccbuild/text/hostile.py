"""What a page would cost a parser, from counts alone and never from the clock; and its text without one.

An HTML parser is linear in sound pages. It is quadratic, or worse, in deep nesting, in formatting that is never closed
(each block opens all of it anew), in the attributes of one element and in the options of a list. Measured with
Resiliparse 2.0: 100,000 nested `div` 90 s, 40 KB of nested `<b><i>` 12 s, 100,000 attributes 38 s, 50,000 options 17 s.
"""

from __future__ import annotations

import dataclasses
import functools
import html as html_entities
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccbuild.errors import ConfigError

__all__ = ["WORDS", "PageLimits", "Survey", "strip_tags", "survey"]

_VOID = "area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr"
_IMPLIED = "p li dt dd"
_ROOTS = "body html head colgroup"
_FORMATTING = "a b big code em font i nobr s small strike strong tt u"
_SPECIAL = (
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer form frameset "
    "h1 h2 h3 h4 h5 h6 header hgroup iframe listing main menu nav ol pre search section select summary ul"
)
_SCOPE = "applet button caption marquee object table template"
_RAW = "script style textarea title xmp noembed noframes"
_CELL = "td th tr tbody thead tfoot"
_OPTION = "optgroup option"
_KINDS = ("", f"{_VOID} {_ROOTS}", _IMPLIED, _FORMATTING, _SPECIAL, _SCOPE, _RAW, _CELL, _OPTION)
"""Names of elements by kind, in the order of `kernels.tags`; HTML standard, 13.2.4.2 and 13.1.2.4."""

WORDS = ("robots", "ccbot", "tdm-reservation")
"""What a survey looks for in the names that start tags give, in any case of letters."""

_COUNTS = (
    "max_depth",
    "max_open_formatting",
    "max_elements",
    "max_attributes",
    "max_options",
    "max_nodes",
    "max_indent",
)
"""Fields of `PageLimits` in the order of `kernels.tags`."""
_FEW_TAGS = 2_000
"""Elements that could nest with which a page does no harm: 2,000 nested `div` take 50 ms."""
_MAX_ENTITIES = 200_000
"""Ampersands above which a stripped page keeps its entities as they are written: each costs a microsecond."""


class Survey(NamedTuple):
    """What one pass over a page finds."""

    hostile: str | None
    """The count that is over its limit, as `PageLimits` names it; None for a page that a parser can have."""
    robots: bool
    """Whether one of `WORDS` was found."""


@functools.cache
def _table() -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hash table from packed names to kinds: 512 places, linear probing."""
    from ccbuild.text.kernels.tags import packed

    keys, kinds = np.zeros(512, np.uint64), np.zeros(512, np.int64)
    known = {name: kind for kind, names in enumerate(_KINDS) for name in names.split()}
    for name, kind in known.items():
        slot = (int(packed(name)) * 0x9E3779B97F4A7C15 & (1 << 64) - 1) >> 55
        while keys[slot]:
            slot = (slot + 1) & 511
        keys[slot], kinds[slot] = packed(name), kind
    return keys, kinds


@functools.cache
def _automaton() -> tuple[NDArray[np.uint8], NDArray[np.int64], np.uint64]:
    """Aho and Corasick, CACM 18(6), 1975: (next state at 256 * state + byte, mask of the words that end in a state,
    the first state in which one ends)."""
    ends = {
        word[:n]: sum(word[:n].endswith(other) << bit for bit, other in enumerate(WORDS))
        for word in WORDS
        for n in range(len(word) + 1)
    }
    prefixes = sorted(ends, key=lambda p: (ends[p] > 0, len(p), p))
    state = {prefix: i for i, prefix in enumerate(prefixes)}
    steps = np.zeros((len(prefixes), 256), np.uint8)
    for prefix, i in state.items():
        for byte in range(256):
            suffix = prefix + chr(byte).lower() if byte < 128 else ""
            while suffix not in state:
                suffix = suffix[1:]
            steps[i, byte] = state[suffix]
    found = np.array([ends[prefix] for prefix in prefixes], np.int64)
    return steps.ravel(), found, np.uint64(np.flatnonzero(found)[0])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PageLimits:
    """Counts above which a page is not given to an HTML parser; its text is taken by leaving out the tags."""

    max_depth: int = 512
    """Deepest nesting, elements whose end tag may be left out not counted. 512: where Chromium stops nesting."""
    max_open_formatting: int = 100
    """Most formatting elements open at once; each block opens all of them anew."""
    max_elements: int = 100_000
    """Most elements, formatting opened anew included; the tree takes some 500 bytes for each."""
    max_attributes: int = 256
    """Most attributes of one element; the parser compares each with all others."""
    max_options: int = 10_000
    """Most options of lists; half a second at this number."""
    max_nodes: int = 200_000
    """Most elements, attributes and comments; the tree takes some 300 bytes for each."""
    max_indent: int = 4_000_000
    """Largest sum of the depths of all elements; the parser indents each line of a list by its depth."""
    max_text_chars: int = 8 << 20
    """Most characters of a page with quotation marks, `<`, `>` and `&` written as entities, as the parser gives them;
    a character may take four bytes, and several copies are held."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                raise ConfigError(f"extract.limits.{field.name} is {getattr(self, field.name)}; it takes 1 or more.")


def survey(page: bytes, limits: PageLimits) -> Survey:
    """What a page in UTF-8 would cost a parser, and what its tags say: some 4 µs a kilobyte.

    A page with fewer than 2,000 elements that could nest is not counted closely, as it cannot cost a second.

    >>> survey(b"<div>" * 2500, PageLimits()).hostile
    'max_depth'
    >>> survey(b"<meta name=robots><p>a<br>", PageLimits())
    Survey(hostile=None, robots=True)
    """
    from ccbuild.text.kernels import tags

    letters = np.frombuffer(page, np.uint8)
    state = np.zeros(tags.STATE, np.int64)
    tags.scan_words(letters, _table(), _automaton(), state)
    counts = state.tolist()
    nesting, formatting, elements, attributes, options, nodes = counts[:6]
    hostile = None
    if attributes > limits.max_attributes:
        hostile = "max_attributes"
    elif options > limits.max_options:
        hostile = "max_options"
    elif len(page) * 6 > limits.max_text_chars < _escaped_chars(page):
        hostile = "max_text_chars"
    elif (
        nesting > _FEW_TAGS
        or elements * (1 + formatting) > limits.max_elements
        or nodes > limits.max_nodes
        or elements * min(nesting, limits.max_depth) > limits.max_indent
    ):
        hostile = _count_closely(letters, limits)
    return Survey(hostile, counts[tags.MASK] != 0)


def _escaped_chars(page: bytes) -> int:
    """Characters of a page when all that is text in it is escaped: `&quot;`, `&amp;`, `&lt;`, `&gt;`."""
    chars = int(np.count_nonzero(np.frombuffer(page, np.int8) >= -64))  # all bytes but those that continue a character
    return chars + 5 * page.count(b'"') + 4 * page.count(b"&") + 3 * (page.count(b"<") + page.count(b">"))


def _count_closely(letters: NDArray[np.uint8], limits: PageLimits) -> str | None:
    """The count that is over its limit."""
    from ccbuild.text.kernels import tags

    bounds = np.array(
        [
            limits.max_depth,
            limits.max_open_formatting,
            limits.max_elements,
            limits.max_attributes,
            limits.max_options,
            limits.max_nodes,
            limits.max_indent,
        ]
    )
    state = np.zeros(tags.STATE, np.int64)
    tags.scan_page(letters, _table(), _automaton(), bounds, state)
    over = (state[: len(_COUNTS)] > bounds).tolist()
    return _COUNTS[over.index(True)] if any(over) else None


def strip_tags(page: bytes) -> str:
    r"""Text of a page in UTF-8 without its tags, comments and scripts, in linear time and with no tree.

    >>> strip_tags(b"<p title='>'>a <b>b</b><p>c &lt; d<!-- e --><script>f</script>")
    '\na b\nc < d\n'
    """
    from ccbuild.text.kernels import tags

    into = np.empty(len(page), np.uint8)
    size = tags.strip_page(np.frombuffer(page, np.uint8), _table(), _automaton(), into)
    text = into[:size].tobytes().decode("utf-8", "replace")
    return html_entities.unescape(text) if text.count("&") <= _MAX_ENTITIES else text
