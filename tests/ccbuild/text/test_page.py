"""Payloads to paragraphs: charsets, cleaning, hostile HTML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.text.charset import decode
from ccbuild.text.clean import paragraphs
from ccbuild.text.page import ExtractConfig, html_cost, page_paragraphs

RUSSIAN = "Комитет соберётся на следующей неделе, чтобы обсудить доклад о работе школы."
JAPANESE = "委員会は来週再び集まって報告書について話し合います。"
CASES = [
    ("declared in the header", RUSSIAN, "koi8-r", "text/html; charset=KOI8-R", ""),
    ("declared in meta", RUSSIAN, "windows-1251", "text/html", '<meta charset="windows-1251">'),
    ("not declared", RUSSIAN * 4, "windows-1251", "text/html", ""),
    ("UTF-8 that says Latin-1", "Grüße aus Österreich", "utf-8", "text/html; charset=iso-8859-1", ""),
    ("says UTF-8, is not", RUSSIAN * 4, "windows-1251", "text/html; charset=utf-8", ""),
    ("a name nobody knows", "Grüße", "utf-8", "text/html; charset=bogus", ""),
    ("Thai quotation marks", "รัฐบาลจะสร้าง “โรงเรียน” ใหม่", "cp874", "text/html; charset=windows-874", ""),
    ("seven bits", JAPANESE, "iso-2022-jp", "text/html; charset=iso-2022-jp", ""),
    ("UTF-16 with its mark", RUSSIAN, "utf-16", "text/html", ""),
]  # fmt: skip


@pytest.mark.parametrize(("what", "text", "encoding", "header", "meta"), CASES, ids=[c[0] for c in CASES])
def test_decode(what: str, text: str, encoding: str, header: str, meta: str) -> None:
    html = f"<html><head>{meta}</head><body><p>{text}</p></body></html>"
    assert text in decode(html.encode(encoding), header)[0]


def test_one_bad_byte_does_not_change_the_charset() -> None:
    payload = (RUSSIAN * 3).encode() + b"\xff" + RUSSIAN.encode()
    text, name = decode(payload, "text/html; charset=utf-8")
    assert (text.count("\ufffd"), name) == (1, "utf-8")


@given(st.binary(max_size=300), st.text(max_size=20))
def test_decode_takes_anything(payload: bytes, header: str) -> None:
    text, name = decode(payload, "text/html; charset=" + header)
    assert isinstance(text, str)
    assert name


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
def test_cleaning_is_idempotent_and_leaves_nothing_hostile(text: str) -> None:
    found = paragraphs(text)
    assert paragraphs("\n".join(found)) == found
    for paragraph in found:
        assert paragraph == paragraph.strip() != ""
        assert not set(paragraph) & {"\0", "\n", "\r", "\x85", "\u2028"}
        paragraph.encode()  # no lone surrogate


def page(payload: str, **settings: int) -> object:
    return page_paragraphs("response", 200, "text/html; charset=utf-8", payload.encode(), ExtractConfig(**settings))  # type: ignore[arg-type]


ARTICLE = (
    "<p>"
    + "</p><p>".join(f"The committee met on day {i} and talked about it at some length." for i in range(9))
    + "</p>"
)


def test_main_content_leaves_menus_out_and_keeps_paragraphs_apart() -> None:
    html = (
        f"<body><nav><ul><li><a href=/>Home</a></ul></nav><article>{ARTICLE}</article><footer>Imprint</footer></body>"
    )
    found = page(html)
    assert isinstance(found, tuple)
    assert len(found[0]) == 9
    whole = page_paragraphs("response", 200, "text/html", html.encode(), ExtractConfig(text="all"))
    assert isinstance(whole, tuple)
    assert "Home" in whole[0]


@pytest.mark.parametrize(
    ("status", "mime", "payload", "reason"),
    [
        (404, "text/html", b"<p>gone</p>", "http_status"),
        (200, "image/jpeg", b"\xff\xd8", "not_html"),
        (200, "text/html", b" \r\n", "empty_payload"),
        (200, "text/html", b"<html><script>x()</script></html>", "empty_text"),
    ],
)
def test_reasons(status: int, mime: str, payload: bytes, reason: str) -> None:
    assert page_paragraphs("response", status, mime, payload, ExtractConfig()) == reason


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("<div>" * 100_000 + "x", "quarantine:html_too_deep"),
        ("<b><i>" * 7_000 + "x", "quarantine:html_formatting_too_deep"),
    ],
)
def test_html_that_would_cost_minutes_is_not_parsed(html: str, reason: str) -> None:
    assert page(html) == reason


def test_many_flat_elements_are_not_deep() -> None:
    assert html_cost("<p>a<br><img src=x><b>c</b>" * 3000) == (1, 1)


def test_wet_text_is_taken_as_it_stands() -> None:
    found = page_paragraphs("conversion", None, "text/plain", b"Menu\n\nErster  Absatz.\n", ExtractConfig())
    assert found == (["Menu", "Erster Absatz."], "utf-8")
