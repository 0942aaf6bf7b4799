"""Text of the user's own as token shards: documents of one language, or aligned pairs of two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ccbuild.errors import InputError
from ccbuild.ledger import Ledger
from ccbuild.lines import read_lines
from ccbuild.progress import counted, phase
from ccbuild.prose import check_code
from ccbuild.storage import Manifest, Unit, sha256_file
from ccbuild.tokens import TokenWriter
from ccbuild.vocab.tokenizer import Encoder

__all__ = ["encode_pairs", "encode_texts"]


def encode_texts(
    records: Iterable[Mapping[str, Any]],
    lang: str,
    encoder: Encoder,
    out: str | Path,
    sha256: str | None = None,
    split: str = "auto",
) -> tuple[Manifest, bool]:
    """The tokens of documents (``text``, and a ``doc_id`` where they have one) in `out`: (manifest, made now).

    `sha256` is that of the text, by which it is known as done, with how it was `split` into documents; without one it
    is always encoded.
    """
    inputs = {"vocabulary": encoder.sha256} | ({} if sha256 is None else {"text": sha256})
    inputs |= {} if split == "auto" else {"split": split}
    with Unit(out, "tokens encode", check_code(lang), settings={}, inputs=inputs) as unit:
        done = None if sha256 is None else unit.done()
        if done is not None:
            return done, False
        ledger = Ledger()
        documents = ((record.get("doc_id", number), record["text"]) for number, record in enumerate(records))
        return _written(unit, encoder, documents, ledger, "documents"), True


def encode_pairs(
    path: str | Path, codes: Sequence[str], encoder: Encoder, out: str | Path
) -> list[tuple[Manifest, bool]]:
    """Sentences and their translations, two columns with a tab between: (manifest, made now) of each of two `codes`.

    They lie in the folder ``en-sw`` of `out`, as many documents in both languages: the n-th of one translates the n-th
    of the other.
    """
    if len(codes) != 2 or codes[0] == codes[1]:
        raise InputError(
            f"--lang {','.join(codes)}: pairs have two languages, such as en,sw, in the order of the columns."
        )
    inputs, made = {"vocabulary": encoder.sha256, "text": sha256_file(path)}, []
    for side, code in counted(enumerate(map(check_code, codes)), "languages", 2):
        with Unit(Path(out) / "-".join(codes), "tokens encode", code, settings={"side": side}, inputs=inputs) as unit:
            done = unit.done()
            if done is None:
                ledger = Ledger()
                sentences = _side(path, side, ledger)
                made.append((_written(unit, encoder, sentences, ledger, "pairs"), True))
            else:
                made.append((done, False))
    return made


def _written(
    unit: Unit, encoder: Encoder, documents: Iterable[tuple[int, str]], ledger: Ledger, account: str
) -> Manifest:
    """The unit of (doc_id, text), committed."""
    with (
        phase(f"encode {unit.name}"),
        TokenWriter(unit, unit.name, vocabulary_size=encoder.size, vocabulary_sha256=encoder.sha256) as writer,
    ):
        for doc_id, text in counted(documents, account):
            (ids,) = encoder.encode_documents([text])
            writer.add(doc_id, ids, text.count("\n") + 1, len(text), len(text.encode()))
            ledger[account].keep()
        facts = writer.close()
    return unit.commit(ledger, facts=facts)


def _side(path: str | Path, side: int, ledger: Ledger) -> Iterator[tuple[int, str]]:
    """(line number from 0, text) of one side of the pairs that have text on both."""
    for number, line in enumerate(read_lines(path)):
        sides = line.split("\t")
        if len(sides) != 2:
            raise InputError(f"{path}, line {number + 1} has {len(sides)} columns. A pair is two, a tab between them.")
        texts = [" ".join(text.split()) for text in sides]
        if all(texts):
            yield number, texts[side]
        else:
            ledger["pairs"].drop("empty_side")
