"""What a tag says of the text in it: how elements nest and break lines, and which names, roles and classes set apart.

Names of classes and ids are taken by whole words. What they say is a sign: it lowers the odds of a block, and
`ccbuild.text.blocks` forgets it where the element holds too much of the page's prose to be furniture.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

__all__ = ["ASIDE", "CAPTION", "CARD", "COMMENT", "FOOT", "FORM", "HIDDEN", "HINT", "INNER", "LIST", "NAV", "NOSCRIPT",
           "ROOT", "SIDE", "TAGS", "Tables", "tables"]  # fmt: skip

HIDDEN, NAV, FOOT, ASIDE, FORM, NOSCRIPT, COMMENT, SIDE, HINT, STATE, ROBOTS, ROOT, CAPTION, LIST, INNER, CARD = (
    1 << bit for bit in range(16)
)
"""Signs of an element. `SIDE`: a class or an id is the name of furniture; `HINT`: the name is one word of it; `STATE`:
it names a state of the page, and says nothing; `ROOT`: an article, by name or by schema.org's `articleBody`; `INNER`:
too small a part to hold a page's content by itself; `CARD`, which `ccbuild.text.content` gives: it announces a page."""

TAGS = ("", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "p", "li")
"""Elements that tell what a block is."""
_KINDS = (
    "abbr acronym area b base basefont bdi bdo bgsound big body cite code col colgroup data del dfn em embed font "
    "frame head html i img input ins kbd label link map mark noframes nobr output param picture progress q s samp "
    "small source strike strong sub sup time track tt u var wbr amp-img math mi mo mn mrow msub msup mtext",
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer form frameset "
    "header hgroup main menu nav ol search section summary table ul noscript caption legend marquee",
    "p h1 h2 h3 h4 h5 h6 pre listing plaintext",
    "li dt dd",
    "td th",
    "tr",
    "tbody thead tfoot",
    "br hr",
    "script style title textarea iframe xmp noembed",
    "select option optgroup svg template button object canvas audio video datalist applet annotation amp-ad "
    "amp-sidebar",
    "a",
    "meta",
    "span ruby",
    "",
    "rt rp rtc",
    "rb",
)
"""Names by kind, in the order of `ccbuild.text.kernels.blocks`."""
_ELEMENTS = {
    "nav": NAV, "menu": NAV, "footer": FOOT, "aside": ASIDE, "dialog": ASIDE, "form": FORM, "noscript": NOSCRIPT,
    "article": ROOT, "main": ROOT, "figcaption": CAPTION, "caption": INNER, "ul": LIST | INNER, "ol": LIST | INNER,
    "dl": INNER, "table": INNER, "blockquote": INNER, "figure": INNER, "td": INNER, "th": INNER, "tr": INNER,
    "li": INNER, "dt": INNER, "dd": INNER, "tbody": INNER, "thead": INNER, "tfoot": INNER, "summary": INNER,
    "details": INNER, "header": INNER,
}  # fmt: skip
_VALUES = (
    ("role", "navigation menu menubar search tablist toolbar banner", NAV),
    ("role", "contentinfo", FOOT),
    ("role", "complementary dialog alertdialog", ASIDE),
    ("role", "main article", ROOT),
    ("itemprop", "articleBody", ROOT),
    ("itemprop", "comment", COMMENT),
    ("name", "robots ccbot tdm-reservation", ROBOTS),
)
_WORDS = (
    ("comment comments disqus commentlist respond", COMMENT),
    ("caption credit credits", CAPTION),
    (
        "ad ads advert advertisement advertising author banner breadcrumb breadcrumbs byline consent cookie "
        "cookies dateline footer gdpr login masthead menu meta modal nav navbar navigation newsletter outbrain "
        "overlay pager pagination popup popular promo promotion promoted recommended recommendation "
        "recommendations related share shares sharing sidebar signup social sponsor sponsored subscribe "
        "subscription taboola tags teaser teasers toolbar topbar trending",
        SIDE,
    ),
    ("no not non has have is with without closed accepted disabled hide", STATE),
)
"""Words of classes and ids that name furniture which can hold prose: conventions of HTML's authors in any language."""

Tables = tuple[
    tuple[NDArray[np.uint64], NDArray[np.int64]],
    tuple[NDArray[np.uint64], NDArray[np.int64]],
    tuple[NDArray[np.uint64], NDArray[np.int64]],
    int,
]


def _hashed(known: dict[int, int]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """A table of 512 places with linear probing."""
    keys, values = np.zeros(512, np.uint64), np.zeros(512, np.int64)
    for key, value in known.items():
        slot = (key * 0x9E3779B97F4A7C15 & (1 << 64) - 1) >> 55
        while keys[slot]:
            slot = (slot + 1) & 511
        keys[slot], values[slot] = key, value
    return keys, values


@functools.cache
def tables() -> Tables:
    """(elements: kind, tag above it, signs above that; words of classes: sign as a part, above it as a whole name;
    values of attributes; the sign of a state)."""
    from ccbuild.text.kernels.blocks import packed

    elements = {}
    for kind, names in enumerate(_KINDS):
        for name in names.split():
            tag = TAGS.index(name) if name in TAGS else TAGS.index("li") if name in ("dt", "dd") else 0
            elements[packed(name)] = kind | tag << 8 | _ELEMENTS.get(name, 0) << 16 | 1 << 40
    words: dict[int, int] = {}
    for listed, sign in _WORDS:
        words |= {packed(word): sign << 16 | (HINT if sign == SIDE else sign) for word in listed.split()}
    values = {packed(name) ^ packed(v.lower()): sign for name, listed, sign in _VALUES for v in listed.split()}
    return _hashed(elements), _hashed(words), _hashed(values), STATE
