"""Codes of CC-100, and labels of other systems made codes."""

from __future__ import annotations

import pytest

from ccbuild.errors import ConfigError
from ccbuild.langid.codes import CC100, check_codes, from_label, is_code, nearest
from ccbuild.langid.han import script


def test_the_table_has_all_codes_of_cc100() -> None:
    assert len(CC100) == 116
    assert list(CC100) == sorted(CC100, key=str.lower)
    assert all(map(is_code, CC100))
    assert all(from_label(code) == code for code in CC100)


@pytest.mark.parametrize("label", ["../../x", "", "a", "x" * 17, "a/b", "é"])
def test_labels_never_become_paths(label: str) -> None:
    assert not is_code(label)


def test_norwegian_is_one() -> None:
    assert {from_label(label) for label in ("nn", "no", "nb", "nno_Latn", "nob_Latn")} == {"no"}


@pytest.mark.parametrize(
    ("label", "code"),
    [("hau_Latn", "ha"), ("arb_Arab", "ar"), ("zho_Hans", "zh-Hans"), ("cmn_Hani", "zh"), ("ckb_Arab", "ckb"),
     ("srp_Cyrl", "sr"), ("srp_Latn", "sr"), ("fuv_Latn", "ff"), ("hin_Latn", "hi_rom"), ("jav_Java", "jv_Java"),
     ("ceb_Latn", "ceb"), ("ory_Orya", "or")],
)  # fmt: skip
def test_labels_of_glotlid_and_openlid(label: str, code: str) -> None:
    assert from_label(label) == code


@pytest.mark.parametrize(("wrong", "meant"), [("hau", "ha"), ("zh_hans", "zh-Hans"), ("Swahili", "sw"), ("iw", "")])
def test_unknown_codes_are_refused_and_the_nearest_offered(wrong: str, meant: str) -> None:
    assert not meant or nearest(wrong) == meant
    if wrong != "iw":
        with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
            check_codes([wrong], "languages")
    check_codes(["sw", "ceb", "hi_rom"], "languages")


def test_a_tie_is_simplified() -> None:
    assert script("中文") == "zh-Hans"
