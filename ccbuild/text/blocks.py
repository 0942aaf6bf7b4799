"""Main content of a page from its blocks: menus, teasers, link lists and notices go, prose and what stands in it stays.

One native call gives a page's blocks with their links. A block is judged by its tag, its length, the share of its
characters that are links and the mark that it ends with; then short blocks follow their neighbours, as in boilerpipe
(Kohlschütter, Fankhauser and Nejdl, "Boilerplate Detection using Shallow Text Features", WSDM 2010) and jusText
(Pomikálek, *Removing Boilerplate and Duplicate Content from Web Corpora*, 2011). No word of any language is looked at.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from resiliparse.extract.html2text import extract_plain_text

from ccbuild.text.hostile import ELEMENTS, WORDS

__all__ = ["Block", "main_blocks", "main_text", "parse_blocks"]

_WRAPPER = ":not(html, body, main, article, :has(main, article, h1))"
"""A class on what holds the whole page, such as `has-sidebar`, says nothing of what stands in it."""
_WORDS = ("comment", "consent", "cookie", "newsletter", "related", "share", "sidebar", "subscribe")
"""Parts of a class or an id that name furniture which can hold prose; the rest is seen from its links."""
_ROLES = ("navigation", "banner", "contentinfo", "complementary", "dialog", "alertdialog", "menu", "menubar", "search")
_BY_SIGN = {
    **{name: name for name in ELEMENTS},
    "form": "form:not(:has(p))",
    "role=": ",".join(f'[role="{role}"]' for role in _ROLES),
    "hidden": '[hidden], [aria-hidden="true"]',
    "display:": '[style*="display:none"], [style*="display: none"]',
    **{word: f':is([class*="{word}" i], [id*="{word}" i]){_WRAPPER}' for word in _WORDS},
}
"""Selectors that are asked only of a page with that word or element in its tags: each costs a microsecond or more."""
_OUTSIDE = {root: f":not({root}):not({root} *):not(:has({root}))" for root in ("main", "article")}

_TAG = re.compile(r"<[^>]*>")
_BLOCK_TAGS = ("", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "p", "li", "ul", "ol")
"""`pre` first, as `kernels.blocks.PRE` says."""
_END = re.compile(r"[.!?…。！？।॥۔؟።៕॰။][\s'\"»”’」』)）\]\u200b-\u200f]*(?:&quot;)?\s*$")
_HEAD = 1000
"""First characters of a page whose script counts for all of it."""
_TAIL = 16
"""Last characters of a block that are searched for a full stop."""
_PROSE, _SHORT, _HEADING, _LINKS = range(4)

_LONG = 80
"""Characters from which a block without links is prose wherever it stands: a line of a book, no menu entry."""
_LONG_PARAGRAPH = 40
"""The same for what is marked as a paragraph."""
_SENTENCE = 25
"""The same for what ends with a full stop."""
_LINKED = 0.5
"""Share of link text from which a block is a link: the middle of the plateau in Kohlschütter et al., figure 3."""
_LINKED_SENTENCE = 0.8
"""The same for a paragraph that ends with a full stop and has words of its own: a sentence that points elsewhere."""
_OWN = 15
"""Characters of its own that such a sentence has."""
_NEAR = 3
"""Short blocks without a paragraph tag that are kept after prose which links follow."""
_TEASER = 300
"""A linked heading with less than this under it before the next linked heading announces another page."""
_NOTICE = 120
"""A block with a copyright sign that is shorter than this is a notice, not a sentence about one."""
_LEAST = 200
"""Characters of main content below which the short blocks are kept as well."""


_MOST_LINES = 100_000


class Block(NamedTuple):
    """One paragraph, heading, list item, table row or line of a page."""

    tag: str
    """`h1` to `h6`, `p`, `li`, `pre`; empty for what stands in none of them: a table row, a line of a `div`."""
    text: str
    """Without markup, `<`, `>`, `&` and `"` still escaped."""
    size: float
    """Characters; an ideograph, a kana or a syllable of Hangul counts as three, as it says as much."""
    linked: float
    """Share of the characters that are links to other pages, 0 to 1."""


@functools.cache
def _alphabet() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(start of a link, packed names of the block elements)."""
    tags = [int.from_bytes(tag.encode(), "little") for tag in _BLOCK_TAGS]
    return np.frombuffer(b'<a href="', np.uint8), np.array(tags, np.int64)


def parse_blocks(markup: str) -> list[Block]:
    """Blocks of Resiliparse's minimal HTML with links, in the order of the page; those without text are left out.

    A page of 4,500 characters takes 40 µs, most of it to make the blocks.
    """
    from ccbuild.text.kernels.blocks import ideographs, split_blocks

    letters = np.frombuffer(markup.encode("utf-8", "surrogatepass"), np.uint8)
    into = np.empty(len(letters) + 1, np.uint8)
    lines = markup.count("\n") + 1
    elements, sizes, linked = np.empty(lines, np.uint8), np.empty(lines), np.empty(lines)
    count, written = split_blocks(letters, *_alphabet(), into, elements, sizes, linked)
    if not markup.isascii():
        sizes[:count] *= 1 + 2 * ideographs(letters, _HEAD) / min(len(markup), _HEAD)
    del letters
    text = str(into[:written].data, "utf-8", "surrogatepass")
    del into
    texts = text.split("\n")
    del text
    tags = map(_BLOCK_TAGS.__getitem__, elements[:count].tolist())
    values = zip(tags, texts, sizes[:count].tolist(), linked[:count].tolist(), strict=False)
    return list(map(tuple.__new__, itertools.repeat(Block), values))  # half the time of Block(…)


