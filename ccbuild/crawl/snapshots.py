"""Common Crawl's snapshots: which there are, which archives each has, and inputs that name one."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import re
import urllib.parse
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ccbuild.crawl.body import read_all
from ccbuild.crawl.http import Client, check_url, is_url
from ccbuild.errors import DataError, InputError
from ccbuild.storage import open_input

__all__ = [
    "KINDS",
    "Snapshot",
    "SnapshotInput",
    "archive_name",
    "archive_paths",
    "check_base",
    "list_snapshots",
    "located",
    "read_location",
    "sample_paths",
]

Kind = Literal["warc", "wet"]
KINDS: tuple[Kind, ...] = ("warc", "wet")
_IDENTIFIER = re.compile(r"CC-MAIN-\d{4}(-\d{2}|-\d{4})?")
_PATH = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._=/+-]*")
_MOST_LISTED = 64 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One crawl."""

    name: str
    """Such as ``CC-MAIN-2018-30``."""
    title: str
    """Such as ``July 2018 Index``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotInput:
    """A snapshot in place of a glob: all its archives of one kind, or a seeded sample of them."""

    snapshot: str
    kind: Kind = "wet"
    sample: int | None = None
    """How many archives; None: all. A larger sample of the same seed holds the smaller one."""
    seed: int = 1

    @classmethod
    def parse(cls, text: str) -> SnapshotInput | None:
        """The input that ``SNAPSHOT[/warc|wet][?sample=N&seed=N]`` names; None when `text` is a path or a glob.

        >>> SnapshotInput.parse("CC-MAIN-2018-30/warc?sample=10&seed=7")
        SnapshotInput(snapshot='CC-MAIN-2018-30', kind='warc', sample=10, seed=7)
        >>> SnapshotInput.parse("crawl/*.warc.gz") is None
        True
        """
        name, _, query = text.partition("?")
        snapshot, _, kind = name.partition("/")
        if not _IDENTIFIER.fullmatch(snapshot) or (kind and "*" in kind):
            return None
        numbers = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        unknown = sorted(numbers.keys() - {"sample", "seed"})
        bad = [value for value in numbers.values() if not re.fullmatch(r"\d{1,9}", value)]
        if unknown or bad or kind not in ("", *KINDS) or numbers.get("sample") == "0":
            raise InputError(
                f"{text!r} names no input. Write SNAPSHOT/warc or SNAPSHOT/wet, and where wanted "
                "?sample=10&seed=1, such as CC-MAIN-2018-30/wet?sample=10&seed=1."
            )
        sample = int(numbers["sample"]) if "sample" in numbers else None
        return cls(
            snapshot=snapshot, kind="warc" if kind == "warc" else "wet", sample=sample, seed=int(numbers.get("seed", 1))
        )

    def archives(self, client: Client) -> list[tuple[str, str]]:
        """(name, location) of each archive, sorted by name: two requests, however many there are."""
        paths = archive_paths(client, self.snapshot, self.kind)
        if self.sample is not None:
            paths = sample_paths(paths, self.sample, self.seed)
        return sorted((archive_name(path), located(client, path)) for path in paths)


def list_snapshots(client: Client) -> list[Snapshot]:
    """Every snapshot, newest first, as Common Crawl lists them."""
    where = client.config.snapshots
    try:
        entries = json.loads(read_location(client, where))
        return [Snapshot(str(entry["id"]), str(entry["name"])) for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{where} is not Common Crawl's list of snapshots ({error!r}). Check crawl.snapshots."
        ) from error


def archive_paths(client: Client, snapshot: str, kind: str) -> list[str]:
    """Paths (``crawl-data/…``) of the archives of a snapshot, in its own order; `kind` also ``cc-index-table``."""
    if not _IDENTIFIER.fullmatch(snapshot):
        raise InputError(f"{snapshot!r} is no snapshot. `ccbuild crawl list` prints them, such as CC-MAIN-2018-30.")
    check_base(client.config.base)
    where = located(client, f"crawl-data/{snapshot}/{kind}.paths.gz")
    return parse_paths(read_location(client, where), where)


def parse_paths(listing: bytes, where: str) -> list[str]:
    """The lines of a ``*.paths.gz`` (or plain) listing; one that is no plain relative path is a `DataError`."""
    try:
        plain = _inflated(listing) if listing.startswith(b"\x1f\x8b") else listing
        paths = plain.decode("ascii").split()
    except (ValueError, zlib.error) as error:
        raise DataError(f"{where} is not a list of paths ({error}). Try again, or check crawl.base.") from error
    for number, path in enumerate(paths, 1):
        if not _PATH.fullmatch(path):
            raise DataError(f"{where}, line {number}: {path[:80]!r} is no relative path. Check crawl.base.")
    return paths


def _inflated(listing: bytes) -> bytes:
    """One gzip member, whole and of a sane size: a list of 100,000 paths has 14 MB."""
    inflater = zlib.decompressobj(31)
    plain = inflater.decompress(listing, _MOST_LISTED)
    if not inflater.eof:
        raise ValueError("it is cut, or far too large")
    return plain


def sample_paths(paths: Sequence[str], count: int, seed: int) -> list[str]:
    """`count` of `paths`, in their order: the same for the same seed, whatever the order of the list.

    A path's place in the draw depends on the seed and its own name only, so a larger sample holds the smaller one.

    >>> sample_paths(["a", "b", "c", "d"], 2, seed=1)
    ['a', 'd']
    """
    if count >= len(paths):
        return list(paths)
    drawn = sorted(paths, key=lambda path: hashlib.sha256(f"{seed}:{path}".encode()).digest())[:count]
    chosen = set(drawn)
    return [path for path in paths if path in chosen]


def archive_name(path: str) -> str:
    """How outputs name an archive: Common Crawl's own name below ``crawl-data/``, wherever it is mirrored.

    >>> archive_name("crawl-data/CC-MAIN-2018-51/segments/1/wet/x.warc.wet.gz")
    'CC-MAIN-2018-51/segments/1/wet/x.warc.wet.gz'
    """
    return path.split("crawl-data/", 1)[-1]


def located(client: Client, path: str) -> str:
    """Where a path of Common Crawl's lies: `crawl.base` and the path."""
    return client.config.base.rstrip("/") + "/" + path


def check_base(base: str) -> None:
    """Refuse a base that cannot serve, before the first request."""
    if base.startswith("s3://"):
        if importlib.util.find_spec("s3fs") is None:
            raise InputError(
                f"{base} needs s3fs. Install ccbuild[s3], or use https://data.commoncrawl.org/: no account."
            )
        if not _aws_credentials():
            raise InputError(
                f"{base} needs AWS credentials: Common Crawl's bucket refuses anonymous requests, and none are set "
                "(AWS_ACCESS_KEY_ID, AWS_PROFILE, ~/.aws/credentials, a role). "
                "Set them, or use https://data.commoncrawl.org/, which needs no account."
            )
    elif is_url(base):
        check_url(base)
    elif "://" not in base and not Path(base).is_dir():
        raise InputError(f"{base} is no folder. Set crawl.base to a URL or to a folder that holds crawl-data/.")


def _aws_credentials() -> bool:
    """Whether botocore finds credentials; it looks in the environment, in files, and asks for the machine's role."""
    session = importlib.import_module("botocore.session").get_session()
    return session.get_credentials() is not None


def read_location(client: Client, location: str) -> bytes:
    """A small file whole, from a server, a path or an fsspec URL."""
    if is_url(location):
        return read_all(client, location)
    with open_input(location) as stream:
        return stream.read()
