"""zstd, lz4 and gzip in all their forms: every record, every byte, whatever the name says; bombs are bounded."""

from __future__ import annotations

import gzip
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO

import pytest
from fastwarc.stream_io import Lz4Writer, ZstdWriter

from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.warc.members import Damage, Limits, form_of
from ccbuild.warc.records import Reader, Record, check_archive
from tests.ccbuild.warc.test_members import warc_record


def packed(writer: type[ZstdWriter] | type[Lz4Writer], content: bytes, **options: bytes) -> bytes:
    out = BytesIO()
    stream = writer(out, **options)
    stream.write(content)
    stream.close()
    return out.getvalue()


def zstd(content: bytes) -> bytes:
    return packed(ZstdWriter, content)


def lz4(content: bytes) -> bytes:
    return packed(Lz4Writer, content)


def read(content: bytes, limits: Limits | None = None) -> tuple[list[Record], Ledger, list[Damage]]:
    ledger = Ledger()
    reader = Reader(BytesIO(content), "x", ledger, limits or Limits())
    records = list(reader)
    for _ in records:
        ledger["records"].keep()
    ledger.close("x")
    assert ledger["bytes"].seen == len(content)
    return records, ledger, reader.damage


def page(number: int) -> bytes:
    rng = random.Random(number)
    return warc_record(number, body=" ".join(rng.choices("one two three four five".split(), k=300)).encode())


PAGES = [page(n) for n in range(6)]
URLS = [f"http://example.org/{n}" for n in range(6)]
SKIPPABLE = struct.pack("<II", 0x184D2A50, 5) + b"hello"


@pytest.mark.parametrize("pack", [gzip.compress, zstd, lz4])
@pytest.mark.parametrize("form", ["a record each", "one for all", "cut anywhere", "empty ones between"])
def test_members_of_every_form(pack: Callable[[bytes], bytes], form: str) -> None:
    whole = b"".join(PAGES)
    parts = {
        "a record each": PAGES,
        "one for all": [whole],
        "cut anywhere": [whole[i : i + 700] for i in range(0, len(whole), 700)],
        "empty ones between": [part for page in PAGES for part in (page, b"")],
    }[form]
    records, ledger, damage = read(b"".join(map(pack, parts)))
    assert [r.url for r in records] == URLS
    assert damage == []
    assert ledger["bytes"].kept == ledger["bytes"].seen


@pytest.mark.parametrize("pack", [zstd, lz4])
def test_skippable_frames_are_skipped(pack: Callable[[bytes], bytes]) -> None:
    records, _, damage = read(SKIPPABLE.join([pack(p) for p in PAGES]) + SKIPPABLE)
    assert ([r.url for r in records], damage) == (URLS, [])


@pytest.mark.parametrize("compressed", [False, True])
def test_a_zstd_dictionary_frame_is_used(compressed: bool) -> None:
    from fastwarc.stream_io import zstd_train_dictionary_from_samples

    dictionary = zstd_train_dictionary_from_samples([page(n) for n in range(300)], 4096)
    stored = zstd(dictionary) if compressed else dictionary
    content = struct.pack("<II", 0x184D2A5D, len(stored)) + stored
    for part in PAGES:
        frames = packed(ZstdWriter, part, dictionary=dictionary)
        if frames[1:4] == b"\x2a\x4d\x18":  # the writer puts the dictionary before the first frame
            frames = frames[8 + int.from_bytes(frames[4:8], "little") :]
        content += frames
    records, _, damage = read(content)
    assert ([r.url for r in records], damage) == (URLS, [])


DATES = ("20140216050221", "unknown", "2014-02-16T05:02:21Z", "99999999999999", "0", "-1", "", "20140216050221123456")


@pytest.mark.parametrize("ip", ["1.2.3.4", "::1"])
@pytest.mark.parametrize("more", ["", " 200 - - 0 x.arc"])
def test_an_arc_record_is_read_whatever_its_date(ip: str, more: str) -> None:
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>page"
    parts = [
        f"http://example.org/{n} {ip} {date} text/html{more} {len(body)}\n".encode() + body + b"\n"
        for n, date in enumerate(DATES)
    ]
    for content in (b"".join(parts), gzip.compress(b"".join(parts)), b"".join(map(gzip.compress, parts))):
        records, _, damage = read(content)
        assert damage == []
        assert [r.url for r in records] == [f"http://example.org/{n}" for n in range(len(DATES))]
        assert {r.payload for r in records} == {b"<p>page"}
        assert [r.date for r in records[:3]] == ["2014-02-16T05:02:21Z", "unknown", "2014-02-16T05:02:21Z"]


