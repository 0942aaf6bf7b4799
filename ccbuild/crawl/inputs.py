"""Inputs of a run that are no local glob: a snapshot, a selection, a URL; and how a worker opens each."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccbuild.crawl.fetch import open_archive
from ccbuild.crawl.http import Client, check_url, is_url
from ccbuild.crawl.selection import (
    SelectedArchive,
    SelectedStream,
    is_selection,
    open_selected,
    records_of,
    selected_archives,
)
from ccbuild.crawl.snapshots import SnapshotInput, archive_name, check_base
from ccbuild.errors import FailedUnitsError, NetworkError, StorageError

__all__ = ["CrawlInput", "fetch_selection", "inputs_of", "open_crawl_input"]

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class CrawlInput:
    """One archive of a run. Small, so that it travels to workers."""

    name: str
    """How every output names it: Common Crawl's own name, the same whether it is streamed, cached or a file."""
    location: str
    size: int | None
    """Bytes that will be read: of the wanted records, or of the archive; None where asking would cost a request for
    each of 100,000 archives. Its reader tells."""
    selected: SelectedArchive | None = None
    """Which of its records are wanted; None: all."""

    @property
    def facts(self) -> dict[str, Any]:
        """What changes when the input does: for a unit's manifest."""
        if self.selected is not None:
            return {"records": self.selected.records, "sha256": self.selected.sha256, "size": self.size}
        return {"size": self.size}


def inputs_of(client: Client, text: str) -> list[CrawlInput] | None:
    """The archives that ``SNAPSHOT/wet?sample=10&seed=1``, a selection (``*.parquet``) or an http(s) URL names.

    Sorted by name. None for anything else: a path, a glob or another fsspec URL, which `ccbuild.storage.expand`
    knows. Requests: two for a snapshot (its list), one for a URL (its size), none for a selection.
    """
    snapshot = SnapshotInput.parse(text)
    if snapshot is not None:
        return [CrawlInput(name, location, None) for name, location in snapshot.archives(client)]
    if is_selection(text):
        check_base(client.config.base)
        found = selected_archives(client, text)
        return [CrawlInput(archive.name, archive.location, archive.size, archive) for archive in found]
    if is_url(text):
        check_url(text)
        name = archive_name(text) if "crawl-data/" in text else text.split("?", 1)[0].rsplit("/", 1)[-1]
        return [CrawlInput(name, text, client.remote(text).size)]
    return None


@contextlib.contextmanager
def open_crawl_input(client: Client, item: CrawlInput) -> Iterator[SelectedStream]:
    """The archive as a seekable stream; of a selection, its records alone, fetched by ranges or from the cache.

    `offset_of` of what comes out tells where a place stands in the whole archive.
    """
    if item.selected is None:
        with open_archive(client, item.location, item.name) as stream:
            yield SelectedStream(stream, None)
        return
    kept = _kept(client.config.cache, item.selected)
    records = records_of(item.selected)
    if kept is not None and not kept.is_file():
        _keep(client, item.selected, kept)
    if kept is not None:
        with kept.open("rb") as cached:
            yield SelectedStream(cached, records)
        return
    with open_selected(client, item.location, records, gap=item.selected.gap) as chosen:
        yield chosen


def _kept(cache: str | None, archive: SelectedArchive) -> Path | None:
    """Where the cache keeps the wanted records of an archive: another selection, another file."""
    if cache is None:
        return None
    key = hashlib.sha256(f"{archive.path}\n{archive.sha256}".encode()).hexdigest()
    return Path(cache) / "selected" / key[:2] / f"{key}.warc.gz"


def _keep(client: Client, archive: SelectedArchive, kept: Path) -> None:
    """Put the wanted records into the cache, whole or not at all."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with (
            open_selected(client, archive.location, records_of(archive), gap=archive.gap) as chosen,
            tempfile.NamedTemporaryFile(dir=kept.parent, prefix=".", suffix=".tmp", delete=False) as out,
        ):
            try:
                while chunk := chosen.stream.read(_CHUNK):
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
                os.replace(out.name, kept)
            except BaseException:
                Path(out.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise StorageError(
            f"{kept} cannot be written: {error.strerror or error}. Free space, or set crawl.cache to another folder."
        ) from error


def fetch_selection(
    client: Client, selection: str, out: Path, *, done: Callable[[int, int], None] | None = None
) -> tuple[int, int]:
    """Put all records of a selection into the cache `out`, for machines without a network; (archives, bytes).

    A run with `crawl.cache` at `out` then needs no server. What lies there is not fetched again. `done` is
    called with archives so far and in all. Raises `FailedUnitsError` after all others were fetched.
    """
    check_base(client.config.base)
    archives = selected_archives(client, selection)
    failures: list[str] = []

    def fetch(archive: SelectedArchive) -> None:
        kept = _kept(str(out), archive)
        if kept is not None and not kept.is_file():
            _keep(client, archive, kept)

    with ThreadPoolExecutor(client.config.connections) as pool:
        tasks = [pool.submit(fetch, archive) for archive in archives]
        try:
            for number, task in enumerate(as_completed(tasks), 1):
                try:
                    task.result()
                except NetworkError as error:
                    failures.append(str(error))
                if done:
                    done(number, len(tasks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        raise FailedUnitsError(
            f"The records of {len(failures)} of {len(archives)} archives could not be fetched; "
            f"the others lie in {out}. The first: {sorted(failures)[0]}"
        )
    return len(archives), sum(archive.size for archive in archives)
