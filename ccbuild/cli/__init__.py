"""The one command, `ccbuild`: parse, call one library function, print.

Results go to stdout, one JSON object a line where they are records; progress and messages go to
stderr. Only here do errors become one line and an exit code: 2 for the user's mistake, 1 for a run
with failed shards or a machine that refused, 130 for an interruption, 128 and its number for
another signal. Only this room may import cc100 and xlmr.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from ccbuild import __version__
from ccbuild.cli import contamination, corpus, crawl, dedup, files, langid, lm, model, runs, tokens, vocab
from ccbuild.cli.ending import ended_by_signals, flushed, open_streams, say
from ccbuild.errors import CcbuildError
from ccbuild.progress import visible

__all__ = ["main", "parser"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    open_streams()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace" if stream is sys.stderr else "strict")
    with ended_by_signals() as heard:
        try:
            code, said = _run(arguments)
        except (Exception, KeyboardInterrupt) as error:
            if not heard.number and not isinstance(error, KeyboardInterrupt):
                raise
            code, said = 130, "interrupted. What is done stays done; run the same command again to go on."
        finally:
            flushed()
        if heard.number:  # whatever its cleaning met: a terminal that is closed takes no word
            code, said = heard.exit_code, heard.message
        if said:
            say(said)
        return code


def _run(arguments: Sequence[str] | None) -> tuple[int, str]:
    """(exit code, what went wrong)."""
    try:
        options = _parsed(arguments)
        code = options.run(options)
        sys.stdout.flush()
        return int(code or 0), ""
    except CcbuildError as error:
        return error.exit_code, visible(str(error), keep="\n")
    except BrokenPipeError:  # `ccbuild … | head`: the reader has seen enough
        return 0, ""
    except (OSError, UnicodeError) as error:
        return 1, visible(f"{type(error).__name__}: {error}. What is done stays done; run it again.")


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; what no command takes ends the program, with what may have been meant."""
    top = parser()
    options, rest = top.parse_known_args(arguments)
    if rest:
        loose = "input" in options and not rest[0].startswith("-")
        hint = ". Put the pattern of --input in quotes, or --input before each file" if loose else ""
        top.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
    return options


def parser() -> argparse.ArgumentParser:
    """The command line, every command with an example."""
    top = argparse.ArgumentParser(
        prog="ccbuild", description="From Common Crawl to a corpus, a vocabulary and a model."
    )
    top.add_argument("--version", action="version", version=f"ccbuild {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for room in (runs, files, langid, crawl, corpus, contamination, dedup, lm, vocab, tokens, model):
        room.add(commands)
    return top
