"""What a run answers of a text, and how a person reads it."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ccbuild.plural import many
from ccbuild.progress import visible
from ccbuild.reasons import in_words

if TYPE_CHECKING:
    from ccbuild.fate import Fate, Verdict

__all__ = ["Answer", "Token", "side_by_side"]

_NAME = 18
"""Characters of a line's name."""
_EXCERPT = 60
_COPIES = ("partner", "match", "match_similarity")
"""What the lines of the copies tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """The token that was asked for."""

    lang: str
    index: int
    """In its language."""
    in_document: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a run knows of what was asked. It is true where something was found."""

    asked: str
    kind: str
    """What it was taken for: ``URL``, ``doc_id``, ``digest``, ``text``, ``paragraph``, ``token``, ``archive``."""
    found: tuple[Fate, ...] = ()
    more: int = 0
    """Records that are meant too and are not told."""
    token: Token | None = None
    notes: tuple[str, ...] = ()
    """What the reader must know of the run: that it is being written, that it lacks something."""
    looked: tuple[str, ...] = ()
    """Where it was looked, and what can be done, where nothing was found."""

    def __bool__(self) -> bool:
        return bool(self.found)

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return "\n".join(_answer_lines(self))

    __repr__ = __str__


def _answer_lines(answer: Answer) -> Iterator[str]:
    """All of it but the texts, which stand below a record that is the only one."""
    for number, fate in enumerate(answer.found):
        yield from [""] * (number > 0)
        yield from map(visible, _fate(answer, fate))
    if answer.more:
        yield f"\nand {many(answer.more, 'record')} more"
    if not answer.found:
        yield f"Nothing in this run is the {answer.kind} {visible(_short(answer.asked))!r}."
        yield from map(visible, answer.looked)
    if len(answer.found) == 1 and (text := answer.found[0].text):
        yield f"\n{visible(text, keep=chr(10))}"
    yield from (f"\n{visible(note)}" for note in answer.notes)


def _fate(answer: Answer, fate: Fate) -> Iterator[str]:
    why = f": {in_words(fate.reason)}" if fate.reason else ""
    how = {"published": "published", "waiting": f"waiting for {fate.step}"}
    yield fate.url or "a record whose URL nobody could read"
    yield _line("fate", how.get(fate.fate, f"{fate.fate} by {fate.step}") + why, fate.meaning)
    if answer.kind == "URL" and fate.url != answer.asked:
        yield _line("asked for", f"{answer.asked}, another form of this address")
    if answer.token:
        yield _line("token", f"number {answer.token.in_document:,} of its document")
    if fate.doc_id is not None:
        yield _line("doc_id", fate.doc_id)
    at = f"row {fate.offset:,}" if fate.imported else f"byte {fate.offset:,}"
    nbytes = [f"{fate.length:,} bytes"] if fate.length is not None else []
    yield _line("archive", ", ".join([f"{fate.archive} at {at}", *nbytes, *filter(None, [fate.date])]))
    if fate.digest:
        yield _line("digest", fate.digest)
    yield from map(_verdict, fate.verdicts)
    for copy in fate.copies:
        what = "stays for" if copy.relation == "stays" else "is equal to"
        of = "it" if copy.of == fate.doc_id else copy.of
        how_near = f", similarity {copy.similarity:.3f}" if copy.similarity is not None else ""
        became = f"{copy.fate}{f' ({in_words(copy.reason)})' if copy.reason else ''}"
        yield _line(f"{what} {of}", f"{copy.doc_id}{how_near}, {became}: {copy.url}")
    if fate.corpus:
        yield _line("corpus", f"{fate.corpus.file}, row {fate.corpus.first:,}")
    if place := fate.tokens:
        yield _line("tokens", f"{place.file}, {place.count:,} from {place.first:,} on ({place.lang}:{place.index})")
    yield from _paragraphs(fate)


def _verdict(verdict: Verdict) -> str:
    told = {name: value for name, value in verdict.measured.items() if name not in _COPIES}
    measured = ", ".join(f"{in_words(name)} {_shown(value)}" for name, value in told.items())
    settings = " ".join(f"{key}={_json(value)}" for key, value in verdict.settings.items())
    said = in_words(verdict.said) + (f": {measured}" if measured else "")
    return _line(verdict.step, said, settings)


def _paragraphs(fate: Fate) -> Iterator[str]:
    if not fate.paragraphs:
        return
    gone = [paragraph for paragraph in fate.paragraphs if paragraph.said != "passed"]
    kept = len(fate.paragraphs) - len(gone)
    yield _line("paragraphs", f"{kept:,} of {len(fate.paragraphs):,} passed")
    for each in gone:
        of = f", paragraph {each.partner_paragraph} of {each.partner}" if each.partner is not None else ""
        url = f" ({each.partner_url})" if each.partner_url else ""
        yield f"    {each.number:<4}{in_words(each.said)}{of}{url}: {_short(each.text)}"


def _line(name: str, value: object, more: str = "") -> str:
    return f"  {name:<{_NAME}}{value}" + (f" ({more})" if more else "")


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value if isinstance(value, str) else _json(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if value < 1 << 32 else str(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=lambda each: dict(each) if isinstance(each, Mapping) else None)


def _short(text: str) -> str:
    line = text.replace("\n", " ¶ ")
    return line if len(line) <= _EXCERPT else f"{line[: _EXCERPT - 1]}…"


def side_by_side(fate: Fate, width: int) -> Iterator[str]:
    """The text of a duplicate beside that of each document that it equals, paragraph by paragraph, in columns that
    together are `width` wide: ``=`` the same, ``~`` changed, ``<`` and ``>`` on one side only."""
    column = max((width - 3) // 2, 10)
    for copy in fate.copies:
        if fate.text is None or copy.text is None:
            continue
        yield f"\n{fate.doc_id!s:<{column}}   {copy.doc_id} {copy.relation}"
        for mark, ours, theirs in _aligned(fate.text.split("\n"), copy.text.split("\n")):
            columns = (_wrapped(visible(text), column) for text in (ours, theirs))
            for number, (left, right) in enumerate(itertools.zip_longest(*columns, fillvalue="")):
                yield f"{_padded(left, column)} {mark if number == 0 else ' '} {right}".rstrip()


def _aligned(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    marks = {"equal": "=", "replace": "~", "delete": "<", "insert": ">"}
    for kind, a, b, c, d in difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        for left, right in itertools.zip_longest(ours[a:b], theirs[c:d], fillvalue=""):
            yield marks[kind], left, right


def _cells(text: str) -> int:
    """Columns that a terminal gives a text."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _wrapped(text: str, width: int) -> list[str]:
    wide = _cells(text) > len(text)
    return textwrap.wrap(text, width // 2 if wide else width) or [""]


def _padded(text: str, width: int) -> str:
    return text + " " * max(width - _cells(text), 0)
