"""Vocabularies: how languages are weighed, training, how well each language is spelled."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
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
)
from ccbuild.errors import InputError
from ccbuild.langid.codes import LANGUAGE_SETS
from ccbuild.plural import many
from ccbuild.progress import counted, note, phase, watched
from ccbuild.storage import facts_of, write_bytes
from ccbuild.vocab.alpha import WARN_REPETITION, PlanRow, plan_rows
from ccbuild.vocab.config import VocabularyConfig
from ccbuild.vocab.fertility import RARE, RATIOS, Change, Spelling, changes, measure, open_segmenter, unpaired
from ccbuild.vocab.texts import BY, corpus_texts, file_texts, first_lines, sizes
from ccbuild.vocab.train import train_vocabulary

__all__ = ["add"]

_SHOWN = 12
"""Languages of which a person is told what their pieces cannot spell."""


def add(commands: Any) -> None:
    """These commands."""
    vocab = group(commands, "vocab", "Shared vocabularies.")
    _add_plan(vocab)
    _add_train(vocab)
    _add_report(vocab)
    _add_compare(vocab)


def _add_plan(vocab: Any) -> None:
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
    made.add_argument("--by", default="sentences", help=f"{', '.join(BY)}, or a column of the CSV (default: sentences)")
    made.add_argument("--languages", help=f"{', '.join(LANGUAGE_SETS)}, or codes separated by commas (default: all)")
    made.add_argument("--cap", type=float, help="most times that a language is read (default: no cap, as XLM-R)")
    made.add_argument("--total", type=float, help="units drawn, such as 6.29e12 tokens (default: as many as there are)")
    made.add_argument("--out", help="an HTML file with table and plot")
    json_option(made)


def _add_train(vocab: Any) -> None:
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
    json_option(made)


def _add_report(vocab: Any) -> None:
    made = command(
        vocab,
        "report",
        _report,
        "How well a vocabulary spells each language: fertility, words in one piece, unknowns, parity, scripts.",
        "ccbuild vocab report vocabulary --text 'heldout/{lang}.txt.xz' --out report.html",
    )
    made.add_argument("model", nargs=1, help=_MODEL)
    made.set_defaults(first=None)
    _add_texts(made)


def _add_compare(vocab: Any) -> None:
    made = command(
        vocab,
        "compare",
        _report,
        "Vocabularies beside each other, language by language, and what changes from the first to each other one.",
        "ccbuild vocab compare vocabulary xlm-r/sentencepiece.bpe.model --text 'heldout/{lang}.txt.xz' --out both.html",
    )
    made.add_argument("first", help=_MODEL)
    made.add_argument("model", nargs="+", help="the others")
    _add_texts(made)


_MODEL = "a folder of `vocab train`, a SentencePiece model or a tokenizer.json"


def _add_texts(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--text", required=True, help="text not trained on: a run, a folder CODE/…, or a path with {lang}"
    )
    made.add_argument(
        "--parallel", help="the same text in many languages, en among them, line by line: a path with {lang}"
    )
    made.add_argument("--lines", type=int, default=2000, help="most lines of a language (default: 2000)")
    made.add_argument("--out", help="an HTML file with tables and a plot")
    json_option(made)


def _plan(options: argparse.Namespace) -> int:
    counts = sizes(options.source, options.by)
    if options.languages:
        wanted = LANGUAGE_SETS.get(options.languages) or options.languages.split(",")
        absent = [code for code in wanted if not counts.get(code)]
        counts = {code: counts[code] for code in wanted if counts.get(code)}
        if absent:
            note(f"{len(absent)} languages have no text here: {', '.join(absent)}")
    rows = plan_rows(counts, options.alpha, cap=options.cap, total=options.total)
    _warn(rows)
    columns = {"language": "lang", options.by: "count:,.10g", "before": "before:.4%", "after": "after:.4%"}
    columns |= {"times read": "repeated:,.2f", "": "held"}
    held = [{} if options.json else {"held": "capped" if row.capped else ""} for row in rows]
    print_results(({**facts_of(row), **more} for row, more in zip(rows, held, strict=True)), options.json, columns)
    if options.out:
        from ccbuild.report.vocabulary import plan_page

        write_bytes(options.out, plan_page(rows, alpha=options.alpha, by=options.by, cap=options.cap).encode())
    return 0


def _warn(rows: Sequence[PlanRow]) -> None:
    often = [row for row in rows if row.repeated > WARN_REPETITION]
    if often:
        most = max(often, key=lambda row: row.repeated)
        note(
            f"{len(often)} languages are read more than {WARN_REPETITION:g} times, {most.lang} {most.repeated:,.0f} "
            "times: they will be learnt by heart. A cap, say --cap 20, shares out what they have too much."
        )


def _train(options: argparse.Namespace) -> int:
    overrides = [f"{key}={value}" for key in ("size", "alpha") if (value := getattr(options, key)) is not None]
    config = configured(VocabularyConfig, [*overrides, *options.set], "vocab")
    if bool(options.corpus) == bool(options.text):
        raise InputError("Name the text either by --corpus FOLDER or by --text CODE=FILE.")
    with watched("vocab train"):
        texts = corpus_texts(options.corpus) if options.corpus else file_texts(options.text)
        manifest, fresh = train_vocabulary(texts, config, options.out)
    if not fresh:
        note(f"{options.out} holds this vocabulary already: nothing to do.")
    facts = {"vocabulary": options.out, **manifest.facts}
    if options.json:
        print_records([facts])
    else:
        _print_vocabulary(facts)
    return 0


def _print_vocabulary(facts: dict[str, Any]) -> None:
    """Its numbers, and the languages that its pieces spell worst."""
    numbers = {"pieces": "size", "asked for": "asked", "distinct words": "words", "trained on": "rows"}
    told = {name: facts[key] for name, key in numbers.items()}
    print_facts({"vocabulary": facts["vocabulary"], **told, "languages": len(facts["plan"])}, False)
    rows = [{"lang": code, **left} for code, left in facts["left_out"].items()]
    worst = sorted(rows, key=lambda row: (-row["share"], row["lang"]))[:_SHOWN]
    if worst:
        print()
        shown = ({**row, "characters": row["characters"][:_SHOWN]} for row in worst)
        columns = {"language": "lang", "without a piece": "share:.4%", "kinds": "kinds", "characters": "characters"}
        print_results(shown, False, columns)


def _report(options: argparse.Namespace) -> int:
    with watched("vocab report"):
        with phase("read"):
            text = first_lines(options.text, options.lines)
            parallel = _parallel(options.parallel, options.lines) if options.parallel else None
        models = counted([*filter(None, [options.first]), *options.model], "vocabularies")
        spellings = [measure(open_segmenter(model), text, parallel) for model in models]
    if options.json:
        for spelling in spellings:
            print_records([spelling.to_mapping()])
            print_records({"model": spelling.name, **row.to_mapping()} for row in spelling.languages.values())
        for other in spellings[1:]:
            pair = {"first": spellings[0].name, "other": other.name}
            print_records({**pair, **facts_of(change)} for change in changes(spellings[0], other))
    else:
        _print_spellings(spellings)
    if options.out:
        from ccbuild.report.vocabulary import spelling_page

        write_bytes(options.out, spelling_page(spellings).encode())
    return 0


def _parallel(where: str, most: int) -> dict[str, list[str]]:
    """Lines with the same number say the same; a language with another number of them than English is told."""
    found = first_lines(where, most, numbered=True)
    if "en" not in found:
        raise InputError(f"--parallel {where} has no en: parity is told against English.")
    if without := unpaired(found):
        told = ", ".join(f"{code} {number:,}" for code, number in list(without.items())[:_SHOWN])
        note(
            f"{len(without)} languages of --parallel have another number of lines than en, which has "
            f"{len(found['en']):,}: {told}. They get no parity, since lines are paired by their number."
        )
    return found


def _print_spellings(spellings: Sequence[Spelling]) -> None:
    for number, spelling in enumerate(spellings):
        told = spelling.to_mapping()
        scripts = ", ".join(f"{script} {share:.1%}" for script, share in list(spelling.scripts.items())[:8])
        languages = many(len(spelling.languages), "language")
        print(f"[{number + 1}] {spelling.name}: {many(spelling.size, 'piece')}, {languages}")
        print(f"    scripts: {scripts}")
        print(f"    pieces that occur fewer than {RARE} times: {spelling.rare:,}")
        for ratio in RATIOS:
            if (mean := told[f"mean_{ratio}"]) is not None:
                print(f"    mean {ratio.replace('_', ' ')}: {mean:.4f}")
        if spelling.unseen:
            print(f"    never saw, not in the means: {', '.join(spelling.unseen)}")
    ratios = {"/char": "per_character:.3f", "/word": "per_word:.2f", "/byte": "per_byte:.3f", "parity": "parity:.2f"}
    ratios |= {"1 piece": "one_piece:.1%", "unk": "unknown_share:.2%"}
    columns = {"language": "lang"}
    rows: dict[str, dict[str, Any]] = {}
    for number, spelling in enumerate(spellings):
        columns |= {f"[{number + 1}] {name}": f"{number} {ratio}" for name, ratio in ratios.items()}
        for code, row in spelling.languages.items():
            values = {f"{number} {key}": value for key, value in row.to_mapping().items()}
            rows.setdefault(code, {"lang": code}).update(values)
    print()
    print_results([rows[code] for code in sorted(rows)], False, columns)
    for number, other in enumerate(spellings[1:], 2):
        _print_changes(number, changes(spellings[0], other))


def _print_changes(number: int, found: Sequence[Change]) -> None:
    rows = []
    for change in found:
        ends = {"least": _ends(change.least), "most": _ends(change.most)}
        shown = {"what": change.ratio.replace("_", " "), "median": change.median, "other": change.other, **ends}
        rows.append({**shown, "change": change.change, "less": change.less, "more": change.more})
    columns = {f"[1] to [{number}]": "what", "median [1]": "median:.4f", f"[{number}]": "other:.4f"}
    columns |= {"change": "change:+.2%", "less": "less:", "more": "more:", "falls most": "least", "rises most": "most"}
    print()
    print_results(rows, False, columns)


def _ends(end: tuple[str, float, float]) -> str:
    code, first, other = end
    return f"{code} {first:.3f} to {other:.3f}"
