"""Texts as a person gives them in Python: a list, a column of a table, whatever can be gone through."""

from __future__ import annotations

from collections.abc import Iterable

from ccbuild.errors import InputError

__all__ = ["given"]


def given(texts: Iterable[str], name: str) -> list[str]:
    """The texts in a list, by their places; `InputError` of `name` for one text alone, and for what is no text.

    A column of pandas is asked by its labels and not by place: of a table that was filtered or sorted these are others.
    """
    if isinstance(texts, str):
        raise InputError(f"{name} takes a list of texts. Give [text].")
    found = list(texts)
    for number, text in enumerate(found):
        if not isinstance(text, str):
            raise InputError(f"{name}: text {number:,} is {type(text).__name__}, no str. Leave out what has no text.")
    return found
