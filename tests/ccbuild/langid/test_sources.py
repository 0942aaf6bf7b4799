"""What the readers of the catalogue's text give."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ccbuild.catalogue import cached, default_cache
from ccbuild.errors import DataError
from ccbuild.langid.sources import eld_sentences, udhr_excerpts


def test_eld_codes(tmp_path: Path) -> None:
    path = tmp_path / "big-test.txt"
    path.write_text("de\tGuten Tag.\nku\tئه‌وه‌\nzh\t这是简体汉语。\nzh\t這是傳統漢語。\nzh\t人人\n\n", encoding="utf-8")
    assert eld_sentences(path) == {
        "de": ["Guten Tag."],
        "ckb": ["ئه‌وه‌"],
        "zh-Hans": ["这是简体汉语。"],
        "zh-Hant": ["這是傳統漢語。"],
    }
    path.write_text("de Guten Tag.\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1"):
        eld_sentences(path)


TEXTPROTO = r"""
# a comment with "quotes" and { braces
id: "xx_Latn"
population: 1.5e6
exemplar_chars { base : "a {b} \"c\"" marks: "◌́" }
sample_text {
  styles: 'it\'s one'   # after it
  tester: "joined "
          "from two"
  specimen_16: "first line\nit\'s one and more\n\nd\303\251j\xc3\xa0"
  masthead_full: "Mm"
}
"""


def language_wheel(path: Path, text: str) -> Path:
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("gflanguages/data/languages/xx_Latn.textproto", text)
        out.writestr("gflanguages/data/languages/yy_Latn.textproto", 'id: "yy_Latn"\n')
        out.writestr("gflanguages/data/scripts/Latn.textproto", "not read")
    return path


def test_textproto_reading(tmp_path: Path) -> None:
    assert udhr_excerpts(language_wheel(tmp_path / "w.whl", TEXTPROTO)) == {
        "xx_Latn": ["first line", "it's one and more", "déjà", "joined from two"]
    }


def test_a_broken_textproto_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"xx_Latn\.textproto line 2"):
        udhr_excerpts(language_wheel(tmp_path / "w.whl", 'id: "xx_Latn"\nsample_text { styles: "never ends\n}'))


def test_the_real_files() -> None:
    paths = [cached(name) for name in ("eld", "gflanguages")]
    if None in paths:
        pytest.skip(f"eld and gflanguages are not in {default_cache()}: fill it with `ccbuild catalogue fetch`")
    eld, gflanguages = (path for path in paths if path)
    sentences = eld_sentences(eld)
    assert len(sentences) == 61
    assert sum(map(len, sentences.values())) == 59 * 1000 + 505 + 492
    excerpts = udhr_excerpts(gflanguages)
    assert len(excerpts) == 755
    assert any("freedom of thought, conscience and religion" in paragraph for paragraph in excerpts["en_Latn"])
