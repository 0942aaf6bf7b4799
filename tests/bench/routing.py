"""How well the cascade routes: on sentences, on declarations, by encoding and transliteration, on junk and on pages.

    python tests/bench/routing.py DATA [--run OUT] [--only eld,udhr,…] [--held FILE.ftz] [--page FILE.md] [--json]

DATA holds `lid-test/*.tsv` (a code, a tab and a text a line), `lm-text/<code>/*.txt.xz` and, for --run, the
`web/truth.jsonl.gz` of the pages that the run in OUT was made of. One supplement is trained of the catalogue less all
that eld, programs and udhr are judged by, and kept in --held, from which it is read where it exists.

eld         the sentences of eld that a fifth of their hashes hold out; codes of CC-100
programs    a tenth of the messages of programs, held out
udhr        the declaration, without any text of it (nor gflanguages) in training; codes that have a label of lid.176
            or other text; once among themselves, once with the text of all other languages
shipped-udhr  the declaration in 443 languages as the shipped supplement, which has seen excerpts, answers
latin       what of the declaration in Latin letters falls into romanised codes
only-udhr   codes that have nothing but the declaration: sentences that share no five words with what was trained on
han         running lines of lm-text in Simplified and Traditional Chinese
zawgyi      lines of lm-text in Burmese, and the same in Zawgyi (package python-myanmar)
romanised   held-out sentences of eld in Latin letters by another transliterator than the one trained on (anyascii,
            indic_transliteration); and how much of English, Indonesian and Turkish falls into these codes
noise       2,000 made pages of junk (tests/ccbuild/langid/junk.py)
dress       sentences of eld in 39 languages with small and capital letters: in capitals, decomposed, full-width
alike       the same first answer as fastText, and how far a probability is off: text of --run and of lid-test
speed       documents and lines of 110 to 150 characters a CPU second beside lid.176 alone, and beside heliport where it
            is installed; in each round texts that were not asked about before, as words are remembered
web         per code precision and recall of the pages of a run whose language is known
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import lzma
import random
import statistics
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import fasttext
import pyarrow.parquet as pq

from ccbuild import catalogue
from ccbuild.langid.cascade import Cascade, Identifier
from ccbuild.langid.codes import CC100, from_label
from ccbuild.langid.corpus import SOURCES, catalogue_texts, read_labelled, sentence_key, split
from ccbuild.langid.evaluate import Evaluation, evaluate, table
from ccbuild.langid.letters import small
from ccbuild.langid.model import LABEL, LanguageModel, escape, plain
from ccbuild.langid.romanise import ROMANISED
from ccbuild.langid.scripts import count_scripts
from ccbuild.langid.supplement import SHIPPED, Supplement
from ccbuild.langid.training import SupplementConfig, gather, supplement_for, train, with_romanised
from ccbuild.langid.votes import vote

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
HELD = 0.2
ROUNDS = 5


class Bench:
    def __init__(self, data: Path, run: Path | None, held_at: Path) -> None:
        self.data, self.run, self.held_at = data, run, held_at
        self._held: Cascade | None = None
        self.model = LanguageModel(catalogue.fetch("lid.176.ftz"))
        self._texts: dict[str, dict[str, list[str]]] = {}
        self._shipped: Cascade | None = None

    def texts(self) -> dict[str, dict[str, list[str]]]:
        if not self._texts:
            self._texts = gather()
        return self._texts

    def trained(self, texts: dict[str, dict[str, list[str]]]) -> tuple[Cascade, dict[str, Any]]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "supplement.ftz"
            manifest = train(texts, out, self.model, SupplementConfig())
            return Cascade(self.model, Supplement(out)), manifest

    def shipped(self) -> Cascade:
        if self._shipped is None:
            self._shipped = Cascade(self.model, Supplement(supplement_for(self.model.sha256, lambda: self.model)))
        return self._shipped

    def labelled(self, name: str) -> list[tuple[str, str]]:
        return list(read_labelled(self.data / "lid-test" / name))

    def lines(self, code: str) -> list[str]:
        found: list[str] = []
        for path in sorted((self.data / "lm-text" / code).glob("*.txt.xz")):
            if "udhr" not in path.name:
                with lzma.open(path, "rt", encoding="utf-8") as stream:
                    found += [line.strip() for line in stream if len(line.strip()) >= 30]
        return found

    # parts

    def held(self) -> Cascade:
        """A supplement of the catalogue less all that `eld`, `udhr` and `programs` are judged by."""
        if self._held is None:
            if not self.held_at.exists():
                train(self.rest(), self.held_at, self.model, SupplementConfig())
            self._held = Cascade(self.model, Supplement(self.held_at))
        return self._held

    def rest(self) -> dict[str, dict[str, list[str]]]:
        declared = {sentence_key(t) for _, t in self.labelled("udhr.tsv") + self.labelled("gflanguages_udhr.tsv")}
        texts = gather_without(declared | {sentence_key(t) for _, t in self.fifth()})
        texts["programs"] = {code: split(lines, HELD / 2)[0] for code, lines in texts["programs"].items()}
        return {source: found for source, found in texts.items() if source != "gflanguages"}

    def fifth(self) -> list[tuple[str, str]]:
        labelled = self.labelled("eld_wikipedia.tsv")
        held = set(split([text for _, text in labelled], HELD)[1])
        return [(code, text) for code, text in labelled if text in held and code in CC100]

    def sentences(self) -> dict[str, int]:
        supplement = self.held().supplement
        assert supplement is not None
        return dict(supplement.manifest["sentences"])

    def eld(self) -> dict[str, Any]:
        test = self.fifth()
        return {"cascade": scored(self.held(), test), "lid.176": scored(Identifier(self.model), test)}

    def programs(self) -> dict[str, Any]:
        texts = catalogue_texts(["programs"])["programs"]
        test = [(code, text) for code, lines in texts.items() for text in split(lines, HELD / 2)[1]]
        return {"cascade": scored(self.held(), test), "lid.176": scored(Identifier(self.model), test)}

    def udhr(self) -> dict[str, Any]:
        labelled = self.labelled("udhr.tsv")
        able = self.model.codes | {code for code, n in self.sentences().items() if n} | {"zh-Hans", "zh-Hant"}
        codes = sorted(able & set(CC100) & {code for code, _ in labelled})
        return {
            "cascade": scored(self.held(), [(code, text) for code, text in labelled if code in codes]),
            "cascade, all languages": scored(self.held(), labelled, codes),
            "lid.176": scored(Identifier(self.model), [(code, text) for code, text in labelled if code in codes]),
        }

    def shipped_udhr(self) -> dict[str, Any]:
        """What is shipped has seen half of these lines; languages outside CC-100 are all that it can learn of them."""
        labelled = self.labelled("udhr.tsv")
        codes = sorted(set(CC100) & {code for code, _ in labelled})
        return {
            "cascade": scored(self.shipped(), labelled, codes),
            "lid.176": scored(Identifier(self.model), labelled, codes),
        }

    def latin(self) -> dict[str, Any]:
        lines = [(code, text) for code, text in self.labelled("udhr.tsv") if count_scripts(text).name == "Latn"]
        answers = self.shipped().identify([text for _, text in lines])
        fallen = Counter(code for (code, _), a in zip(lines, answers, strict=True) if a.code in ROMANISED.values())
        languages = len({code for code, _ in lines})
        return {"lines": len(lines), "languages": languages, "into romanised": dict(fallen.most_common())}

    def only_udhr(self) -> dict[str, Any]:
        other = {c for s, f in self.texts().items() if s != "gflanguages" for c, lines in f.items() if lines}
        codes = sorted(set(CC100) - other - self.model.codes - {"zh-Hans", "zh-Hant"})
        seen = {code: fives(self.texts()["gflanguages"].get(code, ())) for code in codes}
        labelled = self.labelled("udhr.tsv")
        test = [(c, t) for c, t in labelled if c not in seen or not fives([t]) & seen[c]]
        cascade, manifest = self.trained(self.texts())
        return {
            "codes": codes,
            "left out": len(labelled) - len(test),
            "cascade, all languages": scored(cascade, test, codes),
            "sentences": {code: manifest["sentences"].get(code, 0) for code in codes},
        }

    def han(self) -> dict[str, Any]:
        def running(line: str) -> bool:
            return sum("\u4e00" <= c <= "\u9fff" for c in line) * 2 > len(line)

        test = [(c, t) for c in ("zh-Hans", "zh-Hant") for t in list(filter(running, self.lines(c)))[:2000]]
        return {"cascade": scored(self.shipped(), test)}

    def zawgyi(self) -> dict[str, Any]:
        from myanmar import converter

        declared = [text for code, text in self.labelled("udhr.tsv") if code == "my"]
        lines = [line for line in {*declared, *self.lines("my"), *self.texts()["kolibri"]["my"]} if len(line) >= 30]
        test = [("my", line) for line in lines]
        test += [("my_zaw", converter.convert(line, "unicode", "zawgyi")) for line in lines]
        return {"cascade": scored(self.shipped(), test)}

    def romanised(self) -> dict[str, Any]:
        from anyascii import anyascii
        from indic_transliteration.sanscript import BENGALI, DEVANAGARI, ITRANS, TELUGU, transliterate

        labelled = self.labelled("eld_wikipedia.tsv")
        latins = ("en", "tr", "es", "sq", "so", "tl", "ms")
        held = {sentence_key(text) for code, text in labelled if code in (*ROMANISED, *latins)}
        cascade, _ = self.trained(gather_without(held))
        native = {c: [t for code, t in labelled if code == c] for c in ROMANISED}
        schemes = {"bn": BENGALI, "hi": DEVANAGARI, "te": TELUGU}
        found: dict[str, Any] = {}
        latin = [(c, t) for c, t in labelled if c in latins]
        for name, make in {
            "anyascii": lambda code, text: anyascii(text).lower(),
            "itrans": lambda code, text: transliterate(text, schemes[code], ITRANS).lower().replace("~", ""),
        }.items():
            test = [
                (ROMANISED[c], make(c, t)) for c, ts in native.items() for t in ts if name == "anyascii" or c in schemes
            ]
            found[name] = scored(cascade, test + latin, [c for c, _ in dict.fromkeys((c, 0) for c, _ in test)])
        for code in ("en", "id", "tr"):
            lines = self.lines(code)[:3000]
            fallen = sum(a.code.endswith("_rom") for a in cascade.identify(lines))
            found[f"{code} into romanised"] = {"lines": len(lines), "share": round(fallen / len(lines), 5)}
        return found

    def noise(self) -> dict[str, Any]:
        from tests.ccbuild.langid.junk import junk

        answers = Counter[str]()
        entered: dict[str, Counter[str]] = {}
        made = list(junk(2000, seed=1))
        voted = vote(self.shipped(), [paragraphs for _, paragraphs in made])
        for (kind, _), found in zip(made, voted, strict=True):
            language = found.code not in ("zxx", "und") and found.score >= 0.5 and not found.mixed
            answers[kind] += 1
            entered.setdefault(kind, Counter())[found.code if language else ""] += 1
        stays_out = sum(c[""] for c in entered.values())
        return {
            "pages": sum(answers.values()),
            "in no language": round(stays_out / sum(answers.values()), 4),
            "kinds": {kind: round(c[""] / answers[kind], 4) for kind, c in sorted(entered.items())},
            "entered": {k: {c: n for c, n in v.items() if c} for k, v in entered.items() if v.keys() - {""}},
        }

    def dress(self) -> dict[str, Any]:
        texts: dict[str, list[str]] = {}
        for code, text in self.labelled("eld_wikipedia.tsv"):
            texts.setdefault(code, []).append(text)
        cased = [code for code, lines in texts.items() if sum(map(str.isupper, "".join(lines[:25]))) > 25]
        wide = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
        dresses: dict[str, Callable[[str], str]] = {
            "as it is": str,
            "capitals": str.upper,
            "decomposed": lambda text: unicodedata.normalize("NFD", text),
            "full-width": lambda text: text.translate(wide),
        }
        return {
            name: scored(self.shipped(), [(code, put_on(text)) for code in cased for text in texts[code][:25]]).micro
            for name, put_on in dresses.items()
        }

    def alike(self) -> dict[str, Any]:
        texts = [text for path in sorted((self.data / "lid-test").glob("*.tsv")) for _, text in read_labelled(path)]
        if self.run:
            for path in sorted((self.run / "1-pages").glob("part-?????.parquet")):
                pages = pq.read_table(path, columns=["text"])["text"].to_pylist()
                texts += pages + [line for page in pages for line in page.split("\n") if len(line) > 20]
        texts = texts[:: max(len(texts) // 100_000, 1)]
        supplement = Supplement(SHIPPED).model
        found: dict[str, Any] = {"texts": len(texts)}
        for model, asked in ((self.model, lambda text: escape(small(text))), (supplement, plain)):
            native = fasttext.load_model(str(model.path)).f
            same, worst = 0, 0.0
            for text, answers in zip(texts, model.ask(texts, 1), strict=True):
                ((p, label),) = native.predict(asked(text) + "\n", 1, 0.0, "strict")
                same += answers[0][0] == from_label(label.removeprefix(LABEL))
                worst = max(worst, abs(answers[0][1] - min(p, 1.0)))
            found[model.path.name] = {"same first answer": round(same / len(texts), 6), "most off": worst}
        return found

    def speed(self) -> dict[str, Any]:
        assert self.run is not None, "--run is needed for real documents"
        texts: list[str] = []
        for path in sorted((self.run / "1-pages").glob("part-?????.parquet")):
            texts += pq.read_table(path, columns=["text"])["text"].to_pylist()
        texts = list(dict.fromkeys(texts))
        random.Random(0).shuffle(texts)
        each = len(texts) // (2 * ROUNDS + 3)
        pages = [text.split("\n") for text in texts]
        lines = [line for page in pages[-2 * each :] for line in page if 110 <= len(line) <= 150]
        random.Random(0).shuffle(lines)
        alone = fasttext.load_model(str(catalogue.fetch("lid.176.ftz")))
        cascade = self.shipped()

        def ask_alone(asked: Sequence[str]) -> None:
            for text in asked:
                alone.f.predict(escape(text) + "\n", 1, 0.0, "strict")

        def cut(of: Sequence[Any], number: int, size: int) -> Sequence[Any]:
            return of[number * size : (number + 1) * size]

        some = len(lines) // (ROUNDS + 1)
        cases: dict[str, tuple[Callable[[Any], object], Callable[[int], Sequence[Any]]]] = {
            "documents, lid.176 alone": (ask_alone, lambda n: cut(texts, n, each)),
            "documents, cascade": (lambda asked: vote(cascade, asked), lambda n: cut(pages, n, each)),
            "documents, cascade, 1,000 characters": (
                lambda asked: vote(cascade, asked, 1000),
                lambda n: cut(pages, ROUNDS + n, each),
            ),
            "lines, lid.176 alone": (ask_alone, lambda n: cut(lines, n, some)),
            "lines, cascade": (cascade.identify, lambda n: cut(lines, n, some)),
        }
        with contextlib.suppress(ImportError):
            from heliport import Identifier as Heliport

            peer = Heliport()
            cases["lines, heliport"] = (
                lambda asked: [peer.identify(line) for line in asked],
                lambda n: cut(lines, n, some),
            )
        vote(cascade, pages[-1:])
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        for number in range(ROUNDS):
            for name, (work, part) in cases.items():
                asked = part(number)
                start = time.process_time()
                work(asked)
                seconds[name].append((time.process_time() - start) / len(asked))
        rate = {name: round(1 / statistics.median(taken)) for name, taken in seconds.items()}
        pages = pages[:3000]
        whole = [found.code for found in vote(cascade, pages)]
        sampled = [found.code for found in vote(cascade, pages, 1000)]
        return {
            "a CPU second": rate,
            "documents, times lid.176": round(rate["documents, cascade"] / rate["documents, lid.176 alone"], 3),
            "sampled, times lid.176": round(
                rate["documents, cascade, 1,000 characters"] / rate["documents, lid.176 alone"], 3
            ),
            "lines, times lid.176": round(rate["lines, cascade"] / rate["lines, lid.176 alone"], 3),
            "sample answers as the whole": round(
                sum(a == b for a, b in zip(whole, sampled, strict=True)) / len(whole), 4
            ),
        }

    def web(self) -> dict[str, Any]:
        assert self.run is not None, "--run is needed"
        truth = {}
        with gzip.open(self.data / "web" / "truth.jsonl.gz", "rt", encoding="utf-8") as stream:
            for row in map(json.loads, stream):
                if row["true_lang"] and row["true_lang"] != "mixed":
                    truth[row["warc"], row["offset"]] = row["true_lang"]
        pairs = []
        folder = self.run / "4-documents"
        addresses: dict[int, tuple[str, int]] = {}
        for path in sorted((self.run / "1-pages").glob("part-?????.parquet")):
            rows = pq.read_table(path, columns=["doc_id", "archive", "offset"]).to_pylist()
            addresses |= {row["doc_id"]: (row["archive"], row["offset"]) for row in rows}
        for path in sorted(folder.glob("part-?????.parquet")):
            for row in pq.read_table(path, columns=["doc_id", "lang"]).to_pylist():
                true = truth.get(addresses[row["doc_id"]])
                if true:
                    pairs.append((true, row["lang"]))
        for path in sorted((self.run / "4-dropped").glob("part-?????.parquet")):
            for row in pq.read_table(path, columns=["doc_id", "reason"]).to_pylist():
                true = truth.get(addresses[row["doc_id"]])
                if true and not any(word in row["reason"] for word in ("duplicate", "recapture", "short")):
                    pairs.append((true, "und"))
        found = evaluate(pairs, sorted({c for c, _ in pairs} & set(CC100)))
        low = [c for c, s in found.scores.items() if s.answers >= 10 and (s.precision or 0) < 0.9]
        wrong = {c: [[t, n] for (t, a), n in found.confusions.items() if a == c][:5] for c in low}
        return {"pages": len(pairs), "all": found, "precision below 0.9 with 10 pages": wrong}


def gather_without(held: set[str]) -> dict[str, dict[str, list[str]]]:
    """The catalogue's texts less the sentences that are held out; romanised text is made of the rest only."""
    whole = catalogue_texts(SOURCES)
    less = {s: {c: [t for t in ts if sentence_key(t) not in held] for c, ts in f.items()} for s, f in whole.items()}
    return with_romanised(less)


