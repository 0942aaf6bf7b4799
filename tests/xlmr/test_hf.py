from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ccbuild.errors import DataError, InputError, MismatchError
from xlmr.checkpoint import find
from xlmr.evaluate import evaluate
from xlmr.hf import export, from_hugging_face, import_checkpoint, import_weights, model_config, to_hugging_face
from xlmr.model import MaskedLM
from xlmr.train import train

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=["post", "pre"])
def run(request: Any, tmp_path_factory: pytest.TempPathFactory, tokens: Path, small: Any) -> Path:
    """Two updates in each layout, all weights far enough from their start to tell them apart."""
    out = tmp_path_factory.mktemp(request.param)
    config = small(f"model.norm={request.param}", "optim.steps=2", "optim.learning_rate=0.05", "run.validate=false")
    train(config, tokens, out)
    return out


def ours(run: Path) -> MaskedLM:
    checkpoint = find(run)
    model = MaskedLM(model_config(checkpoint.manifest.settings), checkpoint.manifest.inputs["vocabulary_size"])
    model.load_state_dict(checkpoint.weights())
    return model.eval()


def test_transformers_loads_it_and_agrees(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "hf")
    theirs, report = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not any(report.values()), report
    theirs.eval()
    ids = torch.randint(4, 299, (3, 20), generator=torch.Generator().manual_seed(1))
    keep = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        assert (theirs(ids).logits - ours(run).logits(ids)).abs().max() < 1e-5
        ids[1, 12:], keep[1, 12:] = 1, False
        positions = torch.where(keep, torch.arange(2, 22), 1)
        wanted = theirs(ids, attention_mask=keep.long()).logits
        assert (wanted - ours(run).logits(ids, positions))[keep].abs().max() < 1e-5
    assert sum(p.numel() for p in theirs.parameters()) == find(run).manifest.facts["parameters"]


def test_other_heads_load_from_it(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "hf")
    for kind in ("SequenceClassification", "TokenClassification", "QuestionAnswering", "MultipleChoice"):
        head = getattr(transformers, f"AutoModelFor{kind}")
        _, report = head.from_pretrained(tmp_path / "hf", output_loading_info=True)
        assert all(name.startswith(("classifier", "qa_outputs", "roberta.pooler")) for name in report["missing_keys"])
        assert all(name.startswith("lm_head.") for name in report["unexpected_keys"])
        assert not report["mismatched_keys"]


def test_there_and_back_are_the_same_bytes(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "hf")
    first = load_file(tmp_path / "hf" / "model.safetensors")
    model = import_weights(tmp_path / "hf")
    again = to_hugging_face(model.state_dict(), model.config, model.vocabulary)
    assert first.keys() == again.keys()
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert all(torch.equal(v, ours(run).state_dict()[k]) for k, v in model.state_dict().items())
    export(run, tmp_path / "again")
    for path in (tmp_path / "hf").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize("kind", ["XLMRoberta", "XLMRobertaXL"])
def test_import_and_export_give_transformers_own_bytes(kind: str, tmp_path: Path) -> None:
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=300, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=34, type_vocab_size=1,
    )  # fmt: skip
    theirs = getattr(transformers, f"{kind}ForMaskedLM")(config)
    torch.nn.init.normal_(theirs.roberta.embeddings.token_type_embeddings.weight)
    theirs.save_pretrained(tmp_path / "theirs")
    checkpoint = import_checkpoint(tmp_path / "theirs", tmp_path / "imported")
    assert checkpoint.step == 0
    export(tmp_path / "imported", tmp_path / "ours")
    names = [tmp_path / side / "model.safetensors" for side in ("theirs", "ours")]
    assert names[0].read_bytes() == names[1].read_bytes()
    card = (tmp_path / "ours" / "README.md").read_text()
    assert hashlib.sha256(names[0].read_bytes()).hexdigest() in card
    with pytest.raises(MismatchError, match="holds checkpoints already"):
        import_checkpoint(tmp_path / "theirs", tmp_path / "imported")


