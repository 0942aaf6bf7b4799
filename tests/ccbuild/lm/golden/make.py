"""Makes the goldens of lmplz anew: python make.py LMPLZ, KenLM 0.3.0's; test_kneser_ney.py compares with them.

en.txt, bg.txt and hi.txt are the first paragraphs of the Universal Declaration of Human Rights, normalised as for a
model: as many as it takes for discounts of every order, which the first six lines are too few for.
"""

from __future__ import annotations

import lzma
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

GOLDEN = Path(__file__).parent
CASES = {
    f"{lang}{few}.{order}{'.pruned' if prune else ''}": f"-o {order}{prune}{' --discount_fallback' if few else ''}"
    for lang, few, order, prune in product(("en", "bg", "hi"), ("", ".few"), (3, 5), ("", " --prune 0 0 1"))
}
"""Name of a golden to the options that made it."""


def text_of(name: str) -> list[str]:
    """The lines that a golden was made of."""
    lines = (GOLDEN / f"{name.split('.')[0]}.txt").read_text(encoding="utf-8").splitlines()
    return lines[:6] if ".few" in name else lines


if __name__ == "__main__":
    for name, options in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            text, arpa = Path(folder) / "text", Path(folder) / "arpa"
            text.write_text("".join(f"{line}\n" for line in text_of(name)), encoding="utf-8")
            command = [sys.argv[1], *options.split(), "-S", "100M", "-T", folder, "--text", text, "--arpa", arpa]
            subprocess.run(command, check=True, capture_output=True)
            (GOLDEN / f"{name}.arpa.xz").write_bytes(lzma.compress(arpa.read_bytes(), preset=9))
