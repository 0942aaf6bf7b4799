"""What is remembered of words changes no answer: each is what both models say, joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from threading import Thread

import pytest

from ccbuild.langid.cascade import Cascade
from ccbuild.langid.corpus import catalogue_texts
from ccbuild.langid.identify import default_cascade
from ccbuild.langid.memory import PLACES, memory_for

AWKWARD = [
    "a.b,c;d-e " * 400,
    "https://www.example.org/one/two?three=four&five=six the words of an address",
    "Donaudampfschifffahrtsgesellschaftskapitän " * 3 + "fuhr über den Fluss",
    "x" * 10_000 + " and then a few words of English",
    "word𐐀word 𐐀𐐁𐐂 Deseret letters beside English words",
    "‘quoted’ “words” (in brackets), and 1st 2nd 3rd numbers-with-letters",
    "--- ... --- and signs alone !!!",
    "Habari ya dunia, rafiki yangu mpendwa; habari, habari ya asubuhi?",
]


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return [line for _, texts in sorted(catalogue_texts(["eld"])["eld"].items()) for line in texts[:40]] + AWKWARD


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    shared = default_cascade()
    return Cascade(shared.model, shared.supplement)


def test_no_answer_depends_on_what_was_asked_before(cascade: Cascade, lines: list[str]) -> None:
    first = cascade.identify(lines)
    assert cascade.identify(lines) == first
    assert cascade.identify(lines[::-1]) == first[::-1]
    (memory,) = cascade._memories
    lost = memory_for(*cascade._columns)
    cascade._memories[:] = [lost]
    assert cascade.identify(lines[::3]) == first[::3]
    taken = memory.keys[:PLACES, 0] != 0
    assert taken.sum() > 5000  # each with the others' places taken already
    lost.keys[:PLACES, 5] = 7
    lost.keys[:PLACES, 0] = 1
    assert cascade.identify(lines) == first


def test_threads_do_not_share_a_memory(cascade: Cascade, lines: list[str]) -> None:
    expected = cascade.identify(lines)
    found = {}
    threads = [Thread(target=lambda n=n: found.update({n: cascade.identify(lines)})) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [expected] * 4
    assert len({id(memory.entries) for memory in cascade._memories}) == len(cascade._memories)


def test_an_answer_is_what_both_models_say(cascade: Cascade, lines: list[str]) -> None:
    compared = 0
    assert cascade.supplement
    said = zip(cascade.model.ask(lines, 6), cascade.supplement.ask(lines, 6), strict=True)
    for answer, (first, own) in zip(cascade.identify(lines, test_noise=False), said, strict=True):
        ties = any(len(asked) > 5 and asked[4][1] - asked[5][1] < 1e-5 for asked in (first, own))
        if answer.by != "model and supplement" or ties or any(c.endswith("_rom") or c == "ku" for c, _ in own):
            continue
        expected = joined(cascade, by_code(first[:5]), by_code(own[:5]))
        compared += 1
        code = "zh" if answer.code.startswith("zh-") else answer.code
        assert expected[code] == pytest.approx(answer.score, abs=1e-5)
        assert max(expected.values()) == pytest.approx(answer.score, abs=1e-5)
    assert compared > 300


def by_code(said: list[tuple[str, float]]) -> Counter[str]:
    """The probabilities of labels that are of one code added up."""
    found = Counter[str]()
    for code, p in said:
        found[code] += p  # type: ignore[assignment]
    return found


def joined(cascade: Cascade, first: Mapping[str, float], own: Mapping[str, float]) -> dict[str, float]:
    """The formula of `Supplement`, in plain Python."""
    codes = cascade.asked.codes
    known = dict(zip(cascade.names, codes.known.tolist(), strict=True))
    trust = dict(zip(cascade.names, codes.trust.tolist(), strict=True))
    elsewhere = sum(p * (1 - max(trust[c], 0)) * known[c] for c, p in first.items())
    found = {}
    for code in first.keys() | own.keys():
        said = known[code] * max(first.get(code, 0), codes.least)
        said += (1 - known[code]) * codes.prior * (1 - elsewhere)
        sure = max(trust[code], 1 - known[code]) if trust[code] >= 0 else 0
        heard = sure * max(own.get(code, 0), codes.least) + (1 - sure) * said
        found[code] = said ** (1 - codes.share) * heard**codes.share
    total = sum(found.values())
    return {code: p / total for code, p in found.items()}
