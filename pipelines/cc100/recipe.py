"""A recipe: every setting of a run, section by section, and which sections each verb depends on."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from cc100.apart import GuardConfig
from ccbuild import catalogue
from ccbuild.config import (
    Settings,
    apply_overrides,
    aside,
    contents,
    flatten,
    from_mapping,
    load_yaml,
    override,
    parse_yaml,
    place,
    setting,
)
from ccbuild.contamination.benchmarks import first_items
from ccbuild.crawl.config import CrawlConfig
from ccbuild.dedup.signatures import SignatureConfig
from ccbuild.errors import ConfigError, InputError
from ccbuild.langid.audit import read_audit
from ccbuild.langid.codes import check_codes
from ccbuild.langid.model import LanguageModel
from ccbuild.langid.sieve import SieveConfig
from ccbuild.langid.supplement import Supplement
from ccbuild.lm.cutoffs import CutoffTable
from ccbuild.lm.estimate import EstimateConfig
from ccbuild.rights import RightsConfig
from ccbuild.stages import RefineConfig
from ccbuild.text.page import ExtractConfig
from ccbuild.vocab.config import VocabularyConfig
from ccbuild.warc.members import Limits

__all__ = [
    "VERBS",
    "_SECTIONS",
    "Recipe",
    "load_recipe",
    "recipe_names",
    "verb_contents",
    "verb_sections",
    "verb_settings",
]

VERBS = ("prepare", "extract", "match", "refine", "publish", "vocab", "encode", "train")
"""The verbs, in the order in which a run goes through them."""

_SECTIONS: dict[str, tuple[str, ...]] = {
    "prepare": ("prepare",),
    "extract": ("languages", "sieve", "unit", "limits", "rights", "extract", "dedup"),
    "match": ("match",),
    "refine": ("refine",),
    "publish": ("publish",),
    "vocab": ("vocab",),
    "encode": ("encode",),
}
"""What each verb reads beside what the verbs before it read. Pages and duplicates depend on no model."""


_PAGES_MEGABYTES = 512
"""What a worker takes for pages in work, compiled loops and the stages, whatever the size of the shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What a worker may take."""

    memory_megabytes: int = aside(1024)
    """Memory of one worker, MiB, 640 or more, beside what is mapped from files. What does not fit is sorted on disk, so
    no output depends on it. What needs more all the same (`vocab`, for 250,000 pieces) is told before a run
    starts. `guard.memory_megabytes` is the bound at which a single record is given up."""

    def __post_init__(self) -> None:
        if self.memory_megabytes < 640:
            raise ConfigError(f"run.memory_megabytes is {self.memory_megabytes}; it takes 640 or more.")

    @property
    def spare_bytes(self) -> int:
        """What a verb may hold of a shard before it spills."""
        return (self.memory_megabytes - _PAGES_MEGABYTES) << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitConfig:
    """What one unit of work is."""

    files: int = 1
    """Archives that make one shard. On a cluster 8 to 16 keep the number of files down: a shard writes at most 10."""

    def __post_init__(self) -> None:
        if self.files < 1:
            raise ConfigError(f"unit.files is {self.files}; it takes 1 or more.")


def _open_identifier(where: str) -> None:
    """Refuse what is neither a model of the catalogue, whose digest it states, nor the file of one."""
    known = sorted(name for name, entry in catalogue.entries().items() if entry.file.endswith((".ftz", ".bin")))
    if where not in known:
        if not Path(where).is_file():
            raise ConfigError(f"{where} is no file, and the catalogue has {', '.join(known)}.")
        LanguageModel(where)


def _open_supplement(where: str) -> None:
    if where != "catalogue":
        Supplement(where)


_BY_FILE = "prepare, the unit `identifier`: each file that it copies"
_BY_LANGUAGE = "prepare, a language: what its own model is made of"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareConfig:
    """Where the language identifier and the perplexity models come from."""

    identifier: str = place("lid.176.ftz", read=_open_identifier, finer=_BY_FILE)
    """fastText model that is asked first: an entry of the catalogue, or a path. Labels like `hau_Latn` are mapped."""
    supplement: str | None = place("catalogue", read=_open_supplement, finer=_BY_FILE)
    """What is asked where the identifier is not sure: `catalogue`, the one that is shipped; the path of
    an .ftz that `ccbuild langid train` wrote; null: nothing."""
    prose: str | None = place("catalogue:eld", finer=_BY_LANGUAGE)
    """Well-formed text to estimate perplexity models from: `catalogue:eld` (60 languages); a dump of Wikipedia by its
    date, which is fetched (`catalogue:wikipedia-20240506`; the languages must be named); or a pattern with `{lang}`,
    such as `prose/{lang}/*.txt.xz`: UTF-8, a paragraph a line; JSON lines (Cirrussearch dumps, WikiExtractor) or
    Parquet with `text`; compressed or not."""
    models: str | None = place(finer=_BY_LANGUAGE)
    """Models that exist, for languages that need not be estimated: a pattern with `{lang}` for `<it>.sp.model` and
    `<it>.binary` or `<it>.arpa.bin` (`lm/{lang}`), or `catalogue:ccnet-lm`, CCNet's own (fetched: 1 GB a language)."""
    bootstrap: str | None = place(finer=_BY_LANGUAGE)
    """Folder of an earlier run. A language without prose gets a model of the half of its documents there that its
    identifier is surest of; such a model says `bootstrap`, as it has learned the crawl's own noise."""
    languages: tuple[str, ...] = aside(("all",))
    """Languages that get a model; `all`: every one that there is something for. A model depends on its own language
    alone, so a run may go on with more of them."""
    heldout: float = 0.02
    """Share of the prose's distinct lines that no model sees, under 0.5: its perplexity stands in the manifest, beside
    which that of a damaged or foreign text shows. 0: none."""
    lm: EstimateConfig = field(default_factory=EstimateConfig)
    """How a model is estimated."""

    def __post_init__(self) -> None:
        if not 0 <= self.heldout < 0.5:
            raise ConfigError(f"prepare.heldout is {self.heldout}; it lies between 0 and 0.5.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupConfig:
    """What a shard writes down of its pages so that duplicates can be found."""

    signature: SignatureConfig = field(default_factory=SignatureConfig)
    """MinHash of documents."""
    threshold: float | None = None
    """Similarity from which documents count as near duplicates, 0 to 1: bands and rows by datasketch's optimum. null:
    those of `signature`; its 14 x 8 are the optimum for 0.68."""
    num_perm: int = 112
    """Most values of a signature from which `threshold` makes bands and rows."""
    paragraphs: Literal["numbers", "fast", "ccnet"] = setting("numbers", before="fast")
    """Hash of a paragraph. `ccnet`: SHA-1 of CCNet's normalisation; `fast`: much the same, cheaper; `numbers`: the same
    again, but paragraphs without a letter are equal only with the same digits. In the others all digits are alike, so
    that the rows of one table go for those of another."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "signature", self.signature.at(self.threshold, self.num_perm))


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchConfig:
    """What counts as a duplicate, and which copy stays."""

    documents: bool = True
    """Drop exact and near-duplicate documents. CCNet does not: only paragraphs."""
    keep_document: Literal["first", "newest", "longest", "none"] = "first"
    """Which copy of a repeated document stays: the first by address; the newest (last by address) or the longest of its
    cluster; `none`: every copy goes. Only `first` never takes back what was decided when a run grows; `longest` reads
    every page once more."""
    linkage: Literal["kept", "chain"] = setting("kept", before="chain")
    """Whose copy a document must be to go: `kept`, that of one that stays, each asked in the order of `keep_document`;
    `chain`, as CCNet's peers have it: of any of its cluster, so that it may go for one that it does not resemble."""
    min_jaccard: float = setting(0.7, before=0.0)
    """Least true Jaccard similarity of near duplicates, asked of their texts before one goes; 0: the bands' word is
    enough, and similarities are estimates. 0.7 leaves hardly a unique document to go."""
    paragraphs: bool = True
    """Drop repeated paragraphs among the documents that stay."""
    keep: Literal["first", "none"] = "first"
    """Which copy of a repeated paragraph stays: the first by address; `none`, as CCNet has it: every copy goes."""
    bucket_prints: int = 0
    """Most prints of a bucket; 0: as many as `run.memory_megabytes` holds. Smaller buckets keep more workers busy."""

    def __post_init__(self) -> None:
        if self.bucket_prints < 0:
            raise ConfigError(f"match.bucket_prints is {self.bucket_prints}; it takes 0 or more.")
        if not 0 <= self.min_jaccard <= 1:
            raise ConfigError(f"match.min_jaccard is {self.min_jaccard}; it takes 0 to 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishConfig:
    """What leaves the house as the corpus."""

    buckets: tuple[Literal["head", "middle", "tail", "all"], ...] = ("head", "middle", "tail", "all")
    """Perplexity buckets to publish; `all` holds documents without a perplexity."""
    head: float | None = None
    """Share of a language's documents with the lowest perplexity. null: what `cutoffs` has; without it a third. CCNet:
    three even parts (1911.00359, section 3.4)."""
    middle: float | None = None
    """Where the middle ends, as a share of the documents. null: as `head`, two thirds."""
    min_documents: int = 30
    """Fewest scored documents from which cutoffs are taken; below, a language is one bucket, `all`."""
    cutoffs: str | None = place(read=CutoffTable.read, recorded="cutoffs")
    """A table of cutoffs: of `ccbuild lm calibrate --out`, or CCNet's cutoff.csv. Where `head` and `middle` do not say
    otherwise it is read at its own two percentiles; of more, at 30 and 60, as CCNet is. Languages that it lacks, and
    null: cutoffs of the corpus itself, at the same shares."""
    tail_share: float = 1.0
    """Share of the tail's documents to publish, 0 to 1, drawn by a hash of their addresses: a corpus that holds less of
    what perplexity doubts, without losing the kinds of text that it does not know."""
    audit: str | None = place(read=read_audit, finer="publish, a language: its own precision, where it is held back")
    """How much of what is routed to a language is that language, as people judged it: the folder `audits` of a run
    (`ccbuild langid audit`), or a table (CSV or TSV) with the columns `lang` and `precision`, 0 to 1."""
    min_precision: float = 0.0
    """Languages whose `audit` found less are held back: their documents are counted and not published."""
    decontaminate: str | None = place(read=first_items, finer="publish: of all files of items together")
    """Test items of benchmarks, a file or a folder of them in the forms of :mod:`ccbuild.contamination.benchmarks`:
    documents that hold one (:mod:`ccbuild.contamination.overlaps`) are not published."""
    shard_megabytes: int = 256
    """Text of one Parquet file, in MB, before compression."""
    xz_preset: int = 6
    """0 to 9. 6 is xz's own default and CC-100's sizes fit it; 2 is three times as fast and 18 % larger."""

    def __post_init__(self) -> None:
        if self.cutoffs is None:
            object.__setattr__(self, "head", 1 / 3 if self.head is None else self.head)
            object.__setattr__(self, "middle", 2 / 3 if self.middle is None else self.middle)
        shares = [share for share in (0, self.head, self.middle, 1) if share is not None]
        if any(low >= high for low, high in itertools.pairwise(shares)):
            raise ConfigError(f"publish.head is {self.head}, publish.middle {self.middle}: 0 < head < middle < 1.")
        if not 0 <= self.xz_preset <= 9:
            raise ConfigError(f"publish.xz_preset is {self.xz_preset}; it takes 0 to 9.")
        if not 0 <= self.tail_share <= 1:
            raise ConfigError(f"publish.tail_share is {self.tail_share}; it takes 0 to 1.")
        if not self.buckets or self.min_documents < 1:
            raise ConfigError("publish.buckets needs one bucket, publish.min_documents 1 or more.")
        if not 0 <= self.min_precision <= 1:
            raise ConfigError(f"publish.min_precision is {self.min_precision}; it takes 0 to 1.")
        if self.min_precision and self.audit is None:
            raise ConfigError("publish.min_precision needs publish.audit, the table of what was found.")
        if self.shard_megabytes < 1:
            raise ConfigError(f"publish.shard_megabytes is {self.shard_megabytes}; it takes 1 or more.")

    @property
    def shares(self) -> tuple[float, float]:
        """`head` and `middle`, which :func:`cc100.places.checked` has taken from `cutoffs` where nobody gave them."""
        if self.head is None or self.middle is None:
            raise ConfigError("publish.head and publish.middle are not known before publish.cutoffs was read.")
        return self.head, self.middle


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeConfig:
    """Tokens on disk."""

    shard_tokens: int = 1 << 28
    """Most tokens of one .bin file: 2**28 are 1 GiB."""

    def __post_init__(self) -> None:
        if self.shard_tokens < 1:
            raise ConfigError(f"encode.shard_tokens is {self.shard_tokens}; it takes 1 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSection:
    """The training run that a recipe ends with; the trainer reads it."""

    preset: str = "base"
    """Preset of the trainer: tiny, base, large, xl, xxl."""
    set: Mapping[str, Any] = field(default_factory=dict)
    """Dotted keys of the preset to other values."""

    def overrides(self) -> list[str]:
        """``key=value`` for each leaf of `set`, so that one key does not replace its whole section."""
        return [override(key, value) for key, value in _leaves(self.set, "")]


def _leaves(section: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole run."""

    name: str = "custom"
    """How the recipe is called in reports."""
    description: str = ""
    """One or two sentences for the reader of a report."""
    until: Literal["prepare", "extract", "match", "refine", "publish", "vocab", "encode", "train"] = "encode"
    """Last verb of `ccbuild run`. Training is a job of its own on GPUs, so it is not the default."""
    crawl: CrawlConfig = field(default_factory=CrawlConfig)
    """Where Common Crawl is had from, and how politely."""
    run: RunConfig = field(default_factory=RunConfig)
    """What a worker may take."""
    guard: GuardConfig = field(default_factory=GuardConfig)
    """What a record and a unit of work may take, and how long a run waits."""
    languages: tuple[str, ...] = ("all",)
    """Codes that this run is for: `extract` stores no page that is surely in none of them, so duplicates are sought
    among these languages only, and `refine` keeps these. `all`: every page is stored."""
    sieve: SieveConfig = field(default_factory=SieveConfig)
    """How `extract` leaves out other languages than `languages`."""
    unit: UnitConfig = field(default_factory=UnitConfig)
    """Size of a shard."""
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    """Models."""
    limits: Limits = field(default_factory=Limits)
    """Bounds on hostile archives."""
    rights: RightsConfig = field(default_factory=RightsConfig)
    """Who is left out."""
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    """Archives to pages."""
    dedup: DedupConfig = field(default_factory=DedupConfig)
    """Prints."""
    match: MatchConfig = field(default_factory=MatchConfig)
    """Prints to duplicates."""
    refine: RefineConfig = field(default_factory=RefineConfig)
    """Pages to documents."""
    publish: PublishConfig = field(default_factory=PublishConfig)
    """Documents to corpus."""
    vocab: VocabularyConfig = field(default_factory=VocabularyConfig)
    """Corpus to vocabulary."""
    encode: EncodeConfig = field(default_factory=EncodeConfig)
    """Corpus to tokens."""
    train: TrainSection = field(default_factory=TrainSection)
    """Tokens to model."""

    def __post_init__(self) -> None:
        if self.guard.memory_megabytes < self.run.memory_megabytes:
            raise ConfigError(
                f"guard.memory_megabytes is {self.guard.memory_megabytes}, less than run.memory_megabytes="
                f"{self.run.memory_megabytes}, which is what a unit may take. Set it to that or more."
            )
        if not self.sieved:
            return
        check_codes(self.languages, "languages")
        if set(self.refine.language.languages) & {"all", "cc100"}:
            language = dataclasses.replace(self.refine.language, languages=self.languages)
            object.__setattr__(self, "refine", dataclasses.replace(self.refine, language=language))

    @property
    def sieved(self) -> bool:
        """Whether only some languages are wanted."""
        return "all" not in self.languages


def recipe_names() -> list[str]:
    """Recipes that come with the package."""
    folder = resources.files("cc100") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe of that name, or of that path, with ``section.key=value`` overrides applied.

    >>> load_recipe("cc100", ["vocab.size=32000"]).vocab.size
    32000
    """
    if name in recipe_names():
        text = (resources.files("cc100") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
        mapping = parse_yaml(text, f"recipe {name}")
    elif Path(name).is_file():
        mapping = load_yaml(name)
    else:
        raise InputError(
            f"There is no recipe {name!r}: it is no file, and the package has {', '.join(recipe_names())}."
        )
    return from_mapping(Recipe, apply_overrides(mapping, overrides), name)


def verb_settings(recipe: Recipe, verb: str) -> Settings:
    """Dotted settings that `verb` and the verbs before it read: what its fingerprint covers."""
    before = VERBS[: VERBS.index(verb) + 1]
    if verb in ("extract", "match"):
        before = before[VERBS.index("extract") :]
    return flatten(recipe).only(section for each in before for section in _SECTIONS[each])


def verb_contents(recipe: Recipe, verb: str) -> dict[str, str]:
    """Input to digest of the files that the sections of `verb` name: what units that read them depend on."""
    found: dict[str, str] = {}
    for section, value in verb_sections(recipe, verb):
        found |= contents(value, f"{section}.")
    return found


def verb_sections(recipe: Recipe, verb: str) -> Iterator[tuple[str, Any]]:
    """(dotted name, settings) of each section that `verb` reads beside those of the verbs before it; the stages from
    outside, which a recipe may name, are sections too."""
    yield from ((s, value) for s in _SECTIONS.get(verb, ()) if dataclasses.is_dataclass(value := getattr(recipe, s)))
    if verb == "refine":
        outside = ((name, config) for name, config in recipe.refine.outside() if dataclasses.is_dataclass(config))
        yield from ((f"refine.stages.{name}", config) for name, config in outside)
