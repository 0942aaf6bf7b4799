"""Recipes on small files in the published formats, which a small model can learn."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ccbuild.cli import main
from ccbuild.errors import ConfigError, DataError, InputError
from xlmr.config import load_preset
from xlmr.finetune import RECIPES, finetune, recipe
from xlmr.hf import hugging_face_config, to_hugging_face
from xlmr.model import MaskedLM
from xlmr.published import compare, published
from xlmr.tasks import GLUE, Answer, entities, open_task, squad_scores

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

WORDS = ["yes", "no", "maybe", "paris", "anna", "walks", "in", "the", "city", "gold", "is", "where", "rain", "falls"]


@pytest.fixture(scope="module")
def hf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model, with a tokenizer that knows `WORDS`."""
    folder = tmp_path_factory.mktemp("hf")
    vocabulary = {w: i for i, w in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS, "<mask>"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "cls": "<s>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
    tokens = {f"{name}_token": token for name, token in names.items()}
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, **tokens).save_pretrained(folder)
    config = load_preset("tiny", ["model.layers=1", "model.width=64", "model.ffn=128", "model.init_std=0.1"]).model
    model = MaskedLM(config, len(vocabulary)).initialise(1)
    save_file(
        to_hugging_face(model.state_dict(), config, len(vocabulary)), folder / "model.safetensors", {"format": "pt"}
    )
    (folder / "config.json").write_text(json.dumps(hugging_face_config(config, len(vocabulary))))
    return folder


def filler(chance: random.Random) -> str:
    return " ".join(chance.choices(["walks", "in", "the", "city", "rain", "falls"], k=4))


@pytest.fixture(scope="module")
def xnli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, chance = tmp_path_factory.mktemp("xnli"), random.Random(1)
    words = {"yes": "entailment", "maybe": "neutral", "no": "contradictory"}
    (folder / "XNLI-MT-1.0" / "multinli").mkdir(parents=True)
    (folder / "XNLI-1.0").mkdir()
    for language in ("en", "sw"):
        rows = ["premise\thypo\tlabel"]
        for _ in range(300):
            word = chance.choice(list(words))
            rows.append(f'{filler(chance)} "\t{word} {filler(chance)}\t{words[word]}')
        (folder / "XNLI-MT-1.0" / "multinli" / f"multinli.train.{language}.tsv").write_text("\n".join(rows) + "\n")
    for split in ("dev", "test"):
        rows = ["language\tgold_label\tsentence1_binary_parse\tsentence1\tsentence2\tpairID"]
        for language in ("en", "sw"):
            for _ in range(40):
                word = chance.choice(list(words))
                gold = words[word].replace("contradictory", "contradiction")
                rows.append(f'{language}\t{gold}\t\t{filler(chance)} "\t{word} {filler(chance)}\t7')
        (folder / "XNLI-1.0" / f"xnli.{split}.tsv").write_text("\n".join(rows) + "\n")
    return folder


QUICK = ["learning_rate=3e-3", "epochs=3", "steps_per_epoch=30", "batch=16", "max_length=32"]


