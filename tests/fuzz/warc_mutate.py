"""Mutated archives: counts crashes, hangs, records lost without a word, and what is recovered around the damage.

    python tests/fuzz/warc_mutate.py -n 10000 --seed 7

Each case takes a sound archive of some form (gzip with a record a member, in one member, cut
anywhere; zstd, lz4, plain; WARC, WET, ARC), does one thing to its bytes, and reads it.

- A *crash* is any exception but `InputError`; a *hang* is a case that takes more than 5 s of CPU.
- A page *touched* by the mutation has lost, gained or changed at least one byte of its members; one that
  is gone but for line ends leaves nothing to report, nor do bytes that make up whole other members. An *untouched*
  page still stands whole somewhere.
- A page is *recovered* when a record with its URL and its payload comes out.
- A *silent loss* is a page of which bytes are left, that is not recovered, while nothing is said about the
  place where they stand: no damage whose range reaches it, no record of a new reason in the ledger.
- *Altered* pages came out with another payload or URL, and nothing was said. Only forms in which records have no
  checksum of their own can do that (plain, zstd and lz4 frames without one, members cut anywhere): no reader can
  know but by digests, which not all records state.

Exit code 1 on any crash, hang or silent loss, or when fewer than 99 % of the untouched pages are recovered.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import random
import signal
import sys
import traceback
import zlib
from base64 import b32encode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO

import pyarrow as pa
from fastwarc.stream_io import Lz4Writer, ZstdWriter

from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.warc.members import Damage
from ccbuild.warc.records import Reader, Record

CPU_SECONDS = 5.0
_CLOSINGS = (b"\r", b"\r\n", b"\r\n\r", b"\r\n\r\n", b"\n")
WORDS = "river stone 言葉 слово ಪದ market <p>page</p> WARC/1.0 \r\n\r\n cloud <a href=x> \u0915\u0932".split(" ")


@dataclass
class Archive:
    """A sound archive: its bytes, and each page's URL, payload, and range of bytes."""

    form: str
    content: bytes
    pages: list[tuple[str, bytes]]
    ranges: list[tuple[int, int]]
    members: list[bytes]
    """What it is put together from, where each holds one record; else empty."""
    checksum: bool
    """Whether each record has a checksum of its own or its file's: not where members are cut without regard to them."""


def body(rng: random.Random) -> bytes:
    return " ".join(rng.choices(WORDS, k=rng.randint(5, 400))).encode()


def record(kind: str, number: int, block: bytes, digest: bool, length: int | None = None) -> bytes:
    """A WARC record; `length` is what it claims, when that is a lie."""
    fields = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: <urn:uuid:{number:032x}>",
        "WARC-Date: 2026-01-01T00:00:00Z",
        *([f"WARC-Target-URI: http://example.org/{number}"] if kind != "warcinfo" else []),
        *([f"WARC-Block-Digest: sha1:{b32encode(hashlib.sha1(block).digest()).decode()}"] if digest else []),
        f"Content-Type: {'application/http; msgtype=' + kind if kind in ('request', 'response') else 'text/plain'}",
        f"Content-Length: {len(block) if length is None else length}",
    ]
    return "\r\n".join(fields).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def records(rng: random.Random, kind: str, lie: int | None) -> Iterator[tuple[bytes, str | None, bytes]]:
    """(bytes, URL, payload) of the records of an archive; URL None: no page. `lie` is the page that states its length
    wrong."""
    digest = rng.random() < 0.5
    if kind == "arc":
        info = b"1 0 x\nURL IP-address Archive-date Content-type Archive-length\n"
        yield b"filedesc://x.arc 0.0.0.0 20260101000000 text/plain %d\n%b\n" % (len(info), info), None, b""
    else:
        yield record("warcinfo", 999, b"software: x\r\n", digest), None, b""
    for number in range(rng.randint(4, 9)):
        payload = body(rng)
        block = payload if kind == "wet" else b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + payload
        length = (
            len(block) if number != lie else rng.choice([0, 5, len(block) - 7, len(block) + 3, len(block) + 700, -1])
        )
        if number == lie and rng.random() < 0.2:
            length = 2**63 - 1
        url = f"http://example.org/{number}"
        if kind == "arc":
            yield b"%b 1.2.3.4 20260101000000 text/html %d\n%b\n" % (url.encode(), length, block), url, payload
            continue
        if kind == "warc" and number % 2:
            request = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
            yield record("request", 100 + number, request, digest), None, b""
        yield record("conversion" if kind == "wet" else "response", number, block, digest, length), url, payload


def packer(form: str, rng: random.Random) -> tuple[Callable[[bytes], bytes], bool]:
    """(compress one member, whether it has a checksum)."""
    if form == "zstd":
        return lambda content: written(ZstdWriter, content), False
    if form == "lz4":
        return lambda content: written(Lz4Writer, content), False
    if form == "zstd-blocks":
        return lambda content: pa.Codec("zstd").compress(content, asbytes=True), False
    if form == "plain":
        return lambda content: content, False
    level = rng.choice([1, 6, 9])
    return lambda content: gzip.compress(content, level, mtime=0), True


