"""Perplexity models that others made: pairs of a SentencePiece model and a KenLM binary, by language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ccbuild import catalogue
from ccbuild.errors import ConfigError, InputError
from ccbuild.prose import files_by_language
from ccbuild.storage import sha256_file

__all__ = ["GivenModel", "find_models"]

_PIECES, _BINARIES = ".sp.model", (".binary", ".arpa.bin")
_CATALOGUE = "catalogue:"


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenModel:
    """The model of one language: two files, or two entries of the catalogue, which are fetched when asked for."""

    lang: str
    sp_model: str | catalogue.Entry
    binary: str | catalogue.Entry

    def files(self) -> tuple[Path, Path]:
        """(SentencePiece model, KenLM binary), as they lie on this machine."""
        pieces, binary = (
            Path(it) if isinstance(it, str) else catalogue.fetch(it) for it in (self.sp_model, self.binary)
        )
        return pieces, binary

    def digests(self) -> dict[str, str]:
        """SHA-256 of both."""
        pieces, binary = self.files()
        return {"sp_model": sha256_file(pieces), "binary": sha256_file(binary)}

    @property
    def origin(self) -> dict[str, str]:
        """What a manifest says of where they came from: their names, and the licence where it is known."""
        if isinstance(self.binary, str):
            return {"name": Path(self.binary).name}
        return {"name": f"{self.binary.name}/{self.binary.file}", "licence": self.binary.licence}


def find_models(where: str | None, languages: Sequence[str]) -> dict[str, GivenModel]:
    """Code to model of those `languages` that there is one of (``all``: every one), sorted; empty for None.

    `where` is a pattern with ``{lang}`` for ``<it>.sp.model`` and ``<it>.binary`` (or CCNet's ``<it>.arpa.bin``), or
    ``catalogue:<family>`` (``catalogue:ccnet-lm``), whose languages must be named, as each is a gigabyte.
    """
    if where is None:
        return {}
    if where.startswith(_CATALOGUE):
        return _of_family(where.removeprefix(_CATALOGUE), languages)
    found = {}
    for lang, paths in files_by_language(f"{where}{_PIECES}").items():
        if "all" not in languages and lang not in languages:
            continue
        path = paths[0]
        binaries = [end for end in _BINARIES if Path(path.removesuffix(_PIECES) + end).is_file()]
        if not binaries:
            raise InputError(
                f"{path} has no n-gram model beside it: {path.removesuffix(_PIECES)}{' or '.join(_BINARIES)}. "
                "Copy it there, or make one of its .arpa with KenLM's build_binary."
            )
        found[lang] = GivenModel(lang=lang, sp_model=path, binary=path.removesuffix(_PIECES) + binaries[0])
    return found


def _of_family(name: str, languages: Sequence[str]) -> dict[str, GivenModel]:
    family = catalogue.families().get(name)
    if family is None or len(family.files) != 2:
        known = ", ".join(n for n, f in catalogue.families().items() if len(f.files) == 2)
        raise ConfigError(f"{_CATALOGUE}{name} is no family of models. The catalogue has {known}.")
    if "all" in languages:
        raise ConfigError(
            f"{_CATALOGUE}{name} has {len(family.languages)} languages of about a gigabyte each. Name those that you "
            f"want: prepare.languages=[{', '.join(family.languages[:2])}]."
        )
    found = {}
    for lang in sorted(set(languages) & set(family.languages)):
        pieces, binary = family.entries(lang)
        found[lang] = GivenModel(lang=lang, sp_model=pieces, binary=binary)
    return found
