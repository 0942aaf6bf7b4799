"""Stages from outside: functions and classes of the user's, what is refused, and what counts as a change."""

from __future__ import annotations

import functools
import importlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ccbuild.config import flatten, from_mapping, to_mapping
from ccbuild.errors import ConfigError
from ccbuild.records import Document, Dropped
from ccbuild.stages import RefineConfig, each, stage
from ccbuild.stages.outside import open_stage
from ccbuild.stages.source import source_digest

LOUD, CALM = Document(paragraphs=("STOP!",), doc_id=1), Document(paragraphs=("Go on.",), doc_id=2)

MODULE = '''
from dataclasses import dataclass
from typing import ClassVar
from ccbuild.records import Dropped
from ccbuild.stages import each


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """Drop documents of few characters."""

    least: int = 6
    reasons: ClassVar = {"brief": "fewer characters than asked"}

    def build(self, models):
        return each("brief", lambda d: d if d.characters >= self.least else Dropped("brief"))


@dataclass(frozen=True)
class NoStage:
    pass
'''


@pytest.fixture
def filters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "my_filters.py"
    path.write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("my_filters", None)  # of another test
    yield path
    sys.modules.pop("my_filters", None)


def is_calm(document: Document) -> bool:
    return not document.text.isupper()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(True, CALM), (False, Dropped("loud")), (Dropped("loud"), Dropped("loud")), (LOUD, LOUD)],
)
def test_what_a_function_may_answer(answer: Any, expected: Any) -> None:
    assert stage(lambda d: answer, "loud", "capitals").build(Path()).run([CALM]) == [expected]


@pytest.mark.parametrize("answer", [None, 1, "loud"])
def test_another_answer_is_named(answer: Any) -> None:
    with pytest.raises(ConfigError, match="The stage loud answered .* to document 2. It returns True to keep"):
        stage(lambda d: answer, "loud", "capitals").build(Path()).run([CALM])


def test_a_function_travels_with_what_it_refers_to() -> None:
    import pickle

    made = pickle.loads(pickle.dumps(stage(is_calm, "loud", "capitals")))
    assert made.build(Path()).run([LOUD, CALM]) == [Dropped("loud"), CALM]
    lock = threading.Lock()
    with pytest.raises(ConfigError, match="cannot travel to workers"):
        stage(lambda d: bool(lock), "loud", "capitals")
    for reason in ("Too Loud", "snapshot"):
        with pytest.raises(ConfigError, match="is no reason of yours"):
            stage(is_calm, reason, "capitals")


def in_main(source: str, name: str = "keep") -> Callable[[Document], bool]:
    """A function as a notebook defines it."""
    room: dict[str, Any] = {"__name__": "__main__", "re": re}
    exec(source, room)
    found: Callable[[Document], bool] = room[name]
    return found


BASE = "LIMIT = 3\nWORDS = {'a', 'b', 'c'}\ndef helper(d): return len(d.text) > LIMIT\ndef keep(d): return helper(d)\n"


@pytest.mark.parametrize(
    "changed",
    [
        BASE.replace("LIMIT = 3", "LIMIT = 4"),
        BASE.replace("> LIMIT", ">= LIMIT"),
        BASE.replace("return helper(d)", "return not helper(d)"),
    ],
)
def test_a_changed_function_has_another_digest(changed: str) -> None:
    assert source_digest(in_main(BASE)) == source_digest(in_main(BASE))
    assert source_digest(in_main(changed)) != source_digest(in_main(BASE))


def test_what_a_function_holds_counts() -> None:
    source = "def made(limit, pattern):\n    return lambda d: limit < 3 and pattern.search(d.text)\n"
    made: Any = in_main(source, "made")
    digest = source_digest(made(3, re.compile("a")))
    assert digest == source_digest(made(3, re.compile("a")))
    assert digest != source_digest(made(4, re.compile("a")))
    assert digest != source_digest(made(3, re.compile("b")))
    two: Any = in_main("def keep(limit, d): return limit\n")
    assert source_digest(functools.partial(two, 3)) != source_digest(functools.partial(two, 4))


class Longer:
    """A filter with a state."""

    def __init__(self, least: int, *also: Any) -> None:
        self.least, self.also = least, also

    def __call__(self, document: Document) -> bool:
        return document.characters >= self.least

    def keep(self, document: Document) -> bool:
        return document.characters >= self.least


def limited(least: int) -> Callable[[Document], bool]:
    @functools.lru_cache(maxsize=1)
    def keep(document: Document) -> bool:
        return document.characters >= least

    return keep


def looking_at(value: Any) -> Callable[[Document], bool]:
    return lambda document: document.characters >= value.least


