"""A SentencePiece unigram model from weighted word counts of all languages, numbered as XLM-R numbers its pieces.

The whole corpus counts, through its words: no sample is drawn, so there is no sampling noise, and memory goes with the
distinct words (Kudo 2018, https://arxiv.org/abs/1804.10959; the weighting is Conneau et al. 2020, section 3.1).

Ids. A SentencePiece model of 250,000 pieces holds <unk> 0, <s> 1, </s> 2 and 249,997 pieces from 3 on. XLM-R takes
fairseq's numbers instead: <s> 0, <pad> 1, </s> 2, <unk> 3, then each piece at its SentencePiece id + 1 (4 to 250,000),
and <mask> last (250,001): 250,002 ids, two more than pieces, since <pad> and <mask> are only fairseq's.
"""

from __future__ import annotations

import hashlib
import io
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sentencepiece import SentencePieceNormalizer, SentencePieceProcessor, SentencePieceTrainer

from ccbuild.config import flatten
from ccbuild.errors import DataError, InputError
from ccbuild.ledger import Ledger
from ccbuild.progress import counted, phase
from ccbuild.storage import Manifest, Unit, facts_of
from ccbuild.vocab.alpha import alpha_plan
from ccbuild.vocab.config import VocabularyConfig
from ccbuild.vocab.export import vocabulary_files
from ccbuild.vocab.joints import cut_at_borders, spelled
from ccbuild.vocab.protobuf import replace_normalizer, round_scores, with_pieces
from ccbuild.vocab.seeds import weighted_seeds
from ccbuild.vocab.texts import Texts
from ccbuild.vocab.unigram import train_unigram
from ccbuild.vocab.words import SPACE, add_rows, count_words, read_frequent, read_sizes

__all__ = [
    "BelowFloor",
    "LeftOut",
    "Vocabulary",
    "VocabularyConfig",
    "build_vocabulary",
    "commit_vocabulary",
    "seeds_within",
    "train_vocabulary",
    "training_megabytes",
]

_CODE_POINTS = 0x110000
_META_PIECES = 3  # <unk>, <s>, </s>
_NEVER_PIECES = "\0\t\n\r \u2047\u2585"
"""Characters that SentencePiece keeps for itself: its separators and its marks of the unknown."""
_ROWS_AT_ONCE = 1 << 16
_BYTE_PIECES = 256
_SHOWN = 40
"""Characters of a language that are named where they have no piece."""
_SEARCH_MEGABYTES = 256
"""For the search of weighted candidates, which takes a part of them at a time."""
_TRAINING = 768, 14
"""MiB of memory of a process that trains on a million distinct words, and of SentencePiece for each megabyte of text
that pieces are sought in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What of one language's text the pieces cannot spell."""

    share: float
    """Share of its characters that become <unk>, by how often they occur."""
    kinds: int
    """How many characters these are."""
    characters: str
    """The most frequent of them, at most `_SHOWN`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BelowFloor:
    """What of one language's text training did not see."""

    floor: int
    """Words that occur less often were left out: `min_count`, or what `max_words` made of it."""
    share: float
    """Of the language's running words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """A trained vocabulary and how it came about."""

    model: bytes = field(repr=False)
    """The SentencePiece model."""
    size: int
    """Pieces, <unk>, <s>, </s> among them; less than `asked` where the text could not fill it."""
    asked: int
    """`VocabularyConfig.size`."""
    plan: dict[str, float]
    """Share of each language after alpha."""
    rows: int
    """Distinct words that it was trained on."""
    words: int
    """Distinct words that there were: more than `rows` where scaling to `seed_megabytes` took rare ones away."""
    left_out: dict[str, LeftOut]
    """Per language, where any character has no piece."""
    below_floor: dict[str, BelowFloor]
    """Per language, where words were too rare to be seen."""

    @property
    def ids(self) -> int:
        """Width of an embedding: the pieces, <pad> and <mask>."""
        return self.size + 2

    @property
    def sha256(self) -> str:
        """Of the model's bytes; stands in every manifest of tokens."""
        return hashlib.sha256(self.model).hexdigest()

    def files(self) -> dict[str, bytes]:
        """Name to bytes of a folder that `transformers.AutoTokenizer.from_pretrained` loads."""
        return vocabulary_files(self.model)


