"""Text of other makers as a corpus of ours, and what follows from it: vocabulary, tokens, why."""

from __future__ import annotations

import gzip
import json
import lzma
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sentencepiece import SentencePieceNormalizer

from cc100.layout import text_sources
from ccbuild.cli import main
from ccbuild.corpus import open_corpus
from ccbuild.errors import InputError
from ccbuild.report import write_report
from ccbuild.rundir import open_run_dir
from ccbuild.tokens import EOS, UNK, open_tokens
from ccbuild.vocab.config import VocabularyConfig
from ccbuild.vocab.export import MODEL_NAME
from ccbuild.vocab.tokenizer import Encoder
from ccbuild.vocab.words import read_counts, words_of
from ccbuild.why import why
from tests.ccbuild.vocab.conftest import make_lines
from tests.command import ccbuild

DOCUMENTS = {"sw": [["Habari ya dunia.", "Aya ya pili."], ["Hati ya pili."]], "zh-Hans": [["第一段。", "第二段。"]]}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Two languages as CC-100 publishes them."""
    folder = tmp_path / "cc-100"
    folder.mkdir()
    for code, documents in DOCUMENTS.items():
        text = "".join("\n".join(paragraphs) + "\n\n" for paragraphs in documents)
        (folder / f"{code}.txt.xz").write_bytes(lzma.compress(text.encode()))
    return folder


def test_cc100_s_own_files(theirs: Path, tmp_path: Path) -> None:
    done = ccbuild("corpus", "import", str(theirs / "{lang}.txt.xz"), "--out", str(tmp_path / "run"), "--json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["lang"] for line in done.stdout.splitlines()] == ["sw", "zh-Hans"]
    corpus = open_corpus(tmp_path / "run")
    for code, documents in DOCUMENTS.items():
        assert [text.split("\n") for text in corpus[code].texts()] == documents
        ours = lzma.decompress((tmp_path / "run" / "5-corpus" / f"{code}.txt.xz").read_bytes())
        assert ours == lzma.decompress((theirs / f"{code}.txt.xz").read_bytes())
    rows = pq.read_table(corpus["sw"].folder / "sw").to_pylist()
    assert [(row["archive"], row["offset"], row["doc_id"]) for row in rows] == [
        ("sw.txt.xz", 0, 0),
        ("sw.txt.xz", 1, 1),
    ]
    run = open_run_dir(tmp_path / "run")
    for what in (1, "Hati ya pili.", "ya pili.\n", "Aya ya pili."):
        *_, fate = why(run, what).found
        row, text = (0, "Habari ya dunia.\nAya ya pili.") if what == "Aya ya pili." else (1, "Hati ya pili.")
        assert (fate.imported, fate.archive, fate.offset, fate.text) == (True, "sw.txt.xz", row, text)
        assert (fate.fate, fate.corpus and fate.corpus.first) == ("published", row)
    assert not why(run, "Hati ya tatu.")
    with pytest.raises(InputError, match=r"no text of document 2 of sw\.txt\.xz: there is no such document"):
        why(run, 2)
    with pytest.raises(InputError, match="has no tokens yet: the verb encode makes them"):
        why(run, "sw:0")
    again = ccbuild("corpus", "import", str(theirs / "{lang}.txt.xz"), "--out", str(tmp_path / "run"))
    assert "nothing to do" in again.stderr
    assert again.stdout.splitlines()[0] == "language  documents  paragraphs  characters"
    assert len(again.stdout.splitlines()) == 3
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "What imported text became: a corpus in 2 languages" in page


@pytest.mark.parametrize("command", [["prepare", "--lang", "sw"], ["run", "cc100", "--until", "match"]])
def test_imported_text_is_not_prepared(
    command: list[str], theirs: Path, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["corpus", "import", str(theirs / "{lang}.txt.xz"), "--out", "o"]) == 0
    assert main([*command, "--out", "o", "--workers", "0"]) == 2
    assert "holds imported text, so prepare has nothing to do. What can follow is vocab: " in capsys.readouterr().err


def test_json_lines_and_parquet_keep_what_they_say(tmp_path: Path) -> None:
    lines = [
        {"text": "Moja\u0000 na\u2028mbili", "url": "https://a.example/1", "timestamp": "2020-01-02"},
        {"text": " \n "},
        {"text": "Tatu", "archive": "x.warc.gz", "offset": 77, "url": "https://a.example/2", "perplexity": 3.5},
    ]
    (tmp_path / "sw.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    pq.write_table(pa.table({"text": ["Nne"], "bucket": ["head"]}), tmp_path / "sw.parquet")
    done = ccbuild("corpus", "import", str(tmp_path / "sw.*"), "--lang", "sw", "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    (language,) = open_corpus(tmp_path / "run").values()
    rows = pq.read_table(language.folder / "sw").to_pylist()
    assert [row["text"] for row in rows] == ["Moja na\nmbili", "Tatu", "Nne"]
    assert [row["url"] for row in rows] == ["https://a.example/1", "https://a.example/2", ""]
    assert [row["date"] for row in rows] == ["2020-01-02", "", ""]
    assert [(row["archive"], row["offset"]) for row in rows] == [
        ("sw.jsonl.gz", 0),
        ("x.warc.gz", 77),
        ("sw.parquet", 0),
    ]
    assert [row["bucket"] for row in rows] == ["all", "all", "head"]
    assert language.manifest.ledger["documents"].dropped == {"empty_text": 1}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Five languages imported and taken to tokens by no worker and by two: (the one, the other)."""
    folder = tmp_path_factory.mktemp("imported")
    for i, code in enumerate(("en", "el", "hi", "th", "ja")):
        (folder / f"{code}.txt").write_text(
            "\n".join(make_lines(code, 25_000 if i == 0 else 400, seed=i)), encoding="utf-8"
        )
    runs = folder / "none", folder / "two"
    one_mb = ("--set", "publish.shard_megabytes=1")
    for run, workers in zip(runs, ("0", "2"), strict=True):
        done = ccbuild("corpus", "import", str(folder / "{lang}.txt"), "--out", str(run), "--workers", workers, *one_mb)
        assert done.returncode == 0, done.stderr
        choices = ("--set", "vocab.size=900", "--set", "vocab.threads=2", "--set", "encode.shard_tokens=3000")
        verbs = ("--from", "vocab", "--until", "encode")
        done = ccbuild("run", "cc100", "--out", str(run), *verbs, "--workers", workers, *choices, *one_mb)
        assert done.returncode == 0, done.stderr
        assert "languages                                            5" in done.stdout
    return runs


