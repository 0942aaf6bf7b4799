"""To and from a Hugging Face directory: XLM-RoBERTa for post-LayerNorm, XLM-RoBERTa-XL for pre-LayerNorm.

Only names and shapes change: the fused query, key, value are three matrices there, the embedding has no padding, and
the head's matrix is the embedding, which is written once.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ccbuild.config import from_mapping
from ccbuild.errors import DataError, InputError, MismatchError
from ccbuild.ledger import Ledger
from ccbuild.storage import Manifest, Unit, sha256_file
from xlmr.checkpoint import Checkpoint, Saver, find, open_step
from xlmr.config import DataConfig, ModelConfig, TrainConfig, section
from xlmr.model import PADDED_TO, MaskedLM, parameter_count

__all__ = [
    "TOKENIZER_FILES",
    "export",
    "from_hugging_face",
    "hugging_face_config",
    "import_checkpoint",
    "import_weights",
    "model_config",
    "to_hugging_face",
]

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "sentencepiece.bpe.model")
"""Names of a tokenizer's files in a Hugging Face directory; those that are there are copied."""

_EMBEDDINGS = "roberta.embeddings."
_LAYER = "roberta.encoder.layer.{}."
_IGNORED = ("lm_head.decoder.", "roberta.pooler.", "roberta.embeddings.position_ids")
"""Tensors of released files that are copies or no part of a masked language model."""


