"""Perplexity models: estimate, score, calibrate, evaluate."""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccbuild.cli.terminal import (
    command,
    configured,
    group,
    json_option,
    print_facts,
    print_records,
    print_results,
    settings_option,
    split_option,
)
from ccbuild.errors import InputError
from ccbuild.lm.cutoffs import calibrate_all, write_cutoffs
from ccbuild.lm.estimate import MEMORY_MEGABYTES, EstimateConfig, estimate_model
from ccbuild.lm.evaluate import Evaluated, evaluate_models, scatter
from ccbuild.lm.score import NGRAMS, Scorer, model_files, score_records
from ccbuild.lm.scored import read_perplexities
from ccbuild.progress import note, watched
from ccbuild.prose import check_code, find_prose
from ccbuild.rows import read_documents
from ccbuild.storage import expand, read_manifest, sha256_file, write_bytes

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
        help="UTF-8, a paragraph a line; JSON lines or Parquet with text; Cirrussearch dumps; compressed or not",
    )
    made.add_argument("--out", required=True, help="folder; writes LANG.sp.model, .binary, .arpa and .json")
    made.add_argument("--no-arpa", action="store_true", help="write only the binary that KenLM maps, not the text form")
    made.add_argument("--order", type=int, metavar="N", help="--set order=N (5)")
    made.add_argument("--pieces", type=int, metavar="N", help="--set pieces=N (65536)")
    made.add_argument("--prune", type=int, nargs="+", metavar="N", help="--set prune=[N,…], as lmplz has it: 0 0 1")
    made.add_argument(
        "--memory",
        type=int,
        metavar="MIB",
        default=MEMORY_MEGABYTES,
        help="for counting; more goes to disk (4096)",
    )
    made.add_argument("--tool", choices=("own", "auto", "kenlm"), help="--set tool=…: kenlm is lmplz of the PATH (own)")
    settings_option(made, "character_coverage=1")
    json_option(made)


def _add_score(lm: Any) -> None:
    made = command(
        lm,
        "score",
        _score,
        "Perplexity of each document.",
        "ccbuild lm score docs.jsonl --model models/sw --paragraphs",
    )
    made.add_argument("file", help="plain text, JSON lines or Parquet with text, compressed or not; -: stdin")
    made.add_argument("--model", required=True, help=f"path without .sp.model and {' or '.join(NGRAMS)}")
    made.add_argument("--definition", choices=("paragraph", "ccnet"), default="paragraph")
    made.add_argument("--paragraphs", action="store_true", help="say those of each paragraph too")
    split_option(made)
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
    made.add_argument("--out", help="CSV to write")
    json_option(made)


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
    json_option(made)


def _estimate(options: argparse.Namespace) -> int:
    names = {"order": "order", "pieces": "pieces", "prune": "prune", "tool": "tool"}
    short = [f"{key}={value}" for name, key in names.items() if (value := getattr(options, name)) is not None]
    config = configured(EstimateConfig, [*short, *options.set], "lm")
    files = [path for pattern in options.text for path in expand(pattern)]
    with watched("estimate"):
        manifest, fresh = estimate_model(
            options.lang,
            files,
            options.out,
            config,
            arpa=not options.no_arpa,
            memory_megabytes=options.memory,
        )
    if not fresh:
        note(f"{options.out} holds this model of {options.lang} already: nothing to do.")
    print_facts({"lang": options.lang, "model": str(Path(options.out) / options.lang), **manifest.facts}, options.json)
    return 0


def _open(prefix: Path, definition: Any = "paragraph") -> Scorer:
    """The model whose files begin with `prefix`; says what it is where nothing states it."""
    if read_manifest(prefix.with_name(f"{prefix.name}.json")) is None and (ngrams := model_files(prefix)[1]).is_file():
        note(
            f"{ngrams} has no manifest beside it: SHA-256 {sha256_file(ngrams)}, opened in a process of its own first."
        )
    return Scorer.open(prefix, definition)


def _score(options: argparse.Namespace) -> int:
    scorer = _open(Path(options.model), options.definition)
    records = read_documents(options.file, options.split)
    print_records(score_records(records, scorer, share=options.share, paragraphs=options.paragraphs))
    return 0


def _calibrate(options: argparse.Namespace) -> int:
    try:
        percentiles = [float(part) for part in options.percentiles.split(",")]
    except ValueError as error:
        raise InputError(
            f"--percentiles {options.percentiles!r} are not numbers with commas between. Write 30,60."
        ) from error
    with watched("calibrate"):
        found = read_perplexities(options.source, check_code(options.lang) if options.lang else None)
        limits = {"level": options.level, "min_documents": options.min_documents}
        rows = calibrate_all(found, percentiles, **limits, tell=None if options.lang else note)
    if options.out:
        write_cutoffs(options.out, rows)
    columns = {"language": "lang", "percentile": "percentile:.4g", "perplexity": "perplexity:,.1f", "from": "low:,.1f"}
    columns |= {"to": "high:,.1f", "documents": "documents:,"}
    print_results(map(dataclasses.asdict, rows), options.json, columns)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    wanted = [check_code(code) for code in options.lang.split(",")] if options.lang else None
    models = {path.name.removesuffix(".sp.model") for path in Path(options.models).glob("*.sp.model")}
    prose = {c: p for c, p in find_prose(options.text).items() if c in models and (wanted is None or c in wanted)}
    if not prose or (wanted and set(wanted) - prose.keys()):
        missing = ", ".join(sorted(set(wanted or ()) - prose.keys())) or "every language"
        raise InputError(f"{missing} lacks a model in {options.models} or text at {options.text}. Check both.")
    how = {"paragraphs_each": options.paragraphs_each, "seed": options.seed}
    with watched("evaluate"):
        rows = evaluate_models(options.models, prose, opened=_open, **how, tell=None if wanted else note)
    if options.plot:
        write_bytes(options.plot, scatter(rows).encode())
    if options.json:
        print_records(map(dataclasses.asdict, rows))
    else:
        _print_table(rows)
    return 0


def _print_table(rows: Sequence[Evaluated]) -> None:
    """A line a language, the median and the worst language of each kind at the end."""
    of: dict[str, list[Evaluated]] = {}
    lines: dict[str, dict[str, Any]] = {}
    for row in rows:
        of.setdefault(row.damage, []).append(row)
        line = lines.setdefault(row.lang, {"lang": row.lang, "documents": f"{row.documents:,}"})
        line[row.damage] = f"{row.auc:.4f}"
    worst = {kind: min(found, key=lambda row: row.auc) for kind, found in of.items()}
    ends = [
        {"lang": "median", **{kind: f"{statistics.median(r.auc for r in found):.4f}" for kind, found in of.items()}},
        {"lang": "worst", **{kind: f"{row.lang} {row.auc:.4f}" for kind, row in worst.items()}},
    ]
    columns = {"language": "lang", "documents": "documents:", **{kind: f"{kind}:" for kind in of}}
    print_results([*lines.values(), *({"documents": "", **end} for end in ends)], False, columns)
