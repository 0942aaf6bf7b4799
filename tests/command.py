"""The command line as tests use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["SMALL", "ccbuild"]


def ccbuild(*arguments: str, cwd: Path | None = None, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-m", "ccbuild", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        input=stdin,
        check=False,
    )


SMALL = (
    *("--pages", "400", "--set", "prepare.lm.characters_per_piece=64"),  # SentencePiece takes half as long as for 256
    *("--set", 'train.set={"optim.steps": 40, "optim.warmup_steps": 10, "run.save_every": 40}'),
)
