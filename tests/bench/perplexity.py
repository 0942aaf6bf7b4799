"""Perplexity against its peers in the same run: scoring against cc_net's transformers, estimating against lmplz.

    python tests/bench/perplexity.py score --models DIR --data DIR [--ccnet PYTHON] [--langs en,sw,ja,ru] [--reps 3]
    python tests/bench/perplexity.py share --models DIR --data DIR [--langs …]
    python tests/bench/perplexity.py estimate --text FILE… [--tokens 10000000] [--memory 4096]
    python tests/bench/perplexity.py load --models DIR

`score`: end to end (normalise, pieces, KenLM) on one core, documents from the WET files and truth.jsonl.gz of DATA, the
same models for both; PYTHON is that of an environment with cc_net 1.0.0, kenlm and sentencepiece. `share`: the error
that scoring a share of the paragraphs makes. `estimate`: CPU seconds and peak memory of ours, and of lmplz and
build_binary on the PATH, over the same pieces. `load`: opening every model of a folder. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import multiprocessing
import os
import platform
import random
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import sentencepiece
from warcio.archiveiterator import ArchiveIterator

from ccbuild.lm.arpa import write_arpa
from ccbuild.lm.kneser_ney import estimate_ngrams, read_sentences
from ccbuild.lm.lmplz import find_programs
from ccbuild.lm.probing import write_probing
from ccbuild.lm.score import Scorer, sample
from ccbuild.rows import read_paragraphs
from ccbuild.storage import sha256_file
from ccbuild.text.normalise import normalise_ccnet_lines

CCNET = """
import json, sys, time
sys.modules["sacremoses"] = type(sys)("sacremoses")  # cc_net imports it for another step
from pathlib import Path
from cc_net import perplexity
lang, pieces, ngrams, reps = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
documents = json.load(sys.stdin)
sp = perplexity.MultiSentencePiece({lang: pieces}, field="raw_content", output_field="tokenized", normalize=True)
lm = perplexity.DocLM({lang: ngrams}, field="tokenized", output_field="perplexity", normalize=False)
sp.get_sp(lang), lm.get_lm(lang)
for rep in range(reps + 1):
    start = time.process_time()
    found = [lm.do(sp.do({"raw_content": d, "language": lang})).get("perplexity") for d in documents]
    if rep:
        print(json.dumps(time.process_time() - start))
