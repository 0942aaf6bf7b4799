"""Vocabularies: how languages are weighed, training, how well each language is spelled."""

from __future__ import annotations

import argparse
import csv
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ccbuild.cli.terminal import command, configured, group, print_records, settings_option
from ccbuild.config import flatten
from ccbuild.corpus import open_corpus
from ccbuild.errors import DataError, InputError
from ccbuild.langid.codes import CC100, LANGUAGE_SETS, is_code
from ccbuild.ledger import Ledger
from ccbuild.progress import note
from ccbuild.prose import find_prose, read_lines
from ccbuild.rundir import folder_of
from ccbuild.storage import Unit, digest_of, expand, facts_of, sha256_file, write_bytes
from ccbuild.tokens import open_tokens
from ccbuild.vocab.alpha import WARN_REPETITION, PlanRow, plan_rows
from ccbuild.vocab.config import VocabularyConfig
from ccbuild.vocab.fertility import RARE, Spelling, measure, open_segmenter
from ccbuild.vocab.train import build_vocabulary
from ccbuild.vocab.words import count_words

__all__ = ["add", "language_code"]

_BY = ("documents", "sentences", "characters", "tokens")


def add(commands: Any) -> None:
    """These commands."""
    vocab = group(commands, "vocab", "Shared vocabularies.")
    made = command(
        vocab,
        "plan",
        _plan,
        "Share and repetition of each language after alpha.",
        "ccbuild vocab plan runs/mine --alpha 0.3 --by sentences --languages xlmr-100 --out plan.html",
    )
    made.add_argument("source", help="folder of a run, or a CSV file with the columns code (or lang) and the counts")
    made.add_argument(
        "--alpha", type=float, default=0.3, help="0: all equal, 1: as the text is (default: 0.3, XLM-R's)"
    )
    made.add_argument(
        "--by", default="sentences", help=f"{', '.join(_BY)}, or a column of the CSV (default: sentences)"
    )
    made.add_argument("--languages", help=f"{', '.join(LANGUAGE_SETS)}, or codes separated by commas (default: all)")
    made.add_argument("--cap", type=float, help="most times that a language is read (default: no cap, as XLM-R)")
    made.add_argument("--total", type=float, help="units drawn, such as 6.29e12 tokens (default: as many as there are)")
    made.add_argument("--out", help="an HTML file with table and plot")
    made.add_argument("--json", action="store_true", help="a JSON object a language")
    made = command(
        vocab,
        "train",
        _train,
        "A SentencePiece vocabulary over languages, on the word counts of all of the text.",
        "ccbuild vocab train --corpus runs/mine --size 250000 --alpha 0.3 --out vocabulary",
    )
    made.add_argument("--corpus", help="folder of a run, or its corpus")
    made.add_argument(
        "--text", nargs="+", default=[], metavar="CODE=FILE", help="text of a language, a paragraph a line"
    )
    made.add_argument("--out", required=True, help="folder to write")
    made.add_argument("--size", help="pieces, the same as --set size=")
    made.add_argument("--alpha", help="the same as --set alpha=")
    settings_option(made, "hard_limit=true")
    made = command(
        vocab,
        "report",
        _report,
        "How well vocabularies spell each language: fertility, unknowns, parity, scripts.",
        "ccbuild vocab report vocabulary other/tokenizer.json --text 'heldout/{lang}.txt.xz' --out report.html",
    )
    made.add_argument("model", nargs="+", help="a folder of `vocab train`, a SentencePiece model or a tokenizer.json")
    made.add_argument(
        "--text", required=True, help="text not trained on: a run, a folder CODE/…, or a path with {lang}"
    )
    made.add_argument("--parallel", help="the same text in many languages, en among them: a path with {lang}, a run")
    made.add_argument("--lines", type=int, default=2000, help="most lines of a language (default: 2000)")
    made.add_argument("--out", help="an HTML file with tables and a plot")
    made.add_argument("--json", action="store_true", help="a JSON object a model and language")


def language_code(code: str) -> str:
    """`code`, when it can be one."""
    if not is_code(code):
        raise InputError(f"{code!r} is no language code: 2 to 16 letters, digits, - or _.")
    return code


def _plan(options: argparse.Namespace) -> int:
    counts = _counts(options.source, options.by)
    if options.languages:
        wanted = LANGUAGE_SETS.get(options.languages) or options.languages.split(",")
        absent = [code for code in wanted if not counts.get(code)]
        counts = {code: counts[code] for code in wanted if counts.get(code)}
        if absent:
            note(f"{len(absent)} languages have no text here: {', '.join(absent)}")
    rows = plan_rows(counts, options.alpha, cap=options.cap, total=options.total)
    often = [row for row in rows if row.repeated > WARN_REPETITION]
    if often:
        most = max(often, key=lambda row: row.repeated)
        note(
            f"{len(often)} languages are read more than {WARN_REPETITION:g} times, {most.lang} {most.repeated:,.0f} "
            "times: they will be learnt by heart. A cap, say --cap 20, shares out what they have too much."
        )
    if options.json:
        print_records(facts_of(row) for row in rows)
    else:
        print(f"{'language':<12}{options.by:>20}{'before':>12}{'after':>12}{'times read':>12}")
        for row in rows:
            capped = "  capped" if row.capped else ""
            print(
                f"{row.lang:<12}{row.count:>20,.10g}{row.before:>12.4%}{row.after:>12.4%}{row.repeated:>12,.2f}{capped}"
            )
    if options.out:
        write_bytes(options.out, _plan_page(rows, options).encode())
    return 0


