"""What a page would cost a parser, and its text without tags.

The page is walked as the tokenizer of the HTML standard does (https://html.spec.whatwg.org/#tokenization): tags with
quoted attributes, comments, raw text.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["scan_page", "scan_words", "strip_page"]

_compiled = njit(cache=True, nogil=True)

OTHER, VOID, IMPLIED, FORMATTING, SPECIAL, SCOPE, RAW, CELL, OPTION = range(9)
"""Kinds of elements: `OTHER` opens and is closed by its own end tag, within the nearest special one; `VOID` is never
open, or open all the time; of `IMPLIED` the end tag may be left out, and the next one implies it; `SCOPE` is special
and bounds what an end tag within it can close; `RAW` holds text up to its end tag; a `CELL`, a row too, ends all that
was opened in the one before."""

DEEPEST, MOST_FORMATS, ELEMENTS, ATTRIBUTES, OPTIONS, NODES, INDENT, MASK, DEPTH, FORMATS, SCOPES, FOREIGN = range(12)
"""Places in the state of a scan."""
STATE = 12


def packed(name: str) -> np.uint64:
    """The key of the name of an element: its first eight bytes, and how many more there are."""
    return np.uint64(int.from_bytes(name[:8].encode(), "little") + max(len(name) - 8, 0))


_P_NAME, _BR_NAME, _A_NAME = packed("p"), packed("br"), packed("a")
_SVG_NAME, _MATH_NAME = packed("svg"), packed("math")

_LT, _GT, _SLASH, _BANG, _QUESTION, _NEWLINE = (ord(c) for c in "<>/!?\n")
_DASH, _EQUALS, _QUOTE, _APOSTROPHE, _SPACE, _N = (ord(c) for c in "-=\"' n")
_WALK = 64
"""Open elements that an end tag is compared with; one that lies deeper stays open, which errs on the safe side."""
_SAME = 3
"""Equal formatting elements that a parser keeps open: the standard's "Noah's Ark clause"."""


@_compiled
def _key(page: Any, i: int) -> Any:
    """(name of the tag that starts at `i`, its first eight bytes in lower case packed; where it ends)."""
    key, n = np.uint64(0), 0
    while i < len(page):
        c = page[i]
        if c <= _SPACE or c == _GT or c == _SLASH:  # noqa: SIM109  numba makes a loop of `in`
            break
        if n < 8:
            low = c | 0x20 if 0x41 <= c <= 0x5A else c
            key |= np.uint64(low) << np.uint64(8 * n)
        else:
            key += np.uint64(1)  # a longer name is not the name of its first eight bytes
        n += 1
        i += 1
    return key, i


