"""What a corpus says of itself: the dataset card (`README.md`, as Hugging Face reads it) and Croissant metadata.

Made from the manifests alone, so that every number is one that was counted when the corpus was written.
Formats: https://huggingface.co/docs/hub/datasets-cards and https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from ccbuild import __version__
from ccbuild.corpus import CORPUS_SCHEMA
from ccbuild.langid.codes import CC100
from ccbuild.plural import many
from ccbuild.reasons import in_words, meaning, place
from ccbuild.storage import Manifest

__all__ = ["CROISSANT_NAME", "describe"]

CROISSANT_NAME = "croissant.jsonld"

_LICENCE = "https://commoncrawl.org/terms-of-use"
_DESCRIPTION = (
    "Text by language, a document a row, with the URL, the archive and the byte offset that each document came from. "
    "Made with ccbuild, in the manner of CC-100 (https://arxiv.org/abs/1911.00359, https://arxiv.org/abs/1911.02116)."
)
_LIMITS = """\
* Languages were told apart by a classifier: small languages hold documents of their large neighbours. {audit}
* Text is what the Web says: it was not judged for truth, bias or offence, and names of people stand in it.
* Perplexity is that of well-formed prose: `tail` is not bad text, and `head` not good text, of its own.
* Near duplicates that differ in more than about a third of their words are still there.
* A language without a row in the table below has no text here, not no text on the Web.
"""
_FIELDS = {
    "doc_id": "the document's address: number of its shard and row in it",
    "url": "where the page was",
    "archive": "the archive that it was read from",
    "offset": "where its record begins in the archive, in bytes; in imported files the document's number",
    "length": "bytes of the record",
    "date": "when it was crawled",
    "digest": "of the payload, as the archive states it",
    "lang": "code of the language",
    "lang_score": "of the identifier, 0 to 1",
    "perplexity": "by a model of well-formed prose of the language; null where there is none",
    "pieces": "pieces of that model",
    "text": "the paragraphs, one a line",
    "bucket": "head, middle or tail of perplexity; all where there were no cutoffs",
    "cluster_size": "how many documents it stands for: those dropped as its duplicates, and itself",
}


def describe(
    manifests: Mapping[str, Manifest],
    *,
    name: str,
    settings: Mapping[str, Any],
    sources: Sequence[str],
    missing: Sequence[str] = (),
) -> dict[str, bytes]:
    """Name to bytes of the card and the Croissant file of a corpus, from its manifests by language code.

    `settings` are those that it was made with (dotted), `sources` what it was made from and `missing` what it should
    have been made from besides, in words.
    """
    kept = {code: manifest for code, manifest in sorted(manifests.items()) if manifest.facts["documents"]}
    card = f"---\n{_front_matter(kept, name)}---\n\n{_body(manifests, kept, name, settings, sources, missing)}"
    metadata = json.dumps(_croissant(kept, name, missing), indent=1, ensure_ascii=False)
    return {"README.md": card.encode(), CROISSANT_NAME: (metadata + "\n").encode()}


def _front_matter(kept: Mapping[str, Manifest], name: str) -> str:
    documents = sum(manifest.facts["documents"] for manifest in kept.values())
    matter = {
        "pretty_name": name,
        "license": "other",
        "license_name": "common-crawl-terms-of-use",
        "license_link": _LICENCE,
        "language": sorted({code.split("-")[0].split("_")[0] for code in kept}),
        "multilinguality": ["multilingual" if len(kept) > 1 else "monolingual"],
        "task_categories": ["fill-mask", "text-generation"],
        "size_categories": [_size_category(documents)],
        "configs": [{"config_name": code, "data_files": f"{code}/*.parquet"} for code in kept],
    }
    return yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)


def _size_category(documents: int) -> str:
    """Hugging Face's name for an order of magnitude.

    >>> _size_category(9_481)
    '1K<n<10K'
    """
    bounds = [10**3, 10**4, 10**5, 10**6, 10**7, 10**8, 10**9, 10**10, 10**11, 10**12]
    names = ["1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T"]
    for i, bound in enumerate(bounds):
        if documents < bound:
            return f"{names[i - 1]}<n<{names[i]}" if i else "n<1K"
    return "n>1T"


def _body(
    manifests: Mapping[str, Manifest],
    kept: Mapping[str, Manifest],
    name: str,
    settings: Mapping[str, Any],
    sources: Sequence[str],
    missing: Sequence[str],
) -> str:
    held = {code: m.facts["precision"] for code, m in sorted(manifests.items()) if "precision" in m.facts}
    totals = {key: sum(m.facts[key] for m in kept.values()) for key in ("documents", "characters", "nbytes")}
    dates = [date for m in kept.values() for date in m.facts["dates"] or ()]
    dropped: dict[str, int] = {}
    for manifest in manifests.values():
        for reason, number in manifest.ledger["documents"].dropped.items():
            dropped[reason] = dropped.get(reason, 0) + number
    lines = [
        f"# {name}",
        "",
        *([f"**{_incomplete(missing)}**", "", *(f"* `{each}`" for each in missing), ""] if missing else ()),
        _DESCRIPTION,
        "",
        f"{many(totals['documents'], 'document')} in {many(len(kept), 'language')}, "
        f"{many(totals['characters'], 'character')}, {many(totals['nbytes'], 'byte')} of text"
        + (f", crawled from {min(dates)} to {max(dates)}." if dates else "."),
        "",
        "## Reading it",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        f'load_dataset("parquet", data_files="{next(iter(kept), "xx")}/*.parquet")',
        "```",
        "",
        "`<code>.txt.xz` holds the same documents as CC-100 has them: a paragraph a line, an empty line between them.",
        "",
        "| column | what it is |",
        "|---|---|",
        *(f"| `{field.name}` | {_FIELDS[field.name]} |" for field in CORPUS_SCHEMA),
        "",
        "## Sources and licence",
        "",
        *(f"* {source}" for source in sources),
        "",
        f"The text stays under its authors' rights and Common Crawl's terms of use ({_LICENCE}).",
        "",
        "## How it was filtered",
        "",
        *(f"* `{key}`: {value}" for key, value in sorted(settings.items()) if _is_filter(key)),
        *(f"* not published, {in_words(why)} ({meaning(why)}): {dropped[why]:,}" for why in sorted(dropped, key=place)),
        *(f"* held back: `{code}`, of which an audit found {share:.0%} right" for code, share in held.items()),
        "",
        "## Known limits",
        "",
        _LIMITS.format(
            audit=f"Held back after an audit: {', '.join(held)}." if held else "Nobody has audited this corpus."
        ),
        "## Languages",
        "",
        "| code | language | documents | paragraphs | characters | head / middle / tail / all | xz bytes |",
        "|---|---|---:|---:|---:|---|---:|",
        *(_row(code, manifest) for code, manifest in kept.items()),
        "",
    ]
    return "\n".join(lines)


def _incomplete(missing: Sequence[str]) -> str:
    return f"This corpus is not whole. It was made without {len(missing):,} of its parts, which failed:"


def _is_filter(key: str) -> bool:
    return key.startswith(("refine.", "match.", "publish.", "rights."))


def _row(code: str, manifest: Manifest) -> str:
    facts = manifest.facts
    buckets = " / ".join(f"{facts['buckets'].get(bucket, 0):,}" for bucket in ("head", "middle", "tail", "all"))
    return (
        f"| `{code}` | {CC100.get(code, code)} | {facts['documents']:,} | {facts['paragraphs']:,} "
        f"| {facts['characters']:,} | {buckets} | {manifest.outputs[f'{code}.txt.xz']['size']:,} |"
    )


_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that Croissant 1.0 prescribes."""


