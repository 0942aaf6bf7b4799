"""Main content against a gold set of articles: F1, precision and recall of ours, Resiliparse's and trafilatura's text.

The set is laid out as scrapinghub's article-extraction-benchmark has it: `ground-truth.json` (`{id: {"articleBody":
text}}`) and `html/<id>.html.gz`. As there, a text is the bag of its shingles of four tokens, a token a run of word
characters. A page's precision is the share of the extracted shingles that the gold text has, its recall the share of
the gold text's that were extracted; both are averaged over the pages, and F1 is that of the averages. Its 95 % interval
is found by drawing pages anew, 1,000 times, by a fixed seed. The last column is F1 of sums: of each page the shingles
that both texts have, that one alone has and that the other has, divided by their sum, are added up over the pages. A
page lost whole costs less there.

    python tests/bench/gold.py DIR
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from resiliparse.extract.html2text import extract_plain_text

from ccbuild.text.page import ExtractConfig, PageText, page_text

_TOKEN = re.compile(r"\w+")
SHINGLE = 4


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """The bag of runs of four tokens; of a shorter text the run of all its tokens."""
    tokens = _TOKEN.findall(text)
    if len(tokens) < SHINGLE:
        return Counter([tuple(tokens)] if tokens else [])
    return Counter(zip(*(tokens[i:] for i in range(SHINGLE)), strict=False))


Counts = tuple[int, int, int]
"""Of a page: shingles that both texts have, that only the extracted one has, that only the gold one has."""


def counted(gold: str, extracted: str) -> Counts:
    """The counts of a page."""
    want, got = shingles(gold), shingles(extracted)
    both = (want & got).total()
    return both, got.total() - both, want.total() - both


def _share(part: float, other: float, whole: bool) -> float:
    return 1.0 if whole else part / (part + other) if part else 0.0


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def score(pages: Sequence[Counts]) -> tuple[float, float, float]:
    """(F1, precision, recall) by the set's own measure."""
    rows = [(_share(b, e, not e + m), _share(b, m, not e + m)) for b, e, m in pages]
    precision, recall = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    return _f1(precision, recall), precision, recall


def score_of_sums(pages: Sequence[Counts]) -> float:
    """F1 of the pages' shares, summed."""
    both, extra, missed = (sum(c[i] / (sum(c) or 1) for c in pages) for i in range(3))
    return _f1(_share(both, extra, not extra), _share(both, missed, not missed))


def interval(pages: Sequence[Counts], draws: int = 1000, seed: int = 7) -> tuple[float, float]:
    """The 95 % interval of F1, by bootstrap over the pages."""
    rng = random.Random(seed)
    drawn = sorted(score(rng.choices(pages, k=len(pages)))[0] for _ in range(draws))
    return drawn[int(0.025 * draws)], drawn[int(0.975 * draws)]


def ours(payload: bytes) -> str:
    """The text that a run would store."""
    found = page_text("response", 200, "text/html", payload, ExtractConfig())
    return "\n".join(found.paragraphs) if isinstance(found, PageText) else ""


def resiliparse(payload: bytes) -> str:
    """Resiliparse's main content with its own defaults but for alternative texts."""
    html = payload.decode("utf-8", "replace")
    return str(extract_plain_text(html, preserve_formatting=True, main_content=True, alt_texts=False))


def trafilatura(payload: bytes) -> str:
    """trafilatura's text without comments."""
    from trafilatura import extract

    return extract(payload.decode("utf-8", "replace"), include_comments=False) or ""


def extractors() -> dict[str, Callable[[bytes], str]]:
    """Ours and the peers that are installed."""
    found: dict[str, Callable[[bytes], str]] = {"ours": ours, "resiliparse": resiliparse}
    if importlib.util.find_spec("trafilatura"):
        found["trafilatura"] = trafilatura
    return found


def main(folder: Path) -> None:
    """Print one row an extractor."""
    truth = json.loads((folder / "ground-truth.json").read_text(encoding="utf-8"))
    pages = [
        (entry["articleBody"], gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes()))
        for name, entry in sorted(truth.items())
    ]
    print(f"{'extractor':<14}{'pages':>6}{'F1':>8}{'95 %':>16}{'prec.':>8}{'recall':>8}{'F1 of sums':>12}")
    for name, extract in extractors().items():
        counts = [counted(gold, extract(payload)) for gold, payload in pages]
        (f1, precision, recall), (low, high) = score(counts), interval(counts)
        print(
            f"{name:<14}{len(pages):>6}{f1:>8.3f}{f'{low:.3f} to {high:.3f}':>16}{precision:>8.3f}{recall:>8.3f}"
            f"{score_of_sums(counts):>12.3f}"
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
