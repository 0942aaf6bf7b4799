"""What all commands share: subcommands with examples, options, tables for people, JSON lines."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ccbuild.config import apply_overrides, from_mapping
from ccbuild.progress import visible
from ccbuild.rows import SPLITS

__all__ = [
    "command",
    "configured",
    "group",
    "json_option",
    "print_facts",
    "print_records",
    "print_results",
    "print_text",
    "settings_option",
    "split_option",
    "table_lines",
]


def command(commands: Any, name: str, run: Callable[..., Any], what: str, example: str) -> argparse.ArgumentParser:
    """A subcommand with its example."""
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=what,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(run=run)
    return made


def group(commands: Any, name: str, what: str) -> Any:
    """A command that only holds others."""
    return commands.add_parser(name, help=what, description=what).add_subparsers(required=True, metavar="ACTION")


def settings_option(made: argparse.ArgumentParser, example: str) -> None:
    """``--set``."""
    made.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help=f"another setting, for example {example}"
    )


def split_option(*made: argparse.ArgumentParser) -> None:
    """``--split``."""
    for one in made:
        one.add_argument(
            "--split",
            choices=SPLITS,
            default="auto",
            help="where a document of plain text ends: at each line, at blank lines, or (auto) at blank lines in "
            ".txt.xz alone, which is CC-100's form",
        )


def json_option(*made: argparse.ArgumentParser) -> None:
    """``--json``."""
    for one in made:
        one.add_argument("--json", action="store_true", help="JSON, an object a line, in place of a table")


def configured(cls: type[Any], overrides: Iterable[str], where: str) -> Any:
    """A configuration with its defaults and the user's ``--set``."""
    return from_mapping(cls, apply_overrides({}, overrides), where)


def print_records(records: Iterable[dict[str, Any]]) -> None:
    """One JSON object a line on stdout."""
    for record in records:
        sys.stdout.write(visible(json.dumps(record, ensure_ascii=False)) + "\n")


def print_results(records: Iterable[Mapping[str, Any]], as_json: bool, columns: Mapping[str, str]) -> None:
    """Results: as JSON lines with all that they say, or for a person as a table of `columns`, as of `table_lines`."""
    if as_json:
        print_records(dict(record) for record in records)
    else:
        sys.stdout.write("".join(line + "\n" for line in table_lines(records, columns)))


def print_text(text: str) -> None:
    """Text of others, line by line."""
    sys.stdout.write(visible(text, keep="\n") + "\n")


def print_facts(facts: Mapping[str, Any], as_json: bool) -> None:
    """One result: as a JSON object, or for a person a fact a line."""
    if as_json:
        print_records([dict(facts)])
        return
    width = max(map(len, facts), default=0) + 2
    for name, value in facts.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if isinstance(value, int) and not isinstance(value, bool):
            shown = f"{value:,}"
        sys.stdout.write(f"{name.replace('_', ' '):<{width}}{visible(shown)}\n")


def table_lines(records: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> list[str]:
    """A header, and a line a record. `columns`: what stands in the header to ``key``, text that stands left, or
    ``key:format``, numbers that stand right; what a record lacks is ``-``.

    >>> table_lines([{"lang": "sw", "n": 1200}, {"lang": "ha"}], {"language": "lang", "pages": "n:,"})
    ['language  pages', 'sw        1,200', 'ha            -']
    """
    parsed = [(header, *column.partition(":")) for header, column in columns.items()]
    rows = [[header for header, *_ in parsed]]
    for record in records:
        values = [(record.get(key), form) for _, key, _, form in parsed]
        rows.append(["-" if value is None else visible(format(value, form)) for value, form in values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    justify = [str.rjust if colon else str.ljust for _, _, colon, _ in parsed]
    return ["  ".join(j(c, w) for j, c, w in zip(justify, row, widths, strict=True)).rstrip() for row in rows]
