"""KenLM's programs, when asked for; what they say when they fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ccbuild.errors import InputError
from ccbuild.lm.estimate import EstimateConfig, estimate, estimate_files
from ccbuild.lm.score import Scorer


def program(folder: Path, name: str, lines: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
    (folder / name).chmod(0o755)


def test_missing_programs(prose: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="not both on the PATH.*tool=own"):
        estimate(prose, tmp_path / "en", EstimateConfig(tool="kenlm"))
    assert estimate(prose, tmp_path / "en", EstimateConfig(tool="auto", order=2)).made_by == "ccbuild"


def test_a_program_that_fails(prose: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "lmplz", "echo 'Could not calculate Kneser-Ney discounts' >&2; exit 1")
    program(tmp_path, "build_binary", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="lmplz ended with 1: Could not calculate Kneser-Ney discounts"):
        estimate(prose, tmp_path / "en", EstimateConfig(tool="kenlm"))


@pytest.mark.skipif(not shutil.which("lmplz"), reason="lmplz is not on the PATH")
def test_the_same_perplexities_from_either(prose: list[str], tmp_path: Path) -> None:
    own = estimate_files(prose, tmp_path / "a.sp", tmp_path / "a", EstimateConfig())
    theirs = estimate_files(prose, tmp_path / "b.sp", tmp_path / "b", EstimateConfig(tool="kenlm"))
    assert theirs.made_by.startswith("lmplz ")
    assert (own.ngrams, own.tokens, own.sp_sha256) == (theirs.ngrams, theirs.tokens, theirs.sp_sha256)
    assert not (tmp_path / "b.arpa").exists()
    text = [*prose[:10], "never seen before"]
    scores = [Scorer(m.sp_model, m.binary, ngrams_sha256=m.binary_sha256).score(text) for m in (own, theirs)]
    assert scores[0].log10 == pytest.approx(scores[1].log10, abs=1e-3)
