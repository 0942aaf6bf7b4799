"""The blocks of a page's text, and the elements that they stand in, from its bytes in one pass.

The page is walked as the tokenizer of the HTML standard does (https://html.spec.whatwg.org/#tokenization); of its tree
only the open elements are kept, with the end tags that the standard implies. The time is linear in the page, whatever
stands in it: at most 512 elements are open, and one that would be deeper belongs to the one above it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["inherit", "masses", "parse", "within"]

_compiled = njit(cache=True, nogil=True)

FORMAT, BLOCK, PARAGRAPH, ITEM, CELL, ROW, SECTION, BREAK = range(8)
RAW, HIDE, LINK, META, SPAN, CUSTOM, READING, BASE = range(8, 16)
"""Kinds of elements. `FORMAT`: within a line, or void. `ITEM`, `CELL`, `ROW`, `SECTION`, `READING` and `BASE` (of ruby)
end an open one of their kind; a `PARAGRAPH` and a `BLOCK` end an open `p`. `RAW` and `HIDE` hold nothing that is shown.
`CUSTOM`: a name that HTML does not know."""
HIDDEN = 1
"""The sign of an element that is not shown; of a `SPAN` nothing is read then."""

_LT, _GT, _SLASH, _BANG, _QUESTION, _NEWLINE, _TAB, _CR = (ord(c) for c in "<>/!?\n\t\r")
_DASH, _EQUALS, _QUOTE, _APOSTROPHE, _SPACE, _AMP, _HASH, _SEMICOLON, _X = (ord(c) for c in "-=\"' &#;x")
_N, _B, _S, _P_LETTER = (ord(c) for c in "nbsp")
_OPENING, _CLOSING, _CARET, _UNDERSCORE, _BACKSLASH = (ord(c) for c in "{}^_\\")
INDENT = 0x1F
"""Stands for a tab in text that keeps its white space; as a control character it is no part of a page's text."""
_DEEPEST = 512
_TEMPLATE = 300
"""Most bytes between the braces of an expression that a template has left."""


def packed(name: str) -> int:
    """The key of a name: its first eight bytes, and how many more there are."""
    return int.from_bytes(name[:8].encode(), "little") + max(len(name) - 8, 0)


_P, _PRE, _A, _TABLE, _LI, _CODE, _HR, _BUTTON, _SVG, _RUBY = (
    np.uint64(packed(n)) for n in ("p", "pre", "a", "table", "li", "code", "hr", "button", "svg", "ruby")
)
_CLASS, _ID, _ROLE, _HREF, _STYLE, _NAME, _HIDDEN_NAME, _ARIA, _PROP = (
    np.uint64(packed(n)) for n in ("class", "id", "role", "href", "style", "name", "hidden", "aria-hidden", "itemprop")
)
_TRUE = np.uint64(packed("true"))
_DISPLAY, _NONE, _UNTIL = (np.uint64(packed(n)) for n in ("display", "none", "until-found"))

WRITTEN, START, COUNT, CHARS, LABELS, NODES, DEPTH, LINKED, CODES, ROBOTS = range(10)
"""Places in the state of a parse: bytes written, where the open block begins, blocks, characters of the open block and
those of them that are links; elements; open elements, whether a link is open, how many `code`; whether a `meta` speaks
to robots."""
STATE = 10


@_compiled
def _low(c: Any) -> Any:
    return c | 0x20 if 0x41 <= c <= 0x5A else c


@_compiled
def _letter(c: Any) -> Any:
    return 0x41 <= c <= 0x5A or 0x61 <= c <= 0x7A


@_compiled
def _key(page: Any, i: int, stop: int) -> Any:
    """(key of the name that starts at `i`; where it ends)."""
    key, n = np.uint64(0), 0
    while i < stop:
        c = page[i]
        if c <= _SPACE or c == _GT or c == _SLASH or c == _EQUALS:  # noqa: SIM109  numba makes a loop of `in`
            break
        if n < 8:
            key |= np.uint64(_low(c)) << np.uint64(8 * n)
        else:
            key += np.uint64(1)
        n += 1
        i += 1
    return key, i


