"""Every error that ccbuild raises on purpose.

A message says what happened, where (file, offset, key), and what to do next, in that order.

::

    CcbuildError
    ├── UsageError              the user's mistake: the command line exits with 2
    │   ├── ConfigError         an unknown key, a value out of range
    │   ├── InputError          a file that is missing, a folder, not of the stated kind
    │   └── MismatchError       something on disk was made with other settings
    ├── DataError               damaged or hostile bytes, named with file and offset
    ├── NetworkError            a server refused, broke off, or sent something else
    │   └── ChangedError        the file behind a URL was replaced while it was being read
    ├── CatalogueError          a named model or data set could not be had or verified
    ├── StorageError            the disk is full, a folder cannot be written
    ├── EngineError             the processes that do the work cannot start, are gone, or stand still
    ├── LedgerError             an account that does not balance or has a reason that nobody explains: a defect
    └── FailedUnitsError        a run that ended with failed shards; the others are done
"""

from __future__ import annotations

__all__ = [
    "CatalogueError",
    "CcbuildError",
    "ChangedError",
    "ConfigError",
    "DataError",
    "EngineError",
    "FailedUnitsError",
    "InputError",
    "LedgerError",
    "MismatchError",
    "NetworkError",
    "StorageError",
    "UsageError",
]


class CcbuildError(Exception):
    """The root: catching it catches everything that ccbuild raises on purpose.

    >>> try:
    ...     raise InputError("crawl.warc.gz does not exist. Check the path.")
    ... except CcbuildError as error:
    ...     print(error.exit_code, error)
    2 crawl.warc.gz does not exist. Check the path.
    """

    exit_code = 1


class UsageError(CcbuildError):
    """The user can mend it by another command line, recipe or file."""

    exit_code = 2


class ConfigError(UsageError):
    """An unknown key, a value of another type, a value out of range."""


class InputError(UsageError):
    """A file that is missing, is a folder, or is not of the kind that the command takes."""


class MismatchError(UsageError):
    """Something on disk was made with other settings or from another input."""


class DataError(CcbuildError):
    """Bytes that cannot be read as what they claim to be."""


class NetworkError(CcbuildError):
    """A server refused, broke off or sent something else than was asked for, to the end of our patience."""


class ChangedError(NetworkError):
    """The file behind a URL was replaced while it was being read."""


class CatalogueError(CcbuildError):
    """A catalogue entry could not be fetched, or its bytes are not those that the catalogue states."""


class StorageError(CcbuildError):
    """The file system refused: no space, no permission, a folder in the way."""


class EngineError(CcbuildError):
    """The processes that do the work cannot start, are gone, or stand still."""


class LedgerError(CcbuildError):
    """An account that does not balance. It is a defect of ccbuild; please report it with the ledger."""


class FailedUnitsError(CcbuildError):
    """Some units of work failed; everything else was done and will not be repeated."""
