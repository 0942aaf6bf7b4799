"""Main content in many languages: ours, Resiliparse's and all text against trafilatura's, and the time of each.

A page's tokens are runs of word characters, in scripts without spaces each character; F1 is of the two bags of tokens,
averaged over the pages of a language. Reads WARC files and `truth.jsonl.gz` beside them (`record_id`, `uri`, `lang`).
Only pages of hosts that the rules were not tuned on are scored. Without trafilatura only the times are printed.

    python tests/bench/extraction.py --data DIR [--languages en ru ...] [--pages 60]
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import logging
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text

from ccbuild.text.charset import decode
from ccbuild.text.page import ExtractConfig, PageText, page_text

LANGUAGES = "en fr de vi ru uk el zh-Hans ja ko fa ta".split()
"""Twelve languages of eight scripts, and of which the pages come from more than one host."""
TUNED_ON = frozenset(
    "apt.distro.example aptitude-doc.docs.example d-i.amd64.distro.example d-i.arm64.distro.example "
    "d-i.i386.distro.example debian-edu-doc.docs.example debian-faq.docs.example docs.image-editor.example "
    "handbook.distro.example help.office-suite.example maint-guide.docs.example".split()
)
"""Hosts whose pages were looked at while the rules were made; beside them every second host of news."""
_TOKEN = re.compile(r"[\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")


def held_out(host: str) -> bool:
    """Whether a host was kept apart from tuning."""
    return sum(host.encode()) % 2 == 1 if host.endswith("news.example") else host not in TUNED_ON


def tokens(text: str) -> Counter[str]:
    """Bag of tokens."""
    return Counter(_TOKEN.findall(text))


def agreement(want: Counter[str], got: Counter[str]) -> tuple[float, float, float]:
    """(F1, precision, recall) of two bags."""
    if not want and not got:
        return 1.0, 1.0, 1.0
    both = (want & got).total()
    return 2 * both / (want.total() + got.total()), both / max(got.total(), 1), both / max(want.total(), 1)


def pages(folder: Path, languages: list[str], most: int) -> Iterator[tuple[str, str]]:
    """(language, HTML) of held-out pages, the first `most` of each language."""
    with gzip.open(folder / "truth.jsonl.gz", "rt", encoding="utf-8") as lines:
        truth = {row["record_id"]: row for row in map(json.loads, lines)}
    seen: Counter[str] = Counter()
    for path in sorted(folder.glob("*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                row = truth.get(record.headers.get("WARC-Record-ID"))
                if row is None or row["lang"] not in languages or not held_out(urlsplit(row["uri"]).hostname or ""):
                    continue
                if seen[row["lang"]] < most:
                    seen[row["lang"]] += 1
                    yield row["lang"], decode(record.reader.read(), record.http_headers.get("Content-Type") or "")[0]


def ours(html: str) -> str:
    """As a run does it."""
    found = page_text("response", 200, "text/html; charset=utf-8", html.encode("utf-8", "replace"), ExtractConfig())
    return "\n".join(found.paragraphs) if isinstance(found, PageText) else ""


def plain(main_content: bool) -> Callable[[str], str]:
    """Resiliparse's text."""

    def extract(html: str) -> str:
        return str(
            extract_plain_text(
                html, preserve_formatting=True, main_content=main_content, list_bullets=False, alt_texts=False
            )
        )

    return extract


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--languages", nargs="+", default=LANGUAGES)
    parser.add_argument("--pages", type=int, default=60, help="of each language")
    options = parser.parse_args()
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    extractors = {"ours": ours, "resiliparse": plain(True), "all": plain(False)}
    if importlib.util.find_spec("trafilatura"):
        from trafilatura import extract

        extractors["trafilatura"] = lambda html: extract(html, include_comments=False) or ""
    ours("<p>word")  # compile
    seconds: Counter[str] = Counter()
    scores: dict[str, dict[str, list[tuple[float, float, float]]]] = defaultdict(lambda: defaultdict(list))
    count = 0
    for language, html in pages(options.data, options.languages, options.pages):
        texts, count = {}, count + 1
        for name, extractor in extractors.items():
            start = time.process_time()
            texts[name] = extractor(html)
            seconds[name] += time.process_time() - start  # type: ignore[assignment]
        want = tokens(texts.get("trafilatura", ""))
        for name in ("ours", "resiliparse", "all"):
            scores[language][name].append(agreement(want, tokens(texts[name])))
    print(f"{count} pages; microseconds a page: " + ", ".join(f"{n} {s / count * 1e6:.0f}" for n, s in seconds.items()))
    if "trafilatura" not in extractors:
        print("trafilatura is not installed, so nothing is compared: pip install trafilatura lxml_html_clean")
        return
    print(f"{'':8}{'pages':>6}" + "".join(f"{name:>26}" for name in ("ours", "resiliparse", "all")))
    print(f"{'':14}" + f"{'F1':>10}{'prec.':>8}{'recall':>8}" * 3)
    for language in options.languages:
        rows = scores[language]
        cells = ""
        for name in ("ours", "resiliparse", "all"):
            means = [sum(column) / len(rows[name]) for column in zip(*rows[name], strict=True)] or [0.0] * 3
            cells += f"{means[0]:>10.3f}{means[1]:>8.3f}{means[2]:>8.3f}"
        print(f"{language:8}{len(rows['ours']):>6}{cells}")


if __name__ == "__main__":
    main()
