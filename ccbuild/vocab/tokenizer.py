"""Text to XLM-R's ids and back, by SentencePiece itself.

Text for training is never encoded with the Hugging Face tokenizer: it reads a literal `<mask>` or `</s>` in a web page
as the special token.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sentencepiece import SentencePieceProcessor

from ccbuild.errors import DataError, InputError, MismatchError
from ccbuild.tokens import EOS, UNK
from ccbuild.vocab.protobuf import is_rounded

__all__ = ["Encoder"]

_OFFSET = 1
"""XLM-R's id of a piece minus SentencePiece's (fairseq puts <pad> at 1)."""
_SPM_UNK = 0
_FIRST_PIECE = UNK + 1
_TOGETHER = 2048
"""Characters of paragraphs encoded in one text: no piece scores below -32, so that their sum is above -65,536."""
_CANARY = (
    "import sys; from sentencepiece import SentencePieceProcessor as P; p = P(model_file=sys.argv[1]); "
    "sys.exit(not p.encode('canary ﬁ 試験 परीक्षा') or p.unk_id() or p.bos_id() - 1 or p.eos_id() - 2)"
)


class Encoder:
    """A SentencePiece model that speaks XLM-R's ids.

    The model is hashed before it is loaded. With `sha256` (from a manifest) it must be that very file: `MismatchError`
    otherwise. Without, it is first tried in a child process (about 0.2 s), since damaged models have crashed loaders:
    `DataError` if it does not load there, or does not number <unk>, <s>, </s> 0, 1, 2.
    """

    def __init__(self, model_path: str | Path, sha256: str | None = None) -> None:
        path = Path(model_path)
        if not path.is_file():
            raise InputError(f"{path} is not a file. Give the path of a SentencePiece model.")
        model = path.read_bytes()
        self.sha256 = hashlib.sha256(model).hexdigest()
        if sha256 is None:
            child = subprocess.run([sys.executable, "-c", _CANARY, str(path)], capture_output=True, check=False)
            if child.returncode:
                raise DataError(
                    f"{path} is not a SentencePiece model numbered <unk>, <s>, </s>. Train or copy it again."
                )
        elif sha256 != self.sha256:
            raise MismatchError(f"{path} has SHA-256 {self.sha256}, {sha256} is stated. Put that model back.")
        self._processor = SentencePieceProcessor(model_proto=model, num_threads=1)
        self._pieces: int = self._processor.get_piece_size()
        self._exact = is_rounded(model)

    @property
    def size(self) -> int:
        """Ids, specials and <mask> included: pieces + 2."""
        return self._pieces + 2

    @property
    def mask(self) -> int:
        """The id of <mask>, the last."""
        return self._pieces + 1

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """The ids of each text, without specials; unknown characters in a row are one <unk> (3).

        One batch call into SentencePiece, one thread. Give clean text: no lone surrogates.
        """
        return self._split(*self._flat(texts))

    def _flat(self, texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """(the ids of all texts in one run, how many of each)."""
        encoded = self._processor.encode(list(texts), out_type="numpy")
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        flat = np.concatenate([*encoded, np.empty(0, np.int32)]).astype(np.uint32)
        flat += np.uint32(_OFFSET)
        flat[flat == _SPM_UNK + _OFFSET] = UNK
        return flat, lengths

    def _split(self, flat: NDArray[np.uint32], lengths: NDArray[np.int64]) -> list[NDArray[np.uint32]]:
        return [flat[start:end] for start, end in pairwise([0, *np.cumsum(lengths).tolist()])]

    def encode_documents(self, documents: Sequence[str]) -> list[NDArray[np.uint32]]:
        """The ids of each document, encoded paragraph by paragraph (a line each) and joined, without a closing </s>."""
        return self._split(*self.encode_batch(documents))

    def encode_batch(self, documents: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """(the ids of `encode_documents` in one run, how many of each document): what `TokenWriter.add_batch` takes."""
        parts = [self._parts(document) for document in documents]
        flat, lengths = self._flat([text for texts in parts for text in texts])
        counts = np.fromiter(map(len, parts), np.int64, len(parts))
        if len(counts) == 0:
            return flat, counts
        return flat, np.add.reduceat(lengths, np.cumsum(counts) - counts)

    def _parts(self, document: str) -> list[str]:
        """Runs of paragraphs that may be encoded together: a line's end is a space to SentencePiece, and no piece goes
        on after a space. Sums of rounded scores stay exact over so many characters, so the ids are the same ones."""
        if self._exact and len(document) <= _TOGETHER:
            return [document]
        parts: list[str] = []
        for paragraph in document.split("\n"):
            if self._exact and parts and len(parts[-1]) + len(paragraph) < _TOGETHER:
                parts[-1] += "\n" + paragraph
            else:
                parts.append(paragraph)
        return parts

    def decode(self, ids: Iterable[int]) -> str:
        """The normalised text of `ids`; </s> ends a line, other specials and <mask> are left out, <unk> is ``⁇``."""
        lines: list[list[int]] = [[]]
        for token in ids:
            number = int(token)
            if number == EOS:
                lines.append([])
            elif number == UNK:
                lines[-1].append(_SPM_UNK)
            elif _FIRST_PIECE <= number < self.mask:
                lines[-1].append(number - _OFFSET)
            elif number > self.mask or number < 0:
                raise MismatchError(
                    f"Id {number} is not among the {self.size} of this vocabulary. Use the one it was made with."
                )
        if not lines[-1] and len(lines) > 1:
            lines.pop()
        return "\n".join(self._processor.decode(line) if line else "" for line in lines)
