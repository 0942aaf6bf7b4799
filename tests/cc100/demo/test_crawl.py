"""The crawl is what its sidecar says: read back from the archives' bytes, not from the plan."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest
from resiliparse.extract.html2text import extract_plain_text
from warcio.archiveiterator import ArchiveIterator
from warcio.recordloader import ArcWarcRecord

from cc100.demo.articles import Article, LanguageText, jaccard, sentence_key
from cc100.demo.charsets import LEGACY
from cc100.demo.crawl import Crawl, write_crawl
from cc100.demo.plan import plan_pages
from cc100.demo.templates import TEMPLATES
from cc100.demo.truth import TruthPage, read_truth
from ccbuild.errors import ConfigError, MismatchError

SEED = 20261101


def codec(charset: str) -> str:
    """Python's name of what browsers read by a label."""
    windows = {"windows-874": "cp874", "shift_jis": "cp932", "euc-kr": "cp949"}
    return {**windows, "iso-8859-1": "cp1252", "iso-8859-9": "cp1254"}.get(charset, charset)


@pytest.fixture(scope="module")
def truth(small_crawl: Crawl) -> list[TruthPage]:
    return read_truth(small_crawl.truth)


@pytest.fixture(scope="module")
def bodies(small_crawl: Crawl, truth: list[TruthPage]) -> dict[str, tuple[str, bytes]]:
    """URL to Content-Type and payload of every undamaged page, inflated from its own member alone."""
    found = {}
    for archive in small_crawl.archives:
        raw = archive.read_bytes()
        for page in truth:
            if page.archive != archive.name or page.damaged:
                continue
            inflater = zlib.decompressobj(wbits=31)
            record = inflater.decompress(raw[page.offset : page.offset + page.length])
            assert inflater.eof
            assert not inflater.unused_data
            warc, http, payload = record.removesuffix(b"\r\n\r\n").split(b"\r\n\r\n", 2)
            assert b"WARC-Type: response" in warc
            assert f"WARC-Target-URI: {page.url}\r\n".encode() in warc
            assert http.startswith(f"HTTP/1.1 {page.status} ".encode())
            kind = re.search(rb"Content-Type: ([^\r\n]+)", http)
            assert kind
            found[page.url] = kind[1].decode(), payload
    return found


@pytest.fixture(scope="module")
def extracted(truth: list[TruthPage], bodies: dict[str, tuple[str, bytes]]) -> dict[str, str]:
    """URL to main text, decoded by the true charset."""
    return {
        p.url: extract_plain_text(bodies[p.url][1].decode(codec(p.charset)), main_content=True)
        for p in truth
        if p.charset and not p.damaged
    }


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_same_bytes_in_another_process(
    tmp_path: Path, small_crawl: Crawl, demo_sources: dict[str, Path]
) -> None:
    code = (
        "import sys; from pathlib import Path; from cc100.demo.crawl import write_crawl; "
        "write_crawl(Path(sys.argv[1]), pages=400, eld=Path(sys.argv[2]), gflanguages=Path(sys.argv[3]))"
    )
    arguments = [str(tmp_path), str(demo_sources["eld"]), str(demo_sources["gflanguages"])]
    environment = {**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=environment)
    assert digests(tmp_path) == digests(small_crawl.folder)


def test_second_call_writes_nothing(small_crawl: Crawl, demo_sources: dict[str, Path]) -> None:
    before = {path: path.stat().st_mtime_ns for path in small_crawl.folder.rglob("*")}
    assert write_crawl(small_crawl.folder, pages=400, **demo_sources) == small_crawl
    assert {path: path.stat().st_mtime_ns for path in small_crawl.folder.rglob("*")} == before


def test_other_settings_are_refused(small_crawl: Crawl, demo_sources: dict[str, Path]) -> None:
    with pytest.raises(MismatchError, match=r"demo\.seed=20261101"):
        write_crawl(small_crawl.folder, pages=400, seed=1, **demo_sources)


@pytest.mark.parametrize("pages", [120, 5000])
def test_impossible_sizes_are_refused(
    texts: dict[str, LanguageText], excerpts: dict[str, tuple[LanguageText, Article]], pages: int
) -> None:
    with pytest.raises(ConfigError, match="Choose another number of pages"):
        plan_pages(texts, excerpts, pages, SEED)


def test_one_file_is_refused(tmp_path: Path, demo_sources: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="2 or more"):
        write_crawl(tmp_path, files=1, **demo_sources)
    assert not list(tmp_path.iterdir())


