"""YAML to frozen dataclasses, dotted overrides, fingerprints, and which keys differ.

A configuration is a tree of frozen dataclasses; the docstring under a field is its reference. What a field means for
finished work stands where it is declared:

* a plain field, or :func:`setting`: the output depends on its value, which the fingerprint covers;
* :func:`place`: it names a file or folder. The same bytes in another folder give the same output, so the fingerprint
  leaves the path out, and the digest of the content is an input of each unit that reads it (:func:`contents`);
* :func:`aside`: no output depends on it (memory, politeness, where bytes are fetched from).
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ccbuild.errors import CcbuildError, ConfigError, InputError

__all__ = [
    "Place",
    "Settings",
    "apply_overrides",
    "aside",
    "contents",
    "differing_keys",
    "fingerprint",
    "flatten",
    "from_mapping",
    "load_yaml",
    "open_places",
    "override",
    "parse_override",
    "place",
    "places",
    "replace_places",
    "setting",
    "to_mapping",
]

T = TypeVar("T")


def setting(default: Any, *, before: Any) -> Any:
    """A field that came with a release that does something new by `default`; `before` gives what was done until then.

    Work of an earlier release has no such key: it was made with `before`. A plain field says the same of its default.
    """
    return dataclasses.field(default=default, metadata={"before": before})


def aside(default: Any) -> Any:
    """A field that no output depends on: finished work goes on with another value."""
    return dataclasses.field(default=default, metadata={"aside": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a field that names a file or folder says of it."""

    read: Callable[[str], object] | None = None
    """Reads what lies there, and refuses what is not of its kind: called before anything starts (:func:`open_places`).
    None: it takes other settings to tell, so whoever knows them does."""
    digest: Callable[[str], str] | None = None
    """Digest of what lies there; None: SHA-256 of the file."""
    recorded: str | None = None
    """Name of the input under which units record the digest; None: the dotted key."""
    finer: str | None = None
    """Who records something finer than a digest of the whole, so that less is done again."""
    covered_before: bool = False
    """The path stood in the fingerprint until a release: no mismatch, but what such work read there is not known."""


def place(default: str | None = None, **known: Any) -> Any:
    """A field that names a file or folder, with the fields of :class:`Place`.

    >>> @dataclass(frozen=True)
    ... class C:
    ...     words: str | None = place()
    >>> flatten(C(words="words.txt"))
    {}
    """
    return dataclasses.field(default=default, metadata={"place": Place(**known)})