def test_no_worker_and_two_give_the_same_bytes(imported: tuple[Path, Path]) -> None:
    found = []
    for run in imported:
        paths = [path for folder in ("5-corpus", "6-vocabulary", "7-tokens") for path in (run / folder).rglob("*")]
        found.append({str(path.relative_to(run)): path.read_bytes() for path in paths if path.is_file()})
    assert found[0] == found[1]
    made = {"5-corpus/el.txt.xz", "6-vocabulary/words/el.parquet", "6-vocabulary/dict.txt", "7-tokens/el-00001.bin"}
    assert made <= set(found[0])


def test_a_language_of_several_shards_is_put_together(imported: tuple[Path, Path]) -> None:
    english = open_corpus(imported[0])["en"]
    assert len(english.paths) == 2
    tokens = open_tokens(imported[0] / "7-tokens").languages["en"]
    spans = list(tokens.documents_iter())
    assert [span.doc_id for span in spans] == [i for batch in english.batches(["doc_id"]) for i in batch[0].to_pylist()]
    encoder = Encoder(imported[0] / "6-vocabulary" / MODEL_NAME)
    normalizer = SentencePieceNormalizer(rule_name="nmt_nfkc", add_dummy_prefix=False, escape_whitespaces=False)
    whole = 0
    for span, text in list(zip(spans, english.texts(), strict=True))[::97]:
        ids = tokens.read(span.start, span.length)
        assert ids.tolist() == [*encoder.encode_documents([text])[0].tolist(), EOS]
        if UNK not in ids:
            whole += 1
            assert encoder.decode(ids[:-1]) == normalizer.normalize(text), "the round trip"
    assert whole > 100
    words = words_of(english.paragraphs(), VocabularyConfig())
    assert read_counts(imported[0] / "6-vocabulary" / "words" / "en.parquet").as_counter() == words.as_counter()


