"""CCNet's normalisations: equal to cc_net's own output, and to a slow reading of its definition everywhere."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild import catalogue
from ccbuild.langid.sources import eld_sentences
from ccbuild.text.normalise import (
    PUNCTUATION,
    normalise_ccnet,
    normalise_ccnet_dedup,
    normalise_ccnet_lines,
)

# Made with cc_net 1.0.0 from sentences of the Universal Declaration of Human Rights and from odd text:
#   {"model": text_normalizer.normalize(line), "dedup": text_normalizer.normalize_for_dedup(line)}
GOLDEN = json.loads((Path(__file__).parent / "ccnet_normalised.json").read_text(encoding="utf-8"))


def slow_model(line: str) -> str:
    """The definition, step by step."""
    line = "".join(c for c in unicodedata.normalize("NFD", line.strip().lower()) if unicodedata.category(c) != "Mn")
    line = "".join("0" if c.isdecimal() else c for c in line)
    return without_controls("".join(PUNCTUATION.get(c, c) for c in line))


def slow_dedup(line: str) -> str:
    line = "".join("0" if c.isdecimal() else c for c in line.strip().lower())
    return without_controls("".join(c for c in line if c not in PUNCTUATION))


def without_controls(line: str) -> str:
    return "".join(c for c in line if not (ord(c) < 32 or 127 <= ord(c) < 160))


def test_golden_covers_scripts_and_punctuation() -> None:
    assert len({case["lang"] for case in GOLDEN}) > 40
    lines = "".join(case["line"] for case in GOLDEN)
    assert len(set(lines) & set(PUNCTUATION)) > 15


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["lang"])
def test_equals_cc_net(case: dict[str, str]) -> None:
    assert normalise_ccnet(case["line"]) == case["model"]
    assert normalise_ccnet_dedup(case["line"]) == case["dedup"]


def test_lines_equal_cc_net() -> None:
    lines = [case["line"] for case in GOLDEN]  # one of them holds line breaks
    assert normalise_ccnet_lines(lines) == [case["model"] for case in GOLDEN]
    without = [case for case in GOLDEN if "\n" not in case["line"]]
    lines = [case["line"] for case in without]
    assert normalise_ccnet_lines(lines) == [case["model"] for case in without]
    assert normalise_ccnet_lines([]) == []


# The first 8 digits of BLAKE2b over what cc_net 1.0.0's text_normalizer.normalize makes of each of the first 100
# sentences of 20 languages of the catalogue's eld: a golden of 2,000 lines that holds none of the text.
# python tests/ccbuild/text/test_normalise.py PYTHON, that of an environment with cc_net, writes it.
LANGUAGES = "am ar bn de el en es fa he hi hy ja ka ko ru ta th tr vi zh-Hans".split()
DIGESTS = Path(__file__).parent / "ccnet_normalised.digests.json"


def digests(lines: list[str]) -> str:
    return " ".join(hashlib.blake2b(line.encode()).hexdigest()[:8] for line in lines)


def test_two_thousand_lines_of_twenty_languages_equal_cc_net() -> None:
    path = catalogue.cached("eld")
    if path is None:
        pytest.skip("eld is not in the cache: run ccbuild catalogue fetch eld")
    sentences = eld_sentences(path)
    golden = json.loads(DIGESTS.read_text(encoding="utf-8"))
    assert list(golden) == LANGUAGES
    for lang in LANGUAGES:
        lines = sentences[lang][:100]
        assert digests([normalise_ccnet(line) for line in lines]) == golden[lang]
        assert digests(normalise_ccnet_lines(lines)) == golden[lang]
        assert digests(lines) != golden[lang]
        assert len(golden[lang].split()) == 100


def test_every_code_point() -> None:
    """Long text takes another way where a character becomes several, so those stand apart from the others."""
    one, several = [], []
    for char in map(chr, range(0x110000)):
        apart = unicodedata.normalize("NFD", char)
        (several if len(apart) > 1 or unicodedata.combining(char) else one).append(char)
    for chars in (one, several):
        for start in range(0, len(chars), 5000):
            text = "x".join(["x", *chars[start : start + 5000], "x"])
            assert normalise_ccnet(text) == slow_model(text)
            assert normalise_ccnet_dedup(text) == slow_dedup(text)


TROUBLE = st.text(st.one_of(st.sampled_from("aAΣσıİ  \n\x00\x85é\u0301\u0327\u302e\u302f한１…—．0९"), st.characters()))


@given(TROUBLE, st.sampled_from(["", "x" * 60]))
def test_any_text(line: str, pad: str) -> None:
    assert normalise_ccnet(pad + line) == slow_model(pad + line)
    assert normalise_ccnet_dedup(pad + line) == slow_dedup(pad + line)


@given(st.lists(TROUBLE))
def test_lines_are_normalised_each(lines: list[str]) -> None:
    assert normalise_ccnet_lines(lines) == [slow_model(line) for line in lines]


def test_marks_that_stay_are_sorted() -> None:
    """A Hangul tone mark (class 224) and a musical stem (216) are no Mn; NFD puts the stem first."""
    line = "x" * 60 + "\u302e\U0001d165"
    assert normalise_ccnet(line) == slow_model(line) != line


def test_line_breaks_glue_words() -> None:
    assert normalise_ccnet("One.\nTwo") == "one.two"


if __name__ == "__main__":
    import subprocess
    import sys

    taken = {lang: eld_sentences(catalogue.fetch("eld"))[lang][:100] for lang in LANGUAGES}
    program = "import json, sys; from cc_net.text_normalizer import normalize as n;"
    program += "print(json.dumps({k: [n(line) for line in v] for k, v in json.load(sys.stdin).items()}))"
    said = subprocess.run(
        [sys.argv[1], "-c", program], input=json.dumps(taken), capture_output=True, text=True, check=True
    )
    made = {lang: digests(lines) for lang, lines in json.loads(said.stdout).items()}
    DIGESTS.write_text(json.dumps(made, indent=0) + "\n", encoding="utf-8")
