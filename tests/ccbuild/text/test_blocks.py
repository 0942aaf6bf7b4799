"""The blocks of a page and the elements that they stand in, from sound and from broken markup."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.text import elements
from ccbuild.text.blocks import parse
from ccbuild.text.clean import paragraphs
from ccbuild.text.kernels import blocks as block_kernels
from ccbuild.text.kernels import tags as tag_kernels
from ccbuild.text.page import ExtractConfig, PageText, page_text


def blocks(html: str) -> list[tuple[str, str]]:
    page = parse(html.encode())
    return list(zip(page.tags, page.text.split("\n"), strict=True)) if page.tags else []


CASES: list[tuple[str, str, list[tuple[str, str]]]] = [
    ("end tags left out", "<p>a<p>b<ul><li>c<li>d<ul><li>e</ul>f</ul>g",
     [("p", "a"), ("p", "b"), ("li", "c"), ("li", "d"), ("li", "e"), ("li", "f"), ("", "g")]),
    ("a block ends a paragraph", "<p>a<div>b</div>c</p>d", [("p", "a"), ("", "b"), ("", "c"), ("", "d")]),
    ("lines", "<p>a <b>b</b><br>c<hr>d", [("p", "a b"), ("p", "c"), ("", "d")]),
    ("an image in a word", "<p>a<img alt='b'>c <!-- d -->e", [("p", "ac e")]),
    ("rows and cells", "<table><tr><td>a<td>b<tr><td>c</table>d", [("", "a\tb"), ("", "c"), ("", "d")]),
    ("rows without tbody", "<table><thead><tr><th>a</th><th>b</th></tr><tbody><tr><td>c<td>d</table>",
     [("", "a\tb"), ("", "c\td")]),
    ("a table in a table", "<table><tr><td>a<table><tr><td>b</table>c<td>d</table>e",
     [("", "a"), ("", "b"), ("", "c\td"), ("", "e")]),
    ("a cell keeps end tags in", "<div><table><tr><td>a</div><p>b</table>c</div>", [("", "a"), ("p", "b"), ("", "c")]),
    ("definitions", "<dl><dt>a<dd>b<dt>c<dd>d</dl>", [("li", "a"), ("li", "b"), ("li", "c"), ("li", "d")]),
    ("a heading in a link", "<a href=/x><h3>a</h3><p>b</p></a><p>c", [("h3", "a"), ("p", "b"), ("p", "c")]),
    ("a div in a list item", "<ul><li><div><div>a</div></div>b</ul>", [("li", "a"), ("li", "b")]),
    ("code", "<pre>  a\n\n\tb <i>c</i>  \n</pre><p> d\n e", [("pre", "  a"), ("pre", "\x1fb c"), ("p", "d e")]),
    ("raw text", "<script>'<p>a'</script><style>b</style><p>c<textarea><p>d</textarea>e", [("p", "ce")]),
    ("not shown", "<p>a<svg><path d=z /><text>b</text></svg>c<select><option>d</select>e", [("p", "ace")]),
    ("HTML ends a drawing", "<svg><g><p>a", [("p", "a")]),
    ("a span that is hidden", "<p>a <span style='color:red; DISPLAY : none'>b<i>c</i></span>d", [("p", "a d")]),
    ("a span of blocks that is hidden", "<p>a</p><span hidden>b<i>c</i><span><p>d</p>e</span></span>f",
     [("p", "a"), ("p", "d"), ("", "e"), ("", "f")]),
    ("a span that is not", "<p>a <span style='display:inline'>b</span>", [("p", "a b")]),
    ("ruby", "<p><ruby>a<rt>b</ruby>c<ruby>d<rp>(<rt>e<rp>)</ruby>f<ruby><rb>g<rtc><rt>h</rtc></ruby>i",
     [("p", "acdfgi")]),
    ("a reading outside of ruby", "<p>a<rt>b", [("p", "ab")]),
    ("a button in a heading", "<h3><button>a</button></h3><div><button>b</button>c</div>", [("h3", "a"), ("", "c")]),
    ("less-than signs", "<p>a < b <3 </ c", [("p", "a < b <3")]),
    ("white space", "<p>\u3000a&nbsp;&#160; b\u00a0</p>&nbsp;", [("p", "a b")]),
    ("characters by number", "<p>&#233;&#x1F600;&#38;&#0;&#150;&lt;&amp;lt;",
     [("p", "é😀&#38;&#0;&#150;&lt;&amp;lt;")]),
    ("templates", "<p>{{ a }}<p>b {{c}}d<p>x^{{e}} <code>{{f}}</code>", [("p", "b d"), ("p", "x^{{e}} {{f}}")]),
    ("the last bytes", "<p>a<", [("p", "a<")]),
    ("a tag that ends nowhere", "<p>a<div class='b", [("p", "a")]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "html", "expected"), CASES, ids=[case[0] for case in CASES])
def test_blocks(what: str, html: str, expected: list[tuple[str, str]]) -> None:
    assert blocks(html) == expected


def test_links_over_several_blocks() -> None:
    page = parse(b'<a href="/x">\n<h3>Title</h3>\n<p>Text</p>\n</a>\n<p>After <a href="#y">it</a><p><a name=z>No</a>')
    assert page.linked.tolist() == [1, 1, 0, 0]
    assert parse(b"<div><a href=/x>one</div><p>two").linked.tolist() == [1, 0]  # a link that nobody closed


def test_an_ideograph_says_as_much_as_three_letters() -> None:
    assert parse("<p>ab<p>日本<p>가<p>é".encode()).sizes.tolist() == [2, 6, 3, 1]


@pytest.mark.parametrize(
    ("tag", "sign"),
    [
        ("<div class='x sidebar'>", elements.SIDE),
        ("<div ID=relatedPosts>", elements.HINT),
        ("<div class=comment-list>", elements.COMMENT),
        ("<div class='no-share comments-closed cookies-accepted'>", 0),
        ("<div class='unrelated shareholder commentary sharepoint-page'>", 0),
        ("<div title='sidebar' data-class=comment>", 0),
        ("<div role=navigation>", elements.NAV),
        ("<div itemprop='articleBody'>", elements.ROOT),
        ("<div aria-hidden=true>", elements.HIDDEN),
        ("<div aria-hidden=false>", 0),
        ("<div hidden>", elements.HIDDEN),
        ("<div style='display:none'>", elements.HIDDEN),
        ("<x-related class=related>", elements.SIDE),
        ("<footer>", elements.FOOT),
    ],
)
def test_signs(tag: str, sign: int) -> None:
    page = parse(f"{tag}word".encode())
    assert int(page.signs[page.places[0]]) == sign


def test_a_span_of_blocks_that_is_hidden_is_an_element() -> None:
    page = parse(b"<div><span hidden>a<p>b</p>c</span>d</div>")
    assert page.text == "b\nc\nd"
    assert page.places.tolist() == [2, 2, 1]
    assert page.signs[2] == elements.HIDDEN


def test_elements_stand_in_elements() -> None:
    page = parse(b"<main><nav>a</nav><div>b<ul><li>c</ul></div></main>d")
    assert page.places.tolist() == [2, 3, 5, 0]
    assert page.parents.tolist() == [0, 0, 1, 1, 3, 4]


@pytest.mark.parametrize("html", ["<meta name=Robots content=noai>", "<META content=noai name='CCBot'>"])
def test_a_word_to_robots_is_seen(html: str) -> None:
    assert parse(html.encode()).robots
    assert not parse(html.replace("ame", "ome").encode()).robots


@given(
    st.lists(
        st.sampled_from(["<p>", "</p>", "<li>", '<a href="/x">', "</a>", "<td>", "</div>", "word", ".", " ", "<br>"])
    )
)
def test_every_character_of_a_block_is_text_of_the_page(parts: list[str]) -> None:
    page = parse("".join(parts).encode())
    assert "".join(page.text.split()) == "".join(part for part in parts if part in ("word", "."))
    assert (page.sizes > 0).all()
    assert ((page.linked >= 0) & (page.linked <= 1)).all()


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_the_text_of_a_page_is_clean(text: str) -> None:
    found = page_text("response", 200, "text/html", text.encode(), ExtractConfig())
    if isinstance(found, PageText):
        assert paragraphs("\n".join(found.paragraphs)) == found.paragraphs


def test_both_copies_of_the_end_of_a_comment_are_the_same() -> None:
    """Numba's cache follows one file, so that the function stands in both; what it reads has one value."""
    one, other = block_kernels._after_comment.py_func, tag_kernels._after_comment.py_func
    assert inspect.getsource(one) == inspect.getsource(other)
    for name in set(one.__code__.co_names) & vars(block_kernels).keys():
        assert getattr(block_kernels, name) == getattr(tag_kernels, name)
