"""Languages: identify, explain, train, evaluate, calibrate, audit."""

from __future__ import annotations

import argparse
import itertools
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
from ccbuild.langid.audit import audit, write_sheet
from ccbuild.langid.cascade import Cascade, Identified, Identifier
from ccbuild.langid.corpus import SOURCES, read_labelled
from ccbuild.langid.evaluate import evaluate, read_shares, table
from ccbuild.langid.identify import answers, cascade_of, open_model
from ccbuild.langid.thresholds import calibrate
from ccbuild.langid.training import SupplementConfig, gather, train
from ccbuild.plural import many
from ccbuild.progress import counted, note, phase, watched
from ccbuild.prose import check_code
from ccbuild.rows import read_documents
from ccbuild.rundir import AUDITS, FOLDERS, open_run_dir
from ccbuild.stages.language import open_cascade
from ccbuild.storage import write_json

__all__ = ["add"]


def add(commands: Any) -> None:
    """These commands."""
    langid = group(commands, "langid", "Language identification.")
    made = command(
        langid, "identify", _identify, "Language of each text.", "echo 'Habari ya dunia' | ccbuild langid identify"
    )
    taken = "plain text, JSON lines or Parquet with text, compressed or not; -: stdin (default)"
    made.add_argument("file", nargs="?", default="-", help=taken)
    split_option(made)
    _model_options(made)
    made = command(
        langid, "explain", _explain, "Each step that a text goes through.", "ccbuild langid explain 'Habari ya dunia'"
    )
    made.add_argument("text")
    json_option(made)
    _model_options(made)
    _add_train(langid)
    _add_evaluate(langid)
    _add_calibrate(langid)
    _add_audit(langid)


def _add_train(langid: Any) -> None:
    made = command(
        langid,
        "train",
        _train,
        "A supplement for languages that the first model lacks or confuses.",
        "ccbuild langid train --data catalogue mine.tsv --out models/supplement.ftz",
    )
    made.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="FILE",
        help=f"`catalogue` ({', '.join(SOURCES)}), files or folders of *.tsv with a code, a tab and a text a line",
    )
    made.add_argument("--out", required=True, help="model to write, .ftz; its manifest is written beside it, .json")
    made.add_argument("--model", default="lid.176.ftz", help="the model that it will help (lid.176.ftz)")
    settings_option(made, "epochs=10")
    json_option(made)


def _add_evaluate(langid: Any) -> None:
    made = command(
        langid,
        "evaluate",
        _evaluate,
        "Precision, recall, F1 and false positives by code on labelled text.",
        "ccbuild langid evaluate labelled.tsv --prevalence shares.tsv",
    )
    made.add_argument("file", help="a code, a tab and a text a line")
    made.add_argument("--codes", help="score only these, with commas (default: all that the file has)")
    made.add_argument("--prevalence", metavar="FILE", help="a code, a tab and its share of all pages a line")
    json_option(made)
    made.add_argument("--keep", action="store_true", help="with --models: keep it in the run, for its report")
    _model_options(made)


def _add_calibrate(langid: Any) -> None:
    made = command(
        langid,
        "calibrate",
        _calibrate,
        "Least scores by language for a wanted precision.",
        "ccbuild langid calibrate labelled.tsv --precision 0.95 --out thresholds.tsv",
    )
    made.add_argument("file", help="a code, a tab and a text a line; other text than the models were trained on")
    made.add_argument("--precision", type=float, default=0.95, help="share of the answers that shall be right (0.95)")
    made.add_argument("--least-texts", type=int, default=50, help="answers that a code needs for a threshold (50)")
    made.add_argument("--out", required=True, help="table to write, for refine.language.thresholds")
    json_option(made)
    _model_options(made)


def _add_audit(langid: Any) -> None:
    made = command(
        langid,
        "audit",
        _audit,
        "A sheet of documents for a person to judge, then the precision with its interval.",
        "ccbuild langid audit runs/mine --lang ha --n 100",
    )
    made.add_argument("folder", help="folder of a run")
    made.add_argument("--lang", required=True, help="code")
    made.add_argument("--n", type=int, default=100, help="documents of the sheet (100)")
    made.add_argument("--seed", type=int, default=0, help="which documents these are (0)")
    json_option(made)


def _model_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--models", metavar="DIR", help=f"the folder {FOLDERS['prepare']} of a run")
    made.add_argument("--model", help="a fastText model, by name in the catalogue or path (lid.176.ftz)")
    made.add_argument("--supplement", metavar="FILE", help="a supplement, .ftz (default: the one shipped)")
    made.add_argument("--alone", action="store_true", help="the model alone on the whole text, as CCNet asks it")


