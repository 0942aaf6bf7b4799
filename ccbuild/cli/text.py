"""Vocabularies and tokens of the user's own text."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

from ccbuild.cli.terminal import command, configured, group, note, print_records, read_texts, settings_option
from ccbuild.config import flatten
from ccbuild.errors import InputError
from ccbuild.langid.codes import is_code
from ccbuild.ledger import Ledger
from ccbuild.prose import read_lines
from ccbuild.storage import Unit, expand, facts_of, sha256_file
from ccbuild.tokens import TokenWriter
from ccbuild.vocab.config import VocabularyConfig
from ccbuild.vocab.export import MODEL_NAME
from ccbuild.vocab.tokenizer import Encoder
from ccbuild.vocab.train import build_vocabulary
from ccbuild.vocab.words import count_words, write_counts

__all__ = ["add"]


def add(commands: Any) -> None:
    """These commands."""
    made = command(
        group(commands, "vocab", "Shared vocabularies."),
        "train",
        _vocab_train,
        "A SentencePiece vocabulary over languages.",
        "ccbuild vocab train --text sw=sw.txt.xz ha=ha.txt.xz --out vocabulary --set size=8000",
    )
    made.add_argument("--text", nargs="+", required=True, metavar="CODE=FILE", help="text of a language")
    made.add_argument("--out", required=True, help="folder to write")
    settings_option(made, "alpha=0.5")
    made = command(
        group(commands, "tokens", "Token shards."),
        "encode",
        _tokens_encode,
        "Text of a language to token shards.",
        "ccbuild tokens encode sw.jsonl --lang sw --vocab vocabulary --out tokens",
    )
    made.add_argument("file", help="text (a document a line) or JSON lines with text; -: stdin")
    made.add_argument("--lang", required=True)
    made.add_argument("--vocab", required=True, help="folder that `vocab train` wrote")
    made.add_argument("--out", required=True, help="folder to write")


def _code(code: str) -> str:
    if not is_code(code):
        raise InputError(f"{code!r} is no language code: 2 to 16 letters, digits, - or _.")
    return code


def _vocab_train(options: argparse.Namespace) -> int:
    config = configured(VocabularyConfig, options.set, "vocab")
    files: dict[str, list[str]] = {}
    for pair in options.text:
        code, equals, path = pair.partition("=")
        if not equals:
            raise InputError(f"--text {pair} has no code. Write CODE=FILE, such as sw={pair}.")
        files.setdefault(_code(code), []).extend(expand(path))
    inputs = {f"{c} {n} {Path(p).name}": sha256_file(p) for c, ps in files.items() for n, p in enumerate(ps)}
    with Unit(options.out, "vocab train", "vocabulary", settings=flatten(config), inputs=inputs) as unit:
        if unit.done():
            note(f"{unit.manifest_path} is done already: nothing to do.")
            return 0
        counts = {code: unit.scratch(f"{code}.parquet") for code in sorted(files)}
        for code, target in counts.items():
            write_counts(target, count_words(itertools.chain.from_iterable(map(read_lines, files[code])), config))
        made = build_vocabulary(counts, config)
        for name, content in made.files().items():
            unit.path(name).write_bytes(content)
        ledger = Ledger()
        ledger["languages"].keep(len(counts))
        unit.commit(ledger, facts=facts_of(made))
    print_records([{"vocabulary": options.out, **facts_of(made)}])
    return 0


def _tokens_encode(options: argparse.Namespace) -> int:
    encoder = Encoder(Path(options.vocab) / MODEL_NAME)
    lang, ledger = _code(options.lang), Ledger()
    inputs = {"vocabulary": encoder.sha256}
    if options.file != "-":
        inputs["text"] = sha256_file(options.file)
    with Unit(options.out, "tokens encode", lang, settings={}, inputs=inputs) as unit:
        if options.file != "-" and unit.done():
            note(f"{unit.manifest_path} is done already: nothing to do.")
            return 0
        writer = TokenWriter(unit, lang, vocabulary_size=encoder.size, vocabulary_sha256=encoder.sha256)
        with writer:
            for number, record in enumerate(read_texts(options.file)):
                text = record["text"]
                (ids,) = encoder.encode_documents([text])
                writer.add(record.get("doc_id", number), ids, text.count("\n") + 1, len(text), len(text.encode()))
                ledger["documents"].keep()
            facts = writer.close()
        unit.commit(ledger, facts=facts)
    print_records([{"lang": lang, "tokens": facts["tokens"], "documents": facts["documents"]}])
    return 0
