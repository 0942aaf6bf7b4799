"""Which pages the demo's crawl has, on which sites, in which order, before a byte of an archive is written."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cc100.demo.articles import UNSPACED, Article, LanguageText, jaccard, near_copy, plan_counts
from cc100.demo.charsets import LEGACY, UTF8_HEADER, UTF8_META, Encoding, carries, choose_encoding, encode
from cc100.demo.templates import TEMPLATES, Sheet, render
from ccbuild.errors import ConfigError

__all__ = ["Plan", "Site", "plan_pages"]

SHARES = {
    "exact_duplicate": 0.08,
    "near_duplicate": 0.08,
    "junk:keywords": 0.03,
    "junk:mixed": 0.03,
    "junk:empty": 0.015,
    "junk:numbers": 0.015,
    "other:image": 0.015,
    "other:pdf": 0.005,
    "other:not_found": 0.015,
    "other:redirect": 0.005,
}
"""Share of all pages, by kind; the rest is unique."""
NOTICE_LANGUAGES = ("de", "en", "es", "fr", "it", "pl", "pt", "ru", "uk", "vi")
"""One site in each repeats a notice inside every article."""
_PAGES_A_SITE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A host, its build, and what it prints on every page."""

    host: str
    lang: str
    template: str
    menu: tuple[str, ...]
    banner: str
    footer: str
    notice: str | None = None
    """A paragraph at the end of every article."""


@dataclass(slots=True, kw_only=True, eq=False)
class Plan:
    """One page to be written."""

    url: str
    kind: str
    order: float
    """Pages stand in the crawl by this, ascending."""
    site: Site | None = None
    article: Article | None = None
    encoding: Encoding | None = None
    original: Plan | None = None
    similarity: float | None = None
    status: int = 200
    mime: str = "text/html"
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    """HTTP headers beyond the usual ones."""
    damaged: str | None = None

    @property
    def lang(self) -> str | None:
        """The language of the article where the page has one."""
        return None if ":" in self.kind or self.article is None else self.article.lang


def plan_pages(
    texts: Mapping[str, LanguageText], excerpts: Mapping[str, tuple[LanguageText, Article]], pages: int, seed: int
) -> list[Plan]:
    """All pages in the crawl's order, each with its HTTP body; `ConfigError` when the text does not make so many.

    Copies stand after what they copy. The last page is unique and copied by none: the file may end in it.
    """
    rng = random.Random(f"{seed}:pages")
    counts = {kind: round(pages * share) for kind, share in SHARES.items()}
    unique = _unique(texts, excerpts, pages - sum(counts.values()), rng)
    originals = _originals(unique, counts["exact_duplicate"], counts["near_duplicate"], rng)
    planned = [*unique]
    planned += _exact_duplicates(originals[0], rng)
    planned += _near_duplicates(originals[1], texts, rng)
    planned += _junk(texts, counts, rng)
    planned += _others(counts, rng)
    copied = {id(p.original) for p in planned}
    last = max((p for p in unique if id(p) not in copied), key=lambda p: p.order)
    last.order = 2.0
    for page in planned:
        if page.article is not None and page.site is not None and page.encoding is not None and not page.body:
            page.body = _print(page.site, page.article, page.encoding, page.order)
    return sorted(planned, key=lambda p: (p.order, p.url))


def _unique(
    texts: Mapping[str, LanguageText],
    excerpts: Mapping[str, tuple[LanguageText, Article]],
    total: int,
    rng: random.Random,
) -> list[Plan]:
    """The pages that nothing resembles, language by language."""
    counts = plan_counts({code: len(text.portions) for code, text in texts.items()}, total - len(excerpts))
    pages = []
    for code, count in counts.items():
        text = texts[code]
        articles = [text.article(sentences, rng) for sentences in _shared_out(text.portions, count)]
        pages += _on_sites(text, articles, rng)
    for _, (text, article) in sorted(excerpts.items()):
        pages += _on_sites(text, [article], rng)
    return pages


def _shared_out(portions: Sequence[tuple[str, ...]], count: int) -> list[tuple[str, ...]]:
    """The sentences of `count` articles: a portion each, and up to two more from what is left over."""
    spare = portions[count:]
    return [portions[i] + tuple(s for portion in spare[i::count][: i % 3] for s in portion) for i in range(count)]