def _identifier(options: argparse.Namespace) -> Cascade | Identifier:
    """What the options name, to be asked."""
    if options.alone:
        return Identifier(open_cascade(Path(options.models)).model if options.models else open_model(_model(options)))
    return open_cascade(Path(options.models)) if options.models else cascade_of(_model(options), options.supplement)


def _model(options: argparse.Namespace) -> str:
    return options.model or "lid.176.ftz"


def _asked(options: argparse.Namespace, doing: str) -> list[tuple[str, Identified]]:
    """The labelled texts of the file: (label, answer) of each."""
    with watched(doing):
        labelled = list(read_labelled(options.file))
        if not labelled:
            raise InputError(f"{options.file} has no line. Write a code, a tab and a text a line.")
        with phase("open models"):
            identifier = _identifier(options)
        found = counted(answers(identifier, (text for _, text in labelled)), "texts", len(labelled))
        return [(code, answer) for (code, _), answer in zip(labelled, found, strict=True)]


def _identify(options: argparse.Namespace) -> int:
    records, texts = itertools.tee(read_documents(options.file, options.split))
    found = answers(_identifier(options), (record["text"] for record in texts))
    print_records(
        {**record, "lang": answer.code, "lang_score": round(answer.score, 3)}
        for answer, record in zip(found, records, strict=False)
    )
    return 0


def _explain(options: argparse.Namespace) -> int:
    identifier = _identifier(options)
    steps = (identifier if isinstance(identifier, Cascade) else Cascade(identifier.model)).explain(options.text)
    if options.json:
        print_records(steps)
        return 0
    for step in steps:
        print(f"{step.pop('step'):<12}" + ", ".join(f"{key}: {_shown(value)}" for key, value in step.items()))
    return 0


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{code} {p:.3f}" for code, p in value.items()) or "-"
    return f"{value:.3f}" if isinstance(value, float) else str("-" if value is None or value == "" else value)


def _train(options: argparse.Namespace) -> int:
    config = configured(SupplementConfig, options.set, "langid train")
    files: list[Path] = []
    for name in options.data:
        if name != "catalogue":
            files += sorted(Path(name).glob("*.tsv")) if Path(name).is_dir() else [Path(name)]
    if not files and "catalogue" not in options.data:
        raise InputError(
            f"{' '.join(options.data)} has no .tsv. Write a code, a tab and a text a line, or `catalogue`."
        )
    with watched("langid train"):
        with phase("read texts"):
            texts = gather(SOURCES if "catalogue" in options.data else (), files)
        with phase("train"):
            manifest = train(texts, Path(options.out), open_model(options.model), config)
    told = {"model": options.out, **{key: manifest[key] for key in ("sha256", "sentences")}}
    sums = {"languages": len(told["sentences"]), "sentences": sum(told["sentences"].values())}
    print_facts(told if options.json else {**told, **sums}, options.json)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    shares = read_shares(options.prevalence) if options.prevalence else None
    pairs = [(code, answer.code) for code, answer in _asked(options, "evaluate")]
    found = evaluate(pairs, options.codes.split(",") if options.codes else ())
    mapping = {"file": Path(options.file).name, **found.to_mapping(shares)}
    if options.json:
        print_records([mapping])
    else:
        print(table(found, shares))
    if options.keep:
        if not options.models:
            raise InputError(f"--keep needs --models: the folder {FOLDERS['prepare']} of the run that it belongs to.")
        write_json(open_run_dir(Path(options.models).resolve().parent).path("evaluation"), mapping)
    return 0


def _calibrate(options: argparse.Namespace) -> int:
    if not 0 < options.precision <= 1:
        raise InputError(f"--precision is {options.precision}; it is above 0 and at most 1.")
    answered = [(code, answer.code, answer.score) for code, answer in _asked(options, "calibrate")]
    found, without = calibrate(answered, options.precision, options.least_texts, Path(options.file).name)
    found.write(options.out)
    for code, why in without.items():
        note(f"{code}: {why}")
    rows = ({"lang": c, "least_score": least, "source": s} for c, (least, s) in sorted(found.rows.items()))
    print_results(rows, options.json, {"language": "lang", "least score": "least_score:.4g", "calibrated on": "source"})
    return 0


def _audit(options: argparse.Namespace) -> int:
    """The sheet, or what the filled one says."""
    root = open_run_dir(options.folder).root
    sheet = Path(options.folder) / AUDITS / f"{check_code(options.lang)}.tsv"
    if not sheet.exists():
        n = write_sheet(root, options.lang, sheet, options.n, options.seed)
        note(
            f"{sheet} has {many(n, 'document')}. Write y or n into the first column of each line, then run this again."
        )
        return 0
    found = audit(sheet)
    write_json(sheet.with_suffix(".json"), found)
    print_facts(found, options.json)
    return 0
