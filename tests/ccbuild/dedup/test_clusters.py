"""Clusters in memory and by rounds over files: the same, and those of a plain search; so are decisions on them."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccbuild.dedup.clusters import clusters
from ccbuild.dedup.decisions import EQUAL, DocumentPolicy, Edges, combine, decide_documents, matches
from ccbuild.dedup.external.rounds import EDGE, decide_by_rounds
from ccbuild.dedup.external.sorting import Rows, Sorter, groups_whole, sort_rows
from ccbuild.dedup.external.stars import PAIR, clusters_by_rounds, pairs
from ccbuild.dedup.signatures import SignatureConfig

CONFIG = SignatureConfig(bands=4, rows=2)
POLICIES: tuple[DocumentPolicy, ...] = ("first", "newest", "longest", "none")
_EDGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(lambda e: e[0] != e[1]), max_size=60)


def _plain(edges: list[tuple[int, int]]) -> dict[int, int]:
    neighbours: dict[int, set[int]] = {}
    for a, b in edges:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    found: dict[int, int] = {}
    for start in sorted(neighbours):
        stack = [start] if start not in found else []
        while stack:
            node = stack.pop()
            if node not in found:
                found[node] = start
                stack += neighbours[node]
    return found


def _columns(edges: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    a, b = (np.array([e[i] for e in edges], np.uint64) for i in (0, 1))
    return np.maximum(a, b), np.minimum(a, b)


def _by_rounds(doc: np.ndarray, partner: np.ndarray, nbytes: int) -> dict[int, int]:
    with TemporaryDirectory() as folder:
        half = len(doc) // 2
        blocks = [pairs(doc[:half], partner[:half]), pairs(doc[half:], partner[half:])]
        found = list(clusters_by_rounds(blocks, Path(folder), nbytes))
        assert [p.name for p in Path(folder).iterdir()] == ["clusters.rows"]
    return dict(row for block in found for row in block.tolist())


@given(_EDGES)
def test_both_forms_find_what_a_plain_search_finds(edges: list[tuple[int, int]]) -> None:
    doc, partner = _columns(edges)
    expected = _plain(edges)
    assert dict(zip(*(c.tolist() for c in clusters(doc, partner)), strict=True)) == expected
    assert _by_rounds(doc, partner, 1 << 16) == {n: r for n, r in expected.items() if n != r}


@pytest.mark.parametrize("kind", ["random", "chain", "star"])
def test_both_forms_agree_when_the_edges_spill(kind: str) -> None:
    rng = np.random.default_rng(7)
    n = 40_000
    shuffled = rng.permutation(n).astype(np.uint64)
    ends = {
        "random": (rng.integers(0, n, n).astype(np.uint64), rng.integers(0, n, n).astype(np.uint64)),
        "chain": (shuffled[1:], shuffled[:-1]),
        "star": (shuffled[1:], np.full(n - 1, shuffled[0])),
    }[kind]
    a, b = (end[ends[0] != ends[1]] for end in ends)
    doc, partner = np.maximum(a, b), np.minimum(a, b)
    nodes, smallest = clusters(doc, partner)
    expected = dict(zip(nodes.tolist(), smallest.tolist(), strict=True))
    assert _by_rounds(doc, partner, 1 << 17) == {node: root for node, root in expected.items() if node != root}


def _edge_rows(exact: Edges, near: Edges) -> Rows:
    rows = np.empty(len(exact.doc) + len(near.doc), EDGE)
    rows["doc"] = np.concatenate((exact.doc, near.doc))
    rows["partner"] = np.concatenate((exact.partner, near.partner))
    rows["rank"] = np.concatenate((exact.rank, near.rank))
    return sort_rows(rows, ("doc", "partner"))


def _lengths(doc: np.ndarray) -> np.ndarray:
    return np.asarray(doc % np.uint64(5), np.int64)


@settings(max_examples=60)
@given(st.randoms(use_true_random=False), st.sampled_from(POLICIES), st.integers(0, 60))
def test_decisions_by_rounds_are_those_in_memory(rng: random.Random, policy: DocumentPolicy, n: int) -> None:
    def some(k: int) -> Edges:
        chosen = [(rng.randrange(12), rng.randrange(40)) for _ in range(k)]
        return matches(np.array([h + 1 for h, _ in chosen], np.uint64), np.array([d for _, d in chosen], np.uint64))

    exact, near = some(n // 4), combine([some(n), some(n)])
    exact = Edges(exact.doc, exact.partner, np.full(len(exact.doc), EQUAL, np.int32))
    expected = decide_documents(combine([exact, near]), CONFIG, policy, _lengths)
    rows = _edge_rows(exact, near)
    blocks = [rows[i : i + 7] for i in range(0, len(rows), 7)]
    with TemporaryDirectory() as folder:
        parts = list(decide_by_rounds(blocks, CONFIG, policy, Path(folder), 1 << 16, _lengths))
    for name in expected.__dataclass_fields__:
        found = np.concatenate([getattr(p, name) for p in parts] or [getattr(expected, name)[:0]])
        np.testing.assert_array_equal(found, getattr(expected, name), name)


@given(_EDGES, st.sampled_from(POLICIES))
def test_each_policy_keeps_what_it_says_of_each_cluster(edges: list[tuple[int, int]], policy: DocumentPolicy) -> None:
    doc, partner = _columns(sorted({(max(e), min(e)) for e in edges}))
    near = combine([Edges(doc, partner, np.ones(len(doc), np.int32))])
    decided = decide_documents(near, CONFIG, policy, _lengths)
    assert decided.doc.tolist() == sorted(decided.doc.tolist())
    gone = set(decided.doc.tolist())
    groups: dict[int, list[int]] = {}
    for node, root in sorted(_plain(edges).items()):
        groups.setdefault(root, []).append(node)
    best = {
        "first": lambda g: {d for d in g if not any(max(e) == d for e in edges)},
        "newest": lambda g: {max(g)},
        "longest": lambda g: {max(g, key=lambda d: (d % 5, -d))},
        "none": lambda g: set(),
    }[policy]
    for group in groups.values():
        assert set(group) - gone == best(group)
    cluster = {node: group for group in groups.values() for node in group}
    for d, p, size in zip(decided.doc.tolist(), decided.partner.tolist(), decided.cluster_size.tolist(), strict=True):
        assert d != p
        assert p in cluster[d]
        assert (p in gone) == (policy == "none")
        assert size == len(cluster[d]) or policy == "first"


def test_cluster_size_counts_up_to_the_document_when_the_first_stays() -> None:
    edges = matches(np.array([1, 1, 2, 2, 3, 3], np.uint64), np.array([1, 2, 2, 3, 7, 8], np.uint64))
    decided = decide_documents(edges, CONFIG)
    assert dict(zip(decided.doc.tolist(), decided.cluster_size.tolist(), strict=True)) == {2: 2, 3: 3, 8: 2}


def test_a_cluster_larger_than_a_block_is_counted_through(tmp_path: Path) -> None:
    rows = np.empty(5000, EDGE)
    rows["doc"], rows["partner"], rows["rank"] = np.arange(2, 5002), np.where(np.arange(5000) < 4000, 1, 0), EQUAL
    blocks = [rows[i : i + 100] for i in range(0, len(rows), 100)]
    parts = list(decide_by_rounds(blocks, CONFIG, "first", tmp_path, 1 << 16))
    assert len(parts) > 1
    sizes = np.concatenate([p.cluster_size for p in parts])
    assert sizes.tolist() == [*range(2, 4002), *range(2, 1002)]


def test_longest_needs_lengths() -> None:
    edges = matches(np.array([1, 1], np.uint64), np.array([1, 2], np.uint64))
    with pytest.raises(ValueError, match="length_of"):
        decide_documents(edges, CONFIG, "longest")


@settings(max_examples=30)
@given(st.lists(st.integers(0, 9), max_size=300), st.integers(1, 50))
def test_whole_groups_stay_whole(values: list[int], step: int) -> None:
    rows = pairs(np.array(sorted(values), np.uint64), np.arange(len(values), dtype=np.uint64))
    blocks = list(groups_whole([rows[i : i + step] for i in range(0, len(rows), step)], "doc"))
    assert [row for block in blocks for row in block.tolist()] == rows.tolist()
    seen = [set(block["doc"].tolist()) for block in blocks]
    assert sum(map(len, seen)) == len(set(values))


def test_many_runs_are_merged_in_rounds_and_leave_no_file(tmp_path: Path) -> None:
    sorter = Sorter(PAIR, ("doc", "partner"), tmp_path, 1)
    rng = np.random.default_rng(1)
    rows = pairs(rng.integers(0, 1000, 200_000).astype(np.uint64), rng.integers(0, 9, 200_000).astype(np.uint64))
    sorter.add(rows)
    assert np.array_equal(np.concatenate(list(sorter.blocks())), sort_rows(rows, ("doc", "partner")))
    assert list(tmp_path.iterdir()) == []
