"""Made pages that are no language: menus, keyword lists, code, number tables, keyboard mash, mojibake, repetitions.

Their words come from the catalogue's sentences of 20 languages, so that nothing but their shape gives them away.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator

from ccbuild import catalogue
from ccbuild.langid.sources import eld_sentences

__all__ = ["KINDS", "junk"]

LANGUAGES = (
    "en",
    "de",
    "fr",
    "es",
    "it",
    "pt",
    "pl",
    "ru",
    "uk",
    "tr",
    "vi",
    "ar",
    "fa",
    "hi",
    "el",
    "sv",
    "fi",
    "hu",
    "ro",
    "cs",
)


def _menu(words: list[str], rng: random.Random) -> list[str]:
    return [" ".join(rng.sample(words, rng.randint(1, 3))).capitalize() for _ in range(rng.randint(12, 60))]


def _keywords(words: list[str], rng: random.Random) -> list[str]:
    sign = rng.choice((", ", " | ", ", ", " / ", " · "))
    lines = [
        sign.join(" ".join(rng.sample(words, rng.randint(1, 2))) for _ in range(rng.randint(15, 60)))
        for _ in range(rng.randint(1, 4))
    ]
    return [line.lower() for line in lines]


_CODE = (
    "function {0}({1}) {{ return {1}.{2} || null; }}",
    "var {0} = document.getElementById('{1}'); {0}.style.{2} = '{3}px';",
    "if ({0}[{3}] != {1}) {{ $('#{2}').hide(); }}",
    ".{0} #{1} {{ margin: {3}px 0; color: #{3:06x}; }}",
    '<div class="{0}-{1}"><span id={2}></span></div>',
    "SELECT {0}, {1} FROM {2} WHERE id = {3} ORDER BY {0};",
    "{0}->{1}({2}, {3}); // {1}",
    "import {0}.{1} as {2}; {2}.{0}({3}) == {1}[{3}]",
)


def _code(words: list[str], rng: random.Random) -> list[str]:
    names = ["".join(c for c in w if c.isalnum()) or "x" for w in rng.sample(words, 12)]
    return [rng.choice(_CODE).format(*rng.sample(names, 3), rng.randint(0, 4000)) for _ in range(rng.randint(6, 40))]


def _numbers(words: list[str], rng: random.Random) -> list[str]:
    head = " ".join(rng.sample(words, 3))
    rows = [
        " ".join(f"{rng.uniform(0, 10 ** rng.randint(1, 6)):.{rng.randint(0, 2)}f}" for _ in range(rng.randint(4, 9)))
        for _ in range(rng.randint(5, 40))
    ]
    return [head, *rows]


def _mash(words: list[str], rng: random.Random) -> list[str]:
    rows = ("qwertyuiop", "asdfghjkl", "zxcvbnm")

    def word() -> str:
        row = rng.choice(rows)
        return "".join(row[(start + rng.choice((0, 1, -1, 2))) % len(row)] for start in range(rng.randint(4, 10)))

    return [" ".join(word() for _ in range(rng.randint(4, 15))) for _ in range(rng.randint(1, 12))]


def _mojibake(words: list[str], rng: random.Random) -> list[str]:
    strange = [w for w in words if not w.isascii()]
    lines = []
    for _ in range(rng.randint(3, 15)):
        line = " ".join(rng.choices(strange, k=rng.randint(6, 20)))
        for _ in range(rng.randint(1, 2)):
            line = line.encode().decode(rng.choice(("latin-1", "cp1252")), "replace")
        lines.append(line)
    return lines


def _repeated(words: list[str], rng: random.Random) -> list[str]:
    what = rng.randint(0, 2)
    if what == 0:
        return [rng.choice(string.ascii_lowercase + "_-=*.!") * rng.randint(20, 200) for _ in range(rng.randint(2, 10))]
    if what == 1:
        return [f"{rng.choice(words)} " * rng.randint(15, 100) for _ in range(rng.randint(1, 4))]
    return ["".join(c * rng.randint(6, 20) for c in rng.choice(words)) for _ in range(rng.randint(2, 10))]


KINDS: dict[str, Callable[[list[str], random.Random], list[str]]] = {
    "menu": _menu,
    "keywords": _keywords,
    "code": _code,
    "numbers": _numbers,
    "mash": _mash,
    "mojibake": _mojibake,
    "repeated": _repeated,
}


def junk(n: int, seed: int = 0) -> Iterator[tuple[str, list[str]]]:
    """`n` pages, as (kind, paragraphs); the same for the same seed."""
    sentences = eld_sentences(catalogue.fetch("eld"))
    marks = string.punctuation + "«»“”„…–—।؟،؛"
    pools = {c: [w for w in (word.strip(marks) for word in " ".join(sentences[c]).split()) if w] for c in LANGUAGES}
    kinds = list(KINDS)
    for number in range(n):
        rng = random.Random(f"{seed} {number}")
        kind = kinds[number % len(kinds)]
        code = rng.choice([c for c in LANGUAGES if c != "en"]) if kind == "mojibake" else rng.choice(LANGUAGES)
        yield kind, [line for line in KINDS[kind](pools[code], rng) if line.strip()]
