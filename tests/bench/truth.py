"""Recall and precision of duplicate documents on real pages whose copies are known, with the misses explained.

    python tests/bench/truth.py DIR [--min-jaccard 0.7] [--linkage kept] [--show 5] [--json]

DIR holds *.warc.gz and `truth.jsonl.gz`: per page `warc`, `offset`, `uri`, `exact_dup_of` (the URI of what it copies)
and `near_dup_group`. Of a group of n pages with text n - 1 should go. A page that goes counts for a group when the page
that it matches is of the same group. Precision: of all pages that went, those that match one of their own group; of the
others the true Jaccard similarity to their match tells whether the bands erred or the truth does not know of the copy.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from ccbuild.dedup.corpora.texts import CorpusConfig, duplicates, sketch
from ccbuild.dedup.jaccard import true_jaccard
from ccbuild.ledger import Ledger
from ccbuild.records import Document
from ccbuild.runner import ArchiveReader
from ccbuild.text.page import ExtractConfig

EDGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.0)


def pages(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """(truth, text) of every page that has text, in the order of a run."""
    with gzip.open(folder / "truth.jsonl.gz", "rt", encoding="utf-8") as stream:
        truth = {(row["warc"], row["offset"]): row for row in map(json.loads, stream)}
    rows, texts = [], []
    for path in sorted(folder.glob("*.warc.gz")):
        for page in ArchiveReader(path=str(path), name=path.name, config=ExtractConfig(), ledger=Ledger()):
            if isinstance(page, Document):
                rows.append(truth[page.archive, page.offset])
                texts.append("\n".join(page.paragraphs))
    return rows, texts


def exact_groups(rows: Sequence[dict[str, Any]]) -> list[Hashable]:
    """Of each page the URI of what it copies, its own where it is an original; None where it stands alone."""
    names = [row["exact_dup_of"] or row["uri"] for row in rows]
    copied = {row["exact_dup_of"] for row in rows}
    return [name if name in copied else None for name in names]


def bucket(jaccard: float) -> str:
    return f">= {next(edge for edge in EDGES if jaccard >= edge)}"


class Judgement:
    """What became of the pages, beside what should have."""

    def __init__(self, rows: Sequence[dict[str, Any]], texts: Sequence[str], config: CorpusConfig) -> None:
        self.rows, self.texts, self.config = rows, texts, config.signature
        self.sketch = sketch(texts, config)
        found = duplicates(self.sketch, config, lambda wanted: {int(n): texts[int(n)] for n in wanted})
        self.match = dict(zip(found.doc.tolist(), found.match.tolist(), strict=True))

    def recall(self, groups: Sequence[Hashable]) -> dict[str, Any]:
        """Of the groups' pages, all but one of each, those that went; of the others the similarity to the nearest."""
        members: dict[Hashable, list[int]] = defaultdict(list)
        for page, group in enumerate(groups):
            if group is not None:
                members[group].append(page)
        expected = hits = 0
        by_curve = 0.0
        missed: list[tuple[float, int, int]] = []
        for pages_of in members.values():
            expected += len(pages_of) - 1
            for n, page in enumerate(pages_of[1:], 1):
                nearest = max((self.jaccard(page, other), page, other) for other in pages_of[:n])
                by_curve += 1 - (1 - nearest[0] ** self.config.rows) ** self.config.bands
                if page in self.match:
                    hits += groups[self.match[page]] == groups[page] or self.match[page] in pages_of
                    continue
                missed.append(nearest)
        return {
            "expected": expected,
            "found": hits,
            "recall": round(hits / expected, 4),
            "expected by the curve at the true Jaccard": round(by_curve),
            "went for another page": expected - hits - len(missed),
            "missed, true Jaccard": dict(Counter(bucket(j) for j, _, _ in sorted(missed, reverse=True))),
            "missed, too short for a signature": sum(not self.sketch.signed[page] for _, page, _ in missed),
            "pairs missed": sorted(missed, reverse=True),
        }

    def jaccard(self, a: int, b: int) -> float:
        return 1.0 if self.texts[a] == self.texts[b] else true_jaccard(self.texts[a], self.texts[b], 5)

    def precision(self, *truths: Sequence[Hashable]) -> dict[str, Any]:
        """Of the pages that went, those whose match is of one of their groups; of the others the similarity."""
        strange = []
        for page, match in self.match.items():
            if not any(t[page] is not None and t[page] == t[match] for t in truths):
                strange.append((self.jaccard(page, match), page, match))
        n = len(self.match)
        return {
            "went": n,
            "in the truth": n - len(strange),
            "precision by the truth": round(1 - len(strange) / n, 4),
            "others, true Jaccard": dict(Counter(bucket(j) for j, _, _ in sorted(strange, reverse=True))),
            "went below a true Jaccard of 0.5": sum(j < 0.5 for j, _, _ in strange),
            "pairs unknown": sorted(strange),
        }

    def shown(self, pairs: Sequence[tuple[float, int, int]], count: int) -> list[str]:
        step = max(1, len(pairs) // max(1, count))
        return [
            f"{jaccard:.2f} {self.rows[a]['uri']} ({len(self.texts[a])} characters) | "
            f"{self.rows[b]['uri']} ({len(self.texts[b])})"
            for jaccard, a, b in pairs[::step][:count]
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--min-jaccard", type=float, default=CorpusConfig().min_jaccard)
    parser.add_argument("--show", type=int, default=5, help="pairs to show of each kind")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--linkage", default="kept", choices=("kept", "chain"))
    options = parser.parse_args()
    rows, texts = pages(options.folder)
    judged = Judgement(rows, texts, CorpusConfig(min_jaccard=options.min_jaccard, linkage=options.linkage))
    exact, near = exact_groups(rows), [row["near_dup_group"] for row in rows]
    found = {"exact": judged.recall(exact), "near": judged.recall(near), "precision": judged.precision(exact, near)}
    for facts in found.values():
        for key in [key for key in facts if key.startswith("pairs")]:
            facts[key] = judged.shown(facts[key], options.show)
    print(json.dumps({"pages": len(rows), **found}, indent=None if options.json else 1, ensure_ascii=False))


if __name__ == "__main__":
    main()
