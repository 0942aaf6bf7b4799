"""Selection by language: the pages that come out are exactly those that the index names, at their true offsets."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbuild.crawl.config import CrawlConfig
from ccbuild.crawl.http import Client
from ccbuild.crawl.languages import CLD2, CLD2_LABELS, UNKNOWN_TO_CLD2, cld2_labels
from ccbuild.crawl.optout import OptOut
from ccbuild.crawl.select import cost_of_selection, cost_of_wet, select
from ccbuild.crawl.selection import best_gap, open_selected, records_of, selected_archives, spans_of
from ccbuild.errors import ChangedError, InputError, NetworkError, StorageError
from ccbuild.langid.codes import CC100
from ccbuild.ledger import Ledger
from ccbuild.warc.records import Reader, Record
from tests.ccbuild.crawl.conftest import SNAPSHOT, Crawl, parquet
from tests.ccbuild.crawl.server import Site, serving

Make = Callable[..., Client]
WEB = Path(__file__).resolve().parents[4] / "shared" / "data" / "web"


def pages(client: Client, selection: str) -> list[tuple[str, int, str]]:
    """(archive, true offset, URL) of every page that a selection gives, through the reader of archives."""
    found = []
    for archive in selected_archives(client, selection):
        ledger = Ledger()
        with open_selected(client, archive.location, records_of(archive), gap=archive.gap) as chosen:
            reader = Reader(chosen.stream, archive.name, ledger)
            records: list[Record] = list(reader)
        assert not reader.damage
        assert ledger["bytes"].kept == ledger["bytes"].seen == archive.size
        found += [(archive.name, chosen.offset_of(r.offset), r.url) for r in records]
    return found


def expected(crawl: Crawl, labels: set[str]) -> list[tuple[str, int, str]]:
    rows = [r for r in crawl.rows if labels & set((r["content_languages"] or "").split(","))]
    return sorted((r["warc_filename"].split("crawl-data/")[1], r["warc_record_offset"], r["url"]) for r in rows)


def test_exactly_the_pages_of_a_language_come_out(crawl: Crawl, make_client: Make, tmp_path: Path) -> None:
    client, out = make_client(base=crawl.site.url), tmp_path / "selection.parquet"
    selected = select(client, SNAPSHOT, ["sw", "hau"], out)
    wanted = expected(crawl, {"swa", "hau"})
    assert selected.rows == 120
    assert 0 < selected.records == len(wanted) < 120
    assert pages(client, str(out)) == wanted
    assert selected.nbytes < selected.index_nbytes / 3
    assert not list(tmp_path.glob("*.parts"))
    asked = {path for method, path, _ in crawl.site.log if method == "GET" and path.endswith(".parquet")}
    assert len(asked) == 2
    assert all("subset=warc" in path for path in asked)


def test_the_main_language_alone(crawl: Crawl, make_client: Make, tmp_path: Path) -> None:
    client, out = make_client(base=crawl.site.url), tmp_path / "s.parquet"
    select(client, SNAPSHOT, ["sw"], out, primary=True)
    tags = pq.read_table(out)["content_languages"].to_pylist()
    assert set(tags) == {"swa"}


def test_the_same_index_gives_the_same_bytes(crawl: Crawl, make_client: Make, tmp_path: Path) -> None:
    contents = []
    for name, connections in (("a", 1), ("b", 4)):
        client = make_client(base=crawl.site.url, connections=connections, budget=str(tmp_path / f"budget-{name}"))
        select(client, SNAPSHOT, ["sw"], tmp_path / name)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    about = json.loads(pq.read_schema(tmp_path / "a").metadata[b"ccbuild.selection"])
    assert (about["snapshot"], about["languages"]) == (SNAPSHOT, ["swa"])


def test_a_place_that_cannot_be_written_is_known_before_the_index_is_read(
    crawl: Crawl, make_client: Make, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        select(make_client(base=crawl.site.url), SNAPSHOT, ["sw"], tmp_path / "file" / "s.parquet")
    assert not [path for _, path, _ in crawl.site.log if path.endswith(".parquet")]


def test_where_nothing_matches_only_the_languages_are_read(crawl: Crawl, make_client: Make, tmp_path: Path) -> None:
    client = make_client(base=crawl.site.url, bytes_per_second=1.0)  # so slow a line that requests are cheap beside it
    none = select(client, SNAPSHOT, ["yor"], tmp_path / "none")
    some = select(client, SNAPSHOT, ["sw"], tmp_path / "some")
    assert none.records == 0
    assert none.nbytes < some.nbytes
    assert some.requests > none.requests
    assert pages(client, str(tmp_path / "some")) == expected(crawl, {"swa"})
    assert selected_archives(client, str(tmp_path / "none")) == []


def test_what_was_read_before_a_break_is_not_read_again(crawl: Crawl, make_client: Make, tmp_path: Path) -> None:
    client, out = make_client(base=crawl.site.url, connections=1), tmp_path / "s.parquet"
    broken = next(p for p in crawl.site.files if p.endswith("subset=warc/part-1.gz.parquet"))
    crawl.site.faults[broken] = ["404"]
    with pytest.raises(NetworkError, match="404"):
        select(client, SNAPSHOT, ["sw"], out)
    assert not out.exists()
    crawl.site.log.clear()
    select(client, SNAPSHOT, ["sw"], out)
    assert not [path for _, path, _ in crawl.site.log if path.endswith("part-0.gz.parquet")]
    assert len(pq.read_table(out)) == len(expected(crawl, {"swa"}))


def test_opt_outs_are_left_out_before_anything_is_stored(crawl: Crawl, make_client: Make, tmp_path: Path) -> None:
    opted_out = OptOut.of(["h1.test", "host:h3.test"])
    client, out = make_client(base=crawl.site.url), tmp_path / "s.parquet"
    select(client, SNAPSHOT, ["sw"], out, urls=True, skip=opted_out.matches)
    urls = pq.read_table(out)["url"].to_pylist()
    assert urls
    assert not [url for url in urls if opted_out.matches(url)]
    assert len(urls) == len([1 for *_, url in expected(crawl, {"swa"}) if not opted_out.matches(url)])


def test_a_local_index_and_a_list_serve_as_well(crawl: Crawl, make_client: Make, tmp_path: Path) -> None:
    folder = tmp_path / "index" / f"crawl={SNAPSHOT}" / "subset=warc"
    folder.mkdir(parents=True)
    (folder / "part-0.parquet").write_bytes(parquet(crawl.rows, 50))
    client = make_client(base=crawl.site.url)
    first = select(client, SNAPSHOT, ["sw"], tmp_path / "a", index=str(tmp_path / "index"))
    assert first.records == len(expected(crawl, {"swa"}))
    assert not crawl.site.log
    listed = f"{crawl.site.url}/crawl-data/{SNAPSHOT}/cc-index-table.paths.gz"
    assert select(client, SNAPSHOT, ["sw"], tmp_path / "b", index=listed).records == first.records


def test_costs_are_told_beside_each_other(crawl: Crawl, make_client: Make, tmp_path: Path) -> None:
    client, out = make_client(base=crawl.site.url), tmp_path / "s.parquet"
    select(client, SNAPSHOT, ["hau"], out)
    records, wet = cost_of_selection(client, out), cost_of_wet(client, SNAPSHOT)
    assert wet.requests == 6
    assert wet.nbytes == sum(len(c) for p, c in crawl.site.files.items() if p.endswith(".wet.gz"))
    crawl.site.log.clear()
    client.nbytes = 0
    pages(client, str(out))
    assert (len(crawl.site.log), client.nbytes) == (records.requests, records.nbytes)
    assert records.seconds == max(records.requests / 5, records.nbytes / 25e6)


def test_a_snapshot_without_languages_is_refused_before_any_request(
    crawl: Crawl, make_client: Make, tmp_path: Path
) -> None:
    client = make_client(base=crawl.site.url)
    with pytest.raises(InputError, match=r"CC-MAIN-2018-39 is the first.*CC-MAIN-2018-34/wet"):
        select(client, "CC-MAIN-2018-34", ["sw"], tmp_path / "s")
    assert not crawl.site.log
    table = pa.table({"url": ["x"], "warc_filename": ["y"]})
    pq.write_table(table, tmp_path / "old.parquet")
    with pytest.raises(InputError, match="no column content_languages.*WET"):
        select(client, SNAPSHOT, ["sw"], tmp_path / "s", index=str(tmp_path / "old.parquet"))


@pytest.mark.parametrize("code", sorted(UNKNOWN_TO_CLD2))
def test_what_cld2_does_not_know_is_refused_with_the_other_way(code: str) -> None:
    with pytest.raises(InputError, match=rf"cannot select {code} .*SNAPSHOT/wet"):
        cld2_labels(["sw", code])


def test_every_code_of_cc100_is_known_or_known_not_to_be() -> None:
    assert CLD2.keys() | UNKNOWN_TO_CLD2.keys() == CC100.keys()
    assert not CLD2.keys() & UNKNOWN_TO_CLD2.keys()
    assert all(len(label) == 3 for label in CLD2_LABELS)
    with pytest.raises(InputError, match="did you mean 'swa'"):
        cld2_labels(["swaa"])


def test_an_archive_that_is_replaced_between_two_ranges_is_refused(site: Site, make_client: Make) -> None:
    site.files["/a.warc.gz"] = first = gzip.compress(b"a" * 99, mtime=0) + bytes(100_000)
    site.faults["/a.warc.gz"], site.later["/a.warc.gz"] = ["", "changed"], first + b"."
    records = np.array([[0, 10], [90_000, 10]])
    with (
        pytest.raises(ChangedError, match="replaced"),
        open_selected(make_client(), site.url + "/a.warc.gz", records, gap=0),
    ):
        pass


def test_a_selection_of_another_file_is_refused(site: Site, make_client: Make, tmp_path: Path) -> None:
    site.files["/a.warc.gz"] = b"\x1f\x8b" + bytes(98)
    for wrong in ([[90, 20]], [[200, 20]]):
        with (
            pytest.raises(NetworkError, match="selection"),
            open_selected(make_client(), site.url + "/a.warc.gz", np.array(wrong)),
        ):
            pass
    (tmp_path / "a").write_bytes(bytes(100))
    with (
        pytest.raises(InputError, match="ends before"),
        open_selected(make_client(), str(tmp_path / "a"), np.array([[90, 20]])),
    ):
        pass


@pytest.mark.parametrize(
    ("rows", "said"), [([[0, 10], [5, 10]], "overlap"), ([[0, 0]], "no length"), ([[-1, 5]], "overlap")]
)
def test_a_selection_that_cannot_be_is_refused(
    make_client: Make, tmp_path: Path, rows: list[list[int]], said: str
) -> None:
    columns: dict[str, list[Any]] = {
        "warc_filename": ["crawl-data/x"] * len(rows),
        "warc_record_offset": [r[0] for r in rows],
        "warc_record_length": [r[1] for r in rows],
    }
    pq.write_table(pa.table(columns), tmp_path / "s.parquet")
    with pytest.raises(InputError, match=said):
        selected_archives(make_client(), str(tmp_path / "s.parquet"))
    (tmp_path / "t.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="no Parquet"):
        selected_archives(make_client(), str(tmp_path / "t.parquet"))


@given(
    st.lists(st.tuples(st.integers(0, 60_000), st.integers(1, 9_000)), min_size=1, max_size=40), st.integers(0, 20_000)
)
def test_spans_cover_each_record_once(gaps: list[tuple[int, int]], gap: int) -> None:
    position, rows = 0, []
    for between, length in gaps:
        rows.append((position + between, length))
        position += between + length
    spans = spans_of(np.array(rows), gap)
    assert all(any(start <= o and o + n <= stop for start, stop in spans) for o, n in rows)
    assert all(a[1] < b[0] or gap == 0 for a, b in itertools.pairwise(spans))
    records = [np.array(rows)]
    best = best_gap(records, CrawlConfig())

    def seconds(g: int) -> float:
        found = spans_of(records[0], g)
        return max(len(found) / 5, sum(b - a for a, b in found) / 25e6)

    assert seconds(best) <= min(seconds(0), seconds(1 << 23)) + 1e-9


def test_the_same_selection_of_another_snapshot_changes_the_digest(
    crawl: Crawl, make_client: Make, tmp_path: Path
) -> None:
    client = make_client(base=crawl.site.url)
    select(client, SNAPSHOT, ["sw"], tmp_path / "a")
    select(client, SNAPSHOT, ["sw", "hau"], tmp_path / "b")
    one, two = (selected_archives(client, str(tmp_path / name)) for name in "ab")
    assert {a.sha256 for a in one}.isdisjoint({a.sha256 for a in two})
    assert {f.name for f in dataclasses.fields(one[0])} >= {"name", "location", "size", "sha256", "gap"}


def test_on_real_pages(make_client: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An index made from the truth beside real pages: what the index says comes out, and little else was fetched."""
    if not (WEB / "truth.jsonl.gz").is_file():
        pytest.skip("the pages of ../shared/data/web are not here")
    label = {code: labels[0] for code, labels in CLD2.items()}
    files = {f"/crawl-data/{SNAPSHOT}/warc/{p.name}": p.read_bytes() for p in sorted(WEB.glob("*.warc.gz"))}
    rows = []
    with gzip.open(WEB / "truth.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            rows.append(
                {
                    "url": row["uri"],
                    "content_digest": "",
                    "content_languages": label.get(row["true_lang"], row["true_lang"]),
                    "warc_filename": f"crawl-data/{SNAPSHOT}/warc/{row['warc']}",
                    "warc_record_offset": row["offset"],
                    "warc_record_length": row["length"],
                }
            )
    with serving(Site(files)) as site:
        site.files["/index.parquet"] = parquet(rows, 4000)
        client, out = make_client(base=site.url), tmp_path / "s.parquet"
        index = select(client, SNAPSHOT, ["swa", "hau"], out, index=site.url + "/index.parquet")
        client.nbytes = 0
        found = pages(client, str(out))
        wanted = sorted(
            (r["warc_filename"].split("crawl-data/")[1], r["warc_record_offset"], r["url"])
            for r in rows
            if r["content_languages"] in ("swa", "hau")
        )
        assert found == wanted
        assert len(found) > 50
        nbytes, records = client.nbytes, sum(a.size for a in selected_archives(client, str(out)))
    whole = sum(map(len, files.values()))
    with capsys.disabled():
        print(
            f"\n  {len(found)} pages: {nbytes:,} bytes fetched ({records:,} of records) of {whole:,}; "
            f"index: {index.nbytes:,} bytes of {index.index_nbytes:,}"
        )
    assert nbytes < whole / 10
