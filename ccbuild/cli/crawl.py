"""Common Crawl: which snapshots there are, their archives, fetching them, and selecting records by language."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ccbuild.cli.terminal import (
    command,
    configured,
    group,
    json_option,
    print_records,
    print_results,
    print_text,
    settings_option,
)
from ccbuild.crawl.config import CrawlConfig
from ccbuild.crawl.fetch import Fetched, fetch_all
from ccbuild.crawl.http import Client, is_url
from ccbuild.crawl.inputs import fetch_selection
from ccbuild.crawl.optout import OptOut
from ccbuild.crawl.select import Cost, Selected, cost_of_selection, cost_of_wet, select
from ccbuild.crawl.selection import is_selection
from ccbuild.crawl.snapshots import KINDS, archive_paths, list_snapshots, located, parse_paths, sample_paths
from ccbuild.errors import InputError
from ccbuild.lines import read_lines
from ccbuild.plural import many
from ccbuild.progress import Bar, note, phase, watched

__all__ = ["add"]


def add(commands: Any) -> None:
    """These commands."""
    rooms = group(commands, "crawl", "Common Crawl: list, paths, fetch, select.")
    listed = command(rooms, "list", _list, "The snapshots of Common Crawl, newest first.", "ccbuild crawl list")
    paths = command(
        rooms,
        "paths",
        _paths,
        "The archives of a snapshot, one path a line.",
        "ccbuild crawl paths CC-MAIN-2018-30 --kind wet --sample 10 --seed 1",
    )
    paths.add_argument("snapshot", help="such as CC-MAIN-2018-30")
    paths.add_argument("--url", action="store_true", help="print URLs in place of paths")
    fetch = _add_fetch(rooms)
    for made in (paths, fetch):
        made.add_argument("--kind", choices=KINDS, default="wet", help="pages as they were, or their text (default)")
        made.add_argument("--sample", type=int, help="so many archives, drawn by --seed (default: all)")
        made.add_argument("--seed", type=int, default=1, help="of the sample (default: 1)")
    chosen = command(
        rooms,
        "select",
        _select,
        "The records of a snapshot in some languages, by Common Crawl's columnar index.",
        "ccbuild crawl select CC-MAIN-2024-22 --language swa --language hau --out selection.parquet\n"
        "  ccbuild run cc100 --input selection.parquet --out runs/mine",
    )
    _select_options(chosen)
    json_option(listed, paths, fetch, chosen)
    for made in (listed, paths, fetch, chosen):
        settings_option(made, "contact=me@example.org, base=https://mirror.example/")


def _add_fetch(rooms: Any) -> argparse.ArgumentParser:
    fetch = command(
        rooms,
        "fetch",
        _fetch,
        "Download archives, apart from computing. The same command again goes on where it stopped.",
        "ccbuild crawl fetch CC-MAIN-2018-30 --kind wet --sample 10 --out crawl\n"
        "  ccbuild run cc100 --input 'crawl/crawl-data/**/*.wet.gz' --out runs/mine",
    )
    fetch.add_argument("snapshot", nargs="?", help="such as CC-MAIN-2018-30")
    fetch.add_argument(
        "--paths", metavar="FILE", help="a list of paths or URLs in place of a snapshot, as `paths` prints"
    )
    fetch.add_argument("--selection", metavar="FILE", help="the records of a selection; then --set crawl.cache=OUT")
    fetch.add_argument("--out", required=True, help="folder; archives lie in OUT/crawl-data/…")
    return fetch


def _select_options(chosen: argparse.ArgumentParser) -> None:
    chosen.add_argument("snapshot", help="such as CC-MAIN-2024-22; the index has languages from CC-MAIN-2018-39 on")
    chosen.add_argument(
        "--language", action="append", default=[], metavar="CODE", help="sw or swa; may be repeated", required=True
    )
    chosen.add_argument("--out", required=True, help="the selection, a Parquet file")
    chosen.add_argument(
        "--index", metavar="URL_OR_DIR", help="another index: a folder, a Parquet URL, a *.paths.gz list"
    )
    chosen.add_argument("--primary", action="store_true", help="only pages that hold most text in such a language")
    chosen.add_argument("--opt-out", metavar="FILE", help="URLs, hosts and domains to leave out")
    chosen.add_argument("--urls", action="store_true", help="keep the URLs (reads about twice as much)")
    chosen.add_argument("--sample", type=int, help="read so many files of the index only, for an estimate")
    chosen.add_argument("--seed", type=int, default=1, help="of the sample (default: 1)")
    chosen.add_argument("--no-wet", action="store_true", help="do not ask what reading all WET files would take")


def _client(options: argparse.Namespace) -> Client:
    return Client(configured(CrawlConfig, options.set, "crawl"))


def _list(options: argparse.Namespace) -> int:
    snapshots = map(dataclasses.asdict, list_snapshots(_client(options)))
    print_results(snapshots, options.json, {"snapshot": "name", "title": "title"})
    return 0


def _drawn(client: Client, options: argparse.Namespace) -> list[str]:
    """The paths that the options name."""
    if options.sample is not None and options.sample < 1:
        raise InputError(f"--sample is {options.sample}; it takes 1 or more.")
    listed = getattr(options, "paths", None)
    if listed and options.snapshot:
        raise InputError(f"{options.snapshot} and --paths are two lists. Name one of them.")
    if not listed and not options.snapshot:
        raise InputError("Nothing to fetch was named. Give a snapshot such as CC-MAIN-2018-30, or --paths FILE.")
    if listed:
        paths = [line for line in read_lines(listed) if line.strip()]
    else:
        paths = archive_paths(client, options.snapshot, options.kind)
    return sample_paths(paths, options.sample, options.seed) if options.sample is not None else paths


def _paths(options: argparse.Namespace) -> int:
    client = _client(options)
    for path in _drawn(client, options):
        url = located(client, path)
        print_records([{"path": path, "url": url}]) if options.json else print_text(url if options.url else path)
    return 0


def _fetch(options: argparse.Namespace) -> int:
    client = _client(options)
    if options.selection:
        return _fetch_selection(client, options)
    files = []
    for path in _drawn(client, options):
        name = path.split("://", 1)[1].split("/", 1)[-1] if is_url(path) else path
        name = "crawl-data/" + name.split("crawl-data/", 1)[1] if "crawl-data/" in name else name
        parse_paths(name.encode("ascii", "replace"), options.paths or options.snapshot)
        files.append((name, path if is_url(path) else located(client, path)))
    if files and not is_url(files[0][1]):
        raise InputError(f"{files[0][1]} is no http(s) URL. What lies there needs no fetching: name it with --input.")
    out = Path(options.out)
    with _bar("fetch", "file", len(files)) as step:

        def done(path: str, fetched: Fetched) -> None:
            step(1, f"{client.nbytes / 1e6:,.0f} MB")
            if options.json:
                print_records([{"path": path, "size": fetched.size, "fresh": fetched.fresh}])

        fetched = fetch_all(client, files, out, done=done, progress=lambda: step(0, f"{client.nbytes / 1e6:,.0f} MB"))
    nbytes = sum(f.size for f in fetched)
    fresh = sum(f.fresh for f in fetched)
    note(
        f"{many(len(fetched), 'archive')} in {out}, {nbytes / 1e6:,.1f} MB; "
        f"{fresh:,} fetched now by {many(client.requests, 'request')}"
    )
    return 0


def _fetch_selection(client: Client, options: argparse.Namespace) -> int:
    if options.snapshot or options.paths:
        raise InputError("--selection names its archives itself. Leave out the snapshot and --paths.")
    with _bar("fetch", "archive", 0) as step:
        archives, nbytes = fetch_selection(
            client,
            options.selection,
            Path(options.out),
            done=lambda _, total: step(1, f"{client.nbytes / 1e6:,.0f} MB", total),
        )
    if options.json:
        print_records([{"archives": archives, "size": nbytes, "requests": client.requests}])
    note(
        f"the records of {many(archives, 'archive')} in {options.out}, {nbytes / 1e6:,.1f} MB; "
        f"read them with --set crawl.cache={options.out}"
    )
    return 0


@contextlib.contextmanager
def _bar(label: str, unit: str, total: int) -> Iterator[Callable[..., None]]:
    """A function that moves a bar on by so many and shows a word; called from several threads."""
    bar, count, lock = Bar(label, unit), 0, threading.Lock()

    def step(more: int, what: str, of: int = total) -> None:
        nonlocal count
        with lock:
            count += more
            bar.to(count, of, what)

    try:
        yield step
    finally:
        bar.close()


def _select(options: argparse.Namespace) -> int:
    client = _client(options)
    if not is_selection(options.out):
        raise InputError(f"--out is {options.out}; a selection is known by its name. Call it {options.out}.parquet.")
    opted_out = OptOut.load(options.opt_out) if options.opt_out else None
    with _bar("select", "file", 0) as step:
        selected = select(
            client,
            options.snapshot,
            options.language,
            options.out,
            index=options.index,
            sample=options.sample,
            seed=options.seed,
            primary=options.primary,
            urls=options.urls,
            skip=opted_out.matches if opted_out else None,
            progress=lambda _, total: step(1, f"{client.nbytes / 1e6:,.0f} MB", total),
        )
    with watched("select"), phase("estimate what fetching will cost"):
        records = cost_of_selection(client, options.out, selected.index_files / max(selected.files, 1))
        wet = None if options.no_wet else cost_of_wet(client, options.snapshot, seed=options.seed)
    if options.json:
        print_records([_record(selected, records, wet)])
    else:
        print("\n".join(_text(selected, records, wet)))
    return 0


def _advice(selected: Selected, records: Cost, wet: Cost) -> str:
    if records.seconds <= wet.seconds:
        return f"Take the selection: --input {selected.path}"
    return f"Take the WET files: --input {selected.snapshot}/wet"


def _text(selected: Selected, records: Cost, wet: Cost | None) -> list[str]:
    read, whole = selected.nbytes / 1e6, selected.index_nbytes / 1e6
    part = (
        "" if selected.files == selected.index_files else f", as if all {selected.index_files:,} files were like these"
    )
    archives, files = many(selected.archives, "archive"), many(selected.files, "file")
    lines = [
        f"{selected.records:,} of {many(selected.rows, 'page')}, in {archives}: {selected.path}",
        f"index      {many(selected.requests, 'request')}, {read:,.1f} MB of {whole:,.1f} MB in {files}",
        f"selection  {records}{part}",
    ]
    if wet is not None:
        lines += [f"all WET    {wet}", _advice(selected, records, wet)]
    return lines


def _record(selected: Selected, records: Cost, wet: Cost | None) -> dict[str, Any]:
    told = {**dataclasses.asdict(selected), "path": str(selected.path), "selection": dataclasses.asdict(records)}
    if wet is not None:
        told |= {"wet": dataclasses.asdict(wet), "advice": _advice(selected, records, wet)}
    return told
