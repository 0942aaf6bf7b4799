"""Main content against a gold set of articles: F1, precision and recall of ours, Resiliparse's and trafilatura's text.

The set is laid out as scrapinghub's article-extraction-benchmark has it: `ground-truth.json` (`{id: {"articleBody":
text}}`) and `html/<id>.html.gz`. As there, a text is the bag of its shingles of four tokens, a token a run of word
characters; of a page TP are the shingles that both texts have, FP those that only the extracted one has, FN those that
only the gold one has, each divided by their sum; the means of these over the pages give precision, recall and F1.

    python tests/bench/gold.py DIR
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
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


def score(pairs: Iterator[tuple[str, str]]) -> tuple[float, float, float]:
    """(F1, precision, recall) of (gold, extracted) texts, macro-averaged as the benchmark does."""
    hits = extra = missed = 0.0
    for gold, extracted in pairs:
        want, got = shingles(gold), shingles(extracted)
        both = (want & got).total()
        parts = (both, got.total() - both, want.total() - both)
        scale = sum(parts) or 1
        hits, extra, missed = hits + parts[0] / scale, extra + parts[1] / scale, missed + parts[2] / scale
    precision = hits / (hits + extra) if hits + extra else 1.0
    recall = hits / (hits + missed) if hits + missed else 1.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0, precision, recall


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
    print(f"{'extractor':<14}{'pages':>6}{'F1':>8}{'prec.':>8}{'recall':>8}")
    for name, extract in extractors().items():
        f1, precision, recall = score((gold, extract(payload)) for gold, payload in pages)
        print(f"{name:<14}{len(pages):>6}{f1:>8.3f}{precision:>8.3f}{recall:>8.3f}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
