"""Every code can be reached, rules decide before models, and no text breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from numba import njit

from ccbuild.langid import kernels
from ccbuild.langid.cascade import Cascade, Identifier
from ccbuild.langid.codes import CC100
from ccbuild.langid.corpus import catalogue_texts, latin_serbian
from ccbuild.langid.letters import fold
from ccbuild.langid.model import LanguageModel, room_for
from ccbuild.langid.noise import noise
from ccbuild.langid.scripts import count_scripts
from ccbuild.langid.votes import vote
from tests.ccbuild.langid.junk import junk

OWN = {
    "bn_rom": "ami kal bazar theke mach kinbo, tumi ki amar sathe jabe? amar khub bhalo lagche aj",
    "hi_rom": "main kal bazar ja raha hoon, kya aap mere saath chalenge? mujhe bahut khushi hogi agar aap aaye",
    "hr": "Vlada je u četvrtak priopćila da će tijekom sljedećeg tjedna početi gradnja nove zračne luke u Zagrebu.",
    "li": "'t Limburgs is 'n regionaol taol die in Nederlandj en Belsj Limburg weurt gesjproke.",
    "my_zaw": "ေရွ႕မွာ လူေတြ အမ်ားႀကီး ရွိတယ္။ ကြၽန္ေတာ္တို႔ ျမန္မာႏိုင္ငံ",
    "ta_rom": "naan naalai kadaikku poren, neenga ennoda varuveengala? enakku romba santhosham ungalai paarthathil",
    "te_rom": "nenu repu bazaruku veltunnanu, meeru naatho vastara? naaku chala santosham ga undi mimmalni chusi",
    "ur_rom": "hr nsn kw azdy' fkr, azdy' dmyr, wr azdy' mdhhb k pwr hq hsl hy",
}
"""Text of codes that the catalogue has none of, or whose declaration is its neighbour's too. Urdu in Latin letters is
told from Hindi where its script shows through: spoken, they are one."""


def test_every_code_of_cc100_is_reached(cascade: Cascade) -> None:
    declared = catalogue_texts(["gflanguages"])["gflanguages"]
    texts = {code: OWN.get(code) or " ".join(declared[code])[:400] for code in CC100}
    answers = dict(zip(texts, cascade.identify(list(texts.values())), strict=True))
    assert {code: a.code for code, a in answers.items() if a.code != code} == {}
    assert all(0 <= a.score <= 1 and 0 <= a.second_score <= 1 for a in answers.values())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ئەم پەرتووکە باسی مێژووی کوردستان دەکات و لە ساڵی ڕابردوودا بڵاوکرایەوە", "ckb"),
        ("Влада је саопштила да ће следеће недеље почети изградња нове школе у граду.", "sr"),
        (latin_serbian("Влада је саопштила да ће следеће недеље почети изградња нове школе у граду."), "sr"),
        ("佢哋嘅屋企喺香港，我哋唔知佢幾時返嚟", "yue"),
        ("инсанын сон васитә кими истибдад вә зүлмә гаршы гијама галхмаға мәҹбур олмамасыны тәмин етмәк", "az"),
        ("Ҳар бир инсон фикр, виждон ва дин эркинлиги ҳуқуқига эгадир; бу ҳуқуқ ўз динини ўзгартириш", "uz"),
        ("ستياڤ اورڠ برحق مموهون دان منعمتي ڤرليندوڠن ڤوليتيك دالم نڬارا لائن", "ms"),
        ("ꦱꦧꦼꦤ꧀ꦮꦺꦴꦁꦏꦭꦲꦶꦂꦲꦏꦺꦏꦤ꧀ꦛꦶ", "jv"),
        ("𞤋𞤲𞥆𞤢𞤥𞤢 𞤢𞥄𞤣𞤫𞥅𞤶𞤭 𞤬𞤮𞤬", "ff"),
    ],
)
def test_script_and_letters_decide(text: str, code: str, cascade: Cascade) -> None:
    assert cascade.identify([text])[0].code == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Kei te pēhea koe i tēnei rā? E pai ana ahau.", "mi"),  # lid.176 is sure that it is Latvian
        ("Bakitsi sebhanki batawuvula emagatja abo ngensimbi yesibili ekuseni.", "ss"),
        ("Umntfwana ufundza sikolo lesikhulu edolobheni.", "ss"),
        ("Mootummaan biyyattii mana barumsaa haaraa ijaaruu akka barbaadu beeksise.", "om"),
        ("Barattoonni hedduun qormaata biyyoolessaa kaleessa fudhataniiru.", "om"),
        ("Mmušo o re o tla aga dikolo tše mpsha ka dinaga tša magaeng.", "ns"),
        ("Ina kwana? Yaya aiki da gajiya yau?", "ha"),
    ],
)
def test_a_language_is_found_beside_its_neighbours(text: str, code: str, cascade: Cascade) -> None:
    assert cascade.identify([text])[0].code == code


def test_ccnets_way_asks_the_model_alone(model: LanguageModel) -> None:
    text = "Die Regierung will neue Schulen bauen. Das sagte der Minister am Montag."
    alone = Identifier(model)
    (answer,) = alone.identify([text])
    assert (answer.code, answer.by) == ("de", "model")
    assert answer.score == round(answer.score, 2)
    # CCNet deletes the newlines and puts nothing in their place
    assert alone.identify(["Die Re\ngierung"]) == alone.identify(["Die Regierung"])


def test_languages_outside_cc100_by_choice(cascade: Cascade) -> None:
    text = "Ang mga tawo natawo nga gawasnon ug managsama sa kaligdong ug mga katungod."
    assert cascade.identify([text])[0].code == "ceb"
    assert Cascade(cascade.model, cascade.supplement, "und").identify([text])[0].code == "und"


@pytest.mark.parametrize(
    "text",
    ["", " \n\t ", "123 456", "😀" * 100_000, "a" * 1_000_000, "a\0b c\0", "one\ntwo\r\nthree", "\ud800 text \udfff",
     "__label__en " * 50, "\u200b\u200e", "<|endoftext|>", "ꙮ", "word " * 200_000, "habari ya dunia\n" * 100_000,
     "\u0301\u0308" * 1000, "".join(map(chr, range(0x0300, 0x0370))), "\u0378\u0530\U0003ffff\U000e1000" * 100,
     "".join(chr(0xE0000 + ord(c)) for c in "hidden words in tags") * 50, "\U0010ffff", "ẞ" * 5000],
    ids=lambda text: ascii(text[:8]),
)  # fmt: skip
def test_hostile_text_has_an_answer(text: str, cascade: Cascade) -> None:
    (answer,) = cascade.identify([text])
    assert answer.code
    assert 0 <= answer.score <= 1
    assert vote(cascade, [text.split("\n")])[0].code
    assert cascade.explain(text)[-1]["code"] == answer.code


def test_what_a_text_goes_through_is_told(cascade: Cascade) -> None:
    told = cascade.explain("Rais wa nchi alisema kwamba serikali itajenga shule mpya.")
    steps = {step["step"]: step for step in told}
    assert list(steps) == ["letters", "noise", "rules", "model", "supplement", "answer"]
    assert steps["letters"]["script"] == "Latn"
    assert "sw" in steps["model"]["answer"]
    assert steps["answer"]["code"] == "sw"


def test_junk_enters_no_language(cascade: Cascade) -> None:
    entered = []
    kinds, pages = zip(*junk(700), strict=True)
    for kind, found in zip(kinds, vote(cascade, pages), strict=True):
        if found.code not in ("zxx", "und") and found.score >= 0.5 and not found.mixed:
            entered.append((kind, found.code))
    assert len(entered) <= 0.03 * 700, entered


def test_prose_is_no_junk() -> None:
    texts = catalogue_texts(["eld"])["eld"]
    refused = {code: sum(noise(line) is not None for line in lines[:200]) for code, lines in texts.items()}
    assert sum(refused.values()) < 0.01 * 200 * len(texts), refused


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(  # words are long, and four of them stand to a comma
            "Wonke umuntu unelungelo lezinga lempilo yakhe nomndeni wakhe, nokudla, "
            "okokwembatha, izindlu, ukunakekelwa ngezokwelapha nezinsizakalo zenhlalakahle ezidingekayo, "
            "nelungelo lokuvikeleka uma engasebenzi, egula, ekhubazekile, eshonelwe ngumyeni noma "
            "ngunkosikazi, esegugile noma eswele impilo",
            id="keywords",
        ),
        pytest.param(
            "變更表格檢視\n若要隱藏表格中的欄與行標題：\n在功能表項目 - [試算表] 下，移至 [檢視] 標籤頁面。取消 "
            "[欄/列標題] 的標記。並以 [確定] 加以確認。\n"
            "若要隱藏格線，請移至 [檢視] 標籤頁面，取消 [格線] 的標記，並以 [確定] 加以確認。",
            id="code",
        ),
        pytest.param(
            "Here is an example of how to create a matrix. If you want to use it in a formula of your own, copy it to "
            "the Commands window.\nA =left[matrix{A_11#A_12#dotsaxis#A_{1n}##A_21#{} #{}#A_{2n}##dotsvert#{}}right]",
            id="a formula",
        ),
        pytest.param(
            "The command takes the name of a colour, which may be written in small letters or in capitals, and a "
            "number for how much of it there is\n" + "acute\na mark above\nbar\na line above\nbold\nheavy\ndot",
            id="menu",
        ),
    ],
)
def test_prose_in_the_shape_of_junk_is_none(text: str) -> None:
    assert noise(text) is None


def test_a_page_is_what_most_of_its_characters_are(cascade: Cascade) -> None:
    swahili = "Rais wa nchi alisema kwamba serikali itajenga shule mpya katika mikoa yote ya nchi mwaka ujao. " * 4
    german = "Die Regierung will im kommenden Jahr in allen Landesteilen neue Schulen bauen, sagte sie. " * 4
    page, half = vote(cascade, [[swahili, swahili, swahili, german], [swahili, german]])
    assert (page.code, page.second) == ("sw", "de")
    assert not page.mixed
    assert 0.7 < page.share < 0.8
    assert half.mixed
    assert vote(cascade, [[swahili] * 20], most=500) == vote(cascade, [[swahili] * 20], most=500)


@pytest.mark.parametrize(("sure", "mixed"), [((0.9, 0.9), True), ((0.9, 0.4), False), ((0.4, 0.9), False)])
def test_a_language_that_is_hardly_known_is_no_two(cascade: Cascade, sure: tuple[float, float], mixed: bool) -> None:
    assert shared(cascade, ["a" * 600, "b" * 500], sure) is mixed
    assert shared(cascade, ["a" * 600, "б" * 500], sure)  # another script is another language


@pytest.mark.parametrize(("sure", "mixed"), [((0.9, 0.35), True), ((0.9, 0.25), False)])
def test_another_script_is_no_other_language_where_nothing_is_known_of_it(
    cascade: Cascade, sure: tuple[float, float], mixed: bool
) -> None:
    """Names and commands in Chinese prose."""
    assert shared(cascade, ["а" * 600, "b" * 500], sure) is mixed


@pytest.mark.parametrize(
    ("codes", "mixed"), [("gl pt", False), ("da no", False), ("mk sr", False), ("gl en", True), ("mk ru", True)]
)
def test_neighbours_make_no_mixture(cascade: Cascade, codes: str, mixed: bool) -> None:
    for pair in (codes.split(), codes.split()[::-1]):
        assert shared(cascade, ["a" * 600, "b" * 500], (0.9, 0.9), pair) is mixed


def shared(
    cascade: Cascade, paragraphs: list[str], sure: tuple[float, float], pair: Sequence[str] = ("om", "so")
) -> bool:
    """Whether a page is mixed whose paragraphs are answered with two codes and these scores."""
    folded, (first, second) = fold(["\n".join(paragraphs)]), map(cascade.names.index, pair)
    room = room_for(folded, 5, cascade.asked.model, cascade.asked.supplement)
    border = len(paragraphs[0])
    spans = np.array([[0, border], [border + 1, len(folded.points)]])
    said, shares = np.array([first, second, 0]), np.array([min(sure), 0.55, 0.45])
    page = folded.points, spans, np.arange(2), np.array([first, second]), np.array(sure)
    return bool(from_python()(*page, said, shares, cascade.asked, room))


@cache
def from_python() -> Any:
    """What tells a mixture; itself it has no door to Python."""
    return njit(kernels._shared.py_func)


def test_names_in_latin_letters_do_not_hide_chinese(cascade: Cascade) -> None:
    text = "本 FAQ 的第一版由 J.H.M. Dassen（Ray）和 Chuck Stickelman 撰写和维护。重写的作者是 Susan G. Kleinmann。"
    assert cascade.identify([text])[0].code == "zh-Hans"
    assert cascade.explain(text)[0]["script"] == "Hani"


def test_letters_are_counted_by_script() -> None:
    scripts = count_scripts("abc где 日本語 かな 𠀀 𞤀 !?1")
    counts = dict(zip(("Latn", "Cyrl"), (scripts.counts[1], scripts.counts[3]), strict=True))
    assert counts == {"Latn": 3, "Cyrl": 3}
    assert scripts.letters == 3 + 3 + 3 + 2 + 1 + 1
    assert count_scripts("ᚠᚢᚦᚨᚱᚲ").name == "Zzzz"
