"""Tokens of text of the user's own: documents as they are told apart, pairs whatever stands within a line."""

from __future__ import annotations

import bz2
import json
import lzma
from collections.abc import Mapping
from pathlib import Path

import pytest

from ccbuild.cli import main
from ccbuild.tokens import open_tokens
from ccbuild.vocab.train import Vocabulary


def encoded(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, str]:
    """(documents, what a person is told)."""
    assert main(["tokens", "encode", *command, "--out", "tokens", "--json"]) == 0
    said = capsys.readouterr()
    return json.loads(said.out.splitlines()[0])["documents"], said.err


def test_documents_are_what_split_says(
    folder: Path,
    vocabulary: Vocabulary,
    corpus: Mapping[str, list[str]],
    in_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, two, three = corpus["en"][:3]
    Path("en.txt.xz").write_bytes(lzma.compress(f"{one}\n{two}\n\n{three}\n\n".encode()))
    command = ["en.txt.xz", "--lang", "en", "--vocab", str(folder)]
    assert encoded(capsys, *command) == (2, "")
    assert "encoded already" in encoded(capsys, *command)[1]
    assert encoded(capsys, *command, "--split", "line") == (5, "")
    language = open_tokens("tokens").languages["en"]
    assert (language.documents, language.tokens > 0) == (5, True)


def test_a_lone_cr_stands_within_a_pair(
    folder: Path,
    vocabulary: Vocabulary,
    corpus: Mapping[str, list[str]],
    in_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = [
        f"{english}\r{english}\t{greek}" for english, greek in zip(corpus["en"][:6], corpus["el"][:6], strict=True)
    ]
    Path("pairs.tsv.bz2").write_bytes(bz2.compress("\r\n".join(["\ufeff" + pairs[0], *pairs[1:]]).encode()))
    assert encoded(capsys, "--pairs", "pairs.tsv.bz2", "--lang", "en,el", "--vocab", str(folder)) == (6, "")
