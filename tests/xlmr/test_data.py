from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ccbuild.errors import ConfigError, InputError, MismatchError
from ccbuild.ledger import Ledger
from ccbuild.storage import Unit
from ccbuild.tokens import TokenWriter, open_tokens
from xlmr.blocks import Stream
from xlmr.config import DataConfig, PhaseConfig
from xlmr.data import Batch, Corpus
from xlmr.loss import IGNORED


def corpus(folder: Path, **changes: Any) -> Corpus:
    return Corpus.open(folder, DataConfig(seq_len=32, **changes), seed=1)


def unmasked(batch: Batch) -> torch.Tensor:
    """What stood there before masking."""
    ids = batch.ids.clone()
    for row, slots, labels in zip(ids, batch.slots, batch.labels, strict=True):
        row[slots[labels != IGNORED]] = labels[labels != IGNORED]
    return ids


def test_sequences_are_blocks_of_one_languages_stream(tokens: Path) -> None:
    mine = corpus(tokens, validation_blocks=0)
    languages, blocks = mine.order.samples(0, 64)
    ids = unmasked(mine.batch(0, 64))
    for row, language, block in zip(ids, languages, blocks, strict=True):
        stream = mine.languages[mine.codes[language]]
        start = max(0, min(int(block) * 30, stream.tokens - 30))
        text = stream.read(start, min(30, stream.tokens)).astype(np.int64)
        assert row.tolist() == [0, *text.tolist(), 2] + [1] * (30 - len(text))
    assert len(set(languages.tolist())) == 4


def test_no_token_is_left_out_and_none_is_on_both_sides(tokens: Path) -> None:
    mine = corpus(tokens, validation_blocks=4)
    sw = mine.codes.index("sw")
    stream = mine.blocks["sw"]
    assert isinstance(stream, Stream)
    end = stream.end
    assert {code: b.held_out for code, b in mine.blocks.items()} == {"am": 0, "en": 4, "ja": 4, "sw": 4}
    assert end == mine.languages["sw"].tokens - 120
    starts = [max(0, min(b * 30, end - 30)) for b in range(int(mine.order.blocks[sw]))]
    assert set().union(*(range(s, s + 30) for s in starts)) == set(range(end))
    held = [unmasked(b) for b in mine.validation(6)]
    last = mine.languages["sw"].read(end, 120).reshape(4, 30).astype(np.int64)
    assert torch.cat(held)[-4:, 1:-1].tolist() == last.tolist()


def test_a_language_smaller_than_a_block_is_one_padded_sequence(tokens: Path) -> None:
    mine = corpus(tokens, languages=("am",))
    batch = mine.batch(0, 3)
    assert batch.positions is not None
    assert (batch.positions != 1).sum(1).tolist() == [mine.languages["am"].tokens + 2] * 3
    assert corpus(tokens, languages=("en",)).batch(0, 3).positions is None


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_what_one_would_read(tokens: Path, world: int) -> None:
    whole = corpus(tokens).batch(64, 32)
    size = 32 // world
    parts = [corpus(tokens).batch(64 + rank * size, size) for rank in range(world)]
    for name in ("ids", "slots", "labels", "languages", "positions"):
        assert torch.equal(torch.cat([getattr(p, name) for p in parts]), getattr(whole, name))
    assert sum(p.masked for p in parts) == whole.masked


def test_validation_is_shared_too_and_masked_alike_every_time(tokens: Path) -> None:
    def sequences(rank: int, world: int, size: int) -> list[list[int]]:
        batches = list(corpus(tokens).validation(size, rank, world))
        assert len({b.ids.shape for b in batches}) == 1
        used = [(b.labels != IGNORED).any(1) for b in batches]
        return [row for b, u in zip(batches, used, strict=True) for row in b.ids[u].tolist()]

    assert sequences(0, 1, 3) == sequences(0, 1, 100)
    assert sorted(sequences(0, 2, 3) + sequences(1, 2, 3)) == sorted(sequences(0, 1, 3))


