"""The border between records: what one record does to a step, or to a whole process, costs that record alone.

Steps that native code or a user's filter may break off go through :func:`survivors`. As a rule they get all records
at once. Where that raises, each is tried by itself, and the ones that fail are set apart. Where a record takes the
process along, no code is left to notice it: the unit of work is done again in a process of its own, in which a
:class:`Journal` says which record is in work, and whoever started that process reads there who ended it.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ccbuild.errors import CcbuildError

__all__ = ["CAUSES", "Begun", "Journal", "alone", "is_set_apart", "page_address", "survivors"]

T = TypeVar("T")
R = TypeVar("R")

_SIZE = 4096
_LONGEST = 400
"""Characters of an address or a step; in UTF-8, two of them fit in a journal."""
_COUNT = struct.Struct("<Q")
CAUSES = ("failed:", "killed:", "overtime:")
"""How the causes begin for which a record is set apart."""
_LEAST, _SHARE = 10, 100
"""Up to ten records, or one in a hundred, may break a step off before it is taken for the step's own fault."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A record that a step has begun with."""

    step: str
    address: str
    """The archive and the byte offset of a page, the `doc_id` of a document."""

    @classmethod
    def of(cls, step: str, address: str) -> Begun:
        """With an address that fits in a journal: a long one by its end and a digest."""
        if len(address) > _LONGEST:
            digest = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
            address = f"{digest[:16]}…{address[-_LONGEST // 2 :]}"
        return cls(step[:_LONGEST], address)


class Journal:
    """Which record is in work, in a file that another process reads: it outlives the process that writes it."""

    def __init__(self, path: str | Path) -> None:
        """`path` is made where it does not exist."""
        with open(path, "a+b") as file:
            file.write(bytes(_SIZE - file.tell()))  # not a hole: on a full disk it would end whoever writes into it
            file.flush()
            self._map = mmap.mmap(file.fileno(), _SIZE)

    def write(self, begun: Begun | None) -> None:
        """Note what is begun; None: nothing is."""
        text = b"" if begun is None else f"{begun.step}\n{begun.address}".encode("utf-8", "surrogatepass")
        if len(text) >= _SIZE - _COUNT.size:
            raise ValueError(f"{len(text):,} bytes do not fit in a journal: {begun}")
        _COUNT.pack_into(self._map, 0, self.count() + 1)  # first: whoever sees the text sees the count
        self._map[_COUNT.size : _COUNT.size + len(text) + 1] = text + b"\0"

    def count(self) -> int:
        """How often something was noted: where it stands still, so does the work."""
        return int(_COUNT.unpack_from(self._map, 0)[0])

    def read(self) -> Begun | None:
        """What was begun last and has not ended."""
        text = bytes(self._map[_COUNT.size :]).partition(b"\0")[0].decode("utf-8", "surrogatepass")
        step, _, address = text.partition("\n")
        return Begun(step, address) if step else None


@dataclass(slots=True)
class _Border:
    journal: Journal | None = None
    """Not None: each record is taken by itself, and noted."""
    known: Mapping[Begun, str] = field(default_factory=dict)
    """Records that are known to end the process, with the cause: they are set apart without being tried."""


_border = _Border()


@contextmanager
def alone(journal: Journal, known: Mapping[Begun, str]) -> Iterator[None]:
    """While the block runs, every record is taken by itself and noted in `journal`; those `known` are set apart."""
    global _border
    before, _border = _border, _Border(journal, known)
    try:
        yield
    finally:
        _border = before


def survivors(
    step: str, records: Sequence[T], address: Callable[[T], object], work: Callable[[Sequence[T]], R]
) -> tuple[R, Sequence[T], list[tuple[T, str]]]:
    """(what `work` makes of the records that it can work on, these records, each other one with its cause).

    The answer is that to the survivors alone, as if the others had never been there. Where `work` fails for so many
    that it is no matter of single records, its first error is raised: for more than a hundredth of them, and more than
    ten or half of them, and more than one. Errors of ccbuild and of the file system are raised at once.

    >>> survivors("sum", [1, 2, "3", 4], str, sum)
    (7, [1, 2, 4], [('3', 'failed:sum:TypeError')])
    """
    if _border.journal is None:
        try:
            return work(records), records, []
        except (CcbuildError, OSError):
            raise
        except (Exception, SystemExit) as error:
            if len(records) == 1:
                return work([]), [], [(records[0], _failed(step, error))]
    kept: list[T] = []
    lost: list[tuple[T, str]] = []
    errors: list[BaseException] = []
    for record in records:
        cause, raised = _tried(step, record, str(address(record)), work)
        if cause is None:
            kept.append(record)
        else:
            lost.append((record, cause))
        if raised is not None:
            errors.append(raised)
            if len(errors) > max(1, len(records) // _SHARE, min(_LEAST, len(records) // 2)):
                raise errors[0]
    return work(kept), kept, lost


def _tried(
    step: str, record: T, address: str, work: Callable[[Sequence[T]], object]
) -> tuple[str | None, BaseException | None]:
    """(cause to set a record apart, or None; the error that was raised)."""
    begun = Begun.of(step, address)
    if begun in _border.known:
        return _border.known[begun], None
    with _begun(begun):
        try:
            work([record])
        except (CcbuildError, OSError):
            raise
        except (Exception, SystemExit) as error:
            return _failed(step, error), error
    return None, None


@contextmanager
def _begun(begun: Begun) -> Iterator[None]:
    """While the block runs, a step is at work on a record; where no journal is kept, nothing is done."""
    journal = _border.journal
    if journal is not None:
        journal.write(begun)
    try:
        yield
    finally:
        if journal is not None:
            journal.write(None)


def is_set_apart(reason: str) -> bool:
    """Whether a reason is the cause of a record that was set apart.

    >>> is_set_apart("killed:text:SIGSEGV"), is_set_apart("too_short")
    (True, False)
    """
    return reason.startswith(CAUSES)


def page_address(archive: str, offset: int) -> str:
    """The address of a page before it has a `doc_id`.

    >>> page_address("a.warc.gz", 123)
    'a.warc.gz at 123'
    """
    return f"{archive} at {offset}"


def _failed(step: str, error: BaseException) -> str:
    return f"failed:{step}:{type(error).__name__}"
