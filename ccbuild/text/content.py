"""Main content of a page from its blocks: menus, teasers, link lists and notices go, prose and what stands in it stays.

A block is judged by its tag, its length, the share of its characters that are links and the mark that it ends with;
then short blocks follow their neighbours, as in boilerpipe (Kohlschütter, Fankhauser and Nejdl, "Boilerplate Detection
using Shallow Text Features", WSDM 2010) and jusText (Pomikálek, *Removing Boilerplate and Duplicate Content from Web
Corpora*, 2011). The smallest element that holds most of the prose is the content: what stands outside must be long to
stay. What HTML, ARIA or a class sets apart goes with its element, unless that holds too much of the page's prose to be
furniture. No word of any language is looked at.
"""

from __future__ import annotations

import functools
import html as html_entities
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ccbuild.text import elements
from ccbuild.text.blocks import Page

__all__ = ["INDENT", "Comments", "main_text"]

Comments = Literal["drop", "keep", "mark"]

INDENT = "\U000f0020"
"""Stands for a space at the start of a line of code until the text is cleaned; for private use, so of no meaning."""

_END = re.compile(r"[.!?…。！？।॥۔؟።៕॰།။][\s'\"»”’」』)）\]\u200b-\u200f]*(?:&quot;)?\s*$")
_TAIL = 16
"""Last characters of a block that are searched for a full stop."""
_PROSE, _SHORT, _HEADING, _LINKS = range(4)

_LONG = 80
"""Characters from which a block without links is prose wherever it stands: a line of a book, no menu entry."""
_LONG_PARAGRAPH = 40
"""The same for what is marked as a paragraph."""
_SENTENCE = 25
"""The same for what ends with a full stop."""
_OUTSIDE = 120
"""The same outside of the element that holds most of the prose."""
_SIGNED = 250
"""The same in it, where a name that has a word of furniture holds the block, or that is furniture's between prose: the
boxes of a book are called `sidebar`, as the column of a site is. On `data/web` that is 118 of 167 pages of one book and
none of 2,924 others; trafilatura leaves the boxes out by their name, so that agreement with it falls there."""
_LINKED = 0.5
"""Share of link text from which a block is a link: the middle of the plateau in Kohlschütter et al., figure 3."""
_LINKED_SENTENCE = 0.8
"""The same for a paragraph that ends with a full stop and has words of its own: a sentence that points elsewhere."""
_OWN = 15
"""Characters of its own that such a sentence has."""
_NEAR = 1
"""Short blocks without a paragraph tag that are kept after prose which links follow."""
_TEASER = 300
"""A linked heading with less than this under it before the next linked heading announces another page."""
_TITLE = 20
"""Characters from which a link can be the title of the page that it leads to; a name of a user is shorter."""
_CARDS = 3
"""Elements side by side that announce pages, from which they are a list of such."""
_NOTICE = 120
"""A block with a copyright sign that is shorter than this is a notice, not a sentence about one."""
_LEAST = 200
"""Characters of main content below which the short blocks are kept as well."""
_MAIN = 0.85
"""Share of the prose from which an element holds the content, if no smaller one does."""
_ROOT = 0.5
"""The same of an element that says that it does."""
_CAPTION = 40
"""Characters from which a caption is prose, if it ends with a full stop."""
_VERSE = 20
"""Characters of the lines of a verse, on average."""
_MOST_LINES = 100_000
"""Of a page with more blocks every one is content: to judge each would take seconds."""

_BOUNDS = {
    elements.HIDDEN: (0.25, 0.25),
    elements.NAV: (0.3, 0.4),
    elements.FOOT: (0.3, 0.4),
    elements.ASIDE: (0.4, 0.6),
    elements.FORM: (0.1, 0.1),
    elements.NOSCRIPT: (0.5, 0.5),
    elements.COMMENT: (0.7, 0.7),
    elements.SIDE: (0.6, 0.75),
    elements.HINT: (0.3, 0.4),
    elements.CARD: (0.5, 0.5),
}
"""Share of the page's prose above which a sign says nothing: of one element, and of all that bear it."""
_ENOUGH = 1500
"""Characters of prose that are a page without its comments, however many these are."""


