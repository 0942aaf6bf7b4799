"""Each stage by itself, and the runner that counts them: the pattern for the author of another.

A stage is built once from its settings and asked about a few documents; what it answers is a document or a drop.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cc100.recipe import load_recipe
from ccbuild.errors import ConfigError, InputError
from ccbuild.ledger import Ledger
from ccbuild.records import Document, Dropped
from ccbuild.runner import Timings, run_stages
from ccbuild.stages import LanguageConfig, LengthConfig, PerplexityConfig, RefineConfig, SnapshotConfig, Stage, each
from tests.ccbuild.stages.conftest import UDHR

ENGLISH = "The children walked along the river until they reached the old bridge near the market."
RUSSIAN = "Город лежит на берегу реки, и в нём живут сто тысяч человек. "
SWAHILI = "Rais wa nchi alisema kwamba serikali itajenga shule mpya katika mikoa yote ya nchi hiyo."


def document(*paragraphs: str, **known: object) -> Document:
    return dataclasses.replace(Document(paragraphs=paragraphs, doc_id=7), **known)  # type: ignore[arg-type]


def answer(stage: Stage, asked: Document) -> Document | Dropped:
    (found,) = stage.run([asked])
    return found


@pytest.mark.parametrize(
    ("paragraphs", "expected"),
    [(("x" * 5, "y" * 4), None), (("x" * 5, "y" * 3), "too_short"), ((), "only_duplicate_paragraphs")],
)
def test_length(paragraphs: tuple[str, ...], expected: str | None) -> None:
    asked = document(*paragraphs)
    stage = LengthConfig(min_chars=10).build(Path())
    assert answer(stage, asked) == (Dropped(expected) if expected else asked)


HAN = "港口自去年冬天的风暴以来一直对大船关闭镇上没有人指望它很快重新开放渔民们如今乘车去邻村"
BURMESE = "မြို့သူမြို့သားများ မျှော်လင့်ကြသည်။ "


@pytest.mark.parametrize(
    ("text", "nchars", "stays"),
    [
        (HAN, 31, True),
        (HAN, 30, False),
        ("Harbour ", 100, True),
        ("Harbour ", 99, False),
        (BURMESE, 121, True),
        (BURMESE, 115, False),
        ("ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ", 99, False),
    ],
)
def test_length_is_that_of_the_script(text: str, nchars: int, stays: bool) -> None:
    asked = document((text * 20)[:nchars])
    assert (answer(LengthConfig().build(Path()), asked) == asked) == stays
    alike = LengthConfig(count="characters").build(Path())
    assert (answer(alike, asked) == asked) == (nchars >= 100)


def test_the_recipe_ccnet_counts_and_cleans_as_ccnet_does() -> None:
    recipe = load_recipe("ccnet")
    assert recipe.refine.length == LengthConfig(min_chars=300, count="characters")
    assert recipe.extract.characters == "keep"


@pytest.mark.parametrize(
    ("archive", "lang", "stays"),
    [
        ("CC-MAIN-2018-51/a.warc.gz", "en", True),
        ("CC-MAIN-2018-05/a.warc.gz", "en", False),
        ("CC-MAIN-2018-05/a.warc.gz", "sw", True),
        ("CC-MAIN-2018-09/a.warc.gz", "sw", False),
        ("mine.warc.gz", "en", True),
    ],
)
def test_snapshot(archive: str, lang: str, stays: bool) -> None:
    stage = SnapshotConfig(default=("CC-MAIN-2018-05",), languages={"en": ("CC-MAIN-2018-51",)}).build(Path())
    asked = document("text", archive=archive, lang=lang)
    assert answer(stage, asked) == (asked if stays else Dropped("other_snapshot"))


def test_language_names_a_document_or_says_why_not(models: Path) -> None:
    stage = LanguageConfig(languages=("en",)).build(models)
    named = answer(stage, document(ENGLISH))
    assert isinstance(named, Document)
    assert (named.lang, named.paragraphs) == ("en", (ENGLISH,))
    assert 0.3 <= (named.lang_score or 0) <= 1
    assert answer(stage, document(SWAHILI)) == Dropped("other_language")
    assert answer(stage, document("12 + 4 = 16")) == Dropped("no_letters")
    assert answer(stage, document("12 + 4 = 16", "2026-11-28 · 17:40 !?")) == Dropped("no_letters")
    both = document(ENGLISH * 4, RUSSIAN * 5)
    assert answer(stage, both) == Dropped("mixed_languages")
    assert answer(LanguageConfig(min_score=1.0).build(models), document(SWAHILI[:40])) == Dropped("language_unsure")
    with pytest.raises(InputError, match="holds no language identifier"):
        LanguageConfig().build(models / "nowhere")


@pytest.mark.parametrize(
    "text",
    [
        "བོད་སྐད་ནི་བོད་མི་རིགས་ཀྱི་སྐད་ཡིག་ཡིན།",
        "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎠᏂᏴᏫᏯ",
        "ꆈꌠꉙ ꆈꌠꁱꂷ",
        "ᨣᩤᩴᨾᩮᩬᩥᨦ ᩃ᩶ᩣ᩠ᨶᨶᩣ",
        "ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ",
        "ᚠᚢᚦᚨᚱᚲ",
    ],
)
def test_letters_that_nothing_knows_are_no_lack_of_letters(models: Path, text: str) -> None:
    stage = LanguageConfig().build(models)
    assert answer(stage, document(text * 4)) == Dropped("unknown_language")


def test_a_language_that_was_set_aside_is_unknown(models: Path) -> None:
    text = "D'Regierung huet gëschter eng nei Schoul opgemaach, an d'Leit aus dem Duerf sinn frou doriwwer."
    assert isinstance(answer(LanguageConfig(min_score=0).build(models), document(text)), Document)
    stage = LanguageConfig(min_score=0, outside="und").build(models)
    assert answer(stage, document(text)) == Dropped("unknown_language")


def test_language_reads_its_thresholds(models: Path, tmp_path: Path) -> None:
    table = tmp_path / "thresholds.tsv"
    table.write_text("en\t1.0\tby hand\n", encoding="utf-8")
    stage = LanguageConfig(thresholds=str(table)).build(models)
    assert answer(stage, document(ENGLISH)) == Dropped("language_unsure")
    assert isinstance(answer(stage, document(SWAHILI)), Document)


def test_perplexity_scores_what_it_has_a_model_for(models: Path) -> None:
    stage = PerplexityConfig().build(models)
    prose, noise = UDHR.read_text(encoding="utf-8").splitlines()[3], "zxq jjkw qqq vvb zzr " * 8
    scored = [answer(stage, document(text, lang="en")) for text in (prose, noise)]
    assert all(isinstance(each, Document) and each.pieces for each in scored)
    good, bad = (each.perplexity for each in scored if isinstance(each, Document))
    assert good is not None
    assert bad is not None
    assert good < bad
    unknown = document(SWAHILI, lang="sw")
    assert answer(stage, unknown) == unknown


def test_the_stages_in_their_order(models: Path) -> None:
    stages = RefineConfig(length=LengthConfig(min_chars=20)).build(models)
    assert [stage.name for stage in stages] == ["length", "language", "snapshot", "perplexity"]
    ledger, timings = Ledger(), Timings()
    asked = [document("short"), document(ENGLISH), document("0123 4567 8910 1112 1314")]
    judged = run_stages(asked, stages, ledger, timings)
    assert [(each.lang, each.pieces is not None) for each in judged.kept] == [("en", True)]
    assert [(each.text, reason) for each, reason in judged.dropped] == [
        (asked[0].text, "too_short"),
        (asked[2].text, "no_letters"),
    ]
    account = ledger.close("example")["documents"]
    assert (account.seen, account.kept, dict(account.dropped)) == (3, 1, {"too_short": 1, "no_letters": 1})
    assert set(timings.seconds) >= {"length", "language", "snapshot", "perplexity"}


def test_a_stage_answers_for_every_document() -> None:
    forgetful = Stage("forgetful", lambda documents: list(documents[1:]))
    with pytest.raises(ConfigError, match="The stage forgetful gave 1 answers to 2 documents"):
        run_stages([document("a"), document("b")], [forgetful], Ledger(), Timings())
    stage = each("half", lambda d: d if d.doc_id == 1 else Dropped("too_short"))
    judged = run_stages([document("a", doc_id=1), document("b")], [stage], Ledger(), Timings())
    assert (len(judged.kept), len(judged.dropped)) == (1, 1)


def test_a_stage_that_fails_is_named() -> None:
    def judge(document: Document) -> Document:
        raise ZeroDivisionError("division by zero")

    with pytest.raises(RuntimeError, match="The stage ratio failed with ZeroDivisionError: division by zero"):
        run_stages([document("a"), document("b")], [each("ratio", judge)], Ledger(), Timings())


def test_a_document_that_a_stage_fails_on_is_set_apart() -> None:
    def judge(document: Document) -> Document:
        if document.doc_id == 3:
            raise ZeroDivisionError("division by zero")
        return document

    ledger, asked = Ledger(), [document("a", doc_id=n) for n in range(5)]
    judged = run_stages(asked, [each("ratio", judge)], ledger, Timings())
    assert judged.kept == [*asked[:3], asked[4]]
    assert judged.lost == [(asked[3], "failed:ratio:ZeroDivisionError")]
    account = ledger.close("example")["documents"]
    assert (account.seen, account.kept, account.quarantined) == (5, 4, {"failed:ratio:ZeroDivisionError": 1})


@pytest.mark.parametrize(
    ("answered", "message"),
    [
        (None, "is neither a document nor a drop"),
        (True, "is neither a document nor a drop"),
        (Document(paragraphs=("a",)), "has another doc_id"),
        (document("a\nb"), "one with a newline in it"),
        (document(), "has no paragraph"),
        (document("a", lang="../x"), "which is no code"),
    ],
)
def test_what_a_stage_from_outside_answers_is_looked_at(answered: object, message: str) -> None:
    stage = dataclasses.replace(Stage("theirs", lambda documents: [answered]), outside=True)  # type: ignore[list-item, return-value]
    with pytest.raises(ConfigError, match=f"The stage theirs answered .* to document 7: it .*{message}"):
        run_stages([document("some text")], [stage], Ledger(), Timings())
