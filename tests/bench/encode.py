"""Encoding a corpus to token shards beside bare SentencePiece over a list, CPU seconds in one process, in turn.

Ours is the verb's whole work on each language: Parquet in, ids, offsets and manifest out. Bare is
`SentencePieceProcessor.encode` over the same paragraphs as a list in memory.

    python tests/bench/encode.py runs/mine --rounds 5
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import shutil
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from cc100.verbs.encode import EncodeLanguage
from cc100.verbs.vocab import published
from ccbuild.corpus import open_corpus
from ccbuild.rundir import open_run_dir
from ccbuild.runner import Timings
from ccbuild.vocab.export import MODEL_NAME


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run with a corpus and a vocabulary")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--languages", default="en,ru,ar,hi,th,ja,sw,fi", help="codes, or all")
    options = parser.parse_args()
    run, corpus = open_run_dir(options.run), open_corpus(options.run)
    wanted = list(corpus) if options.languages == "all" else options.languages.split(",")
    codes = [code for code in wanted if code in published(run)]
    processor = SentencePieceProcessor(model_file=str(run.folder("vocab") / MODEL_NAME), num_threads=1)
    lines = [line for code in codes for line in corpus[code].paragraphs()]
    nbytes = sum(len(line.encode()) for line in lines)
    bare, ours = [], []
    with tempfile.TemporaryDirectory() as folder:
        copy = dataclasses.replace(run, root=Path(folder))
        for name in ("5-corpus", "6-vocabulary"):
            (copy.root / name).symlink_to(run.root / name)
        for number in range(options.rounds + 1):
            start = time.process_time()
            processor.encode(lines)
            middle = time.process_time()
            for code in codes:
                task = EncodeLanguage(copy, code, {})
                with task.unit() as unit:
                    task.work(unit, Timings())
            if number:  # the first round warms up
                bare.append(middle - start)
                ours.append(time.process_time() - middle)
            shutil.rmtree(copy.root / "7-tokens")
    ratio = statistics.median(b / o for b, o in zip(bare, ours, strict=True))
    print(f"{platform.processor() or platform.machine()}, sentencepiece {version('sentencepiece')}")
    print(
        f"{len(codes)} languages, {len(lines):,} paragraphs, {nbytes / 1e6:.1f} MB, "
        f"{processor.get_piece_size():,} pieces"
    )
    for name, seconds in (("bare SentencePiece", bare), ("verb encode", ours)):
        middle = statistics.median(seconds)
        print(f"{name:<20}{middle:8.3f} s  ({min(seconds):.3f}–{max(seconds):.3f})  {nbytes / 1e6 / middle:6.2f} MB/s")
    print(f"ours over bare: {ratio:.2f} times the speed")


if __name__ == "__main__":
    main()
