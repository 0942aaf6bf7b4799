"""Why text goes: every reason of a drop and cause of a quarantine, once, with what it means for people.

A ledger refuses others at its close; the reasons of a user's stage are told to it (:meth:`ccbuild.ledger.Ledger.know`).
Reports, tables, cards and traces take their words from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["REASONS", "Reason", "find", "in_words", "meaning", "place"]


class Reason(NamedTuple):
    """A reason, or a family of them: a name that ends with a colon stands for all that begin with it."""

    name: str
    meaning: str
    stage: str
    """The verb, or the section of its settings, that gives it."""


_BY_STAGE: tuple[tuple[str, Mapping[str, str]], ...] = (
    (
        "any step",
        {
            "failed:": "a record on which a step broke off, by the step and the name of Python's error",
            "killed:": "a record on which a step ended its process, by the step and the signal",
            "overtime:": "a record on which a step took longer than `guard.record_seconds`, by the step",
        },
    ),
    (
        "prepare",
        {
            "no_source": "a language for which no source of well-formed text was named",
            "too_little_prose": "a language with too little well-formed text for a perplexity model",
        },
    ),
    (
        "extract",
        {
            "zero_padding": "zeros between records, as a tape, a disk or a crash leaves them",
            "not_gzip": "bytes where a gzip member should begin",
            "not_zstd": "bytes where a zstd frame should begin",
            "not_lz4": "bytes where an lz4 frame should begin",
            "damaged_member": "bytes of a gzip member that could not be decompressed",
            "damaged_frame": "bytes of a zstd or lz4 frame that could not be decompressed",
            "truncated_member": "the file ends in the middle of a gzip member",
            "truncated_frame": "the file ends in the middle of a zstd or lz4 frame",
            "expands_too_far": "bytes that grow beyond all bounds when they are decompressed",
            "window_too_large": "a zstd frame with a window over 128 MiB",
            "not_a_record": "bytes where a record should begin",
            "bad_header": "a record whose header cannot be read",
            "bad_length": "a record without a length that can be true, and nothing tells where it ends",
            "short_record": "a record that ends before the length that it states",
            "truncated_record": "the file, or its readable part, ends in the middle of a record",
            "record_too_large": "a record over `limits.max_record_bytes`",
            "wrong_length": "a record whose stated length was wrong: it was mended and read",
            "unreadable_record": "a record that no parser could read",
            "record:": "a record that holds no page, by its type in the archive",
            "robots_txt": "the robots.txt of a host: rules for crawlers, no page",
            "http_status": "the server answered with something else than 200",
            "not_html": "an image, a PDF, JSON, whatever the server called it: nothing that holds a page's text",
            "empty_payload": "no bytes after the header",
            "too_many_lines": "a list of very many very short lines",
            "no_text": "a record whose text is null, or that has none",
            "empty_text": "no text once menus and markup are gone",
            "no_prose": "links, a menu or a table of contents, and nothing of the page's own to read",
            "short_page": "too few characters, repeated paragraphs counted in",
            "parser:": "what `failed:text:` is called in runs of earlier releases",
        },
    ),
    (
        "rights",
        {
            "opt_out:host": "a host on the list of those who opted out",
            "opt_out:domain": "a domain on the list of those who opted out",
            "opt_out:url": "an address on the list of those who opted out",
            "robots:": "the page itself asks for it, by a directive that `rights.honour_robots` honours",
        },
    ),
    (
        "extract",
        {
            "over_long": "a line longer than any sentence: a data dump",
            "only_over_long_paragraphs": "nothing but lines longer than any sentence",
        },
    ),
    (
        "match",
        {
            "low_jaccard": "a pair that looked alike, and whose texts share less than `match.min_jaccard`",
            "exact_duplicate": "the same text as an earlier page",
            "near_duplicate": "almost the same text as an earlier page (MinHash)",
            "recapture": "the same address fetched again, with the same text or almost",
            "duplicate_paragraph": "a paragraph that stands on an earlier page",
        },
    ),
    (
        "refine.length",
        {
            "only_duplicate_paragraphs": "nothing left once repeated paragraphs are gone",
            "too_short": "too few characters, for its script, once repeated paragraphs are gone",
        },
    ),
    (
        "refine.language",
        {
            "no_letters": "numbers and signs only",
            "unknown_language": "letters of a script, or of a language, that the identifier does not know",
            "noise_numbers": "more digits than letters",
            "noise_repeated": "one character, or one word, over and over",
            "noise_mojibake": "letters that a wrong encoding made of others",
            "noise_code": "program code or markup",
            "noise_mash": "keys struck at random, beside each other on the keyboard",
            "noise_menu": "many very short lines and hardly a sentence: a menu or a list of links",
            "noise_keywords": "words between commas and hardly a sentence: a list of keywords",
            "mixed_languages": "two languages share the page, and neither has most of it",
            "language_unsure": "the identifier is not sure enough of any language",
            "other_language": "a language that was not asked for",
        },
    ),
    (
        "refine.snapshot",
        {
            "other_snapshot": "this language is taken from other snapshots",
        },
    ),
    (
        "publish",
        {
            "audit_below_min_precision": "a language that an audit found too impure to publish",
            "bucket_head": "the part nearest to prose, and it is not published (`publish.buckets`)",
            "bucket_middle": "the middle part by perplexity, and it is not published (`publish.buckets`)",
            "bucket_tail": "the part farthest from prose, and it is not published (`publish.buckets`)",
            "bucket_all": "no perplexity, and such documents are not published (`publish.buckets`)",
            "benchmark_item": "a test item of a benchmark that `publish.decontaminate` names stands in it",
            "tail_share": "of the tail only a share is published (`publish.tail_share`), and the draw left this out",
        },
    ),
    (
        "tokens encode",
        {
            "empty_side": "a pair of translations of which one side is empty",
        },
    ),
    (
        "train",
        {
            "held_out": "kept aside to validate the model on",
            "language_not_chosen": "tokens of a language that the training does not take",
        },
    ),
)

REASONS: Mapping[str, Reason] = {
    name: Reason(name, meaning, stage) for stage, found in _BY_STAGE for name, meaning in found.items()
}
"""Every reason by its name, in the order in which they are asked."""

_PLACES = {name: place for place, name in enumerate(REASONS)}


def find(name: str) -> Reason | None:
    """What is known of a reason, by itself or by its family; None for one that a user's stage gives.

    >>> find("record:request").name, find("shouting")
    ('record:', None)
    """
    return REASONS.get(name) or REASONS.get(name[: name.find(":") + 1])


def meaning(name: str, own: Mapping[str, str] | None = None) -> str:
    """What a reason means; `own` are those of a user's stages. Empty for one that nobody explains, never an error."""
    found = find(name)
    return found.meaning if found else (own or {}).get(name, "")


def place(name: str) -> tuple[int, str]:
    """Where a reason stands among others: in the order in which they are asked, unknown ones last, by name."""
    found = find(name)
    return (_PLACES[found.name] if found else len(_PLACES)), name


def in_words(name: str) -> str:
    """A reason as people read it.

    >>> in_words("too_short")
    'too short'
    """
    return name.replace("_", " ")
