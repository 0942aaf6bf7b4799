"""The blocks of a page, from minimal HTML with links."""

from __future__ import annotations

from typing import Any

from numba import njit

__all__ = ["ideographs", "split_blocks"]

_compiled = njit(cache=True, nogil=True)

_LT, _GT, _SLASH, _NEWLINE, _QUOTE, _SPACE, _HASH, _A = (ord(c) for c in '<>/\n" #a')
OPEN, CLOSE = 1, 2
"""Marks in place of the tags of a link while blocks are parsed; as controls they are no part of a cleaned text."""
PRE = 1
"""Number of the block element `pre`, in which an empty line ends nothing."""


@_compiled
def ideographs(text: Any, most: int) -> Any:
    """How many of the first `most` characters are kana, Han or Hangul: U+3040-30FF, U+3400-9FFF, U+AC00-D7AF."""
    chars = found = 0
    for i in range(len(text)):
        lead = text[i]
        if lead & 0xC0 == 0x80:
            continue
        chars += 1
        if chars > most:
            break
        if 0xE3 <= lead <= 0xED and i + 2 < len(text):
            point = (lead & 0x0F) << 12 | (text[i + 1] & 0x3F) << 6 | text[i + 2] & 0x3F
            found += 0x3040 <= point <= 0x30FF or 0x3400 <= point <= 0x9FFF or 0xAC00 <= point <= 0xD7AF
    return found


@_compiled
def _follows(text: Any, i: int, end: int, what: Any) -> Any:
    """Whether the bytes `what` stand at `i`, before `end`."""
    if i < 0 or i + len(what) > end:
        return False
    for j in range(len(what)):  # noqa: SIM110  numba compiles no generator
        if text[i + j] != what[j]:
            return False
    return True


@_compiled
def _mark_links(markup: Any, anchor: Any, flat: Any) -> Any:
    """Write `markup` with a mark in place of each tag of a link, anchors and links within the page left out; its
    length."""
    n, i, written = len(markup), 0, 0
    while i < n:
        c = markup[i]
        if c == _LT:
            if _follows(markup, i, n, anchor):
                stop = i + len(anchor)
                while stop < n and markup[stop] != _QUOTE:
                    stop += 1
                if stop + 1 < n and markup[stop + 1] == _GT:
                    if stop > i + len(anchor) and markup[i + len(anchor)] != _HASH:
                        flat[written] = OPEN
                        written += 1
                    i = stop + 2
                    continue
            elif i + 3 < n and markup[i + 1] == _SLASH and markup[i + 2] == _A and markup[i + 3] == _GT:
                c = CLOSE
                i += 3
        flat[written] = c
        written += 1
        i += 1
    return written


@_compiled
def _block_tag(text: Any, begin: int, end: int, tags: Any) -> Any:
    """Number of the block element that opens the line ``text[begin:end]``; 0 for none."""
    while begin < end and (text[begin] == _SPACE or text[begin] == OPEN or text[begin] == CLOSE):
        begin += 1
    if begin >= end or text[begin] != _LT:
        return 0
    stop = begin
    while stop < end and text[stop] != _GT:
        stop += 1
    stop = min(stop, end - 1)
    if not 1 <= stop - begin - 1 <= 3:
        return 0
    key = 0
    for j in range(stop - 1, begin, -1):
        key = key << 8 | text[j]
    for tag in range(1, len(tags)):
        if tags[tag] == key:
            return tag
    return 0


@_compiled
def _closes(text: Any, begin: int, end: int, key: int, size: int) -> Any:
    """Whether the line ends with the end tag of the element whose packed name, of `size` bytes, is `key`."""
    i = end - size - 3
    if i < begin or text[end - 1] != _GT or text[i] != _LT or text[i + 1] != _SLASH:
        return False
    same = True
    for j in range(size):
        same &= text[i + 2 + j] == key >> 8 * j & 0xFF
    return same


@_compiled
def _space(text: Any, i: int, end: int) -> Any:
    """Bytes of the white space that stands at `i`; 0 for none."""
    if text[i] <= _SPACE:
        return 1
    if text[i] == 0xC2 and i + 1 < end and text[i + 1] == 0xA0:
        return 2
    return 3 if text[i] == 0xE3 and i + 2 < end and text[i + 1] == 0x80 and text[i + 2] == 0x80 else 0


@_compiled
def _space_before(text: Any, begin: int, i: int) -> Any:
    """Bytes of the white space that ends at `i`; 0 for none."""
    for width in range(1, min(i - begin, 3) + 1):
        if _space(text, i - width, i) == width:
            return width
    return 0


@_compiled
def split_blocks(markup: Any, anchor: Any, tags: Any, into: Any, elements: Any, sizes: Any, linked: Any) -> Any:
    """Write the text of each line that has some, without the white space around it, and a line feed; (lines, bytes)
    written.

    `markup` is minimal HTML in UTF-8, `tags` the packed names of block elements from 1 on. For each line `elements`
    gets the number of its element, `sizes` its characters and `linked` the share of them that are links.
    """
    flat = into  # what is written is never ahead of what is read
    n = _mark_links(markup, anchor, flat)
    begin = written = count = tag = 0
    in_link = False
    while begin <= n:
        end, opening = begin, 0
        while end < n and flat[end] != _NEWLINE:
            opening += flat[end] == _LT
            end += 1
        if end == begin:
            if tags[tag] != tags[PRE]:
                tag = 0
            begin += 1
            continue
        closed, i, stop, chars, labels, start = False, begin, end, 0, 0, written
        if opening:
            named = _block_tag(flat, begin, end, tags)
            tag = named if named else tag
            size = 0
            while tags[tag] >> 8 * size:
                size += 1
            closed = _closes(flat, begin, end, tags[tag], size)
            if closed and opening == 2 and named and flat[begin] == _LT:  # the common line: one element, whole
                i, stop, opening = begin + size + 2, end - size - 3, 0
        while i < stop:
            c = flat[i]
            i += 1
            if c == OPEN:
                in_link = True
            elif c == CLOSE:
                in_link = False
            elif c == _LT and opening:
                after = i
                while after < stop and flat[after] != _GT:
                    after += 1
                if after < stop:
                    i = after + 1
                    continue
                opening, i = 0, i - 1  # no tag ends in the rest of the line
            else:
                into[written] = c
                written += 1
                chars += c & 0xC0 != 0x80
                labels += in_link and c & 0xC0 != 0x80
        first = start
        while first < written:
            width = _space(into, first, written)
            if not width:
                break
            first, chars = first + width, chars - 1
        while first < written:
            width = _space_before(into, first, written)
            if not width:
                break
            written, chars = written - width, chars - 1
        if first > start:
            for j in range(first, written):
                into[j + start - first] = into[j]
            written -= first - start
        if chars:
            elements[count], sizes[count], linked[count] = tag, chars, min(labels / chars, 1.0)
            count += 1
            into[written] = _NEWLINE
            written += 1
        tag = 0 if closed else tag
        begin = end + 1
    return count, written
