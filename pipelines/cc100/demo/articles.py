"""The demo's text: which sentences train perplexity models, which stand on pages, and the articles made of them.

ELD gives 1,000 sentences a language. Half of them, chosen by the seed, are prose for the models. The rest
stand on pages, each in one article only, so that two unique pages never look alike and no model has
seen a page. Where both sides could share a sentence in another spelling, one of them is left out.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ccbuild.errors import ConfigError

__all__ = [
    "Article",
    "LanguageText",
    "jaccard",
    "near_copy",
    "plan_counts",
    "sentence_key",
    "split_texts",
    "udhr_texts",
]

MIN_SENTENCES = 10
"""Sentences of the shortest article: five paragraphs of two."""
MIN_CHARS = 430
"""Characters of the shortest article: the usual floor of CCNet is 300, and titles and menus do not count."""
UNSPACED = frozenset({"bo", "ja", "km", "lo", "my", "th", "zh-Hans", "zh-Hant"})
"""Languages written without spaces between words: no near duplicates are planted, since they are made of words."""
_LOOSE, _FURNITURE = 24, 12
_C1 = re.compile("[\x80-\x9f]")
_LETTERS = re.compile(r"[^\W\d_]+")

UDHR_LANGUAGES = (
    "af_Latn bo_Tibt br_Latn ceb_Latn cy_Latn dv_Thaa eo_Latn fy_Latn ga_Latn gl_Latn id_Latn ilo_Latn "
    "kk_Cyrl km_Khmr ku_Latn ky_Cyrl la_Latn lb_Latn lo_Laoo mk_Cyrl mn_Cyrl mt_Latn my_Mymr nds_Latn "
    "ne_Deva ps_Arab sah_Cyrl si_Sinh sw_Latn tg_Cyrl tk_Latn tt_Cyrl ug_Arab uz_Latn yi_Hebr"
).split()
"""Languages that ELD lacks and lid.176 knows well: it labels each of these excerpts right."""

WEIGHTS = {
    **dict.fromkeys("en ru de es fr ja it pt pl nl tr vi cs ar fa uk sv el hu ro".split(), 10),
    **dict.fromkeys("am az be ckb et eu gu hy is ka kn lt ml mr no or pa sq ta te tl ur".split(), 4),
    **dict.fromkeys(("ms", "yo"), 1),
}
"""Share of pages, large and lesser-served languages apart; all others weigh 7. Text is short for a truer slope.

