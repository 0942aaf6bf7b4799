"""Sites of the demo: HTML around an article, with the menus, banners, scripts and footers that extraction must drop.

Seven builds of site, from a table layout with unclosed paragraphs to semantic HTML5. Each takes a
:class:`Sheet` and gives one HTML page; all text in it is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

__all__ = ["TEMPLATES", "Sheet", "render"]

_RIGHT_TO_LEFT = frozenset({"ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Everything that a template prints."""

    lang: str
    """For the ``lang`` attribute."""
    site: str
    """Name of the site."""
    title: str
    paragraphs: tuple[str, ...]
    menu: tuple[str, ...]
    """Labels of links, at least eight."""
    banner: str
    """The cookie banner's sentence."""
    footer: str
    date: str
    """Of the article, ISO 8601."""
    charset: str | None
    """What the page says of its encoding; None: nothing."""


def render(template: str, sheet: Sheet) -> str:
    """The page that `template` (a key of `TEMPLATES`) makes of `sheet`."""
    return TEMPLATES[template](sheet)


def _head(sheet: Sheet, extra: str = "", old: bool = False) -> str:
    meta = ""
    if sheet.charset and old:
        meta = f'<meta http-equiv="Content-Type" content="text/html; charset={sheet.charset}">'
    elif sheet.charset:
        meta = f'<meta charset="{sheet.charset}">'
    return f"<head>{meta}<title>{escape(sheet.title)} | {escape(sheet.site)}</title>{extra}</head>"


def _html(sheet: Sheet) -> str:
    direction = ' dir="rtl"' if sheet.lang in _RIGHT_TO_LEFT else ""
    return f'<html lang="{escape(sheet.lang)}"{direction}>'


def _links(labels: tuple[str, ...], tag: str = "li") -> str:
    return "".join(f'<{tag}><a href="/c/{n}">{escape(label)}</a></{tag}>' for n, label in enumerate(labels))


def _paragraphs(sheet: Sheet, before: str = "<p>", after: str = "</p>\n") -> str:
    return "".join(before + escape(p, quote=False) + after for p in sheet.paragraphs)


_TRACKER = (
    "<script>window.dataLayer=window.dataLayer||[];function gtag(){dataLayer.push(arguments);}"
    "gtag('js',new Date());</script>"
)
_STYLE = "<style>body{margin:0;font:16px/1.5 sans-serif}.nav a{color:#06c}.hide{display:none}</style>"


def _news(s: Sheet) -> str:
    facts = {"@context": "https://schema.org", "@type": "NewsArticle", "headline": s.title, "datePublished": s.date}
    linked = json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c")
    return (
        f"<!DOCTYPE html>\n{_html(s)}{_head(s, _STYLE + _TRACKER)}\n<body>\n"
        f'<div id="cookie-banner" class="cookie-consent" role="dialog"><span>{escape(s.banner)}</span>'
        "<button>OK</button></div>\n"
        f'<header><a class="logo" href="/">{escape(s.site)}</a><nav><ul>{_links(s.menu)}</ul></nav></header>\n'
        f"<main><article><h1>{escape(s.title)}</h1>\n{_paragraphs(s)}</article></main>\n"
        f'<aside class="sidebar"><ul>{_links(s.menu[2:6])}</ul></aside>\n'
        f"<footer><p>{escape(s.footer)}</p><nav><ul>{_links(s.menu[:3])}</ul></nav><small>© 2026</small></footer>\n"
        f'<script type="application/ld+json">{linked}</script></body></html>\n'
    )


def _blog(s: Sheet) -> str:
    return (
        f"<!DOCTYPE html>\n{_html(s)}{_head(s, _STYLE)}<body class='single'>\n"
        f'<div id="header"><div class="site-title"><a href="/">{escape(s.site)}</a></div>'
        f'<ul id="menu" class="nav">{_links(s.menu[:6])}</ul></div>\n'
        f'<div id="content"><div class="post"><h2 class="entry-title">{escape(s.title)}</h2>\n'
        f'<div class="entry-content">\n{_paragraphs(s)}</div></div></div>\n'
        f'<div id="sidebar" class="sidebar widget-area"><ul>{_links(s.menu)}</ul></div>\n'
        f'<div id="footer" class="footer">{escape(s.footer)} <a href="/rss">RSS</a></div>\n{_TRACKER}</body></html>\n'
    )


