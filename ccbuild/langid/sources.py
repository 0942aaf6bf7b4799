"""Readers of the text that the catalogue has: each takes a file of it and gives texts by its makers' language code."""

from __future__ import annotations

import json
import random
import re
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from math import lcm
from pathlib import Path

import brotli

from ccbuild.errors import DataError
from ccbuild.langid.han import balance, script
from ccbuild.langid.ngrams import draw_words

__all__ = ["eld_sentences", "kolibri_messages", "lingua_texts", "udhr_excerpts"]


def eld_sentences(path: Path) -> dict[str, list[str]]:
    """Code to sentences of ELD's benchmark, codes as CC-100 and lid.176 write them, in the file's order.

    Facts about this file: ``zh`` mixes both scripts and comes back as ``zh-Hans`` and ``zh-Hant`` (three
    sentences that show neither are left out); its ``ku`` is Sorani in Arabic script and comes back as ``ckb``;
    its ``lo`` is single words; its ``no`` mixes Bokmål and Nynorsk.
    """
    sentences: dict[str, list[str]] = {}
    with open(path, encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            code, tab, sentence = line.rstrip("\r\n").partition("\t")
            if not tab:
                if code.strip():
                    raise DataError(f"{path} line {number} has no tab between code and sentence. Fetch the file again.")
                continue
            known = _chinese(sentence) if code == "zh" else {"ku": "ckb"}.get(code, code)
            if known:
                sentences.setdefault(known, []).append(sentence)
    return sentences


def _chinese(text: str) -> str | None:
    """``zh-Hans`` or ``zh-Hant``; None for a sentence that shows neither."""
    return script(text) if balance(text) else None


_SAMPLE_FIELDS = (
    *("specimen_16", "specimen_21", "specimen_32", "specimen_36", "specimen_48"),
    *("tester", "styles", "poster_lg", "poster_md", "poster_sm"),
)


def udhr_excerpts(path: Path) -> dict[str, list[str]]:
    """Language and script (``af_Latn``) to the paragraphs of its sample text in the gflanguages wheel at `path`.

    Most are excerpts of the Universal Declaration of Human Rights; scripts without a translation of it carry a
    transliteration or a story. The fields of a sample repeat each other: a paragraph that lies within a
    longer one is left out. 755 keys, 1 to 28 paragraphs each.
    """
    excerpts: dict[str, list[str]] = {}
    with zipfile.ZipFile(path) as wheel:
        for name in sorted(wheel.namelist()):
            if not re.fullmatch(r"gflanguages/data/languages/[^/]+\.textproto", name):
                continue
            fields = dict(_textproto(wheel.read(name).decode("utf-8"), f"{path}!{name}"))
            found: list[str] = []
            for field in _SAMPLE_FIELDS:
                for line in fields.get(f"sample_text.{field}", "").split("\n"):
                    paragraph = " ".join(line.split())
                    if paragraph and not any(paragraph in longer for longer in found):
                        found.append(paragraph)
            if found:
                excerpts[fields["id"]] = found
    return excerpts


def kolibri_messages(path: Path, min_words: int = 4) -> dict[str, list[str]]:
    """Locale (``ff_CM``, ``yo``) to the distinct messages of Kolibri in it, of `min_words` words or more.

    They are the words of a learning platform's pages: sentences and parts of sentences. Messages with places for
    values, and those that stand in English too, are left out. 34 locales, 100 to 1,000 messages each.
    """
    with zipfile.ZipFile(path) as chosen:
        found: dict[str, list[str]] = {}
        for name in chosen.namelist():
            messages = json.loads(chosen.read(name)).values()
            found.setdefault(name.split("/")[2], []).extend(
                m for m in messages if isinstance(m, str) and "{" not in m and len(m.split()) >= min_words
            )
    english = set(found["en"])
    return {locale: sorted({*texts} - (english if locale != "en" else set())) for locale, texts in found.items()}


_TOKEN = re.compile(
    r"(?P<skip>\s+|\#[^\n]*|[,;])|(?P<name>[A-Za-z_]\w*)|(?P<number>[-+]?\.?\d[\w.+-]*)|(?P<mark>[{}<>:\[\]])"
    r"|(?P<text>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


def _textproto(source: str, where: str) -> Iterator[tuple[str, str]]:
    """(dotted path, text) for every string field of a protobuf in text form; numbers and enums are passed over.

    Strings that stand side by side are one, as the format's specification says.
    https://protobuf.dev/reference/protobuf/textformat-spec/
    """
    path: list[str] = []
    name, text, position = "", "", 0
    while position < len(source):
        token = _TOKEN.match(source, position)
        if token is None:
            line = source.count("\n", 0, position) + 1
            raise DataError(f"{where} line {line} is not a text protobuf. Fetch the file again.")
        position = token.end()
        kind, value = token.lastgroup, token.group()
        if kind == "text":
            text += _unescape(value)
            continue
        if kind == "skip" and value[0] not in ",;":
            continue
        if text:
            yield ".".join([*path, name]), text
            text = ""
        if kind == "name":
            name = value
        elif value in ("{", "<"):
            path.append(name)
        elif value in ("}", ">") and path:
            path.pop()
    if text:
        yield ".".join([*path, name]), text


def _unescape(quoted: str) -> str:
    def plain(match: re.Match[bytes]) -> bytes:
        octal, hexadecimal, other = match.groups()
        if octal:
            return bytes([int(octal, 8) & 255])
        return bytes([int(hexadecimal, 16)]) if hexadecimal else _ESCAPES.get(other, other)

    return _ESCAPE.sub(plain, quoted[1:-1].encode()).decode("utf-8", errors="replace")


_NAMES = ("unigrams", "bigrams", "trigrams", "quadrigrams", "fivegrams")
_MEMBER = "lingua/language-models/{}/{}.json.br"


def lingua_texts(path: Path, words: int = 30_000, line: int = 25, seed: int = 0) -> dict[str, list[str]]:
    """Language (ISO 639-1) to lines of `line` words drawn from its tables in the zip at `path`."""
    texts = {}
    with zipfile.ZipFile(path) as chosen:
        for language in sorted({name.split("/")[2] for name in chosen.namelist()}):
            drawn = draw_words(_counts(chosen, language), words, random.Random(f"{seed} {language}"))
            texts[language] = [" ".join(drawn[i : i + line]) for i in range(0, len(drawn), line)]
    return texts


def _counts(chosen: zipfile.ZipFile, language: str) -> list[dict[str, float]]:
    """Counts of n-grams, n = 1 to 5, of the text that the tables were made from."""
    counts: list[dict[str, float]] = []
    for n, name in enumerate(_NAMES, 1):
        table = json.loads(brotli.decompress(chosen.read(_MEMBER.format(language, name))))["ngrams"]
        if n == 1:
            total = lcm(*(Fraction(share).denominator for share in table))
            counts.append({g: float(Fraction(n) * total) for n, grams in table.items() for g in grams.split(" ")})
            continue
        found = {}
        for share, grams in table.items():
            above, below = share.split("/")
            ratio = int(above) / int(below)
            for gram in grams.split(" "):
                found[gram] = ratio * counts[-1].get(gram[:-1], 0.0)
        counts.append(found)
    return counts