class _Blocks:
    """The blocks that are judged, as columns; what each is may change."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.tags, self.texts = page.tags, page.text.split("\n")
        self.sizes, self.linked = page.sizes.tolist(), page.linked.tolist()
        self.kinds = list(map(_kind, self.tags, self.texts, self.sizes, self.linked))
        self._join_verse()

    def _join_verse(self) -> None:
        """Make prose of short lines that stand in one element and together are as long as a page's content must be."""
        run, size, before = list[int](), 0, -1
        for i, place in enumerate([*self.page.places.tolist(), -1]):
            if run and (place != before or self.kinds[i] != _SHORT or self.linked[i]):
                if size >= max(_LEAST, _VERSE * len(run)):
                    for j in run:
                        self.kinds[j] = _PROSE
                run, size = [], 0
            before = place
            if place >= 0 and self.kinds[i] == _SHORT and not self.linked[i] and self.tags[i] in ("", "p"):
                run.append(i)
                size += self.sizes[i]

    def prose(self) -> NDArray[np.float64]:
        """Characters of prose, links not counted, of each block."""
        found: NDArray[np.float64] = self.page.sizes * (1 - self.page.linked) * (np.array(self.kinds) == _PROSE)
        return found


def _kind(tag: str, text: str, size: int, linked: float) -> int:
    """What a block is by itself."""
    if tag == "pre":
        return _PROSE
    if tag[:1] == "h":
        return _HEADING
    if size < _NOTICE and ("\u00a9" in text or "&copy;" in text):
        return _LINKS
    if "\t" in text:
        cell = max(map(len, text.split("\t"))) * size / len(text)
        return _LINKS if linked >= _LINKED else _PROSE if cell >= _LONG else _SHORT
    if linked >= _LINKED:
        own = tag == "p" and linked < _LINKED_SENTENCE and size * (1 - linked) >= _OWN and _END.search(text[-_TAIL:])
        return _SHORT if own else _LINKS
    enough = _LONG_PARAGRAPH if tag == "p" else _LONG
    if size < enough and _END.search(text[-_TAIL:]):
        enough = _SENTENCE
    return _PROSE if size >= enough else _SHORT


def _mark_teasers(blocks: _Blocks) -> None:
    """Mark short text under two or more linked headings of one level as links: each announces another page.

    Where they hold a quarter of the prose they are content, and nothing is marked.
    """
    kinds, sizes = blocks.kinds, blocks.sizes
    marked: list[int] = []
    level, start, size = "", 0, 0  # of the last linked heading, and the text since
    for i, tag in enumerate(blocks.tags):
        if kinds[i] != _HEADING:
            size += sizes[i]
            if marked and marked[-1] == i - 1 and size < _TEASER and kinds[i] != _LINKS:
                marked.append(i)  # under the last of them
        elif blocks.linked[i] >= _LINKED:
            if tag == level and size < _TEASER:
                marked += [j for j in range(start, i + 1) if not marked or j > marked[-1]]
            level, start, size = tag, i, 0
        else:
            level = ""
    if not marked:
        return
    prose = sum(size for size, kind in zip(sizes, kinds, strict=True) if kind == _PROSE)
    if 4 * sum(sizes[i] for i in marked if kinds[i] == _PROSE) <= prose:
        for i in marked:
            kinds[i] = _LINKS


def _keep(tags: Sequence[str], kinds: Sequence[int]) -> list[bool]:
    """Which blocks are content: prose, and the short blocks and headings that belong to it."""
    count = len(kinds)
    keep = [kind == _PROSE for kind in kinds]
    start, before = 0, False  # a run of short blocks, and whether prose stands before it
    for i in range(count + 1):
        kind = kinds[i] if i < count else _LINKS
        if kind in (_SHORT, _HEADING):
            continue
        if i > start:
            _keep_run(tags, kinds, keep, start, i, before=before, after=kind == _PROSE)
        start, before = i + 1, kind == _PROSE
    follows, first = False, keep.index(True) if True in keep else count
    for i in range(count - 1, -1, -1):
        if kinds[i] != _HEADING:
            follows = keep[i] if kinds[i] != _LINKS or i > first else follows
        else:
            keep[i] = follows
    return keep


