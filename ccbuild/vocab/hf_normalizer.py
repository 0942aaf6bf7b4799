"""What makes `tokenizers` normalise as SentencePiece does: the steps around its `Precompiled`.

`Precompiled` holds SentencePiece's table of replacements, but looks it up by grapheme: one of less than six bytes
becomes what its shortest prefix in the table says, and its rest is lost (a decomposed Vietnamese "ế" loses its acute);
a longer one is looked up character by character, so that its parts never compose (Bengali, Kannada, half-width kana).
So here every mark is first set apart by a control character, then each character is looked up alone; the control
character is taken out where SentencePiece's table has the whole sequence, `NFC` composes just these, and what is left
of the control characters, which have kept all other marks from composing or changing places, goes. Marks with nothing
before them get a base, which goes at the end too. What the table takes apart ("\ufb01", U+0344) composes with nothing.

What differs: U+FFF0 and U+FFFF, which stand for the control character and the base and are no characters; two marks
right after a control or format character that the table leaves alone (U+0080 to U+009E but U+008F, U+180E, U+2060 to
U+206F and the like), of which the second is lost.
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

_BORDER, _BASE = "\ufff0", "\uffff"
"""A control character, and one that carries marks, that are no characters, and that `nmt_nfkc` and NFC leave alone."""
_APART = "\u0344"
"""A mark that the table takes apart; what comes of it composes with nothing before it."""
_CARRIERS = "6DE 102B-102C 1038 1062-1064 1067-106D 1083 1087-108C 108F 109A-109C 1A61 1A63-1A64 AA7B AA7D 11720-11721"
"""Marks that begin a grapheme of their own, which need no border, and none of which composes."""
_LATER_MARKS = """
350-35F 487 5A2 5BA 5C5 5C7-5C9 610-61A 656-65F 7EB-7F3 7FD 816-819 81B-823 825-827 829-82D 859-85B 897-89F 8CA-8E1
8E3-900 93A-93B 94E-94F 955-957 9FE A01 A03 A51 A75 AE2-AE3 AFA-AFF B44 B53-B55 B62-B63 C00 C04 C3C C62-C63 C81 CBC
CE2-CE3 CF3 D00-D01 D3B-D3C D44 D62-D63 D81 EBA ECE F8D-F8F 102B 1033-1035 103A-103E 105E-1060 1062-1064 1067-106D
1071-1074 1082-108D 108F 109A-109D 135D-135F 1715 17DD 180F 1885-1886 1920-192B 1930-193B 1A17-1A1B 1A55-1A5E
1A60-1A7C 1A7F 1AB0-1AF0 1B00-1B04 1B34-1B44 1B6B-1B73 1B80-1B82 1BA1-1BAD 1BE6-1BF3 1C24-1C37 1CD0-1CD2 1CD4-1CE8
1CED 1CF4 1CF7-1CF9 1DC0-1DFF 20EB-20F0 2CEF-2CF1 2D7F 2DE0-2DFF A66F-A672 A674-A67D A69E-A69F A6F0-A6F1 A802 A806
A80B A823-A827 A82C A880-A881 A8B4-A8C5 A8E0-A8F1 A8FF A926-A92D A947-A953 A980-A983 A9B3-A9C0 A9E5 AA29-AA36 AA43
AA4C-AA4D AA7B-AA7D AAB0 AAB2-AAB4 AAB7-AAB8 AABE-AABF AAC1 AAEB-AAEF AAF5-AAF6 ABE3-ABEA ABEC-ABED FE24-FE2F 101FD
102E0 10376-1037A 10A01-10A03 10A05-10A06 10A0C-10A0F 10A38-10A3A 10A3F 10AE5-10AE6 10D24-10D27 10D69-10D6D
10EAB-10EAC 10ECB-10ECF 10EF0-10EFF 10F46-10F50 10F82-10F85 11000-11002 11038-11046 11070 11073-11074 1107F-11082
110B0-110BA 110C2 11100-11102 11127-11134 11145-11146 11173 11180-11182 111B3-111C0 111C9-111CC 111CE-111CF
1122C-11237 1123E 11241 112DF-112EA 11300-11303 1133B-1133C 1133E-11344 11347-11348 1134B-1134D 11357 11362-11363
11366-1136C 11370-11374 113B8-113C0 113C2 113C5 113C7-113CA 113CC-113D0 113D2 113E1-113E2 11435-11446 1145E
114B0-114C3 115AF-115B5 115B8-115C0 115DC-115DD 11630-11640 116AB-116B7 1171D-1172B 1182C-1183A 11930-11935
11937-11938 1193B-1193E 11940 11942-11943 119D1-119D7 119DA-119E0 119E4 11A01-11A0A 11A33-11A39 11A3B-11A3E 11A47
11A51-11A5B 11A8A-11A99 11B60-11B67 11C2F-11C36 11C38-11C3F 11C92-11CA7 11CA9-11CB6 11D31-11D36 11D3A 11D3C-11D3D
11D3F-11D45 11D47 11D8A-11D8E 11D90-11D91 11D93-11D97 11DF0 11EF3-11EF6 11F00-11F01 11F03 11F34-11F3A 11F3E-11F42
11F5A 13440 13447-13455 1611E-1612F 16AF0-16AF4 16B30-16B36 16F4F 16F51-16F87 16F8F-16F92 16FE4 16FF0-16FF1
1BC9D-1BC9E 1CF00-1CF2D 1CF30-1CF46 1D127-1D128 1D242-1D244 1D250-1D252 1D25B-1D25C 1D25F 1D280-1D281 1DA00-1DA36
1DA3B-1DA6C 1DA75 1DA84 1DA9B-1DA9F 1DAA1-1DAAF 1E000-1E006 1E008-1E018 1E01B-1E021 1E023-1E024 1E026-1E02A 1E08F
1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF 1E5EE-1E5EF 1E6E3 1E6E6 1E6EE-1E6EF 1E6F5 1E8D0-1E8D6 1E944-1E94A
"""
"""The marks of Unicode 17 that 3.2, which Python keeps, did not have: so the table depends on no version of Python."""
_JOINERS = "\u0e33\u0eb3\u200c\u200d\uff9e\uff9f"
"""Characters that extend a grapheme though they are no marks: Thai and Lao am, joiners, half-width voicing marks."""
_COMPOSED = [*range(0xAC00), *range(0xD7A4, 0x20000)]
"""Where composed characters lie; Hangul's syllables need no help, their parts are no marks."""


