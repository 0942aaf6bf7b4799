"""A peer of deduplication, timed in the environment that has it; started by `signatures.py`.

    PYTHON tests/bench/peers.py CASE TEXTS.json

Reads the texts, runs the case once on a few, prints a digest of what it made of all (only where it can be compared with
ours), and then, for each line on standard input, the CPU seconds of one round. Needs nothing but the peer itself.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

NUM_PERM, SEED, NGRAM = 112, 1, 5
WORD = re.compile(r"\w+")

Case = Callable[[list[str]], Any]


def shingles(text: str) -> set[str]:
    """Distinct shingles by the shortest Python that makes words."""
    words = WORD.findall(text.lower())
    return {" ".join(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)}


def datatrove() -> Case:
    """Its signature step as it comes: 14 x 8, 5-grams of spaCy's English words; writes its files."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from loguru import logger

    logger.remove()

    def sign(texts: list[str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            documents = (Document(text=text, id=str(i)) for i, text in enumerate(texts))
            for _ in MinhashDedupSignature(folder).run(documents, 0, 1) or ():
                pass

    return sign


def datasketch() -> Case:
    """`MinHash.bulk` with the scheme affine32."""
    from datasketch import MinHash

    def sign(texts: list[str]) -> None:
        made = [[shingle.encode() for shingle in shingles(text)] for text in texts]
        MinHash.bulk(made, num_perm=NUM_PERM, seed=SEED, scheme="affine32")

    return sign


def rensa() -> Case:
    """`RMinHash`, its signature taken out as a list."""
    from rensa import RMinHash

    def sign(texts: list[str]) -> None:
        for text in texts:
            made = RMinHash(num_perm=NUM_PERM, seed=SEED)
            made.update(list(shingles(text)))
            made.digest()

    return sign


def cc_net() -> Case:
    """The hashes of the lines of each text."""
    from cc_net.dedup import compute_hashes

    return lambda texts: [compute_hashes(text) for text in texts]


def main() -> None:
    name, path = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    with open(path, encoding="utf-8") as stream:
        texts = json.load(stream)
    case: Case = {"datatrove": datatrove, "datasketch": datasketch, "rensa": rensa, "cc_net": cc_net}[name]()
    case(texts[:20])
    made = case(texts) if name == "cc_net" else []
    print(hashlib.sha256(b"".join(hashes.tobytes() for hashes in made)).hexdigest(), flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        case(texts)
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    main()
