"""Records as crawlers write them, well and badly: fields by name, lengths mended, nothing taken silently."""

from __future__ import annotations

import gzip

import pytest
from warcio.recordloader import ArcWarcRecordLoader

from ccbuild.warc.pages import page_record_by_warcio
from tests.ccbuild.warc.test_formats import PAGES, URLS, read

HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
BODY = b"<p>hello</p>"


def record(
    block: bytes = HTTP + BODY, *fields: str, length: object = None, version: str = "1.0", end: str = "\r\n"
) -> bytes:
    """A response of http://example.org/r whose header has `fields` more."""
    stated = [f"Content-Length: {len(block) if length is None else length}"] if length != "" else []
    lines = [f"WARC/{version}", "WARC-Type: response", "WARC-Target-URI: http://example.org/r", *fields, *stated]
    return end.join([*lines, "", ""]).encode() + block + 2 * end.encode()


def pack_alone(content: bytes) -> bytes:
    return b"".join(map(gzip.compress, (PAGES[0], content, PAGES[1])))


def pack_together(content: bytes) -> bytes:
    return gzip.compress(PAGES[0] + content + PAGES[1])


def pack_plain(content: bytes) -> bytes:
    return PAGES[0] + content + PAGES[1]


PACKS = [pack_alone, pack_together, pack_plain]


@pytest.mark.parametrize("pack", PACKS)
def test_fields_of_every_dialect_are_the_same_record(pack) -> None:  # type: ignore[no-untyped-def]
    sound = record(HTTP + BODY, "WARC-Date: 2026-01-01T00:00:00Z", "WARC-Truncated: length")
    dialects = [
        sound,
        sound.replace(b"WARC/1.0", b"WARC/1.1"),
        sound.replace(b"WARC/1.0", b"WARC/0.18"),
        sound.replace(b"WARC/1.0", b"WARC/0.17"),
        sound.replace(b"WARC/1.0", b"warc/1.0"),
        sound.replace(b"WARC-T", b"warc-t").replace(b"Content-Length", b"content-length"),
        sound.replace(b"WARC-Target-URI: http://example.org/r", b"WARC-Target-URI: <http://example.org/r>"),
        sound.replace(b"WARC-Type: ", b"WARC-Type:\r\n\t").replace(b"WARC-Target-URI: ", b"WARC-Target-URI:\r\n "),
        sound.replace(b"WARC-Date: ", b"WARC-Date:"),
        record(HTTP + BODY, "WARC-Date: 2026-01-01T00:00:00Z", "WARC-Truncated: length", end="\n"),
        b"\r\n\r\n\r\n" + sound,
    ]
    for dialect in dialects:
        records, _, damage = read(pack(dialect))
        assert damage == [], dialect
        assert [r.url for r in records] == [URLS[0], "http://example.org/r", URLS[1]], dialect
        found = records[1]
        assert (found.payload, found.status, found.content_type) == (BODY, 200, "text/html; charset=utf-8")
        assert (found.date, found.truncated) == ("2026-01-01T00:00:00Z", "length")


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("length", ["", "-5", "abc", 2**63 - 1, "99999999999999999999", 3, len(HTTP + BODY) + 150])
def test_a_wrong_length_costs_no_other_record_and_is_said(pack, length) -> None:  # type: ignore[no-untyped-def]
    records, _, damage = read(pack(record(length=length)))
    assert {URLS[0], URLS[1]} <= {r.url for r in records}
    assert len(damage) >= 1
    if length != 3 or pack is pack_alone:
        assert [r.payload for r in records if r.url.endswith("/r")] == [BODY]
        assert [(d.cause, d.saved) for d in damage] == [("wrong_length", 1)]


@pytest.mark.parametrize("pack", PACKS)
def test_the_crlf_too_many_of_2018_34_cuts_no_page(pack) -> None:  # type: ignore[no-untyped-def]
    block = HTTP + b"\r\n" + BODY
    records, _, damage = read(pack(record(block, length=len(block) - 2)))
    assert damage == []
    assert records[1].payload == b"\r\n" + BODY