def _croissant(kept: Mapping[str, Manifest], name: str, missing: Sequence[str]) -> dict[str, Any]:
    """A file object a file with its SHA-256, a record set a Parquet file."""
    newest = max((date for m in kept.values() for date in m.facts["dates"] or ()), default=None)
    files = {path: (code, facts) for code, m in kept.items() for path, facts in sorted(m.outputs.items())}
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": (f"{_incomplete(missing)} {', '.join(missing)}. " if missing else "") + _DESCRIPTION,
        "license": _LICENCE,
        "url": _LICENCE,
        "version": __version__,
        "citeAs": _cited(name, newest),
        **({"datePublished": newest[:10]} if newest else {}),  # no clock: the day of the newest page
        "inLanguage": list(kept),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": path,
                "name": path,
                "contentUrl": path,
                "contentSize": f"{facts['size']} B",
                "encodingFormat": "application/x-parquet" if path.endswith(".parquet") else "application/x-xz",
                "sha256": facts["sha256"],
            }
            for path, (_, facts) in files.items()
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": PurePosixPath(path).stem,
                "name": PurePosixPath(path).stem,
                "description": f"{CC100.get(code, code)}: {path}",
                "field": [_field(path, column.name, str(column.type)) for column in CORPUS_SCHEMA],
            }
            for path, (code, _) in files.items()
            if path.endswith(".parquet")
        ],
    }


def _cited(name: str, newest: str | None) -> str:
    """The corpus in BibTeX, its year that of the newest page."""
    facts = {"title": f"{name}: text of the Web by language", "note": f"Made with ccbuild {__version__}"}
    facts |= {"year": newest[:4]} if newest else {}
    return f"@misc{{ccbuild, {', '.join(f'{key} = {{{value}}}' for key, value in facts.items())}}}"


def _field(path: str, column: str, kind: str) -> dict[str, Any]:
    number = "sc:Float" if kind in ("float", "double") else "sc:Integer"
    return {
        "@type": "cr:Field",
        "@id": f"{PurePosixPath(path).stem}/{column}",
        "name": column,
        "description": _FIELDS[column],
        "dataType": "sc:Text" if kind == "string" else number,
        "source": {"fileObject": {"@id": path}, "extract": {"column": column}},
    }
