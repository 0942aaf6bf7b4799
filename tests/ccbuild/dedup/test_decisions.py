"""Decisions: against a plain form that looks at every pair, and whatever the order and the buckets of the rows."""

from __future__ import annotations

import random
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.dedup.decisions import (
    EQUAL,
    Decisions,
    DocumentPolicy,
    Edges,
    ParagraphDecisions,
    ParagraphPolicy,
    combine,
    decide_documents,
    decide_paragraphs,
    matches,
    turns,
)
from ccbuild.dedup.external.bitmap import DocumentSet
from ccbuild.dedup.external.kept import decide_kept
from ccbuild.dedup.external.rounds import EDGE
from ccbuild.dedup.prints import bucket_bounds
from ccbuild.dedup.signatures import SignatureConfig, similarity_from_bands

CONFIG = SignatureConfig(bands=4, rows=2)
LENGTHS = np.array([3, 9, 9, 1, 7, 9, 2, 3, 8, 3])

# few hashes and documents, so that they meet; spread over the whole space, so that buckets part them
_HASH = st.integers(0, 6).map(lambda i: i * 0x2492492492492492)
_PAIRS = st.lists(st.tuples(_HASH, st.integers(0, 9)), max_size=40)
_PARAGRAPHS = st.lists(st.tuples(_HASH, st.integers(0, 6), st.integers(0, 5)), max_size=40, unique_by=lambda r: r[1:])


def _columns(rows: list[tuple[int, ...]], *types: type) -> list[np.ndarray]:
    columns = list(zip(*rows, strict=True)) or [()] * len(types)
    return [np.array(c, t) for c, t in zip(columns, types, strict=True)]


def _edges(rows: list[tuple[int, int]]) -> Edges:
    return matches(*_columns(rows, np.uint64, np.uint64))


def _listed(found: Edges | Decisions | ParagraphDecisions) -> list[tuple[int, ...]]:
    return list(zip(*(getattr(found, name).tolist() for name in found.__dataclass_fields__), strict=True))


def _equal(rows: list[tuple[int, int]], policy: DocumentPolicy = "first") -> Edges:
    """Edges between equal documents, each to the first that is asked."""
    hash_, doc = _columns(rows, np.uint64, np.uint64)
    found = matches(hash_, doc, 1, turns(doc, policy, LENGTHS.__getitem__))
    return Edges(found.doc, found.partner, np.full(len(found.doc), EQUAL, np.int32))


def _plain_edges(rows: list[tuple[int, int]], most: int = 1) -> Counter[tuple[int, int]]:
    groups: dict[int, set[int]] = defaultdict(set)
    for hash_, doc in rows:
        groups[hash_].add(doc)
    return Counter((d, hub) for h, g in groups.items() if h for hub in sorted(g)[:most] for d in g if d > hub)


@given(_PAIRS, st.integers(1, 4))
def test_matches_join_each_document_to_the_first_ones(rows: list[tuple[int, int]], most: int) -> None:
    expected = _plain_edges(rows, most)
    found = matches(*_columns(rows, np.uint64, np.uint64), most)
    assert _listed(found) == [(*pair, expected[pair]) for pair in sorted(expected)]