def fives(texts: Iterable[str]) -> set[tuple[str, ...]]:
    """Every five words that follow each other."""
    found = set()
    for text in texts:
        words = text.lower().split()
        found |= {tuple(words[i : i + 5]) for i in range(max(len(words) - 4, 0))}
    return found


def scored(
    identifier: Cascade | Identifier, labelled: Sequence[tuple[str, str]], codes: Iterable[str] = ()
) -> Evaluation:
    answers = identifier.identify([text for _, text in labelled])
    return evaluate([(code, a.code) for (code, _), a in zip(labelled, answers, strict=True)], codes)


def to_json(value: Any) -> Any:
    if isinstance(value, Evaluation):
        return value.to_mapping()
    return {k: to_json(v) for k, v in value.items()} if isinstance(value, dict) else value


def shown(value: Any) -> str:
    if isinstance(value, Evaluation):
        return "\n" + table(value)
    return json.dumps(value, ensure_ascii=False)


PAGE = """# How well languages are told apart

Made by `python tests/bench/routing.py DATA --only eld,programs,udhr,shipped-udhr,latin --page pipelines/languages.md`.
F1 of each code, of the cascade and of lid.176 alone, and how many sentences the supplement was trained on. What is held
out is judged with one supplement that has seen no sentence of it.
"""
SETS = {
    "eld": "Sentences of Wikipedia (ELD), a fifth that was held out",
    "programs": "Messages of LibreOffice and Firefox, a tenth that was held out; lines of 4 words and more",
    "udhr": "The Universal Declaration of Human Rights, held out; among codes with other text or a label of lid.176",
    "shipped-udhr": "The declaration in 443 languages, by what is shipped, which has seen excerpts",
}