@pytest.mark.parametrize("pack", [gzip.compress, zstd, lz4, bytes])
def test_a_version_in_small_letters(pack: Callable[[bytes], bytes]) -> None:
    small = [page.replace(b"WARC/1.0", b"warc/1.0") for page in PAGES]
    long = small[1].replace(b"Content-Length: ", b"Content-Length: 9")
    wrong = pack(b"".join([small[0], long, *small[2:]]))
    for content, causes in ((b"".join(map(pack, small)), []), (wrong, ["wrong_length"])):
        records, _, damage = read(content)
        assert [r.url for r in records] == URLS
        assert [d.cause for d in damage] == causes
    check_archive("x", pack(small[0])[:1024])


@pytest.mark.parametrize("pack", [gzip.compress, zstd, lz4])
@pytest.mark.parametrize("hurt", range(6))
def test_reading_goes_on_at_the_next_frame(pack: Callable[[bytes], bytes], hurt: int) -> None:
    members = [pack(p) for p in PAGES]
    members[hurt] = members[hurt][:-40]
    records, _, damage = read(b"".join(members))
    assert [r.url for r in records] == [u for n, u in enumerate(URLS) if n != hurt]
    begin = sum(map(len, members[:hurt]))
    assert [(d.offset, d.length) for d in damage] == [(begin, len(members[hurt]))]


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_cut_file_keeps_what_is_whole_in_its_last_member_and_says_so(pack: Callable[[bytes], bytes]) -> None:
    rng = random.Random(5)
    parts = [warc_record(n, body=rng.randbytes(200_000)) for n in range(6)]
    content = pack(b"".join(parts))[:-150_000]
    records, _, damage = read(content)
    assert [r.url for r in records] == URLS[:5]
    assert [(d.offset, d.length, d.saved) for d in damage] == [(0, len(content), 5)]


def test_a_false_crc_costs_the_record_unless_its_digest_holds() -> None:
    import base64
    import hashlib

    plain = PAGES[1]
    block = plain[plain.index(b"HTTP/1.1") : -4]
    digest = base64.b32encode(hashlib.sha1(block).digest())
    proven = plain.replace(b"WARC-Date", b"WARC-Block-Digest: sha1:" + digest + b"\r\nWARC-Date")
    for record, saved in ((plain, 0), (proven, 1)):
        broken = bytearray(gzip.compress(record))
        broken[-8] ^= 1
        records, ledger, damage = read(gzip.compress(PAGES[0]) + bytes(broken) + gzip.compress(PAGES[2]))
        assert len(records) == 2 + saved
        assert [(d.cause, d.saved) for d in damage] == [("damaged_member", saved)]
        assert ledger["records"].quarantined.total() == 1 - saved


def test_the_first_bytes_may_be_damaged() -> None:
    for pack in (gzip.compress, zstd, lz4):
        records, _, damage = read(b"?" + b"".join(map(pack, PAGES))[1:])
        assert [r.url for r in records] == URLS[1:]
        assert len(damage) == 1


def test_gzip_header_fields_are_read_over() -> None:
    raw = gzip.compress(PAGES[0])[10:]
    extra = b"\x1f\x8b\x08\x0c" + bytes(6) + struct.pack("<H", 8) + b"sl\x04\x00\x01\x02\x03\x04" + b"name.warc\0"
    records, _, damage = read(extra + raw + gzip.compress(PAGES[1]))
    assert ([r.url for r in records], damage) == (URLS[:2], [])


def test_a_magic_inside_of_compressed_bytes_misleads_nobody() -> None:
    hidden = warc_record(0, body=b"\x1f\x8b\x08" * 50 + random.Random(3).randbytes(500))
    stored = gzip.compress(hidden, 0)
    assert stored.count(b"\x1f\x8b\x08") > 50
    records, _, damage = read(stored + gzip.compress(PAGES[1]))
    assert ([r.url for r in records], damage) == (URLS[:2], [])


def test_a_member_whose_magic_is_damaged_is_never_taken_for_the_end_of_another() -> None:
    """Both have the same length, so the size that the slice ends with is right for the first."""
    broken = bytearray(gzip.compress(PAGES[0].replace(b"example.org/0", b"example.org/9")))
    broken[1] = 0
    records, _, damage = read(gzip.compress(PAGES[0]) + bytes(broken) + gzip.compress(PAGES[2]))
    assert [r.url for r in records] == [URLS[0], URLS[2]]
    assert [d.length for d in damage] == [len(broken)]


