"""Perplexity models: estimate, score, calibrate, evaluate."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ccbuild.cli.terminal import command, configured, group, print_records, read_texts, settings_option
from ccbuild.config import flatten
from ccbuild.errors import CcbuildError, InputError
from ccbuild.langid.codes import is_code
from ccbuild.ledger import Ledger
from ccbuild.lm.cutoffs import Percentile, calibrate, write_cutoffs
from ccbuild.lm.estimate import EstimateConfig, estimate_files
from ccbuild.lm.evaluate import Evaluated, evaluate, scatter
from ccbuild.lm.score import NGRAMS, Score, Scorer, model_files, perplexity, sample
from ccbuild.lm.scored import read_perplexities
from ccbuild.progress import note
from ccbuild.prose import find_prose, read_documents, read_paragraphs
from ccbuild.storage import Unit, expand, facts_of, read_manifest, sha256_file, write_bytes

__all__ = ["add"]


def add(commands: Any) -> None:
    """These commands."""
    lm = group(commands, "lm", "Perplexity models.")
    _add_estimate(lm)
    _add_score(lm)
    _add_calibrate(lm)
    _add_evaluate(lm)


def _add_estimate(lm: Any) -> None:
    made = command(
        lm,
        "estimate",
        _estimate,
        "Pieces and an n-gram model from text.",
        "ccbuild lm estimate --lang sw --text swwiki-*-cirrussearch-content.json.gz --out models --order 5",
    )
    made.add_argument("--lang", required=True, help="code that the files are named by")
    made.add_argument(
        "--text",
        nargs="+",
        required=True,
        help="UTF-8, a paragraph a line; JSON lines or Parquet with text; Cirrussearch dumps; plain, .xz or .gz",
    )
    made.add_argument("--out", required=True, help="folder; writes LANG.sp.model, .binary, .arpa and .json")
    made.add_argument("--no-arpa", action="store_true", help="write only the binary that KenLM maps, not the text form")
    made.add_argument("--order", type=int, metavar="N", help="--set order=N (5)")
    made.add_argument("--pieces", type=int, metavar="N", help="--set pieces=N (65536)")
    made.add_argument("--prune", type=int, nargs="+", metavar="N", help="--set prune=[N,…], as lmplz has it: 0 0 1")
    made.add_argument("--memory", type=int, metavar="MIB", help="--set memory_megabytes=MIB (4096)")
    made.add_argument("--tool", choices=("own", "auto", "kenlm"), help="--set tool=…: kenlm is lmplz of the PATH (own)")
    settings_option(made, "character_coverage=1")


def _add_score(lm: Any) -> None:
    made = command(
        lm,
        "score",
        _score,
        "Perplexity of each document.",
        "ccbuild lm score docs.jsonl --model models/sw --paragraphs",
    )
    made.add_argument("file", help="text, JSON lines or Parquet with text, plain, .xz or .gz; -: stdin")
    made.add_argument("--model", required=True, help=f"path without .sp.model and {' or '.join(NGRAMS)}")
    made.add_argument("--definition", choices=("paragraph", "ccnet"), default="paragraph")
    made.add_argument("--paragraphs", action="store_true", help="say those of each paragraph too")
    made.add_argument(
        "--split",
        choices=("auto", "line", "blank"),
        default="auto",
        help="where a document of plain text ends: at its line, at an empty line; auto: the second for .txt.xz",
    )
    made.add_argument("--share", type=float, default=1.0, help="share of the paragraphs of long documents to score (1)")


def _add_calibrate(lm: Any) -> None:
    made = command(
        lm,
        "calibrate",
        _calibrate,
        "Cutoffs from the distribution of scored documents, with confidence intervals.",
        "ccbuild lm calibrate runs/mine --percentiles 30,60 --out cutoffs.csv",
    )
    made.add_argument("source", help="folder of a run, or scored documents: Parquet or JSON lines")
    made.add_argument("--lang", help="only this language (default: all that have enough documents)")
    made.add_argument("--percentiles", default="33.333333,66.666667", help="between 0 and 100, with commas (thirds)")
    made.add_argument("--level", type=float, default=0.95, help="of the intervals (0.95)")
    made.add_argument("--min-documents", type=int, default=30, help="with fewer a language has no cutoffs (30)")
    made.add_argument("--out", help="CSV to write; lines of JSON are printed in any case")


def _add_evaluate(lm: Any) -> None:
    made = command(
        lm,
        "evaluate",
        _evaluate,
        "How well perplexity tells good prose from damaged text: ROC AUC by kind of damage.",
        "ccbuild lm evaluate --models models --text 'heldout/{lang}.txt.xz' --plot auc.svg",
    )
    made.add_argument("--models", required=True, help="folder of LANG.sp.model and LANG.binary")
    made.add_argument(
        "--text", required=True, help="held-out prose, a pattern with {lang}; never what models were made of"
    )
    made.add_argument("--lang", help="codes, with commas (default: all that have both)")
    made.add_argument("--paragraphs-each", type=int, default=5, help="paragraphs that make a document (5)")
    made.add_argument("--seed", type=int, default=0, help="of the damage (0)")
    made.add_argument("--plot", metavar="FILE.svg", help="write a plot")
    made.add_argument("--json", action="store_true", help="JSON lines in place of a table")


def _code(code: str) -> str:
    if not is_code(code):
        raise InputError(f"{code!r} is no language code: 2 to 16 letters, digits, - or _.")
    return code


def _estimate(options: argparse.Namespace) -> int:
    names = {"order": "order", "pieces": "pieces", "prune": "prune", "memory": "memory_megabytes", "tool": "tool"}
    short = [f"{key}={value}" for name, key in names.items() if (value := getattr(options, name)) is not None]
    config = configured(EstimateConfig, [*short, *options.set], "lm")
    lang, out = _code(options.lang), Path(options.out)
    files = [path for pattern in options.text for path in expand(pattern)]
    inputs = {f"{number} {Path(path).name}": sha256_file(path) for number, path in enumerate(files)}
    settings = flatten(config)
    settings["arpa"] = not options.no_arpa
    keep = {"arpa": "no --no-arpa" if options.no_arpa else "--no-arpa"}
    with Unit(out, "lm estimate", lang, settings=settings, inputs=inputs, options=keep) as unit:
        if unit.done():
            note(f"{unit.manifest_path} is done already: nothing to do.")
            return 0
        pieces, binary = unit.path(f"{lang}.sp.model"), unit.path(f"{lang}.binary")
        arpa = None if options.no_arpa else unit.path(f"{lang}.arpa")
        lines = itertools.chain.from_iterable(map(read_paragraphs, files))
        made = estimate_files(lines, pieces, binary, config, arpa=arpa)
        ledger = Ledger()
        ledger["models"].keep()
        facts = facts_of(made)
        unit.commit(ledger, facts=facts)
    print_records([{"lang": lang, "model": str(out / lang), **facts}])
    return 0


def _open(prefix: Path, definition: Any = "paragraph") -> Scorer:
    """The model whose files begin with `prefix`; says what it is where nothing states it."""
    if read_manifest(prefix.with_name(f"{prefix.name}.json")) is None and (ngrams := model_files(prefix)[1]).is_file():
        note(
            f"{ngrams} has no manifest beside it: SHA-256 {sha256_file(ngrams)}, opened in a process of its own first."
        )
    return Scorer.open(prefix, definition)


def _score(options: argparse.Namespace) -> int:
    if not 0 < options.share <= 1:
        raise InputError(f"--share {options.share} is no share. Give a number over 0, up to 1.")
    scorer = _open(Path(options.model), options.definition)
    records = read_texts("-") if options.file == "-" else read_documents(options.file, options.split)

    def scored() -> Iterator[dict[str, Any]]:
        for record in records:
            paragraphs = record["text"].split("\n")
            value = scorer.score(sample(paragraphs, options.share, 10_000))
            made = {**record, **_said(value)}
            if options.paragraphs:
                made["paragraphs"] = [_said(part) for part in scorer.score_paragraphs(paragraphs)]
            yield made

    print_records(scored())
    return 0


def _said(value: Score) -> dict[str, Any]:
    score = round(perplexity(value.log10, value.pieces), 4) if value.pieces else None
    return {"perplexity": score, "pieces": value.pieces}


def _calibrate(options: argparse.Namespace) -> int:
    try:
        percentiles = [float(part) for part in options.percentiles.split(",")]
    except ValueError as error:
        raise InputError(
            f"--percentiles {options.percentiles!r} are not numbers with commas between. Write 30,60."
        ) from error
    if not 0 < options.level < 1:
        raise InputError(f"--level {options.level} is no level. Give a number between 0 and 1, such as 0.95.")
    rows: list[Percentile] = []
    for lang, values in read_perplexities(options.source, _code(options.lang) if options.lang else None).items():
        try:
            rows += calibrate(lang, values, percentiles, level=options.level, min_documents=options.min_documents)
        except InputError as error:
            if options.lang or not all(0 < p < 100 for p in percentiles):
                raise
            note(str(error))
    if not rows:
        raise InputError(f"No language of {options.source} has enough scored documents for cutoffs. Score more.")
    if options.out:
        write_cutoffs(options.out, rows)
    print_records([dataclasses.asdict(row) for row in rows])
    return 0


def _script(paragraphs: Sequence[str]) -> str:
    """The first word of the names of most of its letters: LATIN, CYRILLIC, CJK…"""
    letters = [c for p in paragraphs[:20] for c in p if c.isalpha()]
    return Counter(unicodedata.name(c, "?").split()[0] for c in letters).most_common(1)[0][0] if letters else ""


def _evaluate(options: argparse.Namespace) -> int:
    wanted = [_code(code) for code in options.lang.split(",")] if options.lang else None
    models = {path.name.removesuffix(".sp.model") for path in Path(options.models).glob("*.sp.model")}
    prose = {lang: found for lang, found in find_prose(options.text).items() if wanted is None or lang in wanted}
    langs = sorted(models & prose.keys())
    if not langs or (wanted and set(wanted) - set(langs)):
        missing = ", ".join(sorted(set(wanted or ()) - set(langs))) or "every language"
        raise InputError(f"{missing} lacks a model in {options.models} or text at {options.text}. Check both.")
    texts = {lang: list(prose[lang].lines()) for lang in langs}
    scripts = {lang: _script(texts[lang]) for lang in langs}
    rows: list[Evaluated] = []
    for number, lang in enumerate(langs):
        rest = langs[number + 1 :] + langs[:number]  # the next language of the same script, else the next one
        other = next((code for code in rest if scripts[code] == scripts[lang]), rest[0] if rest else None)
        try:
            made = evaluate(
                lang,
                _open(Path(options.models) / lang),
                texts[lang],
                texts[other] if other else (),
                paragraphs_each=options.paragraphs_each,
                seed=options.seed,
            )
            rows.extend(made)
        except CcbuildError as error:
            if wanted:
                raise
            note(str(error))
    if options.plot:
        write_bytes(options.plot, scatter(rows).encode())
    if options.json:
        print_records([dataclasses.asdict(row) for row in rows])
    else:
        _print_table(rows)
    return 0


def _print_table(rows: Sequence[Evaluated]) -> None:
    """A line a language, the median and the worst language of each kind at the end."""
    kinds = list(dict.fromkeys(row.damage for row in rows))
    by = {(row.lang, row.damage): row for row in rows}
    print(f"{'':<12}{'documents':>10}" + "".join(f"{kind:>16}" for kind in kinds))
    for lang in dict.fromkeys(row.lang for row in rows):
        cells = [f"{by[lang, kind].auc:.4f}" if (lang, kind) in by else "-" for kind in kinds]
        print(f"{lang:<12}{by[lang, kinds[0]].documents:>10,}" + "".join(f"{cell:>16}" for cell in cells))
    of = {kind: [row for row in rows if row.damage == kind] for kind in kinds}
    print(f"{'median':<22}" + "".join(f"{statistics.median(r.auc for r in of[kind]):>16.4f}" for kind in kinds))
    worst = [min(of[kind], key=lambda row: row.auc) for kind in kinds]
    print(f"{'worst':<22}" + "".join(f"{f'{row.lang} {row.auc:.4f}':>16}" for row in worst))
