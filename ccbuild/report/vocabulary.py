"""Pages of vocabularies: the plan of their languages, and how well each language is spelled."""

from __future__ import annotations

from collections.abc import Sequence

from ccbuild.langid.codes import CC100
from ccbuild.plural import many
from ccbuild.report.figures import Series, rank_chart
from ccbuild.report.sheet import Table, sheet
from ccbuild.vocab.alpha import PlanRow
from ccbuild.vocab.fertility import Spelling

__all__ = ["plan_page", "spelling_page"]


def plan_page(rows: Sequence[PlanRow], *, alpha: float, by: str, cap: float | None) -> str:
    """Shares before and after `alpha` over sizes in `by`, as an HTML file."""
    before = Series(name="% of the text", style="before", values=[100 * row.before for row in rows])
    after = Series(name="% drawn", style="after", values=[100 * row.after for row in rows])
    codes = [row.lang for row in rows]
    names = [CC100.get(code, code) for code in codes]
    chart = rank_chart(codes, names, [before, after], label="Share before and after alpha", unit="%", log=True)
    columns = ["code", "language", by, "% before", "% after", "times read", ""]
    cells: list[list[str | float | None]] = [
        [r.lang, name, r.count, 100 * r.before, 100 * r.after, r.repeated, "capped" if r.capped else ""]
        for r, name in zip(rows, names, strict=True)
    ]
    capped = f"; no language is read more than {cap:g} times" if cap else ""
    lede = f"alpha {alpha:g} over {by}, {many(len(rows), 'language')}{capped}"
    return sheet("Alpha plan", lede, [("Share before and after", chart)], [Table("Languages", columns, cells)])


def spelling_page(spellings: Sequence[Spelling]) -> str:
    """Vocabularies beside each other, as an HTML file."""
    codes = sorted({code for s in spellings for code in s.languages})
    codes.sort(key=lambda code: (spellings[0].languages[code].per_character, code))
    names = [CC100.get(code, code) for code in codes]
    styles = ["after", "before", *["stem"] * len(spellings)]
    series = [
        Series(name=f"{s.name} ({s.size:,})", style=style, values=[s.languages[code].per_character for code in codes])
        for s, style in zip(spellings, styles, strict=False)
    ]
    label = "Pieces per character by language"
    chart = rank_chart(codes, names, series, label=label, unit="pieces per character")
    rows: list[list[str | float | None]] = [[s.name, s.size, s.rare, ", ".join(s.unseen)] for s in spellings]
    tables = [
        Table("Vocabularies", ["name", "pieces", "rare pieces", "never saw"], rows),
        *map(_languages, spellings),
        *map(_scripts, spellings),
    ]
    over = f"{many(len(spellings), 'vocabulary')} over {many(len(codes), 'language')}"
    lede = f"{over}; lower is better, but for bytes per piece."
    return sheet("Vocabulary report", lede, [(label, chart)], tables)


def _languages(spelling: Spelling) -> Table:
    columns = ["code", "language", "/word", "/character", "bytes/piece", "% unknown", "% single", "parity", "seen"]
    rows: list[list[str | float | None]] = [
        [
            code,
            CC100.get(code, code),
            row.per_word,
            row.per_character,
            row.bytes_per_piece,
            100 * row.unknown_share,
            100 * row.single_share,
            row.parity,
            {True: "yes", False: "no", None: ""}[row.seen],
        ]
        for code, row in spelling.languages.items()
    ]
    return Table(f"{spelling.name}, {many(spelling.size, 'piece')}", columns, rows)


def _scripts(spelling: Spelling) -> Table:
    rows: list[list[str | float | None]] = [[script, 100 * share] for script, share in spelling.scripts.items()]
    return Table(f"Scripts of {spelling.name}", ["script", "% of the pieces"], rows)
