"""Every reason in the source has one home, and says what it means. `python tests/ccbuild/test_reasons.py` writes the
table of them in pipelines/README.md anew."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cc100.recipe import PublishConfig
from ccbuild.border import CAUSES
from ccbuild.errors import LedgerError
from ccbuild.ledger import Ledger
from ccbuild.reasons import REASONS, find, meaning, place

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "pipelines" / "README.md"
SOURCES = sorted(p for folder in ("ccbuild", "pipelines", "models") for p in (ROOT / folder).rglob("*.py"))

CALLS = {"Dropped": 0, "drop": 0, "quarantine": 0, "_CutError": 0, "_refused": 1, "Damage": 2, "Lost": 2} | {
    "between": 2,
    "resynchronise": 2,
}
"""Which argument of a call is a reason; of `_lose` each may be."""
TARGETS = {"cause", "reason", "asked", "EXACT", "NEAR", "RECAPTURE", "PARAGRAPH"}
"""What is assigned to these names is one, and what is passed under them."""
RETURNS = {
    "ccbuild/text/page.py": {"page_text", "_cleaned", "_main_content"},
    "ccbuild/runner.py": {"_text"},
    "ccbuild/crawl/optout.py": {"matches"},
    "ccbuild/warc/members.py": {"_inflate"},
    "ccbuild/warc/frames.py": {"_decode"},
    "ccbuild/warc/framing.py": {"_stop", "_unstated"},
    "ccbuild/langid/noise.py": {"noise", "_lines"},
}
"""Functions that return one."""


def reasons_in(tree: ast.Module, path: str) -> Iterator[str]:
    """Reasons that the source of a module gives; of an f-string what stands before its first value, and a brace."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given: Sequence[ast.expr] = node.args if name == "_lose" else node.args[CALLS.get(name, 99) :][:1]
            for argument in (*given, *(k.value for k in node.keywords if k.arg in TARGETS)):
                yield from literals(argument)
        elif isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
            for target, value in pairs:
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    pairs += zip(target.elts, value.elts, strict=False)  # a starred target takes several
                elif (getattr(target, "id", None) or getattr(target, "attr", None)) in TARGETS:
                    yield from literals(value)
        elif isinstance(node, ast.FunctionDef) and node.name in RETURNS.get(path, ()):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value:
                    found = literals(inner.value)
                    yield from (f if f == "no_letters" else f"noise_{f}" for f in found) if "noise" in path else found


def literals(value: ast.expr) -> Iterator[str]:
    """The strings that an expression may give, the first of a tuple; not those that it compares or looks up with."""
    match value:
        case ast.Constant(value=str(text)) if text:
            yield text
        case ast.JoinedStr(values=[first, *_]):
            yield f"{first.value if isinstance(first, ast.Constant) else ''}{{"
        case ast.IfExp():
            yield from (*literals(value.body), *literals(value.orelse))
        case ast.BoolOp():
            yield from (text for part in value.values for text in literals(part))
        case ast.BinOp(left=first) | ast.Tuple(elts=[first, *_]) | ast.GeneratorExp(elt=first):
            yield from literals(first)
        case ast.Call(func=ast.Name(id="next"), args=[first, *_]):
            yield from literals(first)


def given() -> Iterator[tuple[str, str]]:
    """(file, reason) of every reason that the source gives."""
    for path in SOURCES:
        name = str(path.relative_to(ROOT))
        if name != "ccbuild/reasons.py":
            yield from ((name, reason) for reason in reasons_in(ast.parse(path.read_text(encoding="utf-8")), name))


def test_every_reason_in_the_source_is_known() -> None:
    unknown = []
    for path, reason in given():
        head = reason.removesuffix("{")
        known = find(head) if head == reason else head and any(name.startswith(head) for name in REASONS)
        unknown += [] if known else [(path, reason)]
    assert not unknown


def test_every_known_reason_is_given_somewhere() -> None:
    found = {reason for _, reason in given()}
    words = {w for path in SOURCES for w in re.findall(r"\"(\w+)\"", path.read_text(encoding="utf-8"))}
    heads = tuple(reason.removesuffix("{") for reason in found if reason.endswith("{"))
    dead = [
        name
        for name in REASONS
        if name not in found
        and name not in (*CAUSES, "parser:")  # of records that are set apart; of runs of earlier releases
        and not any(name == h or (name.startswith(h) and name[len(h) :] in words) for h in heads)
    ]
    assert not dead
    assert {name for name in REASONS if name.startswith("bucket_")} == {f"bucket_{b}" for b in PublishConfig().buckets}


def test_meanings_are_fragments_of_their_own() -> None:
    assert len({reason.meaning for reason in REASONS.values()}) == len(REASONS)
    for reason in REASONS.values():
        assert reason.meaning
        assert not reason.meaning.endswith(".")


def test_families_and_places() -> None:
    assert meaning("record:request") == REASONS["record:"].meaning
    assert find("opt_out:") is find("opt_out:phone") is find("") is find(":") is None
    assert meaning("shouting") == ""
    assert meaning("shouting", {"shouting": "text in capitals"}) == "text in capitals"
    assert meaning("too_short", {"too_short": "another"}) == REASONS["too_short"].meaning
    named = ["shouting", "tail_share", "record:request", "record:metadata", "too_short", "another"]
    assert sorted(named, key=place) == [
        *("record:metadata", "record:request", "too_short", "tail_share", "another", "shouting")
    ]


@pytest.mark.parametrize("account", ["drop", "quarantine"])
def test_a_ledger_refuses_a_reason_that_nobody_explains(account: str) -> None:
    ledger = Ledger()
    getattr(ledger["documents"], account)("shouting")
    with pytest.raises(LedgerError, match=r"part-00007: the account of documents has the reason 'shouting'"):
        ledger.close("part-00007")
    ledger.know({"shouting": "text in capitals"})
    assert ledger.close("part-00007").to_mapping() == Ledger.from_mapping(ledger.to_mapping()).to_mapping()


def test_the_reasons_of_ledgers_add_up_where_they_agree() -> None:
    one, other = Ledger(), Ledger()
    one.know({"shouting": "text in capitals", "too_short": REASONS["too_short"].meaning})
    other.know({"whispering": "text without any"})
    other["documents"].drop("shouting")
    assert Ledger.total([one, other]).close("both").reasons == {
        "shouting": "text in capitals",
        "whispering": "text without any",
    }
    other.know({"shouting": "too many exclamation marks"})
    with pytest.raises(LedgerError, match="'shouting' means 'text in capitals' already"):
        Ledger.total([one, other])
    with pytest.raises(LedgerError, match="'too_short' means"):
        one.know({"too_short": "fewer than ten words"})
    with pytest.raises(LedgerError, match="'record:request' means"):
        one.know({"record:request": "a request"})


def table() -> str:
    """Every reason as a row of Markdown, by verb and stage."""
    stages = dict.fromkeys(reason.stage for reason in REASONS.values())
    rows = [
        f"| `{stage}` | `{r.name}{'…' * r.name.endswith(':')}` | {r.meaning} |"
        for stage in stages
        for r in REASONS.values()
        if r.stage == stage
    ]
    return "\n".join(["| given by | reason | what it means |", "|---|---|---|", *rows, ""])


def test_the_documentation_has_them_all() -> None:
    assert table() in PAGE.read_text(encoding="utf-8")


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    begin = text.index("| given by |")
    PAGE.write_text(text[:begin] + table() + text[text.index("\n\n", begin) + 1 :], encoding="utf-8")
