"""Well-formed text by language, from the catalogue or from files of the user's: what perplexity models learn from."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ccbuild import catalogue
from ccbuild.errors import ConfigError, DataError, InputError
from ccbuild.langid.codes import is_code
from ccbuild.storage import expand, sha256_file

__all__ = ["Prose", "find_prose", "read_lines"]

_CATALOGUE = "catalogue:"


@dataclass(frozen=True, slots=True)
class Prose:
    """The text of one language: files of a paragraph a line, or a part of a catalogue entry."""

    lang: str
    paths: tuple[str, ...]
    entry: str | None = None

    def lines(self) -> Iterator[str]:
        """The text, a paragraph at a time."""
        if self.entry is not None:
            yield from _entry_texts(self.entry)[self.lang]
            return
        for path in self.paths:
            yield from read_lines(path)

    def digest(self) -> str:
        """SHA-256 over what `lines` will read: of the files in order, or of the catalogue entry."""
        if self.entry is not None:
            return catalogue.entries()[self.entry].sha256
        return hashlib.sha256("".join(sha256_file(path) for path in self.paths).encode()).hexdigest()


def find_prose(where: str | None) -> dict[str, Prose]:
    """Language code to its prose, sorted by code; empty for None.

    `where` is ``catalogue:<entry>`` or a pattern with ``{lang}``, whose other wildcards are those of a glob.
    """
    if where is None:
        return {}
    if where.startswith(_CATALOGUE):
        entry = where.removeprefix(_CATALOGUE)
        return {lang: Prose(lang, (), entry) for lang in sorted(_entry_texts(entry))}
    if "{lang}" not in where:
        raise ConfigError(f"prepare.prose is {where!r}; write {{lang}} where the language's code stands in the path.")
    matcher = re.compile(_as_regex(where))
    found: dict[str, list[str]] = {}
    for path in expand(where.replace("{lang}", "*")):
        match = matcher.fullmatch(path)
        if match and is_code(match[1]):
            found.setdefault(match[1], []).append(path)
    if not found:
        raise InputError(f"No file matches {where!r} with a language code in place of {{lang}}. Check the path.")
    return {lang: Prose(lang, tuple(sorted(paths))) for lang, paths in sorted(found.items())}


def _as_regex(pattern: str) -> str:
    """A glob with ``{lang}`` as a regular expression whose first group is the code."""
    meaning = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]", "{lang}": "([^/]+)"}
    meaning |= {f"[{mark}]": re.escape(mark) for mark in "[*?"}  # as glob.escape writes them
    regex = ""
    for part in re.split(r"(\{lang\}|\[[\[*?]\]|\*\*/|\*|\?)", pattern):
        again = part == "{lang}" and meaning["{lang}"] in regex
        regex += r"\1" if again else meaning.get(part, re.escape(part))
    return regex


def read_lines(path: str | Path) -> Iterator[str]:
    """Lines of a UTF-8 text file, plain, .xz or .gz, without their ends; bad bytes are a `DataError`."""
    openers: dict[str, Any] = {".xz": lzma.open, ".gz": gzip.open}
    opener = openers.get(Path(path).suffix, open)
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):  # noqa: B007  the number is for the error
                yield line.rstrip("\n")
    except (UnicodeDecodeError, lzma.LZMAError, gzip.BadGzipFile, EOFError) as error:
        raise DataError(f"{path} cannot be read after line {number}: {error}. Check that it is UTF-8 text.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder. Name the files in it.") from error
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path.") from error


@lru_cache(maxsize=2)
def _entry_texts(entry: str) -> dict[str, list[str]]:
    readers = {"eld": catalogue.eld_sentences, "gflanguages": catalogue.udhr_excerpts}
    if entry not in readers:
        raise ConfigError(
            f"prepare.prose: the catalogue has no prose called {entry!r}. It has {', '.join(sorted(readers))}."
        )
    return readers[entry](catalogue.fetch(entry))
