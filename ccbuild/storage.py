"""Open inputs anywhere, commit outputs so that nothing half-written is ever taken as done.

A unit of work writes its files under temporary names beside their final place; `commit` closes
it: fsync, rename, fsync of the folder, and last the manifest, also by rename. The manifest alone
means done. It holds no time and no absolute path, so that equal work gives equal bytes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import hashlib
import json
import os
import re
import shlex
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from ccbuild.config import Settings, differing_keys, fingerprint, override
from ccbuild.errors import DataError, InputError, MismatchError, StorageError
from ccbuild.ledger import Ledger
from ccbuild.lock import Lease
from ccbuild.refusals import refusal, refusals

__all__ = [
    "Manifest",
    "Unit",
    "check_format",
    "check_same",
    "digest_of",
    "expand",
    "facts_of",
    "fingerprint_file",
    "link",
    "open_input",
    "open_parquet",
    "read_manifest",
    "retire",
    "sha256_file",
    "table_of",
    "write_bytes",
    "write_json",
    "write_table",
]

MANIFEST_FORMAT = 1
"""What manifests and notes of settings are written in; a later one is refused, an earlier one is read."""
PARQUET: dict[str, Any] = {"compression": "zstd", "compression_level": 3, "version": "2.6", "store_schema": False}
"""How every Parquet file is written."""
_EDGE = 1 << 16
_VERB = re.compile(r"\d-[a-z]+")
"""A folder of a run; a link in its place is the user's own."""


def expand(pattern: str) -> list[str]:
    """Sorted files that `pattern` (a path, a glob or an fsspec URL) names; never empty, never a folder."""
    if "://" in pattern:
        fs, path = _remote(pattern)
        prefix = pattern.split("://", 1)[0] + "://"
        found = sorted(prefix + str(p).removeprefix(prefix) for p in fs.glob(path))
    else:
        if Path(pattern).is_dir():
            raise InputError(f"{pattern} is a folder. Name the files in it: --input '{pattern.rstrip('/')}/*.warc.gz'.")
        found = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))
        found = [p for p in found if not Path(p).is_dir()]
    if not found:
        raise InputError(
            f"No file matches {pattern!r}. Check the path, and quote a glob so that the shell leaves it alone."
        )
    return found


def retire(manifest_path: Path, folder: Path | None = None) -> None:
    """Take back a unit that the run no longer has: its files, which lie in `folder` (None: beside it), and last the
    manifest, which alone knows their names."""
    manifest = read_manifest(manifest_path)
    _remove(folder or manifest_path.parent, manifest.outputs if manifest else ())
    manifest_path.unlink(missing_ok=True)


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Files of a unit, and the folders below `folder` that they leave empty."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
    for parent in {Path(name).parent for name in names} - {Path()}:
        with contextlib.suppress(OSError):
            (folder / parent).rmdir()


@contextmanager
def open_input(path: str) -> Iterator[BinaryIO]:
    """A binary stream of a local file or any fsspec URL, with its raw bytes (no decompression)."""
    if "://" not in path:
        if Path(path).is_dir():
            raise InputError(f"{path} is a folder, not a file. Name one file.")
        if not Path(path).exists():
            raise InputError(f"{path} does not exist. Check the path.")
    try:
        fs, inner = _remote(path) if "://" in path else (fsspec.filesystem("file"), path)
        with fs.open(inner, "rb") as stream:
            yield cast(BinaryIO, stream)
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error


def _remote(url: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it; `InputError` when what it needs is not installed."""
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        hint = "pip install 'ccbuild[s3]'" if url.startswith("s3:") else "install the package that it names"
        raise InputError(f"{url} cannot be opened: {error}. To read it: {hint}.") from error
    except ValueError as error:
        raise InputError(f"{url} cannot be opened: {error}. Name a path, or a URL that fsspec knows.") from error
    return fs, str(path)


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a local file, hexadecimal; `InputError` when there is none."""
    if not Path(path).is_file():
        raise InputError(f"{path} is not a file. Check the path.")
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint_file(path: str) -> str:
    """SHA-256 over size, first and last 64 KiB of a local file: cheap, and another for any other archive.

    Empty for a URL, where it would cost two requests an archive: there only the size is compared.
    """
    if "://" in path:
        return ""
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        digest = hashlib.sha256(f"{size}:".encode() + stream.read(_EDGE))
        if size > _EDGE:
            stream.seek(max(size - _EDGE, _EDGE))
            digest.update(stream.read())
    return digest.hexdigest()


def link(source: Path, target: Path) -> None:
    """A second name for a finished file; a copy of it where the file system knows no second names."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_json(path: str | Path, value: Any, owner: str = "") -> None:
    """`value` as JSON with sorted keys at `path`, whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode(), owner)


