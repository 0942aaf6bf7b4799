"""A finished run is tampered with: `--verify` finds it, and mends it or says what to do; nothing wrong is left."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ccbuild
from ccbuild.errors import CcbuildError
from ccbuild.rundir import FOLDERS
from tests.chaos.runs import SETTINGS, tree

Tamper = Callable[[Path], None]


def flip(path: Path) -> None:
    """One bit of the byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


def garbage(path: Path) -> None:
    path.write_text("{no JSON")


def changed(*keys: str, value: Any) -> Tamper:
    def change(path: Path) -> None:
        content = json.loads(path.read_text(encoding="utf-8"))
        part = content
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value
        path.write_text(json.dumps(content), encoding="utf-8")

    return change


def lined(path: Path) -> None:
    """A file of lines of which the first is another."""
    path.write_text(path.read_text(encoding="utf-8").replace('"shard": 0', '"shard": 7'), encoding="utf-8")


def compressed_again(path: Path) -> None:
    """The same records in other bytes, of another size."""
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=0))


def swapped(path: Path) -> None:
    """The content of another file of the same kind."""
    other = next(p for p in sorted(path.parent.parent.glob(f"*/*{path.suffix}")) if p.parent != path.parent)
    shutil.copyfile(other, path)


PAGES, PRINTS, DUPLICATES, DOCUMENTS = (
    f"{FOLDERS[verb]}/part-00000" for verb in ("extract", "prints", "match", "refine")
)
SAID_OF_PAGES, SAID_OF_EDGES, SAID_OF_DOCUMENTS = (
    f"{FOLDERS[verb]}/__manifests/{unit}.json"
    for verb, unit in (("extract", "part-00000"), ("match", "edges-00000-00000"), ("refine", "part-00000"))
)
MENDED: list[tuple[str, Tamper]] = [
    ("0-models/identifier/lid.176.ftz", flip),
    ("0-models/identifier.json", remove),
    (f"{PAGES}.parquet", flip),
    ("1-refused/part-00000.parquet", remove),
    (f"{PAGES}.parquet", swapped),
    (f"{PRINTS}.parquet", flip),
    ("3-duplicates/__matching/documents-00000.bits", flip),
    (f"{DUPLICATES}.parquet", empty),
    ("3-duplicates/__sizes/cluster_sizes.parquet", shorten),
    (SAID_OF_EDGES, garbage),
    (f"{DOCUMENTS}.parquet", flip),
    ("4-dropped/part-00000.parquet", lengthen),
    (SAID_OF_DOCUMENTS, empty),
    (SAID_OF_DOCUMENTS, changed("unit", value="part-00001")),
    (SAID_OF_DOCUMENTS, changed("outputs", value={"../../elsewhere": {"size": 1, "sha256": "0"}})),
    (SAID_OF_DOCUMENTS, changed("inputs", "pages", value="0" * 64)),
    ("5-corpus/en.txt.xz", flip),
    ("5-corpus/en/en-00000.parquet", flip),
    ("5-corpus/README.md", remove),
    ("6-vocabulary/sentencepiece.bpe.model", flip),
    ("6-vocabulary/words/en.parquet", remove),
    ("7-tokens/en-00000.bin", flip),
    ("7-tokens/en.json", remove),
]
REFUSED: list[tuple[str, Tamper, str]] = [
    ("../crawl/a.warc.gz", flip, "but others than then"),
    ("../crawl/a.warc.gz", compressed_again, "a.warc.gz"),
    ("../crawl/a.warc.gz", remove, "No file matches"),
    ("inputs.jsonl", garbage, "inputs.jsonl"),
    ("inputs.jsonl", lined, "inputs.jsonl"),
    ("run.json", garbage, "run.json"),
    (SAID_OF_DOCUMENTS, changed("format", value=99), "Go on with the release that wrote it"),
    (SAID_OF_DOCUMENTS, changed("settings", "refine.length.min_chars", value=1), "refine.length.min_chars"),
    (SAID_OF_PAGES, changed("ledger", "records", "kept", value=11), "extract"),
]


@pytest.fixture
def copied(runs: dict[str, Path], tmp_path: Path, within: None) -> Iterator[Path]:
    shutil.copytree(runs["all"], tmp_path / "it")
    yield tmp_path / "it" / "run"
    shutil.rmtree(tmp_path / "it")


def verified(out: Path) -> None:
    archives = str(out.parent / "crawl" / "*.gz")
    ccbuild.build("cc100", archives, out, until="encode", settings=SETTINGS, workers=0, verify=True)


def named(case: tuple[Any, ...]) -> str:
    return f"{Path(case[0]).name}-{case[1].__qualname__.split('.')[0]}"


@pytest.mark.parametrize(("name", "tamper"), MENDED, ids=map(named, MENDED))
def test_what_is_not_what_was_written_is_made_again(
    name: str, tamper: Tamper, copied: Path, runs: dict[str, Path]
) -> None:
    tamper(copied / name)
    verified(copied)
    assert tree(copied) == tree(runs["all"] / "run")


@pytest.mark.parametrize(("name", "tamper", "said"), REFUSED, ids=map(named, REFUSED))
def test_what_cannot_be_made_again_is_refused_by_name(name: str, tamper: Tamper, said: str, copied: Path) -> None:
    before = sorted(copied.iterdir())
    tamper(copied / name)
    with pytest.raises(CcbuildError, match=said):
        verified(copied)
    assert sorted(copied.iterdir()) == before
