"""Where a token or a document came from: the bytes of the archive, and every decision on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ccbuild.corpus import corpus_language
from ccbuild.errors import InputError
from ccbuild.reasons import meaning
from ccbuild.records import address
from ccbuild.rundir import Input, RunDir, shard_name
from ccbuild.tokens import open_tokens

__all__ = ["trace_document", "trace_token"]


def trace_token(run: RunDir, lang: str, index: int) -> dict[str, Any]:
    """:func:`trace_document` of the document that token `index` of `lang` stands in, with the token's place in it."""
    if not run.has("encode"):
        raise InputError(f"{run.root} has no tokens yet: the verb encode makes them. A doc_id can be traced without.")
    tokens = open_tokens(run.folder("encode"))
    if lang not in tokens.languages:
        raise InputError(f"{run.folder('encode')} has no tokens of {lang!r}. It has {', '.join(tokens.languages)}.")
    language = tokens.languages[lang]
    if not 0 <= index < language.tokens:
        raise InputError(f"{lang} has {language.tokens:,} tokens, numbered from 0; there is no token {index:,}.")
    span = language.span_at(index)
    found = trace_document(run, span.doc_id)
    found["token"] = {"lang": lang, "index": index, "in_document": index - span.start, "document": span.length}
    return found


def trace_document(run: RunDir, doc_id: int) -> dict[str, Any]:
    """What a run knows of a document: its address in the archive, what each verb decided, its text.

    Reads one row of one file a verb. `InputError` for an address that the run never gave.
    """
    shard, row = address(doc_id)
    table = run.inputs()
    if not table:
        raise InputError(f"{run.root} has read no archive yet, so it has no document: the verb extract reads them.")
    entries = [entry for entry in table if entry.shard == shard]
    if not entries:
        raise InputError(f"{doc_id} is in shard {shard}, which {run.root} does not have. Is it another run's?")
    found: dict[str, Any] = {"doc_id": doc_id, "shard": shard, "row": row}
    if entries[0].lang is None:
        found |= _crawled(run, shard, doc_id)
        lang = found["refine"].get("lang")
    else:
        lang = entries[0].lang
        found |= _imported(entries[0], row)
    published = _published(run, lang, doc_id) if lang else None
    if published is None and entries[0].lang is not None:
        raise InputError(
            f"{doc_id}: {run.root} has no text of document {row:,} of {entries[0].archive}: there is no such document, "
            "it was empty, or its import has not ended."
        )
    if published is None:
        found["publish"] = None
    else:
        text = published.pop("text")
        if entries[0].lang is not None:
            found |= {key: published[key] for key in ("url", "archive", "offset", "length", "date", "digest")}
        found["publish"] = {key: published[key] for key in ("bucket", "cluster_size", "perplexity")}
        found["text"] = text
    return found


def _row(path: Path, doc_id: int, column: str = "doc_id") -> list[dict[str, Any]]:
    """The rows of a document in one file; none where there is no such file."""
    if not path.is_file():
        return []
    rows: list[dict[str, Any]] = pq.read_table(
        path, filters=pc.field(column) == pa.scalar(doc_id, pa.uint64())
    ).to_pylist()
    return rows


def _crawled(run: RunDir, shard: int, doc_id: int) -> dict[str, Any]:
    pages = _row(run.file("extract", shard), doc_id)
    if not pages:
        raise InputError(f"{doc_id}: shard {shard} of {run.root} has no such row. Is it another run's?")
    page = pages[0]
    matched = _row(run.decisions(shard), doc_id)
    kept = _row(run.file("refine", shard), doc_id)
    dropped = _row(run.file("refine", shard, "dropped"), doc_id)
    refined = (kept or dropped or [{}])[0]
    if dropped:
        made = run.manifest("refine", shard_name(shard))
        refined["meaning"] = meaning(refined["reason"], made.facts.get("reasons") if made else None)
    decisions = ("lang", "lang_score", "perplexity", "reason", "meaning", "partner", "similarity")
    return {
        **{key: page[key] for key in page if key not in ("doc_id", "text")},
        "match": [{key: row[key] for key in row if key not in ("doc_id", "cluster_size")} for row in matched],
        "refine": {key: refined[key] for key in decisions if key in refined},
        "text": page["text"],
    }


def _imported(entry: Input, row: int) -> dict[str, Any]:
    """A document of an imported file: the file's name and the document's number in it."""
    return {"imported": entry.archive, "imported_row": row, "text": None}


def _published(run: RunDir, lang: str, doc_id: int) -> dict[str, Any] | None:
    manifest = run.manifest("publish", lang)
    if manifest is None:
        return None
    for path in corpus_language(run.folder("publish"), manifest).paths:
        if rows := _row(path, doc_id):
            return rows[0]
    return None
