"""A set of documents in a file: what was added is in it, also after it has grown; damage is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccbuild.dedup.external.bitmap import DocumentSet
from ccbuild.errors import DataError


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=st.lists(st.integers(0, 12), max_size=6), more=st.lists(st.integers(0, 12), max_size=3), data=st.data())
def test_what_was_added_is_there(tmp_path: Path, rows: list[int], more: list[int], data: st.DataObject) -> None:
    documents = [s << 32 | row for s, n in enumerate(rows + more) for row in range(n)]
    chosen = data.draw(st.sets(st.sampled_from(documents))) if documents else set()
    old = {d for d in chosen if d >> 32 < len(rows)}
    DocumentSet.create(tmp_path / "old", rows).add(np.array(sorted(old), np.uint64))
    grown = DocumentSet.create(tmp_path / "new", rows + more, DocumentSet.read(tmp_path / "old", "match"))
    grown.add(np.array(sorted(chosen - old), np.uint64))
    found = DocumentSet.read(tmp_path / "new", "match")
    assert len(found.bits) == (len(documents) + 7) // 8
    assert found.contains(np.array(documents, np.uint64)).tolist() == [d in chosen for d in documents]
    assert found.position(np.array(documents, np.uint64)).tolist() == list(range(len(documents)))


@pytest.mark.parametrize("outside", [1 << 32, 3, 1 << 63])
def test_a_document_of_no_shard_is_an_error(tmp_path: Path, outside: int) -> None:
    found = DocumentSet.create(tmp_path / "bits", [3])
    with pytest.raises(ValueError, match="outside"):
        found.contains(np.array([outside], np.uint64))


def test_a_set_of_other_shards_is_not_taken_over(tmp_path: Path) -> None:
    earlier = DocumentSet.create(tmp_path / "old", [3, 4])
    with pytest.raises(ValueError, match="other shards"):
        DocumentSet.create(tmp_path / "new", [3, 5, 6], earlier)


@pytest.mark.parametrize("kept", [0, 5, 8, 20, 29, 33])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "bits"
    DocumentSet.create(path, [9, 9])
    whole = path.read_bytes()
    assert len(whole) == 8 + 3 * 8 + 3
    path.write_bytes(whole[:kept])
    with pytest.raises(DataError, match=r"bits is not a whole set.*ccbuild run"):
        DocumentSet.read(path, "ccbuild run … --from match")
