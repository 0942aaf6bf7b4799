"""What weighted candidates do for each language: a vocabulary trained with them and one with SentencePiece's own.

    python tests/bench/pieces.py --lm-text DIR --keep DIR [--size 250000] [--lang zh-Hant fi] [--out PAGE]

`--lm-text` holds `<code>/*.train.txt.xz`, which is trained on, and `<code>/indomain.heldout.txt.xz`, which is spelled.
Each vocabulary is trained in a process of its own, one after the other, whose CPU seconds and peak memory are told.
What lies in `--keep` is not made again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
import unicodedata
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from ccbuild.lines import read_lines
from ccbuild.vocab.config import VocabularyConfig
from ccbuild.vocab.train import build_vocabulary
from ccbuild.vocab.words import SPACE, count_words, read_counts

WAYS = ("sentencepiece", "weighted")
FREQUENT = 1000
ALONE = [(code, size) for code in ("en", "tr") for size in (4_000, 16_000)]
"""Vocabularies of one language."""
HELDOUT = "indomain.heldout.txt.xz"


@dataclass(frozen=True, slots=True)
class Row:
    """One language: its held-out tokens and the share of frequent running text without a piece, by way."""

    code: str
    characters: int
    once: float
    """Share of the running text of its most frequent words whose words occur once."""
    tokens: list[int]
    odd: list[int]
    """Tokens of every other line."""
    lacking: list[float]
    rare: float
    """What of `lacking` with weighted candidates are words that occur once."""

    @property
    def change(self) -> float:
        return 100 * (self.tokens[1] / self.tokens[0] - 1)

    @property
    def change_of_odd(self) -> float:
        return 100 * (self.odd[1] / max(self.odd[0], 1) - 1)


def count(texts: Path, kept: Path, codes: list[str]) -> dict[str, Path]:
    """The words of each language that has text to train on and to spell, counted."""
    found = {}
    for folder in sorted(texts.iterdir()):
        parts = sorted(folder.glob("*.train.txt.xz"))
        if parts and (folder / HELDOUT).exists() and (not codes or folder.name in codes):
            path = found[folder.name] = kept / "counts" / f"{folder.name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                lines = itertools.chain.from_iterable(read_lines(str(part)) for part in parts)
                count_words(lines, VocabularyConfig(), path, path.with_name)
    return found


def train_here(way: str, counts: dict[str, Path], size: int, kept: Path) -> None:
    """Train in this process; the model, and beside it what it took."""
    made = build_vocabulary(counts, VocabularyConfig(size=size, seeds=way, threads=2))  # type: ignore[arg-type]
    used = resource.getrusage(resource.RUSAGE_SELF)
    took = {"words": made.words, "cpu": used.ru_utime + used.ru_stime, "megabytes": used.ru_maxrss / 1024}
    (kept / f"{way}.json").write_text(json.dumps(took))
    (kept / f"{way}.model").write_bytes(made.model)


def frequent(path: Path) -> list[tuple[str, int]]:
    """The most frequent words of a language that are made of letters and their marks alone."""
    words = [(word, times) for word, times in read_counts(path).as_counter().items() if word.startswith(SPACE)]
    letters = [w for w in words if len(w[0]) > 1 and all(unicodedata.category(c)[0] in "LM" for c in w[0][1:])]
    return sorted(letters, key=lambda pair: (-pair[1], pair[0]))[:FREQUENT]


def measure(code: str, texts: Path, counts: Path, models: list[SentencePieceProcessor]) -> Row:
    """One language with each of the vocabularies."""
    lines = list(read_lines(str(texts / code / HELDOUT)))
    words = frequent(counts)
    running = max(sum(times for _, times in words), 1)
    without = [[n for w, n in words if m.piece_to_id(w) == m.unk_id()] for m in models]
    once = 100 * sum(times for _, times in words if times == 1) / running
    tokens = [list(map(len, model.encode(lines))) for model in models]
    return Row(
        code,
        read_counts(counts).characters,
        once,
        [sum(numbers) for numbers in tokens],
        [sum(numbers[1::2]) for numbers in tokens],
        [100 * sum(numbers) / running for numbers in without],
        100 * without[1].count(1) / running,
    )


def alone(texts: Path, counts: dict[str, Path]) -> list[str]:
    """A line for each vocabulary of one language."""
    lines = ["## One language", ""]
    lines += ["| language | pieces | tokens, sentencepiece | weighted | change | CPU s, sentencepiece | weighted |"]
    lines += ["|---" + "|---:" * 6 + "|"]
    for code, size in ALONE:
        if code in counts:
            heldout, tokens, spent = list(read_lines(str(texts / code / HELDOUT))), [], []
            for way in WAYS:
                start = time.process_time()
                made = build_vocabulary({code: counts[code]}, VocabularyConfig(size=size, seeds=way, threads=2))  # type: ignore[arg-type]
                spent.append(f"{time.process_time() - start:.0f}")
                tokens.append(sum(map(len, SentencePieceProcessor(model_proto=made.model).encode(heldout))))
            change = f"{100 * (tokens[1] / tokens[0] - 1):+.1f} %"
            lines.append(f"| {code} | {size:,} | {tokens[0]:,} | {tokens[1]:,} | {change} | {' | '.join(spent)} |")
    return [*lines, ""]


def heading(rows: list[Row], took: list[dict[str, float]], size: int) -> list[str]:
    """What was done, and what came of it in the median and at worst."""
    worst = sorted(rows, key=lambda row: -row.change)[:5]
    over = [sum(row.lacking[way] > 1 for row in rows) for way in (0, 1)]
    often = sum(row.lacking[1] - row.rare > 1 for row in rows)
    spent = [f"{t['cpu']:.0f} CPU seconds, {t['megabytes']:,.0f} MB" for t in took]
    return [
        "# Candidates for pieces, by language",
        "",
        f"Two vocabularies of {size:,} pieces over {len(rows)} languages, one with `vocab.seeds: sentencepiece` "
        f"({spent[0]}), one with `weighted` ({spent[1]}). Made by `tests/bench/pieces.py`, with SentencePiece "
        f"{version('sentencepiece')}.",
        "",
        f"The tokens of held-out text change by {statistics.median(row.change for row in rows):+.2f} % in the median "
        f"language, most by {', '.join(f'{row.change:+.1f} % ({row.code})' for row in worst)}. More than 1 % of the "
        f"running text of a language's {FREQUENT:,} most frequent words has no piece of its own in {over[0]} languages "
        f"with `sentencepiece`, in {over[1]} with `weighted`: {over[1] - often} of these for words that occur once, "
        "which get no piece on purpose.",
        "",
        "The candidates (what nothing always stands beside) were chosen on the even lines; how counts are lowered was "
        "settled with all lines seen. On the odd ones the median is "
        f"{statistics.median(row.change_of_odd for row in rows):+.2f} %. "
        "Languages with few tokens say little: one token of 100 is 1 %.",
        "",
        "Characters: of the text trained on. Without a piece: of that running text. Once: what of it are words that "
        "occur once.",
        "",
    ]


def table(rows: list[Row]) -> list[str]:
    """A line a language."""
    title = ["## All languages", ""]
    names = ["language", "characters", "tokens, sentencepiece", "weighted", "change"]
    names += ["without a piece, sentencepiece", "weighted", "once"]
    lines = [*title, f"| {' | '.join(names)} |", "|---" + "|---:" * (len(names) - 1) + "|"]
    for row in rows:
        shares = " | ".join(f"{share:.1f} %" for share in (*row.lacking, row.once))
        tokens = " | ".join(f"{number:,}" for number in row.tokens)
        lines.append(f"| {row.code} | {row.characters:,} | {tokens} | {row.change:+.1f} % | {shares} |")
    return lines


def main() -> None:
    """Count, train both ways, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lm-text", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--size", type=int, default=250_000)
    parser.add_argument("--lang", nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    counts = count(options.lm_text, options.keep, options.lang)
    if options.way:
        train_here(options.way, counts, options.size, options.keep)
        return
    for way in WAYS:
        if not (options.keep / f"{way}.model").exists():
            subprocess.run([sys.executable, *sys.argv, "--way", way], check=True)
    models = [SentencePieceProcessor(model_file=str(options.keep / f"{way}.model")) for way in WAYS]
    took = [json.loads((options.keep / f"{way}.json").read_text()) for way in WAYS]
    rows = [measure(code, options.lm_text, path, models) for code, path in counts.items()]
    text = "\n".join([*heading(rows, took, options.size), *alone(options.lm_text, counts), *table(rows)]) + "\n"
    options.out.write_text(text, encoding="utf-8") if options.out else print(text)


if __name__ == "__main__":
    main()
