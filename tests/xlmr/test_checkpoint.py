"""A checkpoint of others: its manifest is theirs too, so no hash tells what its metadata would do."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, Metadata

from ccbuild.errors import DataError
from ccbuild.storage import sha256_file
from xlmr.checkpoint import Saver, find, load, open_step


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    with Saver(tmp_path / "checkpoints", keep=1) as saver:
        tensors = {"model.a": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3)}
        saver.save(1, tensors, settings={}, inputs={}, facts={})
    return tmp_path / "checkpoints" / "step-00000001"


def put(folder: Path, metadata: object) -> None:
    """`metadata` in a checkpoint whose manifest agrees."""
    path, manifest = folder / ".metadata", json.loads((folder / "checkpoint.json").read_text())
    path.write_bytes(pickle.dumps(metadata))
    manifest["outputs"][".metadata"] = {"size": path.stat().st_size, "sha256": sha256_file(path)}
    (folder / "checkpoint.json").write_text(json.dumps(manifest))


def read(folder: Path) -> Metadata:
    metadata: Metadata = pickle.loads((folder / ".metadata").read_bytes())
    return metadata


class Harm:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_code_in_the_metadata_is_not_run(theirs: Path, tmp_path: Path) -> None:
    put(theirs, dataclasses.replace(read(theirs), planner_data=Harm(tmp_path / "harm")))
    checkpoint = open_step(theirs.parent, 1)
    for use in (lambda: find(theirs), checkpoint.weights, lambda: load(checkpoint, {"model.a": torch.zeros(2, 3)})):
        with pytest.raises(DataError, match=r"names posix\.mkdir, which no metadata of tensors needs"):
            use()
    assert not (tmp_path / "harm").exists()


def _bytes(metadata: Metadata) -> None:
    metadata.state_dict_metadata["model.a"] = BytesStorageMetadata()  # torch unpickles such without asking


def _elsewhere(metadata: Metadata) -> None:
    next(iter(metadata.storage_data.values())).relative_path = "../../secret"


@pytest.mark.parametrize(
    ("change", "message"), [(_bytes, "BytesStorageMetadata"), (_elsewhere, r"leads to '\.\./\.\./secret'")]
)
def test_it_holds_tensors_in_its_own_files_alone(
    theirs: Path, change: Callable[[Metadata], None], message: str
) -> None:
    metadata = read(theirs)
    change(metadata)
    put(theirs, metadata)
    with pytest.raises(DataError, match=message):
        find(theirs)


def test_what_is_no_metadata_is_refused(theirs: Path) -> None:
    put(theirs, {"model.a": 1})
    with pytest.raises(DataError, match="it holds a dict"):
        find(theirs)
    assert (theirs / "__0_0.distcp").is_file()


def test_ours_is_read_to_the_bit(theirs: Path) -> None:
    assert torch.equal(find(theirs).weights()["a"], torch.arange(6.0).reshape(2, 3))
    tensors = {"model.a": torch.zeros(2, 3), "count": torch.tensor(0)}
    load(find(theirs), tensors)
    assert (tensors["model.a"].sum(), tensors["count"]) == (15, 3)
