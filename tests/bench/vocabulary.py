"""Memory and time of a vocabulary on a corpus, and on ten times the text: copies in which 15 % of the words are varied.

Each is counted and trained in a process of its own, whose peak memory (resident) is told.

    python tests/bench/vocabulary.py runs/mine --size 250000 --times 1 10
"""

from __future__ import annotations

import argparse
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from ccbuild.corpus import CorpusLanguage, open_corpus
from ccbuild.vocab.config import VocabularyConfig
from ccbuild.vocab.train import build_vocabulary
from ccbuild.vocab.words import count_words

VARIED = 0.15


def varied(language: CorpusLanguage, times: int) -> Iterator[str]:
    """The paragraphs, and `times` - 1 copies in which some words have two letters changed about."""
    random_ = random.Random(language.code)
    for copy in range(times):
        for paragraph in language.paragraphs():
            words = paragraph.split(" ")
            yield " ".join([swapped(word, random_) for word in words]) if copy else paragraph


def swapped(word: str, random_: random.Random) -> str:
    if len(word) < 4 or random_.random() >= VARIED:
        return word
    i = random_.randrange(len(word) - 2)
    return word[:i] + word[i + 1] + word[i] + word[i + 2 :]


def train(corpus: dict[str, CorpusLanguage], times: int, config: VocabularyConfig) -> None:
    """Count and train here; print what it took."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = {code: folder / f"{code}.parquet" for code in corpus}
        for code, path in paths.items():
            count_words(varied(corpus[code], times), config, path, lambda scratch: folder / scratch)
        counted = time.monotonic() - start
        counting = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        made = build_vocabulary(paths, config)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{times:>5} {made.words:>12,} {made.rows:>12,} {made.size:>9,} {counted:>10.0f} s "
        f"{time.monotonic() - start - counted:>8.0f} s {counting:>9.2f} GB {peak:>9.2f} GB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", help="a run with a corpus")
    parser.add_argument("--size", type=int, default=250_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--here", action="store_true", help="in this process (one of --times)")
    options = parser.parse_args()
    if options.here:
        config = VocabularyConfig(size=options.size, threads=options.threads, hard_limit=True)
        train(open_corpus(options.corpus), options.times[0], config)
        return
    print(f"{platform.processor() or platform.machine()}, sentencepiece {version('sentencepiece')}")
    print("times   distinct words    trained on    pieces    counting   training    counting       peak", flush=True)
    for times in options.times:
        command = [sys.executable, __file__, options.corpus, "--here", "--times", str(times)]
        subprocess.run([*command, "--size", str(options.size), "--threads", str(options.threads)], check=True)


if __name__ == "__main__":
    main()
