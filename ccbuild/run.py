"""A run opened for reading, as a person in a notebook wants it: what stayed, what went and why, where it came from."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Iterable, Iterator, Set
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ccbuild.corpus import CorpusLanguage, open_corpus
from ccbuild.errors import InputError
from ccbuild.plural import many
from ccbuild.reasons import REASONS
from ccbuild.records import DOCUMENT_SCHEMA, DROPPED_SCHEMA, REFUSED_SCHEMA
from ccbuild.rundir import RunDir, open_run_dir
from ccbuild.summary import Summary, summarise, table
from ccbuild.told import Answer
from ccbuild.why import why

__all__ = ["OpenRun", "Rows", "Sample", "open_run"]

_GIVERS = {"extract": ("extract", "rights"), "refine": ("match", "refine")}
"""Who gives the reasons that stand in the tables of a verb."""
_LISTED = {
    "reason": "run.table() lists those of this run, ccbuild.reasons.REASONS all of them with what they mean.",
    "lang": "run.summary().languages lists those of this run.",
}
"""Where the values of a column stand."""
_CELL = 60
"""Characters of a cell that a person sees."""


class Text(str):
    """Lines that a notebook shows as they are."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Sample(list[dict[str, Any]]):
    """A few rows; a notebook and a prompt show them as a table."""

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        names = list(dict.fromkeys(name for row in self for name, value in row.items() if value is not None))
        cells = [[_shown(row.get(n)).replace("\n", " ¶ ") for n in names] for row in self]
        return names, [[c if len(c) <= _CELL else c[: _CELL - 1] + "…" for c in row] for row in cells]

    def __repr__(self) -> str:
        if not self:
            return "no rows"
        names, rows = self._cells()
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in [names, *rows])

    def _repr_html_(self) -> str:
        names, rows = self._cells()
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


class Rows:
    """Rows of a run's Parquet files, read as they are asked for: iterate, or take a `head`."""

    def __init__(
        self,
        paths: Iterable[Path],
        schema: pa.Schema,
        chosen: pc.Expression | None,
        more: Callable[[list[dict[str, Any]]], None] | None = None,
    ) -> None:
        """`more` adds to a few rows what stands elsewhere."""
        import pyarrow.dataset as ds  # where pandas is installed, it takes that along: half a second for each command

        self._rows, self._more = ds.dataset([str(path) for path in paths], schema=schema, format="parquet"), more
        if chosen is not None:
            self._rows = self._rows.filter(chosen)

    def __len__(self) -> int:
        return int(self._rows.count_rows())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._rows.to_batches():
            yield from batch.to_pylist()

    def head(self, n: int = 5) -> Sample:
        """The first `n` rows, with their text."""
        found = Sample(itertools.islice(self, n))
        if self._more is not None:
            self._more(found)
        return found

    def to_table(self) -> pa.Table:
        """All of them as one Arrow table, in memory."""
        return self._rows.to_table()

    def __repr__(self) -> str:
        return f"{many(len(self), 'row')}\n{self.head()!r}"

    def _repr_html_(self) -> str:
        return f"<p>{many(len(self), 'row')}</p>{self.head()._repr_html_()}"


