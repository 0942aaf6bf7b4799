"""What the readers of the catalogue's text give."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from ccbuild.catalogue import cached, default_cache
from ccbuild.errors import DataError
from ccbuild.langid.messages import program_messages
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


def debian_package(files: dict[str, bytes]) -> bytes:
    """An archive of ar with its three members, as dpkg-deb makes it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as out:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    archive = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", data.getvalue())):
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
        archive += head.encode() + content + b"\n" * (len(content) % 2)
    return archive


def gnu_catalogue(messages: dict[str, str]) -> bytes:
    texts = [text.encode() for text in [*messages, *messages.values()]]
    place, table = 28 + 8 * len(texts), b""
    for text in texts:
        table += struct.pack("<2I", len(text), place)
        place += len(text) + 1
    n = len(messages)
    return b"\xde\x12\x04\x95" + struct.pack("<6I", 0, n, 28, 28 + 8 * n, 0, 0) + table + b"\0".join([*texts, b""])


def test_messages_of_programs_are_read_without_what_is_no_text(tmp_path: Path) -> None:
    swati = gnu_catalogue({
        "": "Language: ss\n",
        "menu\4~Open the file": "~Vula lelifayela lelisha <b>manje</b>\nPhuma kuloluhlelo masinyane nyalo",
        "file\0files": "lifayela linye lelikhona\0emafayela lamanyenti lakhona lapha",
        "Untranslated words stand here": "Untranslated words stand here",
        "Save %1 of them now": "Londvoloza %1 yawo onkhe nyalo",
        "Too short": "Kufishane kakhulu lapha",
    })  # fmt: skip
    pack = io.BytesIO()
    with zipfile.ZipFile(pack, "w") as out:
        out.writestr("browser/a.ftl", (
            "# a comment of five words here\n-brand = Firefox\nopen =\n    .label = Embojuruja peteĩ marandurenda pya\n"
            "    Ko ñe’ẽ oho mombyry ve\nitems = { $n ->\n   *[other] Oĩ heta mba’e ko’ápe ko’ãg̃a\n }\n"
            "left = This is still English here\n"
        ))  # fmt: skip
        out.writestr("browser/a.properties", "a=Eñongatu ko kuatiarogue ne rembiporúpe\nb=%S is %S of a thing\n")
        out.writestr("manifest.json", '{"name": "five words that are none"}')
    path = tmp_path / "messages.zip"
    folder = "./usr/lib/libreoffice/program/resource"
    with zipfile.ZipFile(path, "w") as out:
        other = gnu_catalogue({"x": "This is still English here"})
        files = {f"{folder}/ss/LC_MESSAGES/sw.mo": swati, f"{folder}/nso/LC_MESSAGES/sw.mo": other, "./doc": b"words"}
        out.writestr("1", debian_package(files))
        out.writestr(
            "2", debian_package({"./usr/lib/extensions/langpack-gn@firefox-esr.mozilla.org.xpi": pack.getvalue()})
        )
    assert program_messages(path) == {
        "ss": [
            "Phuma kuloluhlelo masinyane nyalo",
            "Vula lelifayela lelisha manje",
            "emafayela lamanyenti lakhona lapha",
        ],
        "nso": [],
        "gn": [
            "Embojuruja peteĩ marandurenda pya",
            "Eñongatu ko kuatiarogue ne rembiporúpe",
            "Ko ñe’ẽ oho mombyry ve",
            "Oĩ heta mba’e ko’ápe ko’ãg̃a",
        ],
    }
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("1", debian_package({f"{folder}/ss/LC_MESSAGES/sw.mo": swati[:60]}))
    with pytest.raises(DataError, match=r"messages.zip!1 is no package of translations"):
        program_messages(path)
