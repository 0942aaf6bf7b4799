"""The supplement: a small fastText model for what lid.176 lacks or confuses, trained from labelled text, and asked."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fasttext

from ccbuild import catalogue
from ccbuild.errors import ConfigError, DataError, InputError
from ccbuild.langid.codes import CC100, check_code
from ccbuild.langid.corpus import SOURCES, Texts, catalogue_texts, examples, read_labelled
from ccbuild.langid.evaluate import threshold_for
from ccbuild.langid.model import LABEL, LanguageModel, escape
from ccbuild.langid.romanise import ROMANISED, romanised_texts
from ccbuild.langid.scripts import count_scripts
from ccbuild.storage import sha256_file

__all__ = ["SCRIPTS", "Supplement", "SupplementConfig", "catalogue_supplement", "gather", "train", "with_romanised"]

SCRIPTS = frozenset({"Latn", "Cyrl", "Arab", "Deva", "Hebr", "Beng", "Mymr"})
"""Scripts in which a supplement is asked: others are decided before."""

_NO_WORDS = re.compile(r"[\d!-@\[-`{-~«»“”„…–—‘’]+")

_HALF = 60_000
"""Characters of training text of a code at which the supplement's word on it is worth half."""
_SHARE, _PRIOR, _FLOOR = 0.5, 0.5, 0.01
"""How much the supplement counts against the model; what the model would have said of a code that it does not know;
the least probability. With `_HALF` chosen on UDHR with all UDHR text held out and on real pages: macro F1 0.909 and
0.914; neighbours (share 0.4, 0.6; prior 0.3, 0.7; half 30,000, 120,000) lie within 0.009 and 0.004, below."""
_LONG = 200
"""Characters from which a text is long: a probability means more there."""
_SURE = 0.97
"""Share of right answers from which the model is sure of a code."""


def _plain(line: str) -> str:
    """Lower case, digits and signs out: what a supplement learns from and is asked."""
    return _NO_WORDS.sub(" ", line.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplementConfig:
    """How a supplement is trained."""

    most: int = 6000
    """Examples of a code of CC-100, each 3 to 30 words; at most one for eight characters of its text."""
    outside: int = 300
    """Examples of every other language."""
    dim: int = 32
    """Values of a vector; lid.176 has 16."""
    ngrams: tuple[int, int] = (2, 4)
    """Shortest and longest letter n-grams; as lid.176."""
    buckets: int = 1 << 18
    """Rows that the n-grams are hashed to; each takes 17 bytes of the model."""
    least_count: int = 12
    """How often a word must stand in the examples, of which each sentence gives several, to have a row of its own."""
    epochs: int = 6
    """How often each example is seen."""
    learning_rate: float = 0.5
    """At the start; falls to 0."""
    seed: int = 0
    """Of the examples, their order and the vectors."""

    def __post_init__(self) -> None:
        if min(self.most, self.outside, self.dim, self.buckets, self.least_count, self.epochs, *self.ngrams) < 1:
            raise ConfigError("A supplement's settings are 1 or more.")


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
        self._model = LanguageModel(source, stated, {code: _plain(text) for code, text in canaries.items()})
        self.codes = self._model.codes

    def ask(self, line: str, k: int) -> list[tuple[str, float]]:
        """The `k` most probable codes of an escaped line."""
        return self._model.ask(_plain(line), k)

    def is_sure(self, answers: Mapping[str, float], nchars: int) -> bool:
        """Whether the first model need not be helped with these answers of its to a text of so many characters."""
        if not answers:
            return False
        code = max(answers, key=answers.__getitem__)
        return answers[code] >= (self._sure_long if nchars >= _LONG else self._sure).get(code, 2.0)

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


def gather(sources: Iterable[str] = SOURCES, files: Iterable[str | Path] = (), seed: int = 0) -> dict[str, Texts]:
    """Source to code to texts: entries of the catalogue, files of ``code TAB text``, and romanised text from all."""
    found = catalogue_texts(sources)
    for path in files:
        texts = found.setdefault(Path(path).name, {})
        for code, text in read_labelled(path):
            texts.setdefault(code, []).append(text)
    return with_romanised(found, seed)


def with_romanised(found: dict[str, Texts], seed: int = 0) -> dict[str, Texts]:
    """The sources, and as another one romanised text made of what they have in the native scripts."""
    native: Texts = {}
    for texts in found.values():
        for code in ROMANISED.keys() & texts.keys():
            native.setdefault(code, []).extend(texts[code][:1000])
    return {**found, "romanised": romanised_texts(native, seed)} if native else found


def train(texts: Mapping[str, Texts], out: Path, base: LanguageModel, config: SupplementConfig) -> dict[str, Any]:
    """Write `out` (``.ftz``) and its manifest beside it; returns the manifest.

    One thread and no clock: the same texts, settings and kind of CPU give the same bytes. `base` is the model that
    the supplement will help; where it is sure is measured on the texts.
    """
    if out.suffix != ".ftz":
        raise InputError(f"{out} does not end in .ftz. A supplement is a quantised fastText model.")
    pooled = _pooled(texts)
    made = [
        (code, _plain(escape(text)), text) for code, text in examples(pooled, config.most, config.outside, config.seed)
    ]
    if len({code for code, _, _ in made}) < 2:
        raise InputError("There is text of fewer than two languages. Name files of `code TAB text` with more.")
    random.Random(config.seed).shuffle(made)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "examples.txt", Path(folder) / "model.ftz"
        source.write_text("".join(f"{LABEL}{code} {line}\n" for code, line, _ in made), encoding="utf-8")
        model = fasttext.train_supervised(
            str(source),
            dim=config.dim,
            minn=config.ngrams[0],
            maxn=config.ngrams[1],
            bucket=config.buckets,
            epoch=config.epochs,
            lr=config.learning_rate,
            loss="softmax",
            minCount=config.least_count,
            seed=config.seed,
            thread=1,
            verbose=0,
        )
        model.quantize(input=str(source), qnorm=True, dsub=2, thread=1)
        model.save_model(str(target))
        content = target.read_bytes()
    characters = {code: sum(map(len, lines)) for code, lines in pooled.items()}
    manifest: dict[str, Any] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "settings": dataclasses.asdict(config),
        "sources": {name: _digest(found) for name, found in texts.items()},
        "base": base.sha256,
        "sentences": {code: len(lines) for code, lines in sorted(pooled.items())},
        "characters": dict(sorted(characters.items())),
        "trust": {code: round(n / (n + _HALF), 4) for code, n in sorted(characters.items())},
        **_measured(base, [(code, text) for code, _, text in made]),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(content)
    manifest["canaries"] = _canaries(out, pooled)
    manifest_text = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    out.with_suffix(".json").write_text(manifest_text, encoding="utf-8")
    return manifest


def catalogue_supplement(base: LanguageModel) -> Path:
    """The supplement to `base` that :func:`train` makes of the catalogue: made once, a minute, then in the cache.

    It is made again when a source, a setting, the model or what makes it has changed.
    """
    config, code = SupplementConfig(), Path(__file__).parent
    makers = ("codes", "corpus", "evaluate", "model", "ngrams", "romanise", "scripts", "supplement")
    key = {
        "sources": [catalogue.entries()[name].sha256 for name in SOURCES],
        "settings": dataclasses.asdict(config),
        "base": base.sha256,
        "made by": [sha256_file(code / f"{name}.py") for name in makers],
    }
    folder = catalogue.default_cache() / "supplement"
    final = folder / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    model = final / "supplement.ftz"
    if not _is_whole(model):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as made:
            train(gather(), Path(made) / model.name, base, config)
            final.mkdir(exist_ok=True)
            for name in (model.name, model.with_suffix(".json").name):
                os.replace(Path(made) / name, final / name)
    return model


def _is_whole(model: Path) -> bool:
    try:
        stated = json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError):
        return False
    return model.is_file() and sha256_file(model) == stated