def _counts(source: str, by: str) -> dict[str, float]:
    """Language to its size in `by`."""
    path = Path(source)
    if path.is_file():
        return _table_counts(path, by)
    if by == "tokens":
        return {c: language.tokens for c, language in open_tokens(path).languages.items()}
    if by not in _BY:
        raise InputError(f"--by {by}: a run has {', '.join(_BY)}.")
    fact = "paragraphs" if by == "sentences" else by
    return {code: language.facts[fact] for code, language in open_corpus(path).items()}


def _table_counts(path: Path, by: str) -> dict[str, float]:
    """Of a CSV file; rows without a number are left out."""
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = set(rows[0]) if rows else set()
    code = next((name for name in ("code", "lang") if name in names), None)
    if code is None or by not in names:
        raise InputError(f"{path} has the columns {', '.join(sorted(names))}. Name one with --by, beside code or lang.")
    try:
        return {row[code]: float(row[by]) for row in rows if row[by]}
    except ValueError as error:
        raise DataError(f"{path}, column {by}: {error}. Correct the number.") from error


def _plan_page(rows: Sequence[PlanRow], options: argparse.Namespace) -> str:
    from ccbuild.report.figures import Series, rank_chart
    from ccbuild.report.sheet import Table, sheet

    before = Series(name="% of the text", style="before", values=[100 * row.before for row in rows])
    after = Series(name="% drawn", style="after", values=[100 * row.after for row in rows])
    codes = [row.lang for row in rows]
    names = [CC100.get(code, code) for code in codes]
    chart = rank_chart(codes, names, [before, after], label="Share before and after alpha", unit="%", log=True)
    table = Table(
        "Languages",
        ["code", "language", options.by, "% before", "% after", "times read", ""],
        [
            [
                row.lang,
                CC100.get(row.lang, row.lang),
                row.count,
                100 * row.before,
                100 * row.after,
                row.repeated,
                "capped" if row.capped else "",
            ]
            for row in rows
        ],
    )
    cap = f"; no language is read more than {options.cap:g} times" if options.cap else ""
    lede = f"alpha {options.alpha:g} over {options.by}, {len(rows)} languages{cap}"
    return sheet("Alpha plan", lede, [("Share before and after", chart)], [table])


def _train(options: argparse.Namespace) -> int:
    overrides = [f"{key}={value}" for key in ("size", "alpha") if (value := getattr(options, key)) is not None]
    config = configured(VocabularyConfig, [*overrides, *options.set], "vocab")
    if bool(options.corpus) == bool(options.text):
        raise InputError("Name the text either by --corpus FOLDER or by --text CODE=FILE.")
    texts, inputs = _corpus_texts(options.corpus) if options.corpus else _file_texts(options.text)
    with Unit(options.out, "vocab train", "vocabulary", settings=flatten(config), inputs=inputs) as unit:
        if unit.done():
            note(f"{unit.manifest_path} is done already: nothing to do.")
            return 0
        counts = {code: unit.scratch(f"{code}.parquet") for code in sorted(texts)}
        for code, target in counts.items():
            count_words(texts[code](), config, target, unit.scratch)
        made = build_vocabulary(counts, config)
        for name, content in made.files().items():
            unit.path(name).write_bytes(content)
        ledger = Ledger()
        ledger["languages"].keep(len(counts))
        unit.commit(ledger, facts=facts_of(made))
    print_records([{"vocabulary": options.out, **facts_of(made)}])
    return 0


_Texts = dict[str, Callable[[], Iterable[str]]]


def _corpus_texts(folder: str) -> tuple[_Texts, dict[str, Any]]:
    corpus = open_corpus(folder)
    inputs = {code: digest_of(language.manifest) for code, language in corpus.items()}
    return {code: language.paragraphs for code, language in corpus.items()}, inputs


def _file_texts(pairs: Sequence[str]) -> tuple[_Texts, dict[str, Any]]:
    files: dict[str, list[str]] = {}
    for pair in pairs:
        code, equals, path = pair.partition("=")
        if not equals:
            raise InputError(f"--text {pair} has no code. Write CODE=FILE, such as sw={pair}.")
        files.setdefault(language_code(code), []).extend(expand(path))
    inputs = {f"{c} {n} {Path(p).name}": sha256_file(p) for c, ps in files.items() for n, p in enumerate(ps)}

    def reader(paths: Sequence[str]) -> Callable[[], Iterator[str]]:
        return lambda: itertools.chain.from_iterable(map(read_lines, paths))

    return {code: reader(paths) for code, paths in files.items()}, inputs