def _keep_run(
    tags: Sequence[str], kinds: Sequence[int], keep: list[bool], start: int, stop: int, *, before: bool, after: bool
) -> None:
    """Keep the short blocks of a run that prose stands on both sides of; else those tied to the side that it is on."""
    for i in range(start, stop):
        if kinds[i] != _SHORT:
            continue
        near = before and i - start < _NEAR
        keep[i] = (before and after) or ((before or after) and tags[i] in ("p", "li")) or near


@functools.cache
def _bounds() -> NDArray[np.float64]:
    """The bound of each sign in one element, by its bit."""
    bounds = np.full(16, np.inf)
    for sign, (bound, _) in _BOUNDS.items():
        bounds[sign.bit_length() - 1] = bound
    return bounds


def _cards(blocks: _Blocks) -> list[int]:
    """Elements that stand side by side and each hold a linked title, and then prose."""
    kinds, sizes, linked, parents = blocks.kinds, blocks.sizes, blocks.linked, blocks.page.parents
    places = blocks.page.places.tolist()
    found: dict[int, int] = {}  # the element, and that which it stands in
    title = -1
    for i, kind in enumerate(kinds):
        if linked[i] >= _LINKED and sizes[i] >= _TITLE and kind in (_LINKS, _HEADING):
            title = i
        elif kind == _LINKS:
            title = -1
        elif kind == _PROSE and title >= 0:
            one, other, title = places[title], places[i], -1
            while one != other:
                one, other = (int(parents[one]), other) if one > other else (one, int(parents[other]))
            if one:
                found[one] = int(parents[one])
    many = Counter(found.values())
    return [card for card, parent in found.items() if many[parent] >= _CARDS]


def _signs(blocks: _Blocks, prose: NDArray[np.float64]) -> NDArray[np.int64]:
    """The signs that count, of each block.

    A sign counts where its element, and all that bear it, hold no more of the page's prose than furniture does.
    """
    from ccbuild.text.kernels.blocks import inherit, masses

    page, total = blocks.page, float(prose.sum()) or 1.0
    found, signs = masses(page.parents, page.places, prose), page.signs
    if cards := [card for card in _cards(blocks) if found[card] < _TEASER]:
        signs = signs.copy()
        signs[cards] |= elements.CARD
    into = np.zeros(len(page.parents), np.int64)
    inherit(page.parents, signs, found, _bounds() * total, into)
    borne: NDArray[np.int64] = into[page.places]
    every = int(np.bitwise_or.reduce(borne)) if len(borne) else 0
    for sign, (_, bound) in _BOUNDS.items():
        if every & sign:
            size = float(prose[borne & sign != 0].sum())
            if size > bound * total and not (sign == elements.COMMENT and total - size > _ENOUGH):
                borne &= ~sign
    return borne


