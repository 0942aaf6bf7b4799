"""Benchmark of signatures, paragraph hashes and decisions on real pages, one core, peers in the same run.

    python tests/bench/signatures.py WARC... [--cc-net DIR] [--reps 5] [--json]

WARC: archives of HTML pages. The text is what Resiliparse takes for main content. --cc-net: an unpacked cc_net 1.0.0
(the folder that holds cc_net/text_normalizer.py), whose normalisation is timed beside ours and compared hash by hash.
Pin it to a core (taskset -c 0). Compilation is left out: every case runs once on one text before it is timed. CPU time.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import datasketch
import numpy as np
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding
from resiliparse.parse.html import HTMLTree

from ccbuild.dedup.decisions import decide_documents, decide_paragraphs, matches
from ccbuild.dedup.paragraphs import document_hash, paragraph_hashes, text_paragraph_hashes
from ccbuild.dedup.prints import band_prints, paragraph_prints
from ccbuild.dedup.signatures import SignatureConfig, band_hashes, shingle_hash, sign
from ccbuild.dedup.words import shingles

CONFIG = SignatureConfig()


def read_texts(paths: list[str]) -> list[str]:
    """The main text of every page that has one."""
    texts = []
    for path in paths:
        with open(path, "rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                body = record.reader.read()
                tree = HTMLTree.parse(bytes_to_str(body, detect_encoding(body)))
                texts.append(extract_plain_text(tree, main_content=True, preserve_formatting=True))
    return [text for text in texts if text]


def by_datasketch(texts: list[str]) -> None:
    """datasketch's own bulk form, shingles made from ``str.split``: the cheapest words there are."""
    words = [text.lower().split() for text in texts]
    made = [{" ".join(w[i : i + 5]).encode() for i in range(len(w) - 4)} for w in words]
    datasketch.MinHash.bulk(made, num_perm=CONFIG.num_perm, seed=CONFIG.seed, scheme="affine32")


def cc_net_hashes(folder: str) -> Callable[[list[str]], list[Any]]:
    """cc_net's `compute_hashes` over its own normalisation, of each text."""
    spec = importlib.util.spec_from_file_location("text_normalizer", Path(folder) / "cc_net" / "text_normalizer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def first8(line: str) -> bytes:
        return hashlib.sha1(bytes(module.normalize_for_dedup(line), encoding="utf-8")).digest()[:8]

    def one(text: str) -> Any:
        lines = text.split("\n")
        hashes = np.fromiter((first8(line) for line in lines), dtype=np.dtype((bytes, 8)), count=len(lines))
        return np.ndarray(dtype=np.uint64, buffer=hashes.data, shape=hashes.shape)

    return lambda texts: [one(text) for text in texts]


def measure(cases: dict[str, Callable[[list[str]], Any]], texts: list[str], reps: int) -> dict[str, dict[str, float]]:
    """CPU microseconds a document, median and spread of `reps` rounds that alternate between the cases."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case(texts[:1])
    for _ in range(reps):
        for name, case in cases.items():
            start = time.process_time()
            case(texts)
            seconds[name].append(time.process_time() - start)
    return {
        name: {
            "us_per_document": round(1e6 * statistics.median(s) / len(texts), 1),
            "documents_per_second": round(len(texts) / statistics.median(s)),
            "spread": round((max(s) - min(s)) / statistics.median(s), 2),
        }
        for name, s in seconds.items()
    }


def decisions_cases(texts: list[str]) -> dict[str, Callable[[list[str]], Any]]:
    """`matches` and the decisions over the prints of `texts`, each as often as there are documents."""
    ids = np.arange(len(texts), dtype=np.uint64)
    signed = sign(texts, CONFIG)
    bands = band_prints(band_hashes(signed.values, CONFIG), signed.present, ids)
    lines = paragraph_prints(*text_paragraph_hashes(texts, "fast"), ids)
    whole = np.fromiter(map(document_hash, texts), np.uint64, len(texts))
    edges = matches(bands.hash, bands.doc_id)
    stays = ~np.isin(lines.doc_id, decide_documents(matches(whole, ids), edges, CONFIG).doc)
    return {
        "matches of bands": lambda _: matches(bands.hash, bands.doc_id),
        "decide documents": lambda _: decide_documents(matches(whole, ids), edges, CONFIG),
        "decide paragraphs": lambda _: decide_paragraphs(
            lines.hash[stays], lines.doc_id[stays], lines.paragraph[stays]
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("warc", nargs="+")
    parser.add_argument("--cc-net", metavar="DIR")
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    texts = read_texts(options.warc)
    cases: dict[str, Callable[[list[str]], Any]] = {
        "signatures": lambda t: sign(t, CONFIG),
        "signatures by datasketch bulk": by_datasketch,
        "paragraphs, fast": lambda t: text_paragraph_hashes(t, "fast"),
        "paragraphs, ccnet": lambda t: text_paragraph_hashes(t, "ccnet"),
        "document hash": lambda t: [document_hash(text) for text in t],
    }
    if options.cc_net:
        theirs = cc_net_hashes(options.cc_net)
        cases["paragraphs by cc_net"] = theirs
        ours = text_paragraph_hashes(texts, "ccnet")[0]
        assert np.array_equal(np.concatenate(theirs(texts)), ours), "a hash differs from cc_net's"
    check(texts)
    results = measure(cases | decisions_cases(texts), texts, options.reps)
    report(texts, results, options.json)


def check(texts: list[str]) -> None:
    """Every 200th signature against datasketch and lines against paragraphs: no speed is bought with an error."""
    values = sign(texts[::200], CONFIG)
    for text, row, present in zip(texts[::200], values.values, values.present, strict=True):
        minhash = datasketch.MinHash(CONFIG.num_perm, CONFIG.seed, hashfunc=shingle_hash, scheme="affine32")
        minhash.update_batch(shingles(text) if present else [])
        assert np.array_equal(row, minhash.hashvalues), "a signature differs from datasketch's"
    lines = [line for text in texts[::200] for line in text.split("\n")]
    assert np.array_equal(text_paragraph_hashes(texts[::200], "fast")[0], paragraph_hashes(lines, "fast"))


def report(texts: list[str], results: dict[str, dict[str, float]], as_json: bool) -> None:
    facts = {
        "documents": len(texts),
        "characters": sum(map(len, texts)),
        "lines": sum(text.count("\n") + 1 for text in texts),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("numpy", "numba", "datasketch", "FastWARC", "Resiliparse")},
    }
    if as_json:
        print(json.dumps({"facts": facts, "results": results}, indent=1))
        return
    print(json.dumps(facts))
    for name, row in results.items():
        speed = f"{row['us_per_document']:9.1f} us/doc {row['documents_per_second']:9.0f} doc/s"
        print(f"{name:32} {speed}  spread {row['spread']:.0%}")


if __name__ == "__main__":
    main()
