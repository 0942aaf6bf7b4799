"""Text files in the forms that prose comes in: lines, Wikipedia's dumps, JSON lines, Parquet, CC-100's ``.txt.xz``.

What perplexity models learn from (:func:`find_prose`, :func:`read_paragraphs`) and what they are asked about
(:func:`read_documents`).
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import lzma
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ccbuild import catalogue
from ccbuild.errors import ConfigError, DataError, InputError
from ccbuild.langid.codes import is_code
from ccbuild.langid.sources import eld_sentences, udhr_excerpts
from ccbuild.storage import expand, sha256_file

__all__ = [
    "Prose",
    "check_code",
    "files_by_language",
    "find_prose",
    "read_documents",
    "read_lines",
    "read_paragraphs",
    "split_prose",
]

_CATALOGUE = "catalogue:"


@dataclass(frozen=True, slots=True)
class Prose:
    """The text of one language: files as :func:`read_paragraphs` reads them, or what the catalogue has of it."""

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


def read_paragraphs(path: str | Path) -> Iterator[str]:
    """The paragraphs of a file, whatever its form is.

    * ``.parquet`` with a column ``text``, as Hugging Face publishes Wikipedia;
    * JSON lines with a key ``text`` (``.json`` in the name, or a first line that is an object): what WikiExtractor
      writes, and Cirrussearch dumps, whose index lines and pages outside the article namespace are left out;
    * any other text: a paragraph a line.
    """
    for record in read_documents(path, "line"):
        if record.get("namespace", 0) == 0:
            yield from record["text"].split("\n")


def read_documents(path: str | Path, split: Literal["auto", "line", "blank"] = "auto") -> Iterator[dict[str, Any]]:
    """Documents as records with ``text``; JSON lines and Parquet keep their other keys (in Parquet text and numbers).

    Of plain text `split` says where a document ends: at each line, at empty lines, or (``"auto"``) at empty lines in
    files called ``.txt.xz``, which is CC-100's form, and at each line elsewhere. `DataError` for what cannot be read,
    `InputError` where ``text`` is missing.
    """
    if Path(path).suffix == ".parquet":
        yield from _parquet_rows(path)
        return
    lines = read_lines(path)
    first = next(lines, None)
    if first is None:
        return
    lines = itertools.chain([first], lines)
    if ".json" in Path(path).name or _is_record(first):
        yield from _json_records(lines, path)
    elif split == "blank" or (split == "auto" and str(path).endswith(".txt.xz")):
        for filled, paragraphs in itertools.groupby(lines, key=lambda line: bool(line.strip())):
            if filled:
                yield {"text": "\n".join(paragraphs)}
    else:
        yield from ({"text": line} for line in lines)


def _is_record(line: str) -> bool:
    try:
        return line.startswith("{") and isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False


def _json_records(lines: Iterable[str], path: str | Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number} is no JSON: {error}. Give JSON lines, or plain text.") from error
        if not isinstance(record, dict):
            raise InputError(f"{path}, line {number} is a JSON {type(record).__name__}. Each line needs a key 'text'.")
        if "index" in record and "text" not in record:  # Cirrussearch: before each page a line that says its id
            continue
        if not isinstance(record.get("text"), str):
            raise InputError(f"{path}, line {number} has no text. Each line needs a key 'text'.")
        record["text"] = record["text"].encode("utf-8", "ignore").decode()  # JSON can say lone surrogates
        yield record


def _parquet_rows(path: str | Path) -> Iterator[dict[str, Any]]:
    if not Path(path).is_file():
        raise InputError(f"{path} is not a file. Check the path.")
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            if "text" not in schema.names or not _is_text(schema.field("text").type):
                raise InputError(f"{path} has no column 'text'. It has {', '.join(schema.names)}.")
            plain = [f.name for f in schema if _is_text(f.type) or pa.types.is_primitive(f.type)]
            plain = [name for name in plain if not pa.types.is_temporal(schema.field(name).type)]
            for batch in file.iter_batches(1 << 10, columns=plain):
                yield from ({**row, "text": row["text"] or ""} for row in batch.to_pylist())
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not Parquet ({' '.join(str(error).split())[:200]}). Get it again.") from error


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


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
