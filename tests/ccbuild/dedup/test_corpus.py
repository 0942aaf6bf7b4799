"""`ccbuild dedup` on a user's own files, two corpora against each other, and a text against a run."""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ccbuild.cli import dedup as cli
from ccbuild.dedup.corpora.files import Corpus, dedup_files
from ccbuild.dedup.corpora.query import datasketch_index, minhash, neighbours
from ccbuild.dedup.corpora.texts import CorpusConfig, deduplicate, overlap, sketch
from ccbuild.dedup.external.printfile import write_prints
from ccbuild.dedup.jaccard import true_jaccard
from ccbuild.dedup.paragraphs import document_hash
from ccbuild.dedup.prints import Prints, band_prints, document_prints, scheme
from ccbuild.dedup.signatures import SignatureConfig, band_hashes, sign
from ccbuild.errors import ConfigError, DataError, InputError
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit

WORDS = [f"w{i}" for i in range(200)]
LONG = " ".join(WORDS)
NEAR = " ".join([*WORDS[:195], "other", "end"])
REST = " ".join(f"x{i}" for i in range(100))


def run(*arguments: str) -> int:
    top = argparse.ArgumentParser()
    cli.add(top.add_subparsers(required=True))
    options = top.parse_args(["dedup", *arguments])
    return int(options.run(options))


def write_json_lines(path: Path, texts: list[str], key: str = "text") -> str:
    path.write_text("".join(json.dumps({"id": i, key: t}) + "\n" for i, t in enumerate(texts)), encoding="utf-8")
    return str(path)


def records(captured: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.splitlines()]


def test_rows_that_go_name_what_they_repeat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_json_lines(tmp_path / "a.jsonl", [LONG, REST, "short"])
    b = tmp_path / "b.parquet"
    pq.write_table(pa.table({"text": [NEAR, "short", None, "other"], "n": [1, 2, 3, 4]}), b)
    out = tmp_path / "clean"
    assert run(a, str(b), "--out", str(out), "--json") == 0
    assert records(capsys.readouterr().out) == [
        {
            "rows": 7,
            "kept": 5,
            "exact_duplicate": 1,
            "near_duplicate": 1,
            "too_short_for_near": 4,
            "without_text": 1,
            "characters": len(LONG + REST + NEAR) + 15,
            "kept_characters": len(LONG + REST) + 10,
        }
    ]
    dropped = records((out / "dropped.jsonl").read_text())
    assert [(d["file"], d["row"], d["reason"], d["partner_file"], d["partner_row"]) for d in dropped] == [
        (str(b), 0, "near_duplicate", a, 0),
        (str(b), 1, "exact_duplicate", a, 2),
    ]
    assert dropped[0]["similarity"] > 0.9
    assert dropped[1]["similarity"] == 1.0
    assert {d["cluster_size"] for d in dropped} == {2}
    assert (out / "kept" / "a.jsonl").read_bytes() == Path(a).read_bytes()
    assert pq.read_table(out / "kept" / "b.parquet").to_pylist() == [{"text": None, "n": 3}, {"text": "other", "n": 4}]


def test_without_a_folder_the_dropped_rows_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = tmp_path / "a.jsonl.gz"
    a.write_bytes(gzip.compress(f'{{"body": "{LONG}"}}\n\n{{"body": "{NEAR}"}}\n'.encode()))
    assert run(str(a), "--text-column", "body", "--json") == 0
    captured = capsys.readouterr()
    assert [d["row"] for d in records(captured.out)] == [1]
    assert "kept 1," in captured.err


def test_a_published_corpus_keeps_its_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, out = tmp_path / "sw.txt.xz", tmp_path / "clean"
    corpus.write_bytes(lzma.compress(f"{LONG}\nend\n\n{REST}\n\n{LONG}\nend\n\n".encode()))
    assert run("compare", str(corpus), str(corpus), "--json") == 0
    assert records(capsys.readouterr().out)[0]["rows"] == [3, 3]
    assert run(str(corpus), "--out", str(out)) == 0
    assert (out / "kept" / "sw.txt").read_text(encoding="utf-8") == f"{LONG}\nend\n\n{REST}\n\n"
    assert [(d["row"], d["partner_row"]) for d in records((out / "dropped.jsonl").read_text())] == [(2, 0)]


def test_rows_without_text_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine, out = tmp_path / "a.jsonl", tmp_path / "clean"
    lines = ['{"text": null, "id": 1}', '{"id": 2}', '{"text": "same"}', '{"text": "", "id": 3}', '{"text": "same"}']
    mine.write_text("\n".join([*lines, '{"text": null, "id": 1}', ""]))
    assert run(str(mine), "--out", str(out), "--json") == 0
    said = capsys.readouterr()
    (summary,) = records(said.out)
    assert (summary["rows"], summary["kept"], summary["without_text"]) == (6, 5, 4)
    assert "3 of 6 records have no text (2 null, 1 without 'text'), the first in line 1. Such rows are" in said.err
    assert (out / "kept" / "a.jsonl").read_text() == "\n".join([*lines[:4], lines[0], ""])


