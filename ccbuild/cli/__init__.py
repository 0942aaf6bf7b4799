"""The one command, `ccbuild`: parse, call one library function, print.

Results go to stdout, one JSON object a line where they are records; progress and messages go to
stderr. Only here do errors become one line and an exit code: 2 for the user's mistake, 1 for a run
with failed shards or a machine that refused, 130 for an interruption. Only this room may import
cc100 and xlmr.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from ccbuild import __version__
from ccbuild.cli import corpus, crawl, dedup, files, langid, lm, model, runs, tokens, vocab
from ccbuild.errors import CcbuildError
from ccbuild.progress import visible

__all__ = ["main", "parser"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace" if stream is sys.stderr else "strict")
    try:
        options = parser().parse_args(arguments)
        code = options.run(options)
        sys.stdout.flush()
        return int(code or 0)
    except CcbuildError as error:
        print(visible(f"ccbuild: {error}", keep="\n"), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # `ccbuild … | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, UnicodeError) as error:
        said = visible(f"{type(error).__name__}: {error}")
        print(f"ccbuild: {said}. What is done stays done; run it again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ccbuild: interrupted. What is done stays done; run the same command again to go on.", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line, every command with an example."""
    top = argparse.ArgumentParser(
        prog="ccbuild", description="From Common Crawl to a corpus, a vocabulary and a model."
    )
    top.add_argument("--version", action="version", version=f"ccbuild {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for room in (runs, files, langid, crawl, corpus, dedup, lm, vocab, tokens, model):
        room.add(commands)
    return top
