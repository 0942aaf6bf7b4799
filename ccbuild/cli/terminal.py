"""What all commands share: subcommands with examples, bars, JSON lines in and out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ccbuild.config import apply_overrides, from_mapping
from ccbuild.errors import InputError
from ccbuild.prose import read_lines

__all__ = [
    "command",
    "configured",
    "group",
    "print_records",
    "read_texts",
    "settings_option",
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


def configured(cls: type[Any], overrides: Iterable[str], where: str) -> Any:
    """A configuration with its defaults and the user's ``--set``."""
    return from_mapping(cls, apply_overrides({}, overrides), where)


def print_records(records: Iterable[dict[str, Any]]) -> None:
    """One JSON object a line on stdout."""
    for record in records:
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_texts(file: str) -> Iterator[dict[str, Any]]:
    """Records with ``text``: JSON objects as they are, other lines as ``{"text": line}``; ``-`` is stdin."""
    lines = (line.rstrip("\n") for line in sys.stdin) if file == "-" else read_lines(file)
    for number, line in enumerate(lines, 1):
        if not line.startswith("{"):
            yield {"text": line}
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{file}, line {number} is no JSON: {error}. Give JSON lines, or plain text.") from error
        if not isinstance(record.get("text"), str):
            raise InputError(f"{file}, line {number} has no text. Each line needs a key 'text'.")
        record["text"] = record["text"].encode("utf-8", "ignore").decode()  # JSON can say lone surrogates
        yield record
