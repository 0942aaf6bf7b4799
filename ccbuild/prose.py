"""The prose of each language that perplexity models and vocabularies learn from: where it lies, and its lines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ccbuild import catalogue
from ccbuild.errors import ConfigError, InputError
from ccbuild.langid.codes import is_code
from ccbuild.langid.sources import eld_sentences, udhr_excerpts
from ccbuild.rows import read_paragraphs
from ccbuild.storage import expand, sha256_file

__all__ = [
    "Prose",
    "check_code",
    "files_by_language",
    "find_prose",
    "split_prose",
]

_CATALOGUE = "catalogue:"


@dataclass(frozen=True, slots=True)
class Prose:
    """The text of one language: files as :mod:`ccbuild.rows` reads them, or what the catalogue has of it."""

    lang: str
    paths: tuple[str, ...]
    entry: str | None = None
    """Of the catalogue: the entry of which this language is a part."""
    files: tuple[catalogue.Entry, ...] = ()
    """Of the catalogue: the files of a family."""

    def lines(self) -> Iterator[str]:
        """The text, a paragraph at a time."""
        if self.entry is not None:
            yield from _entry_texts(self.entry)[self.lang]
            return
        for path in self._places():
            yield from read_paragraphs(path)

    def digest(self) -> str:
        """SHA-256 over what `lines` will read: of the files in order, or of the catalogue entry.

        Files of the catalogue are fetched for it.
        """
        if self.entry is not None:
            return str(catalogue.entries()[self.entry].sha256)
        return hashlib.sha256("".join(sha256_file(path) for path in self._places()).encode()).hexdigest()

    def nbytes(self) -> int:
        """About how much `lines` will read; files that are not on this machine yet count nothing."""
        if self.entry is not None:
            return sum(map(len, _entry_texts(self.entry)[self.lang]))
        files = [*map(Path, self.paths), *map(catalogue.place, self.files)]
        return sum(path.stat().st_size for path in files if path.is_file())

    def _places(self) -> list[str]:
        """Where the files lie on this machine."""
        return [*self.paths, *(str(catalogue.fetch(file)) for file in self.files)]


def find_prose(where: str | None, languages: Sequence[str] = ("all",)) -> dict[str, Prose]:
    """Code to prose of those `languages` that there is some of (``all``: every one), sorted; empty for None.

    `where` is ``catalogue:<entry>``, ``catalogue:<family>-<date>`` (``catalogue:wikipedia-20240506``), whose files are
    fetched when they are read, or a pattern with ``{lang}``, whose other wildcards are those of a glob.
    """
    found = _find(where, languages)
    return {lang: prose for lang, prose in found.items() if "all" in languages or lang in languages}


def _find(where: str | None, languages: Sequence[str]) -> dict[str, Prose]:
    if where is None:
        return {}
    if where.startswith(_CATALOGUE):
        entry = where.removeprefix(_CATALOGUE)
        family, dash, date = entry.rpartition("-")
        if dash and family in catalogue.families():
            if "all" in languages:
                raise ConfigError(f"{where} is many gigabytes. Name the languages: prepare.languages=[sw, ha].")
            files = catalogue.families()[family]
            return {lang: Prose(lang, (), files=files.entries(lang, date)) for lang in sorted(languages)}
        return {lang: Prose(lang, (), entry) for lang in sorted(_entry_texts(entry))}
    return {lang: Prose(lang, tuple(paths)) for lang, paths in files_by_language(where).items()}


def check_code(text: str) -> str:
    """`text`, where it can be a language's code; `InputError` where it cannot."""
    if not is_code(text):
        raise InputError(f"{text!r} is no language code: 2 to 16 letters, digits, - or _.")
    return text


def files_by_language(pattern: str) -> dict[str, list[str]]:
    """Code to the paths that match a glob with ``{lang}`` in place of the code, both sorted.

    Raises `ConfigError` for a pattern without ``{lang}``, `InputError` where nothing matches.
    """
    if "{lang}" not in pattern:
        raise ConfigError(f"{pattern!r} names one path for all; write {{lang}} where the language's code stands in it.")
    matcher = re.compile(_as_regex(pattern))
    found: dict[str, list[str]] = {}
    for path in expand(pattern.replace("{lang}", "*")):
        match = matcher.fullmatch(path)
        if match and is_code(match[1]):
            found.setdefault(match[1], []).append(path)
    if not found:
        raise InputError(f"No file matches {pattern!r} with a language code in place of {{lang}}. Check the path.")
    return {lang: sorted(paths) for lang, paths in sorted(found.items())}


def _as_regex(pattern: str) -> str:
    """A glob with ``{lang}`` as a regular expression whose first group is the code."""
    meaning = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]", "{lang}": "([^/]+)"}
    meaning |= {f"[{mark}]": re.escape(mark) for mark in "[*?"}  # as glob.escape writes them
    regex = ""
    for part in re.split(r"(\{lang\}|\[[\[*?]\]|\*\*/|\*|\?)", pattern):
        again = part == "{lang}" and meaning["{lang}"] in regex
        regex += r"\1" if again else meaning.get(part, re.escape(part))
    return regex


def split_prose(lines: Iterable[str], heldout: float) -> tuple[list[str], list[str]]:
    """(lines to estimate from, lines held out): each distinct line once, about the share `heldout` of them apart.

    Which side a line falls on depends on nothing but the line. Equal is what is equal in lower case and without white
    space at the ends. Memory: the lines, and about 80 bytes more for each.
    """
    seen: set[bytes] = set()
    sides: tuple[list[str], list[str]] = ([], [])
    for line in lines:
        key = hashlib.blake2b(line.strip().lower().encode("utf-8", "replace"), digest_size=8).digest()
        if key not in seen:
            seen.add(key)
            sides[int.from_bytes(key[:4]) < heldout * (1 << 32)].append(line)
    return sides


@lru_cache(maxsize=2)
def _entry_texts(entry: str) -> dict[str, list[str]]:
    readers = {"eld": eld_sentences, "gflanguages": udhr_excerpts}
    if entry not in readers:
        raise ConfigError(
            f"prepare.prose: the catalogue has no prose called {entry!r}. It has {', '.join(sorted(readers))}."
        )
    return readers[entry](catalogue.fetch(entry))
