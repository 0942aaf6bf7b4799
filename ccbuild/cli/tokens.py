"""Token shards of the user's own text, and back."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ccbuild.cli.terminal import command, group, json_option, print_records, print_results, print_text, split_option
from ccbuild.errors import InputError, MismatchError
from ccbuild.progress import note, watched
from ccbuild.rows import read_documents
from ccbuild.rundir import FOLDERS
from ccbuild.storage import sha256_file
from ccbuild.tokens import open_tokens
from ccbuild.vocab.encode import encode_pairs, encode_texts
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
    made.add_argument(
        "file", nargs="?", help="plain text, JSON lines or Parquet with text, compressed or not; -: stdin"
    )
    made.add_argument("--pairs", metavar="FILE.tsv", help="a sentence and its translation a line, a tab between them")
    made.add_argument("--lang", required=True, help="the language; of pairs both, such as en,sw")
    made.add_argument("--vocab", required=True, help="folder that `vocab train` wrote")
    made.add_argument("--out", required=True, help="folder to write; of pairs OUT/en-sw, for the trainer's data.pairs")
    split_option(made)
    json_option(made)
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
    with watched("encode"):
        encoder = Encoder(Path(options.vocab) / MODEL_NAME)
        if options.pairs:
            made = encode_pairs(options.pairs, options.lang.split(","), encoder, options.out)
        else:
            digest = None if options.file == "-" else sha256_file(options.file)
            records = read_documents(options.file, options.split)
            made = [encode_texts(records, options.lang, encoder, options.out, digest, options.split)]
    for manifest, fresh in made:
        if not fresh:
            note(f"{manifest.unit} is encoded already: nothing to do.")
    facts = ({"lang": m.unit, **{key: m.facts[key] for key in ("tokens", "documents")}} for m, _ in made)
    print_results(facts, options.json, {"language": "lang", "documents": "documents:,", "tokens": "tokens:,"})
    return 0


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
        print_text(text)
    return 0


def _starts(language: Any, start: int, count: int) -> Iterator[int]:
    """The first token of each document in the block, as far as the block holds it."""
    at = start
    while at < start + count:
        yield at
        span = language.span_at(at)
        at = span.start + span.length
