"""Numbers of things, as a sentence has them."""

from __future__ import annotations

__all__ = ["many"]


def many(number: int, thing: str) -> str:
    """So many of a thing; what follows it is the plural of more than one.

    >>> many(1, "archive"), many(2048, "new shard"), many(0, "entry")
    ('1 archive', '2,048 new shards', '0 entries')
    """
    if number == 1:
        return f"1 {thing}"
    return f"{number:,} {thing[:-1] + 'ies' if thing.endswith('ry') else thing + 's'}"
