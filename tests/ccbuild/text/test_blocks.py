"""Main content: what goes, what stays, in scripts with and without spaces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.text.blocks import parse_blocks
from ccbuild.text.clean import paragraphs
from ccbuild.text.page import ExtractConfig, PageText, page_text

LANGUAGES = {
    "en": "The committee meets again next week to talk about the report on the school.",
    "ru": "Комитет соберётся на следующей неделе, чтобы обсудить доклад о работе школы.",
    "ja": "委員会は来週再び集まって、学校の報告書について話し合います。",
    "zh": "委员会下周将再次开会，讨论有关学校的报告。",
    "ar": "تجتمع اللجنة مرة أخرى الأسبوع المقبل لمناقشة التقرير عن المدرسة.",
    "hi": "समिति अगले सप्ताह फिर से मिलेगी और विद्यालय की रिपोर्ट पर चर्चा करेगी।",
    "th": "คณะกรรมการจะประชุมกันอีกครั้งในสัปดาห์หน้าเพื่อหารือเกี่ยวกับรายงานของโรงเรียน",
}


def kept(html: str) -> list[str]:
    found = page_text("response", 200, "text/html; charset=utf-8", html.encode(), ExtractConfig())
    assert isinstance(found, PageText)
    return found.paragraphs


def site(content: str) -> str:
    links = "".join(f"<li><a href=/{i}>Rubrik {i}</a></li>" for i in range(12))
    teasers = "".join(
        f"<div><h3><a href=/t{i}>Announced {i}</a></h3><p>Some words of page {i}.</p></div>" for i in range(5)
    )
    return (
        f"<html><head><title>Site</title></head><body class=has-sidebar><div class=top><ul>{links}</ul></div>"
        f"<div class=content>{content}<div>Text | <a href=/fb>F</a> <a href=/tw>T</a></div></div>{teasers}"
        f"<div id=cookie-notice><p>We and our partners store things on your device, as you may not know.</p></div>"
        f"<div class=foot><p>\u00a9 2020</p><ul>{links}</ul></div></body></html>"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_prose_stays_and_furniture_goes(language: str) -> None:
    sentence = LANGUAGES[language]
    article = [f"{i} {sentence}" for i in range(8)]
    found = kept(site("<h1>Headline</h1>" + "".join(f"<p>{p}</p>" for p in article)))
    assert found[: len(article) + 1] == ["Headline", *article]
    assert not [p for p in found if "Rubrik" in p or "Announced" in p or "partners" in p or "Some words" in p]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_stands_between_prose_stays(language: str) -> None:
    sentence = LANGUAGES[language]
    content = (
        f"<p>{sentence}</p><h2>One</h2><p>{sentence}</p><p>Yes.</p><ul><li>two</li><li>three</li></ul>"
        f"<table><tr><td>a<td>1</tr><tr><td>b<td>2</tr></table><pre>x = 1\ny = 2</pre><p>{sentence}</p>"
    )
    assert kept(site(content))[:11] == [
        sentence, "One", sentence, "Yes.", "two", "three", "a 1", "b 2", "x = 1", "y = 2", sentence,
    ]  # fmt: skip


def test_a_sentence_with_links_is_no_menu() -> None:
    text = "As <a href=/a>the first report</a> and <a href=/b>the second report</a> say, nothing came of it."
    assert kept(site(f"<p>{LANGUAGES['en']}</p><p>{text}</p>"))[1].startswith("As the first report and")


def test_a_page_of_nothing_but_links_is_kept_whole() -> None:
    assert len(kept("<ul>" + "<li><a href=/x>Chapter</a></li>" * 9 + "</ul>")) == 9


def test_text_that_looks_like_markup_is_text() -> None:
    text = "Write &lt;p&gt; &amp;amp; &lt;a href=&quot;x&quot;&gt; to get a link &amp; a paragraph of your own."
    assert kept(f"<p>{text}</p>") == ['Write <p> &amp; <a href="x"> to get a link & a paragraph of your own.']


def test_a_class_on_the_whole_page_drops_nothing() -> None:
    text = LANGUAGES["en"]
    assert kept(f"<body class='comments-open'><div id=with-sidebar><h1>A</h1><p>{text}</p></div>") == ["A", text]


def test_links_over_several_blocks() -> None:
    blocks = parse_blocks('<a href="/x">\n\n<h3>Title</h3>\n\n<p>Text</p>\n\n</a>\n<p>After <a href="">it</p>')
    assert [(b.tag, b.text, b.linked) for b in blocks] == [("h3", "Title", 1), ("p", "Text", 1), ("p", "After it", 0)]


@pytest.mark.parametrize("last", ["</p></p>", "<br></p>"])
def test_a_line_of_tags_has_no_text(last: str) -> None:
    assert parse_blocks(f"<p>\n{last}") == []


@given(st.lists(st.sampled_from(["<p>", "</p>", "<li>", '<a href="/x">', "</a>", "word", ".", "\n", "\t", "<br>"])))
def test_every_character_of_a_block_is_text_of_the_markup(parts: list[str]) -> None:
    blocks = parse_blocks("".join(parts))
    assert "".join("".join(b.text.split()) for b in blocks) == "".join(p for p in parts if p in ("word", "."))
    assert all(b.size > 0 and 0 <= b.linked <= 1 for b in blocks)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_the_text_of_a_page_is_clean(text: str) -> None:
    found = page_text("response", 200, "text/html", text.encode(), ExtractConfig())
    if isinstance(found, PageText):
        assert paragraphs("\n".join(found.paragraphs)) == found.paragraphs
