"""A folder of manifests at one look: a line a unit in one file, so that 90,000 manifests are not 90,000 files to read.

The manifests stay what means done. A line counts only while its manifest has the size and the time of change that the
line noted; every other unit is read from its manifest, so an index that is lost, stale or damaged costs time and
nothing else. Readers write nothing: the one process that holds a run calls :func:`gather`.

The columns of a line, apart by tabs: CRC-32 of what follows it; file name without ``.json``; nanoseconds of change and
bytes of the manifest; unit; fingerprint of its settings; inputs, outputs, ledger, facts. Texts and objects are JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccbuild.config import Settings, fingerprint
from ccbuild.errors import DataError, MismatchError, StorageError
from ccbuild.storage import Manifest, Unit, read_manifest, write_bytes

__all__ = ["INDEX", "SHARD", "WORTH", "Entry", "Look", "entries", "gather", "in_order", "unit_names"]

INDEX = ".index.tsv"
"""Name of the file; hidden, so that nobody takes it for a part of what the folder holds."""
WORTH = 1000
"""Units from which on an index is worth its file: fewer manifests are read in half a second."""

_HEAD = b"ccbuild index 1\n"
_RECENT_NS = 2_000_000_000
"""A manifest that was written so shortly before the index may have changed since within one tick of the clock."""
SHARD = re.compile(r"part-(\d{5,})")
"""How the name of a shard's unit begins, and those of its files."""


def in_order(name: str) -> tuple[int, str]:
    """Sorts units and files by name, but shards by their number: the hundred thousandth has a digit more.

    >>> sorted(["part-100000", "part-99999", "sw"], key=in_order)
    ['sw', 'part-99999', 'part-100000']
    """
    found = SHARD.match(name)
    return (int(found[1]) if found else -1), name


@dataclass(frozen=True, slots=True)
class Entry:
    """What a finished unit says of itself, parsed when it is asked for; its manifest alone has settings and models."""

    unit: str
    fingerprint: str
    """Of its settings."""
    texts: tuple[bytes, bytes, bytes, bytes]
    """Inputs, outputs, ledger and facts, as JSON."""

    @classmethod
    def of(cls, manifest: Manifest) -> Entry:
        """The entry of a manifest that was read."""
        parts = (manifest.inputs, manifest.outputs, manifest.ledger.to_mapping(), manifest.facts)
        inputs, outputs, ledger, facts = (json.dumps(part, sort_keys=True).encode() for part in parts)
        return cls(manifest.unit, fingerprint(manifest.settings), (inputs, outputs, ledger, facts))

    @property
    def inputs(self) -> dict[str, Any]:
        """As :class:`Manifest` has them."""
        return json.loads(self.texts[0])  # type: ignore[no-any-return]

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """As :class:`Manifest` has them."""
        return json.loads(self.texts[1])  # type: ignore[no-any-return]

    @property
    def accounts(self) -> dict[str, Any]:
        """The ledger, as `Ledger.add` takes it."""
        return json.loads(self.texts[2])  # type: ignore[no-any-return]

    @property
    def facts(self) -> dict[str, Any]:
        """As :class:`Manifest` has them."""
        return json.loads(self.texts[3])  # type: ignore[no-any-return]

    def stated(self) -> bytes:
        """The same as of its manifest."""
        return b"[%b, %b]" % (json.dumps(self.unit).encode(), self.texts[1])


@dataclass(frozen=True, slots=True)
class _Stamp:
    """A manifest as its folder lists it."""

    name: str
    mtime_ns: int
    size: int


def _stamps(folder: Path, prefix: str = "") -> list[_Stamp]:
    """The manifests of a folder whose names begin with `prefix`, in order; none where there is no folder."""
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as listing:
        for entry in listing:
            if entry.name.endswith(".json") and entry.name.startswith(prefix) and not entry.name.startswith("."):
                with contextlib.suppress(FileNotFoundError):  # taken back meanwhile
                    facts = entry.stat()
                    found.append(_Stamp(entry.name.removesuffix(".json"), facts.st_mtime_ns, facts.st_size))
    return sorted(found, key=lambda stamp: in_order(stamp.name))


def unit_names(folder: Path, prefix: str = "") -> list[str]:
    """The units that have a manifest in `folder`, in order; no manifest is opened."""
    return [stamp.name for stamp in _stamps(folder, prefix)]


def _lines(folder: Path) -> Iterator[tuple[_Stamp, bytes]]:
    """(manifest as it was, line without its checksum) of an index, as far as it is whole."""
    try:
        with open(folder / INDEX, "rb") as stream:
            if stream.readline() != _HEAD:
                return
            for line in stream:
                checksum, _, rest = line.rstrip(b"\n").partition(b"\t")
                if checksum == b"%08x" % zlib.crc32(rest):
                    name, mtime_ns, size, _ = rest.split(b"\t", 3)
                    yield _Stamp(json.loads(name), int(mtime_ns), int(size)), rest
    except OSError:  # there is none, or it cannot be read
        return