def test_robots_are_given_as_the_server_said() -> None:
    said = b"HTTP/1.1 200 OK\r\nx-robots-tag: noindex\r\nX-Robots-Tag: otherbot: noai\r\n\r\n"
    assert read(pack_alone(record(said)))[0][1].robots == "noindex\notherbot: noai"
    reserved = b"HTTP/1.1 200 OK\r\nX-Robots-Tag: noml\r\ntdm-reservation: 1\r\nTDM-Policy: https://e.org\r\n\r\n"
    for said, robots in ((reserved, "noml\ntdm-reservation"), (reserved.replace(b"tion: 1", b"tion: 0"), "noml")):
        assert read(pack_alone(record(said)))[0][1].robots == robots
        assert page_record_by_warcio("response", record(said), (0, None), 100).robots == robots
    assert read(pack_alone(record()))[0][1].robots is None


@pytest.mark.parametrize(
    ("http", "status", "payload"),
    [
        (b"HTTP/1.1 200 OK\nContent-Type: x\n\nbody", 200, b"body"),
        (b"HTTP/1.0 404\r\n\r\n", 404, b""),
        (b"HTTP/1.1 OK\r\n\r\nbody", None, b"body"),
        (b"HTTP/1.1 200 OK\r\nX: no end", 200, b""),
        (b"<p>no header</p>", None, b"<p>no header</p>"),
        (b"", None, b""),
    ],
)
def test_http_headers_of_every_kind(http: bytes, status: int | None, payload: bytes) -> None:
    found = read(pack_alone(record(http)))[0][1]
    assert (found.status, found.payload) == (status, payload)


def test_wet_is_read_by_the_names_of_its_fields() -> None:
    fields = ["WARC-Type: conversion", "Content-Type: text/plain", "WARC-Identified-Content-Language: kat,eng"]
    fields += ["WARC-Target-URI: http://example.org/w", "Content-Length: 6", "WARC-Date: 2026-01-01T00:00:00Z"]
    for order in (fields, fields[::-1], sorted(fields)):
        text = "\r\n".join(["WARC/1.0", *order, "", "тaб\n"]).encode() + b"\r\n\r\n"
        (found,), _, damage = read(gzip.compress(text))
        assert damage == []
        assert (found.kind, found.url, found.payload.decode()) == ("conversion", "http://example.org/w", "тaб\n")
        assert (found.status, found.content_type, found.languages) == (None, "text/plain", "kat,eng")


def test_types_that_hold_no_page_are_counted_by_name() -> None:
    kinds = ["revisit", "resource", "metadata", "continuation", "../evil\x1b", "ÄÖ"]
    content = b"".join(record().replace(b"WARC-Type: response", f"WARC-Type: {k}".encode()) for k in kinds)
    _, ledger, damage = read(PAGES[0] + content)
    assert damage == []
    assert sorted(ledger["records"].dropped) == [
        "record:continuation", "record:evil", "record:metadata", "record:resource", "record:revisit", "record:unknown",
    ]  # fmt: skip


def test_arc_of_both_versions() -> None:
    http = b"HTTP/1.0 200 OK\nContent-Type: text/html\n\n<p>x</p>"
    one = b"http://example.org/a b 1.2.3.4 20030801004548 text/html %d\n%b\n" % (len(http), http)
    two = b"http://example.org/2 1.2.3.4 20030801004548 text/html 200 - - 99 x.arc %d\n%b\n" % (len(http), http)
    info = b"filedesc://x.arc 0.0.0.0 20030801004548 text/plain 3\n1 0\n"
    for content in (info + one + two, gzip.compress(info + one + two), b"".join(map(gzip.compress, (info, one, two)))):
        records, ledger, damage = read(content)
        assert damage == []
        assert [(r.url, r.date, r.status, r.payload) for r in records] == [
            ("http://example.org/a b", "2003-08-01T00:45:48Z", 200, b"<p>x</p>"),
            ("http://example.org/2", "2003-08-01T00:45:48Z", 200, b"<p>x</p>"),
        ]
        assert ledger["records"].dropped == {"record:filedesc": 1}


def test_an_archive_as_payload_stays_a_payload() -> None:
    nested = HTTP + record() + record()
    records, _, damage = read(pack_plain(record(nested)))
    assert damage == []
    assert [len(r.payload) for r in records][1] == len(nested) - len(HTTP)


def test_warcio_says_the_same_of_a_sound_record() -> None:
    content = record(HTTP + BODY, "WARC-Date: 2026-01-01T00:00:00Z", "WARC-Payload-Digest: sha1:ABC")
    (ours,), _, _ = read(gzip.compress(content))
    assert page_record_by_warcio("response", content, (0, ours.length), 1 << 20) == ours
    assert ArcWarcRecordLoader  # the peer is installed
