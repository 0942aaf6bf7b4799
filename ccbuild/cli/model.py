"""The trainer: train, evaluate, export, import, plan, bench. torch is imported only here, when a command needs it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import yaml

from ccbuild.cli.terminal import command, group, settings_option
from ccbuild.config import apply_overrides
from ccbuild.door import room, train_model
from ccbuild.errors import InputError
from ccbuild.progress import note
from ccbuild.rundir import FOLDERS
from ccbuild.tokens import open_tokens

__all__ = ["add"]

_TOKENS, _MODEL = FOLDERS["encode"], FOLDERS["train"]
XLMR_VOCABULARY = 250_002
"""Ids of XLM-R's vocabulary, specials and <mask> included."""


def add(commands: Any) -> None:
    """These commands."""
    model = group(commands, "model", "The trainer of masked language models.")
    made = command(
        model,
        "train",
        _train,
        "Train a masked language model; under torchrun, one process a GPU.",
        f"torchrun --nproc-per-node 8 -m ccbuild model train --preset base --tokens runs/mine/{_TOKENS} --out model",
    )
    made.add_argument("--tokens", required=True, help="folder of token shards")
    made.add_argument("--out", required=True, help="folder of checkpoints; the same command again goes on")
    _preset_options(made, "optim.steps=1000")
    made = command(
        model,
        "evaluate",
        _evaluate,
        "Loss and bits per byte of each language, on the blocks that are held out.",
        f"ccbuild model evaluate runs/demo/{_MODEL} --tokens runs/demo/{_TOKENS}",
    )
    made.add_argument("checkpoint", help="checkpoint folder, or the folder of a run or an import: its newest")
    made.add_argument("--tokens", required=True, help="folder of token shards")
    made.add_argument("--json", action="store_true", help="one JSON object")
    settings_option(made, "data.validation_blocks=64")
    made = command(
        model,
        "export",
        _export,
        "A Hugging Face directory of a checkpoint.",
        f"ccbuild model export runs/demo/{_MODEL} --vocab runs/demo/{FOLDERS['vocab']} --out hf",
    )
    made.add_argument("checkpoint", help="checkpoint folder, or the folder of a training run: its newest")
    made.add_argument("--vocab", help="folder of the vocabulary; without it only the model is written")
    made.add_argument("--out", required=True)
    made = command(
        model,
        "import",
        _import,
        "A checkpoint of the weights in a Hugging Face directory, to start from or to evaluate.",
        "ccbuild model import xlm-roberta-base --out imported",
    )
    made.add_argument("folder", help="directory with config.json and model.safetensors")
    made.add_argument("--out", required=True, help="then: --set run.start_from=OUT")
    made = command(
        model,
        "plan",
        _plan,
        "Operations, memory, hours and money that a run would take. Needs no GPU.",
        "ccbuild model plan base --gpus 8 --schedule short",
    )
    made.add_argument("preset", help="tiny, base, large, xl, xxl, or the path of a YAML file")
    made.add_argument("--vocabulary", type=int, default=XLMR_VOCABULARY, help="ids (default %(default)s)")
    made.add_argument("--gpus", type=int, default=8)
    made.add_argument("--peak", type=float, default=None, help="dense peak of a GPU in TFLOP/s (default: an H100's)")
    made.add_argument("--price", type=float, default=None, help="of a GPU for an hour (the default is assumed)")
    made.add_argument("--schedule", choices=("repro", "short"), default="repro", help="short: 50,000 updates")
    made.add_argument("--gpu-hours", type=float, help="as many updates as fit at 40%% of the peak")
    made.add_argument("--tokens", help="folder of token shards: tells how often each language would be read")
    made.add_argument("--json", action="store_true", help="one JSON object")
    settings_option(made, "optim.batch=4096")
    made = command(
        model,
        "bench",
        _bench,
        "Speed and memory of a step here, beside transformers' model in its Trainer.",
        "ccbuild model bench --preset base --set optim.batch=64",
    )
    made.add_argument("--vocabulary", type=int, default=XLMR_VOCABULARY, help="ids (default %(default)s)")
    made.add_argument("--steps", type=int, default=5, help="updates that are measured, after one that is not")
    made.add_argument("--no-peer", action="store_true", help="leave transformers out")
    made.add_argument("--json", action="store_true", help="one JSON object")
    _preset_options(made, "optim.batch=64")
    _add_finetune(model)