@_compiled
def _look_up(key: Any, table: Any) -> Any:
    """What a hash table of `ccbuild.text.blocks` has of a name; 0 for nothing."""
    keys, values = table
    slot = (key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(55)
    while keys[slot] != 0:
        if keys[slot] == key:
            return values[slot]
        slot = (slot + np.uint64(1)) & np.uint64(511)
    return 0


@_compiled
def _words(page: Any, i: int, stop: int, table: Any, states: int) -> Any:
    """Signs of the names in the value of a class or an id.

    A name is parted into words where a letter follows none or a capital follows a small letter; a word says less than
    a whole name. A word of state, as in `no-share` and `comments-closed`, makes its name say nothing.
    """
    found = here = letters = 0
    first = i
    while i <= stop:
        c = page[i] if i < stop else _SPACE
        if c <= _SPACE:
            if here & states == 0:
                found |= here >> 16 if letters == i - first else here & 0xFFFF
            here, letters, i = 0, 0, i + 1
            first = i
            continue
        if not _letter(c):
            i += 1
            continue
        key, n, small = np.uint64(0), 0, False
        while i < stop and _letter(page[i]):
            c = page[i]
            if small and c <= 0x5A:
                break
            small = c > 0x5A
            if n < 8:
                key |= np.uint64(c | 0x20) << np.uint64(8 * n)
            else:
                key += np.uint64(1)
            n += 1
            i += 1
        here |= _look_up(key, table)
        letters = n
    return found


@_compiled
def _hides(page: Any, i: int, stop: int) -> Any:
    """Whether a style says `display: none`."""
    while i < stop:
        while i < stop and not _letter(page[i]):
            i += 1
        key, n = np.uint64(0), 0
        while i < stop and (_letter(page[i]) or page[i] == _DASH):
            if n < 8:
                key |= np.uint64(_low(page[i])) << np.uint64(8 * n)
            n, i = n + 1, i + 1
        if key == _DISPLAY and n == 7:
            while i < stop and not _letter(page[i]):
                i += 1
            if _key(page, i, min(i + 4, stop))[0] == _NONE:
                return True
        while i < stop and page[i] != _SEMICOLON:
            i += 1
    return False


@_compiled
def _attributes(page: Any, i: int, tables: Any) -> Any:
    """(index after the tag, signs of its attributes, whether it has an address, whether a slash ends it)."""
    n, signs, address, slash = len(page), 0, False, False
    _, words, roles, states = tables
    while i < n:
        c = page[i]
        if c == _GT:
            return i + 1, signs, address, slash
        if c <= _SPACE or c == _SLASH:
            slash = c == _SLASH
            i += 1
            continue
        slash = False
        start = i
        key, i = _key(page, i + 1 if c == _EQUALS else i, n)  # an equals sign that comes first belongs to the name
        i = max(i, start + 1)
        while i < n and page[i] <= _SPACE:
            i += 1
        begin = end = i
        if i < n and page[i] == _EQUALS:
            i += 1
            while i < n and page[i] <= _SPACE:
                i += 1
            if i < n and (page[i] == _QUOTE or page[i] == _APOSTROPHE):
                begin = end = i + 1
                while end < n and page[end] != page[i]:
                    end += 1
                i = end + 1
            else:
                begin = end = i
                while end < n and page[end] > _SPACE and page[end] != _GT:
                    end += 1
                i = end
        end = min(end, n)
        if key == _CLASS or key == _ID:  # noqa: SIM109
            signs |= _words(page, begin, end, words, states)
        elif key == _HREF:
            address = begin < end and page[begin] != _HASH
        elif key == _ROLE or key == _PROP or key == _NAME:  # noqa: SIM109
            signs |= _look_up(_key(page, begin, end)[0] ^ key, roles)
        elif key == _ARIA:
            signs |= HIDDEN if _key(page, begin, end)[0] == _TRUE else 0
        elif key == _HIDDEN_NAME:
            signs |= HIDDEN if _key(page, begin, end)[0] != _UNTIL else 0
        elif key == _STYLE and _hides(page, begin, end):
            signs |= HIDDEN
    return n, signs, address, False


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
        if page[i] == _LT and page[i + 1] == _SLASH and _key(page, i + 2, n)[0] == key:
            return i
        i += 1
    return n


@_compiled
def _skip(page: Any, i: int) -> Any:
    """Index after what is no tag at the ``<`` at `i`: text, a comment, a declaration; 0 where a tag stands."""
    if i + 1 >= len(page):
        return i + 1
    c = page[i + 1]
    if c == _BANG or c == _QUESTION:  # noqa: SIM109
        return _after_comment(page, i + 2)
    if c == _SLASH:
        if i + 2 < len(page) and not _letter(page[i + 2]):
            return _after_comment(page, i + 2)  # a bogus comment
        return 0 if i + 2 < len(page) else i + 1
    return 0 if _letter(c) else i + 1


@_compiled
def _flush(s: Any, into: Any, tag: int, node: int, blocks: Any) -> Any:
    """End the open block: a line of `into`, if it has text."""
    written, start = s[WRITTEN], s[START]
    while written > start and (into[written - 1] <= _SPACE):
        s[CHARS] -= into[written - 1] == _SPACE
        written -= 1
    if written > start and s[CHARS] > 0:
        tags, nodes, sizes, labels = blocks
        k = s[COUNT]
        tags[k], nodes[k], sizes[k], labels[k] = tag, node, s[CHARS], s[LABELS]
        s[COUNT] = k + 1
        into[written] = _NEWLINE
        s[START] = written + 1
    s[WRITTEN], s[CHARS], s[LABELS] = s[START], 0, 0


@_compiled
def _wide_space(page: Any, i: int, n: int) -> Any:
    """Bytes of the no-break or ideographic space at `i`, which may be written as `&nbsp;`; 0 where none stands."""
    c = page[i]
    if c == 0xC2:
        return 2 if i + 1 < n and page[i + 1] == 0xA0 else 0
    if c == 0xE3:
        return 3 if i + 2 < n and page[i + 1] == 0x80 and page[i + 2] == 0x80 else 0
    if c == _AMP and i + 5 < n and page[i + 5] == _SEMICOLON:
        named = page[i + 1] == _N and page[i + 2] == _B and page[i + 3] == _S and page[i + 4] == _P_LETTER
        numbered = page[i + 1] == _HASH and page[i + 2] == 0x31 and page[i + 3] == 0x36 and page[i + 4] == 0x30
        return 6 if named or numbered else 0
    return 0


@_compiled
def _entity(page: Any, i: int, into: Any, written: int) -> Any:
    """(index after the reference to a character at `i`, bytes written with it); as it stands where it is no number.

    `&amp;` and its like stay for `html.unescape`, which every block with an ampersand is given.
    """
    n, point, j = len(page), 0, i + 2
    if j < n and page[i + 1] == _HASH:
        base = 16 if _low(page[j]) == _X else 10
        j += base == 16
        first = j
        while j < n and j < first + 7:
            c = _low(page[j])
            if 0x30 <= c <= 0x39:
                point = point * base + c - 0x30
            elif base == 16 and 0x61 <= c <= 0x66:
                point = point * base + c - 0x57
            else:
                break
            j += 1
        sound = point >= 0xA0 and point < 0x110000 and (point < 0xD800 or point > 0xDFFF)
        if j < n and page[j] == _SEMICOLON and sound:
            if point < 0x800:
                into[written], into[written + 1] = 0xC0 | point >> 6, 0x80 | point & 63
                return j + 1, written + 2
            if point < 0x10000:
                into[written] = 0xE0 | point >> 12
                into[written + 1], into[written + 2] = 0x80 | point >> 6 & 63, 0x80 | point & 63
                return j + 1, written + 3
            into[written], into[written + 1] = 0xF0 | point >> 18, 0x80 | point >> 12 & 63
            into[written + 2], into[written + 3] = 0x80 | point >> 6 & 63, 0x80 | point & 63
            return j + 1, written + 4
    stop = i + 1
    while stop < n and stop < i + 32 and (_letter(page[stop]) or 0x30 <= page[stop] <= 0x39 or page[stop] == _HASH):
        stop += 1
    stop += stop < n and page[stop] == _SEMICOLON
    for j in range(i, stop):
        into[written + j - i] = page[j]
    return stop, written + stop - i


@_compiled
def _template(page: Any, i: int) -> Any:
    """Index after the expression in double braces that a template has left at `i`; 0 where none stands."""
    if page[i + 1] != _OPENING:
        return 0
    before = page[i - 1] if i else _SPACE
    if _letter(before) or before in (_CLOSING, _CARET, _UNDERSCORE, _BACKSLASH):
        return 0  # a formula
    for j in range(i + 2, min(i + _TEMPLATE, len(page) - 1)):
        if page[j] == _LT:
            return 0
        if page[j] == _CLOSING and page[j + 1] == _CLOSING:
            return j + 2
    return 0


@_compiled
def _text(page: Any, i: int, into: Any, s: Any, kept: bool) -> Any:
    """Write text from `i` on, white space as one space or, if it is to be `kept`, as it is up to the end of the line;
    index of the tag or the line end after it."""
    n, written, start, chars = len(page), s[WRITTEN], s[START], s[CHARS]
    before, links = chars, s[LINKED]
    first = i
    while i < n:
        c = page[i]
        if c == _LT and i > first:
            break
        wide = _wide_space(page, i, n) if c >= 0xC2 or c == _AMP else 0
        if c <= _SPACE or wide:
            if kept:
                if c == _NEWLINE:
                    break
                if c != _CR:
                    into[written] = INDENT if c == _TAB else _SPACE
                    written += 1
                    chars += c != _TAB
            elif (wide or c == _SPACE or 9 <= c <= _CR) and written > start and into[written - 1] > _SPACE:
                into[written] = _SPACE
                written, chars = written + 1, chars + 1
            i += max(wide, 1)
        elif c == _AMP:
            i, written = _entity(page, i, into, written)
            chars += 1
        elif c == _OPENING and i + 1 < n and not kept and not s[CODES] and _template(page, i):
            i = _template(page, i)
        else:
            into[written] = c
            written += 1
            chars += c & 0xC0 != 0x80
            if 0xE3 <= c <= 0xED and i + 2 < n:
                point = (c & 0x0F) << 12 | (page[i + 1] & 0x3F) << 6 | page[i + 2] & 0x3F
                chars += 2 * (0x3040 <= point <= 0x30FF or 0x3400 <= point <= 0x9FFF or 0xAC00 <= point <= 0xD7AF)
            i += 1
    s[WRITTEN], s[CHARS] = written, chars
    s[LABELS] += (chars - before) * links
    return i


@_compiled
def _ends(keys: Any, kinds: Any, depth: int, key: Any, kind: int) -> Any:
    """Open elements that are left when an element of this kind starts: what it ends by itself is closed."""
    for j in range(depth - 1, 0, -1):
        k = kinds[j]
        if kind <= ITEM or kind == BREAK:
            if k == PARAGRAPH and keys[j] == _P:
                return j if kind != ITEM else _ends_item(kinds, keys, j, key)
            if k != SPAN and k != CUSTOM and k != HIDE:
                return depth if kind != ITEM else _ends_item(kinds, keys, depth, key)
        elif kind == READING or kind == BASE:  # noqa: SIM109
            if k == READING or k == BASE:  # noqa: SIM109
                return j
            if k != SPAN:
                return depth
        elif keys[j] == _TABLE:
            break
        elif CELL <= k <= kind:
            depth = j
    return depth


@_compiled
def _ends_item(kinds: Any, keys: Any, depth: int, key: Any) -> Any:
    """Open elements that are left when a list item starts."""
    for j in range(depth - 1, 0, -1):
        if kinds[j] == ITEM and (keys[j] == _LI) == (key == _LI):
            return j
        if kinds[j] == BLOCK or kinds[j] == CELL:
            return depth
    return depth


@_compiled
def _closes(keys: Any, kinds: Any, depth: int, key: Any, kind: int) -> Any:
    """Open elements that are left after an end tag."""
    table = CELL <= kind <= SECTION or key == _TABLE
    for j in range(depth - 1, 0, -1):
        if keys[j] == key:
            return j
        k = kinds[j]
        if keys[j] == _TABLE or (k == CELL and not table):
            return depth
        if kind == SPAN and BLOCK <= k <= ITEM:
            return depth
    return depth


@_compiled
def parse(page: Any, tables: Any, into: Any, blocks: Any, nodes: Any, s: Any) -> Any:
    """Write each block of a page in UTF-8 as a line of `into`; its tag, its element, its characters and those of them
    that are links into `blocks`; for each element its parent and its signs into `nodes`. `s` is filled.

    `tables`: elements (kind, tag above it, signs above that), words of classes, values of roles, signs of states. An
    ideograph, a kana or a syllable of Hangul counts as three characters, as it says as much.
    """
    elements = tables[0]
    parents, signs = nodes
    n, drawing, ruby, veil, link_depth = len(page), 0, 0, 0, 0
    i, depth = s[WRITTEN], s[WRITTEN] + 1  # 0 and 1: for a literal numba would compile everything twice
    keys, kinds = np.zeros(_DEEPEST, np.uint64), np.zeros(_DEEPEST, np.uint8)
    tags, places = np.zeros(_DEEPEST, np.uint8), np.zeros(_DEEPEST, np.int32)
    hidden, kept = np.zeros(_DEEPEST, np.bool_), np.zeros(_DEEPEST, np.bool_)
    parents[0] = signs[0] = 0
    s[NODES] = 1
    while i < n:
        top = depth - 1
        after = _skip(page, i) if page[i] == _LT else i + 1
        if page[i] != _LT or after == i + 1:
            if hidden[top]:
                i += 1
                while i < n and page[i] != _LT:
                    i += 1
                continue
            i = _text(page, i, into, s, kept[top])
            if i < n and page[i] == _NEWLINE:
                _flush(s, into, tags[top], places[top], blocks)
                i += 1
            continue
        if after:
            i = after
            continue
        closing = page[i + 1] == _SLASH
        key, i = _key(page, i + 1 + closing, n)
        known = _look_up(key, elements)
        kind, tag, sign = known & 0xFF if known else CUSTOM, known >> 8 & 0xFF, known >> 16 & 0xFFFF
        if closing:
            while i < n and page[i] != _GT:
                i += 1
            i += 1
            if kind == LINK:
                s[LINKED] = 0
            elif kind == RAW or kind == META:  # noqa: SIM109
                continue
            elif kind == FORMAT or kind == BREAK:  # noqa: SIM109
                s[CODES] = max(s[CODES] - (key == _CODE), 0)
                if kind == BREAK:
                    _flush(s, into, tags[top], places[top], blocks)
            else:
                left = _closes(keys, kinds, depth, key, kind)
                breaks = kind != SPAN and kind != CUSTOM and kind != HIDE and kind != READING and kind != BASE
                breaks |= left < depth and places[left] != places[left - 1]
                if breaks and kind != CELL:
                    _flush(s, into, tags[top], places[top], blocks)
                depth = left
                if depth < link_depth:
                    s[LINKED] = 0
                drawing = drawing if depth > drawing else 0
                ruby, veil = ruby if depth > ruby else 0, veil if depth > veil else 0
            continue
        i, said, address, slash = _attributes(page, i, tables)
        if kind == LINK:
            s[LINKED], link_depth = address, depth
            continue
        if kind == META:
            s[ROBOTS] |= said != 0
            continue
        if kind == RAW:
            i = _after_raw(page, i, key)
            continue
        if kind == FORMAT:
            s[CODES] += key == _CODE
            continue
        if kind == BREAK:
            _flush(s, into, tags[top], places[top], blocks)
            if key == _HR:
                depth = _ends(keys, kinds, depth, key, kind)
            continue
        if slash and hidden[top]:
            continue
        if drawing and (kind == BLOCK or kind == PARAGRAPH or kind == ITEM):  # noqa: SIM109
            depth, drawing = drawing, 0  # HTML ends a drawing
            top = depth - 1
        if veil and BLOCK <= kind <= ITEM and kinds[top] == SPAN:
            _flush(s, into, tags[top], places[veil - 1], blocks)
            k = s[NODES]
            parents[k], signs[k] = places[veil - 1], HIDDEN  # a span that holds blocks is judged with them
            s[NODES] = k + 1
            for j in range(veil, depth):
                places[j], hidden[j] = k, False
            veil = 0
        sign |= said
        hide = kind == HIDE or (kind == READING and ruby > 0) or (kind == SPAN and sign & HIDDEN != 0)
        if key == _BUTTON and tags[top] > 1:
            hide = False  # of a heading or a list item
        if kind == CUSTOM and sign:
            kind = BLOCK
        if kind != SPAN and kind != CUSTOM and kind != HIDE:
            left = _ends(keys, kinds, depth, key, kind)
            if kind == CELL and s[WRITTEN] > s[START] and places[left - 1] != 0 and kinds[left - 1] == ROW:
                into[s[WRITTEN]] = _TAB
                s[WRITTEN] += 1
            elif kind != READING and kind != BASE:
                _flush(s, into, tags[top], places[top], blocks)
            depth = left
            top = depth - 1
            if depth < link_depth:
                s[LINKED] = 0
            drawing = drawing if depth > drawing else 0
            ruby, veil = ruby if depth > ruby else 0, veil if depth > veil else 0
        if depth == _DEEPEST:
            continue
        if key == _SVG and not drawing:
            drawing = depth
        elif key == _RUBY and not ruby:
            ruby = depth
        elif kind == SPAN and hide and not hidden[top]:
            veil = depth
        keys[depth], kinds[depth] = key, kind
        places[depth] = places[top]
        block = kind != SPAN and kind != CUSTOM and kind != HIDE and kind != READING and kind != BASE
        tags[depth] = tags[top] if not block or (kind == BLOCK and tags[top] > 0 and tag == 0) else tag
        hidden[depth] = hidden[top] or hide
        kept[depth] = kept[top] or key == _PRE
        if block and (kind != PARAGRAPH or sign):
            k = s[NODES]
            parents[k], signs[k] = places[top], sign
            places[depth] = k
            s[NODES] = k + 1
        depth += 1
    _flush(s, into, tags[depth - 1], places[depth - 1], blocks)


@_compiled
def masses(parents: Any, places: Any, weights: Any) -> Any:
    """For each element the sum of the weights of the blocks in it; a parent stands before its children."""
    found = np.zeros(len(parents))
    for k in range(len(places)):
        found[places[k]] += weights[k]
    for k in range(len(parents) - 1, 0, -1):
        found[parents[k]] += found[k]
    return found


@_compiled
def inherit(parents: Any, signs: Any, found: Any, bounds: Any, into: Any) -> Any:
    """Write for each element its signs and those of the elements that it stands in, but for a sign whose element holds
    more of the page's text, `found`, than the bound of the sign."""
    for k in range(len(parents)):
        own = signs[k]
        if own:
            for bit in range(len(bounds)):
                if own >> bit & 1 and found[k] > bounds[bit]:
                    own &= ~(1 << bit)
        into[k] = into[parents[k]] | own if k else own


@_compiled
def within(parents: Any, root: int, into: Any) -> Any:
    """Write for each element whether it is `root` or stands in it."""
    for k in range(len(parents)):
        into[k] = k == root or (k > root and into[parents[k]])