def test_xnli_zero_shot_and_against_what_is_published(
    xnli: Path, hf: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sets = [part for setting in QUICK for part in ("--set", setting)]
    common = ["model", "finetune", "--task", "xnli", str(xnli), "--model", str(hf), "--against", "published", *sets]
    assert main([*common, "--seeds", "1,2", "--json", "--out", str(tmp_path / "tuned")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [run["seed"] for run in told["runs"]] == [1, 2]
    for run in told["runs"]:
        assert run["select"] == "source_dev"
        assert min(run["scores"]["en"], run["scores"]["sw"]) > 90
    large = next(row for row in told["against"] if row["model"] == "xlm-r-large")
    line = next(line for line in large["lines"] if line["language"] == "sw")
    assert line["theirs"] == 73.9
    assert line["difference"] == pytest.approx(line["ours"] - 73.9)
    assert line["interval"] is not None
    tuned = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "tuned")
    assert tuned.config.num_labels == 3
    assert main(common) == 0
    printed = capsys.readouterr().out
    assert "xnli, zero-shot, checkpoint by source_dev, accuracy in per cent, 1 seed(s)" in printed
    assert "against xlm-r-large (acl, table 1" in printed


def test_translate_train_all_reads_every_language(xnli: Path, hf: Path) -> None:
    config = recipe("xnli", "authors", [*QUICK, "setting=translate-train-all", "select=average_dev", "patience=1"])
    result = finetune(hf, "xnli", xnli, config)
    assert result["setting"] == "translate-train-all"
    assert result["average"] > 90
    assert 1 <= result["chosen_epoch"] <= len(result["history"])


@pytest.mark.parametrize("style", ["wikiann", "conll"])
def test_entities_are_found(style: str, hf: Path, tmp_path: Path) -> None:
    chance = random.Random(2)

    def sentence(language: str) -> str:
        rows = []
        for word in chance.choices(["paris city", "anna", "walks", "in", "the"], k=6):
            parts = word.split()
            tags = {"paris city": ["B-LOC", "I-LOC"], "anna": ["B-PER"]}.get(word, ["O"])
            for part, tag in zip(parts, tags, strict=True):
                rows.append(f"{language}:{part}\t{tag}" if style == "wikiann" else f"{part} NN I-NP {tag}")
        return "\n".join(rows) + "\n\n"

    for language in ("en", "de"):
        (tmp_path / language).mkdir()
        for split, name in (("train", "train"), ("dev", "dev"), ("test", "test")):
            end = "" if style == "wikiann" else ".txt"
            start = "" if style == "wikiann" else "-DOCSTART- -X- O O\n\n"
            text = start + "".join(sentence(language) for _ in range(150 if split == "train" else 20))
            (tmp_path / language / f"{name}{end}").write_text(text)
    result = finetune(hf, "ner", tmp_path, recipe("ner", None, QUICK))
    assert result["metric"] == "f1"
    assert result["scores"].keys() == {"de", "en"}
    assert min(result["scores"].values()) > 90


def test_answers_are_found_in_windows(hf: Path, tmp_path: Path) -> None:
    chance = random.Random(3)

    def article(number: int) -> dict[str, Any]:
        paragraphs = []
        for _ in range(number):
            before = " ".join(filler(chance) for _ in range(chance.randint(0, 8)))
            context = f"{before} gold {filler(chance)}".strip()
            start = context.index("gold")
            answer = {"answer_start": start, "text": "gold"}
            qa = {"question": "where is the gold", "id": "1", "answers": [answer]}
            paragraphs.append({"context": context, "qas": [qa]})
        return {"data": [{"title": "t", "paragraphs": paragraphs}]}

    for path, number in (
        ("squad/train-v1.1.json", 200),
        ("MLQA_V1/dev/dev-context-en-question-en.json", 20),
        ("MLQA_V1/test/test-context-en-question-en.json", 20),
        ("MLQA_V1/test/test-context-zh-question-zh.json", 20),
        ("MLQA_V1/test/test-context-zh-question-en.json", 1),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps(article(number)))
    task = open_task("qa", tmp_path)
    assert task.languages("test") == ["en", "zh"]
    label = task.read("train", "en")[0].label
    assert isinstance(label, Answer)
    assert label.texts == ("gold",)
    result = finetune(hf, "qa", tmp_path, recipe("qa", None, [*QUICK, "stride=8"]))
    assert list(result["all_scores"]["en"]) == ["f1", "exact_match"]
    assert min(result["scores"].values()) > 90
    with pytest.raises(ConfigError, match=r"max_length is 9999, .* has room for \d+ tokens"):
        finetune(hf, "qa", tmp_path, recipe("qa", None, ["max_length=9999"]))


def test_a_score_below_zero_is_a_score(hf: Path, tmp_path: Path) -> None:
    (tmp_path / "CoLA").mkdir()
    for split, (yes, no) in (("train", "10"), ("dev", "01")):  # what is right in one is wrong in the other
        rows = [f"src\t{yes}\t\tyes\nsrc\t{no}\t\tno\n"] * 50
        (tmp_path / "CoLA" / f"{split}.tsv").write_text("".join(rows))
    result = finetune(hf, "glue", tmp_path, recipe("glue", None, [*QUICK, "subset=CoLA"]))
    assert result["scores"]["CoLA"] < -90
    assert result["chosen_epoch"] > 0


@pytest.mark.parametrize("subset", ["SST-2", "CoLA", "STS-B", "MNLI"])
def test_glue(subset: str, hf: Path, tmp_path: Path) -> None:
    chance = random.Random(4)
    (tmp_path / subset).mkdir()
    (first,), second, label, labels = GLUE[subset]
    signs = dict(zip(["no", "yes", "maybe"], labels, strict=False)) or {"no": "0.0", "yes": "5.0"}
    for split in ("train", "dev_matched", "dev_mismatched") if subset == "MNLI" else ("train", "dev"):
        header = ["index", first, *([second] if second else []), label]
        rows = [] if subset == "CoLA" else ["\t".join(header)]
        for _ in range(200 if split == "train" else 40):
            word = chance.choice(list(signs))
            text = f"{word} {filler(chance)}"
            cells = ["0", text, *([filler(chance)] if second else []), signs[word]]
            rows.append(f"src\t{signs[word]}\t\t{text}" if subset == "CoLA" else "\t".join(cells))
        (tmp_path / subset / f"{split}.tsv").write_text("\n".join(rows) + "\n")
    result = finetune(hf, "glue", tmp_path, recipe("glue", None, [*QUICK, f"subset={subset}"]))
    assert result["scores"].keys() == ({"MNLI", "MNLI-mm"} if subset == "MNLI" else {subset})
    assert result["metric"] == {"CoLA": "matthews", "STS-B": "pearson"}.get(subset, "accuracy")
    assert min(result["scores"].values()) > 85


def test_scores_of_answers() -> None:
    assert squad_scores("The gold.", ["gold"]) == (1.0, 1.0)
    assert squad_scores("das Gold", ["gold"], "de") == (1.0, 1.0)
    assert squad_scores("das Gold", ["gold"], "en")[1] == 0.0
    f1, exact = squad_scores("金山", ["金子"], "zh")
    assert (f1, exact) == (0.5, 0.0)
    assert squad_scores("", ["gold"]) == (0.0, 0.0)
    assert squad_scores("المال", ["م"], "ar") == (1.0, 1.0)
    assert squad_scores("5 $", ["5"], "hi") == (1.0, 1.0)
    assert squad_scores("silver", ["gold", "silver"]) == (1.0, 1.0)


def test_entities_as_conlleval_counts() -> None:
    assert entities(["I-LOC", "I-LOC", "B-LOC", "O"]) == {("LOC", 0, 2), ("LOC", 2, 3)}
    assert entities(["B-PER", "I-LOC"]) == {("PER", 0, 1), ("LOC", 1, 2)}
    assert entities(["O"]) == set()


def test_published_averages_are_those_of_their_languages() -> None:
    for row in published():
        if row.scores and row.task != "glue":
            assert sum(row.scores.values()) / len(row.scores) == pytest.approx(row.average, abs=0.06), row
        assert row.source.split()[0].rstrip(",") in ("acl", "fairseq", "report")
    glue = published("glue")[0]
    assert sum(v for k, v in glue.scores.items() if k != "MNLI-mm") / 6 == pytest.approx(glue.average, abs=0.06)
    assert {row.model for row in published("xnli", setting="translate-train-all")} >= {"xlm-r-xl", "xlm-r-xxl"}
    with pytest.raises(ConfigError, match="There is: mbert"):
        published("ner", "gpt")


def test_compare_needs_all_languages_for_an_average() -> None:
    row = published("ner", "xlm-r-base", "zero-shot")[0]
    some = compare([{"en": 90.0}], row)
    assert [line["language"] for line in some] == ["en"]
    assert some[0]["interval"] is None
    whole = compare([dict(row.scores)], row)[-1]
    assert whole["language"] == "average"
    assert whole["difference"] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda d, m: finetune(d, "xnli", d, recipe("xnli")), InputError, "lacks config.json"),
        (lambda d, m: finetune(m, "xnli", d, recipe("xnli")), InputError, "multinli.train.en.tsv is missing"),
        (lambda d, m: finetune(m, "ner", d, recipe("ner")), InputError, "has no LANG/train"),
        (lambda d, m: finetune(m, "qa", d, recipe("qa")), InputError, "Unpack SQuAD and MLQA"),
        (lambda d, m: finetune(m, "glue", d, recipe("glue")), InputError, "GLUE has no task"),
        (lambda d, m: recipe("xnli", "mine"), ConfigError, "There are: authors, xtreme"),
        (lambda d, m: recipe("pos"), ConfigError, "pos is no task"),
        (lambda d, m: recipe("xnli", None, ["batch=0"]), ConfigError, "batch is 0"),
    ],
)
def test_bad_input(
    make: Callable[[Path, Path], object], error: type[Exception], message: str, tmp_path: Path, hf: Path
) -> None:
    with pytest.raises(error, match=message):
        make(tmp_path, hf)


