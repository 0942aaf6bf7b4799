"""KenLM's own programs, where they are installed: `lmplz` estimates out of core, `build_binary` writes the tables."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccbuild.errors import InputError
from ccbuild.storage import sha256_file

__all__ = ["Programs", "find_programs"]


@dataclass(frozen=True, slots=True)
class Programs:
    """Both programs, as found on the PATH."""

    lmplz: str
    """Path of `lmplz`."""
    build_binary: str
    """Path of `build_binary`."""

    def name(self) -> str:
        """For manifests: the program has no version of its own, so the first digits of its SHA-256."""
        return f"lmplz {sha256_file(self.lmplz)[:12]}"

    def estimate(
        self,
        sentences: Iterable[Sequence[str]],
        arpa: Path,
        binary: Path,
        *,
        order: int,
        prune: Sequence[int],
        memory_megabytes: int,
        folder: Path,
    ) -> tuple[int, tuple[int, ...]]:
        """Write both files; (words with sentence ends, n-grams of each order).

        ``--skip_symbols`` and ``--discount_fallback`` as our own estimator has them. `folder` takes temporary files:
        about 20 bytes a word and order. `InputError` with the program's last line when it fails.
        """
        words, text = 0, folder / "pieces"
        with text.open("w", encoding="utf-8", newline="\n") as out:
            for sentence in sentences:
                out.write(" ".join(sentence) + "\n")
                words += len(sentence) + 1
        command = [self.lmplz, "-o", str(order), "-S", f"{memory_megabytes}M", "-T", f"{folder}/"]
        command += ["--skip_symbols", "--discount_fallback", "--text", str(text), "--arpa", str(arpa)]
        _run([*command, *(["--prune", *map(str, prune)] if prune else [])])
        _run([self.build_binary, "probing", str(arpa), str(binary)])
        return words, _counts(arpa)


def find_programs() -> Programs | None:
    """The programs, or None unless both are on the PATH."""
    lmplz, build_binary = shutil.which("lmplz"), shutil.which("build_binary")
    return Programs(lmplz, build_binary) if lmplz and build_binary else None


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip() and not set(line) <= set("-*0123456789 ")]
        raise InputError(
            f"{Path(command[0]).name} ended with {done.returncode}: {(said or ['it said nothing'])[-1][:300]}. "
            "Give more text or a smaller order, or set tool=own."
        )


def _counts(arpa: Path) -> tuple[int, ...]:
    counts = []
    with arpa.open(encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("ngram "):
                counts.append(int(line.partition("=")[2]))
            elif counts:
                break
    return tuple(counts)