def _on_sites(text: LanguageText, articles: Sequence[Article], rng: random.Random) -> list[Plan]:
    """`articles` on as many sites as they need; the first site of some languages has a notice."""
    sites = [_site(text, str(n), rng) for n in range(max(1, len(articles) // _PAGES_A_SITE))]
    if text.code in NOTICE_LANGUAGES:
        sites[0] = replace(sites[0], notice=text.join(text.furniture[-3:]))
    pages = []
    for number, article in enumerate(articles):
        site = sites[number % len(sites)]
        if site.notice:
            article = replace(article, paragraphs=(*article.paragraphs, site.notice))
        encoding = choose_encoding(article.lang, rng)
        if not carries(encoding.charset, article.text):
            encoding = UTF8_HEADER
        pages.append(
            Plan(
                url=_url(site, number),
                kind="unique",
                order=rng.random(),
                site=site,
                article=article,
                encoding=encoding,
            )
        )
    return pages


def _site(text: LanguageText, name: str, rng: random.Random, template: str | None = None) -> Site:
    """A site in the language of `text`: menu, banner and footer are made of its words and sentences."""
    template = template or rng.choice(sorted(TEMPLATES))
    words = list(text.words)
    labels = [" ".join(rng.sample(words, rng.choice((1, 1, 2)))) for _ in range(9)]
    banner, footer = rng.sample(text.furniture[:-3], 2) if text.furniture else (" ".join(labels), " ".join(labels[:4]))
    host = f"{template}{name}.{text.code.lower()}.example"
    return Site(host=host, lang=text.code, template=template, menu=tuple(labels), banner=banner, footer=footer)


def _url(site: Site, number: int) -> str:
    """A page's address in the manner of its template."""
    paths = {
        "blog": f"2026/{number % 12 + 1:02}/post-{number}/",
        "forum": f"viewtopic.php?t={1000 + number}",
        "news": f"news/{20000 + number}.html",
        "plain": f"{number}",
        "shop": f"p/{number}?ref=home",
        "table": f"art/{number}.htm",
        "wiki": f"wiki/P{number}",
    }
    return f"https://{site.host}/{paths[site.template]}"


def _print(site: Site, article: Article, encoding: Encoding, order: float) -> bytes:
    """The bytes of a page."""
    sheet = Sheet(
        lang=article.lang,
        site=site.host.partition(".")[0],
        title=article.title,
        paragraphs=article.paragraphs,
        menu=site.menu,
        banner=site.banner,
        footer=site.footer,
        date=f"2026-10-{int(order * 30) % 30 + 1:02}",
        charset=encoding.meta,
    )
    return encode(render(site.template, sheet), encoding.charset)


def _originals(unique: Sequence[Plan], exact: int, near: int, rng: random.Random) -> tuple[list[Plan], list[Plan]]:
    """What exact and near duplicates are made of: whole, well-declared pages; for near ones of 100 words and more."""
    fit = [p for p in unique if p.encoding in (UTF8_HEADER, UTF8_META) and p.site and not p.site.notice]
    rng.shuffle(fit)
    worded = [p for p in fit if p.lang not in UNSPACED and _nwords(p) >= 100]
    chosen = worded[:near]
    taken = set(map(id, chosen))
    rest = [p for p in fit if id(p) not in taken]
    if len(chosen) < near or len(rest) * 3 < exact:
        raise ConfigError(f"Too few pages are left to copy {exact + near} times. Choose another number of pages.")
    # a third as many originals as copies when there are few pages: some pages are copied two or three times
    return [rest[i % max(1, min(len(rest), exact * 3 // 4))] for i in range(exact)], chosen


def _nwords(page: Plan) -> int:
    return sum(len(p.split()) for p in page.article.paragraphs) if page.article else 0


def _after(original: Plan, rng: random.Random) -> float:
    """A place in the crawl behind `original`."""
    return original.order + (1.0 - original.order) * rng.uniform(0.001, 1.0)


def _exact_duplicates(originals: Sequence[Plan], rng: random.Random) -> Iterator[Plan]:
    """The same article on a mirror or under another address of the same site; some mirrors kept a legacy charset."""
    for number, original in enumerate(originals):
        site, article = original.site, original.article
        assert site is not None
        assert article is not None
        charset = rng.choice(LEGACY.get(article.lang, ("utf-8",)))
        if charset != "utf-8" and number % 5 == 0 and carries(charset, article.text):
            encoding = Encoding(charset=charset, case="legacy_header", header=charset)
        else:
            encoding = rng.choice((UTF8_HEADER, UTF8_META))
        if number % 2:
            url = (
                original.url.replace("https://", "https://mirror.")
                + ("&" if "?" in original.url else "?")
                + f"m={number}"
            )
        else:
            url = original.url + ("&" if "?" in original.url else "?") + f"session={number:08x}"
        yield Plan(
            url=url,
            kind="exact_duplicate",
            order=_after(original, rng),
            site=site,
            article=article,
            encoding=encoding,
            original=original,
            similarity=1.0,
        )


def _near_duplicates(
    originals: Sequence[Plan], texts: Mapping[str, LanguageText], rng: random.Random
) -> Iterator[Plan]:
    """An article with a few words exchanged, on another site of the language that is built alike."""
    for number, original in enumerate(originals):
        article = original.article
        assert article is not None
        assert original.site is not None
        text = texts.get(article.lang)
        words = text.words if text else tuple(w for p in article.paragraphs for w in p.split())
        copy = near_copy(article, words, rng)
        # the same build: what another one adds to the text (a number on each post) is no part of the plan
        template = original.site.template
        site = _site(text or LanguageText(code=article.lang, words=words), f"-press{number}", rng, template)
        yield Plan(
            url=_url(site, number),
            kind="near_duplicate",
            order=_after(original, rng),
            site=site,
            article=copy,
            encoding=rng.choice((UTF8_HEADER, UTF8_META)),
            original=original,
            similarity=round(jaccard(article.text, copy.text), 4),
        )


def _junk(texts: Mapping[str, LanguageText], counts: Mapping[str, int], rng: random.Random) -> Iterator[Plan]:
    """Pages without a text in one language."""
    languages = sorted(texts)
    mixtures = _mixtures(texts, rng)
    kinds = [kind for kind in counts if kind.startswith("junk:") for _ in range(counts[kind])]
    for number, kind in enumerate(kinds):
        text = texts[rng.choice(languages)]
        site = _site(text, f"-x{number}", rng)
        paragraphs: tuple[str, ...] = ()
        if kind == "junk:keywords":
            paragraphs = tuple(", ".join(rng.sample(text.words, 30)) for _ in range(4))
        elif kind == "junk:mixed":
            paragraphs = tuple(next(mixtures) for _ in range(6))
        elif kind == "junk:numbers":
            paragraphs = tuple(" ".join(f"{rng.random() * 10**5:.2f}" for _ in range(20)) for _ in range(12))
        page = Plan(url=_url(site, number), kind=kind, order=rng.random(), site=site, encoding=UTF8_HEADER)
        if paragraphs:
            page.article = Article(lang=text.code, title=site.menu[0], paragraphs=paragraphs)
        elif number % 2:
            page.body = b"<!DOCTYPE html><html><head><title></title></head><body></body></html>\n"
        else:
            page.body = (
                b'<!DOCTYPE html><html><body><div id="app"></div><script src="/app.js"></script></body></html>\n'
            )
        yield page


def _mixtures(texts: Mapping[str, LanguageText], rng: random.Random) -> Iterator[str]:
    """Paragraphs of two sentences, neighbours in different languages, none twice."""
    for start in range(0, min(len(text.loose) for text in texts.values()), 2):
        for code in rng.sample(sorted(texts), len(texts)):
            yield texts[code].join(texts[code].loose[start : start + 2])


def _others(counts: Mapping[str, int], rng: random.Random) -> Iterator[Plan]:
    """Responses that are no page of text."""
    kinds = [kind for kind in counts if kind.startswith("other:") for _ in range(counts[kind])]
    for number, kind in enumerate(kinds):
        page = Plan(url=f"https://files{number % 7}.example/{kind[6:]}/{number}", kind=kind, order=rng.random())
        if kind == "other:image":
            page.url, page.mime = page.url + ".jpg", "image/jpeg"
            page.body = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + rng.randbytes(900) + b"\xff\xd9"
        elif kind == "other:pdf":
            page.url, page.mime = page.url + ".pdf", "application/pdf"
            page.body = b"%PDF-1.4\n%" + rng.randbytes(900) + b"\n%%EOF\n"
        else:
            page.encoding = UTF8_HEADER
            page.status = 404 if kind == "other:not_found" else 301
            says = "404 Not Found" if page.status == 404 else "301 Moved Permanently"
            page.body = f"<html><head><title>{says}</title></head><body><h1>{says}</h1></body></html>\n".encode()
            if page.status == 301:
                page.headers.append(("Location", page.url.replace("https://", "https://www.")))
        yield page