def _add_finetune(model: Any) -> None:
    made = command(
        model,
        "finetune",
        _finetune,
        "Fine-tune an exported model on a downstream task as published, and score it.",
        f"ccbuild model finetune --task xnli data/xnli --model runs/demo/{_MODEL}/hf --against published",
    )
    made.add_argument("folder", help="data of the task, unpacked as it is published")
    made.add_argument("--task", required=True, choices=("xnli", "ner", "qa", "glue"))
    made.add_argument("--model", required=True, help="Hugging Face directory with a tokenizer")
    made.add_argument("--recipe", help="authors or xtreme (xnli), xtreme (ner, qa), roberta (glue)")
    made.add_argument("--seeds", default="1", help="one run each, for example 1,2,3,4,5")
    made.add_argument("--out", help="keeps the fine-tuned model of the last seed")
    made.add_argument("--against", choices=("published",), help="print what others published beside it")
    made.add_argument("--json", action="store_true", help="one JSON object")
    settings_option(made, "setting=translate-train-all")


def _preset_options(made: argparse.ArgumentParser, example: str) -> None:
    made.add_argument("--preset", default="base", help="tiny, base, large, xl, xxl, or the path of a YAML file")
    settings_option(made, example)


def _train(options: argparse.Namespace) -> int:
    result = train_model(options.preset, options.set, Path(options.tokens), Path(options.out))
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes, one speaks
        print(json.dumps(result, default=str))
    return 0


def _export(options: argparse.Namespace) -> int:
    manifest = room("hf").export(options.checkpoint, options.out, options.vocab, note)
    print(json.dumps({"out": options.out, "files": sorted(manifest.outputs)}))
    return 0


def _import(options: argparse.Namespace) -> int:
    checkpoint = room("hf").import_checkpoint(options.folder, options.out)
    print(json.dumps({"checkpoint": str(checkpoint.folder), "parameters": checkpoint.manifest.facts["parameters"]}))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    overrides = {key: yaml.safe_load(value) for key, _, value in (text.partition("=") for text in options.set)}
    apply_overrides({}, options.set)  # refuses what is no KEY=VALUE
    result = room("evaluate").evaluate(options.checkpoint, options.tokens, overrides, note)
    if not result:
        raise InputError("No language has held-out blocks. Take --set data.validation_blocks=8, or more text.")
    if options.json:
        print(json.dumps({"languages": result}))
        return 0
    print(f"{'language':<12}{'loss':>8}{'bits/byte':>11}{'masked tokens':>15}")
    for code, facts in result.items():
        bits = f"{facts['bits_per_byte']:.3f}" if "bits_per_byte" in facts else "-"
        print(f"{code:<12}{facts['loss']:>8.3f}{bits:>11}{facts['masked_tokens']:>15,}")
    return 0


def _plan(options: argparse.Namespace) -> int:
    rooms = room("plan")
    config = room("config").load_preset(options.preset, options.set)
    chosen = {"gpus": options.gpus, "peak_tflops": options.peak, "price": options.price}
    machine = rooms.Machine(**{key: value for key, value in chosen.items() if value is not None})
    tokens = open_tokens(options.tokens) if options.tokens else None
    vocabulary = tokens.vocabulary_size if tokens else options.vocabulary
    figures = rooms.plan(
        config, vocabulary, machine, schedule=options.schedule, gpu_hours=options.gpu_hours, tokens=tokens
    )
    print(json.dumps(figures) if options.json else _plan_text(figures))
    return 0


def _plan_text(p: dict[str, Any]) -> str:
    """The figures for a person."""
    lines = [
        f"{p['parameters']:,} parameters with {p['vocabulary']:,} pieces",
        f"{p['flops_per_token'] / 1e9:.4f} GFLOP a token, forward and backward "
        f"(every position against the vocabulary: {p['flops_per_token_all_positions'] / 1e9:.4f})",
        f"{p['tokens_per_update']:,} tokens an update: {p['flops_per_update'] / 1e15:.3f} PFLOP",
        f"at least {p['floor_seconds_per_update']:.3f} s an update on {p['gpus']} GPUs of {p['peak_tflops']:g} TFLOP/s",
        f"schedule {p['schedule']}: {p['updates']:,} updates, {p['tokens'] / 1e9:,.1f} billion tokens",
        "",
        f"{'MFU':<6}{'s/update':>10}{'days':>9}{'GPU-hours':>12}{'money':>13}   (goals: not measured on a GPU yet)",
    ]
    for share, at in p["at"].items():
        lines.append(
            f"{share:<6}{at['seconds_per_update']:>10.3f}{at['days']:>9.2f}{at['gpu_hours']:>12,.0f}{at['money']:>13,.0f}"
        )
    lines += ["", f"{'GB a GPU (estimates)':<22}{'states':>9}{'copies':>9}{'activations':>13}{'loss':>8}{'all':>8}"]
    for way, parts in p["memory"].items():
        figures = [parts[k] / 1e9 for k in ("weights_gradients_moments", "copies_and_gathered", "activations", "loss")]
        states, copies, activations, loss = figures
        lines.append(
            f"{way:<22}{states:>9.1f}{copies:>9.1f}{activations:>13.1f}{loss:>8.1f}{parts['total'] / 1e9:>8.1f}"
        )
    if "repeats" in p:
        times = sorted(p["repeats"].items(), key=lambda item: -item[1])
        lines += ["", "times that each language is read: " + ", ".join(f"{code} {n:.2f}" for code, n in times)]
    return "\n".join(lines)


