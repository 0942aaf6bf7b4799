"""Every record of a run has one fate, and it is found by whatever one knows of it."""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cc100.demo.outcomes import outcomes
from cc100.demo.truth import TruthPage, read_truth
from cc100.engines import in_process
from cc100.layout import Run, Source, sources_of
from cc100.recipe import Recipe, load_recipe
from cc100.run import VerbSummary, run_verb
from ccbuild.addresses import Addresses
from ccbuild.cli import main
from ccbuild.config import flatten, places
from ccbuild.crawl.optout import OptOut
from ccbuild.errors import InputError
from ccbuild.fate import Fate
from ccbuild.lock import locked
from ccbuild.progress import silent
from ccbuild.reasons import REASONS, deciding
from ccbuild.run import OpenRun, open_run
from ccbuild.rundir import RunDir
from ccbuild.runner import ArchiveReader
from ccbuild.told import Answer
from tests.ccbuild.warc.test_members import warc_record


@pytest.fixture(scope="module")
def truth(small_run: Path) -> list[TruthPage]:
    return read_truth(small_run / "crawl" / "truth.jsonl")


@pytest.fixture(scope="module")
def run(small_run: Path) -> OpenRun:
    return open_run(small_run)


@pytest.fixture(scope="module")
def fates(run: OpenRun, truth: Sequence[TruthPage]) -> list[Fate]:
    """Of each record of the sidecar the fate that stands at its place in the archive."""
    found = [run.why(f"{page.archive} at {page.offset}") for page in truth]
    assert [len(answer.found) for answer in found] == [1] * len(truth)
    return [answer.found[0] for answer in found]


def test_the_fates_of_the_sidecars_records_are_the_sums_of_the_ledgers(run: OpenRun, fates: list[Fate]) -> None:
    expected = Counter[tuple[str, str]]()
    for verb, account in (("extract", "records"), ("refine", "documents"), ("publish", "documents")):
        ledger = run.ledger(verb)[account]
        expected.update({("gone", reason): n for reason, n in (ledger.dropped + ledger.quarantined).items()})
    expected["published", ""] = run.ledger("publish")["documents"].kept
    for name in [reason for _, reason in expected if reason.startswith("record:")]:
        del expected["gone", name]  # requests and the like: the sidecar has none
    assert Counter(("published" if f.fate == "published" else "gone", f.reason or "") for f in fates) == expected
    assert {f.fate for f in fates} == {"published", "dropped", "refused", "quarantined"}


def test_the_fates_are_those_of_the_sidecar(run: OpenRun, truth: list[TruthPage], fates: list[Fate]) -> None:
    became = {(each.archive, each.offset): each for each in outcomes(run)}
    by_document = {fate.doc_id: fate for fate in fates}
    for page, fate in zip(truth, fates, strict=True):
        outcome = became[page.archive, page.offset]
        assert (fate.fate == "published", fate.reason) == (outcome.kept, outcome.reason)
        assert (fate.fate == "quarantined") == bool(page.damaged)
        assert (fate.url, fate.archive, fate.offset) == (
            page.url if not page.damaged else "",
            page.archive,
            page.offset,
        )
        assert fate.length == page.length
        if page.status != 200:
            assert (fate.step, fate.reason) == ("extract", "http_status")
        elif not page.damaged and page.mime != "text/html":
            assert (fate.step, fate.reason) == ("extract", "not_html")
        if fate.copies:
            assert page.kind in ("exact_duplicate", "near_duplicate")
            assert (fate.copies[-1].url, fate.copies[-1].relation) == (page.duplicate_of, "stays")
            stays = by_document[fate.copies[-1].doc_id]
            assert (fate.copies[-1].fate, fate.copies[-1].reason) == (stays.fate, stays.reason)
            assert stays.step in ("refine", "publish"), "it is nobody's duplicate"
            assert (fate.copies[-1].similarity or 0) >= (1 if page.kind == "exact_duplicate" else 0.7)
    assert sum(bool(fate.copies) for fate in fates) == 64


