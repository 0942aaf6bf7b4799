"""What makes `tokenizers` normalise as SentencePiece does: the steps around its `Precompiled`.

`Precompiled` holds SentencePiece's table of replacements, but looks it up by grapheme: one of less than six bytes
becomes what its shortest prefix in the table says, and its rest is lost (a decomposed Vietnamese "ế" loses its acute);
a longer one is looked up character by character, so that its parts never compose (Bengali, Kannada, half-width kana).
So here every mark is first set apart by a control character, then each character is looked up alone; the control
character is taken out where SentencePiece's table has the whole sequence, `NFC` composes just these, and what is left
of the control characters, which have kept all other marks from composing or changing places, goes.

What still differs: two marks at the start of a line, with nothing before them to be set apart from, and a mark after a
ligature ("ﬁ", which SentencePiece takes apart first and composes with nothing).
"""

from __future__ import annotations

import base64
import tempfile
import unicodedata
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import sentencepiece

from ccbuild.vocab.protobuf import charsmap_of_normalizer

__all__ = ["normalizer"]

_BORDER = "\x90"
"""A control character that neither `nmt_nfkc` nor NFC touches, and that no code page decodes to by mistake."""
_JOINERS = "\u0e33\u0eb3\u200c\u200d\uff9e\uff9f"
"""Characters that extend a grapheme though they are no marks: Thai and Lao am, joiners, half-width voicing marks."""
_COMPOSED = [*range(0xAC00), *range(0xD7A4, 0x20000)]
"""Where composed characters lie; Hangul's syllables need no help, their parts are no marks."""


def normalizer(charsmap: bytes) -> dict[str, Any]:
    """`tokenizer.json`'s normaliser for `charsmap`, SentencePiece's compiled table; without one it does nothing."""
    if not charsmap:
        return {"type": "Sequence", "normalizers": []}
    borders, pattern = _borders()
    return {
        "type": "Sequence",
        "normalizers": [
            {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(borders).decode()},
            {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()},
            {"type": "Replace", "pattern": {"Regex": pattern}, "content": ""},
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"String": _BORDER}, "content": ""},
        ],
    }


@cache
def _borders() -> tuple[bytes, str]:
    """(compiled table that sets a border before each mark, pattern of the borders before what composes)."""
    following = _following()
    marks = {chr(point) for point in range(0x300, 0x20000) if unicodedata.ucd_3_2_0.category(chr(point))[0] == "M"}
    marks |= set(_JOINERS) | {mark for marks in following.values() for mark in marks}
    rules = "".join(f"{ord(mark):X}\t{ord(_BORDER):X} {ord(mark):X}\n" for mark in sorted(marks))
    return _compiled(rules), _pattern(following)


def _following() -> dict[str, set[str]]:
    """The start of a decomposition, its characters with a border between them, to what goes on composing with it.

    Only what SentencePiece's own table composes: so it depends on no version of Unicode.
    """
    table = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc", add_dummy_prefix=False)
    following: dict[str, set[str]] = defaultdict(set)
    for point in _COMPOSED:
        whole = chr(point)
        parts = unicodedata.normalize("NFD", whole)
        if len(parts) > 1 and table.normalize(parts) == whole:
            for i in range(1, len(parts)):
                following[_BORDER.join(parts[:i])].add(parts[i])
    return following


def _pattern(following: dict[str, set[str]]) -> str:
    """A regular expression (Oniguruma) for the borders after a key of `following` and before one of its characters."""
    heads: dict[tuple[str, str], set[str]] = defaultdict(set)
    for start, marks in following.items():
        heads[start[1:], "".join(sorted(marks))].add(start[0])
    return "|".join(
        f"(?<=[{_escaped(''.join(sorted(first)))}]{_escaped(rest)}){_escaped(_BORDER)}(?=[{_escaped(marks)}])"
        for (rest, marks), first in sorted(heads.items())
    )


def _escaped(characters: str) -> str:
    return "".join(f"\\x{{{ord(character):X}}}" for character in characters)


def _compiled(rules: str) -> bytes:
    """SentencePiece's compiled form of `rules`; it takes them from a file only."""
    sentencepiece.set_min_log_level(2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.tsv"
        path.write_text(rules, encoding="ascii")
        made = sentencepiece.SentencePieceNormalizer(rule_tsv=str(path))
    return charsmap_of_normalizer(made.serialized_normalizer_spec())
