"""The corpus as others read it: CC-100's rule, xz, datasets, mlcroissant, the Hub; every token back to its bytes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import logging
import lzma
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from cc100.engines import in_process
from cc100.layout import Run
from cc100.recipe import load_recipe
from cc100.run import run_verb
from ccbuild.corpus import CORPUS_SCHEMA, CorpusWriter, open_corpus
from ccbuild.errors import ConfigError, DataError, InputError
from ccbuild.langid.audit import read_audit
from ccbuild.ledger import Ledger
from ccbuild.progress import silent
from ccbuild.push import push
from ccbuild.rundir import open_run_dir
from ccbuild.storage import Unit, read_manifest, table_of
from ccbuild.summary import summarise
from ccbuild.tokens import EOS, open_tokens
from ccbuild.trace import trace_document, trace_token
from ccbuild.vocab.export import MODEL_NAME
from ccbuild.vocab.tokenizer import Encoder
from tests.command import ccbuild


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def cc100_documents(text: str) -> list[list[str]]:
    """The published rule: "each paragraph is on a line, documents are separated by an empty line"."""
    documents: list[list[str]] = [[]]
    for line in text.split("\n")[:-1]:
        if line:
            documents[-1].append(line)
        else:
            documents.append([])
    assert documents.pop() == []
    return documents


def test_the_text_is_that_of_the_rows(small_run: Path) -> None:
    corpus = open_corpus(small_run)
    assert len(corpus) > 60
    for language in list(corpus.values())[::9]:
        rows = pq.read_table(language.folder / language.code)
        path = language.folder / f"{language.code}.txt.xz"
        shown = subprocess.run(["xzcat", path], capture_output=True, check=True).stdout.decode()
        assert cc100_documents(shown) == [text.split("\n") for text in rows["text"].to_pylist()]
        facts = language.facts
        assert (facts["documents"], facts["characters"]) == (len(rows), sum(map(len, rows["text"].to_pylist())))
        assert set(rows["lang"].to_pylist()) == {language.code}


@pytest.mark.filterwarnings("ignore")
def test_datasets_loads_both_forms(small_run: Path, tmp_path: Path, offline: None) -> None:
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    folder = small_run / "5-corpus"
    for files in (str(folder / "el" / "*.parquet"),):
        rows = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
        assert rows.column_names == CORPUS_SCHEMA.names
        assert rows["text"][:] == pq.read_table(folder / "el")["text"].to_pylist()
    by_card = load_dataset(str(folder), "el", split="train", cache_dir=str(tmp_path / "cache"))
    assert by_card["doc_id"][:] == rows["doc_id"][:]
    lines = load_dataset("text", data_files=str(folder / "el.txt.xz"), split="train", cache_dir=str(tmp_path / "cache"))
    assert "\n".join(lines["text"][:]) + "\n" == lzma.decompress((folder / "el.txt.xz").read_bytes()).decode()


@pytest.mark.filterwarnings("ignore")
def test_croissant_is_valid_and_reads_records(small_run: Path, caplog: pytest.LogCaptureFixture) -> None:
    import mlcroissant

    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(jsonld=str(small_run / "5-corpus" / "croissant.jsonld"))
    assert not caplog.records
    assert dataset.metadata.date_published.date().isoformat() == "2026-11-01"
    assert "year = {2026}" in dataset.metadata.cite_as
    sets = {record_set.id for record_set in dataset.metadata.record_sets}
    assert {f"{code}-00000" for code in open_corpus(small_run)} == sets
    first = next(iter(dataset.records("el-00000")))
    row = pq.read_table(small_run / "5-corpus" / "el").slice(0, 1).to_pylist()[0]
    assert first["el-00000/text"].decode() == row["text"]
    assert first["el-00000/doc_id"] == row["doc_id"]


def test_the_card_tells_what_was_counted(small_run: Path) -> None:
    card = (small_run / "5-corpus" / "README.md").read_text(encoding="utf-8")
    _, matter, body = card.split("---\n", 2)
    corpus = open_corpus(small_run)
    front = yaml.safe_load(matter)
    assert [config["config_name"] for config in front["configs"]] == list(corpus)
    assert front["size_categories"] == ["n<1K"]
    assert f"{sum(c.documents for c in corpus.values()):,} documents in {len(corpus)} languages" in body
    assert f"| `el` | Greek | {corpus['el'].documents} | " in body
    for heading in ("Reading it", "Sources and licence", "How it was filtered", "Known limits", "Languages"):
        assert f"## {heading}" in body
    assert "`refine.length.min_chars`: 100" in body


def test_what_a_document_stands_for(small_run: Path) -> None:
    dropped = [
        row
        for path in sorted((small_run / "3-duplicates").glob("part-*.parquet"))
        for row in pq.read_table(path).to_pylist()
        if row["paragraph"] is None
    ]
    stands_for = {
        row["doc_id"]: row["cluster_size"]
        for language in open_corpus(small_run).values()
        for row in pq.read_table(language.folder / language.code, columns=["doc_id", "cluster_size"]).to_pylist()
    }
    more = {doc: size for doc, size in stands_for.items() if size > 1}
    assert len(more) > 10
    for doc, size in more.items():
        assert size == 1 + sum(row["partner"] == doc for row in dropped)
    assert all(row["doc_id"] not in stands_for for row in dropped)


def documents(count: int) -> list[dict[str, Any]]:
    return [
        {
            **dict.fromkeys(CORPUS_SCHEMA.names),
            "doc_id": n,
            "url": "",
            "archive": "a",
            "offset": n,
            "date": f"2024-01-{n % 28 + 1:02d}",
            "lang": "sw",
            "text": f"habari {n} " * (n % 50 + 1),
            "bucket": "all",
            "cluster_size": 1,
        }
        for n in range(count)
    ]


def written(folder: Path, rows: list[dict[str, Any]], step: int, shard_bytes: int = 20_000) -> dict[str, bytes]:
    with (
        Unit(folder, "publish", "sw", settings={}) as unit,
        CorpusWriter(unit, "sw", shard_bytes=shard_bytes, xz_preset=0) as writer,
    ):
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            writer.add(table_of(CORPUS_SCHEMA, {name: [row[name] for row in part] for name in CORPUS_SCHEMA.names}))
        unit.commit(Ledger(), facts=writer.close())
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_shards_fill_and_do_not_depend_on_the_calls(tmp_path: Path) -> None:
    rows = documents(500)
    found = [written(tmp_path / str(step), rows, step) for step in (1, 7, 500)]
    assert found[0] == found[1] == found[2]
    (language,) = open_corpus(tmp_path / "7").values()
    assert len(language.paths) > 4
    assert list(language.texts()) == [row["text"] for row in rows]
    sizes = [sum(len(t) for t in pq.read_table(path)["text"].to_pylist()) for path in language.paths]
    assert all(20_000 <= size < 21_000 for size in sizes[:-1])
    assert language.facts["dates"] == ["2024-01-01", "2024-01-28"]
    written(tmp_path / "7", rows[:20], 7)  # fewer shards: what is left over goes
    assert [p.name for p in (tmp_path / "7" / "sw").iterdir()] == ["sw-00000.parquet"]


def test_files_that_do_not_match_their_manifest_are_named(tmp_path: Path) -> None:
    written(tmp_path, documents(30), 7)
    path = tmp_path / "sw" / "sw-00000.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=f"has {len(whole) - 1} bytes, sw.json says {len(whole)}"):
        open_corpus(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match="sw-00000.parquet is missing"):
        open_corpus(tmp_path)
    with pytest.raises(InputError, match="holds no corpus"):
        open_corpus(tmp_path / "absent")


def copy_of(small_run: Path, tmp_path: Path, *folders: str) -> Path:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("run.json", "inputs.jsonl"):
        shutil.copy(small_run / name, copy)
    for folder in folders:
        shutil.copytree(small_run / folder, copy / folder)
    return copy


def test_a_language_that_an_audit_found_worse_is_held_back(small_run: Path, tmp_path: Path) -> None:
    (tmp_path / "audit.tsv").write_text("lang\tprecision\nel\t0.4\nsw\t0.99\n")
    copy = copy_of(small_run, tmp_path, "0-models", "1-pages", "3-duplicates", "4-documents")
    (copy / "run.json").unlink()
    recipe = load_recipe("demo", ["publish.min_precision=0.9", f"publish.audit={tmp_path / 'audit.tsv'}"])
    run = Run(copy, recipe)
    run_verb(run, "publish", in_process(), silent)
    before, after = open_corpus(small_run), open_corpus(copy)
    assert set(before) - set(after) == {"el"}
    manifest = read_manifest(copy / "5-corpus" / "el.json")
    assert manifest is not None
    assert manifest.ledger["documents"].dropped == {"audit_below_min_precision": before["el"].documents}
    card = (copy / "5-corpus" / "README.md").read_text()
    assert "held back: `el`, of which an audit found 40% right" in card
    assert "not published, audit below min precision (a language that an audit found too impure to publish): " in card
    with pytest.raises(ConfigError, match="needs publish.audit"):
        load_recipe("demo", ["publish.min_precision=0.9"])
    (tmp_path / "audit.tsv").write_text("lang,precision\nel,much\n")
    with pytest.raises(DataError, match="line 2 is no row of lang and precision"):
        read_audit(tmp_path / "audit.tsv")


def test_a_thousand_tokens_lead_back_to_the_bytes_of_their_archives(small_run: Path) -> None:
    run, tokens = open_run_dir(small_run), open_tokens(small_run / "7-tokens")
    encoder = Encoder(small_run / "6-vocabulary" / MODEL_NAME)
    rng = np.random.default_rng(5)
    sizes = np.array([language.tokens for language in tokens.languages.values()])
    codes = rng.choice(list(tokens.languages), 1000, p=sizes / sizes.sum())
    records: dict[tuple[str, int], bytes] = {}
    found: dict[int, dict[str, Any]] = {}
    for code in codes.tolist():
        language = tokens.languages[code]
        index = int(rng.integers(language.tokens))
        span = language.span_at(index)
        if span.doc_id not in found:
            found[span.doc_id] = trace_token(run, code, index)
        traced = found[span.doc_id]
        ids = encoder.encode_documents([traced["text"]])[0].tolist()
        assert language.read(index, 1)[0] == [*ids, EOS][index - span.start]
        place = traced["archive"], traced["offset"]
        if place not in records:
            with open(small_run / "crawl" / traced["archive"], "rb") as archive:
                archive.seek(traced["offset"])
                records[place] = gzip.decompress(archive.read(traced["length"]))
        assert f"WARC-Target-URI: {traced['url']}\r\n".encode() in records[place]
        assert f"WARC-Date: {traced['date']}\r\n".encode() in records[place]
    assert len(found) > 150


def test_a_dropped_page_tells_why(small_run: Path) -> None:
    run = open_run_dir(small_run)
    path = next(iter(sorted((small_run / "4-dropped").glob("*.parquet"))))
    rows = pq.read_table(path).to_pylist()
    gone = next(row for row in rows if row["reason"] == "exact_duplicate")
    traced = trace_document(run, gone["doc_id"])
    assert traced["refine"]["reason"] == "exact_duplicate"
    assert traced["refine"]["meaning"] == "the same text as an earlier page"
    assert traced["match"][0]["partner"] == gone["partner"]
    assert traced["publish"] is None
    assert traced["text"]
    shown = ccbuild("trace", str(gone["doc_id"]), "--run", str(small_run))
    assert shown.returncode == 0, shown.stderr
    assert gone["url"] in shown.stdout
    with pytest.raises(InputError, match="is in shard 99"):
        trace_document(run, 99 << 32)
    with pytest.raises(InputError, match="has no such row"):
        trace_document(run, (1 << 32) - 1)
    with pytest.raises(InputError, match="there is no token 999,999,999"):
        trace_token(run, "el", 999_999_999)
    with pytest.raises(InputError, match="is not the folder of a run"):
        open_run_dir(small_run / "crawl")


def test_the_run_explains_the_reasons_of_a_users_stage(small_run: Path, tmp_path: Path) -> None:
    copy = copy_of(small_run, tmp_path, "1-pages", "4-documents", "4-dropped")
    manifests = [
        path for path in (copy / "4-documents/__manifests").glob("*.json") if "mixed_languages" in path.read_text()
    ]
    for path in manifests:
        path.write_text(path.read_text().replace("mixed_languages", "shouting"))
    table = pq.read_table(copy / "4-dropped" / f"{manifests[0].stem}.parquet")
    rows = [{**row, "reason": row["reason"].replace("mixed_languages", "shouting")} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), copy / "4-dropped" / f"{manifests[0].stem}.parquet")
    gone = next(row["doc_id"] for row in rows if row["reason"] == "shouting")
    for what in ("", "text in capitals"):
        run = open_run_dir(copy)
        assert [loss.meaning for loss in summarise(run).losses if loss.reason == "shouting"] == [what]
        refined = trace_document(run, gone)["refine"]
        assert (refined["reason"], refined["meaning"]) == ("shouting", what)
        made = json.loads(manifests[0].read_text())
        made["facts"]["reasons"] = {"shouting": "text in capitals"}
        manifests[0].write_text(json.dumps(made))


class _Hub(BaseHTTPRequestHandler):
    """As much of the Hub as an upload asks for: every file is small, so all of them come in the commit."""

    received: ClassVar[dict[str, bytes]] = {}
    tokens: ClassVar[set[str]] = set()
    refuse = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.tokens.add(self.headers.get("authorization", ""))
        if self.refuse:
            self._answer({"error": "no"}, 403)
        elif self.path == "/api/repos/create":
            self._answer({"url": f"{self.server.url}/datasets/me/corpus"})  # type: ignore[attr-defined]
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            answers = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None} for f in files]
            self._answer({"files": answers})
        elif self.path == "/api/validate-yaml":
            self._answer({"warnings": [], "errors": []})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.decode().splitlines()):
                if line["key"] == "file":
                    self.received[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            commit = f"{self.server.url}/datasets/me/corpus/commit/{40 * '0'}"  # type: ignore[attr-defined]
            self._answer({"commitOid": "0" * 40, "commitUrl": commit, "success": True})
        else:
            self._answer({"error": self.path}, 404)

    def do_GET(self) -> None:
        self._answer({"id": "me/corpus", "siblings": [], "sha": "0" * 40, "private": True})

    def _answer(self, value: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[Any]:
    server = HTTPServer(("127.0.0.1", 0), _Hub)
    server.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    _Hub.received, _Hub.tokens, _Hub.refuse = {}, set(), False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_push_sends_what_the_manifests_name_and_never_tells_the_token(
    small_run: Path, tmp_path: Path, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copy_of(small_run, tmp_path, "5-corpus")
    (copy / "5-corpus" / "notes.txt").write_text("not of the corpus")
    for name, value in (("HF_ENDPOINT", hub.url), ("HF_TOKEN", "hf_secret"), ("HF_HUB_OFFLINE", "0")):
        monkeypatch.setenv(name, value)
    done = ccbuild("publish", str(copy), "--push", "me/corpus")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub.url}/datasets/me/corpus"
    sent = {name: hashlib.sha256(content).hexdigest() for name, content in hub.RequestHandlerClass.received.items()}
    corpus = open_corpus(copy)
    stated = {n: o["sha256"] for c in corpus.values() for n, o in c.manifest.outputs.items()}
    assert sent.keys() == stated.keys() | {"README.md", "croissant.jsonld"}
    assert all(sent[name] == digest for name, digest in stated.items())
    assert hub.RequestHandlerClass.tokens == {"Bearer hf_secret"}
    hub.RequestHandlerClass.refuse = True
    refused = ccbuild("publish", str(copy), "--push", "me/corpus")
    assert refused.returncode == 1
    assert "me/corpus could not be pushed" in refused.stderr
    assert "hf_secret" not in done.stdout + done.stderr + refused.stdout + refused.stderr
    (copy / "5-corpus" / "el.txt.xz").write_bytes((copy / "5-corpus" / "el.txt.xz").read_bytes()[::-1])
    with pytest.raises(DataError, match=r"is not what el\.json states"):
        push(copy, "me/corpus", endpoint=hub.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = ccbuild("publish", str(small_run), "--push", "me/corpus")
    assert done.returncode == 1
    assert "Nothing was sent" in done.stderr
