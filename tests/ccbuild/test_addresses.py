"""A URL is found in whichever form it is asked for, and the form that most URLs have takes no parser."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccbuild.addresses import DIGEST, group_name, key_hash, url_form
from ccbuild.crawl.optout import normalise_url

FORMS = [
    "http://www.example.org/a%7eb/c",
    "HTTPS://Example.ORG:443/a~b/c/",
    "https://user:secret@example.org/x/../a%7Eb/c#top",
    "http://example.org:80/./a~b/c//",
    "https://www.example.org./a~b/c",
]


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_one_url_are_one(form: str) -> None:
    assert url_form(form) == "example.org/a~b/c"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://bücher.example/ä?q=ö", "http://www.xn--bcher-kva.example/%c3%a4/?q=%C3%B6"),
        ("https://example.org", "http://example.org/#x"),
        ("https://example.org/?a=1", "http://www.example.org?a=1"),
    ],
)
def test_pairs_of_forms(one: str, other: str) -> None:
    assert url_form(one) == url_form(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.org/a", "https://example.org/A"),
        ("https://example.org/?a=1", "https://example.org/?a=2"),
        ("https://example.org:8080/", "https://example.org/"),
        ("https://m.example.org/", "https://example.org/"),
        ("dns:example.org", "https://example.org/"),
    ],
)
def test_other_urls_stay_apart(one: str, other: str) -> None:
    assert url_form(one) != url_form(other)


PIECES = st.sampled_from([*"abz09-._~/?#%:@&=+ äß", "www.", "..", "/./", "//", "%41", "%2f", "xn--", ":80", "[::1]"])


@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(["http://", "https://", "HTTP://", "ftp://", ""]))
@example("www.com/", "https://")
@example("a--b.example/..", "http://")
@example(f"{'a' * 250}.example/", "http://")
def test_the_quick_way_gives_what_the_parser_gives(rest: str, scheme: str) -> None:
    normal = normalise_url(scheme + rest)
    if normal is None:
        assert url_form(scheme + rest) == (scheme + rest).strip()
    else:
        place, mark, query = normal.removeprefix("www.").partition("?")
        assert url_form(scheme + rest) == place.rstrip("/") + mark + query


def test_a_digest_is_found_with_and_without_its_algorithm() -> None:
    assert key_hash(DIGEST, "sha1:4YLALNYZ") == key_hash(DIGEST, "4ylalnyz")


def test_a_group_begins_at_a_round_number() -> None:
    assert [group_name(shard) for shard in (0, 63, 64, 100_000)] == [
        "addresses-00000",
        "addresses-00000",
        "addresses-00064",
        "addresses-99968",
    ]
