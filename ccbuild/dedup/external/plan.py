"""How the matching of a run is cut: buckets by memory, files merged in groups so that reads stay long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ccbuild.dedup.external.printfile import BYTES_PER_PRINT

__all__ = ["FAN_IN", "Cut", "Plan", "levels"]

FAN_IN = 32
"""Files that one merge reads. Fixed, so that the groups of earlier shards stay the same when a run grows."""

_ROW_GROUP = 1 << 17
_PROCESS_BYTES = 192 << 20
"""What Python, NumPy, Arrow and the compiled loops take before a print is read."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What fits a memory in megabytes: that of one process."""

    memory_megabytes: int

    @property
    def nbytes(self) -> int:
        """Bytes for rows: the memory less what the process takes by itself."""
        return max(self.memory_megabytes << 20, _PROCESS_BYTES + (64 << 20)) - _PROCESS_BYTES

    @property
    def bucket_rows(self) -> int:
        """Most prints of a bucket."""
        return self.nbytes // BYTES_PER_PRINT

    @property
    def bucket_files(self) -> int:
        """Most files that a bucket is read from, so that each of its reads is most of a row group (a megabyte)."""
        return max(4 * FAN_IN, self.bucket_rows // _ROW_GROUP)

    def buckets(self, rows: int, most: int = 0) -> int:
        """Buckets for so many prints, a fifth of each left free for uneven hashes; `most` prints each, if not 0."""
        each = self.bucket_rows * 4 // 5
        return max(1, -(-rows // (min(each, most) if most else each)))

    def cut(self, files: int, prints: Sequence[int], most: int = 0) -> Cut:
        """How `files` with so many prints of each kind are cut.

        >>> Plan(1024).cut(90_000, [3 * 10**9, 40 * 10**9])
        Cut(levels=(2813, 88), buckets=(344, 4585))
        """
        return Cut(tuple(levels(files, self.bucket_files)), tuple(self.buckets(rows, most) for rows in prints))


@dataclass(frozen=True, slots=True)
class Cut:
    """What a memory makes of a run. Noted when the run is matched, so that it grows under another memory."""

    levels: tuple[int, ...]
    """Files of prints after each round of merging; none where the shards' own are few enough."""
    buckets: tuple[int, ...]
    """Buckets of each kind of print."""


def levels(files: int, at_most: int) -> list[int]:
    """Files after each round of merging `FAN_IN` at a time, until there are `at_most` or fewer.

    >>> levels(90_000, 128), levels(128, 128)
    ([2813, 88], [])
    """
    counts = []
    while files > at_most:
        files = -(-files // FAN_IN)
        counts.append(files)
    return counts
