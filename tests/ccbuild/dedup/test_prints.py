"""Files of prints: what is written is read, by kind and range, in equal bytes, and under one scheme only."""

from __future__ import annotations

import doctest
import itertools
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccbuild.dedup import prints as prints_module
from ccbuild.dedup.external import printfile
from ccbuild.dedup.external.printfile import (
    BYTES_PER_PRINT,
    PrintSorter,
    merge_prints,
    oldest,
    read_prints,
    read_scheme,
    write_prints,
)
from ccbuild.dedup.prints import (
    BAND,
    DOCUMENT,
    PARAGRAPH,
    URL,
    Prints,
    band_prints,
    bucket_bounds,
    document_prints,
    paragraph_prints,
    scheme,
    url_prints,
)
from ccbuild.dedup.signatures import SignatureConfig
from ccbuild.errors import DataError, InputError, MismatchError

SCHEME = scheme(SignatureConfig(), "fast")
Row = tuple[int, int, int, int]


def _rows(prints: Prints) -> list[Row]:
    columns = (prints.kind, prints.hash, prints.doc_id, prints.paragraph)
    return list(zip(*(c.tolist() for c in columns), strict=True))


def _random_prints(n: int, seed: int) -> Prints:
    rng = np.random.default_rng(seed)
    return Prints(
        rng.integers(0, 4, n).astype(np.uint8),
        rng.integers(1, 2**64, n, dtype=np.uint64),
        rng.integers(0, 1000, n).astype(np.uint64) + np.uint64(seed << 32),
        rng.integers(-1, 50, n).astype(np.int32),
    )


def test_doctests() -> None:
    assert doctest.testmod(prints_module).failed == 0


def test_prints_of_documents_bands_and_paragraphs() -> None:
    doc_ids = np.array([5, 6, 7], np.uint64)
    assert _rows(document_prints(np.array([11, 0, 13], np.uint64), doc_ids)) == [(0, 11, 5, -1), (0, 13, 7, -1)]
    bands = band_prints(np.array([[1, 2], [3, 4], [5, 6]], np.uint64), np.array([True, False, True]), doc_ids)
    assert _rows(bands) == [(1, 1, 5, 0), (1, 2, 5, 1), (1, 5, 7, 0), (1, 6, 7, 1)]
    paragraphs = paragraph_prints(np.array([9, 0, 8, 9], np.uint64), np.array([3, 0, 1]), doc_ids)
    assert _rows(paragraphs) == [(2, 9, 5, 0), (2, 8, 5, 2), (2, 9, 7, 0)]
    same = _rows(url_prints(["https://a.example/", "", "https://a.example/"], doc_ids))
    assert [(kind, doc, place) for kind, _, doc, place in same] == [(3, 5, -1), (3, 7, -1)]
    assert len({hash_ for _, hash_, _, _ in same}) == 1


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    rows=st.lists(st.tuples(st.just(2), st.integers(1, 9), st.integers(0, 30), st.integers(0, 3)), max_size=60),
    hashes=st.lists(st.integers(1, 9), max_size=6),
    group=st.integers(1, 9),
)
def test_the_oldest_print_of_each_hash(tmp_path: Path, rows: list[Row], hashes: list[int], group: int) -> None:
    paths = [tmp_path / str(i) for i in range(3)]
    for i, path in enumerate(paths):
        own = [row for row in rows if row[2] % 3 == i]
        write_prints(path, _prints_of(own), scheme=SCHEME, row_group_rows=group)
    for keep in (None, lambda prints: prints.doc_id > 4):
        found = oldest(paths[::-1], np.array(hashes, np.uint64), PARAGRAPH, scheme=SCHEME, keep=keep)
        left = sorted(row for row in rows if row[1] in hashes and (keep is None or row[2] > 4))
        assert _rows(found) == [next(row for row in left if row[1] == h) for h in sorted({row[1] for row in left})]


@given(st.integers(1, 300))
def test_buckets_cover_every_hash_once(n: int) -> None:
    bounds = bucket_bounds(n)
    assert len(bounds) == n
    assert bounds[0][0] == 0
    assert bounds[-1][1] == 2**64 - 1
    assert all(b[0] == a[1] + 1 for a, b in itertools.pairwise(bounds))
    sizes = {high - low for low, high in bounds}
    assert max(sizes) - min(sizes) <= 1


def test_no_bucket_is_an_error() -> None:
    with pytest.raises(ValueError, match="n_buckets"):
        bucket_bounds(0)


_HASHES = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1]))
_ROWS = st.lists(st.tuples(st.integers(0, 3), _HASHES, st.integers(0, 2**64 - 1), st.integers(-1, 9)), max_size=40)


def _prints_of(rows: list[Row]) -> Prints:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    types = (np.uint8, np.uint64, np.uint64, np.int32)
    return Prints(*(np.array(c, t) for c, t in zip(columns, types, strict=True)))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=_ROWS, seed=st.randoms(use_true_random=False), n_buckets=st.integers(1, 7), group=st.integers(1, 9))
