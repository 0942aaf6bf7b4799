"""fastText's files are read as fastText reads them, and what is no identifier is refused with what it lacks."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pytest

from ccbuild.errors import DataError
from ccbuild.langid.codes import from_label
from ccbuild.langid.corpus import catalogue_texts
from ccbuild.langid.letters import AS_IT_IS, small
from ccbuild.langid.model import LABEL, LanguageModel, escape, plain
from ccbuild.langid.network import read_network
from ccbuild.langid.supplement import SHIPPED

CODES = ("en", "ru", "de", "ar", "hi", "vi")


@pytest.fixture(scope="module")
def sentences() -> dict[str, list[str]]:
    return catalogue_texts(["eld"])["eld"]


@pytest.fixture(scope="module")
def examples(sentences: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("examples") / "examples.txt"
    lines = [f"{LABEL}{code} {small(line)}\n" for n in range(300) for code in CODES for line in [sentences[code][n]]]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def theirs(path: Path, lines: list[str], k: int = 5) -> list[list[tuple[str, float]]]:
    model = fasttext.load_model(str(path))
    return [
        [
            (from_label(label.removeprefix(LABEL)), min(p, 1.0))
            for p, label in model.f.predict(f"{line}\n", k, 0.0, "strict")
        ]
        for line in lines
    ]


def assert_alike(ours: list[list[tuple[str, float]]], expected: list[list[tuple[str, float]]]) -> None:
    """The first answer is the same where there is no tie, and the probabilities are, to 1e-4."""
    for found, wanted in zip(ours, expected, strict=True):
        likely = [p for _, p in wanted if p > 1e-4]
        assert [p for _, p in found[: len(likely)]] == pytest.approx(likely, abs=1e-4)
        if len(wanted) < 2 or wanted[0][1] - wanted[1][1] > 2e-4:
            assert found[0][0] == wanted[0][0]


def mixed(sentences: dict[str, list[str]], count: int) -> list[str]:
    lines = [line for code in sorted(sentences) for line in sentences[code][: count // 40]]
    random.Random(1).shuffle(lines)
    lines += ["".join(chr(c) for c in range(start, start + 40)) for start in range(0x21, 0x3000, 500)]
    return [*lines, "", "word " * 3000, "ا" * 5000, "</w> <s> a", "x"]


def test_the_models_in_use_say_what_fasttext_says(sentences: dict[str, list[str]], model: LanguageModel) -> None:
    lines = mixed(sentences, 400)
    assert_alike(model.ask(lines, 5), theirs(model.path, [escape(small(line)) for line in lines]))
    raw = [line.upper() for line in lines]
    assert_alike(model.ask(raw, 2, AS_IT_IS), theirs(model.path, [escape(line) for line in raw], 2))
    supplement = LanguageModel(SHIPPED, canaries={"sr": "Иза њих су нови јунаци"}, words_alone=True)
    assert_alike(supplement.ask(lines, 5), theirs(SHIPPED, [plain(line) for line in lines]))


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "softmax", "minn": 3, "maxn": 6},
        {"loss": "hs", "minn": 1, "maxn": 3, "dim": 10},
        {"loss": "softmax", "minn": 0, "maxn": 0},
        {"loss": "hs", "minn": 0, "maxn": 4},
        {"loss": "softmax", "minn": 2, "maxn": 4, "quantised": {"qnorm": True, "cutoff": 3000, "dsub": 2}},
    ],
    ids=str,
)
def test_other_shapes_of_models_are_read(
    settings: dict[str, Any], examples: Path, sentences: dict[str, list[str]], tmp_path: Path
) -> None:
    quantised = settings.pop("quantised", None) if "quantised" in settings else None
    options = {"dim": 12, "bucket": 3001, "epoch": 5, "lr": 0.8, "thread": 1, "verbose": 0, "minCount": 1, **settings}
    made = fasttext.train_supervised(str(examples), **options)
    if quantised:
        made.quantize(input=str(examples), thread=1, **quantised)
    path = tmp_path / "model.bin"
    made.save_model(str(path))
    lines = [line for code in CODES for line in sentences[code][:40]] + ["", "ß", "nothing like it"]
    assert_alike(LanguageModel(path).ask(lines, 3), theirs(path, [escape(small(line)) for line in lines], 3))


def vectors(examples: Path, out: Path) -> None:
    fasttext.train_unsupervised(str(examples), dim=4, epoch=1, thread=1, verbose=0).save_model(str(out))


def trained(**options: Any) -> Callable[[Path, Path], None]:
    def make(examples: Path, out: Path) -> None:
        fasttext.train_supervised(str(examples), dim=4, epoch=1, thread=1, verbose=0, **options).save_model(str(out))

    return make


@pytest.mark.parametrize(
    ("make", "lacks"),
    [
        (vectors, "no labels"),
        (trained(loss="ova"), "loss ova, whose scores are no probabilities"),
        (trained(loss="ns"), "loss ns"),
        (trained(wordNgrams=2), "-wordNgrams 2"),
    ],
)
def test_what_is_no_identifier_is_refused_with_what_it_lacks(
    make: Callable[[Path, Path], None], lacks: str, examples: Path, tmp_path: Path
) -> None:
    make(examples, tmp_path / "model.bin")
    with pytest.raises(
        DataError, match=f"model.bin .*{lacks}.* Use a supervised fastText model with loss softmax or hs"
    ):
        LanguageModel(tmp_path / "model.bin")


def test_a_file_that_is_cut_or_goes_on_is_no_model(lid_model: Path, tmp_path: Path) -> None:
    whole = lid_model.read_bytes()
    contents = [
        b"",
        b"text",
        *(whole[: len(whole) * share // 100] for share in (1, 20, 60, 99)),
        whole[:-1],
        whole + b"x",
    ]
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.ftz"
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"is no fastText model"):
            read_network(path, 1)


def matrix(rows: int, columns: int, values: bytes) -> bytes:
    """As fastText writes one that is not quantised."""
    return struct.pack("<2q", rows, columns) + values


def test_what_damage_makes_of_a_model_is_refused(examples: Path, tmp_path: Path) -> None:
    """Each of these would be read past the end of an array, or without end, if it were believed."""
    path = tmp_path / "model.bin"
    options = {"dim": 4, "epoch": 1, "minCount": 50, "thread": 1, "verbose": 0}
    fasttext.train_supervised(str(examples), minn=0, maxn=0, **options).save_model(str(path))
    whole, (network, labels) = path.read_bytes(), read_network(path, 1)
    n, words = len(labels), len(network.vectors)
    output = len(whole) - 16 - 16 * n  # rows, columns and values of the labels end the file
    vectors = output - 1 - 16 - 16 * words
    kind = whole.index(b"\0", whole.index(LABEL.encode())) + 9  # after its count: that it is a label
    most = 4 * 12  # the twelfth number of the file

    damaged = {
        f"{words - 1:,} vectors where its words and n-grams need {words:,}": whole[:vectors]
        + matrix(words - 1, 4, whole[vectors + 32 : output - 1])
        + whole[output - 1 :],
        "values that are no finite numbers": whole[:-4] + struct.pack("<f", float("nan")),
        "its output has 5 rows for 6 labels": whole[:output] + matrix(5, 4, whole[output + 32 :]),
        "6 rows and 3 columns, where vectors have 4": whole[:output] + matrix(n, 3, whole[output + 16 + 4 * n :]),
        "of its dictionary is damaged": whole[:kind] + b"\0" + whole[kind + 1 :],
        "was trained with -maxn 4,096": whole[:most] + struct.pack("<i", 4096) + whole[most + 4 :],
    }
    for what, content in damaged.items():
        path.write_bytes(content)
        with pytest.raises(DataError, match=re.escape(what)):
            read_network(path, 1)


def test_rows_beyond_the_labels_are_never_asked(examples: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    fasttext.train_supervised(str(examples), dim=4, epoch=1, bucket=50, thread=1, verbose=0).save_model(str(path))
    whole, (network, labels) = path.read_bytes(), read_network(path, 1)
    output = len(whole) - 16 - 16 * len(labels)
    likely = struct.pack("<4f", *[100.0] * 4)
    path.write_bytes(whole[:output] + matrix(len(labels) + 3, 4, whole[output + 16 :] + 3 * likely))
    assert np.array_equal(read_network(path, 1)[0].output, network.output)
