"""Pages of vocabularies: the plan of their languages, and how well each language is spelled."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ccbuild.langid.codes import CC100
from ccbuild.plural import many
from ccbuild.report.figures import Series, rank_chart
from ccbuild.report.sheet import Table, sheet
from ccbuild.vocab.alpha import PlanRow
from ccbuild.vocab.fertility import Change, Spelling, changes

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
    """One vocabulary, or several beside each other, as an HTML file."""
    codes = sorted({code for s in spellings for code in s.languages})
    charts = [(label, _chart(spellings, codes, ratio, label)) for ratio, label in _CHARTS.items()]
    rows: list[list[str | float | None]] = [[s.name, s.size, s.rare, ", ".join(s.unseen)] for s in spellings]
    tables = [
        Table("Vocabularies", ["name", "pieces", "rare pieces", "never saw"], rows),
        *(_changed(1 + n, changes(spellings[0], other)) for n, other in enumerate(spellings[1:], 1)),
        *map(_languages, spellings),
        *map(_scripts, spellings),
    ]
    what = many(len(spellings), "vocabulary") if len(spellings) > 1 else spellings[0].name
    lede = f"{what} over {many(len(codes), 'language')}; lower is better, but for words in one piece."
    return sheet("Vocabulary report", lede, [(label, chart) for label, chart in charts if chart], tables)


_CHARTS = {
    "per_character": "Pieces per character by language",
    "parity": "Parity to English by language",
    "one_piece": "Share of running words in one piece by language",
}


def _chart(spellings: Sequence[Spelling], codes: Sequence[str], ratio: str, label: str) -> Markup:
    """A ratio of every vocabulary, the languages in the order of the first."""
    values = [{code: getattr(row, ratio) for code, row in s.languages.items()} for s in spellings]
    known = [code for code in codes if any(of.get(code) is not None for of in values)]
    known.sort(key=lambda code: (values[0].get(code) is None, values[0].get(code), code))
    styles = ["after", "before", *["stem"] * len(spellings)]
    series = [
        Series(name=f"{s.name} ({s.size:,})", style=style, values=[of.get(code) for code in known])
        for s, of, style in zip(spellings, values, styles, strict=False)
    ]
    return rank_chart(known, [CC100.get(code, code) for code in known], series, label=label, unit=ratio)


def _changed(number: int, found: Sequence[Change]) -> Table:
    columns = ["ratio", "median of 1", f"of {number}", "% change", "less", "more", "falls most", "rises most"]
    rows: list[list[str | float | None]] = []
    for change in found:
        percent = None if change.change is None else 100 * change.change
        counts = (change.less, change.more)
        rows.append([change.ratio, change.median, change.other, percent, *counts, change.least[0], change.most[0]])
    return Table(f"From vocabulary 1 to {number}", columns, rows)


def _languages(spelling: Spelling) -> Table:
    columns = [
        "code",
        "language",
        "/character",
        "/word",
        "/byte",
        "% one piece",
        "% unknown",
        "% single",
        "parity",
        "seen",
    ]
    rows: list[list[str | float | None]] = [
        [
            code,
            CC100.get(code, code),
            row.per_character,
            row.per_word,
            row.per_byte,
            None if row.one_piece is None else 100 * row.one_piece,
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
