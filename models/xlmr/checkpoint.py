"""Checkpoints: a folder each, written aside and then renamed, verified before use, the newest few kept.

::

    checkpoints/step-00000200/__0_0.distcp …     tensors as torch.distributed.checkpoint shards them, a file a rank
                              .metadata          which part of which tensor stands where
                              checkpoint.json    the manifest: settings, tokens, SHA-256 of every file
    checkpoints/.step-00000400.scratch/          one being written, or left by a process that was killed

A folder under its final name is whole. Tensors are ``model.NAME``, ``mean.NAME`` and ``square.NAME`` (AdamW's moments)
and the optimiser's few counters; the order of the data, the masks and dropout are functions of the step. The metadata
is a pickle, as torch has it, and who sends a checkpoint sends its manifest too: so a pickle is read that may make
nothing but the few classes of such metadata, and anything else is refused by its name.
"""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load as load_sharded
from torch.distributed.checkpoint.state_dict_saver import async_save

from ccbuild.config import differing_keys
from ccbuild.errors import DataError, InputError, MismatchError, StorageError
from ccbuild.ledger import Ledger
from ccbuild.storage import Manifest, check_same, read_manifest, sha256_file, write_bytes, write_json

__all__ = ["Checkpoint", "Saver", "find", "load", "newest", "open_step"]

_MANIFEST, _METADATA = "checkpoint.json", ".metadata"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that has its final name."""

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
        _Reader(self).read_metadata()

    def weights(self) -> dict[str, Tensor]:
        """The model's tensors, whole, on the CPU; call :meth:`verify` before."""
        shapes = _Reader(self).read_metadata().state_dict_metadata
        tensors = {
            name: torch.empty(cast(Any, facts).size) for name, facts in shapes.items() if name.startswith("model.")
        }
        with _alone():
            load_sharded(cast(Any, tensors), storage_reader=_Reader(self), no_dist=True)
        return {name.removeprefix("model."): tensor for name, tensor in tensors.items()}


_METADATA_CLASSES: Mapping[str, tuple[str, ...]] = {
    "torch": ("Size",),
    "torch.serialization": ("_get_layout",),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
    "torch.distributed.checkpoint.metadata": (
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    ),
}
"""What the metadata of tensors is made of, dtypes besides."""


class _Unpickler(pickle.Unpickler):
    """Makes what stands in `_METADATA_CLASSES`, and refuses to name anything else."""

    def find_class(self, module: str, name: str) -> Any:
        dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if not dtype and name not in _METADATA_CLASSES.get(module, ()):
            raise DataError(f"it names {module}.{name}, which no metadata of tensors needs")
        return super().find_class(module, name)


