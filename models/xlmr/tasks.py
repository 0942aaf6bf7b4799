"""Downstream tasks in the formats that they are published in: reading them, and scoring an answer.

==== =================================================================================================================
xnli ``XNLI-MT-1.0/multinli/multinli.train.LANG.tsv`` and ``XNLI-1.0/xnli.{dev,test}.tsv`` (1809.05053)
ner  ``LANG/{train,dev,test}``, WikiAnn's ``en:token TAB tag`` or CoNLL's columns, the tag last; ``.txt`` may follow
qa   ``squad/{train,dev}-v1.1.json`` and ``MLQA_V1/{dev,test}/{dev,test}-context-LANG-question-LANG.json`` (1910.07475)
glue ``TASK/train.tsv``, ``TASK/dev.tsv`` (MNLI: ``dev_matched.tsv`` and ``dev_mismatched.tsv``) (1804.07461)
==== =================================================================================================================
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from string import punctuation
from typing import Any, Literal

from ccbuild.errors import DataError, InputError

__all__ = ["GLUE", "Answer", "Example", "Task", "entities", "open_task", "squad_scores"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Where a question's answer stands in its context, in characters, and all that count as right."""

    start: int
    end: int
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One example. What `label` is depends on the head."""

    first: str | tuple[str, ...]
    """A sentence, a question, or (token) the words of a sentence."""
    second: str | None
    """The other sentence, or a question's context."""
    label: float | tuple[str, ...] | Answer
    """A class's index, a number (regression), a tag a word, or an answer."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task in a folder: `read(split, language)` gives examples, `score` what a prediction is worth, in per cent."""

    name: str
    head: Literal["SequenceClassification", "TokenClassification", "QuestionAnswering"]
    labels: tuple[str, ...]
    """Names of classes or tags; empty for regression and answers."""
    read: Callable[[str, str], list[Example]]
    languages: Callable[[str], list[str]]
    """Languages of a split (GLUE: its development sets)."""
    score: Callable[[str, Sequence[Example], Sequence[Any]], dict[str, float]]
    """(language, examples, predictions) to scores; the first is the one to compare."""


def open_task(name: str, folder: Path, subset: str = "") -> Task:
    """The task `name` in `folder`; GLUE needs a `subset`, one of its tasks.

    Raises `InputError` for a name that is none and a folder without its files.
    """
    openers = {"xnli": _xnli, "ner": _ner, "qa": _qa}
    if name == "glue":
        return _glue(folder, subset)
    if name not in openers:
        raise InputError(f"{name} is no task. There are: {', '.join([*openers, 'glue'])}.")
    return openers[name](folder)


def _lines(path: Path, task: str) -> Iterator[tuple[int, str]]:
    """Numbered lines of a file of a task, without their ends."""
    if not path.is_file():
        raise InputError(f"{path} is missing. Unpack the data of {task} as it is published, and name that folder.")
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            yield number, line.rstrip("\n").rstrip("\r")