def _bench(options: argparse.Namespace) -> int:
    if options.steps < 1:
        raise InputError(f"--steps is {options.steps}; it must be at least 1.")
    config = room("config").load_preset(options.preset, [*_anywhere(), *options.set])
    figures = room("bench").bench(config, options.vocabulary, steps=options.steps, peer=not options.no_peer)
    print(json.dumps(figures) if options.json else _bench_text(figures))
    return 0


def _anywhere() -> list[str]:
    """A bench runs where it is: a preset that wants CUDA is measured on the CPU where there is none."""
    return ["run.device=auto"]


def _bench_text(figures: dict[str, Any]) -> str:
    """The figures for a person."""
    lines = []
    for side in ("ours", "transformers"):
        if side in figures:
            f = figures[side]
            low, high = f["spread"]
            lines.append(
                f"{side:<13}{f['seconds_per_step']:.3f} s a step ({low:.3f} to {high:.3f}), "
                f"{f['tokens_per_second']:,.0f} tokens/s, {f['tflops']:.4f} TFLOP/s, "
                f"peak {f['peak_bytes'] / 1e9:.2f} GB"
            )
    ours = figures["ours"]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in ours["share_of_the_step"].items())
    lines.append(f"share of our step: {shares}")
    lines.append(
        f"of the peak measured here ({ours['measured_peak_tflops']:.3f} TFLOP/s): {ours['mfu_of_measured_peak']:.0%}"
        + (f"; of an H100's data sheet: {ours['mfu_of_data_sheet']:.0%}" if "mfu_of_data_sheet" in ours else "")
    )
    if "times_faster" in figures:
        lines.append(f"{figures['times_faster']:.2f} times faster, {figures['memory_ratio']:.2f} times less memory")
    where = f"{ours['device']}, torch {ours['torch']}, {ours['threads']} threads"
    lines.append(
        f"measured on: {where}"
        + (". It has not run on a GPU: speed and MFU there remain goals" if ours["device"] == "cpu" else "")
    )
    return "\n".join(lines)


def _finetune(options: argparse.Namespace) -> int:
    rooms, others = room("finetune"), room("published")
    config = rooms.recipe(options.task, options.recipe, options.set)
    try:
        seeds = [int(seed) for seed in options.seeds.split(",")]
    except ValueError as error:
        raise InputError(f"--seeds is {options.seeds!r}; give whole numbers with commas: 1,2,3.") from error
    theirs = others.published(options.task, setting=config.setting) if options.against else []
    runs = [
        rooms.finetune(options.model, options.task, options.folder, config, seed=seed, out=options.out, tell=note)
        for seed in seeds
    ]
    ours = [run["scores"] for run in runs]
    against = [{**dataclasses.asdict(row), "lines": others.compare(ours, row)} for row in theirs]
    if options.json:
        print(json.dumps({"runs": runs, "against": against}))
        return 0
    metric, count = runs[0]["metric"], len(runs)
    print(f"{options.task}, {config.setting}, checkpoint by {config.select}, {metric} in per cent, {count} seed(s)")
    for language in ours[0]:
        values = [run[language] for run in ours]
        print(f"{language:<10}{sum(values) / count:>8.2f}{_half(others.interval(values))}")
    print(f"{'average':<10}{sum(run['average'] for run in runs) / count:>8.2f}")
    for row in against:
        print(f"\nagainst {row['model']} ({row['source']})\n{'':<10}{'ours':>8}{'theirs':>8}{'less':>8}")
        for line in row["lines"]:
            figures = "".join(f"{line[key]:>8.2f}" for key in ("ours", "theirs", "difference"))
            print(f"{line['language']:<10}{figures}{_half(line['interval'])}")
    return 0


def _half(interval: float | None) -> str:
    """The interval over seeds, where there is more than one."""
    return "" if interval is None else f" ± {interval:.2f}"