def _wiki(s: Sheet) -> str:
    contents = "".join(
        f'<li><a href="#s{n}"><span>{n + 1}</span> {escape(m)}</a></li>' for n, m in enumerate(s.menu[:3])
    )
    half = len(s.paragraphs) // 2
    section = " ".join(s.paragraphs[half].split()[:2])[:30]
    first, second = (
        "".join(f"<p>{escape(p, quote=False)}\n</p>" for p in part)
        for part in (s.paragraphs[:half], s.paragraphs[half:])
    )
    return (
        f'<!DOCTYPE html>\n{_html(s)}{_head(s, _STYLE)}<body>\n<div id="content" class="mw-body" role="main">'
        f'<h1 id="firstHeading">{escape(s.title)}</h1><div id="bodyContent"><div id="mw-content-text">\n'
        f'<div id="toc" class="toc" role="navigation"><ul>{contents}</ul></div>\n{first}'
        f'<h2 id="s1">{escape(section)}</h2>\n{second}</div></div></div>\n'
        f'<div id="mw-navigation"><div id="mw-panel" class="navigation" role="navigation">'
        f"<ul>{_links(s.menu)}</ul></div></div>\n"
        f'<div id="footer" role="contentinfo"><ul><li>{escape(s.footer)}</li></ul></div>{_TRACKER}</body></html>\n'
    )


def _table(s: Sheet) -> str:
    cells = "".join(
        f'<td bgcolor="#cccccc"><a href="p{n}.htm"><b>{escape(m)}</b></a></td>' for n, m in enumerate(s.menu[:5])
    )
    return (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN">\n'
        f"{_html(s)}{_head(s, old=True)}<body bgcolor=white>\n"
        f"<table width=100% class=menu><tr>{cells}</tr></table>\n"
        f"<table width=760 align=center cellpadding=4><tr><td valign=top><h1>{escape(s.title)}</h1>\n"
        f"{_paragraphs(s, '<p align=justify>', chr(10))}</td></tr></table>\n"
        f'<hr><div class="footer"><font size=1>{escape(s.footer)}</font></div>'
        "<script>document.write('<img src=/c.gif?'+Math.random()+'>')</script></body></html>\n"
    )


def _forum(s: Sheet) -> str:
    posts = "".join(
        f'<div class="post" id="p{n}"><div class="post-meta hide">#{n + 1}</div>'
        f'<div class="post-body">{escape(p, quote=False)}</div></div>\n'
        for n, p in enumerate(s.paragraphs)
    )
    return (
        f"<!DOCTYPE html>\n{_html(s)}{_head(s, _STYLE + _TRACKER)}<body>\n"
        f'<div class="cookie-notice">{escape(s.banner)} <a href="/privacy">OK</a></div>\n'
        f'<nav class="breadcrumb">{_links(s.menu[:3], "span")}</nav>\n'
        f'<div class="content thread"><h1>{escape(s.title)}</h1>\n{posts}</div>\n'
        f'<form class="login-form"><input name="user"><input name="password" type="password"></form>\n'
        f'<footer class="footer">{escape(s.footer)}</footer></body></html>\n'
    )


def _shop(s: Sheet) -> str:
    offers = "".join(
        f'<div class="product-card"><a href="/i/{n}">{escape(m)}</a><span class="price">{19 + 7 * n}.90</span></div>'
        for n, m in enumerate(s.menu[4:8])
    )
    return (
        f"<!DOCTYPE html>\n{_html(s)}{_head(s, _STYLE)}<body>\n"
        f'<header class="header"><a href="/">{escape(s.site)}</a>'
        f'<nav class="menu">{_links(s.menu[:5], "span")}</nav></header>\n'
        f'<main id="main"><h1>{escape(s.title)}</h1><section class="description">\n{_paragraphs(s)}</section></main>\n'
        f'<aside class="related">{offers}</aside>\n'
        f'<div class="newsletter popup modal hide"><p>{escape(s.banner)}</p>'
        f'<input type="email"><button>OK</button></div>\n'
        f"<footer><p>{escape(s.footer)}</p></footer>{_TRACKER}</body></html>\n"
    )


def _plain(s: Sheet) -> str:
    return (
        f"{_html(s)}{_head(s)}<body>\n<ul class='nav'>{_links(s.menu[:4])}</ul>\n<h1>{escape(s.title)}</h1>\n"
        f"<div>\n{_paragraphs(s)}</div>\n<footer>{escape(s.footer)}</footer>\n<!-- {escape(s.site)} --></body></html>\n"
    )


TEMPLATES: dict[str, Callable[[Sheet], str]] = {
    "blog": _blog,
    "forum": _forum,
    "news": _news,
    "plain": _plain,
    "shop": _shop,
    "table": _table,
    "wiki": _wiki,
}
"""Name to the function that prints it."""