def _report(options: argparse.Namespace) -> int:
    text = _lines(options.text, options.lines)
    parallel = _lines(options.parallel, options.lines) if options.parallel else None
    if parallel is not None and "en" not in parallel:
        raise InputError(f"--parallel {options.parallel} has no en: parity is told against English.")
    spellings = [measure(open_segmenter(model), text, parallel) for model in options.model]
    if options.json:
        for spelling in spellings:
            print_records([spelling.to_mapping()])
            print_records({"model": spelling.name, **row.to_mapping()} for row in spelling.languages.values())
    else:
        _print_spellings(spellings)
    if options.out:
        write_bytes(options.out, _report_page(spellings).encode())
    return 0


def _lines(where: str, most: int) -> dict[str, list[str]]:
    """Language to its first lines: of a corpus, of a folder with a folder a language, of a pattern with {lang}."""
    folder = Path(where)
    if "{lang}" in where or where.startswith("catalogue:"):
        sources: Mapping[str, Callable[[], Iterable[str]]] = {c: p.lines for c, p in find_prose(where).items()}
    elif any(folder_of(folder, "publish").glob("*.txt.xz")):
        sources = {code: language.paragraphs for code, language in open_corpus(folder).items()}
    elif folder.is_dir():
        sources = {c: p.lines for c, p in find_prose(f"{where.rstrip('/')}/{{lang}}/*").items()}
    else:
        raise InputError(f"{where} is no folder, and has no {{lang}}. Name text by language.")
    return {code: list(itertools.islice(lines(), most)) for code, lines in sources.items()}


def _print_spellings(spellings: Sequence[Spelling]) -> None:
    names = [f"{spelling.size:,}" for spelling in spellings]
    for number, spelling in enumerate(spellings):
        told = spelling.to_mapping()
        scripts = ", ".join(f"{script} {share:.1%}" for script, share in list(spelling.scripts.items())[:8])
        print(f"[{number + 1}] {spelling.name}: {spelling.size:,} pieces, {len(spelling.languages)} languages")
        print(f"    scripts: {scripts}")
        print(f"    pieces that occur fewer than {RARE} times: {spelling.rare:,}")
        for ratio in ("per_word", "per_character", "bytes_per_piece", "unknown_share", "single_share", "parity"):
            if (mean := told[f"mean_{ratio}"]) is not None:
                print(f"    mean {ratio.replace('_', ' ')}: {mean:.4f}")
        if spelling.unseen:
            print(f"    never saw, not in the means: {', '.join(spelling.unseen)}")
    print(f"\n{'':<10}" + "".join(f"{f'[{i + 1}] {name}':>32}" for i, name in enumerate(names)))
    print(f"{'language':<10}" + f"{'/word':>8}{'/char':>8}{'unk %':>8}{'1char %':>8}" * len(spellings))
    for code in sorted({code for spelling in spellings for code in spelling.languages}):
        cells = ""
        for spelling in spellings:
            row = spelling.languages[code]
            word = "" if row.per_word is None else f"{row.per_word:.2f}"
            cells += f"{word:>8}{row.per_character:>8.3f}{row.unknown_share:>8.2%}{row.single_share:>8.1%}"
        print(f"{code:<10}{cells}")


def _report_page(spellings: Sequence[Spelling]) -> str:
    from ccbuild.report.figures import Series, rank_chart
    from ccbuild.report.sheet import Table, sheet

    codes = sorted({code for s in spellings for code in s.languages})
    codes.sort(key=lambda code: (spellings[0].languages[code].per_character, code))
    names = [CC100.get(code, code) for code in codes]
    styles = ["after", "before", *["stem"] * len(spellings)]
    series = [
        Series(name=f"{s.name} ({s.size:,})", style=style, values=[s.languages[code].per_character for code in codes])
        for s, style in zip(spellings, styles, strict=False)
    ]
    label = "Pieces per character by language"
    chart = rank_chart(codes, names, series, label=label, unit="pieces per character")
    columns = ["code", "language", "/word", "/character", "bytes/piece", "% unknown", "% single", "parity", "seen"]
    tables = [
        Table(
            "Vocabularies",
            ["name", "pieces", "rare pieces", "never saw"],
            [[s.name, s.size, s.rare, ", ".join(s.unseen)] for s in spellings],
        ),
        *(
            Table(
                f"{s.name}, {s.size:,} pieces",
                columns,
                [
                    [
                        code,
                        CC100.get(code, code),
                        row.per_word,
                        row.per_character,
                        row.bytes_per_piece,
                        100 * row.unknown_share,
                        100 * row.single_share,
                        row.parity,
                        {True: "yes", False: "no", None: ""}[row.seen],
                    ]
                    for code, row in s.languages.items()
                ],
            )
            for s in spellings
        ),
        *(
            Table(
                f"Scripts of {s.name}",
                ["script", "% of the pieces"],
                [[script, 100 * share] for script, share in s.scripts.items()],
            )
            for s in spellings
        ),
    ]
    lede = f"{len(spellings)} vocabularies over {len(codes)} languages; lower is better, but for bytes per piece."
    return sheet("Vocabulary report", lede, [(label, chart)], tables)