def test_files_of_another_format_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "train").write_text("en:a\tO\nbroken\n")
    with pytest.raises(DataError, match=r"train, line 2: 'broken' is no token with its tag"):
        open_task("ner", tmp_path)
    (tmp_path / "squad").mkdir()
    (tmp_path / "squad" / "train-v1.1.json").write_text("{}")
    with pytest.raises(DataError, match="not in SQuAD's format"):
        open_task("qa", tmp_path).read("train", "en")
    (tmp_path / "RTE").mkdir()
    (tmp_path / "RTE" / "train.tsv").write_text("index\tsentence1\n")
    with pytest.raises(DataError, match="line 1 has no column 'sentence2'"):
        open_task("glue", tmp_path, "RTE").read("train", "RTE")
    (tmp_path / "RTE" / "train.tsv").write_text("index\tsentence1\tsentence2\tlabel\n1\ta\tb\tperhaps\n")
    with pytest.raises(DataError, match="has the label 'perhaps'"):
        open_task("glue", tmp_path, "RTE").read("train", "RTE")


def test_every_recipe_is_whole() -> None:
    for task, known in RECIPES.items():
        for name in known:
            assert recipe(task, name).batch >= 16
    authors = recipe("xnli")
    assert (authors.batch, authors.learning_rate, authors.patience) == (128, 5e-6, 5)


def test_the_same_seed_gives_the_same_scores(xnli: Path, hf: Path) -> None:
    config = recipe("xnli", None, [*QUICK, "epochs=1"])
    results = [finetune(hf, "xnli", xnli, config, seed=seed)["history"] for seed in (1, 1, 2)]
    assert results[0] == results[1]
    assert results[0] != results[2]
    assert torch.get_num_threads() == 1
