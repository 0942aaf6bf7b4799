"""Token shards: what is written is read back, across shards; what does not fit together is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccbuild.errors import ConfigError, DataError, InputError, MismatchError
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit
from ccbuild.tokens import EOS, TokenSpan, TokenWriter, open_tokens

SIZE, SHA = 1000, "ab" * 32
Documents = list[tuple[int, list[int]]]


def write(
    folder: Path, code: str, documents: Documents, *, shard_tokens: int = 16, size: int = SIZE, sha: str = SHA
) -> None:
    with (
        Unit(folder, "encode", code, settings={}) as unit,
        TokenWriter(unit, code, vocabulary_size=size, vocabulary_sha256=sha, shard_tokens=shard_tokens) as writer,
    ):
        for doc_id, ids in documents:
            writer.add(doc_id, ids, sentences=2, characters=len(ids) * 3, nbytes=len(ids) * 4)
        unit.commit(Ledger(), facts=writer.close())


DOCUMENTS: Documents = [(7, [10, 11, 12]), (1 << 63, []), (9, list(range(100, 130))), (3, [999])]


@settings(max_examples=40)
@given(
    documents=st.lists(
        st.tuples(st.integers(0, 2**64 - 1), st.lists(st.integers(4, SIZE - 1), max_size=12)), min_size=1
    ),
    shard_tokens=st.integers(1, 40),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_tokens_come_back_whatever_the_shards(
    tmp_path_factory: pytest.TempPathFactory, documents: Documents, shard_tokens: int, cut: tuple[float, float]
) -> None:
    folder = tmp_path_factory.mktemp("tokens")
    write(folder, "sw", documents, shard_tokens=shard_tokens)
    language = open_tokens(folder).languages["sw"]
    expected = [token for _, ids in documents for token in [*ids, EOS]]
    assert language.tokens == len(language) == len(expected)
    assert (language.documents, language.sentences) == (len(documents), 2 * len(documents))
    assert language.characters == 3 * (len(expected) - len(documents))
    assert language.nbytes == 4 * (len(expected) - len(documents))
    first, last = sorted(int(part * len(expected)) for part in cut)
    part = language.read(first, last - first)
    assert part.dtype == np.uint32
    assert part.tolist() == expected[first:last]
    spans, start = [], 0
    for doc_id, ids in documents:
        spans.append(TokenSpan(doc_id, start, len(ids) + 1))
        start += len(ids) + 1
    assert list(language.documents_iter()) == spans
    assert language.bounds().tolist() == [[span.start, span.start + span.length - 1] for span in spans]
    for span in spans:
        assert language.span_at(span.start) == language.span_at(span.start + span.length - 1) == span


def test_a_shard_holds_whole_documents_and_no_more_than_asked(tmp_path: Path) -> None:
    write(tmp_path, "en", DOCUMENTS, shard_tokens=16)
    facts = json.loads((tmp_path / "en.json").read_text())["facts"]
    assert facts["shards"] == [
        {"name": "en-00000", "tokens": 5, "documents": 2},
        {"name": "en-00001", "tokens": 31, "documents": 1},
        {"name": "en-00002", "tokens": 2, "documents": 1},
    ]
    assert np.fromfile(tmp_path / "en-00000.bin", "<u4").tolist() == [10, 11, 12, EOS, EOS]
    table = pq.read_table(tmp_path / "en-00000.parquet")
    assert table.to_pydict() == {"doc_id": [7, 1 << 63], "start": [0, 4], "length": [4, 1]}
    assert [str(kind) for kind in table.schema.types] == ["uint64", "uint64", "uint32"]


def test_the_same_documents_give_the_same_bytes_in_any_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, "en", DOCUMENTS)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(files) == 7
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_languages_are_sorted_and_a_language_of_nothing_has_no_tokens(tmp_path: Path) -> None:
    write(tmp_path, "sw", DOCUMENTS)
    write(tmp_path, "en", DOCUMENTS[:1])
    write(tmp_path, "la", [])
    tokens = open_tokens(tmp_path)
    assert list(tokens.languages) == ["en", "la", "sw"]
    assert (tokens.vocabulary_size, tokens.vocabulary_sha256) == (SIZE, SHA)
    assert tokens.languages["la"].tokens == 0
    assert list(tokens.languages["la"].documents_iter()) == []
    assert tokens.languages["la"].read(0, 0).tolist() == []


def test_a_read_array_belongs_to_the_reader(tmp_path: Path) -> None:
    write(tmp_path, "en", DOCUMENTS)
    language = open_tokens(tmp_path).languages["en"]
    language.read(0, 3)[:] = 5
    assert language.read(0, 3).tolist() == [10, 11, 12]


def test_a_pickled_language_carries_no_tokens(tmp_path: Path) -> None:
    write(tmp_path, "en", [(1, [5] * 100_000)], shard_tokens=1 << 20)
    language = open_tokens(tmp_path).languages["en"]
    language.read(0, 10)
    carried = pickle.dumps(language)
    assert len(carried) < 4000
    assert pickle.loads(carried).read(99_999, 2).tolist() == [5, EOS]


@pytest.mark.parametrize(("start", "count"), [(-1, 2), (0, 39), (38, 1), (5, -1)])
def test_reading_past_the_ends_is_refused(tmp_path: Path, start: int, count: int) -> None:
    write(tmp_path, "en", DOCUMENTS)
    language = open_tokens(tmp_path).languages["en"]
    with pytest.raises(IndexError, match="en has 38 tokens"):
        language.read(start, count)
    with pytest.raises(IndexError, match="no token 38"):
        language.span_at(38)


def test_where_there_are_no_tokens(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no committed tokens"):
        open_tokens(tmp_path / "absent")
    write(tmp_path, "en", [])
    with pytest.raises(InputError, match="no committed tokens"):
        open_tokens(tmp_path)


@pytest.mark.parametrize("name", ["en-00001.bin", "en-00001.parquet"])
def test_a_shard_cut_short_or_missing_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, "en", DOCUMENTS)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:-1])
    with pytest.raises(DataError, match=f"{name} has {len(whole) - 1} bytes, en.json says {len(whole)}"):
        open_tokens(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing"):
        open_tokens(tmp_path)


def test_a_manifest_that_is_wrong_is_named(tmp_path: Path) -> None:
    write(tmp_path, "en", DOCUMENTS)
    manifest = json.loads((tmp_path / "en.json").read_text())
    for change, message in (
        ({"tokens": 37}, "do not add up to 37"),
        ({"shards": [{"name": "en-00000", "tokens": 6, "documents": 2}]}, "6 tokens and 20 bytes"),
    ):
        altered = {**manifest, "facts": {**manifest["facts"], **change}}
        (tmp_path / "en.json").write_text(json.dumps(altered))
        with pytest.raises(DataError, match=message):
            open_tokens(tmp_path)
    (tmp_path / "en.json").write_text(json.dumps({**manifest, "facts": {}}))
    with pytest.raises(DataError, match="has no tokens: it is not a manifest of tokens"):
        open_tokens(tmp_path)


@pytest.mark.parametrize("other", [{"sha": "cd" * 32}, {"size": 999}])
def test_languages_of_different_vocabularies_are_refused(tmp_path: Path, other: dict[str, object]) -> None:
    write(tmp_path, "en", DOCUMENTS[:1])
    write(tmp_path, "sw", DOCUMENTS[:1], **other)  # type: ignore[arg-type]
    with pytest.raises(MismatchError, match=r"sw\.json was made with vocabulary_"):
        open_tokens(tmp_path)


@pytest.mark.parametrize("ids", [[SIZE], [-1, 5]])
def test_ids_outside_the_vocabulary_are_refused_and_leave_nothing(tmp_path: Path, ids: list[int]) -> None:
    with pytest.raises(MismatchError, match="document 1: ids reach"):
        write(tmp_path, "en", [(0, [5]), (1, ids)])
    assert list(tmp_path.iterdir()) == []


def test_a_shard_must_have_room(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shard_tokens is 0"):
        write(tmp_path, "en", DOCUMENTS, shard_tokens=0)
