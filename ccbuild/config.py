"""YAML to frozen dataclasses, dotted overrides, fingerprints, and which keys differ.

A configuration is a tree of frozen dataclasses; the docstring under a field is its reference.
A field declared with :func:`location` says where something lies: it is left out of every
fingerprint, since the same bytes in another folder must give the same output (what was read
there is recorded by digest instead).
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ccbuild.errors import ConfigError, InputError

__all__ = [
    "apply_overrides",
    "differing_keys",
    "fingerprint",
    "flatten",
    "from_mapping",
    "load_yaml",
    "location",
    "to_mapping",
]

T = TypeVar("T")


def location(default: Any = None) -> Any:
    """A dataclass field that names a place on disk: part of the configuration, not of its fingerprint.

    Cost of the choice: a moved folder changes nothing, so what lies there must be hashed by its reader.
    """
    return dataclasses.field(default=default, metadata={"location": True})


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
        loaded = yaml.safe_load(text)
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
        key, equals, value = override.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {override!r} has no '='. Write --set section.key=value.")
        *parents, leaf = key.strip().split(".")
        node = result
        for parent in parents:
            child = node.setdefault(parent, {})
            if not isinstance(child, dict):
                raise ConfigError(f"--set {override!r}: {parent} is a value, not a section.")
            node = child
        try:
            node[leaf] = json.loads(json.dumps(yaml.safe_load(value)))
        except (yaml.YAMLError, TypeError) as error:
            raise ConfigError(f"--set {override!r}: the value is not YAML. Quote it.") from error
    return result


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
    if hint is float and isinstance(value, str):
        try:  # YAML 1.1 reads 1e-4 as text
            return float(value)
        except ValueError:
            pass
    if hint is Any or (isinstance(value, hint) and not (hint is int and isinstance(value, bool))):
        return value
    raise ConfigError(f"{where} is {value!r}; it takes {getattr(hint, '__name__', hint)}.")


def to_mapping(config: Any) -> dict[str, Any]:
    """The configuration as plain, JSON-ready data, locations included."""
    result: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config), default=_plain))
    return result


def _plain(value: Any) -> Any:
    """What JSON has of a value that is no plain one: what it calls its `setting`, or its fields."""
    return value.setting() if hasattr(value, "setting") else dataclasses.asdict(value)


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key to value for every field that a fingerprint covers.

    >>> @dataclasses.dataclass(frozen=True)
    ... class C:
    ...     n: int = 3
    ...     folder: str | None = location()
    >>> flatten(C())
    {'n': 3}
    """
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        if field.metadata.get("location"):
            continue
        value, key = getattr(config, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            flat.update(flatten(value, key + "."))
        else:
            flat[key] = json.loads(json.dumps(value, default=_plain))
    return flat


def fingerprint(flat: Mapping[str, Any]) -> str:
    """SHA-256 of flattened settings, independent of their order."""
    canonical = json.dumps(flat, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def differing_keys(made_with: Mapping[str, Any], asked: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(key, value that was used, value asked for) for every key that differs, sorted by key."""
    keys = sorted(made_with.keys() | asked.keys())
    return [(k, made_with.get(k), asked.get(k)) for k in keys if made_with.get(k) != asked.get(k)]