def places(config: Any, prefix: str = "") -> Iterator[tuple[str, Place, str | None]]:
    """(dotted key, place, value) of every place of a configuration."""
    for field in dataclasses.fields(config):
        value, key = getattr(config, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            yield from places(value, f"{key}.")
        elif "place" in field.metadata:
            yield key, field.metadata["place"], value


def contents(config: Any, prefix: str = "") -> dict[str, str]:
    """Name of the input to digest, for each place with a value: what a unit that reads the configuration depends on.

    Places of which somebody records something finer are left out. A file is read again when its size or its time of
    change is another, so that asking for each of 90,000 units costs nothing. `InputError` where there is none.
    """
    found = {}
    for key, known, path in places(config, prefix):
        if path is not None and known.finer is None:
            try:
                facts = Path(path).stat()
            except OSError as error:
                raise InputError(f"{key} is {path}: {error.strerror}. Check the path.") from error
            found[known.recorded or key] = _digest(known.digest or _sha256, path, facts.st_size, facts.st_mtime_ns)
    return found


@functools.lru_cache(maxsize=64)
def _digest(digest: Callable[[str], str], path: str, size: int, mtime_ns: int) -> str:
    return digest(path)


def _sha256(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_places(config: Any, prefix: str = "") -> None:
    """Read what every place of a configuration names; the error of one that is not of its kind begins with the key."""
    for key, known, path in places(config, prefix):
        if path is not None and known.read is not None:
            try:
                known.read(path)
            except CcbuildError as error:
                raise type(error)(f"{key}: {error}") from error


def replace_places(config: T, change: Callable[[str], str]) -> T:
    """The configuration with `change` applied to the value of each place that has one."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(typing.cast(Any, config)):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            changed[field.name] = replace_places(value, change)
        elif "place" in field.metadata and value is not None:
            changed[field.name] = change(value)
    return dataclasses.replace(typing.cast(Any, config), **changed)  # type: ignore[no-any-return]


class _Loader(yaml.SafeLoader):
    """YAML 1.1, but for numbers as 1e-4, which it would take for text: JSON, YAML 1.2 and people write them."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)


def _of_yaml(text: str) -> Any:
    return yaml.load(text, _Loader)


def load_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; `ConfigError` names line and column of what does not parse."""
    source = Path(path)
    if not source.is_file():
        raise InputError(f"{source} is not a file. Give the path of a YAML file.")
    try:
        return parse_yaml(source.read_text(encoding="utf-8"), str(source))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source} is not UTF-8: {error}. Save it as UTF-8.") from error


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """The mapping in YAML `text`; `where` names its origin in errors."""
    try:
        loaded = _of_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not YAML: {' '.join(str(error).split())}. Mend that line.") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"{where} holds a {type(loaded).__name__}, not a mapping of keys to values.")
    return loaded


def apply_overrides(mapping: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """`mapping` with ``a.b=value`` applied; values are read as YAML, so ``[1, 2]``, ``null`` and ``1e-4`` work."""
    try:
        result: dict[str, Any] = json.loads(json.dumps(mapping))
    except TypeError as error:
        raise ConfigError(f"A value is {error}: quote it, so that it stays text.") from error
    for override in overrides:
        key, value = parse_override(override)
        *parents, leaf = key.split(".")
        node = result
        for parent in parents:
            child = node.setdefault(parent, {})
            if not isinstance(child, dict):
                raise ConfigError(f"--set {override!r}: {parent} is a value, not a section.")
            node = child
        node[leaf] = value
    return result


def parse_override(override: str) -> tuple[str, Any]:
    """Dotted key and value of ``a.b=value``; `ConfigError` where it is none, or the value is not YAML."""
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r} has no '='. Write --set section.key=value.")
    try:
        return key.strip(), json.loads(json.dumps(_of_yaml(value)))
    except (yaml.YAMLError, TypeError) as error:
        raise ConfigError(f"--set {override!r}: the value is not YAML. Quote it.") from error


def from_mapping(cls: type[T], mapping: Mapping[str, Any], where: str = "config") -> T:
    """An instance of the dataclass `cls`; unknown keys and wrong types are a `ConfigError` with the dotted key."""
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{where} is {mapping!r}, not a section of keys and values.")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls)) if f.init}
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(sorted(fields))}."
            raise ConfigError(f"{where} has no key {key!r}. {hint}")
        values[key] = _convert(hints[key], value, f"{where}.{key}")
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as `hint` asks, or a `ConfigError` at `where`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        rest = [a for a in arguments if a is not type(None)]
        errors = []
        for choice in rest:
            try:
                return _convert(choice, value, where)
            except ConfigError as error:
                errors.append(str(error))
        raise ConfigError(errors[0])
    if origin is typing.Literal:
        if value in arguments:
            return value
        raise ConfigError(f"{where} is {value!r}; it takes one of {', '.join(map(repr, arguments))}.")
    if dataclasses.is_dataclass(hint):
        return (
            value if isinstance(value, typing.cast(type, hint)) else from_mapping(typing.cast(Any, hint), value, where)
        )
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where} is {value!r}; it takes a list.")
        return tuple(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin in (dict, Mapping, typing.get_origin(Mapping[str, int])):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} is {value!r}; it takes a mapping.")
        return {str(k): _convert(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Any or (isinstance(value, hint) and not (hint is int and isinstance(value, bool))):
        return value
    raise ConfigError(f"{where} is {value!r}; it takes {getattr(hint, '__name__', hint)}.")


def to_mapping(config: Any) -> dict[str, Any]:
    """The configuration as plain, JSON-ready data, locations included."""
    result: dict[str, Any] = _plain(dataclasses.asdict(config))
    return result


def override(key: str, value: Any) -> str:
    """``key=value`` as :func:`apply_overrides` reads it back: the value as YAML, which JSON is.

    >>> override("match.keep", "none"), override("publish.audit", None), override("languages", ["sw"])
    ('match.keep=none', 'publish.audit=null', 'languages=["sw"]')
    """
    if isinstance(value, str) and _is_plain(value):
        return f"{key}={value}"
    return f"{key}={json.dumps(value, ensure_ascii=False)}"


def _is_plain(text: str) -> bool:
    try:
        return bool(_of_yaml(text) == text)
    except yaml.YAMLError:
        return False


class Settings(dict[str, Any]):
    """Dotted key to value of what a fingerprint covers; beside it what comparing it with older work takes.

    Equal to a plain dictionary with the same keys, and the same as JSON.
    """

    __slots__ = ("anew", "before", "by_path", "others")

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        super().__init__(values or {})
        self.before: dict[str, Any] = {}
        """Key to the value that was in force before the key existed."""
        self.anew: set[str] = set()
        """Keys of which a release has changed what is done by default (:func:`setting`)."""
        self.by_path: set[str] = set()
        """Places whose path older work has among its settings."""
        self.others: set[str] = set()
        """Keys of the same configuration that are none of these settings: older work that has them may have others."""

    def only(self, sections: Iterable[str]) -> Settings:
        """The settings of these sections: of keys, their part before the first dot."""
        wanted = set(sections)
        chosen = Settings({key: value for key, value in self.items() if key.partition(".")[0] in wanted})
        chosen.before, chosen.anew, chosen.by_path = self.before, self.anew, self.by_path
        chosen.others = self.others | (self.keys() - chosen.keys())
        return chosen


def flatten(config: Any, prefix: str = "") -> Settings:
    """Dotted key to value for every field that a fingerprint covers.

    >>> @dataclass(frozen=True)
    ... class C:
    ...     n: int = 3
    ...     table: str | None = place()
    ...     threads: int = aside(4)
    >>> flatten(C())
    {'n': 3}
    """
    flat = Settings()
    for field in dataclasses.fields(config):
        value, key = getattr(config, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            section = flatten(value, key + ".")
            flat.update(section)
            flat.before.update(section.before)
            flat.anew |= section.anew
            flat.by_path |= section.by_path
        elif "place" in field.metadata:
            flat.by_path |= {key} if field.metadata["place"].covered_before else set()
        elif "aside" not in field.metadata:
            flat[key] = _plain(value)
            flat.before.update(_before(field, key))
            flat.anew |= {key} if "before" in field.metadata else set()
    return flat


def _before(field: dataclasses.Field[Any], key: str) -> dict[str, Any]:
    """What was in force before the field existed; empty where nothing says so."""
    if "before" in field.metadata:
        return {key: _plain(field.metadata["before"])}
    if field.default is not dataclasses.MISSING:
        return {key: _plain(field.default)}
    return {key: _plain(field.default_factory())} if field.default_factory is not dataclasses.MISSING else {}


def _plain(value: Any) -> Any:
    """As JSON has it: of what is no plain value, what it calls its `setting`, or its fields."""
    if value is None or isinstance(value, str | int | float):
        return value
    return json.loads(
        json.dumps(value, default=lambda v: v.setting() if hasattr(v, "setting") else dataclasses.asdict(v))
    )


def fingerprint(flat: Mapping[str, Any]) -> str:
    """SHA-256 of flattened settings, independent of their order."""
    canonical = json.dumps(flat, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def differing_keys(made_with: Mapping[str, Any], asked: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(key, value that was used, value asked for) for every key that differs, sorted by key.

    With `Settings` as `asked`, a key that `made_with` lacks has the value from before it existed, and keys that these
    settings once covered and no longer do are no difference.
    """
    known = asked if isinstance(asked, Settings) else Settings()
    keys = sorted((made_with.keys() | asked.keys()) - (known.by_path | known.others))
    pairs = ((key, made_with.get(key, known.before.get(key)), asked.get(key)) for key in keys)
    return [(key, made, wanted) for key, made, wanted in pairs if made != wanted]
