"""Whole archives: to disk apart from computing, or opened where they lie."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ccbuild.crawl.body import Body
from ccbuild.crawl.http import Client, Remote, is_url
from ccbuild.errors import ChangedError, FailedUnitsError, InputError, NetworkError, StorageError
from ccbuild.storage import open_input

__all__ = ["Fetched", "cached_archive", "fetch_all", "fetch_file", "open_archive"]

_CHUNK = 1 << 20
_RESTARTS = 3
Progress = Callable[[int, int], None]
"""Called with bytes so far and bytes in all."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One file that lies on disk now."""

    path: Path
    size: int
    fresh: bool
    """Whether it was downloaded now."""


def fetch_file(client: Client, url: str, target: Path, *, progress: Progress | None = None) -> Fetched:
    """The file behind `url` at `target`: whole, of the size and ETag that the server states, or not there.

    What was fetched before a break lies in `<target>.part` and is continued by the next call if the file is
    still the same. A `target` that exists is whole, since it got its name last, and is not asked for again.
    Raises `NetworkError` after patience ended, `StorageError` when the disk refuses.
    """
    if target.is_file():
        return Fetched(target, target.stat().st_size, fresh=False)
    part, note = target.with_name(target.name + ".part"), target.with_name(target.name + ".part.json")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as lock:
            with contextlib.suppress(OSError):  # another worker may want it too: one fetches, the other waits, where
                fcntl.flock(lock, fcntl.LOCK_EX)  # the disk knows locks
            if target.is_file():
                return Fetched(target, target.stat().st_size, fresh=False)
            _patiently(client, url, part, note, progress)
            os.replace(part, target)
        note.unlink(missing_ok=True)
        _sync(target.parent)
    except OSError as error:
        raise StorageError(
            f"{target} cannot be written: {error.strerror or error}. Free space, or choose another --out; "
            "what was fetched is kept."
        ) from error
    return Fetched(target, target.stat().st_size, fresh=True)


def _patiently(client: Client, url: str, part: Path, note: Path, progress: Progress | None) -> None:
    """Bring `part` to the whole file; a file that is replaced meanwhile is begun anew, a few times."""
    for attempt in range(1, _RESTARTS + 1):
        remote = client.remote(url)
        try:
            _download(client, remote, part, note, progress)
            return
        except ChangedError:
            if attempt == _RESTARTS:
                raise


def _download(client: Client, remote: Remote, part: Path, note: Path, progress: Progress | None) -> None:
    """Bring `part` to the whole of `remote`, from where it stands if it is of the same file."""
    start = part.stat().st_size if part.is_file() and _known(note) == remote and remote.validator else 0
    if remote.size is not None and start > remote.size:
        start = 0
    note.write_text(json.dumps(dataclasses.asdict(remote)), encoding="utf-8")
    done = start
    with part.open("r+b" if start else "wb") as out:
        out.seek(start)
        if start and start == remote.size:
            return
        with Body(client, remote.url, start, remote=remote) as body:
            while chunk := body.read(_CHUNK):
                out.write(chunk)
                done += len(chunk)
                if progress:
                    progress(done, remote.size or done)
        out.flush()
        os.fsync(out.fileno())
    if remote.size is not None and done != remote.size:
        raise NetworkError(f"{remote.url}: {done:,} bytes in place of {remote.size:,}. Run the same command again.")


def _known(note: Path) -> Remote | None:
    """What was known of the file when its download was begun."""
    try:
        return Remote(**json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fetch_all(
    client: Client,
    files: Iterable[tuple[str, str]],
    out: Path,
    *,
    done: Callable[[str, Fetched], None] | None = None,
    progress: Callable[[], None] | None = None,
) -> list[Fetched]:
    """Fetch (path below `out`, URL) pairs, as many at once as the budget has connections.

    One that fails is recorded, the others go on; at the end `FailedUnitsError` names the first and how many.
    `progress` is called after every megabyte, from several threads; `client.nbytes` tells how many came.
    """
    wanted = dict(files)
    for path in wanted:
        _check_path(path)
    failures: list[str] = []
    fetched = {}
    stopped = threading.Event()

    def tick(_: int, __: int) -> None:
        if stopped.is_set():
            raise NetworkError("The fetch was stopped. What came is kept; run the same command again to go on.")
        if progress:
            progress()

    with ThreadPoolExecutor(client.config.connections) as pool:
        tasks = {pool.submit(fetch_file, client, url, out / path, progress=tick): path for path, url in wanted.items()}
        try:
            for task in as_completed(tasks):
                try:
                    fetched[tasks[task]] = task.result()
                    if done:
                        done(tasks[task], task.result())
                except NetworkError as error:
                    failures.append(str(error))
        except BaseException:  # a full disk or Ctrl-C: begin nothing new
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        raise FailedUnitsError(
            f"{len(failures)} of {len(wanted)} files could not be fetched; the others lie in {out}. The first: "
            f"{sorted(failures)[0]}"
        )
    return [fetched[path] for path in wanted]


def _check_path(path: str) -> None:
    """A server's list never names a place outside the folder."""
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\\" in path or "\0" in path:
        raise InputError(f"{path!r} is no path below a folder. Check the list that names it.")


def cached_archive(client: Client, name: str) -> Path | None:
    """Where the cache keeps, or would keep, the archive `name` (`crawl-data/` left out); None without a cache."""
    if client.config.cache is None:
        return None
    _check_path(name)
    return Path(client.config.cache) / "crawl-data" / name


@contextlib.contextmanager
def open_archive(client: Client, location: str, name: str | None = None) -> Iterator[BinaryIO]:
    """A binary, seekable stream of a whole archive: a path, an fsspec URL, or http(s) by the polite client.

    With `crawl.cache` and a `name` the archive is kept; else it goes through a temporary file without a
    name, so that its connection is free again while the archive is being read: at the speed of extraction
    four connections would feed four workers only. Cost of the choice: disk for one archive a worker
    (a WARC file of Common Crawl has about 1 GB, a WET file 0.1), and no record before the last byte came.
    """
    if not is_url(location):
        with open_input(location) as stream:
            yield stream
        return
    kept = cached_archive(client, name) if name else None
    if kept is not None:
        fetch_file(client, location, kept)
        with kept.open("rb") as cached:
            yield cached
        return
    with tempfile.TemporaryFile() as spool:
        _spool(client, location, cast(BinaryIO, spool))
        spool.seek(0)
        yield cast(BinaryIO, spool)


def _spool(client: Client, url: str, spool: BinaryIO) -> None:
    """Write the whole file into `spool`; one that is replaced meanwhile is begun anew."""
    for attempt in range(1, _RESTARTS + 1):
        spool.seek(0)
        spool.truncate()
        try:
            with Body(client, url) as body:
                shutil.copyfileobj(body, spool, _CHUNK)
            return
        except ChangedError:
            if attempt == _RESTARTS:
                raise
