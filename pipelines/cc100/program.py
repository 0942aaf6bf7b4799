"""What a process would compute with: workers of another program, Python or library would write other bytes."""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata, resources
from pathlib import Path

__all__ = ["Program", "program"]

_PACKAGES = ("ccbuild", "cc100")
_LIBRARIES = (
    "fasttext-community",
    "fastwarc",
    "kenlm",
    "numba",
    "numpy",
    "pyarrow",
    "resiliparse",
    "sentencepiece",
    "ufal-kenlm",
    "warcio",
)
_FLAGS = ("avx2", "fma", "avx512f", "asimd", "sve")
"""What native libraries choose their arithmetic by."""


@dataclass(frozen=True, slots=True)
class Program:
    """What decides the bytes of an output beside recipe and input."""

    source: str
    """Digest of the source of ccbuild."""
    python: str
    libraries: tuple[str, ...]
    """``name version``, of those that touch text or numbers."""
    cpu: str
    """Kind of CPU, by what arithmetic takes notice of."""

    def differs(self, other: Program) -> str:
        """In what `other` would compute with something else; empty where it would not. The CPU is not asked."""
        if self.source != other.source:
            return "another source of ccbuild"
        if self.python != other.python:
            return f"Python {other.python} in place of {self.python}"
        libraries = sorted(set(other.libraries) - set(self.libraries))
        missing = sorted(set(self.libraries) - set(other.libraries))
        return f"{', '.join(libraries) or 'nothing'} in place of {', '.join(missing)}" if libraries or missing else ""


@lru_cache(maxsize=1)
def program() -> Program:
    """Of this process; some 20 ms, once."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        root = Path(str(resources.files(package)))
        for path in sorted(root.rglob("*.py")):
            digest.update(f"{package}/{path.relative_to(root).as_posix()}".encode() + b"\0" + path.read_bytes())
    installed = {d.metadata["Name"].lower(): d.version for d in metadata.distributions() if d.metadata["Name"]}
    libraries = tuple(f"{name} {installed[name]}" for name in _LIBRARIES if name in installed)
    python = ".".join(map(str, sys.version_info[:2]))
    return Program(digest.hexdigest(), python, libraries, _cpu())


def _cpu() -> str:
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        flags = set()
    return " ".join([platform.machine(), *(flag for flag in _FLAGS if flag in flags)])
