"""The trainer: train, export. torch is imported only here, and only when a command needs it."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccbuild.cli.terminal import Bar, command, group, note, settings_option
from ccbuild.errors import InputError

__all__ = ["add", "train_model"]


def add(commands: Any) -> None:
    """These commands."""
    model = group(commands, "model", "The trainer of masked language models.")
    made = command(
        model,
        "train",
        _train,
        "Train a masked language model; under torchrun, one process a GPU.",
        "torchrun --nproc-per-node 8 -m ccbuild model train --preset base --tokens runs/mine/7-tokens --out model",
    )
    made.add_argument("--tokens", required=True, help="folder of token shards")
    made.add_argument("--out", required=True, help="folder of checkpoints; the same command again goes on")
    made.add_argument("--preset", default="base", help="tiny, base, large, xl, xxl, or the path of a YAML file")
    settings_option(made, "optim.steps=1000")
    made = command(
        model,
        "export",
        _export,
        "A Hugging Face directory of a checkpoint.",
        "ccbuild model export runs/demo/8-model --vocab runs/demo/6-vocabulary --out hf",
    )
    made.add_argument("checkpoint", help="checkpoint folder, or the folder of a training run: its newest")
    made.add_argument("--vocab", help="folder of the vocabulary; without it only the model is written")
    made.add_argument("--out", required=True)


def check_preset(preset: str, overrides: Sequence[str]) -> None:
    """Raise now what `train_model` would raise of its configuration after hours of other work."""
    try:
        from xlmr.config import load_preset
    except ModuleNotFoundError as error:
        raise InputError(f"The trainer needs {error.name}. Install it: pip install 'ccbuild[train]'.") from error
    load_preset(preset, overrides)


def train_model(preset: str, overrides: Sequence[str], tokens: Path, out: Path) -> dict[str, Any]:
    """Train, with a bar; returns what the result says of itself."""
    try:
        from xlmr.config import load_preset
        from xlmr.train import train
    except ModuleNotFoundError as error:
        raise InputError(f"The trainer needs {error.name}. Install it: pip install 'ccbuild[train]'.") from error
    config = load_preset(preset, overrides)
    bar = Bar("train", "step")

    def progress(news: Any) -> None:
        if isinstance(news, str):
            note(news)
        else:
            bar.to(news.step, news.steps, _state(news))

    try:
        result = train(config, tokens, out, progress=progress)
    finally:
        bar.close()
    facts: dict[str, Any] = dataclasses.asdict(result)
    return facts


def _state(news: Any) -> str:
    """What stands beside the bar: speed, loss, and the languages at its two ends."""
    ends = sorted(news.languages, key=lambda code: float(news.languages[code]))
    shown = [ends[0], ends[-1]] if len(ends) > 1 else ends
    by_language = " ".join(f"{code} {news.languages[code]:.2f}" for code in shown)
    loss = "-" if news.loss is None else f"{news.loss:.3f}"
    skipped = f", {news.skipped} skipped" if news.skipped else ""
    return f"loss {loss} ({by_language}), {news.tokens_per_second:,.0f} tokens/s{skipped}"


def _train(options: argparse.Namespace) -> int:
    print(json.dumps(train_model(options.preset, options.set, Path(options.tokens), Path(options.out)), default=str))
    return 0


def _export(options: argparse.Namespace) -> int:
    try:
        from xlmr.hf import export
    except ModuleNotFoundError as error:
        raise InputError(f"The trainer needs {error.name}. Install it: pip install 'ccbuild[train]'.") from error
    manifest = export(options.checkpoint, options.out, options.vocab)
    print(json.dumps({"out": options.out, "files": sorted(manifest.outputs)}))
    return 0