def written(writer: type[ZstdWriter] | type[Lz4Writer], content: bytes) -> bytes:
    out = BytesIO()
    stream = writer(out)
    stream.write(content)
    stream.close()
    return out.getvalue()


def make(rng: random.Random, lie: bool) -> Archive:
    """A sound archive, but for one Content-Length when `lie`."""
    form = rng.choice(["gzip", "gzip", "gzip", "gzip-one", "gzip-cut", "zstd", "zstd-blocks", "lz4", "plain"])
    kind = rng.choice(["warc", "warc", "wet", "arc"])
    parts = list(records(rng, kind, 1 if lie else None))
    pack, checksum = packer(form, rng)
    members: list[bytes] = []
    raw = b"".join(part for part, _, _ in parts)
    if form == "gzip-one":
        content = pack(raw)
        spans = [(0, len(content))] * len(parts)
    elif form == "gzip-cut":
        step = rng.randint(90, 700)
        chunks = [pack(raw[i : i + step]) for i in range(0, len(raw), step)]
        starts = [sum(map(len, chunks[:i])) for i in range(len(chunks) + 1)]
        content, spans, at, checksum = b"".join(chunks), [], 0, False
        for part, _, _ in parts:
            spans.append((starts[at // step], starts[(at + len(part) - 1) // step + 1]))
            at += len(part)
    else:
        members = [pack(part) for part, _, _ in parts]
        content, spans = b"".join(members), []
        for index in range(len(members)):
            begin = sum(map(len, members[:index]))
            spans.append((begin, begin + len(members[index])))
    pages = [(url, payload) for _, url, payload in parts if url is not None]
    ranges = [span for (_, url, _), span in zip(parts, spans, strict=True) if url is not None]
    return Archive(f"{form} {kind}", content, pages, ranges, members, checksum)


@dataclass
class Mutated:
    """Bytes, and where each of them comes from: an index in the sound archive, or -1."""

    content: bytearray
    origin: list[int]

    def splice(self, begin: int, end: int, content: bytes, origin: list[int] | None = None) -> None:
        self.content[begin:end] = content
        self.origin[begin:end] = origin if origin is not None else [-1] * len(content)


def mutate(archive: Archive, how: str, rng: random.Random) -> Mutated:
    """One mutation of `archive`."""
    size = len(archive.content)
    made = Mutated(bytearray(archive.content), list(range(size)))
    at = rng.randrange(size)
    end = min(at + rng.choice([1, 2, 8, 40, 300, 2000]), size)
    if how == "flip":
        made.splice(at, at + 1, bytes([archive.content[at] ^ (1 << rng.randrange(8))]))
    elif how == "delete":
        made.splice(at, end, b"")
    elif how == "insert":
        made.splice(at, at, rng.randbytes(end - at))
    elif how == "truncate":
        made.splice(at, size, b"")
    elif how == "zero":
        made.splice(at, end, bytes(end - at))
    elif how == "duplicate":
        to = rng.randrange(size)
        made.splice(to, to, archive.content[at:end], list(range(at, end)))
    elif how == "swap":
        (a, b), (c, d) = (
            sorted(rng.sample(sorted(set(archive.ranges)), 2)) if len(set(archive.ranges)) > 1 else [(0, 0)] * 2
        )
        if b <= c:
            order = [*range(a), *range(c, d), *range(b, c), *range(a, b), *range(d, size)]
            made = Mutated(bytearray(archive.content[i] for i in order), order)
    elif how == "garbage":  # between members
        to = rng.choice(archive.ranges)[0]
        made.splice(to, to, rng.choice([rng.randbytes(end - at), bytes(end - at), b"\r\n" * 3, gzip.compress(b"")]))
    elif how in ("head", "trailer"):
        begin, stop = rng.choice(archive.ranges)
        place = begin + rng.randrange(10) if how == "head" else stop - 1 - rng.randrange(8)
        made.splice(place, place + 1, rng.randbytes(1))
    return made


HOWS = ["flip", "delete", "insert", "truncate", "zero", "duplicate", "swap", "garbage", "head", "trailer", "lie"]


@dataclass
class Tally:
    """What happened in all cases."""

    cases: int = 0
    untouched: int = 0
    recovered: int = 0
    touched: int = 0
    saved: int = 0
    altered: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)
    missed: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """Untouched pages that were recovered."""
        return self.recovered / self.untouched if self.untouched else 1.0


def placed(made: Mutated, begin: int, end: int) -> tuple[int, int, bool] | None:
    """(first, last + 1, whole) of the bytes of a page in the mutated archive; None where none are left."""
    width = end - begin
    where = [i for i, o in enumerate(made.origin) if begin <= o < end]
    if not where or not bytes(made.content[i] for i in where).strip(b"\r\n"):
        return None
    run, before = 0, -2  # how many bytes from the page's first on stand one after the other, as they did
    for i in where:
        origin = made.origin[i]
        run = run + 1 if run and i == before + 1 and origin == begin + run else int(origin == begin)
        if run == width:
            return i + 1 - width, i + 1, True
        before = i
    return where[0], where[-1] + 1, False


def is_sound(content: bytes, members: list[bytes]) -> bool:
    """Whether the mutated archive is one of whole members again, so that there is nothing to be said of it."""
    at = 0
    while at < len(content):
        found = next((m for m in members if content.startswith(m, at)), None)
        if found is None:
            return False
        at += len(found)
    return True


def said(damage: list[Damage], records: list[Record], begin: int, end: int) -> bool:
    """Whether a reported range reaches the bytes from `begin` to `end`."""
    for d in damage:
        beyond = min((r.offset for r in records if r.offset > d.offset), default=1 << 62)
        if d.offset <= end and max(d.offset + d.length, beyond) >= begin:
            return True
    return False


def expired(*_: object) -> None:
    raise TimeoutError


def case(seed: str, tally: Tally) -> None:
    """One mutated archive, read and judged."""
    rng = random.Random(seed)
    how = rng.choice(HOWS)
    archive = make(rng, how == "lie")
    made = mutate(archive, how, rng)
    if how == "lie":
        lie_range = archive.ranges[1]
        made.origin[lie_range[0] : lie_range[1]] = [lie_range[0]] * (lie_range[1] - lie_range[0])
    label = f"{seed} {how} {archive.form}"
    tally.cases += 1
    ledger, sound = Ledger(), Ledger()
    list(Reader(BytesIO(archive.content), "sound", sound))
    reader = Reader(BytesIO(bytes(made.content)), "case", ledger)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        found = list(reader)
    except InputError:
        tally.refused += 1
        found = None
    except TimeoutError:
        tally.failures.append(f"hang: {label}")
        return
    except Exception:
        tally.failures.append(f"crash: {label}\n{traceback.format_exc(limit=-3)}")
        return
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    if found is not None and (ledger["bytes"].seen != len(made.content) or ledger["bytes"].difference):
        tally.failures.append(f"ledger: {label}: {ledger.to_mapping()['bytes']} of {len(made.content)}")
    judge(archive, made, found, reader, (ledger, sound), tally, label)


def judge(
    archive: Archive,
    made: Mutated,
    answer: list[Record] | None,
    reader: Reader,
    ledgers: tuple[Ledger, Ledger],
    tally: Tally,
    label: str,
) -> None:
    """Count what became of each page."""
    found, refused = answer or [], answer is None
    exact = {(r.url, r.payload) for r in found}
    if " lie " in label:  # a length that counts the closing line ends is a dialect, not damage
        exact |= {(r.url, r.payload.removesuffix(closing)) for r in found for closing in _CLOSINGS}
    strange = bool({(r.url, r.payload) for r in found} - set(archive.pages))
    now, before = (ledger["records"].dropped for ledger in ledgers)
    new_reason = any(now[reason] > before[reason] for reason in now)
    cut = {r.url for r in found if r.truncated}
    sound = is_sound(bytes(made.content), archive.members)
    for (url, payload), (begin, end) in zip(archive.pages, archive.ranges, strict=True):
        place = placed(made, begin, end)
        if place is None:
            continue
        recovered = (url, payload) in exact
        if place[2]:
            tally.untouched += 1
            tally.recovered += recovered
            if not recovered:
                tally.missed[label.split(" ", 1)[1]] += 1
        else:
            tally.touched += 1
            tally.saved += recovered
        if recovered or refused or url in cut or said(reader.damage, found, place[0], place[1]) or new_reason or sound:
            continue
        if not archive.checksum and not place[2] and strange:
            tally.altered += 1
        elif ledgers[0]["bytes"].dropped.total():
            continue  # its bytes are zeros now, and counted as such
        else:
            tally.failures.append(f"silent loss: {label}: {url}")


def campaign(count: int, seed: int, start: int = 0) -> Tally:
    """`count` cases of `seed`, from the one numbered `start`."""
    tally = Tally()
    signal.signal(signal.SIGVTALRM, expired)
    for number in range(start, start + count):
        case(f"{seed}-{number}", tally)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10_000, help="cases")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--start", type=int, default=0, help="number of the first case, to repeat one")
    options = parser.parse_args()
    tally = campaign(options.n, options.seed, options.start)
    kinds = Counter(failure.split(":")[0] for failure in tally.failures)
    print(f"{tally.cases} cases, {tally.refused} refused as no archive; zlib {zlib.ZLIB_RUNTIME_VERSION}")
    for kind in ("crash", "hang", "silent loss", "ledger"):
        print(f"{kind:12} {kinds[kind]}")
    print(f"untouched    {tally.recovered} of {tally.untouched} recovered ({tally.share:.4%})")
    print(f"touched      {tally.saved} of {tally.touched} recovered all the same")
    print(f"altered      {tally.altered} in forms without a checksum")
    for label, count in tally.missed.most_common(12):
        print(f"  missed {count:4} {label}")
    for failure in tally.failures[:20]:
        print(failure, file=sys.stderr)
    return int(bool(tally.failures) or tally.share < 0.99)


if __name__ == "__main__":
    sys.exit(main())