class OpenRun(RunDir):
    """A run to look into, as far as it has come; nothing in it is changed."""

    __slots__ = ()

    def summary(self) -> Summary:
        """The accounts: pages in, losses by reason, what is kept, the languages."""
        return summarise(self)

    def table(self) -> Text:
        """The summary as lines for a person."""
        return Text(table(self.summary()))

    def dropped(self, reason: str | None = None) -> Rows:
        """Documents that `refine` dropped, for one reason or all: address, URL, reason, partner of duplicates.

        A head has the text that was judged, and how many paragraphs of the page had gone before as repeated ones.
        """

        def add_text(rows: list[dict[str, Any]]) -> None:
            pages = self.rows("extract", [row["doc_id"] for row in rows], ["text"])
            gone = self._repeated({row["doc_id"] for row in rows})
            for row in rows:
                text, own = pages.get(row["doc_id"], {}).get("text"), gone.get(row["doc_id"], set())
                left = (line for number, line in enumerate((text or "").split("\n")) if number not in own)
                row["text"] = text and "\n".join(left)
                row["repeated_paragraphs"] = len(own)

        chosen = _equals("reason", reason, self._reasons("refine"))
        return Rows(
            [self.file("refine", shard, "dropped") for shard in self.numbers("refine")],
            DROPPED_SCHEMA,
            chosen,
            add_text,
        )

    def refused(self, reason: str | None = None) -> Rows:
        """Pages that `extract` read and did not keep: URL, archive, offset, reason."""
        chosen = _equals("reason", reason, self._reasons("extract"))
        return Rows(
            [self.file("extract", shard, "refused") for shard in self.numbers("extract")], REFUSED_SCHEMA, chosen
        )

    def _repeated(self, documents: Set[int]) -> dict[int, set[int]]:
        """Document to the numbers of its paragraphs that `match` decided to drop."""
        found: dict[int, set[int]] = {}
        for shard, own in itertools.groupby(sorted(documents), key=lambda document: document >> 32):
            wanted = pc.field("doc_id").isin(pa.array(list(own), pa.uint64())) & pc.field("paragraph").is_valid()
            for row in pq.read_table(
                self.decisions(shard), columns=["doc_id", "paragraph"], filters=wanted
            ).to_pylist():
                found.setdefault(row["doc_id"], set()).add(row["paragraph"])
        return found

    def _reasons(self, verb: str) -> set[str]:
        """Reasons that a verb gave in this run, or could have given by a stage of the user's."""
        given = {reason.name for reason in REASONS.values() if reason.stage.partition(".")[0] in _GIVERS[verb]}
        for entry in self.entries(verb):
            given.update(*(account[lost] for account in entry.accounts.values() for lost in ("dropped", "quarantined")))
            given.update(entry.facts.get("reasons", ()))
        return given

    def documents(self, lang: str | None = None) -> Rows:
        """Documents that `refine` kept, of one language or all, before perplexity is cut."""
        known = {code for entry in self.entries("refine") for code in entry.facts["languages"]}
        return Rows(
            [self.file("refine", shard) for shard in self.numbers("refine")],
            DOCUMENT_SCHEMA,
            _equals("lang", lang, known),
        )

    def corpus(self, lang: str) -> CorpusLanguage:
        """A language of the published corpus; `InputError` names those that there are."""
        languages = open_corpus(self.root)
        if lang not in languages:
            raise InputError(f"{self.root} has published no {lang!r}. It has {', '.join(languages)}.")
        return languages[lang]

    def why(self, what: str | int, *, kind: str | None = None) -> Answer:
        """Why a text is in the corpus or is not, for a URL, a doc_id, a digest, ``sw:1234``, a text: see
        :func:`ccbuild.why.why`."""
        return why(self, what, kind=kind)

    def __repr__(self) -> str:
        return f"{self.root}\n{self.table()}"


def _equals(column: str, value: str | None, known: Set[str]) -> pc.Expression | None:
    """The rows in which `column` is `value`; `InputError` for a value that no row can have."""
    if value is None:
        return None
    if value not in known:
        near = difflib.get_close_matches(value, known, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else _LISTED[column]
        raise InputError(f"There is no {column} {value!r} here. {hint}")
    return pc.field(column) == value


def open_run(folder: str | Path) -> OpenRun:
    """The run in `folder`, whichever recipe made it; `InputError` where there is none.

    >>> run = open_run("runs/small")
    >>> run.summary().pages_in, len(run.dropped("exact_duplicate")), run.corpus("sw").code
    (400, 32, 'sw')
    """
    return OpenRun(open_run_dir(folder).root)