def test_each_is_found_by_its_url(run: OpenRun, truth: list[TruthPage], fates: list[Fate]) -> None:
    for page in (page for page in truth if page.damaged):
        answer = run.why(page.url)
        assert not answer
        assert any("Nobody knows what stood in" in line and page.archive in line for line in answer.looked)
    for page, fate in [pair for pair in zip(truth, fates, strict=True) if not pair[0].damaged][::5]:
        answer = run.why(page.url)
        assert fate in answer.found
        assert (answer.kind, answer.notes) == ("URL", ())


def test_a_fate_tells_each_verdict_with_what_decided(run: OpenRun, fates: list[Fate]) -> None:
    settings = run.settings()
    for fate in fates:
        said = [verdict.said for verdict in fate.verdicts]
        steps = [verdict.step for verdict in fate.verdicts]
        assert said.count("passed") == len(said) - (fate.reason is not None)
        assert fate.reason in (None, said[-1])
        assert all(settings[key] == value for verdict in fate.verdicts for key, value in verdict.settings.items())
        if fate.fate == "published":
            stages = ["refine.length", "refine.language", "refine.snapshot", "refine.perplexity"]
            assert steps == ["extract", "match", *stages, "publish", "encode"]
            language, publish = fate.verdicts[3], fate.verdicts[6]
            assert language.measured["lang"] == fate.lang
            assert language.measured["score"] >= language.settings["refine.language.min_score"]
            assert publish.measured["bucket"] == fate.bucket
            if "head" in publish.measured:
                assert (fate.bucket == "head") == (publish.measured["perplexity"] < publish.measured["head"])


def test_paragraphs_say_who_keeps_them(run: OpenRun, fates: list[Fate]) -> None:
    gone = [(fate, each) for fate in fates for each in fate.paragraphs if each.said != "passed"]
    repeated = sum(table.num_rows for table in (_repeated(run, shard) for shard in run.numbers("match")))
    lost_with_their_pages = run.ledger("refine")["paragraphs"].dropped["duplicate_paragraph"]
    assert len(gone) == repeated == lost_with_their_pages > 20
    for fate, paragraph in gone[::3]:
        assert paragraph.said == "duplicate_paragraph"
        assert paragraph.partner is not None
        assert paragraph.partner_paragraph is not None
        (other,) = run.why(paragraph.partner).found
        assert other.url == paragraph.partner_url != fate.url
        assert other.paragraphs[paragraph.partner_paragraph].said == "passed"
        left = "\n".join(each.text for each in fate.paragraphs if each.said == "passed")
        assert fate.text == left


def _repeated(run: RunDir, shard: int) -> pa.Table:
    table = pq.read_table(run.decisions(shard))
    return table.filter(pa.compute.is_valid(table["paragraph"]))


def test_corpus_and_tokens_are_where_it_says(run: OpenRun, fates: list[Fate]) -> None:
    for fate in [fate for fate in fates if fate.fate == "published"][::9]:
        assert fate.corpus is not None
        assert fate.tokens is not None
        row = pq.read_table(run.root / fate.corpus.file).slice(fate.corpus.first, 1).to_pylist()[0]
        assert (row["doc_id"], row["text"], row["bucket"]) == (fate.doc_id, fate.text, fate.bucket)
        ids = np.fromfile(run.root / fate.tokens.file, "<u4")[fate.tokens.first :][: fate.tokens.count]
        assert np.flatnonzero(ids == 2).tolist() == [fate.tokens.count - 1], "one </s>, at its end"
        last = (fate.tokens.index or 0) + fate.tokens.count - 1
        answer = run.why(f"{fate.tokens.lang}:{last:,}")
        assert answer.found == (fate,)
        assert answer.token is not None
        assert answer.token.in_document == fate.tokens.count - 1