def test_the_smallest_and_the_largest_plan(
    texts: dict[str, LanguageText], excerpts: dict[str, tuple[LanguageText, Article]]
) -> None:
    for pages in (300, 3800):
        plans = plan_pages(texts, excerpts, pages, SEED)
        assert len({plan.url for plan in plans}) == pages
        assert len({plan.lang for plan in plans if plan.kind == "unique"}) == len(texts) + len(excerpts)


def test_another_seed_and_number_of_files(tmp_path: Path, small_crawl: Crawl, demo_sources: dict[str, Path]) -> None:
    other = write_crawl(tmp_path, pages=300, files=2, seed=5, **demo_sources)
    assert (other.pages, len(other.archives), other.languages) == (300, 2, small_crawl.languages)
    assert Counter(p.damaged for p in read_truth(other.truth)) == {None: 298, "truncated": 1, "corrupted": 1}


def test_every_page_has_its_line(small_crawl: Crawl, truth: list[TruthPage]) -> None:
    kinds = Counter(page.kind.partition(":")[0] for page in truth)
    assert kinds["unique"] == 400 - sum(n for kind, n in kinds.items() if kind != "unique")
    assert {kind: n >= 16 for kind, n in kinds.items()} == dict.fromkeys(
        ("unique", "exact_duplicate", "near_duplicate", "junk", "other"), True
    )
    assert len({page.url for page in truth}) == len(truth) == small_crawl.pages == 400
    assert len(small_crawl.archives) == 4
    assert len({page.lang for page in truth if page.lang}) == small_crawl.languages >= 90
    assert len(small_crawl.prose) == 60
    assert all(page.paragraphs >= 4 and page.nchars >= 400 for page in truth if page.lang)
    assert {page.template for page in truth if page.kind == "unique"} == set(TEMPLATES)


