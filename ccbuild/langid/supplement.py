"""The supplement: a small fastText model for what lid.176 lacks or confuses, asked beside the first model.

One is shipped: `SHIPPED`, which `ccbuild.langid.training` makes of labelled text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from ccbuild.errors import DataError, InputError
from ccbuild.langid.model import LONG, LanguageModel, plain

__all__ = ["SHIPPED", "Supplement"]

SHIPPED = Path(__file__).with_name("supplement.ftz")
"""The supplement to lid.176.ftz, trained of the catalogue; its manifest beside it, and a record of how it was made."""

_SHARE, _PRIOR, _FLOOR = 0.5, 0.5, 0.01
"""How much the supplement counts against the model; what the model would have said of a code that it does not know;
the least probability. With `training._HALF` chosen on UDHR with all UDHR text held out and on real pages: macro F1
0.909 and 0.914; neighbours (share 0.4, 0.6; prior 0.3, 0.7; half 30,000, 120,000) lie within 0.009 and 0.004, below."""


class Supplement:
    """A trained supplement: `<stem>.ftz` and beside it `<stem>.json`, its manifest, which states the hash."""

    def __init__(self, path: str | Path, sha256: str | None = None) -> None:
        source = Path(path)
        manifest = source.with_suffix(".json")
        try:
            self.manifest: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
            canaries = dict(self.manifest["canaries"])
            self._trust = {str(c): float(w) for c, w in self.manifest["trust"].items()}
            self._known = {str(c): float(w) for c, w in self.manifest["known"].items()}
            self._sure, self._sure_long = (
                {str(c): float(p) for c, p in self.manifest[name].items()} for name in ("sure", "sure_long")
            )
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
        self._model = LanguageModel(source, stated, {code: plain(text) for code, text in canaries.items()})
        self.codes = self._model.codes

    def ask(self, line: str, k: int) -> list[tuple[str, float]]:
        """The `k` most probable codes of an escaped line."""
        return self._model.ask(plain(line), k)

    def is_sure(self, answers: Mapping[str, float], nchars: int) -> bool:
        """Whether the first model need not be helped with these answers of its to a text of so many characters."""
        if not answers:
            return False
        code = max(answers, key=answers.__getitem__)
        return answers[code] >= (self._sure_long if nchars >= LONG else self._sure).get(code, 2.0)

    def join(self, model: Mapping[str, float], own: Mapping[str, float], codes: Set[str]) -> dict[str, float]:
        """The probabilities of the first `model`, which has the `codes`, and of the supplement as one.

        A weighted geometric mean. Both sides are first set right by what is known of them: of a code that the model
        hardly ever finds, it is taken to have said `_PRIOR`, less what it gives to codes that it knows and the
        supplement does not; of a code that the supplement has seen little of, it is taken to agree with the model.
        """
        known = {code: self._known.get(code, 0.9) if code in codes else 0.0 for code in {*model, *own}}
        elsewhere = sum(p * (1 - self._trust.get(code, 0.0)) * known[code] for code, p in model.items())
        joined = {}
        for code, knows in known.items():
            said = knows * max(model.get(code, 0.0), _FLOOR) + (1 - knows) * _PRIOR * (1 - elsewhere)
            trust = max(self._trust[code], 1 - knows) if code in self._trust else 0.0
            heard = trust * max(own.get(code, 0.0), _FLOOR) + (1 - trust) * said
            joined[code] = said ** (1 - _SHARE) * heard**_SHARE
        total = sum(joined.values())
        return {code: p / total for code, p in joined.items()}