def test_what_is_written_is_read_bucket_by_bucket(
    tmp_path: Path, rows: list[Row], seed: random.Random, n_buckets: int, group: int
) -> None:
    path, again = tmp_path / "a.parquet", tmp_path / "b.parquet"
    counts = write_prints(path, _prints_of(rows), scheme=SCHEME, row_group_rows=group)
    assert list(counts.values()) == [sum(r[0] == kind for r in rows) for kind in range(4)]
    for kind in (DOCUMENT, BAND, PARAGRAPH, URL):
        found = [read_prints(path, kind, low, high, scheme=SCHEME) for low, high in bucket_bounds(n_buckets)]
        assert [row for part in found for row in _rows(part)] == sorted(r for r in rows if r[0] == kind)
    shuffled = list(rows)
    seed.shuffle(shuffled)
    write_prints(again, _prints_of(shuffled), scheme=dict(reversed(SCHEME.items())), row_group_rows=group)
    assert again.read_bytes() == path.read_bytes()


def test_a_bucket_reads_only_the_row_groups_that_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "part.parquet"
    prints = _random_prints(30_000, 1)
    write_prints(path, prints, scheme=SCHEME, row_group_rows=1000)
    metadata = pq.ParquetFile(path).metadata
    assert metadata.num_row_groups >= 30
    kinds = [metadata.row_group(g).column(0).statistics for g in range(metadata.num_row_groups)]
    assert all(k.min == k.max for k in kinds)
    read: list[int] = []
    whole = pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda self, g: read.append(g) or whole(self, g))
    low, high = bucket_bounds(16)[5]
    found = read_prints(path, BAND, low, high)
    inside = (prints.kind == BAND) & (prints.hash >= np.uint64(low)) & (prints.hash <= np.uint64(high))
    assert _rows(found) == sorted(_rows(prints.take(inside)))
    assert 1 <= len(read) <= 3


def test_merged_files_equal_one_file(tmp_path: Path) -> None:
    parts = [_random_prints(n, seed) for seed, n in enumerate((700, 0, 1500, 40), start=1)]
    paths = [tmp_path / f"{i}.parquet" for i in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        write_prints(path, part, scheme=SCHEME, row_group_rows=64)
    write_prints(tmp_path / "one", Prints.concatenate(parts), scheme=SCHEME, row_group_rows=100)
    for order, nbytes in ((paths, 1 << 30), (paths[::-1], 4000)):
        merge_prints(order, tmp_path / "merged", scheme=SCHEME, nbytes=nbytes, row_group_rows=100)
        assert (tmp_path / "merged").read_bytes() == (tmp_path / "one").read_bytes()
    assert read_scheme(tmp_path / "merged") == SCHEME


def test_prints_that_do_not_fit_are_spilled_and_give_the_same_file(tmp_path: Path) -> None:
    parts = [_random_prints(n, seed) for seed, n in enumerate((700, 0, 1500, 40, 900), start=1)]
    counts = write_prints(tmp_path / "one", Prints.concatenate(parts), scheme=SCHEME)
    asked: list[Path] = []

    def scratch(name: str) -> Path:
        asked.append(tmp_path / name)
        return asked[-1]

    for nbytes, runs in ((1 << 30, 0), (BYTES_PER_PRINT * 1000, 3)):
        asked.clear()
        sorter = PrintSorter(SCHEME, scratch, nbytes)
        sorter.add(parts)
        assert sorter.write(tmp_path / "sorted") == counts
        assert len(asked) == runs
        assert (tmp_path / "sorted").read_bytes() == (tmp_path / "one").read_bytes()
        assert not any(path.exists() for path in asked)


def test_no_more_prints_wait_than_the_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    whole = printfile.write_prints
    monkeypatch.setattr(printfile, "write_prints", lambda path, p, **o: written.append(len(p)) or whole(path, p, **o))
    sorter = PrintSorter(SCHEME, lambda name: tmp_path / name, BYTES_PER_PRINT * 1000)
    parts = [_random_prints(100, seed) for seed in range(35)]
    sorter.add(parts)
    sorter.write(tmp_path / "sorted")
    assert sum(written) == sum(map(len, parts))
    assert max(written) <= 1000


@pytest.mark.parametrize(
    ("other", "key"),
    [
        (scheme(SignatureConfig(ngram=6), "fast"), "ngram=5"),
        (scheme(SignatureConfig(bands=13), "fast"), "bands=14"),
        (scheme(SignatureConfig(), "ccnet"), "paragraph_form=fast"),
        ({**SCHEME, "more": "1"}, "more=None"),
    ],
)
def test_prints_made_with_other_settings_are_refused(tmp_path: Path, other: dict[str, str], key: str) -> None:
    path = tmp_path / "part.parquet"
    write_prints(path, _random_prints(10, 1), scheme=SCHEME)
    with pytest.raises(MismatchError, match=f"part.parquet was made with {key}"):
        read_prints(path, BAND, scheme=other)
    with pytest.raises(MismatchError, match=key):
        merge_prints([path], tmp_path / "merged", scheme=other)
    assert len(read_prints(path, BAND)) > 0


def test_a_file_cut_short_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    write_prints(path, _random_prints(5000, 1), scheme=SCHEME)
    whole = path.read_bytes()
    for kept in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(DataError, match=r"part.parquet is not a whole file.*ccbuild extract"):
            read_prints(path, BAND)


def test_damaged_pages_are_an_error_and_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    write_prints(path, _random_prints(5000, 1), scheme=SCHEME)
    whole = bytearray(path.read_bytes())
    whole[40:200] = bytes(160)
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"part.parquet is damaged"):
        read_prints(path, DOCUMENT)


def test_another_parquet_file_and_a_missing_one(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "pages.parquet")
    with pytest.raises(InputError, match="columns text"):
        read_prints(tmp_path / "pages.parquet", BAND)
    with pytest.raises(InputError, match="is not a file"):
        read_prints(tmp_path / "none.parquet", BAND)
