"""Bytes of an archive: read plus quarantined is the size of the file, whatever happened to it."""

from __future__ import annotations

import gzip
import random
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccbuild.ledger import Ledger
from ccbuild.warc.members import Damage, Limits, Piece, pieces
from ccbuild.warc.records import Reader, Record


def warc_record(number: int, kind: str = "response", body: bytes = b"") -> bytes:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + (body or b"<p>page %d</p>" % number)
    header = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://example.org/{number}\r\n"
        f"WARC-Date: 2026-01-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(http)}\r\n\r\n"
    )
    return header.encode() + http + b"\r\n\r\n"


def archive(count: int = 8) -> tuple[bytes, list[tuple[int, int]]]:
    """A file with one record a member, and (offset, length) of each."""
    parts, places, rng = [], [], random.Random(1)
    for number in range(count):
        body = bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz <>", k=400))
        parts.append(gzip.compress(warc_record(number, body=body), mtime=0))
        places.append((sum(map(len, parts[:-1])), len(parts[-1])))
    return b"".join(parts), places


def read(content: bytes, limits: Limits | None = None) -> tuple[list[Record], Ledger, list[Damage]]:
    ledger = Ledger()
    reader = Reader(BytesIO(content), "x.warc.gz", ledger, limits or Limits())
    records = list(reader)
    for _ in records:
        ledger["records"].keep()
    ledger.close("x")
    assert ledger["bytes"].seen == len(content)
    return records, ledger, reader.damage


def test_a_sound_file_gives_every_record_with_its_address() -> None:
    content, places = archive()
    records, ledger, damage = read(content)
    assert [(r.offset, r.length) for r in records] == places
    assert [r.url for r in records] == [f"http://example.org/{i}" for i in range(8)]
    assert not damage
    assert ledger["bytes"].kept == len(content)


def test_a_cut_member_is_named_and_never_taken_as_whole() -> None:
    content, places = archive()
    offset, length = places[-1]
    records, ledger, damage = read(content[:-20])
    assert len(records) == 7
    assert damage == [Damage(offset, length - 20, "truncated_member")]
    assert ledger["bytes"].quarantined["truncated_member"] == length - 20


@pytest.mark.parametrize("hurt", range(8))
def test_one_flipped_byte_costs_one_record(hurt: int) -> None:
    content, places = archive()
    offset, length = places[hurt]
    broken = bytearray(content)
    broken[offset + length // 2] ^= 0xFF
    records, _, damage = read(bytes(broken))
    assert {r.url for r in records} == {f"http://example.org/{i}" for i in range(8) if i != hurt}
    assert [(d.offset, d.length) for d in damage] == [(offset, length)]


def test_garbage_between_members_is_skipped_and_counted() -> None:
    content, places = archive(3)
    cut = places[1][0]
    records, _, damage = read(content[:cut] + b"garbage" * 99 + content[cut:])
    assert len(records) == 3
    assert damage == [Damage(cut, 7 * 99, "not_gzip")]


def test_empty_members_and_trailing_zeros_lose_nothing() -> None:
    content, places = archive(3)
    cut = places[1][0]
    records, _, damage = read(content[:cut] + gzip.compress(b"") + content[cut:] + b"\0" * 1000)
    assert (len(records), damage) == (3, [])


@pytest.mark.parametrize("form", ["one member", "plain", "two in a member", "cut anywhere"])
def test_records_need_not_fall_on_members(form: str) -> None:
    parts = [warc_record(i) for i in range(6)]
    whole = b"".join(parts)
    content = {
        "one member": gzip.compress(whole),
        "plain": whole,
        "two in a member": b"".join(gzip.compress(parts[i] + parts[i + 1]) for i in (0, 2, 4)),
        "cut anywhere": b"".join(gzip.compress(whole[i : i + 100]) for i in range(0, len(whole), 100)),
    }[form]
    records, _, damage = read(content)
    assert [r.url for r in records] == [f"http://example.org/{i}" for i in range(6)]
    assert not damage
    if form == "plain":
        for record, part in zip(records, parts, strict=True):
            assert content[record.offset :].startswith(part[: record.length])


def test_a_bomb_is_cut_off() -> None:
    bomb = gzip.compress(warc_record(0, body=b"\0" * (64 << 20)))
    records, _, damage = read(bomb + gzip.compress(warc_record(1)), Limits(max_record_bytes=1 << 20))
    assert [r.url for r in records] == ["http://example.org/1"]
    assert [d.cause for d in damage] == ["record_too_large"]


def test_the_unit_of_inflating_is_bounded() -> None:
    found = list(pieces(BytesIO(gzip.compress(b"WARC/1.0" + b"\0" * (32 << 20))), Limits()))
    assert max(len(p.content) for p in found if isinstance(p, Piece)) <= 9 << 20
    ratio = list(pieces(BytesIO(gzip.compress(b"WARC/1.0" + b"\0" * (32 << 20))), Limits(max_ratio=10)))
    assert [e.cause for e in ratio if isinstance(e, Damage)] == ["expands_too_far"]


def test_what_is_no_record_is_skipped_by_its_header() -> None:
    content = gzip.compress(warc_record(0, "request")) + gzip.compress(warc_record(1))
    records, ledger, _ = read(content)
    assert len(records) == 1
    assert ledger["records"].dropped == {"record:request": 1}


@settings(max_examples=60)
@given(st.data())
def test_no_mutation_loses_bytes_silently(data: st.DataObject) -> None:
    """Every byte is accounted for, and members that were not touched are all recovered."""
    content, places = archive(6)
    broken = bytearray(content)
    first = data.draw(st.integers(0, len(broken) - 1))
    size = data.draw(st.integers(1, 40))
    how = data.draw(st.sampled_from(["zero", "delete", "flip"]))
    touched = {i for i, (o, n) in enumerate(places) if o < first + size and first < o + n}
    if how == "delete":
        del broken[first : first + size]
    else:
        for i in range(first, min(first + size, len(broken))):
            broken[i] = 0 if how == "zero" else broken[i] ^ 0xFF
    if 0 in touched:
        return  # a file that does not begin as an archive is refused as a whole
    records, ledger, damage = read(bytes(broken))
    urls = {r.url for r in records}
    for i in range(6):
        if i not in touched and i - 1 not in touched:
            assert f"http://example.org/{i}" in urls
    if bytes(broken) != content:
        assert damage or urls == {f"http://example.org/{i}" for i in range(6)} or how == "zero"
    assert ledger["bytes"].difference == 0


def test_members_end_where_they_end() -> None:
    content, places = archive(3)
    ended = [p for p in pieces(BytesIO(content), Limits()) if isinstance(p, Piece)]
    assert [(p.offset, (p.end or 0) - p.offset) for p in ended] == places
