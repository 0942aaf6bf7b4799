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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ccbuild.config import Settings, fingerprint
from ccbuild.errors import DataError, MismatchError, StorageError
from ccbuild.storage import Manifest, Unit, read_manifest, write_bytes

__all__ = ["INDEX", "SHARD", "WORTH", "Entry", "Look", "entries", "gather", "has_units", "in_order", "unit_names"]

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
        return _parsed(self.texts[0])  # type: ignore[no-any-return]

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """As :class:`Manifest` has them."""
        return _parsed(self.texts[1])  # type: ignore[no-any-return]

    @property
    def accounts(self) -> dict[str, Any]:
        """The ledger, as `Ledger.add` takes it."""
        return _parsed(self.texts[2])  # type: ignore[no-any-return]

    @property
    def facts(self) -> dict[str, Any]:
        """As :class:`Manifest` has them."""
        return _parsed(self.texts[3])  # type: ignore[no-any-return]

    def stated(self) -> bytes:
        """The same as of its manifest."""
        return b"[%b, %b]" % (json.dumps(self.unit).encode(), self.texts[1])


_decode = json.JSONDecoder().raw_decode


def _parsed(text: bytes) -> Any:
    """`json.loads` of what `json.dumps` gave, in half the time."""
    return _decode(text.decode())[0]


class _Stamp(NamedTuple):
    """A manifest as its folder lists it."""

    name: str
    mtime_ns: int
    size: int

    def column(self) -> bytes:
        """How a line begins that holds as long as the manifest is this one."""
        return f"{json.dumps(self.name)}\t{self.mtime_ns}\t{self.size}\t".encode()


