"""The 116 codes of CC-100 and how the labels of lid.176 map to them.

Source of the codes: the published files of CC-100 (data.statmt.org/cc-100), one a code.
"""

from __future__ import annotations

__all__ = ["CC100", "LANGUAGE_SETS", "UNSPACED", "from_lid176", "is_code"]

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

UNSPACED = frozenset("bo dz ja km lo my my_zaw th zh-Hans zh-Hant".split())
"""Languages written without a space between words: "pieces per word" says nothing of them."""

LANGUAGE_SETS: dict[str, tuple[str, ...]] = {
    "cc100-116": tuple(CC100),
    "xlmr-100": tuple(code for code in CC100 if code not in "ff gn ht ig lg li ln ns qu rm sc ss tn wo yo zu".split()),
}
"""Languages by the name of their set: the released files, and those that XLM-R was trained on (1911.02116, table 6)."""
"""Code to English name, as CC-100 lists them."""

_SAME = {"nn": "no"}
"""Labels of lid.176 that CC-100 has under another code: it has one Norwegian."""


def from_lid176(label: str) -> str:
    """The code of a lid.176 label (without ``__label__``); a label outside CC-100 keeps its own name.

    `zh` stays `zh`: which of the two it is, is decided by characters, see `ccbuild.langid.han`.

    >>> from_lid176("nn"), from_lid176("sw"), from_lid176("ceb")
    ('no', 'sw', 'ceb')
    """
    return _SAME.get(label, label)


def is_code(text: str) -> bool:
    """Whether `text` may stand in a file name as a language code: letters, digits, ``-``, ``_``, at most 16."""
    return 2 <= len(text) <= 16 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()
