"""Benchmark of signatures, paragraph hashes and decisions on real pages, one core, peers in the same run.

    python tests/bench/signatures.py WARC... [--datatrove PYTHON] [--rensa PYTHON] [--ccnet PYTHON] [--reps 5] [--json]

WARC: archives of HTML pages. The text is what Resiliparse takes for main content. Each PYTHON is that of an environment
with a peer: datatrove; rensa and datasketch 2; cc_net 1.0.0, whose hashes must be ours, bit for bit. Peers run in
processes of their own (`peers.py`), in turn with ours. Pin it to a core (taskset -c 0). Compilation is left out: every
case runs once before it is timed. CPU time; `times`: how often as fast as the peer, text in, hashes out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import statistics
import subprocess
import tempfile
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


class Peer:
    """A case of `peers.py` in its own environment."""

    def __init__(self, python: str, case: str, texts: Path) -> None:
        command = [python, str(Path(__file__).with_name("peers.py")), case, str(texts)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.digest = self._answer()
        """SHA-256 of its hashes."""

    def _answer(self) -> str:
        assert self._child.stdout is not None
        answer = self._child.stdout.readline().strip()
        if not answer:
            raise SystemExit("a peer ended without an answer; its message stands above")
        return answer

    def __call__(self) -> float:
        """CPU seconds of one round."""
        assert self._child.stdin is not None
        print(file=self._child.stdin, flush=True)
        return float(self._answer())

    def close(self) -> None:
        self._child.communicate()


def ours(case: Callable[[list[str]], Any], texts: list[str]) -> Callable[[], float]:
    """A round of `case`, once compiled, in CPU seconds."""

    def run() -> float:
        start = time.process_time()
        case(texts)
        return time.process_time() - start

    case(texts[:1])
    return run


def measure(cases: dict[str, Callable[[], float]], documents: int, reps: int) -> dict[str, dict[str, float]]:
    """CPU microseconds a document, median and spread of `reps` rounds that alternate between the cases."""
    rounds = [{name: case() for name, case in cases.items()} for _ in range(reps)]
    found = {}
    for name in cases:
        seconds = sorted(r[name] for r in rounds)
        median = statistics.median(seconds)
        found[name] = {
            "us_per_document": round(1e6 * median / documents, 1),
            "documents_per_second": round(documents / median),
            "spread": round((seconds[-1] - seconds[0]) / median, 2),
        }
    return found


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
    for peer in ("datatrove", "rensa", "ccnet"):
        parser.add_argument(f"--{peer}", metavar="PYTHON")
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    texts = read_texts(options.warc)
    cases: dict[str, Callable[[list[str]], Any]] = {
        "signatures": lambda t: sign(t, CONFIG),
        "paragraphs, fast": lambda t: text_paragraph_hashes(t, "fast"),
        "paragraphs, ccnet": lambda t: text_paragraph_hashes(t, "ccnet"),
        "document hash": lambda t: [document_hash(text) for text in t],
    }
    check(texts)
    timed = {name: ours(case, texts) for name, case in (cases | decisions_cases(texts)).items()}
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as stream:
        json.dump(texts, stream)
        stream.flush()
        pythons = {"datatrove": options.datatrove, "datasketch": options.rensa, "rensa": options.rensa}
        pythons["cc_net"] = options.ccnet
        peers = {name: Peer(python, name, Path(stream.name)) for name, python in pythons.items() if python}
    if "cc_net" in peers:
        made = hashlib.sha256(text_paragraph_hashes(texts, "ccnet")[0].tobytes()).hexdigest()
        assert made == peers["cc_net"].digest, "a hash differs from cc_net's"
    results = measure(timed | {f"{name} (peer)": peer for name, peer in peers.items()}, len(texts), options.reps)
    for peer in peers.values():
        peer.close()
    report(texts, results, {of: ratio(results, *of) for of in RATIOS if f"{of[1]} (peer)" in results}, options.json)


RATIOS = (
    ("signatures", "datatrove"),
    ("signatures", "datasketch"),
    ("signatures", "rensa"),
    ("paragraphs, ccnet", "cc_net"),
    ("paragraphs, fast", "cc_net"),
)


def ratio(results: dict[str, dict[str, float]], case: str, peer: str) -> float:
    return round(results[f"{peer} (peer)"]["us_per_document"] / results[case]["us_per_document"], 1)


def check(texts: list[str]) -> None:
    """Every 200th signature against datasketch and lines against paragraphs: no speed is bought with an error."""
    values = sign(texts[::200], CONFIG)
    for text, row, present in zip(texts[::200], values.values, values.present, strict=True):
        minhash = datasketch.MinHash(CONFIG.num_perm, CONFIG.seed, hashfunc=shingle_hash, scheme="affine32")
        minhash.update_batch(shingles(text) if present else [])
        assert np.array_equal(row, minhash.hashvalues), "a signature differs from datasketch's"
    lines = [line for text in texts[::200] for line in text.split("\n")]
    assert np.array_equal(text_paragraph_hashes(texts[::200], "fast")[0], paragraph_hashes(lines, "fast"))


def report(
    texts: list[str], results: dict[str, dict[str, float]], times: dict[tuple[str, str], float], as_json: bool
) -> None:
    facts = {
        "documents": len(texts),
        "characters": sum(map(len, texts)),
        "lines": sum(text.count("\n") + 1 for text in texts),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("numpy", "numba", "datasketch", "FastWARC", "Resiliparse")},
    }
    if as_json:
        named = {f"{case} / {peer}": n for (case, peer), n in times.items()}
        print(json.dumps({"facts": facts, "results": results, "times": named}, indent=1))
        return
    print(json.dumps(facts))
    for name, row in results.items():
        speed = f"{row['us_per_document']:9.1f} us/doc {row['documents_per_second']:9.0f} doc/s"
        print(f"{name:32} {speed}  spread {row['spread']:.0%}")
    for (case, peer), n in times.items():
        print(f"{case}: {n} times {peer}")


if __name__ == "__main__":
    main()