def _pooled(texts: Mapping[str, Texts]) -> Texts:
    """All texts by code, less those in a script that a supplement is never asked about, or of hardly a word."""
    pooled: Texts = {}
    for found in texts.values():
        for code, lines in found.items():
            check_code(code)
            for line in lines:
                scripts = count_scripts(line)
                if scripts.letters >= 12 and scripts.name in SCRIPTS:
                    pooled.setdefault(code, []).append(line)
    return pooled


def _digest(texts: Texts) -> str:
    digest = hashlib.sha256()
    for code, lines in sorted(texts.items()):
        for line in lines:
            digest.update(f"{code}\t{line}\n".encode("utf-8", "replace"))
    return digest.hexdigest()


def _measured(base: LanguageModel, labelled: Sequence[tuple[str, str]]) -> dict[str, dict[str, float]]:
    """What `base` is worth on the text: ``known``, its recall of each code; ``sure`` and ``sure_long``, the least
    probability of a code from which `_SURE` of its answers to a text, to one of `_LONG` characters and more, are right.

    Over at most 200 examples of a code of CC-100 and 5 of any other, since there are many of these and little of each
    on the Web; long texts are such examples joined, a third as many. A code needs 30 answers, or is never sure.
    """
    taken: Counter[str | tuple[str, str]] = Counter()
    found: Counter[str] = Counter()
    short: list[tuple[str, str]] = []
    long: list[tuple[str, str]] = []
    joined: dict[str, str] = {}
    for code, text in labelled:
        if taken[code] < (200 if code in CC100 else 5):
            taken[code] += 1
            short.append((code, text))
        if len(joined.get(code, "")) < _LONG:
            joined[code] = f"{joined[code]} {text}" if code in joined else text
        elif taken["long", code] < (67 if code in CC100 else 2):
            taken["long", code] += 1
            long.append((code, joined.pop(code)))
    answers: dict[str, dict[str, list[tuple[float, bool]]]] = {"sure": {}, "sure_long": {}}
    for name, texts in (("sure", short), ("sure_long", long)):
        for code, text in texts:
            for said, p in base.ask(escape(text), 1):
                answers[name].setdefault(said, []).append((p, said == code))
                found[code] += name == "sure" and said == code
    result = {}
    for name, scored in answers.items():
        thresholds = {code: threshold_for(s, _SURE) for code, s in sorted(scored.items()) if len(s) >= 30}
        result[name] = {code: round(p, 4) for code, p in thresholds.items() if p is not None}
    known = {code: round(found[code] / taken[code], 4) for code in sorted(base.codes) if taken[code]}
    return {"known": known, **result}


def _canaries(path: Path, pooled: Texts, most: int = 8) -> dict[str, str]:
    """A sentence of each of the codes with most text that the model knows: it must know it whenever it is loaded."""
    model = fasttext.load_model(str(path))
    found: dict[str, str] = {}
    for code in sorted(pooled, key=lambda c: (-sum(map(len, pooled[c])), c)):
        for line in pooled[code][:20]:
            text = escape(line)[:200]
            answers = model.f.predict(_plain(text) + "\n", 1, 0.0, "strict")
            if answers and answers[0][1] == f"{LABEL}{code}" and answers[0][0] > 0.9:
                found[code] = text
                break
        if len(found) == most:
            break
    return found
