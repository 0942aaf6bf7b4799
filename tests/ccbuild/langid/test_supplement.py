"""A supplement is made from text alone, to the byte; models that are damaged or lie are refused."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import fasttext
import pytest

from ccbuild import catalogue
from ccbuild.cli import main
from ccbuild.errors import ConfigError, DataError, InputError
from ccbuild.langid.corpus import catalogue_texts, examples, read_labelled, sentence_key, split
from ccbuild.langid.model import LanguageModel
from ccbuild.langid.ngrams import draw_words
from ccbuild.langid.romanise import romanised_texts
from ccbuild.langid.supplement import SHIPPED, Supplement
from ccbuild.langid.training import SupplementConfig, made_from, supplement_for, train

SMALL = SupplementConfig(most=300, outside=50, buckets=1 << 11, epochs=3, least_count=3)  # rows take the longest


@pytest.fixture(scope="module")
def texts() -> dict[str, dict[str, list[str]]]:
    found = catalogue_texts(["eld"])["eld"]
    return {"eld": {code: found[code][:300] for code in ("en", "de", "tr", "yo", "ru")}}


@pytest.fixture(scope="module")
def trained(
    texts: dict[str, dict[str, list[str]]], model: LanguageModel, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("supplement") / "a.ftz"
    train(texts, out, model, SMALL)
    return out


def test_the_same_texts_give_the_same_bytes(
    trained: Path, texts: dict[str, dict[str, list[str]]], model: LanguageModel, tmp_path: Path
) -> None:
    manifest = train(texts, tmp_path / "b.ftz", model, SMALL)
    assert (tmp_path / "b.ftz").read_bytes() == trained.read_bytes()
    assert (tmp_path / "b.json").read_bytes() == trained.with_suffix(".json").read_bytes()
    assert manifest["sentences"]["yo"] <= 300
    assert manifest["base"] == model.sha256
    assert 0 < manifest["trust"]["yo"] < 1
    other = train(texts, tmp_path / "c.ftz", model, replace(SMALL, seed=1))
    assert other["sha256"] != manifest["sha256"]


def test_labels_in_the_text_are_text(model: LanguageModel, tmp_path: Path) -> None:
    lines = {code: [f"__label__{other} {word} " * 8 for word in words] for code, other, words in (
        ("sw", "zu", ("habari", "dunia", "shule", "mwaka") * 20),
        ("zu", "sw", ("sawubona", "umhlaba", "isikole", "unyaka") * 20),
    )}  # fmt: skip
    manifest = train({"mine": lines}, tmp_path / "m.ftz", model, SMALL)
    found = LanguageModel(tmp_path / "m.ftz", canaries={"sw": "habari dunia habari", "zu": "sawubona umhlaba unyaka"})
    assert found.codes == {"sw", "zu"}
    assert manifest["sentences"] == {"sw": 80, "zu": 80}


def test_a_damaged_or_changed_supplement_is_refused(trained: Path, tmp_path: Path) -> None:
    whole, manifest = trained.read_bytes(), trained.with_suffix(".json").read_text()
    changed = bytes([*whole[:5000], whole[5000] ^ 1, *whole[5001:]])
    for number, content in enumerate((whole[: len(whole) * 98 // 100], changed)):
        path = tmp_path / f"{number}.ftz"
        path.write_bytes(content)
        path.with_suffix(".json").write_text(manifest)
        with pytest.raises(DataError, match="SHA-256"):
            Supplement(path)
    path = tmp_path / "alone.ftz"
    path.write_bytes(whole)
    with pytest.raises(InputError, match="langid train"):
        Supplement(path)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(DataError, match="manifest"):
        Supplement(path)


def test_a_damaged_model_is_refused(lid_model: Path, tmp_path: Path) -> None:
    whole = lid_model.read_bytes()
    broken = tmp_path / "model.ftz"
    broken.write_bytes(whole[: len(whole) * 98 // 100])
    with pytest.raises(DataError, match="SHA-256"):
        LanguageModel(broken, LanguageModel(lid_model).sha256)
    with pytest.raises(DataError, match="model"):
        LanguageModel(broken)
    with pytest.raises(InputError):
        LanguageModel(tmp_path)


def test_a_model_whose_label_is_a_path_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "x.txt"
    source.write_text("__label__../../x some words\n__label__en other words\n" * 20)
    model = fasttext.train_supervised(str(source), epoch=1, thread=1, verbose=0)
    model.save_model(str(tmp_path / "x.bin"))
    with pytest.raises(DataError, match=r"'__label__../../x', which is no language code"):
        LanguageModel(tmp_path / "x.bin")


def test_settings_and_texts_that_cannot_be(model: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        SupplementConfig(epochs=0)
    with pytest.raises(InputError, match="fewer than two languages"):
        train({"x": {"sw": ["habari ya dunia leo"]}}, tmp_path / "x.ftz", model, SMALL)
    with pytest.raises(InputError, match="no language code"):
        train({"x": {"../x": ["habari ya dunia leo"]}}, tmp_path / "x.ftz", model, SMALL)
    with pytest.raises(InputError, match=r"\.ftz"):
        train({}, tmp_path / "x.bin", model, SMALL)


def test_labelled_files_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes("hau_Latn\tIna kwana\tlafiya\r\n\nsw\tHabari \xff\n".encode("utf-8", "surrogateescape"))
    assert list(read_labelled(path)) == [("ha", "Ina kwana\tlafiya"), ("sw", "Habari ÿ")]
    for line, what in (("no tab here", "no tab"), ("../x\ttext", "no language code")):
        path.write_text(line)
        with pytest.raises(InputError, match=f"line 1.*{what}"):
            list(read_labelled(path))


def test_equal_sentences_fall_on_one_side() -> None:
    lines = ["Sentence " + "abcdefghij"[n % 10] * (n // 10 + 1) for n in range(1000)]
    rest, held = split([*lines, *(line.upper() + "!" for line in lines)], 0.2)
    assert not {sentence_key(t) for t in rest} & {sentence_key(t) for t in held}
    assert 0.15 < len(held) / 2000 < 0.25
    assert len(rest) + len(held) == 2000


def test_examples_are_even() -> None:
    made = list(examples({"sw": ["moja mbili tatu nne tano sita saba nane"] * 500, "th": ["ก" * 200] * 9}, 100, 10, 0))
    assert [code for code, _ in made].count("sw") == 100
    assert all(12 <= len(text) <= 120 for code, text in made if code == "th")


def test_romanised_text_is_latin_and_the_same_again() -> None:
    native = {"hi": ["मैं आज बाजार जा रहा हूँ"], "ur": ["میں آج بازار جا رہا ہوں"], "ta": ["நான் இன்று போகிறேன்"]}
    found = romanised_texts(native, seed=1)
    assert sorted(found) == ["hi_rom", "ta_rom", "ur_rom"]
    assert all(text.isascii() for texts in found.values() for text in texts)
    assert found == romanised_texts(native, seed=1)


def test_words_are_drawn_from_the_counts_of_letters() -> None:
    import random

    words = ["habari"] * 3 + ["na"] * 5 + ["dunia"] * 2
    counts: list[dict[str, float]] = []
    for n in range(1, 6):
        found: dict[str, float] = {}
        for word in words:
            for i in range(len(word) - n + 1):
                found[word[i : i + n]] = found.get(word[i : i + n], 0) + 1
        counts.append(found)
    drawn = draw_words(counts, 5000, random.Random(0))
    shares = {word: drawn.count(word) / 5000 for word in set(drawn)}
    assert shares["na"] == pytest.approx(0.5, abs=0.05)
    assert shares["habari"] == pytest.approx(0.3, abs=0.05)
    assert set(shares) == {"habari", "na", "dunia"}


def test_the_command_trains_and_the_others_take_it(
    texts: dict[str, dict[str, list[str]]], in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{code}\t{line}" for code, lines in texts["eld"].items() for line in lines]
    Path("mine.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    quick = ("--set", "epochs=3", "--set", "least_count=3", "--set", "buckets=2048", "--json")
    assert main(["langid", "train", "--data", "mine.tsv", "--out", "s.ftz", *quick]) == 0
    assert json.loads(capsys.readouterr().out)["sentences"]["yo"] <= 300
    Path("text.txt").write_text("Die Regierung will neue Schulen bauen, sagte der Minister am Montag.\n")
    assert main(["langid", "identify", "text.txt", "--supplement", "s.ftz"]) == 0
    assert json.loads(capsys.readouterr().out)["lang"] == "de"
    assert main(["langid", "explain", "Habari ya dunia", "--supplement", "s.ftz"]) == 0
    assert "answer" in capsys.readouterr().out
    assert main(["langid", "train", "--data", ".", "nothing", "--out", "x.bin"]) == 2


def test_the_shipped_supplement_is_the_one_that_todays_code_makes(model: LanguageModel) -> None:
    record = json.loads(SHIPPED.with_suffix(".record.json").read_text(encoding="utf-8"))
    supplement = Supplement(SHIPPED, record["sha256"])
    for what, now in made_from().items():
        assert record[what] == now, f"{what} changed since the supplement was made: run `make supplement`, commit it"
    assert supplement.manifest["settings"] == record["settings"]
    assert supplement.manifest["base"] == catalogue.entries()["lid.176.ftz"].sha256
    assert {"sw", "ha", "hi_rom"} < supplement.codes
    assert supplement_for(model.sha256, lambda: model) == SHIPPED


def test_all_that_makes_a_supplement_is_in_its_record() -> None:
    """Whatever module of `langid` the training reaches by imports, but the one that only asks."""
    reached, rest = set[str](), ["training"]
    while rest:
        name = rest.pop()
        if name not in reached and name != "supplement":
            reached.add(name)
            tree = ast.parse((SHIPPED.parent / f"{name}.py").read_bytes())
            imports = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            rest += [m.rpartition(".")[2] for m in imports if m.startswith("ccbuild.langid.")]
    assert reached == made_from()["made_by"].keys()


def test_a_comment_is_no_new_maker_and_a_number_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ccbuild.langid import training

    before = made_from()["made_by"]
    for name in before:
        text = (SHIPPED.parent / f"{name}.py").read_text(encoding="utf-8")
        (tmp_path / f"{name}.py").write_text(text.replace('"""\n', '"""\n\n# a comment\n', 1), encoding="utf-8")
    monkeypatch.setattr(training, "__file__", str(tmp_path / "training.py"))
    assert made_from()["made_by"] == before
    text = (tmp_path / "corpus.py").read_text(encoding="utf-8")
    (tmp_path / "corpus.py").write_text(text.replace("rng.randint(3, 30)", "rng.randint(3, 31)"), encoding="utf-8")
    assert {name for name, digest in made_from()["made_by"].items() if digest != before[name]} == {"corpus"}


def test_another_model_has_a_supplement_of_its_own(
    model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured beside it, made once; again where the cache has a damaged one."""
    from ccbuild.langid import training

    made: list[str] = []

    def write(texts: object, out: Path, base: LanguageModel, config: SupplementConfig) -> None:
        made.append(base.sha256)
        for end in (".ftz", ".json"):
            out.with_suffix(end).write_bytes(SHIPPED.with_suffix(end).read_bytes())

    monkeypatch.setenv("CCBUILD_CACHE", str(tmp_path))
    monkeypatch.setattr(training, "gather", dict)
    monkeypatch.setattr(training, "train", write)
    monkeypatch.setattr(model, "sha256", "another")
    path = supplement_for(model.sha256, lambda: model)
    assert path.is_relative_to(tmp_path)
    assert supplement_for(model.sha256, lambda: model) == path
    path.write_bytes(b"cut")
    assert supplement_for(model.sha256, lambda: model) == path
    assert made == ["another"] * 2
    assert path.read_bytes() == SHIPPED.read_bytes()
