"""Codes, Chinese scripts, and a model that is refused before it can mislabel a snapshot."""

from __future__ import annotations

from pathlib import Path

import pytest
from ccbuild.langid.identify import Identifier

from ccbuild.errors import DataError, InputError
from ccbuild.langid.codes import CC100, from_lid176, is_code
from ccbuild.langid.han import script


def test_the_table_has_all_codes_of_cc100() -> None:
    assert len(CC100) == 116
    assert list(CC100) == sorted(CC100, key=str.lower)
    assert all(map(is_code, CC100))


@pytest.mark.parametrize("label", ["../../x", "", "a", "x" * 17, "a/b", "é"])
def test_labels_never_become_paths(label: str) -> None:
    assert not is_code(label)


def test_languages(lid_model: Path) -> None:
    identifier = Identifier(lid_model)
    texts = {
        "sw": "Rais wa nchi alisema kwamba serikali itajenga shule mpya katika mikoa yote.",
        "no": "Regjeringen sa at den skulle bygge nye skoler i alle fylker i løpet av året.",
        "zh-Hans": "政府表示将在全国各地建设新的学校。",
        "zh-Hant": "政府表示將在全國各地建設新的學校。",
        "und": "1234 -- 5678 !!! 😀",
    }
    answers = identifier.identify(list(texts.values()))
    assert [a.code for a in answers] == list(texts)
    assert all(0 <= a.score <= 1 for a in answers)


@pytest.mark.parametrize("text", ["", " \n ", "a\0b c\ud800d", "word " * 200_000, "\n".join("ab" * 9)])
def test_hostile_text(lid_model: Path, text: str) -> None:
    assert Identifier(lid_model).identify([text])[0].code


def test_newlines_do_not_change_the_answer(lid_model: Path) -> None:
    text = "Die Regierung will neue Schulen bauen. Das sagte der Minister am Montag."
    identifier = Identifier(lid_model)
    assert identifier.identify([text]) == identifier.identify([text.replace(" ", "\n")])


def test_a_damaged_model_is_refused(lid_model: Path, tmp_path: Path) -> None:
    whole = lid_model.read_bytes()
    broken = tmp_path / "model.ftz"
    broken.write_bytes(whole[: len(whole) * 98 // 100])
    stated = Identifier(lid_model).sha256
    with pytest.raises(DataError, match="SHA-256"):
        Identifier(broken, stated)
    with pytest.raises(DataError, match="model"):
        Identifier(broken)
    with pytest.raises(InputError):
        Identifier(tmp_path)


def test_norwegian_is_one() -> None:
    assert from_lid176("nn") == from_lid176("no") == "no"


def test_a_tie_is_simplified() -> None:
    assert script("中文") == "zh-Hans"