@pytest.mark.parametrize(
    "made",
    [
        Longer,
        lambda least: Longer(least).keep,
        limited,
        lambda least: looking_at(Longer(least)),
        lambda least: functools.partial(limited, least),
        lambda least: looking_at(np.arange(5000) * least),
        lambda least: looking_at([re.compile("x" * 300 + str(least))]),
        lambda least: looking_at({"a": {"b": {str(least)}}}),
        lambda least: looking_at(Path(str(least))),
    ],
)
def test_every_value_that_a_filter_works_with_counts(made: Callable[[int], Any]) -> None:
    assert source_digest(made(100)) == source_digest(made(100))
    assert source_digest(made(100)) != source_digest(made(900))


def test_a_filter_may_refer_to_itself_and_not_to_what_cannot_be_known() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    assert source_digest(Longer(1, circle)) == source_digest(Longer(1, circle))
    with pytest.raises(ConfigError, match="nobody can tell whether it has changed"):
        source_digest(looking_at(threading.Lock()))


def test_the_digest_is_the_same_in_every_process(tmp_path: Path) -> None:
    script = (
        "from ccbuild.stages.source import source_digest\n"
        "WORDS = {'en': {'a', 'b', 'c', 'd'}, 'de': frozenset('xyz')}\n"
        "def keep(d): return d.text in WORDS['en'] or keep\n"
        "print(source_digest(keep))\n"
    )
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    said = {
        subprocess.run(
            [sys.executable, "script.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1


@pytest.mark.parametrize("text", ["שלום לכולם", "你好世界", "สวัสดี", "12 34"])
def test_scripts_without_capitals_are_calm(text: str) -> None:
    assert is_calm(Document(paragraphs=(text,)))


def test_a_function_of_python_is_only_named_in_a_recipe() -> None:
    loud = stage(is_calm, "loud", "capitals")
    entries = to_mapping(RefineConfig().with_stages((loud,)))["stages"]
    assert entries[-1] == {"function": "loud"}
    again = from_mapping(RefineConfig, {"stages": entries})
    assert to_mapping(again)["stages"] == entries
    assert again.sources() == {}
    with pytest.raises(ConfigError, match="the function loud was given in Python. Continue this run there"):
        again.check()


def test_a_class_is_named_in_a_recipe(filters: Path) -> None:
    made = from_mapping(RefineConfig, {"stages": ["length", "language", {"use": "my_filters:Short", "least": 7}]})
    (_, _, (name, config)) = made.configs()
    assert (name, config.least) == ("my_filters:Short", 7)  # type: ignore[attr-defined]
    assert config.build(Path()).run([CALM]) == [Dropped("brief")]
    assert to_mapping(made)["stages"][2] == {"use": "my_filters:Short", "least": 7}
    assert flatten(made)["stages"][2] == {"use": "my_filters:Short", "least": 7}
    before = made.sources()
    filters.write_text(MODULE.replace(">=", ">"), encoding="utf-8")
    importlib.reload(sys.modules["my_filters"])
    assert before.keys() == made.sources().keys()
    assert before != made.sources()


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (["perplexity", "language"], "perplexity needs lang of a document, which language gives: put it after lan"),
        (["length", "snapshot"], "snapshot needs lang of a document, and no stage gives it: add one"),
        (["length"], "no stage gives lang"),
        (["language", "length", "length"], "names length twice"),
        (["language", "shouting"], "there is no stage 'shouting'. ccbuild has length, language, snapshot, perplexity"),
        (["language", "my_filters:Absent"], "my_filters:Absent cannot be imported"),
        (["language", "absent_package:Short"], "absent_package:Short cannot be imported"),
        (["language", "my_filters:NoStage"], "my_filters:NoStage is no stage"),
        (["language", {"use": "my_filters:Short", "most": 3}], "has no key 'most'"),
        (["language", {"least": 3}], "Write a name, or a mapping with use"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(stages: list[Any], message: str, filters: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        from_mapping(RefineConfig, {"stages": stages})


def test_a_reason_has_one_meaning() -> None:
    with pytest.raises(ConfigError, match="too_short: The reason 'too_short' means"):
        RefineConfig().with_stages((stage(is_calm, "too_short", "text in capitals"),))


def test_an_entry_point_is_found_by_its_name(filters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = filters.parent / "my_filters-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-filters\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[ccbuild.stages]\nbrief = my_filters:Short\n", encoding="utf-8")
    importlib.invalidate_caches()
    assert open_stage("brief").build(Path()).run([CALM]) == [CALM]


def test_added_stages_come_last_or_are_the_whole_order() -> None:
    loud = stage(is_calm, "loud", "capitals")
    assert [name for name, _ in RefineConfig().with_stages((loud,)).configs()][-2:] == ["perplexity", "loud"]
    assert [name for name, _ in RefineConfig().with_stages((loud, "language")).configs()] == ["loud", "language"]
    with pytest.raises(ConfigError, match="loud needs lang"):
        RefineConfig().with_stages((stage(is_calm, "loud", "capitals", needs=("lang",)), "language"))
    built = RefineConfig(stages=(loud, "language")).configs()[0][1].build(Path())
    assert each("loud", lambda d: d).reasons == {}
    assert built.run([LOUD]) == [Dropped("loud")]
