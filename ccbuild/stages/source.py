"""Whether a user's filter has changed: a digest of its code and of the values that it works with."""

from __future__ import annotations

import functools
import hashlib
import inspect
import pickle
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ccbuild.errors import ConfigError

__all__ = ["source_digest"]

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
"""Where code lies that a filter uses and that is not the user's own."""
_NOT_TOLD = {"__dict__", "__weakref__", "__doc__", "__module__", "__builtins__", "__annotations__", "__slots__"}


def source_digest(of: Any) -> str:
    """SHA-256 of what a class, a function or another callable does, as this process has loaded it: the same in every
    process of one version of Python.

    Counted are its code, the code of the user's own that it refers to (libraries count by their names), and the values
    that it refers to or was made with, down to their attributes. `ConfigError` for a value of which nobody can tell
    whether it has changed.
    """
    module = sys.modules.get(getattr(of, "__module__", None) or type(of).__module__)
    package = (module.__name__ if module else "").partition(".")[0]
    if package in sys.stdlib_module_names:
        package = ""
    digest = hashlib.sha256()
    for part in _Walk(package).parts(of):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


class _Walk:
    """Tells what a value does or is, as text."""

    def __init__(self, package: str) -> None:
        self._package, self._seen = package, dict[int, Any]()  # kept, so that no number is given twice

    def parts(self, value: Any) -> Iterator[str]:
        if value is None or isinstance(value, str | bytes | int | float | complex | Path):
            yield repr(value)
        elif isinstance(value, re.Pattern):
            yield f"{value.pattern!r} {value.flags}"
        elif id(value) in self._seen:
            yield "again"
        else:
            self._seen[id(value)] = value
            yield type(value).__name__
            yield from self._told(value)

    def _told(self, value: Any) -> Iterator[str]:
        if isinstance(value, functools.partial):
            yield from self._all((value.func, value.args, value.keywords))
        elif isinstance(value, MethodType):
            yield from self._all((value.__func__, value.__self__))
        elif isinstance(value, staticmethod | classmethod) or hasattr(value, "__wrapped__"):
            yield from self.parts(value.__wrapped__)
        elif isinstance(value, FunctionType | type | ModuleType):
            yield from self._code(value)
        elif isinstance(value, property | functools.cached_property):
            yield from self._all(vars(value).values() if hasattr(value, "func") else (value.fget, value.fset))
        elif isinstance(value, Mapping):
            yield from self._all(each for pair in value.items() for each in pair)
        elif isinstance(value, list | tuple):
            yield from self._all(value)
        elif isinstance(value, set | frozenset):
            yield from sorted("".join(_Walk(self._package).parts(member)) for member in value)
        elif hasattr(value, "dtype") and hasattr(value, "tobytes"):
            yield f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
        elif inspect.isroutine(value):  # of C, whose code nobody sees
            yield f"{getattr(value, '__module__', '')}.{value.__qualname__}"
        elif inspect.isdatadescriptor(value):
            yield str(getattr(value, "__name__", ""))
        elif hasattr(value, "__dict__"):
            yield from self._all((type(value), vars(value)))
        else:
            yield _pickled(value)

    def _all(self, values: Iterable[Any]) -> Iterator[str]:
        for value in values:
            yield from self.parts(value)

    def _code(self, of: FunctionType | type | ModuleType) -> Iterator[str]:
        """The user's code as it is loaded, a library's by its name."""
        name = of.__name__ if isinstance(of, ModuleType) else f"{of.__module__}.{of.__qualname__}"
        yield name
        if not self._is_users(of):
            return
        if isinstance(of, FunctionType):
            yield from self._bytecode(of.__code__)
            known = sorted(set(_names(of.__code__)) & of.__globals__.keys() - _NOT_TOLD)
            yield from (part for each in known for part in (each, *self.parts(of.__globals__[each])))
            yield from self._all((_cells(of), of.__defaults__, of.__kwdefaults__, of.__dict__))
        else:
            yield from self._all(getattr(of, "__bases__", ()))
            held = {key: value for key, value in vars(of).items() if not key.startswith("__") or callable(value)}
            known = sorted(held.keys() - _NOT_TOLD)
            yield from (part for each in known for part in (each, *self.parts(held[each])))

    def _is_users(self, of: FunctionType | type | ModuleType) -> bool:
        name = of.__name__ if isinstance(of, ModuleType) else of.__module__
        if name == "__main__" or (self._package and name.partition(".")[0] == self._package):
            return True
        file = getattr(sys.modules.get(name or ""), "__file__", None) or ""
        return file.endswith(".py") and not file.startswith(_LIBRARIES) and not name.startswith("ccbuild.")

    def _bytecode(self, code: CodeType) -> Iterator[str]:
        yield f"{code.co_code.hex()} {code.co_names} {code.co_varnames}"
        for held in code.co_consts:
            yield from self._bytecode(held) if isinstance(held, CodeType) else self.parts(held)


def _names(code: CodeType) -> Iterator[str]:
    """Names that code refers to, itself or in a function within it."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _cells(function: FunctionType) -> list[Any]:
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # of a name that has no value yet
            found.append(None)
    return found


def _pickled(value: Any) -> str:
    try:
        return hashlib.sha256(pickle.dumps(value, protocol=4)).hexdigest()
    except Exception as error:  # whatever the user's objects raise
        raise ConfigError(
            f"A filter works with {value!r}, of which nobody can tell whether it has changed ({error}). Make it inside "
            "the filter."
        ) from error
