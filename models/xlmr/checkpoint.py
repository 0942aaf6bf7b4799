"""Checkpoints: a folder each, committed last, verified before use, the newest few kept.

::

    checkpoints/step-00000200/model.safetensors       weights, float32, by our names
                              optimiser.safetensors   both moments of AdamW
                              checkpoint.json         the manifest: settings, tokens, SHA-256 of both; written last

Nothing else need be saved: the order of the data, the masks and dropout are functions of the step. Nothing is pickled.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ccbuild.config import differing_keys
from ccbuild.errors import DataError, InputError, MismatchError
from ccbuild.ledger import Ledger
from ccbuild.storage import Manifest, Unit, check_same, read_manifest, sha256_file

__all__ = ["Checkpoint", "find", "newest", "open_step", "save"]

WEIGHTS, MOMENTS = "model.safetensors", "optimiser.safetensors"
_NAME = "checkpoint"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose manifest is there."""

    folder: Path
    manifest: Manifest

    @property
    def step(self) -> int:
        """Updates that were done."""
        return int(self.manifest.facts["step"])

    def verify(self) -> None:
        """Hash every file; `DataError` names the first that is missing, cut short or changed."""
        for name, stated in self.manifest.outputs.items():
            path = self.folder / name
            if not path.is_file():
                raise DataError(f"{path} is missing.")
            if path.stat().st_size != stated["size"]:
                raise DataError(f"{path} has {path.stat().st_size} bytes, its manifest says {stated['size']}.")
            if sha256_file(path) != stated["sha256"]:
                raise DataError(f"{path} does not have the SHA-256 that its manifest states.")

    def weights(self) -> dict[str, Tensor]:
        """The model's tensors on the CPU."""
        return _load(self.folder / WEIGHTS)

    def moments(self) -> dict[str, Tensor]:
        """The optimiser's tensors on the CPU."""
        return _load(self.folder / MOMENTS)


def save(
    root: Path,
    step: int,
    weights: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
    *,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
    facts: Mapping[str, Any],
    keep: int,
) -> Checkpoint:
    """Write the checkpoint of `step` under `root`, then remove all but the `keep` newest."""
    folder = _folder(root, step)
    (folder / f"{_NAME}.json").unlink(missing_ok=True)  # one of the same step that did not verify
    with Unit(folder, "train", _NAME, settings=settings, inputs=inputs) as unit:
        for name, tensors in ((WEIGHTS, weights), (MOMENTS, moments)):
            cpu = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
            save_file(cpu, unit.path(name), metadata={"format": "pt"})
        manifest = unit.commit(Ledger(), facts={**facts, "step": step})
    for old in _folders(root)[:-keep]:
        (old / f"{_NAME}.json").unlink(missing_ok=True)  # first, so that a half-removed one is never taken
        shutil.rmtree(old)
    return Checkpoint(folder, manifest)


def open_step(root: Path, step: int) -> Checkpoint:
    """The checkpoint of `step` under `root`, not verified."""
    return _open(_folder(root, step))


def newest(
    root: Path, settings: Mapping[str, Any], inputs: Mapping[str, Any], notice: Callable[[str], None]
) -> Checkpoint | None:
    """The newest whole checkpoint under `root`; `notice` is told of each newer one that is not. None: there is none.

    Raises `MismatchError` with the key when the checkpoint was made with other settings or tokens.
    """
    for folder in reversed(_folders(root)):
        try:
            checkpoint = _open(folder)
            checkpoint.verify()
        except DataError as error:
            notice(f"{folder} is not whole and was passed over: {error} Training goes on from the one before.")
            continue
        _refuse_other(checkpoint, settings, inputs)
        return checkpoint
    return None


def find(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`, or the newest whole one in a run's folder; verified.

    Raises `InputError` where there is none.
    """
    if (folder / f"{_NAME}.json").is_file():
        checkpoint = _open(folder)
        checkpoint.verify()
        return checkpoint
    for candidate in reversed(_folders(folder) or _folders(folder / "checkpoints")):
        try:
            checkpoint = _open(candidate)
            checkpoint.verify()
        except DataError:
            continue
        return checkpoint
    raise InputError(f"{folder} holds no whole checkpoint. Name a run's folder (8-model) or one of its checkpoints.")


def _folder(root: Path, step: int) -> Path:
    return root / f"step-{step:08d}"


def _open(folder: Path) -> Checkpoint:
    manifest = read_manifest(folder / f"{_NAME}.json")
    if manifest is None:
        raise DataError("it has no manifest.")
    return Checkpoint(folder, manifest)


def _folders(root: Path) -> list[Path]:
    """Folders of checkpoints, whole or not, oldest first."""
    return sorted(p for p in root.glob("step-*") if p.is_dir() and p.name.removeprefix("step-").isdigit())


def _refuse_other(checkpoint: Checkpoint, settings: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """`MismatchError` unless the checkpoint was made with these settings and tokens."""
    manifest, path = checkpoint.manifest, checkpoint.folder / f"{_NAME}.json"
    check_same(path, manifest.settings, settings, "--set {key}={made}")
    differing = differing_keys(manifest.inputs, inputs)
    if differing:
        key, made, asked = differing[0]
        raise MismatchError(
            f"{path} was made from {key}={made}, the tokens now have {key}={asked} ({len(differing)} differ: "
            f"{', '.join(k for k, _, _ in differing[:5])}). Name the tokens it was made from, or start a new --out."
        )


def _load(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is not a safetensors file ({error}). Use another checkpoint.") from error