def write_bytes(path: str | Path, content: bytes | Iterable[bytes], owner: str = "") -> None:
    """`content`, or its pieces as they come, at `path`, whole or not at all: by temporary name (with that of its
    `owner`), fsync and rename."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{owner}{uuid.uuid4().hex}.tmp")
    with refusals(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as stream:
                stream.writelines([content] if isinstance(content, bytes) else content)
            _fsync(temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        _fsync(target.parent)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a finished unit of work says of itself."""

    verb: str
    unit: str
    settings: dict[str, Any]
    """Flattened settings that this verb and those before it read."""
    inputs: dict[str, Any]
    """Name to digest (or another fact that changes when the input does)."""
    outputs: dict[str, dict[str, Any]]
    """Name relative to the verb's folder to ``{"size": bytes, "sha256": hex}``."""
    ledger: Ledger
    models: dict[str, str] = field(default_factory=dict)
    """Name of each model used to its SHA-256."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Anything else that a reader of the run wants: damaged ranges, counts per language…"""

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "format": MANIFEST_FORMAT,
            "verb": self.verb,
            "unit": self.unit,
            "fingerprint": fingerprint(self.settings),
            "settings": self.settings,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "ledger": self.ledger.to_mapping(),
            "models": self.models,
            "facts": self.facts,
        }

    def stated(self) -> bytes:
        """What it says that the unit wrote, as digests cover it."""
        return json.dumps([self.unit, self.outputs], sort_keys=True).encode()


