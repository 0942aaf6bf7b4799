"""Config, ledger, storage: what everything else stands on."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild import errors
from ccbuild.config import apply_overrides, differing_keys, fingerprint, flatten, from_mapping, load_yaml, place
from ccbuild.errors import ConfigError, DataError, InputError, LedgerError, MismatchError, StorageError
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit, expand, open_input, read_manifest, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    rate: float = 0.5
    names: tuple[str, ...] = ("a",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    count: int = 3
    form: Literal["x", "y"] = "x"
    maybe: int | None = None
    folder: str | None = place()
    inner: Inner = field(default_factory=Inner)


def test_overrides_are_typed_and_nested() -> None:
    made = from_mapping(Outer, apply_overrides({"count": 1}, ["inner.rate=1e-4", "maybe=7", "inner.names=[p, q]"]))
    assert made == Outer(count=1, maybe=7, inner=Inner(rate=1e-4, names=("p", "q")))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cuont=1", "Did you mean 'count'"),
        ("inner.rat=1", "Did you mean 'rate'"),
        ("count=many", "takes int"),
        ("count=true", "takes int"),
        ("form=z", "one of 'x', 'y'"),
        ("count", "has no '='"),
        ("count.x=1", "is a value, not a section"),
        ("inner=3", "not a section"),
        ("inner.names=3", "takes a list"),
        ("maybe=x", "takes int"),
    ],
)
def test_bad_settings_name_the_key(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(Outer, apply_overrides({"count": 1}, [override]))


def test_a_yaml_error_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(ConfigError, match="line 2"):
        load_yaml(tmp_path / "r.yaml")
    with pytest.raises(InputError):
        load_yaml(tmp_path)


def test_places_do_not_change_a_fingerprint() -> None:
    here, there = Outer(folder="/here"), Outer(folder="/there")
    assert fingerprint(flatten(here)) == fingerprint(flatten(there)) != fingerprint(flatten(Outer(count=4)))
    assert differing_keys(flatten(here), flatten(Outer(count=4))) == [("count", 3, 4)]


@given(
    st.dictionaries(st.sampled_from(["too_short", "record:request", "robots:noai"]), st.integers(0, 9)),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_ledgers_add_up_and_survive_a_round_trip(drops: dict[str, int], kept: int, lost: int) -> None:
    ledger = Ledger()
    ledger["records"].keep(kept)
    for reason, n in drops.items():
        ledger["records"].drop(reason, n)
    ledger["records"].quarantine("truncated_member", lost)
    twice = Ledger.total([ledger, Ledger.from_mapping(ledger.to_mapping())]).close("both")
    assert twice["records"].seen == 2 * (kept + sum(drops.values()) + lost)


def test_a_ledger_that_does_not_balance_is_an_error() -> None:
    ledger = Ledger()
    ledger["records"].seen = 1
    with pytest.raises(LedgerError, match="part-00007: the account of records does not balance by 1"):
        ledger.close("part-00007")


def unit(folder: Path, **settings: int) -> Unit:
    return Unit(folder, "count", "part-00000", settings=settings or {"n": 1}, inputs={"a": "1"})


def test_a_unit_is_done_only_when_its_manifest_says_so(tmp_path: Path) -> None:
    with unit(tmp_path) as work:
        work.path("part-00000.txt").write_text("7")
        assert work.done() is None
        work.commit(Ledger())
    done = unit(tmp_path).done()
    assert done is not None
    assert done.outputs["part-00000.txt"]["size"] == 1
    assert str(tmp_path) not in (tmp_path / "part-00000.json").read_text()
    with pytest.raises(MismatchError, match="made with n=1, the config says 2"):
        unit(tmp_path, n=2).done()
    (tmp_path / "part-00000.txt").write_text("longer")
    assert unit(tmp_path).done() is None


def test_an_input_that_changed_means_the_work_is_to_be_done_again(tmp_path: Path) -> None:
    with unit(tmp_path) as work:
        work.commit(Ledger())
    assert Unit(tmp_path, "count", "part-00000", settings={"n": 1}, inputs={"a": "2"}).done() is None


def test_a_unit_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), unit(tmp_path) as work:
        work.path("part-00000.txt").write_text("half")
        work.scratch("x").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_equal_work_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with unit(tmp_path / name) as work:
            work.path("part-00000.txt").write_text("7")
            work.commit(Ledger(), facts={"z": 1, "b": [2]})
    assert (tmp_path / "a/part-00000.json").read_bytes() == (tmp_path / "b/part-00000.json").read_bytes()


def test_a_full_disk_is_said_and_nothing_is_taken_as_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="No space left to write"), unit(tmp_path) as work:
        work.path("part-00000.txt").write_text("7")
        monkeypatch.setattr(os, "replace", full)
        work.commit(Ledger())
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_cut_short_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"verb": "cou')
    with pytest.raises(DataError, match=r"x\.json is not a manifest"):
        read_manifest(tmp_path / "x.json")


def test_inputs_that_are_not_there(in_folder: Path) -> None:
    (in_folder / "folder").mkdir()
    with pytest.raises(InputError, match="No file matches"):
        expand("*.warc.gz")
    with pytest.raises(InputError, match="is a folder"):
        expand("folder")
    with pytest.raises(InputError, match="does not exist"), open_input("nothing.warc.gz"):
        pass
    with pytest.raises(InputError, match="is a folder"), open_input("folder"):
        pass


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": 1, "a": "é"})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": "é", "b": 1}
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"b": object()})
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_every_error_stands_in_the_tree_and_in_all() -> None:
    classes = {n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, Exception)}
    assert classes == set(errors.__all__)
    assert all(f" {name}" in (errors.__doc__ or "") or name == "CcbuildError" for name in classes)
    assert errors.__all__ == sorted(errors.__all__)
