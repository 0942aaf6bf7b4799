"""Documents a CPU second that are asked for 100,000 test items, and the memory of that.

    python tests/bench/contamination.py ARCHIVE... [--items 100000] [--rounds 5]

The documents are the pages of the archives. The items are sentences of random words of 4 to 12 letters, 60 to 200
characters each, so that no page holds one, and the time is that of looking; one page in a hundred is given an item.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from pathlib import Path

import ccbuild
from ccbuild.contamination.benchmarks import Item
from ccbuild.contamination.overlaps import Benchmarks


def megabytes(name: str) -> int:
    """This process's memory by its own status."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) >> 10


def sentences(number: int) -> list[str]:
    """Items of random words."""
    chance = random.Random(1)
    vocabulary = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(4, 12))) for _ in range(50_000)]
    return [" ".join(chance.choices(vocabulary, k=chance.randint(8, 22))) for _ in range(number)]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", nargs="+")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    texts = [document.text for path in options.archives for document in ccbuild.read(path)]
    items = sentences(options.items)
    planted = [f"{text}\n{items[n]}" if n % 100 == 0 and n < len(items) else text for n, text in enumerate(texts)]
    list(Benchmarks([Item("warm", "", items[0])]).find(texts[:1]))
    before, start = megabytes("VmRSS"), time.process_time()
    benchmarks = Benchmarks(Item("random", "", text) for text in items)
    made = time.process_time() - start
    memory, characters = megabytes("VmRSS") - before, sum(map(len, items))
    print(f"{len(items):,} items of {characters:,} characters: {made:.1f} CPU s, {memory} MB")
    seconds = []
    for _ in range(options.rounds):
        start = time.process_time()
        found = {overlap.document for overlap in benchmarks.find(planted)}
        seconds.append(time.process_time() - start)
    assert found == {n for n, (text, other) in enumerate(zip(texts, planted, strict=True)) if text != other}
    best = statistics.median(seconds)
    characters = sum(map(len, planted))
    print(
        f"{len(planted):,} documents of {characters / len(planted):,.0f} characters: {len(planted) / best:,.0f} a CPU "
        f"second, {best / characters * 1e9:.1f} ns a character; peak of the process {megabytes('VmHWM')} MB"
    )


if __name__ == "__main__":
    main()