def _kinds(blocks: Sequence[Block]) -> list[int]:
    """What each block is by itself."""
    kinds = []
    for tag, text, size, linked in blocks:
        if tag == "pre":
            kind = _PROSE
        elif tag[:1] == "h":
            kind = _HEADING
        elif "\u00a9" in text and size < _NOTICE:
            kind = _LINKS
        elif "\t" in text:
            cell = max(map(len, text.split("\t"))) * size / len(text)
            kind = _LINKS if linked >= _LINKED else _PROSE if cell >= _LONG else _SHORT
        elif linked >= _LINKED:
            own = (
                tag == "p" and linked < _LINKED_SENTENCE and size * (1 - linked) >= _OWN and _END.search(text[-_TAIL:])
            )
            kind = _SHORT if own else _LINKS
        else:
            enough = _LONG_PARAGRAPH if tag == "p" else _LONG
            if size < enough and _END.search(text[-_TAIL:]):
                enough = _SENTENCE
            kind = _PROSE if size >= enough else _SHORT
        kinds.append(kind)
    return kinds


def _mark_teasers(blocks: Sequence[Block], kinds: list[int]) -> None:
    """Mark short text under two or more linked headings of one level as links: each announces another page.

    On a page that holds little else they are its content, and nothing is marked.
    """
    marked: list[int] = []
    level, start, size = "", 0, 0.0  # of the last linked heading, and the text since
    for i, block in enumerate(blocks):
        if kinds[i] != _HEADING:
            size += block.size
            if marked and marked[-1] == i - 1 and size < _TEASER and kinds[i] != _LINKS:
                marked.append(i)  # under the last of them
        elif block.linked >= _LINKED:
            if block.tag == level and size < _TEASER:
                marked += [j for j in range(start, i + 1) if not marked or j > marked[-1]]
            level, start, size = block.tag, i, 0.0
        else:
            level = ""
    if not marked:
        return
    prose = sum(block.size for block, kind in zip(blocks, kinds, strict=True) if kind == _PROSE)
    if 2 * sum(blocks[i].size for i in marked if kinds[i] == _PROSE) <= prose:
        for i in marked:
            kinds[i] = _LINKS


def _keep(blocks: Sequence[Block], kinds: Sequence[int]) -> list[bool]:
    """Which blocks are content: prose, and the short blocks and headings that belong to it."""
    count = len(blocks)
    keep = [kind == _PROSE for kind in kinds]
    start, before = 0, False  # a run of short blocks, and whether prose stands before it
    for i in range(count + 1):
        kind = kinds[i] if i < count else _LINKS
        if kind in (_SHORT, _HEADING):
            continue
        if i > start:
            _keep_run(blocks, kinds, keep, start, i, before=before, after=kind == _PROSE)
        start, before = i + 1, kind == _PROSE
    follows, first = False, keep.index(True) if True in keep else count
    for i in range(count - 1, -1, -1):
        if kinds[i] != _HEADING:
            follows = keep[i] if kinds[i] != _LINKS or i > first else follows
        else:
            keep[i] = follows
    return keep


def _keep_run(
    blocks: Sequence[Block], kinds: Sequence[int], keep: list[bool], start: int, stop: int, *, before: bool, after: bool
) -> None:
    """Keep the short blocks of a run that prose stands on both sides of; else those tied to the side that it is on."""
    for i in range(start, stop):
        if kinds[i] != _SHORT:
            continue
        near = before and i - start < _NEAR
        keep[i] = (before and after) or ((before or after) and blocks[i].tag in ("p", "li")) or near


@functools.lru_cache(maxsize=1 << 12)
def _furniture(signs: int, root: str | None) -> tuple[str, ...]:
    """Selectors of what HTML, ARIA or a class sets apart from the content, as far as the page can hold it."""
    asked = (_BY_SIGN[sign] for bit, sign in enumerate(WORDS + ELEMENTS) if signs >> bit & 1 and sign in _BY_SIGN)
    return (*asked, *([_OUTSIDE[root]] if root else []))


def main_blocks(markup: str) -> list[Block]:
    """Blocks of the main content, in order; all of the blocks where none is prose, as in a table of contents."""
    blocks = parse_blocks(markup)
    kinds = _kinds(blocks)
    if _PROSE not in kinds:
        return blocks
    _mark_teasers(blocks, kinds)
    keep = _keep(blocks, kinds)
    if sum(block.size for block, kept in zip(blocks, keep, strict=True) if kept) < _LEAST:
        keep = [kept or kind != _LINKS for kept, kind in zip(keep, kinds, strict=True)]
    return [block for block, kept in zip(blocks, keep, strict=True) if kept]


def main_text(html: str, signs: int, root: str | None) -> str:
    """The main content of a page, a block a line; not yet cleaned.

    `signs` and `root` are what `ccbuild.text.hostile.survey` found. Of a page with more than 100,000 lines every line
    is content: to judge each would take minutes.
    """
    markup: str = extract_plain_text(
        html,
        preserve_formatting="minimal_html",
        links=True,
        alt_texts=False,
        skip_elements=_furniture(signs, root),
    )
    if markup.count("\n") > _MOST_LINES:
        text = _TAG.sub("", markup)
    else:
        text = "\n".join([block.text for block in main_blocks(markup)])
    if "&" in text:
        text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    return text