def chain(links: int, moved: int = 14, words: int = 200) -> list[str]:
    """Texts of which each has `moved` words in a row that the one before has not."""
    return [" ".join(f"old{i}" if i >= n * moved else f"new{i}" for i in range(words)) for n in range(links)]


def found(texts: list[str], **settings: Any) -> list[Any]:
    return deduplicate(texts, CorpusConfig(**settings))


def test_a_chain_of_near_texts_goes_only_where_one_that_stays_is_near() -> None:
    """Neighbours are alike at 0.83, the ends share nothing: what goes names a text that stays and resembles it."""
    texts = chain(12)
    assert true_jaccard(texts[0], texts[1], 5) > 0.8
    assert true_jaccard(texts[0], texts[11], 5) < 0.15
    gone = found(texts)
    stays = set(range(12)) - {each.row for each in gone}
    assert len(stays) > 3
    for each in gone:
        assert each.partner in stays
        assert each.match == each.partner
        near = true_jaccard(texts[each.row], texts[each.partner], 5)
        assert each.similarity == pytest.approx(near, abs=0.001)
        assert near >= 0.7
    assert all(true_jaccard(texts[a], texts[b], 5) < 0.83 for a in stays for b in stays if a != b)


def test_a_chain_as_others_have_it_says_how_near_each_is_to_both() -> None:
    texts = chain(12)
    gone = found(texts, linkage="chain")
    assert [(each.row, each.partner) for each in gone] == [(row, 0) for row in range(1, 12)]
    for each in gone:
        assert each.similarity == pytest.approx(true_jaccard(texts[each.row], texts[0], 5), abs=0.001)
        assert each.match_similarity == pytest.approx(true_jaccard(texts[each.row], texts[each.match], 5), abs=0.001)
    assert gone[-1].similarity < 0.15
    assert gone[-1].match_similarity > 0.8


def test_a_least_similarity_moves_the_chain() -> None:
    texts = chain(12)
    kept = [12 - len(found(texts, min_jaccard=least)) for least in (0.7, 0.8, 0.9)]
    assert kept == sorted(kept)
    assert kept[0] < kept[1] < kept[2] == 12


def test_two_languages_that_share_half_a_page_are_no_duplicates() -> None:
    """Bands may call them near; their texts share half."""
    shared = " ".join(f"english{i}" for i in range(120))
    texts = [shared + " " + " ".join(f"{lang}{i}" for i in range(60)) for lang in ("lt", "nn")]
    assert 0.4 < true_jaccard(*texts, 5) < 0.55
    signature = SignatureConfig(bands=60, rows=2)  # finds them surely
    assert [each.reason for each in found(texts, signature=signature, min_jaccard=0)] == ["near_duplicate"]
    assert found(texts, signature=signature) == []


def test_only_the_same_text_is_an_exact_duplicate() -> None:
    """A copy of a text that went for a near one equals the one, and is near to the other, which stays."""
    gone = found([LONG, NEAR, NEAR])
    assert [(each.row, each.reason, each.partner, each.match) for each in gone] == [
        (1, "near_duplicate", 0, 0),
        (2, "near_duplicate", 0, 1),
    ]
    assert gone[1].match_similarity == 1.0
    assert gone[1].similarity == gone[0].similarity == pytest.approx(true_jaccard(LONG, NEAR, 5), abs=0.001)


@pytest.mark.parametrize(("keep", "stays"), [("first", [0, 3]), ("newest", [2, 3]), ("longest", [1, 3]), ("none", [3])])
def test_each_policy_keeps_its_copy(tmp_path: Path, keep: str, stays: list[int]) -> None:
    texts = [NEAR, LONG, NEAR, REST]
    path = write_json_lines(tmp_path / "a.jsonl", texts)
    result = dedup_files(Corpus([path]), CorpusConfig(keep=keep), tmp_path / "out")  # type: ignore[arg-type]
    kept = records((tmp_path / "out/kept/a.jsonl").read_text())
    assert [record["id"] for record in kept] == stays
    assert len(result.dropped) == 4 - len(stays)