def test_tokens_show_and_why(imported: tuple[Path, Path]) -> None:
    run = imported[0]
    tokens = open_tokens(run / "7-tokens")
    span = tokens.languages["el"].span_at(3500)
    answer = why(open_run_dir(run), "el:3500")
    (fate,) = answer.found
    assert (fate.doc_id, answer.token and answer.token.in_document) == (span.doc_id, 3500 - span.start)
    shown = ccbuild(
        "tokens", "show", str(run / "7-tokens"), "el", str(span.start), "--count", str(span.length), "--vocab",
        str(run / "6-vocabulary"), "--json",
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    record = json.loads(shown.stdout)
    assert record["doc_ids"] == [span.doc_id]
    assert len(record["ids"]) == span.length
    assert record["text"].split()[0] == (fate.text or "").split()[0]
    other = ccbuild("tokens", "show", str(run / "7-tokens"), "el", "0", "--vocab", str(run / "5-corpus"))
    assert other.returncode == 2
    beyond = ccbuild("tokens", "show", str(run / "7-tokens"), "el", "99999999", "--vocab", str(run / "6-vocabulary"))
    assert beyond.returncode == 2
    assert "numbered from 0" in beyond.stderr


def test_pairs_for_the_trainer(imported: tuple[Path, Path], tmp_path: Path) -> None:
    made_with = ("--lang", "en,el", "--vocab", str(imported[0] / "6-vocabulary"), "--out", str(tmp_path))
    (tmp_path / "pairs.tsv").write_text("one two\tμία δύο\n\tκενό\nthree\tτρία\n", encoding="utf-8")
    done = ccbuild("tokens", "encode", "--pairs", str(tmp_path / "pairs.tsv"), *made_with)
    assert done.returncode == 0, done.stderr
    tokens = open_tokens(tmp_path / "en-el")
    numbers = {code: [span.doc_id for span in side.documents_iter()] for code, side in tokens.languages.items()}
    assert numbers == {"el": [0, 2], "en": [0, 2]}
    (tmp_path / "bad.tsv").write_text("one\ttwo\tthree\n")
    bad = ccbuild("tokens", "encode", "--pairs", str(tmp_path / "bad.tsv"), *made_with)
    assert bad.returncode == 2
    assert "line 1 has 3 columns" in bad.stderr


def test_bad_input(theirs: Path, tmp_path: Path, small_run: Path) -> None:
    with pytest.raises(InputError, match="tells no language"):
        text_sources([str(theirs / "sw.txt.xz")], None)
    with pytest.raises(InputError, match="No file matches"):
        text_sources([str(theirs / "*.nothing")], "sw")
    crawl = ccbuild("corpus", "import", str(theirs / "{lang}.txt.xz"), "--out", str(small_run))
    assert crawl.returncode == 2
    assert "holds a crawl" in crawl.stderr
    out = str(tmp_path / "run")
    assert ccbuild("corpus", "import", str(theirs / "{lang}.txt.xz"), "--out", out).returncode == 0
    fewer = ccbuild("corpus", "import", str(theirs / "sw.txt.xz"), "--lang", "sw", "--out", out)
    assert "was imported before" in fewer.stderr
    back = ccbuild("run", "cc100", "--out", out, "--from", "publish", "--workers", "0")
    assert back.returncode == 2
    assert "imported" in back.stderr
    (theirs / "sw.txt.xz").write_bytes(b"no xz at all")
    broken = ccbuild("corpus", "import", str(theirs / "{lang}.txt.xz"), "--out", str(tmp_path / "other"))
    assert broken.returncode == 1
    assert "sw: DataError" in broken.stderr
    assert "zh-Hans" in open_corpus(tmp_path / "other")


def test_an_import_with_other_settings_is_refused_and_changes_nothing(
    theirs: Path, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["corpus", "import", "--out", "run", "--lang", "sw", "--set", "publish.xz_preset=0"]
    assert main([*command, str(theirs / "sw.txt.xz")]) == 0
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    Path("more.txt").write_text("Habari za leo.\n")
    capsys.readouterr()
    assert main([*command, str(theirs / "sw.txt.xz"), "more.txt", "--set", "publish.xz_preset=1"]) == 2
    assert "Keep it with --set publish.xz_preset=0" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


def test_a_disk_that_fills_in_the_middle_of_a_language(tmp_path: Path) -> None:
    """No file may grow past 64 KB: what was begun goes, what was done before stays, with more room it goes on."""
    random_ = random.Random(1)
    lines = ["".join(random_.choices("abcdefghijklmnopqrstuvwxyz ", k=99)) for _ in range(4000)]
    (tmp_path / "el.txt").write_text("\n".join(lines[:1] * 5000))  # larger, so it comes first, and packs to nothing
    (tmp_path / "sw.txt").write_text("\n".join(lines))
    out = tmp_path / "run"
    command = ["-m", "ccbuild", "corpus", "import", str(tmp_path / "{lang}.txt"), "--out", str(out)]
    limited = ["bash", "-c", 'ulimit -f 64; exec "$@"', "-", sys.executable, *command]
    full = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert full.returncode == 1
    assert "No space left to write" in full.stderr
    assert [path.name for path in (out / "5-corpus").rglob("*") if "sw" in path.name and path.is_file()] == []
    assert list(open_corpus(out)) == ["el"]
    again = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert open_corpus(out)["sw"].documents == 4000
