"""Messages of programs in the languages that hardly any other text is at hand for, out of Debian's packages.

A package is an archive of `ar` with a tar of its files in it. LibreOffice's have GNU catalogues (``….mo``, with the
English beside each message), Firefox's a zip of Fluent and property files. What has places for values or marks of
programs, what is English still and what stands in several languages is left out.
"""

from __future__ import annotations

import io
import re
import struct
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ccbuild.errors import DataError

__all__ = ["program_messages"]

_LOCALE = re.compile(r"/(?:resource/|langpack-)([a-zA-Z-]+)(?:/LC_MESSAGES/\w+\.mo|@.+\.xpi)$")
_HEAD, _MO = struct.Struct("16s32x10s2x"), b"\xde\x12\x04\x95"
_STATED = re.compile(r"\s*(?:[\w.-]+\s*=|\*?\[\w+\])?\s*(.*)")
"""A line of a Fluent or property file: a name and its text, a variant, or more of a text."""
_NO_TEXT = re.compile(r"[%${}\\|=#@^]|&\w+;|https?:|\w\(\)")
_ELEMENT, _ACCESS_KEY = re.compile(r"<[^>]*>"), re.compile(r"[~_](?=\w)")


def program_messages(path: Path, min_words: int = 4) -> dict[str, list[str]]:
    """Locale (``nso``, ``gn``) to the distinct lines of messages in it, of `min_words` words or more, sorted."""
    found: dict[str, dict[str, str]] = {}
    with zipfile.ZipFile(path) as packages:
        for package in packages.namelist():
            for locale, message in _messages(packages.read(package), f"{path}!{package}"):
                for line in message.split("\n"):
                    text = " ".join(_ACCESS_KEY.sub("", _ELEMENT.sub(" ", line)).split())
                    letters = sum(map(str.isalpha, text))
                    if len(text.split()) >= min_words and letters * 3 > len(text) * 2 and not _NO_TEXT.search(text):
                        found.setdefault(locale, {}).setdefault(text.lower(), text)
    locales = Counter(key for texts in found.values() for key in texts)
    return {locale: sorted(text for key, text in texts.items() if locales[key] == 1) for locale, texts in found.items()}


def _messages(package: bytes, where: str) -> Iterator[tuple[str, str]]:
    """(locale, message) of a package."""
    try:
        for name, content in _files(package):
            locale = _LOCALE.search(name)
            if locale and name.endswith(".mo"):
                yield from ((locale[1], said) for english, said in _translated(content) if said != english)
            elif locale:
                with zipfile.ZipFile(io.BytesIO(content)) as pack:
                    for member in sorted(pack.namelist()):
                        if member.endswith((".ftl", ".properties")):
                            yield from ((locale[1], line) for line in _stated(pack.read(member).decode()))
    except (struct.error, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DataError(f"{where} is no package of translations: {error}. Fetch the file again.") from error


def _files(package: bytes) -> Iterator[tuple[str, bytes]]:
    """(path, content) of each file of a Debian package; deb(5), ar(5)."""
    place = len(b"!<arch>\n")
    while place < len(package):
        name, size = (field.decode().strip() for field in _HEAD.unpack_from(package, place))
        place += _HEAD.size
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(package[place : place + int(size)])) as files:
                for member in files:
                    content = files.extractfile(member) if member.isfile() else None
                    if content:
                        yield member.name, content.read()
        place += int(size) + int(size) % 2


def _translated(content: bytes) -> Iterator[tuple[str, str]]:
    """(English, translation) of a GNU catalogue; plural forms one by one.

    https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html
    """
    order = "<" if content[:4] == _MO else ">"
    count, *tables = struct.unpack_from(f"{order}8x3I", content)
    for index in range(count):
        english, said = (_text(content, table + 8 * index, order) for table in tables)
        if english:  # else the head of the catalogue
            yield from ((english.rpartition("\4")[2].partition("\0")[0], form) for form in said.split("\0"))


def _text(content: bytes, place: int, order: str) -> str:
    length, start = struct.unpack_from(f"{order}2I", content, place)
    return content[start : start + length].decode()


def _stated(content: str) -> Iterator[str]:
    """The lines of text of a Fluent or property file, without names and comments."""
    for line in content.split("\n"):
        if not line.startswith(("#", "!")):
            match = _STATED.fullmatch(line.rstrip())
            if match:
                yield match[1]