def test_compare_counts_what_two_corpora_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_json_lines(tmp_path / "a.jsonl", [LONG, "one\ntwo", "same", ""])
    b = write_json_lines(tmp_path / "b.jsonl", [NEAR, "two\nthree", "same", ""])
    assert run("compare", a, b) == 0
    assert ["rows", "4", "4"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    assert run("compare", a, b, "--json") == 0
    (found,) = records(capsys.readouterr().out)
    assert (found["rows"], found["equal"], found["near"]) == ([4, 4], [1, 1], [1, 1])
    assert (found["paragraphs"], found["common_paragraphs"]) == ([4, 4], 2)
    assert (found["equal_share"], found["common_paragraphs_share"]) == ([0.25, 0.25], [0.5, 0.5])


def test_a_corpus_overlaps_with_itself_in_whole() -> None:
    rows = sketch([LONG, NEAR, REST, "short"], CorpusConfig(), paragraphs=True)
    found = overlap(rows, rows)
    assert (found.equal, found.near) == ((4, 4), (0, 0))
    assert found.common_paragraphs == found.paragraphs[0] == 4


def make_run(root: Path, shards: list[list[str]]) -> SignatureConfig:
    """Pages and prints as `extract` leaves them."""
    config = SignatureConfig(bands=20, rows=3)
    for folder in ("1-pages", "2-prints"):
        (root / folder).mkdir(parents=True)
    (root / "run.json").write_text("{}")
    for shard, texts in enumerate(shards):
        ids = (np.uint64(shard) << np.uint64(32)) + np.arange(len(texts), dtype=np.uint64)
        signed = sign(texts, config)
        bands = band_prints(band_hashes(signed.values, config), signed.present, ids)
        whole = document_prints(np.array([document_hash(t) for t in texts], np.uint64), ids)
        name = f"part-{shard:05d}"
        prints = Prints.concatenate([bands, whole])
        write_prints(root / "2-prints" / f"{name}.parquet", prints, scheme=scheme(config, "fast"))
        urls = [f"https://example.org/{i}" for i in ids.tolist()]
        with Unit(root / "1-pages", "extract", name, settings={}) as unit:
            pq.write_table(pa.table({"doc_id": ids, "url": urls, "text": texts}), unit.path(f"{name}.parquet"))
            unit.commit(Ledger())
    return config


def test_a_query_answers_as_datasketch_over_the_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(3)
    texts = [" ".join([*WORDS[: rng.integers(60, 200)], *(f"y{i}{n}" for i in range(60))]) for n in range(80)]
    config = make_run(tmp_path / "run", [texts[:40], [*texts[40:], LONG, "short"]])
    everything = {n if n < 40 else (1 << 32) + n - 40: t for n, t in enumerate([*texts, LONG])}
    signed = sign(list(everything.values()), config)
    index = datasketch_index(dict(zip(everything, signed.values, strict=True)), config)
    expected = set(index.query(minhash(sign([NEAR], config).values[0], config)))
    assert 1 < len(expected) < len(everything)
    assert run("query", str(tmp_path / "run"), "--text", NEAR, "--json") == 0
    found = records(capsys.readouterr().out)
    assert {n["doc_id"] for n in found} == expected
    assert found[0]["doc_id"] == (1 << 32) + 40
    assert found[0]["jaccard"] == true_jaccard(NEAR, LONG, 5)
    assert abs(found[0]["estimated"] - found[0]["jaccard"]) < 0.15
    assert [n["jaccard"] for n in found] == sorted((n["jaccard"] for n in found), reverse=True)


def test_a_short_text_has_no_neighbours(tmp_path: Path) -> None:
    make_run(tmp_path, [[LONG]])
    assert neighbours([tmp_path / "2-prints/part-00000.parquet"], tmp_path / "1-pages", "short") == []


@pytest.mark.parametrize("arguments", [["query", "."], ["compare", "a"], ["query"], ["nothing.jsonl"], ["."]])
def test_mistakes_are_the_users(arguments: list[str], in_folder: Path) -> None:
    with pytest.raises(InputError):
        run(*arguments, "--text", "x")


def test_bad_files_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "b.parquet"
    broken.write_bytes(b"PAR1nonsense")
    with pytest.raises(DataError, match=r"b\.parquet"):
        dedup_files(Corpus([str(broken)]), CorpusConfig())
    for line, message in (("{", "line 2 is no JSON"), ("[1]", "line 2 is a JSON list")):
        path = tmp_path / "a.jsonl"
        path.write_text(f'{{"text": "x"}}\n{line}\n')
        with pytest.raises(InputError, match=message):
            dedup_files(Corpus([str(path)]), CorpusConfig())
    pq.write_table(pa.table({"text": [1]}), broken)
    with pytest.raises(InputError, match="is int64, no text"):
        dedup_files(Corpus([str(broken)]), CorpusConfig())
    with pytest.raises(InputError, match="both become"):
        dedup_files(Corpus([write_json_lines(tmp_path / "a.jsonl", [])] * 2), CorpusConfig(), tmp_path / "o")
    with pytest.raises(ConfigError, match="min_jaccard"):
        CorpusConfig(min_jaccard=2)


def test_empty_one_word_and_very_long_texts(tmp_path: Path) -> None:
    huge = "word and another " * 6_000_000  # 102 million characters
    rows = sketch(["", "", "word", "word", huge, huge], CorpusConfig())
    assert rows.signed.tolist() == [False] * 6  # three shingles only
    assert rows.characters[-1] == len(huge)
    assert rows.whole.tolist()[0] == 0
    assert rows.whole[4] == rows.whole[5]


def test_a_threshold_makes_bands_and_rows() -> None:
    assert (CorpusConfig(threshold=0.68).signature.bands, CorpusConfig(threshold=0.68).signature.rows) == (14, 8)
    config = CorpusConfig(threshold=0.5, num_perm=128).signature
    assert config.bands * config.rows <= 128
    assert config.rows < 8
