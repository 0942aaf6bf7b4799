"""What a file system refuses, in words: one message for every way in which a disk is full."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ccbuild.errors import StorageError

__all__ = ["refusal", "refusals"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR)
_SAYS_FULL = re.compile("|".join([r"\d+ requested and \d+ written", *(re.escape(os.strerror(n)) for n in _FULL)]))
"""What numpy says of a short write, and what libraries say that hand on the text of an error without its number."""


def refusal(where: str | Path, error: BaseException, instead: str = "choose another --out") -> StorageError | None:
    """What to raise in the place of `error`; None where it is no refusal of the file system. `instead`: what else the
    person can do.

    A full disk is found behind whatever was raised because of it: a library's own error, a model that could not be
    kept.
    """
    nothing = "Nothing half-written was taken as done; run the same command again."
    full = _full(error)
    if full is not None:
        said = os.strerror(full.errno) if isinstance(full, OSError) and full.errno else " ".join(str(full).split())
        return StorageError(f"No space left to write {where} ({said}). Free some, or {instead}. {nothing}")
    if isinstance(error, OSError) and error.errno in _DENIED:
        return StorageError(
            f"{where} cannot be written: {error.strerror}. {instead[0].upper()}{instead[1:]}. {nothing}"
        )
    return None


def _full(error: BaseException | None) -> BaseException | None:
    """The error in the chain that ends in `error` that tells of a full disk, a quota, or a file that is too long."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return error
        if isinstance(error, OSError | RuntimeError) and _SAYS_FULL.search(str(error)):
            return error
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def refusals(where: str | Path, instead: str = "choose another --out") -> Iterator[None]:
    """Turn the file system's refusals into a `StorageError` that names `where`; `instead` as in `refusal`."""
    try:
        yield
    except OSError as error:
        found = refusal(where, error, instead)
        if found is None and isinstance(error, FileExistsError | FileNotFoundError):
            found = StorageError(f"{where} cannot be written: {error.strerror}. {instead[0].upper()}{instead[1:]}.")
        if found is None:
            raise
        raise found from error
