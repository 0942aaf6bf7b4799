"""The supplement: a small fastText model for what lid.176 lacks or confuses, asked beside the first model.

One is shipped: `SHIPPED`, which `ccbuild.langid.training` makes of labelled text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccbuild.errors import DataError, InputError
from ccbuild.langid.model import LanguageModel

__all__ = ["FLOOR", "PRIOR", "SHARE", "SHIPPED", "Supplement"]

SHIPPED = Path(__file__).with_name("supplement.ftz")
"""The supplement to lid.176.ftz, trained of the catalogue; its manifest beside it, and a record of how it was made."""

SHARE, PRIOR, FLOOR = 0.5, 0.5, 0.01
"""How much the supplement counts against the model; what the model would have said of a code that it does not know;
the least probability. With `training._HALF` chosen on UDHR with all UDHR text held out and on real pages: macro F1
0.909 and 0.914; neighbours (share 0.4, 0.6; prior 0.3, 0.7; half 30,000, 120,000) lie within 0.009 and 0.004, below."""


class Supplement:
    """A trained supplement: `<stem>.ftz` and beside it `<stem>.json`, its manifest, which states the hash.

    Its probabilities and the first model's become one, a weighted geometric mean (`kernels._join`). Both sides are
    first set right by what is known of them: of a code that the model hardly ever finds, it is taken to have said
    `PRIOR`, less what it gives to codes that it knows and the supplement does not; of a code that the supplement has
    seen little of, it is taken to agree with the model.
    """

    def __init__(self, path: str | Path, sha256: str | None = None) -> None:
        source = Path(path)
        manifest = source.with_suffix(".json")
        try:
            self.manifest: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
            canaries = dict(self.manifest["canaries"])
            self.trust = {str(c): float(w) for c, w in self.manifest["trust"].items()}
            self.known = {str(c): float(w) for c, w in self.manifest["known"].items()}
            self.words = {str(c): str(w).split() for c, w in self.manifest.get("romanised", {}).items()}
            """The commonest words of romanised codes; a supplement of an earlier version has none."""
            stated = str(self.manifest["sha256"])
        except FileNotFoundError as error:
            raise InputError(
                f"{manifest} does not exist. `ccbuild langid train` writes it beside the model."
            ) from error
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise DataError(
                f"{manifest} is no supplement's manifest: {error!r}. Train the supplement again."
            ) from error
        if sha256 is not None and sha256 != stated:
            raise DataError(f"{manifest} states SHA-256 {stated}, expected is {sha256}. Train the supplement again.")
        self.model = LanguageModel(source, stated, canaries, words_alone=True)
        self.codes = self.model.codes

    def ask(self, texts: Sequence[str], k: int) -> list[list[tuple[str, float]]]:
        """The `k` most probable (code, probability) of each text, folded, digits and signs out."""
        return self.model.ask(texts, k)
