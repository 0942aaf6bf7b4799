"""Labelled text: what the catalogue has, files of ``code TAB text``, and how it is cut into even examples.

A supplement learns from here; an evaluation reads its files here. Every text belongs to a code as
`ccbuild.langid.codes.from_label` names it.
"""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ccbuild import catalogue
from ccbuild.errors import InputError
from ccbuild.langid.codes import CC100, UNSPACED, from_label, is_code
from ccbuild.langid.messages import program_messages
from ccbuild.langid.sources import eld_sentences, kolibri_messages, lingua_texts, udhr_excerpts

__all__ = ["catalogue_texts", "examples", "latin_serbian", "read_labelled", "sentence_key", "split"]

Texts = dict[str, list[str]]
"""Code to texts."""

SOURCES = ("eld", "gflanguages", "kolibri", "lingua", "programs")
"""Entries of the catalogue that carry labelled text."""

_CYRILLIC = "абвгдђежзијклљмнњопрстћуфхцчџш"
_LATIN = "a b v g d đ e ž z i j k l lj m n nj o p r s t ć u f h c č dž š".split()
_SERBIAN = str.maketrans(
    dict(zip(_CYRILLIC, _LATIN, strict=True))
    | dict(zip(_CYRILLIC.upper(), (letters.capitalize() for letters in _LATIN), strict=True))
)


def latin_serbian(text: str) -> str:
    """Serbian in Gaj's Latin alphabet, letter by letter.

    >>> latin_serbian("Љубав и Џез")
    'Ljubav i Džez'
    """
    return text.translate(_SERBIAN)


def sentence_key(text: str) -> str:
    """The letters of `text`, in lower case, as one string: equal for sentences that differ in nothing else."""
    return "".join(filter(str.isalpha, unicodedata.normalize("NFKC", text).lower()))


def catalogue_texts(sources: Iterable[str] = SOURCES, cache: Path | None = None) -> dict[str, Texts]:
    """Entry to code to texts. Serbian comes in both its scripts."""
    readers = {
        "eld": eld_sentences,
        "gflanguages": udhr_excerpts,
        "kolibri": kolibri_messages,
        "lingua": lingua_texts,
        "programs": program_messages,
    }
    found: dict[str, Texts] = {}
    for source in sources:
        if source not in readers:
            raise InputError(f"{source!r} carries no labelled text. Take of {', '.join(SOURCES)}.")
        texts: Texts = {}
        for label, lines in readers[source](catalogue.fetch(source, cache)).items():
            name, _, place = label.partition("_")
            code = from_label(name if len(place) in (2, 3) and label not in CC100 else label)
            texts.setdefault(code, []).extend(lines)
        if "sr" in texts:
            texts["sr"] = texts["sr"] + [latin_serbian(line) for line in texts["sr"]]
        found[source] = texts
    return found


def read_labelled(path: str | Path) -> Iterator[tuple[str, str]]:
    """(code, text) of each line ``code TAB text``; labels of other systems (``hau_Latn``) are mapped."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                label, tab, text = line.rstrip("\r\n").partition("\t")
                if not tab:
                    if label.strip():
                        raise InputError(f"{path}, line {number} has no tab. Write a code, a tab and the text.")
                    continue
                code = from_label(label.strip())
                if not is_code(code):
                    raise InputError(f"{path}, line {number}: {label!r} is no language code. Write one such as sw.")
                yield code, text.encode("utf-8", "ignore").decode()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path.") from error


def split(texts: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    """(the rest, about `share` of the texts): equal letters fall on one side, and only the letters say on which."""
    sides: tuple[list[str], list[str]] = ([], [])
    for text in texts:
        key = hashlib.blake2b(sentence_key(text).encode(), digest_size=4).digest()
        sides[int.from_bytes(key) < share * (1 << 32)].append(text)
    return sides


_SPACE = re.compile(r"\s+")


def examples(texts: Mapping[str, Sequence[str]], most: int, most_outside: int, seed: int) -> Iterator[tuple[str, str]]:
    """(code, text): stretches of 3 to 30 words, each code as often as any other.

    A code of CC-100 gives `most` of them, any other `most_outside` (at most one for each eight characters of its
    text): they are there so that what is none of the 116 has a place to go.
    """
    for code in sorted(texts):
        rng = random.Random(f"{seed} {code}")
        lines = [line for line in (_SPACE.sub(" ", text).strip() for text in texts[code]) if line]
        if not lines:
            continue
        limit = most if code in CC100 else most_outside
        limit = min(limit, sum(map(len, lines)) // 8 + 1)
        for index in range(limit):
            if index % len(lines) == 0:
                rng.shuffle(lines)
            yield code, _stretch(lines[index % len(lines)], code, rng)


def _stretch(line: str, code: str, rng: random.Random) -> str:
    if code in UNSPACED:
        length = rng.randint(12, 120)
        start = rng.randint(0, max(len(line) - length, 0))
        return line[start : start + length]
    words = line.split(" ")
    length = rng.randint(3, 30)
    start = rng.randint(0, max(len(words) - length, 0))
    return " ".join(words[start : start + length])
