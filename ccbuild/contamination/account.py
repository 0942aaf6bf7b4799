"""How much of each benchmark stands in documents, by its language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ccbuild.contamination.overlaps import Benchmarks, Overlap

__all__ = ["Account"]


class Account:
    """What has been found so far."""

    def __init__(self, benchmarks: Benchmarks) -> None:
        self.benchmarks = benchmarks
        self.documents = 0
        """That were looked at."""
        self.held = 0
        """Documents that hold at least one item."""
        self._seen = np.zeros(len(benchmarks.items), np.bool_)
        self._holders = Counter[tuple[str, str]]()

    def find(self, texts: Sequence[str]) -> Iterator[Overlap]:
        """Each item that each text holds, once, by text and place; all of them are counted here."""
        holders, held, told = set[tuple[int, tuple[str, str]]](), set[int](), set[tuple[int, int]]()
        for overlap in self.benchmarks.find(texts):
            if (overlap.document, overlap.item) not in told:
                told.add((overlap.document, overlap.item))
                self._seen[overlap.item] = True
                held.add(overlap.document)
                holders.add((overlap.document, self.benchmarks.items[overlap.item]))
                yield overlap
        self._holders.update(benchmark for _, benchmark in holders)
        self.documents += len(texts)
        self.held += len(held)

    def rows(self) -> list[dict[str, Any]]:
        """A row a benchmark and language; `share` is that of the items which are long enough to be looked for, None
        where there are none."""
        items = Counter(self.benchmarks.items)
        short = self._counted(self.benchmarks.short)
        seen = self._counted(self._seen)
        return [
            {
                "benchmark": name,
                "lang": lang,
                "items": number,
                "too_short": short[name, lang],
                "seen": seen[name, lang],
                "share": seen[name, lang] / long if (long := number - short[name, lang]) else None,
                "documents": self._holders[name, lang],
            }
            for (name, lang), number in sorted(items.items())
        ]

    def _counted(self, chosen: Iterable[bool]) -> Counter[tuple[str, str]]:
        return Counter(item for item, here in zip(self.benchmarks.items, chosen, strict=True) if here)
