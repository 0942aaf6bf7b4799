"""A file of the catalogue is the stated bytes or it is not there. pip runs against a folder; nothing is fetched."""

from __future__ import annotations

import base64
import dataclasses
import email.message
import hashlib
import io
import threading
import urllib.error
import urllib.request
import urllib.response
import zipfile
from pathlib import Path
from typing import ClassVar

import pytest

from ccbuild import catalogue
from ccbuild.catalogue import (
    Entry,
    Family,
    cached,
    default_cache,
    entries,
    families,
    fetch,
    place,
)
from ccbuild.errors import CatalogueError, InputError, StorageError

PAYLOAD = b"hello, catalogue\n" * 100


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def entry(source: str = "pypi:tinydata==1.0/tinydata/words.txt", **changes: object) -> Entry:
    fields = {
        "name": "tiny",
        "file": "words.txt",
        "size": len(PAYLOAD),
        "sha256": sha256(PAYLOAD),
        "licence": "CC0-1.0",
    }
    return Entry(**{**fields, "source": source, "description": "", "origin": "", **changes})  # type: ignore[arg-type]


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel in a folder that is the only place where pip may look."""
    folder = tmp_path / "index"
    folder.mkdir()
    path = folder / "tinydata-1.0-py3-none-any.whl"
    files = {
        "tinydata/words.txt": PAYLOAD,
        "tinydata-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tinydata\nVersion: 1.0\n",
        "tinydata-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b'=').decode()},{len(body)}\n"
        for name, body in files.items()
    )
    with zipfile.ZipFile(path, "w") as out:
        for name, body in {**files, "tinydata-1.0.dist-info/RECORD": record.encode()}.items():
            out.writestr(zipfile.ZipInfo(name), body)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return path


def test_every_entry_is_whole() -> None:
    known = entries()
    assert {"eld", "gflanguages", "lid.176.ftz", "lid.176.bin"} <= known.keys()
    for name, e in known.items():
        assert e.name == name
        assert e.sha256 is None or (len(e.sha256) == 64 and e.size)
        assert e.licence
        assert e.description
        assert e.source.startswith("https://") or catalogue._PYPI.fullmatch(e.source)
        assert (e.wheel_sha256 is not None) == (e.source.startswith("pypi:") and "/" in e.source)
        assert Path(e.file).name == e.file
        assert Path(e.name).name == e.name


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"no entry 'lid'.*lid\.176\.ftz"):
        fetch("lid")


def test_default_cache_is_looked_up_when_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CCBUILD_CACHE", str(tmp_path / "own"))
    assert default_cache() == tmp_path / "own"
    monkeypatch.delenv("CCBUILD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg" / "ccbuild"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "ccbuild"


def test_file_in_a_wheel_is_fetched_once(wheel: Path, tmp_path: Path) -> None:
    e = entry(wheel_sha256=sha256(wheel.read_bytes()))
    assert cached(e, tmp_path) is None
    calls: list[tuple[int, int]] = []
    path = fetch(e, tmp_path, lambda done, total: calls.append((done, total)))
    assert path == place(e, tmp_path) == tmp_path / "tiny" / "words.txt"
    assert path.read_bytes() == PAYLOAD
    assert calls[-1] == (len(PAYLOAD), len(PAYLOAD))
    wheel.unlink()
    assert fetch(e, tmp_path) == cached(e, tmp_path) == path
    assert [p.name for p in path.parent.iterdir()] == ["words.txt"]


def test_whole_wheel(wheel: Path, tmp_path: Path) -> None:
    body = wheel.read_bytes()
    e = entry("pypi:tinydata==1.0", file=wheel.name, size=len(body), sha256=sha256(body))
    assert fetch(e, tmp_path).read_bytes() == body


@pytest.mark.parametrize("wrong", ["wheel", "member", "size"])
def test_other_bytes_are_not_kept(wheel: Path, tmp_path: Path, wrong: str) -> None:
    right = sha256(wheel.read_bytes())
    e = {
        "wheel": entry(wheel_sha256="0" * 64),
        "member": entry(wheel_sha256=right, sha256="0" * 64),
        "size": entry(wheel_sha256=right, size=len(PAYLOAD) - 1),
    }[wrong]
    with pytest.raises(CatalogueError, match="Nothing was kept"):
        fetch(e, tmp_path)
    assert not list((tmp_path / "tiny").iterdir())


def test_a_changed_file_in_the_cache_is_fetched_again(wheel: Path, tmp_path: Path) -> None:
    e = entry(wheel_sha256=sha256(wheel.read_bytes()))
    place(e, tmp_path).parent.mkdir()
    place(e, tmp_path).write_bytes(PAYLOAD[:-1] + b"!")
    assert cached(e, tmp_path) is None
    assert fetch(e, tmp_path).read_bytes() == PAYLOAD


def test_a_file_put_there_by_hand_needs_no_network(tmp_path: Path) -> None:
    e = entry("https://nowhere.invalid/words.txt")
    place(e, tmp_path).parent.mkdir()
    place(e, tmp_path).write_bytes(PAYLOAD)
    assert fetch(e, tmp_path) == place(e, tmp_path)


def test_no_network_says_what_to_do(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refuse)
    for e in (entry("pypi:absentdata==1.0/words.txt"), entry("https://nowhere.invalid/words.txt")):
        with pytest.raises(CatalogueError) as caught:
            fetch(e, tmp_path)
        message = str(caught.value)
        assert "could not be fetched" in message
        assert "ccbuild catalogue fetch" in message
        assert str(place(e, tmp_path)) in message


def serve(monkeypatch: pytest.MonkeyPatch, body: bytes) -> io.BytesIO:
    class Body(io.BytesIO):
        headers: ClassVar[dict[str, str]] = {}

    stream = Body(body)
    monkeypatch.setattr(urllib.request.OpenerDirector, "open", lambda *_, **__: stream)
    return stream


def test_https_is_streamed_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, PAYLOAD)
    calls: list[int] = []
    path = fetch(entry("https://a.invalid/words.txt"), tmp_path, lambda done, _: calls.append(done))
    assert path.read_bytes() == PAYLOAD
    assert calls == sorted(calls)


@pytest.mark.parametrize("body", [PAYLOAD[:-1], PAYLOAD + b"x", b""])
def test_https_with_other_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    serve(monkeypatch, body)
    with pytest.raises(CatalogueError, match="Nothing was kept"):
        fetch(entry("https://a.invalid/words.txt"), tmp_path)
    assert not list((tmp_path / "tiny").iterdir())


def test_an_endless_body_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.RawIOBase):
        sent = 0

        def read(self, size: int = -1) -> bytes:
            Endless.sent += size
            assert Endless.sent < 10 << 20
            return bytes(size)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", lambda *_, **__: Endless())
    with pytest.raises(CatalogueError, match="Nothing was kept"):
        fetch(entry("https://a.invalid/words.txt"), tmp_path)


def test_several_addresses_are_a_zip_of_what_is_behind_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        urllib.request.OpenerDirector, "open", lambda _, request, **__: io.BytesIO(request.full_url.encode())
    )
    e = entry("https://maker.invalid/file/{b,a}", file="both.zip", size=None, sha256=None)
    with zipfile.ZipFile(fetch(e, tmp_path)) as both:
        assert {name: both.read(name) for name in both.namelist()} == {
            "a": b"https://maker.invalid/file/a",
            "b": b"https://maker.invalid/file/b",
        }
    first = place(e, tmp_path).read_bytes()
    assert fetch(entry("https://maker.invalid/file/{a,b}", file="both.zip", size=None, sha256=None), tmp_path / "again")
    assert (tmp_path / "again" / "tiny" / "both.zip").read_bytes() == first


def redirecting(monkeypatch: pytest.MonkeyPatch, to: str) -> list[str]:
    """A web in which every URL but `to` leads there; the URLs that are asked for."""
    asked: list[str] = []

    def answer(_: object, request: urllib.request.Request) -> urllib.response.addinfourl:
        asked.append(request.full_url)
        headers, code = email.message.Message(), 200
        if request.full_url != to:
            headers["Location"], code = to, 302
        found = urllib.response.addinfourl(io.BytesIO(PAYLOAD if code == 200 else b""), headers, request.full_url, code)
        found.msg = "said"  # type: ignore[attr-defined]
        return found

    monkeypatch.setattr(urllib.request.HTTPSHandler, "https_open", answer)
    monkeypatch.setattr(urllib.request.HTTPHandler, "http_open", answer)
    return asked


@pytest.mark.parametrize(
    "to", ["https://evil.invalid/words.txt", "http://a.maker.invalid/words.txt", "https://notmaker.invalid/w"]
)
def test_another_host_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    asked = redirecting(monkeypatch, to)
    first = "https://a.maker.invalid/words.txt"
    unpinned = dataclasses.replace(entry(first), size=None, sha256=None)
    with pytest.raises(CatalogueError, match=r"leads on to https?://\S+, which is not followed.*`redirects`"):
        fetch(unpinned, tmp_path)
    assert asked == [first]
    assert not list((tmp_path / "tiny").iterdir())


def test_the_same_domain_and_a_stated_host_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = entry("https://a.maker.invalid/words.txt")
    redirecting(monkeypatch, "https://cdn.maker.invalid/words.txt")
    assert fetch(here, tmp_path / "here").read_bytes() == PAYLOAD
    redirecting(monkeypatch, "https://files.store.invalid/words.txt")
    there = dataclasses.replace(here, redirects=("store.invalid",))
    assert fetch(there, tmp_path / "there").read_bytes() == PAYLOAD
    (of_family, _) = family(redirects=("store.invalid",)).entries("sw")
    assert of_family.redirects == ("store.invalid",)


def family(**changes: object) -> Family:
    fields = {
        "name": "models",
        "files": ("{lang}.a", "{lang}.b"),
        "source": "https://a.invalid/{file}",
        "languages": ("sw",),
    }
    return Family(**{**fields, "licence": "CC0-1.0", "description": "", "origin": "", **changes})  # type: ignore[arg-type]


def test_a_family_has_files_by_language_and_date() -> None:
    assert [(e.name, e.file, e.source) for e in family().entries("sw")] == [
        ("models", "sw.a", "https://a.invalid/sw.a"),
        ("models", "sw.b", "https://a.invalid/sw.b"),
    ]
    (dump,) = families()["wikipedia"].entries("sw", "20240506")
    assert dump.name == "wikipedia-20240506"
    assert dump.source.endswith("/cirrussearch/20240506/swwiki-20240506-cirrussearch-content.json.gz")
    with pytest.raises(InputError, match="nothing for 'xx'. It has: sw"):
        family().entries("xx")


def test_without_a_stated_digest_the_first_fetch_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, _ = family().entries("sw")
    serve(monkeypatch, PAYLOAD)
    path = fetch(file, tmp_path)
    assert path.read_bytes() == PAYLOAD
    assert sha256(PAYLOAD) in path.with_name("sw.a.sha256").read_text()
    serve(monkeypatch, b"")
    assert fetch(file, tmp_path) == path  # without the network
    path.write_bytes(PAYLOAD[:-1])
    with pytest.raises(CatalogueError, match="recorded"):
        fetch(file, tmp_path)
    path.unlink()
    serve(monkeypatch, b"another")
    with pytest.raises(CatalogueError, match="recorded"):
        fetch(file, tmp_path)


def test_a_body_cut_short_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, _ = family().entries("sw")
    stream = serve(monkeypatch, PAYLOAD[:-1])
    monkeypatch.setattr(stream, "headers", {"Content-Length": str(len(PAYLOAD))})
    with pytest.raises(CatalogueError, match=f"{len(PAYLOAD) - 1} of {len(PAYLOAD)} bytes"):
        fetch(file, tmp_path)
    assert not place(file, tmp_path).exists()


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, PAYLOAD)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file/tiny/words.txt cannot be written: .*Set CCBUILD_CACHE"):
        fetch(entry("https://a.invalid/words.txt"), tmp_path / "file")


def test_other_schemes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="neither pypi: nor https:"):
        fetch(entry("file:///etc/hostname"), tmp_path)


def test_callers_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request.OpenerDirector, "open", lambda *_, **__: io.BytesIO(PAYLOAD))
    e, found = entry("https://a.invalid/words.txt"), []
    threads = [threading.Thread(target=lambda: found.append(fetch(e, tmp_path).read_bytes())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [PAYLOAD] * 8
    assert [p.name for p in (tmp_path / "tiny").iterdir()] == ["words.txt"]
