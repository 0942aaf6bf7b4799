"""Directives of pages and headers."""

from __future__ import annotations

import pytest

from ccbuild.text.robots import header_robots, meta_robots


@pytest.mark.parametrize(
    ("html", "directives"),
    [
        ('<meta name="robots" content="noindex, noai, noimageai">', ("noai", "noimageai", "noindex")),
        ("<META CONTENT='NOINDEX,  NoFollow' NAME='ROBOTS' />", ("nofollow", "noindex")),
        ("<meta name=robots content=none>", ("none",)),
        ('<meta name="CCBot" content="noindex"><meta name=robots content=noai>', ("noai", "noindex")),
        ('<meta name="googlebot" content="noindex">', ()),
        ('<!-- <meta name="robots" content="noindex"> --><p>robots', ()),
        ('<meta name="description" content="a > b"><meta name="robots" content="noai">', ("noai",)),
        ('<meta property="og:title" content="name=robots content=noindex">', ()),
        ('<meta name="robots" content="noai', ()),
        ('<meta name="robots" content="noml"><meta name="tdm-reservation" content="1">', ("noml", "tdm-reservation")),
        ('<META NAME="TDM-Reservation" CONTENT=0><meta name="tdm-policy" content="https://example.org/p.json">', ()),
    ],
)
def test_meta(html: str, directives: tuple[str, ...]) -> None:
    assert meta_robots(html) == directives


@pytest.mark.parametrize(
    ("value", "directives"),
    [
        ("", ()),
        ("noindex", ("noindex",)),
        ("NoAI, noimageai", ("noai", "noimageai")),
        ("googlebot: noindex, nofollow", ()),
        ("googlebot: noindex, ccbot: noai, nofollow", ("noai", "nofollow")),
        ("noarchive, otherbot: noindex", ("noarchive",)),
        ("max-snippet: 20, noai", ("max-snippet: 20", "noai")),
        ("googlebot: nosnippet\nnoai", ("noai",)),
        ("noarchive\ngooglebot: noindex, nofollow\nccbot: noai\nbingbot: none", ("noai", "noarchive")),
        ("noml\ntdm-reservation", ("noml", "tdm-reservation")),
    ],
)
def test_header(value: str, directives: tuple[str, ...]) -> None:
    assert header_robots(value) == directives


def test_hostile_heads_take_no_time() -> None:
    assert meta_robots('<meta name="robots' + '<meta "' * 20_000) == ()