@pytest.mark.parametrize("prefix", ["", "//", "http://", "https://www.", "HTTPS://ann:secret@", "www."])
@pytest.mark.parametrize("form", ["{host}/{path}", "{HOST}:443/{path}/", "{host}./x/../%{hex}{rest}#top"])
def test_a_url_is_found_in_any_form(prefix: str, form: str, run: OpenRun, fates: list[Fate]) -> None:
    fate = next(f for f in fates if f.fate == "published" and "?" not in f.url and not f.url.endswith("/"))
    host, _, path = fate.url.removeprefix("https://").partition("/")
    asked = prefix + form.format(host=host, HOST=host.upper(), path=path, hex=f"{ord(path[0]):02x}", rest=path[1:])
    if ":443" in asked and "https" not in asked.lower():
        asked = asked.replace(":443", ":80")
    answer = run.why(asked)
    assert answer.found == (fate,)
    assert "another form of this address\n" in f"{answer}\n" or asked == fate.url


def test_whole_texts_paragraphs_pieces_and_digests(run: OpenRun, fates: list[Fate]) -> None:
    copied = next(f for f in fates if f.reason == "exact_duplicate")
    assert copied.text is not None
    answer = run.why(f"\r\n  {copied.text}\n")
    stays = copied.copies[-1]
    assert {fate.doc_id for fate in answer.found} >= {copied.doc_id, stays.doc_id}, "both have it"
    assert (answer.kind, answer.notes) == ("text", ())
    shared = next(each for f in fates for each in f.paragraphs if each.said == "duplicate_paragraph")
    answer = run.why(shared.text.upper())
    assert answer.kind == "paragraph"
    assert shared.partner in {fate.doc_id for fate in answer.found}
    assert len(answer.found) >= 2
    piece = copied.text[len(copied.text) // 3 :][:40].split("\n")[0]
    answer = run.why(piece, kind="text")
    assert copied.doc_id in {fate.doc_id for fate in answer.found}
    assert answer.notes == ("No index has such a piece: every text of the run was read.",)
    assert copied in run.why((copied.digest or "").removeprefix("sha1:")).found


def test_addresses_that_the_run_never_gave(run: OpenRun, truth: list[TruthPage]) -> None:
    with pytest.raises(InputError, match=r"row 0 of shard 99, and .* has 4 shards, numbered from 0"):
        run.why(99 << 32)
    with pytest.raises(InputError, match=r"row 4,000 of shard 1, which has \d+ documents, numbered from 0"):
        run.why((1 << 32) + 4000)
    with pytest.raises(InputError, match="there is no token 999,999,999"):
        run.why("el:999,999,999")
    with pytest.raises(InputError, match="has no tokens of 'xh'"):
        run.why("xh:0")
    with pytest.raises(InputError, match="bytes; there is no byte 99,999,999"):
        run.why(f"{truth[0].archive} at byte 99,999,999")
    with pytest.raises(InputError, match=r"has no archive 'other\.warc\.gz'"):
        run.why("other.warc.gz at 3")
    with pytest.raises(InputError, match="Nothing is asked"):
        run.why("  ")
    assert not run.why(f"{truth[0].archive} at {truth[0].offset + 1}"), "no record begins there"


def test_the_command(small_run: Path, fates: list[Fate], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, near = str(small_run), next(f for f in fates if f.reason == "near_duplicate")
    assert main(["why", out, near.url, "--show"]) == 0
    shown = capsys.readouterr().out
    assert "dropped by match: near duplicate (almost the same text as an earlier page (MinHash))" in shown
    assert "match.min_jaccard=0.7" in shown
    assert f"{near.copies[-1].doc_id} stays" in shown
    assert {line[38:41].strip() for line in shown.splitlines() if line[38:41] in (" = ", " ~ ")} == {"=", "~"}
    assert main(["why", out, near.url, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(json.dumps(open_run(small_run).why(near.url).to_mapping()))
    assert told["found"][0]["copies"][0]["doc_id"] == near.copies[0].doc_id
    (tmp_path / "text").write_text(near.text or "", encoding="utf-8")
    assert main(["why", out, "--text", str(tmp_path / "text")]) == 0
    assert near.url in capsys.readouterr().out
    assert main(["why", out, "https://nowhere.example/"]) == 1
    said = capsys.readouterr().out
    assert said.startswith("Nothing in this run is the URL 'https://nowhere.example/'.\nLooked at 376 pages")
    assert "was in no archive that the run was given" in said
    assert main(["why", out, "--json", "no such text anywhere"]) == 1
    assert json.loads(capsys.readouterr().out)["found"] == []
    assert main(["why", out, "--text", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


WAITING = [("1-pages", "match"), ("3-duplicates", "refine"), ("4-dropped", "publish"), ("5-corpus", "encode")]


@pytest.mark.parametrize(("last", "step"), WAITING)
def test_a_run_that_is_being_written(last: str, step: str, small_run: Path, tmp_path: Path, fates: list[Fate]) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("run.json", "inputs.jsonl"):
        shutil.copy(small_run / name, copy)
    for folder in sorted(path.name for path in small_run.glob("[1-5]-*")):
        if folder <= last:
            (copy / folder).symlink_to(small_run / folder)
    fate = next(fate for fate in fates if fate.fate == "published")
    with locked(copy):
        answer = open_run(copy).why(fate.url)
    assert len(answer.notes) == 1
    assert answer.notes[0].startswith("This run is being written (process ")
    (found,) = answer.found
    if step == "encode":
        assert (found.fate, found.tokens, found.corpus) == ("published", None, fate.corpus)
    else:
        assert (found.fate, found.step, found.reason) == ("waiting", step, None)
        assert f"waiting for {step}" in str(answer)
    assert open_run(copy).why(fate.url).notes == ()


def page(url: str, text: str = "") -> bytes:
    body = f"<p>{text or f'The text of {url}, which no other page has.'}</p>".encode()
    record = warc_record(0, body=body).replace(b"http://example.org/0", url.encode())
    return gzip.compress(record, mtime=0)


def extracted(out: Path, archives: Sequence[Path], *settings: str) -> tuple[Run, VerbSummary]:
    made = Run(out.absolute(), load_recipe("cc100", ["extract.text=all", *settings]))
    sources: list[Source] = sources_of([str(path) for path in archives])
    made.note_settings(["extract"])
    return made, run_verb(made, "extract", in_process(), silent, sources, made.admit(sources))


@pytest.fixture
def archives(tmp_path: Path) -> list[Path]:
    """Three archives of two pages each."""
    paths = [tmp_path / f"{name}.warc.gz" for name in "abc"]
    for path in paths:
        urls = (f"http://{path.name[0]}.example/{number}" for number in range(2))
        path.write_bytes(b"".join(page(url) for url in urls))
    return paths


def only(answer: Answer) -> Fate:
    (fate,) = answer.found
    return fate


def test_what_was_never_read_is_told_as_far_as_it_is_known(
    tmp_path: Path, archives: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    text_of = ArchiveReader._text

    def breaks(self: ArchiveReader, record: Any) -> Any:
        if record.url.endswith("b.example/1"):
            raise RuntimeError
        return text_of(self, record)

    class Sieve:
        def __init__(self, *given: object) -> None: ...

        def wants(self, paragraphs: Sequence[str]) -> bool:
            return "c.example/0" not in paragraphs[0]

    monkeypatch.setattr(ArchiveReader, "_text", breaks)
    monkeypatch.setattr("cc100.verbs.extract.Sieve", Sieve)
    monkeypatch.setattr("cc100.verbs.extract.open_cascade", lambda folder: None)
    (tmp_path / "out.txt").write_text("host:a.example\n")
    made, _ = extracted(tmp_path / "o", archives, f"rights.opt_out={tmp_path / 'out.txt'}", "languages=[sw]")
    opened = open_run(made.root)
    opted = only(opened.why("https://a.example/1/"))
    assert (opted.fate, opted.step, opted.reason) == ("refused", "extract", "opt_out:host")
    digest = OptOut.load(str(tmp_path / "out.txt")).digest
    assert opted.verdicts[0].settings == {"rights.opt_out": f"a file with SHA-256 {digest}"}
    assert opted.text is None
    broken = only(opened.why("b.example/1"))
    assert (broken.fate, broken.reason) == ("quarantined", "failed:text:RuntimeError")
    left = opened.why("c.example/0")
    assert not left
    assert any("1 page" in line and "(sw)" in line and "other_language" in line for line in left.looked)
    assert only(opened.why("c.example/1")).step == "match"


def test_a_run_without_an_index_answers_and_gets_one(tmp_path: Path, archives: list[Path]) -> None:
    """As an earlier release began it: nothing of its shards is done again."""
    made, _ = extracted(tmp_path / "o", archives)
    opened, before = open_run(made.root), {p.name: p.read_bytes() for p in made.notes("extract").iterdir()}
    shutil.rmtree(made.folder("addresses"))
    answer = opened.why("a.example/1")
    assert only(answer).url == "http://a.example/1"
    assert answer.notes[0].startswith("No index of addresses covers 3 shards, so all that is there was read")
    _, again = extracted(tmp_path / "o", archives)
    assert (again.fresh, again.before) == (1, 3)
    assert {p.name: p.read_bytes() for p in made.notes("extract").iterdir()} == before
    assert opened.why("a.example/1").notes == ()


def test_the_index_grows_with_the_run(tmp_path: Path, archives: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccbuild.addresses.GROUP", 2)
    made, _ = extracted(tmp_path / "o", archives[:2])
    first = made.folder("addresses") / "addresses-00000.parquet"
    written = first.stat().st_mtime_ns
    _, grown = extracted(tmp_path / "o", archives)
    assert grown.fresh == 2, "a shard, and the file of its group"
    assert first.stat().st_mtime_ns == written
    assert [p.name for p in sorted(made.folder("addresses").glob("*.parquet"))] == [
        first.name,
        "addresses-00002.parquet",
    ]
    once, _ = extracted(tmp_path / "once", archives)
    for path in made.folder("addresses").iterdir():
        assert path.read_bytes() == (once.folder("addresses") / path.name).read_bytes()
    opened = open_run(made.root)
    for name in "abc":
        assert only(opened.why(f"https://www.{name}.example/1")).url == f"http://{name}.example/1"
    assert Addresses.of(opened).uncovered == []


def test_an_index_that_is_older_than_its_shard_is_not_believed(
    tmp_path: Path, archives: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard that was done again, and whose index was not yet, has other rows than the index says."""

    def breaks(self: ArchiveReader, record: Any) -> Any:
        raise RuntimeError if record.url.endswith("a.example/0") else StopIteration

    text_of = ArchiveReader._text
    monkeypatch.setattr(
        ArchiveReader, "_text", lambda self, r: breaks(self, r) if "a.example/0" in r.url else text_of(self, r)
    )
    made, _ = extracted(tmp_path / "o", archives)
    opened = open_run(made.root)
    assert only(opened.why("a.example/0")).fate == "quarantined"
    monkeypatch.setattr(ArchiveReader, "_text", text_of)
    old = {path.name: path.read_bytes() for path in made.folder("addresses").iterdir()}
    (made.notes("extract") / "part-00000.json").unlink()
    extracted(tmp_path / "o", archives)
    for name, content in old.items():
        (made.folder("addresses") / name).write_bytes(content)
    for number in range(2):
        answer = opened.why(f"a.example/{number}")
        assert (only(answer).url, only(answer).doc_id) == (f"http://a.example/{number}", number)
        assert answer.notes[0].startswith("No index of addresses covers 1 shard,")


def test_one_url_fetched_again_is_two_records(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(page("http://example.org/") + page("https://www.example.org", "Another text, a day later."))
    made, _ = extracted(tmp_path / "o", [path])
    answer = open_run(made.root).why("example.org")
    assert [fate.url for fate in answer.found] == ["http://example.org/", "https://www.example.org"]
    assert str(answer).count("waiting for match") == 2


def test_many_are_counted_and_not_all_told(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(page("http://example.org/", f"The text of day {day} of many.") for day in range(25)))
    made, _ = extracted(tmp_path / "o", [path])
    answer = open_run(made.root).why("example.org")
    assert (len(answer.found), answer.more) == (20, 5)
    assert "and 5 records more" in str(answer)


def test_every_setting_that_decides_is_one_of_a_recipe() -> None:
    known = {*flatten(Recipe()), *(key for key, _, _ in places(Recipe()))}
    named = {key for name in REASONS for key in deciding(name)}
    assert len(named) > 20
    assert named - known == set()