def test_the_first_ones_are_those_that_are_asked_first() -> None:
    hash_, doc = np.full(4, 7, np.uint64), np.arange(4, dtype=np.uint64)
    found = matches(hash_, doc, 2, turns(doc, "newest"))
    assert [row[:2] for row in _listed(found)] == [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    found = matches(hash_, doc, 1, turns(doc, "longest", np.array([5, 9, 9, 4]).__getitem__))
    assert [row[:2] for row in _listed(found)] == [(0, 1), (2, 1), (3, 1)]


@given(_PAIRS, st.randoms(use_true_random=False), st.integers(1, 9))
def test_order_and_buckets_of_the_rows_change_no_edge(
    rows: list[tuple[int, int]], rng: random.Random, n_buckets: int
) -> None:
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert _listed(_edges(shuffled)) == _listed(_edges(rows))
    parts = [_edges([r for r in shuffled if low <= r[0] <= high]) for low, high in bucket_bounds(n_buckets)]
    rng.shuffle(parts)
    assert _listed(combine(parts)) == _listed(_edges(rows))


def test_a_million_equal_documents_cost_a_million_rows() -> None:
    n = 1_000_000
    edges = matches(np.full(n, 7, np.uint64), np.arange(n, 0, -1, dtype=np.uint64))
    assert len(edges.doc) == n - 1
    assert set(edges.partner.tolist()) == {1}
    decided = decide_documents(edges, CONFIG)
    assert len(decided.doc) == n - 1


@given(_PAIRS, _PAIRS)
def test_documents_go_that_match_an_earlier_one(exact: list[tuple[int, int]], bands: list[tuple[int, int]]) -> None:
    copies = {d for d, _ in _plain_edges(exact)}
    bands = [row for row in bands if row[1] not in copies]
    decided = decide_documents(combine([_equal(exact), _edges(bands)]), CONFIG)
    equal, near = _plain_edges(exact), _plain_edges(bands)
    goes = {d for d, _ in equal} | {d for d, _ in near}
    assert decided.doc.tolist() == sorted(goes)
    for doc, partner, similarity, match, match_similarity, same, _ in _listed(decided):
        earlier = {m: k for (d, m), k in near.items() if d == doc}
        if any(d == doc for d, _ in equal):
            assert (match, match_similarity) == (min(m for d, m in equal if d == doc), 1.0)
            assert same == (match == partner)
        else:
            assert match == min(m for m, k in earlier.items() if k == max(earlier.values()))
            assert match_similarity == similarity_from_bands(np.array([earlier[match]]), CONFIG)[0]
            assert not same
        assert similarity == match_similarity if match == partner else np.isnan(similarity)
        assert partner < doc
        assert partner not in goes
        end = match
        while end in goes:
            end = decided.match[decided.doc.tolist().index(end)].item()
        assert partner == end


def test_a_document_goes_though_the_one_that_it_matches_went() -> None:
    """3 is near 2 and 2 near 1, but 3 is not near 1: 3 goes, and what stays for it is 1."""
    decided = decide_documents(_edges([(10, 1), (10, 2), (20, 2), (20, 3)]), CONFIG)
    assert decided.doc.tolist() == [2, 3]
    assert decided.partner.tolist() == [1, 1]
    assert decided.match.tolist() == [1, 2]


def test_a_bridge_that_comes_later_changes_nothing_before_it() -> None:
    """1 and 2 are apart; 3, near both, is added: 2 stays, and 3 goes to the one with more bands."""
    before = decide_documents(_edges([(10, 1), (20, 2), (30, 2)]), CONFIG)
    after = decide_documents(_edges([(10, 1), (20, 2), (30, 2), (10, 3), (20, 3), (30, 3)]), CONFIG)
    assert before.doc.tolist() == []
    assert _listed(after)[0][:2] == (3, 2)
    assert after.similarity[0] == pytest.approx((2 / 4) ** (1 / 2))


def test_long_chains_are_followed_to_their_end() -> None:
    n = 5000
    rows = [(h + 1, d) for h in range(n) for d in (h, h + 1)]
    decided = decide_documents(_edges(rows), CONFIG)
    assert decided.doc.tolist() == list(range(1, n + 1))
    assert set(decided.partner.tolist()) == {0}


@given(
    st.lists(st.tuples(_HASH, st.integers(0, 9)), max_size=10, unique_by=lambda row: row[1]),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 4)), max_size=30),
    st.sampled_from(["first", "newest", "longest"]),
    st.sampled_from([1 << 20, 1 << 10]),
)
def test_a_document_goes_for_one_that_stays(
    exact: list[tuple[int, int]], pairs: list[tuple[int, int, int]], policy: DocumentPolicy, nbytes: int
) -> None:
    """Against a plain form: each document is asked in its turn, and looks at all that stay so far."""
    turn = turns(np.arange(10, dtype=np.uint64), policy, LENGTHS.__getitem__).tolist()
    order = sorted(range(10), key=lambda doc: (turn[doc], doc))
    copies = {doc: partner for doc, partner, _ in _listed(_equal(exact, policy))}
    near: dict[int, dict[int, int]] = defaultdict(dict)
    for a, b, rank in pairs:
        if a != b and not {a, b} & copies.keys():
            first, then = sorted((a, b), key=order.index)
            near[then][first] = rank
    went: dict[int, tuple[int, int]] = {}
    for doc in (doc for doc in order if doc not in copies):
        stays = {partner: rank for partner, rank in near[doc].items() if partner not in went}
        if stays:
            went[doc] = max(stays.items(), key=lambda item: (item[1], -item[0]))
    expected = {doc: (partner, partner, rank, rank) for doc, (partner, rank) in went.items()}
    for doc, hub in copies.items():
        partner, rank = went.get(hub, (hub, EQUAL))
        expected[doc] = partner, hub, rank, EQUAL
    edges = [(doc, partner, rank) for doc, own in near.items() for partner, rank in own.items()]
    table = np.array(sorted([*edges, *_listed(_equal(exact, policy))]), EDGE)
    gone = DocumentSet(np.array([0, 10]), np.zeros(2, np.uint8))
    with tempfile.TemporaryDirectory() as folder:
        parts = decide_kept([table], [], gone, CONFIG, policy, Path(folder), nbytes, LENGTHS.__getitem__)
        rows = [row for part in parts for row in _listed(part)]
    near_by = [1.0 if rank == EQUAL else (rank / 4) ** 0.5 for rank in (1, 2, 3, 4, EQUAL)]
    similarity = dict(zip((1, 2, 3, 4, EQUAL), near_by, strict=True))
    assert [row[0] for row in rows] == sorted(expected)
    for doc, partner, value, match, match_value, same, size in rows:
        assert (partner, match) == expected[doc][:2]
        assert value == pytest.approx(similarity[expected[doc][2]])
        assert match_value == pytest.approx(similarity[expected[doc][3]])
        assert same == (expected[doc][2] == EQUAL)
        assert size == 1 + sum(other <= doc and expected[other][0] == partner for other in expected)
    assert np.flatnonzero(np.unpackbits(gone.bits, bitorder="little")).tolist() == sorted(expected)


