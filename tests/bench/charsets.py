"""Share of pages decoded right, by how their charset is declared or mis-declared.

    python tests/bench/charsets.py --data DIR [--show 5]

DIR holds *.warc.gz and `truth.jsonl.gz` (per page `warc`, `offset`, `charset`, `charset_case`). A page is right when
its text is what the decoder that the WHATWG standard names for the true charset makes of it. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from pathlib import Path

from resiliparse.parse.encoding import map_encoding_to_html5

from ccbuild.ledger import Ledger
from ccbuild.text.charset import decode
from ccbuild.warc.records import Reader

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "web"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--show", type=int, default=5, help="pages to show that were decoded wrong")
    args = parser.parse_args()
    with gzip.open(args.data / "truth.jsonl.gz", "rt", encoding="utf-8") as stream:
        truth = {(row["warc"], row["offset"]): row for row in map(json.loads, stream)}
    right: Counter[str] = Counter()
    pages: Counter[str] = Counter()
    wrong = []
    for path in sorted(args.data.glob("*.warc.gz")):
        with open(path, "rb") as archive:
            for record in Reader(archive, path.name, Ledger()):
                row = truth.get((path.name, record.offset))
                if row is None:
                    continue
                name = map_encoding_to_html5(row["charset"].lower(), False) or row["charset"]
                found, used = decode(record.payload, record.content_type)
                pages[row["charset_case"]] += 1
                if found == record.payload.decode(name, "replace"):
                    right[row["charset_case"]] += 1
                else:
                    wrong.append((row["charset_case"], row["charset"], used, record.url))
    print("| case | pages | right | share |\n|---|--:|--:|--:|")
    for case, count in sorted(pages.items()):
        print(f"| {case} | {count:,} | {right[case]:,} | {right[case] / count:.2%} |")
    legacy = sum(pages.values()) - pages["utf8"]
    found_legacy = right.total() - right["utf8"]
    if legacy:
        print(f"| all but utf8 | {legacy:,} | {found_legacy:,} | {found_legacy / legacy:.2%} |")
    for line in wrong[: args.show]:
        print("wrong:", *line)


if __name__ == "__main__":
    main()
