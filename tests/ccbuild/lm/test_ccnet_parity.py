"""Perplexities and buckets of cc_net 1.0.0 on 500 documents, under the same model.

golden/ccnet.json holds what cc_net answered; made by the program at the end of this file, whose first argument is the
folder with the model that the fixture estimates, in an environment with cc_net 1.0.0, kenlm 0.3.0 and sentencepiece.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from ccbuild.lm.cutoffs import CutoffTable, bucket, calibrate
from ccbuild.lm.estimate import Estimated
from ccbuild.lm.score import Scorer

GOLDEN = Path(__file__).parent / "golden"


def documents() -> list[list[str]]:
    """500 documents of one to six paragraphs: sentences of the Declaration, damaged in ways that normalising sees."""
    rng = random.Random(500)
    lines = (GOLDEN / "udhr.txt").read_text(encoding="utf-8").splitlines()
    signs = [
        "12,50 €",
        "«Ψ»",
        "…",
        "–",
        "\x00",
        "ÉTÉ",
        "١٢٣",
        "人權",
        "e\u0301",
        "\t",
        "№ 7",
        "x\u200by",
        "１２",
        "—",
        "ﬁn",
    ]
    made = []
    for _ in range(500):
        paragraphs = []
        for _ in range(rng.randint(1, 6)):
            words = rng.choice(lines).split()
            if rng.random() < 0.3:
                rng.shuffle(words)
            for _ in range(rng.choice((0, 0, 1, 3, 8))):
                words.insert(rng.randint(0, len(words)), rng.choice(signs))
            text = " ".join(words)
            paragraphs.append(text.upper() if rng.random() < 0.1 else text.capitalize())
        made.append(paragraphs)
    return made


@pytest.fixture(scope="module")
def golden() -> dict[str, list[float] | list[str] | str]:
    found: dict[str, list[float] | list[str] | str] = json.loads((GOLDEN / "ccnet.json").read_text(encoding="utf-8"))
    return found


def test_perplexities_equal_to_a_tenth(small_model: Estimated, golden: dict[str, list[float]]) -> None:
    if small_model.sp_sha256 != golden["sp_sha256"]:
        pytest.skip("this machine's SentencePiece estimates other pieces than those that cc_net was asked with")
    scorer = Scorer(small_model.sp_model, small_model.binary, definition="ccnet")
    ours = [scorer.score(document).perplexity for document in documents()]
    assert len(ours) == len(golden["perplexities"]) == 500
    assert ours == pytest.approx(golden["perplexities"], abs=0.1001)
    assert sum(a == b for a, b in zip(ours, golden["perplexities"], strict=True)) >= 495  # rounding of another sum


def test_buckets_equal(golden: dict[str, list[str]]) -> None:
    cut = CutoffTable.read(GOLDEN / "ccnet.cutoff.csv").at(0.3, 0.6)["en"]
    assert [bucket(float(p), cut) for p in golden["perplexities"]] == golden["buckets"]
    assert set(golden["buckets"]) == {"head", "middle", "tail"}


def test_our_percentiles_are_where_ccnet_puts_them(golden: dict[str, list[str]]) -> None:
    """The table that cc_net was given came from pandas' quantiles of the same perplexities."""
    import numpy as np

    cut = CutoffTable.read(GOLDEN / "ccnet.cutoff.csv").at(0.3, 0.6)["en"]
    head, middle = calibrate("en", np.array(golden["perplexities"], dtype=np.float64), [30, 60])
    assert head.low <= cut.head <= head.high
    assert middle.low <= cut.middle <= middle.high


MAKE = """
import json, sys, hashlib
sys.modules["sacremoses"] = type(sys)("sacremoses")
from pathlib import Path
from cc_net import perplexity
folder, documents, out, csv = map(Path, sys.argv[1:])
model = {"en": folder / "en.sp.model"}
sp = perplexity.MultiSentencePiece(model, field="raw_content", output_field="t", normalize=True)
lm = perplexity.DocLM({"en": folder / "en.arpa"}, field="t", output_field="perplexity", normalize=False)
sp.get_sp("en"), lm.get_lm("en")
found = [lm.do(sp.do({"raw_content": "\\n".join(d), "language": "en"})) for d in json.loads(documents.read_text())]
values = [d["perplexity"] for d in found]
import pandas
pandas.DataFrame({"en": [pandas.Series(values).quantile(p / 100) for p in range(101)]}).to_csv(csv)
cut = perplexity.PerplexityBucket(csv)
cut._prepare()
buckets = [cut.get_bucket(d) for d in found]
digest = hashlib.sha256((folder / "en.sp.model").read_bytes()).hexdigest()
out.write_text(json.dumps({"sp_sha256": digest, "perplexities": values, "buckets": buckets}) + "\\n")
"""

if __name__ == "__main__":
    import subprocess
    import sys

    asked = Path(sys.argv[1]) / "documents.json"
    asked.write_text(json.dumps(documents()), encoding="utf-8")
    results = [str(GOLDEN / "ccnet.json"), str(GOLDEN / "ccnet.cutoff.csv")]
    subprocess.run([sys.argv[2], "-c", MAKE, sys.argv[1], str(asked), *results], check=True)