def _decide(rows: list[tuple[int, int, int]], gone: list[int], policy: ParagraphPolicy = "first") -> ParagraphDecisions:
    hash_, doc, place = _columns([row for row in rows if row[1] not in gone], np.uint64, np.uint64, np.int32)
    return decide_paragraphs(hash_, doc, place, policy)


@given(_PARAGRAPHS, st.sets(st.integers(0, 6)))
def test_every_paragraph_that_stays_stays_once(rows: list[tuple[int, int, int]], gone: set[int]) -> None:
    decided = _decide(rows, list(gone))
    dropped = {(d, p) for d, p, _, _ in _listed(decided)}
    alive = [r for r in rows if r[1] not in gone]
    kept = [(h, d, p) for h, d, p in alive if h and (d, p) not in dropped]
    assert Counter(h for h, _, _ in kept) == Counter({h for h, _, _ in alive if h})
    where = {(d, p): h for h, d, p in alive}
    for doc, place, partner_doc, partner_place in _listed(decided):
        assert where[doc, place] == where[partner_doc, partner_place]
        assert (partner_doc, partner_place) < (doc, place)
        assert (partner_doc, partner_place) not in dropped
    assert _listed(decided) == sorted(_listed(decided))


@given(
    _PARAGRAPHS,
    st.sets(st.integers(0, 6)),
    st.randoms(use_true_random=False),
    st.integers(1, 9),
    st.sampled_from(["first", "none"]),
)
def test_order_and_buckets_change_no_paragraph(
    rows: list[tuple[int, int, int]], gone: set[int], rng: random.Random, n_buckets: int, policy: ParagraphPolicy
) -> None:
    shuffled = list(rows)
    rng.shuffle(shuffled)
    expected = _listed(_decide(rows, list(gone), policy))
    assert _listed(_decide(shuffled, list(gone), policy)) == expected
    parts = [[r for r in shuffled if low <= r[0] <= high] for low, high in bucket_bounds(n_buckets)]
    assert sorted(row for part in parts for row in _listed(_decide(part, list(gone), policy))) == expected


def _cc_net(documents: list[list[int]]) -> list[list[int]]:
    """Numbers of the paragraphs that cc_net 1.0.0 keeps of each document of hashes, as its classes go about it.

    `HashesCollector` marks a hash when it meets it in a second document (a document is looked up before it is added);
    `DuplicatesRemover` removes all marked ones; `finalize_doc` keeps the first of what repeats within a document.
    """
    seen_twice: dict[int, bool] = {}
    for hashes in documents:
        seen_twice.update([(h, h in seen_twice) for h in hashes])
    kept = []
    for hashes in documents:
        places: list[int] = []
        for place, h in enumerate(hashes):
            if not seen_twice[h] and h not in [hashes[p] for p in places]:
                places.append(place)
        kept.append(places)
    return kept


@given(st.lists(st.lists(st.integers(1, 8), max_size=6), max_size=7))
def test_policy_none_removes_what_cc_net_removes(documents: list[list[int]]) -> None:
    rows = [(h, d, p) for d, hashes in enumerate(documents) for p, h in enumerate(hashes)]
    decided = _decide(rows, [], "none")
    dropped = {(d, p) for d, p, _, _ in _listed(decided)}
    kept = [[p for p in range(len(hashes)) if (d, p) not in dropped] for d, hashes in enumerate(documents)]
    assert kept == _cc_net(documents)
    for doc, place, partner_doc, partner_place in _listed(decided):
        assert documents[doc][place] == documents[partner_doc][partner_place]
        assert (doc, place) != (partner_doc, partner_place)


def test_policy_none_names_another_copy_as_partner() -> None:
    rows = [(5, 1, 0), (5, 1, 3), (5, 2, 1), (6, 3, 0), (6, 3, 1)]
    assert _listed(_decide(rows, [], "none")) == [(1, 0, 2, 1), (1, 3, 1, 0), (2, 1, 1, 0), (3, 1, 3, 0)]


def test_the_kept_copy_is_never_in_a_document_that_went() -> None:
    rows = [(5, 1, 0), (5, 2, 0), (5, 3, 0)]
    assert _listed(_decide(rows, [1])) == [(3, 0, 2, 0)]