def page(found: dict[str, Any], sentences: dict[str, int]) -> str:
    """One table a set, and its worst confusions."""
    lines = [PAGE]
    for name, about in SETS.items():
        if name in found:
            ours, theirs = found[name]["cascade"], found[name]["lid.176"]
            alone = {row["code"]: row["f1"] for row in theirs["codes"]}
            lines += [f"## {about}\n", f"Macro F1 {ours['macro_f1']:.4f}, lid.176 {theirs['macro_f1']:.4f}.\n"]
            lines += ["| code | texts | F1 | lid.176 | trained on |", "|---|--:|--:|--:|--:|"]
            for row in ours["codes"]:
                if row["texts"]:
                    trained = f"{sentences.get(row['code'], 0):,}"
                    f1, other = f"{row['f1']:.2f}", f"{alone[row['code']]:.2f}"
                    lines.append(f"| {row['code']} | {row['texts']} | {f1} | {other} | {trained} |")
            worst = [f"{true} as {said} {n}" for true, said, n in ours["confusions"][:12]]
            lines.append(f"\nConfused most: {', '.join(worst)}.\n")
    if "latin" in found:
        latin = found["latin"]
        fallen = ", ".join(f"{code} {n}" for code, n in latin["into romanised"].items())
        lines.append("## Latin letters that are taken for romanised text\n")
        lines.append(f"Of {latin['lines']:,} lines of the declaration in {latin['languages']} languages: {fallen}.\n")
    return "\n".join(lines)


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("data", type=Path)
    made.add_argument("--run", type=Path)
    made.add_argument("--only")
    made.add_argument("--page", type=Path)
    made.add_argument("--held", type=Path, default=Path(tempfile.gettempdir()) / "routing-held.ftz")
    made.add_argument("--json", action="store_true")
    options = made.parse_args()
    bench = Bench(options.data, options.run, options.held)
    parts = "eld programs udhr shipped-udhr latin only-udhr han zawgyi romanised noise dress alike".split()
    parts += ["speed", "web"] * bool(options.run)
    lines, mapping = [], {}
    for part in options.only.split(",") if options.only else parts:
        found = getattr(bench, part.replace("-", "_"))()
        mapping[part] = to_json(found)
        lines.append(f"## {part}\n")
        for name, value in found.items():
            lines.append(f"{name}: {shown(value)}")
        lines.append("")
        if not options.json:
            print("\n".join(lines[-len(found) - 2 :]), flush=True)
    if options.json:
        print(json.dumps(mapping, ensure_ascii=False))
    if options.page:
        options.page.write_text(page(mapping, bench.sentences()), encoding="utf-8")


if __name__ == "__main__":
    main()