def read_manifest(path: str | Path) -> Manifest | None:
    """The manifest at `path`; None when the unit is not done.

    `DataError` for one that is damaged, or that names another unit or a file outside its folder: whoever takes the unit
    back removes what it names. `MismatchError` for one of a later format.
    """
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8"))
        check_format(path, raw["format"])
        if not all(isinstance(raw[name], dict) for name in ("settings", "inputs", "outputs", "models", "facts")):
            raise ValueError("a part of it is no object")
        if not all({"size", "sha256"} <= facts.keys() for facts in raw["outputs"].values()):
            raise ValueError("an output has no size or digest")
        if raw["unit"] != Path(path).name.removesuffix(".json"):
            raise ValueError(f"it is that of the unit {raw['unit']}")
        for name in raw["outputs"]:
            if _leads_out(Path(path).parent, name):
                raise ValueError(f"the output {name} lies outside its folder")
        return Manifest(
            raw["verb"],
            raw["unit"],
            raw["settings"],
            raw["inputs"],
            raw["outputs"],
            Ledger.from_mapping(raw["ledger"]),
            raw["models"],
            raw["facts"],
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a manifest of ccbuild ({error!r}). Delete it to do this unit again.") from error


def _leads_out(folder: Path, name: str) -> bool:
    """Whether an output lies elsewhere than in `folder`, or beside it in another folder of the run."""
    parts = name.split("/")
    inner = parts[1:] if parts[0] == ".." and len(parts) == 3 and _VERB.fullmatch(parts[1]) else parts
    if "\0" in name or {"", ".", ".."} & set(inner):
        return True
    folders = [folder.joinpath(*parts[:end]) for end in range(1, len(parts))]
    return any(path.is_symlink() for path in folders if not _VERB.fullmatch(path.name))


class Unit:
    """The files of one unit of work, until they are committed.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with Unit(folder, "count", "part-00000", settings={"n": 1}) as unit:
    ...     _ = unit.path("part-00000.txt").write_text("7")
    ...     manifest = unit.commit(Ledger())
    >>> sorted(os.listdir(folder))
    ['part-00000.json', 'part-00000.txt']
    """

    def __init__(
        self,
        folder: str | Path,
        verb: str,
        name: str,
        *,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Any] | None = None,
        options: Mapping[str, str] | None = None,
        verify: bool = False,
        retry: bool = False,
        lease: Lease | None = None,
        archives: Mapping[str, str] | None = None,
        notes: Path | None = None,
    ) -> None:
        """`options` are those of :func:`check_same`; `verify` hashes outputs before they are taken as done; `retry`
        takes nothing as done in which records were set apart.

        `lease`: that of the run, which must still hold when the unit is committed; temporary names bear its token.
        `archives`: name to path of what `verify` compares with the SHA-256 that the manifest has of it.
        `notes`: the folder of its manifest; None: that of its files.
        """
        self.folder = folder if isinstance(folder, Path) else Path(folder)
        self.notes = notes or self.folder
        self.verb, self.name, self._options, self._verify, self._retry = verb, name, options, verify, retry
        self.settings = settings if isinstance(settings, Settings) else Settings(settings)
        self.inputs = dict(inputs or {})
        self._archives = archives or {}
        self._lease, self._owner = lease, lease.token if lease else ""
        self._token = self._owner + uuid.uuid4().hex
        self._written: dict[str, Path] = {}
        self._scratch: Path | None = None

    @property
    def manifest_path(self) -> Path:
        """Where the manifest stands once the unit is done."""
        return self.notes / f"{self.name}.json"

    def done(self) -> Manifest | None:
        """The manifest, when this very work is done; None when it is not, or when its inputs have changed since.

        Raises `MismatchError` with the keys that differ when it was made with other settings, for a manifest of a later
        format (that is no damage, and doing it again would lose what is newer), and for an archive that was changed.
        """
        try:
            manifest = read_manifest(self.manifest_path)
        except DataError:  # bytes that a disk lost: the work is simply to be done again
            manifest = None
        if manifest is None or not self.made_with(manifest.settings):
            return None
        if not self.made_of(manifest.inputs) or (self._retry and manifest.facts.get("set_apart")):
            return None
        if self._verify:
            self._compare_archives(manifest)
        return manifest if self.holds(manifest.outputs) else None

    def made_with(self, settings: Mapping[str, Any]) -> bool:
        """Whether work with `settings` is this work; `MismatchError` names the keys that differ.

        False where it noted the path of a file, so that nobody knows what stood in it.
        """
        check_same(self.manifest_path, settings, self.settings, self._options)
        return not any(settings.get(key) is not None for key in self.settings.by_path)

    def made_of(self, inputs: Mapping[str, Any]) -> bool:
        """Whether work on `inputs` is this work."""
        return not differing_keys(inputs, self.inputs)

    def holds(
        self,
        outputs: Mapping[str, Mapping[str, Any]],
        size_of: Callable[[str], int | None] | None = None,
    ) -> bool:
        """Whether `outputs` lie in the folder, by `size_of` a name in it; with `verify`, whether they are what they
        were."""
        size_of = size_of or (lambda name: _size(self.folder / name))
        return all(
            size_of(name) == facts["size"] and (not self._verify or sha256_file(self.folder / name) == facts["sha256"])
            for name, facts in outputs.items()
        )

    def _compare_archives(self, manifest: Manifest) -> None:
        for name, path in self._archives.items():
            was, now = manifest.facts["archives"][name]["sha256"], sha256_file(path)
            if was != now:
                raise MismatchError(
                    f"{path} is not the archive that {self.manifest_path} was made of, though its size is the same: "
                    f"SHA-256 {was} then, {now} now. Put back the one that was read, or start a new --out."
                )

    def path(self, name: str) -> Path:
        """A temporary path; at `commit` its file gets `name` (relative to the unit's folder)."""
        final = self.folder / name
        with refusals(final):
            final.parent.mkdir(parents=True, exist_ok=True)
        return self._written.setdefault(name, final.with_name(f".{final.name}.{self._token}.tmp"))

    def scratch(self, name: str) -> Path:
        """A path in a temporary folder beside the unit's files, removed when the unit ends."""
        folder = self.folder / f".{self.name}.{self._token}.scratch"
        with refusals(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._scratch = folder
        return folder / name

    def discard(self) -> None:
        """Remove what was written so far: the unit will be committed without files."""
        for temporary in self._written.values():
            temporary.unlink(missing_ok=True)
        self._written.clear()

    def commit(
        self,
        ledger: Ledger,
        *,
        models: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Close the ledger, give the files their names, write the manifest last."""
        ledger.close(f"{self.verb} {self.name}")
        outputs = {}
        with refusals(self.folder):
            self.notes.mkdir(parents=True, exist_ok=True)
            for name, temporary in sorted(self._written.items()):
                _fsync(temporary)
                outputs[name] = {"size": temporary.stat().st_size, "sha256": sha256_file(temporary)}
            before = self._outputs_before()
            if self._lease:
                self._lease.check()
            _remove(self.folder, before - set(self._written))  # while a manifest knows their names
            self.manifest_path.unlink(missing_ok=True)  # from here to the new manifest nothing counts as done
            for name, temporary in self._written.items():
                os.replace(temporary, self.folder / name)
            for parent in {(self.folder / name).parent for name in self._written}:
                _fsync(parent)
        self._written.clear()
        manifest = Manifest(
            self.verb, self.name, self.settings, self.inputs, outputs, ledger, dict(models or {}), dict(facts or {})
        )
        write_json(self.manifest_path, manifest.to_mapping(), self._owner)
        return manifest

    def _outputs_before(self) -> set[str]:
        """What this unit wrote when it was done before: more shards, perhaps, than now."""
        try:
            manifest = read_manifest(self.manifest_path)
        except DataError:
            return set()
        return set(manifest.outputs) if manifest else set()

    def __enter__(self) -> Unit:
        return self

    def __exit__(self, *exc: object) -> None:
        """Remove what was not committed; turn a full disk, and what it led to, into a `StorageError`."""
        self.discard()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        error = exc[1] if len(exc) > 1 else None
        if isinstance(error, Exception) and not isinstance(error, StorageError):
            refused = refusal(self.folder, error)
            if refused is not None:
                raise refused from error


def check_same(
    where: Path, made: Mapping[str, Any], asked: Mapping[str, Any], options: Mapping[str, str] | None = None
) -> None:
    """Raise `MismatchError` naming each key of `made` that differs from `asked`, and what to paste to keep them.

    A setting is kept with ``--set key=value``, or with what `options` has for its key: ``--pages {}``, say.
    """
    differing = differing_keys(made, asked)
    if not differing:
        return
    said = "; ".join(f"{override(key, old)}, the config says {override('', new)[1:]}" for key, old, new in differing)
    unknown = [key for key, _, _ in differing if key not in asked]
    if unknown:
        raise MismatchError(
            f"{where} was made with {said}. This release has no {', '.join(unknown)}: go on with the one that made it, "
            "or start a new --out."
        )
    keep = " ".join(
        options[key].format(old) if options and key in options else f"--set {shlex.quote(override(key, old))}"
        for key, old, _ in differing
    )
    raise MismatchError(f"{where} was made with {said}. Keep it with {keep}, or start a new --out.")


def check_format(where: str | Path, found: int) -> None:
    """Raise `MismatchError` where something was written in a later format than this release knows."""
    if found > MANIFEST_FORMAT:
        raise MismatchError(
            f"{where} is of format {found}; this release reads formats up to {MANIFEST_FORMAT}. Go on with the release "
            "that wrote it, or start a new --out."
        )


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size(path: Path) -> int | None:
    """Bytes of a file; None where there is none."""
    return path.stat().st_size if path.is_file() else None


def total_size(paths: Sequence[str]) -> int:
    """Bytes of all `paths` together."""
    sizes = []
    for path in paths:
        if "://" in path:
            fs, inner = _remote(path)
            sizes.append(int(fs.size(inner) or 0))
        else:
            sizes.append(os.path.getsize(path))
    return sum(sizes)


def write_table(path: str | Path, table: pa.Table, *, row_group_rows: int = 1 << 16) -> None:
    """A Parquet file with the same bytes for the same table: zstd, level 3, statistics for every column but text."""
    with pq.ParquetWriter(path, table.schema, **PARQUET) as writer:
        if table.num_rows:  # the library datasets breaks off on a row group without rows
            writer.write_table(table, row_group_size=row_group_rows)


def open_parquet(path: str | Path) -> pq.ParquetFile:
    """A Parquet file to be read a batch at a time. By default Arrow keeps all that it has read until the end."""
    return pq.ParquetFile(path, pre_buffer=False)


def table_of(schema: pa.Schema, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """A table of `schema` from one sequence a column."""
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


class Made(Protocol):
    """What a finished unit says of itself: its manifest, or its entry in an index."""

    def stated(self) -> bytes:
        """What it says that the unit wrote."""


def digest_of(*made: Made | None) -> str | None:
    """One SHA-256 over everything that finished units wrote; None when one of them is not done."""
    digest = hashlib.sha256()
    for each in made:
        if each is None:
            return None
        digest.update(each.stated())
    return digest.hexdigest()


def facts_of(made: Any) -> dict[str, Any]:
    """What a result (a dataclass) says of itself, JSON-ready: every field but paths and bytes."""
    values = dataclasses.asdict(made)
    kept = {key: value for key, value in values.items() if not isinstance(value, Path | bytes)}
    facts: dict[str, Any] = json.loads(json.dumps(kept))
    return facts
