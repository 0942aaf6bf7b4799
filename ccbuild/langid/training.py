"""Training of a supplement from labelled text; the one that is shipped is made here, of what the catalogue has."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
import os
import platform
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fasttext

from ccbuild import catalogue
from ccbuild.errors import ConfigError, InputError
from ccbuild.langid.codes import is_code
from ccbuild.langid.corpus import SOURCES, Texts, catalogue_texts, examples, read_labelled
from ccbuild.langid.model import LABEL, LanguageModel, plain
from ccbuild.langid.romanise import ROMANISED, romanised_texts
from ccbuild.langid.scripts import SHARED, count_scripts
from ccbuild.langid.supplement import SHIPPED
from ccbuild.storage import sha256_file, write_json

__all__ = ["SupplementConfig", "gather", "made_from", "ship", "supplement_for", "train", "with_romanised"]

_MAKERS = "codes corpus folding han letters messages model network ngrams romanise scripts sources training".split()
"""The modules beside this one that a supplement depends on."""
_HALF = 60_000
"""Characters of training text of a code at which the supplement's word on it is worth half; see `supplement.SHARE`."""
_TRIED, _WORDS = 200, 2000
"""Examples of a code on which is measured how much of it the model finds; words of a romanised code that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplementConfig:
    """How a supplement is trained."""

    most: int = 6000
    """Examples of a code of CC-100, each 3 to 30 words; at most one for eight characters of its text."""
    outside: int = 2000
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
    the supplement will help; how much it finds of each code is measured on the texts.
    """
    if out.suffix != ".ftz":
        raise InputError(f"{out} does not end in .ftz. A supplement is a quantised fastText model.")
    pooled = _pooled(texts)
    made = [(code, plain(text), text) for code, text in examples(pooled, config.most, config.outside, config.seed)]
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
        "known": _known(base, [(code, text) for code, _, text in made]),
        "romanised": _commonest(pooled),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(content)
    manifest["canaries"] = _canaries(out, pooled)
    write_json(out.with_suffix(".json"), manifest)
    return manifest


def supplement_for(sha256: str, opened: Callable[[], LanguageModel]) -> Path:
    """The supplement that :func:`train` makes of the catalogue to the model of that SHA-256; `opened` opens the model
    where the supplement must be made.

    It is shipped for lid.176.ftz. For any other model it is made once, in five minutes, then taken from the cache: what
    a model is worth on the texts is measured for each. It is made again when anything that it is made from has changed.
    """
    if sha256 == json.loads(SHIPPED.with_suffix(".json").read_text(encoding="utf-8"))["base"]:
        return SHIPPED
    key = hashlib.sha256(json.dumps([sha256, made_from()]).encode()).hexdigest()[:16]
    folder = catalogue.default_cache() / "supplement"
    model = folder / key / SHIPPED.name
    if not _is_whole(model):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as made:
            train(gather(), Path(made) / model.name, opened(), SupplementConfig())
            model.parent.mkdir(exist_ok=True)
            for name in (model.name, model.with_suffix(".json").name):
                os.replace(Path(made) / name, model.with_name(name))
    return model


def ship(model: Path = SHIPPED) -> None:
    """Make the shipped supplement and its record, beside this file: ``make supplement``.

    The record is apart from the manifest, which runs copy and hash: a new comment in the code is no new model.
    """
    base = catalogue.fetch("lid.176.ftz")
    manifest = train(gather(), model, LanguageModel(base), SupplementConfig())
    made_on = {"cpu": _cpu(), **{name: version(name) for name in ("fasttext-community", "uroman")}}
    write_json(model.with_suffix(".record.json"), {"sha256": manifest["sha256"], "made_on": made_on, **made_from()})


def _cpu() -> str:
    """The kind of CPU: floats, and so the bytes of a model, may differ on another."""
    places = Path("/proc/cpuinfo")
    lines = places.read_text(encoding="utf-8").splitlines() if places.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return " ".join((platform.machine(), *names[:1]))


def made_from() -> dict[str, Any]:
    """What a supplement of the catalogue follows from: sources and their licences, settings, the code that makes it."""
    facts = ("sha256", "licence", "source", "origin")
    known = catalogue.entries()
    return {
        "sources": {name: {fact: getattr(known[name], fact) for fact in facts} for name in SOURCES},
        "settings": json.loads(json.dumps(dataclasses.asdict(SupplementConfig()))),
        "made_by": {name: _code_digest(Path(__file__).with_name(f"{name}.py")) for name in _MAKERS},
    }


def _code_digest(path: Path) -> str:
    """SHA-256 of what a module does: of its syntax tree, so that comments, docstrings and layout do not count."""
    return hashlib.sha256(repr(_tree(ast.parse(path.read_bytes()))).encode()).hexdigest()


def _tree(node: Any) -> Any:
    """A syntax tree as nested tuples, the same in every version of Python: without docstrings, places, empty fields."""
    if isinstance(node, list):
        return tuple(_tree(n) for n in node if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)))
    if isinstance(node, ast.AST):
        fields = ((name, _tree(value)) for name, value in ast.iter_fields(node))
        return type(node).__name__, *((name, value) for name, value in fields if value not in (None, ()))
    return node


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
            if not is_code(code):
                raise InputError(f"{code!r} is no language code: 2 to 16 letters, digits, - or _.")
            for line in lines:
                scripts = count_scripts(line)
                if scripts.letters >= 12 and scripts.name in SHARED:
                    pooled.setdefault(code, []).append(line)
    return pooled


def _digest(texts: Texts) -> str:
    digest = hashlib.sha256()
    for code, lines in sorted(texts.items()):
        for line in lines:
            digest.update(f"{code}\t{line}\n".encode("utf-8", "replace"))
    return digest.hexdigest()


def _known(base: LanguageModel, labelled: Sequence[tuple[str, str]]) -> dict[str, float]:
    """The recall of each code of `base` over at most `_TRIED` examples of it."""
    taken: Counter[str] = Counter()
    texts: list[tuple[str, str]] = []
    for code, text in labelled:
        if code in base.codes and taken[code] < _TRIED:
            taken[code] += 1
            texts.append((code, text))
    answers = base.ask([text for _, text in texts], 1)
    found = Counter(code for (code, _), said in zip(texts, answers, strict=True) if said and said[0][0] == code)
    return {code: round(found[code] / taken[code], 4) for code in sorted(taken)}


def _commonest(pooled: Texts) -> dict[str, str]:
    """The commonest words of each romanised code, the commonest first."""
    found = {}
    for code in sorted(set(ROMANISED.values()) & pooled.keys()):
        counts = Counter(word for text in pooled[code] for word in plain(text).split())
        found[code] = " ".join(sorted(counts, key=lambda word: (-counts[word], word))[:_WORDS])
    return found


def _canaries(path: Path, pooled: Texts, most: int = 8) -> dict[str, str]:
    """A sentence of each of the codes with most text that the model knows: it must know it whenever it is loaded."""
    model = fasttext.load_model(str(path))
    found: dict[str, str] = {}
    for code in sorted(pooled, key=lambda c: (-sum(map(len, pooled[c])), c)):
        for line in pooled[code][:20]:
            text = line[:200]
            answers = model.f.predict(plain(text) + "\n", 1, 0.0, "strict")
            if answers and answers[0][1] == f"{LABEL}{code}" and answers[0][0] > 0.9:
                found[code] = text
                break
        if len(found) == most:
            break
    return found