def _listed(folder: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(unit, file) of the manifests of a folder whose names begin with `prefix`; none where there is no folder."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as listing:
        for entry in listing:
            name, end, rest = entry.name.rpartition(".json")
            if end and not rest and name.startswith(prefix) and not name.startswith("."):
                yield name, entry


def unit_names(folder: Path, prefix: str = "") -> list[str]:
    """The units that have a manifest in `folder`, in order; no manifest is opened."""
    return sorted((name for name, _ in _listed(folder, prefix)), key=in_order)


def has_units(folder: Path, prefix: str = "") -> bool:
    """Whether there are any."""
    return next(_listed(folder, prefix), None) is not None


def _stamps(folder: Path, prefix: str = "") -> list[_Stamp]:
    """The manifests of a folder, in order."""
    found = []
    for name, entry in _listed(folder, prefix):
        with contextlib.suppress(FileNotFoundError):  # taken back meanwhile
            facts = entry.stat()
            found.append(_Stamp(name, facts.st_mtime_ns, facts.st_size))
    return sorted(found, key=lambda stamp: in_order(stamp.name))


def _lines(folder: Path) -> Iterator[bytes]:
    """The lines of an index without their checksums, as far as they are whole."""
    try:
        with open(folder / INDEX, "rb") as stream:
            if stream.readline() != _HEAD:
                return
            for line in stream:
                checksum, _, rest = line.rstrip(b"\n").partition(b"\t")
                if checksum == b"%08x" % zlib.crc32(rest):
                    yield rest
    except OSError:  # there is none, or it cannot be read
        return


def _line(stamp: _Stamp, entry: Entry) -> bytes:
    return stamp.column() + b"\t".join((json.dumps(entry.unit).encode(), entry.fingerprint.encode(), *entry.texts))


def _entry(line: bytes) -> Entry:
    _, _, _, unit, settings, inputs, outputs, ledger, facts = line.split(b"\t")
    return Entry(_parsed(unit), settings.decode(), (inputs, outputs, ledger, facts))


def _place(line: bytes) -> tuple[int, str]:
    """Where a line stands in the order."""
    return in_order(json.loads(line[: line.index(b"\t")]))


def _look(folder: Path, stamps: Iterable[_Stamp]) -> Iterator[tuple[_Stamp, bytes | None]]:
    """Each manifest with its line; None where the index has none that holds. Both are in order."""
    try:
        written = (folder / INDEX).stat().st_mtime_ns
    except OSError:
        written = 0
    lines = _lines(folder)
    line = next(lines, None)
    for stamp in stamps:
        known = stamp.column()
        if line is not None and not line.startswith(known):
            place = in_order(stamp.name)
            while line is not None and _place(line) < place:
                line = next(lines, None)
        if line is not None and line.startswith(known):
            yield stamp, line if stamp.mtime_ns < written - _RECENT_NS else None
            line = next(lines, None)
        else:
            yield stamp, None


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


def gather(folder: Path) -> None:
    """Write the index of `folder` again, whole or not at all, unless it has all manifests as they are.

    For the process that holds the run. Reads the manifests that are new. A disk that takes no index costs only time.
    """
    stamps = _stamps(folder)
    if len(stamps) < WORTH or all(line is not None for _, line in _look(folder, stamps)):
        return
    with contextlib.suppress(StorageError):
        write_bytes(folder / INDEX, _written(folder, stamps))


def _written(folder: Path, stamps: Iterable[_Stamp]) -> Iterator[bytes]:
    """The index; without manifests that nobody can read, which count as not done."""
    yield _HEAD
    for stamp, line in _look(folder, stamps):
        if line is None:
            try:
                found = _read(folder, stamp)
            except (DataError, MismatchError):
                continue
            line = None if found is None else _line(stamp, found)
        if line is not None:
            yield b"%08x\t%b\n" % (zlib.crc32(line), line)


class _Folder:
    """The units of a folder as they are when it is looked at, and the sizes of its files when they are asked for.

    Manifests that nobody can read are left out: such a unit is not done.
    """

    def __init__(self, folder: Path, notes: Path) -> None:
        self._folder, self._notes = folder, notes
        self._sizes: dict[str, dict[str, int]] = {}
        self.entries: dict[str, Entry] = {}
        stamps = _stamps(notes)
        if not self._take(stamps, as_indexed=True):
            gather(notes)
            self._take(stamps, as_indexed=False)

    def _take(self, stamps: Iterable[_Stamp], *, as_indexed: bool) -> bool:
        """Take the entries; False where only those of the index are wanted, and it does not have one."""
        nothing = b"{}"
        for stamp, line in _look(self._notes, stamps):
            if line is None and as_indexed:
                return False
            with contextlib.suppress(DataError, MismatchError):
                entry = _read(self._notes, stamp) if line is None else _entry(line)
                if entry is not None:
                    less = Entry(entry.unit, entry.fingerprint, (*entry.texts[:2], nothing, nothing))
                    self.entries[stamp.name] = less
        return True

    def size(self, name: str) -> int | None:
        """Bytes of a file in the folder or in one beside or below it; None where there is none."""
        inner, _, leaf = name.rpartition("/")
        if inner not in self._sizes:
            self._sizes[inner] = _sizes(self._folder / inner)
        return self._sizes[inner].get(leaf)


def _sizes(folder: Path) -> dict[str, int]:
    """File to bytes."""
    sizes = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as listing:
        for entry in listing:
            with contextlib.suppress(FileNotFoundError):
                if entry.is_file():
                    sizes[entry.name] = entry.stat().st_size
    return sizes


class Look:
    """One look at the folders of many units, which says of each whether it is done, as `Unit.done` does.

    A folder is listed and read once, when it is first asked for: what changes later is not seen. Makes the indexes that
    it misses, so it is for the process that holds the run. Memory: a kilobyte a unit.
    """

    def __init__(self) -> None:
        self._folders: dict[str, _Folder] = {}
        self._settings: Settings | None = None
        self._made_with: dict[str, bool] = {}
        """Fingerprint to whether what was made with it is made with `_settings`."""

    def done(self, unit: Unit) -> bool:
        """Whether this very work is done. False as well where its settings are refused: `Unit.done` says why."""
        where = str(unit.notes)
        if where not in self._folders:
            self._folders[where] = _Folder(unit.folder, unit.notes)
        folder = self._folders[where]
        entry = folder.entries.get(unit.name)
        return (
            entry is not None
            and self._same(unit, entry.fingerprint)
            and unit.made_of(entry.inputs)
            and unit.holds(entry.outputs, folder.size)
        )

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