def normalizer(charsmap: bytes) -> dict[str, Any]:
    """`tokenizer.json`'s normaliser for `charsmap`, SentencePiece's compiled table; without one it does nothing."""
    if not charsmap:
        return {"type": "Sequence", "normalizers": []}
    borders, ligatures, pattern = _borders()
    return {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": _BASE},
            *({"type": "Replace", "pattern": {"Regex": f"[{_escaped(c)}]"}, "content": to} for to, c in _controls()),
            {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(borders).decode()},
            {"type": "Replace", "pattern": {"Regex": ligatures}, "content": 2 * _BORDER},
            {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()},
            {"type": "Replace", "pattern": {"Regex": pattern}, "content": ""},
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": f"[{_escaped(_BORDER + _BASE)}]"}, "content": ""},
        ],
    }


@cache
def _borders() -> tuple[bytes, str, str]:
    """(compiled table that sets a border before each mark, pattern of the borders after what composes with nothing,
    pattern of the borders before what composes)."""
    table = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc", add_dummy_prefix=False)
    following = _following(table)
    marks = {chr(point) for point in range(0x300, 0x20000) if unicodedata.ucd_3_2_0.category(chr(point))[0] == "M"}
    marks |= set(_JOINERS) | {mark for marks in following.values() for mark in marks}
    marks = (marks | _ranges(_LATER_MARKS)) - _ranges(_CARRIERS)
    border = f"{ord(_BORDER):X} "
    rules = "".join(f"{ord(m):X}\t{border * (1 + (m in _APART))}{ord(m):X}\n" for m in sorted(marks))
    ligatures = f"(?<=[{_escaped(_ligatures(table, following))}]){_escaped(_BORDER)}"
    return _compiled(rules), ligatures, _pattern(following)


def _ranges(text: str) -> set[str]:
    """The characters of hexadecimal ranges."""
    parts = (part.partition("-") for part in text.split())
    return {chr(point) for a, _, b in parts for point in range(int(a, 16), int(b or a, 16) + 1)}


def _controls() -> list[tuple[str, str]]:
    """(what stands for them before graphemes are sought, the characters) of those that end a grapheme and that the
    table makes a space of or takes away."""
    table = sentencepiece.SentencePieceNormalizer(
        rule_name="nmt_nfkc", add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=False
    )
    points = [*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200B, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF]
    became = {chr(point): table.normalize(f"a{chr(point)}b")[1:-1] for point in points}
    return [(to, "".join(c for c in became if became[c] == made)) for to, made in ((" ", " "), (_BASE, ""))]


def _ligatures(table: sentencepiece.SentencePieceNormalizer, following: dict[str, set[str]]) -> str:
    """The characters that the table replaces, and then composes with nothing that would go on from what they became."""
    points = [point for point in range(0x20000) if not 0xD800 <= point < 0xE000]
    found = []
    for point, replaced in zip(points, table.normalize(list(map(chr, points))), strict=True):
        marks = following.get(replaced[-1:], set()) if replaced != chr(point) else set()
        if marks and all(table.normalize(chr(point) + mark) == replaced + mark for mark in marks):
            found.append(chr(point))
    return "".join(found)


def _following(table: sentencepiece.SentencePieceNormalizer) -> dict[str, set[str]]:
    """The start of a decomposition, its characters with a border between them, to what goes on composing with it.

    Only what SentencePiece's own table composes: so it depends on no version of Unicode.
    """
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