A few pages show what lid.176 does not know: it takes most Malay for Indonesian, and Yoruba as the web writes it,
without its dots, for Irish.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """What stands on a page, without the page around it."""

    lang: str
    title: str
    paragraphs: tuple[str, ...]

    @property
    def text(self) -> str:
        """The paragraphs, a line each."""
        return "\n".join(self.paragraphs)

    @property
    def nchars(self) -> int:
        """Characters of all paragraphs."""
        return sum(map(len, self.paragraphs))


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageText:
    """The sentences of one language, each in one place only."""

    code: str
    prose: tuple[str, ...] = ()
    """For perplexity models: on no page."""
    portions: tuple[tuple[str, ...], ...] = ()
    """For articles: each holds as many sentences as the shortest article needs."""
    furniture: tuple[str, ...] = ()
    """For banners, footers and notices: on many pages."""
    loose: tuple[str, ...] = ()
    """For junk."""
    words: tuple[str, ...]
    """For menus, titles and keyword lists."""

    def article(self, sentences: Sequence[str], rng: random.Random) -> Article:
        """An article of at least five paragraphs of two to four sentences."""
        count = rng.randint(5, max(5, len(sentences) // 3))
        sizes = [2] * count
        for _ in range(len(sentences) - 2 * count):
            sizes[rng.choice([i for i, size in enumerate(sizes) if size < 4] or range(count))] += 1
        taken = iter(sentences)
        paragraphs = tuple(self.join([next(taken) for _ in range(size)]) for size in sizes)
        return Article(lang=self.code, title=title(paragraphs), paragraphs=paragraphs)

    def join(self, sentences: Sequence[str]) -> str:
        """Sentences as a paragraph: Chinese and Japanese set no space between them."""
        return ("" if self.code in ("ja", "zh-Hans", "zh-Hant") else " ").join(sentences)


def title(paragraphs: Sequence[str]) -> str:
    """A headline: the first words of the third paragraph, at most 60 characters and never all of it."""
    paragraph = paragraphs[2]
    text = paragraph[: min(60, len(paragraph) * 2 // 3)]
    return (text[: text.rindex(" ")] if " " in text else text).rstrip(" ,;:-–—(\"'")


def sentence_key(sentence: str) -> str:
    """Letters alone, compatibility forms and case folded: sentences with one key are taken for the same."""
    return "".join(_LETTERS.findall(unicodedata.normalize("NFKC", sentence).casefold()))


def split_texts(sentences: Mapping[str, Sequence[str]], seed: int) -> dict[str, LanguageText]:
    """Code to the split text of every language of `sentences` but Lao, which ELD has in single words only."""
    seen: set[str] = set()
    texts = {}
    for code in sorted(sentences.keys() - {"lo"}):
        rng = random.Random(f"{seed}:split:{code}")
        spelled = map(_standard_sorani, sentences[code]) if code == "ckb" else sentences[code]
        pool = []
        for sentence in (" ".join(_mended(s).split()) for s in spelled):
            key = sentence_key(sentence)
            if len(key) >= 10 and key not in seen:
                seen.add(key)
                pool.append(sentence)
        rng.shuffle(pool)
        half = len(pool) // 2
        rest = pool[half:]
        texts[code] = LanguageText(
            code=code,
            prose=tuple(pool[:half]),
            furniture=tuple(rest[:_FURNITURE]),
            loose=tuple(rest[_FURNITURE : _FURNITURE + _LOOSE]),
            portions=_portions(rest[_FURNITURE + _LOOSE :]),
            words=_words(rest[_FURNITURE + _LOOSE :]),
        )
    return texts


def udhr_texts(excerpts: Mapping[str, Sequence[str]]) -> dict[str, tuple[LanguageText, Article]]:
    """Code to words and the one article of each of `UDHR_LANGUAGES`: its excerpt's paragraphs, scraps left out."""
    texts = {}
    for identifier in UDHR_LANGUAGES:
        code = identifier.partition("_")[0]
        paragraphs = tuple(p for p in excerpts[identifier] if len(p) >= 40)
        text = LanguageText(code=code, words=_words(paragraphs))
        texts[code] = text, Article(lang=code, title=title(paragraphs), paragraphs=paragraphs)
    return texts


def plan_counts(capacity: Mapping[str, int], total: int) -> dict[str, int]:
    """Code to the number of articles, `total` in all: in proportion to `WEIGHTS`, at least one, within the capacity."""
    if not len(capacity) <= total <= sum(capacity.values()):
        raise ConfigError(
            f"The demo's text makes {len(capacity)} to {sum(capacity.values())} different articles, {total} were asked "
            "for. Choose another number of pages."
        )
    counts = dict.fromkeys(sorted(capacity), 1)
    for _ in range(total - len(counts)):
        # the language that is furthest behind its share; ties go by code
        open_codes = [code for code in counts if counts[code] < capacity[code]]
        code = min(open_codes, key=lambda c: (counts[c] / WEIGHTS.get(c, 7), c))
        counts[code] += 1
    return counts


def near_copy(article: Article, words: Sequence[str], rng: random.Random) -> Article:
    """`article` with one word in ninety exchanged for another: word-5-shingle Jaccard of 0.88 and more.

    One exchange in n words leaves (n - 9) / (n + 1) of the shingles in common; articles of fewer than
    100 words should not be used.
    """
    paragraphs = [p.split(" ") for p in article.paragraphs]
    places = [(i, j) for i, p in enumerate(paragraphs) for j in range(len(p))]
    for i, j in rng.sample(places, max(1, len(places) // 90)):
        paragraphs[i][j] = rng.choice([w for w in words if w != paragraphs[i][j]])
    return replace(article, paragraphs=tuple(" ".join(p) for p in paragraphs))


def jaccard(left: str, right: str, size: int = 5) -> float:
    """Jaccard similarity of the sets of `size` consecutive words (white space apart); 0.0 when both are empty."""
    one, other = (
        {tuple(words[i : i + size]) for i in range(len(words) - size + 1)} for words in (left.split(), right.split())
    )
    return len(one & other) / len(one | other) if one | other else 0.0


def _portions(sentences: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """`sentences` cut into runs that each make the shortest article."""
    portions, portion = [], list[str]()
    for sentence in sentences:
        portion.append(sentence)
        if len(portion) >= MIN_SENTENCES and sum(map(len, portion)) >= MIN_CHARS:
            portions.append(tuple(portion))
            portion = []
    return tuple(portions)


def _words(sentences: Sequence[str]) -> tuple[str, ...]:
    """The first 400 distinct words of letters; pieces of five characters where there are no spaces."""
    words = dict[str, None]()
    for token in " ".join(sentences).split():
        word = token.strip("\"'.,;:!?()[]«»“”„‚‘’…。、،؛؟।")
        word = word[:5] if len(word) > 30 else word
        if len(word) > 1 and sentence_key(word) and not any(c.isdigit() for c in word):
            words[word] = None
        if len(words) == 400:
            break
    return tuple(words)


def _mended(sentence: str) -> str:
    """Windows' quotes and dashes, which some of ELD's sentences have as control characters, read as HTML reads them."""
    return _C1.sub(lambda c: c[0].encode("latin-1").decode("cp1252", errors="ignore"), sentence)


def _standard_sorani(sentence: str) -> str:
    """Sorani in today's spelling: ە where old fonts made do with ه and a zero-width non-joiner.

    lid.176 learned the former, and takes nine in ten of the latter for Persian.
    """
    return sentence.replace("ه\u200c", "ە").replace("\u200c", "")
