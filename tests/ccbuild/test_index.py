"""An index is a shorter way to what the manifests say: never another answer, whatever became of it."""

from __future__ import annotations

import doctest
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ccbuild import index
from ccbuild.config import Settings
from ccbuild.errors import DataError, MismatchError, StorageError
from ccbuild.index import INDEX, Entry, Look, entries, gather
from ccbuild.ledger import Ledger
from ccbuild.rundir import RunDir, shard_name
from ccbuild.storage import Unit, digest_of, read_manifest

LONG_AGO = 1_700_000_000_000_000_000
SHARDS = (2, 99_999, 100_000)


@pytest.fixture(autouse=True)
def _any_folder_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "WORTH", 1)


def unit(folder: Path, name: str, inputs: dict[str, Any] | None = None, **settings: Any) -> Unit:
    return Unit(folder, "count", name, settings=Settings(settings or {"n": 1}), inputs=inputs or {"a": "1"})


def commit(folder: Path, name: str, text: str = "seven", inputs: dict[str, Any] | None = None, **settings: Any) -> None:
    """A finished unit, long ago."""
    with unit(folder, name, inputs, **settings) as work:
        work.path(f"{name}.txt").write_text(text)
        work.path(f"inner/{name}.txt").write_text(text * 2)
        ledger = Ledger()
        ledger["documents"].keep(7)
        ledger["documents"].drop("too_short")
        work.commit(ledger, facts={"text": f"{text}\tand\n", "é": [1, None]})
    os.utime(folder / f"{name}.json", ns=(LONG_AGO, LONG_AGO))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("sw", *map(shard_name, SHARDS)):
        commit(tmp_path, name)
    gather(tmp_path)
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The manifests that are read."""
    names: list[str] = []

    def reading(path: Path) -> Any:
        names.append(path.stem)
        return read_manifest(path)

    monkeypatch.setattr(index, "read_manifest", reading)
    return names


def told(folder: Path) -> list[Any]:
    return [(e.unit, e.fingerprint, e.inputs, e.outputs, e.accounts, e.facts, digest_of(e)) for e in entries(folder)]


def by_manifests(folder: Path) -> list[Any]:
    """The same, by the manifests alone."""
    found = [read_manifest(folder / f"{name}.json") for name in ("sw", *map(shard_name, SHARDS))]
    return [
        (m.unit, m.to_mapping()["fingerprint"], m.inputs, m.outputs, m.ledger.to_mapping(), m.facts, digest_of(m))
        for m in found
        if m is not None
    ]


def test_examples() -> None:
    tried = doctest.testmod(index)
    assert tried.attempted
    assert not tried.failed


def test_an_index_says_what_the_manifests_say_and_none_of_them_is_opened(folder: Path, opened: list[str]) -> None:
    assert told(folder) == by_manifests(folder)
    assert [entry.unit for entry in entries(folder, "part-")] == list(map(shard_name, SHARDS))
    assert opened == []


def test_ledgers_add_up_from_the_index(folder: Path, opened: list[str]) -> None:
    (folder / "1-pages").symlink_to(folder)
    account = RunDir(folder).ledger("extract")["documents"]
    assert (account.seen, account.kept, account.dropped) == (32, 28, {"too_short": 4})
    assert opened == []


def rewritten(folder: Path) -> None:
    """By another with the same length, a second later."""
    commit(folder, "part-00002", "eight")
    os.utime(folder / "part-00002.json", ns=(LONG_AGO + 10**9, LONG_AGO + 10**9))


def lengthened(folder: Path) -> None:
    """In the same instant, by one with another length."""
    commit(folder, "part-00002", "seventeen")


def flipped(folder: Path) -> None:
    """A letter of one line is another, and the line is as good JSON as before."""
    content = (folder / INDEX).read_bytes()
    at = content.index(b"too_short", content.index(b'"part-00002"'))
    (folder / INDEX).write_bytes(content[:at] + b"T" + content[at + 1 :])


def cut(folder: Path) -> None:
    content = (folder / INDEX).read_bytes()
    (folder / INDEX).write_bytes(content[: content.index(b'"part-00002"') + 40])


def turned(folder: Path) -> None:
    """The lines in another order."""
    head, *lines = (folder / INDEX).read_bytes().splitlines(keepends=True)
    (folder / INDEX).write_bytes(head + b"".join(reversed(lines)))


def of_a_later_form(folder: Path) -> None:
    content = (folder / INDEX).read_bytes()
    (folder / INDEX).write_bytes(content.replace(b"ccbuild index 1\n", b"ccbuild index 2\n"))


def lost(folder: Path) -> None:
    (folder / INDEX).unlink()


def a_folder_in_its_place(folder: Path) -> None:
    lost(folder)
    (folder / INDEX).mkdir()


HURT: tuple[Callable[[Path], None], ...] = (rewritten, lengthened, flipped, cut, turned, of_a_later_form, lost)


@pytest.mark.parametrize("hurt", [*HURT, a_folder_in_its_place], ids=lambda f: f.__name__)
def test_whatever_became_of_the_index_the_answer_is_that_of_the_manifests(
    hurt: Callable[[Path], None], folder: Path, opened: list[str]
) -> None:
    hurt(folder)
    assert told(folder) == by_manifests(folder)
    assert opened != []


@pytest.mark.parametrize("hurt", HURT, ids=lambda f: f.__name__)
def test_the_index_is_made_again_once(hurt: Callable[[Path], None], folder: Path, opened: list[str]) -> None:
    hurt(folder)
    gather(folder)
    assert "part-00002" in opened
    opened.clear()
    before = (folder / INDEX).stat().st_mtime_ns
    gather(folder)
    assert told(folder) == by_manifests(folder)
    assert (opened, (folder / INDEX).stat().st_mtime_ns) == ([], before)


def test_only_what_is_new_is_read_again(folder: Path, opened: list[str]) -> None:
    commit(folder, "part-00003")
    (folder / "sw.json").unlink()
    assert [entry.unit for entry in entries(folder)] == list(map(shard_name, (2, 3, *SHARDS[1:])))
    assert opened == ["part-00003"]


def test_a_manifest_as_young_as_the_index_is_not_believed(folder: Path, opened: list[str]) -> None:
    """It may have been written again in the same tick of the clock: the same time, the same length."""
    now = (folder / INDEX).stat().st_mtime_ns
    commit(folder, "sw", "first")
    os.utime(folder / "sw.json", ns=(now, now))
    gather(folder)
    commit(folder, "sw", "other")
    os.utime(folder / "sw.json", ns=(now, now))
    assert next(entries(folder)).facts["text"] == "other\tand\n"
    assert opened[-1] == "sw"


def test_a_reader_writes_nothing(folder: Path) -> None:
    for hurt in (rewritten, lost):
        hurt(folder)
        before = {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}
        assert told(folder) == by_manifests(folder)
        assert {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))} == before


def test_a_disk_that_takes_no_index_costs_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, content: Iterator[bytes]) -> None:
        raise StorageError(f"No space left to write {path}.")

    lost(folder)
    monkeypatch.setattr(index, "write_bytes", refused)
    gather(folder)
    assert not (folder / INDEX).exists()
    assert Look().done(unit(folder, "sw"))


def test_few_units_have_no_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "WORTH", 5)
    lost(folder)
    gather(folder)
    assert not (folder / INDEX).exists()
    gather(folder / "absent")
    assert list(entries(folder / "absent")) == []


def test_a_damaged_manifest_is_named_by_readers_and_left_out_of_the_index(folder: Path) -> None:
    (folder / "sw.json").write_text("{")
    with pytest.raises(DataError, match=r"sw\.json is not a manifest"):
        list(entries(folder))
    gather(folder)
    look = Look()
    assert (look.done(unit(folder, "sw")), look.done(unit(folder, "part-00002"))) == (False, True)


def shortened(folder: Path) -> None:
    (folder / "inner" / "part-00002.txt").write_text("")


def a_folder_as_output(folder: Path) -> None:
    (folder / "part-00002.txt").unlink()
    (folder / "part-00002.txt").mkdir()


def damaged(folder: Path) -> None:
    (folder / "part-00002.json").write_text("{")


def of_a_later_format(folder: Path) -> None:
    path = folder / "part-00002.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))


def moved_away(folder: Path) -> None:
    (folder / "inner" / "part-00002.txt").rename(folder / "away")
    (folder / "inner" / "part-00002.txt").symlink_to(folder / "away")


STATES: dict[str, tuple[Callable[[Path], object], Callable[[Path], Unit]]] = {
    "as it was": (lambda folder: None, lambda folder: unit(folder, "part-00002")),
    "no such unit": (lambda folder: None, lambda folder: unit(folder, "part-00007")),
    "no folder": (lambda folder: None, lambda folder: unit(folder / "absent", "part-00002")),
    "another input": (lambda folder: None, lambda folder: unit(folder, "part-00002", {"a": "2"})),
    "an input more that is none": (lambda folder: None, lambda f: unit(f, "part-00002", {"a": "1", "b": None})),
    "another setting": (lambda folder: None, lambda folder: unit(folder, "part-00002", n=2)),
    "output deleted": (lambda f: (f / "part-00002.txt").unlink(), lambda folder: unit(folder, "part-00002")),
    "output shortened": (shortened, lambda folder: unit(folder, "part-00002")),
    "a folder as output": (a_folder_as_output, lambda folder: unit(folder, "part-00002")),
    "output moved and linked": (moved_away, lambda folder: unit(folder, "part-00002")),
    "manifest deleted": (lambda f: (f / "part-00002.json").unlink(), lambda folder: unit(folder, "part-00002")),
    "manifest damaged": (damaged, lambda folder: unit(folder, "part-00002")),
    "of a later format": (of_a_later_format, lambda folder: unit(folder, "part-00002")),
    "rewritten": (rewritten, lambda folder: unit(folder, "part-00002")),
}
"""What became of a unit, and as what it is asked for."""


@pytest.mark.parametrize("state", STATES)
def test_a_look_finds_done_what_the_unit_finds_done(state: str, folder: Path) -> None:
    change, asked = STATES[state]
    change(folder)
    try:
        expected = asked(folder).done() is not None
    except MismatchError:  # a worker raises it again, and it becomes the failure of this unit
        expected = False
    assert Look().done(asked(folder)) is expected
    assert Look().done(unit(folder, "part-99999"))


def test_settings_of_earlier_work_are_compared_once_and_as_units_compare_them(folder: Path, opened: list[str]) -> None:
    asked = Settings({"n": 1, "later": 3})
    asked.before, asked.by_path = {"later": 3}, {"list"}
    commit(folder, "with-a-path", n=1, list="words.txt")
    commit(folder, "with-no-path", n=1, list=None)
    names = ["sw", *map(shard_name, SHARDS), "with-a-path", "with-no-path"]
    units = [Unit(folder, "count", name, settings=asked, inputs={"a": "1"}) for name in names]
    look = Look()
    assert [look.done(unit) for unit in units] == [unit.done() is not None for unit in units]
    assert [name for name in names if not look.done(unit(folder, name))] == ["with-a-path"]
    gather(folder)
    opened.clear()
    assert [Look().done(unit) for unit in units[:4]] == [True] * 4
    look, read = Look(), len(opened)
    assert all(look.done(unit) for unit in units[:4])
    assert len(opened) == read + 1, "one manifest tells the settings of all that were made with them"


def test_an_entry_of_a_manifest_is_that_of_its_line(folder: Path) -> None:
    manifest = read_manifest(folder / "sw.json")
    assert manifest is not None
    assert Entry.of(manifest) == next(entries(folder))