def test_a_run_starts_from_imported_weights(
    run: Path, tmp_path: Path, tokens: Path, small: Any, write_tokens: Any
) -> None:
    export(run, tmp_path / "hf")
    import_checkpoint(tmp_path / "hf", tmp_path / "imported")
    norm = find(run).manifest.settings["model.norm"]
    mine = small(f"model.norm={norm}", "optim.steps=2", f"run.start_from={tmp_path / 'imported'}")
    result = train(mine, tokens, tmp_path / "on")
    before = evaluate(run, tokens, {})
    assert result.validation_before == pytest.approx({code: facts["loss"] for code, facts in before.items()}, abs=1e-6)
    other = write_tokens(tmp_path / "tokens", {"en": 2000}, sha256="cd" * 32)
    with pytest.raises(MismatchError, match="was trained with the vocabulary abab.*, the tokens have cdcd"):
        train(small(f"model.norm={norm}", f"run.start_from={run}"), other, tmp_path / "other")
    with pytest.raises(MismatchError, match=r"start_from=.* has model\.width=32, this run has 64"):
        train(small(f"model.norm={norm}", "model.width=64", f"run.start_from={run}"), tokens, tmp_path / "other")


def test_missing_and_surplus_tensors_are_named(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "hf")
    tensors = load_file(tmp_path / "hf" / "model.safetensors")
    config = import_weights(tmp_path / "hf").config
    with pytest.raises(DataError, match="too many, extra among them"):
        from_hugging_face({**tensors, "extra": torch.zeros(1)}, config)
    del tensors["lm_head.dense.bias"]
    with pytest.raises(DataError, match=r"no tensor lm_head\.dense\.bias"):
        from_hugging_face(tensors, config)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"model_type": ', "", "config.json is no JSON"),
        ('  "num_hidden_layers"', '  "layers"', "config.json has no num_hidden_layers"),
        ('"hidden_act": "gelu"', '"hidden_act": "relu"', "hidden_act=relu; this model has gelu"),
        ('"intermediate_size": ', '"intermediate_size": 1', r"blocks\.0\.up\.weight as .*config\.json says"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(run: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    export(run, tmp_path / "hf")
    described = tmp_path / "hf" / "config.json"
    text = described.read_text()
    assert old in text
    described.write_text(text.replace(old, new))
    with pytest.raises((DataError, InputError), match=message):
        import_weights(tmp_path / "hf")


def test_others_may_read_the_weights_and_hear_of_a_damaged_checkpoint(run: Path, tmp_path: Path) -> None:
    copied, told = tmp_path / "run", list[str]()
    shutil.copytree(run, copied)
    whole = find(copied)
    shutil.copytree(whole.folder, whole.folder.with_name("step-99999999"))
    (whole.folder.with_name("step-99999999") / ".metadata").write_bytes(b"")
    export(copied, tmp_path / "hf", notice=told.append)
    assert len(told) == 1
    assert "step-99999999 is not whole and was passed over" in told[0]
    modes = {(tmp_path / "hf" / name).stat().st_mode for name in ("config.json", "model.safetensors")}
    assert len(modes) == 1


def test_tokenizer_and_card(tmp_path: Path, tokens: Path, small: Any, write_tokens: Any) -> None:
    vocabulary = tmp_path / "6-vocabulary"
    vocabulary.mkdir()
    for name in ("tokenizer.json", "sentencepiece.bpe.model"):
        (vocabulary / name).write_text(name)
    sha256 = hashlib.sha256(b"sentencepiece.bpe.model").hexdigest()
    made = write_tokens(tmp_path / "tokens", {"en": 2000, "sw": 900}, sha256=sha256)
    out = tmp_path / "run"
    result = train(small("optim.steps=2", "run.validate=false"), made, out)
    export(result.checkpoint, tmp_path / "hf", vocabulary)
    assert (tmp_path / "hf" / "tokenizer.json").read_text() == "tokenizer.json"
    card = (tmp_path / "hf" / "README.md").read_text()
    assert sha256 in card
    assert "| sw | 9" in card
    assert f"{result.parameters:,} parameters" in card
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["vocab_size"] == 300
    (vocabulary / "sentencepiece.bpe.model").write_text("another")
    with pytest.raises(MismatchError, match="was trained with"):
        export(result.checkpoint, tmp_path / "other", vocabulary)
    assert not (tmp_path / "other" / "export.json").exists()


def test_where_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no whole checkpoint"):
        export(tmp_path, tmp_path / "hf")
    with pytest.raises(InputError, match=r"no config\.json"):
        import_weights(tmp_path)
