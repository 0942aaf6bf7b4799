"""Languages: identify, explain, train, evaluate, calibrate, audit."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ccbuild import catalogue
from ccbuild.cli.terminal import command, configured, group, print_records, read_texts, settings_option
from ccbuild.errors import InputError
from ccbuild.langid.audit import audit, write_sheet
from ccbuild.langid.cascade import Cascade, Identified, Identifier
from ccbuild.langid.codes import is_code
from ccbuild.langid.corpus import SOURCES, read_labelled
from ccbuild.langid.evaluate import evaluate, read_shares, table
from ccbuild.langid.model import LanguageModel
from ccbuild.langid.supplement import Supplement
from ccbuild.langid.thresholds import calibrate
from ccbuild.langid.training import SupplementConfig, gather, supplement_for, train
from ccbuild.progress import note
from ccbuild.rundir import AUDITS, FOLDERS, open_run_dir
from ccbuild.stages.language import open_cascade
from ccbuild.storage import write_json

__all__ = ["add"]

_BATCH = 1024


def add(commands: Any) -> None:
    """These commands."""
    langid = group(commands, "langid", "Language identification.")
    made = command(
        langid, "identify", _identify, "Language of each text.", "echo 'Habari ya dunia' | ccbuild langid identify"
    )
    made.add_argument("file", nargs="?", default="-", help="a text a line, or JSON lines with text; - (default): stdin")
    _model_options(made)
    made = command(
        langid, "explain", _explain, "Each step that a text goes through.", "ccbuild langid explain 'Habari ya dunia'"
    )
    made.add_argument("text")
    _model_options(made)
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
    made.add_argument("--json", action="store_true", help="one JSON object: macro_f1, codes, confusions")
    made.add_argument("--keep", action="store_true", help="with --models: keep it in the run, for its report")
    _model_options(made)
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
    _model_options(made)
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


def _model_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--models", metavar="DIR", help=f"the folder {FOLDERS['prepare']} of a run")
    made.add_argument("--model", help="a fastText model, by name in the catalogue or path (lid.176.ftz)")
    made.add_argument("--supplement", metavar="FILE", help="a supplement, .ftz (default: the one shipped)")
    made.add_argument("--alone", action="store_true", help="the model alone on the whole text, as CCNet asks it")


def _opened(options: argparse.Namespace) -> Cascade:
    """The models that the options name."""
    if options.models:
        return open_cascade(Path(options.models))
    model = _model(options.model or "lid.176.ftz")
    if options.alone:
        return Cascade(model)
    return Cascade(model, Supplement(options.supplement or supplement_for(model)))


def _model(name: str) -> LanguageModel:
    known = catalogue.entries()
    if name in known:
        return LanguageModel(catalogue.fetch(name), known[name].sha256)
    return LanguageModel(name)


def _answers(options: argparse.Namespace, texts: Iterator[str]) -> Iterator[Identified]:
    cascade = _opened(options)
    identify = Identifier(cascade.model).identify if options.alone else cascade.identify
    while batch := list(itertools.islice(texts, _BATCH)):
        yield from identify(batch)


def _identify(options: argparse.Namespace) -> int:
    records, texts = itertools.tee(read_texts(options.file))
    answers = _answers(options, (record["text"] for record in texts))
    print_records(
        {**record, "lang": answer.code, "lang_score": round(answer.score, 3)}
        for answer, record in zip(answers, records, strict=False)
    )
    return 0


def _explain(options: argparse.Namespace) -> int:
    for step in _opened(options).explain(options.text):
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
    texts = gather(SOURCES if "catalogue" in options.data else (), files)
    manifest = train(texts, Path(options.out), _model(options.model), config)
    print_records([{"model": options.out, **{key: manifest[key] for key in ("sha256", "sentences")}}])
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    labelled = list(read_labelled(options.file))
    if not labelled:
        raise InputError(f"{options.file} has no line. Write a code, a tab and a text a line.")
    shares = read_shares(options.prevalence) if options.prevalence else None
    answers = _answers(options, iter(text for _, text in labelled))
    pairs = [(code, answer.code) for (code, _), answer in zip(labelled, answers, strict=True)]
    found = evaluate(pairs, options.codes.split(",") if options.codes else ())
    mapping = {"file": Path(options.file).name, **found.to_mapping(shares)}
    print(json.dumps(mapping, ensure_ascii=False) if options.json else table(found, shares))
    if options.keep:
        if not options.models:
            raise InputError(f"--keep needs --models: the folder {FOLDERS['prepare']} of the run that it belongs to.")
        write_json(open_run_dir(Path(options.models).resolve().parent).path("evaluation"), mapping)
    return 0


def _calibrate(options: argparse.Namespace) -> int:
    if not 0 < options.precision <= 1:
        raise InputError(f"--precision is {options.precision}; it is above 0 and at most 1.")
    labelled = list(read_labelled(options.file))
    answers = _answers(options, iter(text for _, text in labelled))
    answered = [(code, a.code, a.score) for (code, _), a in zip(labelled, answers, strict=True)]
    found, without = calibrate(answered, options.precision, options.least_texts, Path(options.file).name)
    found.write(options.out)
    for code, why in without.items():
        note(f"{code}: {why}")
    print_records({"lang": c, "least_score": least, "source": s} for c, (least, s) in sorted(found.rows.items()))
    return 0


def _audit(options: argparse.Namespace) -> int:
    """The sheet, or what the filled one says."""
    if not is_code(options.lang):
        raise InputError(f"{options.lang!r} is no language code: 2 to 16 letters, digits, - or _.")
    root = open_run_dir(options.folder).root
    sheet = Path(options.folder) / AUDITS / f"{options.lang}.tsv"
    if not sheet.exists():
        n = write_sheet(root, options.lang, sheet, options.n, options.seed)
        note(f"{sheet} has {n} documents. Write y or n into the first column of each line, then run this again.")
        return 0
    found = audit(sheet)
    write_json(sheet.with_suffix(".json"), found)
    print_records([found])
    return 0