print(json.dumps(found))
"""


def documents_of(data: Path, langs: list[str], most: int = 400, min_chars: int = 500) -> dict[str, list[str]]:
    """Text of WET records by the language that the truth beside them states."""
    with gzip.open(data / "truth.jsonl.gz", "rt", encoding="utf-8") as stream:
        truth = {record["uri"]: record["true_lang"] for record in map(json.loads, stream)}
    found: dict[str, list[str]] = {lang: [] for lang in langs}
    for path in sorted(data.glob("*.wet.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream):
                lang = truth.get(record.rec_headers.get_header("WARC-Target-URI"))
                if record.rec_type == "conversion" and lang in found and len(found[lang]) < most:
                    text = record.content_stream().read().decode("utf-8", "replace")
                    if len(text) >= min_chars:
                        found[lang].append(text)
    return found


def scorer_of(models: Path, lang: str, definition: str = "paragraph") -> Scorer:
    ngrams = models / f"{lang}.binary"
    pieces = models / f"{lang}.sp.model"
    return Scorer(pieces, ngrams, definition=definition, ngrams_sha256=sha256_file(ngrams))  # type: ignore[arg-type]


def timed(work: Callable[[], object], reps: int) -> float:
    """Median CPU seconds, after one run that is not counted."""
    work()
    taken = []
    for _ in range(reps):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def bench_score(options: argparse.Namespace) -> None:
    print(f"{'':<6}{'documents':>10}{'chars':>8}{'paragraph':>11}{'ccnet':>8}{'cc_net':>8}{'ratio':>7}  µs a document")
    for lang, texts in documents_of(options.data, options.langs.split(",")).items():
        split = [text.split("\n") for text in texts]
        ours = {d: scorer_of(options.models, lang, d) for d in ("paragraph", "ccnet")}
        spent = {
            d: timed(lambda s=s, x=split: [s.score(document) for document in x], options.reps) / len(texts)
            for d, s in ours.items()
        }
        line = f"{lang:<6}{len(texts):>10,}{statistics.mean(map(len, texts)):>8,.0f}"
        line += f"{spent['paragraph'] * 1e6:>11,.0f}{spent['ccnet'] * 1e6:>8,.0f}"
        if options.ccnet:
            command = [options.ccnet, "-c", CCNET, lang, str(options.models / f"{lang}.sp.model")]
            command += [str(options.models / f"{lang}.binary"), str(options.reps)]
            done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True)
            *seconds, answers = map(json.loads, done.stdout.splitlines()[-options.reps - 1 :])
            theirs = statistics.median(seconds) / len(texts)
            mine = [ours["ccnet"].score(x) for x in split]
            differ = sum(
                abs(m.perplexity - t) > 0.1001 for m, t in zip(mine, answers, strict=True) if m.pieces and t is not None
            )
            line += f"{theirs * 1e6:>8,.0f}{theirs / spent['ccnet']:>7.2f}  {differ} perplexities differ by over 0.1"
        print(line, flush=True)


def bench_share(options: argparse.Namespace) -> None:
    print(f"{'':<6}{'share':>6}{'documents':>10}{'chars':>8}{'median':>8}{'p90':>8}{'other third':>12}{'cost':>6}")
    for lang, texts in documents_of(options.data, options.langs.split(","), 2000, 10_000).items():
        scorer, split = scorer_of(options.models, lang), [text.split("\n") for text in texts]
        if len(split) < 10:
            continue
        whole = np.array([scorer.score(x).perplexity for x in split])
        whole_cost = timed(lambda x=split, s=scorer: [s.score(d) for d in x], 1)
        thirds = np.quantile(whole, [1 / 3, 2 / 3])
        for share in (0.5, 0.25, 0.1):
            taken = [sample(x, share, 10_000) for x in split]
            part = np.array([scorer.score(x).perplexity for x in taken])
            error = np.abs(np.log(part / whole))
            moved = np.searchsorted(thirds, part, "right") != np.searchsorted(thirds, whole, "right")
            cost = timed(lambda x=taken, s=scorer: [s.score(d) for d in x], 1) / whole_cost
            print(
                f"{lang:<6}{share:>6}{len(split):>10,}{statistics.mean(map(len, texts)):>8,.0f}{np.median(error):>8.1%}"
                f"{np.quantile(error, 0.9):>8.1%}{moved.mean():>12.1%}{cost:>6.2f}",
                flush=True,
            )


def pieces_of(files: list[str], tokens: int) -> Iterator[list[str]]:
    """Sentences of pieces, `tokens` of them, from an 8,000-piece model of the first lines of each file."""
    read = [[line for line in normalise_ccnet_lines(list(read_paragraphs(path))) if line] for path in files]
    lines = list(itertools.chain.from_iterable(read))
    random.Random(0).shuffle(lines)
    with tempfile.TemporaryDirectory() as folder:
        prefix = f"{folder}/sp"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines[:20_000]), model_prefix=prefix, vocab_size=8000, minloglevel=2, num_threads=1
        )
        processor = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
    total = 0
    for line in lines:
        encoded = processor.encode(line, out_type=str)
        total += len(encoded) + 1
        yield encoded
        if total >= tokens:
            return


def _own(text: str, folder: str, memory: int) -> None:
    with open(text, encoding="utf-8") as stream, tempfile.TemporaryDirectory(dir=folder) as scratch:
        read = read_sentences((line.split() for line in stream), Path(scratch))
        ngrams = estimate_ngrams(read, 5, folder=Path(scratch), memory_megabytes=memory)
        write_probing(f"{folder}/own.binary", read.words, ngrams, folder=Path(scratch))
        if os.environ.get("BENCH_ARPA"):
            write_arpa(f"{folder}/own.arpa", read.words, ngrams)


def _spent(work: Callable[[], object]) -> tuple[float, float, int]:
    """(wall, CPU seconds of children, their peak memory in MiB) of `work`, which starts one child."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu, after.ru_maxrss >> 10