def export(
    checkpoint_folder: str | Path,
    out_folder: str | Path,
    tokenizer_files: str | Path | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Write a Hugging Face directory of a checkpoint (or of a run's newest), with its tokenizer and a model card.

    `tokenizer_files` is the folder that holds `TOKENIZER_FILES`; None writes the model alone. The same checkpoint gives
    the same bytes. `notice` is told of a newer checkpoint that is not whole. Raises `InputError` where there is no
    checkpoint or no tokenizer.json, `MismatchError` for a tokenizer of another vocabulary.
    """
    checkpoint = find(Path(checkpoint_folder), notice)
    made = checkpoint.manifest
    config = model_config(made.settings)
    vocabulary = int(made.inputs["vocabulary_size"])
    inputs = {"checkpoint": made.outputs[".metadata"]["sha256"], "step": checkpoint.step}
    tensors = to_hugging_face(checkpoint.weights(), config, vocabulary)
    with Unit(out_folder, "export", "export", settings=made.settings, inputs=inputs) as unit:
        for source in _tokenizer(tokenizer_files, made):
            shutil.copyfile(source, unit.path(source.name))
        save_file(tensors, unit.path("model.safetensors"), metadata={"format": "pt"})
        described = json.dumps(hugging_face_config(config, vocabulary), indent=2, sort_keys=True) + "\n"
        unit.path("config.json").write_text(described, encoding="utf-8")
        shutil.copymode(unit.path("config.json"), unit.path("model.safetensors"))  # which nobody else could read
        unit.path("README.md").write_text(_card(made), encoding="utf-8")
        return unit.commit(Ledger(), facts=made.facts)


def model_config(settings: Mapping[str, Any]) -> ModelConfig:
    """The model section of a checkpoint's flat settings."""
    return from_mapping(ModelConfig, section(settings, "model"), "model")


def hugging_face_config(config: ModelConfig, vocabulary: int) -> dict[str, Any]:
    """What stands in ``config.json``."""
    large = config.norm == "pre"
    return {
        "architectures": ["XLMRobertaXLForMaskedLM" if large else "XLMRobertaForMaskedLM"],
        "model_type": "xlm-roberta-xl" if large else "xlm-roberta",
        "vocab_size": vocabulary,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.ffn,
        "hidden_act": "gelu",
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "max_position_embeddings": config.positions,
        "type_vocab_size": 1,
        "initializer_range": config.init_std,
        "layer_norm_eps": config.layer_norm_eps,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }


def _names(config: ModelConfig) -> dict[str, str]:
    """Our module or tensor to theirs, but for the embedding, the bias and the fused projections."""
    large = config.norm == "pre"
    names = {
        "positions": _EMBEDDINGS + "position_embeddings.weight",
        "segment": _EMBEDDINGS + "token_type_embeddings.weight",
    }
    modules = {"head": "lm_head.dense", "head_norm": "lm_head.layer_norm"}
    modules |= {"final_norm": "roberta.encoder.LayerNorm"} if large else {"embedding_norm": _EMBEDDINGS + "LayerNorm"}
    for i in range(config.layers):
        ours, theirs = f"blocks.{i}.", _LAYER.format(i)
        modules |= {
            ours + "out": theirs + "attention.output.dense",
            ours + "attention_norm": theirs
            + ("attention.self_attn_layer_norm" if large else "attention.output.LayerNorm"),
            ours + "up": theirs + "intermediate.dense",
            ours + "down": theirs + "output.dense",
            ours + "ffn_norm": theirs + ("LayerNorm" if large else "output.LayerNorm"),
        }
    return names | {f"{a}.{kind}": f"{b}.{kind}" for a, b in modules.items() for kind in ("weight", "bias")}


def to_hugging_face(weights: Mapping[str, Tensor], config: ModelConfig, vocabulary: int) -> dict[str, Tensor]:
    """Our tensors under their names, float32, contiguous."""
    result = {theirs: weights[ours] for ours, theirs in _names(config).items()}
    result[_EMBEDDINGS + "word_embeddings.weight"] = weights["embedding"][:vocabulary]
    result["lm_head.bias"] = weights["bias"][:vocabulary]
    for i in range(config.layers):
        for kind in ("weight", "bias"):
            parts = weights[f"blocks.{i}.qkv.{kind}"].chunk(3)
            for name, part in zip(("query", "key", "value"), parts, strict=True):
                result[f"{_LAYER.format(i)}attention.self.{name}.{kind}"] = part
    return {name: result[name].float().clone() for name in sorted(result)}


def from_hugging_face(tensors: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """The inverse of :func:`to_hugging_face`; `DataError` names a tensor that is missing or too many."""
    left = {name: tensor for name, tensor in tensors.items() if not name.startswith(_IGNORED)}

    def take(name: str) -> Tensor:
        if name not in left:
            raise DataError(f"The weights have no tensor {name}. Give those of a masked language model of this family.")
        return left.pop(name).float()

    result = {ours: take(theirs) for ours, theirs in _names(config).items()}
    for ours, theirs in (("embedding", _EMBEDDINGS + "word_embeddings.weight"), ("bias", "lm_head.bias")):
        tensor = take(theirs)
        missing = -len(tensor) % PADDED_TO
        result[ours] = torch.cat([tensor, tensor.new_zeros(missing, *tensor.shape[1:])])
    for i in range(config.layers):
        for kind in ("weight", "bias"):
            parts = [take(f"{_LAYER.format(i)}attention.self.{name}.{kind}") for name in ("query", "key", "value")]
            result[f"blocks.{i}.qkv.{kind}"] = torch.cat(parts)
    if left:
        raise DataError(
            f"The weights have {len(left)} tensors too many, {min(left)} among them. Check their kind of model."
        )
    return result


def import_weights(folder: str | Path) -> MaskedLM:
    """The model in a Hugging Face directory with ``model.safetensors``, ready to go on or to be compared."""
    source = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (source / name).is_file():
            raise InputError(f"{source} has no {name}. Name a Hugging Face directory with safetensors weights.")
    try:
        described = json.loads((source / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{source / 'config.json'} is no JSON ({error}). Fetch it again.") from error
    kinds = {"xlm-roberta": "post", "xlm-roberta-xl": "pre"}
    if described.get("model_type") not in kinds or described.get("type_vocab_size") != 1:
        raise InputError(
            f"{source} is a {described.get('model_type')}; this reads {' and '.join(kinds)} with one token type."
        )
    if described.get("hidden_act", "gelu") != "gelu":
        raise InputError(f"{source} has hidden_act={described['hidden_act']}; this model has gelu and no other.")
    try:
        vocabulary = int(described["vocab_size"])
        config = ModelConfig(
            layers=described["num_hidden_layers"],
            width=described["hidden_size"],
            heads=described["num_attention_heads"],
            ffn=described["intermediate_size"],
            positions=described["max_position_embeddings"],
            norm="pre" if kinds[described["model_type"]] == "pre" else "post",
            dropout=described["hidden_dropout_prob"],
            attention_dropout=described["attention_probs_dropout_prob"],
            layer_norm_eps=described["layer_norm_eps"],
            init_std=described["initializer_range"],
        )
    except KeyError as error:
        raise DataError(f"{source / 'config.json'} has no {error.args[0]}. Use the file as published.") from error
    try:
        tensors = load_file(source / "model.safetensors")
    except (SafetensorError, OSError) as error:
        raise DataError(f"{source / 'model.safetensors'} cannot be read ({error}). Fetch it again.") from error
    model, weights = MaskedLM(config, vocabulary), from_hugging_face(tensors, config)
    for name, parameter in model.named_parameters():
        if weights[name].shape != parameter.shape:
            raise DataError(
                f"The weights in {source} have {name} as {tuple(weights[name].shape)}, its config.json says "
                f"{tuple(parameter.shape)}. Give the two that belong together."
            )
    model.load_state_dict(weights)
    return model


def import_checkpoint(folder: str | Path, out: str | Path) -> Checkpoint:
    """A checkpoint of the weights in a Hugging Face directory: to start a run from, to evaluate, or to export again.

    Raises what :func:`import_weights` raises, and `MismatchError` where `out` holds checkpoints already.
    """
    root, source = Path(out) / "checkpoints", Path(folder)
    if root.is_dir() and any(root.glob("step-*")):
        raise MismatchError(f"{root} holds checkpoints already. Name a new --out.")
    model = import_weights(source)
    pieces = source / "sentencepiece.bpe.model"
    longest = model.config.positions - 2
    config = TrainConfig(model=model.config, data=DataConfig(seq_len=min(longest, DataConfig().seq_len)))
    inputs = {
        "vocabulary_size": model.vocabulary,
        "vocabulary_sha256": sha256_file(pieces) if pieces.is_file() else None,
        "model.safetensors": sha256_file(source / "model.safetensors"),
    }
    facts: dict[str, Any] = {
        "parameters": parameter_count(model.config, model.vocabulary),
        "loss": None,
        "tokens": 0,
        "shares": {},
    }
    weights = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    with Saver(root, keep=1) as saver:
        saver.save(0, weights, settings=config.settings(), inputs=inputs, facts=facts)
    return open_step(root, 0)


def _tokenizer(folder: str | Path | None, made: Manifest) -> list[Path]:
    """The tokenizer's files to copy, checked to be of the vocabulary that the model was trained with."""
    if folder is None:
        return []
    source = Path(folder)
    if not (source / "tokenizer.json").is_file():
        raise InputError(f"{source} has no tokenizer.json. Name the folder of the vocabulary.")
    model, trained = source / "sentencepiece.bpe.model", made.inputs["vocabulary_sha256"]
    if model.is_file() and trained is not None and sha256_file(model) != trained:
        raise MismatchError(
            f"{model} has the SHA-256 {sha256_file(model)}, the model was trained with {trained}. "
            "Name the folder of that vocabulary."
        )
    return [source / name for name in TOKENIZER_FILES if (source / name).is_file()]


def _card(made: Manifest) -> str:
    """A model card from the checkpoint's manifest: what the model is, what it read, how far it came."""
    settings, facts = made.settings, made.facts
    rows = "\n".join(
        f"| {code} | {made.inputs[f'tokens.{code}']:,} | {share:.4%} |"
        if f"tokens.{code}" in made.inputs
        else f"| {code}, {made.inputs[f'pairs.{code}']:,} aligned pairs | | {share:.4%} |"
        for code, share in facts["shares"].items()
    )
    shape = f"{settings['model.layers']} layers of width {settings['model.width']}, {settings['model.norm']}-LayerNorm"
    trained = (
        f"""Trained with ccbuild for {facts["step"]:,} of {settings["optim.steps"]:,} updates
of {settings["optim.batch"]:,} sequences of {settings["data.seq_len"]} tokens.
The loss of a masked token over the last updates was {facts["loss"]:.3f} nats.
The model was not evaluated on any task, and it may repeat what its web text holds.
"""
        if facts["step"]
        else f"""Not trained here: imported from weights with the SHA-256 `{made.inputs["model.safetensors"]}`.
"""
    )
    return f"""---
library_name: transformers
pipeline_tag: fill-mask
language:
- multilingual
---

# A masked language model over {len(facts["shares"])} languages

{facts["parameters"]:,} parameters: {shape}, {made.inputs["vocabulary_size"]:,} pieces.
{trained}
Vocabulary (SHA-256 of the SentencePiece model): `{made.inputs["vocabulary_sha256"]}`

| language | tokens | share of the training (alpha = {settings["data.alpha"]}) |
|---|---:|---:|
{rows}
"""