def _table(path: Path, task: str, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The named columns of a file with tabs and a header; quotes mean nothing in these files."""
    rows = _lines(path, task)
    header = next(rows, (1, ""))[1].split("\t")
    missing = [name for name in columns if name not in header]
    if missing:
        raise DataError(f"{path}, line 1 has no column {missing[0]!r}: {header[:12]}. Use the file as published.")
    places = [header.index(name) for name in columns]
    for number, line in rows:
        cells = line.split("\t")
        if len(cells) <= max(places):
            raise DataError(
                f"{path}, line {number} has {len(cells)} columns, the header {len(header)}. Fetch it again."
            )
        yield tuple(cells[place] for place in places)


def _label(labels: Sequence[str], text: str, path: Path) -> int:
    if text not in labels:
        raise DataError(f"{path} has the label {text!r}; {', '.join(labels)} are known. Use the file as published.")
    return labels.index(text)


def _accuracy(_: str, examples: Sequence[Example], predicted: Sequence[Any]) -> dict[str, float]:
    return {"accuracy": 100 * mean(p == e.label for e, p in zip(examples, predicted, strict=True))}


def _xnli(folder: Path) -> Task:
    labels = ("entailment", "neutral", "contradiction")
    train = folder / "XNLI-MT-1.0" / "multinli"

    def read(split: str, language: str) -> list[Example]:
        if split == "train":
            path = train / f"multinli.train.{language}.tsv"
            rows = _table(path, "XNLI", ("premise", "hypo", "label"))
            # the machine-translated files call it "contradictory"
            named = ((a, b, "contradiction" if c == "contradictory" else c) for a, b, c in rows)
        else:
            path = folder / "XNLI-1.0" / f"xnli.{split}.tsv"
            columns = ("language", "sentence1", "sentence2", "gold_label")
            named = ((a, b, c) for lang, a, b, c in _table(path, "XNLI", columns) if lang == language)
        return [Example(a, b, _label(labels, c, path)) for a, b, c in named]

    def languages(split: str) -> list[str]:
        if split == "train":
            return sorted(path.name.split(".")[2] for path in train.glob("multinli.train.*.tsv"))
        path = folder / "XNLI-1.0" / f"xnli.{split}.tsv"
        return sorted({row[0] for row in _table(path, "XNLI", ("language",))})

    return Task("xnli", "SequenceClassification", labels, read, languages, _accuracy)


def _ner(folder: Path) -> Task:
    names = {"train": ("train",), "dev": ("dev", "valid"), "test": ("test",)}

    def path_of(split: str, language: str) -> Path | None:
        places = [folder / language / f"{name}{end}" for name in names[split] for end in ("", ".txt")]
        return next((path for path in places if path.is_file()), None)

    def read(split: str, language: str) -> list[Example]:
        path = path_of(split, language) or folder / language / split
        examples: list[Example] = []
        words: list[str] = []
        tags: list[str] = []

        def close() -> None:
            if words:
                examples.append(Example(tuple(words), None, tuple(tags)))
                words.clear()
                tags.clear()

        for number, line in _lines(path, "named entities"):
            if not line.strip() or line.startswith("-DOCSTART-"):
                close()
                continue
            cells = line.split("\t") if "\t" in line else line.split()
            if len(cells) < 2 or not re.fullmatch(r"O|[BI]-\S+", cells[-1]):
                raise DataError(f"{path}, line {number}: {line[:60]!r} is no token with its tag. Use it as published.")
            words.append(cells[0].removeprefix(f"{language}:"))
            tags.append(cells[-1])
        close()
        return examples

    def languages(split: str) -> list[str]:
        return sorted(p.name for p in folder.iterdir() if p.is_dir() and path_of(split, p.name) is not None)

    def score(_: str, examples: Sequence[Example], predicted: Sequence[Any]) -> dict[str, float]:
        gold = [entities(e.label) for e in examples if isinstance(e.label, tuple)]
        found = [entities(tags) for tags in predicted]
        right = sum(len(a & b) for a, b in zip(gold, found, strict=True))
        both = sum(map(len, gold)) + sum(map(len, found))
        return {"f1": 200 * right / both if both else 0.0}

    if not folder.is_dir():
        raise InputError(f"{folder} is no folder. Name one that holds a folder of files for each language.")
    tags = {tag for lang in languages("train") for e in read("train", lang) for tag in _tags(e)}
    if not tags:
        raise InputError(f"{folder} has no LANG/train. Unpack the data as it is published, and name that folder.")
    return Task("ner", "TokenClassification", tuple(sorted(tags | {"O"})), read, languages, score)


def _tags(example: Example) -> tuple[str, ...]:
    assert isinstance(example.label, tuple)
    return example.label


def entities(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """(kind, first word, word after the last) of each entity, as conlleval counts: I- after another kind begins one.

    >>> sorted(entities(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"]))
    [('LOC', 3, 4), ('LOC', 4, 5), ('PER', 0, 2)]
    """
    found, start, kind = set(), 0, ""
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, now = tag.partition("-")
        if kind and (prefix != "I" or now != kind):
            found.add((kind, start, i))
            kind = ""
        if now and not kind:
            start, kind = i, now
    return found


def _qa(folder: Path) -> Task:
    def path_of(split: str, language: str) -> Path:
        if split == "train" or (split == "dev" and not (folder / "MLQA_V1").is_dir()):
            return folder / "squad" / f"{split}-v1.1.json"
        return folder / "MLQA_V1" / split / f"{split}-context-{language}-question-{language}.json"

    def read(split: str, language: str) -> list[Example]:
        path = path_of(split, language)
        if not path.is_file():
            raise InputError(f"{path} is missing. Unpack SQuAD and MLQA as they are published, and name that folder.")
        examples = []
        try:
            for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
                for paragraph in article["paragraphs"]:
                    for qa in paragraph["qas"]:
                        first = qa["answers"][0]
                        end = first["answer_start"] + len(first["text"])
                        answer = Answer(first["answer_start"], end, tuple(a["text"] for a in qa["answers"]))
                        examples.append(Example(qa["question"], paragraph["context"], answer))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"{path} is not in SQuAD's format ({error!r}). Fetch it again.") from error
        return examples

    def languages(split: str) -> list[str]:
        if split == "train" or not (folder / "MLQA_V1").is_dir():
            return ["en"]
        names = (folder / "MLQA_V1" / split).glob(f"{split}-context-*-question-*.json")
        pairs = [re.findall(r"-(?:context|question)-(\w+)", path.stem) for path in names]
        return sorted(context for context, question in pairs if context == question)

    return Task("qa", "QuestionAnswering", (), read, languages, _score_answers)


def _score_answers(language: str, examples: Sequence[Example], predicted: Sequence[Any]) -> dict[str, float]:
    scores = []
    for example, text in zip(examples, predicted, strict=True):
        assert isinstance(example.label, Answer)
        scores.append(squad_scores(text, example.label.texts, language))
    return {"f1": 100 * mean(f1 for f1, _ in scores), "exact_match": 100 * mean(exact for _, exact in scores)}


_ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "ar": r"ال",
}
"""What MLQA's evaluation takes out of an answer, by language. Kept quirk, for the sake of its figures: of Arabic it
takes the article's letters wherever they stand."""


def squad_scores(answer: str, right: Sequence[str], language: str = "en") -> tuple[float, float]:
    """(F1, exact match) of an answer against the best of those that are right, from 0 to 1, as SQuAD and MLQA do.

    Chinese is compared character by character, other languages word by word.

    >>> squad_scores("the Eiffel tower!", ["Eiffel Tower in Paris"])
    (0.6666666666666666, 0.0)
    """
    words = _answer_words(answer, language)
    best_f1 = exact = 0.0
    for other in right:
        gold = _answer_words(other, language)
        same = sum((Counter(words) & Counter(gold)).values())
        best_f1 = max(best_f1, 2 * same / (len(words) + len(gold)) if same else 0.0)
        exact = max(exact, float(words == gold))
    return best_f1, exact


def _answer_words(text: str, language: str) -> list[str]:
    kept = "".join(c for c in text.lower() if c not in punctuation and not unicodedata.category(c).startswith("P"))
    if language in _ARTICLES:
        kept = re.sub(_ARTICLES[language], " ", kept)
    if language == "zh":
        kept = re.sub(r"([一-龥])", r" \1 ", kept)
    return kept.split()


GLUE: dict[str, tuple[tuple[str, ...], str | None, str, tuple[str, ...]]] = {
    "CoLA": (("sentence",), None, "label", ("0", "1")),
    "SST-2": (("sentence",), None, "label", ("0", "1")),
    "MRPC": (("#1 String",), "#2 String", "Quality", ("0", "1")),
    "QQP": (("question1",), "question2", "is_duplicate", ("0", "1")),
    "STS-B": (("sentence1",), "sentence2", "score", ()),
    "MNLI": (("sentence1",), "sentence2", "gold_label", ("entailment", "neutral", "contradiction")),
    "QNLI": (("question",), "sentence", "label", ("entailment", "not_entailment")),
    "RTE": (("sentence1",), "sentence2", "label", ("entailment", "not_entailment")),
}
"""Each task's column of the first sentence, of the second, of the label, and its labels (none: a number)."""


def _glue(folder: Path, subset: str) -> Task:
    if subset not in GLUE:
        raise InputError(f"GLUE has no task {subset!r}. Take --set subset= one of {', '.join(GLUE)}.")
    (first,), second, label, labels = GLUE[subset]
    splits = {"MNLI": "dev_matched", "MNLI-mm": "dev_mismatched"}

    def read(split: str, language: str) -> list[Example]:
        path = folder / subset / f"{'train' if split == 'train' else splits.get(language, 'dev')}.tsv"
        examples = []
        rows: Iterator[tuple[str, str | None, str]]
        if subset == "CoLA":  # the only one without a header
            rows = ((c[3], None, c[1]) for c in (line.split("\t") for _, line in _lines(path, "GLUE")) if len(c) == 4)
        else:
            columns = (first, label) if second is None else (first, second, label)
            rows = ((row[0], row[1] if second else None, row[-1]) for row in _table(path, "GLUE", columns))
        for one, two, value in rows:
            examples.append(Example(one, two, _label(labels, value, path) if labels else float(value)))
        return examples

    def languages(split: str) -> list[str]:
        return ["MNLI", "MNLI-mm"] if subset == "MNLI" and split != "train" else [subset]

    score = {"CoLA": _matthews, "STS-B": _pearson}.get(subset, _accuracy)
    return Task("glue", "SequenceClassification", labels, read, languages, score)


def _matthews(_: str, examples: Sequence[Example], predicted: Sequence[Any]) -> dict[str, float]:
    return {"matthews": 100 * _correlation([float(e.label) for e in examples if isinstance(e.label, int)], predicted)}


def _pearson(_: str, examples: Sequence[Example], predicted: Sequence[Any]) -> dict[str, float]:
    return {"pearson": 100 * _correlation([e.label for e in examples if isinstance(e.label, float)], predicted)}


def _correlation(left: Sequence[float], right: Sequence[float]) -> float:
    """Pearson's; of two classes it is Matthews'. 0 where one side does not vary."""
    a, b = mean(left), mean(right)
    both = sum((x - a) * (y - b) for x, y in zip(left, right, strict=True))
    spread = math.sqrt(sum((x - a) ** 2 for x in left) * sum((y - b) ** 2 for y in right))
    return both / spread if spread else 0.0