def test_languages_are_drawn_by_alpha_over_sentences_or_tokens(tokens: Path) -> None:
    languages = open_tokens(tokens).languages
    for what in ("sentences", "tokens"):
        wanted = np.array([getattr(languages[c], what) for c in sorted(languages)], float) ** 0.3
        mine = corpus(tokens, alpha_counts=what)
        assert list(mine.shares[0].values()) == pytest.approx(list(wanted / wanted.sum()))
    drawn = np.bincount(corpus(tokens).batch(0, 4000).languages.numpy(), minlength=4) / 4000
    assert drawn == pytest.approx(list(corpus(tokens).shares[0].values()), abs=0.03)


def test_no_language_is_read_more_often_than_the_cap(tokens: Path) -> None:
    config = DataConfig(seq_len=32, alpha=0.0, cap=3.0)
    free = Corpus.open(tokens, DataConfig(seq_len=32, alpha=0.0), 1, batch=8, steps=1)
    there = sum(blocks.trained for blocks in free.blocks.values())
    steps = int(there * 2.5 / 8)
    mine = Corpus.open(tokens, config, 1, batch=8, steps=steps)
    read = {code: share * steps * 8 / mine.blocks[code].trained for code, share in mine.shares[0].items()}
    uncapped = {c: share * steps * 8 / free.blocks[c].trained for c, share in free.shares[0].items()}
    assert max(uncapped.values()) > 3.0
    assert max(read.values()) == pytest.approx(3.0)
    assert sum(mine.shares[0].values()) == pytest.approx(1.0)
    assert all(read[code] >= uncapped[code] for code in read if read[code] < 2.999)
    with pytest.raises(ConfigError, match="Draw fewer"):
        Corpus.open(tokens, config, 1, batch=8, steps=steps * 2)
    with pytest.raises(ConfigError, match=r"data\.cap"):
        DataConfig(cap=0.5)
    assert Corpus.open(tokens, config, 1).shares == free.shares  # nothing is drawn, so nothing is capped


def test_documents_are_never_mixed(tokens: Path) -> None:
    mine = corpus(tokens, blocks="document", validation_blocks=3)
    blocks, language = mine.blocks["en"], mine.languages["en"]
    read = [blocks.read(k) for k in range(blocks.trained)]
    read += [blocks.read(k, held_out=True) for k in range(blocks.held_out)]
    assert blocks.held_out == 3
    assert max(len(segment) for (segment,) in read) == 30
    pieces = iter([segment.tolist() for (segment,) in read])
    for start, end in language.bounds().tolist():
        text: list[int] = []
        while len(text) < end - start:
            text += next(pieces)
        assert text == language.read(start, end - start).tolist()
    assert next(pieces, None) is None
    batch = mine.batch(0, 16)
    assert batch.positions is not None
    assert ((batch.ids == 1) == (batch.positions == 1)).all()
    assert ((batch.ids == 2).sum(1) == 1).all()


def test_phases_change_alpha_masking_and_languages(tokens: Path) -> None:
    phases = (PhaseConfig(start=0, alpha=0.0, mask_prob=0.3, languages=("en", "sw")), PhaseConfig(start=10))
    config = DataConfig(seq_len=32, phases=phases, validation_blocks=0)
    mine = Corpus.open(tokens, config, 1, batch=32)
    assert mine.shares[0] == {"am": 0.0, "en": 0.5, "ja": 0.0, "sw": 0.5}
    assert mine.shares[1] == corpus(tokens).shares[0]
    first, second = mine.batch(0, 320), mine.batch(320, 320)
    assert first.masked / (320 * 30) == pytest.approx(0.3, abs=0.01)
    assert set(first.languages.tolist()) == {1, 3}
    assert second.slots.shape == first.slots.shape == (320, 10)
    assert second.masked / int((second.ids > 2).sum()) == pytest.approx(0.15, abs=0.01)
    assert set(second.languages.tolist()) == {0, 1, 2, 3}
    border = mine.batch(310, 20)
    assert torch.equal(torch.cat([first.ids[-10:], second.ids[:10]]), border.ids)