def _line(stamp: _Stamp, entry: Entry) -> bytes:
    columns = (json.dumps(stamp.name), str(stamp.mtime_ns), str(stamp.size), json.dumps(entry.unit), entry.fingerprint)
    return b"\t".join((*(column.encode() for column in columns), *entry.texts))


def _entry(line: bytes) -> Entry:
    _, _, _, unit, settings, inputs, outputs, ledger, facts = line.split(b"\t")
    return Entry(json.loads(unit), settings.decode(), (inputs, outputs, ledger, facts))


def _look(folder: Path, stamps: list[_Stamp]) -> Iterator[tuple[_Stamp, bytes | None]]:
    """Each manifest with its line; None where the index has none that holds. Both are in order."""
    try:
        written = (folder / INDEX).stat().st_mtime_ns
    except OSError:
        written = 0
    lines = _lines(folder)
    known, line = next(lines, (None, None))
    for stamp in stamps:
        place = in_order(stamp.name)
        while known is not None and in_order(known.name) < place:
            known, line = next(lines, (None, None))
        yield stamp, line if known == stamp and stamp.mtime_ns < written - _RECENT_NS else None


def _read(folder: Path, stamp: _Stamp) -> Entry | None:
    """The entry by the manifest itself; None where it is gone."""
    manifest = read_manifest(folder / f"{stamp.name}.json")
    return None if manifest is None else Entry.of(manifest)


def entries(folder: Path, prefix: str = "") -> Iterator[Entry]:
    """What is done in `folder`, in order; of units whose names begin with `prefix`. Holds one of them at a time.

    `DataError` for a manifest that is damaged, `MismatchError` for one of a later format.
    """
    for stamp, line in _look(folder, _stamps(folder, prefix)):
        found = _read(folder, stamp) if line is None else _entry(line)
        if found is not None:
            yield found


def _whole(folder: Path, stamps: list[_Stamp]) -> Iterator[tuple[_Stamp, bytes]]:
    """Each manifest with its line; without those that nobody can read, which count as not done."""
    for stamp, line in _look(folder, stamps):
        if line is None:
            try:
                found = _read(folder, stamp)
            except (DataError, MismatchError):
                continue
            line = None if found is None else _line(stamp, found)
        if line is not None:
            yield stamp, line


def gather(folder: Path) -> None:
    """Write the index of `folder` again, whole or not at all, unless it has all manifests as they are.

    For the process that holds the run. Reads the manifests that are new. A disk that takes no index costs only time.
    """
    stamps = _stamps(folder)
    if len(stamps) < WORTH or all(line is not None for _, line in _look(folder, stamps)):
        return
    lines = (b"%08x\t%b\n" % (zlib.crc32(line), line) for _, line in _whole(folder, stamps))
    with contextlib.suppress(StorageError):
        write_bytes(folder / INDEX, _chain(lines))


def _chain(lines: Iterator[bytes]) -> Iterator[bytes]:
    yield _HEAD
    yield from lines


class Look:
    """One look at the folders of many units, which says of each whether it is done, as `Unit.done` does.

    Folders are listed and read once, when they are first asked for: what changes later is not seen. Memory: a kilobyte
    a unit.
    """

    def __init__(self) -> None:
        self._entries: dict[Path, dict[str, Entry]] = {}
        self._sizes: dict[str, dict[str, int]] = {}
        self._settings: Settings | None = None
        self._made_with: dict[str, bool] = {}
        """Fingerprint to whether what was made with it is made with `_settings`."""

    def done(self, unit: Unit) -> bool:
        """Whether this very work is done. False as well where its settings are refused: `Unit.done` says why."""
        entry = self._folder(unit.folder).get(unit.name)
        return (
            entry is not None
            and self._same(unit, entry.fingerprint)
            and unit.made_of(entry.inputs)
            and unit.holds(entry.outputs, self._size)
        )

    def _folder(self, folder: Path) -> dict[str, Entry]:
        if folder not in self._entries:
            gather(folder)
            found = ((stamp.name, _entry(line)) for stamp, line in _whole(folder, _stamps(folder)))
            self._entries[folder] = {
                name: Entry(entry.unit, entry.fingerprint, (*entry.texts[:2], b"{}", b"{}")) for name, entry in found
            }
        return self._entries[folder]

    def _same(self, unit: Unit, made_with: str) -> bool:
        if unit.settings is not self._settings:
            self._settings, self._made_with = unit.settings, {}
        if made_with not in self._made_with:
            try:
                manifest = read_manifest(unit.manifest_path)
                if manifest is None:
                    return False
                self._made_with[made_with] = unit.made_with(manifest.settings)
            except DataError:
                return False
            except MismatchError:
                self._made_with[made_with] = False
        return self._made_with[made_with]

    def _size(self, folder: Path, name: str) -> int | None:
        inner, _, leaf = name.rpartition("/")
        place = os.path.join(folder, inner)
        if place not in self._sizes:
            sizes = self._sizes[place] = {}
            with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as listing:
                for entry in listing:
                    with contextlib.suppress(FileNotFoundError):
                        if entry.is_file():
                            sizes[entry.name] = entry.stat().st_size
        return self._sizes[place].get(leaf)