def bench_estimate(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        text, total = f"{folder}/text", 0
        with open(text, "w", encoding="utf-8") as out:
            for sentence in pieces_of(options.text, options.tokens):
                out.write(" ".join(sentence) + "\n")
                total += len(sentence) + 1
        print(f"{total:,} tokens, order 5")
        spawn = multiprocessing.get_context("spawn")

        def own() -> None:
            child = spawn.Process(target=_own, args=(text, folder, options.memory))
            child.start()
            child.join()

        programs = find_programs()
        for _ in range(options.reps):
            wall, cpu, peak = _spent(own)  # peak memory is that of the largest child so far: ours goes first
            print(f"own, to binary      {wall:7.1f} s {cpu:7.1f} CPU s, peak {peak:,} MiB", flush=True)
            if programs is None:
                print("lmplz and build_binary are not on the PATH")
                continue
            command = [
                programs.lmplz,
                "-o",
                "5",
                "-S",
                f"{options.memory}M",
                "-T",
                f"{folder}/",
                "--skip_symbols",
                "--text",
                text,
            ]
            command += ["--arpa", f"{folder}/arpa"]
            wall, theirs, _ = _spent(lambda c=command: subprocess.run(c, check=True, capture_output=True))
            print(f"lmplz, to ARPA      {wall:7.1f} s {theirs:7.1f} CPU s; ours {cpu / theirs:.2f} times that")
            command = [programs.build_binary, "probing", f"{folder}/arpa", f"{folder}/theirs.binary"]
            wall, more, _ = _spent(lambda c=command: subprocess.run(c, check=True, capture_output=True))
            print(
                f"and build_binary    {wall:7.1f} s {more:7.1f} CPU s; ours {cpu / (theirs + more):.2f} of both",
                flush=True,
            )


def bench_load(options: argparse.Namespace) -> None:
    langs = sorted(path.name.removesuffix(".binary") for path in options.models.glob("*.binary"))
    size = sum((options.models / f"{lang}.binary").stat().st_size for lang in langs)
    wall, cpu = time.perf_counter(), time.process_time()
    scorers = [scorer_of(options.models, lang) for lang in langs]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{len(scorers)} models, {size / 2**20:,.0f} MiB: hashed and opened in {wall:.2f} s ({cpu:.2f} CPU s)")
    print(f"peak memory {peak} MiB, mapped pages included")


def main() -> None:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = top.add_subparsers(required=True)
    for name, run in (("score", bench_score), ("share", bench_share), ("load", bench_load)):
        part = parts.add_parser(name)
        part.set_defaults(run=run)
        part.add_argument("--models", type=Path, required=True)
        part.add_argument("--data", type=Path)
        part.add_argument("--langs", default="en,sw,ja,ru")
        part.add_argument("--ccnet")
        part.add_argument("--reps", type=int, default=3)
    part = parts.add_parser("estimate")
    part.set_defaults(run=bench_estimate)
    part.add_argument("--text", nargs="+", required=True)
    part.add_argument("--tokens", type=int, default=10_000_000)
    part.add_argument("--reps", type=int, default=1)
    part.add_argument("--memory", type=int, default=4096, help="MiB, ours and lmplz's")
    part.add_argument("--scratch", help="folder for temporary files: about 2 GB")
    options = top.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    if hasattr(os, "sched_setaffinity") and options.run is not bench_estimate:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    options.run(options)


if __name__ == "__main__":
    main()