def _inside(page: Page, prose: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each block stands in the article, or else in the smallest element that holds most of the prose."""
    from ccbuild.text.kernels.blocks import masses, within

    found = masses(page.parents, page.places, prose)
    holds = np.flatnonzero((page.signs & elements.ROOT != 0) & (found >= _ROOT * found[0]))
    if not len(holds):
        holds = np.flatnonzero((page.signs & elements.INNER == 0) & (found >= _MAIN * found[0]))
    into = np.zeros(len(page.parents), np.bool_)
    within(page.parents, int(holds[-1]) if len(holds) else 0, into)
    inside: NDArray[np.bool_] = into[page.places]
    return inside


def _content(blocks: _Blocks, comments: Comments) -> tuple[list[int], NDArray[np.int64]]:
    """(the blocks of the main content, the signs of all blocks)."""
    page, kinds = blocks.page, blocks.kinds
    prose = blocks.prose()
    signs = _signs(blocks, prose)
    if not prose.any():
        return _without_prose(blocks, signs), signs
    inside = _inside(page, np.where(signs & _going(comments), 0.0, prose))
    _mark_teasers(blocks)
    judged = _judged(blocks, signs, inside.tolist(), comments)
    _mark_lists(blocks, judged)
    keep = _keep([blocks.tags[i] for i in judged], [kinds[i] for i in judged])
    found = [i for i, kept in zip(judged, keep, strict=True) if kept]
    if sum(blocks.sizes[i] for i in found) < _LEAST:
        found = [i for i, kept in zip(judged, keep, strict=True) if kept or kinds[i] != _LINKS]
    return found, signs


def _going(comments: Comments) -> int:
    """The signs with which a block goes."""
    return sum(_BOUNDS) - (0 if comments == "drop" else elements.COMMENT)


def _judged(blocks: _Blocks, signs: NDArray[np.int64], inside: Sequence[bool], comments: Comments) -> list[int]:
    """The blocks that are not set apart; what is outside of the content must be long to be prose."""
    kinds, found, open_ = blocks.kinds, [], False
    going = (signs & _going(comments)).tolist()
    captions, said = ((signs & sign != 0).tolist() for sign in (elements.CAPTION, elements.COMMENT))
    shown = [i for i, kind in enumerate(kinds) if kind == _PROSE and inside[i] and not going[i]]
    first, last = (shown[0], shown[-1]) if shown else (0, 0)
    for i, sign in enumerate(going):
        kind, size = kinds[i], blocks.sizes[i]
        if sign == elements.HIDDEN:  # prose between prose or under a heading, in the content, waits for a click
            open_ = kind == _PROSE and inside[i] and (open_ or i < last or (i > 0 and kinds[i - 1] == _HEADING))
            sign = 0 if open_ else sign
        else:
            open_ = False
        box = sign == elements.HINT or (
            sign == elements.SIDE and first < i < last
        )  # between prose: no column of a site
        if box and kind == _PROSE and size >= _SIGNED and inside[i]:
            sign = 0
        if sign or (captions[i] and (size < _CAPTION or not _END.search(blocks.texts[i][-_TAIL:]))):
            continue
        found.append(i)
        if not (inside[i] or said[i]) and (kind != _PROSE or size < _OUTSIDE):
            kinds[i] = _LINKS
    return found


def _mark_lists(blocks: _Blocks, judged: Sequence[int]) -> None:
    """Mark the items of a list of links as short text where prose of the element that the list stands in is before and
    behind it: the list belongs to the prose."""
    kinds, tags, parents = blocks.kinds, blocks.tags, blocks.page.parents
    places = blocks.page.places.tolist()
    before, run = -1, list[int]()
    for i in judged:
        if kinds[i] == _LINKS and tags[i] == "li":
            run.append(i)
            continue
        if run and kinds[i] == _PROSE and before == places[i]:
            lists = {int(parents[places[j]]) for j in run}
            if len(lists) == 1 and int(parents[lists.pop()]) == before:
                for j in run:
                    kinds[j] = _SHORT
        if kinds[i] != _HEADING:
            before, run = places[i] if kinds[i] == _PROSE else -1, []


def _without_prose(blocks: _Blocks, signs: NDArray[np.int64]) -> list[int]:
    """Of a page without prose all that is no link, unless links, or what is set apart, are most of it.

    A table of contents goes as a menu does, though numbers at the head of its links would tell it: each of its titles
    stands again over the text that it leads to. Of 12,480 real pages 130 go here, 114 of them such tables.
    """
    sizes, page = blocks.page.sizes, blocks.page
    apart = signs & sum(_BOUNDS) != 0
    if np.where(apart, sizes, sizes * page.linked).sum() * 2 >= sizes.sum():
        return []
    return [i for i, kind in enumerate(blocks.kinds) if kind != _LINKS and not apart[i]]


def main_text(page: Page, comments: Comments = "drop") -> str:
    """The main content of a page, a block a line; not yet cleaned. Empty where links are all that a page has.

    With `mark` a comment begins with `> `. The indentation of code is written with `INDENT`.
    """
    if len(page.tags) > _MOST_LINES:
        text = page.text
    elif page.tags:
        blocks = _Blocks(page)
        found, signs = _content(blocks, comments)
        texts = [_code(blocks.texts[i]) if blocks.tags[i] == "pre" else blocks.texts[i] for i in found]
        if comments == "mark":
            texts = [
                "&gt; " + text if signs[i] & elements.COMMENT else text for i, text in zip(found, texts, strict=True)
            ]
        text = "\n".join(texts)
    else:
        return ""
    return html_entities.unescape(text) if "&" in text else text


def _code(line: str) -> str:
    """A line of code with its indentation in `INDENT`, four for a tab."""
    bare = line.lstrip(" \x1f")
    indent = line[: len(line) - len(bare)].replace("\x1f", "    ")
    return INDENT * len(indent) + bare.replace("\x1f", " ")
