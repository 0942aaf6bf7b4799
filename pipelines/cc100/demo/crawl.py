"""The demo's crawl: WARC archives in Common Crawl's form, a sidecar that tells the truth, and prose apart from them.

The same seed gives the same bytes: fixed dates, record ids by UUID version 5, gzip members without a
time. (Compressed bytes also depend on the zlib that Python was built with.) Two records are damaged on
purpose: the last archive ends inside its last response, and one response of another does not inflate.
"""

from __future__ import annotations

import random
import uuid
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from cc100.demo.articles import LanguageText, split_texts, udhr_texts
from cc100.demo.plan import Plan, plan_pages
from cc100.demo.truth import TruthPage, read_truth, write_truth
from ccbuild.errors import ConfigError
from ccbuild.langid.sources import eld_sentences, udhr_excerpts
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit, sha256_file

__all__ = ["Crawl", "write_crawl"]

FORMAT = 1
"""Raised when the same settings give other bytes than before."""
_START = datetime(2026, 11, 1, tzinfo=UTC)
_REASONS = {200: "OK", 301: "Moved Permanently", 404: "Not Found"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crawl:
    """Where the crawl lies."""

    folder: Path
    archives: tuple[Path, ...]
    """In order: ``DEMO-MAIN-…-00000.warc.gz`` and so on."""
    truth: Path
    """One line a response record: :class:`cc100.demo.truth.TruthPage`."""
    prose: dict[str, Path]
    """Code to the text for its perplexity model, a paragraph a line; none of it is on a page."""
    pages: int
    """Response records, the damaged ones included."""
    languages: int
    """Languages with at least one page."""


def write_crawl(
    out: Path,
    *,
    pages: int = 3200,
    files: int = 4,
    seed: int = 20261101,
    eld: Path,
    gflanguages: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Crawl:
    """The crawl in `out`; when it is there already, made from the same settings, nothing is written.

    `eld` and `gflanguages` are the catalogue's files; `progress` is called with pages written and `pages`.
    Raises `ConfigError` when the text does not make so many pages (about 300 to 3,700), and `MismatchError`
    when `out` holds a crawl of other settings. Takes about 6 seconds for 3,200 pages.
    """
    if files < 2:
        raise ConfigError(
            f"The demo's crawl was asked for in {files} files; one is truncated, one corrupted: give 2 or more."
        )
    settings = {"demo.format": FORMAT, "demo.pages": pages, "demo.files": files, "demo.seed": seed}
    inputs = {"eld": sha256_file(eld), "gflanguages": sha256_file(gflanguages)}
    options = {"demo.pages": "--pages {}", "demo.format": "the release that made it"}
    with Unit(out, "demo", "crawl", settings=settings, inputs=inputs, options=options) as unit:
        if unit.done():
            return _found(out, read_truth(out / "truth.jsonl"))
        texts = split_texts(eld_sentences(eld), seed)
        plans = plan_pages(texts, udhr_texts(udhr_excerpts(gflanguages)), pages, seed)
        cuts = [len(plans) * n // files for n in range(files + 1)]
        _damage(plans, cuts)
        truth = []
        for number in range(files):
            name = f"DEMO-MAIN-{_START:%Y%m%d%H%M%S}-{_START + timedelta(hours=1):%Y%m%d%H%M%S}-{number:05}.warc.gz"
            part = plans[cuts[number] : cuts[number + 1]]
            truth += _write_archive(unit.path(name), name, part, cuts[number])
            if progress:
                progress(cuts[number + 1], len(plans))
        write_truth(unit.path("truth.jsonl"), truth)
        for code, text in texts.items():
            lines = _prose(text, random.Random(f"{seed}:prose:{code}"))
            unit.path(f"prose/{code}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        ledger = Ledger()
        ledger["pages"].keep(len(plans))
        unit.commit(ledger)
    return _found(out, truth)


def _found(out: Path, truth: Sequence[TruthPage]) -> Crawl:
    names = dict.fromkeys(page.archive for page in truth)
    return Crawl(
        folder=out,
        archives=tuple(out / name for name in names),
        truth=out / "truth.jsonl",
        prose={path.stem: path for path in sorted((out / "prose").glob("*.txt"))},
        pages=len(truth),
        languages=len({page.lang for page in truth if page.lang}),
    )


def _prose(text: LanguageText, rng: random.Random) -> list[str]:
    """The prose of a language in paragraphs of two to four sentences, as articles have them."""
    lines, rest = [], list(text.prose)
    while rest:
        size = rng.randint(2, 4)
        lines.append(text.join(rest[:size]))
        del rest[:size]
    return lines


def _damage(plans: Sequence[Plan], cuts: Sequence[int]) -> None:
    """Mark the last page as truncated, and as corrupted one in the middle of the second file, or the first of two."""
    plans[-1].damaged = "truncated"
    copied = {id(plan.original) for plan in plans}
    part = 1 if len(cuts) > 3 else 0
    middle = (cuts[part] + cuts[part + 1]) // 2
    free = [p for p in plans[middle : cuts[part + 1]] if p.kind == "unique" and id(p) not in copied and not p.damaged]
    if not free:
        raise ConfigError("No page of the demo can be damaged without loss. Ask for more pages or fewer files.")
    free[0].damaged = "corrupted"


def _write_archive(path: Path, name: str, plans: Sequence[Plan], first: int) -> list[TruthPage]:
    """One archive of request, response and metadata records; `first` is the number of its first page in the crawl."""
    truth = []
    with open(path, "w+b") as out:
        writer = WARCWriter(out, gzip=True)
        warcinfo = _record_id(name, 0, "warcinfo")
        _write(writer, "warcinfo", None, {"WARC-Filename": name, **_common(warcinfo, first)}, _WARCINFO)
        for number, plan in enumerate(plans, first):
            common = {"WARC-Warcinfo-ID": warcinfo, "WARC-IP-Address": f"192.0.2.{number % 250 + 1}"}
            request, response = (_record_id(name, number, kind) for kind in ("request", "response"))
            _write_request(writer, plan, {**_common(request, number), **common})
            offset = out.tell()
            concurrent = {"WARC-Concurrent-To": request, "WARC-Identified-Payload-Type": plan.mime}
            _write_response(writer, plan, {**_common(response, number), **common, **concurrent}, number)
            length = out.tell() - offset
            if plan.damaged == "truncated":
                length = length * 3 // 5
                out.truncate(offset + length)
            else:
                if plan.damaged == "corrupted":
                    _corrupt(out, offset, length)
                own = {**_common(_record_id(name, number, "metadata"), number), "WARC-Warcinfo-ID": warcinfo}
                fetched = f"fetchTimeMs: {100 + number % 400}\r\n".encode()
                _write(writer, "metadata", plan.url, {**own, "WARC-Concurrent-To": response}, fetched)
            truth.append(_truth(plan, name, offset, length))
    return truth


_WARCINFO = (
    b"isPartOf: DEMO-MAIN\r\npublisher: ccbuild\r\noperator: ccbuild demo\r\n"
    b"description: A small crawl made of labelled sentences; no site of it exists\r\nsoftware: ccbuild (warcio)\r\n"
    b"robots: not applicable\r\nformat: WARC File Format 1.0\r\n"
    b"conformsTo: http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.0/\r\n"
)


def _record_id(archive: str, number: int, kind: str) -> str:
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{archive}#{number}/{kind}')}>"


def _common(identifier: str, number: int) -> dict[str, str]:
    return {"WARC-Record-ID": identifier, "WARC-Date": f"{_START + timedelta(seconds=number):%Y-%m-%dT%H:%M:%SZ}"}


def _write(
    writer: WARCWriter,
    kind: str,
    url: str | None,
    headers: dict[str, str],
    payload: bytes,
    http: StatusAndHeaders | None = None,
) -> None:
    """One record as one gzip member; the digests are warcio's."""
    record = writer.create_warc_record(
        url or "", kind, payload=BytesIO(payload), length=len(payload), warc_headers_dict=headers, http_headers=http
    )
    writer.write_record(record)


def _write_request(writer: WARCWriter, plan: Plan, headers: dict[str, str]) -> None:
    host, _, path = plan.url.removeprefix("https://").partition("/")
    fields = [("User-Agent", "ccbuild-demo"), ("Accept-Encoding", "gzip"), ("Host", host), ("Connection", "Keep-Alive")]
    http = StatusAndHeaders(f"GET /{path} HTTP/1.1", fields, is_http_request=True)
    _write(writer, "request", plan.url, headers, b"", http)


def _write_response(writer: WARCWriter, plan: Plan, headers: dict[str, str], number: int) -> None:
    declared = f"; charset={plan.encoding.header}" if plan.encoding and plan.encoding.header else ""
    fields = [
        ("Date", f"{_START + timedelta(seconds=number):%a, %d %b %Y %H:%M:%S GMT}"),
        ("Server", ("nginx", "Apache", "cloudflare")[number % 3]),
        ("Content-Type", plan.mime + declared),
        *plan.headers,
        ("X-Crawl-Content-Encoding", "gzip"),
        ("Content-Length", str(len(plan.body))),
    ]
    http = StatusAndHeaders(f"{plan.status} {_REASONS[plan.status]}", fields, protocol="HTTP/1.1")
    _write(writer, "response", plan.url, headers, plan.body, http)


def _corrupt(out: BinaryIO, offset: int, length: int) -> None:
    """Flip bytes in the middle of the gzip member at `offset` until it does not inflate, and go back to the end."""
    out.seek(offset)
    member = bytearray(out.read(length))
    for place in range(length // 2, length - 16):
        member[place] ^= 0xFF
        try:
            zlib.decompress(member, wbits=31)
        except zlib.error:
            if place >= length // 2 + 7:  # eight bytes at least, as a bad sector does
                break
    out.seek(offset)
    out.write(member)
    out.seek(0, 2)


def _truth(plan: Plan, archive: str, offset: int, length: int) -> TruthPage:
    article = plan.article
    return TruthPage(
        url=plan.url,
        archive=archive,
        offset=offset,
        length=length,
        status=plan.status,
        mime=plan.mime,
        kind=plan.kind,
        lang=plan.lang,
        duplicate_of=plan.original.url if plan.original else None,
        similarity=plan.similarity,
        charset=plan.encoding.charset if plan.encoding else None,
        charset_case=plan.encoding.case if plan.encoding else None,
        template=plan.site.template if plan.site and article else None,
        paragraphs=len(article.paragraphs) if article else 0,
        nchars=article.nchars if article else 0,
        notice=bool(plan.site and plan.site.notice),
        damaged=plan.damaged,
    )
