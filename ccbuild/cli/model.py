"""The trainer: train, evaluate, export, import, plan, bench. torch is imported only here, when a command needs it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from ccbuild.cli.terminal import command, group, json_option, print_facts, print_results, settings_option, table_lines
from ccbuild.config import parse_override
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
    for add_one in (_add_train, _add_evaluate, _add_export, _add_import, _add_plan, _add_bench, _add_finetune):
        add_one(model)


def _add_train(model: Any) -> None:
    made = command(
        model,
        "train",
        _train,
        "Train a masked language model; under torchrun, one process a GPU.",
        f"torchrun --nproc-per-node 8 -m ccbuild model train --preset base --tokens runs/mine/{_TOKENS} --out model",
    )
    made.add_argument("--tokens", required=True, help="folder of token shards")
    made.add_argument("--out", required=True, help="folder of checkpoints; the same command again goes on")
    json_option(made)
    _preset_options(made, "optim.steps=1000")


def _add_evaluate(model: Any) -> None:
    made = command(
        model,
        "evaluate",
        _evaluate,
        "Loss and bits per byte of each language, on the blocks that are held out.",
        f"ccbuild model evaluate runs/demo/{_MODEL} --tokens runs/demo/{_TOKENS}",
    )
    made.add_argument("checkpoint", help="checkpoint folder, or the folder of a run or an import: its newest")
    made.add_argument("--tokens", required=True, help="folder of token shards")
    json_option(made)
    settings_option(made, "data.validation_blocks=64")


def _add_export(model: Any) -> None:
    made = command(
        model,
        "export",
        _export,
        "A Hugging Face directory of a checkpoint.",
        f"ccbuild model export runs/demo/{_MODEL} --vocab runs/demo/{FOLDERS['vocab']} --out hf",
    )
    made.add_argument("checkpoint", help="checkpoint folder, or the folder of a training run: its newest")
    made.add_argument("--vocab", help="folder of the vocabulary; without it only the model is written")
    made.add_argument("--out", required=True, help="folder to write")
    json_option(made)


def _add_import(model: Any) -> None:
    made = command(
        model,
        "import",
        _import,
        "A checkpoint of the weights in a Hugging Face directory, to start from or to evaluate.",
        "ccbuild model import xlm-roberta-base --out imported",
    )
    made.add_argument("folder", help="directory with config.json and model.safetensors")
    made.add_argument("--out", required=True, help="then: --set run.start_from=OUT")
    json_option(made)


def _add_plan(model: Any) -> None:
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
    json_option(made)
    settings_option(made, "optim.batch=4096")


def _add_bench(model: Any) -> None:
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
    json_option(made)
    _preset_options(made, "optim.batch=64")


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
    json_option(made)
    settings_option(made, "setting=translate-train-all")


def _preset_options(made: argparse.ArgumentParser, example: str) -> None:
    made.add_argument("--preset", default="base", help="tiny, base, large, xl, xxl, or the path of a YAML file")
    settings_option(made, example)


def _train(options: argparse.Namespace) -> int:
    result = train_model(options.preset, options.set, Path(options.tokens), Path(options.out))
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes, one speaks
        print_facts(json.loads(json.dumps(result, default=str)), options.json)
    return 0


def _export(options: argparse.Namespace) -> int:
    manifest = room("hf").export(options.checkpoint, options.out, options.vocab, note)
    print_facts({"out": options.out, "files": sorted(manifest.outputs)}, options.json)
    return 0


def _import(options: argparse.Namespace) -> int:
    checkpoint = room("hf").import_checkpoint(options.folder, options.out)
    facts = {"checkpoint": str(checkpoint.folder), "parameters": checkpoint.manifest.facts["parameters"]}
    print_facts(facts, options.json)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    overrides = map(parse_override, options.set)
    result = room("evaluate").evaluate(options.checkpoint, options.tokens, dict(overrides), note)
    if not result:
        raise InputError("No language has held-out blocks. Take --set data.validation_blocks=8, or more text.")
    if options.json:
        print(json.dumps({"languages": result}))
        return 0
    columns = {"language": "lang", "loss": "loss:.3f", "bits/byte": "bits_per_byte:.3f"}
    columns |= {"masked tokens": "masked_tokens:,"}
    print_results(({"lang": code, **facts} for code, facts in result.items()), False, columns)
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


_AT = {"MFU": "share", "s/update": "seconds_per_update:.3f", "days": "days:.2f", "GPU-hours": "gpu_hours:,.0f"}
_AT |= {"money": "money:,.0f"}
_MEMORY = {"": "way", "states": "weights_gradients_moments:.1f", "copies": "copies_and_gathered:.1f"}
_MEMORY |= {"activations": "activations:.1f", "loss": "loss:.1f", "all": "total:.1f"}


def _memory(way: str, parts: dict[str, float]) -> dict[str, Any]:
    """GB of the parts."""
    return {"way": way, **{part: nbytes / 1e9 for part, nbytes in parts.items()}}


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
        "at a share of the peak (goals: not measured on a GPU yet)",
        *table_lines(({"share": share, **at} for share, at in p["at"].items()), _AT),
        "",
        "estimated memory of a GPU, in GB",
        *table_lines((_memory(way, parts) for way, parts in p["memory"].items()), _MEMORY),
    ]
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
    rows = [
        {"language": code, "score": sum(values) / count, "interval": others.interval(values)}
        for code in ours[0]
        for values in [[run[code] for run in ours]]
    ]
    rows.append({"language": "average", "score": sum(run["average"] for run in runs) / count})
    print_results(rows, False, {"language": "language", "score": "score:.2f", "±": "interval:.2f"})
    columns = {"language": "language", "ours": "ours:.2f", "theirs": "theirs:.2f", "less": "difference:.2f"}
    for row in against:
        print(f"\nagainst {row['model']} ({row['source']})")
        print_results(row["lines"], False, {**columns, "±": "interval:.2f"})
    return 0
