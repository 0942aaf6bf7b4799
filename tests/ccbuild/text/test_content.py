"""Main content of pages of many types: what must stay, what must go."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from ccbuild.text.page import ExtractConfig, PageText, page_text

_SOUNDS = "ka lo mi re su ten var dol pe in ash tor".split()


def sentence(number: int, words: int = 12) -> str:
    """A sentence of no language, the same for a number each time."""
    rng = random.Random(number)
    made = ["".join(rng.choices(_SOUNDS, k=rng.randint(1, 3))) for _ in range(words)]
    return " ".join(made).capitalize() + "."


def prose(first: int, count: int = 4) -> list[str]:
    """Paragraphs of two sentences."""
    return [f"{sentence(2 * i)} {sentence(2 * i + 1)}" for i in range(first, first + count)]


def p(lines: list[str]) -> str:
    return "".join(f"<p>{line}</p>" for line in lines)


BODY = prose(0, 6)
LINKS = "".join(f"<li><a href=/{i}>Rubric {i}</a></li>" for i in range(12))
MENU = f"<div class=top><ul>{LINKS}</ul></div>"
SITE = f"<html><head><title>Site</title></head><body>{MENU}%s<div class=bottom><p>\u00a9 2020</p><ul>{LINKS}</ul></div>"
S = [sentence(i) for i in range(100, 140)]
VERSE = [sentence(i, 5)[:-1] for i in range(300, 312)]
ARABIC = [f"{i} تجتمع اللجنة مرة أخرى الأسبوع المقبل لمناقشة التقرير عن المدرسة." for i in range(5)]
THAI = [f"{i} คณะกรรมการจะประชุมกันอีกครั้งในสัปดาห์หน้าเพื่อหารือเกี่ยวกับรายงานของโรงเรียน" for i in range(5)]
CHINESE = [f"委员会下周将第{i}次开会，讨论有关学校的报告，并决定如何使用这笔钱。" for i in range(5)]
POSTS = "".join(
    f"<li class=post><div class=author><a href=/u{i}>User{i}</a> Posts: 12</div>"
    f"<div class=comment-content><p>{line}</p></div></li>"
    for i, line in enumerate(BODY)
)
TEASERS = "".join(
    f"<div class=card><a href=/t{i}><b>Announced here: page {i}</b></a><p>{S[i]} {S[i + 10][:40]}</p></div>"
    for i in range(5)
)
STATED = json.dumps({"@graph": [{"@type": "NewsArticle", "articleBody": " ".join(BODY)}]})

PAGES: dict[str, tuple[str, list[str], list[str]]] = {
    "article": (f"<article><h1>Head</h1>{p(BODY)}</article>", ["Head", *BODY], []),
    "article in a div": (f"<div id=x><div>{p(BODY)}</div></div>", BODY, []),
    "lines parted by br": ("<div>" + "<br><br>".join(BODY) + "</div>", BODY, []),
    "verse": (f"<div>{'<br>'.join(VERSE)}</div>", VERSE, []),
    "verse beside a sentence": (f"<div>{'<br>'.join(VERSE)}</div><div class=x><p>{S[0]}</p></div>", VERSE, []),
    "table of data": (
        f"{p(BODY[:2])}<table><tr><th>River</th><th>Length</th></tr><tr><td>Ash<td>12</tr></table>{p(BODY[2:])}",
        ["River Length", "Ash 12", *BODY],
        [],
    ),
    "table for layout": (
        f"<table><tr><td><ul>{LINKS}</ul></td><td><font>{p(BODY)}</font></td></tr></table>", BODY, [],
    ),
    "questions and answers": (
        f"<h1>Why?</h1><div class=question><p>{BODY[0]}</p></div><h2>2 replies</h2>"
        f"<div class=answer><p>{BODY[1]}</p></div><div class=answer><p>{BODY[2]}</p></div>",
        BODY[:3],
        [],
    ),
    "recipe": (
        f"<h1>Soup</h1><p>{BODY[0]}</p><h2>Needed</h2><ul><li>2 leeks<li>1 l water</ul><h2>Steps</h2>"
        f"<ol><li>{S[0]}<li>{S[1]}</ol>",
        ["Soup", BODY[0], "Needed", "2 leeks", "1 l water", "Steps", S[0], S[1]],
        [],
    ),
    "AMP": (
        f"<amp-sidebar><ul>{LINKS}</ul></amp-sidebar><main><h1>Head</h1><amp-img src=a></amp-img>{p(BODY[:3])}"
        f"<amp-accordion><section expanded><h4>More</h4><div>{p(BODY[3:])}</div></section></amp-accordion></main>",
        ["Head", *BODY[:3], "More", *BODY[3:]],
        [],
    ),
    "definitions": (
        "<dl>" + "".join(f"<dt>Word{i}</dt><dd>{line}</dd>" for i, line in enumerate(BODY)) + "</dl>",
        ["Word0", BODY[0], "Word5", BODY[5]],
        [],
    ),
    "details": (
        f"<p>{BODY[0]}</p><details><summary>More of it</summary><p>{BODY[1]}</p></details><p>{BODY[2]}</p>",
        [BODY[0], "More of it", BODY[1], BODY[2]],
        [],
    ),
    "Arabic": (p(ARABIC), ARABIC, []),
    "Thai": (p(THAI), THAI, []),
    "Chinese": (p(CHINESE), CHINESE, []),
    "forum": (f"<h1>Thread</h1><ol class=comment-list>{POSTS}</ol>", BODY, []),
    "noscript alone": (f"<div id=app></div><noscript>{p(BODY)}</noscript>", BODY, []),
    "noscript beside": (f"{p(BODY)}<noscript><p>{S[0]}</p></noscript>", BODY, [S[0]]),
    "accordion": (
        f"<div class=faq><p>{BODY[5]}</p>" + "".join(
            f'<h3>Question {i}</h3><div style="display: none"><p>{line}</p></div>' for i, line in enumerate(BODY[:5])
        ) + "</div>",
        [BODY[5], "Question 0", BODY[0], "Question 4", BODY[4]],
        [],
    ),
    "accordion in an article": (
        f'<article>{p(BODY)}<h3>More</h3><div style="display:none"><p>{S[0]}</p></div>{p(S[1:3])}</article>',
        [*BODY, S[0], *S[1:3]],
        [],
    ),
    "accordion of buttons": (
        f'<main>{p(BODY)}<button>More</button><div style="display:none"><p>{S[0]}</p></div>{p(S[1:3])}</main>',
        [*BODY, S[0], *S[1:3]],
        [],
    ),
    "hidden overlay": (f"<main><div class=overlay hidden><p>{S[0]}</p></div>{p(BODY)}</main>", BODY, [S[0]]),
    "aria-hidden body": (f'<div id=page aria-hidden="true">{p(BODY)}</div>', BODY, []),
    "hidden dialog": (f"{p(BODY)}<div hidden><p>{S[0]}</p></div>", BODY, [S[0]]),
    "figure with a sentence": (
        f"<article>{p(BODY[:3])}<figure><img src=a><figcaption>{S[0]}</figcaption></figure>{p(BODY[3:])}</article>",
        [*BODY[:3], S[0], *BODY[3:]],
        [],
    ),
    "figure with a credit": (
        f"<article>{p(BODY[:3])}<figure><img src=a><figcaption>Photo: Agency</figcaption></figure>{p(BODY[3:])}"
        "</article>",
        BODY,
        ["Photo: Agency"],
    ),
    "stated for machines": (
        f'<div id=root></div><script type="application/ld+json">{STATED}</script>', [" ".join(BODY)], [],
    ),
    "templates": (
        f"<article><p>{{{{ headline }}}}</p>{p(BODY)}<p>{{{{ item.price | currency }}}} {{{{x}}}}</p></article>",
        BODY,
        ["{{ headline }}", "item.price", "{{x}}"],
    ),
    "templates in code": (
        f"{p(BODY)}<p>{S[0]} <code>{{{{ name }}}}</code></p><pre>{{{{ name }}}}</pre>{p(BODY[:1])}",
        [f"{S[0]} {{{{ name }}}}", "{{ name }}"],
        [],
    ),
    "ruby": (
        f"<p>{CHINESE[0]}<ruby>東京<rp>(</rp><rt>とうきょう</rt><rp>)</rp></ruby>へ<ruby>行<rt>い</ruby>く。</p>",
        [f"{CHINESE[0]}東京へ行く。"],
        ["とうきょう", "("],
    ),
    "code": (
        f"<p>{BODY[0]}</p><pre><code>def f(x):\n    if x:\n\treturn  1\n</code></pre><p>{BODY[1]}</p>",
        ["def f(x):", "    if x:", "    return 1"],
        [],
    ),
    "teasers under an article": (f"<article>{p(BODY)}</article><div class=grid>{TEASERS}</div>", BODY, S[:5]),
    "teasers beside an article": (
        f"<div><div class=a>{p(BODY)}</div><div class=grid>{TEASERS}</div></div>", BODY, S[:5],
    ),
    "forum with a long question": (
        f"<h1>Thread</h1><div class=post><p>{' '.join(BODY)}</p></div>" + "".join(
            f"<div class=post><a href=/u{i}>User{i}</a><p>{S[i]} {S[i + 10]}</p></div>" for i in range(5)
        ),
        [" ".join(BODY), f"{S[0]} {S[10]}", f"{S[4]} {S[14]}"],
        [],
    ),
    "links in an article": (
        f"<div>{p(BODY[:2])}<ul><li><a href=/a>The first report</a><li><a href=/b>The second</a></ul>"
        f"{p(BODY[2:])}</div>",
        [*BODY[:2], "The first report", "The second", *BODY[2:]],
        [],
    ),
    "links beside an article": (
        f"<div>{p(BODY[:2])}<div class=box><ul>{LINKS}</ul></div>{p(BODY[2:])}</div>", BODY, ["Rubric 3"],
    ),
    "notice of cookies": (
        f"{p(BODY)}<div id=cookie-notice><div><p>{S[0]} {S[1]}</p><button>Yes</button></div></div>", BODY, [S[0]],
    ),
    "contact": (
        f"<main>{p(BODY)}</main><div class=contact><p>{S[0]}</p><p>Tel. 12 34 56</p></div>", BODY, [S[0], "Tel."],
    ),
    "comments": (
        f"<article>{p(BODY)}</article><div id=comments><h3>2 replies</h3>"
        f"<div class=comment><a href=/u>User</a><p>{S[0]} {S[1]}</p></div></div>",
        BODY,
        [S[0], "2 replies", "User"],
    ),
}  # fmt: skip


def extracted(html: str, **settings: Any) -> list[str] | str:
    found = page_text("response", 200, "text/html; charset=utf-8", html.encode(), ExtractConfig(**settings))
    return found.paragraphs if isinstance(found, PageText) else found


@pytest.mark.parametrize("what", PAGES)
def test_pages_of_all_types(what: str) -> None:
    html, stays, goes = PAGES[what]
    found = extracted(SITE % html)
    assert isinstance(found, list)
    assert [line for line in stays if line not in found] == []
    text = "\n".join(found)
    assert [part for part in [*goes, "Rubric 5", "\u00a9"] if part in text and part not in stays] == []
    assert [line for line in found if line in stays] == stays or what in ("table of data", "templates in code")


CLASSES = [
    "no-share", "comments-closed", "cookies-accepted", "shareholder", "commentary", "unrelated", "sharepoint-page",
    "content-with-sidebar-wrp", "l-sidebar-fixed l-article-body-segment", "related-stories", "newsletter", "subscribe",
    "cookie", "comment", "sidebar",
]  # fmt: skip


@pytest.mark.parametrize("name", CLASSES)
def test_no_class_takes_the_article(name: str) -> None:
    assert extracted(SITE % f'<div class="{name}">{p(BODY)}</div>') == BODY
    assert extracted(f'<div id="{name}">{p(BODY)}</div>') == BODY


@pytest.mark.parametrize(
    "name", ["no-share", "unrelated", "related-stories", "l-sidebar-fixed", "ad-free", "author-said"]
)
def test_no_class_takes_a_long_paragraph_of_an_article(name: str) -> None:
    inner = " ".join(BODY[2:4])
    found = extracted(SITE % f'<article>{p(BODY[:2])}<div class="{name}"><p>{inner}</p></div>{p(BODY[4:])}</article>')
    assert found == [*BODY[:2], inner, *BODY[4:]]


@pytest.mark.parametrize("name", ["sidebar", "related"])
def test_a_box_of_prose_between_prose_stays_and_a_column_of_it_goes(name: str) -> None:
    """A book sets apart what it tells besides (DocBook's `sidebar`); a column stands before or behind all the prose."""
    box = " ".join(BODY[2:4])
    aside, rest = f'<div class="{name}"><p>{box}</p></div>', BODY[4:]
    assert extracted(f"<article>{p(BODY[:2])}{aside}{p(rest)}</article>") == [*BODY[:2], box, *rest]
    assert extracted(f"<div>{p([*BODY[:2], *rest])}{aside}</div>") == [*BODY[:2], *rest]
    assert extracted(f"<div>{aside}{p([*BODY[:2], *rest])}</div>") == [*BODY[:2], *rest]


def test_comments_by_choice() -> None:
    said = [f"{sentence(i)} {sentence(i + 50)}" for i in range(200, 203)]
    html = SITE % f"<article>{p(BODY)}</article><section class=comments>{p(said)}</section>"
    assert extracted(html) == BODY
    assert extracted(html, comments="keep") == [*BODY, *said]
    assert extracted(html, comments="mark") == [*BODY, *(f"> {line}" for line in said)]


@pytest.mark.parametrize("html", [MENU, f"<nav>{LINKS}</nav><p>Home</p>", MENU * 3])
def test_a_menu_is_no_prose(html: str) -> None:
    assert extracted(html) == "no_prose"


LANGUAGES = {
    "en": "The committee meets again next week to talk about the report on the school.",
    "ru": "Комитет соберётся на следующей неделе, чтобы обсудить доклад о работе школы.",
    "ja": "委員会は来週再び集まって、学校の報告書について話し合います。",
    "zh": "委员会下周将再次开会，讨论有关学校的报告。",
    "ar": "تجتمع اللجنة مرة أخرى الأسبوع المقبل لمناقشة التقرير عن المدرسة.",
    "hi": "समिति अगले सप्ताह फिर से मिलेगी और विद्यालय की रिपोर्ट पर चर्चा करेगी।",
    "th": "คณะกรรมการจะประชุมกันอีกครั้งในสัปดาห์หน้าเพื่อหารือเกี่ยวกับรายงานของโรงเรียน",
}


def news_site(content: str) -> str:
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
    found = extracted(news_site("<h1>Headline</h1>" + "".join(f"<p>{p}</p>" for p in article)))
    assert found[: len(article) + 1] == ["Headline", *article]
    assert not [p for p in found if "Rubrik" in p or "Announced" in p or "partners" in p or "Some words" in p]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_stands_between_prose_stays(language: str) -> None:
    sentence = LANGUAGES[language]
    content = (
        f"<p>{sentence}</p><h2>One</h2><p>{sentence}</p><p>Yes.</p><ul><li>two</li><li>three</li></ul>"
        f"<table><tr><td>a<td>1</tr><tr><td>b<td>2</tr></table><pre>x = 1\ny = 2</pre><p>{sentence}</p>"
    )
    assert extracted(news_site(content))[:11] == [
        sentence, "One", sentence, "Yes.", "two", "three", "a 1", "b 2", "x = 1", "y = 2", sentence,
    ]  # fmt: skip


def test_a_sentence_with_links_is_no_menu() -> None:
    text = "As <a href=/a>the first report</a> and <a href=/b>the second report</a> say, nothing came of it."
    assert extracted(news_site(f"<p>{LANGUAGES['en']}</p><p>{text}</p>"))[1].startswith("As the first report and")


def test_text_that_looks_like_markup_is_text() -> None:
    text = "Write &lt;p&gt; &amp;amp; &lt;a href=&quot;x&quot;&gt; to get a link &amp; a paragraph of your own."
    assert extracted(f"<p>{text}</p>") == ['Write <p> &amp; <a href="x"> to get a link & a paragraph of your own.']


def test_a_class_on_the_whole_page_drops_nothing() -> None:
    text = LANGUAGES["en"]
    assert extracted(f"<body class='comments-open'><div id=with-sidebar><h1>A</h1><p>{text}</p></div>") == ["A", text]


def test_what_is_open_ends_where_a_start_tag_ends_its_element() -> None:
    """The ruby ends with its list item, though no end tag says so: a later `<rt>` is no reading of it."""
    items = b"<li><ruby>x<rt>y<li><span><rt>This stays</rt> with more words of the item that hold it.</span>"
    page = b"<ul>" + items + b"</ul><p>" + b"Words of prose fill the page. " * 9
    found = page_text("response", 200, "text/html", page)
    assert isinstance(found, PageText)
    assert any(paragraph.startswith("This stays with more") for paragraph in found.paragraphs)
