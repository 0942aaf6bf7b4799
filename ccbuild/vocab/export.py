"""The folder that `transformers` loads, made from a SentencePiece model alone.

`sentencepiece.bpe.model` is the name under which XLM-R's model is known, though it is a unigram model.
`tokenizer.json` is read as it stands, by `transformers` (as `PreTrainedTokenizerFast`: `XLMRobertaTokenizer` would put
a normaliser of its own in its place, and lose marks) and by `tokenizers.Tokenizer.from_file`.
"""

from __future__ import annotations

import json
from typing import Any

from sentencepiece import SentencePieceProcessor

from ccbuild.vocab.hf_normalizer import normalizer
from ccbuild.vocab.protobuf import BYTE, USER_DEFINED, charsmap, is_bpe, piece_types
from ccbuild.vocab.words import SPACE

__all__ = ["MODEL_NAME", "vocabulary_files"]

MODEL_NAME = "sentencepiece.bpe.model"
"""The SentencePiece model's file name in a vocabulary's folder."""

_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
_FIRST = 3  # SentencePiece's id of the first piece after <unk>, <s>, </s>
_MAX_TOKENS = 512  # XLM-R's longest sequence, <s> and </s> counted


def vocabulary_files(model: bytes) -> dict[str, bytes]:
    """Name to bytes: the model itself, `tokenizer.json`, `tokenizer_config.json`, fairseq's `dict.txt`."""
    return {
        MODEL_NAME: model,
        "tokenizer.json": _json(_tokenizer(model)),
        "tokenizer_config.json": _json(_tokenizer_config()),
        "dict.txt": _dictionary(model),
    }


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def _tokenizer_config() -> dict[str, Any]:
    """Which class reads the folder, and the roles of the specials; <mask> takes the space before it along."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": _MAX_TOKENS,
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": {"__type": "AddedToken", **_added_token("<mask>")},
    }


def _added_token(content: str) -> dict[str, Any]:
    return {
        "content": content,
        "single_word": False,
        "lstrip": content == "<mask>",
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _tokenizer(model: bytes) -> dict[str, Any]:
    """`tokenizer.json`: XLM-R's numbering over the pieces of `model`."""
    processor = SentencePieceProcessor(model_proto=model)
    types = piece_types(model)
    pieces = [(processor.id_to_piece(i), processor.get_score(i)) for i in range(_FIRST, processor.get_piece_size())]
    vocabulary = [*((special, 0.0) for special in _SPECIALS), *pieces, ("<mask>", 0.0)]
    added = [{"id": i, **_added_token(special)} for i, special in enumerate(_SPECIALS)]
    added += [
        {"id": i + 1, **_added_token(processor.id_to_piece(i)), "special": False}
        for i in range(_FIRST, len(types))
        if types[i] == USER_DEFINED
    ]
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True}
    space = {"type": "Split", "pattern": {"String": " "}, "behavior": "Removed", "invert": False}  # no other, as there
    fallback = BYTE in types
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [*added, {"id": len(vocabulary) - 1, **_added_token("<mask>")}],
        "normalizer": normalizer(charsmap(model)),
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [space, metaspace]},
        "post_processor": _post_processor(),
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, metaspace]} if fallback else metaspace,
        "model": _bpe(vocabulary, fallback) if is_bpe(model) else _unigram(vocabulary, fallback),
    }


def _unigram(vocabulary: list[tuple[str, float]], fallback: bool) -> dict[str, Any]:
    return {"type": "Unigram", "unk_id": 3, "vocab": [list(row) for row in vocabulary], "byte_fallback": fallback}


def _bpe(vocabulary: list[tuple[str, float]], fallback: bool) -> dict[str, Any]:
    """Merges from the pieces: whatever two pieces make a third, the best of these first, as SentencePiece merges."""
    ids = {piece: i for i, (piece, _) in enumerate(vocabulary)}
    made = [
        (-score, ids[piece[:cut]], ids[piece[cut:]], piece[:cut], piece[cut:])
        for piece, score in vocabulary[len(_SPECIALS) : -1]
        for cut in range(1, len(piece))
        if piece[:cut] in ids and piece[cut:] in ids
    ]
    return {
        "type": "BPE",
        "unk_token": "<unk>",
        "fuse_unk": True,
        "byte_fallback": fallback,
        "vocab": ids,
        "merges": [[left, right] for *_, left, right in sorted(made)],
    }


def _dictionary(model: bytes) -> bytes:
    """fairseq's `dict.txt`: the pieces in the order of their ids; <s>, <pad>, </s>, <unk>, <mask> it adds itself."""
    processor = SentencePieceProcessor(model_proto=model)
    pieces = (processor.id_to_piece(i) for i in range(_FIRST, processor.get_piece_size()))
    return "".join(f"{piece} 1\n" for piece in pieces).encode()


def _post_processor() -> dict[str, Any]:
    """<s> A </s>, and <s> A </s></s> B </s> for a pair."""
    bos, eos = ({"SpecialToken": {"id": token, "type_id": 0}} for token in ("<s>", "</s>"))
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in ("A", "B"))
    return {
        "type": "TemplateProcessing",
        "single": [bos, first, eos],
        "pair": [bos, first, eos, eos, second, eos],
        "special_tokens": {
            token: {"id": token, "ids": [_SPECIALS.index(token)], "tokens": [token]} for token in ("<s>", "</s>")
        },
    }
