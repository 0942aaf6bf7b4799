"""Text by language and its sizes: of a run, a corpus or files, as vocabularies are trained, planned and measured on."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccbuild.corpus import open_corpus
from ccbuild.errors import DataError, InputError
from ccbuild.prose import check_code, find_prose
from ccbuild.rows import read_paragraphs
from ccbuild.rundir import folder_of
from ccbuild.storage import digest_of, expand, sha256_file
from ccbuild.text.clean import paragraphs
from ccbuild.text.cut import cut_lines
from ccbuild.tokens import open_tokens

__all__ = ["BY", "Texts", "corpus_texts", "file_texts", "first_lines", "sizes"]

BY = ("documents", "sentences", "characters", "tokens")
"""What the languages of a run may be sized by."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Text by language."""

    paragraphs: Mapping[str, Callable[[], Iterable[str]]]
    """Code to what gives its paragraphs, from the first one at each call."""
    inputs: Mapping[str, Any]
    """What a manifest says that was read."""


def corpus_texts(folder: str | Path) -> Texts:
    """Of a run, or of its corpus."""
    corpus = open_corpus(folder)
    inputs = {code: digest_of(language.manifest) for code, language in corpus.items()}
    return Texts({code: language.paragraphs for code, language in corpus.items()}, inputs)


def file_texts(pairs: Iterable[str]) -> Texts:
    """Of files named as ``CODE=FILE`` (or a glob), of any form that `ccbuild.rows` reads, cleaned as `corpus import`
    cleans them, and lines cut that are far too long."""
    files: dict[str, list[str]] = {}
    for pair in pairs:
        code, equals, path = pair.partition("=")
        if not equals:
            raise InputError(f"--text {pair} has no code. Write CODE=FILE, such as sw={pair}.")
        files.setdefault(check_code(code), []).extend(expand(path))
    inputs = {f"{c} {n} {Path(p).name}": sha256_file(p) for c, ps in files.items() for n, p in enumerate(ps)}

    def reader(paths: Sequence[str]) -> Callable[[], Iterator[str]]:
        return lambda: _cleaned(itertools.chain.from_iterable(map(read_paragraphs, paths)))

    return Texts({code: reader(paths) for code, paths in files.items()}, inputs)


def _cleaned(lines: Iterable[str]) -> Iterator[str]:
    return cut_lines(itertools.chain.from_iterable(map(paragraphs, lines)))


def first_lines(where: str, most: int, *, numbered: bool = False) -> dict[str, list[str]]:
    """Language to its first lines: of a corpus, of a folder with a folder a language, of a pattern with {lang}.

    They are cleaned as `corpus import` cleans them. Lines without text are left out, but where they are `numbered`,
    for each belongs to the one of that number in other languages.
    """
    folder = Path(where)
    if "{lang}" in where or where.startswith("catalogue:"):
        sources: Mapping[str, Callable[[], Iterable[str]]] = {c: p.lines for c, p in find_prose(where).items()}
    elif any(folder_of(folder, "publish").glob("*.txt.xz")):
        sources = corpus_texts(folder).paragraphs
    elif folder.is_dir():
        sources = {c: p.lines for c, p in find_prose(f"{where.rstrip('/')}/{{lang}}/*").items()}
    else:
        raise InputError(f"{where} is no folder, and has no {{lang}}. Name text by language.")
    found: dict[str, Iterator[str]]
    if numbered:
        found = {code: (" ".join(paragraphs(line)) for line in lines()) for code, lines in sources.items()}
    else:
        found = {code: _cleaned(lines()) for code, lines in sources.items()}
    return {code: list(itertools.islice(lines, most)) for code, lines in found.items()}


def sizes(source: str | Path, by: str) -> dict[str, float]:
    """Language to its size: in one of `BY` of a run, or in the column `by` of a CSV file, whose empty cells are left
    out."""
    path = Path(source)
    if path.is_file():
        return _of_table(path, by)
    if by == "tokens":
        return {c: language.tokens for c, language in open_tokens(path).languages.items()}
    if by not in BY:
        raise InputError(f"--by {by}: a run has {', '.join(BY)}.")
    fact = "paragraphs" if by == "sentences" else by
    return {code: language.facts[fact] for code, language in open_corpus(path).items()}


def _of_table(path: Path, by: str) -> dict[str, float]:
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
