"""Token shards of the user's own text, and back."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ccbuild.cli.terminal import command, group, print_records, read_texts
from ccbuild.cli.vocab import language_code
from ccbuild.errors import InputError, MismatchError
from ccbuild.ledger import Ledger
from ccbuild.progress import note
from ccbuild.prose import read_lines
from ccbuild.rundir import FOLDERS
from ccbuild.storage import Unit, sha256_file
from ccbuild.tokens import TokenWriter, open_tokens
from ccbuild.vocab.export import MODEL_NAME
from ccbuild.vocab.tokenizer import Encoder

__all__ = ["add"]

_BLOCK = 512


def add(commands: Any) -> None:
    """These commands."""
    tokens = group(commands, "tokens", "Token shards.")
    made = command(
        tokens,
        "encode",
        _encode,
        "Text of a language, or aligned pairs of two, to token shards.",
        "ccbuild tokens encode sw.jsonl --lang sw --vocab vocabulary --out tokens\n"
        "  ccbuild tokens encode --pairs en-sw.tsv --lang en,sw --vocab vocabulary --out pairs",
    )
    made.add_argument("file", nargs="?", help="text (a document a line) or JSON lines with text; -: stdin")
    made.add_argument("--pairs", metavar="FILE.tsv", help="a sentence and its translation a line, a tab between them")
    made.add_argument("--lang", required=True, help="the language; of pairs both, such as en,sw")
    made.add_argument("--vocab", required=True, help="folder that `vocab train` wrote")
    made.add_argument("--out", required=True, help="folder to write; of pairs OUT/en-sw, for the trainer's data.pairs")
    made = command(
        tokens,
        "show",
        _show,
        "Decode any block of tokens.",
        f"ccbuild tokens show runs/mine/{FOLDERS['encode']} sw 1024 --vocab runs/mine/{FOLDERS['vocab']}",
    )
    made.add_argument("folder", help="folder of tokens")
    made.add_argument("lang")
    made.add_argument("start", type=int, help="number of the first token, from 0")
    made.add_argument("--count", type=int, default=_BLOCK, help=f"tokens (default: {_BLOCK})")
    made.add_argument("--vocab", required=True, help="folder of the vocabulary")
    made.add_argument("--json", action="store_true", help="one JSON object, ids and doc_ids with it")


def _encode(options: argparse.Namespace) -> int:
    if bool(options.file) == bool(options.pairs):
        raise InputError("Name either a file of text or --pairs FILE.tsv.")
    encoder = Encoder(Path(options.vocab) / MODEL_NAME)
    if options.pairs:
        return _encode_pairs(options, encoder)
    lang, ledger = language_code(options.lang), Ledger()
    inputs = {"vocabulary": encoder.sha256}
    if options.file != "-":
        inputs["text"] = sha256_file(options.file)
    with Unit(options.out, "tokens encode", lang, settings={}, inputs=inputs) as unit:
        if options.file != "-" and unit.done():
            note(f"{unit.manifest_path} is done already: nothing to do.")
            return 0
        with TokenWriter(unit, lang, vocabulary_size=encoder.size, vocabulary_sha256=encoder.sha256) as writer:
            for number, record in enumerate(read_texts(options.file)):
                _add(writer, encoder, record.get("doc_id", number), record["text"])
                ledger["documents"].keep()
            facts = writer.close()
        unit.commit(ledger, facts=facts)
    print_records([{"lang": lang, "tokens": facts["tokens"], "documents": facts["documents"]}])
    return 0


def _add(writer: TokenWriter, encoder: Encoder, doc_id: int, text: str) -> None:
    (ids,) = encoder.encode_documents([text])
    writer.add(doc_id, ids, text.count("\n") + 1, len(text), len(text.encode()))


def _encode_pairs(options: argparse.Namespace, encoder: Encoder) -> int:
    """A folder with two languages of equally many documents; the n-th of one translates the n-th of the other."""
    codes = [language_code(code) for code in options.lang.split(",")]
    if len(codes) != 2 or codes[0] == codes[1]:
        raise InputError(
            f"--lang {options.lang}: pairs have two languages, such as en,sw, in the order of the columns."
        )
    folder = Path(options.out) / "-".join(codes)
    inputs = {"vocabulary": encoder.sha256, "text": sha256_file(options.pairs)}
    for side, code in enumerate(codes):
        ledger = Ledger()
        with Unit(folder, "tokens encode", code, settings={"side": side}, inputs=inputs) as unit:
            if unit.done():
                note(f"{unit.manifest_path} is done already: nothing to do.")
                continue
            with TokenWriter(unit, code, vocabulary_size=encoder.size, vocabulary_sha256=encoder.sha256) as writer:
                for number, pair in _pairs(options.pairs):
                    if pair is None:
                        ledger["pairs"].drop("empty_side")
                        continue
                    _add(writer, encoder, number, pair[side])
                    ledger["pairs"].keep()
                facts = writer.close()
            unit.commit(ledger, facts=facts)
        print_records([{"lang": code, "tokens": facts["tokens"], "documents": facts["documents"]}])
    return 0


def _pairs(path: str) -> Iterator[tuple[int, tuple[str, str] | None]]:
    """(line number from 0, both sides), None where a side is empty."""
    for number, line in enumerate(read_lines(path)):
        sides = line.split("\t")
        if len(sides) != 2:
            raise InputError(f"{path}, line {number + 1} has {len(sides)} columns. A pair is two, a tab between them.")
        first, second = (" ".join(side.split()) for side in sides)
        yield number, (first, second) if first and second else None


def _show(options: argparse.Namespace) -> int:
    tokens = open_tokens(options.folder)
    if options.lang not in tokens.languages:
        raise InputError(f"{options.folder} has no {options.lang!r}. It has {', '.join(tokens.languages)}.")
    encoder = Encoder(Path(options.vocab) / MODEL_NAME)
    if encoder.sha256 != tokens.vocabulary_sha256:
        raise MismatchError(
            f"{options.vocab} is not the vocabulary of {options.folder}: SHA-256 {encoder.sha256[:12]}…, the tokens "
            f"say {tokens.vocabulary_sha256[:12]}…. Name the one that they were made with."
        )
    language = tokens.languages[options.lang]
    if not (0 <= options.start < language.tokens and options.count > 0):
        raise InputError(f"{options.lang} has {language.tokens:,} tokens, numbered from 0. Show some of these.")
    count = min(options.count, language.tokens - options.start)
    ids = language.read(options.start, count)
    text = encoder.decode(ids)
    if options.json:
        documents = [language.span_at(at).doc_id for at in _starts(language, options.start, count)]
        print_records(
            [{"lang": options.lang, "start": options.start, "ids": ids.tolist(), "text": text} | {"doc_ids": documents}]
        )
    else:
        print(text)
    return 0


def _starts(language: Any, start: int, count: int) -> Iterator[int]:
    """The first token of each document in the block, as far as the block holds it."""
    at = start
    while at < start + count:
        yield at
        span = language.span_at(at)
        at = span.start + span.length
