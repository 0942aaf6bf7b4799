"""What a person sees: how far it is, and what is being done while nothing ends."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable

import pytest

from ccbuild import progress
from ccbuild.progress import Bar, Doing, asking, counted, duration, here, phase, silent, verb_bar, watched
from ccbuild.runner import Timings


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


def until(happened: Callable[[], object]) -> None:
    """Waits for it; what never happens is ended by the suite's own limit."""
    while not happened():
        time.sleep(0.01)


def test_a_thread_says_what_it_is_at_and_another_may_ask() -> None:
    doing = here()
    assert (doing.text(), doing.state()) == ("", (0, 0, ""))
    with phase("train"):
        words = counted(["a", "b", "c"], "words")
        languages = counted(["sw", "ha"], "languages", total=2)
        next(languages), next(languages), next(words), next(words)
        assert doing.text() == "train: 1 of 2 languages, 1 words"
        assert doing.state() == (1, 2, "train: 1 words")
        with phase("save"):
            assert doing.text().startswith("save: ")
        assert list(words) == ["c"]
        assert list(languages) == []
        assert doing.text() == "train"
        others: list[Doing] = []
        thread = threading.Thread(target=lambda: others.append(here()))
        thread.start()
        thread.join()
        assert others[0].text() == ""
    assert doing.text() == ""


def test_a_phase_ends_with_its_block_also_by_an_error() -> None:
    with pytest.raises(ValueError, match="broken"), Timings().measure("count"):
        assert here().text() == "count"
        raise ValueError("broken")
    assert here().text() == ""


def test_a_terminal_sees_the_count_and_what_is_being_done(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with verb_bar("prepare") as bar:
        bar.add(61)
        bar.add(1)
        for n in range(61):
            bar.advance(str(n))
        bar.doing("identifier 48 s (train)")
        shown = terminal.getvalue().split("\r")[-1]
        assert "prepare" in shown
        assert "61/62" in shown
        assert "identifier 48 s (train)" in shown
        bar.advance("identifier")
    assert "62/62" in terminal.getvalue().split("\r")[-1]
    assert "identifier" not in terminal.getvalue().split("\r")[-1]


def test_a_log_has_a_line_now_and_then_and_the_last_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with verb_bar("refine") as bar:
        bar.add(9)
        for n in range(8):
            bar.advance(str(n))
        bar.doing("part-00008 12 s (text)")
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
        bar.doing("part-00008 13 s (text)")
        bar.advance("part-00008")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" s ", 1)[-1] for line in lines] == ["part-00008 13 s (text)"] * 2 + ["refine    9/9 0 s"]


def test_what_is_soon_over_shows_nothing_and_what_is_not_says_its_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with watched("vocab train"):
        pass
    assert terminal.getvalue() == ""
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 0.01)
    with watched("vocab train"):
        for _ in counted(["sw"], "languages", total=1):
            with phase("count words"):
                until(lambda: "count words" in terminal.getvalue() and "0/1" in terminal.getvalue())
    assert terminal.getvalue().endswith("\r")  # the results stand where the bar was


def test_a_bar_that_cannot_be_drawn_costs_nothing() -> None:
    asked = []

    def broken() -> None:
        asked.append(1)
        raise BrokenPipeError

    with asking(broken, 0.001):
        until(lambda: len(asked) > 2)


def test_a_notebook_without_widgets_gets_the_plain_bar_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    kernelapp = pytest.importorskip("ipykernel.kernelapp")
    monkeypatch.setattr(kernelapp.IPKernelApp, "initialized", staticmethod(lambda: True))
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bar = Bar("extract")
        bar.to(1, 4, "part-00001 3 s")
        bar.close()
    assert "1/4" in stream.getvalue()


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 59, 270, 7500)] == ["0 s", "59 s", "4 min 30 s", "2 h 5 min"]


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with silent("extract") as bar:
        bar.add(1)
        bar.doing("x")
        bar.advance("x")
    assert capsys.readouterr() == ("", "")


def test_importing_draws_and_loads_nothing() -> None:
    code = "import sys, ccbuild.progress; assert 'tqdm' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
