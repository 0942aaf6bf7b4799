"""The 116 codes of CC-100, the scripts they are written in, and how the labels of models map to them.

Source of the codes: the published files of CC-100 (data.statmt.org/cc-100), one a code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ccbuild.errors import ConfigError

__all__ = ["CC100", "LANGUAGE_SETS", "SCRIPT_OF", "UNSPACED", "check_codes", "from_label", "is_code", "nearest"]

CC100: dict[str, str] = {
    "af": "Afrikaans",
    "am": "Amharic",
    "ar": "Arabic",
    "as": "Assamese",
    "az": "Azerbaijani",
    "be": "Belarusian",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "bn_rom": "Bengali romanised",
    "br": "Breton",
    "bs": "Bosnian",
    "ca": "Catalan",
    "cs": "Czech",
    "cy": "Welsh",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "eo": "Esperanto",
    "es": "Spanish",
    "et": "Estonian",
    "eu": "Basque",
    "fa": "Persian",
    "ff": "Fulah",
    "fi": "Finnish",
    "fr": "French",
    "fy": "Western Frisian",
    "ga": "Irish",
    "gd": "Scottish Gaelic",
    "gl": "Galician",
    "gn": "Guarani",
    "gu": "Gujarati",
    "ha": "Hausa",
    "he": "Hebrew",
    "hi": "Hindi",
    "hi_rom": "Hindi romanised",
    "hr": "Croatian",
    "ht": "Haitian",
    "hu": "Hungarian",
    "hy": "Armenian",
    "id": "Indonesian",
    "ig": "Igbo",
    "is": "Icelandic",
    "it": "Italian",
    "ja": "Japanese",
    "jv": "Javanese",
    "ka": "Georgian",
    "kk": "Kazakh",
    "km": "Khmer",
    "kn": "Kannada",
    "ko": "Korean",
    "ku": "Kurdish",
    "ky": "Kyrgyz",
    "la": "Latin",
    "lg": "Ganda",
    "li": "Limburgish",
    "ln": "Lingala",
    "lo": "Lao",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "mg": "Malagasy",
    "mk": "Macedonian",
    "ml": "Malayalam",
    "mn": "Mongolian",
    "mr": "Marathi",
    "ms": "Malay",
    "my": "Burmese",
    "my_zaw": "Burmese in Zawgyi",
    "ne": "Nepali",
    "nl": "Dutch",
    "no": "Norwegian",
    "ns": "Northern Sotho",
    "om": "Oromo",
    "or": "Oriya",
    "pa": "Punjabi",
    "pl": "Polish",
    "ps": "Pashto",
    "pt": "Portuguese",
    "qu": "Quechua",
    "rm": "Romansh",
    "ro": "Romanian",
    "ru": "Russian",
    "sa": "Sanskrit",
    "sc": "Sardinian",
    "sd": "Sindhi",
    "si": "Sinhala",
    "sk": "Slovak",
    "sl": "Slovenian",
    "so": "Somali",
    "sq": "Albanian",
    "sr": "Serbian",
    "ss": "Swati",
    "su": "Sundanese",
    "sv": "Swedish",
    "sw": "Swahili",
    "ta": "Tamil",
    "ta_rom": "Tamil romanised",
    "te": "Telugu",
    "te_rom": "Telugu romanised",
    "th": "Thai",
    "tl": "Tagalog",
    "tn": "Tswana",
    "tr": "Turkish",
    "ug": "Uyghur",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "ur_rom": "Urdu romanised",
    "uz": "Uzbek",
    "vi": "Vietnamese",
    "wo": "Wolof",
    "xh": "Xhosa",
    "yi": "Yiddish",
    "yo": "Yoruba",
    "zh-Hans": "Chinese, simplified",
    "zh-Hant": "Chinese, traditional",
    "zu": "Zulu",
}
"""Code to English name, as CC-100 lists them."""

UNSPACED = frozenset("bo dz ja km lo my my_zaw th yue zh zh-Hans zh-Hant".split())
"""Languages written without a space between words: "pieces per word" says nothing of them."""

LANGUAGE_SETS: dict[str, tuple[str, ...]] = {
    "cc100-116": tuple(CC100),
    "xlmr-100": tuple(code for code in CC100 if code not in "ff gn ht ig lg li ln ns qu rm sc ss tn wo yo zu".split()),
}
"""Languages by the name of their set: the released files, and those that XLM-R was trained on (1911.02116, table 6)."""

_SCRIPTS = {
    "Arab": "ar fa ps sd ug ur",
    "Armn": "hy",
    "Beng": "as bn",
    "Cyrl": "be bg kk ky mk mn ru sr uk",
    "Deva": "hi mr ne sa",
    "Ethi": "am",
    "Geor": "ka",
    "Grek": "el",
    "Gujr": "gu",
    "Guru": "pa",
    "Hebr": "he yi",
    "Jpan": "ja",
    "Khmr": "km",
    "Knda": "kn",
    "Hang": "ko",
    "Kore": "ko",
    "Laoo": "lo",
    "Mlym": "ml",
    "Mymr": "my",
    "Orya": "or",
    "Qaag": "my_zaw",
    "Sinh": "si",
    "Taml": "ta",
    "Telu": "te",
    "Thai": "th",
    "Hans": "zh-Hans",
    "Hant": "zh-Hant",
}
"""The script in which a code is written; every other code is Latin."""

SCRIPT_OF = {code: script for script, codes in _SCRIPTS.items() for code in codes.split() if script != "Hang"}
SCRIPT_OF |= {code: "Latn" for code in CC100 if code not in SCRIPT_OF}

_ALSO = {"sr": "Latn"}
"""A second script in which CC-100 has a code."""

_ISO639_3 = """af afr, am amh, ar ara arb, as asm, az aze azj, be bel, bg bul, bn ben, br bre, bs bos, ca cat, cs ces,
cy cym, da dan, de deu, el ell, en eng, eo epo, es spa, et est ekk, eu eus, fa fas pes, ff ful fuv fub fuf fuc fuh ffm
fue fui fuq, fi fin, fr fra, fy fry, ga gle, gd gla, gl glg, gn grn gug, gu guj, ha hau, he heb, hi hin, hr hrv, ht hat,
hu hun, hy hye, id ind, ig ibo, is isl, it ita, ja jpn, jv jav, ka kat, kk kaz, km khm, kn kan, ko kor, ku kur kmr,
ky kir, la lat, lg lug, li lim, ln lin, lo lao, lt lit, lv lav lvs, mg mlg plt, mk mkd, ml mal, mn mon khk, mr mar,
ms msa zsm zlm, my mya, ne nep npi, nl nld, no nor nob nno nb nn, ns nso, om orm gaz hae, or ori ory, pa pan, pl pol,
ps pus pbt pst pbu, pt por, qu que quy quz quh qul qug qva qvc qvh qvm qvn qwh qxn qxu qub qud, rm roh, ro ron, ru rus,
sa san, sc srd src sro, sd snd, si sin, sk slk, sl slv, so som, sq sqi als, sr srp, ss ssw, su sun, sv swe, sw swa swh,
ta tam, te tel, th tha, tl tgl fil, tn tsn, tr tur, ug uig, uk ukr, ur urd, uz uzb uzn, vi vie, wo wol, xh xho,
yi yid ydd, yo yor, zh zho cmn, zu zul, ckb, sh hbs"""
_SAME = {name: row.split()[0] for row in _ISO639_3.split(",") for name in row.split()}
"""ISO 639-1 and 639-3 to CC-100's code (to `zh` where the script must still say which). Macro-languages take in their
members, as lid.176 does: Fulah, Oromo, Quechua; Dari (`prs`) and South Azerbaijani (`azb`) stay apart."""


def from_label(label: str) -> str:
    """The code of a model's label (without ``__label__``): lid.176's, ``hau_Latn`` of GlotLID and OpenLID, BCP 47's.

    A language outside CC-100, and one of its languages in a script in which CC-100 does not have it, keeps
    its own name. `zh` stays `zh`: which of the two it is, is decided by characters, see `ccbuild.langid.han`.

    >>> from_label("nn"), from_label("hau_Latn"), from_label("hin_Latn"), from_label("ceb"), from_label("zho_Hant")
    ('no', 'ha', 'hi_rom', 'ceb', 'zh-Hant')
    >>> from_label("kur_Arab"), from_label("kaz_Arab"), from_label("bn_rom")
    ('ckb', 'kk_Arab', 'bn_rom')
    """
    if label in CC100:
        return label
    name, _, script = label.replace("-", "_").partition("_")
    code = _SAME.get(name, name)
    if not script or not (script.isalpha() and len(script) == 4):
        return code if not script else label
    if code == "zh":
        return f"zh-{script}" if script in ("Hans", "Hant") else "zh"
    if code == "ku" and script == "Arab":
        return "ckb"
    if script == "Latn" and f"{code}_rom" in CC100:
        return f"{code}_rom"
    if script in (SCRIPT_OF.get(code, script), _ALSO.get(code)) or (code == "ko" and script == "Hang"):
        return code
    return "my_zaw" if (code, script) == ("my", "Qaag") else f"{code}_{script}"


def is_code(text: str) -> bool:
    """Whether `text` may stand in a file name as a language code: letters, digits, ``-``, ``_``, at most 16."""
    return 2 <= len(text) <= 16 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def nearest(code: str) -> str:
    """The code of CC-100 that somebody who wrote `code` may have meant: by its ISO 639-3 name, else by spelling.

    >>> nearest("hau"), nearest("zh_hans"), nearest("swh")
    ('ha', 'zh-Hans', 'sw')
    """
    known = from_label(code)
    if known in CC100:
        return known
    names = {name.lower(): name for name in CC100} | {name.lower(): key for key, name in CC100.items()}
    found = difflib.get_close_matches(code.lower().replace("_", "-"), names, 1, 0.0)
    return names[found[0]]


def check_codes(codes: Iterable[str], where: str) -> None:
    """Raise `ConfigError` for what is no code of CC-100 and has not the form of one of ISO 639-3; offer the nearest."""
    for code in codes:
        outside = code.partition("_")[0]
        plain = outside.isalpha() and outside.islower() and len(outside) in (2, 3)
        script = code.partition("_")[2]
        known = code in CC100 or (plain and is_code(code) and (not script or script.istitle()) and "-" not in code)
        meant = from_label(code)
        if not known or (meant != code and meant in CC100):
            raise ConfigError(f"{where} has {code!r}, which is no code here. Did you mean {nearest(code)!r}?")