def test_records_stand_in_common_crawls_order(small_crawl: Crawl) -> None:
    records: list[tuple[str, str | None]] = []

    def note(record: ArcWarcRecord) -> None:
        record.content_stream().read()
        assert record.digest_checker.passed is not False
        assert not record.digest_checker.problems
        records.append((record.rec_type, record.rec_headers.get_header("WARC-Target-URI")))

    with open(small_crawl.archives[0], "rb") as stream:
        for record in ArchiveIterator(stream, check_digests=True):
            note(record)
    assert records[0] == ("warcinfo", None)
    kinds, urls = zip(*records[1:], strict=True)
    assert kinds == ("request", "response", "metadata") * (len(kinds) // 3)
    assert urls[0::3] == urls[1::3] == urls[2::3]


def test_two_records_are_damaged(small_crawl: Crawl, truth: list[TruthPage]) -> None:
    truncated, corrupted = (next(p for p in truth if p.damaged == d) for d in ("truncated", "corrupted"))
    last = small_crawl.archives[-1].read_bytes()
    assert truncated == truth[-1]
    assert truncated.offset + truncated.length == len(last)
    inflater = zlib.decompressobj(wbits=31)
    assert b"WARC-Type: response" in inflater.decompress(last[truncated.offset :])
    assert not inflater.eof
    raw = (small_crawl.folder / corrupted.archive).read_bytes()
    with pytest.raises(zlib.error):
        zlib.decompress(raw[corrupted.offset : corrupted.offset + corrupted.length], wbits=31)
    assert raw[corrupted.offset + corrupted.length :][:3] == b"\x1f\x8b\x08"
    assert truncated.archive != corrupted.archive
    copied = {p.duplicate_of for p in truth}
    assert not copied & {truncated.url, corrupted.url}


def test_copies_stand_after_their_originals(truth: list[TruthPage]) -> None:
    place = {page.url: (page.archive, page.offset) for page in truth}
    kinds = {page.url: page for page in truth}
    for page in truth:
        assert (page.duplicate_of is None) == ("duplicate" not in page.kind)
        if page.duplicate_of:
            original = kinds[page.duplicate_of]
            assert place[original.url] < place[page.url]
            assert (original.kind, original.damaged, original.lang) == ("unique", None, page.lang)


def test_extraction_gives_copies_as_planned(truth: list[TruthPage], extracted: dict[str, str]) -> None:
    for page in truth:
        if page.kind == "exact_duplicate" and page.duplicate_of:
            assert extracted[page.url] == extracted[page.duplicate_of], page
        elif page.kind == "near_duplicate" and page.duplicate_of:
            found = jaccard(extracted[page.url], extracted[page.duplicate_of])
            assert 0.85 <= found < 1.0, page
            assert found == pytest.approx(page.similarity, abs=0.08)


def test_articles_survive_extraction_in_every_template(
    truth: list[TruthPage],
    extracted: dict[str, str],
    texts: dict[str, LanguageText],
    excerpts: dict[str, tuple[LanguageText, Article]],
) -> None:
    plans = plan_pages(texts, excerpts, 400, SEED)
    assert [plan.url for plan in plans] == [page.url for page in truth]
    for plan in plans:
        if plan.article is None or plan.damaged or plan.url not in extracted:
            continue
        lines = {" ".join(line.split()) for line in extracted[plan.url].split("\n")}
        assert {" ".join(p.split()) for p in plan.article.paragraphs} <= lines, (plan.url, lines)
        assert plan.site
        furniture = " ".join(plan.site.menu[6:])  # of no heading: must have gone with the menus
        assert plan.site.footer not in lines
        assert plan.site.banner not in lines
        assert furniture not in lines


def test_no_sentence_of_the_prose_is_on_a_page(
    small_crawl: Crawl,
    truth: list[TruthPage],
    bodies: dict[str, tuple[str, bytes]],
    texts: dict[str, LanguageText],
) -> None:
    pages: dict[str | None, str] = dict.fromkeys([*texts, None], "")
    for page in truth:
        if page.charset and page.url in bodies:
            pages[page.lang] = pages.get(page.lang, "") + sentence_key(bodies[page.url][1].decode(codec(page.charset)))
    for code, path in small_crawl.prose.items():
        keys = [sentence_key(sentence) for sentence in texts[code].prose]
        assert sentence_key(path.read_text(encoding="utf-8")) == "".join(keys)
        assert len(keys) >= 240
        assert not [key for key in keys if len(key) >= 20 and (key in pages[code] or key in pages[None])]
        printed = (*texts[code].portions, texts[code].loose, texts[code].furniture)
        assert not {sentence_key(sentence) for part in printed for sentence in part} & set(keys)


def test_unique_pages_share_no_sentence(texts: dict[str, LanguageText]) -> None:
    places = Counter(sentence_key(s) for text in texts.values() for part in (*text.portions, text.loose) for s in part)
    assert places.most_common(1)[0][1] == 1


def test_notices_repeat_over_their_sites(truth: list[TruthPage], extracted: dict[str, str]) -> None:
    sites: dict[str, list[TruthPage]] = {}
    for page in truth:
        if page.notice and not page.damaged:
            sites.setdefault(page.url.split("/")[2], []).append(page)
    assert len(sites) > 3
    for pages in sites.values():
        common = set.intersection(*(set(extracted[p.url].split("\n")) for p in pages))
        assert len(pages) >= 3
        assert max(map(len, common)) > 60
        assert not {p.url for p in pages} & {p.duplicate_of for p in truth}


def test_declared_charsets_are_right_or_wrong_as_stated(
    truth: list[TruthPage], bodies: dict[str, tuple[str, bytes]]
) -> None:
    cases = Counter(page.charset_case for page in truth)
    assert {"utf8_header", "utf8_meta", "utf8_undeclared", "legacy_header", "legacy_meta"} <= set(cases)
    for page in truth:
        if page.charset is None or page.damaged or not page.charset_case:
            continue
        kind, body = bodies[page.url]
        header = kind.partition("charset=")[2] or None
        meta = re.search(rb"<meta[^>]*charset=\"?([\w-]+)", body)
        declared = header, meta[1].decode() if meta else None
        if page.charset != "utf-8":
            assert page.charset in LEGACY[page.lang or ""]
            with pytest.raises(UnicodeDecodeError):
                body.decode("utf-8")
        if page.charset_case.endswith("_undeclared"):
            assert declared == (None, None)
        elif page.charset_case.endswith("_header"):
            assert header == page.charset
        elif page.charset_case.endswith("_meta"):
            assert declared == (None, page.charset)
        else:
            assert page.charset not in declared


def test_lid_knows_the_languages(truth: list[TruthPage], extracted: dict[str, str], lid_path: Path) -> None:
    import fasttext

    model = fasttext.load_model(str(lid_path))
    right: Counter[str] = Counter()
    pages = [page for page in truth if page.kind == "unique" and not page.damaged and page.lang]
    for page in pages:
        label = model.predict(" ".join(extracted[page.url].split()))[0][0].removeprefix("__label__")
        right[page.lang or ""] += label == (page.lang or "").partition("-")[0]
    assert right.total() / len(pages) >= 0.95
    assert {code for code in right if not right[code]} <= {"ms", "no", "yo"}