def test_fairseq_s_shares_are_over_blocks(tokens: Path) -> None:
    mine = corpus(tokens, sampling="fairseq")
    blocks = np.array([b.trained for b in mine.blocks.values()])
    wanted = (blocks / blocks.sum()) ** 0.3
    assert list(mine.shares[0].values()) == pytest.approx(list(wanted / wanted.sum()))
    assert mine.order.epochs.sum() >= blocks.sum()


def pairs(folder: Path, sw: int = 40) -> Path:
    for code, count, first in (("en", 40, 10), ("sw", sw, 110)):
        with (
            Unit(folder / "en-sw", "tokens encode", code, settings={}) as unit,
            TokenWriter(unit, code, vocabulary_size=300, vocabulary_sha256="ab" * 32) as writer,
        ):
            for number in range(count):
                writer.add(number, [first + number] * (number % 20 + 1))
            unit.commit(Ledger(), facts=writer.close())
    return folder


def test_aligned_pairs_stand_in_one_sequence(tokens: Path, tmp_path: Path) -> None:
    mine = corpus(tokens, pairs=str(pairs(tmp_path)), pair_share=0.25)
    assert mine.codes[-1] == "en-sw"
    assert mine.shares[0]["en-sw"] == 0.25
    assert sum(mine.shares[0].values()) == pytest.approx(1)
    batch = mine.batch(0, 400)
    assert batch.positions is not None
    rows = [i for i, language in enumerate(batch.languages.tolist()) if language == len(mine.codes) - 1]
    assert len(rows) == pytest.approx(100, abs=30)
    english_first = 0
    for ids, positions in zip(unmasked(batch)[rows].tolist(), batch.positions[rows].tolist(), strict=True):
        number = next(token for token in ids if 10 <= token < 50) - 10
        length = min(number % 20 + 1, 14)
        sides = [[0, *[number + first] * length, 2] for first in (10, 110)]
        english_first += ids[1] < 110
        ordered = sides if ids[1] < 110 else sides[::-1]
        assert ids == ordered[0] + ordered[1] + [1] * (32 - 2 * (length + 2))
        assert positions == [*range(2, length + 4)] * 2 + [1] * (32 - 2 * (length + 2))
    assert 0.3 < english_first / len(rows) < 0.7


def test_pairs_that_are_not_aligned_are_refused(tokens: Path, tmp_path: Path, write_tokens: Any) -> None:
    with pytest.raises(InputError, match="en-sw has 40 documents in en and 39 in sw"):
        corpus(tokens, pairs=str(pairs(tmp_path / "short", sw=39)))
    write_tokens(tmp_path / "other" / "en-sw", {"en": 50, "sw": 50}, sha256="cd" * 32)
    with pytest.raises(MismatchError, match="in the vocabulary cdcd"):
        corpus(tokens, pairs=str(tmp_path / "other"))


def test_bad_tokens_are_refused(tokens: Path, tmp_path: Path, write_tokens: Any) -> None:
    with pytest.raises(InputError, match="no committed tokens"):
        corpus(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"names fr, which has no tokens. There are: am, en, ja, sw"):
        corpus(tokens, languages=("en", "fr"))
    with pytest.raises(InputError, match="data.phases names fr"):
        corpus(tokens, phases=(PhaseConfig(start=0, languages=("fr",)),))
    empty = write_tokens(tmp_path / "empty", {"en": 200, "sw": 0})
    assert list(corpus(empty).languages) == ["en"]
    with pytest.raises(InputError, match="names sw, which has no tokens"):
        corpus(empty, languages=("sw",))
    folder = write_tokens(tmp_path / "damaged", {"en": 200})
    shard = next(folder.glob("en-*.bin"))
    shard.write_bytes(np.full(shard.stat().st_size // 4, 4000, "<u4").tobytes())
    with pytest.raises(MismatchError, match="id 4000, but the vocabulary has 300"):
        corpus(folder).batch(0, 8)


def test_a_vocabulary_without_pieces_is_refused(tokens: Path) -> None:
    opened = open_tokens(tokens)
    with pytest.raises(ConfigError, match="5 ids has no pieces"):
        Corpus(type(opened)(opened.languages, 5, opened.vocabulary_sha256), DataConfig(), 1)
