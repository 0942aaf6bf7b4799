"""Pages made to cost minutes: decided from counts, the same way each time, and their text is kept."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.text.hostile import PageLimits, strip_tags, survey
from ccbuild.text.page import ExtractConfig, PageText, page_text

MANY = 100_000
FONTS = "".join(f"<font color={i}>" for i in range(99))
ATTRIBUTES = " ".join(f"a{i}=1" for i in range(MANY))
OVER = [
    ("nested elements", "<div>" * MANY + "word", "max_depth"),
    ("nested elements, other end tags between", "<div></b></section>" * MANY + "word", "max_depth"),
    ("unknown elements closed by a slash", "<foo/>" * MANY + "word", "max_depth"),
    ("the same in broken SVG", "<svg><p>" + "<foo/>" * MANY + "word", "max_depth"),
    ("ruby outside of ruby", "<rt>" * MANY + "word", "max_depth"),
    ("attributes", f"<p {ATTRIBUTES}>word", "max_attributes"),
    ("nested formatting", "<b><i>" * 7_000 + "word", "max_depth"),
    ("formatting never closed", "".join(f"<font color={i}><p>" for i in range(2_000)) + "word", "max_open_formatting"),
    ("formatting opened anew in each block", FONTS + "<p>word" * 2_000, "max_elements"),
    ("a huge table", "<table>" + ("<tr>" + "<td>word" * 500) * 400, "max_elements"),
    ("options", "<select>" + "<option>word" * MANY, "max_options"),
]  # fmt: skip
SOUND = [
    ("unclosed formatting in cells", "<table>" + "<tr><td><font color=red><b>word</td>" * 3_000 + "</table>"),
    ("the same formatting never closed", "<p><b>word" * 3_000),
    ("anchors never closed", "".join(f"<p><a name=a{i}>word" for i in range(3_000))),
    ("elements closed in the wrong order", "<div><b><span>word</div></b>" * 3_000),
    ("icons", "<p>word<svg viewbox=0><path d=z /><use href=x /></svg>" * 3_000),
    ("tags in a script", "<script>" + "document.write('<div>');" * 9_000 + "</script><p>word"),
    ("tags in a comment", "<!--" + "<div>" * 9_000 + "--><p>word"),
    ("tags in an attribute", f"<p title='{'<div>' * 9_000}'>word"),
    ("less-than signs", "<p>word" + " < " * 50_000),
]
HUGE = [
    ("<" * (4 << 20), 1),
    ("<p>a</p><!-- " + "b " * (2 << 20), 1),
    ("<p>a</p><![CDATA[" + "b " * (2 << 20), 1),
    ("<p>a</p><script>" + "b<" * (2 << 20), 1),
    ("<pre>" + "a\n" * (1 << 18), 1 << 18),
    ("a\0b " * (1 << 20), 1),
    ("&lt;" * (1 << 20), 1),
]


@pytest.mark.parametrize(("what", "html", "limit"), OVER, ids=[case[0] for case in OVER])
def test_over_a_limit(what: str, html: str, limit: str) -> None:
    found = page_text("response", 200, "text/html", html.encode(), ExtractConfig(text="all"))
    assert isinstance(found, PageText)
    assert found.unparsed == limit
    assert sum(text.count("word") for text in found.paragraphs) == html.count("word")


@pytest.mark.parametrize(("what", "html", "limit"), OVER, ids=[case[0] for case in OVER])
def test_our_own_parser_takes_them_all(what: str, html: str, limit: str) -> None:
    found = page_text("response", 200, "text/html", html.encode(), ExtractConfig())
    if what == "options":
        assert found == "empty_text"
    else:
        assert isinstance(found, PageText)
        assert found.unparsed is None
        assert sum(text.count("word") for text in found.paragraphs) == html.count("word")


@pytest.mark.parametrize("text", ["main", "all"])
@pytest.mark.parametrize(("what", "html"), SOUND, ids=[case[0] for case in SOUND])
def test_sound(what: str, html: str, text: Literal["main", "all"]) -> None:
    found = page_text("response", 200, "text/html", html.encode(), ExtractConfig(text=text))
    assert isinstance(found, PageText)
    assert found.unparsed is None
    assert sum(text.count("word") for text in found.paragraphs) == html.count("word")


@pytest.mark.parametrize(("html", "count"), HUGE, ids=[case[0][:12] for case in HUGE])
def test_huge(html: str, count: int) -> None:
    found = page_text("response", 200, "text/html", html.encode(), ExtractConfig())
    assert isinstance(found, PageText)
    assert len(found.paragraphs) == count


def test_a_page_of_very_many_lines_is_refused() -> None:
    page = b"<pre>" + b"a\n" * 2000
    assert isinstance(page_text("response", 200, "text/html", page, ExtractConfig(max_lines=2001)), PageText)
    assert page_text("response", 200, "text/html", page, ExtractConfig(max_lines=1000)) == "too_many_lines"
    assert page_text("conversion", None, "", page, ExtractConfig(max_lines=1000)) == "too_many_lines"


def test_lone_surrogates_do_not_pass() -> None:
    found = page_text("response", 200, "text/html", b"<p>a\xed\xa0\x80b " + "\u0431".encode() * 9, ExtractConfig())
    assert isinstance(found, PageText)
    "".join(found.paragraphs).encode()


def test_the_limits_are_the_recipe_s() -> None:
    html = b"<div>" * 2_500
    assert survey(html, PageLimits()).hostile == "max_depth"
    assert survey(html, PageLimits(max_depth=3_000)).hostile is None


def test_a_word_to_robots_is_seen_in_any_case_and_only_in_a_name() -> None:
    assert survey(b"<meta content=x NAME='ROBOTS'>", PageLimits()).robots
    assert not survey(b"<p>robots<a href=/robots title=robots>", PageLimits()).robots


@given(st.binary(max_size=300))
def test_any_bytes(page: bytes) -> None:
    assert survey(page, PageLimits()) == survey(page, PageLimits())
    assert isinstance(strip_tags(page), str)


@given(st.text(alphabet="<>/!-&;'\"= abpt", max_size=200))
def test_anything_like_markup(html: str) -> None:
    found = page_text("response", 200, "text/html", html.encode(), ExtractConfig())
    assert isinstance(found, (str, PageText))


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="<>&", codec="utf-8"), min_size=1), max_size=5))
def test_stripping_loses_no_text(texts: list[str]) -> None:
    html = "".join(f"<div title='>'><b>{text}</b></div><!-- > -->" for text in texts)
    assert strip_tags(html.encode()).replace("\n", "") == "".join(texts).replace("\n", "")
