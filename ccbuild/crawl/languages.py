"""Which of CLD2's labels stand for which of our languages in Common Crawl's `content_languages`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ccbuild.errors import InputError
from ccbuild.langid.codes import CC100

__all__ = ["CLD2", "CLD2_LABELS", "UNKNOWN_TO_CLD2", "cld2_labels"]

CLD2: dict[str, tuple[str, ...]] = dict(
    pair
    for line in """
    af afr|am amh|ar ara|as asm|az aze|be bel|bg bul|bn ben|br bre|bs bos|ca cat|cs ces|cy cym|da dan|de deu|el ell
    en eng|eo epo|es spa|et est|eu eus|fa fas|fi fin|fr fra|fy fry|ga gle|gd gla|gl glg|gn grn|gu guj|ha hau|he heb
    hi hin|hr hrv|ht hat|hu hun|hy hye|id ind|ig ibo|is isl|it ita|ja jpn|jv jav|ka kat|kk kaz|km khm|kn kan|ko kor
    ku kur|ky kir|la lat|lg lug|ln lin|lo lao|lt lit|lv lav|mg mlg|mk mkd|ml mal|mn mon|mr mar|ms msa|my mya|ne nep
    nl nld|no nor nno|ns nso|om orm|or ori|pa pan|pl pol|ps pus|pt por|qu que|rm roh|ro ron|ru rus|sa san|sd snd
    si sin|sk slk|sl slv|so som|sq sqi|sr srp|ss ssw|su sun|sv swe|sw swa|ta tam|te tel|th tha|tl tgl|tn tsn|tr tur
    ug uig|uk ukr|ur urd|uz uzb|vi vie|wo wol|xh xho|yi yid|yo yor|zh-Hans zho|zh-Hant zho|zu zul
    """.strip().splitlines()
    for entry in line.strip().split("|")
    for pair in [(entry.split()[0], tuple(entry.split()[1:]))]
)
"""CC-100's code to the ISO 639-3 labels that Common Crawl writes for CLD2's languages. Both Norwegians are CC-100's
one; the two Chinese share a label, and our cascade tells them apart afterwards.
Source: Language.java of commoncrawl/language-detection-cld2."""

UNKNOWN_TO_CLD2: dict[str, str] = {
    **dict.fromkeys(
        ("bn_rom", "hi_rom", "ta_rom", "te_rom", "ur_rom"),
        "CLD2 has no label for it in Latin script: its pages carry other languages' labels",
    ),
    "my_zaw": "CLD2 does not tell Zawgyi from Unicode: its pages are under my (mya), with those in Unicode",
    "ff": "CLD2 has no label for it",
    "li": "CLD2 has no label for it",
    "sc": "CLD2 has no label for it",
}
"""CC-100's codes that the index cannot name, and why. Source: as above, and CLD2's generated_language.h."""

_OTHERS = (
    "oci bih ina mlt fao tir sot tuk twi ltz bod div chr syr lif cos ile sna tgk tat ton mri abk aar aym bak bis dzo "
    "fij kal ipk iku kas kin nau run smo sag tso vol zha kha sco glv aka mfe haw ceb ewe gaa blu kri loz lua luo new "
    "nya oss pam raj crs tum ven war"
)
CLD2_LABELS = frozenset([label for labels in CLD2.values() for label in labels] + _OTHERS.split())
"""Every label that `content_languages` may hold (but for scripts of no living language)."""


def cld2_labels(codes: Iterable[str]) -> tuple[str, ...]:
    """Sorted labels for languages named by CC-100's codes or by the labels themselves; `InputError` for others.

    >>> cld2_labels(["sw", "hau", "no"])
    ('hau', 'nno', 'nor', 'swa')
    """
    labels: set[str] = set()
    for code in codes:
        if code in UNKNOWN_TO_CLD2:
            raise InputError(
                f"The index cannot select {code} ({CC100[code]}): {UNKNOWN_TO_CLD2[code]}. Read the WET files instead, "
                "our own identifier decides there: --input SNAPSHOT/wet."
            )
        known = CLD2.get(code) or ((code,) if code in CLD2_LABELS else None)
        if known is None:
            near = difflib.get_close_matches(code, [*CLD2, *CLD2_LABELS], n=1, cutoff=0.5)
            raise InputError(
                f"{code!r} is no language of the index{f'; did you mean {near[0]!r}?' if near else '.'} "
                "It takes CC-100's codes (sw) and CLD2's ISO 639-3 labels (swa). "
                "Another language: read the WET files, --input SNAPSHOT/wet."
            )
        labels.update(known)
    if not labels:
        raise InputError("No language was named. Give --language sw, once a language.")
    return tuple(sorted(labels))
