"""Made-up text in many scripts, and a small vocabulary trained on it once."""

from __future__ import annotations

import itertools
import random
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pytest

from ccbuild.vocab.config import VocabularyConfig
from ccbuild.vocab.train import Vocabulary, build_vocabulary
from ccbuild.vocab.words import words_of, write_counts

SCRIPTS = {
    "am": "\u1200-\u1240",
    "ar": "\u0621-\u063a\u0641-\u064a",
    "de": "a-zäöüßÄÖÜ",
    "el": "α-ωάέήίόύώ",
    "en": "a-zA-Z",
    "he": "\u05d0-\u05ea",
    "hi": "\u0915-\u0939\u093e-\u094d",
    "hy": "\u0561-\u0586",
    "ja": "\u3042-\u3093\u30a2-\u30f3\u65e5-\u6600",
    "ka": "\u10d0-\u10f0",
    "km": "\u1780-\u17b3\u17b6-\u17c5",
    "ko": "\uac00-\uac80",
    "my": "\u1000-\u1021\u102b-\u1032",
    "ru": "а-яё",
    "ta": "\u0b95-\u0bb9\u0bbe-\u0bcd",
    "th": "\u0e01-\u0e33\u0e40-\u0e46",
    "vi": "a-zđắằẳẵặấầẩẫậếềểễệ",
    "zh-Hans": "\u4e00-\u4f00",
}
UNSPACED = {"ja", "km", "my", "th", "zh-Hans"}
ENDINGS = [
    ".",
    "?",
    "!",
    "...",
    ")",
    " 2019",
    ", 3.14",
    "。",
    "؟",
    "।",
    " 😀",
    " ½ ①",
    " ＡＢＣ",
    " ﬁn",
    "\u200d",
    " x_y@z.org",
]


def letters(ranges: str) -> list[str]:
    """The assigned letters and signs in `ranges`, those that normalisation leaves alone."""
    found: list[str] = []
    characters = iter(ranges.replace("-", "\0"))
    for character in characters:
        if character == "\0":
            found += map(chr, range(ord(found[-1]) + 1, ord(next(characters)) + 1))
        else:
            found.append(character)
    return [c for c in found if unicodedata.category(c)[0] in "LM" and unicodedata.normalize("NFKC", c) == c]


def make_lines(code: str, count: int, seed: int = 0) -> list[str]:
    """`count` lines whose words follow Zipf's law, with punctuation, digits and compatibility characters among them."""
    random_ = random.Random(f"{code} {seed // 1000}")
    alphabet = letters(SCRIPTS[code])
    words = ["".join(random_.choices(alphabet, k=random_.randint(2, 7))) for _ in range(300)]
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    random_ = random.Random(seed)
    joiner = "" if code in UNSPACED else " "
    lines = []
    for _ in range(count):
        line = joiner.join(random_.choices(words, weights, k=random_.randint(3, 12))) + random_.choice(ENDINGS)
        lines.append(unicodedata.normalize("NFC", line))
    return lines


@pytest.fixture(scope="session")
def corpus() -> Mapping[str, list[str]]:
    """Language code to lines; the first languages have four times the text of the last ones."""
    return {code: make_lines(code, 160 - 6 * i, seed=i) for i, code in enumerate(SCRIPTS)}


@pytest.fixture(scope="session")
def config() -> VocabularyConfig:
    """A vocabulary that the corpus can fill."""
    return VocabularyConfig(size=2400, threads=1)


@pytest.fixture(scope="session")
def counts(
    corpus: Mapping[str, list[str]], config: VocabularyConfig, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    """Language code to its file of counts."""
    folder = tmp_path_factory.mktemp("counts")
    paths = {code: folder / f"{code}.parquet" for code in corpus}
    for code, path in paths.items():
        write_counts(path, words_of(corpus[code], config))
    return paths


def train_vocabulary(counts: Mapping[str, Path], folder: Path, config: VocabularyConfig) -> Vocabulary:
    """A vocabulary, written to `folder`."""
    vocabulary = build_vocabulary(counts, config)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in vocabulary.files().items():
        (folder / name).write_bytes(content)
    return vocabulary


@pytest.fixture(scope="session")
def folder(counts: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `vocabulary` lies."""
    return tmp_path_factory.mktemp("vocabulary")


def written_vocabulary(counts: Mapping[str, Path], folder: Path, config: VocabularyConfig) -> Vocabulary:
    """A vocabulary, its files in `folder`."""
    made = build_vocabulary(counts, config)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in made.files().items():
        (folder / name).write_bytes(content)
    return made


@pytest.fixture(scope="session")
def vocabulary(counts: Mapping[str, Path], config: VocabularyConfig, folder: Path) -> Vocabulary:
    """The vocabulary of the corpus, written to `folder`."""
    return written_vocabulary(counts, folder, config)


@pytest.fixture(scope="session")
def unseen(corpus: Mapping[str, list[str]]) -> list[str]:
    """720 other lines over all languages, the languages mixed within every fifth."""
    lines = [line for code in corpus for line in make_lines(code, 40, seed=500)]
    return [" ".join(pair) if i % 5 == 0 else pair[0] for i, pair in enumerate(itertools.pairwise([*lines, lines[0]]))]
