"""A small page of its own: a title, charts, tables; for commands that report on something else than a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import jinja2
from markupsafe import Markup

from ccbuild.report.numbers import short

__all__ = ["Table", "sheet"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title><style>{{ style }}</style></head><body><main>
<h1>{{ title }}</h1>
<p class="lede">{{ lede }}</p>
{% for heading, chart in charts %}
<figure><h3>{{ heading }}</h3><div class="scroll">{{ chart }}</div></figure>
{% endfor %}
{% for table in tables %}
<section><h2>{{ table.title }}</h2><div class="scroll"><table>
<thead><tr>{% for name in table.columns %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in table.rows %}
<tr>{% for value in row %}<td{% if value is number %} class="n"{% endif %}>{{ value | cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div></section>
{% endfor %}
</main></body></html>
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under the names of their columns; numbers are shortened, None is empty."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]


def sheet(title: str, lede: str, charts: Sequence[tuple[str, Markup]], tables: Sequence[Table]) -> str:
    """One HTML file without any reference outside; everything in it is escaped. The same bytes for the same input."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["cell"] = _cell
    style = Markup((resources.files("ccbuild.report") / "style.css").read_text(encoding="utf-8"))
    return environment.from_string(_PAGE).render(title=title, lede=lede, charts=charts, tables=tables, style=style)


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else short(value)
