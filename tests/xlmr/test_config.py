from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import pytest

import xlmr
from ccbuild.errors import ConfigError, InputError
from xlmr.config import (
    DataConfig,
    ModelConfig,
    OptimConfig,
    PhaseConfig,
    RunConfig,
    TrainConfig,
    load_preset,
    preset_names,
)

SOURCE = Path(xlmr.__file__).parent


def test_every_preset_loads() -> None:
    assert preset_names() == ["base", "large", "tiny", "xl", "xxl"]
    for name in preset_names():
        config = load_preset(name)
        assert config.optim.warmup_steps < config.optim.steps


def test_overrides_and_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("model: {layers: 3}\n")
    config = load_preset(path, ["optim.learning_rate=1e-4", "data.languages=[sw, en]"])
    assert (config.model.layers, config.optim.learning_rate) == (3, 1e-4)
    assert config.data.languages == ("sw", "en")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.width=100", "multiple of model.heads"),
        ("data.seq_len=600", "model.positions=602"),
        ("optim.stepps=1", "steps"),
        ("data.mask_share=0.95", "add up"),
        ("optim.warmup_steps=99999999", "within optim.steps"),
        ("run.micro_batch=0", "at least 1"),
        ("optim.schedule=wsd", "decay_steps=0 must be at least 1"),
        ("optim.spike=0.5", "more than 1"),
        ("data.phases=[{start: 5}]", "the first starts at 0"),
        ("data.phases=[{start: 0}, {start: 0}]", "each later"),
        ("data.phases=[{start: 0, mask_prob: 1.5}]", r"phases\[0\].mask_prob is 1.5"),
        ("data.phases=[{start: 0, begin: 1}]", "no key 'begin'"),
        ("data.pair_share=0", "between 0 and 1"),
    ],
)
def test_bad_settings_are_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_preset("base", [override])


def test_an_unknown_preset_names_the_known() -> None:
    with pytest.raises(InputError, match="base, large, tiny, xl, xxl"):
        load_preset("huge")


def test_phases_are_settings() -> None:
    config = load_preset("base", ["data.phases=[{start: 0, alpha: 0.7, mask_prob: 0.3}, {start: 9, languages: [sw]}]"])
    assert [p.alpha for p in config.data.schedule()] == [0.7, 0.3]
    assert config.data.slots == int(0.3 * 510) + 1
    assert config.settings()["data.phases"][0]["mask_prob"] == 0.3
    with pytest.raises(ConfigError, match="fairseq knows no data.phases"):
        load_preset("base", ["data.phases=[{start: 0}]", "data.sampling=fairseq"])


def test_settings_leave_out_what_only_says_where() -> None:
    settings = TrainConfig().settings()
    assert "run.seed" in settings
    assert "run.precision" in settings
    assert not {"run.keep", "run.micro_batch", "run.device"} & settings.keys()


def test_every_field_is_read_somewhere() -> None:
    read = set()
    for path in SOURCE.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # a field that only its own checks look at is read nowhere
        checks = [n for f in ast.walk(tree) if getattr(f, "name", "") == "__post_init__" for n in ast.walk(f)]
        read |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n not in checks}
    for cls in (ModelConfig, DataConfig, PhaseConfig, OptimConfig, RunConfig):
        for entry in fields(cls):
            assert entry.name in read, f"{cls.__name__}.{entry.name} is read nowhere"


def test_the_package_imports_nothing_heavy_and_only_its_rooms() -> None:
    allowed = {"errors", "config", "storage", "tokens", "vocab", "ledger", "lock"}
    for path in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ccbuild"):
                assert node.module.split(".")[1] in allowed, f"{path.name}: {node.module}"
    assert not [n for n in ast.parse((SOURCE / "__init__.py").read_text()).body if isinstance(n, ast.Import)]


def test_the_path_of_a_step_reads_in_an_evening() -> None:
    names = ["counter", "order", "blocks", "data", "masking", "model", "loss", "optim", "loop"]
    assert sum(len((SOURCE / f"{name}.py").read_text().splitlines()) for name in names) < 1200
