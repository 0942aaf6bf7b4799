"""Settings of today against work of yesterday: new keys, files that settings name, later formats, advice to paste."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccbuild.config import (
    apply_overrides,
    aside,
    contents,
    differing_keys,
    flatten,
    from_mapping,
    open_places,
    override,
    place,
    replace_places,
    setting,
    to_mapping,
)
from ccbuild.errors import ConfigError, InputError, MismatchError
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit, check_same, read_manifest


def refuse_empty(path: str) -> None:
    if not Path(path).read_text():
        raise InputError(f"{path} is empty.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    share: float | None = setting(0.5, before=None)
    least: int = 3
    table: str | None = place(read=refuse_empty)
    once: str | None = place(covered_before=True)
    own: str | None = place(digest=lambda path: Path(path).read_text().strip(), recorded="own list")
    parts: str | None = place(finer="each part")
    threads: int = aside(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    names: tuple[str, ...] = ("all",)
    part: Part = field(default_factory=Part)
    other: int = 1


def test_a_key_that_older_work_lacks_has_the_value_from_before_it_existed() -> None:
    old = {"names": ["all"], "other": 1}
    assert differing_keys(old, flatten(Whole(part=Part(share=None)))) == []
    assert differing_keys(old, flatten(Whole())) == [("part.share", None, 0.5)]  # what it does now is new
    assert differing_keys(old, flatten(Whole(part=Part(share=None, least=4)))) == [("part.least", 3, 4)]
    assert differing_keys({"other": 1}, flatten(Whole(part=Part(share=None)))) == []
    assert differing_keys({"n": 1}, {"n": 1, "more": None}) == []  # plain mappings: as ever


def test_settings_of_some_sections_are_not_held_to_the_others() -> None:
    asked = flatten(Whole()).only(["part"])
    assert asked == {"part.share": 0.5, "part.least": 3}
    assert differing_keys({"part.share": 0.5, "part.least": 3, "other": 7, "names": ["sw"]}, asked) == []
    assert differing_keys({"part.share": 0.5, "gone": 7}, asked) == [("gone", 7, None)]


def advised(error: MismatchError) -> list[str]:
    """What a user would paste."""
    words = shlex.split(str(error).split("Keep it with ")[1].split(", or start a new")[0])
    assert words[::2] == ["--set"] * (len(words) // 2)
    return words[1::2]


json_values = st.none() | st.booleans() | st.integers(-9, 9**9) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=("C",)), max_size=9)


@example({"": 1e-05})
@example([".5E3", "1e400"])
@given(json_values | texts | st.lists(texts, max_size=3) | st.dictionaries(texts, json_values, max_size=2))
def test_an_override_is_read_back_as_it_was(value: Any) -> None:
    words = shlex.split(f"--set {shlex.quote(override('a.b', value))}")
    found = apply_overrides({}, words[1:])["a"]["b"]
    assert found == value


@pytest.mark.parametrize("share", [None, 0.25])
def test_the_advice_works_when_it_is_pasted(share: float | None) -> None:
    old = flatten(Whole(names=("it's", "b c"), part=Part(share=share, least=9)))
    with pytest.raises(MismatchError, match=r"part.least=9, the config says 3; part.share=") as refused:
        check_same(Path("4-documents"), old, flatten(Whole()))
    again = from_mapping(Whole, apply_overrides(to_mapping(Whole()), advised(refused.value)))
    check_same(Path("4-documents"), old, flatten(again))


def test_a_key_that_this_release_does_not_have_gets_no_advice_that_it_would_refuse() -> None:
    with pytest.raises(MismatchError, match="gone=7, the config says null. This release has no gone"):
        check_same(Path("x"), {**flatten(Whole()), "gone": 7}, flatten(Whole()))


def test_a_place_counts_by_its_content(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t").write_text("one\n")
    here, there = (Part(**dict.fromkeys(("table", "own", "parts"), str(tmp_path / n / "t"))) for n in ("a", "b"))
    assert flatten(here) == flatten(there) == flatten(Part())
    assert contents(here, "part.") == contents(there, "part.")
    assert contents(here, "part.").keys() == {"part.table", "own list"}
    assert contents(here)["own list"] == "one"
    (tmp_path / "b" / "t").write_text("other\n")
    assert contents(there)["table"] != contents(here)["table"]
    assert contents(Part()) == {}
    with pytest.raises(InputError, match=r"part.table is .*absent: No such file"):
        contents(Part(table=str(tmp_path / "absent")), "part.")


def test_a_place_is_hashed_once_while_it_stays_the_same(tmp_path: Path) -> None:
    read: list[str] = []

    @dataclass(frozen=True)
    class Counted:
        table: str | None = place(digest=lambda path: read.append(path) or str(len(read)))  # type: ignore[func-returns-value]

    (tmp_path / "t").write_text("x")
    config = Counted(str(tmp_path / "t"))
    assert [contents(config)["table"] for _ in range(3)] == ["1", "1", "1"]
    os.utime(tmp_path / "t", ns=(1, 1))
    assert contents(config)["table"] == "2"


def test_places_are_opened_and_moved_by_their_declaration(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("")
    with pytest.raises(InputError, match=r"^part\.table: .*t is empty"):
        open_places(Whole(part=Part(table=str(tmp_path / "t"))))
    moved = replace_places(Whole(part=Part(table="t", own="o")), lambda path: f"/x/{path}")
    assert (moved.part.table, moved.part.own, moved.part.parts) == ("/x/t", "/x/o", None)


def unit(folder: Path, settings: Any, inputs: dict[str, str] | None = None) -> Unit:
    return Unit(folder, "count", "one", settings=settings, inputs=inputs)


def test_work_that_noted_a_path_is_done_again_not_refused(tmp_path: Path) -> None:
    asked = flatten(Whole()).only(["part"])
    with unit(tmp_path, {**asked, "part.once": None}) as work:
        work.commit(Ledger())
    assert unit(tmp_path, asked).done() is not None
    with unit(tmp_path, {**asked, "part.once": "scores.tsv"}) as work:
        work.commit(Ledger())
    assert unit(tmp_path, asked).done() is None
    assert unit(tmp_path, asked, {"part.once": "digest"}).done() is None
    with unit(tmp_path, asked, {"part.once": "digest"}) as work:
        work.commit(Ledger())
    assert unit(tmp_path, asked, {"part.once": "digest"}).done() is not None


def test_a_manifest_of_a_later_format_is_refused_and_left(tmp_path: Path) -> None:
    with unit(tmp_path, {"n": 1}) as work:
        work.commit(Ledger())
    path = tmp_path / "one.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2, "models": "of another form"}))
    before = path.read_bytes()
    for reads in (lambda: read_manifest(path), unit(tmp_path, {"n": 1}).done):
        with pytest.raises(MismatchError, match="is of format 2; this release reads formats up to 1"):
            reads()
    assert path.read_bytes() == before


def test_a_setting_must_still_be_of_its_type() -> None:
    with pytest.raises(ConfigError, match="takes"):
        from_mapping(Part, {"threads": "many"})