def test_the_form_is_known_by_its_first_bytes() -> None:
    assert [form_of(x[:4]) for x in (gzip.compress(b""), zstd(b""), lz4(b""), SKIPPABLE, b"WARC")] == [
        "gzip", "zstd", "lz4", "zstd", "plain",
    ]  # fmt: skip


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd, lz4])
def test_what_is_no_archive_is_refused_before_anything_starts(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(InputError, match="no WARC, WET or ARC"):
        check_archive("x", pack(b"<html>hello</html>"))
    check_archive("x", pack(PAGES[0])[:1024])
    with pytest.raises(InputError, match="no WARC, WET or ARC"):
        read(pack(b"<html>hello</html>" * 100))


BOMBS = """
import gzip, io, struct, sys, zlib
from fastwarc.stream_io import BrotliWriter
from ccbuild.ledger import Ledger
from ccbuild.warc.records import Reader

def gz(content_of):
    out, c = [], zlib.compressobj(1, zlib.DEFLATED, 31)
    for part in content_of: out.append(c.compress(part))
    return b"".join(out) + c.flush()

def brotli():
    out = io.BytesIO(); w = BrotliWriter(out)
    for _ in range(1024): w.write(bytes(1 << 20))
    w.close(); return out.getvalue()

def zstd():
    blocks = [struct.pack("<I", (131072 << 3) | 2 | (i == 7999))[:3] + b"a" for i in range(8000)]
    first = struct.pack("<I", len(start) << 3)[:3] + start
    return b"\\x28\\xb5\\x2f\\xfd\\x00" + bytes([(23 - 10) << 3]) + first + b"".join(blocks)

def record(block, http=b"HTTP/1.1 200 OK\\r\\n\\r\\n", length=None):
    head = b"WARC/1.0\\r\\nWARC-Type: response\\r\\nContent-Length: %d\\r\\n\\r\\n" % (length or len(http) + len(block))
    return head + http + block + b"\\r\\n\\r\\n"

zeros = [bytes(1 << 20)] * 1024
start = b"WARC/1.0\\r\\nWARC-Type: response\\r\\n"
archive = {
    "gzip": lambda: gz([start + b"Content-Length: 1073741824\\r\\n\\r\\n", *zeros]),
    "header": lambda: gz([start + b"X-Long: ", *[b"a" * (1 << 20)] * 200, b"\\r\\n\\r\\n"]),
    "http header": lambda: gzip.compress(record(b"a" * 30000000, b"HTTP/1.1 200 OK\\r\\nX: ")),
    "payload": lambda: gzip.compress(
        record(gz(zeros[:200]), b"HTTP/1.1 200 OK\\r\\nContent-Encoding: gzip\\r\\n\\r\\n")
    ),
    "br": lambda: gzip.compress(record(brotli(), b"HTTP/1.1 200 OK\\r\\nContent-Encoding: br\\r\\n\\r\\n")),
    "zstd": lambda: zstd(),
    "huge": lambda: gz([record(b"x", length=2**63 - 1), *[b"a" * (1 << 20)] * 100]),
}[sys.argv[1]]()
ledger = Ledger()
reader = Reader(io.BytesIO(archive), "bomb", ledger)
pages = [(len(p.payload), p.truncated) for p in reader]
assert ledger["bytes"].seen == len(archive)
print(pages, [d.cause for d in reader.damage], len(reader.damage))
# not ru_maxrss, which a child starts with its parent's
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.parametrize(
    ("bomb", "expected"),
    [
        ("gzip", "[] ['record_too_large'] 1"),
        ("header", "[] ['bad_header'] 1"),
        ("http header", "[(0, None)] [] 0"),
        ("payload", "[(16777216, 'max_payload_bytes')] [] 0"),
        ("br", "[(16777216, 'max_payload_bytes')] [] 0"),
        ("zstd", "[] ['expands_too_far'] 1"),
        ("huge", "[] ['record_too_large'] 1"),
    ],
)
def test_bombs_are_bounded_in_memory(bomb: str, expected: str) -> None:
    done = subprocess.run([sys.executable, "-c", BOMBS, bomb], capture_output=True, text=True, check=True)
    found, megabytes = done.stdout.splitlines()
    assert found == expected
    assert int(megabytes) < 300