class _Reader(FileSystemReader):
    """Reads a checkpoint of anybody's: tensors alone, from the files that its manifest lists.

    Torch would unpickle the metadata, and whatever it declares to be no tensor, without asking.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint.folder)
        self._files = checkpoint.manifest.outputs.keys()

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        path = Path(self.path) / _METADATA
        try:
            metadata = _Unpickler(io.BytesIO(path.read_bytes())).load()
            if not isinstance(metadata, Metadata):
                raise DataError(f"it holds a {type(metadata).__name__}")
            for name, facts in metadata.state_dict_metadata.items():
                if not isinstance(facts, TensorStorageMetadata):
                    raise DataError(f"{name} is no tensor")
            for place in metadata.storage_data.values():
                if place.relative_path not in self._files:
                    raise DataError(f"it leads to {place.relative_path!r}, which the manifest does not list")
        except Exception as error:  # a pickle may raise anything
            raise DataError(
                f"{path} is no metadata of a checkpoint: {error}. Nothing of it was used; take another checkpoint, or "
                "the Hugging Face directory that its makers published."
            ) from error
        metadata.storage_meta = StorageMeta(load_id=self.load_id)
        return metadata


def load(checkpoint: Checkpoint, tensors: Mapping[str, Tensor]) -> None:
    """Fill `tensors`, each rank its own part, whatever the number of ranks that wrote them."""
    reader = _Reader(checkpoint)
    reader.read_metadata()  # first, as torch would wrap what it refuses in an error of its own
    with _alone():
        load_sharded(
            cast(Any, dict(tensors)),
            storage_reader=reader,
            no_dist=not dist.is_initialized(),
        )


class Saver:
    """Writes checkpoints under `root` while the training goes on; the newest `keep` stay.

    One is written at a time: the next waits for it. Every rank has one and calls it alike. Used as a context, so that
    the last is whole at its end; a failed write raises `StorageError` there or at the next save.
    """

    def __init__(self, root: Path, keep: int) -> None:
        self.root, self.keep = root, keep
        self.first = not dist.is_initialized() or dist.get_rank() == 0
        # of its own, so that the writing thread's messages are not mixed with the training's
        self._group = dist.new_group(backend="gloo") if dist.is_initialized() else None
        self._thread = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None
        self._written: Future[Any] | None = None

    def __enter__(self) -> Saver:
        self._quiet = _alone()
        self._quiet.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._thread.shutdown()
            self._quiet.__exit__(None, None, None)

    def save(
        self,
        step: int,
        tensors: Mapping[str, Tensor],
        *,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Any],
        facts: Mapping[str, Any],
    ) -> None:
        """Copy `tensors` and return; a thread writes them as the checkpoint of `step`."""
        self.wait()
        aside = self.root / f".step-{step:08d}.scratch"
        try:
            aside.mkdir(parents=True, exist_ok=True)
            response = async_save(
                dict(tensors),
                storage_writer=FileSystemWriter(aside),
                process_group=self._group,
                no_dist=self._group is None,
            )
        except OSError as error:
            raise StorageError(f"{aside} cannot be written: {error}. Free some space, then go on.") from error
        self._written = cast("Future[Any]", response)
        manifest = Manifest("train", "checkpoint", dict(settings), dict(inputs), {}, Ledger(), {}, dict(facts))
        if self.first:
            self._pending = self._thread.submit(self._commit, step, aside, manifest, self._written)

    def wait(self) -> None:
        """Until what was saved last is whole, on every rank."""
        if self._written is None:
            return
        written, pending, self._written, self._pending = self._written, self._pending, None, None
        try:
            written.result()
            if pending is not None:
                pending.result()
        except (OSError, CheckpointException) as error:
            raise StorageError(
                f"{self.root} cannot be written: {error}. The checkpoint before it stands; free some space, then go on."
            ) from error
        self._meet()

    def _meet(self) -> None:
        if self._group is not None:
            dist.barrier(self._group)

    def _commit(self, step: int, aside: Path, manifest: Manifest, written: Future[Any]) -> None:
        """In the thread of the first rank: manifest, final name, and the oldest removed."""
        # torch writes a random number and the folder's path too; equal work gives equal bytes without them
        plain = dataclasses.replace(written.result(), storage_meta=None)
        write_bytes(aside / _METADATA, pickle.dumps(plain))
        for path in sorted(aside.iterdir()):
            manifest.outputs[path.name] = {"size": path.stat().st_size, "sha256": sha256_file(path)}
        manifest.facts["step"] = step
        write_json(aside / _MANIFEST, manifest.to_mapping())
        final = _folder(self.root, step)
        if final.exists():  # one of the same step that did not verify
            shutil.rmtree(final)
        os.replace(aside, final)
        for old in _folders(self.root)[: -self.keep]:
            gone = old.with_name(f".{old.name}.scratch")
            os.replace(old, gone)  # first, so that a half-removed one is never taken
            shutil.rmtree(gone)


@contextmanager
def _alone() -> Iterator[None]:
    """Without torch's warning that there is one process, which is what was meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        yield


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


def find(folder: Path, notice: Callable[[str], None] = lambda _: None) -> Checkpoint:
    """The checkpoint in `folder`, or the newest whole one in a run's folder; verified.

    `notice` is told of each newer one that is not whole.

    Raises `InputError` where there is none.
    """
    if (folder / _MANIFEST).is_file():
        checkpoint = _open(folder)
        checkpoint.verify()
        return checkpoint
    for candidate in reversed(_folders(folder) or _folders(folder / "checkpoints")):
        try:
            checkpoint = _open(candidate)
            checkpoint.verify()
        except DataError as error:
            notice(f"{candidate} is not whole and was passed over: {error} The one before is taken.")
            continue
        return checkpoint
    raise InputError(f"{folder} holds no whole checkpoint. Name a training run's folder or one of its checkpoints.")


def _folder(root: Path, step: int) -> Path:
    return root / f"step-{step:08d}"


def _open(folder: Path) -> Checkpoint:
    manifest = read_manifest(folder / _MANIFEST)
    if manifest is None:
        raise DataError("it has no manifest.")
    return Checkpoint(folder, manifest)


def _folders(root: Path) -> list[Path]:
    """Folders of checkpoints under their final name, oldest first."""
    return sorted(p for p in root.glob("step-*") if p.is_dir() and p.name.removeprefix("step-").isdigit())


def _refuse_other(checkpoint: Checkpoint, settings: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """`MismatchError` unless the checkpoint was made with these settings and tokens.

    A digest that it lacks is none that differs: digests of some inputs came after them.
    """
    manifest, path = checkpoint.manifest, checkpoint.folder / _MANIFEST
    check_same(path, manifest.settings, settings)
    known = {key: value for key, value in inputs.items() if key in manifest.inputs or not key.endswith(".sha256")}
    differing = differing_keys(manifest.inputs, known)
    if differing:
        key, made, asked = differing[0]
        raise MismatchError(
            f"{path} was made from {key}={made}, the tokens now have {key}={asked} ({len(differing)} differ: "
            f"{', '.join(k for k, _, _ in differing[:5])}). Name the tokens it was made from, or start a new --out."
        )
