"""The few bytes of a SentencePiece model that its own API does not reach: its normaliser and its scores.

A model is a Protocol Buffers message (`sentencepiece_model.proto`): field 1, repeated, is a piece, whose field 2 is its
score; field 3 is the `NormalizerSpec`, whose field 2 is the compiled table of replacements. Reading them here spares
the dependency on `protobuf`, which `sentencepiece` itself does without.
Wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from ccbuild.errors import DataError

__all__ = [
    "BYTE",
    "NORMAL",
    "USER_DEFINED",
    "charsmap",
    "charsmap_of_normalizer",
    "fields",
    "is_bpe",
    "is_rounded",
    "piece_types",
    "replace_normalizer",
    "round_scores",
    "with_pieces",
]

_PIECE, _TEXT, _SCORE, _NORMALIZER_SPEC, _CHARSMAP = 1, 1, 2, 3, 2
_SPACE = "▁".encode()
SCORE_STEP = 2**-8
"""Scores are rounded to this (nats), so that float32 and float64 readers segment alike."""
_TYPE = 3
_TRAINER_SPEC, _MODEL_TYPE, _SIZE, _BPE = 2, 3, 4, 2
NORMAL, USER_DEFINED, BYTE = 1, 4, 6
"""Types of pieces."""
_LENGTH_DELIMITED, _FLOAT = 2, 5
_FIXED = {1: 8, 5: 4}


def fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(number, value, the whole field with its tag) of each field; the value of a number is its raw bytes."""
    position = 0
    while position < len(message):
        start = position
        tag, position = _varint(message, position)
        kind = tag & 7
        value_start = position
        if kind == 0:
            _, position = _varint(message, position)
        elif kind == _LENGTH_DELIMITED:
            length, value_start = _varint(message, position)
            position = value_start + length
        elif kind in _FIXED:
            position += _FIXED[kind]
        else:
            raise DataError(f"Byte {start} of the model has wire type {kind}. It is not a SentencePiece model.")
        if position > len(message):
            raise DataError(f"The model ends inside the field at byte {start}. Copy the file again.")
        yield tag >> 3, message[value_start:position], message[start:position]


def replace_normalizer(model: bytes, spec: bytes) -> bytes:
    """`model` with the serialised `NormalizerSpec` `spec` in place of its own."""
    tagged = _delimited(_NORMALIZER_SPEC, spec)
    return b"".join(tagged if number == _NORMALIZER_SPEC else raw for number, _, raw in fields(model))


def with_pieces(model: bytes, pieces: Sequence[tuple[str, float]]) -> bytes:
    """`model` with `pieces`, of text and score, in the place of its own that are neither control, symbol nor byte."""
    parts, specs, count = [], [], len(pieces)
    for number, value, raw in fields(model):
        if number != _PIECE:
            specs.append((number, value, raw))
        elif _type_of(value) != NORMAL:
            parts.append(raw)
            count += 1
    for text, score in pieces:
        inner = _delimited(_TEXT, text.encode()) + _encode(_SCORE << 3 | _FLOAT) + struct.pack("<f", score)
        parts.append(_delimited(_PIECE, inner))
    for number, value, raw in specs:
        if number == _TRAINER_SPEC:
            size = _encode(_SIZE << 3) + _encode(count)
            raw = _delimited(number, b"".join(size if field == _SIZE else inner for field, _, inner in fields(value)))
        parts.append(raw)
    return b"".join(parts)


def round_scores(model: bytes, step: float = SCORE_STEP) -> bytes:
    """`model` with every piece's score rounded to a multiple of `step`.

    With `SCORE_STEP`, sums down to -65,536 (several thousand pieces) are exact in float32. So readers that add in
    another order or in float64 find the same best segmentation, where rounding would else decide between equals.
    """
    return b"".join(
        _delimited(_PIECE, _rounded(value, step)) if number == _PIECE else raw for number, value, raw in fields(model)
    )


def is_rounded(model: bytes) -> bool:
    """Whether `model` is unigram, with scores as `round_scores` leaves them, and none so low that 2,048 of them pass
    what float32 adds without rounding; and no piece goes on after a space."""
    if is_bpe(model):
        return False
    for number, value, _ in fields(model):
        if number == _PIECE:
            for field, inner, _ in fields(value):
                if field == _SCORE:
                    (score,) = struct.unpack("<f", inner)
                    if score < -32 or score / SCORE_STEP != round(score / SCORE_STEP):
                        return False
                elif field == _TEXT and _SPACE in inner[1:]:
                    return False
    return True


def _rounded(piece: bytes, step: float) -> bytes:
    parts = []
    for number, value, raw in fields(piece):
        if number == _SCORE:
            (score,) = struct.unpack("<f", value)
            raw = raw[: -len(value)] + struct.pack("<f", round(score / step) * step)
        parts.append(raw)
    return b"".join(parts)


def piece_types(model: bytes) -> list[int]:
    """The type of each piece, as `SentencePiece.Type` numbers them: NORMAL, UNKNOWN, CONTROL, USER_DEFINED…"""
    types = []
    for number, value, _ in fields(model):
        if number == _PIECE:
            types.append(_type_of(value))
    return types


def _type_of(piece: bytes) -> int:
    return next((_varint(inner, 0)[0] for field, inner, _ in fields(piece) if field == _TYPE), NORMAL)


def is_bpe(model: bytes) -> bool:
    """Whether the model merges pairs (`TrainerSpec.model_type`, field 3 of field 2; 1 is unigram, 2 is BPE)."""
    for number, value, _ in fields(model):
        if number == _TRAINER_SPEC:
            return any(field == _MODEL_TYPE and _varint(inner, 0)[0] == _BPE for field, inner, _ in fields(value))
    return False


def charsmap(model: bytes) -> bytes:
    """The compiled table of replacements of `model`'s normaliser; empty for the identity."""
    for number, value, _ in fields(model):
        if number == _NORMALIZER_SPEC:
            return charsmap_of_normalizer(value)
    return b""


def charsmap_of_normalizer(spec: bytes) -> bytes:
    """The same of a serialised `NormalizerSpec`."""
    return next((inner for field, inner, _ in fields(spec) if field == _CHARSMAP), b"")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """(number, position after it)."""
    result = shift = 0
    while position < len(message) and shift < 64:
        byte = message[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
    raise DataError(f"The model ends inside a number at byte {position}. Copy the file again.")


def _delimited(number: int, value: bytes) -> bytes:
    return _encode(number << 3 | _LENGTH_DELIMITED) + _encode(len(value)) + value


def _encode(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
