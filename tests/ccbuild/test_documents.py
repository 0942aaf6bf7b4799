"""The files of a refined shard: what memory holds them, and that it changes nothing."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ccbuild import documents as module
from ccbuild.documents import DocumentSorter, Drop, DroppedFile
from ccbuild.records import DOCUMENT_SCHEMA, DROPPED_SCHEMA, Document, to_table
from ccbuild.storage import PARQUET, write_table


def some(n: int, first: int = 0) -> list[Document]:
    """Documents in order of their addresses, of four languages and of none."""
    draw = random.Random(first)
    return [
        Document(
            doc_id=first + number,
            url=f"https://example.com/{number}",
            lang=draw.choice(["en", "sw", "ha", "th", None]),
            lang_score=draw.random(),
            paragraphs=("ä" * draw.randint(1, 90), "b" * draw.randint(1, 90)),
        )
        for number in range(n)
    ]


def blocks(documents: list[Document], size: int) -> list[list[Document]]:
    return [documents[start : start + size] for start in range(0, len(documents), size)]


def held(path: Path, documents: list[Document]) -> None:
    """All documents sorted in memory and written with a row group a language."""
    ordered = sorted(documents, key=lambda d: (d.lang or "", d.doc_id))
    with pq.ParquetWriter(path, DOCUMENT_SCHEMA, **PARQUET) as writer:
        for lang in sorted({d.lang or "" for d in ordered}):
            writer.write_table(to_table([d for d in ordered if (d.lang or "") == lang], DOCUMENT_SCHEMA))


@pytest.mark.parametrize(("nbytes", "runs"), [(1 << 30, 0), (20_000, 3), (1, 30)])
def test_documents_that_do_not_fit_are_spilled_and_give_the_same_file(tmp_path: Path, nbytes: int, runs: int) -> None:
    documents, asked = some(300), list[str]()

    def scratch(name: str) -> Path:
        asked.append(name)
        return tmp_path / name

    sorter = DocumentSorter(scratch, nbytes)
    for block in blocks(documents, 10):
        sorter.add(block)
    sorter.write(tmp_path / "sorted")
    held(tmp_path / "held", documents)
    assert len(asked) == runs
    assert (tmp_path / "sorted").read_bytes() == (tmp_path / "held").read_bytes()
    assert sorter.counts == {lang: sum((d.lang or "") == lang for d in documents) for lang in sorter.counts}
    assert sum(sorter.counts.values()) == 300


@pytest.mark.parametrize("nbytes", [1 << 30, 5000])
@pytest.mark.parametrize("block", [7, 300])
def test_row_groups_are_cut_by_the_text_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nbytes: int, block: int
) -> None:
    """Whatever the memory and the blocks, and though one document alone has more text than a row group."""
    monkeypatch.setattr(module, "GROUP_CHARACTERS", 1000)
    documents = some(300)
    documents[7:8] = [Document(doc_id=7, lang="sw", paragraphs=("x" * 3000,))]
    sorter = DocumentSorter(lambda name: tmp_path / name, nbytes)
    for part in blocks(documents, block):
        sorter.add(part)
    sorter.write(tmp_path / "sorted")
    file = pq.ParquetFile(tmp_path / "sorted")
    groups = [file.read_row_group(number).to_pylist() for number in range(file.num_row_groups)]
    assert [row["doc_id"] for group in groups for row in group] == [
        d.doc_id for d in sorted(documents, key=lambda d: (d.lang or "", d.doc_id))
    ]
    sizes = [sum(len(row["text"]) for row in group) for group in groups]
    assert all(size <= 1000 or len(group) == 1 for size, group in zip(sizes, groups, strict=True))
    assert {len({row["lang"] for row in group}) for group in groups} == {1}
    for group, after in itertools.pairwise(groups):
        full = sum(len(row["text"]) for row in group) + len(after[0]["text"]) > 1000
        assert full or group[0]["lang"] != after[0]["lang"]


@pytest.mark.parametrize("n", [0, 1, 100, 150, 300])
def test_drops_are_written_as_they_come_in_the_order_of_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    monkeypatch.setattr(module, "_DROPPED_ROWS", 100)
    drops: list[Drop] = [(d, "too_short", 7 if d.doc_id else None, 0.5) for d in some(n)]
    with DroppedFile(tmp_path / "streamed") as file:
        for start in range(0, n, 30):
            file.add(random.Random(n).sample(drops[start : start + 30], len(drops[start : start + 30])))
    columns = {
        "doc_id": [d.doc_id for d, *_ in drops],
        "url": [d.url for d, *_ in drops],
        "reason": [reason for _, reason, *_ in drops],
        "lang": [d.lang for d, *_ in drops],
        "lang_score": [d.lang_score for d, *_ in drops],
        "perplexity": [d.perplexity for d, *_ in drops],
        "partner": [partner for *_, partner, _ in drops],
        "similarity": [similarity for *_, similarity in drops],
    }
    write_table(tmp_path / "held", module.table_of(DROPPED_SCHEMA, columns), row_group_rows=100)
    assert (tmp_path / "streamed").read_bytes() == (tmp_path / "held").read_bytes()


def test_an_error_closes_the_file_of_drops_and_is_what_is_raised(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="why"), DroppedFile(tmp_path / "drops") as file:
        file.add([(document, "too_short", None, None) for document in some(3)])
        raise RuntimeError("why")
    assert pq.read_metadata(tmp_path / "drops").num_row_groups == 0
