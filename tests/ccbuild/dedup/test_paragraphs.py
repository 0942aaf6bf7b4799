"""Paragraph hashes: CCNet's to the bit, the fast form equal to its plain definition."""

from __future__ import annotations

import doctest
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccbuild.dedup import paragraphs as paragraphs_module
from ccbuild.dedup.paragraphs import (
    ParagraphForm,
    document_hash,
    normalise_fast,
    paragraph_hashes,
    text_paragraph_hashes,
)
from ccbuild.text.normalise import normalise_ccnet_dedup

_CHARACTERS = "aZ9٣ .,（」１–\t\u00a0\u3000\x1c\x85\x00ΑΣς\nİß字ก\u0301\U0001f600\U00020000\U000e0100Ⱥ"
_PARAGRAPHS = st.one_of(st.text(_CHARACTERS, max_size=90), st.text(max_size=40))


def _sha1_first8(text: str) -> int:
    return int.from_bytes(hashlib.sha1(text.encode("utf-8", "surrogatepass")).digest()[:8], "little")


def test_doctests() -> None:
    assert doctest.testmod(paragraphs_module).failed == 0


@settings(max_examples=200)
@given(st.lists(_PARAGRAPHS, max_size=40))
def test_ccnet_form_is_sha1_of_the_normalised_paragraph(paragraphs: list[str]) -> None:
    expected = [_sha1_first8(normalise_ccnet_dedup(p)) for p in paragraphs]
    assert paragraph_hashes(paragraphs, "ccnet").tolist() == expected


def test_ccnet_form_of_every_character() -> None:
    """Each character alone, at both ends and inside, so that no entry of the table is wrong."""
    paragraphs = [f"{c}x{c}y{c}" for c in map(chr, range(0x30000)) if not "\ud800" <= c <= "\udfff"]
    expected = [_sha1_first8(normalise_ccnet_dedup(p)) for p in paragraphs]
    assert paragraph_hashes(paragraphs, "ccnet").tolist() == expected


@pytest.mark.parametrize("length", [0, 1, 54, 55, 56, 63, 64, 65, 119, 120, 1000, 70_000])
def test_ccnet_form_at_the_edges_of_sha1_blocks(length: int) -> None:
    paragraphs = ["a" * length, "b", "c" * (length + 64), "d" * length]
    assert paragraph_hashes(paragraphs, "ccnet").tolist() == [_sha1_first8(p) for p in paragraphs]


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [  # cc_net 1.0.0, compute_hashes(paragraph)
        ("", 957977401221134810),
        ("  Hello, World 2024!  ", 1714268150457487379),
        ("（Σίσυφος） – ΟΔΟΣ…", 501555324358333128),
        ("東京都、２０２０年。", 12985811718849362557),
    ],
)
def test_ccnet_form_golden(paragraph: str, expected: int) -> None:
    assert paragraph_hashes([paragraph], "ccnet")[0] == expected


def test_fast_form_is_xxh64_of_the_kept_characters() -> None:
    # the xxhash package 4.1.0, xxh64_intdigest(normalised.encode("utf-32-le"))
    golden = {"Hello, World 24!": 10014878110752868983, "字" * 40: 17605224574031324026, "ΟΔΟΣ 7": 11453329407497377129}
    assert paragraph_hashes(list(golden), "fast").tolist() == list(golden.values())


@pytest.mark.parametrize("form", ["fast", "numbers"])
@settings(max_examples=200)
@given(paragraphs=st.lists(_PARAGRAPHS, max_size=20))
def test_fast_form_sees_only_what_its_normalisation_keeps(form: ParagraphForm, paragraphs: list[str]) -> None:
    hashes = paragraph_hashes(paragraphs, form)
    kept = [normalise_fast(p, form) for p in paragraphs]
    assert hashes.tolist() == paragraph_hashes(kept, form).tolist()
    assert [h == 0 for h in hashes] == [k == "" for k in kept]
    assert len(set(hashes.tolist())) == len(set(kept))


def test_rows_of_other_numbers_are_no_copies() -> None:
    rows = ["12.50 7,031", "99.10 4,122", "١٢٫٥٠ ٧٬٠٣١", "for 12.50", "for 99.10", "— —"]
    hashes = paragraph_hashes(rows, "numbers").tolist()
    assert hashes[0] == hashes[2] != hashes[1], "digits of any script, but not any digits"
    assert hashes[3] == hashes[4] == paragraph_hashes(["for 12.50"], "fast")[0]
    assert hashes[5] == 0


@pytest.mark.parametrize("form", ["ccnet", "fast", "numbers"])
@settings(max_examples=100)
@given(texts=st.lists(_PARAGRAPHS, max_size=8))
def test_lines_of_texts_equal_their_paragraphs(form: ParagraphForm, texts: list[str]) -> None:
    hashes, counts = text_paragraph_hashes(texts, form)
    lines = [text.split("\n") for text in texts]
    assert counts.tolist() == [len(found) for found in lines]
    assert hashes.tolist() == paragraph_hashes([line for found in lines for line in found], form).tolist()


@pytest.mark.parametrize("form", ["ccnet", "fast", "numbers"])
def test_batches_change_nothing(form: ParagraphForm) -> None:
    texts = [f"Text {i}\n" + "Überall ein Absatz. " * (i % 50) + "\n字" * (i % 5) for i in range(400)]
    texts.insert(100, "z" * 200_000)
    hashes, counts = text_paragraph_hashes(texts, form)
    alone = [text_paragraph_hashes([text], form) for text in texts]
    assert hashes.tolist() == np.concatenate([h for h, _ in alone]).tolist()
    assert counts.tolist() == [int(c[0]) for _, c in alone]


def test_nothing_in_nothing_out() -> None:
    hashes, counts = text_paragraph_hashes([], "fast")
    assert (hashes.dtype, counts.dtype, len(hashes), len(counts)) == (np.uint64, np.int64, 0, 0)
    assert paragraph_hashes([], "ccnet").tolist() == []


def test_document_hash_tells_texts_apart() -> None:
    texts = ["", "a", "A", "a ", "a\n", "7", "8", "\ud800"]
    hashes = [document_hash(text) for text in texts]
    assert len(set(hashes)) == len(texts)
    assert hashes[0] == 0
    assert all(0 < h < 1 << 64 for h in hashes[1:])
    assert hashes[1] == int.from_bytes(hashlib.blake2b(b"a", digest_size=8).digest(), "little")