@_compiled
def _kind(key: Any, keys: Any, kinds: Any) -> Any:
    """Kind of an element, from the hash table of `ccbuild.text.hostile`."""
    slot = (key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(55)
    while keys[slot] != 0:
        if keys[slot] == key:
            return kinds[slot]
        slot = (slot + np.uint64(1)) & np.uint64(511)
    return 0


@_compiled
def _step(state: Any, byte: Any, steps: Any) -> Any:
    """Next state of the automaton; unsigned, as numba tests signed indices for being negative."""
    return np.uint64(steps[state << np.uint64(8) | np.uint64(byte)])


@_compiled
def _attributes(page: Any, i: int, steps: Any, found: Any, plain: Any) -> Any:
    """(index after the tag, attributes, mask of the words found in the value of `name`, whether a slash ends it); no
    word ends in the first `plain` states."""
    n, count, mask, slash = len(page), 0, 0, False
    while i < n:
        c = page[i]
        if c == _GT:
            return i + 1, count, mask, slash
        if c <= _SPACE or c == _SLASH:
            slash = c == _SLASH
            i += 1
            continue
        count, slash, first = count + 1, False, c | 0x20
        while True:  # an equals sign that comes first belongs to the name
            i += 1
            if i >= n:
                break
            c = page[i]
            if c <= _SPACE or c in (_GT, _SLASH, _EQUALS):
                break
        while i < n and page[i] <= _SPACE:
            i += 1
        if i < n and page[i] == _EQUALS:
            start, i = i + 1, _value(page, i + 1)
            if first == _N:
                state = np.uint64(0)
                for j in range(start, min(i, n)):
                    state = _step(state, page[j], steps)
                    if state >= plain:
                        mask |= found[state]
    return n, count, mask, False


@_compiled
def _value(page: Any, i: int) -> Any:
    """Index after the value of an attribute whose equals sign stands before `i`."""
    n = len(page)
    while i < n and page[i] <= _SPACE:
        i += 1
    if i < n and (page[i] == _QUOTE or page[i] == _APOSTROPHE):
        quote = page[i]
        i += 1
        while i < n and page[i] != quote:
            i += 1
        return i + 1
    while i < n and page[i] > _SPACE and page[i] != _GT:
        i += 1
    return i


@_compiled
def _digest(page: Any, start: int, stop: int) -> Any:
    """FNV-1a hash of a tag."""
    digest = np.uint64(14695981039346656037)
    for i in range(start, min(stop, len(page))):
        digest = (digest ^ np.uint64(page[i])) * np.uint64(1099511628211)
    return digest


@_compiled
def _after_comment(page: Any, i: int) -> Any:
    """Index after the markup declaration or comment whose ``<!`` stands before `i`."""
    n = len(page)
    if i + 1 < n and page[i] == _DASH and page[i + 1] == _DASH:
        i += 2
        if i < n and page[i] == _GT:
            return i + 1
        if i + 1 < n and page[i] == _DASH and page[i + 1] == _GT:
            return i + 2
        while i + 2 < n:
            if page[i] == _DASH and page[i + 1] == _DASH and page[i + 2] == _GT:
                return i + 3
            i += 1
        return n
    while i < n and page[i] != _GT:
        i += 1
    return min(i + 1, n)


@_compiled
def _after_raw(page: Any, i: int, key: Any) -> Any:
    """Index of the end tag of the raw text element `key` that was opened before `i`."""
    n = len(page)
    while i + 2 < n:
        if page[i] == _LT and page[i + 1] == _SLASH and _key(page, i + 2)[0] == key:
            return i
        i += 1
    return n


@_compiled
def _letter(c: Any) -> Any:
    return 0x41 <= c <= 0x5A or 0x61 <= c <= 0x7A


@_compiled
def _skip(page: Any, i: int) -> Any:
    """Index after what is no tag at the ``<`` at `i`: text, a comment, a declaration; 0 where a tag stands."""
    c = page[i + 1]
    if c == _BANG or c == _QUESTION:  # noqa: SIM109
        return _after_comment(page, i + 2)
    if c == _SLASH:
        if i + 2 < len(page) and not _letter(page[i + 2]):
            return _after_comment(page, i + 2)  # a bogus comment
        return 0 if i + 2 < len(page) else i + 1
    return 0 if _letter(c) else i + 1


@_compiled
def _pop(stack: Any, depth: int, key: Any, kind: int, keys: Any, kinds: Any) -> Any:
    """Open elements after an end tag."""
    for j in range(depth - 1, max(depth - 1 - _WALK, -1), -1):
        if stack[j] == key:
            if kind != FORMATTING:
                return j
            for k in range(j, depth - 1):
                stack[k] = stack[k + 1]
            return depth - 1
        above = _kind(stack[j], keys, kinds)
        if above == SCOPE or (kind == OTHER and above != OTHER and above != FORMATTING):
            return depth
    return depth


@_compiled
def _implied_end(stack: Any, depth: int, key: Any, kind: int, keys: Any, kinds: Any) -> Any:
    """Open elements after the end that the start of a paragraph, a list item or a cell implies for the one before."""
    for j in range(depth - 1, max(depth - 1 - _WALK, -1), -1):
        above = _kind(stack[j], keys, kinds)
        if above == SCOPE:
            return j + 1 if kind == CELL else depth
        if kind == IMPLIED and (stack[j] == key or above == SPECIAL):
            return j if stack[j] == key else depth
    return depth


@_compiled
def _unformat(tags: Any, marks: Any, floor: int, count: int, key: Any) -> Any:
    """Formatting elements that are open after the end tag of one."""
    for j in range(count - 1, floor - 1, -1):
        if tags[j] == key:
            for k in range(j, count - 1):
                tags[k], marks[k] = tags[k + 1], marks[k + 1]
            return count - 1
    return count


@_compiled
def _end_tag(s: Any, key: Any, kind: int, opened: Any, table: Any) -> Any:
    """Count an end tag in the state `s`; `opened` is (elements, formatting, its digests, formatting below a scope)."""
    stack, tags, marks, floors = opened
    keys, kinds = table
    floor = floors[s[SCOPES]]
    if kind == FORMATTING:
        s[FORMATS] = _unformat(tags, marks, floor, s[FORMATS], key)
    elif kind == CELL and s[SCOPES]:
        s[FORMATS] = floor
    if kind == OTHER or (IMPLIED <= kind <= SCOPE) or kind == CELL:  # noqa: SIM109
        left = _pop(stack, s[DEPTH], key, kind, keys, kinds)
        s[ELEMENTS] += key == _P_NAME and left == s[DEPTH]  # an end tag without a paragraph makes an empty one
        if kind == SCOPE and left < s[DEPTH] and s[SCOPES]:
            s[FORMATS] = floor
            s[SCOPES] -= 1
        s[DEPTH] = left
    s[ELEMENTS] += key == _BR_NAME  # read as a line break


@_compiled
def _start_tag(s: Any, key: Any, kind: int, empty: bool, digest: Any, opened: Any, table: Any) -> Any:
    """Count a start tag in the state `s`."""
    stack, tags, marks, floors = opened
    s[ELEMENTS] += 1 if kind == FORMATTING else 1 + s[FORMATS]  # formatting is opened anew in each block
    s[OPTIONS] += kind == OPTION
    s[INDENT] += s[DEPTH]
    floor = floors[s[SCOPES]]
    if kind == CELL and s[SCOPES]:
        s[FORMATS] = floor
    elif kind == FORMATTING and not s[FOREIGN]:
        same = 0
        if key == _A_NAME:  # a link closes the one before it
            s[FORMATS] = _unformat(tags, marks, floor, s[FORMATS], key)
        for j in range(floor, s[FORMATS]):
            same += marks[j] == digest and tags[j] == key
        if same < _SAME:
            tags[s[FORMATS]], marks[s[FORMATS]] = key, digest
            s[FORMATS] += 1
    if kind == IMPLIED or kind == CELL:  # noqa: SIM109
        s[DEPTH] = _implied_end(stack, s[DEPTH], key, kind, table[0], table[1])
    nests = kind == OTHER or IMPLIED <= kind <= SCOPE or (kind == CELL and s[SCOPES] > 0)
    if nests and not (s[FOREIGN] and empty):
        stack[s[DEPTH]] = key
        s[DEPTH] += 1
        if kind == SCOPE:
            s[SCOPES] += 1
            floors[s[SCOPES]] = s[FORMATS]
    s[DEEPEST], s[MOST_FORMATS] = max(s[DEEPEST], s[DEPTH]), max(s[MOST_FORMATS], s[FORMATS])


@_compiled
def scan_page(page: Any, table: Any, words: Any, limits: Any, s: Any) -> Any:
    """Fill the state `s` (see `hostile.Survey`) with the counts of a page, up to where one is over its limit.

    `limits` and the first counts of `s`: depth, open formatting, elements, attributes of one element, options.
    """
    stack, floors = np.zeros(limits[0] + 2, np.uint64), np.zeros(limits[0] + 2, np.int64)
    opened = (stack, np.zeros(limits[1] + 2, np.uint64), np.zeros(limits[1] + 2, np.uint64), floors)
    i = others = 0
    while i + 1 < len(page):
        if page[i] != _LT:
            i += 1
            continue
        after = _skip(page, i)
        if after:
            others += after > i + 1
            i = after
            continue
        closing = page[i + 1] == _SLASH
        start = i
        key, i = _key(page, i + 1 + closing)
        i, attributes, _, empty = _attributes(page, i, words[0], words[1], words[2])
        kind = _kind(key, table[0], table[1])
        foreign = key in (_SVG_NAME, _MATH_NAME)
        if (closing and foreign) or (not foreign and kind != OTHER and kind != RAW):
            s[FOREIGN] = 0
        if closing:
            _end_tag(s, key, kind, opened, table)
            continue
        others += attributes
        s[ATTRIBUTES] = max(s[ATTRIBUTES], attributes)
        if foreign and not empty:
            s[FOREIGN] = 1
        digest = _digest(page, start, i) if kind == FORMATTING and key != _A_NAME else np.uint64(0)
        _start_tag(s, key, kind, empty, digest, opened, table)
        if kind == RAW and not s[FOREIGN]:
            i = _after_raw(page, i, key)
        s[NODES] = s[ELEMENTS] + others
        if s[DEPTH] > limits[0] or s[FORMATS] > limits[1] or s[ELEMENTS] > limits[2] or attributes > limits[3]:
            return
        if s[OPTIONS] > limits[4] or s[NODES] > limits[5] or s[INDENT] > limits[6]:
            return
    s[NODES] = s[ELEMENTS] + others


@_compiled
def scan_words(page: Any, table: Any, words: Any, s: Any) -> Any:
    """Fill the state with bounds, in a third of the time of `scan_page`: as `DEEPEST` every element that could nest, as
    `MOST_FORMATS` the formatting elements not closed in order, as elements the end tags too that can make one; the
    attributes and the words as they are."""
    keys, kinds = table
    steps, found, plain = words
    n = len(page)
    i = nesting = formats = most_formats = elements = most_attributes = others = mask = 0
    stack = np.zeros(_WALK, np.uint64)
    while i + 1 < n:
        if page[i] != _LT:
            i += 1
            continue
        after = _skip(page, i)
        if after:
            others += after > i + 1
            i = after
            continue
        closing = page[i + 1] == _SLASH
        key, i = _key(page, i + 1 + closing)
        if closing:
            elements += key in (_P_NAME, _BR_NAME)
            if formats > 0 and stack[formats % _WALK] == key:
                formats -= 1
            while i < n and page[i] != _GT:
                i += 1
            continue
        i, attributes, words_here, _ = _attributes(page, i, steps, found, plain)
        mask |= words_here
        most_attributes = max(most_attributes, attributes)
        others += attributes
        elements += 1
        kind = _kind(key, keys, kinds)
        if kind == RAW:
            i = _after_raw(page, i, key)
        elif kind == OPTION:
            s[OPTIONS] += 1
        elif kind == FORMATTING:
            nesting += 1
            if key != _A_NAME:
                formats += 1
                stack[formats % _WALK] = key
                most_formats = max(most_formats, formats)
        elif kind != VOID and kind != IMPLIED and kind != CELL:
            nesting += 1
    s[DEEPEST], s[MOST_FORMATS], s[ELEMENTS], s[ATTRIBUTES] = nesting, most_formats, elements, most_attributes
    s[NODES], s[MASK] = elements + others, mask


@_compiled
def strip_page(page: Any, table: Any, words: Any, into: Any) -> Any:
    """Write the text of a page without tags, a line break in place of each tag that is not formatting; its length."""
    i = written = 0
    while i < len(page):
        if page[i] != _LT or i + 1 >= len(page):
            into[written] = page[i]
            written, i = written + 1, i + 1
            continue
        after = _skip(page, i)
        if after == i + 1:
            into[written] = _LT
            written += 1
        if after:
            i = after
            continue
        closing = page[i + 1] == _SLASH
        key, i = _key(page, i + 1 + closing)
        i = _attributes(page, i, words[0], words[1], words[2])[0]
        kind = _kind(key, table[0], table[1])
        if kind == RAW and not closing:
            i = _after_raw(page, i, key)
        elif kind != FORMATTING and kind != OTHER:
            into[written] = _NEWLINE
            written += 1
    return written