def training_megabytes(config: VocabularyConfig) -> int:
    """Most memory, MiB, that training takes, beside some 300 bytes for each distinct word over the first million.

    Measured with 1.57 million words of 109 languages. Weighted candidates: 1,292 MiB for 250,000 pieces.
    SentencePiece's own: 947 MiB for 8 MB of seeds, 1,167 for 32, 2,018 for 96; 4,524 for 250,000 pieces of 384 MB.
    """
    process, each = _TRAINING
    return process + (config.size // 350 if _is_weighted(config) else each * config.seed_megabytes)


def _is_weighted(config: VocabularyConfig) -> bool:
    """Whether candidates for pieces are sought here, by how often they occur."""
    return config.seeds == "weighted" and config.model == "unigram"


def seeds_within(memory_megabytes: int) -> int:
    """The `seed_megabytes` with which training takes that memory."""
    process, each = _TRAINING
    return max((memory_megabytes - process) // each, 1)


def train_vocabulary(texts: Texts, config: VocabularyConfig, out: str | Path) -> tuple[Manifest, bool]:
    """A vocabulary of `texts` in the folder `out`: (its manifest, with the facts of `Vocabulary`; whether it was made
    now). The same call again finds it done; scratch files in `out` hold the words counted."""
    with Unit(out, "vocab train", "vocabulary", settings=flatten(config), inputs=texts.inputs) as unit:
        done = unit.done()
        if done is not None:
            return done, False
        counts = {code: unit.scratch(f"{code}.parquet") for code in sorted(texts.paragraphs)}
        for code, target in counted(counts.items(), "languages", len(counts)):
            with phase(f"count words of {code}"):
                count_words(texts.paragraphs[code](), config, target, unit.scratch)
        return commit_vocabulary(unit, counts, config), True


def commit_vocabulary(unit: Unit, counts: Mapping[str, Path], config: VocabularyConfig) -> Manifest:
    """`build_vocabulary`, its files and facts committed as `unit`."""
    made, ledger = build_vocabulary(counts, config), Ledger()
    for name, content in made.files().items():
        unit.path(name).write_bytes(content)
    ledger["languages"].keep(len(counts))
    return unit.commit(ledger, facts=facts_of(made))


def build_vocabulary(counts: Mapping[str, Path], config: VocabularyConfig) -> Vocabulary:
    """The vocabulary of the languages in `counts`: code to a file of `ccbuild.vocab.words.write_counts`.

    The same counts and settings give the same bytes, in whatever order languages or files come.

    Raises `InputError` when no language has text, when `size` cannot hold the characters needed, and, with
    `hard_limit`, when the text cannot fill `size`: each message names the number that would do.

    Cost: 8,000 pieces from 9 MB of text in 60 languages (318,000 distinct words) take 46 CPU-seconds and 440 MB. A
    larger vocabulary is cheaper, since fewer candidates are pruned.
    """
    with phase("weigh words"):
        languages = _weigh(counts, config)
    needed = _needed_characters(languages, config)
    left_out = set(languages.characters) - set(needed) | set(_NEVER_PIECES)
    _add_unseen(languages, needed)
    times = _times(languages, left_out, config)
    words, weights = _without(*_add(languages), left_out)
    if not len(words):
        raise InputError(f"No word occurs {config.min_count} times. Lower vocab.min_count, or add text.")
    counts_given = _whole(words, weights, config)
    if times is None:
        with phase(f"train SentencePiece on {len(words):,} words"):
            model = _train(_rows(words, counts_given), config)
    else:
        model = _train_weighted(words, counts_given, times, languages.frequent, config)
    processor = SentencePieceProcessor(model_proto=model)
    size = processor.get_piece_size()
    if config.hard_limit and size < config.size:
        raise InputError(
            f"vocab.size is {config.size}, more than the text can fill. Set it to {_largest(counts, config, size)}, "
            "add text, or take what there is with --set vocab.hard_limit=false."
        )
    pieces = {processor.id_to_piece(i) for i in range(_META_PIECES, size)}
    return Vocabulary(
        model=model,
        size=size,
        asked=config.size,
        plan=languages.plan,
        rows=int((counts_given > 0).sum()),
        words=len(words),
        left_out={code: left for code, seen in languages.seen.items() if (left := _left_out(seen, pieces))},
        below_floor=languages.below_floor,
    )


def _largest(counts: Mapping[str, Path], config: VocabularyConfig, reached: int) -> int:
    """A size that the text fills for sure: what was `reached` when more was asked may itself be out of reach, since
    fewer pieces asked for means more of them pruned on the way."""
    asked = reached + 1
    while reached < asked:
        asked = reached
        reached = build_vocabulary(counts, replace(config, size=asked, hard_limit=False)).size
    return reached


@dataclass(slots=True)
class _Languages:
    """What is known of the languages before training; every table is in the order of their codes."""

    plan: dict[str, float]
    words: list[pa.Array] = field(default_factory=list)
    weights: list[NDArray[np.float64]] = field(default_factory=list)
    times: list[NDArray[np.int64]] = field(default_factory=list)
    """How often each word occurs, before alpha."""
    frequent: set[str] = field(default_factory=set)
    """The most frequent words of each language."""
    seen: dict[str, Counter[str]] = field(default_factory=dict)
    """Code to character to how often it occurs."""
    characters: dict[str, float] = field(default_factory=dict)
    """Character to weight over all languages."""
    below_floor: dict[str, BelowFloor] = field(default_factory=dict)


def _weigh(counts: Mapping[str, Path], config: VocabularyConfig) -> _Languages:
    """Every language's words with its share as a factor; the least repeated language has the factor 1."""
    which = 0 if config.unit == "sentences" else 1
    sizes = {code: read_sizes(path)[which] for code, path in counts.items()}
    languages = _Languages(alpha_plan(sizes, config.alpha, cap=config.cap))
    factors = {code: share / sizes[code] for code, share in languages.plan.items()}
    least = min(factors.values())
    most = min(config.frequent_words, config.size // (2 * len(factors)))
    for code in counted(languages.plan, "languages", len(languages.plan)):
        words, numbers, floor, lost = read_frequent(counts[code], config.min_count, config.max_words)
        if lost:
            languages.below_floor[code] = BelowFloor(floor=floor, share=lost)
        factor = factors[code] / least
        languages.words.append(words)
        languages.weights.append(np.multiply(numbers, factor, dtype=np.float64))
        languages.times.append(numbers)
        languages.frequent.update(_frequent_words(words, numbers, most, config.max_piece_chars))
        languages.seen[code] = _characters(words, numbers)
        for character, number in languages.seen[code].items():
            languages.characters[character] = languages.characters.get(character, 0.0) + number * factor
    return languages


def _frequent_words(words: pa.Array, numbers: NDArray[np.int64], most: int, longest: int) -> list[str]:
    """The `most` words of letters that occur most often, twice or more, of those that can be a piece."""
    fits = (numbers > 1) & (pc.utf8_length(words).to_numpy(zero_copy_only=False) <= longest)
    rows = np.flatnonzero(fits & pc.starts_with(words, SPACE).to_numpy(zero_copy_only=False))
    found: list[str] = []
    for row in rows[np.argsort(-numbers[rows], kind="stable")]:
        if len(found) == most:
            break
        word = words[row].as_py()
        if len(word) > 1 and all(unicodedata.category(character)[0] in "LM" for character in word[1:]):
            found.append(word)
    return found


def _characters(words: pa.Array, numbers: NDArray[np.int64]) -> Counter[str]:
    """How often each character occurs, most frequent first, then by code point."""
    total = np.zeros(_CODE_POINTS)
    for rows, _, points, lengths in spelled(words):
        found, places = np.unique(points, return_inverse=True)
        total[found] += np.bincount(places, np.repeat(numbers[rows], lengths), len(found))
    occurring = np.flatnonzero(total)
    order = occurring[np.argsort(-total[occurring], kind="stable")]
    return Counter({chr(point): int(total[point]) for point in order})


def _needed_characters(languages: _Languages, config: VocabularyConfig) -> list[str]:
    """The characters that become pieces: what each language needs, weightiest first, within their share of `size`."""
    needed = {SPACE}
    for seen in languages.seen.values():
        enough = config.character_coverage * seen.total()
        covered = 0
        for character, number in seen.items():
            if covered >= enough:
                break
            covered += number
            needed.add(character)
        needed |= _frequent(seen, config.character_floor)
    needed -= set(_NEVER_PIECES)
    ranked = sorted(needed, key=lambda c: (c != SPACE, -languages.characters.get(c, 0.0), c))
    taken = _META_PIECES + len(config.symbols) + _BYTE_PIECES * config.byte_fallback
    room = int(max(config.size - taken, 0) * config.max_character_share)
    strict = config.hard_limit or config.max_character_share == 1
    if strict and len(ranked) > config.size - taken:
        raise InputError(
            f"vocab.size is {config.size}; the text needs {len(ranked)} characters and {taken} more. Set it to "
            f"{len(ranked) + taken} or more, or lower vocab.character_coverage or vocab.max_character_share."
        )
    if room < 1:
        raise InputError(
            f"vocab.size is {config.size}; it takes {taken + 1} pieces before any character. Set it higher."
        )
    return ranked[:room]


def _frequent(seen: Counter[str], floor: float) -> set[str]:
    """The letters and digits that make `floor` of a language's characters, and the other case of each."""
    least = floor * seen.total()
    found = {c for c, number in seen.items() if floor and number >= least and unicodedata.category(c)[0] in "LN"}
    cases = {case for c in found for case in (c.lower(), c.upper()) if len(case) == 1}
    table = SentencePieceNormalizer(rule_name="nmt_nfkc", add_dummy_prefix=False)
    return found | {case for case in cases if table.normalize(case) == case}


def _add_unseen(languages: _Languages, needed: list[str]) -> None:
    """A row for each character that needs a piece though no text has it: the other case of one that occurs."""
    unseen = sorted(set(needed) - set(languages.characters) - {SPACE})
    languages.words.append(pa.array(unseen, pa.large_string()))
    languages.weights.append(np.ones(len(unseen)))
    languages.times.append(np.ones(len(unseen), np.int64))


def _times(languages: _Languages, left_out: set[str], config: VocabularyConfig) -> NDArray[np.int64] | None:
    """How often each word occurs, before alpha; None where candidates are not weighted."""
    if not _is_weighted(config):
        return None
    words, times = add_rows(languages.words, languages.times)
    languages.times.clear()
    return _without(words, times.astype(np.float64), left_out)[1].astype(np.int64)


def _train_weighted(
    words: pa.Array,
    counts: NDArray[np.int64],
    times: NDArray[np.int64],
    frequent: set[str],
    config: VocabularyConfig,
) -> bytes:
    """The model's bytes, of candidates that are weighted by how often they occur."""
    with phase("cut words where no piece goes on"):
        parts, (counts, times) = cut_at_borders(words, [counts, times], config)
    chosen = {"longest": config.max_piece_chars, "megabytes": _SEARCH_MEGABYTES}
    with phase("seek candidates"):
        seeds = list(weighted_seeds(parts, counts, times, most=_candidates(config), **chosen))
    own = _META_PIECES + len(config.symbols) + _BYTE_PIECES * config.byte_fallback
    kept = _kept(parts, counts, frequent, config.size - own - sum(len(seed) == 1 for seed, _ in seeds))
    found = {seed for seed, _ in seeds}
    seeds += [(word, count * len(word)) for word, count in kept.items() if word not in found]
    with phase(f"train on {len(parts):,} parts of words"):
        pieces = train_unigram(
            parts, counts, times, seeds, size=config.size - own, threads=config.threads, kept=frozenset(kept)
        )
    shell = _train(iter([f"{SPACE}\t1"]), replace(config, size=own + 8))
    return round_scores(with_pieces(shell, pieces))


def _kept(parts: pa.Array, counts: NDArray[np.int64], frequent: set[str], room: int) -> dict[str, int]:
    """The `frequent` words that can be a piece, and their counts: the most frequent, half of the `room` for pieces."""
    there = pc.index_in(pa.array(sorted(frequent), parts.type), parts).drop_null().to_numpy()
    order = there[np.argsort(-counts[there], kind="stable")][: max(room, 0) // 2]
    return dict(zip(parts.take(pa.array(order)).to_pylist(), counts[order].tolist(), strict=True))


def _candidates(config: VocabularyConfig) -> int:
    return max(1_000_000, 4 * config.size)


def _add(languages: _Languages) -> tuple[pa.Array, NDArray[np.float64]]:
    """The words of all languages, each once; frees the tables of the languages."""
    words, weights = add_rows(languages.words, languages.weights)
    languages.words.clear()
    languages.weights.clear()
    return words, weights.astype(np.float64)


def _without(words: pa.Array, weights: NDArray[np.float64], left_out: set[str]) -> tuple[pa.Array, NDArray[np.float64]]:
    """The rows cut at the characters that have no piece: no piece spans them, as none spans an unknown."""
    bad = np.zeros(_CODE_POINTS, bool)
    bad[[ord(character) for character in left_out]] = True
    border = {ord(character): "\n" for character in left_out}
    hit = np.zeros(len(words), bool)
    parts: Counter[str] = Counter()
    for rows, batch, points, lengths in spelled(words):
        hit[rows] = np.logical_or.reduceat(bad[points], np.cumsum(lengths) - lengths)
        for row in np.flatnonzero(hit[rows]):
            for part in filter(None, batch[row].translate(border).split("\n")):
                parts[part] += weights[rows][row]
    cut = sorted(parts)
    cut_weights = np.fromiter((parts[part] for part in cut), np.float64, len(cut))
    kept, sums = add_rows(
        [words.filter(pa.array(~hit)), pa.array(cut, pa.large_string())], [weights[~hit], cut_weights]
    )
    return kept, sums.astype(np.float64)


def _whole(words: pa.Array, weights: NDArray[np.float64], config: VocabularyConfig) -> NDArray[np.int64]:
    """Weights as whole counts; where SentencePiece seeks its candidates itself, scaled so that all words written as
    often as they count take `seed_megabytes`.

    What rounding takes from one row the next ones get back: the sum of any run of rows is right to one, and neighbours
    in the order of bytes are words that begin alike. No row of weight 1 or more (after scaling) is lost.
    """
    if _is_weighted(config):
        return np.diff(np.rint(np.cumsum(weights)), prepend=0.0).astype(np.int64)
    nbytes = float(np.dot(pc.binary_length(words).to_numpy(zero_copy_only=False).astype(np.float64) + 1, weights))
    scale = min(1.0, config.seed_megabytes * 1_000_000 / nbytes)
    return np.diff(np.rint(np.cumsum(weights * scale)), prepend=0.0).astype(np.int64)


def _rows(words: pa.Array, counts: NDArray[np.int64]) -> Iterator[str]:
    """`word TAB count`, of those that count."""
    for start in range(0, len(words), _ROWS_AT_ONCE):
        end = start + _ROWS_AT_ONCE
        for word, count in zip(words[start:end].to_pylist(), counts[start:end].tolist(), strict=True):
            if count > 0:
                yield f"{word}\t{count}"


def _train(rows: Iterator[str], config: VocabularyConfig) -> bytes:
    """The model's bytes, by SentencePiece, of rows `word TAB count`. They are normalised already, so it is trained on
    them as they are and then given `nmt_nfkc`.

    A sentence iterator leaves no path in the bytes. SentencePiece reports through exceptions, its log is turned off.
    """
    writer = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=rows,
            model_writer=writer,
            model_type=config.model,
            input_format="tsv",
            vocab_size=config.size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            max_sentencepiece_length=config.max_piece_chars,
            max_sentence_length=4 * config.max_word_chars + 64,
            seed_sentencepiece_size=_candidates(config),
            byte_fallback=config.byte_fallback,
            split_digits=config.split_digits,
            user_defined_symbols=list(config.symbols),
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            num_threads=config.threads,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise DataError(f"SentencePiece refused the words: {error} Set another vocab.size, or add text.") from error
    spec = SentencePieceNormalizer(rule_name="nmt_nfkc").serialized_normalizer_spec()
    model = replace_normalizer(writer.getvalue(), spec)
    return round_scores(model) if config.model == "unigram" else model


def _left_out(seen: Counter[str], pieces: set[str]) -> LeftOut | None:
    """The characters of a language that no piece spells; None when there are none."""
    missing = [character for character in seen if character not in pieces]
    if not missing:
        return None
    share = sum(seen[c] for c in missing) / seen.total()
    return LeftOut(share=share, kinds=len(missing), characters="".join(missing[:_SHOWN]))
