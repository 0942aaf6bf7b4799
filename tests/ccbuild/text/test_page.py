"""Payloads to paragraphs: charsets, cleaning, hostile HTML."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.errors import ConfigError
from ccbuild.text.charset import decode
from ccbuild.text.clean import paragraphs
from ccbuild.text.hostile import PageLimits
from ccbuild.text.page import ExtractConfig, PageText, page_text

RUSSIAN = "Комитет соберётся на следующей неделе, чтобы обсудить доклад о работе школы."
JAPANESE = "委員会は来週再び集まって報告書について話し合います。"
HTTP_EQUIV = '<meta http-equiv="Content-Type" content="text/html; charset=koi8-u">'
COMMENTED = '<!-- <meta charset="koi8-r"> --><meta charset="windows-1251">'
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
    ("UTF-16 without its mark", RUSSIAN, "utf-16-be", "text/html", ""),
    ("UTF-16 declared", RUSSIAN, "utf-16-le", "text/html; charset=utf-16", ""),
    ("says UTF-16, is not", RUSSIAN, "utf-8", "text/html; charset=utf-16", ""),
    ("says UTF-7, is not", RUSSIAN, "utf-8", "text/html; charset=utf-7", ""),
    ("says ISO-2022-JP, is not", RUSSIAN, "windows-1251", "text/html; charset=iso-2022-jp", ""),
    ("seven bits, not declared", JAPANESE, "iso-2022-jp", "text/html", ""),
    ("the header lies, meta does not", "Комп'ютер тьмяніє", "koi8-u", "text/html; charset=utf-8", HTTP_EQUIV),
    ("meta in a comment", RUSSIAN, "windows-1251", "text/html", COMMENTED),
    ("Korean beyond KS X 1001", "똠방각하와 펲시콜라", "cp949", "text/html; charset=euc-kr", ""),
    ("Baltic quotation marks", "„Žinynas“ – ąčęėįšųū „Meniu“", "windows-1257", "text/html; charset=iso-8859-13", ""),
]  # fmt: skip


@pytest.mark.parametrize(("what", "text", "encoding", "header", "meta"), CASES, ids=[c[0] for c in CASES])
def test_decode(what: str, text: str, encoding: str, header: str, meta: str) -> None:
    html = f"<html><head>{meta}</head><body><p>{text}</p></body></html>"
    assert text in decode(html.encode(encoding), header)[0]


def test_one_bad_byte_does_not_change_the_charset() -> None:
    payload = (RUSSIAN * 3).encode() + b"\xff" + RUSSIAN.encode()
    text, name = decode(payload, "text/html; charset=utf-8")
    assert (text.count("\ufffd"), name) == (1, "utf-8")


def test_a_wet_record_as_cc_net_takes_it() -> None:
    payload = "Title\r\none\u00a0\x84two \n\n three\n".encode()
    found = page_text("conversion", None, "text/plain", payload, ExtractConfig(text="ccnet"))
    assert isinstance(found, PageText)
    assert found.paragraphs == ["one\u00a0two", "", "three"]
    found = page_text("conversion", None, "text/plain", payload, ExtractConfig(text="all"))
    assert isinstance(found, PageText)
    assert found.paragraphs == ["Title", "one two", "three"]
    assert page_text("conversion", None, "text/plain", b"Title\n\n\n", ExtractConfig(text="ccnet")) == "empty_text"


@pytest.mark.parametrize("kind", ["conversion", "response"])
def test_a_page_shorter_than_asked_is_refused(kind: str) -> None:
    for minimum, expected in ((len(RUSSIAN), PageText), (len(RUSSIAN) + 1, str)):
        config = ExtractConfig(text="all", min_chars=minimum)
        found = page_text(kind, 200, "text/html", RUSSIAN.encode(), config)
        assert isinstance(found, expected)
        assert expected is PageText or found == "short_page"


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


def test_the_xml_declaration_counts() -> None:
    payload = f'<?xml version="1.0" encoding="windows-1251"?><html><p>{RUSSIAN}</p></html>'.encode("windows-1251")
    assert RUSSIAN in decode(payload, "application/xhtml+xml")[0]


def test_the_language_decides_where_nothing_else_does() -> None:
    text = "<html lang=ko><p>" + "트럼프가 재선에 성공할 이유" * 3
    assert decode(text.encode("euc-kr"), "") == (text, "euc_kr")


def page(payload: str, **settings: Any) -> PageText | str:
    return page_text("response", 200, "text/html; charset=utf-8", payload.encode(), ExtractConfig(**settings))


def kept(payload: str, **settings: Any) -> list[str]:
    found = page(payload, **settings)
    assert isinstance(found, PageText), found
    return found.paragraphs


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
    assert page_text("response", status, mime, payload, ExtractConfig()) == reason
    assert page_text("response", status, mime, payload, ExtractConfig()) == reason


def test_wet_text_is_taken_as_it_stands() -> None:
    found = page_text("conversion", None, "text/plain", b"Menu\n\nErster  Absatz.\n", ExtractConfig())
    assert isinstance(found, PageText)
    assert (found.paragraphs, found.charset) == (["Menu", "Erster Absatz."], "utf-8")


def test_all_keeps_what_main_leaves_out() -> None:
    html = f"<nav><a href=/>Home</a></nav><p>{RUSSIAN}</p>"
    assert kept(html) == kept(html, text="resiliparse") == [RUSSIAN]
    assert kept(html, text="all") == ["Home", RUSSIAN]


def test_a_choice_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(ConfigError, match="pip install trafilatura"):
        page("<p>text", text="trafilatura")


def test_trafilatura_by_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = types.ModuleType("trafilatura")
    stand_in.extract = lambda html, **_: html.upper()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trafilatura", stand_in)
    assert kept("text", text="trafilatura") == ["TEXT"]


def test_robots_come_with_the_page() -> None:
    found = page('<head><META content="NoIndex, noai" NAME=robots></head><p>Text of a page.')
    assert isinstance(found, PageText)
    assert found.robots == ("noai", "noindex")
    reserved = page('<head><meta name="TDM-Reservation" content="1"></head><p>Text of a page.')
    assert isinstance(reserved, PageText)
    assert reserved.robots == ("tdm-reservation",)
    assert isinstance(other := page("<p>Text about robots."), PageText)
    assert other.robots == ()


@pytest.mark.parametrize("key", ["max_payload_bytes", "max_lines", "max_paragraph_chars", "min_chars"])
def test_a_setting_below_its_least_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"extract\.{key} is -1; it takes"):
        ExtractConfig(**{key: -1})


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"extract\.limits\.max_depth is 0; it takes 1 or more"):
        PageLimits(max_depth=0)
