"""Who opted out is left out; nobody else is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.crawl.optout import OptOut, normalise_url
from ccbuild.errors import InputError

LIST = OptOut.of(
    [
        "# ours",
        "",
        "Example.ORG",
        "host:www.shop.test",
        "https://news.test:443/a/%7Eme?x=1#top",
        "bücher.example",
        "*.wild.test",
    ]
)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://example.org/", "domain"),
        ("http://a.b.EXAMPLE.org:8080/x?y", "domain"),
        ("https://example.org./x", "domain"),
        ("https://user:pw@example.org/", "domain"),
        ("https://badexample.org/", None),
        ("https://example.org.evil.test/", None),
        ("https://evil.test/?u=https://example.org/", None),
        ("https://evil.test\\@example.org/", None),
        ("https://www.shop.test/x", "host"),
        ("https://m.www.shop.test/x", None),
        ("https://shop.test/x", None),
        ("http://NEWS.test/a/~me?x=1", "url"),
        ("https://news.test/b/../a/./%7eme?x=1", "url"),
        ("https://news.test/a/~me", None),
        ("https://news.test/a/~me?x=2", None),
        ("https://xn--bcher-kva.example/", "domain"),
        ("https://www.BÜCHER.example/x", "domain"),
        ("https://sub.wild.test/", "domain"),
        ("https://org/", None),
        ("dns:example.org", None),
        ("", None),
        ("https://[::1]/x", None),
        ("http://[bad", None),
    ],
)
def test_matches(url: str, reason: str | None) -> None:
    assert LIST.matches(url) == (f"opt_out:{reason}" if reason else None)


@given(st.text(max_size=60))
def test_hostile_urls_raise_nothing(text: str) -> None:
    for url in (text, "https://" + text, "https://news.test/" + text, "https://[" + text):
        LIST.matches(url)


@given(st.text("ab/.%27eé?#", max_size=20))
def test_normalising_twice_is_normalising_once(path: str) -> None:
    once = normalise_url("https://a.test/" + path)
    assert once is not None
    assert normalise_url("http://" + once) == once


def test_the_digest_is_of_the_entries_not_of_the_file() -> None:
    one = OptOut.of(["b.test", "A.test"])
    assert one.digest == OptOut.of(["# note", "a.test", "b.test", "b.test."]).digest
    assert one.digest != OptOut.of(["a.test"]).digest
    assert one.digest != OptOut.of(["host:a.test", "host:b.test"]).digest
    assert len(one) == 2


@pytest.mark.parametrize(
    "line", ["not a host!", "ftp://x.test/a", "com", "https://", "a..b", "host:", "https://x.test:99999/"]
)
def test_a_line_that_is_no_entry_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "list.txt").write_text(f"fine.test\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"list\.txt, line 2: .*Write example\.org"):
        OptOut.load(str(tmp_path / "list.txt"))
