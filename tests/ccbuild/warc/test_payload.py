"""HTTP bodies: codings undone, wrong claims seen through, everything capped."""

from __future__ import annotations

import gzip
import zlib
from io import BytesIO

import pytest
from fastwarc.stream_io import BrotliWriter, ZstdWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from ccbuild.warc.payload import decode_payload

PAGE = b"<html><body><p>" + b"many words of a page, again and again. " * 40 + b"</p></body></html>"


def written(writer: type[BrotliWriter] | type[ZstdWriter]) -> bytes:
    out = BytesIO()
    stream = writer(out)
    stream.write(PAGE)
    stream.close()
    return out.getvalue()


def raw_deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(content) + compressor.flush()


CODED = {
    "gzip": gzip.compress(PAGE),
    "x-gzip": gzip.compress(PAGE),
    "deflate": zlib.compress(PAGE),
    "br": written(BrotliWriter),
    "zstd": written(ZstdWriter),
}


@pytest.mark.parametrize("coding", CODED)
def test_codings_are_undone(coding: str) -> None:
    assert decode_payload(CODED[coding], None, coding, 1 << 20) == (PAGE, None)
    assert decode_payload(b"\r\n" + CODED[coding], None, coding.upper(), 1 << 20) == (PAGE, None)  # CC-MAIN-2018-34


def test_raw_deflate_is_deflate_too() -> None:
    assert decode_payload(raw_deflate(PAGE), None, "deflate", 1 << 20) == (PAGE, None)


@pytest.mark.parametrize("claim", ["gzip", "deflate", "br", "zstd", "compress", "x-unknown", "identity", "gzip, br"])
def test_a_plain_body_is_given_as_it_is_whatever_is_claimed(claim: str) -> None:
    assert decode_payload(PAGE, None, claim, 1 << 20) == (PAGE, None)


@pytest.mark.parametrize("claim", ["deflate", "br", "identity", "", "zstd"])
def test_gzip_under_another_claim_is_gzip(claim: str) -> None:
    assert decode_payload(gzip.compress(PAGE), None, claim, 1 << 20) == (PAGE, None)
    assert decode_payload(gzip.compress(PAGE), None, None, 1 << 20) == (PAGE, None)


def test_codings_are_undone_in_reverse() -> None:
    assert decode_payload(gzip.compress(CODED["deflate"]), None, "deflate, gzip", 1 << 20) == (PAGE, None)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_cut_body_gives_what_comes_out_and_says_so(coding: str) -> None:
    import random

    content = random.Random(1).randbytes(200_000).hex().encode()
    coded = gzip.compress(content) if coding == "gzip" else zlib.compress(content)
    found, cut = decode_payload(coded[: len(coded) // 2], None, coding, 1 << 20)
    assert cut == "content_coding"
    assert len(found) > 100_000
    assert content.startswith(found)


@pytest.mark.parametrize("claim", ["gzip", "x-gzip", None])
def test_all_members_of_a_body_are_read(claim: str | None) -> None:
    two = gzip.compress(PAGE[:500]) + gzip.compress(PAGE[500:])
    assert decode_payload(two, None, claim, 1 << 20) == (PAGE, None)
    assert decode_payload(two + bytes(16), None, claim, 1 << 20) == (PAGE, None)
    assert decode_payload(two, None, claim, 600) == (PAGE[:600], "max_payload_bytes")
    large = [bytes([n]) * (200_000 + n) for n in range(3)]
    assert decode_payload(b"".join(map(gzip.compress, large)), None, claim, 1 << 20) == (b"".join(large), None)
    assert decode_payload(gzip.compress(PAGE) + gzip.compress(b"") * 50_000, None, claim, 1 << 20) == (PAGE, None)


def test_a_body_whose_second_member_breaks_off_says_so() -> None:
    first, second = gzip.compress(PAGE[:500]), gzip.compress(PAGE[500:])
    for hurt in (second[:12], second[:-4], second[:20] + b"\xff" * 20):
        found, cut = decode_payload(first + hurt, None, "gzip", 1 << 20)
        assert (found[:500], cut) == (PAGE[:500], "content_coding")


@pytest.mark.parametrize("coding", CODED)
def test_every_coding_is_capped(coding: str) -> None:
    found, cut = decode_payload(CODED[coding], None, coding, 100)
    assert (found, cut) == (PAGE[:100], "max_payload_bytes")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", (b"hello world", None)),
        (b"5\nhello\n0\n\n", (b"hello", None)),
        (b"0005 \r\nhello\r\n0\r\nTrailer: x\r\n\r\n", (b"hello", None)),
        (b"<p>no chunks</p>", (b"<p>no chunks</p>", None)),
        (b"5\r\nhello\r\nff\r\ncut", (b"hellocut", "content_coding")),
        (b"0\r\n\r\n", (b"", None)),
        (b"", (b"", None)),
        (b"fffffffffffffff\r\nhello", (b"hello", "content_coding")),
    ],
)
def test_chunks(body: bytes, expected: tuple[bytes, str | None]) -> None:
    assert decode_payload(body, "chunked", None, 1 << 20) == expected


def test_chunks_of_a_coded_body() -> None:
    coded = CODED["gzip"]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(coded[i : i + 9]), coded[i : i + 9]) for i in range(0, len(coded), 9))
    assert decode_payload(chunks + b"0\r\n\r\n", "Chunked", "gzip", 1 << 20) == (PAGE, None)


@settings(max_examples=150)
@given(
    st.sampled_from([*CODED.values(), PAGE, b""]),
    st.sampled_from([None, "chunked"]),
    st.sampled_from([None, "gzip", "deflate", "br", "zstd", "br, gzip, br, zstd, deflate"]),
    st.binary(max_size=8),
    st.integers(0, 2000),
)
def test_no_bytes_raise_or_exceed_the_cap(body: bytes, te: str | None, ce: str | None, noise: bytes, at: int) -> None:
    found, _ = decode_payload(body[:at] + noise + body[at:], te, ce, 1000)
    assert len(found) <= 1000
